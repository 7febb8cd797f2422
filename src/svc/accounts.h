// SPDX-License-Identifier: AGPL-3.0-or-later
// Accounts: creating, finding, naming, banning, deleting.
#ifndef SVC_ACCOUNTS_H
#define SVC_ACCOUNTS_H

#include "base/limits.h"
#include "base/mem.h"
#include "svc/client_network.h"
#include "svc/keys.h"
#include "svc/passwords.h"
#include "svc/svc.h"

// ---- Names (api-v1 3.1) ----

struct account_name {
    const char *first_name, *last_name; // NULL when not set; in the arena
};
// 1: found; 0: no such account; negative: an error.
int account_name_get(struct db_session *session, const struct uuid *account_id, struct arena *arena,
                     struct account_name *ret_name, struct err *err) MUST_USE;

// ---- Creating (api-v1 3.2) ----

// What is wrong with a new account: texts by field, NULL where nothing is.
struct account_refusal {
    const char *agreed_to_terms, *email_address, *password, *token;
    char other[600];
};
bool account_refused(const struct account_refusal *refusal);

struct account_create {
    // in; NULL where not given. Strings are the caller's until `done`.
    const char *first_name, *last_name, *email_address, *password, *token, *usage_intent;
    // Network address, NULL: the command line, which no limit or site rule holds up.
    const char *created_by;
    const char *caller;       // who asks, NULL: the command line
    bool password_is_no_text; // something else was sent; `password` is NULL
    bool get_api_key, admin, gold_caller;
    bool address_proved; // the address is theirs: they hold what was sent there
    bool terms_declined; // that is, the person said no; saying nothing is not held against anybody
    // In the transaction, once the account is there; if it fails, the account is not. May be NULL.
    int (*then)(struct db_session *txn, struct account_create *create, struct err *err);
    struct loop *loop;
    void (*done)(struct account_create *create);
    // out
    int rc; // 0: created or refused
    struct err err;
    struct account_refusal refusal;
    struct uuid account_id;
    char api_key[KEY_TEXT_SIZE]; // if asked for
    // the service's
    struct svc *svc;
    char email[LIMIT_EMAIL + 1], hash[PASSWORD_HASH_SIZE];
    char network[CLIENT_NETWORK_SIZE]; // of created_by
    char owner[CLIENT_NETWORK_SIZE];   // of the hash
    bool mailed;
    struct work work;
    struct db_write write;
};
// Checks, hashes the password on a worker, and creates the account in one transaction. `session` is
// for the cheap checks now.
void account_create(struct svc *svc, struct db_session *session, struct account_create *create);
// The same, waiting; for the command line.
int account_create_now(struct svc *svc, struct account_create *create) MUST_USE;

// True for an address that mail can be sent to by its syntax (api-v1 2.4).
bool email_address_valid(const char *email_address);

// ---- Looking after accounts ----

// The account that an id or an email address names. ERR_NOT_FOUND.
int account_find(struct db_session *session, const char *who, struct uuid *ret_account_id,
                 struct err *err) MUST_USE;
// The same, of those that are not deleted.
int account_find_living(struct db_session *session, const char *who, struct uuid *ret_account_id,
                        struct err *err) MUST_USE;
// Whether there is one that is not deleted.
int account_exists(struct db_session *session, const struct uuid *account_id, bool *ret_exists,
                   struct err *err) MUST_USE;
// Appends one JSON object with what an administrator may see of the account. ERR_NOT_FOUND.
int account_show(struct db_session *session, const struct uuid *account_id, struct buf *out,
                 struct err *err) MUST_USE;
// Appends a JSON array of accounts whose address or names contain the text (NULL: all), newest
// first, 1000 at most.
int account_list(struct db_session *session, const char *search, struct buf *out,
                 struct err *err) MUST_USE;

// In a transaction. ERR_NOT_FOUND.
int account_ban(struct db_session *txn, const struct uuid *account_id, bool banned,
                struct err *err) MUST_USE;
// Who becomes an administrator is signed out everywhere, since others may have tokens.
int account_admin(struct db_session *txn, const struct uuid *account_id, bool admin,
                  struct err *err) MUST_USE;
// Marks it deleted, frees its address, and nobody finds its names any more (api-v1 3.3). Deleting
// twice changes nothing further.
int account_delete(struct db_session *txn, const struct uuid *account_id, struct err *err) MUST_USE;
// As account_delete, by somebody who may delete only the own account, or as an administrator all;
// ERR_FORBIDDEN. One that is deleted already, or never existed, is as good as deleted.
int account_delete_by(struct db_session *txn, const struct caller *caller,
                      const struct uuid *account_id, struct err *err) MUST_USE;
// "": it has no password. ERR_NOT_FOUND, also of one that is deleted.
int account_password_get(struct db_session *session, const struct uuid *account_id,
                         char ret_hash[PASSWORD_HASH_SIZE], struct err *err) MUST_USE;
// In a transaction, as the rest. Also ends what signs a browser in (api-v1 2.5).
int account_password_set(struct db_session *txn, const struct uuid *account_id, const char *hash,
                         struct err *err) MUST_USE;
// The same if the hash is still `old_hash` ("": none), else ERR_CONFLICT.
int account_password_replace(struct db_session *txn, const struct uuid *account_id,
                             const char *old_hash, const char *hash, struct err *err) MUST_USE;
// Takes the identity ID of a provider from the account; nothing happens if it has none such (api-v1
// 3.8).
int account_passport_unlink(struct db_session *txn, const struct uuid *account_id,
                            const char *strategy, const char *id, struct err *err) MUST_USE;

// Notes that the account is in use, at most every 120 s (api-v1 1.8).
void account_mark_active(struct svc *svc, const struct uuid *account_id);

#endif
