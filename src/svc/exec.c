// SPDX-License-Identifier: AGPL-3.0-or-later
#include "svc/exec.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "svc/disk.h"
#include "svc/project.h"

#define UTF8_BYTES_PER_UNIT 3 // at most; four bytes are two units
// More output than this is decoded by a worker: the loop has other clients.
#define RESULT_INLINE_MAX ((size_t)256 * 1024)

void exec_result_unref(struct exec_result *result)
{
    if (!result || atomic_fetch_sub(&result->refs, 1) > 1)
        return;
    buf_dispose(&result->error);
    buf_dispose(&result->output);
    buf_dispose(&result->error_output);
    free(result);
}

// ---- Before ----

static int check(const struct exec_request *r, struct err *err)
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

// Makes text of a stream and cuts it as the caller asked. *ret_cut is where it was cut, SIZE_MAX if
// nowhere.
static void decode_stream(const struct exec_request *r, const struct buf *raw, uint64_t total,
                          struct buf *out, size_t *ret_cut)
{
    *ret_cut = SIZE_MAX;
    size_t units, kept;
    utf8_append_lossy(out, raw->data ? raw->data : "", raw->size);
    if (r->max_output >= 0 && r->max_output < LIMIT_EXEC_OUTPUT) {
        size_t limit = (size_t)r->max_output;
        kept = utf8_prefix_utf16(out->data ? out->data : "", out->size, limit, &units);
        if (kept < out->size || units >= limit) {
            out->size = kept;
            *ret_cut = limit;
        }
    }
    if (*ret_cut == SIZE_MAX && total > raw->size)
        *ret_cut = utf8_utf16_len(out->data ? out->data : "", out->size);
}

static void append_cut_notice(struct buf *out, size_t cut)
{
    if (cut != SIZE_MAX)
        buf_printf(out, " (truncated at %zu characters)", cut);
}

static void append_args(const struct exec_request *r, const char *separator, struct buf *out)
{
    for (size_t i = 0; i < r->args_count; i++) {
        buf_append_str(out, i ? separator : "");
        buf_append_str(out, r->args[i]);
    }
}

// The program that was run, and its arguments, as the contract's texts name them: in bash mode bash
// and the temporary file.
static void append_program(const struct exec_request *r, struct buf *out)
{
    buf_append_str(out, "command '");
    if (r->exec.script) {
        const char *file =
            r->exec.ran.size ? memchr(r->exec.ran.data, ' ', r->exec.ran.size) : NULL;
        buf_append_str(out, "bash' (args=");
        if (file)
            buf_append(out, file + 1, (size_t)(r->exec.ran.data + r->exec.ran.size - file - 1));
    } else {
        buf_append_str(out, r->command);
        buf_append_str(out, "' (args=");
        append_args(r, " ", out);
    }
    buf_append_char(out, ')');
}

// In a buffer of its own: behind other text the JSON would begin with a comma.
static void append_spawn_error(const struct exec_request *r, struct buf *out)
{
    const char *program = r->exec.script ? "bash" : r->command;
    auto_buf struct buf error = {0}, call = {0};
    buf_printf(&call, "spawn %s", program);
    json_begin_object(&error);
    json_member_int(&error, "errno", -r->exec.value);
    json_member_str(&error, "code", err_errno_name(r->exec.value));
    json_member_str(&error, "syscall", buf_cstr(&call));
    json_member_str(&error, "path", program);
    json_key(&error, "spawnargs");
    json_begin_array(&error);
    for (size_t i = 0; i < r->args_count && !r->exec.script; i++)
        json_str(&error, r->args[i]);
    json_end_array(&error);
    json_end_object(&error);
    buf_append(out, error.data, error.size);
}

static void append_killed(const struct exec_request *r, struct buf *out)
{
    buf_append_str(out, "killed command '");
    buf_append(out, r->exec.ran.data, r->exec.ran.size);
    buf_append_char(out, '\'');
}

// The REASON of the contract's error text; empty if it is a success.
static void append_reason(const struct exec_request *r, const struct exec_result *result,
                          struct buf *out)
{
    const struct exec_call *x = &r->exec;
    switch (x->outcome) {
    case EXEC_EXITED:
        if (!x->value || !r->err_on_exit)
            return;
        append_program(r, out);
        buf_printf(out, " exited with nonzero code %d -- stderr='", x->value);
        buf_append(out, result->error_output.data, result->error_output.size);
        buf_append_char(out, '\'');
        return;
    case EXEC_NOT_STARTED:
        append_program(r, out);
        buf_append_str(out, r->err_on_exit ? " exited with nonzero code 1 -- stderr='"
                                           : " was not able to run -- stderr='");
        append_spawn_error(r, out);
        buf_append_char(out, '\'');
        return;
    case EXEC_STOPPED:
        append_killed(r, out);
        buf_append_str(out, " -- the project was stopped");
        if (x->stop_reason[0])
            buf_printf(out, ": %s", x->stop_reason);
        return;
    default: // the time limit, or a signal
        if (r->err_on_exit)
            append_killed(r, out);
    }
}

static void write_error(const struct exec_request *r, const struct buf *reason,
                        struct exec_result *result)
{
    struct buf *out = &result->error;
    buf_append_str(out, "Error executing command '");
    buf_append_str(out, r->command);
    buf_append_str(out, "' with args '");
    append_args(r, ",", out);
    buf_append_str(out, "' -- ");
    buf_append(out, reason->data, reason->size);
    buf_append_str(out, ", ");
    buf_append(out, result->output.data, result->output.size);
    buf_append_str(out, ", ");
    buf_append(out, result->error_output.data, result->error_output.size);
    if (memmem(out->data, out->size, "Connection refused", strlen("Connection refused")))
        buf_printf(out,
                   "-- Email %s if you need full internet access, which is disabled by default.",
                   r->svc->site.help_email);
}

static struct exec_result *make_result(const struct exec_request *r)
{
    struct exec_result *result = mem_zalloc(sizeof *result);
    const struct exec_call *x = &r->exec;
    size_t cut, error_cut;
    auto_buf struct buf reason = {0};
    atomic_init(&result->refs, 1);
    decode_stream(r, &x->output, x->output_total, &result->output, &cut);
    decode_stream(r, &x->error_output, x->error_output_total, &result->error_output, &error_cut);
    append_reason(r, result, &reason);
    result->failed = reason.size > 0;
    result->exit_code = x->outcome == EXEC_EXITED ? x->value : 1;
    if (result->failed) {
        write_error(r, &reason, result);
    } else {
        append_cut_notice(&result->output, cut);
        append_cut_notice(&result->error_output, error_cut);
    }
    return result;
}

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
    r->result = make_result(r);
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
    if (!r->rc && x->output.size + x->error_output.size > RESULT_INLINE_MAX) {
        bool submitted =
            work_submit_gated(r->loop, &r->svc->rendering, &r->work, NULL, make_now, on_made);
        assert(submitted);
        return;
    }
    if (!r->rc)
        r->result = make_result(r);
    finish(r);
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
    projects_exec(r->svc->projects, &r->exec);
}

void exec_run_alone(struct svc *svc, struct exec_request *r)
{
    uint32_t timeout_ms = (uint32_t)ceil(r->timeout_s * 1000);
    r->exec = (struct exec_call){
        .call = {.project_id = r->project_id, .loop = r->loop, .done = on_executed},
        .timeout_ms = timeout_ms,
        .start_wait_ms = timeout_ms,
        .output_max = bytes_to_keep(r),
    };
    set_command(r);
    set_directory(r);
    if (r->exec.script)
        r->exec.cpu_seconds = (uint32_t)ceil(r->timeout_s);
    r->exec.limit_file_size = disk_file_size_max(svc, &r->project_id, &r->exec.file_size_max);
    if (r->exec.limit_file_size)
        projects_exec(svc->projects, &r->exec);
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
    r->rc = check(r, &r->err);
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
