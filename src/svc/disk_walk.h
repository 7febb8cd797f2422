// SPDX-License-Identifier: AGPL-3.0-or-later
// Counting what a folder takes on its file system, whatever its owner has put into it: links are
// not followed, other file systems not entered, a file with several names counts once, a folder
// that is shut is opened for a moment.
#ifndef SVC_DISK_WALK_H
#define SVC_DISK_WALK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/macros.h"

struct disk_usage {
    int64_t bytes;   // allocated
    int64_t files;   // of any kind, the folder itself included
    int64_t largest; // length of the largest file, allocated or not
};

enum disk_walk_end {
    DISK_WALK_WHOLE,
    DISK_WALK_STOPPED,  // the deadline passed, or *stop was set: it is at least this much
    DISK_WALK_TOO_MANY, // more than anybody may have: names, or folders in folders
};

struct disk_walk {
    const char *folder;
    uint64_t deadline_us; // monotonic; 0: none
    atomic_bool *stop;    // or NULL
    int64_t names_max;
};
// Whether one more name may be looked at, after *names; else *end tells why not.
bool disk_walk_goes_on(const struct disk_walk *walk, int64_t *names, enum disk_walk_end *end);
// A negative errno if the folder cannot be looked into. Blocking.
int disk_walk(const struct disk_walk *walk, struct disk_usage *ret_usage,
              enum disk_walk_end *ret_end) MUST_USE;

#endif
