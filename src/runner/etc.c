// SPDX-License-Identifier: AGPL-3.0-or-later
#include "runner/etc.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include "base/fd.h"

#define DEPTH_MAX     8
#define FILE_SIZE_MAX (8 * 1024 * 1024)
#define ENTRIES_MAX   50000
#define HASH_START    0xcbf29ce484222325u

// What programs need of the system's own, if it is there. What is below a folder comes with it.
static const char *const wanted[] = {
    "ImageMagick*",
    "OpenCL",
    "R",
    "X11",
    "alternatives",
    "bash.bashrc",
    "bash_completion*",
    "ca-certificates*",
    "debian_version",
    "emacs",
    "fonts",
    "ghostscript",
    "groff",
    "host.conf",
    "inputrc",
    "java*",
    "jupyter",
    "julia",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "localtime",
    "locale.alias",
    "lynx",
    "magic*",
    "maven*",
    "mime.types",
    "nanorc",
    "octave*",
    "openmpi",
    "os-release",
    "paper*",
    "perl",
    "profile",
    "profile.d",
    "protocols",
    "python*",
    "services",
    "ssl",
    "terminfo",
    "texmf",
    "timezone",
    "vim",
    "xdg",
};
// What shows that some of it has changed: installing a package renames files in these folders.
static const char *const watched[] = {".", "alternatives", "fonts/conf.d", "ssl/certs"};
// Below these folders only what is named here.
static const struct {
    const char *folder, *name;
} only[] = {{"ssl", "certs"}, {"ssl", "openssl.cnf"}};

static const struct {
    const char *name, *text;
} own_files[] = {
    {"group", "root:x:0:\nuser:x:2001:\nnogroup:x:65534:\n"},
    {"hostname", "project\n"},
    {"hosts", "127.0.0.1 localhost project\n::1 localhost ip6-localhost ip6-loopback\n"},
    {"nsswitch.conf", "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\n"
                      "networks: files\nprotocols: files\nservices: files\n"},
    {"shells", "/bin/sh\n/bin/bash\n/usr/bin/bash\n"},
};
// Differs by project, and lies where the sandbox is put together.
static const struct {
    const char *name, *target;
} own_links[] = {
    {"mtab", "/proc/self/mounts"},
    {"passwd", "/run/passwd"},
    {"resolv.conf", "/run/resolv.conf"},
};

struct walk {
    uint64_t hash;
    unsigned entries;
};

static void hash_add(uint64_t *hash, const void *bytes, size_t size)
{
    const unsigned char *at = bytes;
    for (size_t i = 0; i < size; i++)
        *hash = (*hash ^ at[i]) * 0x100000001b3u;
}

static void hash_entry(struct walk *walk, const char *name, const struct stat *info)
{
    const int64_t numbers[] = {info->st_mode, info->st_size, info->st_mtim.tv_sec,
                               info->st_mtim.tv_nsec};
    hash_add(&walk->hash, name, strlen(name) + 1);
    hash_add(&walk->hash, numbers, sizeof numbers);
}

static bool is_wanted(const char *folder, const char *name)
{
    if (!*folder) {
        for (size_t i = 0; i < ARRAY_LEN(wanted); i++)
            if (fnmatch(wanted[i], name, 0) == 0)
                return true;
        return false;
    }
    bool restricted = false;
    for (size_t i = 0; i < ARRAY_LEN(only); i++) {
        if (strcmp(only[i].folder, folder) != 0)
            continue;
        restricted = true;
        if (strcmp(only[i].name, name) == 0)
            return true;
    }
    return !restricted;
}

static int copy_file(int from_dir, const char *name, const struct stat *info, int to_dir)
{
    auto_fd int from = openat(from_dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (from < 0)
        return 0; // not for everybody
    auto_fd int to = openat(to_dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (to < 0)
        return -errno;
    ssize_t sent;
    do
        sent = sendfile(to, from, NULL, FILE_SIZE_MAX);
    while (sent > 0);
    if (sent < 0)
        return -errno;
    const struct timespec times[2] = {info->st_mtim, info->st_mtim};
    if (futimens(to, times) < 0 || fchmod(to, info->st_mode & 0111 ? 0755 : 0644) < 0)
        return -errno;
    return 0;
}

static int copy_link(int from_dir, const char *name, int to_dir)
{
    char target[PATH_MAX];
    const ssize_t size = readlinkat(from_dir, name, target, sizeof target - 1);
    if (size < 0)
        return 0;
    target[size] = '\0';
    return symlinkat(target, to_dir, name) < 0 ? -errno : 0;
}

// Walks what is wanted; to_dir < 0: only looks.
static int walk_folder(struct walk *walk, int from_dir, const char *folder, int to_dir, int depth);

static int walk_subfolder(struct walk *walk, int from_dir, const char *name, int to_dir, int depth)
{
    auto_fd int to = -1;
    if (depth >= DEPTH_MAX)
        return 0;
    auto_fd int from = openat(from_dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (from < 0)
        return 0; // not for everybody
    if (to_dir >= 0) {
        if (mkdirat(to_dir, name, 0755) < 0)
            return -errno;
        to = openat(to_dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (to < 0 || fchmod(to, 0755) < 0)
            return -errno;
    }
    return walk_folder(walk, from, depth == 0 ? name : "*", to, depth + 1);
}

static int walk_entry(struct walk *walk, int from_dir, const char *name, int to_dir, int depth)
{
    struct stat info;
    if (++walk->entries > ENTRIES_MAX)
        return -E2BIG;
    if (fstatat(from_dir, name, &info, AT_SYMLINK_NOFOLLOW) < 0)
        return 0;
    hash_entry(walk, name, &info);
    if (S_ISDIR(info.st_mode))
        return walk_subfolder(walk, from_dir, name, to_dir, depth);
    if (to_dir < 0)
        return 0;
    if (S_ISLNK(info.st_mode))
        return copy_link(from_dir, name, to_dir);
    return S_ISREG(info.st_mode) && info.st_size <= FILE_SIZE_MAX
               ? copy_file(from_dir, name, &info, to_dir)
               : 0;
}

// `folder` is the name of a folder in /etc, "" for /etc itself, "*" for what is deeper.
static int walk_folder(struct walk *walk, int from_dir, const char *folder, int to_dir, int depth)
{
    struct dirent **entries;
    const int count = scandirat(from_dir, ".", &entries, NULL, alphasort);
    int rc = count < 0 ? -errno : 0;
    for (int i = 0; i < count; i++) {
        const char *name = entries[i]->d_name;
        if (rc == 0 && strcmp(name, ".") != 0 && strcmp(name, "..") != 0 && is_wanted(folder, name))
            rc = walk_entry(walk, from_dir, name, to_dir, depth);
        free(entries[i]);
    }
    if (count >= 0)
        free(entries);
    return rc;
}

static int write_own(int to_dir)
{
    for (size_t i = 0; i < ARRAY_LEN(own_files); i++) {
        auto_fd int fd =
            openat(to_dir, own_files[i].name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
        if (fd < 0)
            return -errno;
        const int rc = fd_write_all(fd, own_files[i].text, strlen(own_files[i].text));
        if (rc < 0)
            return rc;
        if (fchmod(fd, 0644) < 0)
            return -errno;
    }
    for (size_t i = 0; i < ARRAY_LEN(own_links); i++)
        if (symlinkat(own_links[i].target, to_dir, own_links[i].name) < 0)
            return -errno;
    return 0;
}

static void remove_tree(int dir, const char *name, int depth)
{
    if (unlinkat(dir, name, 0) == 0 || depth > DEPTH_MAX + 2)
        return;
    int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *entries = fd < 0 ? NULL : fdopendir(fd);
    if (!entries) {
        fd_close(&fd);
        return;
    }
    for (const struct dirent *entry; (entry = readdir(entries));)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            remove_tree(fd, entry->d_name, depth + 1);
    closedir(entries);
    unlinkat(dir, name, AT_REMOVEDIR);
}

// Fills a fresh folder, which gets its name when it is whole.
static int build(int etc_fd, const char *path)
{
    char temporary[64];
    snprintf(temporary, sizeof temporary, "run/etc.%ld", (long)getpid());
    remove_tree(AT_FDCWD, temporary, 0);
    if (mkdir(temporary, 0755) < 0)
        return -errno;
    auto_fd int to = open(temporary, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (to < 0 || fchmod(to, 0755) < 0)
        return -errno;
    struct walk walk = {0};
    int rc = etc_fd < 0 ? 0 : walk_folder(&walk, etc_fd, "", to, 0);
    if (rc == 0)
        rc = write_own(to);
    // Another runner may have made the same at the same time.
    if (rc == 0 && rename(temporary, path) < 0 && errno != EEXIST && errno != ENOTEMPTY)
        rc = -errno;
    remove_tree(AT_FDCWD, temporary, 0);
    return rc;
}

// The hash of all that would be copied.
static uint64_t hash_all(int etc_fd, int *ret_rc)
{
    struct walk walk = {.hash = HASH_START};
    for (size_t i = 0; i < ARRAY_LEN(own_files); i++)
        hash_add(&walk.hash, own_files[i].text, strlen(own_files[i].text));
    *ret_rc = etc_fd < 0 ? 0 : walk_folder(&walk, etc_fd, "", -1, 0);
    return walk.hash;
}

// A cheap hash that changes when packages are installed or the certificates change.
static uint64_t hash_watched(int etc_fd)
{
    struct walk walk = {.hash = HASH_START};
    struct stat info;
    for (size_t i = 0; etc_fd >= 0 && i < ARRAY_LEN(watched); i++)
        if (fstatat(etc_fd, watched[i], &info, 0) == 0)
            hash_entry(&walk, watched[i], &info);
    return walk.hash ? walk.hash : 1;
}

// The lock that says that copies are in use. A process that has used one holds it to its end:
// between the look at a copy and the mount of it, nobody may remove it.
static int lock_copies(int operation)
{
    auto_fd int fd = open("run/.etc-lock", O_RDONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0 || flock(fd, operation) < 0)
        return -errno;
    return TAKE_FD(fd);
}

static int hold_copies(void)
{
    static int held = -1;
    if (held < 0)
        held = lock_copies(LOCK_SH);
    return held;
}

int etc_update(int root_fd, struct etc_copy *copy, struct err *err)
{
    const int held = hold_copies();
    if (held < 0)
        return err_set_errno(err, ERR_INTERNAL, -held, "cannot prepare /etc for sandboxes");
    auto_fd int etc_fd = openat(root_fd, "etc", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    const uint64_t seen = hash_watched(etc_fd);
    if (seen == copy->seen && access(copy->path, F_OK) == 0)
        return 0;
    int rc;
    char path[sizeof copy->path];
    snprintf(path, sizeof path, "run/etc-%016llx", (unsigned long long)hash_all(etc_fd, &rc));
    if (rc == 0 && access(path, F_OK) < 0)
        rc = build(etc_fd, path);
    if (rc < 0)
        return err_set_errno(err, ERR_INTERNAL, -rc, "cannot prepare /etc for sandboxes");
    memcpy(copy->path, path, sizeof path);
    copy->seen = seen;
    return 0;
}

void etc_remove_all(void)
{
    auto_fd int lock = lock_copies(LOCK_EX | LOCK_NB);
    if (lock < 0)
        return;
    auto_fd int dir = open("run", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct dirent **entries;
    const int count = dir < 0 ? -1 : scandirat(dir, ".", &entries, NULL, alphasort);
    for (int i = 0; i < count; i++) {
        if (fnmatch("etc[-.]*", entries[i]->d_name, 0) == 0)
            remove_tree(dir, entries[i]->d_name, 0);
        free(entries[i]);
    }
    if (count >= 0)
        free(entries);
}
