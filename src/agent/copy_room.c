// SPDX-License-Identifier: AGPL-3.0-or-later
// By how much a copy makes the target grow: a walk over the source that compares with what the
// target has, as rsync will. What rsync deletes is not counted, since it may come last.
#include <errno.h>
#include <fnmatch.h>
#include <ftw.h>
#include <string.h>

#include "agent/copy.h"

#define BLOCK          4096
#define OPEN_FILES_MAX 64

const char *const copy_excluded[] = {
    ".sage/cache",   ".sage/temp",    ".trash", ".Trash",   ".sagemathcloud",
    ".smc",          ".node-gyp",     ".cache", ".forever", ".snapshots",
    "*.sage-backup", ".cohub-copy-*", NULL,
};

// nftw hands nothing on to its callback.
static struct walk {
    struct copy *copy;
    size_t source_size; // of the path of the source
    bool target_exists;
    uint64_t growth;
    char target[4096];
} walk;

static bool matches(const char *pattern, const char *name, const char *two_names)
{
    return !fnmatch(pattern, strchr(pattern, '/') ? two_names : name, 0);
}

static bool is_excluded(const struct copy *copy, const char *path)
{
    const char *name = strrchr(path, '/') + 1, *two = name - 1;
    while (two > path && two[-1] != '/')
        two--;
    if ((copy->flags & COPY_EXCLUDE_HISTORY) && matches(COPY_HISTORY, name, two))
        return true;
    for (const char *const *pattern = copy_excluded; *pattern; pattern++)
        if (matches(*pattern, name, two))
            return true;
    return false;
}

static uint64_t blocks(off_t size)
{
    return ((uint64_t)size + BLOCK - 1) / BLOCK * BLOCK;
}

// What the file at `target` will have more than it has.
static uint64_t growth_of(const struct copy *copy, const struct stat *source, const char *target)
{
    struct stat old;
    const uint64_t size = S_ISREG(source->st_mode) ? blocks(source->st_size) : BLOCK;
    if (!walk.target_exists || lstat(target, &old) < 0)
        return size;
    if (S_ISDIR(source->st_mode) && S_ISDIR(old.st_mode))
        return 0;
    if (!S_ISREG(source->st_mode) || !S_ISREG(old.st_mode))
        return size;
    const bool same = old.st_size == source->st_size && old.st_mtime == source->st_mtime;
    const bool newer = old.st_mtime > source->st_mtime;
    if (same || (newer && !(copy->flags & COPY_OVERWRITE_NEWER)))
        return 0;
    const uint64_t freed = copy->flags & COPY_BACKUP ? 0 : blocks(old.st_size);
    return size > freed ? size - freed : 0;
}

static void count(const struct stat *source, const char *target)
{
    struct copy *copy = walk.copy;
    walk.growth += growth_of(copy, source, target);
    if (S_ISREG(source->st_mode) && (uint64_t)source->st_size > copy->largest)
        copy->largest = (uint64_t)source->st_size;
}

static int visit(const char *path, const struct stat *source, int type, struct FTW *where)
{
    const struct copy *copy = walk.copy;
    const char *below = path + walk.source_size;
    if (type == FTW_NS || where->level == 0)
        return FTW_CONTINUE;
    if (is_excluded(copy, path))
        return type == FTW_D ? FTW_SKIP_SUBTREE : FTW_CONTINUE;
    const size_t root = strlen(copy->target), size = strlen(below);
    if (root + size >= sizeof walk.target)
        return FTW_CONTINUE; // rsync does not take such paths either
    memcpy(walk.target, copy->target, root);
    memcpy(walk.target + root, below, size + 1);
    count(source, walk.target);
    return walk.growth > copy->room ? FTW_STOP : FTW_CONTINUE;
}

// Where a single file goes: into the target if that is a folder.
static void count_file(struct copy *copy)
{
    struct stat target;
    const char *path = copy->target;
    if (stat(path, &target) == 0 && S_ISDIR(target.st_mode)) {
        const char *name = strrchr(copy->source, '/');
        const size_t root = strlen(path), size = strlen(name);
        if (root + size >= sizeof walk.target)
            return;
        memcpy(walk.target, path, root);
        memcpy(walk.target + root, name, size + 1);
        path = walk.target;
    }
    walk.target_exists = true;
    count(&copy->source_stat, path);
}

bool copy_fits(struct copy *copy)
{
    struct stat target;
    if (copy->room == UINT64_MAX)
        return true;
    walk.copy = copy;
    walk.source_size = strlen(copy->source);
    if (!copy->folder) {
        count_file(copy);
        return walk.growth <= copy->room;
    }
    walk.target_exists = lstat(copy->target, &target) == 0;
    // What cannot be read is left to rsync, which says so.
    (void)nftw(copy->source, visit, OPEN_FILES_MAX, FTW_PHYS | FTW_MOUNT | FTW_ACTIONRETVAL);
    return walk.growth <= copy->room;
}
