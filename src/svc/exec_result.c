// SPDX-License-Identifier: AGPL-3.0-or-later
// What became of a command, in the words of the caller's contract: api-v1 section 4, or hub-rpc
// 6.3.
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "svc/exec.h"

#define RPC_STDERR_MAX 1024 // characters in an error

void exec_result_unref(struct exec_result *result)
{
    if (!result || atomic_fetch_sub(&result->refs, 1) > 1)
        return;
    buf_dispose(&result->error);
    buf_dispose(&result->output);
    buf_dispose(&result->error_output);
    free(result);
}

// Makes text of a stream and cuts it as the caller asked. *ret_cut is where it was cut, SIZE_MAX if
// nowhere.
static void decode_stream(double max_output, const struct buf *raw, uint64_t total, struct buf *out,
                          size_t *ret_cut)
{
    *ret_cut = SIZE_MAX;
    size_t units, kept;
    utf8_append_lossy(out, raw->data ? raw->data : "", raw->size);
    if (max_output >= 0 && max_output < LIMIT_EXEC_OUTPUT) {
        size_t limit = (size_t)max_output;
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

void exec_stream_text(double max_output, const struct buf *raw, uint64_t total, struct buf *out)
{
    size_t cut;
    decode_stream(max_output, raw, total, out, &cut);
    append_cut_notice(out, cut);
}

static void append_args(const struct exec_request *r, const char *separator, struct buf *out)
{
    for (size_t i = 0; i < r->args_count; i++) {
        buf_append_str(out, i ? separator : "");
        buf_append_str(out, r->args[i]);
    }
}

static void append_direct(const struct exec_request *r, struct buf *out)
{
    buf_printf(out, "'%s' (args=", r->command);
    append_args(r, " ", out);
    buf_append_char(out, ')');
}

// The program that was run, and its arguments, as the contract's texts name them. API v1 names bash
// and the temporary file of a script, the RPC the script's text.
static void append_program(const struct exec_request *r, struct buf *out)
{
    const struct buf *ran = &r->exec.ran;
    const bool rpc = r->words == EXEC_WORDS_RPC;
    buf_append_str(out, rpc ? "command '" : "command ");
    if (!r->exec.script) {
        append_direct(r, out);
    } else if (rpc) {
        buf_append_str(out, r->exec.command);
    } else {
        const char *file = ran->size ? memchr(ran->data, ' ', ran->size) : NULL;
        buf_append_str(out, "'bash' (args=");
        if (file)
            buf_append(out, file + 1, (size_t)(ran->data + ran->size - file - 1));
        buf_append_char(out, ')');
    }
    if (rpc)
        buf_append_char(out, '\'');
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

static void append_stderr(const struct exec_request *r, const struct buf *text, struct buf *out)
{
    const char *bytes = text->data ? text->data : "";
    bool cut = r->words == EXEC_WORDS_RPC && utf8_utf16_len(bytes, text->size) > RPC_STDERR_MAX;
    buf_append_str(out, " -- stderr='");
    buf_append(out, bytes,
               cut ? utf8_prefix_utf16(bytes, text->size, RPC_STDERR_MAX - 1, NULL) : text->size);
    buf_append_str(out, cut ? "\u2026'" : "'");
}

// To the RPC a signal is the exit code that a shell gives it.
static int exit_code(const struct exec_request *r)
{
    if (r->exec.outcome == EXEC_SIGNALED && r->words == EXEC_WORDS_RPC)
        return 128 + r->exec.value;
    return r->exec.outcome == EXEC_EXITED ? r->exec.value : 1;
}

static void append_nonzero(const struct exec_request *r, const struct exec_result *result,
                           struct buf *out)
{
    if (!exit_code(r) || !r->err_on_exit)
        return;
    append_program(r, out);
    buf_printf(out, " exited with nonzero code %d", exit_code(r));
    append_stderr(r, &result->error_output, out);
}

static void append_not_started(const struct exec_request *r, struct buf *out)
{
    auto_buf struct buf error = {0};
    append_spawn_error(r, &error);
    append_program(r, out);
    buf_append_str(out, r->err_on_exit ? " exited with nonzero code 1" : " was not able to run");
    append_stderr(r, &error, out);
}

// The REASON of the contract's error text; empty if it is a success.
static void append_reason(const struct exec_request *r, const struct exec_result *result,
                          struct buf *out)
{
    const struct exec_call *x = &r->exec;
    const bool rpc = r->words == EXEC_WORDS_RPC;
    switch (x->outcome) {
    case EXEC_EXITED:
        append_nonzero(r, result, out);
        return;
    case EXEC_NOT_STARTED:
        append_not_started(r, out);
        return;
    case EXEC_STOPPED:
        append_killed(r, out);
        buf_append_str(out, " -- the project was stopped");
        if (x->stop_reason[0])
            buf_printf(out, ": %s", x->stop_reason);
        return;
    case EXEC_SIGNALED:
        if (rpc)
            append_nonzero(r, result, out);
        else if (r->err_on_exit)
            append_killed(r, out);
        return;
    default: // the time limit
        if (r->err_on_exit || rpc)
            append_killed(r, out);
    }
}

static void write_error(const struct exec_request *r, const struct buf *reason,
                        struct exec_result *result)
{
    struct buf *out = &result->error;
    if (r->words == EXEC_WORDS_RPC) {
        buf_append(out, reason->data, reason->size);
        return;
    }
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

struct exec_result *exec_result_make(const struct exec_request *r)
{
    struct exec_result *result = mem_zalloc(sizeof *result);
    const struct exec_call *x = &r->exec;
    size_t cut, error_cut;
    auto_buf struct buf reason = {0};
    atomic_init(&result->refs, 1);
    decode_stream(r->max_output, &x->output, x->output_total, &result->output, &cut);
    decode_stream(r->max_output, &x->error_output, x->error_output_total, &result->error_output,
                  &error_cut);
    append_reason(r, result, &reason);
    result->failed = reason.size > 0;
    result->exit_code = exit_code(r);
    if (result->failed) {
        write_error(r, &reason, result);
    } else {
        append_cut_notice(&result->output, cut);
        append_cut_notice(&result->error_output, error_cut);
    }
    return result;
}

struct exec_result *exec_result_refused(const struct err *err)
{
    struct exec_result *result = mem_zalloc(sizeof *result);
    atomic_init(&result->refs, 1);
    result->failed = true;
    result->exit_code = 1;
    buf_append_str(&result->error, err->message);
    return result;
}
