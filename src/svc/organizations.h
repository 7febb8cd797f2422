// SPDX-License-Identifier: AGPL-3.0-or-later
// Organizations (user-query 12.15, hub-rpc 2.8). An account belongs to one at most: accounts.org is
// its name, and there need not be one of that name. Its administrators are listed in
// admin_account_ids, and are members as long as they are; those whom `users` names may change what
// it says of itself by queries.
//
// Texts of errors are the contract's, without a class before them.
#ifndef SVC_ORGANIZATIONS_H
#define SVC_ORGANIZATIONS_H

#include "svc/accounts.h"
#include "svc/auth.h"
#include "svc/project.h"
#include "svc/svc.h"

// Whether the caller may look after the organization: one of its administrators, or of the site's,
// for whom it need not exist. ERR_FORBIDDEN.
int organization_check_admin(struct db_session *session, const struct caller *caller,
                             const char *name, struct err *err) MUST_USE;

// ---- Reading ----

// Appends an array of all, or the one as an object (ERR_NOT_FOUND), or an array of its members.
// ERR_TOO_LARGE if that is more than LIMIT_QUERY_RESULT.
int organization_list(struct db_session *session, struct buf *out, struct err *err) MUST_USE;
int organization_show(struct db_session *session, const char *name, struct buf *out,
                      struct err *err) MUST_USE;
int organization_members(struct db_session *session, const char *name, struct buf *out,
                         struct err *err) MUST_USE;

// ---- In a transaction, for queries ----

// Whether an account or another organization than `own_id` (an account's or organization's; NULL:
// nobody's) has the name, in whatever case.
int organization_name_taken(struct db_session *txn, const char *name, const struct uuid *own_id,
                            bool *ret_taken, struct err *err) MUST_USE;
// Whether the organization is there and names the account as one of its users.
int organization_has_user(struct db_session *txn, const struct uuid *organization_id,
                          const struct uuid *account_id, bool *ret_has, struct err *err) MUST_USE;
// Takes the members along to a new name, before it is written.
int organization_rename(struct db_session *txn, const struct uuid *organization_id,
                        const char *name, struct err *err) MUST_USE;

// ---- Transactions; `arg` is what the comment names, whose strings are the caller's ----

// ERR_FORBIDDEN wherever the caller may not.

// ERR_INVALID for a name that is empty or too long, ERR_CONFLICT for one that is taken.
struct organization_create {
    struct caller caller;
    const char *name;
    struct uuid id; // out
};
int organization_create(struct db_session *txn, void *arg, struct err *err) MUST_USE;

// What is NULL stays. Nothing happens if it does not exist. ERR_TOO_LARGE.
struct organization_change {
    struct caller caller;
    const char *name;
    const char *title, *description, *link, *email_address;
};
int organization_change(struct db_session *txn, void *arg, struct err *err) MUST_USE;

// `user` is an account id or an address. ERR_NOT_FOUND.
struct organization_user {
    struct caller caller;
    const char *name, *user;
};
// ERR_CONFLICT for a member of another organization.
int organization_admin_add(struct db_session *txn, void *arg, struct err *err) MUST_USE;
int organization_admin_remove(struct db_session *txn, void *arg, struct err *err) MUST_USE;
// Also out of another organization, and its administrators. There need not be one of that name.
int organization_user_add(struct db_session *txn, void *arg, struct err *err) MUST_USE;
// ERR_CONFLICT for an administrator. Nothing happens to whoever is no member.
int organization_user_remove(struct db_session *txn, void *arg, struct err *err) MUST_USE;

// A token that signs a browser in as a member. ERR_NOT_FOUND for who is none. For administrators
// of the site only those can make one.
struct organization_token {
    struct caller caller;
    const struct secret *secret;
    const char *user;
    int64_t life_ms;
    char token[AUTH_TOKEN_LEN + 1]; // out
};
int organization_token_issue(struct db_session *txn, void *arg, struct err *err) MUST_USE;

// ---- In several steps ----

// Makes an account that belongs to the organization, and a first project unless it is invited to
// others. NULL for what is not given; strings are the caller's until `done`.
struct organization_user_create {
    // in
    struct caller caller;
    const char *name, *email_address, *first_name, *last_name, *password;
    const char *client; // network address
    struct loop *loop;
    void (*done)(struct organization_user_create *create);
    // out
    int rc;
    struct err err;
    struct uuid account_id;
    // the service's
    struct svc *svc;
    bool has_project;
    char made_password[25]; // base64
    struct account_create account;
    struct project_create project;
};
void organization_user_create(struct svc *svc, struct db_session *session,
                              struct organization_user_create *create);

// Sends all members one message, as several with LIMIT_MESSAGE_RECIPIENTS recipients each where
// there are more. Strings are the caller's until `done`. Texts of errors are those of messages.
struct organization_message {
    // in
    struct uuid from_id;
    const char *name, *subject, *body;
    struct loop *loop;
    void (*done)(struct organization_message *message);
    // out
    int rc;
    struct err err;
    // the service's
    struct svc *svc;
    struct uuid last_id, part_last_id; // of the members who have it
    size_t part_count;
    bool continues;
    struct db_write write;
};
void organization_message(struct svc *svc, struct organization_message *message);

#endif
