// SPDX-License-Identifier: AGPL-3.0-or-later
#include "svc/keys.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/text.h"
#include "db/query.h"

#define KEY_V1_RANDOM  24
#define KEY_V2_RANDOM  16
#define KEY_ID_DIGITS  6
#define KEYS_MAX       100000 // an account's (hub-rpc 8.2)
#define KEY_TRUNC_SIZE 16

int key_resolve(struct db_session *session, const struct secret *secret, const char *key,
                struct key_owner *ret_owner, struct err *err)
{
    static const struct db_stmt find = {
        "SELECT a.account_id, a.banned, a.\"groups\", k.project_id, k.expire FROM api_keys k"
        " JOIN accounts a ON a.account_id = k.account_id WHERE k.hash = $1 AND a.deleted = 0"};
    char hash[SECRET_HASH_TEXT_LEN + 1];
    *ret_owner = (struct key_owner){.status = KEY_UNKNOWN, .expires_ms = INT64_MAX};
    if (!text_has_prefix(key, "sk_") && !text_has_prefix(key, "sk-"))
        return 0;
    secret_hash(secret, key, strlen(key), hash);
    auto_rows struct db_rows *rows = NULL;
    int rc = db_query_row(session, &find, DB_ARGS(DB_TEXT(hash)), &rows, err);
    if (rc <= 0)
        return rc;
    if (!db_rows_null(rows, 4)) {
        ret_owner->expires_ms = db_rows_int(rows, 4);
        if (ret_owner->expires_ms <= clock_now_ms())
            return 0;
    }
    const char *groups = db_rows_text(rows, 2);
    ret_owner->status = db_rows_int(rows, 1) ? KEY_BANNED : KEY_VALID;
    ret_owner->caller.admin = groups && strstr(groups, "\"admin\"");
    ret_owner->caller.gold = groups && strstr(groups, "\"gold\"");
    uuid_parse(db_rows_text(rows, 0), db_rows_size(rows, 0), &ret_owner->caller.account_id);
    if (!db_rows_null(rows, 3))
        uuid_parse(db_rows_text(rows, 3), db_rows_size(rows, 3), &ret_owner->project_id);
    return 0;
}

// "sk_" or "sk-", "...", and the last six characters.
static void truncate_key(const char *key, char out[KEY_TRUNC_SIZE])
{
    snprintf(out, KEY_TRUNC_SIZE, "%.3s...%s", key, key + strlen(key) - 6);
}

static int key_v1_create(struct db_session *txn, const struct secret *secret,
                         const struct uuid *account_id, char out[KEY_TEXT_SIZE], struct err *err)
{
    static const struct db_stmt insert = {
        "INSERT INTO api_keys (account_id, kind, name, hash, trunc, sealed, created)"
        " VALUES ($1, 'v1', '', $2, $3, $4, $5)"};
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

static int check_new_key(struct db_session *txn, const struct uuid *account_id,
                         const struct key_options *options, struct err *err)
{
    static const struct db_stmt count = {"SELECT count(*) FROM api_keys WHERE account_id = $1"};
    static const struct db_stmt has_project = {
        "SELECT count(*) FROM projects WHERE project_id = $1"};
    int64_t n;
    int rc = db_query_int(txn, &count, DB_ARGS(DB_TEXT(account_id->text)), &n, err);
    if (!rc && n >= KEYS_MAX)
        return err_set(err, ERR_CONFLICT,
                       "There is a limit of %d per account; please delete some api keys.",
                       KEYS_MAX);
    if (rc || !options->project_id)
        return rc;
    rc = db_query_int(txn, &has_project, DB_ARGS(DB_TEXT(options->project_id->text)), &n, err);
    return rc  ? rc
           : n ? 0
               : err_set(err, ERR_NOT_FOUND, "no project %s", options->project_id->text);
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
    static const struct db_stmt update = {
        "UPDATE api_keys SET hash = $2, trunc = $3 WHERE id = $1"};
    char hash[SECRET_HASH_TEXT_LEN + 1], trunc[KEY_TRUNC_SIZE];
    struct uuid mark = uuid_new();
    int rc = check_new_key(txn, account_id, options, err);
    if (rc)
        return rc;
    rc = db_exec(txn, &insert,
                 DB_ARGS(DB_TEXT(account_id->text),
                         DB_TEXT(options->project_id ? options->project_id->text : NULL),
                         DB_TEXT(options->name ? options->name : ""), DB_TEXT(mark.text),
                         DB_INT(clock_now_ms()),
                         options->expires_ms ? DB_INT(options->expires_ms) : DB_NULL),
                 NULL, err);
    int64_t id = 0;
    if (!rc)
        rc = db_query_int(txn, &find, DB_ARGS(DB_TEXT(mark.text)), &id, err);
    if (rc)
        return rc;
    memcpy(out, "sk-", 3);
    token_random(out + 3, KEY_V2_RANDOM);
    id_text(id, out + 3 + KEY_V2_RANDOM);
    secret_hash(secret, out, strlen(out), hash);
    truncate_key(out, trunc);
    *ret_id = id;
    return db_exec(txn, &update, DB_ARGS(DB_INT(id), DB_TEXT(hash), DB_TEXT(trunc)), NULL, err);
}

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

static void key_write(struct db_rows *rows, struct buf *out)
{
    json_begin_object(out);
    json_member_int(out, "id", db_rows_int(rows, 0));
    json_member_str(out, "kind", db_rows_text(rows, 1));
    json_member_str(out, "name", db_rows_null(rows, 2) ? "" : db_rows_text(rows, 2));
    json_member_str(out, "trunc", db_rows_text(rows, 3));
    if (!db_rows_null(rows, 4))
        json_member_str(out, "project_id", db_rows_text(rows, 4));
    json_member_time(out, "created", db_rows_int(rows, 5));
    if (!db_rows_null(rows, 6))
        json_member_time(out, "expire", db_rows_int(rows, 6));
    if (!db_rows_null(rows, 7))
        json_member_time(out, "last_active", db_rows_int(rows, 7));
    json_end_object(out);
}

int key_list(struct db_session *session, const struct uuid *account_id, struct buf *out,
             struct err *err)
{
    static const struct db_stmt list = {
        "SELECT id, kind, name, trunc, project_id, created, expire, last_active"
        " FROM api_keys WHERE account_id = $1 ORDER BY id"};
    auto_rows struct db_rows *rows = NULL;
    int rc = db_query(session, &list, DB_ARGS(DB_TEXT(account_id->text)), &rows, err);
    if (rc)
        return rc;
    json_begin_array(out);
    while ((rc = db_rows_next(rows, err)) == 1)
        key_write(rows, out);
    json_end_array(out);
    return rc;
}
