// SPDX-License-Identifier: AGPL-3.0-or-later
// The agent's account of a job, and the note that is left with it: what the caller wanted of the
// output, and the command's text for the words of an error. Texts of the note have a NUL at their
// end, so that they can be used where they are.
#include <stdlib.h>
#include <string.h>

#include "base/js_date.h"
#include "base/limits.h"
#include "base/mem.h"
#include "svc/exec_jobs.h"

struct note {
    double max_output;
    uint32_t err_on_exit;
    uint32_t script;
    uint32_t args_count;
    uint32_t reserved;
};

static void append_text(struct buf *out, const char *text)
{
    const size_t size = strlen(text) + 1;
    out->size += frame_write_text((uint8_t *)buf_reserve(out, sizeof(uint32_t) + size), text, size);
}

void exec_job_note_write(const struct exec_request *r, struct buf *out)
{
    const bool script = r->exec.script;
    const struct note note = {.max_output = r->max_output,
                              .err_on_exit = r->err_on_exit,
                              .script = script,
                              .args_count = script ? 0 : (uint32_t)r->args_count};
    buf_append(out, &note, sizeof note);
    append_text(out, script ? r->exec.command : r->command);
    for (uint32_t i = 0; i < note.args_count; i++)
        append_text(out, r->args[i]);
}

static int malformed(struct err *err, const char *what)
{
    return err_internal(err, "the agent's answer about a job has %s", what);
}

static bool read_text(const struct buf *bytes, size_t *at, const char **ret_text)
{
    size_t size;
    return frame_read_text((const uint8_t *)bytes->data, bytes->size, at, ret_text, &size) &&
           size && memchr(*ret_text, 0, size) == *ret_text + size - 1;
}

static bool read_note(const struct buf *bytes, struct exec_job_reply *reply)
{
    struct exec_request *r = &reply->request;
    struct note note;
    size_t at = 0;
    if (!frame_read_struct((const uint8_t *)bytes->data, bytes->size, &at, &note, sizeof note) ||
        note.args_count > LIMIT_EXEC_ARGS || !read_text(bytes, &at, &r->command))
        return false;
    reply->args = mem_zalloc((note.args_count + 1) * sizeof *reply->args);
    for (uint32_t i = 0; i < note.args_count; i++)
        if (!read_text(bytes, &at, &reply->args[i]))
            return false;
    r->args = reply->args;
    r->args_count = note.args_count;
    r->max_output = note.max_output;
    r->err_on_exit = note.err_on_exit;
    r->exec.script = note.script;
    r->exec.command = r->command;
    return at == bytes->size;
}

static bool makes_sense(const struct job_state *state)
{
    return state->running <= 1 && frame_outcome_fits(state->outcome, state->value) &&
           state->outcome != EXEC_FILE_FAILED && state->pid >= 0 && state->start_ms >= 0 &&
           state->start_ms <= JS_DATE_MS_MAX && state->elapsed_ms <= (uint64_t)JS_DATE_MS_MAX &&
           state->total[0] >= state->kept[0] && state->total[1] >= state->kept[1] &&
           state->samples_count <= JOB_SAMPLES_MAX;
}

// The next part of a reply that is long enough.
static struct buf part(const struct buf *reply, size_t *at, size_t size)
{
    const struct buf part = {.data = reply->data + *at, .size = size};
    *at += size;
    return part;
}

static size_t size_behind_state(const struct job_state *state)
{
    return state->samples_count * sizeof(struct job_sample) + state->note_size + state->ran_size +
           state->kept[0] + state->kept[1];
}

static bool read_parts(const struct buf *bytes, size_t at, struct exec_job_reply *reply)
{
    const struct job_state *state = &reply->state;
    struct exec_call *exec = &reply->request.exec;
    const struct buf samples = part(bytes, &at, state->samples_count * sizeof reply->samples[0]);
    const struct buf note = part(bytes, &at, state->note_size);
    if (samples.size)
        memcpy(reply->samples, samples.data, samples.size);
    exec->ran = part(bytes, &at, state->ran_size);
    exec->output = part(bytes, &at, state->kept[0]);
    exec->error_output = part(bytes, &at, state->kept[1]);
    exec->output_total = state->total[0];
    exec->error_output_total = state->total[1];
    exec->outcome = (enum exec_outcome)state->outcome;
    exec->value = state->value;
    return read_note(&note, reply);
}

int exec_job_reply_read(const struct buf *bytes, struct exec_job_reply *ret_reply, struct err *err)
{
    struct exec_job_reply *reply = ret_reply;
    size_t at = 0;
    *reply = (struct exec_job_reply){.request = {.words = EXEC_WORDS_RPC}};
    if (!frame_read_struct((const uint8_t *)bytes->data, bytes->size, &at, &reply->state,
                           sizeof reply->state))
        return malformed(err, "no state");
    if (!makes_sense(&reply->state))
        return malformed(err, "a state that makes no sense");
    if (size_behind_state(&reply->state) != bytes->size - at)
        return malformed(err, "another size than it says");
    if (read_parts(bytes, at, reply))
        return 0;
    exec_job_reply_dispose(reply);
    return malformed(err, "a note that is none");
}

void exec_job_reply_dispose(struct exec_job_reply *reply)
{
    free(TAKE_PTR(reply->args));
}
