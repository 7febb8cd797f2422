// SPDX-License-Identifier: AGPL-3.0-or-later
#include "svc/exec_jobs.h"

#include <errno.h>
#include <string.h>

#include "base/limits.h"
#include "svc/project.h"

// What belongs to a job beside its output: its state, the note, what was executed.
#define REPLY_REST ((size_t)1024 * 1024)
// The RPC's own limit passes first.
#define AWAIT_MORE_MS 1000

// ---- Answering ----

static void finish(struct exec_job_call *call)
{
    buf_dispose(&call->payload);
    ask_call_dispose(&call->ask);
    if (call->request)
        exec_request_dispose(call->request);
    call->done(call);
}

static void fail(struct exec_job_call *call, const struct err *err)
{
    call->err = *err;
    call->rc = -(int)err->code;
    finish(call);
}

static void refuse_unknown(const struct exec_job_call *call, struct err *err)
{
    err_set(err, ERR_NOT_FOUND, "Async operation '%.100s' does not exist.", call->job_id);
}

// Why the agent has refused.
static void fail_asked(struct exec_job_call *call)
{
    struct err err = call->ask.call.err;
    if (err.sys_errno == ENOENT && call->job_id)
        refuse_unknown(call, &err);
    else if (err.sys_errno == EDQUOT)
        err_set(&err, ERR_RATE_LIMITED, "%d asynchronous commands of this project run already",
                LIMIT_EXEC_JOBS);
    else if (err.sys_errno == EBUSY)
        err_set(&err, ERR_RATE_LIMITED, "%d calls wait for this operation already",
                LIMIT_EXEC_JOB_WAITING);
    else if (call->request && err.code == ERR_TIMEOUT && call->ask.handed_over)
        // Not called a timeout: that word means that a call may be repeated.
        err_set(&err, ERR_UNAVAILABLE,
                "the project did not answer in time; the command may still begin");
    fail(call, &err);
}

static void take_state(struct exec_job_call *call, const struct exec_job_reply *reply)
{
    const struct job_state *state = &reply->state;
    call->status = EXEC_JOB_RUNNING;
    call->pid = state->pid;
    call->start_ms = state->start_ms;
    call->elapsed_ms = state->elapsed_ms;
}

static void take_outcome(struct exec_job_call *call, struct exec_job_reply *reply)
{
    struct exec_request *r = &reply->request;
    const struct exec_call *x = &r->exec;
    call->samples_count = reply->state.samples_count;
    memcpy(call->samples, reply->samples, sizeof call->samples);
    if (reply->state.running) {
        exec_stream_text(r->max_output, &x->output, x->output_total, &call->output);
        exec_stream_text(r->max_output, &x->error_output, x->error_output_total,
                         &call->error_output);
        return;
    }
    memcpy(r->exec.stop_reason, call->ask.stop_reason, sizeof r->exec.stop_reason);
    call->result = exec_result_make(r);
    call->status = call->result->failed ? EXEC_JOB_ERROR : EXEC_JOB_COMPLETED;
}

static void read_reply(struct work *work)
{
    struct exec_job_call *call = CONTAINER(work, struct exec_job_call, work);
    struct exec_job_reply reply;
    if (call->svc->drained) {
        call->rc = err_set(&call->err, ERR_UNAVAILABLE, ERR_CLOSING_TEXT);
        return;
    }
    call->rc = exec_job_reply_read(&call->ask.reply, &reply, &call->err);
    if (call->rc)
        return;
    take_state(call, &reply);
    if (!call->request)
        take_outcome(call, &reply);
    exec_job_reply_dispose(&reply);
}

static void on_read(struct work *work)
{
    finish(CONTAINER(work, struct exec_job_call, work));
}

static void on_asked(struct project_call *project_call)
{
    struct ask_call *ask = CONTAINER(project_call, struct ask_call, call);
    struct exec_job_call *call = CONTAINER(ask, struct exec_job_call, ask);
    if (project_call->rc) {
        fail_asked(call);
    } else if (ask->reply.size > LIMIT_OUTPUT_INLINE) {
        const bool submitted = work_submit_gated(call->loop, &call->svc->rendering, &call->work,
                                                 call->project_id.text, read_reply, on_read);
        assert(submitted);
    } else {
        read_reply(&call->work);
        on_read(&call->work);
    }
}

// ---- Asking ----

static void begin_payload(struct exec_job_call *call, enum job_op op, uint32_t output_max)
{
    struct frame_job frame = {.op = op, .output_max = output_max};
    static_assert(JOB_ID_SIZE == UUID_LEN, "a job's id is a UUID");
    memcpy(frame.id, call->id.text, JOB_ID_SIZE);
    buf_append(&call->payload, &frame, sizeof frame);
}

static void ask(struct exec_job_call *call, uint32_t timeout_ms)
{
    call->ask = (struct ask_call){
        .call = {.project_id = call->project_id, .loop = call->loop, .done = on_asked},
        .type = FRAME_JOB,
        .request = call->payload.data,
        .request_size = call->payload.size,
        .reply_max = 2 * (size_t)LIMIT_EXEC_OUTPUT + REPLY_REST,
        .start_wait_ms = PROJECT_START_WAIT_MS,
        .timeout_ms = timeout_ms,
    };
    projects_ask(call->svc->projects, &call->ask);
}

static void init_call(struct svc *svc, struct exec_request *request, struct exec_job_call *call)
{
    call->svc = svc;
    call->request = request;
    call->rc = 0;
    call->result = NULL;
    call->output = call->error_output = call->payload = (struct buf){0};
    call->ask = (struct ask_call){0};
    call->samples_count = 0;
}

void exec_job_call_dispose(struct exec_job_call *call)
{
    exec_result_unref(call->result);
    buf_dispose(&call->output);
    buf_dispose(&call->error_output);
}

// ---- Starting ----

static size_t texts_size(const char *const *texts, size_t count)
{
    size_t size = 0;
    for (size_t i = 0; i < count; i++)
        size += strlen(texts[i]) + 1;
    return size;
}

static int check(const struct exec_request *r, struct err *err)
{
    const size_t size = strlen(r->command) + strlen(r->path) + texts_size(r->args, r->args_count) +
                        texts_size(r->env, r->env_count);
    if (size <= LIMIT_EXEC_JOB_TEXT)
        return 0;
    return err_set(err, ERR_TOO_LARGE,
                   "an asynchronous command may have at most %zu bytes, with its args and env",
                   LIMIT_EXEC_JOB_TEXT);
}

static void append_note(struct exec_job_call *call)
{
    auto_buf struct buf note = {0};
    exec_job_note_write(call->request, &note);
    uint8_t *out = (uint8_t *)buf_reserve(&call->payload, sizeof(uint32_t) + note.size);
    call->payload.size += frame_write_text(out, note.data, note.size);
}

static struct exec_job_call *call_of(const struct exec_request *request)
{
    return request->job;
}

static void on_prepared(struct exec_request *r)
{
    struct exec_job_call *call = call_of(r);
    struct err err;
    begin_payload(call, JOB_OP_START, (uint32_t)r->exec.output_max);
    append_note(call);
    if (exec_call_write(&r->exec, &call->payload, &err))
        fail(call, &err);
    else
        ask(call, LIMIT_EXEC_JOB_ANSWER_MS);
}

// It was refused before it was prepared.
static void on_refused(struct exec_request *r)
{
    const struct err err = r->err;
    fail(call_of(r), &err);
}

void exec_job_start(struct svc *svc, struct exec_request *r, struct exec_job_call *call)
{
    struct err err;
    init_call(svc, r, call);
    call->id = uuid_new();
    r->job = call;
    r->loop = call->loop;
    r->aggregate = NULL;
    r->prepared = on_prepared;
    r->done = on_refused;
    if (check(r, &err)) {
        call->request = NULL;
        fail(call, &err);
    } else {
        exec_run(svc, r);
    }
}

// ---- Looking ----

static uint32_t await_ms(const struct exec_job_call *call)
{
    const double ms = call->await_timeout_ms + AWAIT_MORE_MS;
    return ms < UINT32_MAX ? (uint32_t)ms : UINT32_MAX;
}

void exec_job_get(struct svc *svc, struct exec_job_call *call)
{
    struct err err;
    init_call(svc, NULL, call);
    if (!uuid_parse(call->job_id, strlen(call->job_id), &call->id)) {
        refuse_unknown(call, &err);
        fail(call, &err);
        return;
    }
    begin_payload(call, call->await ? JOB_OP_AWAIT : JOB_OP_GET, 0);
    ask(call, call->await ? await_ms(call) : LIMIT_EXEC_JOB_ANSWER_MS);
}
