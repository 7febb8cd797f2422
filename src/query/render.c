// SPDX-License-Identifier: AGPL-3.0-or-later
// Rows as JSON: defaults filled in, nulls kept or left out (user-query 7.4, 7.5).
//
// What needs no change goes from the database's text straight into the reply.
#include <string.h>

#include "query/get_internal.h"

// Gives an object those members of a default that it lacks or has as null.
static void fill_up(cJSON *object, const cJSON *fallback)
{
    for (const cJSON *item = fallback->child; item; item = item->next) {
        const cJSON *member = json_get(object, item->string);
        if (cJSON_IsNull(member))
            cJSON_DeleteItemFromObjectCaseSensitive(object, item->string);
        if (!member || cJSON_IsNull(member))
            cJSON_AddItemToObject(object, item->string, cJSON_Duplicate(item, true));
    }
}

// Fills up the value that was written behind `start`.
static void complete(const cJSON *fallback, struct buf *out, size_t start)
{
    if (out->data[start] != '{')
        return;
    auto_json cJSON *value = cJSON_ParseWithLength(out->data + start, out->size - start);
    if (!value)
        return;
    fill_up(value, fallback);
    out->size = start;
    json_value(out, value);
}

static bool is_null(const struct buf *out, size_t start)
{
    return out->size - start == strlen("null") && !memcmp(out->data + start, "null", 4);
}

static void write_member(const struct query_asked *asked, bool keeps_nulls, struct db_rows *rows,
                         struct buf *out)
{
    const struct query_fallback *fallback = asked->fallback;
    const size_t before = out->size;
    json_key(out, asked->name);
    const size_t start = out->size;
    if (asked->index < 0)
        json_null(out);
    else
        query_value_write(asked->column, rows, asked->index, out);
    if (!is_null(out, start)) {
        if (cJSON_IsObject(fallback->value) && fallback->value->child)
            complete(fallback->value, out, start);
    } else if (fallback->value) {
        out->size = start;
        json_raw(out, fallback->text, fallback->size);
        if (is_null(out, start) && !keeps_nulls)
            out->size = before;
    } else if (!keeps_nulls) {
        out->size = before;
    }
}

void query_row_write(const struct query_asked *asked, size_t count, bool keeps_nulls,
                     struct db_rows *rows, struct buf *out)
{
    json_begin_object(out);
    for (size_t i = 0; i < count; i++) {
        if (asked[i].column)
            write_member(&asked[i], keeps_nulls, rows, out);
    }
    json_end_object(out);
}
