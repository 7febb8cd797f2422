// SPDX-License-Identifier: AGPL-3.0-or-later
#include "pages/page.h"

#include <string.h>

#include "api/api.h"
#include "api/params.h"
#include "base/text.h"
#include "http/http.h"

static const char style[] =
    "body{font:16px/1.5 system-ui,sans-serif;max-width:38rem;margin:0 auto;padding:1rem;"
    "color:#222;background:#fff}"
    "header{border-bottom:1px solid #ccc;padding-bottom:.5rem;margin-bottom:1.5rem}"
    "header a{color:inherit;font-weight:bold;text-decoration:none}"
    "label{display:block;margin:.8rem 0 .2rem}"
    "input,textarea{font:inherit;width:100%;box-sizing:border-box;padding:.4rem}"
    "button{font:inherit;margin-top:1rem;padding:.5rem 1rem}"
    ".problem{color:#a00}article{border-top:1px solid #ddd;padding:.5rem 0}"
    "article p{white-space:pre-wrap;overflow-wrap:anywhere}"
    "@media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}a{color:#8bf}"
    ".problem{color:#f88}}";

const char *page_query(const struct page_call *call, const char *name)
{
    const char *text = http_request_query(call->request, name);
    return text && utf8_valid(text, strlen(text)) ? text : "";
}

const char *page_form(const struct page_call *call, const char *name)
{
    const char *text = json_get_str(call->form, name);
    return text ? text : "";
}

struct buf *page_begin(struct page_call *call, const char *title)
{
    struct buf *out = &call->body;
    buf_append_str(out, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
                        "<meta name=\"viewport\" content=\"width=device-width\"><title>");
    text_append_html(out, title);
    buf_append_str(out, " - ");
    text_append_html(out, call->svc->site.name);
    buf_printf(out, "</title><style>%s</style></head>\n<body><header><a href=\"%s/\">", style,
               http_request_origin(call->request));
    text_append_html(out, call->svc->site.name);
    buf_append_str(out, "</a></header>\n<main><h1>");
    text_append_html(out, title);
    buf_append_str(out, "</h1>\n");
    return out;
}

void page_send(struct page_call *call, int status)
{
    static const char *const headers[][2] = {
        {"Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; "
                                    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"},
        {"Referrer-Policy", "no-referrer"}, // addresses of pages hold codes
        {"Cache-Control", "no-store"},
        {"X-Content-Type-Options", "nosniff"},
    };
    buf_append_str(&call->body, "</main></body></html>\n");
    for (size_t i = 0; i < ARRAY_LEN(headers); i++)
        http_request_reply_header(call->request, headers[i][0], headers[i][1]);
    http_reply(call->request, status, HTTP_HTML, &call->body);
}

void page_message(struct page_call *call, int status, const char *title, const char *text)
{
    struct buf *out = page_begin(call, title);
    buf_append_str(out, "<p>");
    text_append_html(out, text);
    buf_append_str(out, "</p>\n");
    page_send(call, status);
}

void page_fail(struct page_call *call, const char *title, const struct err *err)
{
    http_request_set_error(call->request, err);
    page_message(call, err_http_status(err->code), title, err->message);
}

void page_problem(struct page_call *call, const char *text)
{
    if (!text)
        return;
    buf_append_str(&call->body, "<p class=\"problem\">");
    text_append_html(&call->body, text);
    buf_append_str(&call->body, "</p>\n");
}

void page_hidden(struct page_call *call, const char *name, const char *value)
{
    buf_printf(&call->body, "<input type=\"hidden\" name=\"%s\" value=\"", name);
    text_append_html(&call->body, value);
    buf_append_str(&call->body, "\">\n");
}

static void free_form(void *form)
{
    cJSON_Delete(form);
}

// Reads the body of a POST. False: it was answered.
static bool read_form(struct page_call *call)
{
    size_t size;
    struct err err;
    const char *text = http_request_body(call->request, &size);
    const char *type = http_request_header(call->request, "Content-Type");
    if (!size)
        return true;
    if (params_read_body(type, text, size, &call->form, &err)) {
        http_reply_error(call->request, err_http_status(err.code), err.message);
        return false;
    }
    if (call->form)
        http_request_keep(call->request, call->form, free_form);
    return true;
}

static void run_in_lane(struct lane_call *lane_call, struct db_session *session)
{
    struct page_call *call = CONTAINER(lane_call, struct page_call, lane_call);
    call->session = session;
    call->run(call);
}

static void refuse_lane(struct lane_call *lane_call)
{
    const struct page_call *call = CONTAINER(lane_call, struct page_call, lane_call);
    http_reply_error(call->request, 503, call->svc->closing ? ERR_CLOSING_TEXT : API_BUSY_TEXT);
}

void page_go_on(struct page_call *call, void (*run)(struct page_call *call))
{
    call->run = run;
    api_loop_run(http_request_loop_data(call->request), &call->lane_call);
}

void page_handle(struct http_request *request, void *page)
{
    struct api_loop *l = http_request_loop_data(request);
    struct arena *arena = http_request_arena(request);
    const struct page *described = page;
    struct page_call *call = arena_zalloc(arena, sizeof *call);
    call->lane_call = (struct lane_call){.run = run_in_lane, .refuse = refuse_lane};
    call->request = request;
    call->svc = api_loop_svc(l);
    call->loop = api_loop_loop(l);
    call->arena = arena;
    call->client = http_request_client(request);
    const char *cookies = http_request_header(request, "Cookie");
    call->cookies = cookies ? arena_strdup(arena, cookies) : "";
    http_request_set_event(request, described->name, 0);
    if (read_form(call))
        page_go_on(call, described->run);
}
