// SPDX-License-Identifier: AGPL-3.0-or-later
// Rights on projects, and whom a query is run as (user-query 5, 6, 8.3).
#include <string.h>

#include "db/query.h"
#include "query/query_internal.h"

// Characters of a project id that a refusal repeats.
#define SHOWN_ID 100

static bool group_has(const char *group, enum query_right right)
{
    return !strcmp(group, "owner") || (right != QUERY_RIGHT_OWN && !strcmp(group, "collaborator"));
}

int query_project_right(struct db_session *session, const struct query_caller *caller,
                        const struct uuid *project_id, enum query_right right, bool *ret_granted,
                        bool *ret_exists, struct err *err)
{
    static const struct db_stmt find = {
        "SELECT u.\"group\" FROM projects p LEFT JOIN project_users u ON u.project_id = "
        "p.project_id AND u.account_id = $2 WHERE p.project_id = $1"};
    auto_rows struct db_rows *rows = NULL;
    int rc = db_query_row(session, &find,
                          DB_ARGS(DB_TEXT(project_id->text), DB_TEXT(caller->account_id.text)),
                          &rows, err);
    if (rc < 0)
        return rc;
    const char *group = rc ? db_rows_text(rows, 0) : NULL;
    bool itself = rc && caller->project_id.text[0] && uuid_equal(&caller->project_id, project_id);
    *ret_granted = caller->admin || itself || (group && group_has(group, right));
    if (ret_exists)
        *ret_exists = rc;
    return 0;
}

// A project as caller names itself or nothing.
static int check_same_project(const struct query_caller *caller, const struct uuid *project_id,
                              struct err *err)
{
    if (!caller->project_id.text[0] || uuid_equal(&caller->project_id, project_id))
        return 0;
    return err_set(err, ERR_FORBIDDEN, "FATAL: can only query same project");
}

int query_project_write_check(struct db_session *session, const struct query_caller *caller,
                              const cJSON *value, enum query_right right, struct uuid *ret_id,
                              struct err *err)
{
    struct uuid id;
    bool granted = false, exists = false;
    if (!query_uuid_read(value, &id)) {
        struct arena arena = {0};
        int rc = err_set(err, ERR_INVALID,
                         "postgresql error: invalid input syntax for type uuid: \"%.*s\"", SHOWN_ID,
                         query_value_text(value, &arena));
        arena_dispose(&arena);
        return rc;
    }
    int rc = check_same_project(caller, &id, err);
    if (!rc)
        rc = query_project_right(session, caller, &id, right, &granted, &exists, err);
    if (rc)
        return rc;
    if (!exists)
        return err_set(err, ERR_NOT_FOUND, "FATAL: unknown project_id '%s'", id.text);
    if (!granted)
        return err_set(err, ERR_FORBIDDEN, "FATAL: user must be an admin");
    *ret_id = id;
    return 0;
}

// Whether the groups of an account name it an administrator.
static int read_admin(struct db_session *session, const struct uuid *account_id, bool *ret_admin,
                      struct err *err)
{
    static const struct db_stmt find = {
        "SELECT \"groups\" FROM accounts WHERE account_id = $1 AND deleted = 0 AND banned = 0"};
    auto_rows struct db_rows *rows = NULL;
    int rc = db_query_row(session, &find, DB_ARGS(DB_TEXT(account_id->text)), &rows, err);
    if (rc < 0)
        return rc;
    *ret_admin = rc && json_list_has(db_rows_text(rows, 0), "admin");
    return 0;
}

int query_caller_resolve(struct db_session *session, const struct query_one *one,
                         struct query_caller *ret_caller, struct err *err)
{
    const struct query_caller *caller = &one->request->caller;
    if (!one->sudo_id.text[0]) {
        *ret_caller = *caller;
        return 0;
    }
    if (!caller->admin)
        return err_set(err, ERR_FORBIDDEN, "user must be admin to sudo");
    *ret_caller = (struct query_caller){.account_id = one->sudo_id};
    return read_admin(session, &one->sudo_id, &ret_caller->admin, err);
}
