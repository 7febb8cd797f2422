// SPDX-License-Identifier: AGPL-3.0-or-later
// What the one thread waits for: descriptors, ZeroMQ's sockets and the time.
//
// The set is made anew for each wait, by asking everybody what they wait for. zmq_poll tells of a
// message that is there whatever was done with its socket before, which the descriptors that
// ZeroMQ's sockets have do not.
#ifndef JUPYTER_WATCH_H
#define JUPYTER_WATCH_H

#include <stdbool.h>
#include <stdint.h>
#include <zmq.h>

#define WATCH_MAX 512
// No time to wait for.
#define WATCH_NEVER UINT64_MAX

// Called after a wait; it must not free what others watch.
typedef void watch_fn(void *owner, unsigned tag, short events);

struct watch_set {
    zmq_pollitem_t items[WATCH_MAX];
    struct watcher {
        watch_fn *ready;
        void *owner;
        unsigned tag;
    } watchers[WATCH_MAX];
    int count;
    uint64_t due_us;
};

void watch_begin(struct watch_set *set);
void watch_socket(struct watch_set *set, void *socket, watch_fn *ready, void *owner, unsigned tag);
// `events` are ZMQ_POLLIN and ZMQ_POLLOUT; ZMQ_POLLERR, the other end is closed, comes unasked.
void watch_fd(struct watch_set *set, int fd, short events, watch_fn *ready, void *owner,
              unsigned tag);
void watch_due(struct watch_set *set, uint64_t time_us); // by clock_monotonic_us
// Waits until something is ready or due, and calls those that are ready.
void watch_wait(struct watch_set *set);

#endif
