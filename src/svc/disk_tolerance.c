// SPDX-License-Identifier: AGPL-3.0-or-later
#include "svc/disk_tolerance.h"

#include "base/limits.h"

#define GROWTH_PART 64 // growing by this part of the limit is no growth

static bool has_grown(int64_t now, int64_t tolerated, int64_t limit)
{
    return now > limit && (!tolerated || now > tolerated + limit / GROWTH_PART);
}

// What is within its limit again is not tolerated beyond it any more.
static void forget(struct disk_tolerance *tolerance, const struct disk_usage *usage,
                   int64_t bytes_hard)
{
    if (usage->bytes <= bytes_hard)
        tolerance->bytes = 0;
    if (usage->files <= LIMIT_HOME_FILES_HARD)
        tolerance->files = 0;
}

bool disk_is_over(const struct disk_usage *usage, int64_t bytes_hard)
{
    return usage->bytes > bytes_hard || usage->files > LIMIT_HOME_FILES_HARD;
}

void disk_tolerance_start(struct disk_tolerance *tolerance, const struct disk_usage *usage,
                          int64_t bytes_hard)
{
    tolerance->bytes = usage->bytes;
    if (!tolerance->files)
        tolerance->files = usage->files;
    forget(tolerance, usage, bytes_hard);
}

bool disk_tolerance_grown(struct disk_tolerance *tolerance, const struct disk_usage *usage,
                          int64_t bytes_hard, bool is_new)
{
    bool bytes = has_grown(usage->bytes, tolerance->bytes, bytes_hard);
    bool files = has_grown(usage->files, tolerance->files, LIMIT_HOME_FILES_HARD) ||
                 usage->files >= LIMIT_HOME_NAMES;
    if (is_new && tolerance->files)
        files = false;
    if (bytes)
        tolerance->bytes = usage->bytes;
    if (files && !tolerance->files)
        tolerance->files = usage->files;
    forget(tolerance, usage, bytes_hard);
    return bytes || files;
}
