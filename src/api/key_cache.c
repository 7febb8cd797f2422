// SPDX-License-Identifier: AGPL-3.0-or-later
#include "api/key_cache.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/mem.h"

// Entries hold the keyed hash's input, the key itself, only in memory of the process that is given
// keys anyway.
struct key_entry {
    struct key_owner owner;
    char key[KEY_TEXT_SIZE];
};

static void forget_all(struct key_cache *cache)
{
    void *entry;
    for (size_t position = 0; map_next(&cache->entries, &position, &entry);)
        free(entry);
    map_dispose(&cache->entries);
}

void key_cache_dispose(struct key_cache *cache)
{
    forget_all(cache);
}

int key_cache_resolve(struct key_cache *cache, struct svc *svc, struct db_session *session,
                      const char *key, const struct key_owner **ret_owner, struct err *err)
{
    static const struct key_owner unknown = {.status = KEY_UNKNOWN};
    size_t len = strlen(key);
    *ret_owner = &unknown;
    if (len >= KEY_TEXT_SIZE)
        return 0;
    // Read before the database is: a change in between makes the entry old at its next use.
    uint64_t epoch = db_epoch(svc->db, DB_TOPIC_ACCOUNTS);
    if (epoch != cache->epoch || cache->entries.count >= LIMIT_KEY_CACHE)
        forget_all(cache);
    cache->epoch = epoch;
    struct key_entry *entry = map_get(&cache->entries, key, len);
    if (entry && entry->owner.expires_ms != INT64_MAX &&
        entry->owner.expires_ms <= clock_now_ms()) {
        map_remove(&cache->entries, key, len);
        free(entry);
        entry = NULL;
    }
    if (!entry) {
        struct key_owner owner;
        int rc = key_resolve(session, &svc->secret, key, &owner, err);
        if (rc || owner.status == KEY_UNKNOWN)
            return rc;
        entry = mem_alloc(sizeof *entry);
        entry->owner = owner;
        memcpy(entry->key, key, len + 1);
        map_set(&cache->entries, entry->key, len, entry);
    }
    *ret_owner = &entry->owner;
    return 0;
}
