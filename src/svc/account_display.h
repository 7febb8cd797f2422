// SPDX-License-Identifier: AGPL-3.0-or-later
// How accounts are shown to others: their names, colours and pictures (hub-rpc 2.1, getNames).
#ifndef SVC_ACCOUNT_DISPLAY_H
#define SVC_ACCOUNT_DISPLAY_H

#include "base/buf.h"
#include "svc/svc.h"

struct account_display {
    // in; what it points to is the caller's until `done`
    const struct uuid *ids; // one may come several times
    size_t count;
    const char *owner; // whom it is done for
    struct loop *loop;
    void (*done)(struct account_display *display);
    // out
    int rc;
    struct err err;
    struct buf result; // a JSON object: id -> first_name, last_name, profile; to be freed
    // the service's
    struct svc *svc;
    struct work work;
};
// A few at once, by `session`; many on a worker. ERR_TOO_LARGE when there are too many pictures,
// ERR_RATE_LIMITED if too much waits for the owner.
void account_display(struct svc *svc, struct db_session *session, struct account_display *display);

#endif
