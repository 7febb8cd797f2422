// SPDX-License-Identifier: AGPL-3.0-or-later
// How often somebody with an account's key may be wrong about the account's password: 5 times a
// minute, 30 times an hour. The key belongs to the account, so nobody can shut out another.
#ifndef SVC_PASSWORD_FAILURES_H
#define SVC_PASSWORD_FAILURES_H

#include "svc/svc.h"

// ERR_RATE_LIMITED once too many were wrong. To be asked before a password is looked at and again
// in the transaction that acts on the outcome, so that guesses sent together count one by one.
int password_failures_check(struct db_session *session, const struct uuid *account_id,
                            struct err *err) MUST_USE;
// In a transaction.
int password_failure_note(struct db_session *txn, const struct uuid *account_id,
                          struct err *err) MUST_USE;

#endif
