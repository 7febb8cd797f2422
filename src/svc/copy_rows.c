// SPDX-License-Identifier: AGPL-3.0-or-later
// The table copy_paths. A row waits for its time (ready = 0, not started), is ready, runs (claimed
// by a hub), or has finished. docs/decisions/copies.md has the states.
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/mem.h"
#include "db/query.h"
#include "svc/copies_internal.h"
#include "svc/project.h"
#include "svc/public_paths.h"
#include "svc/row_json.h"

#define KEPT_MS       (90 * CLOCK_DAY_MS)
#define FIRST_ACCOUNT "00000000-0000-0000-0000-000000000000"

void copy_row_dispose(struct copy_row *row)
{
    free(row->source_path);
    free(row->target_path);
    free(row->exclude);
    row->source_path = row->target_path = row->exclude = NULL;
}

// ---- New ones ----

static int check_waiting(struct db_session *txn, const struct uuid *account_id, struct err *err)
{
    static const struct db_stmt count = {
        "SELECT count(*) FROM copy_paths WHERE account_id = $1 AND finished IS NULL"};
    int64_t waiting;
    int rc = db_query_int(txn, &count, DB_ARGS(DB_TEXT(account_id->text)), &waiting, err);
    if (rc)
        return rc;
    if (waiting >= LIMIT_COPIES_WAITING)
        return err_set(err, ERR_RATE_LIMITED,
                       "%d copies that you have asked for have not finished; please wait until "
                       "some have",
                       (int)waiting);
    return 0;
}

// Runs a statement that ends in RETURNING id.
static int change_each(struct db_session *txn, const struct db_stmt *stmt,
                       const struct db_value *args, size_t args_count, int64_t *ret_count,
                       struct err *err)
{
    auto_rows struct db_rows *rows = NULL;
    int64_t count = 0;
    int rc = db_query(txn, stmt, args, args_count, &rows, err);
    while (!rc && (rc = db_rows_next(rows, err)) > 0) {
        db_notify_row(txn, DB_TOPIC_COPIES, db_rows_text(rows, 0));
        count++;
        rc = 0;
    }
    if (!rc && ret_count)
        *ret_count = count;
    return rc;
}

static int remove_surplus(struct db_session *txn, const struct uuid *account_id, struct err *err)
{
    static const struct db_stmt remove = {
        "DELETE FROM copy_paths WHERE id IN (SELECT id FROM copy_paths WHERE account_id = $1 AND "
        "finished IS NOT NULL ORDER BY finished DESC LIMIT $2 OFFSET $3) RETURNING id"};
    return change_each(txn, &remove,
                       DB_ARGS(DB_TEXT(account_id->text), DB_INT(LIMIT_CLEANED_AT_ONCE),
                               DB_INT(LIMIT_COPIES_FINISHED)),
                       NULL, err);
}

int copy_row_insert(struct db_session *txn, const struct copy_request *r, const char *hub,
                    struct err *err)
{
    static const struct db_stmt insert = {
        "INSERT INTO copy_paths (id, time, account_id, source_project_id, source_path, "
        "target_project_id, target_path, overwrite_newer, delete_missing, backup, "
        "exclude_history, public, timeout, scheduled, ready, attempts, claimed_by, claimed_until, "
        "started, bandwidth, exclude_patterns) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, "
        "$11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21)"};
    int rc = check_waiting(txn, &r->account_id, err);
    if (!rc)
        rc = remove_surplus(txn, &r->account_id, err);
    if (rc)
        return rc;
    const bool direct = r->direct;
    const char *target = r->target_path && r->target_path[0] ? r->target_path : r->source_path;
    db_notify_row(txn, DB_TOPIC_COPIES, r->copy_id.text);
    return db_exec(txn, &insert,
                   DB_ARGS(DB_TEXT(r->copy_id.text), DB_INT(r->time_ms),
                           DB_TEXT(r->account_id.text), DB_TEXT(r->source_project_id.text),
                           DB_TEXT(r->source_path), DB_TEXT(r->target_project_id.text),
                           DB_TEXT(target), DB_INT((r->flags & RUNNER_COPY_OVERWRITE_NEWER) != 0),
                           DB_INT((r->flags & RUNNER_COPY_DELETE_MISSING) != 0),
                           DB_INT((r->flags & RUNNER_COPY_BACKUP) != 0),
                           DB_INT((r->flags & RUNNER_COPY_EXCLUDE_HISTORY) != 0), DB_INT(r->public),
                           r->timeout_s ? DB_INT(r->timeout_s) : DB_NULL,
                           r->scheduled ? DB_INT(r->scheduled_ms) : DB_NULL,
                           DB_INT(!direct && !r->scheduled), DB_INT(direct),
                           DB_TEXT(direct ? hub : NULL),
                           direct ? DB_INT(r->time_ms + COPY_LEASE_MS) : DB_NULL,
                           direct ? DB_INT(r->time_ms) : DB_NULL,
                           r->bandwidth ? DB_INT(r->bandwidth) : DB_NULL, DB_TEXT(r->exclude)),
                   NULL, err);
}

// ---- Whose turn it is ----

static bool take_id(struct db_rows *rows, int column, struct uuid *ret_id)
{
    return uuid_parse(db_rows_text(rows, column), db_rows_size(rows, column), ret_id);
}

static int read_next(struct db_session *txn, const char *after, const char *full,
                     struct copy_row *ret_row, struct err *err)
{
    static const struct db_stmt next = {
        "SELECT id, account_id, source_project_id, source_path, target_project_id, target_path, "
        "overwrite_newer, delete_missing, backup, exclude_history, public, timeout, attempts, "
        "bandwidth, exclude_patterns FROM copy_paths WHERE ready = 1 AND account_id > $1 AND "
        "account_id <> $2 ORDER BY account_id, "
        "time LIMIT 1"};
    auto_rows struct db_rows *rows = NULL;
    int rc = db_query_row(txn, &next, DB_ARGS(DB_TEXT(after), DB_TEXT(full)), &rows, err);
    if (rc <= 0)
        return rc;
    *ret_row = (struct copy_row){
        .flags = (db_rows_int(rows, 6) ? RUNNER_COPY_OVERWRITE_NEWER : 0u) |
                 (db_rows_int(rows, 7) ? RUNNER_COPY_DELETE_MISSING : 0u) |
                 (db_rows_int(rows, 8) ? RUNNER_COPY_BACKUP : 0u) |
                 (db_rows_int(rows, 9) ? RUNNER_COPY_EXCLUDE_HISTORY : 0u),
        .public = db_rows_int(rows, 10),
        .timeout_s = (uint32_t)db_rows_int(rows, 11),
        .attempts = (int)db_rows_int(rows, 12) + 1,
        .bandwidth = (uint32_t)db_rows_int(rows, 13),
    };
    if (!take_id(rows, 0, &ret_row->id) || !take_id(rows, 1, &ret_row->account_id) ||
        !take_id(rows, 2, &ret_row->source_project_id) ||
        !take_id(rows, 4, &ret_row->target_project_id))
        return err_internal(err, "a row of copy_paths has an id that is none");
    ret_row->source_path = mem_strdup(db_rows_text(rows, 3));
    ret_row->target_path = mem_strdup(db_rows_text(rows, 5));
    ret_row->exclude = db_rows_null(rows, 14) ? NULL : mem_strdup(db_rows_text(rows, 14));
    return 1;
}

static int read_caller(struct db_session *txn, const struct uuid *account_id,
                       struct caller *ret_caller, struct err *err)
{
    static const struct db_stmt find = {
        "SELECT \"groups\" FROM accounts WHERE account_id = $1 AND deleted = 0 AND banned = 0"};
    auto_rows struct db_rows *rows = NULL;
    int rc = db_query_row(txn, &find, DB_ARGS(DB_TEXT(account_id->text)), &rows, err);
    if (rc < 0)
        return rc;
    if (!rc)
        return err_set(err, ERR_FORBIDDEN, "ACCESS BLOCKED -- No such account -- %s",
                       account_id->text);
    *ret_caller = (struct caller){.account_id = *account_id,
                                  .admin = json_list_has(db_rows_text(rows, 0), "admin")};
    return 0;
}

static int check_source(struct db_session *txn, const struct caller *caller,
                        const struct copy_row *row, struct err *err)
{
    enum project_access access = ACCESS_NONE;
    bool public = false;
    int rc = row->public
                 ? public_path_check(txn, &row->source_project_id, row->source_path, &public, err)
                 : project_access_get(txn, caller, &row->source_project_id, &access, err);
    if (rc)
        return rc;
    if (row->public && !public)
        return err_set(err, ERR_FORBIDDEN, "path '%.200s' of project with id '%s' is not public",
                       row->source_path, row->source_project_id.text);
    if (!row->public && access < ACCESS_READ)
        return err_set(err, ERR_FORBIDDEN,
                       "ACCESS BLOCKED -- No read access to source project -- %s",
                       row->source_project_id.text);
    return 0;
}

// The right may have been withdrawn since the copy was asked for.
static int check_rights(struct db_session *txn, const struct copy_row *row, struct err *err)
{
    struct caller caller;
    enum project_access access = ACCESS_NONE;
    int rc = read_caller(txn, &row->account_id, &caller, err);
    if (!rc)
        rc = project_access_get(txn, &caller, &row->target_project_id, &access, err);
    if (!rc && access < ACCESS_WRITE)
        rc =
            err_set(err, ERR_FORBIDDEN, "ACCESS BLOCKED -- No write access to target project -- %s",
                    row->target_project_id.text);
    return rc ? rc : check_source(txn, &caller, row, err);
}

static int mark_claimed(struct db_session *txn, struct copy_claim *claim, int64_t *ret_taken,
                        struct err *err)
{
    static const struct db_stmt update = {
        "UPDATE copy_paths SET ready = 0, attempts = attempts + 1, claimed_by = $2, claimed_until "
        "= $3, started = $4 WHERE id = $1 AND ready = 1"};
    const int64_t now = clock_now_ms();
    claim->row.until_ms = now + COPY_LEASE_MS;
    db_notify_row(txn, DB_TOPIC_COPIES, claim->row.id.text);
    return db_exec(txn, &update,
                   DB_ARGS(DB_TEXT(claim->row.id.text), DB_TEXT(claim->hub),
                           DB_INT(claim->row.until_ms), DB_INT(now)),
                   ret_taken, err);
}

int copy_row_claim(struct db_session *txn, struct copy_claim *claim, struct err *err)
{
    int64_t taken = 0;
    bool own;
    copy_row_dispose(&claim->row); // of a first try of the transaction
    claim->result = CLAIM_NONE;
    const char *after = claim->after.text[0] ? claim->after.text : FIRST_ACCOUNT;
    int rc = read_next(txn, after, claim->full.text, &claim->row, err);
    if (!rc && claim->after.text[0])
        rc = read_next(txn, FIRST_ACCOUNT, claim->full.text, &claim->row, err);
    if (rc <= 0)
        return rc;
    rc = check_rights(txn, &claim->row, &claim->refusal);
    if (rc == -ERR_FORBIDDEN) {
        claim->result = CLAIM_REFUSED;
        return copy_row_finish(txn, &claim->row.id, NULL, claim->refusal.message, &own, err);
    }
    if (rc) {
        *err = claim->refusal;
        return rc;
    }
    rc = mark_claimed(txn, claim, &taken, err);
    if (!rc && taken)
        claim->result = CLAIM_TAKEN;
    return rc;
}

// ---- The end ----

// Whether `changed` rows say that it was the hub's. One that was removed is nobody else's.
static int find_owner(struct db_session *txn, const struct uuid *id, int64_t changed, bool *ret_own,
                      struct err *err)
{
    static const struct db_stmt find = {"SELECT 1 FROM copy_paths WHERE id = $1"};
    int64_t there = 0;
    int rc = changed ? 0 : db_query_int(txn, &find, DB_ARGS(DB_TEXT(id->text)), &there, err);
    *ret_own = !there;
    return rc;
}

int copy_row_finish(struct db_session *txn, const struct uuid *id, const char *hub,
                    const char *error, bool *ret_own, struct err *err)
{
    static const struct db_stmt update = {
        "UPDATE copy_paths SET finished = $2, error = $3, ready = 0, claimed_by = NULL, "
        "claimed_until = NULL WHERE id = $1 AND finished IS NULL AND coalesce(claimed_by, '') = "
        "$4"};
    int64_t changed = 0;
    db_notify_row(txn, DB_TOPIC_COPIES, id->text);
    int rc = db_exec(
        txn, &update,
        DB_ARGS(DB_TEXT(id->text), DB_INT(clock_now_ms()), DB_TEXT(error), DB_TEXT(hub ? hub : "")),
        &changed, err);
    return rc ? rc : find_owner(txn, id, changed, ret_own, err);
}

int copy_row_release(struct db_session *txn, const struct uuid *id, const char *hub, bool counted,
                     bool *ret_own, struct err *err)
{
    static const struct db_stmt update = {
        "UPDATE copy_paths SET ready = 1, started = NULL, claimed_by = NULL, claimed_until = NULL, "
        "attempts = attempts - $2 WHERE id = $1 AND finished IS NULL AND claimed_by = $3"};
    int64_t changed = 0;
    db_notify_row(txn, DB_TOPIC_COPIES, id->text);
    int rc = db_exec(txn, &update, DB_ARGS(DB_TEXT(id->text), DB_INT(!counted), DB_TEXT(hub)),
                     &changed, err);
    return rc ? rc : find_owner(txn, id, changed, ret_own, err);
}

// ---- Looking after all of them ----

static int promote(struct db_session *txn, int64_t now, int64_t *ret_count, struct err *err)
{
    static const struct db_stmt update = {
        "UPDATE copy_paths SET ready = 1 WHERE id IN (SELECT id FROM copy_paths WHERE ready = 0 "
        "AND started IS NULL AND finished IS NULL AND scheduled <= $1 ORDER BY scheduled LIMIT "
        "$2)"};
    return db_exec(txn, &update, DB_ARGS(DB_INT(now), DB_INT(LIMIT_COPIES_TENDED)), ret_count, err);
}

// Those whose lease has ended by $2, and those of the seat $1 that another process than $3 has
// claimed: it had the seat before.
#define DEAD                                                                                       \
    " WHERE claimed_by IS NOT NULL AND finished IS NULL AND (claimed_until < $2 OR (claimed_by "   \
    "<> $3 AND substr(claimed_by, 1, length(CAST($1 AS TEXT))) = $1))"

static int take_over(struct db_session *txn, const struct copy_tending *tending, int64_t now,
                     struct err *err)
{
    static const struct db_stmt give_up = {
        "UPDATE copy_paths SET finished = $2, claimed_by = NULL, claimed_until = NULL, error = "
        "$4" DEAD " AND attempts >= $5 RETURNING id"};
    static const struct db_stmt again = {
        "UPDATE copy_paths SET ready = 1, started = NULL, claimed_by = NULL, claimed_until = "
        "NULL" DEAD " RETURNING id"};
    const struct db_value seat = DB_TEXT(tending->seat), hub = DB_TEXT(tending->hub);
    int rc = change_each(
        txn, &give_up,
        DB_ARGS(seat, DB_INT(now), hub, DB_TEXT(COPY_GIVEN_UP), DB_INT(LIMIT_COPY_ATTEMPTS)), NULL,
        err);
    return rc ? rc : change_each(txn, &again, DB_ARGS(seat, DB_INT(now), hub), NULL, err);
}

static int renew(struct db_session *txn, struct copy_tending *tending, int64_t now, struct err *err)
{
    static const struct db_stmt update = {"UPDATE copy_paths SET claimed_until = $2 WHERE "
                                          "claimed_by = $1 RETURNING id"};
    auto_rows struct db_rows *rows = NULL;
    tending->own_count = 0;
    tending->until_ms = now + COPY_LEASE_MS;
    int rc = db_query(txn, &update, DB_ARGS(DB_TEXT(tending->hub), DB_INT(tending->until_ms)),
                      &rows, err);
    while (!rc && (rc = db_rows_next(rows, err)) > 0) {
        tending->own = mem_realloc(tending->own, (tending->own_count + 1) * sizeof tending->own[0]);
        rc = take_id(rows, 0, &tending->own[tending->own_count++])
                 ? 0
                 : err_internal(err, "a row of copy_paths has an id that is none");
    }
    return rc;
}

static int remove_old(struct db_session *txn, int64_t now, int64_t *ret_count, struct err *err)
{
    static const struct db_stmt remove = {
        "DELETE FROM copy_paths WHERE id IN (SELECT id FROM copy_paths WHERE finished < $1 LIMIT "
        "$2) RETURNING id"};
    return change_each(txn, &remove, DB_ARGS(DB_INT(now - KEPT_MS), DB_INT(LIMIT_CLEANED_AT_ONCE)),
                       ret_count, err);
}

static int find_next(struct db_session *txn, int64_t *ret_ms, struct err *err)
{
    static const struct db_stmt find = {
        "SELECT scheduled FROM copy_paths WHERE ready = 0 AND started IS NULL AND finished IS NULL "
        "AND scheduled IS NOT NULL ORDER BY scheduled LIMIT 1"};
    auto_rows struct db_rows *rows = NULL;
    int rc = db_query_row(txn, &find, DB_NO_ARGS, &rows, err);
    if (rc < 0)
        return rc;
    *ret_ms = rc ? db_rows_int(rows, 0) : INT64_MAX;
    return 0;
}

int copy_rows_tend(struct db_session *txn, struct copy_tending *tending, struct err *err)
{
    const int64_t now = clock_now_ms();
    int64_t promoted, removed;
    int rc = promote(txn, now, &promoted, err);
    if (!rc)
        rc = renew(txn, tending, now, err);
    if (!rc)
        rc = take_over(txn, tending, now, err);
    if (!rc)
        rc = remove_old(txn, now, &removed, err);
    if (!rc)
        rc = find_next(txn, &tending->next_ms, err);
    if (!rc)
        tending->more = promoted == LIMIT_COPIES_TENDED || removed == LIMIT_CLEANED_AT_ONCE;
    return rc;
}

// ---- What is shown ----

#define SHOWN                                                                                      \
    "SELECT id, time, source_project_id, source_path, target_project_id, target_path, "            \
    "overwrite_newer, delete_missing, backup, scheduled, started, finished, error FROM "           \
    "copy_paths "

static void write_object(struct db_rows *rows, struct buf *out)
{
    json_begin_object(out);
    json_member_str(out, "copy_path_id", db_rows_text(rows, 0));
    row_member(out, "time", ROW_TIME, rows, 1);
    json_member_str(out, "source_project_id", db_rows_text(rows, 2));
    json_member_str(out, "source_path", db_rows_text(rows, 3));
    json_member_str(out, "target_project_id", db_rows_text(rows, 4));
    json_member_str(out, "target_path", db_rows_text(rows, 5));
    json_member_bool(out, "overwrite_newer", db_rows_int(rows, 6));
    json_member_bool(out, "delete_missing", db_rows_int(rows, 7));
    json_member_bool(out, "backup", db_rows_int(rows, 8));
    row_member(out, "scheduled", ROW_TIME, rows, 9);
    row_member(out, "started", ROW_TIME, rows, 10);
    row_member(out, "finished", ROW_TIME, rows, 11);
    row_member(out, "error", ROW_TEXT, rows, 12);
    json_end_object(out);
}

int copy_get(struct db_session *session, const char *copy_id, struct copy_ends *ret_ends,
             struct buf *ret_json, struct err *err)
{
    static const struct db_stmt find = {SHOWN "WHERE id = $1"};
    auto_rows struct db_rows *rows = NULL;
    struct uuid id;
    if (!uuid_parse(copy_id, strlen(copy_id), &id))
        return 0;
    int rc = db_query_row(session, &find, DB_ARGS(DB_TEXT(id.text)), &rows, err);
    if (rc <= 0)
        return rc;
    if (!take_id(rows, 2, &ret_ends->source_project_id) ||
        !take_id(rows, 4, &ret_ends->target_project_id))
        return err_internal(err, "a row of copy_paths has an id that is none");
    ret_ends->deletable = !db_rows_null(rows, 9) && db_rows_null(rows, 11);
    if (ret_json)
        write_object(rows, ret_json);
    return 1;
}

// Each has an index of its own, which a condition chosen by a parameter would not use.
#define BY_SOURCE                                                                                  \
    SHOWN                                                                                          \
    "WHERE source_project_id = $1 AND (target_project_id = $2 OR $2 IS NULL) AND ($6 = 0 OR "      \
    "source_path = $3) AND "
#define BY_TARGET                                                                                  \
    SHOWN                                                                                          \
    "WHERE target_project_id = $1 AND (source_project_id = $2 OR $2 IS NULL) AND ($6 = 0 OR "      \
    "source_path = $3) AND "
#define IN_ORDER " ORDER BY time DESC LIMIT $4 OFFSET $5"

int copy_list(struct db_session *session, const struct copy_filter *filter, struct buf *out,
              struct err *err)
{
    static const struct db_stmt by_source[COPY_STATES] = {
        [COPY_PENDING] = {BY_SOURCE "finished IS NULL" IN_ORDER},
        [COPY_FINISHED] = {BY_SOURCE "finished IS NOT NULL" IN_ORDER},
        [COPY_FAILED] = {BY_SOURCE "error IS NOT NULL" IN_ORDER},
    };
    static const struct db_stmt by_target[COPY_STATES] = {
        [COPY_PENDING] = {BY_TARGET "finished IS NULL" IN_ORDER},
        [COPY_FINISHED] = {BY_TARGET "finished IS NOT NULL" IN_ORDER},
        [COPY_FAILED] = {BY_TARGET "error IS NOT NULL" IN_ORDER},
    };
    const struct uuid *first = filter->source_project_id, *second = filter->target_project_id;
    const struct db_stmt *stmt = first ? &by_source[filter->state] : &by_target[filter->state];
    if (!first) {
        first = second;
        second = NULL;
    }
    auto_rows struct db_rows *rows = NULL;
    int rc = db_query(session, stmt,
                      DB_ARGS(DB_TEXT(first->text), DB_TEXT(second ? second->text : NULL),
                              DB_TEXT(filter->source_path ? filter->source_path : ""),
                              DB_INT(filter->limit), DB_INT(filter->offset),
                              DB_INT(filter->source_path != NULL)),
                      &rows, err);
    json_begin_array(out);
    while (!rc && (rc = db_rows_next(rows, err)) > 0) {
        write_object(rows, out);
        rc = 0;
    }
    json_end_array(out);
    return rc;
}

int copy_delete(struct db_session *txn, const char *copy_id, struct err *err)
{
    static const struct db_stmt remove = {
        "DELETE FROM copy_paths WHERE id = $1 AND scheduled IS NOT NULL AND finished IS NULL"};
    int64_t removed = 0;
    struct uuid id;
    if (!uuid_parse(copy_id, strlen(copy_id), &id))
        return err_set(err, ERR_NOT_FOUND, "no copy %.100s", copy_id);
    db_notify_row(txn, DB_TOPIC_COPIES, id.text);
    int rc = db_exec(txn, &remove, DB_ARGS(DB_TEXT(id.text)), &removed, err);
    if (rc)
        return rc;
    return removed ? 0 : err_set(err, ERR_NOT_FOUND, "no copy %s", id.text);
}
