// SPDX-License-Identifier: AGPL-3.0-or-later
// "At most once in so long" for writes that only note a time of last use. Per process: the times
// matter to nobody exactly.
#ifndef SVC_THROTTLE_H
#define SVC_THROTTLE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/map.h"

struct throttle {
    pthread_mutex_t lock;
    struct map passed; // key -> struct throttle_entry
};

void throttle_init(struct throttle *throttle);
void throttle_dispose(struct throttle *throttle);
// True, and the time is noted, when the key has not passed within the last interval. Any thread.
bool throttle_pass(struct throttle *throttle, const char *key, uint64_t interval_ms);

#endif
