// SPDX-License-Identifier: AGPL-3.0-or-later
#include "svc/auth.h"

#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "db/query.h"
#include "svc/accounts.h"
#include "svc/central_log.h"
#include "svc/passwords.h"

// ---- Tokens ----

static void hash_token(const struct secret *secret, const char *token,
                       char hash[SECRET_HASH_TEXT_LEN + 1])
{
    secret_hash(secret, token, strlen(token), hash);
}

static int issue(struct db_session *txn, const struct secret *secret, const struct uuid *account_id,
                 const struct caller *by, bool by_admin, int64_t life_ms, char *token,
                 struct err *err)
{
    static const struct db_stmt insert = {
        "INSERT INTO auth_tokens (auth_token, account_id, created, created_by, is_admin, expire)"
        " SELECT $1, account_id, $3, $4, $5, $6 FROM accounts WHERE account_id = $2"
        " AND deleted = 0"};
    char hash[SECRET_HASH_TEXT_LEN + 1];
    int64_t now = clock_now_ms(), inserted = 0;
    token_random(token, AUTH_TOKEN_LEN);
    hash_token(secret, token, hash);
    int rc = db_exec(txn, &insert,
                     DB_ARGS(DB_TEXT(hash), DB_TEXT(account_id->text), DB_INT(now),
                             DB_TEXT(by->account_id.text), DB_INT(by_admin), DB_INT(now + life_ms)),
                     &inserted, err);
    if (!rc && !inserted)
        return err_set(err, ERR_NOT_FOUND, "no such account");
    return rc ? rc
              : central_log(txn, "get_user_auth_token",
                            CENTRAL_TEXTS({"account_id", by->account_id.text},
                                          {"user_account_id", account_id->text},
                                          {"is_admin", by_admin ? "true" : "false"}),
                            err);
}

int auth_token_issue(struct db_session *txn, const struct secret *secret,
                     const struct uuid *account_id, const struct caller *by, int64_t life_ms,
                     char token[AUTH_TOKEN_LEN + 1], struct err *err)
{
    if (life_ms < 1 || life_ms > LIMIT_AUTH_TOKEN_LIFE_MS)
        return err_set(err, ERR_INVALID, "a token lasts from 1 ms to %d days",
                       (int)(LIMIT_AUTH_TOKEN_LIFE_MS / CLOCK_DAY_MS));
    return issue(txn, secret, account_id, by, by->admin, life_ms, token, err);
}

int auth_token_expire(struct db_session *txn, const struct secret *secret, const char *token,
                      struct err *err)
{
    static const struct db_stmt remove = {"DELETE FROM auth_tokens WHERE auth_token = $1"};
    char hash[SECRET_HASH_TEXT_LEN + 1];
    hash_token(secret, token, hash);
    return db_exec(txn, &remove, DB_ARGS(DB_TEXT(hash)), NULL, err);
}

void auth_token_url(const struct site *site, const char *token, struct buf *out)
{
    buf_printf(out, "%s/auth/impersonate?auth_token=%s", site->url, token);
}

int auth_token_find(struct db_session *session, const struct secret *secret, const char *token,
                    struct uuid *ret_account_id, struct err *err)
{
    static const struct db_stmt find = {
        "SELECT t.account_id FROM auth_tokens t JOIN accounts a ON a.account_id = t.account_id"
        " WHERE t.auth_token = $1 AND t.expire > $2 AND a.deleted = 0 AND a.banned = 0"};
    char hash[SECRET_HASH_TEXT_LEN + 1];
    if (!*token)
        return err_set(err, ERR_INVALID, "missing auth_token.");
    if (strlen(token) != AUTH_TOKEN_LEN)
        return err_set(err, ERR_INVALID, "auth_token must be exactly 24 characters long");
    hash_token(secret, token, hash);
    auto_rows struct db_rows *rows = NULL;
    int rc =
        db_query_row(session, &find, DB_ARGS(DB_TEXT(hash), DB_INT(clock_now_ms())), &rows, err);
    if (rc != 1)
        return rc ? rc : err_set(err, ERR_NOT_FOUND, "auth_token is not valid");
    uuid_parse(db_rows_text(rows, 0), db_rows_size(rows, 0), ret_account_id);
    return 0;
}

// ---- For a password ----

static int check_failures(struct db_session *session, const struct auth_token_call *call,
                          struct err *err)
{
    static const struct db_stmt find = {"SELECT 1 FROM user_auth_failures WHERE account_id = $1 "
                                        "AND target_account_id = $2 AND time > $3"};
    int64_t failed = 0;
    int rc = db_query_int(session, &find,
                          DB_ARGS(DB_TEXT(call->caller.account_id.text), DB_TEXT(call->target.text),
                                  DB_INT(clock_now_ms() - call->pause_ms)),
                          &failed, err);
    if (!rc && failed)
        return err_set(err, ERR_RATE_LIMITED,
                       "banned -- please wait at least %" PRId64 "s before trying again",
                       call->pause_ms / 1000);
    return rc;
}

// A wrong password is noted, a right one earns a token. Both are one transaction.
static int finish_in_txn(struct db_session *txn, void *arg, struct err *err)
{
    static const struct db_stmt note = {
        "INSERT INTO user_auth_failures (account_id, target_account_id, time) VALUES ($1, $2, $3)"
        " ON CONFLICT (account_id, target_account_id) DO UPDATE SET time = excluded.time"};
    struct auth_token_call *call = arg;
    // Of guesses that were under way together, the first that fails shuts out the others, right or
    // wrong.
    int rc = check_failures(txn, call, err);
    if (rc)
        return rc;
    if (!call->verified)
        return db_exec(txn, &note,
                       DB_ARGS(DB_TEXT(call->caller.account_id.text), DB_TEXT(call->target.text),
                               DB_INT(clock_now_ms())),
                       NULL, err);
    return issue(txn, &call->svc->secret, &call->target, &call->caller, call->by_admin,
                 call->life_ms, call->token, err);
}

static void on_finished(struct db_write *write)
{
    struct auth_token_call *call = write->arg;
    call->rc = write->rc;
    call->err = write->err;
    if (!call->rc && !call->verified)
        call->rc = err_set(&call->err, ERR_FORBIDDEN, "incorrect password");
    call->done(call);
}

static void finish(struct auth_token_call *call)
{
    call->write = (struct db_write){
        .loop = call->loop, .fn = finish_in_txn, .arg = call, .done = on_finished};
    db_write_async(call->svc->db, &call->write);
}

static void verify_now(struct work *work)
{
    struct auth_token_call *call = CONTAINER(work, struct auth_token_call, work);
    call->rc = password_closing(call->svc->closing, &call->err);
    if (!call->rc)
        call->verified = password_verify(call->hash, call->password);
}

static void on_verified(struct work *work)
{
    struct auth_token_call *call = CONTAINER(work, struct auth_token_call, work);
    if (call->rc)
        call->done(call);
    else
        finish(call);
}

void auth_token_create(struct svc *svc, struct db_session *session, struct auth_token_call *call)
{
    call->svc = svc;
    call->verified = false;
    call->by_admin = call->caller.admin && !call->password[0];
    if (!uuid_parse(call->account_id, strlen(call->account_id), &call->target))
        call->rc = err_set(&call->err, ERR_INVALID, "invalid account_id -- %s", call->account_id);
    else if (!(call->rc = check_failures(session, call, &call->err)))
        call->rc = account_password_get(session, &call->target, call->hash, &call->err);
    if (call->rc) {
        call->done(call);
    } else if (call->by_admin) {
        call->verified = true;
        finish(call);
    } else if (call->hash[0]) {
        if (work_submit_gated(call->loop, &svc->hashing, &call->work, call->caller.account_id.text,
                              verify_now, on_verified))
            return;
        call->rc = password_queue_full(&call->err);
        call->done(call);
    } else {
        finish(call);
    }
}
