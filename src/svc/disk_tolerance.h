// SPDX-License-Identifier: AGPL-3.0-or-later
// What a project that is beyond its limits was found with: it may run, so that its people can
// remove files, as long as it does not grow.
#ifndef SVC_DISK_TOLERANCE_H
#define SVC_DISK_TOLERANCE_H

#include <stdbool.h>
#include <stdint.h>

#include "svc/disk_walk.h"

struct disk_tolerance {
    int64_t bytes, files; // each 0: it was not beyond that limit
};

bool disk_is_over(const struct disk_usage *usage, int64_t bytes_hard);
// At a start: what is there now is tolerated. Of files not more than at the first start: a bound on
// their size keeps bytes from growing meanwhile, but nothing keeps from making files.
void disk_tolerance_start(struct disk_tolerance *tolerance, const struct disk_usage *usage,
                          int64_t bytes_hard);
// Whether it is beyond its limits and has grown. More files than are counted may always have grown.
// `is_new`: it was started so short a time ago that its people had none to remove files, if there
// were too many.
bool disk_tolerance_grown(struct disk_tolerance *tolerance, const struct disk_usage *usage,
                          int64_t bytes_hard, bool is_new);

#endif
