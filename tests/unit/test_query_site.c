// SPDX-License-Identifier: AGPL-3.0-or-later
// Tables of the site as the current dialect has them and as nobody in particular reads them, which
// API v1 never shows; organizations are made. Where the environment names a PostgreSQL database it
// runs on that.
#include "query_fixture.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "svc/organizations.h"
#include "svc/svc.h"
#include "svc/tables/tables.h"

#define NOW    INT64_C(1600000000000)
#define ADMIN  "bbbbbbbb-0000-4000-8000-000000000002"
#define NOBODY ""
#define NEW    "11111111-0000-4000-8000-000000000001"
#define OLD    "22222222-0000-4000-8000-000000000002"

static struct svc svc;

static const char *const rows[] = {
    "INSERT INTO accounts (account_id, name, created, \"groups\")"
    " VALUES ('" ADMIN "', 'Boss', 0, '[\"admin\"]')",
    "INSERT INTO system_notifications (id, time, text) VALUES"
    " ('" NEW "', 1599999000000, 'now'), ('" OLD "', 1599990000000, 'then')",
    "INSERT INTO server_settings (name, value, readonly) VALUES ('kucalc', 'x', 1)",
};

// `wanted` is RESULT, "" for a set that works, or the text of the refusal.
static void check(const char *account, const char *text, const char *wanted)
{
    struct arena arena = {0};
    struct err err = {0};
    auto_buf struct buf out = {0};
    auto_json cJSON *query = cJSON_Parse(text);
    struct query_request request = {.schema = fixture.schema,
                                    .dialect = QUERY_CURRENT,
                                    .now_ms = NOW,
                                    .ctx = &svc,
                                    .arena = &arena};
    snprintf(request.caller.account_id.text, sizeof request.caller.account_id.text, "%s", account);
    request.caller.admin = account[0];
    assert_non_null(query);
    int rc = query_fixture_run(&request, query, &out, &err);
    assert_string_equal(rc ? err.message : buf_cstr(&out), wanted);
    arena_dispose(&arena);
}

static void test_nobody_reads_notices(void **state UNUSED)
{
    check(NOBODY, "{\"system_notifications\":[{\"id\":null,\"text\":null,\"priority\":null}]}",
          "{\"system_notifications\":[{\"id\":\"" NEW
          "\",\"text\":\"now\",\"priority\":\"low\"}]}");
    check(NOBODY, "{\"system_notifications\":{\"id\":\"" OLD "\",\"text\":null}}", "{}");
    check(NOBODY, "{\"system_notifications\":{\"id\":\"" OLD "\",\"text\":\"x\"}}",
          "FATAL: no anonymous set queries");
}

static void test_nobody_reads_no_more(void **state UNUSED)
{
    static const char *const tables[] = {"messages",      "site_settings",
                                         "organizations", "create_message",
                                         "central_log",   "site_license_public_info"};
    for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
        char query[100], wanted[100];
        snprintf(query, sizeof query, "{\"%s\":[{\"id\":null}]}", tables[i]);
        snprintf(wanted, sizeof wanted, "FATAL: anonymous get queries not allowed for table '%s'",
                 tables[i]);
        check(NOBODY, query, wanted);
    }
}

static void test_settings(void **state UNUSED)
{
    check(ADMIN, "{\"site_settings\":{\"name\":\"nope\",\"value\":\"x\"}}",
          "setting name='nope' not allowed");
    check(ADMIN, "{\"site_settings\":{\"name\":\"kucalc\",\"value\":\"x\"}}",
          "setting name='kucalc' is readonly");
    check(ADMIN, "{\"site_settings\":{\"name\":\"dns\",\"value\":\"x\"}}", "");
}

static void test_a_search_of_nothing(void **state UNUSED)
{
    check(ADMIN, "{\"matching_site_licenses\":[{\"search\":\"\",\"id\":null}]}",
          "{\"matching_site_licenses\":[]}");
}

static int make(const char *name, struct err *err)
{
    struct organization_create create = {.caller.admin = true, .name = name};
    return db_write(fixture.db, organization_create, &create, err);
}

static void test_organizations_are_made(void **state UNUSED)
{
    struct err err = {0};
    assert_int_equal(make("test-org-1700000000-ab12cd34", &err), 0);
    assert_int_equal(make("TEST-org-1700000000-ab12cd34", &err), -ERR_CONFLICT);
    assert_string_equal(err.message, "name TEST-org-1700000000-ab12cd34 is already used by some "
                                     "account or organization");
    assert_int_equal(make("boss", &err), -ERR_CONFLICT);
    assert_int_equal(make("", &err), -ERR_INVALID);
}

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
        cmocka_unit_test(test_nobody_reads_notices),
        cmocka_unit_test(test_nobody_reads_no_more),
        cmocka_unit_test(test_settings),
        cmocka_unit_test(test_a_search_of_nothing),
        cmocka_unit_test(test_organizations_are_made),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
