// SPDX-License-Identifier: AGPL-3.0-or-later
#include "svc/auth.h"

#include <string.h>

#include "base/clock.h"
#include "db/query.h"
#include "svc/accounts.h"
#include "svc/central_log.h"
#include "svc/passwords.h"

#define TOKEN_LIFE_MS   (INT64_C(12) * 3600 * 1000)
#define FAILURE_WAIT_MS 60000

static int check_failures(struct db_session *session, const struct auth_token_call *call,
                          struct err *err)
{
    static const struct db_stmt find = {"SELECT 1 FROM user_auth_failures WHERE account_id = $1 "
                                        "AND target_account_id = $2 AND time > $3"};
    int64_t failed = 0;
    int rc = db_query_int(session, &find,
                          DB_ARGS(DB_TEXT(call->caller.account_id.text), DB_TEXT(call->target.text),
                                  DB_INT(clock_now_ms() - FAILURE_WAIT_MS)),
                          &failed, err);
    if (!rc && failed)
        return err_set(err, ERR_RATE_LIMITED,
                       "banned -- please wait at least 60s before trying again");
    return rc;
}

// A wrong password is noted, a right one earns a token. Both are one transaction.
static int finish_in_txn(struct db_session *txn, void *arg, struct err *err)
{
    static const struct db_stmt note = {
        "INSERT INTO user_auth_failures (account_id, target_account_id, time) VALUES ($1, $2, $3)"
        " ON CONFLICT (account_id, target_account_id) DO UPDATE SET time = excluded.time"};
    static const struct db_stmt insert = {
        "INSERT INTO auth_tokens (auth_token, account_id, created, created_by, is_admin, expire)"
        " VALUES ($1, $2, $3, $4, $5, $6)"};
    struct auth_token_call *call = arg;
    int64_t now = clock_now_ms();
    // Of guesses that were under way together, the first that fails shuts out the others, right or
    // wrong.
    int rc = check_failures(txn, call, err);
    if (rc)
        return rc;
    if (!call->verified)
        return db_exec(
            txn, &note,
            DB_ARGS(DB_TEXT(call->caller.account_id.text), DB_TEXT(call->target.text), DB_INT(now)),
            NULL, err);
    token_random(call->token, AUTH_TOKEN_LEN);
    rc = db_exec(txn, &insert,
                 DB_ARGS(DB_TEXT(call->token), DB_TEXT(call->target.text), DB_INT(now),
                         DB_TEXT(call->caller.account_id.text), DB_INT(call->by_admin),
                         DB_INT(now + TOKEN_LIFE_MS)),
                 NULL, err);
    return rc ? rc
              : central_log(txn, "get_user_auth_token",
                            CENTRAL_TEXTS({"account_id", call->caller.account_id.text},
                                          {"user_account_id", call->target.text},
                                          {"is_admin", call->by_admin ? "true" : "false"}),
                            err);
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
    call->verified = password_verify(call->hash, call->password);
}

static void on_verified(struct work *work)
{
    finish(CONTAINER(work, struct auth_token_call, work));
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
