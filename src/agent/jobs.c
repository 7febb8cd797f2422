// SPDX-License-Identifier: AGPL-3.0-or-later
// Jobs (proto/job.h): commands without a hub's stream. What they write is kept here, and hubs look
// at it, each by a stream of its own.
//
// A job has one mapping: its note, what was executed, and room for both streams, whose pages cost
// nothing before they are used. It is no part of the processes that the agent forks. When all jobs
// together keep too much, those that have ended are forgotten, the one that nobody has looked at
// longest first; when that is not enough, no more is kept of those that run.
//
// A look holds its job until it has been sent. What may change meanwhile, the state and the
// samples, is sent at once, with the sizes of what follows.
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "agent/agent.h"
#include "base/limits.h"

#define KEEP_MS (3600 * UINT64_C(1000)) // after the end, or the last look

static_assert(JOB_JOBS_MAX == LIMIT_EXEC_JOBS, "as many as a project may have");

static struct agent_slot *slot_of(struct agent *a, const struct exec *exec)
{
    return &a->slots[exec - a->execs];
}

static int64_t real_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static uint8_t *output_of(const struct job *job, unsigned i)
{
    return job->bytes + job->note_size + AGENT_RAN_MAX + (size_t)i * job->output_max;
}

// ---- Keeping and forgetting ----

static struct job *job_find(struct agent *a, const char id[JOB_ID_SIZE])
{
    for (unsigned i = 0; i < JOB_JOBS_MAX; i++)
        if (a->jobs.all[i].bytes && !memcmp(a->jobs.all[i].id, id, JOB_ID_SIZE))
            return &a->jobs.all[i];
    return NULL;
}

static size_t size_of(const struct job *job)
{
    return job->note_size + job->ran_size + job->kept[0] + job->kept[1];
}

static void job_forget(struct agent *a, struct job *job)
{
    a->jobs.count--;
    a->jobs.size -= size_of(job);
    munmap(job->bytes, job->mapped);
    *job = (struct job){0};
}

static bool can_forget(const struct job *job)
{
    return job->bytes && !job->exec && !job->looks;
}

static uint64_t used_ms(const struct job *job)
{
    return job->ended_ms > job->look_ms ? job->ended_ms : job->look_ms;
}

// The one that has not been used longest, of those that can be forgotten; or NULL.
static struct job *job_oldest(struct agent *a)
{
    struct job *oldest = NULL;
    for (unsigned i = 0; i < JOB_JOBS_MAX; i++) {
        struct job *job = &a->jobs.all[i];
        if (can_forget(job) && (!oldest || used_ms(job) < used_ms(oldest)))
            oldest = job;
    }
    return oldest;
}

// False if so much more cannot be kept.
static bool make_room(struct agent *a, size_t size)
{
    while (a->jobs.size + size > LIMIT_EXEC_JOBS_SIZE) {
        struct job *oldest = job_oldest(a);
        if (!oldest)
            return false;
        job_forget(a, oldest);
    }
    return true;
}

// How much of a piece is kept: what follows a gap would not be what the command wrote.
static size_t size_to_keep(struct agent *a, struct job *job, unsigned i, size_t size)
{
    const size_t kept = job->kept[i], room = job->output_max - kept;
    if (job->full[i])
        return 0;
    if (size > room)
        size = room;
    if (kept + size <= LIMIT_EXEC_OUTPUT_FIRST || make_room(a, size))
        return size;
    job->full[i] = true;
    return kept < LIMIT_EXEC_OUTPUT_FIRST ? LIMIT_EXEC_OUTPUT_FIRST - kept : 0;
}

void job_keep(struct agent *a, struct job *job, unsigned i, const uint8_t *bytes, size_t size)
{
    const size_t kept = size_to_keep(a, job, i, size);
    memcpy(output_of(job, i) + job->kept[i], bytes, kept);
    job->total[i] += size;
    job->kept[i] += (uint32_t)kept;
    a->jobs.size += kept;
}

// ---- Looks ----

static pid_t pid_of(struct agent *a, const struct job *job)
{
    return job->exec ? slot_of(a, job->exec)->pid : job->pid;
}

static size_t build_state(struct agent *a, struct exec *look, uint8_t *out)
{
    const struct job *job = look->job;
    const uint64_t end_ms = job->exec ? agent_now_ms() : job->ended_ms;
    struct job_state state = {.running = job->exec != NULL,
                              .outcome = job->outcome,
                              .value = job->value,
                              .pid = pid_of(a, job),
                              .start_ms = job->start_ms,
                              .elapsed_ms = end_ms - job->began_ms,
                              .total = {job->total[0], job->total[1]},
                              .kept = {job->kept[0], job->kept[1]},
                              .note_size = job->note_size,
                              .ran_size = job->ran_size,
                              .samples_count = job->usage.samples_count};
    const size_t samples_size = job->usage.samples_count * sizeof job->usage.samples[0];
    memcpy(look->look_kept, state.kept, sizeof state.kept);
    memcpy(out, &state, sizeof state);
    memcpy(out + sizeof state, job->usage.samples, samples_size);
    return sizeof state + samples_size;
}

// What comes next behind the state; 0 at the end.
static size_t next_piece(const struct exec *look, const uint8_t **ret_bytes)
{
    const struct job *job = look->job;
    const struct {
        const uint8_t *bytes;
        size_t size;
    } parts[] = {{job->bytes, job->note_size},
                 {job->bytes + job->note_size, job->ran_size},
                 {output_of(job, 0), look->look_kept[0]},
                 {output_of(job, 1), look->look_kept[1]}};
    size_t at = look->look_at;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (at < parts[i].size) {
            const size_t left = parts[i].size - at;
            *ret_bytes = parts[i].bytes + at;
            return left < FRAME_OUTPUT_MAX ? left : FRAME_OUTPUT_MAX;
        }
        at -= parts[i].size;
    }
    return 0;
}

static size_t build_piece(struct agent *a, struct exec *look, uint8_t *out)
{
    const uint8_t *bytes;
    if (!look->look_begun) {
        look->look_begun = true;
        return build_state(a, look, out);
    }
    const size_t size = next_piece(look, &bytes);
    if (size)
        memcpy(out, bytes, size);
    look->look_at += size;
    return size;
}

void job_look_serve(struct agent *a, struct exec *look)
{
    const size_t header_size = sizeof(struct frame_header);
    for (;;) {
        if (!conn_can_send(look->conn)) {
            conn_block(look->conn, look);
            return;
        }
        const size_t size = build_piece(a, look, a->scratch + header_size);
        if (!size)
            break;
        frame_write_header(a->scratch, FRAME_STDOUT, look->stream, size);
        conn_send(a, look->conn, a->scratch, header_size + size);
    }
    exec_end(a, look, EXEC_EXITED, 0);
}

static bool still_waits(struct agent *a, const struct exec *look)
{
    if (look->look_waits == LOOK_END)
        return look->job->exec;
    return look->look_waits == LOOK_START && look->job->exec && !pid_of(a, look->job);
}

static void look_begin(struct agent *a, struct exec *look)
{
    if (look->look_waits == LOOK_START)
        a->jobs.starting--;
    look->look_waits = LOOK_NOW;
    job_look_serve(a, look);
}

static void look_at_job(struct agent *a, struct exec *look, struct job *job, enum look_wait waits)
{
    look->job = job;
    look->look_waits = waits;
    job->looks++;
    job->look_ms = agent_now_ms();
    if (waits == LOOK_START)
        a->jobs.starting++;
    if (!still_waits(a, look))
        look_begin(a, look);
}

// Of one job, or of all (NULL): those that need not wait any more are answered.
static void serve_waiting(struct agent *a, const struct job *job)
{
    for (uint32_t i = 0; i < a->execs_used; i++) {
        struct exec *look = &a->execs[i];
        if (look->kind == EXEC_LOOK && look->job && (!job || look->job == job) &&
            look->look_waits != LOOK_NOW && !look->known && !still_waits(a, look))
            look_begin(a, look);
    }
}

void jobs_started(struct agent *a)
{
    if (a->jobs.starting)
        serve_waiting(a, NULL);
}

void job_look_ended(struct agent *a, struct exec *look)
{
    if (!look->job)
        return;
    if (look->look_waits == LOOK_START)
        a->jobs.starting--;
    look->job->looks--;
    look->job->look_ms = agent_now_ms();
    look->job = NULL;
}

static bool is_crowded(const struct agent *a, const struct job *job)
{
    unsigned waiting = 0;
    for (uint32_t i = 0; i < a->execs_used; i++) {
        const struct exec *look = &a->execs[i];
        waiting += look->kind == EXEC_LOOK && look->job == job && look->look_waits == LOOK_END;
    }
    return waiting >= LIMIT_EXEC_JOB_WAITING;
}

static void job_get(struct agent *a, struct exec *look, const struct frame_job *frame)
{
    struct job *job = job_find(a, frame->id);
    const bool awaits = frame->op == JOB_OP_AWAIT;
    if (!job)
        exec_end(a, look, EXEC_NOT_STARTED, ENOENT);
    else if (awaits && is_crowded(a, job))
        exec_end(a, look, EXEC_NOT_STARTED, EBUSY);
    else
        look_at_job(a, look, job, awaits ? LOOK_END : LOOK_NOW);
}

// ---- Start and end ----

static void set_running(struct agent *a, uint32_t running)
{
    a->jobs.running = running;
    conns_tell_jobs(a);
}

static void copy_ran(struct agent *a, struct job *job, const struct exec *exec)
{
    memcpy(job->bytes + job->note_size, exec->ran, exec->ran_size);
    job->ran_size = exec->ran_size;
    a->jobs.size += exec->ran_size;
}

void job_began(struct agent *a, struct job *job, struct exec *exec)
{
    job->exec = exec;
    exec->job = job;
    copy_ran(a, job, exec);
    set_running(a, a->jobs.running + 1);
}

void job_ended(struct agent *a, struct job *job, enum exec_outcome outcome, int value)
{
    const bool ran = job->exec;
    job->outcome = outcome;
    job->value = value;
    job->ended_ms = agent_now_ms();
    job->pid = pid_of(a, job);
    if (ran)
        job->exec->job = NULL;
    job->exec = NULL;
    if (ran)
        set_running(a, a->jobs.running - 1);
    serve_waiting(a, job);
}

static struct job *job_place(struct agent *a)
{
    for (unsigned i = 0; i < JOB_JOBS_MAX; i++)
        if (!a->jobs.all[i].bytes)
            return &a->jobs.all[i];
    struct job *oldest = job_oldest(a);
    if (oldest)
        job_forget(a, oldest);
    return oldest;
}

static bool job_map(struct job *job)
{
    job->mapped = job->note_size + AGENT_RAN_MAX + 2 * (size_t)job->output_max;
    void *bytes = mmap(NULL, job->mapped, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (bytes == MAP_FAILED)
        return false;
    madvise(bytes, job->mapped, MADV_DONTFORK);
    job->bytes = bytes;
    return true;
}

// 0 or an errno.
static int job_new(struct agent *a, const struct frame_job *frame, const char *note,
                   size_t note_size, struct job **ret_job)
{
    if (a->shutdown_ms)
        return ESHUTDOWN;
    if (job_find(a, frame->id))
        return EEXIST;
    struct job *job = job_place(a);
    if (!job)
        return EDQUOT;
    job->note_size = (uint32_t)note_size;
    job->output_max = frame->output_max < LIMIT_EXEC_OUTPUT ? frame->output_max : LIMIT_EXEC_OUTPUT;
    if (!job_map(job))
        return ENOMEM;
    memcpy(job->id, frame->id, JOB_ID_SIZE);
    memcpy(job->bytes, note, note_size);
    job->start_ms = real_now_ms();
    job->began_ms = agent_now_ms();
    a->jobs.count++;
    a->jobs.size += note_size;
    *ret_job = job;
    return 0;
}

// `payload` is that of a FRAME_EXEC.
static bool job_start(struct agent *a, struct exec *look, struct job *job, uint8_t *payload,
                      size_t size)
{
    if (!exec_command(a, NULL, 0, job, payload, size)) {
        job_forget(a, job);
        return false;
    }
    if (job->exec)
        usage_begin(a, job);
    look_at_job(a, look, job, LOOK_START);
    return true;
}

bool job_request(struct agent *a, struct agent_conn *conn, uint32_t stream, uint8_t *payload,
                 size_t size)
{
    struct frame_job frame;
    const char *note = NULL;
    size_t note_size = 0, at = 0;
    if (!frame_read_struct(payload, size, &at, &frame, sizeof frame) || frame.op > JOB_OP_AWAIT)
        return false;
    const bool start = frame.op == JOB_OP_START;
    if (start ? !frame_read_text(payload, size, &at, &note, &note_size) : at != size)
        return false;
    struct exec *look = exec_new(a, EXEC_LOOK, conn, stream);
    if (!look) {
        exec_refuse_without_place(a, conn, stream, EXEC_NOT_STARTED);
        return true;
    }
    if (!start) {
        job_get(a, look, &frame);
        return true;
    }
    struct job *job;
    const int error = job_new(a, &frame, note, note_size, &job);
    if (!error)
        return job_start(a, look, job, payload + at, size - at);
    exec_end(a, look, EXEC_NOT_STARTED, error);
    return true;
}

// ---- Time ----

uint64_t jobs_next_ms(const struct agent *a)
{
    uint64_t next = usage_next_ms(a);
    for (unsigned i = 0; i < JOB_JOBS_MAX && a->jobs.count; i++) {
        const struct job *job = &a->jobs.all[i];
        if (can_forget(job) && used_ms(job) + KEEP_MS < next)
            next = used_ms(job) + KEEP_MS;
    }
    return next;
}

void jobs_tick(struct agent *a, uint64_t now_ms)
{
    for (unsigned i = 0; i < JOB_JOBS_MAX && a->jobs.count; i++) {
        struct job *job = &a->jobs.all[i];
        if (can_forget(job) && used_ms(job) + KEEP_MS <= now_ms)
            job_forget(a, job);
    }
    usage_tick(a, now_ms);
}
