// SPDX-License-Identifier: AGPL-3.0-or-later
// Projects with the real runner, bubblewrap and agent. Where the test is started as root, the
// runners keep root and this process goes on as the unprivileged user, as the server does.
//
// COHUB_AGENT is the agent's program.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pthread.h>
#include <pwd.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "proto/frame.h"
#include "runner/agent_conn.h"
#include "runner/projects.h"
#include "runner/runner.h"

#define PATIENCE_S   60
#define HELLO_MS     10000
#define RUNNERS      2
#define OUTPUT_MAX   100000
#define FILE_MAX     (5 * 1024 * 1024)
#define SERVING_USER "cohub"

static struct fixture {
    char folder[64];
    pid_t runner_pids[RUNNERS];
    int runners[RUNNERS]; // our ends of their channels
    struct projects *projects;
    struct loop loop;
    struct uuid id; // of the test's project
    size_t open_fds;
    pthread_mutex_t lock;
    enum project_state state; // last told
    unsigned changes;
} t = {.lock = PTHREAD_MUTEX_INITIALIZER};

// ---- Setting up ----

static _Noreturn void run_runner(int channel, uid_t uid, gid_t gid)
{
    struct runner_config config = {
        .channel_fd = channel, .uid = uid, .gid = gid, .agent_path = getenv("COHUB_AGENT")};
    _exit(runner_main(&config) ? 1 : 0);
}

static void fork_runner(size_t i, uid_t uid, gid_t gid)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
    t.runner_pids[i] = fork();
    assert_true(t.runner_pids[i] >= 0);
    if (!t.runner_pids[i]) {
        close(fds[0]);
        for (size_t other = 0; other < i; other++)
            close(t.runners[other]);
        run_runner(fds[1], uid, gid);
    }
    close(fds[1]);
    t.runners[i] = fds[0];
}

static void become(uid_t uid, gid_t gid)
{
    assert_int_equal(setgroups(0, NULL), 0);
    assert_int_equal(setresgid(gid, gid, gid), 0);
    assert_int_equal(setresuid(uid, uid, uid), 0);
    // Or its own /proc/self/fd is closed to it.
    assert_int_equal(prctl(PR_SET_DUMPABLE, 1), 0);
}

static int setup_all(void **state)
{
    (void)state;
    uid_t uid = getuid();
    gid_t gid = getgid();
    if (!uid) {
        const struct passwd *user = getpwnam(SERVING_USER);
        assert_non_null(user);
        uid = user->pw_uid;
        gid = user->pw_gid;
    }
    assert_non_null(getenv("COHUB_AGENT"));
    snprintf(t.folder, sizeof t.folder, "/tmp/test-sandbox-XXXXXX");
    assert_non_null(mkdtemp(t.folder));
    assert_int_equal(chown(t.folder, uid, gid), 0);
    assert_int_equal(chdir(t.folder), 0);
    for (size_t i = 0; i < RUNNERS; i++)
        fork_runner(i, uid, gid);
    if (!getuid())
        become(uid, gid);
    assert_int_equal(mkdir("projects", 0700), 0);
    assert_int_equal(mkdir("run", 0700), 0);
    assert_int_equal(mkdir("images", 0700), 0);
    struct loop loop; // the first of a process opens descriptors that stay
    struct err err;
    assert_int_equal(loop_init(&loop, &err), 0);
    loop_dispose(&loop);
    return 0;
}

static int teardown_all(void **state)
{
    (void)state;
    for (size_t i = 0; i < RUNNERS; i++) {
        int status;
        fd_close(&t.runners[i]);
        assert_int_equal(waitpid(t.runner_pids[i], &status, 0), t.runner_pids[i]);
        assert_int_equal(status, 0);
    }
    // What lies directly in /tmp, root made.
    char command[192];
    snprintf(command, sizeof command, "rm -rf %s/* && (rmdir %s 2>/dev/null || true)", t.folder,
             t.folder);
    return system(command);
}

static size_t count_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    assert_non_null(dir);
    size_t count = 0;
    while (readdir(dir))
        count++;
    closedir(dir);
    return count;
}

static int on_load(void *ctx, const struct uuid *id, struct project_spec *ret_spec, struct err *err)
{
    (void)ctx;
    (void)id;
    (void)err;
    ret_spec->env = mem_zalloc(2 * sizeof *ret_spec->env);
    ret_spec->env[0] = mem_strdup("GREETING=hello world");
    return 0;
}

static void on_changed(void *ctx, const struct uuid *id, enum project_state state,
                       int64_t seen_ms UNUSED, const char *error)
{
    (void)ctx;
    (void)id;
    (void)error;
    pthread_mutex_lock(&t.lock);
    t.state = state;
    t.changes++;
    pthread_mutex_unlock(&t.lock);
}

static unsigned changes(void)
{
    pthread_mutex_lock(&t.lock);
    unsigned count = t.changes;
    pthread_mutex_unlock(&t.lock);
    return count;
}

static void open_projects(size_t runner)
{
    struct projects_config config = {
        .start_timeout_ms = 30000, .load = on_load, .changed = on_changed};
    config.runner_fd = fcntl(t.runners[runner], F_DUPFD_CLOEXEC, 0);
    struct err err;
    assert_int_equal(projects_open(&config, &t.projects, &err), 0);
}

static int setup(void **state)
{
    (void)state;
    t.open_fds = count_fds();
    t.id = uuid_new();
    struct err err;
    assert_int_equal(loop_init(&t.loop, &err), 0);
    open_projects(0);
    return 0;
}

// ---- Calls ----

struct test_exec {
    struct exec_call exec;
    bool done;
};

struct test_file {
    struct file_call file;
    bool done;
};

struct test_stop {
    struct project_call call;
    bool done;
};

static void on_exec_done(struct project_call *call)
{
    CONTAINER(call, struct test_exec, exec.call)->done = true;
}

static void on_file_done(struct project_call *call)
{
    CONTAINER(call, struct test_file, file.call)->done = true;
}

static void on_stop_done(struct project_call *call)
{
    CONTAINER(call, struct test_stop, call)->done = true;
}

static void wait_done(const bool *done)
{
    uint64_t limit = clock_monotonic_us() + PATIENCE_S * 1000000ull;
    while (!*done) {
        assert_true(clock_monotonic_us() < limit);
        uv_run(&t.loop.uv, UV_RUN_ONCE);
    }
}

static struct test_exec script_of(const char *text)
{
    return (struct test_exec){
        .exec = {.call = {.project_id = t.id, .loop = &t.loop, .done = on_exec_done},
                 .path = "/",
                 .command = text,
                 .script = true,
                 .output_max = OUTPUT_MAX}};
}

static void run(struct test_exec *exec)
{
    projects_exec(t.projects, &exec->exec);
    wait_done(&exec->done);
    if (exec->exec.call.rc)
        print_error("%s (%s)\n", exec->exec.call.err.message, exec->exec.call.err.detail);
}

static void expect_output(const char *script, const char *output)
{
    struct test_exec exec = script_of(script);
    run(&exec);
    assert_int_equal(exec.exec.call.rc, 0);
    assert_int_equal(exec.exec.outcome, EXEC_EXITED);
    assert_string_equal(buf_cstr(&exec.exec.output), output);
    exec_call_dispose(&exec.exec);
}

// One that is about to end may listen still, but greets nobody.
static bool agent_answers(void)
{
    auto_fd int fd = -1;
    if (agent_socket_connect(&t.id, &fd))
        return false;
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    uint8_t head[sizeof(struct frame_header)];
    struct frame_header header;
    return poll(&poll_fd, 1, HELLO_MS) == 1 &&
           recv(fd, head, sizeof head, MSG_DONTWAIT) == sizeof head &&
           frame_read_header(head, &header) && header.type == FRAME_HELLO;
}

static void stop(void)
{
    struct test_stop stop = {.call = {.project_id = t.id, .loop = &t.loop, .done = on_stop_done}};
    projects_stop(t.projects, &stop.call);
    wait_done(&stop.done);
    assert_int_equal(stop.call.rc, 0);
    assert_false(agent_answers());
}

static int teardown(void **state)
{
    (void)state;
    stop();
    assert_int_equal(projects_running(t.projects), 0);
    projects_close(TAKE_PTR(t.projects));
    loop_dispose(&t.loop);
    assert_int_equal(count_fds(), t.open_fds);
    return 0;
}

// The agent's process as the host sees it.
static pid_t agent_pid(void)
{
    char path[128];
    snprintf(path, sizeof path, "run/%s/info", t.id.text);
    auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    auto_buf struct buf text = {0};
    assert_int_equal(fd_read_all(fd, 4096, &text), 0);
    const char *at = strstr(buf_cstr(&text), "\"child-pid\":");
    assert_non_null(at);
    long pid = strtol(at + strlen("\"child-pid\":"), NULL, 10);
    assert_true(pid > 1);
    return (pid_t)pid;
}

// ---- Commands ----

static void test_program(void **state)
{
    (void)state;
    char home[64], expected[80];
    snprintf(home, sizeof home, "/projects/%s", t.id.text);
    snprintf(expected, sizeof expected, "%s\n", home);
    struct test_exec exec = script_of("pwd");
    exec.exec.script = false;
    exec.exec.path = home;
    run(&exec);
    assert_int_equal(exec.exec.call.rc, 0);
    assert_int_equal(exec.exec.value, 0);
    assert_string_equal(buf_cstr(&exec.exec.output), expected);
    assert_string_equal(buf_cstr(&exec.exec.ran), "pwd");
    assert_int_equal(projects_running(t.projects), 1);
    assert_true(agent_answers());
    exec_call_dispose(&exec.exec);

    static const char *const args[] = {"-n", "two words"};
    struct test_exec echo = script_of("echo");
    echo.exec.script = false;
    echo.exec.args = args;
    echo.exec.args_count = 2;
    run(&echo);
    assert_string_equal(buf_cstr(&echo.exec.output), "two words");
    exec_call_dispose(&echo.exec);
}

static void test_outcomes(void **state)
{
    (void)state;
    struct test_exec exec = script_of("echo out; echo err >&2; exit 7");
    run(&exec);
    assert_int_equal(exec.exec.call.rc, 0);
    assert_int_equal(exec.exec.outcome, EXEC_EXITED);
    assert_int_equal(exec.exec.value, 7);
    assert_string_equal(buf_cstr(&exec.exec.output), "out\n");
    assert_string_equal(buf_cstr(&exec.exec.error_output), "err\n");
    exec_call_dispose(&exec.exec);

    struct test_exec killed = script_of("kill -15 $$");
    run(&killed);
    assert_int_equal(killed.exec.outcome, EXEC_SIGNALED);
    assert_int_equal(killed.exec.value, SIGTERM);
    exec_call_dispose(&killed.exec);

    struct test_exec missing = script_of("no-such-program");
    missing.exec.script = false;
    run(&missing);
    assert_int_equal(missing.exec.call.rc, 0);
    assert_int_equal(missing.exec.outcome, EXEC_NOT_STARTED);
    assert_int_equal(missing.exec.value, ENOENT);
    exec_call_dispose(&missing.exec);
    expect_output("echo \"$GREETING\"", "hello world\n");
}

static void test_output_cap(void **state)
{
    (void)state;
    struct test_exec exec = script_of("head -c 30000000 /dev/zero");
    run(&exec);
    assert_int_equal(exec.exec.call.rc, 0);
    assert_int_equal(exec.exec.output.size, OUTPUT_MAX);
    assert_int_equal(exec.exec.output_total, 30000000);
    exec_call_dispose(&exec.exec);
}

// The whole tree ends at the limit, a process with a session of its own too.
static void test_timeout(void **state)
{
    (void)state;
    struct test_exec exec =
        script_of("setsid -f sleep 1007; (sleep 1007 &) ; echo begun; sleep 1007");
    exec.exec.timeout_ms = 3000;
    run(&exec);
    assert_int_equal(exec.exec.call.rc, 0);
    assert_int_equal(exec.exec.outcome, EXEC_TIMED_OUT);
    assert_string_equal(buf_cstr(&exec.exec.output), "begun\n");
    exec_call_dispose(&exec.exec);
    expect_output("cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -c 'sleep 100[7]'", "0\n");
}

#define MANY 1000

static void test_many_at_once(void **state)
{
    (void)state;
    expect_output("echo ready", "ready\n");
    struct test_exec *execs = mem_zalloc(MANY * sizeof *execs);
    static const char *const args[] = {"0.2"};
    for (size_t i = 0; i < MANY; i++) {
        execs[i] = script_of("sleep");
        execs[i].exec.script = false;
        execs[i].exec.args = args;
        execs[i].exec.args_count = 1;
        projects_exec(t.projects, &execs[i].exec);
    }
    for (size_t i = 0; i < MANY; i++) {
        wait_done(&execs[i].done);
        assert_int_equal(execs[i].exec.call.rc, 0);
        assert_int_equal(execs[i].exec.outcome, EXEC_EXITED);
        assert_int_equal(execs[i].exec.value, 0);
        exec_call_dispose(&execs[i].exec);
    }
    free(execs);
}

// ---- Files ----

static struct test_file file_of(const char *path)
{
    return (struct test_file){
        .file = {.call = {.project_id = t.id, .loop = &t.loop, .done = on_file_done},
                 .path = path,
                 .size_max = FILE_MAX}};
}

static void test_files(void **state)
{
    (void)state;
    auto_free char *content = mem_alloc(FILE_MAX);
    for (size_t i = 0; i < FILE_MAX; i++)
        content[i] = (char)(i * 7 + i / 1000);
    struct test_file file = file_of("/tmp/a/b/c.bin");
    file.file.write = true;
    file.file.content = content;
    file.file.content_size = FILE_MAX;
    projects_file(t.projects, &file.file);
    wait_done(&file.done);
    assert_int_equal(file.file.call.rc, 0);

    struct test_file read = file_of("/tmp/a/b/c.bin");
    projects_file(t.projects, &read.file);
    wait_done(&read.done);
    assert_int_equal(read.file.call.rc, 0);
    assert_int_equal(read.file.size, FILE_MAX);
    assert_int_equal(read.file.data.size, FILE_MAX);
    assert_memory_equal(read.file.data.data, content, FILE_MAX);
    file_call_dispose(&read.file);

    struct test_file small = file_of("/tmp/a/b/c.bin");
    small.file.size_max = 10;
    projects_file(t.projects, &small.file);
    wait_done(&small.done);
    assert_int_equal(small.file.call.rc, -ERR_TOO_LARGE);
    assert_int_equal(small.file.size, FILE_MAX);
    file_call_dispose(&small.file);

    struct test_file missing = file_of("/tmp/missing");
    projects_file(t.projects, &missing.file);
    wait_done(&missing.done);
    assert_int_equal(missing.file.call.rc, -ERR_NOT_FOUND);
    assert_int_equal(missing.file.call.err.sys_errno, ENOENT);
    file_call_dispose(&missing.file);

    struct test_file refused = file_of("/usr/x");
    refused.file.write = true;
    refused.file.content = "";
    projects_file(t.projects, &refused.file);
    wait_done(&refused.done);
    assert_true(refused.file.call.rc < 0);
    file_call_dispose(&refused.file);
}

// ---- Ends and beginnings ----

static void test_survives_the_hub(void **state)
{
    (void)state;
    expect_output("echo kept > /tmp/marker", "");
    projects_close(TAKE_PTR(t.projects));
    assert_true(agent_answers());
    open_projects(0);
    unsigned before = changes();
    projects_adopt(t.projects, &t.id, 1);
    expect_output("cat /tmp/marker", "kept\n");
    assert_int_equal(changes(), before);
}

static void test_survives_the_runner(void **state)
{
    (void)state;
    expect_output("echo kept > /tmp/marker", "");
    projects_runner_replaced(t.projects, fcntl(t.runners[1], F_DUPFD_CLOEXEC, 0));
    expect_output("cat /tmp/marker", "kept\n");
    // The new one ends what the old one started, and starts it again.
    stop();
    expect_output("cat /tmp/marker 2>/dev/null; echo fresh", "fresh\n");
}

static void test_agent_killed(void **state)
{
    (void)state;
    struct test_exec exec = script_of("echo begun; sleep 1000");
    expect_output("echo ready", "ready\n");
    projects_exec(t.projects, &exec.exec);
    expect_output("echo behind", "behind\n");
    assert_int_equal(kill(agent_pid(), SIGKILL), 0);
    wait_done(&exec.done);
    assert_int_equal(exec.exec.call.rc, -ERR_UNAVAILABLE);
    assert_string_equal(exec.exec.call.err.message,
                        "the project stopped while the command was running");
    exec_call_dispose(&exec.exec);
    expect_output("echo again", "again\n");
}

// An agent that does nothing any more is ended from outside.
static void test_stop_by_force(void **state)
{
    (void)state;
    expect_output("echo ready", "ready\n");
    assert_int_equal(kill(agent_pid(), SIGSTOP), 0);
    stop();
    expect_output("echo again", "again\n");
}

static void test_stop_and_start(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++) {
        struct test_exec exec = script_of("echo up");
        struct test_stop stop_call = {
            .call = {.project_id = t.id, .loop = &t.loop, .done = on_stop_done}};
        expect_output("echo up", "up\n");
        projects_stop(t.projects, &stop_call.call);
        run(&exec);
        assert_true(stop_call.done);
        assert_int_equal(exec.exec.call.rc, 0);
        assert_string_equal(buf_cstr(&exec.exec.output), "up\n");
        exec_call_dispose(&exec.exec);
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    log_init(LOG_WARNING, false);
    const struct CMUnitTest tests[] = {
        TEST(test_program),          TEST(test_outcomes),
        TEST(test_output_cap),       TEST(test_timeout),
        TEST(test_many_at_once),     TEST(test_files),
        TEST(test_survives_the_hub), TEST(test_survives_the_runner),
        TEST(test_agent_killed),     TEST(test_stop_by_force),
        TEST(test_stop_and_start),
    };
    return cmocka_run_group_tests(tests, setup_all, teardown_all);
}
