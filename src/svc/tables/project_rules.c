// SPDX-License-Identifier: AGPL-3.0-or-later
// What may be written of a project, apart from its users and its actions (user-query 12.2).
#include "svc/tables/projects.h"

#include <string.h>

#include "base/limits.h"
#include "db/query.h"
#include "query/value.h"
#include "svc/images.h"
#include "svc/licenses.h"
#include "svc/project.h"
#include "svc/project_quota.h"
#include "svc/tables/bounds.h"
#include "svc/url_name.h"

// ---- Checks of single values ----

int project_check_title(const struct query_set *set UNUSED, const cJSON *value, struct err *err)
{
    return bounds_check_text(value, LIMIT_PROJECT_TITLE, err);
}

int project_check_description(const struct query_set *set UNUSED, const cJSON *value,
                              struct err *err)
{
    return bounds_check_text(value, LIMIT_PROJECT_DESCRIPTION, err);
}

int project_check_avatar_tiny(const struct query_set *set UNUSED, const cJSON *value,
                              struct err *err)
{
    return bounds_check_text(value, LIMIT_AVATAR_TINY, err);
}

int project_check_avatar_full(const struct query_set *set UNUSED, const cJSON *value,
                              struct err *err)
{
    return bounds_check_text(value, LIMIT_AVATAR_FULL, err);
}

int project_check_image(const struct query_set *set, const cJSON *value, struct err *err)
{
    const char *image = cJSON_GetStringValue(value);
    if (cJSON_IsNull(value) || (image && image_exists(image)))
        return 0;
    return err_set(err, ERR_INVALID, "there is no image \"%.100s\"",
                   query_value_text(value, set->arena));
}

int project_check_env(const struct query_set *set UNUSED, const cJSON *value, struct err *err)
{
    const cJSON *variable;
    cJSON_ArrayForEach(variable, value)
    {
        const char *name = variable->string;
        if (!name || !name[0] || strchr(name, '='))
            return err_set(err, ERR_INVALID, "'%.100s' is no name of a variable", name ? name : "");
        if (!cJSON_IsString(variable) && !cJSON_IsNull(variable))
            return err_set(err, ERR_INVALID, "the value of '%.100s' must be a string", name);
    }
    return 0;
}

int project_check_licenses(const struct query_set *set UNUSED, const cJSON *value, struct err *err)
{
    const cJSON *license;
    if (!cJSON_IsObject(value) && !cJSON_IsNull(value))
        return err_set(err, ERR_INVALID, "must be an object");
    if (cJSON_GetArraySize(value) > LIMIT_PROJECT_LICENSES)
        return err_set(err, ERR_INVALID, "a project can have %d licenses at most",
                       LIMIT_PROJECT_LICENSES);
    cJSON_ArrayForEach(license, value)
    {
        if (!uuid_parse(license->string, strlen(license->string), NULL))
            return err_set(err, ERR_INVALID, "license id \"%.100s\" is not a UUID",
                           license->string);
        if (!cJSON_IsObject(license) && !cJSON_IsNull(license))
            return err_set(err, ERR_INVALID, "each license must be an object");
    }
    return 0;
}

int project_check_owner_flag(const struct query_set *set UNUSED, const cJSON *value,
                             struct err *err)
{
    if (cJSON_IsBool(value) || cJSON_IsNull(value))
        return 0;
    return err_set(err, ERR_INVALID, "manage_users_owner_only must be a boolean");
}

static int check_request(const cJSON *request, struct err *err)
{
    const cJSON *message = json_get(request, "message"), *time = json_get(request, "timestamp");
    if (cJSON_IsNull(request))
        return 0;
    if (!cJSON_IsObject(request))
        return err_set(err, ERR_INVALID, "each request must be an object");
    if (message && !cJSON_IsString(message) && !cJSON_IsNull(message))
        return err_set(err, ERR_INVALID, "message must be a string");
    if (cJSON_IsObject(time) || cJSON_IsArray(time))
        return err_set(err, ERR_INVALID, "timestamp must be a time");
    int rc = message ? bounds_check_text(message, LIMIT_REQUEST_MESSAGE, err) : 0;
    return rc || !time ? rc : bounds_check_text(time, LIMIT_ACTION_TEXT, err);
}

int project_check_requests(const struct query_set *set UNUSED, const cJSON *value, struct err *err)
{
    const cJSON *request, *member;
    int rc = 0;
    cJSON_ArrayForEach(request, value)
    {
        if (!request->string || !uuid_parse(request->string, strlen(request->string), NULL))
            return err_set(err, ERR_INVALID, "invalid account_id '%.100s'",
                           request->string ? request->string : "");
        rc = check_request(request, err);
        cJSON_ArrayForEach(member, request)
        {
            if (!rc && strcmp(member->string, "message") && strcmp(member->string, "timestamp"))
                rc = err_set(err, ERR_INVALID, "unknown field '%.100s'", member->string);
        }
        if (rc)
            return rc;
    }
    return 0;
}

// ---- Names ----

static int check_name_free(struct db_session *txn, const char *project_id, const char *name,
                           struct err *err)
{
    static const struct db_stmt find = {
        "SELECT 1 FROM project_users owner JOIN project_users other"
        " ON other.account_id = owner.account_id JOIN projects p ON p.project_id = other.project_id"
        " WHERE owner.project_id = $1 AND owner.\"group\" = 'owner' AND other.\"group\" = 'owner'"
        " AND other.project_id <> $1 AND lower(p.name) = lower($2)"};
    int64_t taken = 0;
    int rc = db_query_int(txn, &find, DB_ARGS(DB_TEXT(project_id), DB_TEXT(name)), &taken, err);
    if (rc || !taken)
        return rc;
    return err_set(err, ERR_CONFLICT,
                   "There is already a project with the same owner as this project and name='%s'. "
                   "  Names are not case sensitive.",
                   name);
}

// ---- In the transaction ----

static int is_owner(struct db_session *txn, const struct query_set *set, bool *ret_owner,
                    struct err *err)
{
    static const struct db_stmt find = {"SELECT 1 FROM project_users WHERE project_id = $1"
                                        " AND account_id = $2 AND \"group\" = 'owner'"};
    int64_t owner = 0;
    int rc = db_query_int(txn, &find,
                          DB_ARGS(DB_TEXT(json_get_str(set->pattern, "project_id")),
                                  DB_TEXT(set->caller.account_id.text)),
                          &owner, err);
    *ret_owner = owner || set->caller.admin;
    return rc;
}

int project_check(struct db_session *txn, struct query_set *set, struct err *err)
{
    bool owner = true;
    int rc =
        query_given(set->pattern, "manage_users_owner_only") ? is_owner(txn, set, &owner, err) : 0;
    if (rc || owner)
        return rc;
    return err_set(err, ERR_FORBIDDEN,
                   "Error: Only project owners can change collaborator management settings");
}

static int check_name(struct db_session *txn, const struct query_set *set, const char *name,
                      struct err *err)
{
    bool owner = false;
    int rc = url_name_check(name, err);
    if (!rc)
        rc = is_owner(txn, set, &owner, err);
    if (!rc && !owner)
        rc = err_set(err, ERR_FORBIDDEN,
                     "Only the owner of the project can currently change the project name.");
    return rc ? rc : check_name_free(txn, json_get_str(set->pattern, "project_id"), name, err);
}

int project_before(struct db_session *txn, struct query_set *set, struct err *err)
{
    auto_buf struct buf name = {0};
    set->note = arena_zalloc(set->arena, sizeof(struct project_note));
    const cJSON *value = query_given(set->pattern, "name");
    if (!value)
        return 0;
    if (!cJSON_IsString(value))
        json_value(&name, value); // what it is stored as
    return check_name(txn, set, cJSON_IsString(value) ? value->valuestring : buf_cstr(&name), err);
}

// As add_license_to_project does it: what it grants is found out at the next start.
int project_licenses_write(struct db_session *txn, struct query_set *set, const cJSON *value,
                           struct err *err)
{
    const char *text = json_get_str(set->pattern, "project_id");
    struct uuid project_id, license_id;
    const cJSON *license;
    int rc = 0;
    if (!uuid_parse(text, strlen(text), &project_id))
        return err_internal(err, "%s is no id of a project", text);
    cJSON_ArrayForEach(license, value)
    {
        if (rc || !uuid_parse(license->string, strlen(license->string), &license_id))
            continue;
        rc = cJSON_IsNull(license) ? project_license_remove(txn, &project_id, &license_id, err)
                                   : project_license_add(txn, &project_id, &license_id, err);
    }
    return rc;
}

#define MAP(field, max)                                                                            \
    {                                                                                              \
        field, {"SELECT length(" field ") FROM projects WHERE project_id = $1"}, max               \
    }
static const struct bounds_map maps[] = {
    MAP("env", LIMIT_PROJECT_ENV),
    MAP("course", LIMIT_PROJECT_COURSE),
    MAP("invite_requests", LIMIT_PROJECT_REQUESTS),
    MAP("status", LIMIT_PROJECT_STATUS),
};
#undef MAP

int project_after(struct db_session *txn, struct query_set *set, struct err *err)
{
    const char *project_id = json_get_str(set->pattern, "project_id");
    db_notify_row(txn, DB_TOPIC_PROJECTS, project_id);
    return bounds_check_maps(txn, set->pattern, maps, ARRAY_LEN(maps), project_id, err);
}

void project_committed(const struct query_set *set)
{
    const struct project_note *note = set->note;
    for (size_t i = 0; i < note->changed_count; i++)
        project_quota_changed(set->ctx, &note->changed[i]);
    const struct project_action **begun = set->begun;
    if (begun)
        *begun = note->action;
    else if (note->action)
        project_action_run(set->ctx, note->action, NULL);
}

// ---- Asking to join ----

// Who does not work on the project writes one entry, the own one, and not once for each way to
// write the own id.
int project_own_request(struct db_session *txn, struct query_set *set, struct err *err)
{
    const cJSON *request;
    struct uuid project_id;
    bool exists;
    const cJSON *value = json_get(set->pattern, "project_id");
    if (!query_uuid_read(value, &project_id))
        return err_set(err, ERR_INVALID,
                       "postgresql error: invalid input syntax for type uuid: \"%.100s\"",
                       query_value_text(value, set->arena));
    int rc = project_exists(txn, &project_id, &exists, err);
    if (!rc && !exists)
        rc = err_set(err, ERR_NOT_FOUND, "FATAL: unknown project_id '%s'", project_id.text);
    cJSON_ArrayForEach(request, json_get(set->pattern, "invite_requests"))
    {
        if (!rc && strcmp(request->string, set->caller.account_id.text) != 0)
            rc = err_set(err, ERR_FORBIDDEN,
                         "FATAL: error setting 'invite_requests' -- Error: the only entry must be "
                         "that of the requesting account");
    }
    if (!rc)
        cJSON_ReplaceItemInObjectCaseSensitive(set->pattern, "project_id",
                                               cJSON_CreateString(project_id.text));
    return rc;
}
