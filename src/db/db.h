// SPDX-License-Identifier: AGPL-3.0-or-later
// The store: one small interface over the databases.
//
// A `db` is opened once and shared by all threads. Reading goes through a `db_session`, which
// belongs to one thread at a time. Writing goes through transactions: a function that runs with a
// session of its own and is committed as a whole. On SQLite one writer thread runs them and commits
// many together (group commit): each has a savepoint of its own, so that one that fails leaves the
// others whole, and none is told that it succeeded before the database has it on disk.
//
// SQL is constant text with $1, $2, … and is the same for all databases unless a statement says
// otherwise. UUIDs are text, times are integer milliseconds UTC, booleans are the integers 0 and 1,
// JSON is text.
#ifndef DB_DB_H
#define DB_DB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "loop/loop.h"

struct db;
struct db_session;
struct db_rows;
struct db_delivery;

// ---- Opening ----

// Opens the database at `url` ("sqlite:PATH"; a relative path stays relative to the working
// directory, and is never made absolute, so that a process without rights on the folders above can
// use it), creates it with mode 0600 if there is none, and applies the migrations that it lacks,
// each in a transaction. ERR_CONFLICT if the database is newer than this program, or a copy that is
// not finished (db/copy.h); ERR_INVALID for an unknown kind of URL.
int db_open(const char *url, struct db **ret_db, struct err *err) MUST_USE;
// Waits for queued writes, then closes. All sessions are closed before.
void db_close(struct db *db);
void db_close_ptr(struct db **db);
#define auto_db CLEANUP(db_close_ptr)

int db_session_open(struct db *db, struct db_session **ret_session, struct err *err) MUST_USE;
void db_session_close(struct db_session *session);
void db_session_close_ptr(struct db_session **session);
#define auto_session CLEANUP(db_session_close_ptr)

// The number of the newest migration applied.
int db_version(const struct db *db);
// Whether statements wait for a network. Then a session of an event loop gets a `wait` (below).
bool db_is_remote(const struct db *db);

// What a session does while it waits for its database: returns 0 when the descriptor is ready for
// `events` (POLLIN, POLLOUT), or -ERR_TIMEOUT at the deadline (of clock_monotonic_us, 0: none).
// Without one it blocks its thread. This is how an event loop goes on meanwhile (loop/fiber.h).
typedef int db_wait_fn(void *ctx, int fd, short events, uint64_t deadline_us);
void db_session_set_wait(struct db_session *session, db_wait_fn *wait, void *ctx);

// ---- Statements ----

// A constant, one for each use, with static storage: sessions keep what they prepared by its
// address.
struct db_stmt {
    const char *sql;
};

enum db_type { DB_TYPE_NULL, DB_TYPE_INT, DB_TYPE_REAL, DB_TYPE_TEXT, DB_TYPE_BYTES };

struct db_value {
    enum db_type type;
    int64_t integer;
    double real;
    const char *text; // need not end in NUL; also of bytes
    size_t size;
};

#define DB_NULL        ((struct db_value){.type = DB_TYPE_NULL})
#define DB_INT(v)      ((struct db_value){.type = DB_TYPE_INT, .integer = (int64_t)(v)})
#define DB_REAL(v)     ((struct db_value){.type = DB_TYPE_REAL, .real = (v)})
#define DB_BYTES(s, n) ((struct db_value){.type = DB_TYPE_BYTES, .text = (s), .size = (n)})
#define DB_TEXTN(s, n) ((struct db_value){.type = DB_TYPE_TEXT, .text = (s), .size = (n)})
// A string; a NULL pointer becomes SQL's NULL.
struct db_value db_text(const char *s);
#define DB_TEXT(s) db_text(s)

// Of one statement.
#define DB_ARGS_MAX 1000

#define DB_ARGS(...)                                                                               \
    (const struct db_value[]){__VA_ARGS__},                                                        \
        sizeof((const struct db_value[]){__VA_ARGS__}) / sizeof(struct db_value)
#define DB_NO_ARGS NULL, 0

// Runs a statement that gives rows. The arguments are used only during the call, the rows are read
// one at a time with db_rows_next and must be closed before the same statement runs again in this
// session.
int db_query(struct db_session *session, const struct db_stmt *stmt, const struct db_value *args,
             size_t args_count, struct db_rows **ret_rows, struct err *err) MUST_USE;
// The same with a text that is made while the program runs, of names that the program knows: never
// of what a caller sent. The session keeps the last DB_TEXTS_MAX of them prepared. Other than a
// constant, a text may run again while its rows are open; but no more than DB_TEXTS_MAX at once.
int db_query_text(struct db_session *session, const char *sql, const struct db_value *args,
                  size_t args_count, struct db_rows **ret_rows, struct err *err) MUST_USE;
#define DB_TEXTS_MAX 64
// 1: there is a row; 0: there are no more; negative: an error.
int db_rows_next(struct db_rows *rows, struct err *err) MUST_USE;
bool db_rows_null(struct db_rows *rows, int column);
int64_t db_rows_int(struct db_rows *rows, int column); // 0 for NULL
double db_rows_real(struct db_rows *rows, int column); // 0 for NULL; of an integer its value
const char *db_rows_text(struct db_rows *rows,
                         int column);                  // NULL for NULL; borrowed until the next row
size_t db_rows_size(struct db_rows *rows, int column); // bytes of the text, or of the bytes
void db_rows_close(struct db_rows *rows);
void db_rows_close_ptr(struct db_rows **rows);
#define auto_rows CLEANUP(db_rows_close_ptr)

// Lets several reads see one state of the database, for less than they cost one by one. Every begin
// that succeeds has its end.
int db_read_begin(struct db_session *session, struct err *err) MUST_USE;
void db_read_end(struct db_session *session);

// Runs a statement that changes rows. *ret_changed (may be NULL) is how many. ERR_CONFLICT when a
// unique key or another constraint refuses it, ERR_NO_SPACE when the disk is full. Only inside a
// transaction.
int db_exec(struct db_session *session, const struct db_stmt *stmt, const struct db_value *args,
            size_t args_count, int64_t *ret_changed, struct err *err) MUST_USE;
// As db_query_text.
int db_exec_text(struct db_session *session, const char *sql, const struct db_value *args,
                 size_t args_count, int64_t *ret_changed, struct err *err) MUST_USE;

// ---- Transactions ----

// Runs inside a transaction. Returns 0 to have it committed, negative to have it undone. May run
// again from the start when the database asks for it, so it changes nothing but the database and
// its own results. Does not block on anything else.
typedef int db_txn_fn(struct db_session *txn, void *arg, struct err *err);

// Runs fn in a transaction and waits until it is durable. Not from an event loop.
int db_write(struct db *db, db_txn_fn *fn, void *arg, struct err *err) MUST_USE;
// The same one at a time of those with the same `turn`, of all processes (0: as db_write). For what
// takes long over a row before it changes it: at once they would undo one another, again and again.
int db_write_in_turn(struct db *db, uint64_t turn, db_txn_fn *fn, void *arg,
                     struct err *err) MUST_USE;

// The same without waiting: `done` runs on the thread of `loop`, with rc and err set. The caller
// keeps it alive until then.
struct db_write {
    struct loop *loop;
    db_txn_fn *fn;
    void *arg;
    void (*done)(struct db_write *write);
    // Whether it comes after all those with this set that were given before it. Others may be
    // carried out at the same time and in any order.
    bool in_order;
    uint64_t turn; // as of db_write_in_turn
    int rc;
    struct err err;
    struct loop_message message; // the store's
    struct db_write *next;       // the store's
};
void db_write_async(struct db *db, struct db_write *write);
// Waits until all writes with `in_order` that were given before are carried out. Not from an event
// loop.
int db_write_settle(struct db *db, struct err *err) MUST_USE;

// ---- Change notices ----

// Every process that uses the database sees a topic's number grow soon after a transaction that
// named the topic is durable (at once on one machine), and at every look while it cannot hear of
// them. Reading it costs nothing, so caches compare it at every use.
enum db_topic {
    DB_TOPIC_ACCOUNTS, // keys, banning, rights of accounts
    DB_TOPIC_SETTINGS,
    DB_TOPIC_PROJECTS, // rows of projects and their users; the key is the project
    DB_TOPIC_COPIES,   // rows of copies; the key is the copy
    DB_TOPIC_COUNT
};
void db_notify(struct db_session *txn, enum db_topic topic); // inside a transaction
uint64_t db_epoch(const struct db *db, enum db_topic topic);

// The same, and names the row: `key` is an id of at most DB_KEY_MAX bytes.
void db_notify_row(struct db_session *txn, enum db_topic topic, const char *key);
#define DB_KEY_MAX 64

// Who wants to know of rows that changed. `changed` runs on the thread of `loop`, once for every
// row that a transaction named, in this process or (on PostgreSQL) in any other, soon after it is
// durable: on SQLite in the order of the commits, on PostgreSQL in nearly this. A row that changed
// several times since may come once. A NULL key: any row of the topic may have changed, because it
// was not named, too many were, notices were lost, or (on SQLite) another process changed them.
struct db_subscription {
    struct loop *loop;
    enum db_topic topic;
    void (*changed)(struct db_subscription *subscription, const char *key);
    void *ctx;
    struct db_delivery *delivery; // the store's
};
// The caller keeps it alive until db_unsubscribe, which is called on the thread of `loop`, also
// from `changed`; no notice comes after that.
void db_subscribe(struct db *db, struct db_subscription *subscription);
void db_unsubscribe(struct db *db, struct db_subscription *subscription);

// ---- Figures for the metrics page ----

struct db_stats {
    uint64_t reads, writes, commits, errors;
    uint64_t queue; // writes that wait now
};
struct db_stats db_stats_get(const struct db *db);

#endif
