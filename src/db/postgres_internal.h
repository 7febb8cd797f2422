// SPDX-License-Identifier: AGPL-3.0-or-later
// Shared by the files of the PostgreSQL backend.
#ifndef DB_POSTGRES_INTERNAL_H
#define DB_POSTGRES_INTERNAL_H

#include <libpq-fe.h>
#include <pthread.h>

#include "base/buf.h"
#include "base/limits.h"
#include "base/map.h"
#include "db/backend.h"

struct postgres_rows;
struct postgres_stmt;

// ---- Connections (postgres_conn.c) ----

// How a connection waits; without a function it blocks its thread.
struct postgres_wait {
    db_wait_fn *fn;
    void *ctx;
};

enum postgres_state {
    POSTGRES_FINE,
    POSTGRES_CONFLICT, // the transaction may succeed when it runs again
    POSTGRES_LOST      // nothing works any more
};

struct postgres_conn {
    PGconn *pg;
    struct postgres_conn *next; // of the idle ones
    struct postgres_wait wait;
    enum postgres_state state;             // of the transaction or statement under way
    uint64_t turn;                         // that it has, 0: none
    struct postgres_rows *streaming;       // whose rows have not all arrived
    struct map stmts;                      // by their text
    struct postgres_stmt *newest, *oldest; // in the order of their last use
    uint64_t stmts_made;
    struct buf scratch; // of arguments
    const char *values[DB_ARGS_MAX];
    size_t offsets[DB_ARGS_MAX];
    int sizes[DB_ARGS_MAX], formats[DB_ARGS_MAX];
};

// `setup` are statements that the new connection begins with.
int postgres_connect(const char *url, const char *setup, struct postgres_wait wait,
                     struct postgres_conn **ret_conn, struct err *err) MUST_USE;
void postgres_conn_free(struct postgres_conn *conn); // NULL: nothing
// Whether an idle connection is still good, as far as can be told at once.
bool postgres_conn_alive(struct postgres_conn *conn);

// When a statement that begins now has taken too long.
uint64_t postgres_deadline(void);
// Sends what libpq holds back.
int postgres_flush(struct postgres_conn *conn, uint64_t deadline_us, struct err *err) MUST_USE;
// The next result of what was sent; NULL after the last. A result that is an error is given as one.
int postgres_result(struct postgres_conn *conn, uint64_t deadline_us, PGresult **ret_result,
                    struct err *err) MUST_USE;
// Results until there are no more. The first error counts; *ret_last may be NULL.
int postgres_finish(struct postgres_conn *conn, uint64_t deadline_us, PGresult **ret_last,
                    struct err *err) MUST_USE;
// Runs statements without arguments and gives the result of the last.
int postgres_run(struct postgres_conn *conn, const char *sql, uint64_t deadline_us,
                 PGresult **ret_last, struct err *err) MUST_USE;
// libpq could not do what was asked.
int postgres_failed(struct postgres_conn *conn, struct err *err);

void postgres_result_clear(PGresult **result);
#define auto_result CLEANUP(postgres_result_clear)

// ---- The database (postgres.c) ----

struct postgres_queue {
    struct db_write *first, **last;
};

struct postgres_writer {
    struct postgres_db *db;
    pthread_t thread;
    bool in_order; // of what it runs, as of struct db_write; under the writers' lock
    uint64_t turn; // this too
};

struct postgres_writers {
    pthread_mutex_t lock;
    pthread_cond_t queued;
    struct postgres_queue any, in_order; // under `lock`, and all below
    bool stopping;
    unsigned started, idle; // threads
    size_t waiting;         // writes
    struct postgres_writer all[LIMIT_DB_WRITERS];
};

struct postgres_listener {
    pthread_t thread;
    struct postgres_conn *conn; // NULL: lost
    uint64_t told_us;           // when subscribers were told last that anything may have changed
    int wake_fd;                // readable when it is to end
    bool started;
};

struct postgres_db {
    struct db base;
    char *url;
    char origin[17]; // of this process's notices
    _Atomic uint64_t numbers[DB_TOPIC_COUNT];
    _Atomic uint64_t refused_us; // when connecting last failed, 0: it did not since it succeeded
    pthread_mutex_t lock;
    struct postgres_conn *idle; // under `lock`
    size_t idle_count;          // under `lock`
    struct postgres_writers writers;
    struct postgres_listener listener;
};

struct postgres_session {
    struct db_session base;
    struct postgres_conn *conn; // NULL: none yet, or it was lost
    bool in_block;              // between db_read_begin and db_read_end
    struct err failure;         // of this transaction, code 0: none
};

// Connects anew. For as long as the database was just found to be out of reach, only who is
// `patient` tries again.
int postgres_reach(struct postgres_db *db, bool writing, bool patient, struct postgres_wait wait,
                   struct postgres_conn **ret_conn, struct err *err) MUST_USE;

// ---- Statements (postgres_stmt.c) ----

int postgres_query(struct db_session *session, const struct db_stmt *stmt,
                   const struct db_value *args, size_t args_count, struct db_rows **ret_rows,
                   struct err *err);
int postgres_exec(struct db_session *txn, const struct db_stmt *stmt, const struct db_value *args,
                  size_t args_count, int64_t *ret_changed, struct err *err);
int postgres_script(struct db_session *txn, const char *sql, struct err *err);
int postgres_read_begin(struct db_session *session, struct err *err);
void postgres_read_end(struct db_session *session);
// What the session's connection was lost with is gone; the next statement gets another one.
void postgres_session_drop(struct postgres_session *session);
// Prepares the text unless it is, and sends it with its arguments.
int postgres_send(struct postgres_conn *conn, const char *sql, const struct db_value *args,
                  size_t args_count, uint64_t deadline_us, struct err *err) MUST_USE;
void postgres_stmts_free(struct postgres_conn *conn);

// ---- Rows (postgres_rows.c) ----

// Of what was just sent: the first result has arrived.
int postgres_rows_open(struct db_session *session, struct postgres_conn *conn,
                       struct db_rows **ret_rows, struct err *err) MUST_USE;
// Takes in what has not arrived yet, so that the connection is free for another statement.
void postgres_rows_detach(struct postgres_rows *rows);
int postgres_rows_next(struct db_rows *rows, struct err *err);
bool postgres_rows_null(struct db_rows *rows, int column);
int64_t postgres_rows_int(struct db_rows *rows, int column);
double postgres_rows_real(struct db_rows *rows, int column);
const char *postgres_rows_text(struct db_rows *rows, int column);
size_t postgres_rows_size(struct db_rows *rows, int column);
void postgres_rows_close(struct db_rows *rows);

// ---- Writing (postgres_writer.c) ----

void postgres_writers_init(struct postgres_db *db);
void postgres_writers_stop(struct postgres_db *db); // after what is queued
void postgres_write(struct db *db, struct db_write *write);

// ---- Notices (postgres_listener.c) ----

int postgres_listener_start(struct postgres_db *db, struct err *err) MUST_USE;
void postgres_listener_stop(struct postgres_db *db);
// Appends statements that tell all others of the changes once the transaction is durable.
void postgres_notify(const struct postgres_db *db, const struct db_changes *changes,
                     struct buf *sql);

#endif
