// SPDX-License-Identifier: AGPL-3.0-or-later
// What services note in the log of a project (user-query 12.3). Programs write the rest of it by
// queries.
#ifndef SVC_PROJECT_LOG_H
#define SVC_PROJECT_LOG_H

#include "base/buf.h"
#include "svc/svc.h"

// In a transaction: the account did what `event` (a JSON object) says. Nothing happens if there is
// no such project.
int project_log_add(struct db_session *txn, const struct uuid *project_id,
                    const struct uuid *account_id, const struct buf *event,
                    struct err *err) MUST_USE;

// In a transaction that adds an entry: lets go of the oldest if there are too many.
int project_log_trim(struct db_session *txn, const char *project_id, struct err *err) MUST_USE;

#endif
