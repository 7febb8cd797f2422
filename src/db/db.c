// SPDX-License-Identifier: AGPL-3.0-or-later
#include "db/db.h"

#include <pthread.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "db/backend.h"
#include "db/copy.h"
#include "db/query.h"
#include "db/texts.h"

_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "epochs are shared between processes");

struct db_value db_text(const char *s)
{
    return s ? DB_TEXTN(s, strlen(s)) : DB_NULL;
}

void db_text_append(struct buf *out, const char *text, size_t size)
{
    static const char replacement[] = "\xef\xbf\xbd";
    if (utf8_valid(text, size) && !memchr(text, '\0', size)) {
        buf_append(out, text, size);
        return;
    }
    for (size_t i = 0; i <= size;) {
        const char *nul = memchr(text + i, '\0', size - i);
        size_t end = nul ? (size_t)(nul - text) : size;
        utf8_append_lossy(out, text + i, end - i);
        if (nul)
            buf_append(out, replacement, sizeof replacement - 1);
        i = end + 1;
    }
}

// ---- Migrations ----

static const struct db_stmt create_migrations = {
    "CREATE TABLE IF NOT EXISTS schema_migrations"
    " (number INTEGER PRIMARY KEY, name TEXT NOT NULL, applied BIGINT NOT NULL)"};
static const struct db_stmt select_version = {"SELECT max(number) FROM schema_migrations"};
static const struct db_stmt insert_migration = {
    "INSERT INTO schema_migrations (number, name, applied) VALUES ($1, $2, $3)"};

static int check_version(const struct db *db, int64_t version, struct err *err)
{
    int64_t newest = (int64_t)*db->backend->migrations_count;
    if (version <= newest)
        return 0;
    return err_set(err, ERR_CONFLICT,
                   "The database is of version %lld, but this program knows versions up to %lld "
                   "only. Use the newer program.",
                   (long long)version, (long long)newest);
}

static int read_version(struct db *db, int64_t *ret_version, struct err *err)
{
    auto_session struct db_session *session = NULL;
    int rc = db_session_open(db, &session, err);
    if (rc)
        return rc;
    int64_t exist = 0, version = 0;
    rc = db_query_int(session, db->backend->table_exists, DB_ARGS(DB_TEXT("schema_migrations")),
                      &exist, err);
    if (rc)
        return rc;
    if (exist)
        rc = db_query_int(session, &select_version, DB_NO_ARGS, &version, err);
    if (rc)
        return rc;
    *ret_version = version;
    return 0;
}

static int apply(struct db_session *txn, int64_t number, struct err *err)
{
    const struct db_backend *backend = txn->db->backend;
    const struct db_migration *migration = &backend->migrations[number - 1];
    int rc = backend->script(txn, migration->sql, err);
    if (rc)
        return rc;
    return db_exec(txn, &insert_migration,
                   DB_ARGS(DB_INT(number), DB_TEXT(migration->name), DB_INT(clock_now_ms())), NULL,
                   err);
}

// Applies the next migration, unless another process was faster.
static int apply_next(struct db_session *txn, void *arg, struct err *err)
{
    int64_t *ret_version = arg, version = 0, locked;
    const struct db_backend *backend = txn->db->backend;
    int rc = backend->migrations_lock
                 ? db_query_int(txn, backend->migrations_lock, DB_NO_ARGS, &locked, err)
                 : 0;
    if (!rc)
        rc = db_exec(txn, &create_migrations, DB_NO_ARGS, NULL, err);
    if (!rc)
        rc = db_query_int(txn, &select_version, DB_NO_ARGS, &version, err);
    if (!rc)
        rc = check_version(txn->db, version, err);
    if (!rc && (size_t)version < *backend->migrations_count)
        rc = apply(txn, ++version, err);
    if (!rc)
        *ret_version = version;
    return rc;
}

// Before anything is changed: db_copy goes on only with what it has left.
static int check_whole(struct db *db, struct err *err)
{
    auto_session struct db_session *session = NULL;
    int64_t copying = 0;
    int rc = db_session_open(db, &session, err);
    if (!rc)
        rc = db_query_int(session, db->backend->table_exists, DB_ARGS(DB_TEXT(DB_COPY_NOTE)),
                          &copying, err);
    if (rc || !copying)
        return rc;
    return err_set(err, ERR_CONFLICT,
                   "The database is a copy that is not finished. Run cohub migrate again, until it "
                   "has ended without an error.");
}

static int migrate(struct db *db, struct err *err)
{
    int64_t version;
    int rc = read_version(db, &version, err);
    if (!rc)
        rc = check_version(db, version, err);
    while (!rc && (size_t)version < *db->backend->migrations_count)
        rc = db_write(db, apply_next, &version, err);
    if (rc)
        return rc;
    db->version = (int)version;
    return 0;
}

// ---- Opening ----

static const struct db_backend *const backends[] = {&db_backend_sqlite, &db_backend_postgres};

static void check_backend(const struct db_backend *b)
{
    assert(b->open && b->close && b->session_open && b->session_close && b->query && b->rows_next &&
           b->rows_null && b->rows_int && b->rows_real && b->rows_text && b->rows_size &&
           b->rows_close && b->exec && b->script && b->write && b->table_exists &&
           *b->migrations_count && !b->read_begin == !b->read_end);
}

static const char *match_scheme(const char *url, const char *scheme)
{
    size_t size = scheme ? strlen(scheme) : 0;
    return size && !strncmp(url, scheme, size) && url[size] == ':' ? url + size + 1 : NULL;
}

static const struct db_backend *find_backend(const char *url, const char **ret_location)
{
    for (size_t i = 0; i < ARRAY_LEN(backends); i++) {
        const char *location = match_scheme(url, backends[i]->scheme);
        if (!location)
            location = match_scheme(url, backends[i]->scheme_short);
        if (location) {
            *ret_location = location;
            return backends[i];
        }
    }
    return NULL;
}

static int open_any(const char *url, bool whole, struct db **ret_db, struct err *err)
{
    const char *location;
    const struct db_backend *backend = find_backend(url, &location);
    if (!backend)
        return err_set(err, ERR_INVALID,
                       "Unknown kind of database; expected sqlite:PATH or "
                       "postgresql://USER@HOST/NAME.");
    check_backend(backend);
    auto_db struct db *db = NULL;
    int rc = backend->open(location, &db, err);
    if (!rc && whole)
        rc = check_whole(db, err);
    if (!rc)
        rc = migrate(db, err);
    if (rc)
        return rc;
    *ret_db = TAKE_PTR(db);
    return 0;
}

int db_open(const char *url, struct db **ret_db, struct err *err)
{
    return open_any(url, true, ret_db, err);
}

int db_open_target(const char *url, struct db **ret_db, struct err *err)
{
    return open_any(url, false, ret_db, err);
}

void db_close(struct db *db)
{
    if (!db)
        return;
    assert(!atomic_load(&db->sessions));
    db->backend->close(db);
}

void db_close_ptr(struct db **db)
{
    db_close(*db);
}

int db_session_open(struct db *db, struct db_session **ret_session, struct err *err)
{
    struct db_session *session;
    int rc = db->backend->session_open(db, &session, err);
    if (rc)
        return rc;
    atomic_fetch_add(&db->sessions, 1);
    *ret_session = session;
    return 0;
}

void db_session_close(struct db_session *session)
{
    if (!session)
        return;
    atomic_fetch_sub(&session->db->sessions, 1);
    session->db->backend->session_close(session);
}

void db_session_close_ptr(struct db_session **session)
{
    db_session_close(*session);
}

int db_version(const struct db *db)
{
    return db->version;
}

bool db_is_remote(const struct db *db)
{
    return db->backend->remote;
}

void db_session_set_wait(struct db_session *session, db_wait_fn *wait, void *ctx)
{
    session->wait = wait;
    session->wait_ctx = ctx;
}

void db_init(struct db *db, const struct db_backend *backend)
{
    db->backend = backend;
    pthread_mutex_init(&db->notices.lock, NULL);
}

void db_dispose(struct db *db)
{
    assert(!db->notices.first);
    pthread_mutex_destroy(&db->notices.lock);
}

void db_session_init(struct db_session *session, struct db *db)
{
    *session = (struct db_session){.db = db};
}

void db_session_dispose(struct db_session *session)
{
    db_changes_dispose(&session->changes);
    db_texts_free(session->texts);
}

// ---- Statements ----

int db_query(struct db_session *session, const struct db_stmt *stmt, const struct db_value *args,
             size_t args_count, struct db_rows **ret_rows, struct err *err)
{
    db_count(&session->db->reads, 1);
    return session->db->backend->query(session, stmt, args, args_count, ret_rows, err);
}

int db_query_text(struct db_session *session, const char *sql, const struct db_value *args,
                  size_t args_count, struct db_rows **ret_rows, struct err *err)
{
    struct db_text *text;
    struct db_rows *rows;
    int rc = db_text_get(session, sql, &text, err);
    if (!rc)
        rc = db_query(session, &text->stmt, args, args_count, &rows, err);
    if (rc)
        return rc;
    rows->text = text;
    text->open = true;
    *ret_rows = rows;
    return 0;
}

int db_rows_next(struct db_rows *rows, struct err *err)
{
    return rows->session->db->backend->rows_next(rows, err);
}

bool db_rows_null(struct db_rows *rows, int column)
{
    return rows->session->db->backend->rows_null(rows, column);
}

int64_t db_rows_int(struct db_rows *rows, int column)
{
    return rows->session->db->backend->rows_int(rows, column);
}

double db_rows_real(struct db_rows *rows, int column)
{
    return rows->session->db->backend->rows_real(rows, column);
}

const char *db_rows_text(struct db_rows *rows, int column)
{
    return rows->session->db->backend->rows_text(rows, column);
}

size_t db_rows_size(struct db_rows *rows, int column)
{
    return rows->session->db->backend->rows_size(rows, column);
}

void db_rows_close(struct db_rows *rows)
{
    if (!rows)
        return;
    if (rows->text)
        TAKE_PTR(rows->text)->open = false;
    rows->session->db->backend->rows_close(rows);
}

void db_rows_close_ptr(struct db_rows **rows)
{
    db_rows_close(*rows);
}

static int run_bare(struct db_session *session, const struct db_stmt *stmt, struct err *err)
{
    auto_rows struct db_rows *rows = NULL;
    int rc = session->db->backend->query(session, stmt, DB_NO_ARGS, &rows, err);
    return rc ? rc : session->db->backend->rows_next(rows, err);
}

int db_read_begin(struct db_session *session, struct err *err)
{
    static const struct db_stmt begin = {"BEGIN"};
    if (session->db->backend->read_begin)
        return session->db->backend->read_begin(session, err);
    return run_bare(session, &begin, err);
}

void db_read_end(struct db_session *session)
{
    static const struct db_stmt commit = {"COMMIT"};
    struct err err;
    if (session->db->backend->read_end)
        session->db->backend->read_end(session);
    else if (run_bare(session, &commit, &err))
        log_err(LOG_WARNING, "read_end_failed", &err);
}

int db_exec(struct db_session *session, const struct db_stmt *stmt, const struct db_value *args,
            size_t args_count, int64_t *ret_changed, struct err *err)
{
    if (!session->in_txn)
        return err_internal(err, "outside a transaction: %s", stmt->sql);
    return session->db->backend->exec(session, stmt, args, args_count, ret_changed, err);
}

int db_exec_text(struct db_session *session, const char *sql, const struct db_value *args,
                 size_t args_count, int64_t *ret_changed, struct err *err)
{
    struct db_text *text;
    int rc = db_text_get(session, sql, &text, err);
    return rc ? rc : db_exec(session, &text->stmt, args, args_count, ret_changed, err);
}

// ---- Writing ----

struct waiter {
    struct db_write write;
    pthread_mutex_t lock;
    pthread_cond_t woken;
    bool finished;
};

static void wake_waiter(struct db_write *write)
{
    struct waiter *waiter = CONTAINER(write, struct waiter, write);
    pthread_mutex_lock(&waiter->lock);
    waiter->finished = true;
    pthread_cond_signal(&waiter->woken);
    pthread_mutex_unlock(&waiter->lock);
}

static int write_and_wait(struct db *db, struct db_write write, struct err *err)
{
    struct waiter waiter = {
        .write = write, .lock = PTHREAD_MUTEX_INITIALIZER, .woken = PTHREAD_COND_INITIALIZER};
    waiter.write.done = wake_waiter;
    db->backend->write(db, &waiter.write);
    pthread_mutex_lock(&waiter.lock);
    while (!waiter.finished)
        pthread_cond_wait(&waiter.woken, &waiter.lock);
    pthread_mutex_unlock(&waiter.lock);
    pthread_cond_destroy(&waiter.woken);
    pthread_mutex_destroy(&waiter.lock);
    if (waiter.write.rc && err)
        *err = waiter.write.err;
    return waiter.write.rc;
}

int db_write(struct db *db, db_txn_fn *fn, void *arg, struct err *err)
{
    return db_write_in_turn(db, 0, fn, arg, err);
}

int db_write_in_turn(struct db *db, uint64_t turn, db_txn_fn *fn, void *arg, struct err *err)
{
    return write_and_wait(db, (struct db_write){.fn = fn, .arg = arg, .turn = turn}, err);
}

static int write_nothing(struct db_session *txn UNUSED, void *arg UNUSED, struct err *err UNUSED)
{
    return 0;
}

int db_write_settle(struct db *db, struct err *err)
{
    return write_and_wait(db, (struct db_write){.fn = write_nothing, .in_order = true}, err);
}

void db_write_async(struct db *db, struct db_write *write)
{
    assert(write->loop && write->fn && write->done);
    write->err = (struct err){0};
    db->backend->write(db, write);
}

// ---- Change notices ----

void db_notify(struct db_session *txn, enum db_topic topic)
{
    assert(txn->in_txn);
    db_changes_add(&txn->changes, topic, NULL);
}

void db_notify_row(struct db_session *txn, enum db_topic topic, const char *key)
{
    assert(txn->in_txn);
    db_changes_add(&txn->changes, topic, key);
}

uint64_t db_epoch(const struct db *db, enum db_topic topic)
{
    if (atomic_load_explicit(&db->deaf, memory_order_acquire))
        return atomic_fetch_add(&db->epochs[topic], 1) + 1;
    return atomic_load_explicit(&db->epochs[topic], memory_order_acquire);
}

// ---- Figures ----

static uint64_t figure(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

struct db_stats db_stats_get(const struct db *db)
{
    return (struct db_stats){.reads = figure(&db->reads),
                             .writes = figure(&db->writes),
                             .commits = figure(&db->commits),
                             .errors = figure(&db->errors),
                             .queue = figure(&db->queue)};
}
