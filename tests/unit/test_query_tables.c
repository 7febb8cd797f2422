// SPDX-License-Identifier: AGPL-3.0-or-later
// The tables of accounts and projects as the current dialect has them, and on both databases: where
// the environment names a PostgreSQL database it runs on that.
#include "query_fixture.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "svc/svc.h"
#include "svc/tables/tables.h"

#define ADA "aaaaaaaa-0000-4000-8000-000000000001"
#define BOB "bbbbbbbb-0000-4000-8000-000000000002"
#define P1  "11111111-0000-4000-8000-000000000001"
#define P2  "22222222-0000-4000-8000-000000000002"
#define P3  "33333333-0000-4000-8000-000000000003"
#define NOW INT64_C(1600000000000) // 2020-09-13T12:26:40Z

#define OF_P1(fields) "{\"projects\":{\"project_id\":\"" P1 "\"," fields "}}"
#define USERS         "FATAL: error setting 'users' -- Error: "

static struct svc svc;

static const char *const rows[] = {
    "INSERT INTO accounts (account_id, first_name, last_name, created, \"groups\") VALUES"
    " ('" ADA "', 'Ada', 'L', 0, NULL), ('" BOB "', 'Bob', 'M', 0, '[\"admin\"]')",
    "INSERT INTO projects (project_id, title, created, last_edited, state, state_time, state_error,"
    " settings) VALUES ('" P1 "', 'T1', 1, 1600000000000, 'opened', 1, NULL, NULL),"
    " ('" P2 "', 'T2', 1, 1597000000000, 'running', 2, 'no room', '{\"memory\":5}'),"
    " ('" P3 "', 'T3', 1, 1590000000000, 'running', 2, NULL, NULL)",
    "INSERT INTO project_users (project_id, account_id, \"group\", hide, upgrades, last_active)"
    " VALUES ('" P1 "', '" ADA "', 'owner', 0, NULL, NULL),"
    " ('" P2 "', '" ADA "', 'owner', 1, '{\"cores\":1}', 1600000000000),"
    " ('" P2 "', '" BOB "', 'collaborator', 0, NULL, NULL),"
    " ('" P3 "', '" ADA "', 'owner', 0, NULL, NULL)",
};

static struct uuid id_of(const char *text)
{
    struct uuid id = {""};
    assert_true(uuid_parse(text, strlen(text), &id));
    return id;
}

// ---- One query ----

static int run(enum query_dialect dialect, const struct query_request *common, const cJSON *query,
               struct buf *out, struct err *err)
{
    struct query_request request = *common;
    request.dialect = dialect;
    return query_fixture_run(&request, query, out, err);
}

// `wanted` is RESULT, "" for a set that works, or the text of the refusal.
struct test_case {
    enum query_dialect dialect;
    const char *account, *query, *wanted;
};

static void check(const struct test_case *c)
{
    struct arena arena = {0};
    struct err err = {0};
    auto_buf struct buf out = {0};
    auto_json cJSON *query = cJSON_Parse(c->query);
    const struct query_request request = {.schema = fixture.schema,
                                          .caller = {.account_id = id_of(c->account)},
                                          .now_ms = NOW,
                                          .ctx = &svc,
                                          .arena = &arena};
    assert_non_null(query);
    int rc = run(c->dialect, &request, query, &out, &err);
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

// ---- Reading ----

// Each field by itself, so that the text of a refusal by the database names it.
static void test_every_field(void **state UNUSED)
{
    for (const struct query_table *const *table = query_tables; *table; table++) {
        const struct query_get_block *block = (*table)->get;
        if (!block || block->compute || !(*table)->base ||
            (strcmp((*table)->base, "accounts") != 0 && strcmp((*table)->base, "projects") != 0) ||
            block->access == QUERY_ANONYMOUS || block->access == QUERY_ADMIN)
            continue;
        for (size_t i = 0; i < block->fields_count; i++) {
            auto_buf struct buf query = {0}, out = {0};
            struct arena arena = {0};
            struct err err = {0};
            bool asked_by = !strcmp(block->fields[i].name, "project_id");
            buf_printf(&query, "{\"%s\":{\"%s\":null%s}}", (*table)->name,
                       asked_by ? "account_id" : block->fields[i].name,
                       block->not_selected ? ",\"project_id\":\"" P1 "\"" : "");
            if (asked_by && !block->not_selected)
                continue;
            auto_json cJSON *json = cJSON_Parse(buf_cstr(&query));
            const struct query_request request = {.schema = fixture.schema,
                                                  .caller = {.account_id = id_of(ADA)},
                                                  .now_ms = NOW,
                                                  .ctx = &svc,
                                                  .arena = &arena};
            int rc = run(QUERY_CURRENT, &request, json, &out, &err);
            if (rc)
                fprintf(stderr, "%s: %s %s\n", buf_cstr(&query), err.message, err.detail);
            assert_int_equal(rc, 0);
            arena_dispose(&arena);
        }
    }
}

// What an event loop does by itself is known to take microseconds, whatever the caller has.
static void test_cost_of_rows(void **state UNUSED)
{
    static const struct {
        const char *query;
        enum query_cost cost;
    } cases[] = {
        {OF_P1("\"title\":null"), QUERY_POINT},
        {"{\"account_profiles\":{\"account_id\":\"" BOB "\",\"profile\":null}}", QUERY_POINT},
        {"{\"messages\":{\"id\":1,\"body\":null}}", QUERY_POINT},
        {"{\"collaborators\":{\"account_id\":\"" BOB "\",\"name\":null}}", QUERY_SCAN},
        {"{\"manager_site_licenses\":[{\"id\":\"" P1 "\",\"title\":null}]}", QUERY_SCAN},
        {"{\"organizations\":{\"organization_id\":\"" P1 "\",\"name\":null}}", QUERY_SCAN},
    };
    const struct query_request request = {
        .schema = fixture.schema, .caller = {.account_id = id_of(ADA)}, .now_ms = NOW, .ctx = &svc};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(query_fixture_cost(&request, cases[i].query), cases[i].cost);
}

static void test_projects(void **state UNUSED)
{
    static const struct test_case cases[] = {
        // Never started: unknown in the one dialect, opened in the other.
        {QUERY_DOCUMENTED, ADA, OF_P1("\"state\":null"),
         "{\"projects\":{\"project_id\":\"" P1 "\",\"state\":null}}"},
        {QUERY_CURRENT, ADA, OF_P1("\"state\":null"),
         "{\"projects\":{\"project_id\":\"" P1 "\",\"state\":{\"state\":\"opened\"}}}"},
        {QUERY_CURRENT, ADA, "{\"projects\":{\"project_id\":\"" P2 "\",\"state\":null}}",
         "{\"projects\":{\"project_id\":\"" P2 "\",\"state\":{\"state\":\"running\","
         "\"time\":\"1970-01-01T00:00:00.002Z\",\"error\":\"no room\"}}}"},
        {QUERY_CURRENT, BOB, "{\"projects\":{\"project_id\":\"" P2 "\",\"last_active\":null}}",
         "{\"projects\":{\"project_id\":\"" P2 "\",\"last_active\":{\"" ADA
         "\":\"2020-09-13T12:26:40.000Z\"}}}"},
        {QUERY_CURRENT, ADA, OF_P1("\"users\":null"),
         "{\"projects\":{\"project_id\":\"" P1 "\",\"users\":{\"" ADA
         "\":{\"group\":\"owner\"}}}}"},
        // 21 days and 42.
        {QUERY_DOCUMENTED, ADA, "{\"projects\":[{\"project_id\":null}]}",
         "{\"projects\":[{\"project_id\":\"" P1 "\"}]}"},
        {QUERY_CURRENT, ADA, "{\"projects\":[{\"project_id\":null}]}",
         "{\"projects\":[{\"project_id\":\"" P1 "\"},{\"project_id\":\"" P2 "\"}]}"},
        {QUERY_CURRENT, BOB, "{\"projects_all\":[{\"project_id\":null}]}",
         "{\"projects_all\":[{\"project_id\":\"" P2 "\"}]}"},
        {QUERY_CURRENT, BOB, OF_P1("\"title\":null"),
         "FATAL: you do not have read access to this project -- account_id=" BOB
         ", project_id_=undefined"},
        {QUERY_CURRENT, BOB, "{\"collaborators\":[{\"account_id\":\"" ADA "\",\"name\":null}]}",
         "{\"collaborators\":[{\"account_id\":\"" ADA "\",\"name\":\"\"}]}"},
        {QUERY_CURRENT, BOB,
         "{\"collaborators_one_project\":[{\"project_id\":\"" P2 "\",\"account_id\":\"" ADA
         "\",\"last_name\":null}]}",
         "{\"collaborators_one_project\":[{\"account_id\":\"" ADA "\",\"last_name\":\"L\"}]}"},
    };
    CHECK(cases);
}

static void test_accounts(void **state UNUSED)
{
    static const struct test_case cases[] = {
        {QUERY_CURRENT, ADA, "{\"accounts\":{\"terminal\":null,\"profile\":null}}",
         "{\"accounts\":{\"terminal\":{\"font_size\":14,\"font\":\"monospace\","
         "\"color_scheme\":\"cocalc-light\"},\"profile\":{\"color\":\"rgb(170,170,170)\"}}}"},
        {QUERY_CURRENT, ADA, "{\"account_profiles\":{\"account_id\":\"" BOB "\",\"profile\":null}}",
         "{\"account_profiles\":{\"account_id\":\"" BOB "\",\"profile\":{}}}"},
        {QUERY_CURRENT, BOB, "{\"accounts\":{\"groups\":null}}",
         "{\"accounts\":{\"groups\":[\"admin\"]}}"},
        {QUERY_CURRENT, ADA, "{\"accounts\":{\"first_name\":\"\"}}", "first_name must be nonempty"},
        {QUERY_CURRENT, ADA, "{\"accounts\":{\"last_name\":\"\"}}", "last_name must be nonempty"},
        {QUERY_DOCUMENTED, ADA, "{\"accounts\":{\"last_name\":\"\"}}", ""},
        {QUERY_CURRENT, ADA, "{\"accounts\":{\"last_name\":\"Lovelace\",\"name\":\"Ada-L\"}}", ""},
        {QUERY_CURRENT, BOB, "{\"accounts\":{\"name\":\"aDA-l\"}}",
         "name \"aDA-l\" is already taken by another organization or account"},
        {QUERY_CURRENT, ADA, "{\"accounts\":{\"name\":null,\"last_name\":null}}",
         "{\"accounts\":{\"name\":\"Ada-L\",\"last_name\":\"Lovelace\"}}"},
    };
    CHECK(cases);
}

// ---- Writing users ----

static void test_users(void **state UNUSED)
{
    static const struct test_case cases[] = {
        {QUERY_CURRENT, ADA, OF_P1("\"users\":{\"" ADA "\":{\"foo\":1}}"),
         USERS "unknown field 'foo'"},
        {QUERY_CURRENT, ADA, OF_P1("\"users\":{\"" ADA "\":{\"group\":\"viewer\"}}"),
         USERS "invalid group value 'viewer' - must be 'owner' or 'collaborator'"},
        {QUERY_CURRENT, ADA, OF_P1("\"users\":{\"" ADA "\":{\"group\":\"owner\"}}"),
         USERS "changing collaborator group via user_set_query is not allowed"},
        {QUERY_CURRENT, ADA, OF_P1("\"users\":{\"x\":{\"hide\":true}}"),
         USERS "invalid account_id 'x'"},
        {QUERY_CURRENT, ADA, OF_P1("\"users\":7"), USERS "users must be an object"},
        {QUERY_CURRENT, ADA, OF_P1("\"users\":{\"" ADA "\":7}"),
         USERS "user entry must be an object"},
        {QUERY_CURRENT, ADA, OF_P1("\"users\":{\"" ADA "\":{\"hide\":7}}"),
         USERS "invalid type for field 'hide'"},
        {QUERY_CURRENT, BOB,
         "{\"projects\":{\"project_id\":\"" P2 "\",\"users\":{\"" ADA
         "\":{\"upgrades\":{\"cores\":1}}}}}",
         USERS "users set queries may only change upgrades for the requesting account"},
        {QUERY_CURRENT, BOB,
         "{\"projects\":{\"project_id\":\"" P2 "\",\"users\":{\"" ADA
         "\":{\"ssh_keys\":{\"f\":{}}}}}}",
         USERS "users set queries may only change ssh_keys for the requesting account"},
        {QUERY_CURRENT, ADA,
         OF_P1("\"users\":{\"" ADA "\":{\"hide\":true,\"ssh_keys\":{\"f\":{\"title\":\"a\"}}}}"),
         ""},
        {QUERY_CURRENT, ADA, OF_P1("\"users\":null"),
         "{\"projects\":{\"project_id\":\"" P1 "\",\"users\":{\"" ADA
         "\":{\"group\":\"owner\",\"hide\":true,\"ssh_keys\":{\"f\":{\"title\":\"a\"}}}}}}"},
        {QUERY_CURRENT, ADA, OF_P1("\"users\":{\"" ADA "\":{\"upgrades\":{\"cores\":1}}}"), ""},
        {QUERY_CURRENT, ADA, OF_P1("\"users\":null"),
         "{\"projects\":{\"project_id\":\"" P1 "\",\"users\":{\"" ADA
         "\":{\"group\":\"owner\",\"hide\":true,\"upgrades\":{\"cores\":0},"
         "\"ssh_keys\":{\"f\":{\"title\":\"a\"}}}}}}"},
    };
    CHECK(cases);
}

// ---- Writing the rest ----

static void test_single_values(void **state UNUSED)
{
    static const struct test_case cases[] = {
        {QUERY_CURRENT, ADA,
         OF_P1("\"name\":\"P-1\",\"env\":{\"A\":\"1\"},\"course\":{\"path\":\"c\"},"
               "\"site_license\":{\"" P3 "\":{}},\"deleted\":false,\"sandbox\":true,"
               "\"manage_users_owner_only\":true,\"color\":\"red\",\"compute_image\":\"default\","
               "\"avatar_image_tiny\":\"t\",\"avatar_image_full\":\"f\","
               "\"action_request\":{\"action\":\"test\",\"time\":7},"
               "\"invite_requests\":{\"" BOB "\":{\"message\":\"m\"}}"),
         ""},
        {QUERY_CURRENT, ADA,
         OF_P1("\"name\":null,\"env\":null,\"course\":null,\"site_license\":null,\"deleted\":null,"
               "\"sandbox\":null,\"manage_users_owner_only\":null,\"color\":null,"
               "\"avatar_image_tiny\":null,\"action_request\":null,\"invite_requests\":null"),
         "{\"projects\":{\"project_id\":\"" P1 "\",\"name\":\"P-1\",\"env\":{\"A\":\"1\"},"
         "\"course\":{\"path\":\"c\"},\"site_license\":{\"" P3 "\":{}},\"deleted\":false,"
         "\"sandbox\":true,\"manage_users_owner_only\":true,\"color\":\"red\","
         "\"avatar_image_tiny\":\"t\",\"action_request\":{\"action\":\"test\",\"time\":7},"
         "\"invite_requests\":{\"" BOB "\":{\"message\":\"m\"}}}}"},
        {QUERY_CURRENT, ADA,
         "{\"project_avatar_images\":{\"project_id\":\"" P1 "\",\"avatar_image_full\":null}}",
         "{\"project_avatar_images\":{\"project_id\":\"" P1 "\",\"avatar_image_full\":\"f\"}}"},
        {QUERY_CURRENT, ADA, "{\"projects\":{\"project_id\":\"" P2 "\",\"name\":\"p-1\"}}",
         "There is already a project with the same owner as this project and name='p-1'.   Names "
         "are not case sensitive."},
        {QUERY_CURRENT, BOB, "{\"projects\":{\"project_id\":\"" P2 "\",\"name\":\"x\"}}",
         "Only the owner of the project can currently change the project name."},
        {QUERY_CURRENT, BOB,
         "{\"projects\":{\"project_id\":\"" P2 "\",\"manage_users_owner_only\":true}}",
         "Error: Only project owners can change collaborator management settings"},
        {QUERY_CURRENT, BOB,
         "{\"project_invite_requests\":{\"project_id\":\"" P3 "\",\"invite_requests\":{\"" BOB
         "\":{\"message\":\"please\"}}}}",
         ""},
    };
    CHECK(cases);
}

// ---- A project of itself ----

static void test_a_project_itself(void **state UNUSED)
{
    struct arena arena = {0};
    struct err err = {0};
    auto_buf struct buf out = {0};
    auto_json cJSON *set = cJSON_Parse("{\"projects\":{\"project_id\":\"" P1 "\",\"title\":\"own\","
                                       "\"status\":{\"a\":1}}}");
    auto_json cJSON *get = cJSON_Parse("{\"projects\":[{\"project_id\":null,\"title\":null,"
                                       "\"status\":null}]}");
    auto_json cJSON *more = cJSON_Parse("{\"projects\":[{\"users\":null}]}");
    const struct query_request request = {.schema = fixture.schema,
                                          .caller = {.project_id = id_of(P3)},
                                          .now_ms = NOW,
                                          .ctx = &svc,
                                          .arena = &arena};
    assert_int_equal(run(QUERY_CURRENT, &request, set, &out, &err), 0);
    assert_int_equal(run(QUERY_CURRENT, &request, get, &out, &err), 0);
    assert_string_equal(buf_cstr(&out), "{\"projects\":[{\"project_id\":\"" P3
                                        "\",\"title\":\"own\",\"status\":{\"a\":1}}]}");
    assert_int_not_equal(run(QUERY_CURRENT, &request, more, &out, &err), 0);
    assert_string_equal(err.message, "FATAL: user get query not allowed for projects.users");
    arena_dispose(&arena);
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
        cmocka_unit_test(test_every_field),   cmocka_unit_test(test_projects),
        cmocka_unit_test(test_accounts),      cmocka_unit_test(test_users),
        cmocka_unit_test(test_single_values), cmocka_unit_test(test_a_project_itself),
        cmocka_unit_test(test_cost_of_rows),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
