// SPDX-License-Identifier: AGPL-3.0-or-later
// One piece of code that a kernel runs, from the request to the last of its output, within a time.
//
// It is done when the reply has come on the shell channel and "idle" on the iopub channel. A kernel
// whose queue has overflown may have lost the latter: a while after the reply the kernel is probed,
// and the answer to that tells the same.
//
// A kernel that asks for input is interrupted. It may miss that if it has not quite begun to wait;
// so a while later its input is ended as well, which wakes it.
//
// When its time is over the kernel is interrupted, up to three times, and killed in the end.
#ifndef JUPYTER_CELL_H
#define JUPYTER_CELL_H

#include "jupyter/items.h"
#include "jupyter/kernel.h"

struct cell {
    struct kernel *kernel;
    struct items *items; // NULL: what it prints is thrown away
    char id[MESSAGE_ID_SIZE];
    bool replied, idle;
    bool probing;
    bool refused; // input that it asked for
    unsigned interrupts;
    uint64_t due_us;   // the next interrupt
    uint64_t probe_us; // when to probe, if "idle" has not come
    uint64_t wake_us;  // when to end the input that was refused
};

// Starts it. Listens to the kernel from then on, until cell_end. False if it cannot be sent.
bool cell_start(struct cell *cell, struct kernel *kernel, struct items *items,
                const struct kernel_code *code, uint64_t due_us);
void cell_tick(struct cell *cell, uint64_t now_us);
void cell_watch(const struct cell *cell, struct watch_set *set);
bool cell_done(const struct cell *cell);

#endif
