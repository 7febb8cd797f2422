// SPDX-License-Identifier: AGPL-3.0-or-later
// Reading /proc of the sandbox, without stdio. Numbers are listed in ascending order, and new
// processes get higher ones until they begin anew.
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/agent.h"

// Numbers behind the state in /proc/PID/stat, up to the resident pages, and some of them.
#define STAT_NUMBERS 21
#define STAT_PARENT  0
#define STAT_TIMES   10 // user and system, the process's own and those of the children that ended
#define STAT_RSS     20

struct dirent64_head {
    uint64_t inode;
    int64_t offset;
    uint16_t size;
    uint8_t type;
    char name[];
};

bool proc_scan_begin(const struct agent *a, struct proc_scan *scan)
{
    scan->dir = openat(a->proc_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    scan->dents_at = scan->dents_size = 0;
    return scan->dir >= 0;
}

void proc_scan_end(struct proc_scan *scan)
{
    close(scan->dir);
    scan->dir = -1;
}

// 0: not a process.
static uint32_t parse_pid(const char *text)
{
    uint32_t pid = 0;
    if (!*text)
        return 0;
    for (; *text; text++) {
        if (*text < '0' || *text > '9' || pid >= PROC_PID_LIMIT / 10 + 1)
            return 0;
        pid = pid * 10 + (uint32_t)(*text - '0');
    }
    return pid < PROC_PID_LIMIT ? pid : 0;
}

uint32_t proc_scan_next(struct proc_scan *scan)
{
    for (;;) {
        if (scan->dents_at >= scan->dents_size) {
            scan->dents_size = syscall(SYS_getdents64, scan->dir, scan->dents, sizeof scan->dents);
            scan->dents_at = 0;
            if (scan->dents_size <= 0)
                return 0;
        }
        const struct dirent64_head *entry = (const void *)(scan->dents + scan->dents_at);
        const uint32_t pid = parse_pid(entry->name);
        scan->dents_at += entry->size;
        if (pid)
            return pid;
    }
}

void *proc_map_pids(size_t size_each)
{
    void *map = mmap(NULL, PROC_PID_LIMIT * size_each, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return map == MAP_FAILED ? NULL : map;
}

static ssize_t read_file(const struct agent *a, uint32_t pid, char *text, size_t size)
{
    char path[16 + sizeof "/stat"];
    memcpy(text_put_number(path, pid), "/stat", sizeof "/stat");
    const int fd = openat(a->proc_fd, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    const ssize_t got = read(fd, text, size);
    close(fd);
    return got;
}

// Numbers that a blank leads each; some are negative, and count as 0.
static bool parse_numbers(const char *text, uint64_t numbers[STAT_NUMBERS])
{
    for (unsigned i = 0; i < STAT_NUMBERS; i++) {
        if (*text++ != ' ')
            return false;
        const bool negative = *text == '-';
        text += negative;
        uint64_t number = 0;
        for (; *text >= '0' && *text <= '9'; text++)
            number = number * 10 + (uint64_t)(*text - '0');
        numbers[i] = negative ? 0 : number;
    }
    return true;
}

// "PID (NAME) STATE PPID ...", where the name may hold anything.
bool proc_stat_read(const struct agent *a, uint32_t pid, struct proc_stat *ret_stat)
{
    char text[1024];
    uint64_t numbers[STAT_NUMBERS];
    const ssize_t size = read_file(a, pid, text, sizeof text - 1);
    if (size <= 0)
        return false;
    text[size] = '\0';
    const char *name_end = strrchr(text, ')');
    if (!name_end || strlen(name_end) < sizeof ") S 1" - 1 || !parse_numbers(name_end + 3, numbers))
        return false;
    *ret_stat = (struct proc_stat){.state = name_end[2],
                                   .parent = (uint32_t)numbers[STAT_PARENT],
                                   .resident_pages = numbers[STAT_RSS]};
    for (unsigned i = 0; i < 4; i++)
        ret_stat->cpu_ticks += numbers[STAT_TIMES + i];
    return numbers[STAT_PARENT] < PROC_PID_LIMIT;
}
