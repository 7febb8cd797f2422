// SPDX-License-Identifier: AGPL-3.0-or-later
// The documents about the interface, and what they need of the endpoints' constants.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "api/docs.h"
#include "api/docs_internal.h"
#include "api/examples.h"
#include "base/clock.h"
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

static cJSON *parse_str(const char *text)
{
    return parse(text, strlen(text));
}

static void assert_has(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("not there: %s", part);
}

static void assert_has_not(const char *text, const char *part)
{
    const char *found = strstr(text, part);
    if (found)
        fail_msg("there: %.80s", found);
}

#define assert_buf(b, text)                                                                        \
    do {                                                                                           \
        assert_string_equal(buf_cstr(&(b)), text);                                                 \
        (b).size = 0;                                                                              \
    } while (0)

// ---- The constants ----

static bool declares(const struct api_endpoint *endpoint, const char *name)
{
    for (size_t i = 0; i < endpoint->params_count; i++) {
        if (!strcmp(endpoint->params[i].name, name))
            return true;
    }
    return !strcmp(name, "id");
}

static void check_example(const struct api_endpoint *endpoint, const struct api_example *example)
{
    bool json;
    auto_buf struct buf url = {0};
    auto_json cJSON *params = docs_example_params(endpoint, example, &json);
    auto_json cJSON *reply = example->reply ? parse_str(example->reply) : NULL;
    assert_true(example->title && example->title[0]);
    if (!params)
        fail_msg("%s: the command cannot be read: %s", endpoint->name, example->command);
    buf_printf(&url, EXAMPLE_HOST "/api/v1/%s", endpoint->name);
    assert_has(example->command, buf_cstr(&url));
    for (const cJSON *item = params->child; item; item = item->next) {
        if (!declares(endpoint, item->string))
            fail_msg("%s: the example's %s is not declared", endpoint->name, item->string);
    }
    for (size_t i = 0; i < endpoint->params_count; i++) {
        if (endpoint->params[i].required && !json_get(params, endpoint->params[i].name))
            fail_msg("%s: the example lacks %s", endpoint->name, endpoint->params[i].name);
    }
    if (reply)
        assert_non_null(json_get_str(reply, "event"));
}

static void check_endpoint(const struct api_endpoint *endpoint)
{
    assert_true(endpoint->text && endpoint->text[0]);
    assert_true(endpoint->reply_event && endpoint->examples_count);
    if (endpoint->access == API_ANYONE)
        assert_has(endpoint->text, "blank");
    for (size_t i = 0; i < endpoint->params_count; i++) {
        const struct api_param *param = &endpoint->params[i];
        auto_json cJSON *value = param->default_text ? parse_str(param->default_text) : NULL;
        assert_true(param->text && param->text[0]);
        assert_false(param->required && param->default_text);
        assert_true(!value || param->type != PARAM_BOOL || cJSON_IsBool(value));
    }
    for (size_t i = 0; i < endpoint->members_count; i++) {
        auto_json cJSON *schema = parse_str(endpoint->members[i].schema);
        assert_true(cJSON_IsObject(schema));
    }
    for (size_t i = 0; i < endpoint->examples_count; i++)
        check_example(endpoint, &endpoint->examples[i]);
}

static void test_constants_are_complete(void **state UNUSED)
{
    assert_non_null(api_v1_endpoints[0]);
    for (size_t i = 0; api_v1_endpoints[i]; i++)
        check_endpoint(api_v1_endpoints[i]);
}

// ---- Pieces ----

static void test_pretty(void **state UNUSED)
{
    static const char json[] = "{\"a\":[1,{}],\"b{,\\\"\":\"x: [y], \\\\\",\"c\":[]}";
    auto_buf struct buf out = {0};
    docs_append_pretty(&out, json, strlen(json), 2);
    assert_buf(out, "{\n  \"a\": [\n    1,\n    {}\n  ],\n"
                    "  \"b{,\\\"\": \"x: [y], \\\\\",\n  \"c\": []\n}");
}

static void test_host_is_replaced_everywhere(void **state UNUSED)
{
    static const char text[] = EXAMPLE_HOST "/a " EXAMPLE_HOST " https://cocalc.co";
    auto_buf struct buf out = {0};
    docs_append_hosted(&out, text, strlen(text), "http://h:1");
    assert_buf(out, "http://h:1/a http://h:1 https://cocalc.co");
}

static void test_prose(void **state UNUSED)
{
    auto_buf struct buf out = {0};
    docs_append_prose(&out, "One `<a>` & \"two\"\nlines.\n\n## Head\n- x\n  y\n- `z\n\nEnd");
    assert_buf(out, "<p>One <code>&lt;a&gt;</code> &amp; &quot;two&quot;\nlines.</p>\n"
                    "<h2>Head</h2>\n<ul>\n<li>x\ny</li>\n<li>`z</li>\n</ul>\n<p>End</p>\n");
    docs_append_prose(&out, "");
    assert_int_equal(out.size, 0);
}

static const struct api_param sample_params[] = {
    {.name = "text", .type = PARAM_STRING},
    {.name = "flag", .type = PARAM_BOOL},
    {.name = "count", .type = PARAM_NUMBER},
    {.name = "items", .type = PARAM_STRINGS},
};

static void assert_params(const char *command, bool wanted_json, const char *wanted)
{
    struct api_endpoint endpoint = {
        .name = "sample", .params = sample_params, .params_count = ARRAY_LEN(sample_params)};
    struct api_example example = {.title = "x", .command = command};
    auto_buf struct buf out = {0};
    bool json = !wanted_json;
    auto_json cJSON *params = docs_example_params(&endpoint, &example, &json);
    if (!wanted) {
        assert_null(params);
        return;
    }
    assert_non_null(params);
    assert_int_equal(json, wanted_json);
    json_value(&out, params);
    assert_string_equal(buf_cstr(&out), wanted);
}

static void test_example_params(void **state UNUSED)
{
    assert_params(" curl -u : http://h/x", false, "{}");
    assert_params(" curl -d text=a -d flag=false -d count=2.5 http://h/x", false,
                  "{\"text\":\"a\",\"flag\":false,\"count\":2.5}");
    assert_params(" curl \\\n -d 'text=a b' \\\n -d items[]=1 -d items[]=2", false,
                  "{\"text\":\"a b\",\"items\":[\"1\",\"2\"]}");
    assert_params(" curl -d \"text=\\\"q\\\" $'\\n'\" -d other=a\\ b", false,
                  "{\"text\":\"\\\"q\\\" $'\\\\n'\",\"other\":\"a b\"}");
    assert_params(" curl -H 'Content-Type: application/json' -d '{\"items\":[\"a\"]}'", true,
                  "{\"items\":[\"a\"]}");
    assert_params(" curl -d 'text=open", false, NULL);
    assert_params(" curl -d \"text=open", false, NULL);
    assert_params(" curl -d", false, NULL);
    assert_params(" curl -H 'Content-Type: application/json' -d '[1]'", false, NULL);
    assert_params(" curl -H 'Content-Type: application/json' -d '{'", false, NULL);
}

// ---- api.json ----

static bool has_own_id(const struct api_endpoint *endpoint)
{
    for (size_t i = 0; i < endpoint->params_count; i++) {
        if (!strcmp(endpoint->params[i].name, "id"))
            return true;
    }
    return false;
}

static void check_event(const cJSON *event, const struct api_endpoint *endpoint)
{
    const char *description = json_get_str(event, "description");
    const cJSON *fields = json_get(event, "fields");
    assert_non_null(description);
    assert_true(text_has_prefix(description, endpoint->text));
    assert_has(description,
               endpoint->examples_count == 1 ? "\n\nExample:\n\n" : "\n\nExamples:\n\n");
    for (size_t i = 0; i < endpoint->examples_count; i++) {
        const struct api_example *example = &endpoint->examples[i];
        auto_buf struct buf block = {0};
        buf_printf(&block, "\n%s\n```\n%s%s%s\n```", example->title, example->command,
                   example->reply ? "\n ==> " : "", example->reply ? example->reply : "");
        assert_has(description, buf_cstr(&block));
    }
    assert_int_equal(cJSON_GetArraySize(fields), endpoint->params_count + !has_own_id(endpoint));
    assert_non_null(json_get(fields, "id"));
    for (size_t i = 0; i < endpoint->params_count; i++) {
        const struct api_param *param = &endpoint->params[i];
        auto_buf struct buf wanted = {0};
        buf_append_str(&wanted, param->text);
        if (param->required)
            buf_append_str(&wanted, " (required)");
        if (param->default_text)
            buf_printf(&wanted, " (default: %s)", param->default_text);
        assert_string_equal(json_get_str(fields, param->name), buf_cstr(&wanted));
    }
}

static void test_api_json(void **state UNUSED)
{
    static const char *const members[] = {"intro", "events", "root", "timestamp", "gitrev"};
    auto_buf struct buf out = {0};
    int64_t time_ms;
    docs_api_json(&out);
    assert_true(text_has_prefix(buf_cstr(&out), "{\n \"intro\": \"## "));
    auto_json cJSON *document = parse(out.data, out.size);
    const cJSON *item = document->child;
    for (size_t i = 0; i < ARRAY_LEN(members); i++, item = item->next)
        assert_string_equal(item->string, members[i]);
    assert_null(item);
    assert_string_equal(json_get_str(document, "root"), "/api/v1/");
    assert_true(clock_parse(json_get_str(document, "timestamp"), &time_ms));
    assert_true(strlen(json_get_str(document, "gitrev")) > 0);
    item = json_get(document, "events")->child;
    for (size_t i = 0; api_v1_endpoints[i]; i++, item = item->next) {
        assert_string_equal(item->string, api_v1_endpoints[i]->name);
        check_event(item, api_v1_endpoints[i]);
    }
    assert_null(item);
}

// ---- OpenAPI ----

static const cJSON *at(const cJSON *value, const char *const *path)
{
    for (; *path; path++) {
        value = json_get(value, *path);
        if (!value)
            fail_msg("no member %s", *path);
    }
    return value;
}
#define AT(value, ...) at(value, (const char *const[]){__VA_ARGS__, NULL})

static void check_schema(const cJSON *media, const struct api_endpoint *endpoint, bool form)
{
    const cJSON *schema = AT(media, "schema"), *required = json_get(schema, "required");
    size_t required_count = 0;
    assert_true(cJSON_IsFalse(AT(schema, "additionalProperties")));
    assert_int_equal(cJSON_GetArraySize(AT(schema, "properties")),
                     endpoint->params_count + !has_own_id(endpoint));
    AT(schema, "properties", "id");
    for (size_t i = 0; i < endpoint->params_count; i++) {
        const struct api_param *param = &endpoint->params[i];
        auto_buf struct buf name = {0};
        buf_printf(&name, "%s%s", param->name, form && param->type == PARAM_STRINGS ? "[]" : "");
        const cJSON *property = AT(schema, "properties", buf_cstr(&name));
        assert_string_equal(json_get_str(property, "description"), param->text);
        assert_int_equal(param->default_text != NULL, json_get(property, "default") != NULL);
        if (param->type == PARAM_STRING && param->is_uuid)
            assert_string_equal(json_get_str(property, "format"), "uuid");
        required_count += param->required;
    }
    assert_int_equal(cJSON_GetArraySize(required), required_count);
}

static void check_operation(const cJSON *operation, const struct api_endpoint *endpoint)
{
    const cJSON *reply = AT(operation, "responses", "200", "content", "application/json");
    const cJSON *body = AT(operation, "requestBody", "content");
    assert_string_equal(json_get_str(operation, "operationId"), endpoint->name);
    assert_true(text_has_prefix(endpoint->text, json_get_str(operation, "summary")));
    AT(operation, "responses", "400", "$ref");
    check_schema(AT(body, "application/json"), endpoint, false);
    check_schema(AT(body, "application/x-www-form-urlencoded"), endpoint, true);
    const cJSON *success = AT(reply, "schema", "oneOf")->child;
    assert_string_equal(json_get_str(AT(success, "properties", "event"), "const"),
                        endpoint->reply_event);
    for (size_t i = 0; i < endpoint->members_count; i++) {
        if (!endpoint->members[i].event)
            AT(success, "properties", endpoint->members[i].name);
    }
    AT(reply, "examples");
}

static void test_openapi(void **state UNUSED)
{
    auto_buf struct buf out = {0};
    docs_openapi(&out, "https://hub.example.org:8443/base");
    auto_json cJSON *document = parse(out.data, out.size);
    assert_string_equal(json_get_str(document, "openapi"), "3.1.0");
    assert_string_equal(json_get_str(AT(document, "servers")->child, "url"),
                        "https://hub.example.org:8443/base/api/v1");
    AT(document, "components", "securitySchemes", "basic");
    AT(document, "components", "securitySchemes", "bearer");
    const cJSON *path = AT(document, "paths")->child;
    for (size_t i = 0; api_v1_endpoints[i]; i++, path = path->next) {
        assert_string_equal(path->string + 1, api_v1_endpoints[i]->name);
        check_operation(AT(path, "post"), api_v1_endpoints[i]);
    }
    for (size_t i = 0; i < DOCS_FAMILIES; i++, path = path->next)
        assert_string_equal(path->string, docs_families[i].path);
    assert_null(path);
    assert_has_not(buf_cstr(&out), EXAMPLE_HOST);
}

// An event besides the endpoint's own and "error" is in the examples only.
static void test_openapi_has_further_events(void **state UNUSED)
{
    auto_buf struct buf out = {0};
    docs_openapi(&out, "http://h");
    auto_json cJSON *document = parse(out.data, out.size);
    const cJSON *one_of = AT(document, "paths", "/create_account", "post", "responses", "200",
                             "content", "application/json", "schema", "oneOf");
    assert_int_equal(cJSON_GetArraySize(one_of), 3);
    assert_string_equal(json_get_str(AT(one_of->child->next, "properties", "event"), "const"),
                        "account_creation_failed");
}

// Members of such an event are not of the endpoint's own.
static void test_openapi_members_belong_to_their_event(void **state UNUSED)
{
    auto_buf struct buf out = {0}, text = {0};
    docs_openapi(&out, "http://h");
    auto_json cJSON *document = parse(out.data, out.size);
    const cJSON *success = AT(document, "paths", "/copy_path_between_projects", "post", "responses",
                              "200", "content", "application/json", "schema", "oneOf")
                               ->child;
    assert_null(json_get(AT(success, "properties"), "copy_path_id"));
    assert_int_equal(cJSON_GetArraySize(AT(success, "required")), 2);
    AT(success->next, "properties", "copy_path_id");
    assert_int_equal(cJSON_GetArraySize(AT(success->next, "required")), 4);
    docs_markdown(&text);
    assert_has(buf_cstr(&text), "\nReply: `event` is `success`, `id` that of the call.\n\n"
                                "Or `event` is `copy_path_between_projects_response`, with\n\n"
                                "- `copy_path_id`: ");
}

static void test_openapi_quotes_the_address(void **state UNUSED)
{
    auto_buf struct buf out = {0};
    docs_openapi(&out, "http://h\"\\");
    auto_json cJSON *document = parse(out.data, out.size);
    assert_string_equal(json_get_str(AT(document, "servers")->child, "url"), "http://h\"\\/api/v1");
}

// ---- The page and Markdown ----

static void check_section(const char *html, const struct api_endpoint *endpoint)
{
    auto_buf struct buf part = {0};
    buf_printf(&part, "<section id=\"%s\"", endpoint->name);
    assert_has(html, buf_cstr(&part));
    part.size = 0;
    buf_printf(&part, "<form data-endpoint=\"%s\"", endpoint->name);
    const char *form = strstr(html, buf_cstr(&part));
    assert_non_null(form);
    for (size_t i = 0; i < endpoint->params_count; i++) {
        const char *name = endpoint->params[i].name;
        part.size = 0;
        buf_printf(&part, "<label for=\"%s-%s\">", endpoint->name, name);
        assert_has(form, buf_cstr(&part));
        part.size = 0;
        buf_printf(&part, " id=\"%s-%s\" data-param=\"%s\"", endpoint->name, name, name);
        assert_has(form, buf_cstr(&part));
    }
}

static void test_page(void **state UNUSED)
{
    auto_buf struct buf out = {0};
    docs_html(&out, "https://hub.example.org");
    const char *html = buf_cstr(&out);
    for (size_t i = 0; api_v1_endpoints[i]; i++)
        check_section(html, api_v1_endpoints[i]);
    assert_has(html, "https://hub.example.org/api/v1/ping");
    assert_has_not(html, EXAMPLE_HOST);
    assert_has_not(html, " src=");
    assert_has_not(html, "<link");
    assert_has_not(html, " style=");
    assert_has_not(html, " onsubmit=");
    assert_has_not(html, " onclick=");
}

static size_t count_of(struct buf *text, const char *part)
{
    size_t count = 0;
    for (const char *at = buf_cstr(text); (at = strstr(at, part)); at += strlen(part))
        count++;
    return count;
}

static void test_each_endpoint_has_one_id(void **state UNUSED)
{
    for (size_t i = 0; api_v1_endpoints[i]; i++) {
        auto_buf struct buf html = {0}, markdown = {0};
        docs_html_params(&html, api_v1_endpoints[i]);
        assert_int_equal(count_of(&html, "<th scope=\"row\"><code>id</code>"), 1);
        docs_append_params(&markdown, api_v1_endpoints[i]);
        assert_int_equal(count_of(&markdown, "| `id` |"), 1);
    }
}

static void test_page_escapes_the_address(void **state UNUSED)
{
    auto_buf struct buf out = {0};
    docs_html(&out, "http://h\"><script>x");
    assert_has(buf_cstr(&out), "http://h&quot;&gt;&lt;script&gt;x/api/v1/ping");
    assert_has_not(buf_cstr(&out), "\"><script>x");
}

// The hash that a browser makes of what stands between two tags is the one that the policy allows.
static void assert_allowed(const char *html, const char *directive, const char *begin,
                           const char *end)
{
    unsigned char digest[crypto_hash_sha256_BYTES];
    char base64[64];
    auto_buf struct buf wanted = {0};
    const char *text = strstr(html, begin), *text_end;
    assert_non_null(text);
    text += strlen(begin);
    text_end = strstr(text, end);
    assert_non_null(text_end);
    crypto_hash_sha256(digest, (const unsigned char *)text, (size_t)(text_end - text));
    sodium_bin2base64(base64, sizeof base64, digest, sizeof digest, sodium_base64_VARIANT_ORIGINAL);
    buf_printf(&wanted, "%s 'sha256-%s';", directive, base64);
    assert_has(docs_html_policy(), buf_cstr(&wanted));
    assert_null(strstr(text_end, begin));
}

static void test_policy(void **state UNUSED)
{
    auto_buf struct buf out = {0};
    docs_html(&out, "http://h");
    assert_true(text_has_prefix(docs_html_policy(), "default-src 'none'; "));
    assert_has_not(docs_html_policy(), "unsafe");
    assert_has(docs_html_policy(), "frame-ancestors 'self'");
    assert_allowed(buf_cstr(&out), "style-src", "<style>", "</style>");
    assert_allowed(buf_cstr(&out), "script-src", "<script>", "</script>");
}

static void test_markdown(void **state UNUSED)
{
    auto_buf struct buf out = {0};
    docs_markdown(&out);
    assert_true(text_has_prefix(buf_cstr(&out), "# API v1\n\n## "));
    for (size_t i = 0; api_v1_endpoints[i]; i++) {
        auto_buf struct buf heading = {0};
        buf_printf(&heading, "\n### %s\n\n`POST /api/v1/%s`\n\n%s\n\n| parameter |",
                   api_v1_endpoints[i]->name, api_v1_endpoints[i]->name, api_v1_endpoints[i]->text);
        assert_has(buf_cstr(&out), buf_cstr(&heading));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_constants_are_complete),
        cmocka_unit_test(test_pretty),
        cmocka_unit_test(test_host_is_replaced_everywhere),
        cmocka_unit_test(test_prose),
        cmocka_unit_test(test_example_params),
        cmocka_unit_test(test_api_json),
        cmocka_unit_test(test_openapi),
        cmocka_unit_test(test_openapi_has_further_events),
        cmocka_unit_test(test_openapi_members_belong_to_their_event),
        cmocka_unit_test(test_openapi_quotes_the_address),
        cmocka_unit_test(test_page),
        cmocka_unit_test(test_each_endpoint_has_one_id),
        cmocka_unit_test(test_page_escapes_the_address),
        cmocka_unit_test(test_policy),
        cmocka_unit_test(test_markdown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
