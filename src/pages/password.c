// SPDX-License-Identifier: AGPL-3.0-or-later
// The page that the mail of a forgotten password leads to (api-v1 9.2): whoever holds its code sets
// a new password.
#include <string.h>

#include "base/text.h"
#include "http/http.h"
#include "pages/page.h"
#include "svc/account_password.h"

#define TITLE "Set a new password"

struct set_password {
    struct page_call *call;
    struct password_reset reset;
};

static void append_field(struct buf *out, const char *name, const char *label)
{
    buf_printf(out,
               "<label for=\"%s\">%s</label>\n<input id=\"%s\" name=\"%s\" type=\"password\""
               " autocomplete=\"new-password\" required>\n",
               name, label, name, name);
}

// `problem`: why it did not work, NULL at first.
static void show_form(struct page_call *call, const char *code, const char *problem)
{
    struct buf *out = page_begin(call, TITLE);
    page_problem(call, problem);
    buf_append_str(out, "<form method=\"post\" action=\"password_reset\">\n");
    page_hidden(call, "token", code);
    append_field(out, "password", "New password, 6 to 64 characters");
    append_field(out, "password_again", "The same again");
    buf_append_str(out, "<button>Set the password</button>\n</form>\n");
    page_send(call, problem ? 400 : 200);
}

static void run_get(struct page_call *call)
{
    const char *code = page_query(call, "token");
    struct err err;
    if (password_reset_check(call->session, code, &err))
        page_fail(call, TITLE, &err);
    else
        show_form(call, code, NULL);
}

static void on_set(struct password_reset *reset)
{
    struct page_call *call = CONTAINER(reset, struct set_password, reset)->call;
    if (reset->rc == -ERR_INVALID)
        show_form(call, reset->reset_code, reset->err.message);
    else if (reset->rc)
        page_fail(call, TITLE, &reset->err);
    else
        page_message(call, 200, "Your password is set", "You can sign in with it now.");
}

static void run_post(struct page_call *call)
{
    const char *code = page_form(call, "token"), *password = page_form(call, "password");
    struct err err;
    if (password_reset_check(call->session, code, &err)) {
        page_fail(call, TITLE, &err);
        return;
    }
    if (strcmp(password, page_form(call, "password_again"))) {
        show_form(call, code, "The two passwords differ.");
        return;
    }
    struct set_password *op = arena_zalloc(call->arena, sizeof *op);
    op->call = call;
    op->reset = (struct password_reset){.reset_code = code,
                                        .new_password = password,
                                        .asker = call->client,
                                        .client = call->client,
                                        .loop = call->loop,
                                        .done = on_set};
    password_reset(call->svc, call->session, &op->reset);
}

static void redirect_to_form(struct page_call *call, const char *code)
{
    auto_buf struct buf location = {0};
    buf_printf(&location, "%s/auth/password_reset?token=", http_request_origin(call->request));
    text_append_percent(&location, code);
    http_reply_redirect(call->request, arena_strdup(call->arena, buf_cstr(&location)));
}

// The address that administrators are told: /auth/password-reset/CODE.
static void run_link(struct page_call *call)
{
    const char *code = strrchr(http_request_path(call->request), '/') + 1;
    redirect_to_form(call, code);
}

// The older form of the mail's link, /app?forgot=CODE; and /app?auth_token=TOKEN.
static void run_forgot(struct page_call *call)
{
    const char *code = page_query(call, "forgot");
    if (http_request_query(call->request, "auth_token")) {
        page_impersonate.run(call);
        return;
    }
    if (!*code) {
        page_message(call, 404, "Not found", "There is no such page.");
        return;
    }
    redirect_to_form(call, code);
}

struct page page_password = {.name = "page_password", .run = run_get};
struct page page_password_set = {.name = "page_password_set", .run = run_post};
struct page page_password_link = {.name = "page_password_link", .run = run_link};
struct page page_forgot = {.name = "page_forgot", .run = run_forgot};
