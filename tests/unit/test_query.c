// SPDX-License-Identifier: AGPL-3.0-or-later
// Gets of user queries on small tables of this test's own: shapes, rights, conditions, values,
// rendering. Each case is a query and what comes of it. Where the environment names a PostgreSQL
// database it runs on that.
#include "query_fixture.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/limits.h"

#define ADA                 "aaaaaaaa-0000-4000-8000-000000000001"
#define BOB                 "bbbbbbbb-0000-4000-8000-000000000002"
#define ROOT                "cccccccc-0000-4000-8000-000000000003"
#define P1                  "11111111-0000-4000-8000-000000000001"
#define P2                  "22222222-0000-4000-8000-000000000002"
#define P3                  "33333333-0000-4000-8000-000000000003"
#define NONE                "99999999-0000-4000-8000-000000000009"
#define NOW                 INT64_C(1600000000000) // 2020-09-13T12:26:40Z
#define DAY                 INT64_C(86400000)
#define HOUR                INT64_C(3600000)
#define NO_READ             "FATAL: you do not have read access to this project"
#define FIELD(table, field) "FATAL: user get query not allowed for " table "." field

// ---- The tables ----

static void format_shout(const char *text, size_t size, struct buf *out)
{
    auto_buf struct buf loud = {0};
    buf_append(&loud, text, size);
    buf_append_char(&loud, '!');
    json_strn(out, loud.data, loud.size);
}

static void format_map(const char *text, size_t size, struct buf *out)
{
    json_begin_object(out);
    json_key(out, "of");
    json_strn(out, text, size);
    json_end_object(out);
}

static const struct query_column thing_columns[] = {
    {.name = "id", .type = QUERY_TEXT},
    {.name = "account_id", .type = QUERY_UUID},
    {.name = "text", .type = QUERY_TEXT, .max_length = 5},
    {.name = "time", .type = QUERY_TIMESTAMP},
    {.name = "json", .type = QUERY_JSON, .date_keys = "at when"},
    {.name = "dates", .type = QUERY_JSON, .date_keys = "*", .sql = "t.json"},
    {.name = "flag", .type = QUERY_BOOLEAN},
    {.name = "small", .type = QUERY_INTEGER},
    {.name = "whole", .type = QUERY_NUMBER, .whole = true},
    {.name = "real", .type = QUERY_NUMBER},
    {.name = "bytes", .type = QUERY_BYTES},
    {.name = "bits", .type = QUERY_BITS},
    {.name = "tags", .type = QUERY_TEXT, .array = true},
    {.name = "ids", .type = QUERY_UUID, .array = true},
    {.name = "never", .type = QUERY_TEXT, .sql = "NULL"},
    {.name = "never_flag", .type = QUERY_BOOLEAN, .sql = "NULL"},
    {.name = "shout", .type = QUERY_TEXT, .sql = "t.text", .format = format_shout},
    {.name = "map", .type = QUERY_JSON, .sql = "t.text", .format = format_map},
    {.name = "secret", .type = QUERY_TEXT, .sql = "t.text"},
};
static const struct query_get_field thing_fields[] = {
    {.name = "id"},
    {.name = "account_id"},
    {.name = "text", .fallback = "\"none\"", .current = "\"nothing\""},
    {.name = "time"},
    {.name = "json",
     .fallback = "{\"a\":1,\"b\":{\"x\":1},\"z\":null}",
     .current = "{\"a\":2,\"c\":3}"},
    {.name = "dates"},
    {.name = "flag"},
    {.name = "small", .fallback = "7"},
    {.name = "whole"},
    {.name = "real"},
    {.name = "bytes"},
    {.name = "bits"},
    {.name = "tags", .fallback = "[]"},
    {.name = "ids"},
    {.name = "never"},
    {.name = "never_flag", .fallback = "false"},
    {.name = "shout"},
    {.name = "map", .current = "{\"state\":\"x\"}"},
};
static const struct query_get_block things_get = {
    .access = QUERY_ACCOUNT,
    QUERY_FIELDS(thing_fields),
    .order_by = "id",
};
static const struct query_table things = {
    .name = "things",
    .text = "Things.",
    .base = "things",
    .key = {"id"},
    QUERY_COLUMNS(thing_columns),
    .get = &things_get,
};

static const struct query_get_block open_get = {
    .access = QUERY_ANONYMOUS,
    QUERY_FIELDS(thing_fields),
    .limit = {2, 3},
    .order_by = "-time",
    .keeps_nulls = true,
};
static const struct query_table open_things = {
    .name = "open",
    .text = "Things for all.",
    .base = "things",
    .key = {"id"},
    QUERY_COLUMNS(thing_columns),
    .get = &open_get,
};

static int refuse_x(struct query_get *get, struct err *err)
{
    const char *id = json_get_str(get->pattern, "id");
    return id && !strcmp(id, "x") ? err_set(err, ERR_INVALID, "no x") : 0;
}
static const struct query_filter own[] = {
    {.kind = QUERY_OWN_ACCOUNT, .column = "account_id"},
    {.kind = QUERY_WHERE, .column = "text", .sql = "$2 = 'any' OR t.account_id = $1"},
};
static const struct query_get_block own_get = {
    .access = QUERY_ACCOUNT,
    QUERY_FIELDS(thing_fields),
    QUERY_FILTERS(own),
    .check = refuse_x,
    .order_by = "id",
};
static const struct query_get_block admin_get = {
    .access = QUERY_ADMIN,
    QUERY_FIELDS(thing_fields),
    .check = refuse_x,
    .order_by = "id",
};
static const struct query_table own_things = {
    .name = "own",
    .text = "The caller's things.",
    .base = "things",
    .key = {"id"},
    QUERY_COLUMNS(thing_columns),
    .get = &own_get,
};
static const struct query_table admin_things = {
    .name = "admin",
    .text = "Things for administrators.",
    .base = "things",
    .key = {"id"},
    QUERY_COLUMNS(thing_columns),
    .get = &admin_get,
};

static const struct query_column project_columns[] = {
    {.name = "project_id", .type = QUERY_UUID},
    {.name = "title", .type = QUERY_TEXT},
    {.name = "last_edited", .type = QUERY_TIMESTAMP},
    {.name = "created", .type = QUERY_TIMESTAMP},
};
static const struct query_get_field project_fields[] = {
    {.name = "project_id"}, {.name = "title"}, {.name = "last_edited"}, {.name = "created"}};
static const struct query_filter recent[] = {
    {.kind = QUERY_NEWER_THAN, .column = "last_edited", .seconds = {10 * 86400, 20 * 86400}},
    {.kind = QUERY_PROJECT_MEMBER, .column = "project_id"},
};
static const struct query_filter itself[] = {{.kind = QUERY_THIS_PROJECT, .column = "project_id"}};
static const struct query_filter public[] = {
    {.kind = QUERY_PROJECT_PUBLIC, .column = "project_id"}};
static const struct query_get_block projects_get = {
    .access = QUERY_PROJECT,
    QUERY_FIELDS(project_fields),
    QUERY_FILTERS(recent),
    .order_by = "-last_edited",
    .limit = {300, 300},
};
static const struct query_get_block itself_get = {
    .access = QUERY_PROJECT_KEY,
    QUERY_FIELDS(project_fields),
    QUERY_FILTERS(itself),
};
static const struct query_get_block public_get = {
    .access = QUERY_ANONYMOUS,
    QUERY_FIELDS(project_fields),
    QUERY_FILTERS(public),
};
static const struct query_table projects = {
    .name = "projects",
    .text = "Projects.",
    .base = "projects",
    .key = {"project_id"},
    QUERY_COLUMNS(project_columns),
    .get = &projects_get,
    .project_get = &itself_get,
};
static const struct query_table public_projects = {
    .name = "public",
    .text = "Public projects.",
    .base = "projects",
    .key = {"project_id"},
    QUERY_COLUMNS(project_columns),
    .get = &public_get,
};

static const struct query_column log_columns[] = {
    {.name = "id", .type = QUERY_TEXT},
    {.name = "project_id", .type = QUERY_UUID},
    {.name = "time", .type = QUERY_TIMESTAMP},
};
static const struct query_get_field log_fields[] = {
    {.name = "id"}, {.name = "project_id"}, {.name = "time"}};
static const struct query_filter log_member[] = {
    {.kind = QUERY_PROJECT_MEMBER, .column = "project_id"}};
static const struct query_filter log_exact[] = {
    {.kind = QUERY_PROJECT_EXACT, .column = "project_id"}};
static const struct query_filter log_open[] = {
    {.kind = QUERY_PROJECT_EXACT_OPEN, .column = "project_id"}};
static const struct query_get_block log_get = {
    .access = QUERY_PROJECT,
    QUERY_FIELDS(log_fields),
    QUERY_FILTERS(log_member),
    .order_by = "-time",
};
static const struct query_get_block log_exact_get = {
    .access = QUERY_PROJECT,
    QUERY_FIELDS(log_fields),
    QUERY_FILTERS(log_exact),
    .order_by = "-time",
};
static const struct query_get_block log_open_get = {
    .access = QUERY_ANONYMOUS,
    QUERY_FIELDS(log_fields),
    QUERY_FILTERS(log_open),
    .order_by = "-time",
};
static const struct query_table log_table = {
    .name = "log",
    .text = "What happened.",
    .base = "project_log",
    .key = {"id"},
    QUERY_COLUMNS(log_columns),
    .get = &log_get,
};
static const struct query_table log_exact_table = {
    .name = "log_exact",
    .text = "What happened.",
    .base = "project_log",
    .key = {"id"},
    QUERY_COLUMNS(log_columns),
    .get = &log_exact_get,
};
static const struct query_table log_open_table = {
    .name = "log_open",
    .text = "What happened.",
    .base = "project_log",
    .key = {"id"},
    QUERY_COLUMNS(log_columns),
    .get = &log_open_get,
};

static const struct query_column member_columns[] = {
    {.name = "account_id", .type = QUERY_UUID},
    {.name = "first_name", .type = QUERY_TEXT},
};
static const struct query_get_field member_fields[] = {
    {.name = "account_id"}, {.name = "first_name"}, {.name = "project_id"}};
static const struct query_filter members[] = {
    {.kind = QUERY_PROJECT_EXACT, .column = "project_id"},
    {.kind = QUERY_WHERE,
     .column = "project_id",
     .sql = "t.account_id IN (SELECT account_id FROM project_users WHERE project_id = $2)"},
};
static const struct query_get_block members_get = {
    .access = QUERY_PROJECT,
    QUERY_FIELDS(member_fields),
    QUERY_FILTERS(members),
    .not_selected = "project_id",
    .order_by = "account_id",
};
static const struct query_table members_table = {
    .name = "members",
    .text = "Who works on a project.",
    .base = "accounts",
    .key = {"account_id"},
    QUERY_COLUMNS(member_columns),
    .get = &members_get,
};

static int compute_echo(struct db_session *session UNUSED, struct query_get *get, struct buf *out,
                        struct err *err)
{
    const char *say = json_get_str(get->pattern, "say");
    if (say && !strcmp(say, "fail"))
        return err_set(err, ERR_INVALID, "Error: failed");
    if (say && !strcmp(say, "nothing"))
        return 0;
    json_begin_object(out);
    json_member_int(out, "limit", get->limit);
    json_member_bool(out, "list", get->list);
    json_member_str(out, "who", get->caller.account_id.text);
    json_end_object(out);
    return 0;
}
static const struct query_get_field echo_fields[] = {{.name = "say"}};
static const struct query_get_block echo_get = {
    .access = QUERY_ACCOUNT,
    QUERY_FIELDS(echo_fields),
    .compute = compute_echo,
    .limit = {20, 30},
};
static const struct query_table echo_table = {
    .name = "echo",
    .text = "An echo.",
    .get = &echo_get,
};
static const struct query_column many_columns[] = {
    {.name = "id", .type = QUERY_INTEGER},
    {.name = "text", .type = QUERY_TEXT},
};
static const struct query_get_field many_fields[] = {{.name = "id"}, {.name = "text"}};
static const struct query_get_block many_get = {.access = QUERY_ACCOUNT, QUERY_FIELDS(many_fields)};
static const struct query_table many_table = {
    .name = "many",
    .text = "More than one looks at.",
    .base = "many",
    .key = {"id"},
    QUERY_COLUMNS(many_columns),
    .get = &many_get,
};

static const struct query_table closed_table = {.name = "closed", .text = "Closed."};

static const struct query_table *const tables[] = {&things,         &open_things,
                                                   &own_things,     &admin_things,
                                                   &projects,       &public_projects,
                                                   &log_table,      &log_exact_table,
                                                   &log_open_table, &members_table,
                                                   &echo_table,     &many_table,
                                                   &closed_table,   NULL};

// ---- The rows ----

static const char *const rows[] = {
    "CREATE TABLE things (id TEXT PRIMARY KEY, account_id TEXT, text TEXT, time BIGINT, json TEXT, "
    "flag BIGINT, small BIGINT, whole BIGINT, \"real\" DOUBLE PRECISION, bytes BYTEA, bits TEXT, "
    "tags TEXT, ids TEXT)",
    "CREATE TABLE many (id BIGINT PRIMARY KEY, text TEXT)",
    "INSERT INTO many (id, text) WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c "
    "WHERE n < 200001) SELECT n, 'x' FROM c",
    "INSERT INTO accounts (account_id, first_name, created) VALUES ('" ADA "', 'Ada', 1), ('" BOB
    "', 'Bob', 1)",
    "INSERT INTO accounts (account_id, first_name, created, \"groups\") VALUES ('" ROOT
    "', 'Root', 1, '[\"admin\"]')",
    "INSERT INTO projects (project_id, title, created, last_edited) VALUES ('" P1
    "', 'One', 1, 1599999990000), ('" P2 "', 'Two', 2, 1599999995000), ('" P3
    "', 'Three', 3, 1590000000000)",
    "INSERT INTO project_users (project_id, account_id, \"group\") VALUES ('" P1 "', '" ADA
    "', 'owner'), ('" P2 "', '" ADA "', 'collaborator'), ('" P3 "', '" ADA "', 'owner'), ('" P2
    "', '" BOB "', 'viewer')",
    "INSERT INTO public_paths (id, project_id, path) VALUES ('1', '" P1 "', 'a')",
    "INSERT INTO public_paths (id, project_id, path, disabled) VALUES ('2', '" P2 "', 'a', 1)",
    "INSERT INTO project_log (id, project_id, time) VALUES ('l1', '" P1 "', 1), ('l2', '" P1
    "', 2), ('l3', '" P2 "', 3), ('l4', '" P1 "', NULL)",
    "INSERT INTO things (id) VALUES ('a')",
    "INSERT INTO things (id, account_id, text, time, json, flag, small, whole, \"real\", bits, "
    "tags, ids) VALUES ('b', '" ADA "', 'Bee', 1600000000123, "
    "'{\"a\":null,\"b\":{\"y\":2},\"n\":[1,null],\"at\":\"2020-01-02T03:04:05+02:00\",\"no\":"
    "\"2020-01-02T03:04:05+02:00\"}', 1, -5, 9007199254740993, 0.1, '0110', '[\"x\",\"y\"]', "
    "'[\"" ADA "\"]')",
    "INSERT INTO things (id, account_id, text, time, json, flag, small, whole, \"real\", bits, "
    "tags, ids) VALUES ('c', '" BOB "', 'sea_100%', 0, '{}', 0, 0, 0, 0, '', '[]', '[]')",
};

static int insert_bytes(struct db_session *txn, void *arg UNUSED, struct err *err)
{
    return db_exec_text(txn, "UPDATE things SET bytes = $1 WHERE id = 'b'",
                        DB_ARGS(DB_BYTES("\0\xff", 2)), NULL, err);
}

static int setup(void **state UNUSED)
{
    return query_fixture_open(tables, rows, ARRAY_LEN(rows)) ||
                   db_write(fixture.db, insert_bytes, NULL, NULL)
               ? -1
               : 0;
}

static int teardown(void **state UNUSED)
{
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

// The result of a query, or the text of its error; to be freed.
static char *run_json(const struct caller *caller, const cJSON *query, const cJSON *options)
{
    struct arena arena = {0};
    struct err err = {0};
    struct buf out = {0};
    struct query_one *one;
    size_t size;
    const struct query_request request = {
        .schema = fixture.schema,
        .dialect = caller->dialect,
        .caller = {id_of(caller->account), id_of(caller->project), caller->admin},
        .now_ms = NOW,
        .options = options,
        .arena = &arena,
    };
    int rc = query_one_parse(&request, query, &one, &err);
    if (!rc && query_one_cost(one) >= QUERY_WRITE)
        buf_append_str(&out, "SET");
    else if (!rc)
        rc = query_one_get(fixture.session, one, &out, &err);
    char *result = rc ? mem_printf("%s%s%s", err.message, err.code == ERR_INTERNAL ? " " : "",
                                   err.code == ERR_INTERNAL ? err.detail : "")
                      : (buf_cstr(&out), buf_take(&out, &size));
    buf_dispose(&out);
    arena_dispose(&arena);
    return result;
}

static char *run(const struct caller *caller, const char *query, const char *options)
{
    cJSON *parsed = cJSON_Parse(query), *parsed_options = options ? cJSON_Parse(options) : NULL;
    if (!parsed || (options && !parsed_options))
        fail_msg("not JSON: %s %s", query, options ? options : "");
    char *result = run_json(caller, parsed, parsed_options);
    cJSON_Delete(parsed);
    cJSON_Delete(parsed_options);
    return result;
}

static const struct caller ada = {.account = ADA}, bob = {.account = BOB},
                           root = {.account = ROOT, .admin = true}, nobody = {0},
                           project = {.project = P1},
                           ada_current = {.account = ADA, .dialect = QUERY_CURRENT};

struct query_case {
    const struct caller *caller;
    const char *query, *result, *options;
};

static void check_cases(const struct query_case *cases, size_t count)
{
    bool wrong = false;
    for (size_t i = 0; i < count; i++) {
        auto_free char *result =
            run(cases[i].caller ? cases[i].caller : &ada, cases[i].query, cases[i].options);
        if (strcmp(result, cases[i].result) != 0) {
            fprintf(stderr, "%s %s\n  gives   %s\n  not     %s\n", cases[i].query,
                    cases[i].options ? cases[i].options : "", result, cases[i].result);
            wrong = true;
        }
    }
    assert_false(wrong);
}

#define CHECK(cases) check_cases(cases, ARRAY_LEN(cases))

// ---- Shapes (2, 3) ----

static void test_shape(void **state UNUSED)
{
    static const struct query_case cases[] = {
        {0, "{}", "FATAL: invalid user_query of 'undefined' -- query must be an object"},
        {0, "{\"things\":{\"id\":null},\"own\":{}}",
         "FATAL: must specify exactly one key in the query"},
        {0, "{\"things\":null}",
         "FATAL: invalid user_query of 'things' -- query must be an object"},
        {0, "{\"things\":\"x\"}",
         "FATAL: invalid user_query of 'things' -- query must be an object"},
        {0, "{\"things\":7}", "FATAL: invalid user_query of 'things' -- query must be an object"},
        {0, "{\"things\":[]}", "FATAL: invalid user_query of 'things' -- query must be an object"},
        {0, "{\"things\":[null]}",
         "FATAL: invalid user_query of 'things' -- query must be an object"},
        {0, "{\"things\":[{\"id\":null},{}]}", "FATAL: array of length > 1 not yet implemented"},
        {0, "{\"Things\":{\"id\":null}}", "FATAL: get queries not allowed for table 'Things'"},
        {0, "{\"closed\":{\"id\":null}}", "FATAL: get queries not allowed for table 'closed'"},
        {0, "{\"things\":{\"Id\":null}}", FIELD("things", "Id")},
        {0, "{\"things\":{\"id\":null,\"foo\":null,\"bar\":1}}", FIELD("things", "foo")},
        {0, "{\"things\":{\"secret\":null}}", FIELD("things", "secret")},
        {0, "{\"things\":{\"constructor\":null}}", FIELD("things", "constructor")},
        {0, "{\"things\":{\"__proto__\":null}}", FIELD("things", "__proto__")},
        {0, "{\"things\":{\"\":null}}", FIELD("things", "")},
        {0, "{\"things\":{\"id\\\"; DROP TABLE things; --\":null}}",
         FIELD("things", "id\"; DROP TABLE things; --")},
    };
    CHECK(cases);
}

static void test_kind(void **state UNUSED)
{
    static const struct query_case cases[] = {
        {0, "{\"closed\":{\"id\":1}}", "FATAL: user set queries not allowed for table 'closed'"},
        {0, "{\"closed\":[{}]}", "FATAL: user set queries not allowed for table 'closed'"},
        {0, "{\"things\":{\"id\":\"b\",\"json\":{\"x\":[{\"y\":null}]}}}", "{}"},
        {0, "{\"things\":{\"id\":\"b\"}}", "{\"things\":{\"id\":\"b\"}}", "[{\"set\":false}]"},
        {0, "{\"things\":{\"id\":\"b\"}}", "{\"things\":{\"id\":\"b\"}}", "[{\"set\":0}]"},
        {0, "{\"things\":{\"id\":\"b\"}}", "{\"things\":{\"id\":\"b\"}}",
         "[{\"set\":true},{\"set\":\"\"}]"},
        {0, "{\"closed\":{\"id\":null}}", "FATAL: user set queries not allowed for table 'closed'",
         "[{\"set\":{}}]"},
        {0, "{\"things\":[{}]}", "{\"things\":[{},{},{}]}", "[{\"set\":false}]"},
    };
    CHECK(cases);
}

static void test_placeholders(void **state UNUSED)
{
    static const struct query_case cases[] = {
        {0, "{\"things\":{\"id\":null,\"account_id\":\"{account_id}\"}}",
         "{\"things\":{\"id\":\"b\",\"account_id\":\"" ADA "\"}}"},
        {&bob, "{\"things\":{\"id\":null,\"account_id\":{\"=\":\"{account_id}\"}}}",
         "{\"things\":{\"id\":\"c\",\"account_id\":\"" BOB "\"}}"},
        {&root, "{\"things\":{\"id\":null,\"account_id\":\"{account_id}\"}}",
         "{\"things\":{\"id\":\"b\",\"account_id\":\"" ADA "\"}}",
         "[{\"account_id\":\"" ADA "\"}]"},
        {0, "{\"things\":{\"{account_id}\":null}}", FIELD("things", ADA)},
        {0, "{\"things\":{\"id\":null,\"{now}\":null}}",
         FIELD("things", "2020-09-13T12:26:40.000Z")},
        {0, "{\"things\":[{\"id\":null,\"time\":{\">\":\"{now}\"}}]}",
         "{\"things\":[{\"id\":\"b\",\"time\":\"2020-09-13T12:26:40.123Z\"}]}"},
        {0, "{\"projects\":{\"project_id\":\"{project_id}\",\"title\":null}}",
         "invalid project_id -- {project_id}"},
        {&project, "{\"projects\":{\"project_id\":\"{project_id}\",\"title\":null}}",
         "{\"projects\":{\"project_id\":\"" P1 "\",\"title\":\"One\"}}"},
        // Only whole texts.
        {0, "{\"things\":[{\"id\":null,\"text\":\"x{now}\"}]}", "{\"things\":[]}"},
        // A key that becomes another's name.
        {0, "{\"things\":[{\"id\":null,\"json\":{\"{account_id}\":1,\"" ADA "\":null}}]}",
         "{\"things\":[]}"},
    };
    CHECK(cases);
}

// ---- Options (5) ----

static void test_options(void **state UNUSED)
{
#define ALL_A     "{\"things\":[{\"id\":null}]}"
#define ROWS(...) "{\"things\":[" __VA_ARGS__ "]}"
#define A         "{\"id\":\"a\"}"
#define B         "{\"id\":\"b\"}"
#define C         "{\"id\":\"c\"}"
    static const struct query_case cases[] = {
        {0, ALL_A, ROWS(A "," B "," C), "null"},
        {0, ALL_A, "FATAL: options (={\"limit\":1}) must be an array", "{\"limit\":1}"},
        {0, ALL_A, "FATAL: options (=\"x\") must be an array", "\"x\""},
        {0, ALL_A, ROWS(A "," B), "[{\"limit\":2}]"},
        {0, ALL_A, ROWS(A), "[{\"limit\":2},{\"limit\":\"1\"}]"},
        {0, ALL_A, ROWS(""), "[{\"limit\":0}]"},
        {0, ALL_A, ROWS(A "," B "," C), "[{\"limit\":1e300}]"},
        {0, "{\"things\":{\"id\":null}}", "{\"things\":" A "}"},
        {0, "{\"things\":{\"id\":null}}", "{\"things\":" A "}", "[{\"limit\":2}]"},
        {0, "{\"things\":{\"id\":null}}", "{}", "[{\"limit\":0}]"},
        {0, ALL_A, "ERROR -- opts.limit = '-1' is not an integer", "[{\"limit\":-1}]"},
        {0, ALL_A, "ERROR -- opts.limit = '1.5' is not an integer", "[{\"limit\":1.5}]"},
        {0, ALL_A, "ERROR -- opts.limit = '1.0' is not an integer", "[{\"limit\":\"1.0\"}]"},
        {0, ALL_A, "ERROR -- opts.limit = 'x' is not an integer", "[{\"limit\":\"x\"}]"},
        {0, ALL_A, "ERROR -- opts.limit = '' is not an integer", "[{\"limit\":\"\"}]"},
        {0, ALL_A, "ERROR -- opts.limit = 'null' is not an integer", "[{\"limit\":null}]"},
        {&ada_current, ALL_A, "ERROR -- opts.limit = '1.5' is not an integer", "[{\"limit\":1.5}]"},
        {0, ALL_A, ROWS(C "," B "," A), "[{\"order_by\":\"-id\"}]"},
        // Nulls stand last when it goes up, first when it goes down.
        {0, ALL_A, ROWS(C "," B "," A), "[{\"order_by\":\"time\"}]"},
        {0, ALL_A, ROWS(A "," B "," C), "[{\"order_by\":\"-time\"}]"},
        {0, ALL_A, ROWS(A "," B "," C), "[{\"order_by\":\"-id\"},{\"order_by\":\"-time\"}]"},
        {&ada_current, ALL_A, ROWS(C "," B "," A),
         "[{\"order_by\":\"never\"},{\"order_by\":\"time\"},{\"order_by\":\"id\"}]"},
        {0, ALL_A, "postgresql error: column \"nope\" does not exist", "[{\"order_by\":\"nope\"}]"},
        {0, ALL_A, "postgresql error: column \"nope\" does not exist",
         "[{\"order_by\":\"-nope\"}]"},
        {0, ALL_A, "postgresql error: column \"secret\" does not exist",
         "[{\"order_by\":\"secret\"}]"},
        {0, ALL_A, "postgresql error: column \"null\" does not exist", "[{\"order_by\":null}]"},
        {0, ALL_A, "postgresql error: column \"id' --\" does not exist",
         "[{\"order_by\":\"id' --\"}]"},
        {0, ALL_A, "postgresql error: column \"id; DROP TABLE things\" does not exist",
         "[{\"order_by\":\"id; DROP TABLE things\"}]"},
        {0, ALL_A, "{}", "[{\"only_changes\":true}]"},
        {0, ALL_A, ROWS(A "," B "," C),
         "[{\"only_changes\":false},{\"delete\":1},{\"heartbeat\":1}]"},
        {0, ALL_A, "slice not implemented", "[{\"slice\":[0,1]}]"},
        {0, ALL_A, "unknown option 'heads'", "[{\"limit\":1,\"heads\":true}]"},
        {0, ALL_A, ROWS(A "," B "," C), "[7,null,\"x\",[{\"limit\":1}]]"},
        {0, ALL_A, "user must be admin to sudo", "[{\"account_id\":\"" BOB "\"}]"},
        {0, "{\"nope\":{\"id\":null}}", "user must be admin to sudo", "[{\"account_id\":\"x\"}]"},
        {&root, ALL_A, "postgresql error: invalid input syntax for type uuid: \"x\"",
         "[{\"account_id\":\"x\"}]"},
        {&root, "{\"own\":[{\"id\":null}]}", "{\"own\":[{\"id\":\"c\"}]}",
         "[{\"account_id\":\"" BOB "\"}]"},
        {&root, "{\"admin\":[{\"id\":null}]}", "FATAL: user must be an admin",
         "[{\"account_id\":\"" BOB "\"}]"},
        // The table's own.
        {0, "{\"open\":[{\"id\":null}]}", "{\"open\":[" A "," B "]}"},
        {0, "{\"open\":[{\"id\":null}]}", "{\"open\":[" C "," B "]}", "[{\"order_by\":\"time\"}]"},
        {0, "{\"open\":[{\"id\":null}]}", "{\"open\":[" A "]}", "[{\"limit\":1}]"},
        {&ada_current, "{\"open\":[{\"id\":null}]}", "{\"open\":[" A "," B "," C "]}"},
        {0, "{\"open\":{\"id\":null}}", "{\"open\":" A "}"},
    };
    CHECK(cases);
}

// ---- Rights (6, 7.2, 11.1) ----

static void test_rights(void **state UNUSED)
{
#define GET_P(p)      "{\"projects\":{\"project_id\":" p ",\"title\":null}}"
#define GOT(p, title) "{\"projects\":{\"project_id\":\"" p "\",\"title\":\"" title "\"}}"
#define Q(text)       "\"" text "\""
    static const struct caller bob_current = {.account = BOB, .dialect = QUERY_CURRENT},
                               root_current = {
                                   .account = ROOT, .admin = true, .dialect = QUERY_CURRENT};
    static const struct query_case cases[] = {
        {&nobody, "{\"things\":{\"id\":null}}",
         "FATAL: anonymous get queries not allowed for table 'things'"},
        {&nobody, "{\"things\":{\"foo\":null}}",
         "FATAL: anonymous get queries not allowed for table 'things'"},
        {&nobody, "{\"open\":{\"id\":null}}", "{\"open\":{\"id\":\"a\"}}"},
        {&project, "{\"things\":{\"id\":null}}",
         "FATAL: get queries not allowed for table 'things'"},
        {0, "{\"admin\":{\"id\":null}}", "FATAL: user must be an admin"},
        {0, "{\"admin\":{\"id\":\"x\",\"text\":null}}", "no x"},
        {0, "{\"admin\":{\"foo\":null}}", FIELD("admin", "foo")},
        {0, "{\"admin\":{\"id\":null}}", "FATAL: user must be an admin", "[{\"heads\":1}]"},
        {&root, "{\"admin\":{\"id\":null}}", "{\"admin\":{\"id\":\"a\"}}"},
        {0, "{\"own\":[{\"id\":null}]}", "{\"own\":[{\"id\":\"b\"}]}"},
        {0, "{\"own\":{\"id\":null,\"account_id\":\"" BOB "\"}}", "{}"},
        {0, "{\"own\":{\"id\":null,\"text\":\"any\"}}", "{}"},

        {0, GET_P(Q(P1)), GOT(P1, "One")},
        {0, GET_P(Q("{project_id}")), "invalid project_id -- {project_id}"},
        {0, GET_P("\"11111111-0000-4000-8000-00000000000A\""), NO_READ},
        {0, GET_P(Q(P2)), GOT(P2, "Two")},
        {0, GET_P(Q(P3)), "{}"}, // edited too long ago
        {0, GET_P(Q(NONE)), NO_READ},
        {0, GET_P(Q("foo")), "invalid project_id -- foo"},
        {0, GET_P("[\"" P1 "\",\"" P2 "\"]"), "invalid project_id -- " P1 "," P2},
        {0, GET_P("{\"=\":\"" P1 "\"}"), "invalid project_id -- [object Object]"},
        {0, GET_P("7"), "invalid project_id -- 7"},
        {&bob, GET_P(Q(P1)), NO_READ},
        {&bob, GET_P(Q(P2)), NO_READ}, // a viewer
        {&bob, GET_P(Q(P3)), NO_READ},
        {&bob, GET_P(Q(P1)), NO_READ, "[{\"heads\":1}]"},
        {&bob, GET_P(Q(P1)), NO_READ, "[{\"limit\":0}]"},
        {&bob, GET_P(Q(P1)), NO_READ, "[{\"only_changes\":true}]"},
        {&bob, "{\"projects\":{\"project_id\":\"" P1 "\",\"title\":null,\"created\":\"x\"}}",
         NO_READ},
        {&bob,
         "{\"projects\":{\"project_id\":\"" P1 "\",\"title\":{\"LIKE\":\"%\"},\"created\":null}}",
         NO_READ},
        {&bob, "{\"projects\":{\"project_id\":\"" P1 "\",\"title\":\"Wrong\",\"created\":null}}",
         NO_READ},
        {0, GET_P(Q(P1)), "unknown option 'heads'", "[{\"heads\":1}]"},
        {0, GET_P(Q(P1)), "{}", "[{\"limit\":0}]"},
        {0, GET_P(Q(P1)), "{}", "[{\"only_changes\":true}]"},
        {0, "{\"projects\":{\"project_id\":\"" P1 "\",\"title\":null,\"created\":\"x\"}}",
         "postgresql error: invalid input syntax for type timestamp: \"x\""},
        {0, "{\"projects\":{\"project_id\":\"" P1 "\",\"title\":\"Wrong\",\"created\":null}}",
         "{}"},
        {&bob_current, GET_P(Q(P1)), NO_READ " -- account_id=" BOB ", project_id_=undefined"},
        {&root, GET_P(Q(P1)), GOT(P1, "One")},
        {&root, GET_P(Q(P3)), "{}"},
        {&root, GET_P(Q(NONE)), "{}"},
        {&root_current, GET_P(Q(P1)), GOT(P1, "One")},
        {0, "{\"projects\":[{\"project_id\":\"" P1 "\",\"title\":null}]}",
         "{\"projects\":[{\"project_id\":\"" P1 "\",\"title\":\"One\"}]}"},

        {0, "{\"projects\":[{\"title\":null}]}",
         "{\"projects\":[{\"title\":\"Two\"},{\"title\":\"One\"}]}"},
        {0, "{\"projects\":{\"title\":null}}", "{\"projects\":{\"title\":\"Two\"}}"},
        {0, "{\"projects\":[{\"project_id\":null,\"title\":\"One\"}]}",
         "{\"projects\":[{\"project_id\":\"" P1 "\",\"title\":\"One\"}]}"},
        {&bob, "{\"projects\":[{\"title\":null}]}", "{\"projects\":[]}"},
        {&root, "{\"projects\":[{\"title\":null}]}", "{\"projects\":[]}"},
        {&project, GET_P("null"), GOT(P1, "One")},
        {&project, GET_P(Q(P2)), "{}"},

        {0, "{\"public\":{\"project_id\":null,\"title\":null}}", "FATAL: must specify project_id"},
        {&nobody, "{\"public\":{\"title\":null}}", "FATAL: must specify project_id"},
        {&nobody, "{\"public\":{\"project_id\":\"" P1 "\",\"title\":null}}",
         "{\"public\":{\"project_id\":\"" P1 "\",\"title\":\"One\"}}"},
        {&nobody, "{\"public\":{\"project_id\":\"" P2 "\",\"title\":null}}",
         "project does not have any public paths"},
        {&nobody, "{\"public\":{\"project_id\":\"" NONE "\",\"title\":null}}",
         "project does not have any public paths", "[{\"heads\":1}]"},

        {0, "{\"log\":[{\"id\":null}]}",
         "{\"log\":[{\"id\":\"l4\"},{\"id\":\"l3\"},{\"id\":\"l2\"},{\"id\":\"l1\"}]}"},
        {0, "{\"log\":[{\"id\":null,\"project_id\":\"" P2 "\"}]}",
         "{\"log\":[{\"id\":\"l3\",\"project_id\":\"" P2 "\"}]}"},
        {&bob, "{\"log\":[{\"id\":null,\"project_id\":\"" P2 "\"}]}", NO_READ},
        {&bob, "{\"log\":[{\"id\":null,\"project_id\":\"" P2 "\"}]}", NO_READ, "[{\"heads\":1}]"},
        {&bob, "{\"log\":[{\"id\":null}]}", "{\"log\":[]}"},
        {&root, "{\"log\":[{\"id\":null,\"project_id\":\"" P2 "\"}]}",
         "{\"log\":[{\"id\":\"l3\",\"project_id\":\"" P2 "\"}]}"},
        {0, "{\"log_exact\":[{\"id\":null}]}", "FATAL: must specify project_id"},
        {0, "{\"log_exact\":[{\"id\":null,\"project_id\":\"" P2 "\"}]}",
         "{\"log_exact\":[{\"id\":\"l3\",\"project_id\":\"" P2 "\"}]}"},
        {&bob, "{\"log_exact\":[{\"id\":null,\"project_id\":\"" P1 "\"}]}", NO_READ},
        {&nobody, "{\"log_open\":[{\"id\":null,\"project_id\":\"" P2 "\"}]}",
         "{\"log_open\":[{\"id\":\"l3\",\"project_id\":\"" P2 "\"}]}"},
        {&nobody, "{\"log_open\":[{\"id\":null}]}", "FATAL: must specify project_id"},

        {0, "{\"members\":[{\"project_id\":\"" P2 "\",\"first_name\":null}]}",
         "{\"members\":[{\"first_name\":\"Ada\"},{\"first_name\":\"Bob\"}]}"},
        {0, "{\"members\":[{\"project_id\":\"" P1 "\",\"account_id\":null}]}",
         "{\"members\":[{\"account_id\":\"" ADA "\"}]}"},
        {&bob, "{\"members\":[{\"project_id\":\"" P2 "\",\"account_id\":null}]}", NO_READ},
        {0, "{\"members\":[{\"account_id\":null}]}", "FATAL: must specify project_id"},
    };
    CHECK(cases);
}

static void test_computed(void **state UNUSED)
{
    static const struct query_case cases[] = {
        {0, "{\"echo\":{\"say\":null}}",
         "{\"echo\":{\"limit\":20,\"list\":false,\"who\":\"" ADA "\"}}"},
        {&ada_current, "{\"echo\":[{\"say\":null}]}",
         "{\"echo\":{\"limit\":30,\"list\":true,\"who\":\"" ADA "\"}}"},
        {&root, "{\"echo\":{\"say\":null}}",
         "{\"echo\":{\"limit\":3,\"list\":false,\"who\":\"" BOB "\"}}",
         "[{\"limit\":3},{\"account_id\":\"" BOB "\"},{\"heads\":1}]"},
        {0, "{\"echo\":{\"say\":\"nothing\"}}", "{}", "[{\"set\":false}]"},
        {0, "{\"echo\":{\"say\":\"fail\"}}", "Error: failed", "[{\"set\":false}]"},
        {0, "{\"echo\":{\"say\":null}}", "ERROR -- opts.limit = 'x' is not an integer",
         "[{\"limit\":\"x\"}]"},
        {0, "{\"echo\":{\"foo\":null}}", FIELD("echo", "foo")},
        {&nobody, "{\"echo\":{\"say\":null}}",
         "FATAL: anonymous get queries not allowed for table 'echo'"},
    };
    CHECK(cases);
}

// ---- Conditions (7.3) ----

// For each: the ids of the things that fulfil it, or a text that begins otherwise.
static const struct {
    const char *field, *value, *ids;
} conditions[] = {
    // Text. a: null, b: Bee, c: sea_100%
    {"text", "\"Bee\"", "b"},
    {"text", "\"bee\"", ""},
    {"text", "\"\"", ""},
    {"text", "[\"Bee\",\"x\"]", ""},
    {"text", "{\"x\":1}", ""},
    {"text", "{\"=\":\"Bee\"}", "b"},
    {"text", "{\"==\":\"Bee\"}", "b"},
    {"text", "{\"!=\":\"Bee\"}", "c"},
    {"text", "{\"<>\":\"Bee\"}", "c"},
    {"text", "{\"<\":\"Bef\"}", "b"},
    {"text", "{\"<=\":\"Bee\"}", "b"},
    {"text", "{\">\":\"Bee\"}", "c"},
    {"text", "{\">=\":\"Bee\"}", "bc"},
    {"text", "{\">=\":\"A\",\"<\":\"Z\"}", "b"},
    {"text", "{\">=\":\"A\",\"<\":null}", "bc"},
    {"text", "{\">=\":null}", "abc"},
    {"text", "{\"=\":\"Bee\",\"x\":1}", ""},
    {"text", "{}", ""},
    {"text", "{\"'; DROP TABLE things; --\":\"Bee\"}", ""},
    {"text", "\"' OR '1'='1\"", ""},
    {"text", "{\"LIKE\":\"B%\"}", "b"},
    {"text", "{\"LIKE\":\"b%\"}", ""},
    {"text", "{\"LIKE\":\"___\"}", "b"},
    {"text", "{\"LIKE\":\"%e%\"}", "bc"},
    {"text", "{\"LIKE\":\"%\\\\_100\\\\%\"}", "c"},
    {"text", "{\"LIKE\":\"%\\\\%\\\\%\"}", ""},
    {"text", "{\"LIKE\":\"\"}", ""},
    {"text", "{\"LIKE\":null}", "abc"},
    {"text", "{\"LIKE\":\"x\\\\\"}",
     "postgresql error: LIKE pattern must not end with escape character"},
    {"text", "{\"NOT LIKE\":\"B%\"}", "c"},
    {"text", "{\"ILIKE\":\"b%\"}", "b"},
    {"text", "{\"ILIKE\":\"%SEA%\"}", "c"},
    {"text", "{\"NOT ILIKE\":\"b%\"}", "c"},
    {"text", "{\"like\":\"B%\"}", ""},
    {"text", "{\"IS\":null}", "a"},
    {"text", "{\"IS\":\"null\"}", "a"},
    {"text", "{\"IS\":\"unknown\"}", "a"},
    {"text", "{\"IS NOT\":null}", "bc"},
    {"text", "{\"IS\":true}",
     "postgresql error: argument of IS TRUE must be type boolean, not type text"},
    {"text", "{\"IS\":\"x\"}", "postgresql error: syntax error at or near \"x\""},
    {"text", "{\"ANY\":\"x\"}",
     "postgresql error: op ANY/ALL (array) requires array on right side"},
    {"text", "{\"MINLEN\":1}", "postgresql error: op ANY/ALL (array) requires array on right side"},
    // UUID
    {"account_id", "\"" ADA "\"", "b"},
    {"account_id", "\"AAAAAAAA-0000-4000-8000-000000000001\"", "b"},
    {"account_id", "\"x\"", "postgresql error: invalid input syntax for type uuid: \"x\""},
    {"account_id", "7", "postgresql error: invalid input syntax for type uuid: \"7\""},
    {"account_id", "{\">\":\"" ADA "\"}", "c"},
    {"account_id", "{\"!=\":\"" ADA "\"}", "c"},
    {"account_id", "{\"LIKE\":\"a%\"}",
     "postgresql error: operator does not exist: uuid ~~ unknown"},
    // Time. b: now and 123 ms, c: 1970
    {"time", "\"1970-01-01\"", "c"},
    {"time", "0", "c"},
    {"time", "1600000000123", "b"},
    {"time", "\"2020-09-13T14:26:40.123+02:00\"", "b"},
    {"time", "\"2020-09-13T12:26:40.123\"", "b"},
    {"time", "{\">=\":\"2020-01-01\"}", "b"},
    {"time", "{\"<\":\"2020-01-01\"}", "c"},
    {"time", "{\">\":{\"relative_time\":0,\"unit\":\"seconds\"}}", "b"},
    {"time", "{\">\":{\"relative_time\":1,\"unit\":\"minutes\"}}", ""},
    {"time", "{\">\":{\"relative_time\":-1,\"unit\":\"hours\"}}", "b"},
    {"time", "{\">\":{\"relative_time\":-51,\"unit\":\"years\"}}", "bc"},
    {"time", "{\"<\":{\"relative_time\":-600,\"unit\":\"months\"}}", "c"},
    {"time", "{\"<\":{\"relative_time\":-18518,\"unit\":\"days\"}}", "c"},
    {"time", "{\"<\":{\"relative_time\":-18519,\"unit\":\"days\"}}", ""},
    {"time", "{\"<\":{\"relative_time\":1,\"unit\":\"weeks\"}}",
     "postgresql error: invalid input syntax for type timestamp: \"[object Object]\""},
    {"time", "{\"<\":{\"relative_time\":1e300,\"unit\":\"years\"}}",
     "postgresql error: invalid input syntax for type timestamp: \"[object Object]\""},
    {"time", "\"x\"", "postgresql error: invalid input syntax for type timestamp: \"x\""},
    {"time", "\"30d\"", "postgresql error: invalid input syntax for type timestamp: \"30d\""},
    {"time", "\"2020-02-30\"",
     "postgresql error: invalid input syntax for type timestamp: \"2020-02-30\""},
    {"time", "1e17", "postgresql error: date/time field value out of range: \"1e+17\""},
    {"time", "{\"IS NOT\":null}", "bc"},
    // JSON. b: an object, c: {}
    {"json", "{\"q\":1}", ""},
    {"json", "{}", "c"},
    {"json", "{\"=\":{}}", "c"},
    {"json", "{\"!=\":{}}", "b"},
    {"json", "{\">\":{}}", "b"},
    {"json", "{\"<=\":{}}", "c"},
    {"json", "\"x\"", ""},
    {"json", "{\"IS\":null}", "a"},
    {"json",
     "{\"no\":\"2020-01-02T03:04:05+02:00\",\"at\":\"2020-01-02T01:04:05.000Z\",\"a\":null,"
     "\"n\":[1,null],\"b\":{\"y\":2}}",
     "b"},
    {"json", "{\"LIKE\":\"x\"}", "postgresql error: operator does not exist: jsonb ~~ unknown"},
    // Boolean. b: true, c: false
    {"flag", "true", "b"},
    {"flag", "false", "c"},
    {"flag", "\"true\"", "b"},
    {"flag", "\"NO\"", "c"},
    {"flag", "1", "b"},
    {"flag", "\"maybe\"", "postgresql error: invalid input syntax for type boolean: \"maybe\""},
    {"flag", "2", "postgresql error: invalid input syntax for type boolean: \"2\""},
    {"flag", "[true]", "postgresql error: invalid input syntax for type boolean: \"true\""},
    {"flag", "{\"!=\":true}", "c"},
    {"flag", "{\"IS\":true}", "b"},
    {"flag", "{\"IS\":false}", "c"},
    {"flag", "{\"IS NOT\":true}", "ac"},
    {"flag", "{\"IS NOT\":false}", "ab"},
    {"flag", "{\"IS NOT\":true,\"!=\":null}", "ac"},
    {"flag", "{\"IS NOT\":true,\"IS NOT\":true}", "ac"},
    // Numbers. b: -5, 2^53 + 1, 0.1; c: 0
    {"small", "-5", "b"},
    {"small", "\"-5\"", "b"},
    {"small", "{\"<\":0}", "b"},
    {"small", "{\">=\":-5}", "bc"},
    {"small", "7", ""}, // a default is not compared
    {"small", "1.5", "postgresql error: invalid input syntax for type integer: \"1.5\""},
    {"small", "\"1.0\"", "postgresql error: invalid input syntax for type integer: \"1.0\""},
    {"small", "\"\"", "postgresql error: invalid input syntax for type integer: \"\""},
    {"small", "\"1 OR 1=1\"",
     "postgresql error: invalid input syntax for type integer: \"1 OR 1=1\""},
    {"small", "true", "postgresql error: invalid input syntax for type integer: \"true\""},
    {"small", "3000000000",
     "postgresql error: value \"3000000000\" is out of range for type integer"},
    {"whole", "0", "c"},
    {"whole", "{\">\":0.5}", "b"},
    {"whole", "{\"<\":0.5}", "c"},
    {"whole", "{\"=\":0.5}", ""},
    {"whole", "{\"!=\":0.5}", "bc"},
    {"whole", "{\">\":1e300}", ""},
    {"whole", "{\">\":9007199254740992}", "b"},
    {"whole", "\"x\"", "postgresql error: invalid input syntax for type double precision: \"x\""},
    {"real", "0.1", "b"},
    {"real", "\"1e-1\"", "b"},
    {"real", "{\"<\":0.1}", "c"},
    {"real", "{\"IS\":null}", "a"},
    // Bytes. b: 00 ff
    {"bytes", "{\"type\":\"Buffer\",\"data\":[0,255]}", "b"},
    {"bytes", "{\"!=\":\"x\"}", "b"},
    {"bytes", "7", "postgresql error: invalid input syntax for type bytea: \"7\""},
    // Bits. b: 0110, c: none
    {"bits", "\"0110\"", "b"},
    {"bits", "\"\"", "c"},
    {"bits", "\"0120\"", "postgresql error: \"2\" is not a valid binary digit"},
    {"bits", "\"0\u00e9\"", "postgresql error: \"\u00e9\" is not a valid binary digit"},
    {"bits", "[]", "postgresql error: \"\" is not a valid binary digit"},
    // Arrays. b: x, y; c: none
    {"tags", "[\"x\",\"y\"]", "b"},
    {"tags", "[\"y\",\"x\"]", ""},
    {"tags", "[]", "c"},
    {"tags", "\"x\"", "postgresql error: malformed array literal: \"x\""},
    {"tags", "{\"!=\":[\"x\",\"y\"]}", "c"},
    {"tags", "{\"<\":[\"x\"]}", "c"},
    {"tags", "{\">\":[\"x\"]}", "b"},
    {"tags", "{\"ANY\":\"x\"}", "b"},
    {"tags", "{\"ANY\":\"z\"}", ""},
    {"tags", "{\"ANY\":null}", "abc"},
    {"tags", "{\"MINLEN\":2}", "b"},
    {"tags", "{\"MAXLEN\":\"1\"}", "c"},
    {"tags", "{\"MINLEN\":0}", "bc"},
    {"tags", "{\"MINLEN\":\"x\"}",
     "postgresql error: invalid input syntax for type integer: \"x\""},
    {"tags", "{\"IS\":null}", "a"},
    {"tags", "{\"IS\":true}",
     "postgresql error: argument of IS TRUE must be type boolean, not type text[]"},
    {"ids", "[\"AAAAAAAA-0000-4000-8000-000000000001\"]", "b"},
    {"ids", "{\"ANY\":\"AAAAAAAA-0000-4000-8000-000000000001\"}", "b"},
    {"ids", "{\"ANY\":\"x\"}", "postgresql error: invalid input syntax for type uuid: \"x\""},
    {"ids", "[7]", "postgresql error: invalid input syntax for type uuid: \"7\""},
    // What is always null
    {"never", "\"x\"", ""},
    {"never", "{\"!=\":\"x\"}", ""},
    {"never", "{\"IS\":null}", "abc"},
    {"never", "{\"IS NOT\":null}", ""},
    {"never_flag", "{\"IS NOT\":true}", "abc"},
    {"never_flag", "{\"IS\":false}", ""},
    {"never_flag", "\"x\"", "postgresql error: invalid input syntax for type boolean: \"x\""},
    // What only a routine shows
    {"shout", "\"Bee!\"", "b"},
    {"shout", "{\"!=\":\"Bee!\"}", "c"},
    {"shout", "{\">\":\"Bee\"}", "bc"},
    {"shout", "{\"LIKE\":\"%!\"}", "bc"},
    {"shout", "{\"IS\":null}", "a"},
    {"map", "{\"of\":\"Bee\"}", "b"},
    {"map", "{\"!=\":{\"of\":\"Bee\"}}", "c"},
};

// The ids of the rows of a reply, or the reply itself if it is none.
static char *ids_of(const char *result)
{
    auto_json cJSON *parsed = cJSON_Parse(result);
    const cJSON *row, *list = json_get(parsed, "things");
    if (!list)
        return mem_strdup(result);
    auto_buf struct buf ids = {0};
    cJSON_ArrayForEach(row, list) buf_append_str(&ids, json_get_str(row, "id"));
    return mem_strdup(buf_cstr(&ids));
}

static void test_conditions(void **state UNUSED)
{
    bool wrong = false;
    for (size_t i = 0; i < ARRAY_LEN(conditions); i++) {
        auto_free char *query = mem_printf("{\"things\":[{\"id\":null,\"%s\":%s}]}",
                                           conditions[i].field, conditions[i].value);
        auto_free char *result = run(&ada, query, NULL);
        auto_free char *ids = ids_of(result);
        if (strcmp(ids, conditions[i].ids) != 0) {
            fprintf(stderr, "%s\n  gives   %s\n  not     %s\n", query, ids, conditions[i].ids);
            wrong = true;
        }
    }
    assert_false(wrong);
}

// Conditions that are not in the statement leave the limit to be counted here.
static void test_limit_of_conditions(void **state UNUSED)
{
    static const struct query_case cases[] = {
        {0, "{\"things\":[{\"id\":null,\"text\":{\"LIKE\":\"%e%\"}}]}",
         "{\"things\":[{\"id\":\"b\",\"text\":\"Bee\"}]}", "[{\"limit\":1}]"},
        {0, "{\"things\":[{\"id\":null,\"text\":{\"LIKE\":\"s%\"}}]}",
         "{\"things\":[{\"id\":\"c\",\"text\":\"sea_100%\"}]}", "[{\"limit\":1}]"},
        {0, "{\"things\":{\"id\":null,\"text\":{\"LIKE\":\"s%\"}}}",
         "{\"things\":{\"id\":\"c\",\"text\":\"sea_100%\"}}"},
    };
    CHECK(cases);
}

static void test_many_rows(void **state UNUSED)
{
    static const struct query_case cases[] = {
        {0, "{\"many\":[{\"id\":null,\"text\":{\"LIKE\":\"y\"}}]}",
         "the query has to look at too many rows"},
        {0, "{\"many\":[{\"id\":null,\"text\":\"y\"}]}", "{\"many\":[]}"},
        {0, "{\"many\":[{\"id\":null,\"text\":{\"LIKE\":\"x\"}}]}",
         "{\"many\":[{\"id\":1,\"text\":\"x\"}]}", "[{\"limit\":1},{\"order_by\":\"id\"}]"},
    };
    CHECK(cases);
    auto_free char *result = run(&ada, "{\"many\":[{\"id\":null}]}", "[{\"limit\":150000}]");
    size_t count = 0;
    for (const char *p = result; (p = strchr(p, '}')); p++)
        count++;
    assert_int_equal(count - 1, LIMIT_QUERY_ROWS);
}

static void test_too_many_conditions(void **state UNUSED)
{
    auto_json cJSON *query = cJSON_Parse("{\"things\":[{\"id\":null,\"text\":{}}]}");
    cJSON *text = cJSON_GetObjectItem(query->child->child, "text");
    for (int i = 0; i < 10000; i++)
        cJSON_AddItemToObjectCS(text, "=", cJSON_CreateString("x"));
    auto_free char *result = run_json(&ada, query, NULL);
    assert_string_equal(result, "too many conditions in a query: at most 100 are allowed");
}

// ---- Values (10.3) and rendering (7.4, 7.5) ----

static void test_rendering(void **state UNUSED)
{
#define VALUE(field, value)   "{\"things\":{\"id\":\"b\",\"" field "\":" value "}}"
#define ASK(field)            "{\"things\":{\"id\":\"b\",\"" field "\":null}}"
#define ASK_A(field)          "{\"things\":{\"id\":\"a\",\"" field "\":null}}"
#define VALUE_A(field, value) "{\"things\":{\"id\":\"a\",\"" field "\":" value "}}"
    static const struct query_case cases[] = {
        {0, ASK("account_id"), VALUE("account_id", "\"" ADA "\"")},
        {0, ASK("time"), VALUE("time", "\"2020-09-13T12:26:40.123Z\"")},
        {0, ASK("flag"), VALUE("flag", "true")},
        {0, ASK("small"), VALUE("small", "-5")},
        {0, ASK("whole"), VALUE("whole", "9007199254740993")},
        {0, ASK("real"), VALUE("real", "0.1")},
        {0, ASK("bytes"), VALUE("bytes", "{\"type\":\"Buffer\",\"data\":[0,255]}")},
        {0, ASK("bits"), VALUE("bits", "\"0110\"")},
        {0, ASK("tags"), VALUE("tags", "[\"x\",\"y\"]")},
        {0, ASK("shout"), VALUE("shout", "\"Bee!\"")},
        // Defaults fill up one level, and times are brought into one form.
        {0, ASK("json"),
         VALUE("json", "{\"b\":{\"y\":2},\"n\":[1,null],\"at\":\"2020-01-02T01:04:05.000Z\","
                       "\"no\":\"2020-01-02T03:04:05+02:00\",\"a\":1,\"z\":null}")},
        {&ada_current, ASK("json"),
         VALUE("json", "{\"b\":{\"y\":2},\"n\":[1,null],\"at\":\"2020-01-02T01:04:05.000Z\","
                       "\"no\":\"2020-01-02T03:04:05+02:00\",\"z\":null,\"a\":2,\"c\":3}")},
        {0, ASK("dates"),
         VALUE("dates", "{\"a\":null,\"b\":{\"y\":2},\"n\":[1,null],\"at\":\"2020-01-02T01:04:05."
                        "000Z\",\"no\":\"2020-01-02T01:04:05.000Z\"}")},
        {&ada_current, ASK("map"), VALUE("map", "{\"of\":\"Bee\",\"state\":\"x\"}")},
        {0, ASK("map"), VALUE("map", "{\"of\":\"Bee\"}")},
        // Nulls
        {0, ASK_A("text"), VALUE_A("text", "\"none\"")},
        {&ada_current, ASK_A("text"), VALUE_A("text", "\"nothing\"")},
        {0, ASK_A("small"), VALUE_A("small", "7")},
        {0, ASK_A("tags"), VALUE_A("tags", "[]")},
        {0, ASK_A("json"), VALUE_A("json", "{\"a\":1,\"b\":{\"x\":1},\"z\":null}")},
        {&ada_current, ASK_A("json"),
         VALUE_A("json", "{\"b\":{\"x\":1},\"z\":null,\"a\":2,\"c\":3}")},
        {&ada_current, ASK_A("map"), VALUE_A("map", "{\"state\":\"x\"}")},
        {0, ASK_A("time"), VALUE_A("time", "null")},
        {0, ASK_A("never"), VALUE_A("never", "null")},
        {0, ASK_A("never_flag"), VALUE_A("never_flag", "false")},
        {0, ASK_A("shout"), VALUE_A("shout", "null")},
        {0, "{\"things\":[{\"time\":null,\"id\":\"a\",\"never\":null,\"map\":null,\"flag\":null}]}",
         "{\"things\":[{\"id\":\"a\"}]}"},
        {0, "{\"open\":[{\"time\":null,\"id\":\"a\",\"never\":null}]}",
         "{\"open\":[{\"time\":null,\"id\":\"a\",\"never\":null}]}"},
        // 0, false and "" are no nulls.
        {0, "{\"things\":{\"id\":\"c\",\"small\":null,\"flag\":null,\"bits\":null,\"tags\":null}}",
         "{\"things\":{\"id\":\"c\",\"small\":0,\"flag\":false,\"bits\":\"\",\"tags\":[]}}"},
        // In the order of the pattern
        {0, "{\"things\":{\"time\":null,\"id\":\"c\"}}",
         "{\"things\":{\"time\":\"1970-01-01T00:00:00.000Z\",\"id\":\"c\"}}"},
        {0, "{\"things\":{\"id\":\"nope\",\"time\":null}}", "{}"},
        {0, "{\"things\":[{\"id\":\"nope\",\"time\":null}]}", "{\"things\":[]}"},
    };
    CHECK(cases);
}

// ---- Cost ----

static void test_cost(void **state UNUSED)
{
    static const struct {
        const char *query;
        enum query_cost cost;
    } cases[] = {
        {"{\"things\":{\"id\":\"b\",\"text\":null}}", QUERY_POINT},
        {"{\"things\":[{\"id\":\"b\",\"text\":null}]}", QUERY_POINT},
        {"{\"things\":{\"id\":\"b\",\"text\":\"x\",\"time\":null}}", QUERY_SCAN},
        {"{\"things\":{\"id\":null}}", QUERY_SCAN},
        {"{\"things\":{\"id\":{\"=\":\"b\"},\"text\":null}}", QUERY_SCAN},
        {"{\"projects\":{\"project_id\":\"" P1 "\",\"title\":null}}", QUERY_POINT},
        {"{\"projects\":[{\"project_id\":null}]}", QUERY_SCAN},
        {"{\"log\":[{\"project_id\":\"" P1 "\",\"id\":null}]}", QUERY_SCAN},
        {"{\"echo\":{\"say\":null}}", QUERY_SCAN},
    };
    const struct query_request request = {
        .schema = fixture.schema, .caller = {.account_id = id_of(ADA)}, .now_ms = NOW};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(query_fixture_cost(&request, cases[i].query), cases[i].cost);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shape),        cmocka_unit_test(test_kind),
        cmocka_unit_test(test_placeholders), cmocka_unit_test(test_options),
        cmocka_unit_test(test_rights),       cmocka_unit_test(test_computed),
        cmocka_unit_test(test_conditions),   cmocka_unit_test(test_limit_of_conditions),
        cmocka_unit_test(test_many_rows),    cmocka_unit_test(test_too_many_conditions),
        cmocka_unit_test(test_rendering),    cmocka_unit_test(test_cost),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
