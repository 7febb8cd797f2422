// SPDX-License-Identifier: AGPL-3.0-or-later
// What a project's log tells of who works on it (hub-rpc 2.2, 3). All in the transaction that does
// it.
#ifndef SVC_COLLABORATOR_NOTES_H
#define SVC_COLLABORATOR_NOTES_H

#include "svc/svc.h"

int collaborator_note_added(struct db_session *txn, const struct uuid *by,
                            const struct uuid *project_id, const struct uuid *account_id,
                            struct err *err) MUST_USE;
int collaborator_note_removed(struct db_session *txn, const struct uuid *by,
                              const struct uuid *project_id, const struct uuid *account_id,
                              struct err *err) MUST_USE;
int collaborator_note_group(struct db_session *txn, const struct uuid *by,
                            const struct uuid *project_id, const struct uuid *account_id,
                            const char *old_group, const char *new_group, struct err *err) MUST_USE;

#endif
