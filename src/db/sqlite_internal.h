// SPDX-License-Identifier: AGPL-3.0-or-later
// Shared by the files of the SQLite backend.
#ifndef DB_SQLITE_INTERNAL_H
#define DB_SQLITE_INTERNAL_H

#include <pthread.h>
#include <sqlite3.h>

#include "db/backend.h"

// How long a statement waits for another process that holds the database.
#define SQLITE_BUSY_MS 30000

struct sqlite_session;

struct sqlite_writer {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t queued;
    struct db_write *first, **last; // under `lock`
    bool stopping;                  // under `lock`
    struct sqlite_session *session; // the thread's
    struct db_changes changes;      // of the group that is being written
};

// The file PATH-epochs, which all processes map.
struct sqlite_shared {
    _Atomic uint64_t epochs[64]; // of the topics
    _Atomic uint32_t publishings, watchers;
};

struct sqlite_db {
    struct db base;
    char *path;
    struct sqlite_shared *shared;
    bool writing; // the writer thread runs
    struct sqlite_writer writer;
    _Atomic bool watching, watch_stopping;
    pthread_t watch_thread;
};

// A prepared statement and the rows that it gives now.
struct sqlite_stmt {
    struct db_rows rows;
    const struct db_stmt *key;
    sqlite3_stmt *handle;
    bool open; // handed out as rows
    bool done; // gave its last row
    size_t args_count;
    int params_count;
    uint16_t arg_of[]; // parameter number - 1 -> index of the argument it takes
};

struct sqlite_session {
    struct db_session base;
    sqlite3 *handle;
    struct sqlite_stmt **stmts; // open addressing by the address of the key
    size_t stmts_capacity;      // a power of two, or 0
    size_t stmts_count;
    size_t rows_open;
    int undone; // the result code with which SQLite undid the whole transaction, or 0
};

// sqlite_vfs.c: registers, once, and names the VFS that keeps relative paths relative.
const char *sqlite_vfs_name(void);

// sqlite.c
int sqlite_session_new(struct sqlite_db *db, bool read_only, struct sqlite_session **ret_session,
                       struct err *err) MUST_USE;
void sqlite_session_free(struct sqlite_session *session);

// sqlite_string_agg.c: gives a connection PostgreSQL's aggregate; a result code of SQLite.
int sqlite_add_string_agg(sqlite3 *handle) MUST_USE;

// sqlite_stmt.c
// Sets the error that stands for a result code of SQLite; returns -code.
int sqlite_error(struct db *db, sqlite3 *handle, int rc, struct err *err);
int sqlite_query(struct db_session *session, const struct db_stmt *stmt,
                 const struct db_value *args, size_t args_count, struct db_rows **ret_rows,
                 struct err *err);
int sqlite_rows_next(struct db_rows *rows, struct err *err);
bool sqlite_rows_null(struct db_rows *rows, int column);
int64_t sqlite_rows_int(struct db_rows *rows, int column);
double sqlite_rows_real(struct db_rows *rows, int column);
const char *sqlite_rows_text(struct db_rows *rows, int column);
size_t sqlite_rows_size(struct db_rows *rows, int column);
void sqlite_rows_close(struct db_rows *rows);
int sqlite_exec(struct db_session *txn, const struct db_stmt *stmt, const struct db_value *args,
                size_t args_count, int64_t *ret_changed, struct err *err);
void sqlite_forget(struct db_session *session, const struct db_stmt *stmt);
int sqlite_script(struct db_session *txn, const char *sql, struct err *err);
void sqlite_stmts_free(struct sqlite_session *session);

// sqlite_writer.c
int sqlite_writer_start(struct sqlite_db *db, struct err *err) MUST_USE;
void sqlite_writer_stop(struct sqlite_db *db); // after what is queued
void sqlite_write(struct db *db, struct db_write *write);

// sqlite_watch.c
void sqlite_watch(struct db *db);
void sqlite_watch_stop(struct sqlite_db *db);
// Publishes, if there is anything, and wakes the processes that watch.
void sqlite_publish(struct sqlite_db *db, const struct db_changes *changes);

#endif
