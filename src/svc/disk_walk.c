// SPDX-License-Identifier: AGPL-3.0-or-later
#include "svc/disk_walk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "svc/disk_inodes.h"

#define DEPTH_MAX   128 // folders in folders: each holds a descriptor open meanwhile
#define CLOCK_NAMES 128 // the clock is looked at after this many names
#define TRIES       8   // to look at what is being shut meanwhile

struct walker {
    const struct disk_walk *walk;
    struct disk_usage usage;
    enum disk_walk_end end;
    dev_t device;
    int64_t names;
    bool too_deep;             // there are folders that are not looked into
    struct disk_inodes inodes; // seen, of those that have several names
};

// ---- Walking ----

static void count(struct walker *w, const struct stat *st)
{
    if (!S_ISDIR(st->st_mode) && st->st_nlink > 1 && !disk_inodes_add(&w->inodes, st->st_ino))
        return;
    w->usage.files++;
    w->usage.bytes += (int64_t)st->st_blocks * S_BLKSIZE;
    if (S_ISREG(st->st_mode) && st->st_size > w->usage.largest)
        w->usage.largest = st->st_size;
}

bool disk_walk_goes_on(const struct disk_walk *walk, int64_t *names, enum disk_walk_end *end)
{
    if (++*names > walk->names_max)
        *end = DISK_WALK_TOO_MANY;
    else if (*names % CLOCK_NAMES)
        return true;
    else if ((walk->stop && atomic_load(walk->stop)) ||
             (walk->deadline_us && clock_monotonic_us() > walk->deadline_us))
        *end = DISK_WALK_STOPPED;
    return *end == DISK_WALK_WHOLE;
}

#define IS_SHUT(mode) (((mode)&0500) != 0500)

// Its owner, who may be hiding something in it, has no right to look into it. Found by a
// descriptor, so that nothing else can take its place; it stays open until it is shut again.
static int open_shut(int parent, const char *name, mode_t mode)
{
    char path[sizeof "/proc/self/fd/" + 12];
    auto_fd int folder = openat(parent, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (folder < 0)
        return -1;
    snprintf(path, sizeof path, "/proc/self/fd/%d", folder);
    if (chmod(path, mode | 0500))
        return -1;
    int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 && chmod(path, mode)) // it is gone
        return -1;
    return fd;
}

static int open_folder(int parent, const char *name, mode_t mode)
{
    return IS_SHUT(mode) ? open_shut(parent, name, mode)
                         : openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static void close_stream(DIR **stream)
{
    if (*stream)
        closedir(*stream);
}

// A folder that is being walked through.
struct folder {
    int fd;
    mode_t mode; // that it gets back if it was shut
};

// Others shut it behind this walk's back: another walk that is through with it, or its owner.
static bool open_again(struct folder *folder)
{
    struct stat st;
    if (fstat(folder->fd, &st))
        return false;
    if (!IS_SHUT(st.st_mode))
        return true;
    folder->mode = st.st_mode & 07777;
    return !fchmod(folder->fd, folder->mode | 0500);
}

// *ret_st is zero if it cannot be seen, *ret_fd -1 unless it is a folder that can be looked into.
static int open_entry(const struct walker *w, int folder, const char *name, struct stat *ret_st,
                      int *ret_fd)
{
    *ret_fd = -1;
    if (fstatat(folder, name, ret_st, AT_SYMLINK_NOFOLLOW)) {
        *ret_st = (struct stat){0};
        return -errno;
    }
    if (!S_ISDIR(ret_st->st_mode) || ret_st->st_dev != w->device)
        return 0;
    *ret_fd = open_folder(folder, name, ret_st->st_mode & 07777);
    return *ret_fd < 0 ? -errno : 0;
}

static int walk_folder(struct walker *w, int fd, mode_t mode, int depth);

// What has gone meanwhile counts nothing; what cannot be looked into counts itself.
static int walk_entry(struct walker *w, struct folder *folder, const char *name, int depth)
{
    struct stat st;
    int fd, rc, tries = 0;
    do
        rc = open_entry(w, folder->fd, name, &st, &fd);
    while (rc == -EACCES && ++tries < TRIES && open_again(folder));
    if (!st.st_mode || st.st_dev != w->device)
        return 0;
    count(w, &st);
    if (fd >= 0)
        return walk_folder(w, fd, st.st_mode & 07777, depth + 1);
    return rc == -EMFILE || rc == -ENFILE ? rc : 0;
}

static int walk_stream(struct walker *w, DIR *stream, struct folder *folder, int depth)
{
    const struct dirent *entry;
    while ((errno = 0, entry = readdir(stream))) {
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
            continue;
        if (!disk_walk_goes_on(w->walk, &w->names, &w->end))
            return 0;
        int rc = walk_entry(w, folder, entry->d_name, depth);
        if (rc || w->end != DISK_WALK_WHOLE)
            return rc;
    }
    return -errno;
}

// Takes the descriptor.
static int walk_folder(struct walker *w, int fd, mode_t mode, int depth)
{
    struct folder folder = {.fd = fd, .mode = mode};
    CLEANUP(close_stream) DIR *stream = fdopendir(fd);
    if (!stream) {
        int rc = -errno;
        close(fd);
        return rc;
    }
    w->too_deep |= depth > DEPTH_MAX;
    int rc = depth > DEPTH_MAX ? 0 : walk_stream(w, stream, &folder, depth);
    if (IS_SHUT(folder.mode) && fchmod(fd, folder.mode) && !rc)
        rc = -errno;
    return rc;
}

int disk_walk(const struct disk_walk *walk, struct disk_usage *ret_usage,
              enum disk_walk_end *ret_end)
{
    struct walker w = {.walk = walk, .end = DISK_WALK_WHOLE};
    struct stat st;
    int fd, tries = 0;
    do {
        if (lstat(walk->folder, &st))
            return -errno;
        fd = open_folder(AT_FDCWD, walk->folder, st.st_mode & 07777);
    } while (fd < 0 && errno == EACCES && ++tries < TRIES);
    if (fd < 0)
        return -errno;
    w.device = st.st_dev;
    count(&w, &st);
    int rc = walk_folder(&w, fd, st.st_mode & 07777, 1);
    disk_inodes_dispose(&w.inodes);
    if (rc)
        return rc;
    *ret_usage = w.usage;
    *ret_end = w.end == DISK_WALK_WHOLE && w.too_deep ? DISK_WALK_TOO_MANY : w.end;
    return 0;
}
