// SPDX-License-Identifier: AGPL-3.0-or-later
// Tokens that sign a browser in as somebody (api-v1 3.31, 8.3; hub-rpc 2.8, 3), any number of times
// until they expire. The store has their keyed hash only.
#ifndef SVC_AUTH_H
#define SVC_AUTH_H

#include "base/clock.h"
#include "svc/passwords.h"
#include "svc/svc.h"

#define AUTH_TOKEN_LEN 24

// How long one lasts that user_auth made, or anybody else who says nothing of it.
#define AUTH_TOKEN_V1_LIFE_MS (12 * CLOCK_HOUR_MS)
#define AUTH_TOKEN_LIFE_MS    CLOCK_DAY_MS

// In a transaction: a token for the account, made by somebody who may. Logged as
// get_user_auth_token. ERR_NOT_FOUND if the account does not exist or is deleted, ERR_INVALID for a
// life that is not between a millisecond and LIMIT_AUTH_TOKEN_LIFE_MS.
int auth_token_issue(struct db_session *txn, const struct secret *secret,
                     const struct uuid *account_id, const struct caller *by, int64_t life_ms,
                     char token[AUTH_TOKEN_LEN + 1], struct err *err) MUST_USE;
// In a transaction: the token is good for nothing any more. One that is none is no error.
int auth_token_expire(struct db_session *txn, const struct secret *secret, const char *token,
                      struct err *err) MUST_USE;
// Appends the address that signs a browser in.
void auth_token_url(const struct site *site, const char *token, struct buf *out);
// Whose token it is. ERR_NOT_FOUND with the contract's text (api-v1 8.3) if it is nobody's.
int auth_token_find(struct db_session *session, const struct secret *secret, const char *token,
                    struct uuid *ret_account_id, struct err *err) MUST_USE;

struct auth_token_call {
    // in
    struct caller caller;
    const char *account_id; // as sent
    const char *password;
    int64_t life_ms;
    int64_t pause_ms; // after a wrong password, until the same caller may try that account again
    struct loop *loop;
    void (*done)(struct auth_token_call *call);
    // out; a refusal is ERR_FORBIDDEN, ERR_NOT_FOUND or ERR_RATE_LIMITED with the contract's text
    int rc;
    struct err err;
    char token[AUTH_TOKEN_LEN + 1];
    // the service's
    struct svc *svc;
    struct uuid target;
    char hash[PASSWORD_HASH_SIZE];
    bool verified, by_admin;
    struct work work;
    struct db_write write;
};
// Checks the password on a worker, stores a token. A caller that was wrong about an account just
// now is refused before its password is looked at. Administrators may leave the password empty.
void auth_token_create(struct svc *svc, struct db_session *session, struct auth_token_call *call);

#endif
