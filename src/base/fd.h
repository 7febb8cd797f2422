// SPDX-License-Identifier: AGPL-3.0-or-later
// File descriptors: scoped close, whole reads and writes.
#ifndef BASE_FD_H
#define BASE_FD_H

#include <stddef.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/macros.h"

void fd_close(int *fd); // closes *fd if it is >= 0 and sets it to -1; errno is kept
#define auto_fd CLEANUP(fd_close)

// Writes all of it, through EINTR and short writes. 0, or a negative errno.
int fd_write_all(int fd, const void *bytes, size_t size) MUST_USE;
// Appends all up to the end of file, or up to `size_max` bytes and one more, so that the caller can
// tell. 0, or a negative errno.
int fd_read_all(int fd, size_t size_max, struct buf *out) MUST_USE;

#endif
