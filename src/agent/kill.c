// SPDX-License-Identifier: AGPL-3.0-or-later
// Ending whole process trees: all that descends from a command's supervisor.
//
// First the supervisor is stopped, so that it stays and goes on adopting what loses its parent.
// Then passes over /proc kill every process whose parent is known to belong to the tree. A process
// that keeps forking is chased: numbers are listed in ascending order and new processes get higher
// ones, so one pass meets parents before children, and what it misses meets the next. Two passes in
// a row without a live process end it. A pass serves all trees that are being killed, and is cut
// into short steps between which the loop does its other work.
#include <signal.h>
#include <sys/mman.h>

#include "agent/agent.h"

#define OWNER_SIZE       (PROC_PID_LIMIT * sizeof(uint16_t))
#define STEP_MAX         64 // processes looked at in one step
#define PAUSE_MAX_MS     50
#define EMPTY_PASSES_END 2

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
    if (a->scan.proc.dir >= 0)
        return 0;
    return a->scan.active ? a->scan.next_ms : UINT64_MAX;
}

static bool pass_begin(struct agent *a)
{
    struct kill_scan *scan = &a->scan;
    uint16_t *owner = proc_map_pids(sizeof *owner);
    if (!owner)
        return false;
    if (!proc_scan_begin(a, &scan->proc)) {
        munmap(owner, OWNER_SIZE);
        return false;
    }
    scan->owner = owner;
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
    proc_scan_end(&scan->proc);
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

static void look_at(struct agent *a, uint32_t pid)
{
    struct proc_stat stat;
    if (!proc_stat_read(a, pid, &stat) || !a->scan.owner[stat.parent])
        return;
    const uint16_t owner = a->scan.owner[stat.parent];
    a->scan.owner[pid] = owner;
    if (stat.state == 'Z' || stat.state == 'X')
        return;
    kill((pid_t)pid, SIGKILL);
    a->execs[owner - 1].kill_found++;
}

// False at the end of the pass.
static bool pass_step(struct agent *a)
{
    for (unsigned i = 0; i < STEP_MAX; i++) {
        const uint32_t pid = proc_scan_next(&a->scan.proc);
        if (!pid)
            return false;
        look_at(a, pid);
    }
    return true;
}

void kill_tick(struct agent *a, uint64_t now_ms)
{
    struct kill_scan *scan = &a->scan;
    if (scan->proc.dir < 0) {
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
