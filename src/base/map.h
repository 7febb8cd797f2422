// SPDX-License-Identifier: AGPL-3.0-or-later
// A hash map from byte strings to pointers, keyed with a secret of the process so that strangers
// cannot make keys collide. It owns neither keys nor values: a key must stay valid and unchanged
// while it is in the map.
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct map_slot {
    const void *key;
    size_t key_size;
    uint64_t hash;
    void *value; // NULL: free, MAP_TOMBSTONE: was removed
};

struct map {
    struct map_slot *slots;
    size_t capacity; // a power of two, or 0
    size_t count;
    size_t used; // count and tombstones
};

void map_dispose(struct map *m);
void *map_get(const struct map *m, const void *key, size_t key_size); // NULL if absent
// Adds or replaces; returns the value that was there, or NULL. `value` is not NULL.
void *map_set(struct map *m, const void *key, size_t key_size, void *value);
void *map_remove(struct map *m, const void *key, size_t key_size); // the value, or NULL
// Walks all entries: start with *position = 0; false at the end. Removing the entry just returned
// is allowed.
bool map_next(const struct map *m, size_t *position, void **ret_value);

#endif
