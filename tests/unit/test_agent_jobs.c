// SPDX-License-Identifier: AGPL-3.0-or-later
// The agent's jobs: commands that go on without a hub's stream, and what it keeps of them.
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "agent_fixture.h"
#include "base/limits.h"

#define MIB ((size_t)1024 * 1024)
// The stream of the look that is taken next; others count up from it.
#define LOOK 2

static int start(void **state)
{
    return fixture_start(state, NULL);
}

static struct frame_job job_of(enum job_op op, unsigned number)
{
    struct frame_job job = {.op = op, .output_max = MIB};
    char id[JOB_ID_SIZE + 1];
    snprintf(id, sizeof id, "00000000-0000-4000-8000-%012u", number);
    memcpy(job.id, id, JOB_ID_SIZE);
    return job;
}

static void begin(struct client *c, uint32_t stream, unsigned number, const char *script)
{
    const struct frame_job job = job_of(JOB_OP_START, number);
    client_forget(c, stream);
    client_job(c, stream, &job, "a note",
               &(struct client_command){.command = script, .script = true});
}

static void look(struct client *c, uint32_t stream, enum job_op op, unsigned number)
{
    const struct frame_job job = job_of(op, number);
    client_forget(c, stream);
    client_job(c, stream, &job, NULL, NULL);
}

// An answer, taken apart. What is in it stays the client's.
struct answer {
    struct job_state state;
    const struct job_sample *samples;
    const char *note, *ran, *out, *err;
};

static struct answer answer_of(const struct client_result *r)
{
    struct answer answer;
    assert_int_equal(r->exit.outcome, EXEC_EXITED);
    assert_true(r->out.size >= sizeof answer.state);
    memcpy(&answer.state, r->out.data, sizeof answer.state);
    const struct job_state *state = &answer.state;
    const char *at = r->out.data + sizeof *state;
    answer.samples = (const void *)at;
    answer.note = at + state->samples_count * sizeof *answer.samples;
    answer.ran = answer.note + state->note_size;
    answer.out = answer.ran + state->ran_size;
    answer.err = answer.out + state->kept[0];
    assert_ptr_equal(answer.err + state->kept[1], r->out.data + r->out.size);
    assert_int_equal(r->err.size, 0);
    return answer;
}

static struct answer started(struct client *c, unsigned number, const char *script)
{
    begin(c, LOOK, number, script);
    return answer_of(client_wait(c, LOOK));
}

static struct answer got(struct client *c, enum job_op op, unsigned number)
{
    look(c, LOOK, op, number);
    return answer_of(client_wait(c, LOOK));
}

static void assert_refused(const struct client_result *r, int error)
{
    assert_int_equal(r->exit.outcome, EXEC_NOT_STARTED);
    assert_int_equal(r->exit.value, error);
    assert_int_equal(r->out.size, 0);
}

static void assert_unknown(struct client *c, unsigned number)
{
    look(c, LOOK, JOB_OP_GET, number);
    assert_refused(client_wait(c, LOOK), ENOENT);
}

static void assert_text(const char *text, size_t size, const char *expected)
{
    assert_int_equal(size, strlen(expected));
    assert_memory_equal(text, expected, size);
}

// Asks until it has printed something.
static struct answer printed(struct client *c, unsigned number)
{
    for (;;) {
        const struct answer answer = got(c, JOB_OP_GET, number);
        if (answer.state.kept[0])
            return answer;
        usleep(1000);
    }
}

static void test_answer_has_all_of_it(void **state)
{
    struct client *c = ((struct fixture *)*state)->client;
    fixture_run(*state, "mkfifo /tmp/gate");
    struct answer answer =
        started(c, 1, "echo out; echo err >&2; read line < /tmp/gate; echo $line; exit 7");
    assert_int_equal(answer.state.running, 1);
    assert_true(answer.state.pid > 1);
    assert_text(answer.note, answer.state.note_size, "a note");
    assert_int_equal(strncmp(answer.ran, "bash /tmp/f-1-", 14), 0);
    fixture_run(*state, "echo go > /tmp/gate");
    answer = got(c, JOB_OP_AWAIT, 1);
    const struct job_state end = answer.state;
    assert_int_equal(end.running, 0);
    assert_int_equal(end.outcome, EXEC_EXITED);
    assert_int_equal(end.value, 7);
    assert_text(answer.out, end.kept[0], "out\ngo\n");
    assert_text(answer.err, end.kept[1], "err\n");
    assert_text(answer.note, end.note_size, "a note");
    assert_true(end.total[0] == end.kept[0] && end.total[1] == end.kept[1]);
    const int64_t now_ms = (int64_t)time(NULL) * 1000;
    assert_true(end.start_ms > now_ms - 60000 && end.start_ms < now_ms + 60000);
    assert_true(end.elapsed_ms < 60000);
    const struct job_state again = got(c, JOB_OP_GET, 1).state;
    assert_memory_equal(&again, &end, sizeof end); // it does not grow older
}

static void test_pid_is_the_commands(void **state)
{
    struct client *c = ((struct fixture *)*state)->client;
    char pid[16];
    const int32_t told = started(c, 1, "echo -n $$; exec sleep 34567").state.pid;
    snprintf(pid, sizeof pid, "%d", told);
    const struct answer answer = printed(c, 1);
    assert_text(answer.out, answer.state.kept[0], pid);
    char script[64];
    snprintf(script, sizeof script, "kill -9 -- -%d", told); // and its group's
    assert_int_equal(fixture_run(*state, script)->exit.value, 0);
    const struct job_state end = got(c, JOB_OP_AWAIT, 1).state;
    assert_int_equal(end.outcome, EXEC_SIGNALED);
    assert_int_equal(end.value, SIGKILL);
    assert_int_equal(end.pid, told);
}

static void test_what_cannot_be_started_is_a_job_too(void **state)
{
    struct client *c = ((struct fixture *)*state)->client;
    const struct frame_job job = job_of(JOB_OP_START, 1);
    client_job(c, LOOK, &job, "", &(struct client_command){.command = "no-such-program"});
    const struct answer answer = answer_of(client_wait(c, LOOK));
    assert_int_equal(answer.state.running, 0);
    assert_int_equal(answer.state.outcome, EXEC_NOT_STARTED);
    assert_int_equal(answer.state.value, ENOENT);
    assert_int_equal(answer.state.pid, 0);
    assert_text(answer.ran, answer.state.ran_size, "no-such-program");
    assert_int_equal(c->jobs, 0);
}

static void test_hubs_come_and_go(void **state)
{
    struct fixture *f = *state;
    struct client *other = client_open(f->socket);
    fixture_run(f, "mkfifo /tmp/gate");
    started(other, 1, "echo begun; read line < /tmp/gate; echo $line");
    look(other, LOOK + 1, JOB_OP_AWAIT, 1);
    assert_int_equal(printed(f->client, 1).state.running, 1);
    client_close(other);
    other = client_open(f->socket);
    assert_int_equal(other->jobs, 1); // said in the greeting
    look(other, LOOK, JOB_OP_AWAIT, 1);
    fixture_run(f, "echo go > /tmp/gate");
    const struct answer answer = answer_of(client_wait(other, LOOK));
    assert_text(answer.out, answer.state.kept[0], "begun\ngo\n");
    assert_int_equal(other->jobs, 0);
    client_close(other);
}

static void test_unknown_and_known_ids(void **state)
{
    struct client *c = ((struct fixture *)*state)->client;
    assert_unknown(c, 1);
    started(c, 1, "true");
    begin(c, LOOK, 1, "true");
    assert_refused(client_wait(c, LOOK), EEXIST);
    assert_unknown(c, 2);
}

static void test_output_is_bounded_by_its_own_limit(void **state)
{
    struct client *c = ((struct fixture *)*state)->client;
    started(c, 1, "head -c 3000000 /dev/zero; head -c 5 /dev/zero >&2");
    const struct job_state end = got(c, JOB_OP_AWAIT, 1).state;
    assert_int_equal(end.total[0], 3000000);
    assert_int_equal(end.kept[0], MIB);
    assert_int_equal(end.kept[1], 5);
}

// The one that was looked at longest ago goes first, never one that runs.
static void test_all_together_keep_so_much(void **state)
{
    struct client *c = ((struct fixture *)*state)->client;
    const unsigned most = LIMIT_EXEC_JOBS_SIZE / MIB;
    started(c, 1000, "head -c 1048576 /dev/zero; sleep 65432");
    printed(c, 1000);
    for (unsigned i = 0; i < most + 1; i++) {
        started(c, i, "head -c 1048576 /dev/zero");
        assert_int_equal(got(c, JOB_OP_AWAIT, i).state.kept[0], MIB);
        got(c, JOB_OP_GET, 0); // is looked at all the time
    }
    assert_int_equal(got(c, JOB_OP_GET, 0).state.kept[0], MIB);
    assert_unknown(c, 1);
    assert_unknown(c, 2);
    assert_int_equal(got(c, JOB_OP_GET, most).state.kept[0], MIB);
    assert_int_equal(got(c, JOB_OP_GET, 1000).state.running, 1);
}

static void test_no_more_is_kept_of_those_that_run(void **state)
{
    struct client *c = ((struct fixture *)*state)->client;
    const unsigned many = LIMIT_EXEC_JOBS_SIZE / MIB + 2;
    size_t kept = 0;
    for (unsigned i = 0; i < many; i++) {
        started(c, i, "head -c 1048576 /dev/zero; echo >&2; sleep 65432");
        struct job_state now;
        do
            now = got(c, JOB_OP_GET, i).state;
        while (!now.total[1]);
        assert_int_equal(now.total[0], MIB);
        assert_true(now.kept[0] >= LIMIT_EXEC_OUTPUT_FIRST);
        kept += now.kept[0];
    }
    assert_true(kept > LIMIT_EXEC_JOBS_SIZE - 2 * FRAME_OUTPUT_MAX);
    assert_true(kept < LIMIT_EXEC_JOBS_SIZE + many * LIMIT_EXEC_OUTPUT_FIRST);
}

static void test_a_hundred_are_kept(void **state)
{
    struct client *c = ((struct fixture *)*state)->client;
    started(c, 1000, "true");
    got(c, JOB_OP_AWAIT, 1000);
    for (unsigned i = 0; i < LIMIT_EXEC_JOBS - 1; i++)
        started(c, i, "exec sleep 54321");
    assert_int_equal(c->jobs, LIMIT_EXEC_JOBS - 1);
    started(c, 99, "exec sleep 54321"); // the one that has ended makes room
    assert_unknown(c, 1000);
    begin(c, LOOK, 100, "true");
    assert_refused(client_wait(c, LOOK), EDQUOT);
    assert_unknown(c, 100);
    fixture_run(*state, "pkill -9 -f 'sleep 54321'");
    for (unsigned i = 0; i < LIMIT_EXEC_JOBS; i++)
        got(c, JOB_OP_AWAIT, i);
    started(c, 101, "true");
}

static void test_so_many_wait_for_one(void **state)
{
    struct client *c = ((struct fixture *)*state)->client;
    started(c, 1, "exec sleep 43210");
    for (unsigned i = 0; i < LIMIT_EXEC_JOB_WAITING; i++)
        look(c, 100 + i, JOB_OP_AWAIT, 1);
    look(c, LOOK, JOB_OP_AWAIT, 1);
    assert_refused(client_wait(c, LOOK), EBUSY);
    assert_int_equal(got(c, JOB_OP_GET, 1).state.running, 1);
    client_send(c, FRAME_KILL, 100, NULL, 0, -1); // who does not wait any more makes room
    client_wait(c, 100);
    look(c, 100, JOB_OP_AWAIT, 1);
    fixture_run(*state, "pkill -9 -f 'sleep 43210'");
    for (unsigned i = 0; i < LIMIT_EXEC_JOB_WAITING; i++)
        assert_int_equal(answer_of(client_wait(c, 100 + i)).state.outcome, EXEC_SIGNALED);
}

static struct job_state written(struct client *c, unsigned number, uint64_t size)
{
    struct job_state now;
    do {
        usleep(1000);
        now = got(c, JOB_OP_GET, number).state;
    } while (now.total[0] < size);
    return now;
}

// All answers are asked for at once, of a job that goes on writing, for a hub that does not read.
static void test_slow_reader_gets_whole_answers(void **state)
{
    struct fixture *f = *state;
    struct client *slow = client_open(f->socket);
    started(f->client, 1,
            "head -c 700000 /dev/zero; while head -c 1000 /dev/zero; do sleep 0.001; done");
    struct job_state now = written(f->client, 1, 700000);
    for (unsigned i = 0; i < 50; i++)
        look(slow, 100 + i, JOB_OP_GET, 1);
    written(f->client, 1, now.total[0] + 100000);
    size_t before = 0;
    for (unsigned i = 0; i < 50; i++) {
        const struct answer answer = answer_of(client_wait(slow, 100 + i));
        assert_true(answer.state.kept[0] >= before);
        before = answer.state.kept[0];
    }
    client_close(slow);
}

static void test_hub_that_leaves_in_an_answer(void **state)
{
    struct fixture *f = *state;
    struct client *c = f->client;
    started(c, 1, "head -c 1048576 /dev/zero");
    got(c, JOB_OP_AWAIT, 1);
    struct client *other = client_open(f->socket);
    for (unsigned i = 0; i < 20; i++)
        look(other, 100 + i, JOB_OP_GET, 1);
    client_close(other);
    for (unsigned i = 2; i < 2 + LIMIT_EXEC_JOBS; i++) {
        started(c, i, "true");
        got(c, JOB_OP_AWAIT, i);
    }
    assert_unknown(c, 1); // nobody holds it any more
}

static void test_time_limit_ends_the_tree(void **state)
{
    struct client *c = ((struct fixture *)*state)->client;
    const struct frame_job job = job_of(JOB_OP_START, 1);
    client_job(c, LOOK, &job, "",
               &(struct client_command){.command = "(setsid sleep 76543 &); sleep 76543",
                                        .script = true,
                                        .timeout_ms = 300});
    client_wait(c, LOOK);
    assert_int_equal(got(c, JOB_OP_AWAIT, 1).state.outcome, EXEC_TIMED_OUT);
    assert_int_equal(fixture_run(*state, "pgrep -f 'sleep 76543'")->exit.value, 1);
}

static void test_shutdown_tells_who_waits(void **state)
{
    struct client *c = ((struct fixture *)*state)->client;
    started(c, 1, "exec sleep 32109");
    look(c, LOOK, JOB_OP_AWAIT, 1);
    client_shutdown(c, 5000);
    const struct job_state end = answer_of(client_wait(c, LOOK)).state;
    assert_int_equal(end.outcome, EXEC_STOPPED);
    assert_int_equal(end.value, SIGTERM);
}

// ---- What they use ----

#define BUSY "end=$((SECONDS + 60)); while [ $SECONDS -lt $end ]; do :; done"

static struct answer sampled(struct client *c, unsigned number, uint32_t count)
{
    for (;;) {
        const struct answer answer = got(c, JOB_OP_GET, number);
        if (answer.state.samples_count >= count)
            return answer;
        usleep(20000);
    }
}

static void test_samples_are_of_the_whole_tree(void **state)
{
    struct client *c = ((struct fixture *)*state)->client;
    started(c, 1,
            "(setsid bash -c 'x=$(head -c 30000000 /dev/zero | tr \"\\0\" x); " BUSY "' &); "
            "echo >&2; sleep 21098");
    started(c, 2, "exec sleep 21098");
    struct answer busy;
    struct job_sample now = {0};
    while (now.cpu_ms < 300 || now.memory <= 25000000) {
        busy = sampled(c, 1, 1);
        now = busy.samples[busy.state.samples_count - 1];
        assert_true(now.cpu_ms <= 4 * busy.state.elapsed_ms + 100);
    }
    assert_true(busy.samples[0].time_ms >= busy.state.start_ms);
    const struct answer idle = sampled(c, 2, 1);
    const struct job_sample *last = &idle.samples[idle.state.samples_count - 1];
    assert_true(last->cpu_ms < 100);
    assert_true(last->memory > 100000 && last->memory < 20000000);
}

// None of them lives to the next sample.
static void test_time_of_what_has_ended_counts(void **state)
{
    struct client *c = ((struct fixture *)*state)->client;
    started(c, 1,
            "for i in {1..60}; do bash -c 'for ((j = 0; j < 2000; j++)); do :; done'; done; "
            "echo; exec sleep 10987");
    const uint32_t before = printed(c, 1).state.samples_count;
    const struct answer answer = sampled(c, 1, before + 2);
    assert_true(answer.samples[answer.state.samples_count - 1].cpu_ms >= 100);
}

// A spare supervisor has the time of what it ran before in its account.
static void test_time_of_other_commands_does_not_count(void **state)
{
    struct client *c = ((struct fixture *)*state)->client;
    fixture_run(*state, "for ((i = 0; i < 200000; i++)); do :; done"); // half a second's worth
    started(c, 1, "exec sleep 10987");
    const struct answer answer = sampled(c, 1, 2);
    assert_true(answer.samples[1].cpu_ms < 200);
}

// When there are a hundred, every second one goes.
static void test_samples_thin_out(void **state)
{
    struct client *c = ((struct fixture *)*state)->client;
    started(c, 1, "exec sleep 98765");
    struct answer answer = sampled(c, 1, JOB_SAMPLES_MAX - 5);
    const int64_t first_ms = answer.samples[0].time_ms;
    do {
        answer = got(c, JOB_OP_GET, 1);
        assert_true(answer.state.samples_count <= JOB_SAMPLES_MAX);
        usleep(20000);
    } while (answer.state.samples_count > JOB_SAMPLES_MAX - 10);
    assert_true(answer.state.samples_count >= JOB_SAMPLES_MAX / 2);
    assert_true(answer.samples[0].time_ms > first_ms);
    for (uint32_t i = 1; i < answer.state.samples_count; i++)
        assert_true(answer.samples[i].time_ms > answer.samples[i - 1].time_ms);
    const struct job_sample *last = &answer.samples[answer.state.samples_count - 1];
    assert_true(last->time_ms - first_ms >= 99 * 50);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, fixture_stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_answer_has_all_of_it),
        TEST(test_pid_is_the_commands),
        TEST(test_what_cannot_be_started_is_a_job_too),
        TEST(test_hubs_come_and_go),
        TEST(test_unknown_and_known_ids),
        TEST(test_output_is_bounded_by_its_own_limit),
        TEST(test_all_together_keep_so_much),
        TEST(test_no_more_is_kept_of_those_that_run),
        TEST(test_a_hundred_are_kept),
        TEST(test_so_many_wait_for_one),
        TEST(test_slow_reader_gets_whole_answers),
        TEST(test_hub_that_leaves_in_an_answer),
        TEST(test_time_limit_ends_the_tree),
        TEST(test_shutdown_tells_who_waits),
        TEST(test_samples_are_of_the_whole_tree),
        TEST(test_time_of_what_has_ended_counts),
        TEST(test_time_of_other_commands_does_not_count),
        TEST(test_samples_thin_out),
    };
    if (chdir("/") != 0) // a folder that the sandbox's user may enter
        return 1;
    return cmocka_run_group_tests_name("agent_jobs", tests, NULL, NULL);
}
