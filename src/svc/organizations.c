// SPDX-License-Identifier: AGPL-3.0-or-later
#include "svc/organizations.h"

#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/text.h"
#include "db/query.h"
#include "svc/organizations_internal.h"
#include "svc/row_json.h"

// By the index, which does not tell case apart.
#define NAMED "lower(name) = lower($1) AND name = $1 AND deleted = 0"

int organization_check_admin(struct db_session *session, const struct caller *caller,
                             const char *name, struct err *err)
{
    static const struct db_stmt find = {"SELECT 1 FROM organizations WHERE " NAMED
                                        " AND admin_account_ids LIKE '%\"' || $2 || '\"%'"};
    int64_t is_admin = caller->admin;
    int rc = is_admin ? 0
                      : db_query_int(session, &find,
                                     DB_ARGS(DB_TEXT(name), DB_TEXT(caller->account_id.text)),
                                     &is_admin, err);
    if (rc || is_admin)
        return rc;
    return err_set(err, ERR_FORBIDDEN, "user must be an admin of the organization or site-admin");
}

// ---- Reading ----

static void write_listed(struct db_rows *rows, struct buf *out)
{
    json_begin_object(out);
    row_member_or_null(out, "name", ROW_TEXT, rows, 0);
    row_member_or_null(out, "title", ROW_TEXT, rows, 1);
    row_member_or_null(out, "admin_account_ids", ROW_JSON, rows, 2);
    json_end_object(out);
}

static void write_member(struct db_rows *rows, struct buf *out)
{
    json_begin_object(out);
    row_member_or_null(out, "first_name", ROW_TEXT, rows, 0);
    row_member_or_null(out, "last_name", ROW_TEXT, rows, 1);
    row_member_or_null(out, "account_id", ROW_TEXT, rows, 2);
    row_member_or_null(out, "email_address", ROW_TEXT, rows, 3);
    row_member_or_null(out, "last_active", ROW_TIME, rows, 4);
    json_end_object(out);
}

static int write_all(struct db_rows *rows, void (*write)(struct db_rows *rows, struct buf *out),
                     struct buf *out, struct err *err)
{
    int rc;
    json_begin_array(out);
    while ((rc = db_rows_next(rows, err)) == 1) {
        write(rows, out);
        if (out->size > LIMIT_QUERY_RESULT)
            return err_set(err, ERR_TOO_LARGE, "there are too many of them");
    }
    json_end_array(out);
    return rc;
}

int organization_list(struct db_session *session, struct buf *out, struct err *err)
{
    static const struct db_stmt list = {"SELECT name, title, admin_account_ids FROM organizations"
                                        " WHERE deleted = 0 ORDER BY lower(name)"};
    auto_rows struct db_rows *rows = NULL;
    int rc = db_query(session, &list, DB_NO_ARGS, &rows, err);
    return rc ? rc : write_all(rows, write_listed, out, err);
}

int organization_members(struct db_session *session, const char *name, struct buf *out,
                         struct err *err)
{
    static const struct db_stmt list = {
        "SELECT first_name, last_name, account_id, email_address, last_active FROM accounts"
        " WHERE org = $1 AND deleted = 0 ORDER BY account_id"};
    auto_rows struct db_rows *rows = NULL;
    int rc = db_query(session, &list, DB_ARGS(DB_TEXT(name)), &rows, err);
    return rc ? rc : write_all(rows, write_member, out, err);
}

static int no_organization(const char *name, struct err *err)
{
    return err_set(err, ERR_NOT_FOUND, "no org named '%.300s'", name);
}

int organization_show(struct db_session *session, const char *name, struct buf *out,
                      struct err *err)
{
    static const struct db_stmt find = {
        "SELECT name, title, description, link, email_address, admin_account_ids"
        " FROM organizations WHERE " NAMED};
    static const char *const texts[] = {"name", "title", "description", "link", "email_address"};
    auto_rows struct db_rows *rows = NULL;
    int rc = db_query_row(session, &find, DB_ARGS(DB_TEXT(name)), &rows, err);
    if (rc != 1)
        return rc ? rc : no_organization(name, err);
    json_begin_object(out);
    for (int i = 0; i < (int)ARRAY_LEN(texts); i++)
        row_member_or_null(out, texts[i], ROW_TEXT, rows, i);
    row_member_or_null(out, "admin_account_ids", ROW_JSON, rows, 5);
    json_end_object(out);
    return 0;
}

// ---- Names ----

int organization_name_taken(struct db_session *txn, const char *name, const struct uuid *own_id,
                            bool *ret_taken, struct err *err)
{
    static const struct db_stmt find = {
        "SELECT 1 FROM accounts WHERE lower(name) = lower($1) AND account_id <> $2"
        " UNION ALL SELECT 1 FROM organizations WHERE lower(name) = lower($1)"
        " AND organization_id <> $2"};
    int64_t taken = 0;
    int rc = db_query_int(txn, &find, DB_ARGS(DB_TEXT(name), DB_TEXT(own_id ? own_id->text : "")),
                          &taken, err);
    *ret_taken = taken;
    return rc;
}

int organization_rename(struct db_session *txn, const struct uuid *organization_id,
                        const char *name, struct err *err)
{
    static const struct db_stmt move = {
        "UPDATE accounts SET org = $2"
        " WHERE org = (SELECT name FROM organizations WHERE organization_id = $1)"};
    return db_exec(txn, &move, DB_ARGS(DB_TEXT(organization_id->text), DB_TEXT(name)), NULL, err);
}

int organization_name_check(const char *name, struct err *err)
{
    const size_t size = utf8_utf16_len(name, strlen(name));
    if (size && size <= LIMIT_USER_NAME)
        return 0;
    return err_set(err, ERR_INVALID, "name must have 1 to %d characters", LIMIT_USER_NAME);
}

// ---- Creating, and what it says of itself ----

static int name_used(const char *name, struct err *err)
{
    return err_set(err, ERR_CONFLICT, "name %s is already used by some account or organization",
                   name);
}

static int check_new_name(struct db_session *txn, const char *name, struct err *err)
{
    bool taken = false;
    int rc = organization_name_check(name, err);
    if (!rc)
        rc = organization_name_taken(txn, name, NULL, &taken, err);
    return rc || !taken ? rc : name_used(name, err);
}

int organization_create(struct db_session *txn, void *arg, struct err *err)
{
    static const struct db_stmt add = {
        "INSERT INTO organizations (organization_id, created, name) VALUES ($1, $2, $3)"};
    struct organization_create *create = arg;
    if (!create->caller.admin)
        return err_set(err, ERR_FORBIDDEN, "only admins may create organizations");
    int rc = check_new_name(txn, create->name, err);
    if (rc)
        return rc;
    create->id = uuid_new();
    rc = db_exec(txn, &add,
                 DB_ARGS(DB_TEXT(create->id.text), DB_INT(clock_now_ms()), DB_TEXT(create->name)),
                 NULL, err);
    return rc == -ERR_CONFLICT ? name_used(create->name, err) : rc;
}

static int check_text(const char *field, const char *text, struct err *err)
{
    if (!text || utf8_utf16_len(text, strlen(text)) <= LIMIT_ORGANIZATION_TEXT)
        return 0;
    return err_set(err, ERR_TOO_LARGE, "%s must have at most %d characters", field,
                   LIMIT_ORGANIZATION_TEXT);
}

int organization_change(struct db_session *txn, void *arg, struct err *err)
{
    static const struct db_stmt update = {
        "UPDATE organizations SET title = coalesce($2, title),"
        " description = coalesce($3, description), link = coalesce($4, link),"
        " email_address = coalesce($5, email_address) WHERE " NAMED};
    const struct organization_change *change = arg;
    int rc = organization_check_admin(txn, &change->caller, change->name, err);
    if (!rc)
        rc = check_text("title", change->title, err);
    if (!rc)
        rc = check_text("description", change->description, err);
    if (!rc)
        rc = check_text("email_address", change->email_address, err);
    if (!rc)
        rc = check_text("link", change->link, err);
    return rc ? rc
              : db_exec(txn, &update,
                        DB_ARGS(DB_TEXT(change->name), DB_TEXT(change->title),
                                DB_TEXT(change->description), DB_TEXT(change->link),
                                DB_TEXT(change->email_address)),
                        NULL, err);
}

// ---- Members ----

int organization_has_user(struct db_session *txn, const struct uuid *organization_id,
                          const struct uuid *account_id, bool *ret_has, struct err *err)
{
    static const struct db_stmt find = {
        "SELECT 1 FROM organizations WHERE organization_id = $1 AND deleted = 0"
        " AND users LIKE '%\"' || $2 || '\":%'"};
    int64_t has = 0;
    int rc = db_query_int(
        txn, &find, DB_ARGS(DB_TEXT(organization_id->text), DB_TEXT(account_id->text)), &has, err);
    *ret_has = has;
    return rc;
}

// An account, and what is borrowed from its row until that is closed.
struct member {
    struct db_rows *rows;
    struct uuid id;
    const char *org; // NULL: none
    bool is_site_admin;
};

static void member_close(struct member *member)
{
    db_rows_close_ptr(&member->rows);
}
#define auto_member CLEANUP(member_close)

// 1: found; 0: there is no such account, or it is deleted and that matters; negative: an error.
static int member_find(struct db_session *txn, const char *user, bool living,
                       struct member *ret_member, struct err *err)
{
    static const struct db_stmt find = {
        "SELECT org, \"groups\" FROM accounts WHERE account_id = $1"};
    *ret_member = (struct member){0};
    int rc = living ? account_find_living(txn, user, &ret_member->id, err)
                    : account_find(txn, user, &ret_member->id, err);
    if (rc)
        return rc == -ERR_NOT_FOUND ? 0 : rc;
    rc = db_query_row(txn, &find, DB_ARGS(DB_TEXT(ret_member->id.text)), &ret_member->rows, err);
    if (rc != 1)
        return rc;
    ret_member->org = db_rows_text(ret_member->rows, 0);
    ret_member->is_site_admin = json_list_has(db_rows_text(ret_member->rows, 1), "admin");
    return 1;
}

static bool is_in(const struct member *member, const char *name)
{
    return member->org && !strcmp(member->org, name);
}

static int no_user(const char *user, struct err *err)
{
    return err_set(err, ERR_NOT_FOUND, "cannot find user '%.300s'", user);
}

// `org` may be NULL.
static int move(struct db_session *txn, const struct uuid *account_id, const char *org,
                struct err *err)
{
    static const struct db_stmt update = {"UPDATE accounts SET org = $2 WHERE account_id = $1"};
    return db_exec(txn, &update, DB_ARGS(DB_TEXT(account_id->text), DB_TEXT(org)), NULL, err);
}

// ---- Administrators ----

// 1: *ret_ids is their array; 0: there is no such organization; negative: an error.
static int admins_read(struct db_session *txn, const char *name, cJSON **ret_ids, struct err *err)
{
    static const struct db_stmt find = {"SELECT admin_account_ids FROM organizations WHERE " NAMED};
    auto_rows struct db_rows *rows = NULL;
    int rc = db_query_row(txn, &find, DB_ARGS(DB_TEXT(name)), &rows, err);
    if (rc != 1)
        return rc;
    const char *ids = db_rows_text(rows, 0);
    *ret_ids = ids ? cJSON_Parse(ids) : cJSON_CreateArray();
    return *ret_ids ? 1 : err_internal(err, "admin_account_ids of %.100s is no JSON", name);
}

static int admins_write(struct db_session *txn, const char *name, const cJSON *ids, struct err *err)
{
    static const struct db_stmt update = {
        "UPDATE organizations SET admin_account_ids = $2 WHERE " NAMED};
    auto_buf struct buf text = {0};
    json_value(&text, ids);
    return db_exec(txn, &update, DB_ARGS(DB_TEXT(name), DB_TEXTN(text.data, text.size)), NULL, err);
}

// The place of an account among them, -1: none.
static int place_of(const cJSON *ids, const struct uuid *account_id)
{
    const cJSON *id;
    int place = 0;
    cJSON_ArrayForEach(id, ids)
    {
        if (cJSON_IsString(id) && !strcmp(id->valuestring, account_id->text))
            return place;
        place++;
    }
    return -1;
}

static int admin_drop(struct db_session *txn, const char *name, const struct uuid *account_id,
                      struct err *err)
{
    auto_json cJSON *ids = NULL;
    int rc = admins_read(txn, name, &ids, err);
    const int place = rc == 1 ? place_of(ids, account_id) : -1;
    if (place < 0)
        return rc < 0 ? rc : 0;
    cJSON_DeleteItemFromArray(ids, place);
    return admins_write(txn, name, ids, err);
}

static int admin_put(struct db_session *txn, const char *name, const struct uuid *account_id,
                     struct err *err)
{
    auto_json cJSON *ids = NULL;
    int rc = admins_read(txn, name, &ids, err);
    if (rc != 1)
        return rc ? rc : no_organization(name, err);
    if (place_of(ids, account_id) >= 0)
        return 0;
    if (cJSON_GetArraySize(ids) >= LIMIT_ORGANIZATION_ADMINS)
        return err_set(err, ERR_TOO_LARGE, "an organization can have at most %d admins",
                       LIMIT_ORGANIZATION_ADMINS);
    cJSON_AddItemToArray(ids, cJSON_CreateString(account_id->text));
    return admins_write(txn, name, ids, err);
}

int organization_admin_add(struct db_session *txn, void *arg, struct err *err)
{
    const struct organization_user *call = arg;
    auto_member struct member member;
    int rc = member_find(txn, call->user, true, &member, err);
    if (rc != 1)
        return rc ? rc : err_set(err, ERR_NOT_FOUND, "no such account '%.300s'", call->user);
    if (member.org && !is_in(&member, call->name))
        return err_set(err, ERR_CONFLICT, "User '%.300s' is already member of another organization",
                       call->user);
    if (!call->caller.admin)
        return err_set(err, ERR_FORBIDDEN,
                       "only site admins can make a user an organization admin right now");
    rc = admin_put(txn, call->name, &member.id, err);
    return rc ? rc : move(txn, &member.id, call->name, err);
}

// The user that a call of one of the organization's administrators names.
static int user_find(struct db_session *txn, const struct organization_user *call,
                     struct member *member, struct err *err)
{
    int rc = organization_check_admin(txn, &call->caller, call->name, err);
    if (rc)
        return rc;
    rc = member_find(txn, call->user, false, member, err);
    return rc == 1 ? 0 : rc ? rc : no_user(call->user, err);
}

int organization_admin_remove(struct db_session *txn, void *arg, struct err *err)
{
    const struct organization_user *call = arg;
    auto_member struct member member = {0};
    int rc = user_find(txn, call, &member, err);
    if (rc)
        return rc;
    return admin_drop(txn, call->name, &member.id, err);
}

int organization_user_add(struct db_session *txn, void *arg, struct err *err)
{
    const struct organization_user *call = arg;
    auto_member struct member member = {0};
    if (!call->caller.admin)
        return err_set(err, ERR_FORBIDDEN,
                       "only site admins can add/move a user to an org right now");
    int rc = organization_name_check(call->name, err);
    if (rc)
        return rc;
    rc = member_find(txn, call->user, true, &member, err);
    if (rc != 1)
        return rc ? rc : no_user(call->user, err);
    if (member.org && !is_in(&member, call->name))
        rc = admin_drop(txn, member.org, &member.id, err);
    else
        rc = 0;
    return rc ? rc : move(txn, &member.id, call->name, err);
}

static int check_no_admin(struct db_session *txn, const char *name, const struct uuid *account_id,
                          struct err *err)
{
    auto_json cJSON *ids = NULL;
    int rc = admins_read(txn, name, &ids, err);
    if (rc != 1 || place_of(ids, account_id) < 0)
        return rc < 0 ? rc : 0;
    return err_set(err, ERR_CONFLICT,
                   "admin cannot be removed from org; first remove them from being an admin");
}

int organization_user_remove(struct db_session *txn, void *arg, struct err *err)
{
    const struct organization_user *call = arg;
    auto_member struct member member = {0};
    int rc = user_find(txn, call, &member, err);
    if (rc)
        return rc;
    rc = check_no_admin(txn, call->name, &member.id, err);
    return rc || !is_in(&member, call->name) ? rc : move(txn, &member.id, NULL, err);
}

// ---- Signing in as a member ----

int organization_token_issue(struct db_session *txn, void *arg, struct err *err)
{
    struct organization_token *token = arg;
    auto_member struct member member;
    int rc = member_find(txn, token->user, true, &member, err);
    if (rc < 0)
        return rc;
    if (!rc || !member.org)
        return err_set(err, ERR_NOT_FOUND, "user is not in an org");
    rc = organization_check_admin(txn, &token->caller, member.org, err);
    if (!rc && member.is_site_admin && !token->caller.admin)
        rc = err_set(err, ERR_FORBIDDEN,
                     "only site admins can make a token for a site admin right now");
    return rc ? rc
              : auth_token_issue(txn, token->secret, &member.id, &token->caller, token->life_ms,
                                 token->token, err);
}
