// SPDX-License-Identifier: AGPL-3.0-or-later
// Queries of projects about themselves: listings and public paths; and what no request is large
// enough for. Where the environment names a PostgreSQL database it runs on that.
#include "query_fixture.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/limits.h"
#include "db/query.h"
#include "svc/svc.h"
#include "svc/tables/tables.h"

#define ADA "aaaaaaaa-0000-4000-8000-000000000001"
#define P1  "11111111-0000-4000-8000-000000000001"
#define P2  "22222222-0000-4000-8000-000000000002"
#define NOW INT64_C(1600000000000) // 2020-09-13T12:26:40Z

#define LISTING(fields)     "{\"listings\":{" fields "}}"
#define PUBLIC_PATH(fields) "{\"public_paths\":{" fields "}}"
#define DELETE              "[{\"delete\":true}]"

static struct svc svc;

static const char *const rows[] = {
    "INSERT INTO accounts (account_id, first_name, last_name, created) VALUES"
    " ('" ADA "', 'Ada', 'L', 0)",
    "INSERT INTO projects (project_id, title, created, last_edited, state) VALUES"
    " ('" P1 "', 'T1', 1, 1, 'opened'), ('" P2 "', 'T2', 1, 1, 'opened')",
    "INSERT INTO project_users (project_id, account_id, \"group\") VALUES"
    " ('" P1 "', '" ADA "', 'owner')",
};

// ---- One query ----

static struct query_caller caller_of(const char *account, const char *project)
{
    struct query_caller caller = {0};
    if (account)
        assert_true(uuid_parse(account, UUID_LEN, &caller.account_id));
    if (project)
        assert_true(uuid_parse(project, UUID_LEN, &caller.project_id));
    return caller;
}

// `wanted` is RESULT, "" for a set that works, or the text of the refusal.
struct test_case {
    const char *account, *project; // who asks
    const char *query, *options, *wanted;
};

static void check(const struct test_case *c)
{
    struct arena arena = {0};
    struct err err = {0};
    auto_buf struct buf out = {0};
    auto_json cJSON *query = cJSON_Parse(c->query);
    auto_json cJSON *options = c->options ? cJSON_Parse(c->options) : NULL;
    const struct query_request request = {.schema = fixture.schema,
                                          .dialect = QUERY_CURRENT,
                                          .caller = caller_of(c->account, c->project),
                                          .now_ms = NOW,
                                          .options = options,
                                          .ctx = &svc,
                                          .arena = &arena};
    assert_non_null(query);
    int rc = query_fixture_run(&request, query, &out, &err);
    const char *text = rc ? err.message : buf_cstr(&out);
    if (strcmp(text, c->wanted) != 0)
        fprintf(stderr, "%s\n  gives  %s %s\n  wanted %s\n", c->query, text, err.detail, c->wanted);
    assert_string_equal(text, c->wanted);
    arena_dispose(&arena);
}

static void check_all(const struct test_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++)
        check(&cases[i]);
}
#define CHECK(cases) check_all(cases, ARRAY_LEN(cases))

// ---- listings ----

static void test_a_project_writes_its_listings(void **state UNUSED)
{
    static const struct test_case cases[] = {
        // Another project's id is replaced by its own.
        {NULL, P1,
         LISTING("\"project_id\":\"" P2 "\",\"path\":\"a\",\"interest\":1600000000000,"
                 "\"time\":1600000000001,\"missing\":2,\"listing\":[{\"name\":\"x\"}],"
                 "\"deleted\":[\"y\"],\"error\":\"e\""),
         NULL, ""},
        {NULL, P1, LISTING("\"path\":\"a\",\"compute_server_id\":7,\"interest\":1"), NULL, ""},
        {NULL, P1, LISTING("\"path\":\"a\",\"listing\":[{\"name\":\"z\"}]"), NULL, ""},
        {NULL, P1,
         "{\"listings\":[{\"project_id\":null,\"path\":null,\"compute_server_id\":null,"
         "\"interest\":null,\"time\":null,\"missing\":null,\"listing\":null,\"deleted\":null,"
         "\"error\":null}]}",
         NULL,
         "{\"listings\":[{\"project_id\":\"" P1 "\",\"path\":\"a\",\"compute_server_id\":0,"
         "\"interest\":\"2020-09-13T12:26:40.000Z\",\"time\":\"2020-09-13T12:26:40.001Z\","
         "\"missing\":2,\"listing\":[{\"name\":\"z\"}],\"deleted\":[\"y\"],\"error\":\"e\"},"
         "{\"project_id\":\"" P1 "\",\"path\":\"a\",\"compute_server_id\":7,"
         "\"interest\":\"1970-01-01T00:00:00.001Z\"}]}"},
        {NULL, P2, "{\"listings\":[{\"path\":null}]}", NULL, "{\"listings\":[]}"},
        {ADA, NULL, "{\"listings\":[{\"path\":null}]}", NULL,
         "{\"listings\":[{\"path\":\"a\"},{\"path\":\"a\"}]}"},
        {NULL, P1, LISTING("\"interest\":1"), NULL, "FATAL: must specify listings.path"},
        {NULL, P1, LISTING("\"interest\":1"), DELETE, "FATAL: delete query must set primary key"},
        {NULL, P1, LISTING("\"path\":\"a\""), DELETE, ""},
        {NULL, P1, "{\"listings\":[{\"path\":null,\"compute_server_id\":null}]}", NULL,
         "{\"listings\":[{\"path\":\"a\",\"compute_server_id\":7}]}"},
        {NULL, P1, LISTING("\"path\":\"a\",\"compute_server_id\":7"), DELETE, ""},
        {NULL, P1, "{\"listings\":[{\"path\":null}]}", NULL, "{\"listings\":[]}"},
    };
    CHECK(cases);
}

static void put_listings(int count)
{
    for (int i = 0; i < count; i++) {
        auto_buf struct buf query = {0};
        buf_printf(&query, LISTING("\"path\":\"%d\",\"interest\":%d"), i, i + 1);
        check(&(struct test_case){NULL, P2, buf_cstr(&query), NULL, ""});
    }
}

static void test_a_project_keeps_few_listings(void **state UNUSED)
{
    static const struct db_stmt counted = {"SELECT count(*) FROM listings WHERE interest > $1"};
    int64_t all = 0, newest = 0;
    struct err err;
    put_listings(3000);
    assert_int_equal(db_query_int(fixture.session, &counted, DB_ARGS(DB_INT(0)), &all, &err), 0);
    assert_int_equal(db_query_int(fixture.session, &counted, DB_ARGS(DB_INT(3000 - LIMIT_LISTINGS)),
                                  &newest, &err),
                     0);
    assert_true(all < 2500);
    assert_int_equal(newest, LIMIT_LISTINGS);
    const struct test_case three = {
        NULL, P2, "{\"listings\":[{\"path\":null}]}", NULL,
        "{\"listings\":[{\"path\":\"2999\"},{\"path\":\"2998\"},{\"path\":\"2997\"}]}"};
    check(&three);
}

// ---- public_paths ----

static void test_a_project_publishes_its_own_paths(void **state UNUSED)
{
    static const struct test_case cases[] = {
        {NULL, P1, PUBLIC_PATH("\"project_id\":\"" P1 "\",\"path\":\"a/\",\"name\":\"N\""), NULL,
         ""},
        {NULL, P1, PUBLIC_PATH("\"project_id\":\"" P2 "\",\"path\":\"a\""), NULL,
         "FATAL: can only query same project"},
        {NULL, P1, PUBLIC_PATH("\"project_id\":\"" P1 "\",\"path\":\"../b\""), NULL,
         "path '../b' must be contained in the project"},
        {NULL, P1, PUBLIC_PATH("\"project_id\":\"" P1 "\",\"path\":\"b\",\"name\":\"n\""), NULL,
         "There is already a public path \"a\" in this project with the name \"n\".  Names are not "
         "case sensitive."},
        {NULL, P1, "{\"public_paths\":[{\"path\":null,\"compute_image\":null}]}", NULL,
         "{\"public_paths\":[{\"path\":\"a\",\"compute_image\":\"default\"}]}"},
        {NULL, P2, "{\"public_paths\":[{\"path\":null}]}", NULL, "{\"public_paths\":[]}"},
        // Nobody at all.
        {NULL, NULL, "{\"public_paths\":[{\"project_id\":\"" P1 "\",\"path\":null}]}", NULL,
         "{\"public_paths\":[{\"project_id\":\"" P1 "\",\"path\":\"a\"}]}"},
        {NULL, NULL, PUBLIC_PATH("\"project_id\":\"" P1 "\",\"path\":\"b\""), NULL,
         "FATAL: no anonymous set queries"},
    };
    CHECK(cases);
}

// ---- What else projects and strangers get ----

static void test_other_tables_are_closed(void **state UNUSED)
{
    static const char *const tables[] = {
        "project_log", "project_log_all", "project_invite_tokens", "file_use", "file_use_times",
        "mentions",    "blobs",           "public_paths_by_id"};
    for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
        auto_free char *query = mem_printf("{\"%s\":[{\"id\":null}]}", tables[i]);
        auto_free char *of_project =
            mem_printf("FATAL: get queries not allowed for table '%s'", tables[i]);
        auto_free char *of_nobody =
            mem_printf("FATAL: anonymous get queries not allowed for table '%s'", tables[i]);
        check(&(struct test_case){NULL, P1, query, NULL, of_project});
        if (strcmp(tables[i], "public_paths_by_id") != 0)
            check(&(struct test_case){NULL, NULL, query, NULL, of_nobody});
    }
}

static void test_a_blob_that_is_too_large(void **state UNUSED)
{
    auto_buf struct buf query = {0};
    buf_append_str(&query, "{\"blobs\":{\"id\":\"" P1 "\",\"project_id\":\"" P1 "\",\"blob\":\"");
    memset(buf_reserve(&query, LIMIT_BLOB + 1), 'x', LIMIT_BLOB + 1);
    query.size += LIMIT_BLOB + 1;
    buf_append_str(&query, "\"}}");
    check(&(struct test_case){ADA, NULL, buf_cstr(&query), NULL,
                              "blob must have at most 10000000 bytes"});
}

// ---- All of them ----

static int setup(void **state UNUSED)
{
    int rc = query_fixture_open(query_tables, rows, ARRAY_LEN(rows));
    svc.db = fixture.db;
    return rc;
}

static int teardown(void **state UNUSED)
{
    return query_fixture_close();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_project_writes_its_listings),
        cmocka_unit_test(test_a_project_keeps_few_listings),
        cmocka_unit_test(test_a_project_publishes_its_own_paths),
        cmocka_unit_test(test_other_tables_are_closed),
        cmocka_unit_test(test_a_blob_that_is_too_large),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
