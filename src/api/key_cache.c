// SPDX-License-Identifier: AGPL-3.0-or-later
#include "api/key_cache.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/mem.h"

// A scheme, a key and what stands behind its colon, in base 64.
#define HEADER_SIZE_MAX 256

// How often a key that is remembered is noted as used.
#define MARK_US UINT64_C(60000000)

struct key_entry {
    struct key_owner owner;
    uint64_t mark_us; // when it is to be noted as used again
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

// Forgets all if anything has changed since.
static void refresh(struct key_cache *cache, const struct db *db)
{
    uint64_t epoch = db_epoch(db, DB_TOPIC_ACCOUNTS);
    if (epoch != cache->epoch)
        forget_all(cache);
    cache->epoch = epoch;
}

static void mark(struct svc *svc, struct key_entry *entry)
{
    uint64_t now = clock_monotonic_us();
    if (now < entry->mark_us)
        return;
    entry->mark_us = now + MARK_US;
    if (entry->owner.status == KEY_VALID)
        key_mark_active(svc, &entry->owner);
}

const struct key_owner *key_cache_find(struct key_cache *cache, struct svc *svc, const char *header)
{
    size_t len = strlen(header);
    refresh(cache, svc->db);
    struct key_entry *entry = map_get(&cache->entries, header, len);
    if (!entry)
        return NULL;
    if (entry->owner.expires_ms == INT64_MAX || entry->owner.expires_ms > clock_now_ms()) {
        mark(svc, entry);
        return &entry->owner;
    }
    map_remove(&cache->entries, header, len);
    free(entry);
    return NULL;
}

// A header that is longer than clients send them is not remembered: somebody could fill the cache
// with variations of it.
static void remember(struct key_cache *cache, const char *header, const struct key_owner *owner)
{
    if (strlen(header) > HEADER_SIZE_MAX)
        return;
    if (cache->entries.count >= LIMIT_KEY_CACHE)
        forget_all(cache);
    size_t len = strlen(header);
    struct key_entry *entry = mem_alloc(sizeof *entry + len + 1);
    entry->owner = *owner;
    entry->mark_us = clock_monotonic_us() + MARK_US;
    memcpy(entry->header, header, len + 1);
    free(map_set(&cache->entries, entry->header, len, entry));
}

// What was read while something changed, and while other calls have seen that it did, is not
// remembered: it may be how it was before.
int key_cache_resolve(struct key_cache *cache, struct svc *svc, struct db_session *session,
                      const char *header, const char *key, struct key_owner *ret_owner,
                      struct err *err)
{
    *ret_owner = (struct key_owner){.status = KEY_UNKNOWN};
    if (strlen(key) >= KEY_TEXT_SIZE)
        return 0;
    refresh(cache, svc->db);
    uint64_t epoch = cache->epoch;
    int rc = key_resolve(svc, session, key, ret_owner, err);
    if (!rc && ret_owner->status == KEY_VALID)
        key_mark_active(svc, ret_owner);
    if (!rc && ret_owner->status != KEY_UNKNOWN && cache->epoch == epoch)
        remember(cache, header, ret_owner);
    return rc;
}
