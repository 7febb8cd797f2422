// SPDX-License-Identifier: AGPL-3.0-or-later
// What the hub's pages share: the call, the frame, forms. Pages are whole without script; nothing
// on them comes from elsewhere.
#ifndef PAGES_PAGE_H
#define PAGES_PAGE_H

#include "api/lanes.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/mem.h"
#include "svc/svc.h"

struct http_request;

// One request for a page. Everything but `svc` and `session` goes with the request.
struct page_call {
    struct lane_call lane_call;
    void (*run)(struct page_call *call); // what is next
    void *op;                            // of the page
    struct http_request *request;
    struct svc *svc;
    struct db_session *session; // for `run`, until it returns
    struct loop *loop;
    struct arena *arena;
    const char *client;  // network address
    const char *cookies; // as they came; "" if none did
    cJSON *form;         // the body of a POST: name -> text; NULL without one
    struct buf body;
};

// A page, as the context of its route: {"GET", "/auth/verify", page_handle, &page}. `run` answers
// at once, or later on the same loop.
struct page {
    const char *name; // in the log
    void (*run)(struct page_call *call);
};
void page_handle(struct http_request *request, void *page);
// Has `run` called with a session again, from where `page.run` has returned already.
void page_go_on(struct page_call *call, void (*run)(struct page_call *call));

// A text of the query string or the form; "" if it is not there or no text.
const char *page_query(const struct page_call *call, const char *name);
const char *page_form(const struct page_call *call, const char *name);

// Begins a page and returns the buffer for its content, inside <main>; page_send ends it and
// answers. Texts are escaped with text_append_html. Every page is sent with a policy that allows no
// script and no frame, and is kept by nobody.
struct buf *page_begin(struct page_call *call, const char *title);
void page_send(struct page_call *call, int status);
// A page with one sentence; with the public text of an error, which is noted for the log.
void page_message(struct page_call *call, int status, const char *title, const char *text);
void page_fail(struct page_call *call, const char *title, const struct err *err);

// Appends what is wrong, NULL: nothing; and a field that is not seen.
void page_problem(struct page_call *call, const char *text);
void page_hidden(struct page_call *call, const char *name, const char *value);

// ---- The pages ----

extern struct page page_forgot, page_password, page_password_link, page_password_set; // password.c
extern struct page page_verify, page_verify_confirm;                                  // verify.c
extern struct page page_impersonate, page_sign_out;                                   // sign_in.c
extern struct page page_strategies;                         // strategies.c
extern struct page page_invitation, page_invitation_accept; // invitation.c
extern struct page page_ticket, page_ticket_answer;         // ticket.c

#endif
