// SPDX-License-Identifier: AGPL-3.0-or-later
// Finding accounts by any part of their names, and by addresses and ids (hub-rpc 2.1).
//
// An index of beginnings (svc/account_index.h) cannot tell where a part of a name stands, so all
// names are compared with each word, on a worker: those of a million accounts take it half a
// second. One search runs at a time, so that they leave workers to other queries, and callers take
// turns. Ids and addresses are looked up.
#ifndef SVC_ACCOUNT_FIND_H
#define SVC_ACCOUNT_FIND_H

#include "base/buf.h"
#include "svc/svc.h"

struct account_find {
    // in; what it points to is the caller's until `done`
    const char *query;
    bool admin;        // unlisted accounts and parts of addresses too, and what administrators see
    bool only_address; // no names
    int64_t limit;     // of names, not negative
    const char *owner; // whom it is done for
    struct loop *loop;
    void (*done)(struct account_find *find);
    // out
    int rc;
    struct err err;
    struct buf results; // a JSON array, the most recently active first; to be freed
    // the service's
    struct svc *svc;
    struct work work;
};
// `session` is for an id or an address, which are looked up at once. ERR_TOO_LARGE for too many
// words or addresses, ERR_RATE_LIMITED if too much waits for the owner.
void account_find_any(struct svc *svc, struct db_session *session, struct account_find *find);

#endif
