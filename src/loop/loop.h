// SPDX-License-Identifier: AGPL-3.0-or-later
// An event loop that belongs to one thread, with a mailbox that every thread may post to. libuv
// does the work; whoever runs on the loop's thread uses its handles directly through `uv`.
#ifndef LOOP_LOOP_H
#define LOOP_LOOP_H

#include <pthread.h>
#include <stdbool.h>
#include <uv.h>

#include "base/err.h"

struct loop;
struct loop_message;
typedef void loop_message_fn(struct loop_message *message);

// Embedded in what is posted; the poster keeps it alive until `fn` has run.
struct loop_message {
    struct loop_message *next;
    loop_message_fn *fn;
};

struct loop {
    uv_loop_t uv;
    uv_async_t wake;
    pthread_mutex_t lock;
    struct loop_message *first, **last; // under `lock`
    void *data;                         // the owner's
};

int loop_init(struct loop *loop, struct err *err) MUST_USE;
// Runs until loop_stop. On the thread that the loop belongs to from now on.
void loop_run(struct loop *loop);
// From any thread: makes loop_run return after the messages posted before it.
void loop_stop(struct loop *loop);
// After loop_run: runs the messages that are left and closes what is open. The memory is the
// caller's.
void loop_dispose(struct loop *loop);

// From any thread: `fn(message)` will run on the loop's thread, in the order of posting.
void loop_post(struct loop *loop, struct loop_message *message, loop_message_fn *fn);

#endif
