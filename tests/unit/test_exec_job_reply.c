// SPDX-License-Identifier: AGPL-3.0-or-later
// What an agent says of a job is taken for what a stranger says.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/limits.h"
#include "svc/exec_jobs.h"

static const char *const args[] = {"a b", "", "é"};

static struct exec_request program(void)
{
    return (struct exec_request){
        .command = "ls", .args = args, .args_count = 3, .max_output = 5, .err_on_exit = true};
}

// A whole answer: two samples, "ls" with its arguments, outputs "out" and "error".
static void build(const struct exec_request *request, struct buf *out)
{
    const struct job_sample samples[2] = {{1000, 1, 2}, {2000, 3, 4}};
    auto_buf struct buf note = {0};
    exec_job_note_write(request, &note);
    const struct job_state state = {.outcome = EXEC_EXITED,
                                    .value = 3,
                                    .pid = 12,
                                    .start_ms = 1756489740133,
                                    .elapsed_ms = 5,
                                    .total = {3, 500},
                                    .kept = {3, 5},
                                    .note_size = (uint32_t)note.size,
                                    .ran_size = 2,
                                    .samples_count = 2};
    buf_append(out, &state, sizeof state);
    buf_append(out, samples, sizeof samples);
    buf_append(out, note.data, note.size);
    buf_append_str(out, "ls");
    buf_append_str(out, "outerror");
}

static int read_reply(const struct buf *bytes, struct exec_job_reply *ret_reply)
{
    struct err err;
    const int rc = exec_job_reply_read(bytes, ret_reply, &err);
    if (rc)
        assert_int_equal(rc, -ERR_INTERNAL);
    return rc;
}

static void assert_malformed(const struct buf *bytes, const char *what)
{
    struct exec_job_reply reply;
    // Of its own size, so that a sanitizer sees what is read behind it.
    char *copy = malloc(bytes->size ? bytes->size : 1);
    memcpy(copy, bytes->data, bytes->size);
    const struct buf exact = {.data = copy, .size = bytes->size};
    if (!read_reply(&exact, &reply))
        fail_msg("taken: %s", what);
    free(copy);
}

static void assert_bytes(const struct buf *bytes, const char *text)
{
    assert_int_equal(bytes->size, strlen(text));
    assert_memory_equal(bytes->data, text, bytes->size);
}

static void test_a_whole_answer(void **state)
{
    (void)state;
    auto_buf struct buf bytes = {0};
    const struct exec_request request = program();
    struct exec_job_reply reply;
    build(&request, &bytes);
    assert_int_equal(read_reply(&bytes, &reply), 0);
    const struct exec_request *r = &reply.request;
    assert_string_equal(r->command, "ls");
    assert_int_equal(r->args_count, 3);
    for (size_t i = 0; i < 3; i++)
        assert_string_equal(r->args[i], args[i]);
    assert_true(r->err_on_exit && r->max_output == 5 && !r->exec.script);
    assert_bytes(&r->exec.ran, "ls");
    assert_bytes(&r->exec.output, "out");
    assert_bytes(&r->exec.error_output, "error");
    assert_int_equal(r->exec.error_output_total, 500);
    assert_int_equal(r->exec.value, 3);
    assert_int_equal(reply.samples[1].memory, 3);
    struct exec_result *result = exec_result_make(r);
    const char *error = "command ''ls' (args=a b  é)' exited with nonzero code 3 -- stderr='error'";
    assert_bytes(&result->error, error);
    exec_result_unref(result);
    exec_job_reply_dispose(&reply);
}

static void test_a_script(void **state)
{
    (void)state;
    auto_buf struct buf bytes = {0};
    struct exec_request request = program();
    struct exec_job_reply reply;
    request.exec.script = true;
    request.exec.command = "'ls' 'a b'"; // made of the arguments
    request.err_on_exit = false;
    request.max_output = -1;
    build(&request, &bytes);
    assert_int_equal(read_reply(&bytes, &reply), 0);
    assert_string_equal(reply.request.exec.command, "'ls' 'a b'");
    assert_int_equal(reply.request.args_count, 0);
    assert_true(reply.request.exec.script && !reply.request.err_on_exit);
    exec_job_reply_dispose(&reply);
}

static void test_answers_of_another_size(void **state)
{
    (void)state;
    auto_buf struct buf bytes = {0};
    const struct exec_request request = program();
    build(&request, &bytes);
    const size_t whole = bytes.size;
    for (bytes.size = 0; bytes.size < whole; bytes.size++)
        assert_malformed(&bytes, "a part");
    bytes.size = whole;
    buf_append_char(&bytes, 'x');
    assert_malformed(&bytes, "more");
}

#define WRONG(field, wrong)                                                                        \
    do {                                                                                           \
        struct job_state changed = right;                                                          \
        changed.field = (wrong);                                                                   \
        memcpy(bytes.data, &changed, sizeof changed);                                              \
        assert_malformed(&bytes, #field " " #wrong);                                               \
    } while (0)

static void test_states_that_make_no_sense(void **state)
{
    (void)state;
    auto_buf struct buf bytes = {0};
    const struct exec_request request = program();
    struct job_state right;
    build(&request, &bytes);
    memcpy(&right, bytes.data, sizeof right);
    WRONG(running, 2);
    WRONG(outcome, EXEC_FILE_FAILED);
    WRONG(outcome, EXEC_STOPPED + 1);
    WRONG(value, -1);
    WRONG(value, 256);
    right.outcome = EXEC_SIGNALED;
    WRONG(value, 0);
    WRONG(value, INT32_MAX);
    right.outcome = EXEC_NOT_STARTED;
    WRONG(value, INT32_MIN);
    right.outcome = EXEC_TIMED_OUT;
    WRONG(value, 1);
    right.outcome = EXEC_EXITED;
    WRONG(pid, -1);
    WRONG(start_ms, -1);
    WRONG(start_ms, INT64_MAX);
    WRONG(elapsed_ms, UINT64_MAX);
    WRONG(total[0], 2);
    WRONG(total[1], 4);
    WRONG(kept[0], UINT32_MAX);
    WRONG(samples_count, 1);
    WRONG(samples_count, JOB_SAMPLES_MAX + 1);
    WRONG(samples_count, UINT32_MAX);
    WRONG(note_size, UINT32_MAX);
    WRONG(note_size, 0);
    WRONG(ran_size, UINT32_MAX);
}

// The note comes back from a place that the project's code may have changed.
static void test_notes_that_are_none(void **state)
{
    (void)state;
    auto_buf struct buf bytes = {0};
    const struct exec_request request = program();
    build(&request, &bytes);
    const size_t note_at = sizeof(struct job_state) + 2 * sizeof(struct job_sample);
    struct job_state head;
    memcpy(&head, bytes.data, sizeof head);
    for (size_t i = 0; i < head.note_size; i++) {
        struct exec_job_reply reply;
        const char before = bytes.data[note_at + i];
        for (int value = 0; value < 256; value += i < 40 ? 1 : 51) {
            bytes.data[note_at + i] = (char)value;
            if (read_reply(&bytes, &reply))
                continue;
            assert_true(reply.request.args_count <= 3);
            for (size_t k = 0; k < reply.request.args_count; k++)
                assert_true(strlen(reply.request.args[k]) < 20);
            exec_result_unref(exec_result_make(&reply.request));
            exec_job_reply_dispose(&reply);
        }
        bytes.data[note_at + i] = before;
    }
    // A text without its end.
    bytes.data[note_at + head.note_size - 1] = 'x';
    assert_malformed(&bytes, "no NUL");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_whole_answer),
        cmocka_unit_test(test_a_script),
        cmocka_unit_test(test_answers_of_another_size),
        cmocka_unit_test(test_states_that_make_no_sense),
        cmocka_unit_test(test_notes_that_are_none),
    };
    return cmocka_run_group_tests_name("exec_job_reply", tests, NULL, NULL);
}
