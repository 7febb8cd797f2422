// SPDX-License-Identifier: AGPL-3.0-or-later
// Functions that stop in their middle. A fiber has a stack of its own: where it waits for a
// descriptor, the loop goes on with what else there is, and comes back to it on the same thread. So
// code that reads over a network is written, and is the same, as code that reads a file.
//
// Fibers take turns only where one waits. What belongs to the loop or to all calls may have changed
// behind a wait, and what was borrowed from it may be gone.
#ifndef LOOP_FIBER_H
#define LOOP_FIBER_H

#include "loop/loop.h"

struct fiber;
typedef void fiber_fn(void *arg);

// Everything here is called on the thread of `loop`. ERR_UNAVAILABLE without memory for a stack of
// LIMIT_FIBER_STACK bytes.
int fiber_open(struct loop *loop, struct fiber **ret_fiber, struct err *err) MUST_USE;
// Runs fn(arg) in the fiber, which is not busy: what it ran before has returned. Returns when fn
// has returned or waits.
void fiber_run(struct fiber *fiber, fiber_fn *fn, void *arg);
// Within the fiber: suspends it until the descriptor is ready for `events` (POLLIN, POLLOUT) and
// returns 0. -ERR_TIMEOUT at the deadline (of clock_monotonic_us, 0: none), -ERR_UNAVAILABLE when
// the fiber is shut or the descriptor cannot be watched.
int fiber_wait(struct fiber *fiber, int fd, short events, uint64_t deadline_us);
// From outside: the wait under way fails, and so does every later one. The fiber is not busy when
// it returns.
void fiber_shut(struct fiber *fiber);
// Not while it is busy; before loop_dispose, which frees the rest.
void fiber_close(struct fiber *fiber);

#endif
