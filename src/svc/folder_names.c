// SPDX-License-Identifier: AGPL-3.0-or-later
#include "svc/folder_names.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void folder_names_dispose(struct folder_names *names)
{
    free(names->items);
    arena_dispose(&names->arena);
    *names = (struct folder_names){0};
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int read_all(DIR *stream, size_t count_max, struct folder_names *names)
{
    size_t room = 0;
    const struct dirent *entry;
    while ((errno = 0, entry = readdir(stream))) {
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
            continue;
        if (names->count == count_max)
            return -E2BIG;
        if (names->count == room) {
            room = room ? 2 * room : 64;
            names->items = mem_realloc(names->items, room * sizeof *names->items);
        }
        names->items[names->count++] = arena_strdup(&names->arena, entry->d_name);
    }
    return -errno;
}

int folder_names_read(int folder, size_t count_max, struct folder_names *ret_names)
{
    int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream = fd >= 0 ? fdopendir(fd) : NULL;
    if (!stream) {
        int rc = -errno;
        if (fd >= 0)
            close(fd);
        return rc;
    }
    struct folder_names names = {0};
    int rc = read_all(stream, count_max, &names);
    closedir(stream);
    if (rc) {
        folder_names_dispose(&names);
        return rc;
    }
    if (names.count)
        qsort(names.items, names.count, sizeof *names.items, compare);
    *ret_names = names;
    return 0;
}
