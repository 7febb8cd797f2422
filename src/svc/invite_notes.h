// SPDX-License-Identifier: AGPL-3.0-or-later
// What a project remembers of the invitations that it has sent: projects.invite, a map from address
// to the time of the last and why it failed (api-v1 9.3).
#ifndef SVC_INVITE_NOTES_H
#define SVC_INVITE_NOTES_H

#include "base/json.h"
#include "svc/svc.h"

// In a transaction. Notes that cannot be read begin anew. *ret_notes is the caller's.
int invite_notes_load(struct db_session *txn, const struct uuid *project_id, cJSON **ret_notes,
                      struct err *err) MUST_USE;
int invite_notes_save(struct db_session *txn, const struct uuid *project_id, const cJSON *notes,
                      struct err *err) MUST_USE;

// Notes that a mail went to the address now, or why it failed (NULL: it did not), in place of what
// was noted before. Of too many the oldest is forgotten.
void invite_notes_put(cJSON *notes, const char *address, const char *error);

#endif
