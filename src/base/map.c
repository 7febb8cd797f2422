// SPDX-License-Identifier: AGPL-3.0-or-later
#include "base/map.h"

#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define MAP_TOMBSTONE    ((void *)&map_tombstone)
#define MAP_CAPACITY_MIN ((size_t)16)

static char map_tombstone;
static unsigned char map_secret[crypto_shorthash_KEYBYTES];

static void map_secret_init(void)
{
    crypto_shorthash_keygen(map_secret);
}

static uint64_t map_hash(const void *key, size_t key_size)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, map_secret_init);
    uint64_t hash;
    _Static_assert(sizeof hash == crypto_shorthash_BYTES, "SipHash-2-4 gives 64 bits");
    crypto_shorthash((unsigned char *)&hash, key, key_size, map_secret);
    return hash;
}

void map_dispose(struct map *m)
{
    free(m->slots);
    *m = (struct map){0};
}

// The slot that holds the key, or the one to put it into.
static struct map_slot *map_find(const struct map *m, const void *key, size_t key_size,
                                 uint64_t hash)
{
    struct map_slot *free_slot = NULL;
    for (size_t i = hash & (m->capacity - 1);; i = (i + 1) & (m->capacity - 1)) {
        struct map_slot *slot = &m->slots[i];
        if (!slot->value)
            return free_slot ? free_slot : slot;
        if (slot->value == MAP_TOMBSTONE) {
            if (!free_slot)
                free_slot = slot;
        } else if (slot->hash == hash && slot->key_size == key_size &&
                   !memcmp(slot->key, key, key_size)) {
            return slot;
        }
    }
}

static bool slot_taken(const struct map_slot *slot)
{
    return slot->value && slot->value != MAP_TOMBSTONE;
}

static void map_resize(struct map *m)
{
    struct map old = *m;
    size_t capacity = MAP_CAPACITY_MIN;
    while (capacity < old.count * 3)
        capacity *= 2;
    *m = (struct map){.slots = mem_zalloc(capacity * sizeof *m->slots), .capacity = capacity};
    for (size_t i = 0; i < old.capacity; i++) {
        struct map_slot *slot = &old.slots[i];
        if (slot_taken(slot))
            *map_find(m, slot->key, slot->key_size, slot->hash) = *slot;
    }
    m->count = m->used = old.count;
    free(old.slots);
}

void *map_get(const struct map *m, const void *key, size_t key_size)
{
    if (!m->count)
        return NULL;
    struct map_slot *slot = map_find(m, key, key_size, map_hash(key, key_size));
    return slot_taken(slot) ? slot->value : NULL;
}

void *map_set(struct map *m, const void *key, size_t key_size, void *value)
{
    assert(value);
    if (m->used * 3 >= m->capacity * 2)
        map_resize(m);
    uint64_t hash = map_hash(key, key_size);
    struct map_slot *slot = map_find(m, key, key_size, hash);
    void *old = slot_taken(slot) ? slot->value : NULL;
    if (!old) {
        m->count++;
        m->used += !slot->value;
    }
    *slot = (struct map_slot){.key = key, .key_size = key_size, .hash = hash, .value = value};
    return old;
}

void *map_remove(struct map *m, const void *key, size_t key_size)
{
    if (!m->count)
        return NULL;
    struct map_slot *slot = map_find(m, key, key_size, map_hash(key, key_size));
    if (!slot_taken(slot))
        return NULL;
    void *old = slot->value;
    *slot = (struct map_slot){.value = MAP_TOMBSTONE};
    m->count--;
    return old;
}

bool map_next(const struct map *m, size_t *position, void **ret_value)
{
    while (*position < m->capacity) {
        struct map_slot *slot = &m->slots[(*position)++];
        if (slot_taken(slot)) {
            *ret_value = slot->value;
            return true;
        }
    }
    return false;
}
