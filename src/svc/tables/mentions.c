// SPDX-License-Identifier: AGPL-3.0-or-later
// mentions (user-query 12.9): somebody wrote somebody's name in a file. A new one becomes mail
// (svc/mention_mail.h).
//
// Who wrote it is who sends it (user-query 17.5), and nobody else changes what was written; what
// everybody on the project may change is who has read it.
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "db/query.h"
#include "query/value.h"
#include "svc/mail.h"
#include "svc/mention_mail.h"
#include "svc/tables/bounds.h"
#include "svc/tables/project_rows.h"
#include "svc/tables/tables.h"

// How long one is kept: twice as long as it is shown.
#define LIFE_MS (90 * CLOCK_DAY_MS)

enum { TIME, PROJECT_ID, PATH, SOURCE, TARGET, PRIORITY, DESCRIPTION, USERS, FRAGMENT_ID };

static const struct query_column columns[] = {
    [TIME] = {.name = "time", .type = QUERY_TIMESTAMP},
    [PROJECT_ID] = {.name = "project_id", .type = QUERY_UUID},
    [PATH] = {.name = "path", .type = QUERY_TEXT},
    [SOURCE] = {.name = "source", .type = QUERY_UUID},
    [TARGET] = {.name = "target", .type = QUERY_TEXT},
    [PRIORITY] = {.name = "priority", .type = QUERY_NUMBER},
    [DESCRIPTION] = {.name = "description", .type = QUERY_TEXT},
    [USERS] = {.name = "users", .type = QUERY_JSON},
    [FRAGMENT_ID] = {.name = "fragment_id", .type = QUERY_TEXT},
};

static const struct query_get_field get_fields[] = {
    {.name = "time"},        {.name = "project_id"}, {.name = "path"},
    {.name = "source"},      {.name = "target"},     {.name = "priority"},
    {.name = "description"}, {.name = "users"},      {.name = "fragment_id"},
};

static const struct query_filter filters[] = {
    {.kind = QUERY_NEWER_THAN, .column = "time", .seconds = {45 * 86400, 45 * 86400}},
    {.kind = QUERY_PROJECT_MEMBER, .column = "project_id"},
};

static const struct query_get_block get = {
    .access = QUERY_PROJECT,
    QUERY_FILTERS(filters),
    QUERY_FIELDS(get_fields),
    .order_by = "-time",
    .limit = {500, 500},
};

// ---- Writing ----

static int check_description(const struct query_set *set UNUSED, const cJSON *value,
                             struct err *err)
{
    return bounds_check_text(value, LIMIT_QUERY_TEXT, err);
}

static int check_target(const struct query_set *set UNUSED, const cJSON *value, struct err *err)
{
    return query_uuid_read(value, NULL) ? 0 : err_set(err, ERR_INVALID, "must be an account id");
}

static const struct query_set_field set_fields[] = {
    {.name = "time", .rule = QUERY_NOW_IF_MISSING},
    {.name = "project_id", .rule = QUERY_PROJECT_WRITE},
    {.name = "path", .max_bytes = LIMIT_DB_KEY_TEXT},
    {.name = "source"},
    {.name = "target", .check = check_target},
    {.name = "priority"},
    {.name = "description", .check = check_description},
    {.name = "users"},
    {.name = "fragment_id", .check = bounds_check_line},
};

// The value that the pattern has for a column.
static int read_field(const struct query_set *set, int column, struct db_value *ret_value,
                      struct err *err)
{
    const cJSON *field = query_given(set->pattern, columns[column].name);
    *ret_value = DB_NULL;
    return field ? query_value_read(&columns[column], field, set->arena, ret_value, err) : 0;
}

static int read_key(const struct query_set *set, struct db_value ret_key[4], struct err *err)
{
    static const int key[4] = {PROJECT_ID, TIME, PATH, TARGET};
    int rc = 0;
    for (size_t i = 0; i < ARRAY_LEN(key) && !rc; i++)
        rc = read_field(set, key[i], &ret_key[i], err);
    return rc;
}

// Parts of the key get the one form that all that follows finds the row by.
static int clean_key(struct db_session *txn UNUSED, struct query_set *set, struct err *err)
{
    struct uuid target;
    struct db_value time;
    int rc = read_field(set, TIME, &time, err);
    if (rc || !query_uuid_read(json_get(set->pattern, "target"), &target))
        return rc;
    query_put(set->pattern, "time", cJSON_CreateNumber((double)time.integer));
    query_put(set->pattern, "target", cJSON_CreateString(target.text));
    return 0;
}

static int wrong_source(struct err *err)
{
    return err_set(err, ERR_FORBIDDEN,
                   "FATAL: error setting 'source' -- Error: must be your own account");
}

static int check_works_on_project(struct db_session *txn, const struct db_value key[4],
                                  struct err *err)
{
    static const struct db_stmt find = {
        "SELECT 1 FROM project_users u JOIN accounts a ON a.account_id = u.account_id"
        " WHERE u.project_id = $1 AND u.account_id = $2 AND a.deleted = 0"
        " AND u.\"group\" IN ('owner', 'collaborator')"};
    int64_t works = 0;
    int rc = db_query_int(txn, &find, DB_ARGS(key[0], key[3]), &works, err);
    return rc || works ? rc
                       : err_set(err, ERR_INVALID,
                                 "FATAL: error setting 'target' -- Error: must be somebody who "
                                 "works on the project");
}

// Of one that is there, only its author changes more than who has read it.
static int check_old(struct db_session *txn, struct query_set *set, const struct db_value key[4],
                     const struct uuid *source, struct err *err)
{
    static const struct db_stmt find = {"SELECT source FROM mentions WHERE project_id = $1"
                                        " AND time = $2 AND path = $3 AND target = $4"};
    auto_rows struct db_rows *rows = NULL;
    int rc = db_query_row(txn, &find, key, 4, &rows, err);
    if (rc < 0)
        return rc;
    if (!rc || strcmp(db_rows_text(rows, 0), source->text) != 0)
        return wrong_source(err);
    if (uuid_equal(source, &set->caller.account_id))
        return 0;
    cJSON_DeleteItemFromObjectCaseSensitive(set->pattern, "priority");
    cJSON_DeleteItemFromObjectCaseSensitive(set->pattern, "description");
    cJSON_DeleteItemFromObjectCaseSensitive(set->pattern, "fragment_id");
    return 0;
}

static int check_people(struct db_session *txn, struct query_set *set, struct err *err)
{
    struct db_value key[4];
    struct uuid source;
    int rc = read_key(set, key, err);
    if (rc)
        return rc;
    if (!query_uuid_read(json_get(set->pattern, "source"), &source))
        return wrong_source(err);
    if (set->exists)
        return check_old(txn, set, key, &source, err);
    if (!uuid_equal(&source, &set->caller.account_id))
        return wrong_source(err);
    return check_works_on_project(txn, key, err);
}

// ---- After it is written ----

static int check_users(struct db_session *txn, const struct db_value key[4], struct err *err)
{
    static const struct db_stmt length = {"SELECT length(users) FROM mentions WHERE project_id = $1"
                                          " AND time = $2 AND path = $3 AND target = $4"};
    int64_t size = 0;
    int rc = db_query_int(txn, &length, key, 4, &size, err);
    return rc || size <= LIMIT_MENTION_USERS
               ? rc
               : err_set(err, ERR_TOO_LARGE,
                         "FATAL: error setting 'users' -- Error: must have at most %d characters",
                         LIMIT_MENTION_USERS);
}

static int set_life(struct db_session *txn, const struct query_set *set,
                    const struct db_value key[4], struct err *err)
{
    static const struct db_stmt expire = {
        "UPDATE mentions SET expire = $5 WHERE project_id = $1 AND time = $2 AND path = $3"
        " AND target = $4"};
    static const struct db_stmt drop = {
        "DELETE FROM mentions WHERE project_id = $1 AND (time, path, target) IN"
        " (SELECT time, path, target FROM mentions WHERE project_id = $1"
        " ORDER BY time DESC LIMIT $3 OFFSET $2)"};
    int rc =
        db_exec(txn, &expire,
                DB_ARGS(key[0], key[1], key[2], key[3], DB_INT(set->now_ms + LIFE_MS)), NULL, err);
    return rc ? rc
              : project_rows_trim(txn, &drop, json_get_str(set->pattern, "project_id"),
                                  LIMIT_MENTIONS, err);
}

static int read_text(const struct query_set *set, int column, const char **ret_text,
                     struct err *err)
{
    struct db_value value;
    int rc = read_field(set, column, &value, err);
    *ret_text = !rc && value.type == DB_TYPE_TEXT
                    ? arena_strndup(set->arena, value.text, value.size)
                    : NULL;
    return rc;
}

static int notify(struct db_session *txn, struct query_set *set, const struct db_value key[4],
                  struct err *err)
{
    struct mention mention = {.source = set->caller.account_id, .time = key[1].integer};
    bool queued = false;
    (void)query_uuid_read(json_get(set->pattern, "project_id"), &mention.project_id);
    (void)query_uuid_read(json_get(set->pattern, "target"), &mention.target);
    int rc = read_text(set, PATH, &mention.path, err);
    if (!rc)
        rc = read_text(set, DESCRIPTION, &mention.description, err);
    if (!rc)
        rc = read_text(set, FRAGMENT_ID, &mention.fragment_id, err);
    if (!rc)
        rc = mention_mail(txn, set->ctx, &mention, set->arena, &queued, err);
    set->note = queued ? set : NULL;
    return rc;
}

static int follow_up(struct db_session *txn, struct query_set *set, struct err *err)
{
    struct db_value key[4];
    int rc = read_key(set, key, err);
    if (!rc)
        rc = check_users(txn, key, err);
    if (!rc && !set->exists)
        rc = set_life(txn, set, key, err);
    if (!rc && !set->exists)
        rc = notify(txn, set, key, err);
    return rc;
}

static void send_mail(const struct query_set *set)
{
    if (set->note)
        mail_wake(set->ctx);
}

static const struct query_set_block set = {
    .access = QUERY_PROJECT,
    QUERY_FIELDS(set_fields),
    .required = {"project_id", "path", "source", "target"},
    .check = clean_key,
    .before = check_people,
    .after = follow_up,
    .committed = send_mail,
};

const struct query_table table_mentions = {
    .name = "mentions",
    .text = "Who mentioned whom in which file of the caller's projects in the last 45 days, the "
            "newest first. Who is mentioned is sent mail.",
    .base = "mentions",
    .key = {"time", "project_id", "path", "target"},
    QUERY_COLUMNS(columns),
    .get = &get,
    .set = &set,
};
