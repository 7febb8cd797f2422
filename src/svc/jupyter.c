// SPDX-License-Identifier: AGPL-3.0-or-later
#include "svc/jupyter.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/mem.h"
#include "proto/kernel.h"
#include "svc/disk.h"
#include "svc/project.h"
#include "svc/project_quota.h"

// The contract's limits (7.4): without any of the caller's, and what one has that the caller's
// leave out.
#define CELL_OUTPUT       1000000
#define OUTPUT            5000000
#define CELL_MS_GIVEN     60000
#define CELL_OUTPUT_GIVEN 500000
#define OUTPUT_GIVEN      4000000

// How often memory ran out in the project before the code was run and after it. It may outlive the
// request, which does not wait for the first answer.
struct jupyter_memory {
    struct usage_call before, after;
    struct jupyter_request *request; // NULL: it is gone
    bool answered;
};

static void finish(struct jupyter_request *r)
{
    r->done(r);
}

static void fail(struct jupyter_request *r, const struct err *err)
{
    r->rc = -(int)err->code;
    r->err = *err;
    finish(r);
}

// ---- What is asked ----

// A number of an object that the caller has sent, `fallback` if it is not there.
static int read_number(const cJSON *object, const char *name, double fallback, double max,
                       double *ret_number, struct err *err)
{
    const cJSON *value = json_get(object, name);
    *ret_number = fallback;
    if (!value || cJSON_IsNull(value))
        return 0;
    if (!cJSON_IsNumber(value) || value->valuedouble < 0)
        return err_set(err, ERR_INVALID, "%s must be a number that is not negative", name);
    *ret_number = fmin(value->valuedouble, max);
    return 0;
}

static int check_object(const cJSON *value, const char *name, struct err *err)
{
    if (!value || cJSON_IsNull(value) || cJSON_IsObject(value))
        return 0;
    return err_set(err, ERR_INVALID, "%s must be an object", name);
}

// How long a cell may take. The time that the caller waits raises the usual one. An answer that is
// due earlier cuts it, so that what was printed until then is the answer.
static int read_cell_ms(struct jupyter_request *r, const cJSON *limits, struct err *err)
{
    const struct jupyter_site *site = &r->svc->site.jupyter;
    const double max = site->cell_max_s * 1000.0;
    double cell_ms = fmin(fmax(site->cell_s * 1000.0, r->code.timeout_s * 1000), max);
    if (limits) {
        const int rc = read_number(limits, "timeout_ms_per_cell", fmin(CELL_MS_GIVEN, max), max,
                                   &cell_ms, err);
        if (rc)
            return rc;
    }
    if (r->answer_ms)
        cell_ms = fmin(cell_ms, r->answer_ms * 0.9);
    r->cell_ms = (int64_t)fmax(cell_ms, 1);
    return 0;
}

// The total counts from `start_time`, without which there is none.
static int write_total(const cJSON *limits, struct buf *out, struct err *err)
{
    double start_ms, total_ms;
    const double none = -1;
    int rc = read_number(limits, "start_time", none, 1e15, &start_ms, err);
    if (!rc)
        rc = read_number(limits, "timeout_ms", none, LIMIT_KERNEL_TOTAL_MS, &total_ms, err);
    if (rc || start_ms < 0 || total_ms < 0)
        return rc;
    const double left_ms = total_ms - fmax(0, (double)clock_now_ms() - start_ms);
    if (left_ms < 1)
        return err_set(err, ERR_INVALID, "Total time limit (=%g seconds) exceeded",
                       total_ms / 1000);
    json_member_int(out, "total_ms", (int64_t)left_ms);
    return 0;
}

static int write_limits(struct jupyter_request *r, struct buf *out, struct err *err)
{
    const cJSON *limits = cJSON_IsObject(r->code.limits) ? r->code.limits : NULL;
    double cell_output = CELL_OUTPUT, output = OUTPUT;
    int rc = check_object(r->code.limits, "limits", err);
    if (!rc)
        rc = read_cell_ms(r, limits, err);
    if (!rc && limits)
        rc = read_number(limits, "max_output_per_cell", CELL_OUTPUT_GIVEN, LIMIT_KERNEL_OUTPUT,
                         &cell_output, err);
    if (!rc && limits)
        rc = read_number(limits, "max_output", OUTPUT_GIVEN, LIMIT_KERNEL_OUTPUT, &output, err);
    if (rc)
        return rc;
    json_key(out, "limits");
    json_begin_object(out);
    json_member_int(out, "cell_ms", r->cell_ms);
    json_member_int(out, "cell_output", (int64_t)cell_output);
    json_member_int(out, "output", (int64_t)output);
    rc = limits ? write_total(limits, out, err) : 0;
    json_end_object(out);
    return rc;
}

static int write_pool(const struct jupyter_request *r, struct buf *out, struct err *err)
{
    const struct jupyter_site *site = &r->svc->site.jupyter;
    const cJSON *pool = cJSON_IsObject(r->code.pool) ? r->code.pool : NULL;
    double size, idle_s;
    int rc = check_object(r->code.pool, "pool", err);
    if (!rc)
        rc = read_number(pool, "size", site->pool, LIMIT_KERNEL_POOL, &size, err);
    if (!rc)
        rc = read_number(pool, "timeout_s", site->pool_idle_s, LIMIT_KERNEL_IDLE_S, &idle_s, err);
    if (rc)
        return rc;
    json_key(out, "pool");
    json_begin_object(out);
    json_member_int(out, "size", (int64_t)size);
    json_member_int(out, "idle_ms", (int64_t)(idle_s * 1000));
    json_end_object(out);
    return 0;
}

// The processor time grows with what a cell may take beyond the usual.
static void write_ulimits(const struct jupyter_request *r, struct buf *out)
{
    const struct jupyter_site *site = &r->svc->site.jupyter;
    const int64_t more_s = (r->cell_ms + 999) / 1000 - site->cell_s;
    uint64_t file_size_max;
    json_key(out, "ulimits");
    json_begin_object(out);
    json_member_int(out, "files", LIMIT_KERNEL_FILES);
    if (disk_file_size_max(r->svc, &r->project_id, &file_size_max))
        json_member_int(out, "file_bytes", (int64_t)file_size_max);
    if (site->cpu_s)
        json_member_int(out, "cpu_s", site->cpu_s + (more_s > 0 ? more_s : 0));
    if (site->memory_mb)
        json_member_int(out, "memory_bytes", (int64_t)site->memory_mb << 20);
    json_end_object(out);
}

static int write_code(struct jupyter_request *r, struct buf *out, struct err *err)
{
    const struct jupyter_code *code = &r->code;
    json_member_str(out, "kernel", r->kernel);
    json_member_str(out, "input", code->input);
    json_key(out, "history");
    json_begin_array(out);
    for (size_t i = 0; i < code->history_count; i++)
        json_str(out, code->history[i]);
    json_end_array(out);
    if (code->path)
        json_member_str(out, "path", code->path);
    int rc = write_pool(r, out, err);
    if (!rc)
        rc = write_limits(r, out, err);
    if (!rc)
        write_ulimits(r, out);
    return rc;
}

static int write_request(struct jupyter_request *r, struct err *err)
{
    static const char *const names[] = {[JUPYTER_KERNELS] = "kernels",
                                        [JUPYTER_LIST] = "list",
                                        [JUPYTER_STOP] = "stop",
                                        [JUPYTER_LOGO] = "logo",
                                        [JUPYTER_EXECUTE] = "execute"};
    struct buf *out = &r->request;
    int rc = 0;
    json_begin_object(out);
    json_member_str(out, "op", names[r->op]);
    if (r->op == JUPYTER_STOP)
        json_member_int(out, "pid", r->pid);
    else if (r->op == JUPYTER_LOGO)
        json_member_str(out, "kernel", r->kernel);
    else if (r->op == JUPYTER_EXECUTE)
        rc = write_code(r, out, err);
    json_end_object(out);
    if (!rc && out->size > FRAME_PAYLOAD_MAX)
        return err_set(err, ERR_TOO_LARGE, "the code is too long");
    return rc;
}

static int check(const struct jupyter_request *r, struct err *err)
{
    if (r->kernel && strlen(r->kernel) > LIMIT_KERNEL_NAME)
        return err_set(err, ERR_INVALID, "the name of a kernel has at most %d bytes",
                       LIMIT_KERNEL_NAME);
    if (r->op == JUPYTER_EXECUTE && r->code.path && strlen(r->code.path) > LIMIT_PATH)
        return err_set(err, ERR_INVALID, "the path is too long");
    return 0;
}

// ---- Whether memory ran out ----

static void on_before(struct project_call *call)
{
    struct usage_call *usage = CONTAINER(call, struct usage_call, call);
    struct jupyter_memory *memory = CONTAINER(usage, struct jupyter_memory, before);
    memory->answered = true;
    if (!memory->request)
        free(memory);
}

static void look_at_memory(struct jupyter_request *r)
{
    struct jupyter_memory *memory = mem_zalloc(sizeof *memory);
    memory->request = r;
    memory->before.call =
        (struct project_call){.project_id = r->project_id, .loop = r->loop, .done = on_before};
    r->memory = memory;
    projects_usage(r->svc->projects, &memory->before);
}

static void memory_forget(struct jupyter_request *r)
{
    struct jupyter_memory *memory = TAKE_PTR(r->memory);
    if (!memory)
        return;
    memory->request = NULL;
    if (memory->answered)
        free(memory);
}

static void append_memory_limit(struct work *work)
{
    struct jupyter_request *r = CONTAINER(work, struct jupyter_request, work);
    struct db_session *session = NULL;
    struct quota quota;
    struct err err;
    int rc = sessions_take(&r->svc->sessions, &session, &err);
    if (!rc)
        rc = project_quota_get(session, &r->svc->site.quotas, &r->project_id, &quota, &err);
    if (session)
        sessions_give(&r->svc->sessions, session);
    struct buf *out = &r->error;
    if (!r->failed)
        buf_append_str(out, r->err.message);
    if (rc)
        buf_append_str(out, "\n...\nThe project ran out of memory.");
    else
        buf_printf(out, "\n...\nThe project ran out of memory: its limit is %.0f MB.",
                   quota.memory_mb);
    r->failed = true;
    r->rc = 0;
}

static void on_limit_appended(struct work *work)
{
    finish(CONTAINER(work, struct jupyter_request, work));
}

static void on_after(struct project_call *call)
{
    struct usage_call *usage = CONTAINER(call, struct usage_call, call);
    const struct jupyter_memory *memory = CONTAINER(usage, struct jupyter_memory, after);
    struct jupyter_request *r = memory->request;
    if (!call->rc && usage->usage.oom_kills > memory->before.usage.oom_kills)
        work_submit(r->loop, &r->work, append_memory_limit, on_limit_appended);
    else
        finish(r);
}

// The kernel or the bridge has ended by itself.
static void look_at_memory_again(struct jupyter_request *r)
{
    struct jupyter_memory *memory = r->memory;
    if (!memory || !memory->answered || memory->before.call.rc) {
        finish(r);
        return;
    }
    memory->after.call =
        (struct project_call){.project_id = r->project_id, .loop = r->loop, .done = on_after};
    projects_usage(r->svc->projects, &memory->after);
}

// ---- Asking ----

static void read_reply(struct work *work)
{
    struct jupyter_request *r = CONTAINER(work, struct jupyter_request, work);
    struct jupyter_reply reply;
    if (r->svc->drained) {
        r->rc = err_set(&r->err, ERR_UNAVAILABLE, ERR_CLOSING_TEXT);
        return;
    }
    r->rc = jupyter_reply_read(r->op, &r->ask.reply, &reply, &r->err);
    if (r->rc)
        return;
    r->failed = reply.failed;
    r->died = reply.died;
    r->error = reply.error;
    r->result = reply.result;
    r->result_size = reply.result_size;
}

static void on_read(struct work *work)
{
    struct jupyter_request *r = CONTAINER(work, struct jupyter_request, work);
    if (r->died || r->rc == -ERR_UNAVAILABLE)
        look_at_memory_again(r);
    else
        finish(r);
}

static void on_answered(struct project_call *call)
{
    struct ask_call *ask = CONTAINER(call, struct ask_call, call);
    struct jupyter_request *r = CONTAINER(ask, struct jupyter_request, ask);
    if (r->op == JUPYTER_EXECUTE)
        disk_changed(r->svc, &r->project_id);
    if (call->rc) {
        fail(r, &call->err);
    } else if (ask->reply.size > LIMIT_OUTPUT_INLINE) {
        const bool submitted = work_submit_gated(r->loop, &r->svc->rendering, &r->work,
                                                 r->project_id.text, read_reply, on_read);
        assert(submitted);
    } else {
        read_reply(&r->work);
        on_read(&r->work);
    }
}

// As long as all of it may take, if nothing is wrong; the bridge has limits of its own.
static uint32_t longest_ms(const struct jupyter_request *r)
{
    int64_t ms = LIMIT_KERNEL_ANSWER_MS;
    if (r->op == JUPYTER_EXECUTE)
        ms += LIMIT_KERNEL_START_MS + 2 * r->cell_ms;
    return r->answer_ms && r->answer_ms < ms ? r->answer_ms : (uint32_t)ms;
}

static void begin(struct jupyter_request *r)
{
    struct err err;
    if (write_request(r, &err)) {
        fail(r, &err);
        return;
    }
    r->ask = (struct ask_call){
        .call = {.project_id = r->project_id, .loop = r->loop, .done = on_answered},
        .type = FRAME_KERNEL,
        .request = r->request.data,
        .request_size = r->request.size,
        .reply_max = r->op == JUPYTER_EXECUTE ? KERNEL_REPLY_MAX : LIMIT_KERNEL_LIST,
        .start_wait_ms = PROJECT_START_WAIT_MS,
        .timeout_ms = longest_ms(r),
    };
    projects_ask(r->svc->projects, &r->ask);
    if (r->op == JUPYTER_EXECUTE)
        look_at_memory(r);
}

// The first use since the hub started: nothing is known of the home yet.
static void learn_disk(struct work *work)
{
    struct jupyter_request *r = CONTAINER(work, struct jupyter_request, work);
    r->rc = disk_learn(r->svc, &r->project_id, &r->err);
}

static void on_disk_learnt(struct work *work)
{
    struct jupyter_request *r = CONTAINER(work, struct jupyter_request, work);
    if (r->rc)
        finish(r);
    else
        begin(r);
}

void jupyter_run(struct svc *svc, struct jupyter_request *r)
{
    uint64_t size;
    r->svc = svc;
    r->rc = 0;
    r->failed = r->died = false;
    r->request = r->error = (struct buf){0};
    r->ask = (struct ask_call){0};
    r->memory = NULL;
    r->result = NULL;
    struct err err;
    if (check(r, &err))
        fail(r, &err);
    else if (r->op == JUPYTER_EXECUTE && !disk_file_size_max(svc, &r->project_id, &size))
        work_submit(r->loop, &r->work, learn_disk, on_disk_learnt);
    else
        begin(r);
}

void jupyter_request_dispose(struct jupyter_request *r)
{
    memory_forget(r);
    ask_call_dispose(&r->ask);
    buf_dispose(&r->request);
    buf_dispose(&r->error);
}
