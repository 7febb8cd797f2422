// SPDX-License-Identifier: AGPL-3.0-or-later
// The page that the mail of an invitation leads to (api-v1 9.4): whoever holds its link signs up
// with the address that it was sent to, which needs no further proof.
#include <string.h>

#include "base/text.h"
#include "pages/page.h"
#include "svc/accounts.h"
#include "svc/invitations.h"
#include "svc/passwords.h"

struct sign_up {
    struct page_call *call;
    struct invitation invitation;
    const char *token;
    struct account_create create;
};

// ---- What is shown ----

static void append_strong(struct buf *out, const char *text)
{
    buf_append_str(out, "<strong>");
    text_append_html(out, text);
    buf_append_str(out, "</strong>");
}

static void append_project(struct buf *out, const struct invitation *invitation)
{
    buf_append_str(out, "the project ");
    append_strong(out, *invitation->title ? invitation->title : invitation->project_id.text);
}

static void append_field(struct buf *out, const char *name, const char *label,
                         const char *attributes, const char *value)
{
    buf_printf(out, "<label for=\"%s\">%s</label>\n<input id=\"%s\" name=\"%s\" %s value=\"", name,
               label, name, name, attributes);
    text_append_html(out, value);
    buf_append_str(out, "\">\n");
}

static void append_form(struct sign_up *op, bool asks_token)
{
    struct page_call *call = op->call;
    struct buf *out = &call->body;
    buf_append_str(out, "<form method=\"post\" action=\"invitation\">\n");
    page_hidden(call, "token", op->token);
    append_field(out, "first_name", "First name", "autocomplete=\"given-name\" maxlength=\"254\"",
                 page_form(call, "first_name"));
    append_field(out, "last_name", "Last name", "autocomplete=\"family-name\" maxlength=\"254\"",
                 page_form(call, "last_name"));
    append_field(out, "password", "Password, 6 to 64 characters",
                 "type=\"password\" autocomplete=\"new-password\" required", "");
    if (asks_token)
        append_field(out, "registration_token", "Registration token of this site",
                     "autocomplete=\"off\" required", page_form(call, "registration_token"));
    buf_append_str(out, "<button>Sign up</button>\n</form>\n");
}

// `problem`: why it did not work, NULL at first.
static void show_form(struct sign_up *op, const char *problem, bool asks_token)
{
    struct page_call *call = op->call;
    struct buf *out = page_begin(call, "Invitation");
    buf_append_str(out, "<p>You are invited to ");
    append_project(out, &op->invitation);
    buf_append_str(out, ". Sign up with the address ");
    append_strong(out, op->invitation.email_address);
    buf_append_str(out, ", and you are on it.</p>\n");
    page_problem(call, problem);
    append_form(op, asks_token || !strcmp(call->svc->site.sign_up, "token"));
    page_send(call, problem ? 400 : 200);
}

static void show_taken(struct sign_up *op, const char *title, const char *text)
{
    struct buf *out = page_begin(op->call, title);
    buf_append_str(out, "<p>");
    buf_append_str(out, text);
    append_strong(out, op->invitation.email_address);
    buf_append_str(out, ", and ");
    append_project(out, &op->invitation);
    buf_append_str(out, " is among its projects.</p>\n");
    page_send(op->call, 200);
}

// Finds the invitation and shows what is no open one. True if it is open.
static bool open_invitation(struct sign_up *op)
{
    struct page_call *call = op->call;
    struct err err;
    int rc = invitation_get(call->session, op->token, call->arena, &op->invitation, &err);
    if (rc == -ERR_NOT_FOUND)
        page_message(call, 404, "Invitation",
                     "There is no such invitation, or it has expired. Ask for another one.");
    else if (rc)
        page_fail(call, "Invitation", &err);
    else if (op->invitation.state == INVITATION_TAKEN)
        show_taken(op, "Invitation", "There is an account already for ");
    else if (op->invitation.state == INVITATION_CLOSED)
        page_message(call, 410, "Invitation",
                     "This invitation was used, or is for an account that is not on the project "
                     "any more. Ask to be invited again.");
    else if (!strcmp(call->svc->site.sign_up, "closed"))
        page_message(call, 403, "Invitation",
                     "People cannot sign up here by themselves. Ask whoever runs this site for an "
                     "account with the address that the invitation was sent to.");
    else
        return true;
    return false;
}

static struct sign_up *begin(struct page_call *call, const char *token)
{
    struct sign_up *op = arena_zalloc(call->arena, sizeof *op);
    op->call = call;
    op->token = token;
    return op;
}

static void run_get(struct page_call *call)
{
    struct sign_up *op = begin(call, page_query(call, "token"));
    if (open_invitation(op))
        show_form(op, NULL, false);
}

// ---- Signing up ----

static void on_created(struct account_create *create)
{
    struct sign_up *op = CONTAINER(create, struct sign_up, create);
    const struct account_refusal *refusal = &create->refusal;
    const char *problem = refusal->email_address ? refusal->email_address
                          : refusal->password    ? refusal->password
                          : refusal->token       ? refusal->token
                                                 : refusal->other;
    if (create->rc) {
        page_fail(op->call, "Invitation", &create->err);
    } else if (account_refused(refusal)) {
        show_form(op, problem, refusal->token);
    } else {
        show_taken(op, "Welcome", "There is an account now for ");
    }
}

static void run_post(struct page_call *call)
{
    struct sign_up *op = begin(call, page_form(call, "token"));
    if (!open_invitation(op))
        return;
    const char *problem = password_problem(page_form(call, "password"));
    if (problem) {
        show_form(op, problem, *page_form(call, "registration_token"));
        return;
    }
    op->create = (struct account_create){
        .first_name = page_form(call, "first_name"),
        .last_name = page_form(call, "last_name"),
        .email_address = op->invitation.email_address,
        .address_proved = true,
        .password = page_form(call, "password"),
        .token = page_form(call, "registration_token"),
        .created_by = call->client,
        .caller = call->client,
        .loop = call->loop,
        .done = on_created,
    };
    account_create(call->svc, call->session, &op->create);
}

struct page page_invitation = {.name = "page_invitation", .run = run_get};
struct page page_invitation_accept = {.name = "page_invitation_accept", .run = run_post};
