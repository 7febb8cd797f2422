// SPDX-License-Identifier: AGPL-3.0-or-later
// The names in a folder, in the order of their bytes.
#ifndef SVC_NAMES_H
#define SVC_NAMES_H

#include "base/mem.h"

struct names {
    const char **items;
    size_t count;
    struct arena arena; // theirs
};
// Without "." and "..". A negative errno; -E2BIG when there are more than `count_max`.
int names_read(int folder, size_t count_max, struct names *ret_names) MUST_USE;
void names_dispose(struct names *names);
#define auto_names CLEANUP(names_dispose)

#endif
