// SPDX-License-Identifier: AGPL-3.0-or-later
#include "svc/organizations.h"

#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/text.h"
#include "db/query.h"

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

static int check_name(struct db_session *txn, const char *name, struct err *err)
{
    bool taken;
    const size_t size = utf8_utf16_len(name, strlen(name));
    if (!size || size > LIMIT_USER_NAME)
        return err_set(err, ERR_INVALID, "Error: name must have 1 to %d characters",
                       LIMIT_USER_NAME);
    int rc = organization_name_taken(txn, name, NULL, &taken, err);
    if (rc || !taken)
        return rc;
    return err_set(err, ERR_CONFLICT,
                   "Error: name %s is already used by some account or organization", name);
}

int organization_create(struct db_session *txn, const char *name, struct uuid *ret_id,
                        struct err *err)
{
    static const struct db_stmt add = {
        "INSERT INTO organizations (organization_id, created, name) VALUES ($1, $2, $3)"};
    struct uuid id = uuid_new();
    int rc = check_name(txn, name, err);
    if (!rc)
        rc = db_exec(txn, &add, DB_ARGS(DB_TEXT(id.text), DB_INT(clock_now_ms()), DB_TEXT(name)),
                     NULL, err);
    if (!rc)
        *ret_id = id;
    return rc;
}

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

int organization_rename(struct db_session *txn, const struct uuid *organization_id,
                        const char *name, struct err *err)
{
    static const struct db_stmt move = {
        "UPDATE accounts SET org = $2"
        " WHERE org = (SELECT name FROM organizations WHERE organization_id = $1)"};
    return db_exec(txn, &move, DB_ARGS(DB_TEXT(organization_id->text), DB_TEXT(name)), NULL, err);
}
