// SPDX-License-Identifier: AGPL-3.0-or-later
// Who may add people to projects. API v1 and the RPC differ in a few rights and texts.
#include <string.h>

#include "base/json.h"
#include "base/limits.h"
#include "db/query.h"
#include "svc/collaborators.h"
#include "svc/project.h"

// A setting that is yes or no, in a condition.
#define SETTING_ON(name)                                                                           \
    "EXISTS (SELECT 1 FROM server_settings s WHERE s.name = " name                                 \
    " AND s.value IN ('yes', 'true'))"
// The site lets owners alone manage the people of any project.
#define SITE_IS_STRICT SETTING_ON("'strict_collaborator_management'")
// The account $2 owns the project p.
#define OWNS_IT                                                                                    \
    "EXISTS (SELECT 1 FROM project_users u WHERE u.project_id = p.project_id"                      \
    " AND u.account_id = $2 AND u.\"group\" = 'owner')"

int collaborators_manage_check(struct db_session *session, const struct caller *caller,
                               const struct uuid *project_id, struct err *err)
{
    static const struct db_stmt find = {"SELECT 1 FROM projects p WHERE p.project_id = $1"
                                        " AND (p.manage_users_owner_only = 1 OR " SITE_IS_STRICT
                                        ") AND NOT " OWNS_IT};
    int64_t owners_only = 0;
    int rc =
        caller->admin
            ? 0
            : db_query_int(session, &find,
                           DB_ARGS(DB_TEXT(project_id->text), DB_TEXT(caller->account_id.text)),
                           &owners_only, err);
    if (rc || !owners_only)
        return rc;
    return err_set(err, ERR_FORBIDDEN,
                   "OwnershipError: Only owners can manage collaborators when this setting is "
                   "enabled");
}

bool collaborators_add_tokens(struct collaborators_add *add, const cJSON *value,
                              struct arena *arena)
{
    const bool single = cJSON_IsString(value);
    if (!value || (single && !value->valuestring[0]))
        return true;
    if (!single && !cJSON_IsArray(value))
        return false;
    const char **tokens =
        arena_alloc(arena, ((size_t)cJSON_GetArraySize(value) + 1) * sizeof *tokens);
    add->tokens = tokens;
    for (const cJSON *item = single ? value : value->child; item;
         item = single ? NULL : item->next) {
        if (!cJSON_IsString(item) && !cJSON_IsNull(item))
            return false;
        tokens[add->tokens_count++] = item->valuestring;
    }
    return true;
}

// ---- Rights by api-v1 3.17 ----

static int check_rights(struct db_session *session, const struct collaborators_add *add,
                        struct err *err)
{
    for (size_t i = 0; i < add->projects_count; i++) {
        enum project_access access = ACCESS_NONE;
        struct uuid id;
        if (!uuid_parse(add->projects[i], strlen(add->projects[i]), &id))
            return err_set(err, ERR_INVALID, "invalid project_id -- %.200s", add->projects[i]);
        int rc = project_access_get(session, &add->caller, &id, &access, err);
        if (rc)
            return rc;
        if (access != ACCESS_WRITE)
            return err_set(err, ERR_FORBIDDEN,
                           "Error: user %s does not have write access to project %s",
                           add->caller.account_id.text, id.text);
        rc = collaborators_manage_check(session, &add->caller, &id, err);
        if (rc)
            return rc;
    }
    return 0;
}

// ---- Rights by hub-rpc 2.2 ----

int collaborators_project_check(struct db_session *session, const struct uuid *project_id,
                                struct err *err)
{
    bool exists;
    int rc = project_exists(session, project_id, &exists, err);
    return rc || exists ? rc : err_set(err, ERR_NOT_FOUND, "OwnershipError: Project not found");
}

static int check_projects(struct db_session *session, const struct collaborators_add *add,
                          struct err *err)
{
    for (size_t i = 0; i < add->projects_count; i++) {
        struct uuid id;
        if (!uuid_parse(add->projects[i], strlen(add->projects[i]), &id))
            return err_set(err, ERR_INVALID, "Error: Invalid project_id: %.200s", add->projects[i]);
        int rc = collaborators_project_check(session, &id, err);
        if (!rc)
            rc = collaborators_manage_check(session, &add->caller, &id, err);
        if (rc)
            return rc;
    }
    return 0;
}

static bool adds_itself(const struct collaborators_add *add)
{
    struct uuid id;
    return add->projects_count == 1 && add->accounts_count == 1 &&
           uuid_parse(add->accounts[0], strlen(add->accounts[0]), &id) &&
           uuid_equal(&id, &add->caller.account_id);
}

// Whether the project is a part of a course, and the caller works on the project of that.
static int find_course(struct db_session *session, const struct caller *caller,
                       const struct uuid *project_id, bool *ret_course, bool *ret_works,
                       struct err *err)
{
    static const struct db_stmt find = {"SELECT course FROM projects WHERE project_id = $1"};
    enum project_access access = ACCESS_NONE;
    struct uuid course_id;
    auto_rows struct db_rows *rows = NULL;
    int rc = db_query_row(session, &find, DB_ARGS(DB_TEXT(project_id->text)), &rows, err);
    if (rc < 0)
        return rc;
    const char *text = rc ? db_rows_text(rows, 0) : NULL;
    auto_json cJSON *course = text ? cJSON_Parse(text) : NULL;
    const char *id = json_get_str(course, "project_id");
    const bool is_part = id && uuid_parse(id, strlen(id), &course_id);
    rc = is_part ? project_access_get(session, caller, &course_id, &access, err) : 0;
    *ret_course = is_part;
    *ret_works = access == ACCESS_WRITE;
    return rc;
}

// Everybody may join a sandbox project, where the site has such.
static int find_sandbox(struct db_session *session, const struct uuid *project_id,
                        int64_t *ret_sandbox, struct err *err)
{
    static const struct db_stmt find = {
        "SELECT 1 FROM projects p WHERE p.project_id = $1 AND p.sandbox = 1"
        " AND " SETTING_ON("'sandbox_projects_enabled'")};
    return db_query_int(session, &find, DB_ARGS(DB_TEXT(project_id->text)), ret_sandbox, err);
}

static int check_joining(struct db_session *session, const struct caller *caller,
                         const struct uuid *project_id, struct err *err)
{
    int64_t sandbox = 0;
    bool course = false, works = false;
    int rc = find_sandbox(session, project_id, &sandbox, err);
    if (rc || sandbox)
        return rc;
    rc = find_course(session, caller, project_id, &course, &works, err);
    if (rc || works)
        return rc;
    return err_set(err, ERR_FORBIDDEN, "Error: cannot add self to \"%s\" -- must be %s",
                   project_id->text,
                   course ? "owner or collaborator on course project" : "an admin");
}

static int check_one_by_rpc(struct db_session *session, const struct collaborators_add *add,
                            const char *project_id, struct err *err)
{
    enum project_access access = ACCESS_NONE;
    struct uuid id = {0};
    uuid_parse(project_id, strlen(project_id), &id);
    int rc = project_access_get(session, &add->caller, &id, &access, err);
    if (rc || access == ACCESS_WRITE)
        return rc;
    if (adds_itself(add))
        return check_joining(session, &add->caller, &id, err);
    return err_set(err, ERR_FORBIDDEN, "Error: user %s does not have write access to project %s",
                   add->caller.account_id.text, id.text);
}

static int check_rights_by_rpc(struct db_session *session, const struct collaborators_add *add,
                               struct err *err)
{
    int rc = 0;
    for (size_t i = 0; i < add->projects_count && !rc; i++)
        rc = check_one_by_rpc(session, add, add->projects[i], err);
    return rc;
}

// ---- Both ----

static int check_ids(const struct collaborators_add *add, struct err *err)
{
    for (size_t i = 0; i < add->accounts_count; i++) {
        const char *id = add->accounts[i];
        if (!uuid_parse(id, strlen(id), NULL))
            return err_set(err, ERR_INVALID,
                           "Error: all account id's must be valid uuid's, but \"%.200s\" is not",
                           id);
    }
    if (!add->tokens && !add->projects_given)
        return err_set(
            err, ERR_INVALID,
            "Error: all project id's must be valid uuid's (or empty), but \"undefined\" is not");
    for (size_t i = 0; i < add->projects_count; i++) {
        const char *id = add->projects[i];
        if (*id && !uuid_parse(id, strlen(id), NULL))
            return err_set(
                err, ERR_INVALID,
                "Error: all project id's must be valid uuid's (or empty), but \"%.200s\" is not",
                id);
    }
    return 0;
}

// No project at all counts as one that is undefined.
static size_t partners(const struct collaborators_add *add)
{
    return add->tokens ? add->tokens_count : add->projects_given ? add->projects_count : 1;
}

int collaborators_add_check(struct db_session *session, const struct collaborators_add *add,
                            struct err *err)
{
    if (add->accounts_count > LIMIT_ADD_COLLABORATORS ||
        add->projects_count > LIMIT_ADD_COLLABORATORS)
        return err_set(err, ERR_INVALID, "at most %d people can be added at once",
                       LIMIT_ADD_COLLABORATORS);
    int rc = add->tokens   ? 0
             : add->by_rpc ? check_projects(session, add, err)
                           : check_rights(session, add, err);
    if (rc)
        return rc;
    if (add->accounts_count != partners(add))
        return err_set(
            err, ERR_INVALID,
            "Error: accounts (of length %zu) and projects (of length %zu) must be arrays "
            "of the same length",
            add->accounts_count, partners(add));
    rc = check_ids(add, err);
    for (size_t i = 0; i < add->tokens_count && !rc; i++) {
        if (!add->tokens[i])
            rc = err_set(err, ERR_INVALID,
                         "Error: If tokens are specified, they must all be non-null.");
    }
    return rc || add->tokens || !add->by_rpc ? rc : check_rights_by_rpc(session, add, err);
}
