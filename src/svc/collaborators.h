// SPDX-License-Identifier: AGPL-3.0-or-later
// Who works on a project: adding, removing, inviting (api-v1 3.16 to 3.19).
#ifndef SVC_COLLABORATORS_H
#define SVC_COLLABORATORS_H

#include "svc/svc.h"

// In a transaction: makes the account a collaborator of the project. Owners stay owners. Nothing
// happens if the project does not exist. ERR_NOT_FOUND if the account does not.
int collaborator_add(struct db_session *txn, const struct uuid *project_id,
                     const struct uuid *account_id, struct err *err) MUST_USE;
// In a transaction: owners and strangers are left as they are.
int collaborator_remove(struct db_session *txn, const struct uuid *project_id,
                        const struct uuid *account_id, struct err *err) MUST_USE;

// In a transaction: carries out what waits for somebody to have this address (api-v1 3.2, 3.7): the
// invitations that have not expired. Marks the account's creation_actions_done.
int creation_actions_run(struct db_session *txn, const struct uuid *account_id,
                         const char *email_address, struct err *err) MUST_USE;

#endif
