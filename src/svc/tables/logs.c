// SPDX-License-Identifier: AGPL-3.0-or-later
// central_log, client_error_log, user_tracking (user-query 12.11): administrators read them. What
// programs tell of their users goes to the central log, where it may not pass for what the server
// itself has noted, and stays as it is.
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "db/query.h"
#include "query/value.h"
#include "svc/tables/bounds.h"
#include "svc/tables/tables.h"

#define LIFE_MS (90 * CLOCK_DAY_MS)
#define PREFIX  "webapp-"

// ---- central_log ----

enum { ID, EVENT, VALUE, TIME };

static const struct query_column columns[] = {
    [ID] = {.name = "id", .type = QUERY_UUID},
    [EVENT] = {.name = "event", .type = QUERY_TEXT},
    [VALUE] = {.name = "value", .type = QUERY_JSON},
    [TIME] = {.name = "time", .type = QUERY_TIMESTAMP},
};

static const struct query_get_field get_fields[] = {
    {.name = "id"},
    {.name = "event"},
    {.name = "value"},
    {.name = "time"},
};

static const struct query_get_block get = {
    .access = QUERY_ADMIN,
    QUERY_FIELDS(get_fields),
};

static int check_value(const struct query_set *set UNUSED, const cJSON *value, struct err *err)
{
    return bounds_check_text(value, LIMIT_CENTRAL_VALUE, err);
}

static const struct query_set_field set_fields[] = {
    {.name = "id"},
    {.name = "event", .max_bytes = LIMIT_DB_KEY_TEXT},
    {.name = "value", .check = check_value},
    {.name = "time", .rule = QUERY_NOW_IF_MISSING},
};

static int check_event(struct db_session *txn UNUSED, struct query_set *set, struct err *err)
{
    const char *event = json_get_str(set->pattern, "event");
    const cJSON *value = json_get(set->pattern, "value");
    if (!event || strncmp(event, PREFIX, strlen(PREFIX)) != 0)
        return err_set(err, ERR_INVALID, "event must start with '" PREFIX "'");
    if (value && !cJSON_IsNull(value) && !cJSON_IsObject(value))
        return err_set(err, ERR_INVALID,
                       "FATAL: error setting 'value' -- Error: must be an object");
    return 0;
}

// By the server's clock, which sets `expire`.
static int check_rate(struct db_session *txn, const struct query_set *set, struct err *err)
{
    static const struct db_stmt count = {
        "SELECT count(*) FROM central_log WHERE account_id = $1 AND expire > $2"};
    int64_t written = 0;
    int rc = db_query_int(txn, &count,
                          DB_ARGS(DB_TEXT(set->caller.account_id.text),
                                  DB_INT(set->now_ms - CLOCK_HOUR_MS + LIFE_MS)),
                          &written, err);
    if (rc || written < LIMIT_CENTRAL_EVENTS_HOUR)
        return rc;
    return err_set(err, ERR_RATE_LIMITED,
                   "too many events: at most %d an hour are kept; try again later",
                   LIMIT_CENTRAL_EVENTS_HOUR);
}

static int add_event(struct db_session *txn, struct query_set *set, struct err *err)
{
    static const struct db_stmt add = {
        "INSERT INTO central_log (id, event, value, time, account_id, expire)"
        " VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (id) DO NOTHING"};
    const cJSON *value = json_get(set->pattern, "value");
    auto_buf struct buf text = {0};
    struct db_value time;
    struct uuid id = {0};
    (void)query_uuid_read(json_get(set->pattern, "id"), &id);
    int rc = set->exists ? 0 : check_rate(txn, set, err);
    if (rc || set->exists)
        return rc;
    rc = query_value_read(&columns[TIME], json_get(set->pattern, "time"), set->arena, &time, err);
    if (rc)
        return rc;
    if (cJSON_IsObject(value))
        json_value(&text, value);
    return db_exec(txn, &add,
                   DB_ARGS(DB_TEXT(id.text), DB_TEXT(json_get_str(set->pattern, "event")),
                           text.size ? DB_TEXTN(text.data, text.size) : DB_NULL, time,
                           DB_TEXT(set->caller.account_id.text), DB_INT(set->now_ms + LIFE_MS)),
                   NULL, err);
}

static const struct query_set_block set = {
    .access = QUERY_ACCOUNT,
    QUERY_FIELDS(set_fields),
    .required = {"id", "event"},
    .check = check_event,
    .instead = add_event,
};

const struct query_table table_central_log = {
    .name = "central_log",
    .text = "What happened on the site. Programs add events whose names begin with `webapp-`, "
            "which are kept 90 days and never change; administrators read all.",
    .base = "central_log",
    .key = {"id"},
    QUERY_COLUMNS(columns),
    .get = &get,
    .set = &set,
};

// ---- client_error_log ----

static const struct query_column error_columns[] = {
    {.name = "id", .type = QUERY_UUID},        {.name = "event", .type = QUERY_TEXT},
    {.name = "error", .type = QUERY_TEXT},     {.name = "account_id", .type = QUERY_UUID},
    {.name = "time", .type = QUERY_TIMESTAMP}, {.name = "expire", .type = QUERY_TIMESTAMP},
};

static const struct query_get_field error_fields[] = {
    {.name = "id"},         {.name = "event"}, {.name = "error"},
    {.name = "account_id"}, {.name = "time"},  {.name = "expire"},
};

static const struct query_get_block error_get = {
    .access = QUERY_ADMIN,
    QUERY_FIELDS(error_fields),
};

const struct query_table table_client_error_log = {
    .name = "client_error_log",
    .text = "Errors that clients have reported, for administrators. They are kept 30 days.",
    .base = "client_error_log",
    .key = {"id"},
    QUERY_COLUMNS(error_columns),
    .get = &error_get,
};

// ---- user_tracking ----

static const struct query_column tracking_columns[] = {
    {.name = "account_id", .type = QUERY_UUID},
    {.name = "time", .type = QUERY_TIMESTAMP},
    {.name = "event", .type = QUERY_TEXT},
    {.name = "value", .type = QUERY_JSON},
};

static const struct query_get_field tracking_fields[] = {
    {.name = "account_id"},
    {.name = "time"},
    {.name = "event"},
    {.name = "value"},
};

static const struct query_get_block tracking_get = {
    .access = QUERY_ADMIN,
    QUERY_FIELDS(tracking_fields),
};

const struct query_table table_user_tracking = {
    .name = "user_tracking",
    .text = "What accounts were seen to do, as clients report it, for administrators. It is kept "
            "30 days.",
    .base = "user_tracking",
    .key = {"account_id", "time"},
    QUERY_COLUMNS(tracking_columns),
    .get = &tracking_get,
};
