// SPDX-License-Identifier: AGPL-3.0-or-later
#include "unit.h"

#include <string.h>

#include "base/json.h"

static int parse(const char *text, size_t size, cJSON **ret_value, struct err *err)
{
    return json_parse(text, size, 10, ret_value, err);
}

static void test_what_is_json(void **state UNUSED)
{
    static const char *const good[] = {"{}",
                                       " [] ",
                                       "null",
                                       "-0.5e+3",
                                       "\"\"",
                                       "\"\\u00e9\\n\\/\"",
                                       "{\"a\":{\"a\":1},\"b\":[1,2,{\"a\":null}]}",
                                       "\"\\ud83d\\ude00\"",
                                       "[[[[[[[[[[]]]]]]]]]]",
                                       "1e308"};
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        auto_json cJSON *value = NULL;
        struct err err;
        assert_int_equal(parse(good[i], strlen(good[i]), &value, &err), 0);
        assert_non_null(value);
    }
}

static void test_what_is_not(void **state UNUSED)
{
    static const struct {
        const char *text, *why;
    } bad[] = {
        {"", "unexpected end"},
        {"{", "without a quoted name"},
        {"[1,]", "unexpected character"},
        {"{\"a\":1,}", "without a quoted name"},
        {"{\"a\" 1}", "without a colon"},
        {"[1 2]", "missing comma"},
        {"nul", "unexpected"},
        {"01", "malformed number"},
        {"1.", "malformed number"},
        {"+1", "unexpected character"},
        {"1e999", "out of range"},
        {"NaN", "unexpected character"},
        {"\"\t\"", "control character"},
        {"\"\\x\"", "unknown escape"},
        {"\"\\u12\"", "broken \\u escape"},
        {"\"\\u0000\"", "NUL character"},
        {"\"\\ud800\"", "surrogate"},
        {"\"\\udc00\\ud800\"", "surrogate"},
        {"\"abc", "without end"},
        {"{} x", "behind the value"},
        {"\"\xff\"", "UTF-8"},
        {"[[[[[[[[[[[]]]]]]]]]]]", "nesting"},
        {"{\"a\":1,\"a\":2}", "repeated key \"a\""},
        {"{\"b\":[{\"a\":1,\"c\":2,\"a\":3}]}", "repeated key \"a\""},
        {"{\"a\":1,\"\\u0061\":2}", "repeated key \"a\""},
        {"1111111111222222222233333333334444444444555555555566666666667777", "63 characters"},
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        cJSON *value = NULL;
        struct err err;
        assert_int_equal(parse(bad[i].text, strlen(bad[i].text), &value, &err), -ERR_INVALID);
        assert_null(value);
        if (!strstr(err.message, bad[i].why))
            fail_msg("%s: %s", bad[i].text, err.message);
    }
}

static void test_nul_byte(void **state UNUSED)
{
    cJSON *value = NULL;
    struct err err;
    assert_int_equal(parse("\"a\0b\"", 5, &value, &err), -ERR_INVALID);
    assert_int_equal(parse("1\0", 2, &value, &err), -ERR_INVALID);
}

static void test_writer_puts_commas(void **state UNUSED)
{
    auto_buf struct buf b = {0};
    json_begin_object(&b);
    json_member_str(&b, "text", "a\"\\\n\x01\x7f{");
    json_member_int(&b, "least", INT64_MIN);
    json_key(&b, "list");
    json_begin_array(&b);
    json_double(&b, 0.1);
    json_double(&b, 1e21);
    json_double(&b, 3);
    json_begin_object(&b);
    json_end_object(&b);
    json_null(&b);
    json_bool(&b, true);
    json_end_array(&b);
    json_member_time(&b, "time", 0);
    json_end_object(&b);
    assert_string_equal(
        buf_cstr(&b), "{\"text\":\"a\\\"\\\\\\n\\u0001\\u007f{\",\"least\":-9223372036854775808,"
                      "\"list\":[0.1,1e+21,3,{},null,true],\"time\":\"1970-01-01T00:00:00.000Z\"}");
}

static void test_there_and_back(void **state UNUSED)
{
    const char *text = "{\"a\":[1,-2.5,\"\u00e9\",null,true,false,{}],\"\\\"k\":{\"x\":[]}}";
    auto_json cJSON *value = NULL;
    auto_buf struct buf b = {0};
    struct err err;
    assert_int_equal(parse(text, strlen(text), &value, &err), 0);
    json_value(&b, value);
    assert_string_equal(buf_cstr(&b), text);
}

static void test_members_in_order(void **state UNUSED)
{
    const char *text = "{\"b\":{\"y\":[2,{\"d\":0,\"c\":{}}],\"x\":\"\"},\"a\":[]}";
    auto_json cJSON *value = NULL;
    auto_buf struct buf b = {0};
    struct err err;
    assert_int_equal(parse(text, strlen(text), &value, &err), 0);
    json_value_sorted(&b, value);
    assert_string_equal(buf_cstr(&b), "{\"a\":[],\"b\":{\"x\":\"\",\"y\":[2,{\"c\":{},\"d\":0}]}}");
}

static void test_broken_text_is_mended(void **state UNUSED)
{
    auto_buf struct buf b = {0};
    json_strn(&b, "a\xff", 2);
    assert_string_equal(buf_cstr(&b), "\"a\xef\xbf\xbd\"");
}

// However a text is cut, it comes out as if it had been written at once.
static void test_a_string_in_pieces(void **state UNUSED)
{
    static const char text[] =
        "a\"\xc3\xa9\n\xe2\x82\xac\xf0\x9f\x98\x80\xff\xe2\x82"
        "b\xed\xa0\x80\xc0\xaf\x80\x80\x80\x80\xf4\x90\x80\x80\0\xf0\x9f\x98";
    const size_t size = sizeof text - 1;
    auto_buf struct buf whole = {0};
    json_strn(&whole, text, size);
    for (size_t first = 0; first <= size; first++) {
        for (size_t second = first; second <= size; second++) {
            auto_buf struct buf out = {0};
            struct json_stream stream;
            json_stream_begin(&stream, &out);
            json_stream_append(&stream, text, first);
            json_stream_append(&stream, text + first, second - first);
            json_stream_append(&stream, text + second, size - second);
            json_stream_end(&stream);
            assert_int_equal(out.size, whole.size);
            assert_memory_equal(out.data, whole.data, whole.size);
        }
    }
}

static void test_a_list_has_its_items(void **state UNUSED)
{
    static const char list[] = "[\"gold\", 1, {\"owner\": 2}, \"ad\\u006din\", \"a \\\"b\\\"\"]";
    assert_true(json_list_has(list, "gold"));
    assert_true(json_list_has(list, "admin"));
    assert_false(json_list_has(list, "owner"));
    assert_false(json_list_has(list, "b"));
    assert_false(json_list_has("[]", "gold"));
    assert_false(json_list_has("", "gold"));
    assert_false(json_list_has(NULL, "gold"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_json),
        cmocka_unit_test(test_what_is_not),
        cmocka_unit_test(test_nul_byte),
        cmocka_unit_test(test_writer_puts_commas),
        cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_members_in_order),
        cmocka_unit_test(test_broken_text_is_mended),
        cmocka_unit_test(test_a_string_in_pieces),
        cmocka_unit_test(test_a_list_has_its_items),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
