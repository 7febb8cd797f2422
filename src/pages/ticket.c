// SPDX-License-Identifier: AGPL-3.0-or-later
// The page of a support ticket, /requests/NUMBER?key=SECRET: whoever has the link reads it and
// answers there (api-v1 10).
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "http/http.h"
#include "pages/page.h"
#include "svc/mail.h"
#include "svc/support.h"

static void write_entry(struct buf *out, const char *who, int64_t time_ms, const char *text)
{
    char time[CLOCK_ISO_SIZE];
    clock_iso(time_ms, time);
    buf_append_str(out, "<article><h2>");
    text_append_html(out, who);
    buf_printf(out, "</h2><time>%.10s %.5s UTC</time>\n<p>", time, time + 11);
    text_append_html(out, text);
    buf_append_str(out, "</p></article>\n");
}

struct reply_writer {
    struct page_call *call;
    const char *requester;
};

static void write_reply(void *ctx, bool staff, int64_t time_ms, const char *body)
{
    const struct reply_writer *writer = ctx;
    write_entry(&writer->call->body, staff ? writer->call->svc->site.name : writer->requester,
                time_ms, body);
}

static void write_form(struct page_call *call)
{
    buf_append_str(&call->body, "<form method=\"post\"><label for=\"answer\">Your answer</label>"
                                "<textarea id=\"answer\" name=\"answer\" rows=\"8\" required>");
    text_append_html(&call->body, page_form(call, "answer"));
    buf_append_str(&call->body, "</textarea><button>Send</button></form>\n");
}

static void show(struct page_call *call, const struct ticket_view *view, int status,
                 const char *problem)
{
    struct reply_writer writer = {.call = call, .requester = view->username};
    struct err err;
    struct buf *out = page_begin(call, view->subject);
    buf_printf(out, "<p>Request %lld, <strong>%s</strong></p>\n", (long long)view->id,
               view->status);
    write_entry(out, view->username, view->created, view->description);
    if (ticket_replies(call->session, view->id, write_reply, &writer, &err)) {
        http_request_set_error(call->request, &err);
        problem = "The answers cannot be read now.";
    }
    page_problem(call, problem);
    if (view->closed)
        buf_append_str(out, "<p>This request is closed.</p>\n");
    else
        write_form(call);
    page_send(call, status);
}

// The ticket that the address names. False: it was answered.
static bool find(struct page_call *call, struct ticket_view *ret_view)
{
    const char *id = http_request_path(call->request) + strlen("/requests/");
    struct err err;
    int rc = ticket_view(call->session, call->arena, id, page_query(call, "key"), ret_view, &err);
    if (rc > 0)
        return true;
    if (rc < 0) {
        page_fail(call, "Error", &err);
    } else {
        page_message(call, 404, "Not found", "There is no such request, or the link is not whole.");
    }
    return false;
}

static void run_ticket(struct page_call *call)
{
    struct ticket_view view;
    if (find(call, &view))
        show(call, &view, 200, NULL);
}

struct page page_ticket = {"ticket", run_ticket};

// ---- An answer ----

struct answer_post {
    struct page_call *call;
    struct ticket_view view;
    struct ticket_answer answer;
    struct db_write write;
};

static void show_refused(struct page_call *call)
{
    const struct answer_post *post = call->op;
    const struct err *err = &post->write.err;
    show(call, &post->view, err_http_status(err->code), err->message);
}

// Leads back to the page, so that loading it anew sends nothing again.
static void on_answered(struct db_write *write)
{
    struct answer_post *post = CONTAINER(write, struct answer_post, write);
    struct page_call *call = post->call;
    if (write->rc) {
        http_request_set_error(call->request, &write->err);
        page_go_on(call, show_refused);
        return;
    }
    mail_wake(call->svc);
    http_reply_redirect(call->request,
                        arena_printf(call->arena, "%s%s?key=%s", http_request_origin(call->request),
                                     http_request_path(call->request), page_query(call, "key")));
}

static void run_answer(struct page_call *call)
{
    struct answer_post *post = arena_zalloc(call->arena, sizeof *post);
    if (!find(call, &post->view))
        return;
    post->call = call;
    call->op = post;
    post->answer = (struct ticket_answer){
        .svc = call->svc, .id = post->view.id, .body = page_form(call, "answer")};
    post->write = (struct db_write){
        .loop = call->loop, .fn = ticket_answer, .arg = &post->answer, .done = on_answered};
    db_write_async(call->svc->db, &post->write);
}

struct page page_ticket_answer = {"ticket_answer", run_answer};
