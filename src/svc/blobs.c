// SPDX-License-Identifier: AGPL-3.0-or-later
#include "svc/blobs.h"

#include "base/clock.h"

int blobs_keep(struct db_session *txn, const struct uuid *ids, size_t count, struct err *err)
{
    static const struct db_stmt keep = {
        "UPDATE blobs SET expire = NULL WHERE id = $1 AND expire > $2"};
    const int64_t now_ms = clock_now_ms();
    int rc = 0;
    for (size_t i = 0; i < count && !rc; i++)
        rc = db_exec(txn, &keep, DB_ARGS(DB_TEXT(ids[i].text), DB_INT(now_ms)), NULL, err);
    return rc;
}
