// SPDX-License-Identifier: AGPL-3.0-or-later
// Sets of user queries on small tables of this test's own: what API v1 has no caller for (nobody,
// projects), routines, rows of others, deleting. Each case is a query, what comes of it, and what
// the row is then. Under tests/postgres.py it runs on that database.
#include "query_fixture.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/limits.h"

#define ADA   "aaaaaaaa-0000-4000-8000-000000000001"
#define BOB   "bbbbbbbb-0000-4000-8000-000000000002"
#define ROOT  "cccccccc-0000-4000-8000-000000000003"
#define P1    "11111111-0000-4000-8000-000000000001"
#define P2    "22222222-0000-4000-8000-000000000002"
#define NOW   INT64_C(1600000000000)
#define ADMIN "FATAL: user must be an admin"

// ---- The tables ----

static struct buf trace; // what routines were called with

static int note_extra(struct db_session *txn UNUSED, struct query_set *set UNUSED,
                      const cJSON *value, struct err *err UNUSED)
{
    buf_append_str(&trace, "extra:");
    json_value(&trace, value);
    return 0;
}

static const struct query_column thing_columns[] = {
    {.name = "id", .type = QUERY_UUID},
    {.name = "project_id", .type = QUERY_UUID},
    {.name = "account_id", .type = QUERY_UUID},
    {.name = "text", .type = QUERY_TEXT, .max_length = 5},
    {.name = "time", .type = QUERY_TIMESTAMP},
    {.name = "map", .type = QUERY_JSON},
    {.name = "tags", .type = QUERY_TEXT, .array = true},
    {.name = "needed", .type = QUERY_TEXT},
    {.name = "extra", .type = QUERY_BOOLEAN, .sql = "NULL", .write = note_extra},
    {.name = "extra_map", .type = QUERY_JSON, .sql = "NULL", .write = note_extra},
};

static int check_text(const struct query_set *set UNUSED, const cJSON *value, struct err *err)
{
    if (cJSON_IsString(value) && !strcmp(value->valuestring, "bad"))
        return err_set(err, ERR_INVALID, "bad text");
    if (cJSON_IsString(value) && !strcmp(value->valuestring, "broken"))
        return err_internal(err, "broken");
    return 0;
}

static const struct query_set_field thing_fields[] = {
    {.name = "id", .rule = QUERY_UUID_IF_MISSING},
    {.name = "project_id", .rule = QUERY_PROJECT_WRITE},
    {.name = "account_id", .rule = QUERY_ACCOUNT_ID},
    {.name = "text", .check = check_text},
    {.name = "time", .rule = QUERY_NOW_IF_MISSING},
    {.name = "map"},
    {.name = "tags"},
    {.name = "needed"},
    {.name = "extra"},
    {.name = "extra_map"},
    {.name = "parameter"},
};
static const struct query_set_block things_set = {
    .access = QUERY_PROJECT,
    QUERY_FIELDS(thing_fields),
    .required = {"needed"},
    .deletes = true,
};

static const struct query_set_field own_fields[] = {
    {.name = "project_id", .rule = QUERY_PROJECT_ID},
    {.name = "text"},
    {.name = "needed"},
};
static const struct query_set_block own_set = {
    .access = QUERY_PROJECT_KEY,
    QUERY_FIELDS(own_fields),
    .deletes = true,
};

#define THINGS .text = "Things.", .base = "things", .key = {"id"}, QUERY_COLUMNS(thing_columns)
static const struct query_table things = {
    .name = "things", THINGS, .set = &things_set, .project_set = &own_set};
static const struct query_table own_things = {.name = "own", THINGS, .set = &own_set};
static const struct query_table both_things = {
    .name = "both", THINGS, .set = &things_set, .project_set = &things_set};

static const struct query_set_field write_fields[] = {
    {.name = "project_id", .rule = QUERY_PROJECT_WRITE}, {.name = "text"}, {.name = "needed"}};
static const struct query_set_block write_set = {.access = QUERY_PROJECT,
                                                 QUERY_FIELDS(write_fields)};
static const struct query_table named_things = {
    .name = "named", THINGS, .set = &write_set, .project_set = &write_set};

// Routines that tell of themselves, and refuse what has their name as its text.
static int routine(const char *name, struct query_set *set, struct err *err)
{
    const char *text = json_get_str(set->pattern, "text");
    buf_printf(&trace, "%s%s(%s)", trace.size ? " " : "", name, set->exists ? "old" : "new");
    if (text && !strcmp(text, name))
        return err_set(err, ERR_CONFLICT, "not %s", name);
    return 0;
}
static int on_check(struct db_session *txn UNUSED, struct query_set *set, struct err *err)
{
    set->note = arena_strdup(set->arena, "noted");
    return routine("check", set, err);
}
static int on_before(struct db_session *txn UNUSED, struct query_set *set, struct err *err)
{
    return routine("befor", set, err);
}
static int on_after(struct db_session *txn UNUSED, struct query_set *set, struct err *err)
{
    return routine("after", set, err);
}
static int on_instead(struct db_session *txn UNUSED, struct query_set *set, struct err *err)
{
    return routine("inste", set, err);
}
static void on_committed(const struct query_set *set)
{
    buf_printf(&trace, " committed(%s)", (const char *)set->note);
}

static const struct query_set_field admin_fields[] = {{.name = "text"}, {.name = "needed"}};
static const struct query_set_block hooked_set = {
    .access = QUERY_ADMIN,
    QUERY_FIELDS(admin_fields),
    .check = on_check,
    .before = on_before,
    .after = on_after,
    .committed = on_committed,
};
static const struct query_table hooked = {.name = "hooked", THINGS, .set = &hooked_set};
static const struct query_set_block instead_set = {
    .access = QUERY_ADMIN,
    QUERY_FIELDS(admin_fields),
    .deletes = true,
    .instead = on_instead,
};
static const struct query_table instead = {.name = "instead", THINGS, .set = &instead_set};

static const struct query_column file_columns[] = {
    {.name = "id", .type = QUERY_TEXT},
    {.name = "project_id", .type = QUERY_UUID},
    {.name = "path", .type = QUERY_TEXT},
};
static const struct query_set_field file_fields[] = {
    {.name = "id", .rule = QUERY_SHA1_PROJECT_PATH},
    {.name = "project_id", .rule = QUERY_PROJECT_WRITE},
    {.name = "path"},
};
static const struct query_set_block files_set = {.access = QUERY_PROJECT,
                                                 QUERY_FIELDS(file_fields)};
static const struct query_table files = {
    .name = "files",
    .text = "Files.",
    .base = "files",
    .key = {"id"},
    QUERY_COLUMNS(file_columns),
    .set = &files_set,
};

static const struct query_table *const tables[] = {
    &things, &own_things, &both_things, &named_things, &hooked, &instead, &files, NULL};

// ---- The rows ----

static const char *const rows[] = {
    "CREATE TABLE things (id TEXT PRIMARY KEY, project_id TEXT, account_id TEXT, text TEXT, time "
    "BIGINT, map TEXT, tags TEXT, needed TEXT NOT NULL)",
    "CREATE TABLE files (id TEXT PRIMARY KEY, project_id TEXT, path TEXT)",
    "INSERT INTO accounts (account_id, created) VALUES ('" ADA "', 1), ('" BOB "', 1)",
    "INSERT INTO accounts (account_id, created, \"groups\") VALUES ('" ROOT "', 1, '[\"admin\"]')",
    "INSERT INTO projects (project_id, created) VALUES ('" P1 "', 1), ('" P2 "', 2)",
    "INSERT INTO project_users (project_id, account_id, \"group\") VALUES ('" P1 "', '" ADA
    "', 'owner'), ('" P2 "', '" BOB "', 'owner')",
};

static int setup(void **state UNUSED)
{
    return query_fixture_open(tables, rows, ARRAY_LEN(rows));
}

static int teardown(void **state UNUSED)
{
    buf_dispose(&trace);
    return query_fixture_close();
}

// ---- Running ----

struct caller {
    const char *account, *project;
    bool admin;
    enum query_dialect dialect;
};

static struct uuid id_of(const char *text)
{
    struct uuid id = {""};
    if (text)
        strcpy(id.text, text);
    return id;
}

static int run_one(struct query_one *one, struct err *err)
{
    if (query_one_cost(one) == QUERY_IDLE)
        return 0;
    int rc = db_write(fixture.db, query_one_set, one, err);
    if (!rc)
        query_one_committed(one);
    return rc;
}

// {}, or the text of the error; to be freed.
static char *run(const struct caller *caller, const char *query, const char *options)
{
    struct arena arena = {0};
    struct err err = {0};
    struct query_one *one = NULL;
    auto_json cJSON *parsed = cJSON_Parse(query);
    auto_json cJSON *parsed_options = options ? cJSON_Parse(options) : NULL;
    const struct query_request request = {
        .schema = fixture.schema,
        .dialect = caller->dialect,
        .caller = {id_of(caller->account), id_of(caller->project), caller->admin},
        .now_ms = NOW,
        .options = parsed_options,
        .arena = &arena,
    };
    assert_non_null(parsed);
    trace.size = 0;
    int rc = query_one_parse(&request, parsed, &one, &err);
    if (!rc)
        rc = run_one(one, &err);
    if (one)
        query_one_dispose(one);
    arena_dispose(&arena);
    return mem_strdup(rc ? err.message : "{}");
}

// The one row that a statement gives, its columns with bars between.
static char *row_of(const char *sql)
{
    struct err err = {0};
    auto_buf struct buf out = {0};
    auto_rows struct db_rows *found = NULL;
    assert_int_equal(db_query_text(fixture.session, sql, DB_NO_ARGS, &found, &err), 0);
    while (db_rows_next(found, &err) == 1) {
        if (out.size)
            buf_append_char(&out, '\n');
        buf_append_str(&out, db_rows_null(found, 0) ? "NULL" : db_rows_text(found, 0));
    }
    return mem_strdup(buf_cstr(&out));
}

static const struct caller ada = {.account = ADA}, bob = {.account = BOB},
                           root = {.account = ROOT, .admin = true}, nobody = {0},
                           project = {.project = P1},
                           ada_current = {.account = ADA, .dialect = QUERY_CURRENT},
                           root_current = {.account = ROOT,
                                           .admin = true,
                                           .dialect = QUERY_CURRENT},
                           project_current = {.project = P1, .dialect = QUERY_CURRENT};

static void expect(const struct caller *caller, const char *query, const char *options,
                   const char *wanted)
{
    auto_free char *result = run(caller, query, options);
    if (strcmp(result, wanted) != 0)
        fail_msg("%.300s %s\n  gives   %s\n  not     %s", query, options ? options : "", result,
                 wanted);
}

static void expect_row(const char *sql, const char *wanted)
{
    auto_free char *row = row_of(sql);
    assert_string_equal(row, wanted);
}

#define THING(n) "\"id\":\"00000000-0000-4000-8000-0000000000" n "\""
#define IN(p)    ",\"project_id\":\"" p "\",\"needed\":\"n\""
#define DELETE   "[{\"delete\":true}]"
#define FORCED   "[{\"set\":true}]"
#define SELECT(what, n)                                                                            \
    "SELECT " what " FROM things WHERE id = '00000000-0000-4000-8000-0000000000" n "'"

// ---- Who ----

static void test_callers(void **state UNUSED)
{
    expect(&nobody, "{\"things\":{}}", NULL, "FATAL: no anonymous set queries");
    expect(&nobody, "{\"nope\":{}}", NULL, "FATAL: no anonymous set queries");
    expect(&ada, "{\"nope\":{}}", NULL, "FATAL: table 'nope' does not exist");
    expect(&project, "{\"own\":{" THING("01") "}}", NULL,
           "FATAL: user set queries not allowed for table 'own'");
    expect(&ada, "{\"own\":{" THING("01") "}}", NULL, "FATAL: project_id must be specified");
    expect(&project, "{\"both\":{" THING("01") IN(P1) "}}", NULL,
           "FATAL: account_id must be specified");
    expect(&project_current, "{\"both\":{" THING("01") IN(P1) "}}", NULL,
           "FATAL: account_id must be specified -- make sure you are signed in");
    expect(&project, "{\"named\":{" THING("01") IN(P2) "}}", NULL,
           "FATAL: can only query same project");
    expect(&project, "{\"named\":{" THING("01") IN(P1) "}}", NULL, "{}");
    expect_row(SELECT("project_id", "01"), P1);
    expect(&ada, "{\"hooked\":{" THING("01") "}}", NULL, ADMIN);
    expect(&bob, "{\"named\":{" THING("01") IN(P1) "}}", NULL, ADMIN);
}

static void test_a_project_writes_for_itself(void **state UNUSED)
{
    expect(&project, "{\"things\":{" THING("02") IN(P2) "}}", NULL, "{}");
    expect_row(SELECT("project_id", "02"), P1);
    expect(&bob, "{\"things\":{" THING("03") IN(P2) "}}", NULL, "{}");
    expect(&project, "{\"things\":{" THING("03") IN(P1) "}}", NULL,
           "FATAL: can only query same project");
    expect(&project, "{\"things\":{" THING("03") IN(P1) "}}", DELETE,
           "FATAL: can only query same project");
    expect_row(SELECT("project_id", "03"), P2);
}

static void test_rows_of_other_projects(void **state UNUSED)
{
    expect(&bob, "{\"things\":{" THING("04") IN(P2) ",\"text\":\"bob\"}}", NULL, "{}");
    expect(&ada, "{\"things\":{" THING("04") IN(P1) ",\"text\":\"ada\"}}", NULL, ADMIN);
    expect(&ada, "{\"things\":{" THING("04") IN(P1) ",\"text\":\"ada\"}}", DELETE, ADMIN);
    expect_row(SELECT("text || project_id", "04"), "bob" P2);
    expect(&root, "{\"things\":{" THING("04") IN(P1) ",\"text\":\"root\"}}", NULL, "{}");
    expect_row(SELECT("text || project_id", "04"), "root" P1);
}

// ---- Rules and values ----

static void test_rules(void **state UNUSED)
{
    expect(&ada, "{\"things\":{" THING("10") "}}", NULL, "FATAL: must specify things.project_id");
    expect(&ada, "{\"things\":{\"project_id\":\"" P1 "\",\"text\":\"x\"}}", NULL,
           "FATAL: must specify things.needed");
    expect(&ada, "{\"things\":{\"project_id\":\"" P1 "\",\"text\":\"bad\"}}", NULL,
           "FATAL: error setting 'text' -- Error: bad text");
    expect(&ada, "{\"things\":{\"project_id\":\"" P1 "\",\"text\":\"broken\"}}", NULL,
           "internal error");
    expect(&ada, "{\"things\":{\"text\":\"mine\",\"account_id\":\"x\"" IN(P1) "}}", NULL, "{}");
    expect_row("SELECT account_id FROM things WHERE text = 'mine' AND length(id) = 36", ADA);
    expect_row("SELECT 'at' FROM things WHERE text = 'mine' AND time = 1600000000000", "at");
    expect(&ada, "{\"named\":{\"text\":\"x\"" IN(P1) "}}", NULL, "FATAL: must specify named.id");
    expect(&ada, "{\"named\":{\"id\":7" IN(P1) "}}", NULL,
           "postgresql error: invalid input syntax for type uuid: \"7\"");
    expect(&ada, "{\"named\":{\"id\":\"foo\"" IN(P2) "}}", NULL, ADMIN);
}

static void test_sha1(void **state UNUSED)
{
    expect(&ada,
           "{\"files\":{\"project_id\":\"11111111-0000-4000-8000-000000000001\",\"path\":"
           "\"a/b\",\"id\":\"x\"}}",
           NULL, "{}");
    expect(&ada, "{\"files\":{\"project_id\":\"" P1 "\",\"path\":7}}", NULL, "{}");
    expect(&ada, "{\"files\":{\"project_id\":\"" P1 "\",\"id\":\"x\"}}", NULL,
           "FATAL: must specify files.path");
    // printf '11111111-0000-4000-8000-000000000001a/b' | sha1sum, and with 7
    expect_row("SELECT path || ' ' || id FROM files ORDER BY path DESC",
               "a/b 5bdcbc8d58d3655f814586a892bab61fedaf6657\n"
               "7 f349ab4be1cf19c3d9e6f81a6ebec6a6a4a98e92");
}

static void test_values(void **state UNUSED)
{
    expect(&ada,
           "{\"things\":{" THING("20")
               IN(P1) ",\"text\":\"1234567\",\"time\":5,\"tags\":"
                      "[\"a\"],\"map\":{\"a\":null,\"b\":{\"c\":null}},\"parameter\":1}}",
           FORCED, "{}");
    expect_row(SELECT("text || tags || map || time", "20"), "12345[\"a\"]{\"b\":{}}5");
    expect(&ada,
           "{\"things\":{" THING("20") IN(P1) ",\"text\":null,\"tags\":null,\"time\":5,"
                                              "\"map\":{\"d\":[null]}}}",
           FORCED, "{}");
    expect_row(SELECT("text || tags || map || time", "20"), "12345[\"a\"]{\"b\":{},\"d\":[null]}5");
    expect(&ada, "{\"things\":{" THING("20") IN(P1) ",\"extra\":\"yes\"}}", NULL, "{}");
    assert_string_equal(buf_cstr(&trace), "extra:true");
    expect(&ada, "{\"things\":{" THING("20") IN(P1) ",\"extra\":\"x\"}}", NULL,
           "postgresql error: invalid input syntax for type boolean: \"x\"");
    expect(&ada, "{\"things\":{" THING("20") IN(P1) ",\"extra_map\":7}}", NULL,
           "FATAL: error setting 'extra_map' -- Error: must be an object");
    expect(&ada, "{\"things\":{" THING("20") IN(P1) ",\"extra_map\":{\"a\":1}}}", NULL, "{}");
    assert_string_equal(buf_cstr(&trace), "extra:{\"a\":1}");
}

// An old row is changed although a column that must not be null is not given, a new one is refused.
static void test_columns_that_must_not_be_null(void **state UNUSED)
{
    expect(&root, "{\"hooked\":{" THING("21") ",\"needed\":\"n\"}}", NULL, "{}");
    expect(&root, "{\"hooked\":{" THING("21") ",\"text\":\"x\"}}", NULL, "{}");
    expect_row(SELECT("text || needed", "21"), "xn");
    expect(&root, "{\"hooked\":{" THING("22") ",\"text\":\"x\"}}", NULL,
           "It does not fit what is stored.");
}

static void test_the_size_of_maps(void **state UNUSED)
{
    auto_free char *half = mem_alloc(LIMIT_QUERY_MAP / 2 + 1);
    memset(half, 'x', LIMIT_QUERY_MAP / 2);
    half[LIMIT_QUERY_MAP / 2] = '\0';
    for (int i = 0; i < 2; i++) {
        auto_free char *query =
            mem_printf("{\"things\":{" THING("23") IN(P1) ",\"map\":{\"%d\":\"%s\"}}}", i, half);
        expect(&ada, query, NULL,
               i ? "FATAL: error setting 'map' -- Error: must have at most 1048576 bytes" : "{}");
    }
    expect_row(SELECT("length(map)", "23"), "524296");
}

// ---- Routines ----

static void expect_trace(const char *wanted)
{
    assert_string_equal(buf_cstr(&trace), wanted);
}

static void test_routines(void **state UNUSED)
{
    expect(&root, "{\"hooked\":{" THING("30") ",\"needed\":\"n\"}}", NULL, "{}");
    expect_trace("check(new) befor(new) after(new) committed(noted)");
    expect(&root, "{\"hooked\":{" THING("30") ",\"text\":\"x\"}}", NULL, "{}");
    expect_trace("check(new) befor(old) after(old) committed(noted)");
    expect(&root, "{\"hooked\":{" THING("30") ",\"text\":\"check\"}}", NULL, "not check");
    expect_trace("check(new)");
    expect(&root, "{\"hooked\":{" THING("30") ",\"text\":\"befor\"}}", NULL, "not befor");
    expect_trace("check(new) befor(old)");
    expect(&root, "{\"hooked\":{" THING("30") ",\"text\":\"after\"}}", NULL, "not after");
    expect_row(SELECT("text", "30"), "x");
    expect(&root, "{\"hooked\":{\"text\":\"x\"}}", NULL,
           "FATAL: query must specify (primary) key 'id'");
    expect(&root_current, "{\"hooked\":{\"text\":\"x\"}}", NULL, "FATAL: must specify hooked.id");
}

static void test_instead(void **state UNUSED)
{
    expect(&root, "{\"instead\":{" THING("30") ",\"text\":\"y\"}}", NULL, "{}");
    expect_trace("inste(old)");
    expect(&root, "{\"instead\":{" THING("30") "}}", DELETE, "{}");
    expect_trace("inste(old)");
    expect_row(SELECT("text", "30"), "x");
    expect(&root_current, "{\"instead\":{\"text\":\"y\"}}", NULL, "{}");
    expect_trace("inste(new)");
}

// ---- Deleting ----

static void test_delete(void **state UNUSED)
{
    expect(&ada, "{\"things\":{" THING("40") IN(P1) "}}", NULL, "{}");
    expect(&ada, "{\"named\":{" THING("40") IN(P1) "}}", DELETE,
           "FATAL: delete from named not allowed");
    expect(&bob, "{\"things\":{" THING("40") IN(P1) "}}", DELETE, ADMIN);
    expect(&project, "{\"things\":{\"text\":\"x\"}}", DELETE,
           "FATAL: delete query must set primary key");
    expect(&ada, "{\"things\":{\"project_id\":\"" P1 "\",\"account_id\":\"x\"}}", DELETE, "{}");
    expect_row(SELECT("needed", "40"), "n");
    expect(&ada, "{\"things\":{" THING("40") ",\"project_id\":\"" P1 "\"}}", DELETE, "{}");
    expect_row(SELECT("needed", "40"), "");
    expect(&ada, "{\"things\":{" THING("40") ",\"project_id\":\"" P1 "\"}}", DELETE, "{}");
    expect(&ada_current, "{\"named\":{\"project_id\":\"" P2 "\"}}", NULL, "{}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_callers),
        cmocka_unit_test(test_a_project_writes_for_itself),
        cmocka_unit_test(test_rows_of_other_projects),
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_sha1),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_columns_that_must_not_be_null),
        cmocka_unit_test(test_the_size_of_maps),
        cmocka_unit_test(test_routines),
        cmocka_unit_test(test_instead),
        cmocka_unit_test(test_delete),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
