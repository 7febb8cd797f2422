// SPDX-License-Identifier: AGPL-3.0-or-later
#include "svc/password_failures.h"

#include "base/clock.h"
#include "base/limits.h"
#include "db/query.h"

static int check_since(struct db_session *session, const struct uuid *account_id, int64_t since,
                       int limit, struct err *err)
{
    static const struct db_stmt count = {
        "SELECT count(*) FROM password_failures WHERE account_id = $1 AND time > $2"};
    int64_t failed = 0;
    int rc = db_query_int(session, &count, DB_ARGS(DB_TEXT(account_id->text), DB_INT(since)),
                          &failed, err);
    if (!rc && failed >= limit)
        return err_set(err, ERR_RATE_LIMITED, "too many wrong passwords; try again later");
    return rc;
}

int password_failures_check(struct db_session *session, const struct uuid *account_id,
                            struct err *err)
{
    int64_t now = clock_now_ms();
    int rc = check_since(session, account_id, now - CLOCK_MINUTE_MS, LIMIT_PASSWORD_FAILURES_MINUTE,
                         err);
    return rc ? rc
              : check_since(session, account_id, now - CLOCK_HOUR_MS, LIMIT_PASSWORD_FAILURES_HOUR,
                            err);
}

int password_failure_note(struct db_session *txn, const struct uuid *account_id, struct err *err)
{
    static const struct db_stmt insert = {
        "INSERT INTO password_failures (account_id, time) VALUES ($1, $2)"};
    return db_exec(txn, &insert, DB_ARGS(DB_TEXT(account_id->text), DB_INT(clock_now_ms())), NULL,
                   err);
}
