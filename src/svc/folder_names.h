// SPDX-License-Identifier: AGPL-3.0-or-later
// The names in a folder, in the order of their bytes.
#ifndef SVC_FOLDER_NAMES_H
#define SVC_FOLDER_NAMES_H

#include "base/mem.h"

struct folder_names {
    const char **items;
    size_t count;
    struct arena arena; // theirs
};
// Without "." and "..". A negative errno; -E2BIG when there are more than `count_max`.
int folder_names_read(int folder, size_t count_max, struct folder_names *ret_names) MUST_USE;
void folder_names_dispose(struct folder_names *names);
#define auto_folder_names CLEANUP(folder_names_dispose)

#endif
