// SPDX-License-Identifier: AGPL-3.0-or-later
#include "svc/disk_inodes.h"

#include <stdlib.h>

#include "base/mem.h"

static bool put(struct disk_inodes *set, uint64_t inode)
{
    size_t mask = set->capacity - 1;
    for (size_t i = (inode * UINT64_C(0x9e3779b97f4a7c15)) & mask;; i = (i + 1) & mask) {
        if (set->slots[i] == inode)
            return false;
        if (!set->slots[i]) {
            set->slots[i] = inode;
            set->count++;
            return true;
        }
    }
}

static void grow(struct disk_inodes *set)
{
    struct disk_inodes larger = {.capacity = set->capacity ? 2 * set->capacity : 256};
    larger.slots = mem_zalloc(larger.capacity * sizeof *larger.slots);
    for (size_t i = 0; i < set->capacity; i++) {
        if (set->slots[i])
            put(&larger, set->slots[i]);
    }
    free(set->slots);
    *set = larger;
}

bool disk_inodes_add(struct disk_inodes *set, uint64_t inode)
{
    if (2 * set->count >= set->capacity)
        grow(set);
    return put(set, inode);
}

void disk_inodes_dispose(struct disk_inodes *set)
{
    free(set->slots);
    *set = (struct disk_inodes){0};
}
