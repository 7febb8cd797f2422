// SPDX-License-Identifier: AGPL-3.0-or-later
// Blocking work off the loops: files, and queues that bound how much of a heavy kind runs at once.
#ifndef LOOP_WORK_H
#define LOOP_WORK_H

#include "loop/loop.h"

struct work;
typedef void work_fn(struct work *work);

// Embedded in what is to be done; alive until `done` has run.
struct work {
    uv_work_t uv;
    struct loop *loop;
    work_fn *run;  // on a worker thread
    work_fn *done; // on the thread of `loop`
    struct work_gate *gate;
    const char *owner; // whom it is done for, NULL: nobody in particular
    bool turns;        // it may take several (work_go_on)
    uint64_t round;    // how many turns of its owner come before it, counted with the gate's
    struct work *next;
    struct loop_message message;
};

// Before the first submission: how many worker threads the process has.
void work_threads_set(unsigned count);
// On the thread of `loop`.
void work_submit(struct loop *loop, struct work *work, work_fn *run, work_fn *done);

// At most `limit` works of a gate run at once, over all loops; the others wait in their order, but
// that owners take turns: however much one of them lets wait, another waits for one of it. A gate
// lives as long as the process.
struct work_gate {
    pthread_mutex_t lock;
    unsigned limit, running;
    unsigned owner_running; // that may run for one owner, so that places are left to others; 0: any
    unsigned owner_max;  // that may wait for one owner, so that none fills the queue; 0: any number
    uint64_t round;      // of the work that was started last
    struct work *first;  // that waits, in the order of their rounds
    struct work *active; // that runs
};

void work_gate_init(struct work_gate *gate, unsigned limit);
// `owner` (may be NULL) lives until the work is done. False, and nothing comes of it, when too much
// waits for that owner already.
bool work_submit_gated(struct loop *loop, struct work_gate *gate, struct work *work,
                       const char *owner, work_fn *run, work_fn *done) MUST_USE;
// Another turn of a work with `turns` set, in its `done`. It is never refused, and waits for the
// turns of other owners, but before those works of several turns that its owner has not begun: so
// only few hold what they have made so far.
void work_go_on(struct work *work);

#endif
