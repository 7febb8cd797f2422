// SPDX-License-Identifier: AGPL-3.0-or-later
// The log of what happened to accounts, kept in the database (api-v1 section 14), and what clients
// report: errors (3.27) and what people do (hub-rpc 3).
#ifndef SVC_CENTRAL_LOG_H
#define SVC_CENTRAL_LOG_H

#include "svc/svc.h"

struct central_text {
    const char *name, *text;
};
#define CENTRAL_TEXTS(...) ((const struct central_text[]){__VA_ARGS__, {NULL, NULL}})
// In a transaction: one record with the named texts; a NULL text is left out.
int central_log(struct db_session *txn, const char *event, const struct central_text *texts,
                struct err *err) MUST_USE;

struct client_error {
    struct uuid id; // "": a fresh one
    struct uuid account_id;
    const char *event; // NULL: "error"
    const char *error;
};
// In a transaction: a record that lives 30 days, with as much of the text as
// LIMIT_CLIENT_ERROR_TEXT says. An id that is taken is replaced by a fresh one. ERR_RATE_LIMITED.
int client_error_log(struct db_session *txn, const struct client_error *error,
                     struct err *err) MUST_USE;

struct tracked {
    struct uuid account_id;
    const char *event;
    const char *value; // JSON, NULL: none
};
// In a transaction: a record that lives 30 days. ERR_TOO_LARGE beyond LIMIT_TRACKED_VALUE,
// ERR_RATE_LIMITED.
int user_tracking_log(struct db_session *txn, const struct tracked *tracked,
                      struct err *err) MUST_USE;

#endif
