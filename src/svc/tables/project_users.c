// SPDX-License-Identifier: AGPL-3.0-or-later
// Writing `users` of a project (user-query 12.2): people hide projects, and give them upgrades and
// keys of their own. Who is in which group is not for queries to say: that would let everybody make
// themselves owner.
#include "svc/tables/projects.h"

#include <string.h>

#include "base/limits.h"
#include "base/text.h"
#include "db/query.h"
#include "query/value.h"
#include "svc/tables/bounds.h"
#include "svc/upgrades.h"

#define GROUP_CHANGE "changing collaborator group via user_set_query is not allowed"
#define ERROR_USERS  "FATAL: error setting 'users' -- Error: "

// ---- Shape, before anything is read ----

static bool is_own(const struct query_set *set, const char *account_id)
{
    struct uuid id;
    return uuid_parse(account_id, strlen(account_id), &id) &&
           uuid_equal(&id, &set->caller.account_id);
}

static int check_names(const struct query_set *set, const cJSON *entry, struct err *err)
{
    static const char *const names[] = {"group", "hide", "upgrades", "ssh_keys", NULL};
    const cJSON *member;
    cJSON_ArrayForEach(member, entry)
    {
        if (!text_is_one_of(member->string, names))
            return err_set(err, ERR_INVALID, "unknown field '%.200s%s", member->string,
                           set->dialect == QUERY_CURRENT ? "'" : "");
    }
    return 0;
}

// What a group was before is not known yet: the documented dialect may repeat it.
static int check_group(const struct query_set *set, const cJSON *group, struct err *err)
{
    const char *name = cJSON_GetStringValue(group);
    bool valid = name && (!strcmp(name, "owner") || !strcmp(name, "collaborator"));
    if (!group || (valid && set->dialect == QUERY_DOCUMENTED))
        return 0;
    if (valid)
        return err_set(err, ERR_FORBIDDEN, GROUP_CHANGE);
    if (set->dialect == QUERY_DOCUMENTED)
        return err_set(err, ERR_INVALID, "invalid value for field 'group'");
    return err_set(err, ERR_INVALID,
                   "invalid group value '%.100s' - must be 'owner' or 'collaborator'",
                   query_value_text(group, set->arena));
}

static int check_hide(const cJSON *hide, struct err *err)
{
    if (!hide || cJSON_IsBool(hide) || cJSON_IsNull(hide))
        return 0;
    return err_set(err, ERR_INVALID, "invalid type for field 'hide'");
}

static bool is_amount(const cJSON *value)
{
    double number;
    return cJSON_IsNumber(value) || cJSON_IsNull(value) ||
           (cJSON_IsString(value) && text_parse_double(value->valuestring, &number));
}

static int check_upgrades(const struct query_set *set, const char *account_id,
                          const cJSON *upgrades, struct err *err)
{
    const cJSON *amount;
    enum upgrade upgrade;
    if (!upgrades)
        return 0;
    if (!cJSON_IsObject(upgrades) && !cJSON_IsNull(upgrades))
        return err_set(err, ERR_INVALID, "invalid type for field 'upgrades'");
    cJSON_ArrayForEach(amount, upgrades)
    {
        if (!upgrade_find(amount->string, &upgrade) || !is_amount(amount))
            return err_set(err, ERR_INVALID, "invalid upgrades field '%.200s'", amount->string);
    }
    if (set->dialect == QUERY_CURRENT && !is_own(set, account_id))
        return err_set(err, ERR_FORBIDDEN,
                       "users set queries may only change upgrades for the requesting account");
    return 0;
}

// By this a key is deleted.
static bool is_falsy(const cJSON *value)
{
    return cJSON_IsNull(value) || cJSON_IsFalse(value) ||
           (cJSON_IsNumber(value) && value->valuedouble == 0) ||
           (cJSON_IsString(value) && !value->valuestring[0]);
}

static int check_key(const cJSON *key, struct err *err)
{
    static const char *const names[] = {"title", "value", "creation_date", "last_use_date", NULL};
    const cJSON *member;
    if (!is_falsy(key) && !cJSON_IsObject(key))
        return err_set(err, ERR_INVALID, "each key in ssh_keys must be an object");
    cJSON_ArrayForEach(member, key)
    {
        if (!text_is_one_of(member->string, names))
            return err_set(err, ERR_INVALID, "invalid ssh_keys field '%.200s'", member->string);
    }
    return 0;
}

static int check_keys(const struct query_set *set, const char *account_id, const cJSON *keys,
                      struct err *err)
{
    const cJSON *key;
    int rc = 0;
    if (!keys)
        return 0;
    if (!cJSON_IsObject(keys) && !cJSON_IsNull(keys))
        return err_set(err, ERR_INVALID, "ssh_keys must be an object");
    cJSON_ArrayForEach(key, keys)
    {
        if (!rc)
            rc = check_key(key, err);
    }
    if (!rc && !is_own(set, account_id))
        rc = err_set(err, ERR_FORBIDDEN,
                     "users set queries may only change ssh_keys for the requesting account");
    return rc;
}

static int check_entry(const struct query_set *set, const cJSON *entry, struct err *err)
{
    const char *account_id = entry->string;
    if (!uuid_parse(account_id, strlen(account_id), NULL))
        return set->dialect == QUERY_DOCUMENTED
                   ? 0
                   : err_set(err, ERR_INVALID, "invalid account_id '%.100s'", account_id);
    if (!cJSON_IsObject(entry))
        return err_set(err, ERR_INVALID, "user entry must be an object");
    int rc = check_names(set, entry, err);
    if (!rc)
        rc = check_group(set, json_get(entry, "group"), err);
    if (!rc)
        rc = check_hide(json_get(entry, "hide"), err);
    if (!rc)
        rc = check_upgrades(set, account_id, json_get(entry, "upgrades"), err);
    return rc ? rc : check_keys(set, account_id, json_get(entry, "ssh_keys"), err);
}

int project_users_check(const struct query_set *set, const cJSON *value, struct err *err)
{
    const cJSON *entry;
    int rc = 0;
    if (cJSON_IsNull(value))
        return 0;
    if (!cJSON_IsObject(value))
        return err_set(err, ERR_INVALID, "users must be an object");
    if (cJSON_GetArraySize(value) > LIMIT_ADD_COLLABORATORS)
        return err_set(err, ERR_TOO_LARGE, "must have at most %d entries", LIMIT_ADD_COLLABORATORS);
    cJSON_ArrayForEach(entry, value)
    {
        if (!rc)
            rc = check_entry(set, entry, err);
    }
    return rc;
}

// ---- One user, in the transaction ----

struct user {
    struct db_session *txn;
    struct query_set *set;
    const char *project_id;
    struct uuid account_id;
    const char *group;          // NULL: is none of the project's
    cJSON *upgrades, *ssh_keys; // as they are stored; NULL: none
};

static void user_dispose(struct user *user)
{
    cJSON_Delete(user->upgrades);
    cJSON_Delete(user->ssh_keys);
}
#define auto_user CLEANUP(user_dispose)

static int user_read(struct user *user, struct err *err)
{
    static const struct db_stmt find = {"SELECT \"group\", upgrades, ssh_keys FROM project_users"
                                        " WHERE project_id = $1 AND account_id = $2"};
    auto_rows struct db_rows *rows = NULL;
    int rc = db_query_row(user->txn, &find,
                          DB_ARGS(DB_TEXT(user->project_id), DB_TEXT(user->account_id.text)), &rows,
                          err);
    if (rc <= 0)
        return rc;
    user->group = arena_strdup(user->set->arena, db_rows_text(rows, 0));
    user->upgrades = db_rows_null(rows, 1) ? NULL : cJSON_Parse(db_rows_text(rows, 1));
    user->ssh_keys = db_rows_null(rows, 2) ? NULL : cJSON_Parse(db_rows_text(rows, 2));
    return 0;
}

static int user_store(const struct user *user, const struct db_stmt *update, struct db_value value,
                      struct err *err)
{
    return db_exec(user->txn, update,
                   DB_ARGS(DB_TEXT(user->project_id), DB_TEXT(user->account_id.text), value), NULL,
                   err);
}

// NULL stands for an empty map.
static int user_store_map(const struct user *user, const struct db_stmt *update, const cJSON *map,
                          struct err *err)
{
    auto_buf struct buf text = {0};
    if (!map || !map->child)
        return user_store(user, update, DB_NULL, err);
    json_value(&text, map);
    return user_store(user, update, DB_TEXTN(text.data, text.size), err);
}

static bool same_amounts(const cJSON *a, const cJSON *b)
{
    struct upgrade_amounts left = upgrade_amounts_read(a), right = upgrade_amounts_read(b);
    return !memcmp(left.of, right.of, sizeof left.of);
}

// What only the person may change, or nobody by a query.
static int check_rights(const struct user *user, const cJSON *entry, struct err *err)
{
    const char *group = json_get_str(entry, "group");
    const cJSON *upgrades = json_get(entry, "upgrades");
    if (group && (!user->group || strcmp(group, user->group) != 0))
        return err_set(err, ERR_FORBIDDEN, ERROR_USERS GROUP_CHANGE);
    if (upgrades && !uuid_equal(&user->account_id, &user->set->caller.account_id) &&
        !same_amounts(upgrades, user->upgrades))
        return err_set(err, ERR_FORBIDDEN,
                       "FATAL: user '%s' tried to change user '%s' allocation toward a project",
                       user->set->caller.account_id.text, user->account_id.text);
    if (!user->group)
        return err_set(err, ERR_FORBIDDEN, ERROR_USERS "%s does not work on this project",
                       user->account_id.text);
    return 0;
}

static int write_hide(const struct user *user, const cJSON *hide, struct err *err)
{
    static const struct db_stmt update = {
        "UPDATE project_users SET hide = $3 WHERE project_id = $1 AND account_id = $2"};
    return user_store(user, &update, DB_INT(cJSON_IsTrue(hide)), err);
}

// Who gives upgrades has others taken back where there are not so many.
static void note_changed(struct query_set *set, struct db_session *txn,
                         const struct upgrades_apply *apply)
{
    struct project_note *note = set->note;
    size_t count = note->changed_count + apply->changed_count;
    struct uuid *changed = arena_alloc(set->arena, count * sizeof *changed);
    if (note->changed_count)
        memcpy(changed, note->changed, note->changed_count * sizeof *changed);
    memcpy(changed + note->changed_count, apply->changed, apply->changed_count * sizeof *changed);
    for (size_t i = 0; i < apply->changed_count; i++)
        db_notify_row(txn, DB_TOPIC_PROJECTS, apply->changed[i].text);
    note->changed = changed;
    note->changed_count = count;
}

static int apply_upgrades(const struct user *user, const cJSON *upgrades, struct err *err)
{
    struct upgrades_apply apply = {.account_id = user->account_id,
                                   .amounts = upgrade_amounts_read(upgrades)};
    if (!uuid_parse(user->project_id, strlen(user->project_id), &apply.project_id))
        return err_internal(err, "%s is no id of a project", user->project_id);
    int rc = upgrades_apply(user->txn, &apply, err);
    if (!rc)
        note_changed(user->set, user->txn, &apply);
    upgrades_apply_dispose(&apply);
    return rc;
}

// Nulls take an upgrade out; the rest is given as far as there is any.
static int write_upgrades(struct user *user, const cJSON *upgrades, struct err *err)
{
    static const struct db_stmt update = {
        "UPDATE project_users SET upgrades = $3 WHERE project_id = $1 AND account_id = $2"};
    auto_json cJSON *given = cJSON_CreateObject();
    const cJSON *amount;
    if (cJSON_IsNull(upgrades)) {
        cJSON_Delete(TAKE_PTR(user->upgrades));
    }
    cJSON_ArrayForEach(amount, upgrades)
    {
        if (cJSON_IsNull(amount))
            cJSON_DeleteItemFromObjectCaseSensitive(user->upgrades, amount->string);
        else
            cJSON_AddItemToObject(given, amount->string, cJSON_Duplicate(amount, true));
    }
    int rc = user_store_map(user, &update, user->upgrades, err);
    return rc ? rc : apply_upgrades(user, given, err);
}

static void merge_key(cJSON *keys, const cJSON *key)
{
    cJSON *old = cJSON_GetObjectItemCaseSensitive(keys, key->string);
    const cJSON *member;
    if (is_falsy(key)) {
        cJSON_DeleteItemFromObjectCaseSensitive(keys, key->string);
        return;
    }
    if (!cJSON_IsObject(old)) {
        cJSON_DeleteItemFromObjectCaseSensitive(keys, key->string);
        old = cJSON_AddObjectToObject(keys, key->string);
    }
    cJSON_ArrayForEach(member, key)
    {
        cJSON_DeleteItemFromObjectCaseSensitive(old, member->string);
        if (!cJSON_IsNull(member))
            cJSON_AddItemToObject(old, member->string, cJSON_Duplicate(member, true));
    }
}

static int write_keys(const struct user *user, const cJSON *change, struct err *err)
{
    static const struct db_stmt update = {
        "UPDATE project_users SET ssh_keys = $3 WHERE project_id = $1 AND account_id = $2"};
    static const struct db_stmt length = {
        "SELECT max(length(ssh_keys)) FROM project_users WHERE project_id = $1"};
    auto_json cJSON *keys = cJSON_IsNull(change) || !user->ssh_keys
                                ? cJSON_CreateObject()
                                : cJSON_Duplicate(user->ssh_keys, true);
    const cJSON *key;
    cJSON_ArrayForEach(key, change) merge_key(keys, key);
    int rc = user_store_map(user, &update, keys, err);
    return rc ? rc
              : bounds_check_stored(user->txn, &length, user->project_id, "users",
                                    LIMIT_PROJECT_KEYS, err);
}

static int write_entry(struct user *user, const cJSON *entry, struct err *err)
{
    const cJSON *hide = json_get(entry, "hide"), *upgrades = json_get(entry, "upgrades"),
                *keys = json_get(entry, "ssh_keys");
    bool own = uuid_equal(&user->account_id, &user->set->caller.account_id);
    int rc = user_read(user, err);
    if (!rc)
        rc = check_rights(user, entry, err);
    if (!rc && hide)
        rc = write_hide(user, hide, err);
    if (!rc && upgrades && own)
        rc = write_upgrades(user, upgrades, err);
    if (!rc && keys)
        rc = write_keys(user, keys, err);
    return rc;
}

int project_users_write(struct db_session *txn, struct query_set *set, const cJSON *value,
                        struct err *err)
{
    const cJSON *entry;
    int rc = 0;
    cJSON_ArrayForEach(entry, value)
    {
        auto_user struct user user = {
            .txn = txn, .set = set, .project_id = json_get_str(set->pattern, "project_id")};
        if (!rc && uuid_parse(entry->string, strlen(entry->string), &user.account_id))
            rc = write_entry(&user, entry, err);
    }
    return rc;
}
