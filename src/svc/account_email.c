// SPDX-License-Identifier: AGPL-3.0-or-later
#include "svc/account_email.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "db/query.h"
#include "svc/accounts.h"
#include "svc/central_log.h"
#include "svc/collaborators.h"
#include "svc/password_failures.h"

static int wrong_password(struct err *err)
{
    return err_set(err, ERR_FORBIDDEN, "invalid_password");
}

static int check_free(struct db_session *txn, const char *email, struct err *err)
{
    static const struct db_stmt find = {"SELECT 1 FROM accounts WHERE email_address = $1"};
    int64_t taken = 0;
    int rc = db_query_int(txn, &find, DB_ARGS(DB_TEXT(email)), &taken, err);
    return rc || !taken ? rc : err_set(err, ERR_INVALID, "email_already_taken");
}

// An account that had no password keeps its sessions when it gets its first.
static int set_first_password(struct db_session *txn, const struct email_change *change,
                              struct err *err)
{
    static const struct db_stmt update = {
        "UPDATE accounts SET password_hash = $2 WHERE account_id = $1 AND password_hash IS NULL"};
    int64_t changed = 0;
    int rc = db_exec(txn, &update,
                     DB_ARGS(DB_TEXT(change->caller.account_id.text), DB_TEXT(change->new_hash)),
                     &changed, err);
    return rc || changed ? rc : wrong_password(err); // somebody else has set one meanwhile
}

static int set_address(struct db_session *txn, const struct email_change *change, struct err *err)
{
    static const struct db_stmt update = {
        "UPDATE accounts SET email_address = $2 WHERE account_id = $1"};
    const struct uuid *account_id = &change->caller.account_id;
    int rc = db_exec(txn, &update, DB_ARGS(DB_TEXT(account_id->text), DB_TEXT(change->email)), NULL,
                     err);
    if (!rc)
        rc = creation_actions_run(txn, account_id, change->email, err);
    if (!rc)
        rc = central_log(
            txn, "change_email_address",
            CENTRAL_TEXTS({"account_id", account_id->text}, {"ip_address", change->client}), err);
    db_notify(txn, DB_TOPIC_ACCOUNTS);
    return rc;
}

// As with change_password, what the worker found counts only after the second look at the failures.
static int change_in_txn(struct db_session *txn, void *arg, struct err *err)
{
    struct email_change *change = arg;
    int rc = password_failures_check(txn, &change->caller.account_id, err);
    if (rc)
        return rc;
    if (!change->verified)
        return password_failure_note(txn, &change->caller.account_id, err);
    rc = check_free(txn, change->email, err);
    if (!rc && change->new_hash[0])
        rc = set_first_password(txn, change, err);
    return rc ? rc : set_address(txn, change, err);
}

static void on_changed(struct db_write *write)
{
    struct email_change *change = write->arg;
    change->rc = write->rc;
    change->err = write->err;
    if (!change->rc && !change->verified)
        change->rc = wrong_password(&change->err);
    change->done(change);
}

static void write_change(struct email_change *change)
{
    change->write = (struct db_write){
        .loop = change->loop, .fn = change_in_txn, .arg = change, .done = on_changed};
    db_write_async(change->svc->db, &change->write);
}

static void hash_now(struct work *work)
{
    struct email_change *change = CONTAINER(work, struct email_change, work);
    struct err err;
    change->rc = password_closing(change->svc->closing, &change->err);
    if (change->rc)
        return;
    if (change->old_hash[0])
        change->verified = password_verify(change->old_hash, change->password);
    else if (password_hash(change->password, change->new_hash, &err))
        change->rc = err_set(&change->err, ERR_UNAVAILABLE,
                             "Error checking password -- please try again in a minute -- %.300s.",
                             err.message);
    else
        change->verified = true;
}

static void on_hashed(struct work *work)
{
    struct email_change *change = CONTAINER(work, struct email_change, work);
    if (change->rc)
        change->done(change);
    else
        write_change(change);
}

static int check(struct db_session *session, struct email_change *change)
{
    struct uuid account_id;
    if (!email_address_valid(change->email_address))
        return err_set(&change->err, ERR_INVALID, "email_invalid");
    if (!uuid_parse(change->account_id, strlen(change->account_id), &account_id) ||
        !uuid_equal(&account_id, &change->caller.account_id))
        return err_set(&change->err, ERR_FORBIDDEN,
                       "account_id in mesg is not what user is signed in as");
    snprintf(change->email, sizeof change->email, "%s", change->email_address);
    text_lower(change->email);
    int rc = password_failures_check(session, &change->caller.account_id, &change->err);
    return rc ? rc
              : account_password_get(session, &change->caller.account_id, change->old_hash,
                                     &change->err);
}

// An account without a password accepts any; what is sent becomes its password, if it can be one.
void email_change(struct svc *svc, struct db_session *session, struct email_change *change)
{
    change->svc = svc;
    change->verified = false;
    change->new_hash[0] = '\0';
    change->rc = check(session, change);
    bool first = !change->rc && !change->old_hash[0];
    if (first && !change->password[0]) {
        change->verified = true;
        write_change(change);
        return;
    }
    if (first && password_problem(change->password))
        change->rc = wrong_password(&change->err);
    if (!change->rc && !work_submit_gated(change->loop, &svc->hashing, &change->work,
                                          change->caller.account_id.text, hash_now, on_hashed))
        change->rc = password_queue_full(&change->err);
    if (change->rc)
        change->done(change);
}
