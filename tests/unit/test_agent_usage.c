// SPDX-License-Identifier: AGPL-3.0-or-later
// When the agent looks at what its jobs use.
#include <fcntl.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/agent.h"

static struct agent agent;

// A command that has ended may leave others behind that hold its pipes.
static void test_a_job_without_a_process_is_not_looked_at(void **state)
{
    (void)state;
    struct exec exec = {.pid = getpid()};
    struct job *job = &agent.jobs.all[0];
    agent.usage.proc.dir = -1;
    agent.proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    agent.jobs.running = 1;
    job->exec = &exec;
    usage_begin(&agent, job);
    assert_true(usage_next_ms(&agent) < UINT64_MAX);
    do
        usage_tick(&agent, 1000);
    while (agent.usage.proc.dir >= 0);
    assert_int_equal(job->usage.samples_count, 1);
    exec.pid = 0;
    assert_int_equal(usage_next_ms(&agent), UINT64_MAX);
    usage_tick(&agent, 2000);
    assert_int_equal(agent.usage.proc.dir, -1);
    close(agent.proc_fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_job_without_a_process_is_not_looked_at),
    };
    return cmocka_run_group_tests_name("agent_usage", tests, NULL, NULL);
}
