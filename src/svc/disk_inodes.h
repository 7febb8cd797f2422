// SPDX-License-Identifier: AGPL-3.0-or-later
// A set of inodes of one file system, for what shall count once.
#ifndef SVC_DISK_INODES_H
#define SVC_DISK_INODES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Empty when zeroed. 0, which no file has, is a free slot.
struct disk_inodes {
    uint64_t *slots;
    size_t capacity; // a power of two, or 0
    size_t count;
};

// False if it was there already.
bool disk_inodes_add(struct disk_inodes *set, uint64_t inode);
void disk_inodes_dispose(struct disk_inodes *set);

#endif
