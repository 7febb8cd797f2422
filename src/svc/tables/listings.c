// SPDX-License-Identifier: AGPL-3.0-or-later
// listings (user-query 12.9): folders that somebody looks at. Projects write them, their people
// read them.
#include "base/limits.h"
#include "query/value.h"
#include "svc/tables/bounds.h"
#include "svc/tables/project_rows.h"
#include "svc/tables/tables.h"

static const struct query_column columns[] = {
    {.name = "project_id", .type = QUERY_UUID},
    {.name = "path", .type = QUERY_TEXT},
    {.name = "compute_server_id", .type = QUERY_INTEGER},
    {.name = "time", .type = QUERY_TIMESTAMP},
    {.name = "interest", .type = QUERY_TIMESTAMP},
    {.name = "listing", .type = QUERY_JSON, .array = true},
    {.name = "missing", .type = QUERY_NUMBER},
    {.name = "error", .type = QUERY_TEXT},
    {.name = "deleted", .type = QUERY_TEXT, .array = true},
};

static const struct query_get_field get_fields[] = {
    {.name = "project_id"}, {.name = "path"},    {.name = "time"},
    {.name = "listing"},    {.name = "missing"}, {.name = "interest"},
    {.name = "error"},      {.name = "deleted"}, {.name = "compute_server_id"},
};

static const struct query_filter of_member[] = {
    {.kind = QUERY_PROJECT_MEMBER, .column = "project_id"},
};

static const struct query_filter of_itself[] = {
    {.kind = QUERY_THIS_PROJECT, .column = "project_id"},
};

static const struct query_get_block get = {
    .access = QUERY_PROJECT,
    QUERY_FILTERS(of_member),
    QUERY_FIELDS(get_fields),
    .order_by = "-interest",
    .limit = {50, 50},
};

static const struct query_get_block project_get = {
    .access = QUERY_PROJECT_KEY,
    QUERY_FILTERS(of_itself),
    QUERY_FIELDS(get_fields),
    .order_by = "-interest",
    .limit = {3, 3},
};

// ---- Writing ----

static int check_entries(const struct query_set *set UNUSED, const cJSON *value, struct err *err)
{
    return bounds_check_text(value, LIMIT_LISTING_ENTRIES, err);
}

static const struct query_set_field set_fields[] = {
    {.name = "project_id", .rule = QUERY_PROJECT_ID},
    {.name = "path", .max_bytes = LIMIT_DB_KEY_TEXT},
    {.name = "listing", .check = check_entries},
    {.name = "missing"},
    {.name = "time"},
    {.name = "interest"},
    {.name = "error", .check = bounds_check_line},
    {.name = "deleted", .check = check_entries},
    {.name = "compute_server_id"},
};

static int prepare(struct db_session *txn, struct query_set *set, struct err *err)
{
    static const struct db_stmt drop = {
        "DELETE FROM listings WHERE project_id = $1 AND (path, compute_server_id) IN"
        " (SELECT path, compute_server_id FROM listings WHERE project_id = $1"
        " ORDER BY coalesce(interest, 0) DESC LIMIT $3 OFFSET $2)"};
    if (!query_given(set->pattern, "compute_server_id")) // 0: the project itself
        query_put(set->pattern, "compute_server_id", cJSON_CreateNumber(0));
    return project_rows_trim(txn, &drop, json_get_str(set->pattern, "project_id"), LIMIT_LISTINGS,
                             err);
}

static const struct query_set_block set = {
    .access = QUERY_PROJECT_KEY,
    QUERY_FIELDS(set_fields),
    .required = {"path"},
    .deletes = true,
    .check = prepare,
};

const struct query_table table_listings = {
    .name = "listings",
    .text = "What folders of projects contain, as far as the projects themselves have written it "
            "down; those that somebody was interested in last come first.",
    .base = "listings",
    .key = {"project_id", "path", "compute_server_id"},
    QUERY_COLUMNS(columns),
    .get = &get,
    .set = &set,
    .project_get = &project_get,
    .project_set = &set,
};
