// SPDX-License-Identifier: AGPL-3.0-or-later
// Statements: prepared once for each connection and found again by their text, whoever's session
// uses the connection meanwhile.
//
// Arguments go as text (bytes as they are), without a type: the server finds it where the argument
// stands, so that an integer may be compared with a real, or NULL come first.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "db/postgres_internal.h"

struct postgres_stmt {
    struct postgres_stmt *newer, *older;
    char name[24];
    size_t size;
    char sql[];
};

// What a connection keeps of memory for arguments.
#define SCRATCH_KEPT ((size_t)64 * 1024)

// ---- Prepared statements ----

static void unlink_stmt(struct postgres_conn *conn, struct postgres_stmt *stmt)
{
    *(stmt->newer ? &stmt->newer->older : &conn->newest) = stmt->older;
    *(stmt->older ? &stmt->older->newer : &conn->oldest) = stmt->newer;
}

static void link_newest(struct postgres_conn *conn, struct postgres_stmt *stmt)
{
    stmt->newer = NULL;
    stmt->older = conn->newest;
    *(conn->newest ? &conn->newest->newer : &conn->oldest) = stmt;
    conn->newest = stmt;
}

static void forget(struct postgres_conn *conn, struct postgres_stmt *stmt)
{
    map_remove(&conn->stmts, stmt->sql, stmt->size);
    unlink_stmt(conn, stmt);
    free(stmt);
}

void postgres_stmts_free(struct postgres_conn *conn)
{
    while (conn->newest)
        forget(conn, conn->newest);
    map_dispose(&conn->stmts);
}

static int make_room(struct postgres_conn *conn, uint64_t deadline_us, struct err *err)
{
    if (conn->stmts.count < LIMIT_DB_PREPARED)
        return 0;
    auto_free char *sql = mem_printf("DEALLOCATE %s", conn->oldest->name);
    int rc = postgres_run(conn, sql, deadline_us, NULL, err);
    if (!rc)
        forget(conn, conn->oldest);
    return rc;
}

static int prepare(struct postgres_conn *conn, const char *sql, size_t size, uint64_t deadline_us,
                   struct postgres_stmt **ret_stmt, struct err *err)
{
    int rc = make_room(conn, deadline_us, err);
    if (rc)
        return rc;
    struct postgres_stmt *stmt = mem_zalloc(sizeof *stmt + size + 1);
    stmt->size = size;
    memcpy(stmt->sql, sql, size);
    snprintf(stmt->name, sizeof stmt->name, "s%llu", (unsigned long long)++conn->stmts_made);
    rc = PQsendPrepare(conn->pg, stmt->name, sql, 0, NULL) ? 0 : postgres_failed(conn, err);
    if (!rc)
        rc = postgres_flush(conn, deadline_us, err);
    if (!rc)
        rc = postgres_finish(conn, deadline_us, NULL, err);
    if (rc) {
        free(stmt);
        return rc;
    }
    map_set(&conn->stmts, stmt->sql, size, stmt);
    link_newest(conn, stmt);
    *ret_stmt = stmt;
    return 0;
}

static int get_stmt(struct postgres_conn *conn, const char *sql, uint64_t deadline_us,
                    struct postgres_stmt **ret_stmt, struct err *err)
{
    size_t size = strlen(sql);
    struct postgres_stmt *stmt = map_get(&conn->stmts, sql, size);
    if (!stmt)
        return prepare(conn, sql, size, deadline_us, ret_stmt, err);
    if (stmt != conn->newest) {
        unlink_stmt(conn, stmt);
        link_newest(conn, stmt);
    }
    *ret_stmt = stmt;
    return 0;
}

// ---- Arguments ----

static void write_arg(struct buf *out, const struct db_value *arg)
{
    if (arg->type == DB_TYPE_TEXT)
        db_text_append(out, arg->text, arg->size);
    else if (arg->type == DB_TYPE_INT)
        buf_printf(out, "%lld", (long long)arg->integer);
    else
        buf_printf(out, "%.17g", arg->real);
    buf_append_char(out, '\0');
}

static bool is_written(const struct db_value *arg)
{
    return arg->type != DB_TYPE_NULL && arg->type != DB_TYPE_BYTES;
}

// All are written before any gets its address, as the memory moves when it grows.
static void set_args(struct postgres_conn *conn, const struct db_value *args, size_t args_count)
{
    struct buf *scratch = &conn->scratch;
    if (scratch->capacity > SCRATCH_KEPT)
        buf_dispose(scratch);
    scratch->size = 0;
    for (size_t i = 0; i < args_count; i++) {
        conn->offsets[i] = scratch->size;
        if (is_written(&args[i]))
            write_arg(scratch, &args[i]);
    }
    for (size_t i = 0; i < args_count; i++) {
        bool bytes = args[i].type == DB_TYPE_BYTES;
        conn->formats[i] = bytes;
        conn->sizes[i] = bytes ? (int)args[i].size : 0;
        conn->values[i] = is_written(&args[i]) ? scratch->data + conn->offsets[i] : NULL;
        if (bytes)
            conn->values[i] = args[i].size ? args[i].text : "";
    }
}

int postgres_send(struct postgres_conn *conn, const char *sql, const struct db_value *args,
                  size_t args_count, uint64_t deadline_us, struct err *err)
{
    struct postgres_stmt *stmt;
    if (args_count > DB_ARGS_MAX)
        return err_internal(err, "%zu arguments: %s", args_count, sql);
    if (conn->streaming)
        postgres_rows_detach(conn->streaming);
    if (PQtransactionStatus(conn->pg) != PQTRANS_INERROR)
        conn->state = POSTGRES_FINE;
    int rc = get_stmt(conn, sql, deadline_us, &stmt, err);
    if (rc)
        return rc;
    set_args(conn, args, args_count);
    if (!PQsendQueryPrepared(conn->pg, stmt->name, (int)args_count, conn->values, conn->sizes,
                             conn->formats, 1))
        return postgres_failed(conn, err);
    return postgres_flush(conn, deadline_us, err);
}

// ---- Sessions ----

static struct postgres_session *session_of(struct db_session *session)
{
    return CONTAINER(session, struct postgres_session, base);
}

void postgres_session_drop(struct postgres_session *session)
{
    struct postgres_conn *conn = TAKE_PTR(session->conn);
    if (conn && conn->streaming)
        postgres_rows_detach(conn->streaming);
    postgres_conn_free(conn);
}

// A connection that works, as far as is known. What a lost one had begun is not gone on with, nor
// is a transaction in which something failed: the server would do nothing more in it.
static int settle_conn(struct postgres_session *session, struct err *err)
{
    if (session->base.in_txn && session->failure.code) {
        if (err)
            *err = session->failure;
        return -(int)session->failure.code;
    }
    struct postgres_wait wait = {session->base.wait, session->base.wait_ctx};
    if (session->conn && session->conn->state != POSTGRES_LOST) {
        session->conn->wait = wait;
        return 0;
    }
    if (session->base.in_txn || session->in_block)
        return err_set(err, ERR_UNAVAILABLE, "The database cannot be reached.");
    bool lost = session->conn;
    postgres_session_drop(session);
    struct postgres_db *db = CONTAINER(session->base.db, struct postgres_db, base);
    return postgres_reach(db, false, lost, wait, &session->conn, err);
}

static int note_failure(struct postgres_session *session, int rc, struct err *err)
{
    struct err *failure = &session->failure;
    if (rc != -ERR_CONFLICT)
        db_count(&session->base.db->errors, 1);
    if (session->base.in_txn && !failure->code) {
        if (err)
            *failure = *err;
        failure->code = (enum err_code) - rc;
    }
    return rc;
}

// One try of a statement that gives rows.
static int query(struct postgres_session *session, const char *sql, const struct db_value *args,
                 size_t args_count, struct db_rows **ret_rows, struct err *err)
{
    int rc = settle_conn(session, err);
    if (!rc)
        rc = postgres_send(session->conn, sql, args, args_count, postgres_deadline(), err);
    if (rc)
        return rc;
    PQsetSingleRowMode(session->conn->pg);
    return postgres_rows_open(&session->base, session->conn, ret_rows, err);
}

// A connection that was lost before the first row says nothing about the database: the server may
// have been started again since, or the tables have changed under what was prepared.
int postgres_query(struct db_session *base, const struct db_stmt *stmt, const struct db_value *args,
                   size_t args_count, struct db_rows **ret_rows, struct err *err)
{
    struct postgres_session *session = session_of(base);
    bool had_one = session->conn && session->conn->state != POSTGRES_LOST;
    int rc = query(session, stmt->sql, args, args_count, ret_rows, err);
    if (rc && rc != -ERR_TIMEOUT && had_one && session->conn->state == POSTGRES_LOST &&
        !base->in_txn && !session->in_block)
        rc = query(session, stmt->sql, args, args_count, ret_rows, err);
    return rc ? note_failure(session, rc, err) : 0;
}

int postgres_exec(struct db_session *txn, const struct db_stmt *stmt, const struct db_value *args,
                  size_t args_count, int64_t *ret_changed, struct err *err)
{
    struct postgres_session *session = session_of(txn);
    uint64_t deadline_us = postgres_deadline();
    auto_result PGresult *result = NULL;
    int rc = settle_conn(session, err);
    if (!rc)
        rc = postgres_send(session->conn, stmt->sql, args, args_count, deadline_us, err);
    if (!rc)
        rc = postgres_finish(session->conn, deadline_us, &result, err);
    if (rc)
        return note_failure(session, rc, err);
    if (ret_changed)
        *ret_changed = strtoll(PQcmdTuples(result), NULL, 10);
    return 0;
}

int postgres_script(struct db_session *txn, const char *sql, struct err *err)
{
    struct postgres_session *session = session_of(txn);
    int rc = settle_conn(session, err);
    if (!rc)
        rc = postgres_run(session->conn, sql, 0, NULL, err);
    return rc ? note_failure(session, rc, err) : 0;
}

// ---- Reading blocks ----

int postgres_read_begin(struct db_session *base, struct err *err)
{
    static const struct db_stmt begin = {"BEGIN"};
    struct db_rows *rows;
    int rc = postgres_query(base, &begin, DB_NO_ARGS, &rows, err);
    if (rc)
        return rc;
    postgres_rows_close(rows);
    session_of(base)->in_block = true;
    return 0;
}

void postgres_read_end(struct db_session *base)
{
    struct postgres_session *session = session_of(base);
    struct err err;
    session->in_block = false;
    if (session->conn->state == POSTGRES_LOST)
        return;
    if (postgres_run(session->conn, "COMMIT", postgres_deadline(), NULL, &err))
        log_err(LOG_WARNING, "read_end_failed", &err);
}
