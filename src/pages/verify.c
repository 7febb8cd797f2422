// SPDX-License-Identifier: AGPL-3.0-or-later
// The page that the welcome mail leads to (api-v1 9.1). Programs that look through mail follow its
// links, so the address is verified by the button and not by the link.
#include "base/text.h"
#include "pages/page.h"
#include "svc/account_email.h"

#define TITLE "Verify your address"

struct verify {
    struct page_call *call;
    const char *email_address, *token;
    struct db_write write;
};

static void run_get(struct page_call *call)
{
    const char *email = page_query(call, "email"), *token = page_query(call, "token");
    struct err err;
    if (email_challenge_check(call->session, email, token, &err)) {
        page_fail(call, TITLE, &err);
        return;
    }
    struct buf *out = page_begin(call, TITLE);
    buf_append_str(out, "<p>Is <strong>");
    text_append_html(out, email);
    buf_append_str(out, "</strong> the address of your account?</p>\n"
                        "<form method=\"post\" action=\"verify\">\n");
    page_hidden(call, "email", email);
    page_hidden(call, "token", token);
    buf_append_str(out, "<button>Yes, verify it</button>\n</form>\n");
    page_send(call, 200);
}

static int verify_in_txn(struct db_session *txn, void *arg, struct err *err)
{
    const struct verify *op = arg;
    return email_verify(txn, op->email_address, op->token, err);
}

static void on_verified(struct db_write *write)
{
    const struct verify *op = write->arg;
    if (write->rc)
        page_fail(op->call, TITLE, &write->err);
    else
        page_message(op->call, 200, "Your address is verified", "Thank you.");
}

static void run_post(struct page_call *call)
{
    struct verify *op = arena_zalloc(call->arena, sizeof *op);
    op->call = call;
    op->email_address = page_form(call, "email");
    op->token = page_form(call, "token");
    op->write =
        (struct db_write){.loop = call->loop, .fn = verify_in_txn, .arg = op, .done = on_verified};
    db_write_async(call->svc->db, &op->write);
}

struct page page_verify = {.name = "page_verify", .run = run_get};
struct page page_verify_confirm = {.name = "page_verify_confirm", .run = run_post};
