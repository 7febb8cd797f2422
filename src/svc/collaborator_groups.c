// SPDX-License-Identifier: AGPL-3.0-or-later
// Owners and collaborators of a project, where the difference counts (hub-rpc 2.2, 3).
#include <stdio.h>
#include <string.h>

#include "db/query.h"
#include "svc/collaborator_notes.h"
#include "svc/collaborators.h"

#define GROUP_SIZE 32

// What the account is in the project, "" if nothing.
static int find_group(struct db_session *txn, const struct uuid *project_id,
                      const struct uuid *account_id, char ret_group[GROUP_SIZE], struct err *err)
{
    static const struct db_stmt find = {
        "SELECT \"group\" FROM project_users WHERE project_id = $1 AND account_id = $2"};
    auto_rows struct db_rows *rows = NULL;
    int rc = db_query_row(txn, &find, DB_ARGS(DB_TEXT(project_id->text), DB_TEXT(account_id->text)),
                          &rows, err);
    if (rc < 0)
        return rc;
    snprintf(ret_group, GROUP_SIZE, "%s", rc ? db_rows_text(rows, 0) : "");
    return 0;
}

int collaborator_remove_by(struct db_session *txn, const struct caller *caller,
                           const struct uuid *project_id, const struct uuid *account_id,
                           struct err *err)
{
    char group[GROUP_SIZE];
    int rc = find_group(txn, project_id, account_id, group, err);
    if (!rc && !strcmp(group, "owner"))
        rc = err_set(err, ERR_FORBIDDEN,
                     "OwnershipError: Cannot remove an owner. Demote to collaborator first.");
    if (!rc && !uuid_equal(account_id, &caller->account_id))
        rc = collaborators_manage_check(txn, caller, project_id, err);
    return rc ? rc : collaborator_remove(txn, caller, project_id, account_id, err);
}

// ---- Making owners of collaborators, and the other way round ----

static int check_caller(struct db_session *txn, const struct caller *caller,
                        const struct uuid *project_id, struct err *err)
{
    char group[GROUP_SIZE];
    int rc = find_group(txn, project_id, &caller->account_id, group, err);
    if (rc || !strcmp(group, "owner"))
        return rc;
    return err_set(err, ERR_FORBIDDEN, "OwnershipError: %s",
                   group[0] ? "Only project owners can change user types" : "Not a project member");
}

// At the same time another transaction may demote another: the database lets only one of them pass.
static int check_last_owner(struct db_session *txn, const struct uuid *project_id, struct err *err)
{
    static const struct db_stmt count = {
        "SELECT count(*) FROM project_users WHERE project_id = $1 AND \"group\" = 'owner'"};
    int64_t owners = 0;
    int rc = db_query_int(txn, &count, DB_ARGS(DB_TEXT(project_id->text)), &owners, err);
    if (rc || owners > 1)
        return rc;
    return err_set(err, ERR_FORBIDDEN,
                   "OwnershipError: Cannot change the last owner to collaborator. At least one "
                   "owner is required.");
}

static int write_group(struct db_session *txn, const struct uuid *project_id,
                       const struct uuid *account_id, const char *group, struct err *err)
{
    static const struct db_stmt update = {
        "UPDATE project_users SET \"group\" = $3 WHERE project_id = $1 AND account_id = $2"};
    db_notify_row(txn, DB_TOPIC_PROJECTS, project_id->text);
    return db_exec(txn, &update,
                   DB_ARGS(DB_TEXT(project_id->text), DB_TEXT(account_id->text), DB_TEXT(group)),
                   NULL, err);
}

int collaborator_group_set(struct db_session *txn, const struct caller *caller,
                           const struct uuid *project_id, const struct uuid *account_id,
                           const char *group, struct err *err)
{
    char old[GROUP_SIZE] = "";
    int rc = collaborators_project_check(txn, project_id, err);
    if (!rc)
        rc = check_caller(txn, caller, project_id, err);
    if (!rc && strcmp(group, "owner") != 0 && strcmp(group, "collaborator") != 0)
        rc = err_set(err, ERR_INVALID,
                     "OwnershipError: New group must be either 'owner' or 'collaborator'");
    if (!rc)
        rc = find_group(txn, project_id, account_id, old, err);
    if (rc)
        return rc;
    if (strcmp(old, "owner") != 0 && strcmp(old, "collaborator") != 0)
        return err_set(err, ERR_NOT_FOUND,
                       "OwnershipError: Target user is not a member of this project");
    if (!strcmp(old, group))
        return 0;
    rc = !strcmp(old, "owner") ? check_last_owner(txn, project_id, err) : 0;
    if (!rc)
        rc = write_group(txn, project_id, account_id, group, err);
    return rc ? rc
              : collaborator_note_group(txn, &caller->account_id, project_id, account_id, old,
                                        group, err);
}
