// SPDX-License-Identifier: AGPL-3.0-or-later
// An account's address: changing it (api-v1 3.7), and proving that its mail is read (9.1).
#ifndef SVC_ACCOUNT_EMAIL_H
#define SVC_ACCOUNT_EMAIL_H

#include "base/limits.h"
#include "svc/passwords.h"
#include "svc/svc.h"

struct email_change {
    // in
    struct caller caller;
    const char *account_id, *email_address, *password;
    const char *client; // network address
    struct loop *loop;
    void (*done)(struct email_change *change);
    // out; errors have the contract's texts
    int rc;
    struct err err;
    // the service's
    struct svc *svc;
    char email[LIMIT_EMAIL + 1];
    char old_hash[PASSWORD_HASH_SIZE];
    char new_hash[PASSWORD_HASH_SIZE]; // "" unless the account had no password and gets one
    bool verified;
    struct work work;
    struct db_write write;
};
void email_change(struct svc *svc, struct db_session *session, struct email_change *change);

#define EMAIL_TOKEN_LEN 16

// In a transaction: what the link in a mail to this address of the account is to hold. The same as
// before while it is still good and the address the same.
int email_challenge(struct db_session *txn, const struct uuid *account_id,
                    const char *email_address, char token[EMAIL_TOKEN_LEN + 1],
                    struct err *err) MUST_USE;
// In a transaction: a mail with the link to the account's address, unless that is verified already;
// with `welcome` the one that new accounts get. ERR_INVALID if the account has no address or one
// that no mail is sent to, ERR_RATE_LIMITED. The mailer is to be told (mail_wake).
int email_challenge_send(struct db_session *txn, const struct svc *svc,
                         const struct uuid *account_id, bool welcome, struct err *err) MUST_USE;
// Whether address and token go together, now: 0, or ERR_NOT_FOUND with a text for the reader.
int email_challenge_check(struct db_session *session, const char *email_address, const char *token,
                          struct err *err) MUST_USE;
// In a transaction: the address is verified, and the link used up. ERR_NOT_FOUND as above.
int email_verify(struct db_session *txn, const char *email_address, const char *token,
                 struct err *err) MUST_USE;
// In a transaction: the account's address is its owner's, who holds what was sent there.
int email_prove(struct db_session *txn, const struct uuid *account_id, const char *email_address,
                struct err *err) MUST_USE;

#endif
