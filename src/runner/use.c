// SPDX-License-Identifier: AGPL-3.0-or-later
#include "runner/use.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>

#include "base/fd.h"

static int open_folder(const struct uuid *project_id)
{
    char path[sizeof "run/" + UUID_LEN];
    snprintf(path, sizeof path, "run/%s", project_id->text);
    return open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

int project_use_begin(const struct uuid *project_id)
{
    auto_fd int fd = open_folder(project_id);
    // Who asks holds the other kind only for a moment.
    return fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) == 0 ? TAKE_FD(fd) : -1;
}

bool project_used_elsewhere(const struct uuid *project_id)
{
    auto_fd int fd = open_folder(project_id);
    return fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK;
}
