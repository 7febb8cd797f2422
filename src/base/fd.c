// SPDX-License-Identifier: AGPL-3.0-or-later
#include "base/fd.h"

#include <errno.h>
#include <unistd.h>

void fd_close(int *fd)
{
    int saved = errno;
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
    errno = saved;
}

int fd_write_all(int fd, const void *bytes, size_t size)
{
    const char *p = bytes;
    while (size) {
        ssize_t n = write(fd, p, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        p += n;
        size -= (size_t)n;
    }
    return 0;
}

int fd_read_all(int fd, size_t size_max, struct buf *out)
{
    size_t end = out->size + size_max + 1;
    while (out->size < end) {
        size_t want = end - out->size < 65536 ? end - out->size : 65536;
        ssize_t n = read(fd, buf_reserve(out, want), want);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        out->size += (size_t)n;
    }
    return 0;
}
