// SPDX-License-Identifier: AGPL-3.0-or-later
// New passwords: from somebody who knows the present one (api-v1 3.4), or who has a code that was
// sent to the account's address (3.5, 3.6). Hashes are made and compared on a worker.
#ifndef SVC_ACCOUNT_PASSWORD_H
#define SVC_ACCOUNT_PASSWORD_H

#include "base/limits.h"
#include "svc/client_network.h"
#include "svc/passwords.h"
#include "svc/svc.h"

// ---- change_password ----

struct password_change {
    // in
    struct caller caller;
    const char *account_id, *old_password;
    const char *new_password; // NULL: what was sent is no text
    const char *client;       // network address
    struct loop *loop;
    void (*done)(struct password_change *change);
    // out: ERR_FORBIDDEN is a wrong old password, ERR_RATE_LIMITED one too many
    int rc;
    struct err err;
    const char *new_problem; // what is wrong with the new password, NULL: nothing
    // the service's
    struct svc *svc;
    char old_hash[PASSWORD_HASH_SIZE], new_hash[PASSWORD_HASH_SIZE];
    bool verified;
    struct work work;
    struct db_write write;
};
void password_change(struct svc *svc, struct db_session *session, struct password_change *change);

// ---- forgot_password ----

struct password_forgot {
    // in
    const char *email_address;
    const char *client; // network address
    struct loop *loop;
    void (*done)(struct password_forgot *forgot);
    // out; errors have the contract's texts
    int rc;
    struct err err;
    // the service's
    struct svc *svc;
    char email[LIMIT_EMAIL + 1];
    char network[CLIENT_NETWORK_SIZE];
    int refused;
    struct err refusal;
    struct db_write write;
};
// Notes the attempt, makes a code that lives an hour and puts the mail with it into the queue. An
// address without an account gets the same reply after the same writes, so that neither tells
// whether there is one; unless site.reveal_accounts is set.
void password_forgot(struct svc *svc, struct password_forgot *forgot);

// ---- reset_forgot_password ----

struct password_reset {
    // in
    const char *reset_code;
    const char *new_password; // NULL: what was sent is no text
    const char *asker;        // who waits for the hash: an account or a network address
    const char *client;       // network address
    struct loop *loop;
    void (*done)(struct password_reset *reset);
    // out; errors have the contract's texts
    int rc;
    struct err err;
    // the service's
    struct svc *svc;
    struct uuid code;
    char owner[CLIENT_NETWORK_SIZE]; // of the hash
    char hash[PASSWORD_HASH_SIZE];
    struct work work;
    struct db_write write;
};
void password_reset(struct svc *svc, struct db_session *session, struct password_reset *reset);
// In a transaction: a code that lives a day and is sent to nobody. ERR_INVALID with the contract's
// text for an account without an address (hub-rpc 3).
int password_reset_link(struct db_session *txn, const struct uuid *account_id,
                        struct uuid *ret_code, struct err *err) MUST_USE;
// Whether a code could be used now: 0, or ERR_NOT_FOUND with the contract's text.
int password_reset_check(struct db_session *session, const char *reset_code,
                         struct err *err) MUST_USE;

#endif
