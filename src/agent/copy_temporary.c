// SPDX-License-Identifier: AGPL-3.0-or-later
// Where rsync writes files before it gives them their names: a folder in the target's home, so that
// what a killed copy leaves is found and removed by the next. The folder is locked by whom it
// belongs to.
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "agent/copy.h"

#define PREFIX         ".cohub-copy-"
#define OPEN_FILES_MAX 64

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *where)
{
    (void)info;
    (void)type;
    (void)where;
    (void)remove(path);
    return 0;
}

static void remove_folder(const char *path)
{
    (void)nftw(path, remove_one, OPEN_FILES_MAX, FTW_PHYS | FTW_DEPTH | FTW_MOUNT);
}

static int lock_folder(const char *path)
{
    const int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static void remove_left(const char *home)
{
    char path[COPY_TEMPORARY_SIZE];
    DIR *folder = opendir(home);
    if (!folder)
        return;
    for (const struct dirent *entry; (entry = readdir(folder));) {
        if (strncmp(entry->d_name, PREFIX, strlen(PREFIX)) != 0 ||
            (size_t)snprintf(path, sizeof path, "%s/%s", home, entry->d_name) >= sizeof path)
            continue;
        const int fd = lock_folder(path);
        if (fd < 0)
            continue;
        remove_folder(path);
        close(fd);
    }
    closedir(folder);
}

bool copy_temporary_make(const char *home, char path[COPY_TEMPORARY_SIZE])
{
    remove_left(home);
    if ((size_t)snprintf(path, COPY_TEMPORARY_SIZE, "%s/" PREFIX "XXXXXX", home) >=
            COPY_TEMPORARY_SIZE ||
        !mkdtemp(path))
        return false;
    if (lock_folder(path) >= 0) // as long as the process lives
        return true;
    remove_folder(path);
    return false;
}

void copy_temporary_remove(const char *path)
{
    remove_folder(path);
}
