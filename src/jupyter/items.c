// SPDX-License-Identifier: AGPL-3.0-or-later
#include "jupyter/items.h"

#include "base/limits.h"
#include "base/text.h"
#include "proto/kernel.h"

// Of the answer's size some room is for what stands around the items, and for errors.
#define ERRORS_BYTES_MAX ((size_t)1024 * 1024)
#define BYTES_MAX        (KERNEL_REPLY_MAX - 2 * ERRORS_BYTES_MAX)
// A text may be written with six bytes for each character (\u0041), and white space around it.
#define WIRE_FACTOR 6
#define WIRE_EXTRA  ((size_t)64 * 1024)

void items_init(struct items *items, size_t cell_max, size_t total_max)
{
    *items = (struct items){.cell_max = cell_max, .total_max = total_max};
}

void items_dispose(struct items *items)
{
    buf_dispose(&items->json);
    buf_dispose(&items->reply_error);
}

static void begin_item(struct items *items)
{
    buf_append_char(&items->json, items->json.size ? ',' : '[');
}

static void append_item(struct items *items, const struct buf *item)
{
    begin_item(items);
    buf_append(&items->json, item->data, item->size);
}

void items_add_text(struct items *items, const char *name, const char *text)
{
    auto_buf struct buf item = {0};
    json_begin_object(&item);
    json_member_str(&item, "name", name);
    json_member_str(&item, "text", text);
    json_end_object(&item);
    append_item(items, &item);
}

static void add_notice(struct items *items, const char *which, size_t max)
{
    auto_buf struct buf text = {0}, item = {0};
    buf_printf(&text, "Output truncated since it exceeded the %s output limit of %zu characters",
               which, max);
    json_begin_object(&item);
    json_member_str(&item, "name", "stdout");
    json_member_str(&item, "output_type", "stream");
    json_key(&item, "text");
    json_strn(&item, text.data, text.size);
    json_end_object(&item);
    append_item(items, &item);
    items->full = true;
}

void items_overflow(struct items *items)
{
    if (items->full)
        return;
    if (items->cell_max <= items->total_max)
        add_notice(items, "cell", items->cell_max);
    else
        add_notice(items, "global", items->total_max);
}

static void clear(struct items *items)
{
    buf_dispose(&items->json);
    items->length = items->errors_bytes = 0;
    items->full = items->has_error = false;
}

// ---- What a message says ----

static bool is_output(const char *type)
{
    static const char *const outputs[] = {"stream", "execute_result",      "display_data",
                                          "error",  "update_display_data", NULL};
    return text_is_one_of(type, outputs);
}

static bool is_error(const char *type)
{
    return strcmp(type, "error") == 0;
}

// Longer on the wire than any item within the limits.
static bool surely_too_long(const struct items *items, size_t content_size)
{
    const size_t max = items->cell_max < items->total_max ? items->cell_max : items->total_max;
    return content_size > BYTES_MAX || content_size / WIRE_FACTOR > max + WIRE_EXTRA;
}

// Each of them takes two bytes at least. Such an output may be sound, but is not read.
static bool may_have_too_many_values(size_t content_size)
{
    return content_size > (size_t)2 * LIMIT_JSON_VALUES;
}

bool items_want(const struct items *items, const char *type, size_t content_size)
{
    if (strcmp(type, "clear_output") == 0 || strcmp(type, "execute_reply") == 0)
        return content_size <= BYTES_MAX;
    if (is_error(type))
        return content_size <= BYTES_MAX && items->errors_bytes < ERRORS_BYTES_MAX;
    return is_output(type) && !items->full;
}

static bool has_strings(const cJSON *content, const char *const *names)
{
    for (; *names; names++)
        if (!json_get_str(content, *names))
            return false;
    return true;
}

static bool is_sound(const char *type, const cJSON *content)
{
    static const char *const of_stream[] = {"name", "text", NULL};
    static const char *const of_error[] = {"ename", "evalue", NULL};
    if (strcmp(type, "stream") == 0)
        return has_strings(content, of_stream);
    if (is_error(type))
        return has_strings(content, of_error) && cJSON_IsArray(json_get(content, "traceback"));
    return cJSON_IsObject(json_get(content, "data"));
}

static bool is_dropped(const cJSON *member)
{
    static const char *const names[] = {"execution_state", "execution_count", "payload", "code",
                                        "status",          "source",          NULL};
    return text_is_one_of(member->string, names) || (cJSON_IsObject(member) && !member->child);
}

static void drop_members(cJSON *content)
{
    for (cJSON *member = content->child, *next; member; member = next) {
        next = member->next;
        if (is_dropped(member))
            cJSON_Delete(cJSON_DetachItemViaPointer(content, member));
    }
}

// Errors are kept beyond the limits, as long as they are not endless.
static void add_error(struct items *items, const struct buf *item, bool fits)
{
    if (!fits && items->errors_bytes + item->size > ERRORS_BYTES_MAX) {
        items_overflow(items);
        return;
    }
    if (!fits)
        items->errors_bytes += item->size;
    append_item(items, item);
    items->has_error = true;
}

static void add_item(struct items *items, const struct buf *item, bool error)
{
    const size_t length = items->length + utf8_utf16_len(item->data, item->size);
    const bool fits_cell = length <= items->cell_max;
    const bool fits_total =
        length <= items->total_max && items->json.size + item->size <= BYTES_MAX;
    const bool fits = fits_cell && fits_total && !items->full;
    if (fits)
        items->length = length;
    if (error)
        add_error(items, item, fits);
    else if (fits)
        append_item(items, item);
    else if (!fits_cell)
        add_notice(items, "cell", items->cell_max);
    else
        add_notice(items, "global", items->total_max);
}

static void add_content(struct items *items, const char *type, cJSON *content)
{
    auto_buf struct buf item = {0};
    drop_members(content);
    if (!content->child)
        return;
    json_value(&item, content);
    add_item(items, &item, is_error(type));
}

static void keep_reply(struct items *items, const cJSON *content)
{
    static const char *const members[] = {"ename", "evalue", "traceback"};
    if (!is_sound("error", content))
        return;
    items->reply_error.size = 0;
    json_begin_object(&items->reply_error);
    for (size_t i = 0; i < ARRAY_LEN(members); i++) {
        json_key(&items->reply_error, members[i]);
        json_value(&items->reply_error, json_get(content, members[i]));
    }
    json_end_object(&items->reply_error);
}

void items_finish(struct items *items)
{
    if (items->reply_error.size && !items->has_error)
        add_item(items, &items->reply_error, true);
    buf_dispose(&items->reply_error);
}

void items_add(struct items *items, const struct message *message)
{
    const char *type = message->type;
    if (!items_want(items, type, message->content->size))
        return;
    if (strcmp(type, "clear_output") == 0) {
        clear(items);
        return;
    }
    if (is_output(type) && !is_error(type) && surely_too_long(items, message->content->size)) {
        items_overflow(items);
        return;
    }
    auto_json cJSON *content = message_content(message);
    if (!content) {
        if (is_output(type) && may_have_too_many_values(message->content->size))
            items_overflow(items);
        return;
    }
    if (strcmp(type, "execute_reply") == 0)
        keep_reply(items, content);
    else if (is_sound(type, content))
        add_content(items, type, content);
}

void items_write(const struct items *items, struct buf *out)
{
    if (items->json.size) {
        json_raw(out, items->json.data, items->json.size);
        json_end_array(out);
    } else {
        json_begin_array(out);
        json_end_array(out);
    }
}
