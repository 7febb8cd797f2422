// SPDX-License-Identifier: AGPL-3.0-or-later
// The documents about the RPC, made from the constants of its methods: rpc.json, the part of the
// Markdown text, and the page at /api/conat/.
#include <pthread.h>

#include "api/docs.h"
#include "api/docs_internal.h"
#include "base/text.h"
#include "http/http.h"

const struct docs_family docs_families[] = {
    {"hub", "Methods of the hub", "/api/conat/hub", api_hub_methods},
    {"project", "Methods of a project", "/api/conat/project", api_project_methods},
};

// Where a method's parameters are in `args`.
static const char *args_form(const struct api_endpoint *method)
{
    switch (method->args) {
    case ARGS_OPTS:
        return "[{\"opts\": {…}}]";
    case ARGS_LIST:
        return "[…]";
    default:
        return "[{…}]";
    }
}

// ---- rpc.json ----

static void write_param(struct buf *out, const struct api_param *param)
{
    json_begin_object(out);
    json_member_str(out, "name", param->name);
    json_member_str(out, "type", docs_param_type(param));
    json_member_bool(out, "required", param->required);
    json_member_str(out, "description", param->text);
    if (param->default_text) {
        json_key(out, "default");
        RAW(out, param->default_text);
    }
    json_end_object(out);
}

static void write_example(struct buf *out, const struct api_example *example)
{
    json_begin_object(out);
    json_member_str(out, "title", example->title);
    json_member_str(out, "command", example->command);
    if (example->reply) {
        json_key(out, "reply");
        RAW(out, example->reply);
    }
    json_end_object(out);
}

static void write_method(struct buf *out, const struct api_endpoint *method)
{
    json_key(out, method->name);
    json_begin_object(out);
    json_member_str(out, "description", method->text);
    if (method->notes)
        json_member_str(out, "notes", method->notes);
    json_member_str(out, "args", args_form(method));
    json_key(out, "parameters");
    json_begin_array(out);
    for (size_t i = 0; i < method->params_count; i++)
        write_param(out, &method->params[i]);
    json_end_array(out);
    json_key(out, "result");
    RAW(out, method->result);
    json_key(out, "examples");
    json_begin_array(out);
    for (size_t i = 0; i < method->examples_count; i++)
        write_example(out, &method->examples[i]);
    json_end_array(out);
    json_end_object(out);
}

void docs_rpc_json(struct buf *out)
{
    auto_buf struct buf json = {0};
    json_begin_object(&json);
    json_member_str(&json, "intro", docs_text_rpc_md);
    for (size_t i = 0; i < DOCS_FAMILIES; i++) {
        const struct docs_family *family = &docs_families[i];
        json_key(&json, family->name);
        json_begin_object(&json);
        json_member_str(&json, "path", family->path);
        json_key(&json, "methods");
        json_begin_object(&json);
        for (size_t j = 0; family->methods[j]; j++)
            write_method(&json, family->methods[j]);
        json_end_object(&json);
        json_end_object(&json);
    }
    json_end_object(&json);
    docs_append_pretty(out, json.data, json.size, 1);
}

// ---- Markdown ----

static void append_method(struct buf *out, const struct docs_family *family,
                          const struct api_endpoint *method)
{
    buf_printf(out, "\n### %s\n\n`POST %s`, `args` is `%s`\n\n%s\n", method->name, family->path,
               args_form(method), method->text);
    if (method->params_count) {
        buf_append_char(out, '\n');
        docs_append_params(out, method);
    }
    buf_printf(out, "\nResult, as JSON Schema: `%s`", method->result);
    docs_append_examples(out, method);
    if (method->notes)
        buf_printf(out, "\n\n%s", method->notes);
    buf_append_char(out, '\n');
}

void docs_rpc_markdown(struct buf *out)
{
    buf_printf(out, "# RPC\n\n%s", docs_text_rpc_md);
    for (size_t i = 0; i < DOCS_FAMILIES; i++) {
        buf_printf(out, "\n## %s\n", docs_families[i].title);
        for (size_t j = 0; docs_families[i].methods[j]; j++)
            append_method(out, &docs_families[i], docs_families[i].methods[j]);
    }
}

// ---- The page ----

static void append_id(struct buf *out, const struct docs_family *family,
                      const struct api_endpoint *method)
{
    buf_printf(out, "%s-%s", family->name, method->name);
}

static void append_section(struct buf *out, const struct docs_family *family,
                           const struct api_endpoint *method)
{
    auto_buf struct buf id = {0};
    append_id(&id, family, method);
    buf_printf(out,
               "<section id=\"%s\" aria-labelledby=\"%s-heading\">\n"
               "<h3 id=\"%s-heading\"><a href=\"#%s\">%s</a></h3>\n"
               "<p class=\"path\"><code>POST %s</code>, args <code>%s</code></p>\n",
               buf_cstr(&id), id.data, id.data, id.data, method->name, family->path,
               args_form(method));
    docs_append_prose(out, method->text);
    if (method->params_count)
        docs_html_params(out, method);
    buf_append_str(out, "<h4>Result</h4>\n");
    docs_html_schema(out, method->result);
    docs_html_examples(out, method);
    if (method->notes) {
        buf_append_str(out, "<h4>Notes</h4>\n");
        docs_append_prose(out, method->notes);
    }
    buf_append_str(out, "</section>\n");
}

static void append_contents(struct buf *out)
{
    buf_append_str(out, "<aside>\n<details id=\"contents\" open><summary>Methods</summary>\n"
                        "<nav aria-label=\"Methods\"><ul>\n");
    for (size_t i = 0; i < DOCS_FAMILIES; i++) {
        const struct docs_family *family = &docs_families[i];
        for (size_t j = 0; family->methods[j]; j++) {
            buf_append_str(out, "<li><a href=\"#");
            append_id(out, family, family->methods[j]);
            buf_printf(out, "\">%s <small>%s</small></a></li>\n", family->methods[j]->name,
                       family->name);
        }
    }
    buf_append_str(out, "</ul></nav></details>\n</aside>\n");
}

static void append_page(struct buf *out)
{
    docs_html_head(out, "cohub RPC");
    buf_append_str(out, "<body>\n<a class=\"skip\" href=\"#reference\">Skip to the reference</a>\n"
                        "<header><h1>cohub RPC</h1>\n<p>Version " COHUB_VERSION
                        " &middot; <a href=\"../v1/\">API v1</a></p></header>\n"
                        "<div class=\"columns\">\n");
    append_contents(out);
    buf_append_str(out, "<main id=\"reference\">\n");
    docs_append_prose(out, docs_text_rpc_md);
    for (size_t i = 0; i < DOCS_FAMILIES; i++) {
        buf_printf(out, "<h2>%s</h2>\n", docs_families[i].title);
        for (size_t j = 0; docs_families[i].methods[j]; j++)
            append_section(out, &docs_families[i], docs_families[i].methods[j]);
    }
    buf_append_str(out, "</main>\n</div>\n</body>\n</html>\n");
}

static struct buf page;
static pthread_once_t page_once = PTHREAD_ONCE_INIT;

static void page_init(void)
{
    append_page(&page);
}

void docs_rpc_html(struct buf *out, const char *server_url)
{
    auto_buf struct buf escaped = {0};
    pthread_once(&page_once, page_init);
    text_append_html(&escaped, server_url);
    docs_append_hosted(out, page.data, page.size, buf_cstr(&escaped));
}

void docs_handle_rpc_page(struct http_request *request, void *ctx UNUSED)
{
    docs_reply_page(request, "conat/", docs_rpc_html);
}
