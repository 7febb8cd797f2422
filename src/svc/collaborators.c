// SPDX-License-Identifier: AGPL-3.0-or-later
#include "svc/collaborators.h"

#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "db/query.h"
#include "svc/accounts.h"
#include "svc/collaborator_notes.h"
#include "svc/keys.h"
#include "svc/row_json.h"

#define ACTION_LIFE_MS (14 * CLOCK_DAY_MS)

static int check_account(struct db_session *session, const struct uuid *account_id, struct err *err)
{
    bool exists;
    int rc = account_exists(session, account_id, &exists, err);
    return rc || exists
               ? rc
               : err_set(err, ERR_NOT_FOUND, "account %s does not exist", account_id->text);
}

static int add_user(struct db_session *txn, const struct uuid *project_id,
                    const struct uuid *account_id, struct err *err)
{
    static const struct db_stmt add = {
        "INSERT INTO project_users (project_id, account_id, \"group\")"
        " SELECT project_id, $2, 'collaborator' FROM projects WHERE project_id = $1"
        " ON CONFLICT (project_id, account_id) DO UPDATE SET \"group\" = 'collaborator'"
        " WHERE project_users.\"group\" <> 'owner'"};
    db_notify_row(txn, DB_TOPIC_PROJECTS, project_id->text);
    return db_exec(txn, &add, DB_ARGS(DB_TEXT(project_id->text), DB_TEXT(account_id->text)), NULL,
                   err);
}

int collaborator_add(struct db_session *txn, const struct uuid *project_id,
                     const struct uuid *account_id, struct err *err)
{
    int rc = check_account(txn, account_id, err);
    return rc ? rc : add_user(txn, project_id, account_id, err);
}

int collaborator_remove(struct db_session *txn, const struct caller *caller,
                        const struct uuid *project_id, const struct uuid *account_id,
                        struct err *err)
{
    static const struct db_stmt remove = {
        "DELETE FROM project_users WHERE project_id = $1 AND account_id = $2 AND \"group\" <> "
        "'owner'"};
    db_notify_row(txn, DB_TOPIC_PROJECTS, project_id->text);
    int64_t changed = 0;
    int rc = db_exec(txn, &remove, DB_ARGS(DB_TEXT(project_id->text), DB_TEXT(account_id->text)),
                     &changed, err);
    if (!rc && changed)
        rc = collaborator_note_removed(txn, &caller->account_id, project_id, account_id, err);
    return rc ? rc : keys_leave_project(txn, project_id, account_id, err);
}

// ---- What waits for somebody to have an address ----

// {"action":"add_to_project","group":"collaborator","project_id":…}. Anything else is nothing that
// this version knows, and nobody's account fails for it.
static int run_action(struct db_session *txn, const struct uuid *account_id, const char *action,
                      struct err *err)
{
    auto_json cJSON *parsed = cJSON_Parse(action);
    const char *name = json_get_str(parsed, "action"), *group = json_get_str(parsed, "group");
    const char *project = json_get_str(parsed, "project_id");
    struct uuid project_id;
    if (!name || strcmp(name, "add_to_project") || !group || strcmp(group, "collaborator") ||
        !project || !uuid_parse(project, strlen(project), &project_id))
        return 0;
    return collaborator_add(txn, &project_id, account_id, err);
}

static int run_actions(struct db_session *txn, const struct uuid *account_id,
                       const char *email_address, struct err *err)
{
    static const struct db_stmt find = {"SELECT action FROM account_creation_actions WHERE "
                                        "email_address = $1 AND done = 0"};
    auto_rows struct db_rows *rows = NULL;
    int rc = db_query(txn, &find, DB_ARGS(DB_TEXT(email_address)), &rows, err);
    if (rc)
        return rc;
    while ((rc = db_rows_next(rows, err)) == 1) {
        rc = run_action(txn, account_id, db_rows_text(rows, 0), err);
        if (rc)
            return rc;
    }
    return rc;
}

static int drop_expired(struct db_session *txn, int64_t now, struct err *err)
{
    static const struct db_stmt drop = {"DELETE FROM account_creation_actions WHERE expire <= $1"};
    return db_exec(txn, &drop, DB_ARGS(DB_INT(now)), NULL, err);
}

int creation_actions_run(struct db_session *txn, const struct uuid *account_id,
                         const char *email_address, struct err *err)
{
    static const struct db_stmt settle = {
        "UPDATE account_creation_actions SET done = 1 WHERE email_address = $1"};
    static const struct db_stmt mark = {
        "UPDATE accounts SET creation_actions_done = 1 WHERE account_id = $1"};
    int rc = drop_expired(txn, clock_now_ms(), err);
    if (!rc)
        rc = run_actions(txn, account_id, email_address, err);
    if (!rc)
        rc = db_exec(txn, &settle, DB_ARGS(DB_TEXT(email_address)), NULL, err);
    if (!rc)
        rc = db_exec(txn, &mark, DB_ARGS(DB_TEXT(account_id->text)), NULL, err);
    return rc;
}

// The id of the action that waits already. 1: there is one.
static int find_action(struct db_session *txn, const char *email_address, const char *action,
                       struct uuid *ret_id, struct err *err)
{
    static const struct db_stmt find = {"SELECT id FROM account_creation_actions WHERE "
                                        "email_address = $1 AND action = $2 AND done = 0"};
    auto_rows struct db_rows *rows = NULL;
    int rc = db_query_row(txn, &find, DB_ARGS(DB_TEXT(email_address), DB_TEXT(action)), &rows, err);
    return rc == 1 ? uuid_parse(db_rows_text(rows, 0), db_rows_size(rows, 0), ret_id) : rc;
}

int creation_action_add(struct db_session *txn, const struct uuid *project_id,
                        const char *email_address, struct uuid *ret_id, struct err *err)
{
    static const struct db_stmt put = {
        "INSERT INTO account_creation_actions (id, email_address, action, expire, done)"
        " VALUES ($1, $2, $3, $4, 0) ON CONFLICT (id) DO UPDATE SET expire = excluded.expire"};
    int64_t now = clock_now_ms();
    auto_free char *action = mem_printf(
        "{\"action\":\"add_to_project\",\"group\":\"collaborator\",\"project_id\":\"%s\"}",
        project_id->text);
    struct uuid id = uuid_new();
    int rc = drop_expired(txn, now, err);
    if (!rc)
        rc = find_action(txn, email_address, action, &id, err);
    if (rc < 0)
        return rc;
    *ret_id = id;
    return db_exec(txn, &put,
                   DB_ARGS(DB_TEXT(id.text), DB_TEXT(email_address), DB_TEXT(action),
                           DB_INT(now + ACTION_LIFE_MS)),
                   NULL, err);
}

// ---- Invite tokens ----

static int check_tokens(struct db_session *txn, const struct uuid *project_id, struct err *err)
{
    static const struct db_stmt count = {
        "SELECT count(*) FROM project_invite_tokens WHERE project_id = $1"};
    int64_t tokens = 0;
    int rc = db_query_int(txn, &count, DB_ARGS(DB_TEXT(project_id->text)), &tokens, err);
    return rc || tokens <= LIMIT_INVITE_TOKENS
               ? rc
               : err_set(err, ERR_TOO_LARGE, "a project has at most %d invite tokens",
                         LIMIT_INVITE_TOKENS);
}

int project_invite_token_set(struct db_session *txn, const struct project_invite_token *token,
                             struct err *err)
{
    static const struct db_stmt put = {
        "INSERT INTO project_invite_tokens (token, project_id, created, expires, usage_limit)"
        " SELECT $1, project_id, $3, $4, $5 FROM projects WHERE project_id = $2"
        " ON CONFLICT (token) DO UPDATE SET created = coalesce($3, project_invite_tokens.created),"
        " expires = coalesce($4, project_invite_tokens.expires),"
        " usage_limit = coalesce($5, project_invite_tokens.usage_limit)"
        " WHERE project_invite_tokens.project_id = excluded.project_id"};
    static const struct db_stmt find = {"SELECT 1 FROM project_invite_tokens WHERE token = $1"};
    size_t size = strlen(token->token);
    int64_t changed = 0, taken = 0;
    if (!size || utf8_utf16_len(token->token, size) > LIMIT_INVITE_TOKEN)
        return err_set(err, ERR_INVALID, "an invite token has 1 to %d characters",
                       LIMIT_INVITE_TOKEN);
    int rc = db_exec(txn, &put,
                     DB_ARGS(DB_TEXT(token->token), DB_TEXT(token->project_id.text),
                             token->created_given ? DB_INT(token->created) : DB_NULL,
                             token->expires_given ? DB_INT(token->expires) : DB_NULL,
                             token->usage_limit_given ? DB_INT(token->usage_limit) : DB_NULL),
                     &changed, err);
    if (!rc && changed)
        rc = check_tokens(txn, &token->project_id, err);
    if (rc || changed)
        return rc;
    rc = db_query_int(txn, &find, DB_ARGS(DB_TEXT(token->token)), &taken, err);
    if (rc)
        return rc;
    return taken ? err_set(err, ERR_CONFLICT, "the token belongs to another project")
                 : err_set(err, ERR_NOT_FOUND, "no project %s", token->project_id.text);
}

int project_invite_token_show(struct db_session *session, const char *token, struct buf *out,
                              struct err *err)
{
    static const struct db_stmt find = {"SELECT project_id, created, expires, usage_limit, counter "
                                        "FROM project_invite_tokens WHERE token = $1"};
    auto_rows struct db_rows *rows = NULL;
    int rc = db_query_row(session, &find, DB_ARGS(DB_TEXT(token)), &rows, err);
    if (rc != 1)
        return rc ? rc : err_set(err, ERR_NOT_FOUND, "no invite token %.200s", token);
    json_begin_object(out);
    json_member_str(out, "token", token);
    json_member_str(out, "project_id", db_rows_text(rows, 0));
    row_member(out, "created", ROW_TIME, rows, 1);
    row_member(out, "expires", ROW_TIME, rows, 2);
    row_member(out, "usage_limit", ROW_INTEGER, rows, 3);
    json_member_int(out, "counter", db_rows_int(rows, 4));
    json_end_object(out);
    return 0;
}

static int used_up(int64_t usage_limit, struct err *err)
{
    return err_set(err, ERR_FORBIDDEN,
                   COLLABORATORS_TOKEN_REFUSED "the token can only be used %lld times",
                   (long long)usage_limit);
}

// A token that can be used now.
struct valid_token {
    struct uuid project_id;
    int64_t usage_limit;
};

static int find_token(struct db_session *txn, const char *token, struct valid_token *ret_token,
                      struct err *err)
{
    static const struct db_stmt find = {"SELECT project_id, expires, usage_limit, counter FROM "
                                        "project_invite_tokens WHERE token = $1"};
    auto_rows struct db_rows *rows = NULL;
    int rc = db_query_row(txn, &find, DB_ARGS(DB_TEXT(token)), &rows, err);
    if (rc != 1)
        return rc ? rc : err_set(err, ERR_NOT_FOUND, COLLABORATORS_TOKEN_REFUSED);
    if (!db_rows_null(rows, 1) && db_rows_int(rows, 1) <= clock_now_ms())
        return err_set(err, ERR_FORBIDDEN, COLLABORATORS_TOKEN_REFUSED "the token already expired");
    if (!db_rows_null(rows, 2) && db_rows_int(rows, 3) >= db_rows_int(rows, 2))
        return used_up(db_rows_int(rows, 2), err);
    ret_token->usage_limit = db_rows_int(rows, 2);
    uuid_parse(db_rows_text(rows, 0), db_rows_size(rows, 0), &ret_token->project_id);
    return 0;
}

// Several may have found it valid; it counts who comes first.
static int use_token(struct db_session *txn, const char *text, const struct valid_token *token,
                     struct err *err)
{
    static const struct db_stmt use = {
        "UPDATE project_invite_tokens SET counter = counter + 1 WHERE "
        "token = $1 AND (usage_limit IS NULL OR counter < usage_limit)"};
    int64_t changed = 0;
    int rc = db_exec(txn, &use, DB_ARGS(DB_TEXT(text)), &changed, err);
    return rc || changed ? rc : used_up(token->usage_limit, err);
}

// ---- Many at once ----

static int is_user(struct db_session *txn, const struct uuid *project_id,
                   const struct uuid *account_id, int64_t *ret_is_user, struct err *err)
{
    static const struct db_stmt find = {
        "SELECT 1 FROM project_users WHERE project_id = $1 AND account_id = $2"};
    return db_query_int(txn, &find, DB_ARGS(DB_TEXT(project_id->text), DB_TEXT(account_id->text)),
                        ret_is_user, err);
}

static int add_pair(struct db_session *txn, struct collaborators_add *add, size_t i,
                    struct err *err)
{
    struct valid_token token = {0};
    struct uuid account_id = {0};
    int64_t user = 0;
    uuid_parse(add->accounts[i], strlen(add->accounts[i]), &account_id);
    if (!add->tokens)
        uuid_parse(add->projects[i], strlen(add->projects[i]), &token.project_id);
    int rc = add->tokens ? find_token(txn, add->tokens[i], &token, err) : 0;
    if (rc)
        return rc;
    add->project_ids[i] = token.project_id;
    rc = is_user(txn, &token.project_id, &account_id, &user, err);
    if (rc || user)
        return rc;
    rc = check_account(txn, &account_id, err);
    if (!rc && add->tokens)
        rc = use_token(txn, add->tokens[i], &token, err);
    if (!rc)
        rc = add_user(txn, &token.project_id, &account_id, err);
    return rc ? rc
              : collaborator_note_added(txn, &add->caller.account_id, &token.project_id,
                                        &account_id, err);
}

// Whether an error is an answer to the caller, which undoes nothing.
static bool is_refusal(int rc)
{
    return rc == -ERR_INVALID || rc == -ERR_FORBIDDEN || rc == -ERR_NOT_FOUND;
}

int collaborators_add_write(struct db_session *txn, void *arg, struct err *err)
{
    struct collaborators_add *add = arg;
    add->rc = 0;
    for (size_t i = 0; i < add->accounts_count && !add->rc; i++)
        add->rc = add_pair(txn, add, i, &add->err);
    if (!add->rc || is_refusal(add->rc))
        return 0;
    *err = add->err;
    return add->rc;
}
