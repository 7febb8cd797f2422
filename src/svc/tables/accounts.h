// SPDX-License-Identifier: AGPL-3.0-or-later
// The rules of the table accounts (user-query 12.1), for its description.
#ifndef SVC_TABLES_ACCOUNTS_H
#define SVC_TABLES_ACCOUNTS_H

#include "query/table.h"

query_check_value_fn account_check_string, account_check_intent;
query_set_fn account_check, account_after;

// In a transaction: a name that an account or an organization can have, and that no other than
// `own_id` has. ERR_INVALID, ERR_CONFLICT; the text is the answer.
int account_check_name(struct db_session *txn, const char *name, const struct uuid *own_id,
                       struct err *err) MUST_USE;

#endif
