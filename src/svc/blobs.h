// SPDX-License-Identifier: AGPL-3.0-or-later
// What is done with stored blobs besides reading and storing them, which svc/tables/blobs.c does by
// queries.
#ifndef SVC_BLOBS_H
#define SVC_BLOBS_H

#include "svc/svc.h"

// In a transaction: these blobs are kept for ever, as far as they are still there.
int blobs_keep(struct db_session *txn, const struct uuid *ids, size_t count,
               struct err *err) MUST_USE;

#endif
