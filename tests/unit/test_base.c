// SPDX-License-Identifier: AGPL-3.0-or-later
#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "base/budget.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/text.h"
#include "base/uuid.h"

// ---- Text ----

static void test_utf8_valid(void **state UNUSED)
{
    static const char *const good[] = {"",
                                       "plain",
                                       "\xc3\xa9",
                                       "\xe2\x82\xac",
                                       "\xf0\x9f\x98\x80",
                                       "\xed\x9f\xbf",
                                       "\xf4\x8f\xbf\xbf"};
    static const char *const bad[] = {"\x80",
                                      "\xc0\xaf",
                                      "\xc3",
                                      "\xe0\x80\x80",
                                      "\xed\xa0\x80",
                                      "\xf0\x80\x80\x80",
                                      "\xf4\x90\x80\x80",
                                      "\xff",
                                      "a\xe2\x82"};
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        assert_true(utf8_valid(good[i], strlen(good[i])));
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(utf8_valid(bad[i], strlen(bad[i])));
}

static void test_utf8_lossy(void **state UNUSED)
{
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"ok", "ok"},
        {"a\xff"
         "b",
         "a\xef\xbf\xbd"
         "b"},
        {"\xe2\x82", "\xef\xbf\xbd"},
        {"\xe2\x82"
         "x",
         "\xef\xbf\xbdx"},
        {"\xf0\x9f\x98", "\xef\xbf\xbd"},
        {"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        auto_buf struct buf out = {0};
        utf8_append_lossy(&out, cases[i].in, strlen(cases[i].in));
        assert_string_equal(buf_cstr(&out), cases[i].out);
    }
}

static void test_utf16_prefix_never_splits_a_pair(void **state UNUSED)
{
    const char *text = "a\xf0\x9f\x98\x80z"; // 1 + 2 + 1 units
    size_t units;
    assert_int_equal(utf8_prefix_utf16(text, strlen(text), 2, &units), 1);
    assert_int_equal(units, 1);
    assert_int_equal(utf8_prefix_utf16(text, strlen(text), 3, &units), 5);
    assert_int_equal(units, 3);
    assert_int_equal(utf8_utf16_len(text, strlen(text)), 4);
}

static void test_numbers(void **state UNUSED)
{
    int64_t n;
    double d;
    assert_true(text_parse_int64("-12", -20, 20, &n));
    assert_int_equal(n, -12);
    static const char *const no_integers[] = {
        "", "-", "+1", " 1", "1 ", "0x1", "1.5", "99999999999999999999", "21"};
    for (size_t i = 0; i < ARRAY_LEN(no_integers); i++)
        assert_false(text_parse_int64(no_integers[i], -20, 20, &n));
    assert_true(text_parse_double("1.5e3", &d));
    assert_true(d == 1500);
    static const char *const no_numbers[] = {"", "nan", "inf", "1e999", "1x", "0x10", " 1", "1 "};
    for (size_t i = 0; i < ARRAY_LEN(no_numbers); i++)
        assert_false(text_parse_double(no_numbers[i], &d));
}

static void test_letters_are_lower_cased(void **state UNUSED)
{
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"", ""},
        {"John Smith-99", "john smith-99"},
        {"\xc3\x84\xc3\x96\xc3\x9c\xc3\x9f", "\xc3\xa4\xc3\xb6\xc3\xbc\xc3\x9f"}, // German
        {"\xd0\x96\xd0\xa3\xd0\x9a", "\xd0\xb6\xd1\x83\xd0\xba"},                 // Cyrillic
        {"\xce\xa3\xce\x91", "\xcf\x83\xce\xb1"},                                 // Greek
        {"\xe6\x9d\x8e \xe2\x82\xac", "\xe6\x9d\x8e \xe2\x82\xac"},               // without case
        {"\xf0\x90\x90\x80", "\xf0\x90\x90\xa8"},                                 // beyond 16 bits
        {"A\xff\xe2\x82Z", "a\xef\xbf\xbd\xef\xbf\xbdz"},                         // invalid
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        auto_buf struct buf out = {0};
        text_append_lower(&out, cases[i].in);
        assert_string_equal(buf_cstr(&out), cases[i].out);
    }
}

static void test_percent_encoding(void **state UNUSED)
{
    auto_buf struct buf out = {0};
    text_append_percent(&out, "aZ09-._~ +&=%/\"\xc3\xa9@x");
    assert_string_equal(buf_cstr(&out), "aZ09-._~%20%2B%26%3D%25%2F%22%C3%A9%40x");
}

static void test_html_is_escaped(void **state UNUSED)
{
    auto_buf struct buf out = {0};
    text_append_html(&out, "<a b=\"c\" d='e'>&");
    assert_string_equal(buf_cstr(&out), "&lt;a b=&quot;c&quot; d=&#39;e&#39;&gt;&amp;");
}

// ---- UUIDs ----

static void test_uuid(void **state UNUSED)
{
    struct uuid a = uuid_new(), b = uuid_new(), parsed;
    assert_int_equal(strlen(a.text), UUID_LEN);
    assert_int_equal(a.text[14], '4');
    assert_non_null(strchr("89ab", a.text[19]));
    assert_false(uuid_equal(&a, &b));
    assert_true(uuid_parse("ABCDEF01-2345-6789-ABCD-EF0123456789", UUID_LEN, &parsed));
    assert_string_equal(parsed.text, "abcdef01-2345-6789-abcd-ef0123456789");
    assert_false(uuid_parse("abcdef01-2345-6789-abcd-ef012345678", UUID_LEN - 1, &parsed));
    assert_false(uuid_parse("abcdef01x2345-6789-abcd-ef0123456789", UUID_LEN, &parsed));
    assert_false(uuid_parse("gbcdef01-2345-6789-abcd-ef0123456789", UUID_LEN, &parsed));
}

static void test_token(void **state UNUSED)
{
    char token[2001];
    token_random(token, 2000);
    assert_int_equal(strlen(token), 2000);
    assert_int_equal(
        strspn(token, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"), 2000);
}

// ---- Time ----

static void test_time_there_and_back(void **state UNUSED)
{
    // -1 is the first time that this thread writes.
    static const int64_t times[] = {-1, 0, 1495632551742, 951782399999, -1, 4102444800000};
    char text[CLOCK_ISO_SIZE] = "";
    for (size_t i = 0; i < ARRAY_LEN(times); i++) {
        int64_t back;
        clock_iso(times[i], text);
        assert_true(clock_parse(text, &back));
        assert_int_equal(back, times[i]);
    }
    clock_iso(1495632551742, text);
    assert_string_equal(text, "2017-05-24T13:29:11.742Z");
}

static void test_time_forms(void **state UNUSED)
{
    int64_t t;
    assert_true(clock_parse("2027-01-31", &t));
    assert_int_equal(t, INT64_C(1801353600000));
    assert_true(clock_parse("2027-01-31T01:00:00+01:00", &t));
    assert_int_equal(t, INT64_C(1801353600000));
    static const char *const wrong[] = {
        "",   "x", "2027-02-30",           "2027-1-1", "2027-01-31T25:00:00Z",
        "30", "d", "2027-01-31T01:00:00+1"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        assert_false(clock_parse(wrong[i], &t));
    assert_true(clock_parse("2d", &t));
    assert_true(t > clock_now_ms() + INT64_C(86400000));
}

// ---- Map ----

static void test_map(void **state UNUSED)
{
    struct map m = {0};
    char keys[1000][8];
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        snprintf(keys[i], sizeof keys[i], "k%zu", i);
        assert_null(map_set(&m, keys[i], strlen(keys[i]), keys[i]));
    }
    for (size_t i = 0; i < ARRAY_LEN(keys); i += 2)
        assert_ptr_equal(map_remove(&m, keys[i], strlen(keys[i])), keys[i]);
    assert_int_equal(m.count, 500);
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        assert_ptr_equal(map_get(&m, keys[i], strlen(keys[i])), i % 2 ? keys[i] : NULL);
    size_t position = 0, seen = 0;
    for (void *value; map_next(&m, &position, &value); seen++)
        map_remove(&m, value, strlen(value));
    assert_int_equal(seen, 500);
    assert_int_equal(m.count, 0);
    map_dispose(&m);
}

static void test_map_replaces(void **state UNUSED)
{
    struct map m = {0};
    int a, b;
    assert_null(map_set(&m, "key", 3, &a));
    assert_ptr_equal(map_set(&m, "key", 3, &b), &a);
    assert_ptr_equal(map_get(&m, "key", 3), &b);
    assert_int_equal(m.count, 1);
    map_dispose(&m);
}

// ---- Memory ----

static void test_arena(void **state UNUSED)
{
    struct arena a = {0};
    _Alignas(max_align_t) char lent[64];
    arena_lend(&a, lent, sizeof lent);
    assert_ptr_equal(arena_alloc(&a, 10), lent);
    for (size_t size = 1; size < 20000; size *= 3) {
        char *p = arena_alloc(&a, size);
        assert_int_equal((uintptr_t)p % _Alignof(max_align_t), 0);
        memset(p, 0x55, size);
    }
    assert_string_equal(arena_printf(&a, "%d-%s", 7, "x"), "7-x");
    assert_string_equal(arena_strndup(&a, "abcdef", 3), "abc");
    arena_dispose(&a);
}

static void test_buf(void **state UNUSED)
{
    auto_buf struct buf b = {0};
    for (int i = 0; i < 1000; i++)
        buf_printf(&b, "%d,", i);
    assert_memory_equal(b.data, "0,1,2,", 6);
    assert_int_equal(b.size, 3890);
    char long_text[500];
    memset(long_text, 'x', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = '\0';
    b.size = 0;
    buf_printf(&b, "<%s>", long_text);
    assert_int_equal(strlen(buf_cstr(&b)), 501);
}

// A text that was cut ends in a whole character, wherever that was; what else is broken is shown.
static void test_err_is_utf8(void **state UNUSED)
{
    struct err err;
    char text[2 * sizeof err.message];
    (void)err_set(&err, ERR_INVALID, "'%.4s' and '%.2s', %s", "abc\xc3\xa9", "\xe2\x82\xac",
                  "\xff.");
    assert_string_equal(err.message, "'abc' and '', \xef\xbf\xbd.");
    for (size_t before = 0; before < 4; before++) {
        memset(text, 'x', before);
        text[before] = '\0';
        while (strlen(text) < sizeof err.message)
            strcat(text, "\xf0\x9f\x98\x80");
        (void)err_set(&err, ERR_INVALID, "%s", text);
        assert_true(utf8_valid(err.message, strlen(err.message)));
        assert_int_equal(strlen(err.message), before + (sizeof err.message - 1 - before) / 4 * 4);
    }
    (void)err_set(&err, ERR_INVALID, "again: %s", err.message);
    assert_true(text_has_prefix(err.message, "again: xxx\xf0"));
}

static void test_err(void **state UNUSED)
{
    struct err err;
    assert_int_equal(err_set(&err, ERR_NOT_FOUND, "no %s", "thing"), -ERR_NOT_FOUND);
    assert_string_equal(err.message, "no thing");
    assert_int_equal(err_set_errno(&err, ERR_NO_SPACE, 28, "full"), -ERR_NO_SPACE);
    assert_int_equal(err.sys_errno, 28);
    assert_string_equal(err_errno_name(28), "ENOSPC");
    assert_int_equal(err_set(NULL, ERR_INVALID, "x"), -ERR_INVALID);
    for (enum err_code code = ERR_INVALID; code <= ERR_INTERNAL; code++) {
        assert_non_null(err_code_name(code));
        assert_in_range(err_http_status(code), 400, 599);
    }
}

static void test_a_budget_has_shares(void **state UNUSED)
{
    struct budget budget = BUDGET(100);
    assert_true(budget_take(&budget, "a", 20));
    assert_false(budget_take(&budget, "a", 6));
    assert_true(budget_take(&budget, "a", 5));
    assert_true(budget_take(&budget, "b", 25));
    assert_false(budget_take(&budget, "c", 26));
    assert_true(budget_take(&budget, NULL, 45));
    assert_false(budget_take(&budget, "c", 6)); // of the whole
    budget_give_back(&budget, "b", 25);
    assert_false(
        budget_take(&budget, NULL, 6)); // of what is for those who are nobody in particular
    assert_true(budget_take(&budget, "b", 25));
    assert_true(budget_assign(&budget, "c", 25));
    assert_false(budget_assign(&budget, "c", 1));
    assert_int_equal(budget_used(&budget), 95);
    budget_give_back(&budget, "a", 25);
    budget_give_back(&budget, "b", 25);
    budget_give_back(&budget, "c", 25);
    budget_give_back(&budget, NULL, 20);
    assert_int_equal(budget_used(&budget), 0);
    budget_dispose(&budget); // no owner is left
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_utf8_valid),
        cmocka_unit_test(test_utf8_lossy),
        cmocka_unit_test(test_utf16_prefix_never_splits_a_pair),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_letters_are_lower_cased),
        cmocka_unit_test(test_percent_encoding),
        cmocka_unit_test(test_html_is_escaped),
        cmocka_unit_test(test_uuid),
        cmocka_unit_test(test_token),
        cmocka_unit_test(test_time_there_and_back),
        cmocka_unit_test(test_time_forms),
        cmocka_unit_test(test_map),
        cmocka_unit_test(test_map_replaces),
        cmocka_unit_test(test_arena),
        cmocka_unit_test(test_buf),
        cmocka_unit_test(test_err),
        cmocka_unit_test(test_err_is_utf8),
        cmocka_unit_test(test_a_budget_has_shares),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
