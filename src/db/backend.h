// SPDX-License-Identifier: AGPL-3.0-or-later
// What a database must bring to stand behind db.h: a table of functions and what db.c shares among
// all of them. A backend embeds the structs below as the first members of its own.
//
// db.c has checked before it calls: db_exec comes only inside a transaction, migrations are applied
// by db.c through `write`. Texts that are made while the program runs come as statements too
// (texts.c): a backend knows them by their address until `forget`.
//
// A backend gives each transaction a session with in_txn set and its `changes` emptied, forgets
// them when the transaction is undone or runs again, and hands them to db_publish once it is
// durable.
#ifndef DB_BACKEND_H
#define DB_BACKEND_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/buf.h"
#include "db/db.h"

struct db_backend;
struct db_texts;
struct db_text;
struct db_delivery;

// ---- What transactions change (changes.c) ----

struct db_change {
    enum db_topic topic;
    uint64_t hash; // of the key
    char key[DB_KEY_MAX + 1];
};

// Topics and the rows of them, each once, in the order of their first change. A topic of which too
// many rows are named has none: any row of it may have changed. An empty one is all zeros.
struct db_changes {
    unsigned topics;  // all that changed: bits 1 << enum db_topic
    unsigned unnamed; // those of them of which any row may have changed; no row of them is listed
    struct db_change *rows;
    size_t count, capacity;
};

#define DB_TOPICS_ALL ((1u << DB_TOPIC_COUNT) - 1)

// `key` NULL: any row.
void db_changes_add(struct db_changes *changes, enum db_topic topic, const char *key);
void db_changes_add_all(struct db_changes *changes, const struct db_changes *more);
void db_changes_clear(struct db_changes *changes); // keeps the memory
void db_changes_dispose(struct db_changes *changes);

// ---- What a backend embeds ----

struct db_notices {
    pthread_mutex_t lock;
    struct db_delivery *first; // one for each subscription
    bool watched;
    uint64_t own[DB_TOPIC_COUNT];    // how often this db has moved each number
    uint64_t others[DB_TOPIC_COUNT]; // how often others had, when last looked at
};

struct db {
    const struct db_backend *backend;
    int version;
    // DB_TOPIC_COUNT numbers, in memory that all who must see them share. Set by `open`.
    _Atomic uint64_t *epochs;
    _Atomic bool deaf; // what others change is not heard of: no number stands still
    _Atomic uint64_t reads, writes, commits, errors, queue, sessions;
    struct db_notices notices;
};

struct db_session {
    struct db *db;
    bool in_txn;
    struct db_changes changes; // of this transaction
    struct db_texts *texts;
    db_wait_fn *wait; // NULL: the thread blocks
    void *wait_ctx;
};

struct db_rows {
    struct db_session *session;
    struct db_text *text; // db.c's; NULL when `query` returns
};

// `open` and `session_open` begin, `close` and `session_close` end with these; so do sessions that
// a backend keeps for itself.
void db_init(struct db *db, const struct db_backend *backend);
void db_dispose(struct db *db);
void db_session_init(struct db_session *session, struct db *db);
void db_session_dispose(struct db_session *session);

// Appends a text as it is kept where only text is: anything else in it becomes U+FFFD.
void db_text_append(struct buf *out, const char *text, size_t size);

struct db_migration {
    const char *name; // of its file, without the ending; the first is number 1
    const char *sql;  // statements, any number
};

struct db_backend {
    const char *scheme;       // what an URL begins with, before the colon
    const char *scheme_short; // another word for it, or NULL
    bool remote;              // statements wait for a network
    const struct db_migration *migrations;
    const size_t *migrations_count;
    // Gives a row when the table $1 exists.
    const struct db_stmt *table_exists;
    // Gives a row once no other process can migrate before this transaction ends; NULL when
    // transactions exclude each other anyway.
    const struct db_stmt *migrations_lock;
    // For copying all of it (copy.h). Rows of table, column, type ('i', 'r', 't', 'b'), place in
    // the primary key from 1 or 0, whether a counter of its own numbers it; in the order of the
    // names.
    const struct db_stmt *columns;
    // Rows of a table and one that it refers to.
    const struct db_stmt *references;
    // The last number that the table $1 has given, as far as it is known; makes it $2. The second
    // is NULL where no column has a counter.
    const struct db_stmt *counter_get, *counter_set;
    // Lets the transaction that reads go on for as long as it takes; NULL where it may anyway.
    const struct db_stmt *read_long;

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
    double (*rows_real)(struct db_rows *rows, int column);
    const char *(*rows_text)(struct db_rows *rows, int column);
    size_t (*rows_size)(struct db_rows *rows, int column);
    void (*rows_close)(struct db_rows *rows);
    int (*exec)(struct db_session *txn, const struct db_stmt *stmt, const struct db_value *args,
                size_t args_count, int64_t *ret_changed, struct err *err);
    // Frees what the session keeps of a statement, if anything: its rows are closed, and its
    // address may come again for another text. NULL when it knows statements by their text.
    void (*forget)(struct db_session *session, const struct db_stmt *stmt);
    // NULL where statements begin and end a transaction that reads.
    int (*read_begin)(struct db_session *session, struct err *err);
    void (*read_end)(struct db_session *session);
    // Runs all statements of a text, for migrations.
    int (*script)(struct db_session *txn, const char *sql, struct err *err);

    // Takes a write into the queue. Where write->loop is NULL, `done` runs on a thread of the
    // backend.
    void (*write)(struct db *db, struct db_write *write);
    // Comes before the first subscription: from now on the backend tells soon of what others
    // change. NULL when it does so anyway.
    void (*watch)(struct db *db);
};

extern const struct db_backend db_backend_sqlite;
extern const struct db_backend db_backend_postgres;

// Relaxed counting for the figures of db_stats.
static inline void db_count(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

// ---- Notices (notices.c) ----

// From any thread, after the transaction is durable: makes the numbers of its topics grow and tells
// the subscribers, in the order of the calls.
void db_publish(struct db *db, const struct db_changes *changes);
// The same when any row of these topics may have changed, or what changed was lost.
void db_publish_unnamed(struct db *db, unsigned topics);
// Where processes share the numbers: tells the subscribers of the topics whose numbers others have
// made grow since the last call.
void db_publish_others(struct db *db);

#endif
