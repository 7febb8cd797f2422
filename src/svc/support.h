// SPDX-License-Identifier: AGPL-3.0-or-later
// Support tickets (api-v1 section 10): kept here, mailed to the site's help address, answered from
// the command line. The requester follows a ticket on a page whose link holds the ticket's secret,
// as people without an account may have sent it.
#ifndef SVC_SUPPORT_H
#define SVC_SUPPORT_H

#include "base/json.h"
#include "base/mem.h"
#include "svc/svc.h"

#define TICKET_SECRET_LEN 24

struct ticket_create {
    // in; what is NULL was not given. All of it is the caller's until the transaction is over.
    const struct svc *svc;
    const struct caller *caller;
    const char *username, *email_address, *subject, *body, *account_id, *location;
    const char *const *tags;
    size_t tags_count;
    const cJSON *info;
    // out
    int64_t id;
    char secret[TICKET_SECRET_LEN + 1];
};
// A db_txn_fn whose argument is a struct ticket_create: files the ticket and queues the mail to the
// help address. ERR_INVALID, ERR_FORBIDDEN, ERR_RATE_LIMITED with texts for the caller.
int ticket_create(struct db_session *txn, void *create, struct err *err) MUST_USE;
// Appends the address of a ticket's page.
void ticket_url(const struct site *site, int64_t id, const char *secret, struct buf *out);

// Appends a JSON array of the account's tickets as the contract has them (10.2), newest first:
// LIMIT_TICKETS_LISTED at most, without those that were closed long ago.
int ticket_list_of(struct db_session *session, const struct site *site,
                   const struct uuid *account_id, struct buf *out, struct err *err) MUST_USE;

// ---- The requester's page ----

struct ticket_view {
    int64_t id;
    const char *subject, *description, *status, *username; // in the arena
    int64_t created;
    bool closed;
};
// 1: this is the ticket; 0: there is none with this id and secret; negative: an error.
int ticket_view(struct db_session *session, struct arena *arena, const char *id, const char *secret,
                struct ticket_view *ret_view, struct err *err) MUST_USE;
typedef void ticket_reply_fn(void *ctx, bool staff, int64_t time_ms, const char *body);
int ticket_replies(struct db_session *session, int64_t id, ticket_reply_fn *fn, void *ctx,
                   struct err *err) MUST_USE;

struct ticket_answer {
    const struct svc *svc;
    int64_t id;
    const char *body;
    bool staff; // else it is the requester
};
// A db_txn_fn whose argument is a struct ticket_answer: adds the answer and queues the mail to the
// other side. ERR_INVALID, ERR_NOT_FOUND, ERR_CONFLICT (closed), ERR_RATE_LIMITED.
int ticket_answer(struct db_session *txn, void *answer, struct err *err) MUST_USE;

// ---- For those who help ----

// Appends a JSON array of the tickets, newest first, or one with its replies. ERR_NOT_FOUND.
int ticket_list(struct db_session *session, const struct site *site, struct buf *out,
                struct err *err) MUST_USE;
int ticket_show(struct db_session *session, const struct site *site, int64_t id, struct buf *out,
                struct err *err) MUST_USE;
// In a transaction. ERR_NOT_FOUND.
int ticket_close(struct db_session *txn, int64_t id, struct err *err) MUST_USE;

#endif
