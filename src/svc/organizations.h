// SPDX-License-Identifier: AGPL-3.0-or-later
// Organizations (user-query 12.15, hub-rpc 2.8). An account belongs to one at most: accounts.org is
// its name. Those whom `users` of an organization names may change what it says of itself.
#ifndef SVC_ORGANIZATIONS_H
#define SVC_ORGANIZATIONS_H

#include "svc/svc.h"

// All of these in a transaction.

// Whether an account or another organization than `own_id` (an account's or organization's; NULL:
// nobody's) has the name, in whatever case.
int organization_name_taken(struct db_session *txn, const char *name, const struct uuid *own_id,
                            bool *ret_taken, struct err *err) MUST_USE;
// ERR_INVALID for a name that is empty or too long, ERR_CONFLICT for one that is taken.
int organization_create(struct db_session *txn, const char *name, struct uuid *ret_id,
                        struct err *err) MUST_USE;
// Whether the organization is there and names the account as one of its users.
int organization_has_user(struct db_session *txn, const struct uuid *organization_id,
                          const struct uuid *account_id, bool *ret_has, struct err *err) MUST_USE;
// Takes the members along to a new name, before it is written.
int organization_rename(struct db_session *txn, const struct uuid *organization_id,
                        const char *name, struct err *err) MUST_USE;

#endif
