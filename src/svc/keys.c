// SPDX-License-Identifier: AGPL-3.0-or-later
#include "svc/keys.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/text.h"
#include "db/query.h"
#include "svc/accounts.h"
#include "svc/project.h"
#include "svc/row_json.h"

#define KEY_V1_RANDOM  24
#define KEY_V2_RANDOM  16
#define KEY_ID_DIGITS  6
#define KEY_TRUNC_SIZE 16
#define ACTIVE_MS      60000

// Of project_users: who keys of a project work for.
#define WORKS_ON_IT "\"group\" IN ('owner', 'collaborator')"

// ---- Whose key ----

// Leaves what has come to life again meanwhile.
static int drop_dead(struct db_session *txn, void *arg, struct err *err)
{
    static const struct db_stmt drop = {
        "DELETE FROM api_keys WHERE id = $1 AND (expire <= $2 OR (project_id IS NOT NULL"
        " AND NOT EXISTS (SELECT 1 FROM project_users u WHERE u.project_id = api_keys.project_id"
        " AND u.account_id = api_keys.account_id AND u." WORKS_ON_IT ")))"};
    const int64_t *id = arg;
    return db_exec(txn, &drop, DB_ARGS(DB_INT(*id), DB_INT(clock_now_ms())), NULL, err);
}

static void read_owner(struct db_rows *rows, struct key_owner *owner)
{
    const char *groups = db_rows_text(rows, 2);
    owner->status = db_rows_int(rows, 1) ? KEY_BANNED : KEY_VALID;
    owner->caller.admin = json_list_has(groups, "admin");
    owner->caller.gold = json_list_has(groups, "gold");
    uuid_parse(db_rows_text(rows, 0), db_rows_size(rows, 0), &owner->caller.account_id);
    if (!db_rows_null(rows, 3))
        uuid_parse(db_rows_text(rows, 3), db_rows_size(rows, 3), &owner->project_id);
    if (!db_rows_null(rows, 4))
        owner->expires_ms = db_rows_int(rows, 4);
    owner->id = db_rows_int(rows, 5);
}

int key_resolve(struct svc *svc, struct db_session *session, const char *key,
                struct key_owner *ret_owner, struct err *err)
{
    static const struct db_stmt find = {
        "SELECT a.account_id, a.banned, a.\"groups\", k.project_id, k.expire, k.id,"
        " u.account_id FROM api_keys k JOIN accounts a ON a.account_id = k.account_id"
        " LEFT JOIN project_users u"
        " ON u.project_id = k.project_id AND u.account_id = k.account_id AND u." WORKS_ON_IT
        " WHERE k.hash = $1 AND a.deleted = 0"};
    char hash[SECRET_HASH_TEXT_LEN + 1];
    const struct key_owner nobody = {.status = KEY_UNKNOWN, .expires_ms = INT64_MAX};
    struct key_owner owner = nobody;
    *ret_owner = nobody;
    if (!text_has_prefix(key, "sk_") && !text_has_prefix(key, "sk-"))
        return 0;
    secret_hash(&svc->secret, key, strlen(key), hash);
    auto_rows struct db_rows *rows = NULL;
    int rc = db_query_row(session, &find, DB_ARGS(DB_TEXT(hash)), &rows, err);
    if (rc <= 0)
        return rc;
    read_owner(rows, &owner);
    bool left = owner.project_id.text[0] && db_rows_null(rows, 6);
    if (left || owner.expires_ms <= clock_now_ms())
        svc_write_later(svc, drop_dead, &owner.id, sizeof owner.id);
    else
        *ret_owner = owner;
    return 0;
}

static int write_active(struct db_session *txn, void *arg, struct err *err)
{
    static const struct db_stmt update = {"UPDATE api_keys SET last_active = $2 WHERE id = $1"};
    const int64_t *id = arg;
    return db_exec(txn, &update, DB_ARGS(DB_INT(*id), DB_INT(clock_now_ms())), NULL, err);
}

void key_mark_active(struct svc *svc, const struct key_owner *owner)
{
    char id[24];
    snprintf(id, sizeof id, "%" PRId64, owner->id);
    if (throttle_pass(&svc->keys, id, ACTIVE_MS))
        svc_write_later(svc, write_active, &owner->id, sizeof owner->id);
}

// ---- Making keys ----

// "sk_" or "sk-", "...", and the last six characters.
static void truncate_key(const char *key, char out[KEY_TRUNC_SIZE])
{
    snprintf(out, KEY_TRUNC_SIZE, "%.3s...%s", key, key + strlen(key) - 6);
}

static int key_v1_create(struct db_session *txn, const struct secret *secret,
                         const struct uuid *account_id, char out[KEY_TEXT_SIZE], struct err *err)
{
    static const struct db_stmt insert = {
        "INSERT INTO api_keys (account_id, kind, hash, trunc, sealed, created)"
        " VALUES ($1, 'v1', $2, $3, $4, $5)"};
    char hash[SECRET_HASH_TEXT_LEN + 1], trunc[KEY_TRUNC_SIZE];
    memcpy(out, "sk_", 3);
    token_random(out + 3, KEY_V1_RANDOM);
    secret_hash(secret, out, strlen(out), hash);
    truncate_key(out, trunc);
    auto_buf struct buf sealed = {0};
    secret_seal(secret, out, &sealed);
    return db_exec(txn, &insert,
                   DB_ARGS(DB_TEXT(account_id->text), DB_TEXT(hash), DB_TEXT(trunc),
                           DB_TEXTN(sealed.data, sealed.size), DB_INT(clock_now_ms())),
                   NULL, err);
}

static int key_v1_open(struct db_session *session, const struct secret *secret,
                       const struct uuid *account_id, bool *ret_found, char out[KEY_TEXT_SIZE],
                       struct err *err)
{
    static const struct db_stmt find = {
        "SELECT sealed FROM api_keys WHERE account_id = $1 AND kind = 'v1'"};
    auto_rows struct db_rows *rows = NULL;
    int rc = db_query_row(session, &find, DB_ARGS(DB_TEXT(account_id->text)), &rows, err);
    *ret_found = rc == 1;
    if (rc <= 0)
        return rc;
    auto_buf struct buf key = {0};
    rc = secret_open(secret, db_rows_text(rows, 0), &key, err);
    if (!rc)
        snprintf(out, KEY_TEXT_SIZE, "%s", buf_cstr(&key));
    return rc;
}

int key_v1_get(struct db_session *txn, const struct secret *secret, const struct uuid *account_id,
               bool regenerate, char out[KEY_TEXT_SIZE], struct err *err)
{
    static const struct db_stmt remove = {
        "DELETE FROM api_keys WHERE account_id = $1 AND kind = 'v1'"};
    bool found = false;
    int rc;
    if (regenerate)
        rc = db_exec(txn, &remove, DB_ARGS(DB_TEXT(account_id->text)), NULL, err);
    else
        rc = key_v1_open(txn, secret, account_id, &found, out, err);
    if (rc || found)
        return rc;
    if (regenerate)
        db_notify(txn, DB_TOPIC_ACCOUNTS);
    return key_v1_create(txn, secret, account_id, out, err);
}

// The id in base 62, six digits.
static void id_text(int64_t id, char out[KEY_ID_DIGITS + 1])
{
    static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    for (int i = KEY_ID_DIGITS - 1; i >= 0; i--, id /= 62)
        out[i] = digits[id % 62];
    out[KEY_ID_DIGITS] = '\0';
}

static int check_name(const char *name, struct err *err)
{
    return name && utf8_utf16_len(name, strlen(name)) > KEY_NAME_MAX
               ? err_set(err, ERR_INVALID, "a name may have %d characters at most", KEY_NAME_MAX)
               : 0;
}

static int check_account(struct db_session *txn, const struct uuid *account_id, struct err *err)
{
    static const struct db_stmt count = {"SELECT count(*) FROM api_keys WHERE account_id = $1"};
    bool exists;
    int64_t keys = 0;
    int rc = account_exists(txn, account_id, &exists, err);
    if (!rc && !exists)
        return err_set(err, ERR_NOT_FOUND, "account_id is not a valid account");
    if (!rc)
        rc = db_query_int(txn, &count, DB_ARGS(DB_TEXT(account_id->text)), &keys, err);
    return rc || keys < LIMIT_KEYS
               ? rc
               : err_set(err, ERR_CONFLICT,
                         "There is a limit of %d per account; please delete some api keys.",
                         LIMIT_KEYS);
}

static int check_project(struct db_session *txn, const struct uuid *account_id,
                         const struct uuid *project_id, struct err *err)
{
    static const struct db_stmt find = {
        "SELECT 1 FROM project_users WHERE project_id = $1 AND account_id = $2 AND " WORKS_ON_IT};
    bool exists;
    int64_t is_user = 0;
    int rc = project_exists(txn, project_id, &exists, err);
    if (!rc && !exists)
        return err_set(err, ERR_NOT_FOUND, "no project %s", project_id->text);
    if (!rc)
        rc = db_query_int(txn, &find, DB_ARGS(DB_TEXT(project_id->text), DB_TEXT(account_id->text)),
                          &is_user, err);
    return rc || is_user
               ? rc
               : err_set(err, ERR_FORBIDDEN,
                         "user must be collaborator on project to manage project_id api keys");
}

static int check_new_key(struct db_session *txn, const struct uuid *account_id,
                         const struct key_options *options, struct err *err)
{
    int rc = check_name(options->name, err);
    if (!rc)
        rc = check_account(txn, account_id, err);
    return rc || !options->project_id ? rc
                                      : check_project(txn, account_id, options->project_id, err);
}

// Gives the row its key, which holds the row's id.
static int write_key(struct db_session *txn, const struct secret *secret, int64_t id, char *out,
                     struct err *err)
{
    static const struct db_stmt update = {
        "UPDATE api_keys SET hash = $2, trunc = $3 WHERE id = $1"};
    char hash[SECRET_HASH_TEXT_LEN + 1], trunc[KEY_TRUNC_SIZE];
    if (id > INT32_MAX)
        return err_internal(err, "key ids have run out");
    memcpy(out, "sk-", 3);
    token_random(out + 3, KEY_V2_RANDOM);
    id_text(id, out + 3 + KEY_V2_RANDOM);
    secret_hash(secret, out, strlen(out), hash);
    truncate_key(out, trunc);
    return db_exec(txn, &update, DB_ARGS(DB_INT(id), DB_TEXT(hash), DB_TEXT(trunc)), NULL, err);
}

int key_v2_create(struct db_session *txn, const struct secret *secret,
                  const struct uuid *account_id, const struct key_options *options, int64_t *ret_id,
                  char out[KEY_TEXT_SIZE], struct err *err)
{
    // The key holds its own id, which the row has only once it is there: a unique text stands in
    // for the hash until then.
    static const struct db_stmt insert = {
        "INSERT INTO api_keys (account_id, project_id, kind, name, hash, trunc, created, expire)"
        " VALUES ($1, $2, 'v2', $3, $4, '', $5, $6)"};
    static const struct db_stmt find = {"SELECT id FROM api_keys WHERE hash = $1"};
    struct uuid mark = uuid_new();
    int rc = check_new_key(txn, account_id, options, err);
    if (rc)
        return rc;
    rc = db_exec(txn, &insert,
                 DB_ARGS(DB_TEXT(account_id->text),
                         DB_TEXT(options->project_id ? options->project_id->text : NULL),
                         DB_TEXT(options->name), DB_TEXT(mark.text), DB_INT(clock_now_ms()),
                         options->expires_ms ? DB_INT(options->expires_ms) : DB_NULL),
                 NULL, err);
    int64_t id = 0;
    if (!rc)
        rc = db_query_int(txn, &find, DB_ARGS(DB_TEXT(mark.text)), &id, err);
    if (!rc)
        rc = write_key(txn, secret, id, out, err);
    if (!rc)
        *ret_id = id;
    return rc;
}

// ---- Looking after keys ----

#define COLUMNS "id, account_id, created, name, expire, trunc, last_active, kind, project_id"

static void write_members(struct db_rows *rows, struct buf *out)
{
    json_member_int(out, "id", db_rows_int(rows, 0));
    json_member_str(out, "account_id", db_rows_text(rows, 1));
    json_member_time(out, "created", db_rows_int(rows, 2));
    row_member_or_null(out, "name", ROW_TEXT, rows, 3);
    row_member_or_null(out, "expire", ROW_TIME, rows, 4);
    json_member_str(out, "trunc", db_rows_text(rows, 5));
    row_member_or_null(out, "last_active", ROW_TIME, rows, 6);
}

static int write_rows(struct db_rows *rows, bool all, struct buf *out, struct err *err)
{
    int rc;
    json_begin_array(out);
    while ((rc = db_rows_next(rows, err)) == 1) {
        json_begin_object(out);
        write_members(rows, out);
        if (all) {
            json_member_str(out, "kind", db_rows_text(rows, 7));
            row_member(out, "project_id", ROW_TEXT, rows, 8);
        }
        json_end_object(out);
    }
    json_end_array(out);
    return rc;
}

int key_list_in(struct db_session *session, const struct key_scope *scope, struct buf *out,
                struct err *err)
{
    static const struct db_stmt of_account = {
        "SELECT " COLUMNS " FROM api_keys WHERE account_id = $1 AND kind = 'v2'"
        " AND project_id IS NULL ORDER BY created DESC, id DESC"};
    static const struct db_stmt of_project = {"SELECT " COLUMNS
                                              " FROM api_keys WHERE project_id = $1 AND kind = 'v2'"
                                              " ORDER BY created DESC, id DESC"};
    auto_rows struct db_rows *rows = NULL;
    bool project = scope->project_id.text[0];
    int rc = db_query(session, project ? &of_project : &of_account,
                      DB_ARGS(DB_TEXT(project ? scope->project_id.text : scope->account_id.text)),
                      &rows, err);
    return rc ? rc : write_rows(rows, false, out, err);
}

// A key of a scope; $2 is its account, $3 its project or ''.
#define IN_SCOPE "id = $1 AND kind = 'v2' AND (project_id = $3 OR ($3 = '' AND account_id = $2))"

int key_show_in(struct db_session *session, const struct key_scope *scope, int64_t id,
                struct buf *out, struct err *err)
{
    static const struct db_stmt find = {"SELECT " COLUMNS " FROM api_keys WHERE " IN_SCOPE};
    auto_rows struct db_rows *rows = NULL;
    int rc = db_query_row(
        session, &find,
        DB_ARGS(DB_INT(id), DB_TEXT(scope->account_id.text), DB_TEXT(scope->project_id.text)),
        &rows, err);
    if (rc == 1)
        write_members(rows, out);
    return rc;
}

int key_edit_in(struct db_session *txn, const struct key_scope *scope, int64_t id,
                const struct key_edit *edit, struct err *err)
{
    static const struct db_stmt update = {
        "UPDATE api_keys SET name = coalesce($4, name),"
        " expire = CASE WHEN $5 = 1 THEN $6 ELSE expire END WHERE " IN_SCOPE};
    int64_t changed = 0;
    int rc = check_name(edit->name, err);
    if (!rc)
        rc = db_exec(txn, &update,
                     DB_ARGS(DB_INT(id), DB_TEXT(scope->account_id.text),
                             DB_TEXT(scope->project_id.text), DB_TEXT(edit->name),
                             DB_INT(edit->set_expire),
                             edit->expires_ms ? DB_INT(edit->expires_ms) : DB_NULL),
                     &changed, err);
    if (!rc && !changed)
        return err_set(err, ERR_NOT_FOUND, "no api key with id %" PRId64, id);
    if (!rc && edit->set_expire)
        db_notify(txn, DB_TOPIC_ACCOUNTS);
    return rc;
}

int key_delete_in(struct db_session *txn, const struct key_scope *scope, int64_t id,
                  struct err *err)
{
    static const struct db_stmt remove = {"DELETE FROM api_keys WHERE " IN_SCOPE};
    int64_t changed = 0;
    int rc = db_exec(
        txn, &remove,
        DB_ARGS(DB_INT(id), DB_TEXT(scope->account_id.text), DB_TEXT(scope->project_id.text)),
        &changed, err);
    if (!rc && changed)
        db_notify(txn, DB_TOPIC_ACCOUNTS);
    return rc;
}

int keys_leave_project(struct db_session *txn, const struct uuid *project_id,
                       const struct uuid *account_id, struct err *err)
{
    static const struct db_stmt remove = {
        "DELETE FROM api_keys WHERE project_id = $1 AND account_id = $2 AND NOT EXISTS"
        " (SELECT 1 FROM project_users WHERE project_id = $1 AND account_id = $2 AND " WORKS_ON_IT
        ")"};
    int64_t changed = 0;
    int rc = db_exec(txn, &remove, DB_ARGS(DB_TEXT(project_id->text), DB_TEXT(account_id->text)),
                     &changed, err);
    if (!rc && changed)
        db_notify(txn, DB_TOPIC_ACCOUNTS);
    return rc;
}

// ---- All keys ----

int key_delete(struct db_session *txn, int64_t id, struct err *err)
{
    static const struct db_stmt remove = {"DELETE FROM api_keys WHERE id = $1"};
    int64_t changed = 0;
    int rc = db_exec(txn, &remove, DB_ARGS(DB_INT(id)), &changed, err);
    if (!rc && !changed)
        return err_set(err, ERR_NOT_FOUND, "no api key with id %" PRId64, id);
    db_notify(txn, DB_TOPIC_ACCOUNTS);
    return rc;
}

int key_list(struct db_session *session, const struct uuid *account_id, struct buf *out,
             struct err *err)
{
    static const struct db_stmt list = {"SELECT " COLUMNS
                                        " FROM api_keys WHERE account_id = $1 ORDER BY id"};
    auto_rows struct db_rows *rows = NULL;
    int rc = db_query(session, &list, DB_ARGS(DB_TEXT(account_id->text)), &rows, err);
    return rc ? rc : write_rows(rows, true, out, err);
}
