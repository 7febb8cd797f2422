// SPDX-License-Identifier: AGPL-3.0-or-later
#include "svc/tables/bounds.h"

#include <string.h>

#include "base/limits.h"
#include "base/text.h"
#include "db/query.h"
#include "query/value.h"

static size_t text_length(const cJSON *value)
{
    if (cJSON_IsString(value))
        return utf8_utf16_len(value->valuestring, strlen(value->valuestring));
    auto_buf struct buf text = {0};
    json_value(&text, value);
    return utf8_utf16_len(text.data, text.size);
}

int bounds_check_text(const cJSON *value, size_t max, struct err *err)
{
    if (text_length(value) <= max)
        return 0;
    return err_set(err, ERR_TOO_LARGE, "must have at most %zu characters", max);
}

int bounds_check_line(const struct query_set *set UNUSED, const cJSON *value, struct err *err)
{
    return bounds_check_text(value, LIMIT_QUERY_LINE, err);
}

int bounds_check_lines(const struct query_set *set UNUSED, const cJSON *value, struct err *err)
{
    const cJSON *item;
    int rc = 0;
    if (cJSON_GetArraySize(value) > LIMIT_QUERY_LINES)
        return err_set(err, ERR_TOO_LARGE, "must have at most %d entries", LIMIT_QUERY_LINES);
    cJSON_ArrayForEach(item, value)
    {
        if (!rc)
            rc = bounds_check_text(item, LIMIT_QUERY_LINE, err);
    }
    return rc;
}

int bounds_check_stored(struct db_session *txn, const struct db_stmt *length, const char *key,
                        const char *field, size_t max, struct err *err)
{
    int64_t size = 0;
    int rc = db_query_int(txn, length, DB_ARGS(DB_TEXT(key)), &size, err);
    if (rc || size <= (int64_t)max)
        return rc;
    return err_set(err, ERR_TOO_LARGE,
                   "FATAL: error setting '%s' -- Error: must have at most %zu characters", field,
                   max);
}

int bounds_check_maps(struct db_session *txn, const cJSON *pattern, const struct bounds_map *maps,
                      size_t count, const char *key, struct err *err)
{
    int rc = 0;
    for (size_t i = 0; i < count && !rc; i++) {
        if (query_given(pattern, maps[i].field))
            rc = bounds_check_stored(txn, &maps[i].length, key, maps[i].field, maps[i].max, err);
    }
    return rc;
}
