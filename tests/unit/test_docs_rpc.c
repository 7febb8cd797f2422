// SPDX-License-Identifier: AGPL-3.0-or-later
// The documents about the RPC, and that its methods say all that these need.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "api/docs.h"
#include "api/docs_internal.h"
#include "api/examples.h"
#include "api/params.h"
#include "base/limits.h"
#include "base/text.h"

static cJSON *parse(const char *text, size_t size)
{
    cJSON *value = NULL;
    struct err err = {0};
    if (json_parse(text, size, LIMIT_JSON_DEPTH, &value, &err))
        fail_msg("%s in: %.*s", err.message, (int)(size < 400 ? size : 400), text);
    return value;
}

static void assert_has(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("not there: %s", part);
}

static void for_each_method(void (*check)(const struct docs_family *family,
                                          const struct api_endpoint *method, void *ctx),
                            void *ctx)
{
    for (size_t i = 0; i < DOCS_FAMILIES; i++) {
        assert_non_null(docs_families[i].methods[0]);
        for (size_t j = 0; docs_families[i].methods[j]; j++)
            check(&docs_families[i], docs_families[i].methods[j], ctx);
    }
}

// ---- The constants ----

static void check_object(const struct api_endpoint *method, const cJSON *object)
{
    for (const cJSON *item = object ? object->child : NULL; item; item = item->next) {
        if (!params_find(method, item->string))
            fail_msg("%s: the example's %s is not declared", method->event, item->string);
    }
    for (size_t i = 0; i < method->params_count; i++) {
        if (method->params[i].required && !json_get(object, method->params[i].name))
            fail_msg("%s: the example lacks %s", method->event, method->params[i].name);
    }
}

static void check_args(const struct api_endpoint *method, const cJSON *args)
{
    const cJSON *first = args ? args->child : NULL;
    if (method->args == ARGS_LIST)
        assert_true((size_t)cJSON_GetArraySize(args) <= method->params_count);
    else
        check_object(method, method->args == ARGS_OPTS ? json_get(first, "opts") : first);
}

static void check_example(const struct docs_family *family, const struct api_endpoint *method,
                          const struct api_example *example)
{
    bool json = false;
    auto_buf struct buf url = {0};
    auto_json cJSON *body = docs_example_params(method, example, &json);
    if (!body || !json)
        fail_msg("%s: the command cannot be read: %s", method->event, example->command);
    buf_printf(&url, EXAMPLE_HOST "%s", family->path);
    assert_has(example->command, buf_cstr(&url));
    assert_string_equal(json_get_str(body, "name"), method->name);
    check_args(method, json_get(body, "args"));
    if (!example->title || !example->reply)
        fail_msg("%s: an example without a title or an answer", method->event);
    cJSON_Delete(parse(example->reply, strlen(example->reply)));
}

static void check_method(const struct docs_family *family, const struct api_endpoint *method,
                         void *ctx UNUSED)
{
    auto_buf struct buf event = {0};
    buf_printf(&event, "%s.%s", family->name, method->name);
    assert_string_equal(method->event, buf_cstr(&event));
    if (!method->text || !method->text[0] || !method->result || !method->examples_count)
        fail_msg("%s: a text, a result and an example must be there", method->event);
    auto_json cJSON *schema = parse(method->result, strlen(method->result));
    assert_true(cJSON_IsObject(schema));
    assert_non_null(method->handler);
    for (size_t i = 0; i < method->params_count; i++) {
        const struct api_param *param = &method->params[i];
        assert_true(param->text && param->text[0]);
        assert_false(param->required && param->default_text);
        if (param->default_text)
            cJSON_Delete(parse(param->default_text, strlen(param->default_text)));
    }
    for (size_t i = 0; i < method->examples_count; i++)
        check_example(family, method, &method->examples[i]);
}

static void test_constants_are_complete(void **state UNUSED)
{
    for_each_method(check_method, NULL);
}

static void test_names_are_unique(void **state UNUSED)
{
    for (size_t i = 0; i < DOCS_FAMILIES; i++) {
        const struct api_endpoint *const *methods = docs_families[i].methods;
        for (size_t j = 0; methods[j]; j++) {
            for (size_t k = 0; k < j; k++)
                assert_string_not_equal(methods[j]->name, methods[k]->name);
        }
    }
}

// ---- The documents ----

static void check_described(const struct docs_family *family, const struct api_endpoint *method,
                            void *document)
{
    const cJSON *methods = json_get(json_get(document, family->name), "methods");
    const cJSON *described = json_get(methods, method->name);
    assert_string_equal(json_get_str(described, "description"), method->text);
    assert_int_equal(cJSON_GetArraySize(json_get(described, "parameters")), method->params_count);
    assert_int_equal(cJSON_GetArraySize(json_get(described, "examples")), method->examples_count);
    auto_json cJSON *result = parse(method->result, strlen(method->result));
    assert_true(cJSON_Compare(json_get(described, "result"), result, true));
}

static void test_rpc_json(void **state UNUSED)
{
    auto_buf struct buf out = {0};
    docs_rpc_json(&out);
    auto_json cJSON *document = parse(out.data, out.size);
    for_each_method(check_described, document);
    assert_string_equal(json_get_str(json_get(document, "hub"), "path"), "/api/conat/hub");
    assert_string_equal(json_get_str(json_get(document, "project"), "path"), "/api/conat/project");
}

static void check_heading(const struct docs_family *family, const struct api_endpoint *method,
                          void *text)
{
    auto_buf struct buf heading = {0};
    buf_printf(&heading, "\n### %s\n\n`POST %s`, `args` is `", method->name, family->path);
    assert_has(text, buf_cstr(&heading));
}

static void test_markdown(void **state UNUSED)
{
    auto_buf struct buf out = {0};
    docs_markdown(&out);
    for_each_method(check_heading, buf_cstr(&out));
}

static void check_section(const struct docs_family *family, const struct api_endpoint *method,
                          void *html)
{
    auto_buf struct buf part = {0};
    buf_printf(&part, "<section id=\"%s-%s\"", family->name, method->name);
    assert_has(html, buf_cstr(&part));
    part.size = 0;
    buf_printf(&part, "<a href=\"#%s-%s\">", family->name, method->name);
    assert_has(html, buf_cstr(&part));
}

static void test_page(void **state UNUSED)
{
    auto_buf struct buf out = {0};
    docs_rpc_html(&out, "http://h\"><script>x");
    const char *html = buf_cstr(&out);
    for_each_method(check_section, out.data);
    assert_has(html, "http://h&quot;&gt;&lt;script&gt;x/api/conat/hub");
    assert_null(strstr(html, EXAMPLE_HOST));
    assert_null(strstr(html, "<script"));
    assert_null(strstr(html, " style="));
}

static void check_alternative(const struct docs_family *family, const struct api_endpoint *method,
                              void *document)
{
    const cJSON *post = json_get(json_get(json_get(document, "paths"), family->path), "post");
    const cJSON *content = json_get(json_get(post, "requestBody"), "content");
    const cJSON *schema = json_get(json_get(content, "application/json"), "schema");
    const cJSON *one;
    cJSON_ArrayForEach(one, json_get(schema, "oneOf"))
    {
        if (!strcmp(json_get_str(one, "title"), method->name)) {
            assert_string_equal(json_get_str(one, "description"), method->text);
            assert_non_null(json_get(one, "x-result"));
            return;
        }
    }
    fail_msg("%s is not in the OpenAPI document", method->event);
}

static void test_openapi(void **state UNUSED)
{
    auto_buf struct buf out = {0};
    docs_openapi(&out, "https://h/base");
    auto_json cJSON *document = parse(out.data, out.size);
    for_each_method(check_alternative, document);
    const cJSON *path = json_get(json_get(document, "paths"), "/api/conat/hub");
    assert_string_equal(json_get_str(json_get(path, "servers")->child, "url"), "https://h/base");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_constants_are_complete),
        cmocka_unit_test(test_names_are_unique),
        cmocka_unit_test(test_rpc_json),
        cmocka_unit_test(test_markdown),
        cmocka_unit_test(test_page),
        cmocka_unit_test(test_openapi),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
