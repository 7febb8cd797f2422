// SPDX-License-Identifier: AGPL-3.0-or-later
// compute_images (user-query 12.9): what `image` of create_project can be here, read from the data
// folder. There is no more to tell of a system than its name.
#include <string.h>

#include "query/value.h"
#include "svc/images.h"
#include "svc/tables/tables.h"

static const struct query_column columns[] = {
    {.name = "id", .type = QUERY_TEXT},   {.name = "src", .type = QUERY_TEXT},
    {.name = "type", .type = QUERY_TEXT}, {.name = "display", .type = QUERY_TEXT},
    {.name = "url", .type = QUERY_TEXT},  {.name = "desc", .type = QUERY_TEXT},
    {.name = "path", .type = QUERY_TEXT}, {.name = "disabled", .type = QUERY_BOOLEAN},
};

static const struct query_get_field fields[] = {
    {.name = "id"},  {.name = "src"},  {.name = "type"}, {.name = "display"},
    {.name = "url"}, {.name = "desc"}, {.name = "path"}, {.name = "disabled"},
};

// What a field says of an image, or NULL.
static const char *text_of(const char *image, const char *field)
{
    if (!strcmp(field, "id") || !strcmp(field, "display"))
        return image;
    if (!strcmp(field, "desc") && !strcmp(image, IMAGE_DEFAULT))
        return "The system of the server";
    return NULL;
}

// ---- Conditions (7.3) ----

static bool compares(const char *text, const char *sign, const char *operand)
{
    int order = strcmp(text, operand);
    if (!strcmp(sign, "=") || !strcmp(sign, "=="))
        return !order;
    if (!strcmp(sign, "!=") || !strcmp(sign, "<>"))
        return order;
    if (!strcmp(sign, "<") || !strcmp(sign, "<="))
        return order < 0 || (!order && sign[1]);
    return order > 0 || (!order && sign[1]);
}

static bool is_comparison(const cJSON *condition)
{
    static const char *const signs[] = {"=", "==", "!=", "<>", "<", "<=", ">", ">="};
    bool all = cJSON_IsObject(condition) && condition->child;
    for (const cJSON *item = all ? condition->child : NULL; item && all; item = item->next) {
        all = false;
        for (size_t i = 0; i < ARRAY_LEN(signs); i++)
            all |= !strcmp(item->string, signs[i]);
    }
    return all;
}

static bool satisfies(const char *text, const char *sign, const cJSON *operand)
{
    if (cJSON_IsNull(operand))
        return true;
    return text && cJSON_IsString(operand) && compares(text, sign, operand->valuestring);
}

static bool matches(const char *text, const cJSON *condition)
{
    bool all = true;
    if (!is_comparison(condition))
        return satisfies(text, "=", condition);
    for (const cJSON *item = condition->child; item; item = item->next)
        all &= satisfies(text, item->string, item);
    return all;
}

static bool is_asked_for(const char *image, const cJSON *pattern)
{
    bool all = true;
    for (const cJSON *item = pattern->child; item; item = item->next)
        all &= matches(text_of(image, item->string), item);
    return all;
}

// ---- The answer ----

static void write_image(const char *image, const struct query_get *get, struct buf *out)
{
    json_begin_object(out);
    for (const cJSON *item = get->pattern->child; item; item = item->next) {
        const char *text = text_of(image, item->string);
        if (!text && get->list)
            continue;
        json_key(out, item->string);
        if (text)
            json_str(out, text);
        else
            json_null(out);
    }
    json_end_object(out);
}

static bool is_column(const char *name)
{
    bool is = false;
    for (size_t i = 0; i < ARRAY_LEN(columns); i++)
        is |= !strcmp(columns[i].name, name);
    return is;
}

// Whether the last option of that name asks for descending order. In all columns it is the same:
// no other has more than the name.
static int read_order(const struct query_get *get, bool *ret_descending, struct err *err)
{
    const cJSON *option;
    *ret_descending = false;
    cJSON_ArrayForEach(option, get->options)
    {
        const cJSON *value = json_get(option, "order_by");
        if (!value)
            continue;
        const char *name = query_value_text(value, get->arena);
        *ret_descending = name[0] == '-';
        name += *ret_descending;
        if (!is_column(name))
            return err_set(err, ERR_INVALID, "postgresql error: column \"%s\" does not exist",
                           name);
    }
    return 0;
}

static int list_images(struct db_session *session UNUSED, struct query_get *get, struct buf *out,
                       struct err *err)
{
    auto_folder_names struct folder_names names = {0};
    bool descending;
    int64_t left = get->limit < 0 ? INT64_MAX : get->limit;
    int rc = read_order(get, &descending, err);
    if (!rc)
        rc = images_list(&names, err);
    if (rc)
        return rc;
    if (!get->list && left)
        left = 1;
    if (get->list)
        json_begin_array(out);
    for (size_t i = 0; i < names.count && left; i++) {
        const char *image = names.items[descending ? names.count - 1 - i : i];
        if (!is_asked_for(image, get->pattern))
            continue;
        write_image(image, get, out);
        left--;
    }
    if (get->list)
        json_end_array(out);
    return 0;
}

static const struct query_get_block get = {
    .access = QUERY_ANONYMOUS,
    QUERY_FIELDS(fields),
    .compute = list_images,
};

const struct query_table table_compute_images = {
    .name = "compute_images",
    .text = "Systems that projects can run in, by their `id`: the server's own, called `default`, "
            "and those in its folder `images`.",
    .key = {"id"},
    QUERY_COLUMNS(columns),
    .get = &get,
};
