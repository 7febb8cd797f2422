// SPDX-License-Identifier: AGPL-3.0-or-later
// What is particular to the store in PostgreSQL: the server goes away and comes back, transactions
// get into each other's way, notices between processes. Each test has a schema of its own.
#include "db/db.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>
#include <libpq-fe.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/mem.h"

#define PATIENCE_MS 60000

struct fixture {
    char schema[16];
    char *url;
    struct db *db;
    struct db_session *session;
};

// ---- The server ----

// `c` the server crashes, `s` it stops, `g` it starts again (tests/postgres.py).
static void server(const char *letters)
{
    int fd = atoi(getenv("COHUB_TEST_POSTGRES_CONTROL"));
    for (; *letters; letters++) {
        char answer;
        if (write(fd, letters, 1) != 1 || read(fd, &answer, 1) != 1)
            abort();
    }
}

// Runs statements on the server and gives the first value of the last.
static char *run_at(const char *url, const char *sql)
{
    PGconn *pg = PQconnectdb(url);
    PGresult *result = PQexec(pg, sql);
    if (PQresultStatus(result) != PGRES_COMMAND_OK && PQresultStatus(result) != PGRES_TUPLES_OK)
        fail_msg("%s: %s", sql, PQerrorMessage(pg));
    char *value = mem_strdup(PQntuples(result) ? PQgetvalue(result, 0, 0) : "");
    PQclear(result);
    PQfinish(pg);
    return value;
}

static void run_sql(const struct fixture *f, const char *sql)
{
    free(run_at(f->url, sql));
}

static int setup(void **state)
{
    static int number;
    struct err err;
    struct fixture *f = mem_zalloc(sizeof *f);
    snprintf(f->schema, sizeof f->schema, "test%d", ++number);
    f->url = mem_printf("%s&options=-csearch_path%%3D%s", getenv("COHUB_TEST_POSTGRES"), f->schema);
    auto_free char *create = mem_printf("CREATE SCHEMA %s", f->schema);
    run_sql(f, create);
    if (db_open(f->url, &f->db, &err) || db_session_open(f->db, &f->session, &err))
        fail_msg("%s (%s)", err.message, err.detail);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    db_session_close(f->session);
    db_close(f->db);
    free(f->url);
    free(f);
    return 0;
}

// ---- Shorthands ----

static const struct db_stmt insert_setting = {
    "INSERT INTO server_settings (name, value) VALUES ($1, $2)"};
static const struct db_stmt select_setting = {"SELECT value FROM server_settings WHERE name = $1"};

static int put(struct db_session *txn, void *arg, struct err *err)
{
    return db_exec(txn, &insert_setting, DB_ARGS(DB_TEXT(arg), DB_TEXT("v")), NULL, err);
}

static void put_setting(struct db *db, const char *name)
{
    struct err err;
    if (db_write(db, put, (void *)(uintptr_t)name, &err))
        fail_msg("%s (%s)", err.message, err.detail);
}

// 1: it is there; 0: it is not; negative: an error.
static int find_setting(struct db_session *session, const char *name, struct err *err)
{
    auto_rows struct db_rows *rows = NULL;
    int rc = db_query(session, &select_setting, DB_ARGS(DB_TEXT(name)), &rows, err);
    return rc ? rc : db_rows_next(rows, err);
}

static int64_t query_int(struct db_session *session, const char *sql)
{
    struct err err;
    auto_rows struct db_rows *rows = NULL;
    if (db_query_text(session, sql, DB_NO_ARGS, &rows, &err) || db_rows_next(rows, &err) != 1)
        fail_msg("%s (%s)", err.message, err.detail);
    return db_rows_int(rows, 0);
}

// Until it is found: the database may just be starting again.
static void wait_for_setting(struct db_session *session, const char *name)
{
    struct err err;
    int rc = 0;
    uint64_t end_us = clock_monotonic_us() + PATIENCE_MS * 1000ull;
    while ((rc = find_setting(session, name, &err)) != 1 && clock_monotonic_us() < end_us)
        poll(NULL, 0, 10);
    assert_int_equal(rc, 1);
}

// ---- Opening ----

static void password_in_the_url_is_in_no_message(void **state UNUSED)
{
    static const char *const urls[] = {"postgresql://u:hunter2@/x?host=/nonexistent",
                                       "postgresql://u:hunter2@[/x",
                                       "postgresql://u:hunter2@127.0.0.1:1/x"};
    for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
        struct db *db;
        struct err err;
        assert_true(db_open(urls[i], &db, &err) < 0);
        assert_null(strstr(err.message, "hunter2"));
        assert_null(strstr(err.detail, "hunter2"));
    }
}

static void unreadable_url_is_invalid(void **state UNUSED)
{
    struct db *db;
    struct err err;
    assert_int_equal(db_open("postgresql://[", &db, &err), -ERR_INVALID);
    assert_int_equal(db_open("postgres:x", &db, &err), -ERR_INVALID);
}

static void server_that_is_not_there_is_unavailable(void **state UNUSED)
{
    struct db *db;
    struct err err;
    assert_int_equal(db_open("postgresql://u@/x?host=/nonexistent", &db, &err), -ERR_UNAVAILABLE);
    assert_string_equal(err.message, "The database cannot be reached.");
    assert_non_null(strstr(err.detail, "/nonexistent"));
}

static void short_scheme_is_the_same(void **state)
{
    struct fixture *f = *state;
    struct err err;
    auto_free char *url = mem_printf("postgres:%s", strchr(f->url, ':') + 1);
    auto_db struct db *db = NULL;
    assert_int_equal(db_open(url, &db, &err), 0);
    assert_int_equal(db_version(db), db_version(f->db));
}

static void database_of_another_program_is_refused(void **state)
{
    struct fixture *f = *state;
    struct err err;
    struct db *db;
    run_sql(f, "CREATE SCHEMA others; CREATE TABLE others.t (x int)");
    auto_free char *url =
        mem_printf("%s&options=-csearch_path%%3Dothers", getenv("COHUB_TEST_POSTGRES"));
    assert_int_equal(db_open(url, &db, &err), -ERR_INVALID);
    assert_non_null(strstr(err.message, "another program"));
}

static void other_encodings_are_refused(void **state)
{
    struct fixture *f = *state;
    struct err err;
    struct db *db;
    run_sql(f, "CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0");
    const char *query = strchr(f->url, '?');
    auto_free char *url = mem_printf("postgresql://cohub@/latin%s", query);
    assert_int_equal(db_open(url, &db, &err), -ERR_INVALID);
    assert_non_null(strstr(err.message, "LATIN1"));
}

// ---- Tables ----

// A line for each column, index and reference, in one order.
static const char sqlite_schema[] =
    "SELECT string_agg(line, '\n') FROM (SELECT m.name || '.' || c.name ||"
    " CASE c.type WHEN 'INTEGER' THEN ' bigint' WHEN 'TEXT' THEN ' text C' WHEN 'BLOB' THEN ' "
    "bytea'"
    "  WHEN 'REAL' THEN ' double precision' ELSE c.type END ||"
    " CASE WHEN c.\"notnull\" = 1 OR c.pk > 0 THEN ' NO' ELSE ' YES' END AS line"
    " FROM sqlite_schema m, pragma_table_info(m.name) c WHERE m.type = 'table'"
    " UNION ALL SELECT m.name || ' ' || i.name || ' ' || i.\"unique\" || ' ' || i.partial"
    " FROM sqlite_schema m, pragma_index_list(m.name) i WHERE m.type = 'table' AND i.origin = 'c'"
    " UNION ALL SELECT m.name || '.' || f.\"from\" || ' -> ' || f.\"table\" || '.' || f.\"to\" || "
    "' ' ||"
    "  CASE f.on_delete WHEN 'CASCADE' THEN 'c' ELSE f.on_delete END"
    " FROM sqlite_schema m, pragma_foreign_key_list(m.name) f WHERE m.type = 'table'"
    " ORDER BY 1) AS lines"
    " WHERE line NOT LIKE 'schema_migrations%' AND line NOT LIKE 'sqlite_%'";
static const char postgres_schema[] =
    "SELECT string_agg(line, chr(10) ORDER BY line COLLATE \"C\") FROM ("
    "SELECT table_name || '.' || column_name || ' ' || data_type ||"
    " coalesce(' ' || collation_name, '') || ' ' || is_nullable AS line"
    " FROM information_schema.columns WHERE table_schema = current_schema()"
    " UNION ALL SELECT t.relname || ' ' || i.relname || ' ' || x.indisunique::int || ' ' ||"
    " (x.indpred IS NOT NULL)::int FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid"
    " JOIN pg_class t ON t.oid = x.indrelid WHERE t.relnamespace = current_schema()::regnamespace"
    " AND NOT EXISTS (SELECT 1 FROM pg_constraint c WHERE c.conindid = i.oid)"
    " UNION ALL SELECT t.relname || '.' || a.attname || ' -> ' || r.relname || '.' || b.attname"
    " || ' ' || c.confdeltype::text FROM pg_constraint c JOIN pg_class t ON t.oid = c.conrelid"
    " JOIN pg_class r ON r.oid = c.confrelid"
    " JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = c.conkey[1]"
    " JOIN pg_attribute b ON b.attrelid = r.oid AND b.attnum = c.confkey[1]"
    " WHERE c.contype = 'f' AND t.relnamespace = current_schema()::regnamespace) AS lines"
    " WHERE line NOT LIKE 'schema_migrations%'";

static char *query_all(struct db_session *session, const char *sql)
{
    struct err err;
    auto_rows struct db_rows *rows = NULL;
    if (db_query_text(session, sql, DB_NO_ARGS, &rows, &err) || db_rows_next(rows, &err) != 1)
        fail_msg("%s (%s)", err.message, err.detail);
    return mem_strdup(db_rows_text(rows, 0));
}

static void assert_same_lines(const char *one, const char *other)
{
    while (*one || *other) {
        size_t size = strcspn(one, "\n"), other_size = strcspn(other, "\n");
        if (size != other_size || strncmp(one, other, size) != 0)
            fail_msg("SQLite has: %.*s; PostgreSQL has: %.*s", (int)size, one, (int)other_size,
                     other);
        one += size + (one[size] == '\n');
        other += size + (other[size] == '\n');
    }
}

static void tables_are_those_of_sqlite(void **state)
{
    struct fixture *f = *state;
    struct err err;
    char folder[] = "/tmp/cohub-test-XXXXXX";
    assert_non_null(mkdtemp(folder));
    auto_free char *url = mem_printf("sqlite:%s/hub.sqlite3", folder);
    struct db *db;
    struct db_session *session;
    assert_int_equal(db_open(url, &db, &err), 0);
    assert_int_equal(db_session_open(db, &session, &err), 0);
    auto_free char *one = query_all(session, sqlite_schema);
    auto_free char *other = query_all(f->session, postgres_schema);
    db_session_close(session);
    db_close(db);
    auto_free char *command = mem_printf("rm -r %s", folder);
    assert_int_equal(system(command), 0);
    assert_non_null(strstr(one, "accounts.email_address text C YES"));
    assert_same_lines(one, other);
}

// ---- Statements ----

static void more_statements_than_are_kept_prepared(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 2 * (LIMIT_DB_PREPARED + 50); i++) {
        int number = i % (LIMIT_DB_PREPARED + 50);
        auto_free char *sql = mem_printf("SELECT %d", number);
        assert_int_equal(query_int(f->session, sql), number);
    }
    assert_true(query_int(f->session, "SELECT count(*) FROM pg_prepared_statements") <=
                LIMIT_DB_PREPARED);
}

static void rows_go_on_after_another_statement(void **state)
{
    struct fixture *f = *state;
    struct err err;
    auto_rows struct db_rows *outer = NULL;
    assert_int_equal(db_query_text(f->session, "SELECT i FROM generate_series(1, 1000) AS i",
                                   DB_NO_ARGS, &outer, &err),
                     0);
    for (int i = 1; i <= 1000; i++) {
        assert_int_equal(db_rows_next(outer, &err), 1);
        if (i == 1 || i == 500)
            assert_int_equal(query_int(f->session, "SELECT 7"), 7);
        assert_int_equal(db_rows_int(outer, 0), i);
    }
    assert_int_equal(db_rows_next(outer, &err), 0);
}

static void error_behind_rows_is_an_error(void **state)
{
    struct fixture *f = *state;
    struct err err;
    auto_rows struct db_rows *rows = NULL;
    assert_int_equal(db_query_text(f->session, "SELECT 1 / (3 - i) FROM generate_series(1, 5) AS i",
                                   DB_NO_ARGS, &rows, &err),
                     0);
    assert_int_equal(db_rows_next(rows, &err), 1);
    assert_int_equal(db_rows_next(rows, &err), 1);
    assert_int_equal(db_rows_next(rows, &err), -ERR_INTERNAL);
    assert_non_null(strstr(err.detail, "22012"));
    assert_int_equal(query_int(f->session, "SELECT 7"), 7);
}

static void numbers_of_all_types_are_read(void **state)
{
    struct fixture *f = *state;
    struct err err;
    auto_rows struct db_rows *rows = NULL;
    assert_int_equal(
        db_query_text(f->session,
                      "SELECT 7::smallint, -7::integer, 1.5::real, -12345678.125::numeric, true,"
                      " sum(i::bigint), 0::numeric FROM generate_series(1, 100000) AS i",
                      DB_NO_ARGS, &rows, &err),
        0);
    assert_int_equal(db_rows_next(rows, &err), 1);
    assert_int_equal(db_rows_int(rows, 0), 7);
    assert_int_equal(db_rows_int(rows, 1), -7);
    assert_true(db_rows_real(rows, 2) == 1.5);
    assert_true(db_rows_real(rows, 3) == -12345678.125);
    assert_int_equal(db_rows_int(rows, 4), 1);
    assert_true(db_rows_int(rows, 5) == 5000050000);
    assert_string_equal(db_rows_text(rows, 5), "5000050000");
    assert_int_equal(db_rows_size(rows, 5), 10);
    assert_int_equal(db_rows_int(rows, 6), 0);
}

static int put_bytes(struct db_session *txn, void *arg UNUSED, struct err *err)
{
    return db_exec(txn, &insert_setting, DB_ARGS(DB_TEXT("n"), DB_TEXTN("a\0b\xff\xe2\x82\xac", 7)),
                   NULL, err);
}

static void what_is_no_text_is_replaced(void **state)
{
    struct fixture *f = *state;
    struct err err;
    assert_int_equal(db_write(f->db, put_bytes, NULL, &err), 0);
    auto_rows struct db_rows *rows = NULL;
    assert_int_equal(db_query(f->session, &select_setting, DB_ARGS(DB_TEXT("n")), &rows, &err), 0);
    assert_int_equal(db_rows_next(rows, &err), 1);
    assert_string_equal(db_rows_text(rows, 0), "a\xef\xbf\xbd"
                                               "b\xef\xbf\xbd\xe2\x82\xac");
}

static void connections_are_used_again(void **state)
{
    struct fixture *f = *state;
    struct err err;
    auto_free char *sql = mem_printf("SELECT pg_backend_pid() FROM pg_stat_activity LIMIT 1");
    int64_t pids[2];
    for (size_t i = 0; i < 2; i++) {
        auto_session struct db_session *session = NULL;
        assert_int_equal(db_session_open(f->db, &session, &err), 0);
        pids[i] = query_int(session, sql);
    }
    assert_int_equal(pids[0], pids[1]);
}

struct waiting {
    int waits;
    bool refuse;
};

static int wait_and_count(void *ctx, int fd, short events, uint64_t deadline_us)
{
    struct waiting *waiting = ctx;
    struct pollfd poll_fd = {.fd = fd, .events = events};
    waiting->waits++;
    assert_true(deadline_us > clock_monotonic_us());
    return waiting->refuse || poll(&poll_fd, 1, PATIENCE_MS) != 1 ? -ERR_TIMEOUT : 0;
}

static void session_waits_as_it_is_told(void **state)
{
    struct fixture *f = *state;
    struct err err;
    struct waiting waiting = {0};
    auto_session struct db_session *session = NULL;
    assert_int_equal(db_session_open(f->db, &session, &err), 0);
    db_session_set_wait(session, wait_and_count, &waiting);
    assert_int_equal(query_int(session, "SELECT 7"), 7);
    int connecting = waiting.waits;
    assert_true(connecting > 0);
    assert_int_equal(query_int(session, "SELECT 7 FROM pg_sleep(0.01)"), 7);
    assert_true(waiting.waits > connecting);
}

static void wait_given_up_fails_that_statement_only(void **state)
{
    struct fixture *f = *state;
    struct err err;
    struct waiting waiting = {.refuse = true};
    put_setting(f->db, "a");
    assert_int_equal(find_setting(f->session, "a", &err), 1);
    db_session_set_wait(f->session, wait_and_count, &waiting);
    assert_int_equal(find_setting(f->session, "a", &err), -ERR_TIMEOUT);
    db_session_set_wait(f->session, NULL, NULL);
    assert_int_equal(find_setting(f->session, "a", &err), 1);
}

// ---- The server goes and comes ----

static void reads_go_on_after_a_restart(void **state)
{
    struct fixture *f = *state;
    struct err err;
    put_setting(f->db, "a");
    assert_int_equal(find_setting(f->session, "a", &err), 1);
    server("sg");
    assert_int_equal(find_setting(f->session, "a", &err), 1);
}

static void reads_go_on_when_tables_have_changed(void **state)
{
    struct fixture *f = *state;
    put_setting(f->db, "x");
    for (int i = 0; i < 2; i++) {
        struct err err;
        auto_rows struct db_rows *rows = NULL;
        int rc =
            db_query_text(f->session, "SELECT * FROM server_settings", DB_NO_ARGS, &rows, &err);
        if (!rc)
            rc = db_rows_next(rows, &err);
        assert_int_equal(rc, 1);
        if (!i)
            run_sql(f, "ALTER TABLE server_settings ADD COLUMN more TEXT");
    }
}

static void reads_fail_while_there_is_no_server(void **state)
{
    struct fixture *f = *state;
    struct err err;
    put_setting(f->db, "a");
    server("c");
    for (int i = 0; i < 3; i++) {
        assert_int_equal(find_setting(f->session, "a", &err), -ERR_UNAVAILABLE);
        assert_string_equal(err.message, "The database cannot be reached.");
    }
    char name[] = "b";
    assert_int_equal(db_write(f->db, put, name, &err), -ERR_UNAVAILABLE);
    server("g");
    wait_for_setting(f->session, "a");
    assert_int_equal(find_setting(f->session, "b", &err), 0);
}

static void block_that_is_lost_does_not_go_on(void **state)
{
    struct fixture *f = *state;
    struct err err;
    put_setting(f->db, "a");
    assert_int_equal(db_read_begin(f->session, &err), 0);
    assert_int_equal(find_setting(f->session, "a", &err), 1);
    server("cg");
    assert_int_equal(find_setting(f->session, "a", &err), -ERR_UNAVAILABLE);
    assert_int_equal(find_setting(f->session, "a", &err), -ERR_UNAVAILABLE);
    db_read_end(f->session);
    assert_int_equal(find_setting(f->session, "a", &err), 1);
}

static void block_sees_one_state(void **state)
{
    struct fixture *f = *state;
    struct err err;
    assert_int_equal(db_read_begin(f->session, &err), 0);
    assert_int_equal(find_setting(f->session, "a", &err), 0);
    put_setting(f->db, "a");
    assert_int_equal(find_setting(f->session, "a", &err), 0);
    db_read_end(f->session);
    assert_int_equal(find_setting(f->session, "a", &err), 1);
}

struct interrupted {
    int runs;
};

static int put_through_a_restart(struct db_session *txn, void *arg, struct err *err)
{
    struct interrupted *interrupted = arg;
    char first[] = "first", second[] = "second";
    int rc = put(txn, first, err);
    if (rc)
        return rc;
    if (!interrupted->runs++)
        server("cg");
    return put(txn, second, err);
}

static void write_runs_again_after_a_crash(void **state)
{
    struct fixture *f = *state;
    struct err err;
    struct interrupted interrupted = {0};
    put_setting(f->db, "before");
    assert_int_equal(db_write(f->db, put_through_a_restart, &interrupted, &err), 0);
    assert_int_equal(interrupted.runs, 2);
    assert_int_equal(query_int(f->session, "SELECT count(*) FROM server_settings"), 3);
}

// The first commit of the database ends its connection instead.
static void write_whose_commit_was_refused_runs_again(void **state)
{
    struct fixture *f = *state;
    struct err err;
    char name[] = "a";
    run_sql(f, "CREATE SEQUENCE commits;"
               "CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
               "  IF nextval('commits') = 1 THEN PERFORM pg_terminate_backend(pg_backend_pid());"
               "  END IF; RETURN NULL; END $$;"
               "CREATE CONSTRAINT TRIGGER die AFTER INSERT ON server_settings"
               "  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION die()");
    assert_int_equal(db_write(f->db, put, name, &err), 0);
    assert_int_equal(query_int(f->session, "SELECT count(*) FROM server_settings"), 1);
    assert_int_equal(query_int(f->session, "SELECT last_value FROM commits"), 2);
}

// ---- A connection that is cut behind the commit ----

// Passes everything on between clients and the server. Once armed, it cuts a connection when the
// answer to COMMIT arrives.
struct proxy {
    char folder[32];
    char *path, *server_path;
    int listen_fd;
    pthread_t thread;
    atomic_int armed, cuts;
};

static int unix_socket(const char *path, bool listening)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strncpy(address.sun_path, path, sizeof address.sun_path - 1);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    int rc = listening ? bind(fd, (struct sockaddr *)&address, sizeof address) || listen(fd, 16)
                       : connect(fd, (struct sockaddr *)&address, sizeof address);
    assert_int_equal(rc, 0);
    return fd;
}

// False at the end of the connection. *ret_commits: the bytes ask for a commit.
static bool pass_on(int from, int to, bool *ret_commits)
{
    char bytes[65536];
    ssize_t size = read(from, bytes, sizeof bytes);
    *ret_commits = size > 0 && memmem(bytes, (size_t)size, "COMMIT", 6);
    return size > 0 && !fd_write_all(to, bytes, (size_t)size);
}

struct passage {
    struct proxy *proxy;
    int client;
};

static void *passage_main(void *arg)
{
    struct passage *passage = arg;
    struct proxy *proxy = passage->proxy;
    int server_fd = unix_socket(proxy->server_path, false);
    struct pollfd fds[] = {{.fd = passage->client, .events = POLLIN},
                           {.fd = server_fd, .events = POLLIN}};
    bool open = true, commits = false, ignored;
    while (open && poll(fds, 2, -1) > 0) {
        if (fds[0].revents)
            open = pass_on(passage->client, server_fd, &commits);
        else if (commits && atomic_exchange(&proxy->armed, 0))
            open = false;
        else
            open = pass_on(server_fd, passage->client, &ignored);
        if (!open && fds[1].revents && !fds[0].revents)
            atomic_fetch_add(&proxy->cuts, 1);
    }
    close(server_fd);
    close(passage->client);
    free(passage);
    return NULL;
}

static void *proxy_main(void *arg)
{
    struct proxy *proxy = arg;
    int client;
    while ((client = accept(proxy->listen_fd, NULL, NULL)) >= 0) {
        struct passage *passage = mem_zalloc(sizeof *passage);
        *passage = (struct passage){proxy, client};
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, passage_main, passage), 0);
        pthread_detach(thread);
    }
    return NULL;
}

static void proxy_open(struct proxy *proxy)
{
    const char *folder = strstr(getenv("COHUB_TEST_POSTGRES"), "host=") + 5;
    *proxy = (struct proxy){.server_path = mem_printf("%s/.s.PGSQL.5432", folder)};
    strcpy(proxy->folder, "/tmp/cohub-test-XXXXXX");
    assert_non_null(mkdtemp(proxy->folder));
    proxy->path = mem_printf("%s/.s.PGSQL.5432", proxy->folder);
    proxy->listen_fd = unix_socket(proxy->path, true);
    assert_int_equal(pthread_create(&proxy->thread, NULL, proxy_main, proxy), 0);
}

static void proxy_close(struct proxy *proxy)
{
    shutdown(proxy->listen_fd, SHUT_RDWR);
    pthread_join(proxy->thread, NULL);
    close(proxy->listen_fd);
    unlink(proxy->path);
    rmdir(proxy->folder);
    free(proxy->path);
    free(proxy->server_path);
}

static void commit_whose_answer_is_lost_counts_once(void **state)
{
    struct fixture *f = *state;
    struct err err;
    struct proxy proxy;
    char before[] = "before", name[] = "a";
    proxy_open(&proxy);
    auto_free char *url = mem_printf("postgresql://cohub@/test?host=%s&options=-csearch_path%%3D%s",
                                     proxy.folder, f->schema);
    struct db *db;
    assert_int_equal(db_open(url, &db, &err), 0);
    assert_int_equal(db_write(db, put, before, &err), 0);
    struct db_stats stats = db_stats_get(db);
    atomic_store(&proxy.armed, 1);
    assert_int_equal(db_write(db, put, name, &err), 0);
    assert_int_equal(atomic_load(&proxy.cuts), 1);
    assert_int_equal(db_stats_get(db).commits, stats.commits + 1);
    assert_int_equal(find_setting(f->session, name, &err), 1);
    db_close(db);
    proxy_close(&proxy);
}

// The listener's try, which gets no answer, is the only one.
static void only_one_tries_a_silent_server(void **state)
{
    struct fixture *f = *state;
    struct err err;
    struct db *db;
    struct db_session *session;
    char folder[] = "/tmp/cohub-test-XXXXXX";
    assert_non_null(mkdtemp(folder));
    auto_free char *path = mem_printf("%s/.s.PGSQL.5432", folder);
    auto_free char *server_path = mem_printf(
        "%s/.s.PGSQL.5432", strstr(getenv("COHUB_TEST_POSTGRES"), "host=") + strlen("host="));
    auto_free char *url = mem_printf("postgresql://cohub@/test?connect_timeout=100&host=%s"
                                     "&options=-csearch_path%%3D%s",
                                     folder, f->schema);
    assert_int_equal(symlink(server_path, path), 0);
    assert_int_equal(db_open(url, &db, &err), 0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(db_session_open(db, &session, &err), 0);
    run_sql(f, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
               " WHERE pid <> pg_backend_pid() AND datname = current_database()");
    while (!find_setting(session, "x", &err))
        continue; // its end is under way
    assert_int_equal(err.code, ERR_UNAVAILABLE);
    int silent_fd = unix_socket(path, true);
    close(accept(silent_fd, NULL, NULL)); // maybe before anybody knew
    int client_fd = accept(silent_fd, NULL, NULL);
    assert_true(client_fd >= 0);
    assert_int_equal(find_setting(session, "x", &err), -ERR_UNAVAILABLE);
    assert_int_equal(fcntl(silent_fd, F_SETFL, O_NONBLOCK), 0);
    assert_int_equal(accept(silent_fd, NULL, NULL), -1);
    close(silent_fd);
    close(client_fd);
    db_session_close(session);
    db_close(db);
    unlink(path);
    rmdir(folder);
}

struct opening {
    const char *url;
    atomic_bool over;
};

static void *opening_main(void *arg)
{
    struct opening *opening = arg;
    struct db *db;
    struct err err;
    assert_int_equal(db_open(opening->url, &db, &err), -ERR_UNAVAILABLE);
    atomic_store(&opening->over, true);
    return NULL;
}

// Who waits the shorter time is back first, twice, though it began later.
static void connect_timeout_of_the_url_counts(void **state UNUSED)
{
    char folder[] = "/tmp/cohub-test-XXXXXX";
    assert_non_null(mkdtemp(folder));
    auto_free char *path = mem_printf("%s/.s.PGSQL.5432", folder);
    auto_free char *long_url = mem_printf("postgresql://u@/x?connect_timeout=100&host=%s", folder);
    auto_free char *short_url = mem_printf("postgresql://u@/x?connect_timeout=1&host=%s", folder);
    struct opening patient = {.url = long_url}, hasty = {.url = short_url};
    const int silent_fd = unix_socket(path, true);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, opening_main, &patient), 0);
    const int client_fd = accept(silent_fd, NULL, NULL);
    opening_main(&hasty);
    opening_main(&hasty);
    assert_false(atomic_load(&patient.over));
    close(client_fd); // ends the other's waiting
    close(silent_fd);
    pthread_join(thread, NULL);
    unlink(path);
    rmdir(folder);
}

// ---- Transactions at once ----

enum { COUNTERS = 8, COUNTS = 40 };

// As written for a database where nobody else writes meanwhile.
static int count_up(struct db_session *txn, void *arg UNUSED, struct err *err)
{
    static const struct db_stmt update = {
        "UPDATE server_settings SET value = $1 WHERE name = 'counter'"};
    auto_rows struct db_rows *rows = NULL;
    int rc = db_query(txn, &select_setting, DB_ARGS(DB_TEXT("counter")), &rows, err);
    if (!rc)
        rc = db_rows_next(rows, err);
    if (rc <= 0)
        return rc < 0 ? rc : err_internal(err, "no counter");
    char value[32];
    snprintf(value, sizeof value, "%d", atoi(db_rows_text(rows, 0)) + 1);
    return db_exec(txn, &update, DB_ARGS(DB_TEXT(value)), NULL, err);
}

static void *count_many_times(void *arg)
{
    struct err err;
    for (int i = 0; i < COUNTS; i++) {
        if (db_write(arg, count_up, NULL, &err)) {
            fprintf(stderr, "%s (%s)\n", err.message, err.detail);
            return arg;
        }
    }
    return NULL;
}

static void nothing_is_lost_between_transactions(void **state)
{
    struct fixture *f = *state;
    pthread_t threads[COUNTERS];
    run_sql(f, "INSERT INTO server_settings (name, value) VALUES ('counter', '0')");
    for (int i = 0; i < COUNTERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count_many_times, f->db), 0);
    for (int i = 0; i < COUNTERS; i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    assert_int_equal(query_int(f->session, "SELECT CAST(value AS BIGINT) FROM server_settings"),
                     COUNTERS * COUNTS);
}

struct contest {
    PGconn *other;
    int lost; // how often the other is still to be first
};

static int put_against_another(struct db_session *txn, void *arg, struct err *err)
{
    static const struct db_stmt update = {
        "UPDATE server_settings SET value = 'mine' WHERE name = 'contested'"};
    struct contest *contest = arg;
    if (contest->lost-- > 0)
        PQclear(PQexec(contest->other,
                       "UPDATE server_settings SET value = 'theirs' WHERE name = 'contested'"));
    return db_exec(txn, &update, DB_NO_ARGS, NULL, err);
}

// A stream of others' short transactions may go on for longer than thirty attempts take.
static void who_loses_again_and_again_goes_on(void **state)
{
    struct fixture *f = *state;
    struct err err;
    put_setting(f->db, "contested");
    struct contest contest = {PQconnectdb(f->url), LIMIT_DB_ATTEMPTS + 2};
    assert_int_equal(db_write(f->db, put_against_another, &contest, &err), 0);
    PQfinish(contest.other);
    auto_free char *value =
        query_all(f->session, "SELECT value FROM server_settings WHERE name = 'contested'");
    assert_non_null(strstr(value, "mine"));
}

// ---- In turn ----

struct counting {
    struct db *db;
    _Atomic int *runs;
};

static int count_up_and_tell(struct db_session *txn, void *arg, struct err *err)
{
    const struct counting *counting = arg;
    (*counting->runs)++;
    return count_up(txn, NULL, err);
}

static void *count_in_turn(void *arg)
{
    struct counting *counting = arg;
    struct err err;
    for (int i = 0; i < COUNTS; i++) {
        if (db_write_in_turn(counting->db, 7, count_up_and_tell, counting, &err)) {
            fprintf(stderr, "%s (%s)\n", err.message, err.detail);
            return arg;
        }
    }
    return NULL;
}

static void those_of_one_turn_never_run_again(void **state)
{
    struct fixture *f = *state;
    struct db *second;
    struct err err;
    _Atomic int runs = 0;
    pthread_t threads[COUNTERS];
    struct counting counting[2] = {{f->db, &runs}, {NULL, &runs}};
    assert_int_equal(db_open(f->url, &second, &err), 0);
    counting[1].db = second;
    run_sql(f, "INSERT INTO server_settings (name, value) VALUES ('counter', '0')");
    for (int i = 0; i < COUNTERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count_in_turn, &counting[i % 2]), 0);
    for (int i = 0; i < COUNTERS; i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    db_close(second);
    assert_int_equal(runs, COUNTERS * COUNTS);
    assert_int_equal(query_int(f->session, "SELECT CAST(value AS BIGINT) FROM server_settings"),
                     COUNTERS * COUNTS);
}

static int wait_to_go_on(struct db_session *txn UNUSED, void *arg, struct err *err UNUSED)
{
    sem_t *go_on = arg;
    sem_wait(go_on);
    return 0;
}

struct in_turn {
    struct db *db;
    sem_t *go_on;
};

static void *write_in_turn(void *arg)
{
    struct in_turn *in_turn = arg;
    struct err err;
    return db_write_in_turn(in_turn->db, 7, wait_to_go_on, in_turn->go_on, &err) ? arg : NULL;
}

static void who_waits_for_a_turn_keeps_nobody_else_from_writing(void **state)
{
    struct fixture *f = *state;
    enum { WAITING = LIMIT_DB_WRITERS + 2 };
    struct err err;
    sem_t go_on;
    pthread_t threads[WAITING];
    struct in_turn in_turn = {f->db, &go_on};
    sem_init(&go_on, 0, 0);
    for (int i = 0; i < WAITING; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, write_in_turn, &in_turn), 0);
    while (db_stats_get(f->db).queue < WAITING)
        sched_yield();
    char name[] = "a";
    assert_int_equal(db_write(f->db, put, name, &err), 0);
    for (int i = 0; i < WAITING; i++)
        sem_post(&go_on);
    for (int i = 0; i < WAITING; i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    sem_destroy(&go_on);
}

// ---- Errors within ----

static int put_twice_regardless(struct db_session *txn, void *arg UNUSED, struct err *err UNUSED)
{
    struct err ignored;
    char name[] = "a", another[] = "b";
    (void)put(txn, name, &ignored);
    (void)put(txn, name, &ignored);
    (void)put(txn, another, &ignored);
    return 0;
}

static void transaction_that_ignores_an_error_fails(void **state)
{
    struct fixture *f = *state;
    struct err err;
    assert_int_equal(db_write(f->db, put_twice_regardless, NULL, &err), -ERR_CONFLICT);
    assert_string_equal(err.message, "It exists already.");
    assert_int_equal(query_int(f->session, "SELECT count(*) FROM server_settings"), 0);
}

// ---- Notices ----

struct subscriber {
    struct db_subscription subscription;
    struct loop loop;
    pthread_t thread;
    pthread_mutex_t lock;
    char heard[256];
};

static void on_changed(struct db_subscription *subscription, const char *key)
{
    struct subscriber *subscriber = subscription->ctx;
    pthread_mutex_lock(&subscriber->lock);
    size_t size = strlen(subscriber->heard);
    snprintf(subscriber->heard + size, sizeof subscriber->heard - size, "%s ", key ? key : "*");
    pthread_mutex_unlock(&subscriber->lock);
}

static void *subscriber_main(void *arg)
{
    struct subscriber *subscriber = arg;
    loop_run(&subscriber->loop);
    return NULL;
}

static void subscribe(struct subscriber *subscriber, struct db *db)
{
    struct err err;
    *subscriber = (struct subscriber){.lock = PTHREAD_MUTEX_INITIALIZER};
    assert_int_equal(loop_init(&subscriber->loop, &err), 0);
    subscriber->subscription = (struct db_subscription){.loop = &subscriber->loop,
                                                        .topic = DB_TOPIC_PROJECTS,
                                                        .changed = on_changed,
                                                        .ctx = subscriber};
    db_subscribe(db, &subscriber->subscription);
    assert_int_equal(pthread_create(&subscriber->thread, NULL, subscriber_main, subscriber), 0);
}

static void unsubscribe(struct subscriber *subscriber, struct db *db)
{
    loop_stop(&subscriber->loop);
    pthread_join(subscriber->thread, NULL);
    db_unsubscribe(db, &subscriber->subscription);
    loop_dispose(&subscriber->loop);
}

static bool has_heard(struct subscriber *subscriber, const char *what)
{
    pthread_mutex_lock(&subscriber->lock);
    bool heard = strstr(subscriber->heard, what);
    pthread_mutex_unlock(&subscriber->lock);
    return heard;
}

static void assert_hears(struct subscriber *subscriber, const char *what)
{
    uint64_t end_us = clock_monotonic_us() + PATIENCE_MS * 1000ull;
    while (!has_heard(subscriber, what) && clock_monotonic_us() < end_us)
        poll(NULL, 0, 10);
    assert_true(has_heard(subscriber, what));
}

static int notify(struct db_session *txn, void *arg, struct err *err UNUSED)
{
    db_notify_row(txn, DB_TOPIC_PROJECTS, arg);
    return 0;
}

static void row_is_named_to_other_processes(void **state)
{
    struct fixture *f = *state;
    struct err err;
    struct subscriber here, there;
    char row[] = "it's \\ 1";
    struct db *other;
    assert_int_equal(db_open(f->url, &other, &err), 0);
    subscribe(&here, f->db);
    subscribe(&there, other);
    uint64_t epoch_here = db_epoch(f->db, DB_TOPIC_PROJECTS);
    uint64_t epoch_there = db_epoch(other, DB_TOPIC_PROJECTS);
    assert_int_equal(db_write(f->db, notify, row, &err), 0);
    assert_true(db_epoch(f->db, DB_TOPIC_PROJECTS) == epoch_here + 1);
    assert_hears(&there, "it's \\ 1 ");
    assert_hears(&here, "it's \\ 1 ");
    assert_true(db_epoch(other, DB_TOPIC_PROJECTS) == epoch_there + 1);
    // One more from there: by then, a notice of the first to its own sender would have come.
    char last[] = "last";
    assert_int_equal(db_write(other, notify, last, &err), 0);
    assert_hears(&here, "last ");
    assert_string_equal(here.heard, "it's \\ 1 last ");
    unsubscribe(&here, f->db);
    unsubscribe(&there, other);
    db_close(other);
}

static bool stands_still(const struct db *db)
{
    return db_epoch(db, DB_TOPIC_ACCOUNTS) == db_epoch(db, DB_TOPIC_ACCOUNTS);
}

static void assert_listens(const struct db *db)
{
    uint64_t end_us = clock_monotonic_us() + PATIENCE_MS * 1000ull;
    while (!stands_still(db) && clock_monotonic_us() < end_us)
        poll(NULL, 0, 10);
    assert_true(stands_still(db));
}

static void what_was_missed_may_be_anything(void **state)
{
    struct fixture *f = *state;
    struct err err;
    struct subscriber subscriber;
    char row[] = "row";
    struct db *other;
    assert_int_equal(db_open(f->url, &other, &err), 0);
    subscribe(&subscriber, f->db);
    uint64_t epoch = db_epoch(f->db, DB_TOPIC_ACCOUNTS);
    server("cg");
    assert_hears(&subscriber, "* ");
    assert_true(db_epoch(f->db, DB_TOPIC_ACCOUNTS) > epoch);
    assert_listens(f->db);
    while (db_write(other, notify, row, &err))
        assert_int_equal(err.code, ERR_UNAVAILABLE);
    assert_hears(&subscriber, "row ");
    unsubscribe(&subscriber, f->db);
    db_close(other);
}

static void key_of_the_longest_is_named(void **state)
{
    struct fixture *f = *state;
    struct err err;
    struct subscriber there;
    char row[DB_KEY_MAX + 1] = "";
    struct db *other;
    memset(row, 'k', DB_KEY_MAX);
    assert_int_equal(db_open(f->url, &other, &err), 0);
    subscribe(&there, other);
    assert_int_equal(db_write(f->db, notify, row, &err), 0);
    assert_hears(&there, row);
    unsubscribe(&there, other);
    db_close(other);
}

static void run_on(PGconn *pg, const char *sql)
{
    PGresult *result = PQexec(pg, sql);
    if (PQresultStatus(result) != PGRES_COMMAND_OK && PQresultStatus(result) != PGRES_TUPLES_OK)
        fail_msg("%s: %s", sql, PQerrorMessage(pg));
    PQclear(result);
}

// No connection may be made beside those that are there.
static void nothing_stands_still_without_a_listener(void **state)
{
    struct fixture *f = *state;
    struct subscriber subscriber;
    PGconn *pg = PQconnectdb(f->url);
    subscribe(&subscriber, f->db);
    assert_true(stands_still(f->db));
    run_on(pg, "ALTER DATABASE test CONNECTION LIMIT 1");
    run_on(pg, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'");
    assert_hears(&subscriber, "* ");
    assert_false(stands_still(f->db));
    assert_hears(&subscriber, "* * "); // though nothing was reached
    assert_false(stands_still(f->db));
    run_on(pg, "ALTER DATABASE test CONNECTION LIMIT -1");
    assert_listens(f->db);
    unsubscribe(&subscriber, f->db);
    PQfinish(pg);
}

static void notices_of_strangers_do_no_harm(void **state)
{
    struct fixture *f = *state;
    struct err err;
    struct subscriber subscriber;
    char row[] = "row";
    struct db *other;
    subscribe(&subscriber, f->db);
    run_sql(f, "NOTIFY cohub; NOTIFY cohub, 'x'; NOTIFY cohub, '0123456789abcdef 99 x';"
               "NOTIFY cohub, '0123456789abcdef -1 x'; NOTIFY cohub, '0123456789abcdef 2x';"
               "SELECT pg_notify('cohub', '0123456789abcdef 2 ' || repeat('x', 1000))");
    assert_int_equal(db_open(f->url, &other, &err), 0);
    assert_int_equal(db_write(other, notify, row, &err), 0);
    assert_hears(&subscriber, "row ");
    assert_string_equal(subscriber.heard, "row ");
    unsubscribe(&subscriber, f->db);
    db_close(other);
}

#define TEST(f)                                                                                    \
    {                                                                                              \
#f, f, setup, teardown, NULL                                                               \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(password_in_the_url_is_in_no_message),
        TEST(unreadable_url_is_invalid),
        TEST(server_that_is_not_there_is_unavailable),
        TEST(short_scheme_is_the_same),
        TEST(database_of_another_program_is_refused),
        TEST(other_encodings_are_refused),
        TEST(tables_are_those_of_sqlite),
        TEST(more_statements_than_are_kept_prepared),
        TEST(rows_go_on_after_another_statement),
        TEST(error_behind_rows_is_an_error),
        TEST(numbers_of_all_types_are_read),
        TEST(what_is_no_text_is_replaced),
        TEST(connections_are_used_again),
        TEST(session_waits_as_it_is_told),
        TEST(wait_given_up_fails_that_statement_only),
        TEST(reads_go_on_after_a_restart),
        TEST(reads_go_on_when_tables_have_changed),
        TEST(reads_fail_while_there_is_no_server),
        TEST(block_that_is_lost_does_not_go_on),
        TEST(block_sees_one_state),
        TEST(write_runs_again_after_a_crash),
        TEST(write_whose_commit_was_refused_runs_again),
        TEST(commit_whose_answer_is_lost_counts_once),
        TEST(only_one_tries_a_silent_server),
        TEST(connect_timeout_of_the_url_counts),
        TEST(nothing_is_lost_between_transactions),
        TEST(who_loses_again_and_again_goes_on),
        TEST(those_of_one_turn_never_run_again),
        TEST(who_waits_for_a_turn_keeps_nobody_else_from_writing),
        TEST(transaction_that_ignores_an_error_fails),
        TEST(row_is_named_to_other_processes),
        TEST(what_was_missed_may_be_anything),
        TEST(key_of_the_longest_is_named),
        TEST(nothing_stands_still_without_a_listener),
        TEST(notices_of_strangers_do_no_harm),
    };
    return cmocka_run_group_tests_name("postgresql", tests, NULL, NULL);
}
