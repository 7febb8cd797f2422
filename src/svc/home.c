// SPDX-License-Identifier: AGPL-3.0-or-later
#include "svc/home.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
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

bool home_path_leads_out(const char *path)
{
    int depth = 0;
    if (path[0] == '/')
        return true;
    while (*path && depth >= 0) {
        size_t size = strcspn(path, "/");
        if (size == 2 && !memcmp(path, "..", 2))
            depth--;
        else if (size && !(size == 1 && *path == '.'))
            depth++;
        path += size + (path[size] == '/');
    }
    return depth < 0;
}

const char *home_path_relative(const struct uuid *project_id, const char *path)
{
    char home[PROJECT_HOME_SIZE];
    if (path[0] != '/')
        return path;
    project_home(project_id, home);
    size_t size = strlen(home);
    if (strncmp(path + 1, home, size) || (path[1 + size] && path[1 + size] != '/'))
        return NULL;
    const char *rest = path + 1 + size;
    return rest + strspn(rest, "/");
}

// The whole path of what is open. Its size, 0 if it has none that can be told.
static size_t name_of(int fd, char out[LIMIT_PATH])
{
    char link[sizeof "/proc/self/fd/" + 12];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, out, LIMIT_PATH - 1);
    if (size <= 0 || size == LIMIT_PATH - 1)
        return 0;
    out[size] = '\0';
    return (size_t)size;
}

const char *home_place(int home, int fd, char out[LIMIT_PATH])
{
    char home_name[LIMIT_PATH];
    const size_t size = name_of(home, home_name), whole = name_of(fd, out);
    if (!size || whole < size || memcmp(out, home_name, size) || (out[size] && out[size] != '/'))
        return NULL;
    return out + size + (out[size] == '/');
}
