// SPDX-License-Identifier: AGPL-3.0-or-later
#include "svc/sign_ins.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "db/query.h"
#include "svc/auth.h"
#include "svc/central_log.h"

static void hash_cookie(const struct secret *secret, const char *cookie,
                        char hash[SECRET_HASH_TEXT_LEN + 1])
{
    secret_hash(secret, cookie, strlen(cookie), hash);
}

// Makes room for one more: the oldest go.
static int keep_few(struct db_session *txn, const struct uuid *account_id, struct err *err)
{
    static const struct db_stmt find = {"SELECT hash FROM remember_me WHERE account_id = $1"
                                        " ORDER BY created DESC, hash LIMIT 1 OFFSET $2"};
    static const struct db_stmt remove = {"DELETE FROM remember_me WHERE hash = $1"};
    for (;;) {
        auto_rows struct db_rows *rows = NULL;
        int rc = db_query_row(
            txn, &find, DB_ARGS(DB_TEXT(account_id->text), DB_INT(LIMIT_SIGN_INS - 1)), &rows, err);
        if (rc != 1)
            return rc;
        rc = db_exec(txn, &remove, DB_ARGS(DB_TEXT(db_rows_text(rows, 0))), NULL, err);
        if (rc)
            return rc;
    }
}

static int sign_in(struct db_session *txn, const struct secret *secret,
                   const struct uuid *account_id, char *cookie, struct err *err)
{
    static const struct db_stmt insert = {
        "INSERT INTO remember_me (hash, account_id, created, expire) VALUES ($1, $2, $3, $4)"};
    char hash[SECRET_HASH_TEXT_LEN + 1];
    int64_t now = clock_now_ms();
    token_random(cookie, SIGN_IN_COOKIE_LEN);
    hash_cookie(secret, cookie, hash);
    return db_exec(txn, &insert,
                   DB_ARGS(DB_TEXT(hash), DB_TEXT(account_id->text), DB_INT(now),
                           DB_INT(now + INT64_C(1000) * SIGN_IN_LIFE_S)),
                   NULL, err);
}

int sign_in_by_token(struct db_session *txn, const struct secret *secret, const char *token,
                     const char *before, char ret_cookie[SIGN_IN_COOKIE_LEN + 1], struct err *err)
{
    struct uuid account_id;
    int rc = auth_token_find(txn, secret, token, &account_id, err);
    if (!rc && before)
        rc = sign_in_end(txn, secret, before, err);
    if (!rc)
        rc = keep_few(txn, &account_id, err);
    if (!rc)
        rc = sign_in(txn, secret, &account_id, ret_cookie, err);
    return rc ? rc
              : central_log(txn, "successful_sign_in",
                            CENTRAL_TEXTS({"account_id", account_id.text}, {"by", "auth_token"}),
                            err);
}

int sign_in_find(struct db_session *session, const struct secret *secret, const char *cookie,
                 struct uuid *ret_account_id, struct err *err)
{
    static const struct db_stmt find = {
        "SELECT r.account_id FROM remember_me r JOIN accounts a ON a.account_id = r.account_id"
        " WHERE r.hash = $1 AND r.expire > $2 AND a.deleted = 0 AND a.banned = 0"};
    char hash[SECRET_HASH_TEXT_LEN + 1];
    hash_cookie(secret, cookie, hash);
    auto_rows struct db_rows *rows = NULL;
    int rc =
        db_query_row(session, &find, DB_ARGS(DB_TEXT(hash), DB_INT(clock_now_ms())), &rows, err);
    if (rc != 1)
        return rc ? rc : err_set(err, ERR_UNAUTHORIZED, "You are not signed in.");
    uuid_parse(db_rows_text(rows, 0), db_rows_size(rows, 0), ret_account_id);
    return 0;
}

int sign_in_end(struct db_session *txn, const struct secret *secret, const char *cookie,
                struct err *err)
{
    static const struct db_stmt remove = {"DELETE FROM remember_me WHERE hash = $1"};
    char hash[SECRET_HASH_TEXT_LEN + 1];
    hash_cookie(secret, cookie, hash);
    return db_exec(txn, &remove, DB_ARGS(DB_TEXT(hash)), NULL, err);
}

int sign_ins_end(struct db_session *txn, const struct uuid *account_id, struct err *err)
{
    static const struct db_stmt browsers = {"DELETE FROM remember_me WHERE account_id = $1"};
    static const struct db_stmt tokens = {"DELETE FROM auth_tokens WHERE account_id = $1"};
    int rc = db_exec(txn, &browsers, DB_ARGS(DB_TEXT(account_id->text)), NULL, err);
    return rc ? rc : db_exec(txn, &tokens, DB_ARGS(DB_TEXT(account_id->text)), NULL, err);
}

void sign_in_mark(const struct secret *secret, const char *cookie,
                  char out[SECRET_HASH_TEXT_LEN + 1])
{
    auto_buf struct buf text = {0};
    buf_printf(&text, "form %s", cookie);
    secret_hash(secret, text.data, text.size, out);
}
