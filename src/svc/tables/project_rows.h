// SPDX-License-Identifier: AGPL-3.0-or-later
// How many rows of a kind a project keeps. Counting them at every write would cost more than the
// write, so they are looked through now and then, by chance; a project has some more meanwhile.
#ifndef SVC_TABLES_PROJECT_ROWS_H
#define SVC_TABLES_PROJECT_ROWS_H

#include "db/db.h"

// In a transaction that adds a row. `drop` deletes at most $3 of the rows of the project $1,
// beyond the newest $2.
int project_rows_trim(struct db_session *txn, const struct db_stmt *drop, const char *project_id,
                      int64_t keep, struct err *err) MUST_USE;

#endif
