// SPDX-License-Identifier: AGPL-3.0-or-later
// The mail that tells people of their being mentioned (api-v1 9.5).
#ifndef SVC_MENTION_MAIL_H
#define SVC_MENTION_MAIL_H

#include "base/mem.h"
#include "svc/svc.h"

// A row of `mentions` that was just added.
struct mention {
    struct uuid project_id, source, target;
    int64_t time;
    const char *path;
    const char *description, *fragment_id; // NULL: none
};
// In a transaction: queues the mail, or finds out why there is none, and writes down which in the
// row. *ret_queued tells whether mail_wake is to come.
int mention_mail(struct db_session *txn, const struct svc *svc, const struct mention *mention,
                 struct arena *arena, bool *ret_queued, struct err *err) MUST_USE;

#endif
