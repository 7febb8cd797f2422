// SPDX-License-Identifier: AGPL-3.0-or-later
// What a database must bring to stand behind db.h: a table of functions and what db.c shares among
// all of them. A backend embeds the structs below as the first members of its own.
//
// db.c has checked before it calls: db_exec comes only inside a transaction, migrations are applied
// by db.c through `write`, topics are published by the backend with db_publish once a transaction
// that named them is durable.
#ifndef DB_BACKEND_H
#define DB_BACKEND_H

#include <stdatomic.h>

#include "db/db.h"

struct db_backend;

struct db {
    const struct db_backend *backend;
    int version;
    // DB_TOPIC_COUNT numbers, in memory that all who must see them share. Set by `open`.
    _Atomic uint64_t *epochs;
    _Atomic uint64_t reads, writes, commits, errors, queue, sessions;
};

struct db_session {
    struct db *db;
    bool in_txn;
    unsigned topics; // named by this transaction: bits 1 << enum db_topic
};

struct db_rows {
    struct db_session *session;
};

struct db_migration {
    const char *name; // of its file, without the ending; the first is number 1
    const char *sql;  // statements, any number
};

struct db_backend {
    const char *scheme; // what an URL begins with, before the colon
    const struct db_migration *migrations;
    const size_t *migrations_count;
    // Gives a row when the table schema_migrations exists.
    const struct db_stmt *migrations_exist;
    // Gives a row once no other process can migrate before this transaction ends; NULL when
    // transactions exclude each other anyway.
    const struct db_stmt *migrations_lock;

    int (*open)(const char *location, struct db **ret_db, struct err *err);
    void (*close)(struct db *db);
    int (*session_open)(struct db *db, struct db_session **ret_session, struct err *err);
    void (*session_close)(struct db_session *session);

    int (*query)(struct db_session *session, const struct db_stmt *stmt,
                 const struct db_value *args, size_t args_count, struct db_rows **ret_rows,
                 struct err *err);
    int (*rows_next)(struct db_rows *rows, struct err *err);
    bool (*rows_null)(struct db_rows *rows, int column);
    int64_t (*rows_int)(struct db_rows *rows, int column);
    const char *(*rows_text)(struct db_rows *rows, int column);
    size_t (*rows_size)(struct db_rows *rows, int column);
    void (*rows_close)(struct db_rows *rows);
    int (*exec)(struct db_session *txn, const struct db_stmt *stmt, const struct db_value *args,
                size_t args_count, int64_t *ret_changed, struct err *err);
    // Runs all statements of a text, for migrations.
    int (*script)(struct db_session *txn, const char *sql, struct err *err);

    // Takes a write into the queue. Where write->loop is NULL, `done` runs on a thread of the
    // backend.
    void (*write)(struct db *db, struct db_write *write);
};

extern const struct db_backend db_backend_sqlite;

// Relaxed counting for the figures of db_stats.
static inline void db_count(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

// Makes the numbers of these topics grow: after the transaction that named them is durable.
void db_publish(struct db *db, unsigned topics);

#endif
