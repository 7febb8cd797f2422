// SPDX-License-Identifier: AGPL-3.0-or-later
// file_use, file_use_times, file_access_log (user-query 12.6): who works with which file.
//
// What clients say of themselves is in file_use. When it says that they are at work right now, a
// row of file_access_log notes it by the server's clock, once a minute; file_use_times is made of
// those rows.
#include <string.h>

#include "base/clock.h"
#include "base/js_date.h"
#include "base/limits.h"
#include "db/query.h"
#include "query/value.h"
#include "svc/accounts.h"
#include "svc/project.h"
#include "svc/tables/bounds.h"
#include "svc/tables/project_rows.h"
#include "svc/tables/tables.h"

// How long ago a use counts as one now, and between two notes of the same (12.6).
#define NOW_MS      (3 * CLOCK_MINUTE_MS)
#define INTERVAL_MS CLOCK_MINUTE_MS
// How long notes are kept.
#define NOTE_LIFE_MS (365 * CLOCK_DAY_MS)

// ---- file_use ----

enum { ID, PROJECT_ID, PATH, USERS, LAST_EDITED };

static const struct query_column columns[] = {
    [ID] = {.name = "id", .type = QUERY_TEXT},
    [PROJECT_ID] = {.name = "project_id", .type = QUERY_UUID},
    [PATH] = {.name = "path", .type = QUERY_TEXT},
    [USERS] = {.name = "users", .type = QUERY_JSON, .date_keys = "*"},
    [LAST_EDITED] = {.name = "last_edited", .type = QUERY_TIMESTAMP},
};

static const struct query_get_field get_fields[] = {
    {.name = "id"},    {.name = "project_id"},  {.name = "path"},
    {.name = "users"}, {.name = "last_edited"},
};

static const struct query_filter filters[] = {
    {.kind = QUERY_NEWER_THAN, .column = "last_edited", .seconds = {21 * 86400, 21 * 86400}},
    {.kind = QUERY_PROJECT_MEMBER, .column = "project_id"},
};

static const struct query_get_block use_get = {
    .access = QUERY_PROJECT,
    QUERY_FILTERS(filters),
    QUERY_FIELDS(get_fields),
    .order_by = "-last_edited",
    .limit = {200, 200},
};

static const struct query_set_field set_fields[] = {
    {.name = "id", .rule = QUERY_SHA1_PROJECT_PATH},
    {.name = "project_id", .rule = QUERY_PROJECT_WRITE},
    {.name = "path", .max_bytes = LIMIT_DB_KEY_TEXT},
    {.name = "users"},
    {.name = "last_edited"},
};

static int keep_small(struct db_session *txn, struct query_set *set, struct err *err)
{
    static const struct db_stmt length = {"SELECT length(users) FROM file_use WHERE id = $1"};
    static const struct db_stmt drop = {
        "DELETE FROM file_use WHERE id IN (SELECT id FROM file_use WHERE project_id = $1"
        " ORDER BY coalesce(last_edited, 0) DESC LIMIT $3 OFFSET $2)"};
    int rc = bounds_check_stored(txn, &length, json_get_str(set->pattern, "id"), "users",
                                 LIMIT_FILE_USERS, err);
    if (rc || set->exists)
        return rc;
    return project_rows_trim(txn, &drop, json_get_str(set->pattern, "project_id"), LIMIT_FILE_USE,
                             err);
}

// ---- Notes of use ----

struct use {
    struct uuid project_id, account_id;
    struct db_value path;
    int64_t now_ms;
    bool edits;
};

static bool is_now(const cJSON *actions, const char *action, int64_t now_ms)
{
    const cJSON *time = json_get(actions, action);
    int64_t time_ms = 0;
    if (cJSON_IsNumber(time))
        return time->valuedouble >= (double)(now_ms - NOW_MS);
    return cJSON_IsString(time) && js_date_parse(time->valuestring, &time_ms) &&
           time_ms >= now_ms - NOW_MS;
}

// Whether the caller is at work on the file, and what is to be noted of it.
static int read_use(const struct query_set *set, bool *ret_used, struct use *ret_use,
                    struct err *err)
{
    const cJSON *actions = json_get(json_get(set->pattern, "users"), set->caller.account_id.text);
    ret_use->now_ms = set->now_ms;
    ret_use->account_id = set->caller.account_id;
    ret_use->edits = is_now(actions, "edit", set->now_ms);
    *ret_used = ret_use->edits || is_now(actions, "chat", set->now_ms) ||
                is_now(actions, "open", set->now_ms);
    (void)query_uuid_read(json_get(set->pattern, "project_id"), &ret_use->project_id);
    return query_value_read(&columns[PATH], json_get(set->pattern, "path"), set->arena,
                            &ret_use->path, err);
}

// Looks for a note of the last minute: 1 if there is one, which then says so if the file was
// edited, too.
static int note_find(struct db_session *txn, const struct use *use, struct err *err)
{
    static const struct db_stmt find = {
        "SELECT id, edited FROM file_access_log WHERE project_id = $1 AND filename = $2"
        " AND account_id = $3 AND time > $4 ORDER BY time DESC LIMIT 1"};
    static const struct db_stmt mark = {"UPDATE file_access_log SET edited = 1 WHERE id = $1"};
    auto_rows struct db_rows *rows = NULL;
    int rc = db_query_row(txn, &find,
                          DB_ARGS(DB_TEXT(use->project_id.text), use->path,
                                  DB_TEXT(use->account_id.text), DB_INT(use->now_ms - INTERVAL_MS)),
                          &rows, err);
    if (rc <= 0 || !use->edits || db_rows_int(rows, 1))
        return rc;
    rc = db_exec(txn, &mark, DB_ARGS(DB_TEXT(db_rows_text(rows, 0))), NULL, err);
    return rc ? rc : 1;
}

static int note_add(struct db_session *txn, const struct use *use, struct err *err)
{
    static const struct db_stmt add = {
        "INSERT INTO file_access_log (id, project_id, account_id, filename, time, edited, expire)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7)"};
    static const struct db_stmt drop = {
        "DELETE FROM file_access_log WHERE id IN (SELECT id FROM file_access_log"
        " WHERE project_id = $1 ORDER BY time DESC LIMIT $3 OFFSET $2)"};
    struct uuid id = uuid_new();
    int rc = db_exec(txn, &add,
                     DB_ARGS(DB_TEXT(id.text), DB_TEXT(use->project_id.text),
                             DB_TEXT(use->account_id.text), use->path, DB_INT(use->now_ms),
                             DB_INT(use->edits), DB_INT(use->now_ms + NOTE_LIFE_MS)),
                     NULL, err);
    if (!rc)
        rc = project_active_set(txn, &use->project_id, &use->account_id, err);
    return rc ? rc : project_rows_trim(txn, &drop, use->project_id.text, LIMIT_FILE_ACCESSES, err);
}

static int note_use(struct db_session *txn, struct query_set *set, struct err *err)
{
    struct use use = {0};
    bool used = false;
    int rc = keep_small(txn, set, err);
    if (!rc)
        rc = read_use(set, &used, &use, err);
    if (rc || !used)
        return rc;
    set->note = set; // for `committed`: the account is active
    rc = note_find(txn, &use, err);
    return rc < 0 ? rc : rc ? 0 : note_add(txn, &use, err);
}

static void mark_active(const struct query_set *set)
{
    if (set->note)
        account_mark_active(set->ctx, &set->caller.account_id);
}

static const struct query_set_block use_set = {
    .access = QUERY_PROJECT,
    QUERY_FIELDS(set_fields),
    .required = {"project_id", "path"},
    .after = note_use,
    .committed = mark_active,
};

const struct query_table table_file_use = {
    .name = "file_use",
    .text =
        "When people last did what with which file, as their programs say: `users` has for each "
        "account its actions (`open`, `edit`, `read`, `chat` and so on) with their times.",
    .base = "file_use",
    .key = {"id"},
    QUERY_COLUMNS(columns),
    .get = &use_get,
    .set = &use_set,
};

// ---- file_use_times ----

static const struct query_column times_columns[] = {
    {.name = "project_id", .type = QUERY_UUID},
    {.name = "account_id", .type = QUERY_UUID},
    {.name = "path", .type = QUERY_TEXT},
    {.name = "access_times", .type = QUERY_NUMBER, .array = true},
    {.name = "edit_times", .type = QUERY_NUMBER, .array = true},
};

static const struct query_get_field times_fields[] = {
    {.name = "project_id"},   {.name = "account_id"}, {.name = "path"},
    {.name = "access_times"}, {.name = "edit_times"},
};

// Whether the caller is listed in the project, in whatever group.
static int check_listed(struct db_session *session, const struct query_get *get,
                        const struct uuid *project_id, struct err *err)
{
    static const struct db_stmt find = {
        "SELECT 1 FROM project_users WHERE project_id = $1 AND account_id = $2"};
    int64_t listed = get->caller.admin;
    int rc =
        listed
            ? 0
            : db_query_int(session, &find,
                           DB_ARGS(DB_TEXT(project_id->text), DB_TEXT(get->caller.account_id.text)),
                           &listed, err);
    return rc || listed ? rc
                        : err_set(err, ERR_FORBIDDEN,
                                  "Error: user does not have read access to the given project");
}

struct times {
    struct uuid project_id, account_id;
    const char *path;
};

static int read_times(const struct query_get *get, struct times *ret_times, struct err *err)
{
    const cJSON *project_id = json_get(get->pattern, "project_id");
    const cJSON *account_id = json_get(get->pattern, "account_id");
    const char *path = json_get_str(get->pattern, "path");
    if (!cJSON_IsString(project_id) || !cJSON_IsString(account_id) || !path)
        return err_set(err, ERR_INVALID, "project_id, account_id, and path must all be specified");
    if (!query_uuid_read(project_id, &ret_times->project_id))
        return err_set(err, ERR_INVALID, "invalid project_id -- %s",
                       query_value_text(project_id, get->arena));
    if (!query_uuid_read(account_id, &ret_times->account_id))
        return err_set(err, ERR_INVALID, "invalid account_id -- %s",
                       query_value_text(account_id, get->arena));
    ret_times->path = path;
    return 0;
}

static int write_times(struct db_session *session, const struct query_get *get,
                       const struct times *times, bool edits, struct buf *out, struct err *err)
{
    static const struct db_stmt find = {
        "SELECT time FROM file_access_log WHERE project_id = $1 AND filename = $2"
        " AND account_id = $3 AND edited >= $4 ORDER BY time DESC LIMIT $5"};
    auto_rows struct db_rows *rows = NULL;
    int rc = db_query(session, &find,
                      DB_ARGS(DB_TEXT(times->project_id.text), DB_TEXT(times->path),
                              DB_TEXT(times->account_id.text), DB_INT(edits), DB_INT(get->limit)),
                      &rows, err);
    if (rc)
        return rc;
    json_begin_array(out);
    while ((rc = db_rows_next(rows, err)) == 1)
        json_int(out, db_rows_int(rows, 0));
    json_end_array(out);
    return rc;
}

static int compute_times(struct db_session *session, struct query_get *get, struct buf *out,
                         struct err *err)
{
    struct times times;
    int rc = read_times(get, &times, err);
    if (!rc)
        rc = check_listed(session, get, &times.project_id, err);
    if (rc)
        return rc;
    json_begin_object(out);
    for (const cJSON *item = get->pattern->child; item && !rc; item = item->next) {
        bool edits = !strcmp(item->string, "edit_times");
        json_key(out, item->string);
        if (edits || !strcmp(item->string, "access_times"))
            rc = write_times(session, get, &times, edits, out, err);
        else
            json_value(out, item);
    }
    json_end_object(out);
    return rc;
}

static const struct query_get_block times_get = {
    .access = QUERY_ACCOUNT,
    QUERY_FIELDS(times_fields),
    .limit = {1000, 1000},
    .compute = compute_times,
};

const struct query_table table_file_use_times = {
    .name = "file_use_times",
    .text = "When an account worked with a file of a project (`access_times`), and when it edited "
            "it (`edit_times`): milliseconds since 1970, to the minute, the newest first.",
    .key = {"project_id", "path"},
    QUERY_COLUMNS(times_columns),
    .get = &times_get,
};

// ---- file_access_log ----

static const struct query_column log_columns[] = {
    {.name = "id", .type = QUERY_UUID},         {.name = "project_id", .type = QUERY_UUID},
    {.name = "account_id", .type = QUERY_UUID}, {.name = "filename", .type = QUERY_TEXT},
    {.name = "time", .type = QUERY_TIMESTAMP},
};

static const struct query_get_field log_fields[] = {
    {.name = "id"},       {.name = "project_id"}, {.name = "account_id"},
    {.name = "filename"}, {.name = "time"},
};

static const struct query_get_block log_get = {
    .access = QUERY_ADMIN,
    QUERY_FIELDS(log_fields),
};

const struct query_table table_file_access_log = {
    .name = "file_access_log",
    .text = "Who worked with which file when, for administrators. Entries are kept a year.",
    .base = "file_access_log",
    .key = {"id"},
    QUERY_COLUMNS(log_columns),
    .get = &log_get,
};
