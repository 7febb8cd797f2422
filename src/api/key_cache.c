// SPDX-License-Identifier: AGPL-3.0-or-later
#include "api/key_cache.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/mem.h"

struct key_entry {
    struct key_owner owner;
    char header[];
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

const struct key_owner *key_cache_find(struct key_cache *cache, const struct db *db,
                                       const char *header)
{
    size_t len = strlen(header);
    uint64_t epoch = db_epoch(db, DB_TOPIC_ACCOUNTS);
    if (epoch != cache->epoch)
        forget_all(cache);
    cache->epoch = epoch;
    struct key_entry *entry = map_get(&cache->entries, header, len);
    if (!entry)
        return NULL;
    if (entry->owner.expires_ms == INT64_MAX || entry->owner.expires_ms > clock_now_ms())
        return &entry->owner;
    map_remove(&cache->entries, header, len);
    free(entry);
    return NULL;
}

int key_cache_resolve(struct key_cache *cache, struct svc *svc, struct db_session *session,
                      const char *header, const char *key, const struct key_owner **ret_owner,
                      struct err *err)
{
    static const struct key_owner unknown = {.status = KEY_UNKNOWN};
    struct key_owner owner;
    *ret_owner = &unknown;
    // The epoch was read before the database is: a change in between makes the entry old at its
    // next use.
    int rc = strlen(key) < KEY_TEXT_SIZE ? key_resolve(session, &svc->secret, key, &owner, err) : 0;
    if (rc || strlen(key) >= KEY_TEXT_SIZE || owner.status == KEY_UNKNOWN)
        return rc;
    if (cache->entries.count >= LIMIT_KEY_CACHE)
        forget_all(cache);
    size_t len = strlen(header);
    struct key_entry *entry = mem_alloc(sizeof *entry + len + 1);
    entry->owner = owner;
    memcpy(entry->header, header, len + 1);
    free(map_set(&cache->entries, entry->header, len, entry));
    *ret_owner = &entry->owner;
    return 0;
}
