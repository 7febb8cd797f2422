// SPDX-License-Identifier: AGPL-3.0-or-later
#include "svc/accounts.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/text.h"
#include "db/query.h"
#include "svc/account_index.h"
#include "svc/row_json.h"
#include "svc/sign_ins.h"

#define ACTIVE_INTERVAL_MS 120000

int account_name_get(struct db_session *session, const struct uuid *account_id, struct arena *arena,
                     struct account_name *ret_name, struct err *err)
{
    static const struct db_stmt find = {
        "SELECT first_name, last_name FROM accounts WHERE account_id = $1"};
    auto_rows struct db_rows *rows = NULL;
    int rc = db_query_row(session, &find, DB_ARGS(DB_TEXT(account_id->text)), &rows, err);
    if (rc != 1)
        return rc;
    const char *first = db_rows_text(rows, 0), *last = db_rows_text(rows, 1);
    ret_name->first_name = first ? arena_strdup(arena, first) : NULL;
    ret_name->last_name = last ? arena_strdup(arena, last) : NULL;
    return 1;
}

// ---- Syntax of an address ----

static bool is_atom_char(char c)
{
    return isalnum((unsigned char)c) || (c && strchr("!#$%&'*+-/=?^_`{|}~", c)) ||
           (unsigned char)c >= 0x80;
}

// Dot-separated atoms, or a quoted string; returns where it ends, NULL if it is neither.
static const char *skip_local_part(const char *p)
{
    if (*p == '"') {
        for (p++; *p && *p != '"'; p++) {
            if ((unsigned char)*p < ' ' || (*p == '\\' && (unsigned char)*++p < ' '))
                return NULL;
        }
        return *p == '"' ? p + 1 : NULL;
    }
    for (;;) {
        const char *start = p;
        while (is_atom_char(*p))
            p++;
        if (p == start)
            return NULL;
        if (*p != '.')
            return p;
        p++;
    }
}

static bool is_domain(const char *p)
{
    if (*p == '[') {
        size_t len = strspn(p + 1, "0123456789abcdefABCDEF.:IPv");
        return len && !strcmp(p + 1 + len, "]");
    }
    for (;;) {
        const char *start = p;
        while (isalnum((unsigned char)*p) || *p == '-' || (unsigned char)*p >= 0x80)
            p++;
        if (p == start || p[-1] == '-' || *start == '-')
            return false;
        if (!*p)
            return true;
        if (*p++ != '.')
            return false;
    }
}

bool email_address_valid(const char *email_address)
{
    const char *at = skip_local_part(email_address);
    return at && *at == '@' && strlen(email_address) <= LIMIT_EMAIL && is_domain(at + 1);
}

// ---- Looking after accounts ----

struct finder {
    struct db_stmt by_id, by_email;
};

static int find(struct db_session *session, const struct finder *finder, const char *who,
                struct uuid *ret_account_id, struct err *err)
{
    struct uuid id;
    bool is_id = uuid_parse(who, strlen(who), &id);
    auto_free char *lower = mem_strdup(is_id ? id.text : who);
    text_lower(lower);
    auto_rows struct db_rows *rows = NULL;
    int rc = db_query_row(session, is_id ? &finder->by_id : &finder->by_email,
                          DB_ARGS(DB_TEXT(lower)), &rows, err);
    if (rc == 1)
        uuid_parse(db_rows_text(rows, 0), db_rows_size(rows, 0), ret_account_id);
    return rc == 1 ? 0 : rc ? rc : err_set(err, ERR_NOT_FOUND, "no account %s", who);
}

int account_find(struct db_session *session, const char *who, struct uuid *ret_account_id,
                 struct err *err)
{
    static const struct finder finder = {
        {"SELECT account_id FROM accounts WHERE account_id = $1"},
        {"SELECT account_id FROM accounts WHERE email_address = $1"}};
    return find(session, &finder, who, ret_account_id, err);
}

int account_find_living(struct db_session *session, const char *who, struct uuid *ret_account_id,
                        struct err *err)
{
    static const struct finder finder = {
        {"SELECT account_id FROM accounts WHERE account_id = $1 AND deleted = 0"},
        {"SELECT account_id FROM accounts WHERE email_address = $1 AND deleted = 0"}};
    return find(session, &finder, who, ret_account_id, err);
}

int account_exists(struct db_session *session, const struct uuid *account_id, bool *ret_exists,
                   struct err *err)
{
    static const struct db_stmt find = {
        "SELECT 1 FROM accounts WHERE account_id = $1 AND deleted = 0"};
    int64_t exists = 0;
    int rc = db_query_int(session, &find, DB_ARGS(DB_TEXT(account_id->text)), &exists, err);
    *ret_exists = exists;
    return rc;
}

#define ACCOUNT_COLUMNS                                                                            \
    "account_id, email_address, first_name, last_name, created, created_by, last_active, banned, " \
    "deleted, \"groups\","                                                                         \
    " email_address_before_delete, password_hash IS NOT NULL, email_address_verified"

// Addresses that were verified, each with a time, are those of before too.
static bool is_verified(struct db_rows *rows)
{
    if (db_rows_null(rows, 1) || db_rows_null(rows, 12))
        return false;
    auto_json cJSON *verified = cJSON_Parse(db_rows_text(rows, 12));
    return json_get(verified, db_rows_text(rows, 1)) != NULL;
}

static void account_write(struct db_rows *rows, struct buf *out)
{
    json_begin_object(out);
    row_member(out, "account_id", ROW_TEXT, rows, 0);
    row_member(out, "email_address", ROW_TEXT, rows, 1);
    row_member(out, "first_name", ROW_TEXT, rows, 2);
    row_member(out, "last_name", ROW_TEXT, rows, 3);
    row_member(out, "created", ROW_TIME, rows, 4);
    row_member(out, "created_by", ROW_TEXT, rows, 5);
    row_member(out, "last_active", ROW_TIME, rows, 6);
    json_member_bool(out, "banned", db_rows_int(rows, 7));
    json_member_bool(out, "deleted", db_rows_int(rows, 8));
    json_key(out, "groups");
    if (db_rows_null(rows, 9))
        json_raw(out, "[]", 2);
    else
        json_raw(out, db_rows_text(rows, 9), db_rows_size(rows, 9));
    row_member(out, "email_address_before_delete", ROW_TEXT, rows, 10);
    json_member_bool(out, "has_password", db_rows_int(rows, 11));
    json_member_bool(out, "email_address_verified", is_verified(rows));
    json_end_object(out);
}

int account_show(struct db_session *session, const struct uuid *account_id, struct buf *out,
                 struct err *err)
{
    static const struct db_stmt find = {"SELECT " ACCOUNT_COLUMNS
                                        " FROM accounts WHERE account_id = $1"};
    auto_rows struct db_rows *rows = NULL;
    int rc = db_query_row(session, &find, DB_ARGS(DB_TEXT(account_id->text)), &rows, err);
    if (rc == 1)
        account_write(rows, out);
    return rc == 1 ? 0 : rc ? rc : err_set(err, ERR_NOT_FOUND, "no account %s", account_id->text);
}

int account_list(struct db_session *session, const char *search, struct buf *out, struct err *err)
{
    static const struct db_stmt list = {
        "SELECT " ACCOUNT_COLUMNS " FROM accounts WHERE lower(coalesce(email_address, '') || ' ' ||"
        " coalesce(first_name, '') || ' ' || coalesce(last_name, '')) LIKE $1 ESCAPE '\\'"
        " ORDER BY created DESC, account_id LIMIT 1000"};
    auto_buf struct buf pattern = {0};
    buf_append_char(&pattern, '%');
    for (const char *p = search ? search : ""; *p; p++) {
        if (strchr("%_\\", *p))
            buf_append_char(&pattern, '\\');
        buf_append_char(&pattern, (char)tolower((unsigned char)*p));
    }
    buf_append_char(&pattern, '%');
    auto_rows struct db_rows *rows = NULL;
    int rc = db_query(session, &list, DB_ARGS(DB_TEXTN(pattern.data, pattern.size)), &rows, err);
    if (rc)
        return rc;
    json_begin_array(out);
    while ((rc = db_rows_next(rows, err)) == 1)
        account_write(rows, out);
    json_end_array(out);
    return rc;
}

// Runs a change of one account; what callers may do changes with it.
static int change(struct db_session *txn, const struct db_stmt *stmt, const struct uuid *account_id,
                  struct db_value value, struct err *err)
{
    int64_t changed = 0;
    int rc = db_exec(txn, stmt, DB_ARGS(DB_TEXT(account_id->text), value), &changed, err);
    if (!rc && !changed)
        return err_set(err, ERR_NOT_FOUND, "no account %s", account_id->text);
    db_notify(txn, DB_TOPIC_ACCOUNTS);
    return rc;
}

int account_ban(struct db_session *txn, const struct uuid *account_id, bool banned, struct err *err)
{
    static const struct db_stmt update = {"UPDATE accounts SET banned = $2 WHERE account_id = $1"};
    int rc = change(txn, &update, account_id, DB_INT(banned), err);
    return rc || !banned ? rc : sign_ins_end(txn, account_id, err);
}

int account_delete(struct db_session *txn, const struct uuid *account_id, struct err *err)
{
    static const struct db_stmt update = {
        "UPDATE accounts SET deleted = $2, passports = NULL, email_address = NULL,"
        " email_address_before_delete = coalesce(email_address, email_address_before_delete)"
        " WHERE account_id = $1"};
    int rc = change(txn, &update, account_id, DB_INT(1), err);
    if (!rc)
        rc = sign_ins_end(txn, account_id, err);
    return rc ? rc : account_index_remove(txn, account_id, err);
}

int account_delete_by(struct db_session *txn, const struct caller *caller,
                      const struct uuid *account_id, struct err *err)
{
    bool exists;
    int rc = account_exists(txn, account_id, &exists, err);
    if (rc || !exists)
        return rc;
    if (!caller->admin && !uuid_equal(account_id, &caller->account_id))
        return err_set(err, ERR_FORBIDDEN,
                       "only the account itself or an administrator may delete account %s",
                       account_id->text);
    return account_delete(txn, account_id, err);
}

int account_password_get(struct db_session *session, const struct uuid *account_id,
                         char ret_hash[PASSWORD_HASH_SIZE], struct err *err)
{
    static const struct db_stmt find = {
        "SELECT password_hash FROM accounts WHERE account_id = $1 AND deleted = 0"};
    auto_rows struct db_rows *rows = NULL;
    int rc = db_query_row(session, &find, DB_ARGS(DB_TEXT(account_id->text)), &rows, err);
    if (rc != 1)
        return rc ? rc : err_set(err, ERR_NOT_FOUND, "no such account");
    snprintf(ret_hash, PASSWORD_HASH_SIZE, "%s",
             db_rows_null(rows, 0) ? "" : db_rows_text(rows, 0));
    return 0;
}

// What could let in whoever knew the old password, or had the mail: browsers that are signed in,
// tokens, and codes that were sent to the address.
static int sign_out(struct db_session *txn, const struct uuid *account_id, struct err *err)
{
    static const struct db_stmt codes = {
        "DELETE FROM password_reset WHERE email_address ="
        " (SELECT email_address FROM accounts WHERE account_id = $1)"};
    int rc = sign_ins_end(txn, account_id, err);
    return rc ? rc : db_exec(txn, &codes, DB_ARGS(DB_TEXT(account_id->text)), NULL, err);
}

int account_password_set(struct db_session *txn, const struct uuid *account_id, const char *hash,
                         struct err *err)
{
    static const struct db_stmt update = {
        "UPDATE accounts SET password_hash = $2 WHERE account_id = $1"};
    int rc = change(txn, &update, account_id, DB_TEXT(hash), err);
    return rc ? rc : sign_out(txn, account_id, err);
}

int account_password_replace(struct db_session *txn, const struct uuid *account_id,
                             const char *old_hash, const char *hash, struct err *err)
{
    static const struct db_stmt update = {
        "UPDATE accounts SET password_hash = $2"
        " WHERE account_id = $1 AND coalesce(password_hash, '') = $3"};
    int64_t changed = 0;
    int rc =
        db_exec(txn, &update, DB_ARGS(DB_TEXT(account_id->text), DB_TEXT(hash), DB_TEXT(old_hash)),
                &changed, err);
    if (!rc && !changed)
        return err_set(err, ERR_CONFLICT, "the password was changed meanwhile");
    return rc ? rc : sign_out(txn, account_id, err);
}

int account_passport_unlink(struct db_session *txn, const struct uuid *account_id,
                            const char *strategy, const char *id, struct err *err)
{
    static const struct db_stmt find = {"SELECT passports FROM accounts WHERE account_id = $1"};
    static const struct db_stmt update = {
        "UPDATE accounts SET passports = $2 WHERE account_id = $1"};
    auto_rows struct db_rows *rows = NULL;
    int rc = db_query_row(txn, &find, DB_ARGS(DB_TEXT(account_id->text)), &rows, err);
    if (rc != 1 || db_rows_null(rows, 0))
        return rc < 0 ? rc : 0;
    auto_json cJSON *passports = cJSON_Parse(db_rows_text(rows, 0));
    auto_free char *name = mem_printf("%s-%s", strategy, id);
    if (!json_get(passports, name))
        return 0;
    cJSON_DeleteItemFromObjectCaseSensitive(passports, name);
    auto_buf struct buf left = {0};
    json_value(&left, passports);
    return change(txn, &update, account_id, DB_TEXTN(left.data, left.size), err);
}

// The account's groups without "admin", and with it if it is to be one.
static void groups_with_admin(const char *groups, bool admin, struct buf *out)
{
    auto_json cJSON *list = groups ? cJSON_Parse(groups) : NULL;
    json_begin_array(out);
    for (const cJSON *item = list ? list->child : NULL; item; item = item->next) {
        if (cJSON_IsString(item) && strcmp(item->valuestring, "admin"))
            json_str(out, item->valuestring);
    }
    if (admin)
        json_str(out, "admin");
    json_end_array(out);
}

int account_admin(struct db_session *txn, const struct uuid *account_id, bool admin,
                  struct err *err)
{
    static const struct db_stmt find = {"SELECT \"groups\" FROM accounts WHERE account_id = $1"};
    static const struct db_stmt update = {
        "UPDATE accounts SET \"groups\" = $2 WHERE account_id = $1"};
    auto_buf struct buf groups = {0};
    auto_rows struct db_rows *rows = NULL;
    int rc = db_query_row(txn, &find, DB_ARGS(DB_TEXT(account_id->text)), &rows, err);
    if (rc < 0)
        return rc;
    groups_with_admin(rc ? db_rows_text(rows, 0) : NULL, admin, &groups);
    // An administrator of its organization may have been let in.
    rc = admin ? sign_ins_end(txn, account_id, err) : 0;
    return rc ? rc : change(txn, &update, account_id, DB_TEXTN(groups.data, groups.size), err);
}

static int write_active(struct db_session *txn, void *arg, struct err *err)
{
    static const struct db_stmt update = {
        "UPDATE accounts SET last_active = $2 WHERE account_id = $1"};
    const struct uuid *account_id = arg;
    int64_t now = clock_now_ms();
    int rc = db_exec(txn, &update, DB_ARGS(DB_TEXT(account_id->text), DB_INT(now)), NULL, err);
    return rc ? rc : account_index_touch(txn, account_id, now, err);
}

void account_mark_active(struct svc *svc, const struct uuid *account_id)
{
    if (throttle_pass(&svc->active, account_id->text, ACTIVE_INTERVAL_MS))
        svc_write_later(svc, write_active, account_id, sizeof *account_id);
}
