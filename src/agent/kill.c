// SPDX-License-Identifier: AGPL-3.0-or-later
// Ending whole process trees: all that descends from a command's supervisor.
//
// First the supervisor is stopped, so that it stays and goes on adopting what loses its parent.
// Then passes over /proc kill every process whose parent is known to belong to the tree. A process
// that keeps forking is chased: numbers are listed in ascending order and new processes get higher
// ones, so one pass meets parents before children, and what it misses meets the next. Two passes in
// a row without a live process end it. A pass serves all trees that are being killed, and is cut
// into short steps between which the loop does its other work.
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/agent.h"

#define PID_LIMIT        (4u * 1024 * 1024) // the kernel's own
#define OWNER_SIZE       (PID_LIMIT * sizeof(uint16_t))
#define STEP_MAX         64 // processes looked at in one step
#define PAUSE_MAX_MS     50
#define EMPTY_PASSES_END 2

struct dirent64_head {
    uint64_t inode;
    int64_t offset;
    uint16_t size;
    uint8_t type;
    char name[];
};

void kill_begin(struct agent *a, struct exec *exec)
{
    kill(exec->pid, SIGSTOP);
    exec->killing = true;
    exec->kill_in_pass = false;
    exec->kill_empty_passes = 0;
    a->scan.active++;
    a->scan.pause_ms = 0;
    a->scan.next_ms = 0;
}

void kill_end(struct agent *a, struct exec *exec)
{
    if (!exec->killing)
        return;
    exec->killing = false;
    a->scan.active--;
}

uint64_t kill_next_ms(const struct agent *a)
{
    if (a->scan.dir >= 0)
        return 0;
    return a->scan.active ? a->scan.next_ms : UINT64_MAX;
}

static bool pass_begin(struct agent *a)
{
    struct kill_scan *scan = &a->scan;
    void *owner = mmap(NULL, OWNER_SIZE, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (owner == MAP_FAILED)
        return false;
    scan->dir = openat(a->proc_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (scan->dir < 0) {
        munmap(owner, OWNER_SIZE);
        return false;
    }
    scan->owner = owner;
    scan->dents_at = scan->dents_size = 0;
    for (uint32_t i = 0; i < a->execs_used; i++) {
        struct exec *exec = &a->execs[i];
        exec->kill_in_pass = exec->kind != EXEC_FREE && exec->killing;
        exec->kill_found = 0;
        if (exec->kill_in_pass)
            scan->owner[exec->pid] = (uint16_t)(i + 1);
    }
    return true;
}

static void pass_end(struct agent *a, uint64_t now_ms)
{
    struct kill_scan *scan = &a->scan;
    close(scan->dir);
    scan->dir = -1;
    munmap(scan->owner, OWNER_SIZE);
    for (uint32_t i = 0; i < a->execs_used; i++) {
        struct exec *exec = &a->execs[i];
        if (!exec->kill_in_pass || !exec->killing)
            continue;
        exec->kill_empty_passes = exec->kill_found ? 0 : (uint8_t)(exec->kill_empty_passes + 1);
        if (exec->kill_empty_passes == EMPTY_PASSES_END)
            kill(exec->pid, SIGKILL);
    }
    scan->next_ms = now_ms + scan->pause_ms;
    scan->pause_ms = scan->pause_ms ? scan->pause_ms * 2 : 1;
    if (scan->pause_ms > PAUSE_MAX_MS)
        scan->pause_ms = PAUSE_MAX_MS;
}

// 0: not a process.
static uint32_t parse_pid(const char *text)
{
    uint32_t pid = 0;
    if (!*text)
        return 0;
    for (; *text; text++) {
        if (*text < '0' || *text > '9' || pid >= PID_LIMIT / 10 + 1)
            return 0;
        pid = pid * 10 + (uint32_t)(*text - '0');
    }
    return pid < PID_LIMIT ? pid : 0;
}

// State and parent of a process, from /proc/PID/stat: "PID (NAME) STATE PPID ...", where the name
// may hold anything.
static bool read_stat(const struct agent *a, const char *pid_text, char *ret_state,
                      uint32_t *ret_parent)
{
    char path[16 + sizeof "/stat"], text[512];
    const size_t length = strlen(pid_text);
    memcpy(path, pid_text, length);
    memcpy(path + length, "/stat", sizeof "/stat");
    const int fd = openat(a->proc_fd, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    const ssize_t size = read(fd, text, sizeof text - 1);
    close(fd);
    if (size <= 0)
        return false;
    text[size] = '\0';
    const char *name_end = strrchr(text, ')');
    if (!name_end || strlen(name_end) < sizeof ") S 1" - 1)
        return false;
    *ret_state = name_end[2];
    *ret_parent = 0;
    for (const char *c = name_end + 4; *c >= '0' && *c <= '9' && *ret_parent < PID_LIMIT; c++)
        *ret_parent = *ret_parent * 10 + (uint32_t)(*c - '0');
    return *ret_parent < PID_LIMIT;
}

static void look_at(struct agent *a, const char *pid_text)
{
    char state;
    uint32_t parent;
    const uint32_t pid = parse_pid(pid_text);
    if (!pid || !read_stat(a, pid_text, &state, &parent) || !a->scan.owner[parent])
        return;
    const uint16_t owner = a->scan.owner[parent];
    a->scan.owner[pid] = owner;
    if (state == 'Z' || state == 'X')
        return;
    kill((pid_t)pid, SIGKILL);
    a->execs[owner - 1].kill_found++;
}

// False at the end of the pass.
static bool pass_step(struct agent *a)
{
    struct kill_scan *scan = &a->scan;
    for (unsigned i = 0; i < STEP_MAX; i++) {
        if (scan->dents_at >= scan->dents_size) {
            scan->dents_size = syscall(SYS_getdents64, scan->dir, scan->dents, sizeof scan->dents);
            scan->dents_at = 0;
            if (scan->dents_size <= 0)
                return false;
        }
        const struct dirent64_head *entry = (const void *)(scan->dents + scan->dents_at);
        scan->dents_at += entry->size;
        look_at(a, entry->name);
    }
    return true;
}

void kill_tick(struct agent *a, uint64_t now_ms)
{
    struct kill_scan *scan = &a->scan;
    if (scan->dir < 0) {
        if (!scan->active || now_ms < scan->next_ms)
            return;
        if (!pass_begin(a)) {
            scan->next_ms = now_ms + PAUSE_MAX_MS;
            return;
        }
    }
    if (!pass_step(a))
        pass_end(a, now_ms);
}
