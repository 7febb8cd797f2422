// SPDX-License-Identifier: AGPL-3.0-or-later
#include "svc/throttle.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"

#define THROTTLE_ENTRIES_MAX 16384 // beyond, all are forgotten: the cost is one write more each

struct throttle_entry {
    uint64_t passed_us;
    char key[];
};

void throttle_init(struct throttle *throttle)
{
    *throttle = (struct throttle){0};
    pthread_mutex_init(&throttle->lock, NULL);
}

static void forget_all(struct throttle *throttle)
{
    void *entry;
    for (size_t position = 0; map_next(&throttle->passed, &position, &entry);)
        free(entry);
    map_dispose(&throttle->passed);
}

void throttle_dispose(struct throttle *throttle)
{
    forget_all(throttle);
    pthread_mutex_destroy(&throttle->lock);
}

static struct throttle_entry *entry_add(struct throttle *throttle, const char *key, size_t size)
{
    if (throttle->passed.count >= THROTTLE_ENTRIES_MAX)
        forget_all(throttle);
    struct throttle_entry *entry = mem_alloc(sizeof *entry + size);
    memcpy(entry->key, key, size);
    map_set(&throttle->passed, entry->key, size, entry);
    return entry;
}

bool throttle_pass(struct throttle *throttle, const char *key, uint64_t interval_ms)
{
    uint64_t now_us = clock_monotonic_us();
    size_t size = strlen(key);
    pthread_mutex_lock(&throttle->lock);
    struct throttle_entry *entry = map_get(&throttle->passed, key, size);
    bool pass = !entry || now_us - entry->passed_us >= interval_ms * 1000;
    if (pass) {
        if (!entry)
            entry = entry_add(throttle, key, size);
        entry->passed_us = now_us;
    }
    pthread_mutex_unlock(&throttle->lock);
    return pass;
}
