// SPDX-License-Identifier: AGPL-3.0-or-later
// The store in a PostgreSQL database: opening, sessions and their connections.
//
// A session takes a connection when it first needs one and gives it back when it is closed, to a
// few idle ones that others take. So sessions may be short, and what a connection has prepared
// serves all of them. Reading connections cannot write, and their transactions see one state.
//
// Once the server could not be reached, one try a second is made to find out whether it can;
// everybody else fails at once instead of waiting for the network. Only who has just lost a
// connection tries by himself.
//
// The topics' numbers are the process's own; notices keep them in step (postgres_listener.c).
#include <inttypes.h>
#include <stdlib.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/mem.h"
#include "db/migrations.h"
#include "db/postgres_internal.h"

static const char reading[] = "SET default_transaction_isolation = 'repeatable read';"
                              "SET default_transaction_read_only = on";
static const char writing_too[] = "SET default_transaction_isolation = 'serializable'";

static struct postgres_db *db_of(struct db *db)
{
    return CONTAINER(db, struct postgres_db, base);
}

// ---- Connections ----

// Whoever comes first once the pause is over is the one that tries.
static bool may_try(struct postgres_db *db)
{
    uint64_t refused_us = atomic_load(&db->refused_us), now = clock_monotonic_us();
    return !refused_us || (now - refused_us >= LIMIT_DB_CONNECT_PAUSE_MS * 1000ull &&
                           atomic_compare_exchange_strong(&db->refused_us, &refused_us, now));
}

int postgres_reach(struct postgres_db *db, bool writing, bool patient, struct postgres_wait wait,
                   struct postgres_conn **ret_conn, struct err *err)
{
    if (!patient && !may_try(db))
        return err_set(err, ERR_UNAVAILABLE, "The database cannot be reached.");
    int rc = postgres_connect(db->url, writing ? writing_too : reading, wait, ret_conn, err);
    atomic_store(&db->refused_us, rc == -ERR_UNAVAILABLE ? clock_monotonic_us() : 0);
    if (rc)
        db_count(&db->base.errors, 1);
    return rc;
}

static struct postgres_conn *take_idle(struct postgres_db *db)
{
    pthread_mutex_lock(&db->lock);
    struct postgres_conn *conn = db->idle;
    if (conn) {
        db->idle = conn->next;
        db->idle_count--;
    }
    pthread_mutex_unlock(&db->lock);
    return conn;
}

// The one given back last is taken first, so that the others' time at the server may pass.
static bool give_idle(struct postgres_db *db, struct postgres_conn *conn)
{
    pthread_mutex_lock(&db->lock);
    bool room = db->idle_count < LIMIT_DB_IDLE;
    if (room) {
        conn->next = db->idle;
        db->idle = conn;
        db->idle_count++;
    }
    pthread_mutex_unlock(&db->lock);
    return room;
}

// ---- Sessions ----

static int session_open(struct db *base, struct db_session **ret_session, struct err *err UNUSED)
{
    struct postgres_db *db = db_of(base);
    struct postgres_session *session = mem_zalloc(sizeof *session);
    db_session_init(&session->base, base);
    while ((session->conn = take_idle(db)) && !postgres_conn_alive(session->conn))
        postgres_conn_free(session->conn);
    *ret_session = &session->base;
    return 0;
}

static void session_close(struct db_session *base)
{
    struct postgres_session *session = CONTAINER(base, struct postgres_session, base);
    struct postgres_conn *conn = session->conn;
    assert(!session->in_block && (!conn || !conn->streaming));
    if (conn && (!postgres_conn_alive(conn) || !give_idle(db_of(base->db), conn)))
        postgres_conn_free(conn);
    db_session_dispose(base);
    free(session);
}

// ---- Opening ----

// The message could repeat what it cannot read, a password included.
static int check_url(const char *url, struct err *err)
{
    PQconninfoOption *options = PQconninfoParse(url, NULL);
    PQconninfoFree(options);
    return options ? 0
                   : err_set(err, ERR_INVALID,
                             "The database's URL cannot be read; expected "
                             "postgresql://USER@HOST/NAME.");
}

// Only a new database, or one with our tables.
static int check_is_ours(struct postgres_conn *conn, struct err *err)
{
    static const char sql[] = "SELECT count(*) > 0 AND NOT bool_or(tablename = 'schema_migrations')"
                              " FROM pg_tables WHERE schemaname = current_schema()";
    auto_result PGresult *result = NULL;
    int rc = postgres_run(conn, sql, postgres_deadline(), &result, err);
    if (!rc && PQgetvalue(result, 0, 0)[0] == 't')
        rc = err_set(err, ERR_INVALID, "%s is a database of another program.", PQdb(conn->pg));
    return rc;
}

static void make_origin(struct postgres_db *db)
{
    uint64_t number;
    ssize_t size = getrandom(&number, sizeof number, 0);
    assert(size == sizeof number);
    snprintf(db->origin, sizeof db->origin, "%016" PRIx64, number);
}

static void postgres_close(struct db *base)
{
    struct postgres_db *db = db_of(base);
    postgres_writers_stop(db);
    postgres_listener_stop(db);
    for (struct postgres_conn *conn; (conn = take_idle(db));)
        postgres_conn_free(conn);
    pthread_mutex_destroy(&db->lock);
    db_dispose(base);
    free(db->url);
    free(db);
}

static int postgres_open(const char *location, struct db **ret_db, struct err *err)
{
    struct postgres_db *db = mem_zalloc(sizeof *db);
    auto_db struct db *base = &db->base;
    db_init(base, &db_backend_postgres);
    base->epochs = db->numbers;
    db->url = mem_printf("postgresql:%s", location);
    pthread_mutex_init(&db->lock, NULL);
    make_origin(db);
    postgres_writers_init(db);
    int rc = check_url(db->url, err);
    if (!rc)
        rc = postgres_reach(db, false, true, (struct postgres_wait){0}, &db->listener.conn, err);
    if (!rc)
        rc = check_is_ours(db->listener.conn, err);
    if (!rc)
        rc = postgres_listener_start(db, err);
    if (rc)
        return rc;
    *ret_db = TAKE_PTR(base);
    return 0;
}

static const struct db_stmt table_exists = {
    "SELECT 1 FROM pg_tables WHERE schemaname = current_schema() AND tablename = $1"};
static const struct db_stmt migrations_lock = {
    "SELECT 1 FROM (SELECT pg_advisory_xact_lock(4871150611)) AS locked"};

static const struct db_stmt columns = {
    "SELECT c.relname::text, a.attname::text, CASE format_type(a.atttypid, NULL)"
    " WHEN 'bytea' THEN 'b' WHEN 'double precision' THEN 'r' WHEN 'text' THEN 't' ELSE 'i' END,"
    " coalesce(array_position(i.indkey::int2[], a.attnum) + 1, 0)::bigint,"
    " (a.attidentity <> '')::int::bigint FROM pg_class c"
    " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"
    " LEFT JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary"
    " WHERE c.relkind = 'r' AND c.relnamespace = to_regnamespace(current_schema()::text)"
    " AND c.relname <> 'schema_migrations'"
    " ORDER BY c.relname::text COLLATE \"C\", a.attname::text COLLATE \"C\""};
static const struct db_stmt references = {
    "SELECT f.relname::text, t.relname::text FROM pg_constraint c"
    " JOIN pg_class f ON f.oid = c.conrelid JOIN pg_class t ON t.oid = c.confrelid"
    " WHERE c.contype = 'f' AND c.connamespace = to_regnamespace(current_schema()::text)"};
static const struct db_stmt counter_get = {
    "SELECT coalesce(pg_sequence_last_value(pg_get_serial_sequence($1::text, 'id')::regclass), 0)"};
static const struct db_stmt counter_set = {
    "SELECT setval(pg_get_serial_sequence($1::text, 'id')::regclass, $2::bigint)"};
static const struct db_stmt read_long = {
    "SELECT set_config('idle_in_transaction_session_timeout', '0', true)"};

const struct db_backend db_backend_postgres = {
    .scheme = "postgresql",
    .scheme_short = "postgres",
    .remote = true,
    .migrations = db_migrations_postgresql,
    .migrations_count = &db_migrations_postgresql_count,
    .table_exists = &table_exists,
    .migrations_lock = &migrations_lock,
    .columns = &columns,
    .references = &references,
    .counter_get = &counter_get,
    .counter_set = &counter_set,
    .read_long = &read_long,
    .open = postgres_open,
    .close = postgres_close,
    .session_open = session_open,
    .session_close = session_close,
    .query = postgres_query,
    .rows_next = postgres_rows_next,
    .rows_null = postgres_rows_null,
    .rows_int = postgres_rows_int,
    .rows_real = postgres_rows_real,
    .rows_text = postgres_rows_text,
    .rows_size = postgres_rows_size,
    .rows_close = postgres_rows_close,
    .exec = postgres_exec,
    .read_begin = postgres_read_begin,
    .read_end = postgres_read_end,
    .script = postgres_script,
    .write = postgres_write,
};
