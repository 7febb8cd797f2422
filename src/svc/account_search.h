// SPDX-License-Identifier: AGPL-3.0-or-later
// Finding accounts by names and addresses (api-v1 section 7).
#ifndef SVC_ACCOUNT_SEARCH_H
#define SVC_ACCOUNT_SEARCH_H

#include "base/buf.h"
#include "svc/svc.h"

struct account_search {
    // in
    const char *query;
    const char *active; // as sent: "" or an interval; not for administrators' searches
    int64_t limit;      // of names, not negative
    // an administrator's search only
    struct loop *loop;
    void (*done)(struct account_search *search);
    // out
    struct buf results; // a JSON array; disposed of by the caller
    int rc;
    struct err err;
    // the service's
    struct svc *svc;
    struct work work;
};

// By the beginnings of names, and by whole addresses, at once. ERR_INVALID for what cannot be read
// as an interval, ERR_TOO_LARGE for too many items.
int account_search(struct db_session *session, struct account_search *search,
                   struct err *err) MUST_USE;
// For administrators: by an id, by one address, or by any part of names and addresses. Reads all
// accounts, on a worker; `done` runs on the loop.
void account_search_admin(struct svc *svc, struct account_search *search);

#endif
