// SPDX-License-Identifier: AGPL-3.0-or-later
// The rules of the table accounts (user-query 12.1), for its description.
#ifndef SVC_TABLES_ACCOUNTS_H
#define SVC_TABLES_ACCOUNTS_H

#include "query/table.h"

query_check_value_fn account_check_string, account_check_intent;
query_set_fn account_check, account_after;

#endif
