// SPDX-License-Identifier: AGPL-3.0-or-later
// Browsers that are signed in, for twelve hours by a token (api-v1 8.3; table remember_me). A
// browser holds a random text in a cookie, the store its keyed hash. No call of an API takes it.
#ifndef SVC_SIGN_INS_H
#define SVC_SIGN_INS_H

#include "svc/svc.h"

#define SIGN_IN_COOKIE     "remember_me"
#define SIGN_IN_COOKIE_LEN 40
#define SIGN_IN_LIFE_S     (12 * 3600)

// In a transaction: signs a browser in as the account that the token is of (svc/auth.h), and out of
// what it was signed in to by `before` (NULL: nothing). Errors are those of auth_token_find.
int sign_in_by_token(struct db_session *txn, const struct secret *secret, const char *token,
                     const char *before, char ret_cookie[SIGN_IN_COOKIE_LEN + 1],
                     struct err *err) MUST_USE;
// Whose browser it is. ERR_UNAUTHORIZED if the cookie is nobody's, or its account is banned or
// deleted.
int sign_in_find(struct db_session *session, const struct secret *secret, const char *cookie,
                 struct uuid *ret_account_id, struct err *err) MUST_USE;
// In a transaction: the cookie is nobody's from now on. One that was nobody's is no error.
int sign_in_end(struct db_session *txn, const struct secret *secret, const char *cookie,
                struct err *err) MUST_USE;
// In a transaction: all browsers of the account are signed out, and no token that it has signs in.
int sign_ins_end(struct db_session *txn, const struct uuid *account_id, struct err *err) MUST_USE;

// What a form of a signed-in browser's page is to send back, which no other site can know.
void sign_in_mark(const struct secret *secret, const char *cookie,
                  char out[SECRET_HASH_TEXT_LEN + 1]);

#endif
