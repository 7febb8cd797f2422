// SPDX-License-Identifier: AGPL-3.0-or-later
// The agent and its kernel bridge, which is a fake one here.
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "agent_fixture.h"

#define WAIT_MS 10000
// More than the socket of the bridge holds.
#define MANY 1500

static int start(void **state)
{
    return fixture_start(state, BRIDGE_PATH);
}

static int start_without(void **state)
{
    return fixture_start(state, NULL);
}

static int start_broken(void **state)
{
    return fixture_start(state, "/dev/null");
}

static void ask(struct fixture *f, uint32_t stream, const char *request)
{
    client_send(f->client, FRAME_KERNEL, stream, request, strlen(request), -1);
}

static struct client_result *run(struct fixture *f, uint32_t stream, const char *request)
{
    client_forget(f->client, stream);
    ask(f, stream, request);
    return client_wait(f->client, stream);
}

static void assert_answered(const struct client_result *r, const char *answer)
{
    assert_int_equal(r->exit.outcome, EXEC_EXITED);
    assert_int_equal(r->exit.value, 0);
    assert_string_equal(r->out.data ? r->out.data : "", answer);
}

static void give_up(struct fixture *f, uint32_t stream)
{
    client_send(f->client, FRAME_KILL, stream, NULL, 0, -1);
}

// Waits by asking, as nothing tells.
static void wait_until(struct fixture *f, const char *script)
{
    for (int i = 0; i < 6000; i++) {
        if (fixture_run(f, script)->exit.value == 0)
            return;
        usleep(10000);
    }
    fail_msg("never: %s", script);
}

static void test_requests_are_answered_by_one_bridge(void **state)
{
    struct fixture *f = *state;
    for (uint32_t i = 10; i < 20; i++)
        ask(f, i, "echo so it is");
    for (uint32_t i = 10; i < 20; i++)
        assert_answered(client_wait(f->client, i), "so it is");
    assert_answered(run(f, 2, "echo "), "");
}

static void test_bridge_finds_a_sealed_request_and_the_limits_of_commands(void **state)
{
    struct fixture *f = *state;
    assert_answered(run(f, 2, "look"), "seals f, at 0, processes 8192, oom 700, session 1, in /");
}

static void test_large_answer_is_whole(void **state)
{
    struct fixture *f = *state;
    const struct client_result *r = run(f, 2, "large");
    assert_int_equal(r->exit.outcome, EXEC_EXITED);
    assert_int_equal(r->out.size, 3 * 1024 * 1024);
}

static void test_large_request_is_whole(void **state)
{
    static char request[FRAME_PAYLOAD_MAX + 1];
    struct fixture *f = *state;
    memset(request, 'x', FRAME_PAYLOAD_MAX);
    memcpy(request, "echo ", 5);
    assert_answered(run(f, 2, request), request + 5);
}

static void test_request_that_is_given_up_loses_its_socket(void **state)
{
    struct fixture *f = *state;
    ask(f, 2, "hold");
    ask(f, 3, "echo behind it");
    give_up(f, 2);
    const struct client_result *r = client_wait(f->client, 2);
    assert_int_equal(r->exit.outcome, EXEC_SIGNALED);
    assert_int_equal(r->exit.value, SIGKILL);
    assert_answered(client_wait(f->client, 3), "behind it");
    assert_int_equal(fixture_run(f, "test -e /tmp/given-up")->exit.value, 0);
}

static void test_hub_that_is_gone_gives_up(void **state)
{
    struct fixture *f = *state;
    struct client *other = client_open(f->socket);
    client_send(other, FRAME_KERNEL, 2, "hold", 4, -1);
    client_close(other);
    wait_until(f, "test -e /tmp/given-up");
}

static void test_requests_wait_while_the_bridge_takes_none(void **state)
{
    struct fixture *f = *state;
    ask(f, 2, "deaf");
    for (uint32_t i = 10; i < 10 + MANY; i++)
        ask(f, i, "echo late");
    assert_int_equal(fixture_run(f, "true")->exit.value, 0); // the agent does not wait
    give_up(f, 10 + MANY - 1);
    assert_int_equal(client_wait(f->client, 10 + MANY - 1)->exit.outcome, EXEC_SIGNALED);
    give_up(f, 2);
    for (uint32_t i = 10; i < 10 + MANY - 1; i++)
        assert_answered(client_wait(f->client, i), "late");
}

static void test_hub_that_is_gone_takes_waiting_requests_with_it(void **state)
{
    struct fixture *f = *state;
    struct client *other = client_open(f->socket);
    client_send(other, FRAME_KERNEL, 2, "deaf", 4, -1);
    for (uint32_t i = 10; i < 10 + MANY; i++)
        client_send(other, FRAME_KERNEL, i, "hold", 4, -1);
    client_close(other);
    assert_answered(run(f, 2, "echo next"), "next");
}

static void test_bridge_is_started_again(void **state)
{
    struct fixture *f = *state;
    assert_answered(run(f, 2, "end"), ""); // no whole answer, which the hub sees
    wait_until(f, "! grep -qz -- --socket-fd /proc/[0-9]*/cmdline");
    assert_answered(run(f, 3, "echo again"), "again");
}

static void test_bridge_that_is_killed_ends_its_requests(void **state)
{
    struct fixture *f = *state;
    ask(f, 2, "deaf");
    ask(f, 3, "echo it never comes to that");
    wait_until(f, "grep -lz -- --socket-fd /proc/[0-9]*/cmdline");
    fixture_run(f, "kill -9 $(grep -lz -- --socket-fd /proc/[0-9]*/cmdline | cut -d/ -f3)");
    assert_answered(client_wait(f->client, 2), "");
    assert_answered(client_wait(f->client, 3), "");
    assert_answered(run(f, 4, "echo again"), "again");
}

static void test_what_the_bridge_leaves_behind_is_ended(void **state)
{
    struct fixture *f = *state;
    assert_answered(run(f, 2, "leave"), "");
    wait_until(f, "! grep -qz left-behind /proc/[0-9]*/cmdline");
}

static void test_shutdown_tells_those_who_wait(void **state)
{
    struct fixture *f = *state;
    ask(f, 2, "deaf");
    for (uint32_t i = 10; i < 10 + MANY; i++)
        ask(f, i, "echo late");
    client_shutdown(f->client, WAIT_MS);
    assert_int_equal(client_wait(f->client, 2)->exit.outcome, EXEC_STOPPED);
    for (uint32_t i = 10; i < 10 + MANY; i++)
        assert_int_equal(client_wait(f->client, i)->exit.outcome, EXEC_STOPPED);
}

static void test_without_a_bridge_requests_say_so(void **state)
{
    struct fixture *f = *state;
    const struct client_result *r = run(f, 2, "echo no");
    assert_int_equal(r->exit.outcome, EXEC_NOT_STARTED);
    assert_int_equal(r->exit.value, ENOENT);
}

static void test_bridge_that_cannot_run_says_why(void **state)
{
    struct fixture *f = *state;
    for (uint32_t i = 10; i < 40; i++)
        ask(f, i, "echo no");
    for (uint32_t i = 10; i < 40; i++) {
        const struct client_result *r = client_wait(f->client, i);
        assert_int_equal(r->exit.outcome, EXEC_NOT_STARTED);
        assert_int_equal(r->exit.value, EACCES);
    }
}

#define TEST_WITH(name, set_up) cmocka_unit_test_setup_teardown(name, set_up, fixture_stop)
#define TEST(name)              TEST_WITH(name, start)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_requests_are_answered_by_one_bridge),
        TEST(test_bridge_finds_a_sealed_request_and_the_limits_of_commands),
        TEST(test_large_answer_is_whole),
        TEST(test_large_request_is_whole),
        TEST(test_request_that_is_given_up_loses_its_socket),
        TEST(test_hub_that_is_gone_gives_up),
        TEST(test_requests_wait_while_the_bridge_takes_none),
        TEST(test_hub_that_is_gone_takes_waiting_requests_with_it),
        TEST(test_bridge_is_started_again),
        TEST(test_bridge_that_is_killed_ends_its_requests),
        TEST(test_what_the_bridge_leaves_behind_is_ended),
        TEST(test_shutdown_tells_those_who_wait),
        TEST_WITH(test_without_a_bridge_requests_say_so, start_without),
        TEST_WITH(test_bridge_that_cannot_run_says_why, start_broken),
    };
    if (chdir("/") != 0) // a folder that the sandbox's user may enter
        return 1;
    return cmocka_run_group_tests_name("agent_kernel", tests, NULL, NULL);
}
