// SPDX-License-Identifier: AGPL-3.0-or-later
#include "svc/account_password.h"

#include <string.h>

#include "svc/accounts.h"
#include "svc/central_log.h"
#include "svc/password_failures.h"

static int note_failure(struct db_session *txn, const struct password_change *change,
                        struct err *err)
{
    int rc = password_failure_note(txn, &change->caller.account_id, err);
    return rc ? rc
              : central_log(txn, "change_password",
                            CENTRAL_TEXTS({"account_id", change->caller.account_id.text},
                                          {"ip_address", change->client},
                                          {"error", "invalid old password"}),
                            err);
}

// What the worker found counts only here: by then, of guesses sent together, too many may have been
// wrong.
static int change_in_txn(struct db_session *txn, void *arg, struct err *err)
{
    struct password_change *change = arg;
    const struct uuid *account_id = &change->caller.account_id;
    int rc = password_failures_check(txn, account_id, err);
    if (rc)
        return rc;
    if (!change->verified)
        return note_failure(txn, change, err);
    if (change->new_problem)
        return 0;
    rc = account_password_replace(txn, account_id, change->old_hash, change->new_hash, err);
    return rc ? rc
              : central_log(
                    txn, "change_password",
                    CENTRAL_TEXTS({"account_id", account_id->text}, {"ip_address", change->client}),
                    err);
}

static int wrong_password(struct err *err)
{
    return err_set(err, ERR_FORBIDDEN, "invalid old password");
}

static void on_changed(struct db_write *write)
{
    struct password_change *change = write->arg;
    change->rc = write->rc;
    change->err = write->err;
    if (!change->rc && !change->verified)
        change->rc = wrong_password(&change->err);
    else if (change->rc == -ERR_CONFLICT) // somebody else changed it meanwhile
        change->rc = wrong_password(&change->err);
    change->done(change);
}

static void hash_change(struct work *work)
{
    struct password_change *change = CONTAINER(work, struct password_change, work);
    change->rc = password_closing(change->svc->closing, &change->err);
    if (change->rc)
        return;
    change->verified =
        !change->old_hash[0] || password_verify(change->old_hash, change->old_password);
    if (change->verified && !change->new_problem)
        change->rc = password_hash(change->new_password, change->new_hash, &change->err);
}

static void on_change_hashed(struct work *work)
{
    struct password_change *change = CONTAINER(work, struct password_change, work);
    if (change->rc) {
        change->done(change);
        return;
    }
    change->write = (struct db_write){
        .loop = change->loop, .fn = change_in_txn, .arg = change, .done = on_changed};
    db_write_async(change->svc->db, &change->write);
}

void password_change(struct svc *svc, struct db_session *session, struct password_change *change)
{
    struct uuid account_id;
    const struct uuid *own = &change->caller.account_id;
    change->svc = svc;
    change->new_problem = password_problem(change->new_password);
    if (!uuid_parse(change->account_id, strlen(change->account_id), &account_id) ||
        !uuid_equal(&account_id, own))
        change->rc = wrong_password(&change->err);
    else if (!(change->rc = password_failures_check(session, own, &change->err)))
        change->rc = account_password_get(session, own, change->old_hash, &change->err);
    if (!change->rc && !work_submit_gated(change->loop, &svc->hashing, &change->work, own->text,
                                          hash_change, on_change_hashed))
        change->rc = password_queue_full(&change->err);
    if (change->rc)
        change->done(change);
}
