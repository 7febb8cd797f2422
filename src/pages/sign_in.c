// SPDX-License-Identifier: AGPL-3.0-or-later
// Signing a browser in by a token (api-v1 8.3, hub-rpc 2.8), and out. The token leaves the address
// bar at once: the page that says who is signed in has an address of its own.
#include <sodium.h>
#include <string.h>

#include "base/text.h"
#include "http/http.h"
#include "pages/page.h"
#include "svc/accounts.h"
#include "svc/auth.h"
#include "svc/sign_ins.h"

#define TITLE "Sign in"

struct sign_in {
    struct page_call *call;
    const char *token, *before;
    char cookie[SIGN_IN_COOKIE_LEN + 1];
    struct db_write write;
};

// ---- The cookie ----

// What the browser is signed in with; NULL if it sends nothing of the kind.
static const char *read_cookie(const struct page_call *call)
{
    const char *name = SIGN_IN_COOKIE "=";
    for (const char *p = call->cookies; *p; p += strcspn(p, ";"), p += strspn(p, "; ")) {
        if (text_has_prefix(p, name) && strcspn(p + strlen(name), "; ") == SIGN_IN_COOKIE_LEN)
            return arena_strndup(call->arena, p + strlen(name), SIGN_IN_COOKIE_LEN);
    }
    return NULL;
}

// An empty `value` takes the cookie back.
static void set_cookie(struct page_call *call, const char *value)
{
    const char *origin = http_request_origin(call->request);
    const char *path = strchr(strstr(origin, "://") + 3, '/');
    const char *cookie =
        arena_printf(call->arena, "%s=%s; Path=%s; Max-Age=%d; HttpOnly; SameSite=Lax%s",
                     SIGN_IN_COOKIE, value, path ? path : "/", *value ? SIGN_IN_LIFE_S : 0,
                     text_has_prefix(origin, "https:") ? "; Secure" : "");
    http_request_reply_header(call->request, "Set-Cookie", cookie);
}

// ---- In ----

static void show_account(struct page_call *call, const struct uuid *account_id, const char *cookie)
{
    struct account_name name = {0};
    struct err err;
    if (account_name_get(call->session, account_id, call->arena, &name, &err) < 0) {
        page_fail(call, TITLE, &err);
        return;
    }
    const char *first = name.first_name ? name.first_name : "";
    const char *last = name.last_name ? name.last_name : "";
    char mark[SECRET_HASH_TEXT_LEN + 1];
    sign_in_mark(&call->svc->secret, cookie, mark);
    struct buf *out = page_begin(call, "You are signed in");
    buf_append_str(out, "<p>This browser is signed in as <strong>");
    text_append_html(out, *first || *last ? arena_printf(call->arena, "%s%s%s", first,
                                                         *first && *last ? " " : "", last)
                                          : account_id->text);
    buf_append_str(out, "</strong>.</p>\n<form method=\"post\" action=\"sign_out\">\n");
    page_hidden(call, "mark", mark);
    buf_append_str(out, "<button>Sign out</button>\n</form>\n");
    page_send(call, 200);
}

// Without a token in the address: who is signed in.
static void run_show(struct page_call *call)
{
    const char *cookie = read_cookie(call);
    struct uuid account_id;
    struct err err;
    int rc = cookie ? sign_in_find(call->session, &call->svc->secret, cookie, &account_id, &err)
                    : err_set(&err, ERR_INVALID, "missing auth_token.");
    if (rc)
        page_fail(call, TITLE, &err);
    else
        show_account(call, &account_id, cookie);
}

static int sign_in_in_txn(struct db_session *txn, void *arg, struct err *err)
{
    struct sign_in *op = arg;
    return sign_in_by_token(txn, &op->call->svc->secret, op->token, op->before, op->cookie, err);
}

static void on_signed_in(struct db_write *write)
{
    struct sign_in *op = write->arg;
    struct page_call *call = op->call;
    if (write->rc) {
        page_fail(call, TITLE, &write->err);
        return;
    }
    set_cookie(call, op->cookie);
    http_request_reply_header(call->request, "Referrer-Policy", "no-referrer");
    http_request_reply_header(call->request, "Cache-Control", "no-store");
    http_reply_redirect(call->request, arena_printf(call->arena, "%s/auth/impersonate",
                                                    http_request_origin(call->request)));
}

static void run_get(struct page_call *call)
{
    const char *token = http_request_query(call->request, "auth_token");
    struct uuid account_id;
    struct err err;
    if (!token) {
        run_show(call);
        return;
    }
    if (auth_token_find(call->session, &call->svc->secret, token, &account_id, &err)) {
        page_fail(call, TITLE, &err);
        return;
    }
    struct sign_in *op = arena_zalloc(call->arena, sizeof *op);
    op->call = call;
    op->token = arena_strdup(call->arena, token);
    op->before = read_cookie(call);
    op->write = (struct db_write){
        .loop = call->loop, .fn = sign_in_in_txn, .arg = op, .done = on_signed_in};
    db_write_async(call->svc->db, &op->write);
}

// ---- Out ----

static int sign_out_in_txn(struct db_session *txn, void *arg, struct err *err)
{
    const struct sign_in *op = arg;
    return sign_in_end(txn, &op->call->svc->secret, op->before, err);
}

static void on_signed_out(struct db_write *write)
{
    const struct sign_in *op = write->arg;
    if (write->rc) {
        page_fail(op->call, "Sign out", &write->err);
        return;
    }
    set_cookie(op->call, "");
    page_message(op->call, 200, "You are signed out", "This browser is signed in no more.");
}

// Only the page of the same browser knows the mark, so that no other site signs anybody out.
static void run_sign_out(struct page_call *call)
{
    const char *cookie = read_cookie(call), *sent = page_form(call, "mark");
    char mark[SECRET_HASH_TEXT_LEN + 1] = "";
    if (cookie)
        sign_in_mark(&call->svc->secret, cookie, mark);
    if (!cookie || strlen(sent) != SECRET_HASH_TEXT_LEN ||
        sodium_memcmp(sent, mark, SECRET_HASH_TEXT_LEN)) {
        page_message(call, 403, "Sign out", "Open the page again, and sign out there.");
        return;
    }
    struct sign_in *op = arena_zalloc(call->arena, sizeof *op);
    op->call = call;
    op->before = cookie;
    op->write = (struct db_write){
        .loop = call->loop, .fn = sign_out_in_txn, .arg = op, .done = on_signed_out};
    db_write_async(call->svc->db, &op->write);
}

struct page page_impersonate = {.name = "page_impersonate", .run = run_get};
struct page page_sign_out = {.name = "page_sign_out", .run = run_sign_out};
