// SPDX-License-Identifier: AGPL-3.0-or-later
#include "svc/disk_held.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/json.h"
#include "base/limits.h"
#include "svc/disk_inodes.h"

#define INFO_MAX 4096

struct search {
    const struct disk_walk *walk;
    dev_t device;
    int64_t looks, bytes;
    enum disk_walk_end end;
    struct disk_inodes inodes;
};

// ---- The sandbox ----

// What bubblewrap tells of it (runner/runner.h).
static bool read_info(const struct uuid *project_id, int64_t *ret_pid, int64_t *ret_namespace)
{
    char path[sizeof "run//info" + UUID_LEN];
    auto_buf struct buf text = {0};
    auto_json cJSON *info = NULL;
    snprintf(path, sizeof path, "run/%s/info", project_id->text);
    auto_fd int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fd_read_all(fd, INFO_MAX, &text) ||
        json_parse(text.data, text.size, LIMIT_JSON_DEPTH, &info, NULL))
        return false;
    const cJSON *pid = json_get(info, "child-pid"), *number = json_get(info, "pid-namespace");
    if (!cJSON_IsNumber(pid) || !cJSON_IsNumber(number) || pid->valuedouble < 2)
        return false;
    *ret_pid = (int64_t)pid->valuedouble;
    *ret_namespace = (int64_t)number->valuedouble;
    return true;
}

// Its /proc, or -1. The process's number may be another's by now; the namespace tells.
static int open_proc(const struct uuid *project_id)
{
    int64_t pid, number;
    char path[32], expected[32], found[32];
    if (!read_info(project_id, &pid, &number))
        return -1;
    snprintf(path, sizeof path, "/proc/%lld", (long long)pid);
    snprintf(expected, sizeof expected, "pid:[%lld]", (long long)number);
    auto_fd int process = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    ssize_t size = process < 0 ? -1 : readlinkat(process, "ns/pid", found, sizeof found - 1);
    found[size > 0 ? size : 0] = '\0';
    if (strcmp(found, expected) != 0)
        return -1;
    return openat(process, "root/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

// ---- Its descriptors ----

typedef void entry_fn(struct search *s, int folder, const char *name);

// Calls `fn` for all entries that are numbers, until the search ends. What has gone, or may not be
// looked at, has none.
static void for_numbers(struct search *s, int parent, const char *path, entry_fn *fn)
{
    int fd = openat(parent, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream = fd < 0 ? NULL : fdopendir(fd);
    if (!stream) {
        fd_close(&fd);
        return;
    }
    for (const struct dirent *entry; s->end == DISK_WALK_WHOLE && (entry = readdir(stream));) {
        if (entry->d_name[0] >= '0' && entry->d_name[0] <= '9' &&
            disk_walk_goes_on(s->walk, &s->looks, &s->end))
            fn(s, fd, entry->d_name);
    }
    closedir(stream);
}

static void count_descriptor(struct search *s, int folder, const char *name)
{
    struct stat st;
    if (fstatat(folder, name, &st, 0) == 0 && st.st_dev == s->device && st.st_nlink == 0 &&
        disk_inodes_add(&s->inodes, st.st_ino))
        s->bytes += (int64_t)st.st_blocks * S_BLKSIZE;
}

static void search_thread(struct search *s, int folder, const char *name)
{
    char path[NAME_MAX + sizeof "/fd"];
    snprintf(path, sizeof path, "%s/fd", name);
    for_numbers(s, folder, path, count_descriptor);
}

static void search_process(struct search *s, int folder, const char *name)
{
    char path[NAME_MAX + sizeof "/task"];
    snprintf(path, sizeof path, "%s/task", name);
    for_numbers(s, folder, path, search_thread);
}

void disk_held(const struct uuid *project_id, const struct disk_walk *walk, int64_t *ret_bytes,
               enum disk_walk_end *ret_end)
{
    struct search s = {.walk = walk, .end = DISK_WALK_WHOLE};
    struct stat home;
    auto_fd int proc = open_proc(project_id);
    if (proc >= 0 && lstat(walk->folder, &home) == 0) {
        s.device = home.st_dev;
        for_numbers(&s, proc, ".", search_process);
    }
    disk_inodes_dispose(&s.inodes);
    *ret_bytes = s.bytes;
    *ret_end = s.end;
}
