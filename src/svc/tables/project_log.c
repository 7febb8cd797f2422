// SPDX-License-Identifier: AGPL-3.0-or-later
// project_log, project_log_all (user-query 12.3).
#include "svc/project_log.h"
#include "base/limits.h"
#include "query/value.h"
#include "svc/tables/bounds.h"
#include "svc/tables/tables.h"

static const struct query_column columns[] = {
    {.name = "id", .type = QUERY_UUID},        {.name = "project_id", .type = QUERY_UUID},
    {.name = "time", .type = QUERY_TIMESTAMP}, {.name = "account_id", .type = QUERY_UUID},
    {.name = "event", .type = QUERY_JSON},
};

static const struct query_get_field get_fields[] = {
    {.name = "id"},         {.name = "project_id"}, {.name = "time"},
    {.name = "account_id"}, {.name = "event"},
};

static const struct query_filter recent[] = {
    {.kind = QUERY_NEWER_THAN, .column = "time", .seconds = {61 * 86400, 61 * 86400}},
    {.kind = QUERY_PROJECT_MEMBER, .column = "project_id"},
};

static const struct query_filter all[] = {
    {.kind = QUERY_PROJECT_MEMBER, .column = "project_id"},
};

static const struct query_get_block get_recent = {
    .access = QUERY_PROJECT,
    QUERY_FILTERS(recent),
    QUERY_FIELDS(get_fields),
    .order_by = "-time",
    .limit = {750, 750},
};

static const struct query_get_block get_all = {
    .access = QUERY_PROJECT,
    QUERY_FILTERS(all),
    QUERY_FIELDS(get_fields),
    .order_by = "-time",
    .limit = {7500, 7500},
};

// ---- Writing ----

static const struct query_set_field set_fields[] = {
    {.name = "id", .rule = QUERY_UUID_IF_MISSING},
    {.name = "project_id", .rule = QUERY_PROJECT_WRITE},
    {.name = "account_id", .rule = QUERY_ACCOUNT_ID},
    {.name = "time"},
    {.name = "event"},
};

// A new entry without a time would never be seen in project_log. One that is there keeps its own.
static int fill_in_time(struct db_session *txn UNUSED, struct query_set *set,
                        struct err *err UNUSED)
{
    if (!set->exists && !query_given(set->pattern, "time"))
        query_put(set->pattern, "time", cJSON_CreateNumber((double)set->now_ms));
    return 0;
}

static int keep_small(struct db_session *txn, struct query_set *set, struct err *err)
{
    static const struct db_stmt length = {"SELECT length(event) FROM project_log WHERE id = $1"};
    struct uuid id = {0};
    (void)query_uuid_read(json_get(set->pattern, "id"), &id);
    int rc = bounds_check_stored(txn, &length, id.text, "event", LIMIT_LOG_EVENT, err);
    if (rc || set->exists)
        return rc;
    return project_log_trim(txn, json_get_str(set->pattern, "project_id"), err);
}

static const struct query_set_block set = {
    .access = QUERY_PROJECT,
    QUERY_FIELDS(set_fields),
    .required = {"project_id"},
    .before = fill_in_time,
    .after = keep_small,
};

const struct query_table table_project_log = {
    .name = "project_log",
    .text = "What happened in the caller's projects in the last two months, the newest first. "
            "Programs write it; the server notes who was added and removed.",
    .base = "project_log",
    .key = {"id"},
    QUERY_COLUMNS(columns),
    .get = &get_recent,
    .set = &set,
};

const struct query_table table_project_log_all = {
    .name = "project_log_all",
    .text = "What happened in the caller's projects at any time, the newest first.",
    .base = "project_log",
    .key = {"id"},
    QUERY_COLUMNS(columns),
    .get = &get_all,
    .set = &set,
};
