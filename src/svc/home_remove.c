// SPDX-License-Identifier: AGPL-3.0-or-later
// Removing a tree, however deep it is and whatever its owner does to it meanwhile. The way down is
// by descriptors; what lies too deep to hold one for each folder is moved into a folder beside the
// tree, which is removed next. That folder is known by a descriptor, too: its owner may put a link
// where it was.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/uuid.h"
#include "svc/home_internal.h"

#define DEPTH_MAX  64  // folders in folders: each holds a descriptor open meanwhile
#define PASSES_MAX 100 // over one folder, in which somebody goes on making files

struct removal {
    int top;                                     // where the tree lies
    char name[sizeof ".cohub-0123456789abcdef"]; // of the folder beside it
    int aside;                                   // that folder, -1: not made yet
    unsigned moved;
    const _Atomic bool *stop;
};

static int make_aside(struct removal *r)
{
    memcpy(r->name, ".cohub-0123456789abcdef", sizeof r->name);
    token_random(r->name + 7, 16);
    if (mkdirat(r->top, r->name, 0700))
        return -errno;
    r->aside = openat(r->top, r->name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return r->aside < 0 ? -errno : 0;
}

static int move_aside(struct removal *r, int folder, const char *name)
{
    char number[16];
    int rc = r->aside < 0 ? make_aside(r) : 0;
    if (rc)
        return rc;
    snprintf(number, sizeof number, "%u", r->moved++);
    return renameat(folder, name, r->aside, number) ? -errno : 0;
}

static int remove_entry(struct removal *r, int folder, const char *name, unsigned depth);

// Negative: an errno; else how many entries there were.
static int remove_entries(struct removal *r, DIR *stream, unsigned depth)
{
    int count = 0;
    const struct dirent *entry;
    rewinddir(stream);
    while ((entry = readdir(stream))) {
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
            continue;
        int rc = remove_entry(r, dirfd(stream), entry->d_name, depth + 1);
        if (rc)
            return rc;
        count = 1;
    }
    return count;
}

static int remove_folder(struct removal *r, int folder, const char *name, unsigned depth)
{
    int fd = openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *stream = fd >= 0 ? fdopendir(fd) : NULL;
    if (!stream) {
        int rc = errno == ENOENT ? 0 : -errno;
        fd_close(&fd);
        return rc;
    }
    int found = 1, rc = -ENOTEMPTY;
    for (unsigned pass = 0; pass < PASSES_MAX && found > 0 && rc == -ENOTEMPTY; pass++) {
        found = remove_entries(r, stream, depth);
        if (found < 0)
            rc = found;
        else
            rc = unlinkat(folder, name, AT_REMOVEDIR) && errno != ENOENT ? -errno : 0;
    }
    closedir(stream);
    return rc;
}

static int remove_entry(struct removal *r, int folder, const char *name, unsigned depth)
{
    if (atomic_load(r->stop))
        return -ECANCELED;
    if (unlinkat(folder, name, 0) == 0 || errno == ENOENT || errno == ENOTDIR)
        return 0;
    if (errno != EISDIR)
        return -errno;
    return depth < DEPTH_MAX ? remove_folder(r, folder, name, depth) : move_aside(r, folder, name);
}

int home_remove(int folder, const char *name, const _Atomic bool *stop)
{
    struct removal r = {.top = folder, .aside = -1, .stop = stop};
    int rc = remove_entry(&r, folder, name, 0);
    while (r.aside >= 0) {
        char aside[sizeof r.name];
        memcpy(aside, r.name, sizeof aside);
        fd_close(&r.aside);
        int aside_rc = remove_entry(&r, folder, aside, 0);
        if (aside_rc) { // what could not be removed stays there
            fd_close(&r.aside);
            return rc ? rc : aside_rc;
        }
    }
    return rc;
}
