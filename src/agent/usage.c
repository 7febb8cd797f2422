// SPDX-License-Identifier: AGPL-3.0-or-later
// What jobs use: memory and processor time of each job's supervisor and all that descends from it,
// from /proc.
//
// A job has at most JOB_SAMPLES_MAX samples. When there are as many, every second one goes, and the
// next are taken half as often: they are dense where a command is short, and cost next to nothing
// where it is long. A pass over /proc serves all jobs that are due then or soon, is cut into short
// steps, and is followed by a rest that is many times as long.
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "agent/agent.h"

#define INTERVAL_MS 50 // at first
#define REST_FACTOR 20 // passes take at most a twentieth of the time
#define STEP_MAX    64 // processes looked at in one step
#define DEPTH_MAX   64 // of parents that a pass has not met before

// Of a process: that it has not been met, that it is no job's, or the job's index and OWNER_FIRST.
#define OWNER_UNKNOWN 0
#define OWNER_NONE    1
#define OWNER_FIRST   2
static_assert(JOB_JOBS_MAX + OWNER_FIRST <= UINT8_MAX, "an owner fits into a byte");

// Not of a job whose command has ended, and whose pipes somebody still holds.
static bool is_measured(const struct job *job)
{
    return job->exec && job->exec->pid;
}

static bool is_due(const struct job *job, uint64_t now_ms)
{
    return is_measured(job) && job->usage.next_ms <= now_ms;
}

void usage_begin(const struct agent *a, struct job *job)
{
    struct proc_stat stat;
    struct job_usage *usage = &job->usage;
    usage->interval_ms = INTERVAL_MS;
    usage->next_ms = job->began_ms + INTERVAL_MS;
    // A spare supervisor has the time of the commands before in its account.
    if (job->exec->pid && proc_stat_read(a, (uint32_t)job->exec->pid, &stat))
        usage->base_ticks = stat.cpu_ticks;
}

uint64_t usage_next_ms(const struct agent *a)
{
    uint64_t next = UINT64_MAX;
    if (a->usage.proc.dir >= 0)
        return 0;
    if (!a->jobs.running)
        return next;
    for (unsigned i = 0; i < JOB_JOBS_MAX; i++) {
        const struct job *job = &a->jobs.all[i];
        if (is_measured(job) && job->usage.next_ms < next)
            next = job->usage.next_ms;
    }
    return next == UINT64_MAX || next > a->usage.rest_ms ? next : a->usage.rest_ms;
}

// ---- One pass ----

static bool pass_begin(struct agent *a, uint64_t now_ms)
{
    struct usage_scan *scan = &a->usage;
    scan->owner = proc_map_pids(sizeof *scan->owner);
    if (!scan->owner)
        return false;
    if (!proc_scan_begin(a, &scan->proc)) {
        munmap(scan->owner, PROC_PID_LIMIT * sizeof *scan->owner);
        return false;
    }
    scan->began_ms = now_ms;
    for (unsigned i = 0; i < JOB_JOBS_MAX; i++) {
        struct job *job = &a->jobs.all[i];
        job->usage.in_pass = is_due(job, now_ms + job->usage.interval_ms / 2);
        job->usage.ticks = job->usage.pages = 0;
        job->usage.met = false;
        if (job->usage.in_pass)
            scan->owner[job->exec->pid] = (uint8_t)(i + OWNER_FIRST);
    }
    return true;
}

// A parent mostly has the lower number, and was met before.
static uint8_t owner_of(struct agent *a, uint32_t pid, unsigned depth)
{
    struct proc_stat stat;
    uint8_t *owner = &a->usage.owner[pid];
    if (*owner == OWNER_UNKNOWN)
        *owner = depth && pid > 1 && proc_stat_read(a, pid, &stat)
                     ? owner_of(a, stat.parent, depth - 1)
                     : OWNER_NONE;
    return *owner;
}

static void look_at(struct agent *a, uint32_t pid)
{
    struct proc_stat stat;
    uint8_t *owner = &a->usage.owner[pid];
    if (!proc_stat_read(a, pid, &stat))
        return;
    if (*owner == OWNER_UNKNOWN)
        *owner = pid > 1 ? owner_of(a, stat.parent, DEPTH_MAX) : OWNER_NONE;
    if (*owner == OWNER_NONE)
        return;
    struct job *job = &a->jobs.all[*owner - OWNER_FIRST];
    if (!job->usage.in_pass || !job->exec)
        return;
    const bool is_supervisor = job->exec->pid == (pid_t)pid;
    job->usage.met |= is_supervisor;
    job->usage.ticks += stat.cpu_ticks;
    job->usage.pages += is_supervisor ? 0 : stat.resident_pages;
}

static void make_room(struct job_usage *usage)
{
    if (usage->samples_count < JOB_SAMPLES_MAX)
        return;
    usage->samples_count /= 2;
    usage->interval_ms *= 2;
    for (uint32_t i = 0; i < usage->samples_count; i++)
        usage->samples[i] = usage->samples[2 * i + 1];
}

// What a process used whose parent does not ask is lost with it; the sum does not fall for that.
static void add_sample(struct job *job, uint64_t now_ms)
{
    struct job_usage *usage = &job->usage;
    const uint64_t ticks = usage->ticks > usage->base_ticks ? usage->ticks - usage->base_ticks : 0;
    const uint64_t cpu_ms = ticks * 1000 / (uint64_t)sysconf(_SC_CLK_TCK);
    if (cpu_ms > usage->cpu_ms)
        usage->cpu_ms = cpu_ms;
    make_room(usage);
    usage->samples[usage->samples_count++] =
        (struct job_sample){.time_ms = job->start_ms + (int64_t)(now_ms - job->began_ms),
                            .memory = usage->pages * (uint64_t)sysconf(_SC_PAGESIZE),
                            .cpu_ms = usage->cpu_ms};
    usage->next_ms = now_ms + usage->interval_ms;
}

static void pass_end(struct agent *a, uint64_t now_ms)
{
    struct usage_scan *scan = &a->usage;
    proc_scan_end(&scan->proc);
    munmap(scan->owner, PROC_PID_LIMIT * sizeof *scan->owner);
    scan->rest_ms = now_ms + REST_FACTOR * (now_ms - scan->began_ms);
    for (unsigned i = 0; i < JOB_JOBS_MAX; i++) {
        struct job *job = &a->jobs.all[i];
        if (job->usage.in_pass && job->exec && job->usage.met)
            add_sample(job, now_ms);
        else if (is_due(job, now_ms))
            job->usage.next_ms = now_ms + job->usage.interval_ms;
        job->usage.in_pass = false;
    }
}

// False at the end of the pass.
static bool pass_step(struct agent *a)
{
    for (unsigned i = 0; i < STEP_MAX; i++) {
        const uint32_t pid = proc_scan_next(&a->usage.proc);
        if (!pid)
            return false;
        look_at(a, pid);
    }
    return true;
}

void usage_tick(struct agent *a, uint64_t now_ms)
{
    if (a->usage.proc.dir < 0) {
        if (now_ms < usage_next_ms(a))
            return;
        if (!pass_begin(a, now_ms)) {
            a->usage.rest_ms = now_ms + 1000;
            return;
        }
    }
    if (!pass_step(a))
        pass_end(a, now_ms);
}
