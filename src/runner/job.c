// SPDX-License-Identifier: AGPL-3.0-or-later
#include "runner/job.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/budget.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/mem.h"
#include "runner/project.h"

// The agent ends commands at their limit. One that has not told of that by then is not waited for.
#define GUARD_MS 10000u

void job_pool_init(struct job_pool *pool, struct loop *loop)
{
    pool->loop = loop;
    TAILQ_INIT(&pool->free);
}

void job_pool_dispose(struct job_pool *pool)
{
    struct job *job;
    while ((job = TAILQ_FIRST(&pool->free))) {
        TAILQ_REMOVE(&pool->free, job, link);
        free(job);
    }
}

struct job *job_new(struct job_pool *pool, struct project_call *call, enum job_kind kind)
{
    struct job *job = TAILQ_FIRST(&pool->free);
    if (job) {
        TAILQ_REMOVE(&pool->free, job, link);
    } else {
        job = mem_alloc(sizeof *job);
        uv_timer_init(&pool->loop->uv, &job->timer);
    }
    job->pool = pool;
    job->call = call;
    job->kind = kind;
    job->project = NULL;
    job->list = NULL;
    job->after_stop = false;
    job->stream.number = 0;
    return job;
}

struct job *job_of_stream(struct agent_stream *stream)
{
    return CONTAINER(stream, struct job, stream);
}

static struct exec_call *exec_of(const struct job *job)
{
    assert(job->kind == JOB_EXEC);
    return CONTAINER(job->call, struct exec_call, call);
}

static struct file_call *file_of(const struct job *job)
{
    assert(job->kind == JOB_FILE);
    return CONTAINER(job->call, struct file_call, call);
}

static struct ask_call *ask_of(const struct job *job)
{
    assert(job->kind == JOB_ASK);
    return CONTAINER(job->call, struct ask_call, call);
}

static bool is_of_kernel(const struct job *job)
{
    return job->kind == JOB_ASK && ask_of(job)->type == FRAME_KERNEL;
}

bool job_is_stop(const struct job *job)
{
    return job->kind == JOB_STOP || job->kind == JOB_STOP_UNUSED;
}

const char *job_name(const struct job *job)
{
    return job->kind == JOB_FILE ? "the operation" : is_of_kernel(job) ? "the code" : "the command";
}

// ---- The end of a call ----

static void job_unlist(struct job *job)
{
    if (!job->list)
        return;
    TAILQ_REMOVE(job->list, job, link);
    job->list = NULL;
}

static void on_done(struct loop_message *message)
{
    struct project_call *call = CONTAINER(message, struct project_call, message);
    call->done(call);
}

void project_call_answer(struct project_call *call)
{
    loop_post(call->loop, &call->message, on_done);
}

void job_finish(struct job *job)
{
    struct project_call *call = job->call;
    job_unlist(job);
    uv_timer_stop(&job->timer);
    if (job->kind == JOB_FILE)
        fd_close(&file_of(job)->content_fd);
    TAILQ_INSERT_HEAD(&job->pool->free, job, link);
    project_call_answer(call);
}

void job_fail(struct job *job, const struct err *err)
{
    job->call->err = *err;
    job->call->rc = -(int)err->code;
    job_finish(job);
}

// ---- Waiting ----

static void on_deadline(uv_timer_t *timer)
{
    struct job *job = CONTAINER(timer, struct job, timer);
    struct err err;
    err_set(&err, ERR_TIMEOUT, "timeout");
    if (job->kind == JOB_ASK)
        ask_of(job)->handed_over = job->stream.number != 0;
    if (job->stream.number)
        agent_conn_abandon(job->project->conn, &job->stream);
    job_fail(job, &err);
}

void job_wait(struct job *job, struct project *project, struct job_list *list)
{
    job->project = project;
    job->list = list;
    TAILQ_INSERT_TAIL(list, job, link);
    if (job->call->wait_ms)
        uv_timer_start(&job->timer, on_deadline, job->call->wait_ms, 0);
}

// ---- To the agent ----

static void append_text(struct buf *out, const char *text)
{
    size_t size = strlen(text);
    out->size += frame_write_text((uint8_t *)buf_reserve(out, sizeof(uint32_t) + size), text, size);
}

// False when it is larger than any frame; then not all of it was appended.
static bool append_texts(struct buf *out, const char *const *texts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (out->size > FRAME_PAYLOAD_MAX)
            return false;
        append_text(out, texts[i]);
    }
    return true;
}

// Whether the agent knows what came with some version of the protocol.
static int check_version(const struct agent_conn *conn, uint32_t version, struct err *err)
{
    if (agent_conn_version(conn) >= version)
        return 0;
    return err_set(err, ERR_UNAVAILABLE,
                   "the project was started by an earlier version of the server, which cannot do "
                   "this; restart the project");
}

int exec_call_write(const struct exec_call *exec, struct buf *out, struct err *err)
{
    size_t args_count = exec->script ? 0 : exec->args_count;
    struct frame_exec fixed = {.timeout_ms = exec->timeout_ms,
                               .cpu_seconds = exec->cpu_seconds,
                               .script = exec->script,
                               .args_count = (uint32_t)args_count,
                               .limit_file_size = exec->limit_file_size,
                               .env_count = (uint32_t)exec->env_count,
                               .file_size_max = exec->file_size_max};
    buf_append(out, &fixed, sizeof fixed);
    append_text(out, exec->path);
    append_text(out, exec->command);
    if (!append_texts(out, exec->args, args_count) ||
        !append_texts(out, exec->env, exec->env_count))
        return err_set(err, ERR_TOO_LARGE, "the command is too long");
    return 0;
}

static int send_exec(struct job *job, struct agent_conn *conn, struct err *err)
{
    const struct exec_call *exec = exec_of(job);
    int rc = exec->env_count ? check_version(conn, 2, err) : 0;
    if (!rc)
        rc = exec_call_write(exec, agent_conn_begin(conn), err);
    return rc ? rc : agent_conn_submit(conn, FRAME_EXEC, -1, &job->stream, err);
}

static int send_file(struct job *job, struct agent_conn *conn, struct err *err)
{
    const struct file_call *file = file_of(job);
    struct buf *out = agent_conn_begin(conn);
    struct frame_file fixed = {.write = file->write,
                               .size_max = file->size_max < UINT32_MAX ? (uint32_t)file->size_max
                                                                       : UINT32_MAX};
    buf_append(out, &fixed, sizeof fixed);
    append_text(out, file->path);
    return agent_conn_submit(conn, FRAME_FILE, file->content_fd, &job->stream, err);
}

static int send_ask(struct job *job, struct agent_conn *conn, struct err *err)
{
    const struct ask_call *ask = ask_of(job);
    if (check_version(conn, ask->type == FRAME_JOB ? 3 : 2, err))
        return -ERR_UNAVAILABLE;
    if (ask->request_size > FRAME_PAYLOAD_MAX)
        return err_set(err, ERR_TOO_LARGE, "%s is too long", job_name(job));
    buf_append(agent_conn_begin(conn), ask->request, ask->request_size);
    return agent_conn_submit(conn, ask->type, -1, &job->stream, err);
}

static int send_request(struct job *job, struct agent_conn *conn, struct err *err)
{
    switch (job->kind) {
    case JOB_EXEC:
        return send_exec(job, conn, err);
    case JOB_ASK:
        return send_ask(job, conn, err);
    default:
        return send_file(job, conn, err);
    }
}

// How long it may be under way, 0: for as long as it takes.
static uint64_t guard_ms(const struct job *job)
{
    if (job->kind == JOB_ASK)
        return ask_of(job)->timeout_ms;
    const uint64_t timeout_ms = exec_of(job)->timeout_ms;
    return timeout_ms ? timeout_ms + GUARD_MS : 0;
}

// The limit of a command or of a question counts from when it was handed over. A file operation has
// one for all of it, which is running already.
static void start_guard(struct job *job)
{
    if (job->kind == JOB_FILE)
        return;
    uv_timer_stop(&job->timer);
    if (guard_ms(job))
        uv_timer_start(&job->timer, on_deadline, guard_ms(job), 0);
}

bool job_send(struct job *job, struct agent_conn *conn)
{
    if (job->kind == JOB_START) {
        job_finish(job);
        return true;
    }
    struct err err;
    int rc = send_request(job, conn, &err);
    if (rc && agent_conn_is_broken(conn))
        return false;
    if (rc) {
        job_fail(job, &err);
        return true;
    }
    job_unlist(job);
    start_guard(job);
    return true;
}

// ---- From the agent ----

// What the calls of all projects keep, but for the first bytes of each stream.
static struct budget outputs = BUDGET(LIMIT_EXEC_OUTPUTS);

// Keeps more of a stream; *taken is what its call has. Of what there is no room for, that is what
// would go beyond the first bytes, nothing is kept, and the result is false.
static bool outputs_keep(const struct project_call *call, struct buf *kept, const char *bytes,
                         size_t size, size_t *taken)
{
    const size_t left =
        kept->size < LIMIT_EXEC_OUTPUT_FIRST ? LIMIT_EXEC_OUTPUT_FIRST - kept->size : 0;
    const size_t first = size < left ? size : left, more = size - first;
    buf_append(kept, bytes, first);
    if (!more)
        return true;
    if (!budget_take(&outputs, call->project_id.text, more))
        return false;
    *taken += more;
    buf_append(kept, bytes + first, more);
    return true;
}

static void outputs_give_back(const struct project_call *call, size_t *taken)
{
    budget_give_back(&outputs, call->project_id.text, *taken);
    *taken = 0;
}

void exec_call_dispose(struct exec_call *exec)
{
    buf_dispose(&exec->ran);
    buf_dispose(&exec->output);
    buf_dispose(&exec->error_output);
    outputs_give_back(&exec->call, &exec->output_taken);
}

void ask_call_dispose(struct ask_call *ask)
{
    buf_dispose(&ask->reply);
    outputs_give_back(&ask->call, &ask->reply_taken);
}

void file_call_dispose(struct file_call *file)
{
    buf_dispose(&file->data);
    outputs_give_back(&file->call, &file->data_taken);
}

static void exec_output(struct exec_call *exec, bool is_error, const void *bytes, size_t size)
{
    struct buf *kept = is_error ? &exec->error_output : &exec->output;
    uint64_t *total = is_error ? &exec->error_output_total : &exec->output_total;
    bool *full = is_error ? &exec->error_output_full : &exec->output_full;
    size_t room = exec->output_max - kept->size;
    size_t taken = size < room ? size : room;
    *total += size;
    // What follows a gap would not be what the command wrote.
    if (!*full)
        *full = !outputs_keep(&exec->call, kept, bytes, taken, &exec->output_taken);
}

// Of what a part is missing is worth nothing: the stream is given up.
static void give_up(struct job *job, const struct err *err)
{
    agent_conn_abandon(job->project->conn, &job->stream);
    job_fail(job, err);
}

static int no_room(struct err *err)
{
    return err_set(err, ERR_UNAVAILABLE, "the server is busy with other results; try again");
}

static bool file_output(struct job *job, bool is_error, const void *bytes, size_t size)
{
    struct file_call *file = file_of(job);
    struct err err;
    if (file->write || is_error || size > file->size_max - file->data.size)
        return false;
    if (!outputs_keep(&file->call, &file->data, bytes, size, &file->data_taken)) {
        no_room(&err);
        give_up(job, &err);
    }
    return true;
}

static bool ask_output(struct job *job, bool is_error, const void *bytes, size_t size)
{
    struct ask_call *ask = ask_of(job);
    struct err err;
    int rc = 0;
    if (is_error)
        return false;
    if (size > ask->reply_max - ask->reply.size)
        rc = err_set(&err, ERR_TOO_LARGE, "the result has more than %zu bytes", ask->reply_max);
    else if (!outputs_keep(&ask->call, &ask->reply, bytes, size, &ask->reply_taken))
        rc = no_room(&err);
    if (rc)
        give_up(job, &err);
    return true;
}

bool job_output(struct agent_stream *stream, bool is_error, const void *bytes, size_t size)
{
    struct job *job = job_of_stream(stream);
    if (job->kind == JOB_FILE)
        return file_output(job, is_error, bytes, size);
    if (job->kind == JOB_ASK)
        return ask_output(job, is_error, bytes, size);
    exec_output(exec_of(job), is_error, bytes, size);
    return true;
}

// NULL if nobody has given one, or it is another process that stops the project.
static const char *stop_reason(const struct project *project)
{
    const struct job *stop;
    TAILQ_FOREACH(stop, &project->stops, link)
    if (stop->call->reason)
        return stop->call->reason;
    return NULL;
}

// "" when no reason is known.
static void copy_stop_reason(const struct project *project, char out[PROJECT_REASON_SIZE])
{
    const char *reason = stop_reason(project);
    snprintf(out, PROJECT_REASON_SIZE, "%s", reason ? reason : "");
}

static bool exec_exit(struct job *job, const struct frame_exit *end, const char *text,
                      size_t text_size)
{
    struct exec_call *exec = exec_of(job);
    if (end->outcome == EXEC_FILE_FAILED)
        return false;
    exec->outcome = (enum exec_outcome)end->outcome;
    exec->value = end->value;
    buf_append(&exec->ran, text, text_size);
    if (exec->outcome == EXEC_STOPPED)
        copy_stop_reason(job->project, exec->stop_reason);
    return true;
}

static int refused(const struct job *job, int sys_errno, struct err *err)
{
    if (is_of_kernel(job))
        return err_set_errno(err, ERR_UNAVAILABLE, sys_errno,
                             "the program that runs Jupyter kernels cannot be started (%s); "
                             "the server's log and `cohub doctor` tell more",
                             err_errno_name(sys_errno));
    return err_set_errno(err, ERR_UNAVAILABLE, sys_errno, "the command cannot be run (%s)",
                         err_errno_name(sys_errno));
}

static bool ask_exit(struct job *job, const struct frame_exit *end)
{
    struct project_call *call = job->call;
    struct ask_call *ask = ask_of(job);
    copy_stop_reason(job->project, ask->stop_reason);
    switch ((enum exec_outcome)end->outcome) {
    case EXEC_EXITED:
        return true;
    case EXEC_NOT_STARTED:
        call->rc = refused(job, end->value, &call->err);
        return true;
    case EXEC_STOPPED:
        call->rc = err_set(&call->err, ERR_UNAVAILABLE, "the project was stopped%s%s",
                           ask->stop_reason[0] ? ": " : "", ask->stop_reason);
        return true;
    default:
        return false;
    }
}

static enum err_code errno_code(int sys_errno)
{
    switch (sys_errno) {
    case ENOENT:
        return ERR_NOT_FOUND;
    case EACCES:
    case EPERM:
    case EROFS:
        return ERR_FORBIDDEN;
    case EFBIG:
        return ERR_TOO_LARGE;
    case ENOSPC:
    case EDQUOT:
        return ERR_NO_SPACE;
    case EISDIR:
    case ENOTDIR:
    case EINVAL:
    case ELOOP:
    case ENAMETOOLONG:
        return ERR_INVALID;
    default:
        return ERR_INTERNAL;
    }
}

// The name of a system call as the agent tells it, without what cannot be in one.
static void copy_syscall(struct file_call *file, const char *text, size_t size)
{
    size_t n = 0;
    for (size_t i = 0; i < size && n < sizeof file->syscall - 1; i++) {
        if ((text[i] >= 'a' && text[i] <= 'z') || (text[i] >= '0' && text[i] <= '9') ||
            text[i] == '_')
            file->syscall[n++] = text[i];
    }
    file->syscall[n] = '\0';
}

static bool file_exit(struct job *job, const struct frame_exit *end, const char *text,
                      size_t text_size)
{
    struct file_call *file = file_of(job);
    if (end->outcome == EXEC_FILE_FAILED && end->value > 0) {
        copy_syscall(file, text, text_size);
        file->size = end->size;
        job->call->rc = err_set_errno(&job->call->err, errno_code(end->value), end->value, "%s",
                                      strerror(end->value));
        return true;
    }
    if (end->outcome != EXEC_EXITED || end->value || (!file->write && end->size < file->data.size))
        return false;
    file->size = end->size;
    return true;
}

bool job_exit(struct agent_stream *stream, const struct frame_exit *end, const char *text,
              size_t text_size)
{
    struct job *job = job_of_stream(stream);
    bool fits = job->kind == JOB_FILE  ? file_exit(job, end, text, text_size)
                : job->kind == JOB_ASK ? ask_exit(job, end)
                                       : exec_exit(job, end, text, text_size);
    if (!fits)
        return false;
    stream->number = 0;
    job_finish(job);
    return true;
}
