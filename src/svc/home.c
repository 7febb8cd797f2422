// SPDX-License-Identifier: AGPL-3.0-or-later
#include "svc/home.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "svc/project.h"

#define RESOLVE_TRIES 32 // the kernel asks to try again when something is renamed meanwhile

int home_open(const struct uuid *project_id)
{
    char home[PROJECT_HOME_SIZE];
    project_home(project_id, home);
    int fd = open(home, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd >= 0 ? fd : -errno;
}

int home_open_beneath(int home, const char *path, int flags)
{
    struct open_how how = {.flags = (unsigned)flags | O_CLOEXEC,
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
    for (int tries = 0; tries < RESOLVE_TRIES; tries++) {
        long fd = syscall(SYS_openat2, home, *path ? path : ".", &how, sizeof how);
        if (fd >= 0)
            return (int)fd;
        if (errno != EAGAIN && errno != EINTR)
            return -errno;
    }
    return -EXDEV;
}
