// SPDX-License-Identifier: AGPL-3.0-or-later
// Bodies into parameters: forms, truth, types, names.
#include "unit.h"

#include <string.h>

#include "api/form.h"
#include "api/params.h"
#include "base/limits.h"

static void assert_form(const char *form, const char *json)
{
    auto_json cJSON *value = NULL;
    auto_buf struct buf out = {0};
    struct err err;
    assert_int_equal(form_parse(form, strlen(form), &value, &err), 0);
    json_value(&out, value);
    assert_string_equal(buf_cstr(&out), json);
}

static void test_forms(void **state UNUSED)
{
    assert_form("", "{}");
    assert_form("&&", "{}");
    assert_form("a=1&b=x+y%20z", "{\"a\":\"1\",\"b\":\"x y z\"}");
    assert_form("a=&b", "{\"a\":\"\",\"b\":\"\"}");
    assert_form("a=1&a=2&a=3", "{\"a\":[\"1\",\"2\",\"3\"]}");
    assert_form("a[]=1", "{\"a\":[\"1\"]}");
    assert_form("a%5B%5D=1&a[]=2", "{\"a\":[\"1\",\"2\"]}");
    assert_form("a[0]=x&a[1]=y", "{\"a\":[\"x\",\"y\"]}");
    assert_form("a[b][c]=v&a[b][d]=w", "{\"a\":{\"b\":{\"c\":\"v\",\"d\":\"w\"}}}");
    assert_form("a=%zz&b=100%", "{\"a\":\"%zz\",\"b\":\"100%\"}");
    assert_form("a[=1", "{\"a[\":\"1\"}");
    assert_form("[a]=1", "{\"[a]\":\"1\"}");
    assert_form("n=%C3%A9=x", "{\"n\":\"\u00e9=x\"}");
}

static void test_wrong_forms(void **state UNUSED)
{
    static const char *const wrong[] = {
        "a=%00", "a=%ff", "%ff=1", "a=1&a[b]=2", "a[b]=1&a[]=2", "a[1][2][3][4][5][6][7][8][9]=x"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        cJSON *value = NULL;
        struct err err;
        assert_int_equal(form_parse(wrong[i], strlen(wrong[i]), &value, &err), -ERR_INVALID);
        assert_null(value);
    }
}

static void test_number_of_fields(void **state UNUSED)
{
    auto_buf struct buf form = {0};
    struct err err;
    for (int i = 0; i < LIMIT_FORM_FIELDS; i++)
        buf_printf(&form, "%sf%d=1", i ? "&" : "", i);
    auto_json cJSON *value = NULL;
    assert_int_equal(form_parse(form.data, form.size, &value, &err), 0);
    buf_append_str(&form, "&one=more");
    cJSON *none = NULL;
    assert_int_equal(form_parse(form.data, form.size, &none, &err), -ERR_TOO_LARGE);
}

static void test_truth(void **state UNUSED)
{
    static const struct {
        const char *json;
        bool truth;
    } cases[] = {{"true", true},   {"false", false},  {"1", true},        {"0", false},
                 {"null", false},  {"\"\"", false},   {"\"true\"", true}, {"\"false\"", false},
                 {"\"0\"", false}, {"\"No\"", false}, {"\"off\"", false}, {"\"yes\"", true},
                 {"\"x\"", true},  {"{}", true}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        auto_json cJSON *value = cJSON_Parse(cases[i].json);
        assert_int_equal(params_truth(value), cases[i].truth);
    }
}

// ---- An endpoint of the test's own ----

struct sample {
    const char *text;
    bool flag, on;
    struct api_number number;
    struct api_strings list, either;
};
#define FIELD(field) .offset = offsetof(struct sample, field)
static const struct api_param sample_params[] = {
    {.name = "text", .type = PARAM_STRING, .required = true, FIELD(text)},
    {.name = "flag", .type = PARAM_BOOL, FIELD(flag)},
    {.name = "on", .type = PARAM_BOOL, FIELD(on), .default_text = "true"},
    {.name = "number", .type = PARAM_NUMBER, FIELD(number)},
    {.name = "list", .type = PARAM_STRINGS, FIELD(list)},
    {.name = "either", .type = PARAM_STRING_OR_LIST, FIELD(either)},
};
static const struct api_endpoint sample_endpoint = {.name = "sample",
                                                    API_PARAMS(sample_params, struct sample)};

static int fill(const char *json, struct arena *arena, cJSON **body,
                const struct sample **ret_sample, struct err *err)
{
    void *params = NULL;
    assert_int_equal(params_read_body("application/json", json, strlen(json), body, err), 0);
    int rc = params_fill(&sample_endpoint, *body, arena, &params, err);
    *ret_sample = params;
    return rc;
}

static void test_values(void **state UNUSED)
{
    struct arena CLEANUP(arena_dispose) arena = {0};
    auto_json cJSON *body = NULL;
    const struct sample *s;
    struct err err;
    assert_int_equal(fill("{\"text\":\"x\",\"number\":\"2.5\",\"list\":[\"a\",\"b\"],\"either\":"
                          "\"c\",\"flag\":\"yes\","
                          "\"id\":[1],\"event\":\"sample\"}",
                          &arena, &body, &s, &err),
                     0);
    assert_string_equal(s->text, "x");
    assert_true(s->flag && s->on);
    assert_true(s->number.given && s->number.value == 2.5);
    assert_true(s->list.is_list && s->list.count == 2);
    assert_string_equal(s->list.items[1], "b");
    assert_true(!s->either.is_list && s->either.count == 1);
}

static void test_null_is_left_out(void **state UNUSED)
{
    struct arena CLEANUP(arena_dispose) arena = {0};
    auto_json cJSON *body = NULL;
    const struct sample *s;
    struct err err;
    assert_int_equal(fill("{\"text\":\"\",\"number\":null,\"on\":null}", &arena, &body, &s, &err),
                     0);
    assert_false(s->number.given);
    assert_true(s->on);
}

static void test_refusals(void **state UNUSED)
{
    static const struct {
        const char *json, *text;
    } cases[] = {
        {"{}", "invalid parameters 'Error: misc.defaults -- TypeError: property 'text' must be "
               "specified: '"},
        {"{\"zz\":1}", "invalid parameters 'Error: misc.defaults -- TypeError: property 'text' "
                       "must be specified: '"},
        {"{\"text\":null}", "invalid parameters 'Error: misc.defaults -- TypeError: property "
                            "'text' must be specified: '"},
        {"{\"text\":\"\",\"zz\":1}", "invalid parameters 'Error: misc.defaults -- TypeError: got "
                                     "an unexpected argument 'zz' '"},
        {"{\"text\":1}", "invalid parameters 'TypeError: text must be a string'"},
        {"{\"text\":\"\",\"number\":\"x\"}",
         "invalid parameters 'TypeError: number must be a number'"},
        {"{\"text\":\"\",\"list\":\"x\"}",
         "invalid parameters 'TypeError: list must be a list of strings'"},
        {"{\"text\":\"\",\"list\":[1]}",
         "invalid parameters 'TypeError: list must be a list of strings'"},
        {"{\"text\":\"\",\"either\":{}}",
         "invalid parameters 'TypeError: either must be a string or a list of strings'"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct arena CLEANUP(arena_dispose) arena = {0};
        auto_json cJSON *body = NULL;
        const struct sample *s;
        struct err err;
        assert_int_equal(fill(cases[i].json, &arena, &body, &s, &err), -ERR_INVALID);
        assert_string_equal(err.message, cases[i].text);
    }
}

static void test_content_types(void **state UNUSED)
{
    static const struct {
        const char *type, *text;
        int rc;
        bool body;
    } cases[] = {
        {"application/json; charset=UTF-8", "{\"a\":1}", 0, true},
        {"Application/JSON", "{\"a\":1}", 0, true},
        {"application/x-www-form-urlencoded", "a=1", 0, true},
        {"text/plain", "{\"a\":1}", 0, false},
        {NULL, "{\"a\":1}", 0, false},
        {"application/json", "", 0, false},
        {"application/json", "[]", 0, false},
        {"application/json", "5", -ERR_INVALID, false},
        {"application/json; charset=latin1", "{}", -ERR_UNSUPPORTED, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        auto_json cJSON *body = NULL;
        struct err err;
        assert_int_equal(
            params_read_body(cases[i].type, cases[i].text, strlen(cases[i].text), &body, &err),
            cases[i].rc);
        assert_int_equal(body && body->child, cases[i].body);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_wrong_forms),
        cmocka_unit_test(test_number_of_fields),
        cmocka_unit_test(test_truth),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_null_is_left_out),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_content_types),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
