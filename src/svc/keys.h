// SPDX-License-Identifier: AGPL-3.0-or-later
// API keys: the old kind (`sk_` and 24 characters, one an account, can be shown again) and the
// present one (`sk-` and 22 characters, any number, shown once, with a name, an expiry and perhaps
// a project). Both are found by their keyed hash. Implements api-v1 section 8.1 and hub-rpc
// section 8.1.
#ifndef SVC_KEYS_H
#define SVC_KEYS_H

#include "svc/svc.h"

#define KEY_TEXT_SIZE 32

enum key_status { KEY_UNKNOWN, KEY_BANNED, KEY_VALID };

struct key_owner {
    enum key_status status;
    struct caller caller;
    struct uuid project_id; // "" unless the key is for one project only
    int64_t expires_ms;     // INT64_MAX: never
};

// Whose key it is. Unknown keys, expired ones and those of deleted accounts are KEY_UNKNOWN.
int key_resolve(struct db_session *session, const struct secret *secret, const char *key,
                struct key_owner *ret_owner, struct err *err) MUST_USE;

// In a transaction: the account's `sk_` key, made if it has none, or a new one in place of the old.
int key_v1_get(struct db_session *txn, const struct secret *secret, const struct uuid *account_id,
               bool regenerate, char out[KEY_TEXT_SIZE], struct err *err) MUST_USE;

struct key_options {
    const char *name;              // NULL: ""
    const struct uuid *project_id; // NULL: the whole account
    int64_t expires_ms;            // 0: never
};
// In a transaction: a new `sk-` key. ERR_NOT_FOUND if the project does not exist.
int key_v2_create(struct db_session *txn, const struct secret *secret,
                  const struct uuid *account_id, const struct key_options *options, int64_t *ret_id,
                  char out[KEY_TEXT_SIZE], struct err *err) MUST_USE;

// In a transaction. ERR_NOT_FOUND if there is no such key.
int key_delete(struct db_session *txn, int64_t id, struct err *err) MUST_USE;
// Appends a JSON array of the account's keys, without the keys themselves.
int key_list(struct db_session *session, const struct uuid *account_id, struct buf *out,
             struct err *err) MUST_USE;

#endif
