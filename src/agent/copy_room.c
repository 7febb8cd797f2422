// SPDX-License-Identifier: AGPL-3.0-or-later
// By how much a copy makes the target grow: a walk over the source that compares with what the
// target has, as rsync will. What rsync deletes is not counted, since it may come last.
#include <errno.h>
#include <fnmatch.h>
#include <ftw.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "agent/copy.h"

#define BLOCK          4096
#define OPEN_FILES_MAX 64

const char *const copy_excluded[] = {
    ".sage/cache",   ".sage/temp",    ".trash", ".Trash",   ".sagemathcloud",
    ".smc",          ".node-gyp",     ".cache", ".forever", ".snapshots",
    "*.sage-backup", ".cohub-copy-*", NULL,
};

// What rsync's processes write besides files, for each name and in all.
#define MESSAGE_BYTES  1024
#define MESSAGES_BYTES ((uint64_t)1 << 20)

// nftw hands nothing on to its callback.
static struct walk {
    struct copy *copy;
    bool target_exists;
    bool too_long;
    uint64_t growth; // bytes
    uint64_t freed;  // bytes of what is replaced
    uint64_t names;  // looked at
    uint64_t made;   // names that are not there yet
    char target[PATH_MAX];
} walk;

static bool matches(const char *pattern, const char *name, const char *two_names)
{
    return !fnmatch(pattern, strchr(pattern, '/') ? two_names : name, 0);
}

// The last names of a path, as many as the pattern has.
static const char *last_names(const char *below, const char *pattern)
{
    const char *from = below + strlen(below);
    unsigned slashes = 1;
    for (const char *at = pattern; *at; at++)
        slashes += *at == '/';
    while (from > below) {
        if (*--from == '/' && !--slashes)
            break;
    }
    return from + 1;
}

// As rsync has patterns, but for those with two stars: what they leave out is counted all the same.
static bool is_excluded_by_caller(const char *pattern, const char *below, bool is_folder)
{
    char text[COPY_EXCLUDE_MAX + 1];
    const size_t size = strlen(pattern);
    const bool of_folders = size > 1 && pattern[size - 1] == '/';
    if (size >= sizeof text || strstr(pattern, "**") || (of_folders && !is_folder))
        return false;
    memcpy(text, pattern, size + 1);
    text[size - of_folders] = '\0';
    return !fnmatch(text, *text == '/' ? below : last_names(below, text), FNM_PATHNAME);
}

// As rsync does it, what is above the copied folder does not count. `below` begins with a slash.
static bool is_excluded(const struct copy *copy, const char *below, bool is_folder)
{
    const char *name = strrchr(below, '/') + 1, *two = name - 1;
    while (two > below && two[-1] != '/')
        two--;
    if ((copy->flags & COPY_EXCLUDE_HISTORY) && matches(COPY_HISTORY, name, two))
        return true;
    for (const char *const *pattern = copy_excluded; *pattern; pattern++)
        if (matches(*pattern, name, two))
            return true;
    for (unsigned i = 0; i < copy->patterns_count; i++)
        if (is_excluded_by_caller(copy->patterns[i], below, is_folder))
            return true;
    return false;
}

static uint64_t blocks(off_t size)
{
    return ((uint64_t)size + BLOCK - 1) / BLOCK * BLOCK;
}

// Counts what the file at `target` will have more than it has, and what takes its place.
static void count(const struct stat *source, const char *target)
{
    struct copy *copy = walk.copy;
    struct stat old;
    const bool regular = S_ISREG(source->st_mode);
    const uint64_t size = regular ? blocks(source->st_size) : BLOCK;
    if (regular && (uint64_t)source->st_size > copy->largest)
        copy->largest = (uint64_t)source->st_size;
    walk.names++;
    const bool is_new = !walk.target_exists || lstat(target, &old) < 0;
    if (is_new || !regular || !S_ISREG(old.st_mode)) {
        const bool is_there = !is_new && S_ISDIR(source->st_mode) && S_ISDIR(old.st_mode);
        walk.made += is_new || (copy->flags & COPY_BACKUP && !is_there);
        walk.growth += is_there ? 0 : size;
        return;
    }
    const bool same = old.st_size == source->st_size && old.st_mtime == source->st_mtime;
    const bool newer = old.st_mtime > source->st_mtime;
    if (same || (newer && !(copy->flags & COPY_OVERWRITE_NEWER)))
        return;
    const uint64_t freed = copy->flags & COPY_BACKUP ? 0 : blocks(old.st_size);
    walk.made += (copy->flags & COPY_BACKUP) != 0;
    walk.freed += freed;
    walk.growth += size > freed ? size - freed : 0;
}

static bool fits(void)
{
    return walk.growth <= walk.copy->room && walk.made <= walk.copy->files;
}

static int visit(const char *path, const struct stat *source, int type, struct FTW *where)
{
    const struct copy *copy = walk.copy;
    const char *below = path + 1; // behind the dot
    if (type == FTW_NS || where->level == 0)
        return FTW_CONTINUE;
    if (is_excluded(copy, below, type == FTW_D))
        return type == FTW_D ? FTW_SKIP_SUBTREE : FTW_CONTINUE;
    const size_t root = strlen(copy->target), size = strlen(below);
    walk.too_long = root + size >= sizeof walk.target;
    if (walk.too_long)
        return FTW_STOP;
    memcpy(walk.target, copy->target, root);
    memcpy(walk.target + root, below, size + 1);
    count(source, walk.target);
    return fits() ? FTW_CONTINUE : FTW_STOP;
}

// Where a single file goes: into the target if that is a folder.
static void count_file(struct copy *copy)
{
    struct stat target;
    const char *path = copy->target;
    if (stat(path, &target) == 0 && S_ISDIR(target.st_mode)) {
        const char *name = strrchr(copy->source, '/');
        const size_t root = strlen(path), size = strlen(name);
        walk.too_long = root + size >= sizeof walk.target;
        if (walk.too_long)
            return;
        memcpy(walk.target, path, root);
        memcpy(walk.target + root, name, size + 1);
        path = walk.target;
    }
    walk.target_exists = true;
    count(&copy->source_stat, path);
}

// From within the folder, so that only what lies below counts for how long a path may be, as it
// does for rsync. What cannot be read is left to rsync, which says so.
static void count_folder(const struct copy *copy)
{
    struct stat target;
    walk.target_exists = lstat(copy->target, &target) == 0;
    if (chdir(copy->source) < 0)
        return;
    (void)nftw(".", visit, OPEN_FILES_MAX, FTW_PHYS | FTW_MOUNT | FTW_ACTIONRETVAL);
    (void)!chdir("/");
}

enum copy_fit copy_fits(struct copy *copy)
{
    walk.copy = copy;
    if (copy->folder)
        count_folder(copy);
    else
        count_file(copy);
    if (walk.too_long)
        return COPY_PATH_TOO_LONG;
    copy->written_max = copy->room + walk.freed + walk.names * MESSAGE_BYTES + MESSAGES_BYTES;
    return fits() ? COPY_FITS : COPY_TOO_LARGE;
}
