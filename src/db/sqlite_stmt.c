// SPDX-License-Identifier: AGPL-3.0-or-later
// Statements of a session: prepared once, kept by the address of their db_stmt, and the rows they
// give.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "db/sqlite_internal.h"

#define STMTS_CAPACITY_MIN ((size_t)32)

// ---- Errors ----

// A write beyond the end of what the disk, the quota or the limit of the process holds. SQLite
// reports a shared index that cannot grow only by its own code.
static bool is_no_space(int rc, int sys_errno)
{
    if (rc == SQLITE_FULL || rc == SQLITE_IOERR_SHMSIZE)
        return true;
    return (rc & 0xff) == SQLITE_IOERR &&
           (sys_errno == ENOSPC || sys_errno == EDQUOT || sys_errno == EFBIG);
}

static int set_error(int rc, int sys_errno, struct err *err)
{
    if (is_no_space(rc, sys_errno))
        return err_set(err, ERR_NO_SPACE, "The disk of the database is full.");
    switch (rc & 0xff) {
    case SQLITE_CONSTRAINT:
        if (rc == SQLITE_CONSTRAINT_UNIQUE || rc == SQLITE_CONSTRAINT_PRIMARYKEY)
            return err_set(err, ERR_CONFLICT, "It exists already.");
        return err_set(err, ERR_CONFLICT, "It does not fit what is stored.");
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return err_set(err, ERR_UNAVAILABLE, "The database is busy.");
    case SQLITE_TOOBIG:
        return err_set(err, ERR_TOO_LARGE, "The value is too large.");
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return err_set(err, ERR_INTERNAL, "The database is damaged.");
    default:
        return err_set(err, ERR_INTERNAL, "internal error");
    }
}

int sqlite_error(struct db *db, sqlite3 *handle, int rc, struct err *err)
{
    int sys_errno = handle ? sqlite3_system_errno(handle) : 0;
    const char *text = handle ? sqlite3_errmsg(handle) : sqlite3_errstr(rc);
    if ((rc & 0xff) != SQLITE_CONSTRAINT)
        db_count(&db->errors, 1);
    int code = set_error(rc, sys_errno, err);
    if (err) {
        err->sys_errno = sys_errno;
        (void)err_detail(err, "SQLite %d: %s%s%s", rc, text, sys_errno ? ": " : "",
                         sys_errno ? strerror(sys_errno) : "");
    }
    return code;
}

// An error of a statement that ran. Some make SQLite undo the whole transaction.
static int run_error(struct sqlite_session *session, int rc, struct err *err)
{
    if (session->base.in_txn && !session->undone && sqlite3_get_autocommit(session->handle))
        session->undone = rc;
    return sqlite_error(session->base.db, session->handle, rc, err);
}

// ---- Preparing ----

static struct sqlite_session *session_of(struct db_session *session)
{
    return CONTAINER(session, struct sqlite_session, base);
}

// Where the statement is, or where it goes.
static struct sqlite_stmt **find_slot(struct sqlite_stmt **stmts, size_t capacity,
                                      const struct db_stmt *key)
{
    uint64_t hash = (uint64_t)(uintptr_t)key * 0x9e3779b97f4a7c15u;
    size_t i = (hash >> 32) & (capacity - 1);
    while (stmts[i] && stmts[i]->key != key)
        i = (i + 1) & (capacity - 1);
    return &stmts[i];
}

static void grow(struct sqlite_session *session)
{
    size_t capacity = session->stmts_capacity ? session->stmts_capacity * 2 : STMTS_CAPACITY_MIN;
    struct sqlite_stmt **stmts = mem_zalloc(capacity * sizeof(struct sqlite_stmt *));
    for (size_t i = 0; i < session->stmts_capacity; i++) {
        struct sqlite_stmt *stmt = session->stmts[i];
        if (stmt)
            *find_slot(stmts, capacity, stmt->key) = stmt;
    }
    free(session->stmts);
    session->stmts = stmts;
    session->stmts_capacity = capacity;
}

static int compile(struct sqlite_session *session, const char *sql, sqlite3_stmt **ret_handle,
                   struct err *err)
{
    const char *tail;
    int rc =
        sqlite3_prepare_v3(session->handle, sql, -1, SQLITE_PREPARE_PERSISTENT, ret_handle, &tail);
    if (rc != SQLITE_OK)
        return run_error(session, rc, err);
    if (*ret_handle && !*tail)
        return 0;
    sqlite3_finalize(*ret_handle);
    return err_internal(err, "not one statement: %s", sql);
}

// SQLite takes $1 for a name and numbers parameters as they first appear.
static int number_params(struct sqlite_stmt *stmt, struct err *err)
{
    for (int i = 0; i < stmt->params_count; i++) {
        const char *name = sqlite3_bind_parameter_name(stmt->handle, i + 1);
        int64_t number;
        if (!name || name[0] != '$' || !text_parse_int64(name + 1, 1, DB_ARGS_MAX, &number))
            return err_internal(err, "parameter %s: %s", name ? name : "?", stmt->key->sql);
        stmt->arg_of[i] = (uint16_t)(number - 1);
        if ((size_t)number > stmt->args_count)
            stmt->args_count = (size_t)number;
    }
    return 0;
}

static int prepare(struct sqlite_session *session, const struct db_stmt *key,
                   struct sqlite_stmt **ret_stmt, struct err *err)
{
    sqlite3_stmt *handle;
    int rc = compile(session, key->sql, &handle, err);
    if (rc)
        return rc;
    int params_count = sqlite3_bind_parameter_count(handle);
    struct sqlite_stmt *stmt =
        mem_zalloc(sizeof *stmt + (size_t)params_count * sizeof stmt->arg_of[0]);
    *stmt = (struct sqlite_stmt){.rows = {.session = &session->base},
                                 .key = key,
                                 .handle = handle,
                                 .params_count = params_count};
    rc = number_params(stmt, err);
    if (rc) {
        sqlite3_finalize(handle);
        free(stmt);
        return rc;
    }
    *ret_stmt = stmt;
    return 0;
}

static int get_stmt(struct sqlite_session *session, const struct db_stmt *key,
                    struct sqlite_stmt **ret_stmt, struct err *err)
{
    if (session->stmts_count * 3 >= session->stmts_capacity * 2)
        grow(session);
    struct sqlite_stmt **slot = find_slot(session->stmts, session->stmts_capacity, key);
    if (!*slot) {
        struct sqlite_stmt *stmt;
        int rc = prepare(session, key, &stmt, err);
        if (rc)
            return rc;
        *slot = stmt;
        session->stmts_count++;
    }
    *ret_stmt = *slot;
    return 0;
}

static void free_stmt(struct sqlite_stmt *stmt)
{
    sqlite3_finalize(stmt->handle);
    free(stmt);
}

// Those that lie behind it, up to the next free slot, are put in again, as one of them may lie
// there because this place was taken.
static void remove_slot(struct sqlite_session *session, struct sqlite_stmt **slot)
{
    size_t mask = session->stmts_capacity - 1;
    *slot = NULL;
    for (size_t i = (size_t)(slot - session->stmts + 1) & mask; session->stmts[i];
         i = (i + 1) & mask) {
        struct sqlite_stmt *stmt = TAKE_PTR(session->stmts[i]);
        *find_slot(session->stmts, session->stmts_capacity, stmt->key) = stmt;
    }
    session->stmts_count--;
}

void sqlite_forget(struct db_session *base, const struct db_stmt *key)
{
    struct sqlite_session *session = session_of(base);
    if (!session->stmts_count)
        return;
    struct sqlite_stmt **slot = find_slot(session->stmts, session->stmts_capacity, key);
    if (!*slot)
        return;
    assert(!(*slot)->open);
    free_stmt(*slot);
    remove_slot(session, slot);
}

void sqlite_stmts_free(struct sqlite_session *session)
{
    assert(!session->rows_open);
    for (size_t i = 0; i < session->stmts_capacity; i++) {
        if (session->stmts[i])
            free_stmt(session->stmts[i]);
    }
    free(session->stmts);
}

// ---- Running ----

static int bind_value(sqlite3_stmt *handle, int param, const struct db_value *value,
                      sqlite3_destructor_type keep)
{
    switch (value->type) {
    case DB_TYPE_INT:
        return sqlite3_bind_int64(handle, param, value->integer);
    case DB_TYPE_REAL:
        return sqlite3_bind_double(handle, param, value->real);
    case DB_TYPE_BYTES:
        return sqlite3_bind_blob64(handle, param, value->size ? value->text : "", value->size,
                                   keep);
    case DB_TYPE_TEXT:
        return sqlite3_bind_text64(handle, param, value->size ? value->text : "", value->size, keep,
                                   SQLITE_UTF8);
    case DB_TYPE_NULL:
        return sqlite3_bind_null(handle, param);
    }
    return SQLITE_MISUSE;
}

// The statement, prepared and with its arguments.
static int start(struct sqlite_session *session, const struct db_stmt *key,
                 const struct db_value *args, size_t args_count, sqlite3_destructor_type keep,
                 struct sqlite_stmt **ret_stmt, struct err *err)
{
    struct sqlite_stmt *stmt;
    int rc = get_stmt(session, key, &stmt, err);
    if (rc)
        return rc;
    assert(!stmt->open);
    if (args_count != stmt->args_count)
        return err_internal(err, "%zu arguments instead of %zu: %s", args_count, stmt->args_count,
                            key->sql);
    for (int i = 0; i < stmt->params_count; i++) {
        rc = bind_value(stmt->handle, i + 1, &args[stmt->arg_of[i]], keep);
        if (rc != SQLITE_OK)
            return sqlite_error(session->base.db, session->handle, rc, err);
    }
    *ret_stmt = stmt;
    return 0;
}

int sqlite_query(struct db_session *base, const struct db_stmt *key, const struct db_value *args,
                 size_t args_count, struct db_rows **ret_rows, struct err *err)
{
    struct sqlite_session *session = session_of(base);
    struct sqlite_stmt *stmt;
    int rc = start(session, key, args, args_count, SQLITE_TRANSIENT, &stmt, err);
    if (rc)
        return rc;
    stmt->open = true;
    stmt->done = false;
    session->rows_open++;
    *ret_rows = &stmt->rows;
    return 0;
}

static struct sqlite_stmt *stmt_of(struct db_rows *rows)
{
    return CONTAINER(rows, struct sqlite_stmt, rows);
}

int sqlite_rows_next(struct db_rows *rows, struct err *err)
{
    struct sqlite_stmt *stmt = stmt_of(rows);
    if (stmt->done)
        return 0;
    int rc = sqlite3_step(stmt->handle);
    if (rc == SQLITE_ROW)
        return 1;
    stmt->done = true;
    return rc == SQLITE_DONE ? 0 : run_error(session_of(rows->session), rc, err);
}

bool sqlite_rows_null(struct db_rows *rows, int column)
{
    return sqlite3_column_type(stmt_of(rows)->handle, column) == SQLITE_NULL;
}

int64_t sqlite_rows_int(struct db_rows *rows, int column)
{
    return sqlite3_column_int64(stmt_of(rows)->handle, column);
}

double sqlite_rows_real(struct db_rows *rows, int column)
{
    return sqlite3_column_double(stmt_of(rows)->handle, column);
}

// Asked for as text, bytes would be copied; without any, they have no address.
const char *sqlite_rows_text(struct db_rows *rows, int column)
{
    sqlite3_stmt *handle = stmt_of(rows)->handle;
    if (sqlite3_column_type(handle, column) != SQLITE_BLOB)
        return (const char *)sqlite3_column_text(handle, column);
    const char *bytes = sqlite3_column_blob(handle, column);
    return bytes ? bytes : "";
}

size_t sqlite_rows_size(struct db_rows *rows, int column)
{
    return (size_t)sqlite3_column_bytes(stmt_of(rows)->handle, column);
}

void sqlite_rows_close(struct db_rows *rows)
{
    struct sqlite_stmt *stmt = stmt_of(rows);
    assert(stmt->open);
    sqlite3_reset(stmt->handle);
    sqlite3_clear_bindings(stmt->handle);
    stmt->open = false;
    session_of(rows->session)->rows_open--;
}

int sqlite_exec(struct db_session *txn, const struct db_stmt *key, const struct db_value *args,
                size_t args_count, int64_t *ret_changed, struct err *err)
{
    struct sqlite_session *session = session_of(txn);
    struct sqlite_stmt *stmt;
    int rc = start(session, key, args, args_count, SQLITE_STATIC, &stmt, err);
    if (rc)
        return rc;
    do
        rc = sqlite3_step(stmt->handle);
    while (rc == SQLITE_ROW);
    int result = rc == SQLITE_DONE ? 0 : run_error(session, rc, err);
    if (!result && ret_changed)
        *ret_changed = sqlite3_changes64(session->handle);
    sqlite3_reset(stmt->handle);
    sqlite3_clear_bindings(stmt->handle);
    return result;
}

int sqlite_script(struct db_session *txn, const char *sql, struct err *err)
{
    struct sqlite_session *session = session_of(txn);
    int rc = sqlite3_exec(session->handle, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? 0 : run_error(session, rc, err);
}
