// SPDX-License-Identifier: AGPL-3.0-or-later
#include "svc/tables/project_rows.h"

#include <sodium.h>

#include "base/limits.h"

// Rows that are added between two looks, on average. Far fewer than one look deletes.
#define ROWS_BETWEEN 128

int project_rows_trim(struct db_session *txn, const struct db_stmt *drop, const char *project_id,
                      int64_t keep, struct err *err)
{
    if (randombytes_uniform(ROWS_BETWEEN))
        return 0;
    return db_exec(txn, drop,
                   DB_ARGS(DB_TEXT(project_id), DB_INT(keep), DB_INT(LIMIT_CLEANED_AT_ONCE)), NULL,
                   err);
}
