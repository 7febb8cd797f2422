// SPDX-License-Identifier: AGPL-3.0-or-later
#include "svc/exec.h"

#include <math.h>
#include <string.h>

#include "base/limits.h"
#include "base/text.h"
#include "svc/disk.h"
#include "svc/project.h"

#define UTF8_BYTES_PER_UNIT 3 // at most; four bytes are two units

// ---- Before ----

int exec_request_check(const struct exec_request *r, struct err *err)
{
    if (!r->command[0])
        return err_set(err, ERR_INVALID, "command must not be empty");
    if (!strcmp(r->command, "smc-jupyter") || !strcmp(r->command, "ipython-notebook"))
        return err_set(err, ERR_INVALID, "do not run %s directly", r->command);
    if (!(r->timeout_s >= 0 && r->timeout_s <= LIMIT_EXEC_SECONDS))
        return err_set(err, ERR_INVALID, "timeout must be from 0 to %d seconds",
                       LIMIT_EXEC_SECONDS);
    if (r->args_count > LIMIT_EXEC_ARGS)
        return err_set(err, ERR_INVALID, "at most %d args are allowed", LIMIT_EXEC_ARGS);
    return 0;
}

static bool has_space(const char *s)
{
    while (*s && !text_is_space(*s))
        s++;
    return *s;
}

// 'it'\''s': one word for a shell, whatever is in it.
static void append_quoted(struct buf *out, const char *word)
{
    buf_append_char(out, '\'');
    for (; *word; word++) {
        if (*word == '\'')
            buf_append_str(out, "'\\''");
        else
            buf_append_char(out, *word);
    }
    buf_append_char(out, '\'');
}

static void set_command(struct exec_request *r)
{
    struct exec_call *x = &r->exec;
    x->script = r->bash || (!r->args_count && has_space(r->command));
    x->command = r->command;
    if (!x->script) {
        x->args = r->args;
        x->args_count = r->args_count;
    } else if (r->args_count) {
        append_quoted(&r->script, r->command);
        for (size_t i = 0; i < r->args_count; i++) {
            buf_append_char(&r->script, ' ');
            append_quoted(&r->script, r->args[i]);
        }
        x->command = buf_cstr(&r->script);
    }
}

static void set_directory(struct exec_request *r)
{
    if (r->path[0] != '/') {
        buf_printf(&r->directory, "/projects/%s", r->project_id.text);
        if (r->path[0])
            buf_append_char(&r->directory, '/');
    }
    buf_append_str(&r->directory, r->path);
    r->exec.path = buf_cstr(&r->directory);
}

static size_t bytes_to_keep(const struct exec_request *r)
{
    double bytes = r->max_output * UTF8_BYTES_PER_UNIT + UTF8_BYTES_PER_UNIT;
    return r->max_output >= 0 && bytes < LIMIT_EXEC_OUTPUT ? (size_t)bytes : LIMIT_EXEC_OUTPUT;
}

// ---- After ----

static void finish(struct exec_request *r)
{
    if (r->group)
        aggregator_finished(r->svc->aggregator, r);
    else
        r->done(r);
}

static void make_now(struct work *work)
{
    struct exec_request *r = CONTAINER(work, struct exec_request, work);
    if (r->svc->drained)
        r->rc = err_set(&r->err, ERR_UNAVAILABLE, ERR_CLOSING_TEXT);
    else
        r->result = exec_result_make(r);
}

static void on_made(struct work *work)
{
    finish(CONTAINER(work, struct exec_request, work));
}

static void on_executed(struct project_call *call)
{
    struct exec_call *x = CONTAINER(call, struct exec_call, call);
    struct exec_request *r = CONTAINER(x, struct exec_request, exec);
    r->rc = call->rc;
    r->err = call->err;
    disk_changed(r->svc, &r->project_id);
    project_mark_edited(r->svc, &r->project_id); // it was in use until now
    if (!r->rc && x->output.size + x->error_output.size > LIMIT_OUTPUT_INLINE) {
        bool submitted = work_submit_gated(r->loop, &r->svc->rendering, &r->work,
                                           r->project_id.text, make_now, on_made);
        assert(submitted);
        return;
    }
    if (!r->rc)
        r->result = exec_result_make(r);
    finish(r);
}

static void submit(struct exec_request *r)
{
    if (r->prepared)
        r->prepared(r);
    else
        projects_exec(r->svc->projects, &r->exec);
}

// The first command since the hub started: nothing is known of the home yet.
static void learn_disk(struct work *work)
{
    struct exec_request *r = CONTAINER(work, struct exec_request, work);
    r->rc = disk_learn(r->svc, &r->project_id, &r->err);
}

static void on_disk_learnt(struct work *work)
{
    struct exec_request *r = CONTAINER(work, struct exec_request, work);
    if (r->rc) {
        finish(r);
        return;
    }
    r->exec.limit_file_size = disk_file_size_max(r->svc, &r->project_id, &r->exec.file_size_max);
    submit(r);
}

void exec_run_alone(struct svc *svc, struct exec_request *r)
{
    uint32_t timeout_ms = (uint32_t)ceil(r->timeout_s * 1000);
    r->exec = (struct exec_call){
        .call = {.project_id = r->project_id, .loop = r->loop, .done = on_executed},
        .timeout_ms = timeout_ms,
        .start_wait_ms = timeout_ms,
        .output_max = bytes_to_keep(r),
        .env = r->env,
        .env_count = r->env_count,
    };
    set_command(r);
    set_directory(r);
    if (r->exec.script && !r->no_cpu_limit)
        r->exec.cpu_seconds = (uint32_t)ceil(r->timeout_s);
    r->exec.limit_file_size = disk_file_size_max(svc, &r->project_id, &r->exec.file_size_max);
    if (r->exec.limit_file_size)
        submit(r);
    else
        work_submit(r->loop, &r->work, learn_disk, on_disk_learnt);
}

void exec_run(struct svc *svc, struct exec_request *r)
{
    r->svc = svc;
    r->script = r->directory = (struct buf){0};
    r->exec = (struct exec_call){0};
    r->group = NULL;
    r->result = NULL;
    r->rc = exec_request_check(r, &r->err);
    if (r->rc)
        r->done(r);
    else if (r->aggregate && !cJSON_IsNull(r->aggregate))
        aggregator_submit(svc->aggregator, r);
    else
        exec_run_alone(svc, r);
}

void exec_request_dispose(struct exec_request *r)
{
    exec_result_unref(r->result);
    exec_call_dispose(&r->exec);
    buf_dispose(&r->script);
    buf_dispose(&r->directory);
}
