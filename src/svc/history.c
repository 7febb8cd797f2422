// SPDX-License-Identifier: AGPL-3.0-or-later
#include "svc/history.h"

#include "base/json.h"
#include "base/limits.h"
#include "base/sha1.h"
#include "db/query.h"
#include "svc/row_json.h"

// Patches of one statement: a database may end one that takes long.
#define PAGE_ROWS 1000

// ---- Columns as members ----

struct member {
    const char *name;
    enum row_kind kind;
};

static void write_members(struct buf *out, const struct member *members, size_t count,
                          struct db_rows *rows, int column)
{
    for (size_t i = 0; i < count; i++)
        row_member(out, members[i].name, members[i].kind, rows, column + (int)i);
}

// ---- What is known of the file ----

static const struct member info_members[] = {
    {"string_id", ROW_TEXT},
    {"project_id", ROW_TEXT},
    {"path", ROW_TEXT},
    {"users", ROW_JSON},
    {"doctype", ROW_TEXT},
    {"last_active", ROW_TIME},
    {"init", ROW_JSON},
    {"save", ROW_JSON},
    {"read_only", ROW_BOOLEAN},
    {"settings", ROW_JSON},
    {"snapshot_interval", ROW_INTEGER},
};

static int write_info(struct db_session *session, const char *string_id, struct buf *out,
                      struct err *err)
{
    static const struct db_stmt find = {
        "SELECT string_id, project_id, path, users, doctype, last_active, init, save, read_only,"
        " settings, snapshot_interval FROM syncstrings WHERE string_id = $1"};
    auto_rows struct db_rows *rows = NULL;
    int rc = db_query_row(session, &find, DB_ARGS(DB_TEXT(string_id)), &rows, err);
    if (rc < 0)
        return rc;
    json_key(out, "info");
    json_begin_object(out);
    if (rc)
        write_members(out, info_members, ARRAY_LEN(info_members), rows, 0);
    json_end_object(out);
    return 0;
}

// ---- Patches ----

static const struct member outer_members[] = {
    {"seq", ROW_INTEGER}, {"time", ROW_INTEGER}, {"headers", ROW_JSON}, {"key", ROW_TEXT}};
static const struct member inner_members[] = {
    {"time", ROW_INTEGER},        {"wall", ROW_INTEGER},  {"patch", ROW_TEXT},
    {"user_id", ROW_INTEGER},     {"parents", ROW_JSON},  {"version", ROW_INTEGER},
    {"is_snapshot", ROW_BOOLEAN}, {"snapshot", ROW_TEXT}, {"seq_info", ROW_JSON},
};

static void write_patch(struct buf *out, struct db_rows *rows)
{
    const size_t outer = ARRAY_LEN(outer_members);
    json_begin_object(out);
    write_members(out, outer_members, outer, rows, 0);
    json_key(out, "mesg");
    json_begin_object(out);
    write_members(out, inner_members, ARRAY_LEN(inner_members), rows, (int)outer);
    json_end_object(out);
    json_end_object(out);
}

// *ret_count: how many there were; *seq: of the next page.
static int write_page(struct db_session *session, const struct history *history,
                      const char *string_id, int64_t *seq, int *ret_count, struct buf *out,
                      struct err *err)
{
    static const struct db_stmt find = {
        "SELECT seq, time, headers, key, logical_time, wall, patch, user_id, parents, version,"
        " is_snapshot, snapshot, seq_info FROM patches"
        " WHERE string_id = $1 AND seq >= $2 AND seq <= $3 ORDER BY seq LIMIT $4"};
    auto_rows struct db_rows *rows = NULL;
    int rc = db_query(
        session, &find,
        DB_ARGS(DB_TEXT(string_id), DB_INT(*seq), DB_INT(history->end_seq), DB_INT(PAGE_ROWS)),
        &rows, err);
    for (*ret_count = 0; !rc && (rc = db_rows_next(rows, err)) == 1; rc = 0, ++*ret_count) {
        write_patch(out, rows);
        *seq = db_rows_int(rows, 0);
        if (out->size > LIMIT_HISTORY_RESULT)
            return err_set(err, ERR_TOO_LARGE,
                           "the history is too large for one answer: ask for it in parts, such as "
                           "start_seq=%lld with end_seq=%lld",
                           (long long)history->start_seq, (long long)(*seq - 1));
        ++*seq;
    }
    return rc;
}

static int write_patches(struct db_session *session, const struct history *history,
                         const char *string_id, struct buf *out, struct err *err)
{
    int64_t seq = history->start_seq;
    int rc = 0, count = PAGE_ROWS;
    json_key(out, "patches");
    json_begin_array(out);
    while (!rc && count == PAGE_ROWS && seq <= history->end_seq)
        rc = write_page(session, history, string_id, &seq, &count, out, err);
    json_end_array(out);
    return rc;
}

// ---- Both ----

static void name_string(const struct history *history, char string_id[SHA1_TEXT_SIZE])
{
    auto_buf struct buf name = {0};
    buf_append_str(&name, history->project_id.text);
    buf_append_str(&name, history->path);
    sha1_text(name.data, name.size, string_id);
}

int history_write(struct db_session *session, const struct history *history, struct buf *out,
                  struct err *err)
{
    char string_id[SHA1_TEXT_SIZE];
    name_string(history, string_id);
    json_begin_object(out);
    int rc = write_patches(session, history, string_id, out, err);
    if (!rc)
        rc = write_info(session, string_id, out, err);
    json_end_object(out);
    return rc;
}
