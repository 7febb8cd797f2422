// SPDX-License-Identifier: AGPL-3.0-or-later
// All kernels, and which of them wait for work (hub-rpc 7.5).
//
// A kernel takes half a second to start, so some are kept ready for each name that was asked for
// lately. A kernel is taken once and never comes back. The next one is started when nothing is
// running any more, or a while later, so that it does not slow down what it replaces a kernel of;
// and one at a time.
#ifndef JUPYTER_POOL_H
#define JUPYTER_POOL_H

#include "jupyter/kernel.h"

// Kernels at once, with those whose processes are about to end.
#define POOL_KERNELS_MAX 64
// Of how many names kernels are kept.
#define POOL_NAMES_MAX 16

struct pool {
    char *name;
    unsigned size;
    uint64_t idle_us;
    uint64_t asked_us; // when somebody asked for one last
    bool broken;       // one did not come up or ended: no more until somebody asks again
};

struct pools {
    void *zmq;
    const char *runtime;
    uint64_t start_max_us;                    // how long a kernel may take to be ready
    struct kernel *kernels[POOL_KERNELS_MAX]; // the oldest first
    size_t kernels_count;
    struct pool list[POOL_NAMES_MAX];
    size_t count;
    uint64_t fill_us; // not before that time, unless nothing is running
};

struct pool_order {
    struct spec *spec; // taken over
    unsigned size;
    uint64_t idle_us;
};

// A kernel for one execution: one that waits, perhaps still starting, or a new one. The caller
// gives it back by pool_release. NULL if it cannot be started.
struct kernel *pool_take(struct pools *pools, const struct pool_order *order, struct err *err);
// Ends the kernel, a moment later, unless it has not run anything yet.
void pool_release(struct kernel *kernel);

// Ends what is too much, forgets what has ended, starts what is missing. `quiet`: nothing runs.
void pool_tick(struct pools *pools, bool quiet, uint64_t now_us);
void pool_watch(struct pools *pools, bool quiet, struct watch_set *set);
// Takes note of a process that has ended; false if it is no kernel's.
bool pool_reap(struct pools *pools, pid_t pid);

// The list of kernels that run, as JSON; and the end of one of them. Those just used end before,
// and what replaces them is started, so that whoever asks finds what stays. `quiet` as above.
void pool_write(struct pools *pools, bool quiet, struct buf *out);
bool pool_stop(struct pools *pools, pid_t pid);
// Ends all kernels and frees everything.
void pool_dispose(struct pools *pools);

#endif
