// SPDX-License-Identifier: AGPL-3.0-or-later
// Effective quotas (api-v1 11.5).
#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "svc/quota.h"

static const struct quota_site site = {
    .base = {3000, 1000, 0, 1, 0, 1800, 0, 0, 0, 0, 0},
    .max = {20000, 16000, 8000, 3, 2048, 7776000, 1, 1, 1, 1, 1},
};

static cJSON *parse(const char *text)
{
    cJSON *value = NULL;
    struct err err;
    assert_int_equal(json_parse(text, strlen(text), LIMIT_JSON_DEPTH, &value, &err), 0);
    return value;
}

struct given {
    const struct quota_site *site; // NULL: the default
    const char *settings, *upgrades, *more_upgrades, *licenses;
};

static struct quota compute(struct given given)
{
    auto_json cJSON *settings = given.settings ? parse(given.settings) : NULL;
    auto_json cJSON *upgrades = parse(given.upgrades ? given.upgrades : "{}");
    auto_json cJSON *more = parse(given.more_upgrades ? given.more_upgrades : "{}");
    auto_json cJSON *licenses = given.licenses ? parse(given.licenses) : NULL;
    const cJSON *users[] = {upgrades, more};
    struct quota_input input = {
        .settings = settings, .upgrades = users, .upgrades_count = 2, .licenses = licenses};
    struct quota quota;
    quota_compute(given.site ? given.site : &site, &input, &quota);
    return quota;
}

static void assert_quota(struct given given, const char *json)
{
    auto_buf struct buf out = {0};
    struct quota quota = compute(given);
    quota_write(&quota, &out);
    assert_string_equal(buf_cstr(&out), json);
}

#define FLAGS_OFF                                                                                  \
    "\"network\":false,\"member_host\":false,\"always_running\":false,\"ephemeral_state\":false,"  \
    "\"ephemeral_disk\":false}"

// The samples of the contract.
static void test_samples(void **state UNUSED)
{
    assert_quota((struct given){0},
                 "{\"disk_quota\":3000,\"memory_limit\":1000,\"memory_request\":200,"
                 "\"cpu_limit\":1,\"cpu_request\":0.02,\"idle_timeout\":1800," FLAGS_OFF);
    assert_quota((struct given){.upgrades = "{\"member_host\":1}"},
                 "{\"disk_quota\":3000,\"memory_limit\":1500,\"memory_request\":300,"
                 "\"cpu_limit\":1,\"cpu_request\":0.05,\"idle_timeout\":1800,\"network\":false,"
                 "\"member_host\":true,\"always_running\":false,\"ephemeral_state\":false,"
                 "\"ephemeral_disk\":false}");
}

static void test_nothing_given_in_any_form(void **state UNUSED)
{
    struct quota quota;
    quota_compute(&site, &(struct quota_input){0}, &quota);
    assert_true(quota.memory_mb == 1000 && quota.disk_mb == 3000 && !quota.network);
    quota = compute((struct given){.settings = "[]", .upgrades = "7", .licenses = "{\"a\":{}}"});
    assert_true(quota.memory_mb == 1000 && quota.disk_mb == 3000 && !quota.network);
}

static void test_users_and_licenses_of_the_old_style_add_up(void **state UNUSED)
{
    struct quota quota =
        compute((struct given){.upgrades = "{\"memory\":500,\"cores\":0.5,\"cpu_shares\":256}",
                               .more_upgrades = "{\"memory\":250,\"disk_quota\":1000}",
                               .licenses = "{\"a\":{\"memory\":100,\"mintime\":3600},"
                                           "\"b\":{\"memory\":\"50\",\"cpu_shares\":512}}"});
    assert_true(quota.memory_mb == 1900);
    assert_true(quota.cpu_limit == 1.5);
    assert_true(quota.cpu_request == 0.75);
    assert_true(quota.disk_mb == 4000);
    assert_true(quota.idle_timeout_s == 5400);
    assert_false(quota.network);
}

static void test_upgrades_end_at_the_maximum(void **state UNUSED)
{
    struct quota quota = compute((struct given){
        .upgrades = "{\"disk_quota\":1e300,\"memory\":15001,\"memory_request\":9000,\"cores\":99,"
                    "\"cpu_shares\":5000,\"mintime\":99999999}"});
    assert_true(quota.disk_mb == 20000 && quota.memory_mb == 16000);
    assert_true(quota.memory_request_mb == 8000 && quota.cpu_limit == 3);
    assert_true(quota.cpu_request == 2 && quota.idle_timeout_s == 7776000);
}

static void test_settings_replace_the_base_and_know_no_maximum(void **state UNUSED)
{
    struct quota quota = compute((struct given){
        .settings = "{\"memory\":32000,\"cores\":0,\"disk_quota\":\"50000\",\"mintime\":0}",
        .upgrades = "{\"memory\":20000,\"cores\":1}"});
    assert_true(quota.memory_mb == 32000 + 15000);
    assert_true(quota.disk_mb == 50000);
    assert_true(quota.cpu_limit == 2);
    assert_true(quota.idle_timeout_s == 1800);
}

static void test_a_base_above_the_maximum_is_cut(void **state UNUSED)
{
    struct quota_site low = site;
    low.max[UPGRADE_DISK_QUOTA] = 2000;
    struct quota quota = compute((struct given){.site = &low, .upgrades = "{\"disk_quota\":500}"});
    assert_true(quota.disk_mb == 2000);
    quota = compute((struct given){.site = &low, .settings = "{\"disk_quota\":2500}"});
    assert_true(quota.disk_mb == 2500);
}

static void test_how_amounts_are_read(void **state UNUSED)
{
    static const struct {
        const char *json;
        double whole, decimal;
    } cases[] = {
        {"1", 1, 1},        {"1.9", 1, 1.9},   {"\"2\"", 2, 2},   {"\"2.5\"", 2, 2.5},
        {"-3", 0, 0},       {"\"-3\"", 0, 0},  {"\"x\"", 0, 0},   {"\"\"", 0, 0},
        {"\"5 MB\"", 0, 0}, {"null", 0, 0},    {"true", 0, 0},    {"[1]", 0, 0},
        {"{}", 0, 0},       {"\"inf\"", 0, 0}, {"\"nan\"", 0, 0}, {"1e300", 1e9, 1e9},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        auto_json cJSON *value = parse(cases[i].json);
        assert_true(upgrade_amount(UPGRADE_MEMORY, value) == cases[i].whole);
        assert_true(upgrade_amount(UPGRADE_CORES, value) == cases[i].decimal);
        assert_true(upgrade_amount(UPGRADE_CPU_SHARES, value) == cases[i].decimal);
    }
    assert_true(upgrade_amount(UPGRADE_MEMORY, NULL) == 0);
}

static void test_flags(void **state UNUSED)
{
    static const char *const on[] = {"1", "true", "\"1\"", "\"true\"", "80"};
    static const char *const off[] = {"0", "false", "\"0\"", "\"false\"", "\"\"", "null", "-1"};
    char text[64];
    for (size_t i = 0; i < ARRAY_LEN(on); i++) {
        snprintf(text, sizeof text, "{\"network\":%s}", on[i]);
        assert_true(compute((struct given){.settings = text}).network);
        assert_true(compute((struct given){.more_upgrades = text}).network);
        snprintf(text, sizeof text, "{\"a\":{},\"b\":{\"always_running\":%s}}", on[i]);
        assert_true(compute((struct given){.licenses = text}).always_running);
    }
    for (size_t i = 0; i < ARRAY_LEN(off); i++) {
        snprintf(text, sizeof text, "{\"network\":%s}", off[i]);
        assert_false(compute((struct given){.settings = text, .upgrades = text}).network);
    }
}

static void test_a_maximum_of_zero_forbids_a_flag(void **state UNUSED)
{
    struct quota_site closed = site;
    closed.max[UPGRADE_NETWORK] = closed.max[UPGRADE_ALWAYS_RUNNING] = 0;
    closed.base[UPGRADE_NETWORK] = 1;
    struct quota quota = compute((struct given){
        .site = &closed,
        .settings = "{\"network\":1,\"always_running\":1}",
        .upgrades = "{\"network\":1,\"always_running\":1}",
        .licenses = "{\"a\":{\"network\":1,\"quota\":{\"cpu\":1,\"always_running\":true}}}"});
    assert_false(quota.network);
    assert_false(quota.always_running);
}

static void test_the_site_can_give_every_project_a_network(void **state UNUSED)
{
    struct quota_site open = site;
    open.base[UPGRADE_NETWORK] = 1;
    assert_true(compute((struct given){.site = &open}).network);
}

static void test_licenses_of_the_new_style_add_among_themselves(void **state UNUSED)
{
    struct quota quota = compute((struct given){
        .upgrades = "{\"memory\":500,\"disk_quota\":9000}",
        .licenses = "{\"a\":{\"quota\":{\"cpu\":1,\"ram\":1.1,\"disk\":4,\"dedicated_cpu\":0.5,"
                    "\"dedicated_ram\":1}},\"b\":{\"quota\":{\"cpu\":1,\"ram\":2.2,\"disk\":3}}}"});
    assert_true(quota.cpu_limit == 2.5 && quota.cpu_request == 0.5);
    assert_true(quota.memory_mb == 4300 && quota.memory_request_mb == 1000);
    assert_true(quota.disk_mb == 12000); // upgrades give more than the licences
    assert_true(quota.network && !quota.member_host && !quota.always_running);
}

static void test_new_style_is_a_maximum_with_the_rest(void **state UNUSED)
{
    struct given given = {.upgrades = "{\"memory\":3000}",
                          .licenses = "{\"a\":{\"quota\":{\"ram\":2,\"idle_timeout\":7200}}}"};
    struct quota quota = compute(given);
    assert_true(quota.memory_mb == 4000 && quota.cpu_limit == 1 && quota.idle_timeout_s == 7200);
    given.licenses = "{\"a\":{\"quota\":{\"ram\":6,\"idle_timeout\":60}}}";
    quota = compute(given);
    assert_true(quota.memory_mb == 6000 && quota.idle_timeout_s == 1800);
}

static void test_a_member_license_silences_those_without(void **state UNUSED)
{
    struct quota quota = compute((struct given){
        .licenses = "{\"a\":{\"quota\":{\"cpu\":3,\"ram\":8,\"dedicated_cpu\":1,"
                    "\"dedicated_ram\":4,\"disk\":5,\"always_running\":true}},"
                    "\"b\":{\"quota\":{\"cpu\":2,\"ram\":2,\"disk\":1,\"member\":true}}}"});
    assert_true(quota.member_host && quota.network && !quota.always_running);
    assert_true(quota.cpu_limit == 2 && quota.cpu_request == 0.05);
    assert_true(quota.memory_mb == 2000 && quota.memory_request_mb == 300);
    assert_true(quota.disk_mb == 6000);
}

static void test_minimums(void **state UNUSED)
{
    struct quota quota = compute(
        (struct given){.settings = "{\"memory\":10,\"memory_request\":1,\"cpu_shares\":1}"});
    assert_true(quota.memory_mb == 1000 && quota.memory_request_mb == 200);
    assert_true(quota.cpu_request == 0.02);
    quota = compute((struct given){.settings = "{\"memory\":1600,\"member_host\":true}"});
    assert_true(quota.memory_mb == 1600 && quota.memory_request_mb == 300);
    struct quota_site small = site;
    small.base[UPGRADE_MEMORY] = 100;
    small.base[UPGRADE_CORES] = 0;
    quota = compute((struct given){.site = &small});
    assert_true(quota.memory_mb == 100 && quota.memory_request_mb == 100);
    assert_true(quota.cpu_limit == 0.02);
}

static void test_names(void **state UNUSED)
{
    enum upgrade found = UPGRADE_COUNT;
    for (int i = 0; i < UPGRADE_COUNT; i++) {
        assert_true(upgrade_find(upgrade_name((enum upgrade)i), &found));
        assert_int_equal(found, i);
    }
    assert_false(upgrade_find("Memory", &found));
    assert_false(upgrade_find("", &found));
}

static void test_what_is_written_is_read(void **state UNUSED)
{
    auto_buf struct buf out = {0}, again = {0};
    struct quota quota = compute((struct given){
        .settings = "{\"cores\":0.3,\"ephemeral_disk\":1}",
        .upgrades =
            "{\"cpu_shares\":100,\"network\":1,\"always_running\":1,\"ephemeral_state\":1}"});
    struct quota read;
    quota_write(&quota, &out);
    assert_true(quota_read(buf_cstr(&out), &read));
    quota_write(&read, &again);
    assert_string_equal(buf_cstr(&again), buf_cstr(&out));
    assert_true(read.ephemeral_disk && read.ephemeral_state && read.network);
    static const char *const wrong[] = {"", "{", "[]", "{}", "null", "{\"disk_quota\":1}"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        assert_false(quota_read(wrong[i], &read));
    assert_false(quota_read(NULL, &read));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_samples),
        cmocka_unit_test(test_nothing_given_in_any_form),
        cmocka_unit_test(test_users_and_licenses_of_the_old_style_add_up),
        cmocka_unit_test(test_upgrades_end_at_the_maximum),
        cmocka_unit_test(test_settings_replace_the_base_and_know_no_maximum),
        cmocka_unit_test(test_a_base_above_the_maximum_is_cut),
        cmocka_unit_test(test_how_amounts_are_read),
        cmocka_unit_test(test_flags),
        cmocka_unit_test(test_a_maximum_of_zero_forbids_a_flag),
        cmocka_unit_test(test_the_site_can_give_every_project_a_network),
        cmocka_unit_test(test_licenses_of_the_new_style_add_among_themselves),
        cmocka_unit_test(test_new_style_is_a_maximum_with_the_rest),
        cmocka_unit_test(test_a_member_license_silences_those_without),
        cmocka_unit_test(test_minimums),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_what_is_written_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
