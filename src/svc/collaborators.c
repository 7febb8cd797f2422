// SPDX-License-Identifier: AGPL-3.0-or-later
#include "svc/collaborators.h"

#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "db/query.h"

int collaborator_add(struct db_session *txn, const struct uuid *project_id,
                     const struct uuid *account_id, struct err *err)
{
    static const struct db_stmt find = {
        "SELECT 1 FROM accounts WHERE account_id = $1 AND deleted = 0"};
    static const struct db_stmt add = {
        "INSERT INTO project_users (project_id, account_id, \"group\")"
        " SELECT project_id, $2, 'collaborator' FROM projects WHERE project_id = $1"
        " ON CONFLICT (project_id, account_id) DO UPDATE SET \"group\" = 'collaborator'"
        " WHERE project_users.\"group\" <> 'owner'"};
    int64_t exists = 0;
    int rc = db_query_int(txn, &find, DB_ARGS(DB_TEXT(account_id->text)), &exists, err);
    if (rc)
        return rc;
    if (!exists)
        return err_set(err, ERR_NOT_FOUND, "account %s does not exist", account_id->text);
    return db_exec(txn, &add, DB_ARGS(DB_TEXT(project_id->text), DB_TEXT(account_id->text)), NULL,
                   err);
}

int collaborator_remove(struct db_session *txn, const struct uuid *project_id,
                        const struct uuid *account_id, struct err *err)
{
    static const struct db_stmt remove = {
        "DELETE FROM project_users WHERE project_id = $1 AND account_id = $2 AND \"group\" <> "
        "'owner'"};
    return db_exec(txn, &remove, DB_ARGS(DB_TEXT(project_id->text), DB_TEXT(account_id->text)),
                   NULL, err);
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
                       const char *email_address, int64_t now, struct err *err)
{
    static const struct db_stmt find = {"SELECT action FROM account_creation_actions WHERE "
                                        "email_address = $1 AND done = 0 AND expire > $2"};
    auto_rows struct db_rows *rows = NULL;
    int rc = db_query(txn, &find, DB_ARGS(DB_TEXT(email_address), DB_INT(now)), &rows, err);
    if (rc)
        return rc;
    while ((rc = db_rows_next(rows, err)) == 1) {
        rc = run_action(txn, account_id, db_rows_text(rows, 0), err);
        if (rc)
            return rc;
    }
    return rc;
}

int creation_actions_run(struct db_session *txn, const struct uuid *account_id,
                         const char *email_address, struct err *err)
{
    static const struct db_stmt settle = {
        "UPDATE account_creation_actions SET done = 1 WHERE email_address = $1 AND expire > $2"};
    static const struct db_stmt mark = {
        "UPDATE accounts SET creation_actions_done = 1 WHERE account_id = $1"};
    int64_t now = clock_now_ms();
    int rc = run_actions(txn, account_id, email_address, now, err);
    if (!rc)
        rc = db_exec(txn, &settle, DB_ARGS(DB_TEXT(email_address), DB_INT(now)), NULL, err);
    if (!rc)
        rc = db_exec(txn, &mark, DB_ARGS(DB_TEXT(account_id->text)), NULL, err);
    return rc;
}
