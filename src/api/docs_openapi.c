// SPDX-License-Identifier: AGPL-3.0-or-later
// The OpenAPI 3.1 document.
//
// It is written once a process, with the examples' host in it; each call puts the server's own
// address in its place.
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "api/docs.h"
#include "api/docs_internal.h"
#include "api/examples.h"
#include "api/params.h"

// ---- Schemas ----

static void write_text_type(struct buf *out, const struct api_param *param)
{
    json_member_str(out, "type", "string");
    if (param->is_uuid)
        json_member_str(out, "format", "uuid");
}

static void write_list_type(struct buf *out, const struct api_param *param)
{
    json_member_str(out, "type", "array");
    json_key(out, "items");
    json_begin_object(out);
    write_text_type(out, param);
    json_end_object(out);
}

static void write_text_or_list_type(struct buf *out, const struct api_param *param)
{
    json_key(out, "oneOf");
    json_begin_array(out);
    json_begin_object(out);
    write_text_type(out, param);
    json_end_object(out);
    json_begin_object(out);
    write_list_type(out, param);
    json_end_object(out);
    json_end_array(out);
}

// The members of a schema that say what type a parameter has.
static void write_type(struct buf *out, const struct api_param *param)
{
    switch (param->type) {
    case PARAM_STRING:
        write_text_type(out, param);
        break;
    case PARAM_BOOL:
        json_member_str(out, "type", "boolean");
        break;
    case PARAM_NUMBER:
        json_member_str(out, "type", "number");
        break;
    case PARAM_STRINGS:
        write_list_type(out, param);
        break;
    case PARAM_STRING_OR_LIST:
        write_text_or_list_type(out, param);
        break;
    case PARAM_ANY:
        break;
    }
}

// A list of one item would not be seen as a list in a form if its name did not say so.
static void append_body_name(struct buf *name, const struct api_param *param, bool form)
{
    name->size = 0;
    buf_append_str(name, param->name);
    if (form && param->type == PARAM_STRINGS)
        buf_append_str(name, "[]");
}

static void write_param(struct buf *out, const struct api_param *param, bool form)
{
    auto_buf struct buf name = {0};
    append_body_name(&name, param, form);
    json_key(out, buf_cstr(&name));
    json_begin_object(out);
    write_type(out, param);
    json_member_str(out, "description", param->text);
    if (param->default_text) {
        json_key(out, "default");
        RAW(out, param->default_text);
    }
    json_end_object(out);
}

static bool has_required(const struct api_endpoint *endpoint)
{
    for (size_t i = 0; i < endpoint->params_count; i++) {
        if (endpoint->params[i].required)
            return true;
    }
    return false;
}

static void write_required(struct buf *out, const struct api_endpoint *endpoint, bool form)
{
    auto_buf struct buf name = {0};
    json_key(out, "required");
    json_begin_array(out);
    for (size_t i = 0; i < endpoint->params_count; i++) {
        if (endpoint->params[i].required) {
            append_body_name(&name, &endpoint->params[i], form);
            json_strn(out, name.data, name.size);
        }
    }
    json_end_array(out);
}

static void write_params_schema(struct buf *out, const struct api_endpoint *endpoint, bool form)
{
    json_key(out, "schema");
    json_begin_object(out);
    json_member_str(out, "type", "object");
    json_member_bool(out, "additionalProperties", false);
    if (has_required(endpoint))
        write_required(out, endpoint, form);
    json_key(out, "properties");
    json_begin_object(out);
    for (size_t i = 0; i < endpoint->params_count; i++)
        write_param(out, &endpoint->params[i], form);
    if (!params_find(endpoint, "id")) {
        json_key(out, "id");
        RAW(out, "{\"type\":\"string\",\"description\":\"" DOCS_ID_TEXT "\"}");
    }
    json_end_object(out);
    json_end_object(out);
}

// An object with the given `event` and its members.
static void write_event_schema(struct buf *out, const struct api_endpoint *endpoint,
                               const char *event)
{
    json_begin_object(out);
    json_member_str(out, "type", "object");
    json_key(out, "required");
    RAW(out, "[\"event\",\"id\"");
    for (size_t i = 0; i < endpoint->members_count; i++) {
        const struct api_member *member = &endpoint->members[i];
        if (!member->optional && !strcmp(docs_member_event(endpoint, member), event))
            json_str(out, member->name);
    }
    json_end_array(out);
    json_key(out, "properties");
    json_begin_object(out);
    json_key(out, "event");
    json_begin_object(out);
    json_member_str(out, "const", event);
    json_end_object(out);
    json_key(out, "id");
    RAW(out, "{\"$ref\":\"#/components/schemas/Id\"}");
    for (size_t i = 0; i < endpoint->members_count; i++) {
        const struct api_member *member = &endpoint->members[i];
        if (strcmp(docs_member_event(endpoint, member), event))
            continue;
        json_key(out, member->name);
        RAW(out, member->schema);
    }
    json_end_object(out);
    json_end_object(out);
}

// Some endpoints have events besides their own and "error"; their examples show them. True if the
// event of `reply` is one that no example before it has shown.
static bool is_further_event(const struct api_endpoint *endpoint, size_t index, const char *event)
{
    if (!event || !strcmp(event, "error") || !strcmp(event, endpoint->reply_event))
        return false;
    for (size_t i = 0; i < index; i++) {
        const char *reply = endpoint->examples[i].reply;
        auto_json cJSON *value = reply ? cJSON_Parse(reply) : NULL;
        const char *earlier = json_get_str(value, "event");
        if (earlier && !strcmp(earlier, event))
            return false;
    }
    return true;
}

static void write_reply_schema(struct buf *out, const struct api_endpoint *endpoint)
{
    json_key(out, "schema");
    json_begin_object(out);
    json_key(out, "oneOf");
    json_begin_array(out);
    write_event_schema(out, endpoint, endpoint->reply_event);
    for (size_t i = 0; i < endpoint->examples_count; i++) {
        const char *reply = endpoint->examples[i].reply;
        auto_json cJSON *value = reply ? cJSON_Parse(reply) : NULL;
        const char *event = json_get_str(value, "event");
        if (is_further_event(endpoint, i, event))
            write_event_schema(out, endpoint, event);
    }
    RAW(out, "{\"$ref\":\"#/components/schemas/Error\"}");
    json_end_array(out);
    json_end_object(out);
}

// ---- Examples ----

static void begin_example(struct buf *out, size_t index, const char *title)
{
    char name[32];
    snprintf(name, sizeof name, "example_%zu", index + 1);
    json_key(out, name);
    json_begin_object(out);
    size_t size = strlen(title);
    json_key(out, "summary");
    json_strn(out, title, size - (size && title[size - 1] == ':'));
    json_key(out, "value");
}

static void write_example_value(struct buf *out, const struct api_endpoint *endpoint,
                                const cJSON *params, bool form)
{
    auto_buf struct buf name = {0};
    json_begin_object(out);
    for (const cJSON *item = params->child; item; item = item->next) {
        name.size = 0;
        buf_append_str(&name, item->string);
        for (size_t i = 0; i < endpoint->params_count; i++) {
            if (!strcmp(endpoint->params[i].name, item->string))
                append_body_name(&name, &endpoint->params[i], form);
        }
        json_key(out, buf_cstr(&name));
        json_value(out, item);
    }
    json_end_object(out);
}

// The examples that send a form, or those that send JSON; "examples" is left out where there are
// none.
static void write_param_examples(struct buf *out, const struct api_endpoint *endpoint, bool form)
{
    bool begun = false;
    for (size_t i = 0; i < endpoint->examples_count; i++) {
        bool json = false;
        auto_json cJSON *params = docs_example_params(endpoint, &endpoint->examples[i], &json);
        if (!params || json == form || !params->child)
            continue;
        if (!begun) {
            json_key(out, "examples");
            json_begin_object(out);
        }
        begun = true;
        begin_example(out, i, endpoint->examples[i].title);
        write_example_value(out, endpoint, params, form);
        json_end_object(out);
    }
    if (begun)
        json_end_object(out);
}

static void write_reply_examples(struct buf *out, const struct api_endpoint *endpoint)
{
    bool begun = false;
    for (size_t i = 0; i < endpoint->examples_count; i++) {
        const struct api_example *example = &endpoint->examples[i];
        if (!example->reply)
            continue;
        if (!begun) {
            json_key(out, "examples");
            json_begin_object(out);
        }
        begun = true;
        begin_example(out, i, example->title);
        RAW(out, example->reply);
        json_end_object(out);
    }
    if (begun)
        json_end_object(out);
}

// ---- Paths ----

static void write_body(struct buf *out, const struct api_endpoint *endpoint)
{
    static const char *const types[] = {"application/json", "application/x-www-form-urlencoded"};
    json_key(out, "requestBody");
    json_begin_object(out);
    json_member_bool(out, "required", has_required(endpoint));
    json_key(out, "content");
    json_begin_object(out);
    for (int form = 0; form < 2; form++) {
        json_key(out, types[form]);
        json_begin_object(out);
        write_params_schema(out, endpoint, form);
        write_param_examples(out, endpoint, form);
        json_end_object(out);
    }
    json_end_object(out);
    json_end_object(out);
}

static void write_responses(struct buf *out, const struct api_endpoint *endpoint)
{
    json_key(out, "responses");
    json_begin_object(out);
    json_key(out, "200");
    json_begin_object(out);
    json_member_str(out, "description", "Done, or an event that says why not");
    json_key(out, "content");
    json_begin_object(out);
    json_key(out, "application/json");
    json_begin_object(out);
    write_reply_schema(out, endpoint);
    write_reply_examples(out, endpoint);
    json_end_object(out);
    json_end_object(out);
    json_end_object(out);
    json_key(out, "400");
    RAW(out, "{\"$ref\":\"#/components/responses/Refused\"}");
    json_key(out, "default");
    RAW(out, "{\"$ref\":\"#/components/responses/Other\"}");
    json_end_object(out);
}

// The first sentence, without its full stop.
static void write_summary(struct buf *out, const char *text)
{
    const char *end = strstr(text, ". ");
    size_t size = end ? (size_t)(end - text) : strlen(text);
    json_key(out, "summary");
    json_strn(out, text, size - (size && text[size - 1] == '.'));
}

static void write_description(struct buf *out, const struct api_endpoint *endpoint)
{
    auto_buf struct buf text = {0};
    buf_append_str(&text, endpoint->text);
    if (endpoint->notes)
        buf_printf(&text, "\n\n%s", endpoint->notes);
    json_member_str(out, "description", buf_cstr(&text));
}

static void write_path(struct buf *out, const struct api_endpoint *endpoint)
{
    auto_buf struct buf path = {0};
    buf_printf(&path, "/%s", endpoint->name);
    json_key(out, buf_cstr(&path));
    json_begin_object(out);
    json_key(out, "post");
    json_begin_object(out);
    json_member_str(out, "operationId", endpoint->name);
    write_summary(out, endpoint->text);
    write_description(out, endpoint);
    write_body(out, endpoint);
    write_responses(out, endpoint);
    json_end_object(out);
    json_end_object(out);
}

// ---- The RPC ----

// The parameters of a method that stand in one object.
static void write_object_args(struct buf *out, const struct api_endpoint *method)
{
    json_begin_object(out);
    json_member_str(out, "type", "object");
    if (has_required(method))
        write_required(out, method, false);
    json_key(out, "properties");
    json_begin_object(out);
    for (size_t i = 0; i < method->params_count; i++)
        write_param(out, &method->params[i], false);
    json_end_object(out);
    json_end_object(out);
}

static void write_opts_args(struct buf *out, const struct api_endpoint *method)
{
    RAW(out, "{\"type\":\"object\",\"properties\":{\"opts\":");
    write_object_args(out, method);
    buf_append_str(out, "}}");
}

static void write_list_args(struct buf *out, const struct api_endpoint *method)
{
    for (size_t i = 0; i < method->params_count; i++) {
        json_begin_object(out);
        write_type(out, &method->params[i]);
        json_member_str(out, "description", method->params[i].text);
        json_end_object(out);
    }
}

static void write_args(struct buf *out, const struct api_endpoint *method)
{
    json_key(out, "args");
    json_begin_object(out);
    json_member_str(out, "type", "array");
    if (method->params_count) {
        json_key(out, "prefixItems");
        json_begin_array(out);
        if (method->args == ARGS_LIST)
            write_list_args(out, method);
        else if (method->args == ARGS_OPTS)
            write_opts_args(out, method);
        else
            write_object_args(out, method);
        json_end_array(out);
    }
    json_end_object(out);
}

static void write_method(struct buf *out, const struct api_endpoint *method)
{
    json_begin_object(out);
    json_member_str(out, "title", method->name);
    json_member_str(out, "description", method->text);
    RAW(out, "\"type\":\"object\",\"required\":[\"name\"],\"properties\":{");
    json_key(out, "name");
    json_begin_object(out);
    json_member_str(out, "const", method->name);
    json_end_object(out);
    write_args(out, method);
    json_key(out, "timeout");
    RAW(out, "{\"type\":\"number\",\"description\":\"Milliseconds to wait\",\"default\":15000}");
    if (method->family == API_PROJECT) {
        json_key(out, "project_id");
        RAW(out, "{\"type\":\"string\",\"format\":\"uuid\"}");
    }
    json_end_object(out);
    json_key(out, "x-result");
    RAW(out, method->result);
    json_end_object(out);
}

static void write_methods_body(struct buf *out, const struct docs_family *family)
{
    json_key(out, "requestBody");
    RAW(out, "{\"required\":true,\"content\":{\"application/json\":{\"schema\":{\"oneOf\":[");
    for (size_t i = 0; family->methods[i]; i++)
        write_method(out, family->methods[i]);
    buf_append_str(out, "]}}}}");
}

// The path stands beside API v1's, not below it.
static void write_family(struct buf *out, const struct docs_family *family)
{
    auto_buf struct buf id = {0};
    buf_printf(&id, "rpc_%s", family->name);
    json_key(out, family->path);
    json_begin_object(out);
    json_key(out, "servers");
    RAW(out, "[{\"url\":\"" EXAMPLE_HOST "\"}]");
    json_key(out, "post");
    json_begin_object(out);
    json_member_str(out, "operationId", buf_cstr(&id));
    json_member_str(out, "summary", family->title);
    json_member_str(out, "description", docs_text_rpc_md);
    write_methods_body(out, family);
    json_key(out, "responses");
    RAW(out,
        "{\"200\":{\"description\":\"The result itself (`x-result` of the method), or what went "
        "wrong\",\"content\":{\"application/json\":{\"schema\":{}}}},"
        "\"400\":{\"$ref\":\"#/components/responses/Refused\"},"
        "\"default\":{\"$ref\":\"#/components/responses/Other\"}}");
    json_end_object(out);
    json_end_object(out);
}

// ---- The document ----

static const char components[] =
    "{\"securitySchemes\":{"
    "\"basic\":{\"type\":\"http\",\"scheme\":\"basic\","
    "\"description\":\"The API key is the user name; the password is empty.\"},"
    "\"bearer\":{\"type\":\"http\",\"scheme\":\"bearer\","
    "\"description\":\"The API key is the token.\"}},"
    "\"schemas\":{"
    "\"Id\":{\"type\":\"string\",\"description\":\"The call's id\"},"
    "\"Error\":{\"type\":\"object\",\"required\":[\"event\",\"id\",\"error\"],\"properties\":{"
    "\"event\":{\"const\":\"error\"},\"id\":{\"$ref\":\"#/components/schemas/Id\"},"
    "\"error\":{\"type\":[\"string\",\"object\"],\"description\":"
    "\"What went wrong: a text, or for a failed system call an object that describes it\"}}},"
    "\"Refusal\":{\"type\":\"object\",\"required\":[\"error\"],\"properties\":{"
    "\"error\":{\"type\":\"string\"}}}},"
    "\"responses\":{"
    "\"Refused\":{\"description\":\"The key, the endpoint or the parameters are not accepted\","
    "\"content\":{\"application/json\":{\"schema\":{\"$ref\":\"#/components/schemas/Refusal\"}}}},"
    "\"Other\":{\"description\":\"From the server itself, such as 413 for a body that is too large "
    "or 503 while it shuts down; not always JSON\"}}}";

static void write_info(struct buf *out)
{
    json_key(out, "info");
    json_begin_object(out);
    json_member_str(out, "title", "cohub API v1 and RPC");
    json_member_str(out, "version", COHUB_VERSION);
    json_member_str(out, "description", docs_text_intro_md);
    json_key(out, "license");
    RAW(out, "{\"name\":\"GNU Affero General Public License v3.0 or later\","
             "\"identifier\":\"AGPL-3.0-or-later\"}");
    json_end_object(out);
}

static void write_document(struct buf *out)
{
    json_begin_object(out);
    json_member_str(out, "openapi", "3.1.0");
    write_info(out);
    json_key(out, "servers");
    RAW(out, "[{\"url\":\"" EXAMPLE_HOST "/api/v1\"}]");
    json_key(out, "security");
    RAW(out, "[{\"basic\":[]},{\"bearer\":[]}]");
    json_key(out, "paths");
    json_begin_object(out);
    for (size_t i = 0; api_v1_endpoints[i]; i++)
        write_path(out, api_v1_endpoints[i]);
    for (size_t i = 0; i < DOCS_FAMILIES; i++)
        write_family(out, &docs_families[i]);
    json_end_object(out);
    json_key(out, "components");
    RAW(out, components);
    json_end_object(out);
}

static struct buf document;
static pthread_once_t document_once = PTHREAD_ONCE_INIT;

static void document_init(void)
{
    auto_buf struct buf json = {0};
    write_document(&json);
    docs_append_pretty(&document, json.data, json.size, 1);
}

void docs_openapi(struct buf *out, const char *server_url)
{
    auto_buf struct buf quoted = {0};
    pthread_once(&document_once, document_init);
    json_write_quoted(&quoted, server_url, strlen(server_url));
    quoted.data[quoted.size - 1] = '\0'; // between the quotes
    docs_append_hosted(out, document.data, document.size, quoted.data + 1);
}
