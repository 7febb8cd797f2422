// SPDX-License-Identifier: AGPL-3.0-or-later
#include "jupyter/watch.h"

#include "base/clock.h"
#include "base/macros.h"

#define WAIT_MAX_US (UINT64_C(3600) * 1000 * 1000)

void watch_begin(struct watch_set *set)
{
    set->count = 0;
    set->due_us = WATCH_NEVER;
}

static void add(struct watch_set *set, zmq_pollitem_t item, struct watcher watcher)
{
    assert(set->count < WATCH_MAX);
    set->items[set->count] = item;
    set->watchers[set->count++] = watcher;
}

void watch_socket(struct watch_set *set, void *socket, watch_fn *ready, void *owner, unsigned tag)
{
    add(set, (zmq_pollitem_t){.socket = socket, .events = ZMQ_POLLIN},
        (struct watcher){ready, owner, tag});
}

void watch_fd(struct watch_set *set, int fd, short events, watch_fn *ready, void *owner,
              unsigned tag)
{
    add(set, (zmq_pollitem_t){.fd = fd, .events = events}, (struct watcher){ready, owner, tag});
}

void watch_due(struct watch_set *set, uint64_t time_us)
{
    if (time_us < set->due_us)
        set->due_us = time_us;
}

// In milliseconds, rounded up so that what is due is due after the wait.
static long wait_ms(const struct watch_set *set)
{
    const uint64_t now = clock_monotonic_us();
    if (set->due_us <= now)
        return 0;
    const uint64_t wait_us = set->due_us - now;
    return (long)((wait_us < WAIT_MAX_US ? wait_us : WAIT_MAX_US) + 999) / 1000;
}

void watch_wait(struct watch_set *set)
{
    if (zmq_poll(set->items, set->count, wait_ms(set)) <= 0)
        return;
    for (int i = 0; i < set->count; i++)
        if (set->items[i].revents)
            set->watchers[i].ready(set->watchers[i].owner, set->watchers[i].tag,
                                   set->items[i].revents);
}
