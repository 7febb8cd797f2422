// SPDX-License-Identifier: AGPL-3.0-or-later
// The bridge: requests that come over a socket (proto/kernel.h), the kernels, and one loop.
#ifndef JUPYTER_BRIDGE_H
#define JUPYTER_BRIDGE_H

#include "jupyter/call.h"
#include "jupyter/pool.h"

// Calls that are known, those that wait for their turn too. More wait in the socket.
#define BRIDGE_CALLS_MAX 128

struct bridge {
    int socket_fd;
    int signal_fd;                        // of SIGCHLD
    bool closed;                          // the other end of the socket is
    struct call *calls[BRIDGE_CALLS_MAX]; // in the order in which they came
    size_t calls_count;
    struct pools pools;
    struct watch_set set;
};

// Serves until the other end of the socket is closed.
void bridge_run(struct bridge *bridge);
void bridge_dispose(struct bridge *bridge);

#endif
