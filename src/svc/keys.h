// SPDX-License-Identifier: AGPL-3.0-or-later
// API keys: the old kind (`sk_` and 24 characters, one an account, can be shown again) and the
// present one (`sk-` and 22 characters, any number, shown once, with a name, an expiry and perhaps
// a project). Both are found by their keyed hash: how long that takes tells nothing of any key, as
// whoever guesses cannot choose the hash. Implements api-v1 section 8.1 and hub-rpc section 8.
#ifndef SVC_KEYS_H
#define SVC_KEYS_H

#include "svc/svc.h"

#define KEY_TEXT_SIZE 32
#define KEY_NAME_MAX  128 // characters

enum key_status { KEY_UNKNOWN, KEY_BANNED, KEY_VALID };

struct key_owner {
    enum key_status status;
    struct caller caller;
    struct uuid project_id; // "" unless the key is for one project only
    int64_t expires_ms;     // INT64_MAX: never
    int64_t id;
};

// Whose key it is. Unknown keys and those of deleted accounts are KEY_UNKNOWN; so are expired ones
// and those of projects that their creator has left, which are deleted soon after.
int key_resolve(struct svc *svc, struct db_session *session, const char *key,
                struct key_owner *ret_owner, struct err *err) MUST_USE;
// Notes that the key was accepted, at most once a minute. Waits for nothing; any thread.
void key_mark_active(struct svc *svc, const struct key_owner *owner);

// In a transaction: the account's `sk_` key, made if it has none, or a new one in place of the old.
int key_v1_get(struct db_session *txn, const struct secret *secret, const struct uuid *account_id,
               bool regenerate, char out[KEY_TEXT_SIZE], struct err *err) MUST_USE;

// ---- Keys of the present form ----

struct key_options {
    const char *name;              // NULL: none
    const struct uuid *project_id; // NULL: the whole account
    int64_t expires_ms;            // 0: never
};
// In a transaction: a new `sk-` key. ERR_INVALID for a name that is too long; ERR_NOT_FOUND if
// there is no such account or project, ERR_FORBIDDEN if the account is no collaborator of it,
// ERR_CONFLICT if it has as many keys as it may.
int key_v2_create(struct db_session *txn, const struct secret *secret,
                  const struct uuid *account_id, const struct key_options *options, int64_t *ret_id,
                  char out[KEY_TEXT_SIZE], struct err *err) MUST_USE;

// Which keys somebody looks after: the account's own, or all of a project, whoever made them. Those
// of the old kind are never among them.
struct key_scope {
    struct uuid account_id;
    struct uuid project_id; // "": the account's
};
// Appends a JSON array of the scope's keys, newest first; of an account those for the whole
// account. Shape: hub-rpc 8.2.
int key_list_in(struct db_session *session, const struct key_scope *scope, struct buf *out,
                struct err *err) MUST_USE;
// Appends the members of one of them, without braces. 1: found; 0: there is none in the scope.
int key_show_in(struct db_session *session, const struct key_scope *scope, int64_t id,
                struct buf *out, struct err *err) MUST_USE;

struct key_edit {
    const char *name; // NULL: stays
    bool set_expire;
    int64_t expires_ms; // 0: never
};
// In a transaction. ERR_NOT_FOUND, ERR_INVALID.
int key_edit_in(struct db_session *txn, const struct key_scope *scope, int64_t id,
                const struct key_edit *edit, struct err *err) MUST_USE;
// In a transaction. One that is not there is deleted already.
int key_delete_in(struct db_session *txn, const struct key_scope *scope, int64_t id,
                  struct err *err) MUST_USE;

// In a transaction: the account's keys of a project go if it is no collaborator of it any more.
int keys_leave_project(struct db_session *txn, const struct uuid *project_id,
                       const struct uuid *account_id, struct err *err) MUST_USE;

// ---- All keys, for the command line ----

// In a transaction. ERR_NOT_FOUND if there is no such key.
int key_delete(struct db_session *txn, int64_t id, struct err *err) MUST_USE;
// Appends a JSON array of the account's keys, without the keys themselves.
int key_list(struct db_session *session, const struct uuid *account_id, struct buf *out,
             struct err *err) MUST_USE;

#endif
