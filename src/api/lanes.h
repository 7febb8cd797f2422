// SPDX-License-Identifier: AGPL-3.0-or-later
// How many calls of an I/O loop read a remote database at once. A lane is a fiber with a session of
// its own: a call runs in one from its first read to where its handler returns, and the loop serves
// others while it waits. Calls without a free lane wait for one in their order.
#ifndef API_LANES_H
#define API_LANES_H

#include "db/db.h"

struct lanes;

// What is answered with status 503 in place of what would have been run, unless the server ends.
#define API_BUSY_TEXT "the server waits for its database; try again later"

// Embedded in what lives as long as the call, which may be gone when `run` or `refuse` returns.
struct lane_call {
    // In a lane, with its session; may wait for that.
    void (*run)(struct lane_call *call, struct db_session *session);
    // Instead, when too many wait, one has waited too long, or the lanes are shut.
    void (*refuse)(struct lane_call *call);
    struct lane_call *next; // this and the next: the lanes' own
    uint64_t refuse_us;
};

// Everything here is called on the loop's thread.
int lanes_open(struct loop *loop, struct db *db, unsigned count, struct lanes **ret_lanes,
               struct err *err) MUST_USE;
// Runs the call now or later, or refuses it.
void lanes_run(struct lanes *lanes, struct lane_call *call);
// What waits for the database fails now, what comes later is refused. No call is in a lane when it
// returns.
void lanes_shut(struct lanes *lanes);
// After that, before loop_dispose, which frees the rest.
void lanes_close(struct lanes *lanes);

#endif
