// SPDX-License-Identifier: AGPL-3.0-or-later
// The mail of an invitation (api-v1 9.3, 9.4): what strangers write in it is cleaned, and leads
// nowhere unless they may send links.
#ifndef SVC_INVITE_LETTER_H
#define SVC_INVITE_LETTER_H

#include "svc/invitations.h"

// Makes invite->letter, if there is a text to send; its `rc` tells whether it may be sent at all.
// ERR_INVALID for texts that are too long.
int invite_letter_prepare(struct db_session *session, struct invite *invite,
                          struct err *err) MUST_USE;
// In a transaction: puts the mail to one address into the queue. `action` is what waits for
// somebody without an account, else NULL. Errors are those of mail_queue.
int invite_letter_send(struct db_session *txn, const struct invite *invite, const char *address,
                       const struct uuid *action, struct err *err) MUST_USE;

// Whether what the account writes may be sent with links: the project has network access, or the
// account has what one pays for (api-v1 9.3).
int invite_links_allowed(struct db_session *session, const struct svc *svc,
                         const struct uuid *project_id, const struct uuid *account_id,
                         bool *ret_allowed, struct err *err) MUST_USE;

#endif
