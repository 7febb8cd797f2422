// SPDX-License-Identifier: AGPL-3.0-or-later
// The documents without a server's address in them, what all documents share, and the handlers.
//
// Every document is made from the endpoints' constants; nothing here knows an endpoint by name.
#include "api/docs.h"

#include <stdlib.h>
#include <string.h>

#include "api/docs_commit.h"
#include "api/docs_internal.h"
#include "api/examples.h"
#include "api/params.h"
#include "base/clock.h"
#include "http/http.h"

// ---- Shared ----

static void new_line(struct buf *out, unsigned spaces)
{
    buf_append_char(out, '\n');
    memset(buf_reserve(out, spaces), ' ', spaces);
    out->size += spaces;
}

// Appends the string that begins at json[i] and returns where it ends.
static size_t append_string(struct buf *out, const char *json, size_t size, size_t i)
{
    size_t end = i + 1;
    while (end < size && json[end] != '"')
        end += json[end] == '\\' ? 2 : 1;
    buf_append(out, json + i, end + 1 - i);
    return end;
}

void docs_append_pretty(struct buf *out, const char *json, size_t size, unsigned step)
{
    unsigned depth = 0;
    for (size_t i = 0; i < size; i++) {
        char c = json[i], next = i + 1 < size ? json[i + 1] : '\0';
        if (c == '"') {
            i = append_string(out, json, size, i);
        } else if ((c == '{' && next == '}') || (c == '[' && next == ']')) {
            buf_append(out, json + i++, 2);
        } else if (c == '{' || c == '[') {
            buf_append_char(out, c);
            new_line(out, ++depth * step);
        } else if (c == '}' || c == ']') {
            new_line(out, --depth * step);
            buf_append_char(out, c);
        } else {
            buf_append_char(out, c);
            if (c == ',')
                new_line(out, depth * step);
            else if (c == ':')
                buf_append_char(out, ' ');
        }
    }
}

void docs_append_hosted(struct buf *out, const char *text, size_t size, const char *server_url)
{
    const char *end = text + size, *found;
    while ((found = memmem(text, (size_t)(end - text), EXAMPLE_HOST, strlen(EXAMPLE_HOST)))) {
        buf_append(out, text, (size_t)(found - text));
        buf_append_str(out, server_url);
        text = found + strlen(EXAMPLE_HOST);
    }
    buf_append(out, text, (size_t)(end - text));
}

const char *docs_param_type(const struct api_param *param)
{
    switch (param->type) {
    case PARAM_STRING:
        return param->is_uuid ? "UUID" : "string";
    case PARAM_BOOL:
        return "boolean";
    case PARAM_NUMBER:
        return "number";
    case PARAM_STRINGS:
        return param->is_uuid ? "list of UUIDs" : "list of strings";
    case PARAM_STRING_OR_LIST:
        return param->is_uuid ? "UUID, or list of UUIDs" : "string, or list of strings";
    default:
        return "any JSON";
    }
}

const char *docs_member_event(const struct api_endpoint *endpoint, const struct api_member *member)
{
    return member->event ? member->event : endpoint->reply_event;
}

// ---- api.json ----

void docs_append_examples(struct buf *out, const struct api_endpoint *endpoint)
{
    if (endpoint->examples_count)
        buf_append_str(out, endpoint->examples_count == 1 ? "\n\nExample:" : "\n\nExamples:");
    for (size_t i = 0; i < endpoint->examples_count; i++) {
        const struct api_example *example = &endpoint->examples[i];
        buf_printf(out, "\n\n%s\n```\n%s", example->title, example->command);
        if (example->reply)
            buf_printf(out, "\n ==> %s", example->reply);
        buf_append_str(out, "\n```");
    }
}

static void write_description(struct buf *out, const struct api_endpoint *endpoint)
{
    auto_buf struct buf text = {0};
    buf_append_str(&text, endpoint->text);
    docs_append_examples(&text, endpoint);
    if (endpoint->notes)
        buf_printf(&text, "\n\n%s", endpoint->notes);
    json_member_str(out, "description", buf_cstr(&text));
}

static void write_field(struct buf *out, const struct api_param *param)
{
    auto_buf struct buf text = {0};
    buf_append_str(&text, param->text);
    if (param->required)
        buf_append_str(&text, " (required)");
    else if (param->default_text)
        buf_printf(&text, " (default: %s)", param->default_text);
    json_member_str(out, param->name, buf_cstr(&text));
}

static void write_event(struct buf *out, const struct api_endpoint *endpoint)
{
    json_key(out, endpoint->name);
    json_begin_object(out);
    write_description(out, endpoint);
    json_key(out, "fields");
    json_begin_object(out);
    if (!params_find(endpoint, "id"))
        json_member_str(out, "id", DOCS_ID_TEXT);
    for (size_t i = 0; i < endpoint->params_count; i++)
        write_field(out, &endpoint->params[i]);
    json_end_object(out);
    json_end_object(out);
}

// The commit's hash and time. Built without one, the version and the beginning of 1970 stand for
// them.
static void write_origin(struct buf *out)
{
    const char *hash = DOCS_COMMIT[0] ? DOCS_COMMIT : COHUB_VERSION;
    size_t hash_size = strcspn(hash, " ");
    char time[CLOCK_ISO_SIZE];
    clock_iso(strtoll(hash + hash_size, NULL, 10) * 1000, time);
    json_member_str(out, "root", "/api/v1/");
    json_member_str(out, "timestamp", time);
    json_key(out, "gitrev");
    json_strn(out, hash, hash_size);
}

void docs_api_json(struct buf *out)
{
    auto_buf struct buf json = {0}, intro = {0};
    buf_printf(&intro, "%s\n## Tables\n\n", docs_text_intro_md);
    docs_append_tables(&intro);
    json_begin_object(&json);
    json_member_str(&json, "intro", buf_cstr(&intro));
    json_key(&json, "events");
    json_begin_object(&json);
    for (size_t i = 0; api_v1_endpoints[i]; i++)
        write_event(&json, api_v1_endpoints[i]);
    json_end_object(&json);
    write_origin(&json);
    json_end_object(&json);
    docs_append_pretty(out, json.data, json.size, 1);
}

// ---- Markdown ----

// Text in a cell of a table, where a bar would end it.
static void append_cell(struct buf *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '|')
            buf_append_char(out, '\\');
        buf_append_char(out, *text == '\n' ? ' ' : *text);
    }
    buf_append_str(out, " |");
}

static void append_param_row(struct buf *out, const char *name, const char *type,
                             const char *presence, const char *text)
{
    buf_printf(out, "| `%s` | ", name);
    append_cell(out, type);
    buf_append_char(out, ' ');
    append_cell(out, presence);
    buf_append_char(out, ' ');
    append_cell(out, text);
    buf_append_char(out, '\n');
}

void docs_append_params(struct buf *out, const struct api_endpoint *endpoint)
{
    buf_append_str(out, "| parameter | type | | |\n| --- | --- | --- | --- |\n");
    for (size_t i = 0; i < endpoint->params_count; i++) {
        const struct api_param *param = &endpoint->params[i];
        auto_buf struct buf presence = {0};
        if (param->default_text)
            buf_printf(&presence, "default `%s`", param->default_text);
        else
            buf_append_str(&presence, param->required ? "required" : "");
        append_param_row(out, param->name, docs_param_type(param), buf_cstr(&presence),
                         param->text);
    }
    if (endpoint->family == API_V1 && !params_find(endpoint, "id"))
        append_param_row(out, "id", "string", "", DOCS_ID_TEXT);
}

static void append_reply(struct buf *out, const struct api_endpoint *endpoint)
{
    const char *event = endpoint->reply_event;
    const size_t count = endpoint->members_count;
    bool bare = !count || strcmp(docs_member_event(endpoint, &endpoint->members[0]), event);
    buf_printf(out, "\nReply: `event` is `%s`, `id` that of the call", event);
    buf_append_str(out, bare ? ".\n" : "; and, as JSON Schema,\n\n");
    for (size_t i = 0; i < count; i++) {
        const struct api_member *member = &endpoint->members[i];
        if (strcmp(docs_member_event(endpoint, member), event)) {
            event = member->event;
            buf_printf(out, "\nOr `event` is `%s`, with\n\n", event);
        }
        buf_printf(out, "- `%s`%s: `%s`\n", member->name, member->optional ? " (optional)" : "",
                   member->schema);
    }
}

static void append_endpoint(struct buf *out, const struct api_endpoint *endpoint)
{
    buf_printf(out, "\n### %s\n\n`POST /api/v1/%s`\n\n%s\n\n", endpoint->name, endpoint->name,
               endpoint->text);
    docs_append_params(out, endpoint);
    append_reply(out, endpoint);
    docs_append_examples(out, endpoint);
    if (endpoint->notes)
        buf_printf(out, "\n\n%s", endpoint->notes);
    buf_append_char(out, '\n');
}

void docs_markdown(struct buf *out)
{
    buf_printf(out, "# API v1\n\n%s\n\n## Endpoints\n", docs_text_intro_md);
    for (size_t i = 0; api_v1_endpoints[i]; i++)
        append_endpoint(out, api_v1_endpoints[i]);
    buf_append_str(out, "\n## Tables\n\n");
    docs_append_tables(out);
    buf_append_str(out, "\n\n");
    docs_rpc_markdown(out);
}

// ---- Over HTTP ----

void docs_reply_page(struct http_request *request, const char *folder,
                     void (*write)(struct buf *out, const char *server_url))
{
    const char *path = http_request_path(request);
    if (path[strlen(path) - 1] != '/') {
        http_reply_redirect(request, folder);
        return;
    }
    auto_buf struct buf out = {0};
    write(&out, http_request_origin(request));
    http_request_reply_header(request, "Content-Security-Policy", docs_html_policy());
    http_reply(request, 200, HTTP_HTML, &out);
}

void docs_handle_page(struct http_request *request, void *ctx UNUSED)
{
    docs_reply_page(request, "v1/", docs_html);
}

void docs_handle_openapi(struct http_request *request, void *ctx UNUSED)
{
    auto_buf struct buf out = {0};
    docs_openapi(&out, http_request_origin(request));
    http_reply(request, 200, HTTP_JSON, &out);
}
