// SPDX-License-Identifier: AGPL-3.0-or-later
// A folder as a ZIP archive, made while it is read: regular files and empty folders. Links, and
// what may not be read, are left out.
#ifndef SVC_ZIP_H
#define SVC_ZIP_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct zip {
    const char *name;  // that the members' names begin with
    uint64_t size_max; // of all files together, before they are compressed
    size_t count_max;  // members
    size_t depth_max;  // folders in folders
    void (*write)(void *ctx, const void *bytes, size_t size); // gets the archive piece by piece
    void *ctx;
};
// ERR_TOO_LARGE with *ret_size the size that is too much, or 0 when there are too many members.
// Blocking.
int zip_folder(const struct zip *zip, int folder, uint64_t *ret_size, struct err *err) MUST_USE;

#endif
