// SPDX-License-Identifier: AGPL-3.0-or-later
// Who works on a project: adding, removing, inviting (api-v1 3.16 to 3.19).
#ifndef SVC_COLLABORATORS_H
#define SVC_COLLABORATORS_H

#include "base/json.h"
#include "base/mem.h"
#include "svc/svc.h"

// In a transaction: makes the account a collaborator of the project. Owners stay owners. Nothing
// happens if the project does not exist. ERR_NOT_FOUND if the account does not.
int collaborator_add(struct db_session *txn, const struct uuid *project_id,
                     const struct uuid *account_id, struct err *err) MUST_USE;
// In a transaction: takes the account off the project and notes in its log that the caller did.
// Owners and strangers are left as they are.
int collaborator_remove(struct db_session *txn, const struct caller *caller,
                        const struct uuid *project_id, const struct uuid *account_id,
                        struct err *err) MUST_USE;
// The same if the caller may do it by hub-rpc 2.2; ERR_FORBIDDEN with its text, also of an owner.
int collaborator_remove_by(struct db_session *txn, const struct caller *caller,
                           const struct uuid *project_id, const struct uuid *account_id,
                           struct err *err) MUST_USE;
// In a transaction: makes the account ("owner", "collaborator") what `group` says, if the caller is
// an owner and some other owner stays (hub-rpc 3); else ERR_FORBIDDEN or ERR_INVALID with its text.
int collaborator_group_set(struct db_session *txn, const struct caller *caller,
                           const struct uuid *project_id, const struct uuid *account_id,
                           const char *group, struct err *err) MUST_USE;

// Who writes to a project and wants to add or remove others: where its owners alone may
// (projects.manage_users_owner_only, or the setting strict_collaborator_management), they and
// administrators. ERR_FORBIDDEN with the contract's text.
int collaborators_manage_check(struct db_session *session, const struct caller *caller,
                               const struct uuid *project_id, struct err *err) MUST_USE;

// ERR_NOT_FOUND with the text of hub-rpc 2.2 if there is no such project.
int collaborators_project_check(struct db_session *session, const struct uuid *project_id,
                                struct err *err) MUST_USE;

// In a transaction: carries out what waits for somebody to have this address (api-v1 3.2, 3.7): the
// invitations that have not expired. Marks the account's creation_actions_done.
int creation_actions_run(struct db_session *txn, const struct uuid *account_id,
                         const char *email_address, struct err *err) MUST_USE;
// In a transaction: who comes to have this address within 14 days joins the project. *ret_id is the
// key to the page of the invitation; of the one that waits already, if there is one.
int creation_action_add(struct db_session *txn, const struct uuid *project_id,
                        const char *email_address, struct uuid *ret_id, struct err *err) MUST_USE;

// ---- Many at once, and by invite tokens (api-v1 3.17) ----

// What the texts about tokens begin with.
#define COLLABORATORS_TOKEN_REFUSED "Error: Project invite token is not valid - "

// Texts are as sent, and the caller's.
struct collaborators_add {
    struct caller caller;
    bool by_rpc; // with the rights and texts of hub-rpc 2.2, not those of api-v1 3.17
    const char *const *accounts; // paired by position with the tokens, or else with the projects
    size_t accounts_count;
    const char *const *projects;
    size_t projects_count;
    bool projects_given;
    const char *const *tokens; // NULL: none; an item may be NULL, which is refused
    size_t tokens_count;
    // out
    struct uuid *project_ids; // of the pairs; the caller's, room for accounts_count
    int rc;                   // of the first pair that failed; those before it stay
    struct err err;
};
// Takes the tokens from what was sent: text, or a list in which null is told apart. An empty text
// is no token. False if it is neither. The values must outlive `add`.
bool collaborators_add_tokens(struct collaborators_add *add, const cJSON *value,
                              struct arena *arena) MUST_USE;
// Whether the caller may, and whether the pairs are well formed. Fails with the contract's texts.
int collaborators_add_check(struct db_session *session, const struct collaborators_add *add,
                            struct err *err) MUST_USE;
// The transaction, once that is so; `add` is a struct collaborators_add. A member stays what it is,
// and uses up no token.
int collaborators_add_write(struct db_session *txn, void *add, struct err *err) MUST_USE;

// What is not given keeps its value.
struct project_invite_token {
    const char *token;
    struct uuid project_id;
    bool created_given, expires_given, usage_limit_given;
    int64_t created, expires, usage_limit;
};
// In a transaction: makes a token, or changes it. ERR_INVALID for a text that can be no token,
// ERR_CONFLICT if it belongs to another project, ERR_NOT_FOUND if there is no such project,
// ERR_TOO_LARGE if it has too many.
int project_invite_token_set(struct db_session *txn, const struct project_invite_token *token,
                             struct err *err) MUST_USE;
// Appends it as a JSON object: token, project_id, created, expires, usage_limit, counter.
int project_invite_token_show(struct db_session *session, const char *token, struct buf *out,
                              struct err *err) MUST_USE;

#endif
