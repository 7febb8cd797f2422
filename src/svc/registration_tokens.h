// SPDX-License-Identifier: AGPL-3.0-or-later
// Registration tokens: what somebody who signs up has to know where `site.sign_up` is `token`, or
// as soon as there is one that is not disabled. Implements the table of api-v1 section 12.6;
// account_create uses them up.
#ifndef SVC_REGISTRATION_TOKENS_H
#define SVC_REGISTRATION_TOKENS_H

#include "base/buf.h"
#include "db/db.h"

struct registration_token {
    const char *token;
    const char *descr;  // NULL: none
    int64_t expires_ms; // 0: never
    int64_t limit;      // of accounts made with it; negative: none
    bool disabled;
    // What accounts made with it are noted to have: how long they are to live, 0: for ever; a JSON
    // object, NULL: none.
    int64_t ephemeral_ms;
    const char *customize;
};
// In a transaction: makes it, or gives one that is there these values; how often it was used stays.
// ERR_INVALID if the token is empty.
int registration_token_set(struct db_session *txn, const struct registration_token *token,
                           struct err *err) MUST_USE;
// In a transaction. ERR_NOT_FOUND if there is no such token.
int registration_token_delete(struct db_session *txn, const char *token, struct err *err) MUST_USE;
// Appends a JSON object with all that is set of the token. ERR_NOT_FOUND.
int registration_token_show(struct db_session *session, const char *token, struct buf *out,
                            struct err *err) MUST_USE;
// Appends a JSON array of them all.
int registration_token_list(struct db_session *session, struct buf *out, struct err *err) MUST_USE;

#endif
