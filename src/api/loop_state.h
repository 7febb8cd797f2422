// SPDX-License-Identifier: AGPL-3.0-or-later
// What each I/O loop has for its calls (struct api_loop of api/api.h), for those that dispatch
// them.
#ifndef API_LOOP_STATE_H
#define API_LOOP_STATE_H

#include <uv.h>

#include "api/api.h"
#include "api/key_cache.h"
#include "api/lanes.h"
#include "base/map.h"

struct api_entry {
    const struct api_endpoint *endpoint;
    unsigned index; // in the HTTP figures
};

// When a call is answered for. Timers come from a list, as closing one takes a turn of the loop.
struct call_timer {
    uv_timer_t timer;
    void *call;
    struct call_timer *next; // free
};

struct api_loop {
    struct loop *loop;
    struct svc *svc;
    struct db_session *session; // where the database is local
    struct lanes *lanes;        // where it is remote
    struct key_cache keys;
    struct api_entry *entries;
    struct map by_name[API_FAMILIES];
    struct call_timer *timers; // free
};

// NULL if there is no such endpoint or method.
const struct api_entry *api_loop_find(const struct api_loop *api_loop, enum api_family family,
                                      const char *name);
// Has `fire(call)` called once after `ms`, unless the timer is stopped before.
struct call_timer *call_timer_start(struct api_loop *api_loop, uint64_t ms, void *call,
                                    void (*fire)(uv_timer_t *timer));
void call_timer_stop(struct api_loop *api_loop, struct call_timer *timer);

#endif
