// SPDX-License-Identifier: AGPL-3.0-or-later
// What every database behind db.h must do. Each test gets a fresh, empty database by its URL; a
// further kind of database is a further call of run_all.
#include "db/db.h"

#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <libpq-fe.h>

#include "base/fd.h"
#include "base/mem.h"

struct fixture {
    char folder[64]; // of SQLite
    char *url;
    void (*make_empty)(struct fixture *f); // closed before
    struct db *db;
    struct db_session *session;
};

static void open_db(struct fixture *f)
{
    struct err err;
    if (db_open(f->url, &f->db, &err) || db_session_open(f->db, &f->session, &err))
        fail_msg("%s (%s)", err.message, err.detail);
}

static void close_db(struct fixture *f)
{
    db_session_close(TAKE_PTR(f->session));
    db_close(TAKE_PTR(f->db));
}

static void sqlite_make_empty(struct fixture *f)
{
    free(f->url);
    f->url = mem_printf("sqlite:%s/another.sqlite3", f->folder);
}

static int sqlite_setup(void **state)
{
    struct fixture *f = mem_zalloc(sizeof *f);
    strcpy(f->folder, "/tmp/cohub-test-XXXXXX");
    if (!mkdtemp(f->folder))
        return -1;
    f->url = mem_printf("sqlite:%s/hub.sqlite3", f->folder);
    f->make_empty = sqlite_make_empty;
    open_db(f);
    *state = f;
    return 0;
}

static int sqlite_teardown(void **state)
{
    struct fixture *f = *state;
    close_db(f);
    auto_free char *command = mem_printf("rm -r %s", f->folder);
    int rc = system(command);
    free(f->url);
    free(f);
    return rc;
}

// Runs one statement on the server that tests/postgres.py has started.
static int run_on_server(const char *sql)
{
    PGconn *pg = PQconnectdb(getenv("COHUB_TEST_POSTGRES"));
    PGresult *result = PQexec(pg, sql);
    int rc = PQresultStatus(result) == PGRES_COMMAND_OK ? 0 : -1;
    if (rc)
        fprintf(stderr, "%s: %s\n", sql, PQerrorMessage(pg));
    PQclear(result);
    PQfinish(pg);
    return rc;
}

// An empty database is a new schema: making one takes no time. What is in it goes
// with the server.
static void postgres_make_empty(struct fixture *f)
{
    static int number;
    auto_free char *create = mem_printf("CREATE SCHEMA test%d", ++number);
    assert_int_equal(run_on_server(create), 0);
    free(f->url);
    f->url =
        mem_printf("%s&options=-csearch_path%%3Dtest%d", getenv("COHUB_TEST_POSTGRES"), number);
}

static int postgres_setup(void **state)
{
    struct fixture *f = mem_zalloc(sizeof *f);
    f->make_empty = postgres_make_empty;
    postgres_make_empty(f);
    open_db(f);
    *state = f;
    return 0;
}

static int postgres_teardown(void **state)
{
    struct fixture *f = *state;
    close_db(f);
    free(f->url);
    free(f);
    return 0;
}

// ---- Shorthands ----

static const struct db_stmt insert_setting = {
    "INSERT INTO server_settings (name, value) VALUES ($1, $2)"};
static const struct db_stmt select_setting = {"SELECT value FROM server_settings WHERE name = $1"};
static const struct db_stmt count_settings = {"SELECT count(*) FROM server_settings"};

struct setting {
    const char *name, *value;
    int result; // what the write function returns after the insertion
};

static int put(struct db_session *txn, void *arg, struct err *err)
{
    const struct setting *s = arg;
    int rc = db_exec(txn, &insert_setting, DB_ARGS(DB_TEXT(s->name), DB_TEXT(s->value)), NULL, err);
    if (rc)
        return rc;
    return s->result ? err_set(err, ERR_FORBIDDEN, "wanted") : 0;
}

static void put_setting(struct db *db, const char *name, const char *value)
{
    struct err err;
    struct setting setting = {name, value, 0};
    if (db_write(db, put, &setting, &err))
        fail_msg("%s (%s)", err.message, err.detail);
}

static int64_t count(struct db_session *session)
{
    struct err err;
    auto_rows struct db_rows *rows = NULL;
    assert_int_equal(db_query(session, &count_settings, DB_NO_ARGS, &rows, &err), 0);
    assert_int_equal(db_rows_next(rows, &err), 1);
    return db_rows_int(rows, 0);
}

static bool has_setting(struct db_session *session, const char *name)
{
    struct err err;
    auto_rows struct db_rows *rows = NULL;
    assert_int_equal(db_query(session, &select_setting, DB_ARGS(DB_TEXT(name)), &rows, &err), 0);
    int rc = db_rows_next(rows, &err);
    assert_true(rc >= 0);
    return rc;
}

// ---- Statements ----

static void text_comes_back_as_it_was(void **state)
{
    struct fixture *f = *state;
    const char *text = "O'Hara; -- \"x\" \\ $1 \xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\n";
    put_setting(f->db, "text", text);
    struct err err;
    auto_rows struct db_rows *rows = NULL;
    assert_int_equal(db_query(f->session, &select_setting, DB_ARGS(DB_TEXT("text")), &rows, &err),
                     0);
    assert_int_equal(db_rows_next(rows, &err), 1);
    assert_string_equal(db_rows_text(rows, 0), text);
    assert_int_equal(db_rows_size(rows, 0), strlen(text));
    assert_int_equal(db_rows_next(rows, &err), 0);
    assert_int_equal(db_rows_next(rows, &err), 0);
}

static void null_is_neither_empty_nor_zero(void **state)
{
    struct fixture *f = *state;
    put_setting(f->db, "null", NULL);
    put_setting(f->db, "empty", "");
    struct err err;
    static const struct db_stmt select = {"SELECT value FROM server_settings ORDER BY name"};
    auto_rows struct db_rows *rows = NULL;
    assert_int_equal(db_query(f->session, &select, DB_NO_ARGS, &rows, &err), 0);
    assert_int_equal(db_rows_next(rows, &err), 1);
    assert_false(db_rows_null(rows, 0));
    assert_string_equal(db_rows_text(rows, 0), "");
    assert_int_equal(db_rows_next(rows, &err), 1);
    assert_true(db_rows_null(rows, 0));
    assert_null(db_rows_text(rows, 0));
    assert_int_equal(db_rows_int(rows, 0), 0);
}

static void text_argument_needs_no_nul(void **state)
{
    struct fixture *f = *state;
    put_setting(f->db, "name", "v");
    struct err err;
    auto_rows struct db_rows *rows = NULL;
    assert_int_equal(
        db_query(f->session, &select_setting, DB_ARGS(DB_TEXTN("name and more", 4)), &rows, &err),
        0);
    assert_int_equal(db_rows_next(rows, &err), 1);
}

static void arguments_may_come_in_any_order_and_often(void **state)
{
    struct fixture *f = *state;
    struct err err;
    static const struct db_stmt select = {"SELECT CAST($2 AS TEXT), CAST($1 AS TEXT), "
                                          "CAST($3 AS BIGINT), CAST($2 AS TEXT)"};
    auto_rows struct db_rows *rows = NULL;
    assert_int_equal(db_query(f->session, &select,
                              DB_ARGS(DB_TEXT("a"), DB_TEXT("b"), DB_INT(1ll << 40)), &rows, &err),
                     0);
    assert_int_equal(db_rows_next(rows, &err), 1);
    assert_string_equal(db_rows_text(rows, 0), "b");
    assert_string_equal(db_rows_text(rows, 1), "a");
    assert_true(db_rows_int(rows, 2) == 1ll << 40);
    assert_string_equal(db_rows_text(rows, 3), "b");
}

static void arguments_are_used_only_during_the_call(void **state)
{
    struct fixture *f = *state;
    put_setting(f->db, "name", "v");
    char name[] = "name";
    struct err err;
    auto_rows struct db_rows *rows = NULL;
    assert_int_equal(db_query(f->session, &select_setting, DB_ARGS(DB_TEXT(name)), &rows, &err), 0);
    memset(name, 'x', sizeof name - 1);
    assert_int_equal(db_rows_next(rows, &err), 1);
}

static void wrong_number_of_arguments_is_an_error(void **state)
{
    struct fixture *f = *state;
    struct err err;
    struct db_rows *rows;
    assert_int_equal(db_query(f->session, &select_setting, DB_NO_ARGS, &rows, &err), -ERR_INTERNAL);
    assert_int_equal(
        db_query(f->session, &select_setting, DB_ARGS(DB_INT(1), DB_INT(2)), &rows, &err),
        -ERR_INTERNAL);
}

static void bad_statement_is_an_internal_error(void **state)
{
    struct fixture *f = *state;
    struct err err;
    struct db_rows *rows;
    static const struct db_stmt bad = {"SELECT 1 FROM nowhere"};
    assert_int_equal(db_query(f->session, &bad, DB_NO_ARGS, &rows, &err), -ERR_INTERNAL);
    assert_string_equal(err.message, "internal error");
    assert_non_null(strstr(err.detail, "nowhere"));
}

static void statement_runs_again_after_its_rows_are_closed(void **state)
{
    struct fixture *f = *state;
    put_setting(f->db, "a", "1");
    put_setting(f->db, "b", "2");
    assert_true(has_setting(f->session, "a"));
    assert_true(has_setting(f->session, "b"));
    assert_false(has_setting(f->session, "c"));
    assert_true(has_setting(f->session, "a"));
}

#define SELECT_N(n)                                                                                \
    {                                                                                              \
        "SELECT " #n                                                                               \
    }
#define SELECT_TEN(n)                                                                              \
    SELECT_N(n##0), SELECT_N(n##1), SELECT_N(n##2), SELECT_N(n##3), SELECT_N(n##4),                \
        SELECT_N(n##5), SELECT_N(n##6), SELECT_N(n##7), SELECT_N(n##8), SELECT_N(n##9)

static void many_statements_do_not_get_mixed_up(void **state)
{
    struct fixture *f = *state;
    static const struct db_stmt many[] = {SELECT_TEN(1), SELECT_TEN(2), SELECT_TEN(3),
                                          SELECT_TEN(4), SELECT_TEN(5), SELECT_TEN(6),
                                          SELECT_TEN(7), SELECT_TEN(8), SELECT_TEN(9)};
    struct err err;
    for (size_t i = 0; i < 2 * ARRAY_LEN(many); i++) {
        size_t n = i % ARRAY_LEN(many);
        auto_rows struct db_rows *rows = NULL;
        assert_int_equal(db_query(f->session, &many[n], DB_NO_ARGS, &rows, &err), 0);
        assert_int_equal(db_rows_next(rows, &err), 1);
        assert_int_equal(db_rows_int(rows, 0), 10 + n);
    }
}

static void exec_outside_a_transaction_is_refused(void **state)
{
    struct fixture *f = *state;
    struct err err;
    assert_int_equal(
        db_exec(f->session, &insert_setting, DB_ARGS(DB_TEXT("a"), DB_TEXT("b")), NULL, &err),
        -ERR_INTERNAL);
    assert_int_equal(count(f->session), 0);
}

static void session_for_reading_cannot_write_by_query(void **state)
{
    struct fixture *f = *state;
    static const struct db_stmt insert = {
        "INSERT INTO server_settings (name) VALUES ('x') RETURNING name"};
    struct err err;
    auto_rows struct db_rows *rows = NULL;
    int rc = db_query(f->session, &insert, DB_NO_ARGS, &rows, &err);
    if (!rc)
        rc = db_rows_next(rows, &err);
    assert_int_equal(rc, -ERR_INTERNAL);
}

// ---- Texts made while the program runs ----

static struct db_rows *query_number(struct db_session *session, int number)
{
    struct err err;
    struct db_rows *rows;
    auto_free char *sql = mem_printf("SELECT %d + CAST($1 AS BIGINT)", number);
    if (db_query_text(session, sql, DB_ARGS(DB_INT(1000000)), &rows, &err))
        fail_msg("%s (%s)", err.message, err.detail);
    return rows;
}

static void assert_number(struct db_rows *rows, int number)
{
    struct err err;
    assert_int_equal(db_rows_next(rows, &err), 1);
    assert_int_equal(db_rows_int(rows, 0), 1000000 + number);
    assert_int_equal(db_rows_next(rows, &err), 0);
}

// Far more than are kept, and again those that are and those that are not.
static void many_texts_do_not_get_mixed_up(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 3000; i++) {
        int number = i % 1000 < 500 ? i % 1000 : i % 7;
        auto_rows struct db_rows *rows = query_number(f->session, number);
        assert_number(rows, number);
    }
}

static void text_may_run_again_while_its_rows_are_open(void **state)
{
    struct fixture *f = *state;
    auto_rows struct db_rows *first = query_number(f->session, 1);
    auto_rows struct db_rows *second = query_number(f->session, 1);
    assert_true(first != second);
    assert_number(second, 1);
    assert_number(first, 1);
}

static void texts_whose_rows_are_open_are_kept(void **state)
{
    struct fixture *f = *state;
    struct db_rows *rows[DB_TEXTS_MAX];
    for (int i = 0; i < DB_TEXTS_MAX; i++)
        rows[i] = query_number(f->session, i);
    struct err err;
    struct db_rows *more;
    assert_int_equal(db_query_text(f->session, "SELECT 1", DB_NO_ARGS, &more, &err), -ERR_INTERNAL);
    db_rows_close(TAKE_PTR(rows[5]));
    for (int i = 0; i < 10; i++) {
        auto_rows struct db_rows *other = query_number(f->session, 100 + i);
        assert_number(other, 100 + i);
    }
    for (int i = 0; i < DB_TEXTS_MAX; i++) {
        if (rows[i])
            assert_number(rows[i], i);
        db_rows_close(rows[i]);
    }
}

static void assert_text_fails(struct db_session *session, const char *sql)
{
    struct err err;
    struct db_rows *rows = NULL;
    int rc = db_query_text(session, sql, DB_NO_ARGS, &rows, &err);
    if (!rc)
        rc = db_rows_next(rows, &err);
    db_rows_close(rows);
    assert_int_equal(rc, -ERR_INTERNAL);
    assert_string_equal(err.message, "internal error");
}

static void wrong_text_is_an_internal_error(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 2; i++) {
        assert_text_fails(f->session, "SELECT 1 FROM nowhere");
        assert_text_fails(f->session, "SELECT 1,");
        assert_text_fails(f->session, "SELECT CAST($1 AS BIGINT)");
    }
    auto_free char *huge = mem_alloc(100001);
    memset(huge, ' ', 100000);
    memcpy(huge, "SELECT 1", 8);
    huge[100000] = 0;
    assert_text_fails(f->session, huge);
    auto_rows struct db_rows *rows = query_number(f->session, 1);
    assert_number(rows, 1);
}

static int put_by_texts(struct db_session *txn, void *arg UNUSED, struct err *err)
{
    int rc = 0;
    for (int i = 0; !rc && i < 100; i++) {
        auto_free char *sql =
            mem_printf("INSERT INTO server_settings (name, value) VALUES ($1, 'v%d')", i);
        auto_free char *name = mem_printf("%d", i);
        int64_t changed = 0;
        rc = db_exec_text(txn, sql, DB_ARGS(DB_TEXT(name)), &changed, err);
        if (!rc)
            assert_int_equal(changed, 1);
    }
    return rc;
}

static void texts_may_write(void **state)
{
    struct fixture *f = *state;
    struct err err;
    assert_int_equal(db_write(f->db, put_by_texts, NULL, &err), 0);
    assert_int_equal(count(f->session), 100);
    assert_int_equal(db_write(f->db, put_by_texts, NULL, &err), -ERR_CONFLICT);
    assert_int_equal(
        db_exec_text(f->session, "DELETE FROM server_settings", DB_NO_ARGS, NULL, &err),
        -ERR_INTERNAL);
    assert_int_equal(count(f->session), 100);
}

// ---- Kinds of values ----

static void reals_come_back_as_they_were(void **state)
{
    struct fixture *f = *state;
    const double reals[] = {0.1, -1e300, 5e-324, 9007199254740993.0, 0};
    struct err err;
    for (size_t i = 0; i < ARRAY_LEN(reals); i++) {
        auto_rows struct db_rows *rows = NULL;
        assert_int_equal(db_query_text(f->session, "SELECT CAST($1 AS DOUBLE PRECISION)",
                                       DB_ARGS(DB_REAL(reals[i])), &rows, &err),
                         0);
        assert_int_equal(db_rows_next(rows, &err), 1);
        assert_true(db_rows_real(rows, 0) == reals[i]);
    }
}

static void integer_read_as_real_has_its_value(void **state)
{
    struct fixture *f = *state;
    struct err err;
    auto_rows struct db_rows *rows = NULL;
    assert_int_equal(db_query_text(f->session,
                                   "SELECT CAST($1 AS BIGINT), CAST(NULL AS DOUBLE PRECISION)",
                                   DB_ARGS(DB_INT(-7)), &rows, &err),
                     0);
    assert_int_equal(db_rows_next(rows, &err), 1);
    assert_true(db_rows_real(rows, 0) == -7.0);
    assert_true(db_rows_null(rows, 1));
    assert_true(db_rows_real(rows, 1) == 0.0);
}

struct blob {
    const char *id;
    const char *bytes;
    size_t size;
};

static int put_blob(struct db_session *txn, void *arg, struct err *err)
{
    static const struct db_stmt insert = {
        "INSERT INTO blobs (id, blob, size, project_id, created) VALUES ($1, $2, $3, $4, 0)"};
    const struct blob *blob = arg;
    return db_exec(txn, &insert,
                   DB_ARGS(DB_TEXT(blob->id), DB_BYTES(blob->bytes, blob->size), DB_INT(blob->size),
                           DB_TEXT("00000000-0000-4000-8000-000000000001")),
                   NULL, err);
}

static void assert_blob(struct db_session *session, const struct blob *blob)
{
    static const struct db_stmt select = {"SELECT blob, length(blob) FROM blobs WHERE id = $1"};
    struct err err;
    auto_rows struct db_rows *rows = NULL;
    assert_int_equal(db_query(session, &select, DB_ARGS(DB_TEXT(blob->id)), &rows, &err), 0);
    assert_int_equal(db_rows_next(rows, &err), 1);
    assert_false(db_rows_null(rows, 0));
    assert_int_equal(db_rows_size(rows, 0), blob->size);
    assert_int_equal(db_rows_int(rows, 1), blob->size);
    assert_memory_equal(db_rows_text(rows, 0), blob->bytes, blob->size);
}

static void bytes_come_back_as_they_were(void **state)
{
    struct fixture *f = *state;
    char all[512];
    for (size_t i = 0; i < sizeof all; i++)
        all[i] = (char)i;
    struct blob blobs[] = {{"00000000-0000-4000-8000-00000000000a", all, sizeof all},
                           {"00000000-0000-4000-8000-00000000000b", "\0", 1},
                           {"00000000-0000-4000-8000-00000000000c", "", 0},
                           {"00000000-0000-4000-8000-00000000000d", "\\x41'", 5}};
    struct err err;
    for (size_t i = 0; i < ARRAY_LEN(blobs); i++) {
        if (db_write(f->db, put_blob, &blobs[i], &err))
            fail_msg("%s (%s)", err.message, err.detail);
        assert_blob(f->session, &blobs[i]);
    }
}

// ---- string_agg ----

static char *aggregate(struct db_session *session, const char *values)
{
    struct err err;
    auto_rows struct db_rows *rows = NULL;
    auto_free char *sql = mem_printf("SELECT string_agg(v, s) FROM (%s) AS t", values);
    if (db_query_text(session, sql, DB_NO_ARGS, &rows, &err) || db_rows_next(rows, &err) < 1)
        fail_msg("%s (%s)", err.message, err.detail);
    return db_rows_null(rows, 0) ? NULL : mem_strdup(db_rows_text(rows, 0));
}

static void assert_aggregate(struct db_session *session, const char *values, const char *expected)
{
    auto_free char *text = aggregate(session, values);
    assert_non_null(text);
    assert_string_equal(text, expected);
}

static void string_agg_joins_what_is_not_null(void **state)
{
    struct db_session *session = ((struct fixture *)*state)->session;
    assert_aggregate(session,
                     "SELECT NULL AS v, '1' AS s UNION ALL SELECT 'b', '2' UNION ALL"
                     " SELECT NULL, '3' UNION ALL SELECT '', '4' UNION ALL SELECT 'a', NULL"
                     " UNION ALL SELECT 'b', ', '",
                     "b4a, b");
    assert_aggregate(session, "SELECT '' AS v, ',' AS s", "");
}

static void string_agg_of_nothing_is_null(void **state)
{
    struct db_session *session = ((struct fixture *)*state)->session;
    assert_null(aggregate(session, "SELECT name AS v, ',' AS s FROM server_settings"));
    assert_null(aggregate(session, "SELECT CAST(NULL AS TEXT) AS v, ',' AS s"));
}

// Each group has a text of its own, also when the statement is given up half way.
static void string_agg_keeps_groups_apart(void **state)
{
    struct fixture *f = *state;
    const char *sql = "SELECT g, string_agg(v, '-') FROM (SELECT 1 AS g, 'a' AS v UNION ALL"
                      " SELECT 2, 'b' UNION ALL SELECT 1, 'c') AS t GROUP BY g ORDER BY g";
    struct err err;
    auto_rows struct db_rows *rows = NULL;
    assert_int_equal(db_query_text(f->session, sql, DB_NO_ARGS, &rows, &err), 0);
    assert_int_equal(db_rows_next(rows, &err), 1);
    assert_string_equal(db_rows_text(rows, 1), "a-c");
    assert_int_equal(db_rows_next(rows, &err), 1);
    assert_string_equal(db_rows_text(rows, 1), "b");
    db_rows_close(TAKE_PTR(rows));
    assert_int_equal(db_query_text(f->session, sql, DB_NO_ARGS, &rows, &err), 0);
    assert_int_equal(db_rows_next(rows, &err), 1);
}

// ---- Transactions ----

static void same_key_twice_is_a_conflict(void **state)
{
    struct fixture *f = *state;
    put_setting(f->db, "a", "1");
    struct err err;
    struct setting again = {"a", "2", 0};
    assert_int_equal(db_write(f->db, put, &again, &err), -ERR_CONFLICT);
    assert_int_equal(err.code, ERR_CONFLICT);
    assert_non_null(strstr(err.detail, "server_settings"));
}

static int add_collaborator_of_nothing(struct db_session *txn, void *arg UNUSED, struct err *err)
{
    static const struct db_stmt insert = {
        "INSERT INTO project_users (project_id, account_id, \"group\") VALUES ($1, $2, 'owner')"};
    const char *id = "00000000-0000-4000-8000-000000000000";
    return db_exec(txn, &insert, DB_ARGS(DB_TEXT(id), DB_TEXT(id)), NULL, err);
}

static void broken_reference_is_a_conflict(void **state)
{
    struct fixture *f = *state;
    struct err err;
    assert_int_equal(db_write(f->db, add_collaborator_of_nothing, NULL, &err), -ERR_CONFLICT);
}

static int update_all(struct db_session *txn, void *arg, struct err *err)
{
    static const struct db_stmt update = {"UPDATE server_settings SET value = $1"};
    return db_exec(txn, &update, DB_ARGS(DB_TEXT("new")), arg, err);
}

static void exec_tells_how_many_rows_changed(void **state)
{
    struct fixture *f = *state;
    put_setting(f->db, "a", "1");
    put_setting(f->db, "b", "2");
    struct err err;
    int64_t changed = -1;
    assert_int_equal(db_write(f->db, update_all, &changed, &err), 0);
    assert_int_equal(changed, 2);
}

static int put_returning(struct db_session *txn, void *arg, struct err *err)
{
    static const struct db_stmt insert = {
        "INSERT INTO server_settings (name, value) VALUES ('r', 'x') RETURNING readonly"};
    auto_rows struct db_rows *rows = NULL;
    int rc = db_query(txn, &insert, DB_NO_ARGS, &rows, err);
    if (rc)
        return rc;
    rc = db_rows_next(rows, err);
    if (rc > 0)
        *(int64_t *)arg = db_rows_int(rows, 0);
    return rc < 0 ? rc : 0;
}

static void transaction_may_write_by_query(void **state)
{
    struct fixture *f = *state;
    struct err err;
    int64_t readonly = -1;
    assert_int_equal(db_write(f->db, put_returning, &readonly, &err), 0);
    assert_int_equal(readonly, 0);
    assert_true(has_setting(f->session, "r"));
}

static void failed_transaction_leaves_nothing(void **state)
{
    struct fixture *f = *state;
    struct err err;
    struct setting setting = {"a", "1", -1};
    assert_int_equal(db_write(f->db, put, &setting, &err), -ERR_FORBIDDEN);
    assert_string_equal(err.message, "wanted");
    assert_int_equal(count(f->session), 0);
}

static int put_and_look(struct db_session *txn, void *arg, struct err *err)
{
    struct setting setting = {"a", "1", 0};
    int rc = put(txn, &setting, err);
    if (!rc)
        *(bool *)arg = has_setting(txn, "a");
    return rc;
}

static void transaction_sees_its_own_writes(void **state)
{
    struct fixture *f = *state;
    struct err err;
    bool seen = false;
    assert_int_equal(db_write(f->db, put_and_look, &seen, &err), 0);
    assert_true(seen);
}

// ---- Writing together ----

// Holds the writer until `go`, so that the writes queued meanwhile become one group.
struct gate {
    pthread_mutex_t lock;
    pthread_cond_t woken;
    bool entered, open;
    struct db_write write;
};

static int wait_at_gate(struct db_session *txn UNUSED, void *arg, struct err *err UNUSED)
{
    struct gate *gate = arg;
    pthread_mutex_lock(&gate->lock);
    gate->entered = true;
    pthread_cond_broadcast(&gate->woken);
    while (!gate->open)
        pthread_cond_wait(&gate->woken, &gate->lock);
    pthread_mutex_unlock(&gate->lock);
    return 0;
}

static void ignore(struct db_write *write UNUSED)
{
}

static void gate_close(struct gate *gate, struct db *db, struct loop *loop,
                       void (*done)(struct db_write *write))
{
    *gate = (struct gate){.lock = PTHREAD_MUTEX_INITIALIZER,
                          .woken = PTHREAD_COND_INITIALIZER,
                          .write = {.loop = loop, .fn = wait_at_gate, .arg = gate, .done = done}};
    db_write_async(db, &gate->write);
    pthread_mutex_lock(&gate->lock);
    while (!gate->entered)
        pthread_cond_wait(&gate->woken, &gate->lock);
    pthread_mutex_unlock(&gate->lock);
}

static void gate_open(struct gate *gate)
{
    pthread_mutex_lock(&gate->lock);
    gate->open = true;
    pthread_cond_broadcast(&gate->woken);
    pthread_mutex_unlock(&gate->lock);
}

enum { WRITES = 20 };

struct batch {
    struct loop loop;
    pthread_t thread;
    struct one {
        struct db_write write;
        struct setting setting;
        char name[8];
        struct batch *batch;
    } ones[WRITES];
    struct gate gate;
    size_t finished; // of the ones
    bool gate_finished;
    bool in_order, on_thread;
};

// On PostgreSQL the gate's write may end after those that were given later.
static void stop_if_finished(struct batch *batch)
{
    if (batch->gate_finished && batch->finished == WRITES)
        loop_stop(&batch->loop);
}

static void gate_done(struct db_write *write)
{
    struct gate *gate = CONTAINER(write, struct gate, write);
    struct batch *batch = CONTAINER(gate, struct batch, gate);
    batch->gate_finished = true;
    stop_if_finished(batch);
}

static void one_done(struct db_write *write)
{
    struct one *one = CONTAINER(write, struct one, write);
    struct batch *batch = one->batch;
    if (one != &batch->ones[batch->finished])
        batch->in_order = false;
    if (!pthread_equal(pthread_self(), batch->thread))
        batch->on_thread = false;
    batch->finished++;
    stop_if_finished(batch);
}

// Runs WRITES writes, on SQLite as one group; those with an odd index fail after their insertion if
// `odd_fail`.
static void run_batch(struct fixture *f, struct batch *batch, bool odd_fail, bool in_order)
{
    struct err err;
    *batch = (struct batch){.thread = pthread_self(), .in_order = true, .on_thread = true};
    assert_int_equal(loop_init(&batch->loop, &err), 0);
    gate_close(&batch->gate, f->db, &batch->loop, gate_done);
    for (int i = 0; i < WRITES; i++) {
        struct one *one = &batch->ones[i];
        snprintf(one->name, sizeof one->name, "%d", i);
        one->setting = (struct setting){one->name, "v", odd_fail && i % 2 ? -1 : 0};
        one->batch = batch;
        one->write = (struct db_write){.loop = &batch->loop,
                                       .fn = put,
                                       .arg = &one->setting,
                                       .done = one_done,
                                       .in_order = in_order};
        db_write_async(f->db, &one->write);
    }
    if (!db_is_remote(f->db))
        assert_int_equal(db_stats_get(f->db).queue, WRITES + 1);
    gate_open(&batch->gate);
    loop_run(&batch->loop);
    loop_dispose(&batch->loop);
}

static void writes_call_back_on_the_loop_in_order(void **state)
{
    struct fixture *f = *state;
    struct batch batch;
    run_batch(f, &batch, false, true);
    assert_int_equal(batch.finished, WRITES);
    assert_true(batch.in_order);
    assert_true(batch.on_thread);
}

// On SQLite the gate's, and then all that waited behind it.
static void writes_that_wait_are_committed(void **state)
{
    struct fixture *f = *state;
    struct db_stats before = db_stats_get(f->db);
    struct batch batch;
    run_batch(f, &batch, false, false);
    struct db_stats after = db_stats_get(f->db);
    assert_int_equal(after.writes - before.writes, WRITES + 1);
    assert_int_equal(after.commits - before.commits, db_is_remote(f->db) ? WRITES + 1 : 2);
    assert_int_equal(after.queue, 0);
}

static void failing_writes_leave_the_others_of_their_group(void **state)
{
    struct fixture *f = *state;
    struct batch batch;
    run_batch(f, &batch, true, false);
    for (int i = 0; i < WRITES; i++) {
        assert_int_equal(batch.ones[i].write.rc, i % 2 ? -ERR_FORBIDDEN : 0);
        assert_int_equal(has_setting(f->session, batch.ones[i].name), !(i % 2));
    }
}

// More than fit into one group.
enum { MANY_WRITES = 600 };

static void close_waits_for_queued_writes(void **state)
{
    struct fixture *f = *state;
    struct err err;
    struct loop loop;
    assert_int_equal(loop_init(&loop, &err), 0);
    struct {
        struct db_write write;
        struct setting setting;
        char name[8];
    } *many = mem_zalloc(MANY_WRITES * sizeof *many);
    for (int i = 0; i < MANY_WRITES; i++) {
        snprintf(many[i].name, sizeof many[i].name, "%d", i);
        many[i].setting = (struct setting){many[i].name, "v", 0};
        many[i].write =
            (struct db_write){.loop = &loop, .fn = put, .arg = &many[i].setting, .done = ignore};
        db_write_async(f->db, &many[i].write);
    }
    close_db(f);
    open_db(f);
    assert_int_equal(count(f->session), MANY_WRITES);
    loop_dispose(&loop);
    free(many);
}

// ---- Processes ----

// A child process that runs `run` and ends with its result; cmocka's assertions are the parent's.
static pid_t spawn(int (*run)(const struct fixture *f, int fd), const struct fixture *f, int fd)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (!pid)
        _exit(run(f, fd));
    return pid;
}

static void assert_succeeds(pid_t pid)
{
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

// Writes forever, and names each write in the pipe once it is acknowledged.
static int write_until_killed(const struct fixture *f, int fd)
{
    struct db *db;
    struct err err;
    if (db_open(f->url, &db, &err))
        return 1;
    for (int i = 0;; i++) {
        char name[16];
        snprintf(name, sizeof name, "%d", i);
        struct setting setting = {name, "v", 0};
        if (db_write(db, put, &setting, &err))
            return 2;
        if (write(fd, &i, sizeof i) != sizeof i)
            return 3;
    }
}

static void acknowledged_writes_survive_a_kill(void **state)
{
    struct fixture *f = *state;
    close_db(f);
    int fds[2], last = -1;
    assert_int_equal(pipe(fds), 0);
    pid_t pid = spawn(write_until_killed, f, fds[1]);
    close(fds[1]);
    while (last < 200)
        assert_int_equal(read(fds[0], &last, sizeof last), sizeof last);
    kill(pid, SIGKILL);
    while (read(fds[0], &last, sizeof last) == sizeof last)
        ;
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    close(fds[0]);
    open_db(f);
    for (int i = 0; i <= last; i++) {
        char name[16];
        snprintf(name, sizeof name, "%d", i);
        assert_true(has_setting(f->session, name));
    }
}

enum { WRITES_EACH = 100 };

static int write_some(const struct fixture *f, int fd UNUSED)
{
    struct db *db;
    struct err err;
    if (db_open(f->url, &db, &err))
        return 1;
    for (int i = 0; i < WRITES_EACH; i++) {
        char name[32];
        snprintf(name, sizeof name, "%d-%d", getpid(), i);
        struct setting setting = {name, "v", 0};
        if (db_write(db, put, &setting, &err))
            return 2;
    }
    db_close(db);
    return 0;
}

static void processes_write_at_once(void **state)
{
    struct fixture *f = *state;
    close_db(f);
    pid_t first = spawn(write_some, f, -1), second = spawn(write_some, f, -1);
    assert_succeeds(first);
    assert_succeeds(second);
    open_db(f);
    assert_int_equal(count(f->session), 2 * WRITES_EACH);
}

static int put_and_notify(struct db_session *txn, void *arg, struct err *err)
{
    db_notify(txn, DB_TOPIC_SETTINGS);
    return put(txn, arg, err);
}

// Opens the database before it is told to go, so that only the write can move the numbers.
static int notify_when_told(const struct fixture *f, int fd)
{
    struct db *db;
    struct err err;
    struct setting setting = {"n", "v", 0};
    char c = 'r';
    if (db_open(f->url, &db, &err) || write(fd, &c, 1) != 1 || read(fd, &c, 1) != 1)
        return 1;
    if (db_write(db, put_and_notify, &setting, &err))
        return 2;
    db_close(db);
    return 0;
}

static void topics_are_seen_by_another_process(void **state)
{
    struct fixture *f = *state;
    close_db(f);
    int fds[2];
    char c;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    pid_t pid = spawn(notify_when_told, f, fds[1]);
    assert_int_equal(read(fds[0], &c, 1), 1);
    open_db(f);
    uint64_t settings = db_epoch(f->db, DB_TOPIC_SETTINGS);
    uint64_t accounts = db_epoch(f->db, DB_TOPIC_ACCOUNTS);
    assert_int_equal(write(fds[0], "g", 1), 1);
    assert_succeeds(pid);
    for (int i = 0; i < 1000 && db_epoch(f->db, DB_TOPIC_SETTINGS) == settings; i++)
        poll(NULL, 0, 10);
    assert_int_equal(db_epoch(f->db, DB_TOPIC_SETTINGS), settings + 1);
    assert_int_equal(db_epoch(f->db, DB_TOPIC_ACCOUNTS), accounts);
    close(fds[0]);
    close(fds[1]);
}

static void topic_of_a_failed_write_does_not_move(void **state)
{
    struct fixture *f = *state;
    uint64_t before = db_epoch(f->db, DB_TOPIC_SETTINGS);
    struct err err;
    struct setting setting = {"n", "v", -1};
    assert_int_equal(db_write(f->db, put_and_notify, &setting, &err), -ERR_FORBIDDEN);
    assert_int_equal(db_epoch(f->db, DB_TOPIC_SETTINGS), before);
}

// ---- Versions ----

static void empty_database_gets_all_tables(void **state)
{
    struct fixture *f = *state;
    assert_true(db_version(f->db) >= 1);
    static const struct db_stmt stmts[] = {
        {"SELECT count(*) FROM accounts"},
        {"SELECT count(*) FROM projects WHERE state <> 'opened'"},
        {"SELECT count(*) FROM project_users"},
        {"SELECT count(*) FROM api_keys"},
        {"SELECT count(*) FROM auth_tokens"},
        {"SELECT count(*) FROM user_auth_failures"},
        {"SELECT count(*) FROM sign_up_attempts"},
        {"SELECT count(*) FROM registration_tokens"},
        {"SELECT count(*) FROM account_creation_actions"},
        {"SELECT count(*) FROM client_error_log"},
        {"SELECT count(*) FROM central_log"},
    };
    struct err err;
    for (size_t i = 0; i < ARRAY_LEN(stmts); i++) {
        auto_rows struct db_rows *rows = NULL;
        assert_int_equal(db_query(f->session, &stmts[i], DB_NO_ARGS, &rows, &err), 0);
        assert_int_equal(db_rows_next(rows, &err), 1);
        assert_int_equal(db_rows_int(rows, 0), 0);
    }
}

static void opening_again_keeps_version_and_data(void **state)
{
    struct fixture *f = *state;
    int version = db_version(f->db);
    put_setting(f->db, "a", "1");
    close_db(f);
    open_db(f);
    assert_int_equal(db_version(f->db), version);
    assert_true(has_setting(f->session, "a"));
}

static int open_when_told(const struct fixture *f, int fd)
{
    struct db *db;
    struct err err;
    char c;
    if (read(fd, &c, 1) != 1)
        return 1;
    if (db_open(f->url, &db, &err)) {
        fprintf(stderr, "%s (%s)\n", err.message, err.detail);
        return 2;
    }
    db_close(db);
    return 0;
}

static void processes_that_start_at_once_do_not_collide(void **state)
{
    struct fixture *f = *state;
    close_db(f);
    f->make_empty(f);
    enum { STARTERS = 8 };
    pid_t pids[STARTERS];
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    for (int i = 0; i < STARTERS; i++)
        pids[i] = spawn(open_when_told, f, fds[0]);
    assert_int_equal(write(fds[1], "gggggggg", STARTERS), STARTERS);
    for (int i = 0; i < STARTERS; i++)
        assert_succeeds(pids[i]);
    close(fds[0]);
    close(fds[1]);
    open_db(f);
    static const struct db_stmt select = {"SELECT count(*) FROM schema_migrations"};
    struct err err;
    auto_rows struct db_rows *rows = NULL;
    assert_int_equal(db_query(f->session, &select, DB_NO_ARGS, &rows, &err), 0);
    assert_int_equal(db_rows_next(rows, &err), 1);
    assert_int_equal(db_rows_int(rows, 0), db_version(f->db));
}

static int pretend_newer(struct db_session *txn, void *arg UNUSED, struct err *err)
{
    static const struct db_stmt insert = {
        "INSERT INTO schema_migrations (number, name, applied) VALUES (999, 'future', 0)"};
    return db_exec(txn, &insert, DB_NO_ARGS, NULL, err);
}

static int drop_newer(struct db_session *txn, void *arg UNUSED, struct err *err)
{
    static const struct db_stmt delete = {"DELETE FROM schema_migrations WHERE number = 999"};
    return db_exec(txn, &delete, DB_NO_ARGS, NULL, err);
}

static void newer_database_is_refused(void **state)
{
    struct fixture *f = *state;
    struct err err;
    assert_int_equal(db_write(f->db, pretend_newer, NULL, &err), 0);
    struct db *again;
    assert_int_equal(db_open(f->url, &again, &err), -ERR_CONFLICT);
    assert_non_null(strstr(err.message, "999"));
    assert_int_equal(db_write(f->db, drop_newer, NULL, &err), 0);
}

static void unknown_kind_of_url_is_invalid(void **state UNUSED)
{
    struct db *db;
    struct err err;
    assert_int_equal(db_open("mysql:x", &db, &err), -ERR_INVALID);
    assert_int_equal(db_open("sqlite", &db, &err), -ERR_INVALID);
    assert_int_equal(db_open("", &db, &err), -ERR_INVALID);
}

#define TEST(f)                                                                                    \
    {                                                                                              \
#f, f, setup, teardown, NULL                                                               \
    }

static int run_all(const char *kind, CMFixtureFunction setup, CMFixtureFunction teardown)
{
    const struct CMUnitTest tests[] = {
        TEST(text_comes_back_as_it_was),
        TEST(null_is_neither_empty_nor_zero),
        TEST(text_argument_needs_no_nul),
        TEST(arguments_may_come_in_any_order_and_often),
        TEST(arguments_are_used_only_during_the_call),
        TEST(wrong_number_of_arguments_is_an_error),
        TEST(bad_statement_is_an_internal_error),
        TEST(statement_runs_again_after_its_rows_are_closed),
        TEST(many_statements_do_not_get_mixed_up),
        TEST(exec_outside_a_transaction_is_refused),
        TEST(session_for_reading_cannot_write_by_query),
        TEST(many_texts_do_not_get_mixed_up),
        TEST(text_may_run_again_while_its_rows_are_open),
        TEST(texts_whose_rows_are_open_are_kept),
        TEST(wrong_text_is_an_internal_error),
        TEST(texts_may_write),
        TEST(reals_come_back_as_they_were),
        TEST(integer_read_as_real_has_its_value),
        TEST(bytes_come_back_as_they_were),
        TEST(string_agg_joins_what_is_not_null),
        TEST(string_agg_of_nothing_is_null),
        TEST(string_agg_keeps_groups_apart),
        TEST(same_key_twice_is_a_conflict),
        TEST(broken_reference_is_a_conflict),
        TEST(exec_tells_how_many_rows_changed),
        TEST(transaction_may_write_by_query),
        TEST(failed_transaction_leaves_nothing),
        TEST(transaction_sees_its_own_writes),
        TEST(writes_call_back_on_the_loop_in_order),
        TEST(writes_that_wait_are_committed),
        TEST(failing_writes_leave_the_others_of_their_group),
        TEST(close_waits_for_queued_writes),
        TEST(acknowledged_writes_survive_a_kill),
        TEST(processes_write_at_once),
        TEST(topics_are_seen_by_another_process),
        TEST(topic_of_a_failed_write_does_not_move),
        TEST(empty_database_gets_all_tables),
        TEST(opening_again_keeps_version_and_data),
        TEST(processes_that_start_at_once_do_not_collide),
        TEST(newer_database_is_refused),
        TEST(unknown_kind_of_url_is_invalid),
    };
    return cmocka_run_group_tests_name(kind, tests, NULL, NULL);
}

// The one argument says which database.
int main(int argc, char **argv)
{
    if (argc == 2 && !strcmp(argv[1], "sqlite"))
        return run_all("sqlite", sqlite_setup, sqlite_teardown);
    if (argc == 2 && !strcmp(argv[1], "postgresql"))
        return run_all("postgresql", postgres_setup, postgres_teardown);
    return 2;
}
