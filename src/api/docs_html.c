// SPDX-License-Identifier: AGPL-3.0-or-later
// The reference page: one document with nothing to load, and a form to try each endpoint.
//
// It is written once a process, with the examples' host in it; each call puts the server's own
// address in its place. Its style and script stand inline, and the page's Content-Security-Policy
// allows exactly these two by their hashes.
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "api/docs.h"
#include "api/docs_internal.h"
#include "api/params.h"
#include "base/text.h"

static void append_line(struct buf *out, const char *text)
{
    docs_append_span(out, text, strlen(text));
}

static void append_pre(struct buf *out, const char *class, const char *text)
{
    buf_printf(out, "<pre class=\"%s\" tabindex=\"0\"><code>", class);
    text_append_html(out, text);
    buf_append_str(out, "</code></pre>\n");
}

static void append_json_pre(struct buf *out, const char *class, const char *json)
{
    auto_buf struct buf pretty = {0};
    docs_append_pretty(&pretty, json, strlen(json), 2);
    append_pre(out, class, buf_cstr(&pretty));
}

// ---- Parameters ----

static void append_param(struct buf *out, const struct api_param *param)
{
    buf_printf(out, "<tr><th scope=\"row\"><code>%s</code><small>%s</small></th><td>", param->name,
               docs_param_type(param));
    append_line(out, param->text);
    if (param->required)
        buf_append_str(out, " <em class=\"required\">required</em>");
    if (param->default_text) {
        buf_append_str(out, " <small>default <code>");
        text_append_html(out, param->default_text);
        buf_append_str(out, "</code></small>");
    }
    buf_append_str(out, "</td></tr>\n");
}

void docs_html_params(struct buf *out, const struct api_endpoint *endpoint)
{
    buf_append_str(out, "<h4>Parameters</h4>\n<table>\n"
                        "<thead><tr><th scope=\"col\">Name</th><th scope=\"col\">Meaning</th></tr>"
                        "</thead>\n<tbody>\n");
    for (size_t i = 0; i < endpoint->params_count; i++)
        append_param(out, &endpoint->params[i]);
    if (endpoint->family == API_V1 && !params_find(endpoint, "id"))
        buf_append_str(out, "<tr><th scope=\"row\"><code>id</code><small>string</small></th>"
                            "<td>" DOCS_ID_TEXT "</td></tr>\n");
    buf_append_str(out, "</tbody>\n</table>\n");
}

// ---- Reply ----

static void append_schema_type(struct buf *out, const cJSON *schema);

static void append_alternatives(struct buf *out, const cJSON *schemas)
{
    for (const cJSON *one = schemas->child; one; one = one->next) {
        if (one != schemas->child)
            buf_append_str(out, " or ");
        if (cJSON_IsString(one))
            text_append_html(out, one->valuestring);
        else
            append_schema_type(out, one);
    }
}

// A JSON schema in a few words.
static void append_schema_type(struct buf *out, const cJSON *schema)
{
    const cJSON *type = json_get(schema, "type"), *one_of = json_get(schema, "oneOf");
    const char *name = cJSON_GetStringValue(type), *format = json_get_str(schema, "format");
    if (one_of || cJSON_IsArray(type)) {
        append_alternatives(out, one_of ? one_of : type);
    } else if (name && !strcmp(name, "array")) {
        buf_append_str(out, "list of: ");
        append_schema_type(out, json_get(schema, "items"));
    } else {
        text_append_html(out, name ? name : "any JSON");
        if (format)
            buf_printf(out, " (%s)", format);
    }
}

// True if there is more to a schema than append_schema_type says.
static bool is_nested(const cJSON *schema)
{
    for (const cJSON *item = schema->child; item; item = item->next) {
        if (item->child && strcmp(item->string, "type"))
            return true;
    }
    return false;
}

void docs_html_schema(struct buf *out, const char *text)
{
    auto_json cJSON *schema = cJSON_Parse(text);
    buf_append_str(out, "<p>");
    append_schema_type(out, schema);
    buf_append_str(out, "</p>\n");
    if (is_nested(schema)) {
        buf_append_str(out, "<details><summary>JSON schema</summary>");
        append_json_pre(out, "schema", text);
        buf_append_str(out, "</details>\n");
    }
}

static void append_member(struct buf *out, const struct api_member *member)
{
    auto_json cJSON *schema = cJSON_Parse(member->schema);
    buf_printf(out, "<tr><th scope=\"row\"><code>%s</code></th><td>", member->name);
    append_schema_type(out, schema);
    if (member->optional)
        buf_append_str(out, " <small>not always there</small>");
    if (is_nested(schema)) {
        buf_append_str(out, "<details><summary>JSON schema</summary>");
        append_json_pre(out, "schema", member->schema);
        buf_append_str(out, "</details>");
    }
    buf_append_str(out, "</td></tr>\n");
}

static void append_reply(struct buf *out, const struct api_endpoint *endpoint)
{
    buf_printf(out,
               "<h4>Reply</h4>\n<table>\n"
               "<thead><tr><th scope=\"col\">Member</th><th scope=\"col\">Value</th></tr></thead>\n"
               "<tbody>\n<tr><th scope=\"row\"><code>event</code></th>"
               "<td><code>\"%s\"</code></td></tr>\n"
               "<tr><th scope=\"row\"><code>id</code></th><td>that of the call</td></tr>\n",
               endpoint->reply_event);
    const char *event = endpoint->reply_event;
    for (size_t i = 0; i < endpoint->members_count; i++) {
        const struct api_member *member = &endpoint->members[i];
        if (strcmp(docs_member_event(endpoint, member), event)) {
            event = member->event;
            buf_printf(out,
                       "<tr><th scope=\"row\">or <code>event</code></th>"
                       "<td><code>\"%s\"</code>, with</td></tr>\n",
                       event);
        }
        append_member(out, member);
    }
    buf_append_str(out, "</tbody>\n</table>\n");
}

// ---- Examples ----

void docs_html_examples(struct buf *out, const struct api_endpoint *endpoint)
{
    if (endpoint->examples_count)
        buf_append_str(out, endpoint->examples_count == 1 ? "<h4>Example</h4>\n"
                                                          : "<h4>Examples</h4>\n");
    for (size_t i = 0; i < endpoint->examples_count; i++) {
        const struct api_example *example = &endpoint->examples[i];
        if (example->title[0]) {
            buf_append_str(out, "<p class=\"title\">");
            append_line(out, example->title);
            buf_append_str(out, "</p>\n");
        }
        append_pre(out, "command", example->command + strspn(example->command, " "));
        if (example->reply)
            append_json_pre(out, "reply", example->reply);
    }
}

// ---- Forms ----

// The names that clients give to text of more than one line.
static bool is_long_text(const struct api_param *param)
{
    static const char *const names[] = {"body", "content", "description", "email", "error"};
    for (size_t i = 0; param->type == PARAM_STRING && i < ARRAY_LEN(names); i++) {
        if (!strcmp(param->name, names[i]))
            return true;
    }
    return false;
}

static bool is_secret(const struct api_param *param)
{
    return strstr(param->name, "password") != NULL;
}

static const char *input_kind(const struct api_param *param)
{
    switch (param->type) {
    case PARAM_STRING:
        return "string";
    case PARAM_BOOL:
        return "boolean";
    case PARAM_NUMBER:
        return "number";
    case PARAM_STRINGS:
        return "list";
    case PARAM_STRING_OR_LIST:
        return "string-or-list";
    default:
        return "json";
    }
}

// The default as it would be typed, or the form of a list.
static void append_placeholder(struct buf *out, const struct api_param *param)
{
    auto_json cJSON *value = param->default_text ? cJSON_Parse(param->default_text) : NULL;
    const char *text = cJSON_IsString(value) ? value->valuestring : param->default_text;
    if (param->type == PARAM_STRINGS)
        text = "[\"...\", \"...\"]";
    if (!text || !text[0])
        return;
    buf_append_str(out, " placeholder=\"");
    text_append_html(out, text);
    buf_append_char(out, '"');
}

static void append_input(struct buf *out, const struct api_endpoint *endpoint,
                         const struct api_param *param)
{
    bool area = is_long_text(param) || param->type == PARAM_ANY;
    buf_printf(out, "<%s id=\"%s-%s\" data-param=\"%s\" data-kind=\"%s\"%s",
               param->type == PARAM_BOOL ? "select"
               : area                    ? "textarea"
                                         : "input",
               endpoint->name, param->name, param->name, input_kind(param),
               param->required ? " data-required aria-required=\"true\"" : "");
    if (param->type == PARAM_BOOL) {
        buf_append_str(out, "><option value=\"\">not set</option><option>true</option>"
                            "<option>false</option></select>");
        return;
    }
    buf_append_str(out, " autocomplete=\"off\" autocapitalize=\"off\" spellcheck=\"false\"");
    append_placeholder(out, param);
    if (area)
        buf_append_str(out, " rows=\"3\"></textarea>");
    else if (is_secret(param))
        buf_append_str(out, " type=\"password\">");
    else
        buf_append_str(out, param->type == PARAM_NUMBER ? " type=\"text\" inputmode=\"decimal\">"
                                                        : " type=\"text\">");
}

static void append_form(struct buf *out, const struct api_endpoint *endpoint)
{
    buf_printf(out,
               "<details class=\"try\"><summary>Try it</summary>\n"
               "<form data-endpoint=\"%s\" aria-label=\"Try %s\" autocomplete=\"off\" "
               "novalidate>\n",
               endpoint->name, endpoint->name);
    for (size_t i = 0; i < endpoint->params_count; i++) {
        const struct api_param *param = &endpoint->params[i];
        buf_printf(out, "<div class=\"field\"><label for=\"%s-%s\"><code>%s</code> <small>%s%s",
                   endpoint->name, param->name, param->name, docs_param_type(param),
                   param->required ? ", required" : "");
        buf_append_str(out, "</small></label>");
        append_input(out, endpoint, param);
        buf_append_str(out, "</div>\n");
    }
    buf_append_str(out, "<button type=\"submit\">Send</button>\n"
                        "<p class=\"outcome\" role=\"status\"></p>\n"
                        "<pre class=\"answer\" tabindex=\"0\" hidden></pre>\n"
                        "</form>\n</details>\n");
}

// ---- The page ----

static void append_endpoint(struct buf *out, const struct api_endpoint *endpoint)
{
    buf_printf(out,
               "<section id=\"%s\" aria-labelledby=\"%s-heading\">\n"
               "<h3 id=\"%s-heading\"><a href=\"#%s\">%s</a></h3>\n"
               "<p class=\"path\"><code>POST /api/v1/%s</code></p>\n",
               endpoint->name, endpoint->name, endpoint->name, endpoint->name, endpoint->name,
               endpoint->name);
    docs_append_prose(out, endpoint->text);
    docs_html_params(out, endpoint);
    append_reply(out, endpoint);
    docs_html_examples(out, endpoint);
    if (endpoint->notes) {
        buf_append_str(out, "<h4>Notes</h4>\n");
        docs_append_prose(out, endpoint->notes);
    }
    append_form(out, endpoint);
    buf_append_str(out, "</section>\n");
}

void docs_html_head(struct buf *out, const char *title)
{
    buf_printf(out,
               "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
               "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
               "<meta name=\"color-scheme\" content=\"light dark\">\n"
               "<meta name=\"referrer\" content=\"no-referrer\">\n"
               "<title>%s</title>\n<style>",
               title);
    buf_append_str(out, docs_text_page_css);
    buf_append_str(out, "</style>\n</head>\n");
}

static void append_aside(struct buf *out)
{
    buf_append_str(
        out, "<aside>\n<div class=\"key\"><label for=\"key\">API key</label>\n"
             "<input id=\"key\" type=\"password\" autocomplete=\"off\" spellcheck=\"false\" "
             "aria-describedby=\"key-hint\">\n"
             "<p id=\"key-hint\">For the forms below. It is not stored.</p>\n"
             "<noscript><p>The forms need JavaScript.</p></noscript></div>\n"
             "<details id=\"contents\"><summary>Endpoints</summary>\n<nav aria-label=\"Endpoints\">"
             "<ul>\n");
    for (size_t i = 0; api_v1_endpoints[i]; i++)
        buf_printf(out, "<li><a href=\"#%s\">%s</a></li>\n", api_v1_endpoints[i]->name,
                   api_v1_endpoints[i]->name);
    buf_append_str(out, "<li><a href=\"#tables\">Tables</a></li>\n"
                        "</ul></nav></details>\n</aside>\n");
}

static void append_tables(struct buf *out)
{
    auto_buf struct buf text = {0};
    docs_append_tables(&text);
    buf_append_str(out, "<h2 id=\"tables\">Tables</h2>\n");
    docs_append_prose(out, buf_cstr(&text));
}

static void append_page(struct buf *out)
{
    docs_html_head(out, "cohub API v1");
    buf_append_str(out, "<body>\n<a class=\"skip\" href=\"#reference\">Skip to the reference</a>\n"
                        "<header><h1>cohub API v1</h1>\n<p>Version " COHUB_VERSION
                        " &middot; <a href=\"openapi.json\">OpenAPI document</a>"
                        " &middot; <a href=\"../conat/\">RPC</a></p></header>\n"
                        "<div class=\"columns\">\n");
    append_aside(out);
    buf_append_str(out, "<main id=\"reference\">\n");
    docs_append_prose(out, docs_text_intro_md);
    buf_append_str(out, "<h2>Endpoints</h2>\n");
    for (size_t i = 0; api_v1_endpoints[i]; i++)
        append_endpoint(out, api_v1_endpoints[i]);
    append_tables(out);
    buf_append_str(out, "</main>\n</div>\n<script>");
    buf_append_str(out, docs_text_page_js);
    buf_append_str(out, "</script>\n</body>\n</html>\n");
}

#define HASH_BASE64_SIZE                                                                           \
    sodium_base64_ENCODED_LEN(crypto_hash_sha256_BYTES, sodium_base64_VARIANT_ORIGINAL)

static struct buf page;
static char policy[512];
static pthread_once_t page_once = PTHREAD_ONCE_INIT;

static void hash(const char *text, char out[HASH_BASE64_SIZE])
{
    unsigned char digest[crypto_hash_sha256_BYTES];
    crypto_hash_sha256(digest, (const unsigned char *)text, strlen(text));
    sodium_bin2base64(out, HASH_BASE64_SIZE, digest, sizeof digest, sodium_base64_VARIANT_ORIGINAL);
}

static void page_init(void)
{
    char style[HASH_BASE64_SIZE], script[HASH_BASE64_SIZE];
    hash(docs_text_page_css, style);
    hash(docs_text_page_js, script);
    snprintf(policy, sizeof policy,
             "default-src 'none'; style-src 'sha256-%s'; script-src 'sha256-%s'; "
             "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'",
             style, script);
    append_page(&page);
}

void docs_html(struct buf *out, const char *server_url)
{
    auto_buf struct buf escaped = {0};
    pthread_once(&page_once, page_init);
    text_append_html(&escaped, server_url);
    docs_append_hosted(out, page.data, page.size, buf_cstr(&escaped));
}

const char *docs_html_policy(void)
{
    pthread_once(&page_once, page_init);
    return policy;
}
