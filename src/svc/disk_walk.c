// SPDX-License-Identifier: AGPL-3.0-or-later
#include "svc/disk_walk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/mem.h"

#define DEPTH_MAX   128 // folders in folders: each holds a descriptor open meanwhile
#define CLOCK_NAMES 128 // the clock is looked at after this many names
#define BLOCK       512 // of st_blocks

// The inodes seen that have several names; 0 is a free slot.
struct inodes {
    uint64_t *slots;
    size_t capacity; // a power of two, or 0
    size_t count;
};

struct walker {
    const struct disk_walk *walk;
    struct disk_usage usage;
    enum disk_walk_end end;
    dev_t device;
    int64_t names;
    struct inodes inodes;
};

// ---- Files with several names ----

static bool put(struct inodes *set, uint64_t inode)
{
    size_t mask = set->capacity - 1;
    for (size_t i = (inode * UINT64_C(0x9e3779b97f4a7c15)) & mask;; i = (i + 1) & mask) {
        if (set->slots[i] == inode)
            return false;
        if (!set->slots[i]) {
            set->slots[i] = inode;
            set->count++;
            return true;
        }
    }
}

static void grow(struct inodes *set)
{
    struct inodes larger = {.capacity = set->capacity ? 2 * set->capacity : 256};
    larger.slots = mem_zalloc(larger.capacity * sizeof *larger.slots);
    for (size_t i = 0; i < set->capacity; i++) {
        if (set->slots[i])
            put(&larger, set->slots[i]);
    }
    free(set->slots);
    *set = larger;
}

// False if it was there already.
static bool inodes_add(struct inodes *set, uint64_t inode)
{
    if (2 * set->count >= set->capacity)
        grow(set);
    return put(set, inode);
}

// ---- Walking ----

static void count(struct walker *w, const struct stat *st)
{
    if (!S_ISDIR(st->st_mode) && st->st_nlink > 1 && !inodes_add(&w->inodes, st->st_ino))
        return;
    w->usage.files++;
    w->usage.bytes += (int64_t)st->st_blocks * BLOCK;
    if (S_ISREG(st->st_mode) && st->st_size > w->usage.largest)
        w->usage.largest = st->st_size;
}

static bool may_go_on(struct walker *w)
{
    const struct disk_walk *walk = w->walk;
    if (++w->names > walk->names_max)
        w->end = DISK_WALK_TOO_MANY;
    else if (w->names % CLOCK_NAMES)
        return true;
    else if ((walk->stop && atomic_load(walk->stop)) ||
             (walk->deadline_us && clock_monotonic_us() > walk->deadline_us))
        w->end = DISK_WALK_STOPPED;
    return w->end == DISK_WALK_WHOLE;
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

static int walk_folder(struct walker *w, int fd, mode_t mode, int depth);

// What has gone meanwhile counts nothing; what cannot be looked into counts itself.
static int walk_entry(struct walker *w, int folder, const char *name, int depth)
{
    struct stat st;
    if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) || st.st_dev != w->device)
        return 0;
    count(w, &st);
    if (!S_ISDIR(st.st_mode))
        return 0;
    if (depth == DEPTH_MAX) {
        w->end = DISK_WALK_TOO_MANY;
        return 0;
    }
    int fd = open_folder(folder, name, st.st_mode & 07777);
    if (fd < 0)
        return errno == EMFILE || errno == ENFILE ? -errno : 0;
    return walk_folder(w, fd, st.st_mode & 07777, depth + 1);
}

static int walk_stream(struct walker *w, DIR *stream, int depth)
{
    const struct dirent *entry;
    while ((errno = 0, entry = readdir(stream))) {
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
            continue;
        if (!may_go_on(w))
            return 0;
        int rc = walk_entry(w, dirfd(stream), entry->d_name, depth);
        if (rc || w->end != DISK_WALK_WHOLE)
            return rc;
    }
    return -errno;
}

// Takes the descriptor.
static int walk_folder(struct walker *w, int fd, mode_t mode, int depth)
{
    CLEANUP(close_stream) DIR *stream = fdopendir(fd);
    if (!stream) {
        int rc = -errno;
        close(fd);
        return rc;
    }
    int rc = walk_stream(w, stream, depth);
    if (IS_SHUT(mode) && fchmod(fd, mode) && !rc)
        rc = -errno;
    return rc;
}

int disk_walk(const struct disk_walk *walk, struct disk_usage *ret_usage,
              enum disk_walk_end *ret_end)
{
    struct walker w = {.walk = walk, .end = DISK_WALK_WHOLE};
    struct stat st;
    if (lstat(walk->folder, &st))
        return -errno;
    int fd = open_folder(AT_FDCWD, walk->folder, st.st_mode & 07777);
    if (fd < 0)
        return -errno;
    w.device = st.st_dev;
    count(&w, &st);
    int rc = walk_folder(&w, fd, st.st_mode & 07777, 1);
    free(w.inodes.slots);
    if (rc)
        return rc;
    *ret_usage = w.usage;
    *ret_end = w.end;
    return 0;
}
