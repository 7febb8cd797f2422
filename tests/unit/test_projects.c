// SPDX-License-Identifier: AGPL-3.0-or-later
// The state machine of projects, against a runner and agents that the test plays itself: it reads
// what the projects' thread sends, step by step, and answers what the case at hand is about.
#include "runner/projects.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "runner/runner.h"

#define PATIENCE_S   60
#define CHANGES_KEEP 2048

struct change {
    struct uuid id;
    enum project_state state;
    char error[200];
};

static struct fixture {
    struct projects *projects;
    struct loop loop; // on which calls are answered
    int runner;       // the runner's end of the channel
    int load_rc;
    bool load_waits; // for `gate`, once it has posted `loading`
    sem_t loading, gate;
    uint32_t start_timeout_ms;
    pthread_mutex_t lock;
    pthread_cond_t news;
    struct change changes[CHANGES_KEEP];
    size_t changes_count, changes_seen;
    unsigned jobs_ended;
    size_t open_fds;
} t;

// ---- The projects' side ----

static int on_load(void *ctx, const struct uuid *id, struct project_spec *ret_spec, struct err *err)
{
    (void)ctx;
    (void)id;
    if (t.load_waits) {
        sem_post(&t.loading);
        sem_wait(&t.gate);
    }
    if (t.load_rc)
        return err_set(err, ERR_NOT_FOUND, "no such project");
    ret_spec->image = mem_strdup("stretch");
    ret_spec->network = true;
    ret_spec->env = mem_zalloc(3 * sizeof *ret_spec->env);
    ret_spec->env[0] = mem_strdup("A=1");
    ret_spec->env[1] = mem_strdup("B=two");
    return 0;
}

static void on_changed(void *ctx, const struct uuid *id, enum project_state state,
                       int64_t seen_ms UNUSED, const char *error)
{
    (void)ctx;
    pthread_mutex_lock(&t.lock);
    assert_true(t.changes_count < CHANGES_KEEP);
    struct change *change = &t.changes[t.changes_count++];
    change->id = *id;
    change->state = state;
    snprintf(change->error, sizeof change->error, "%s", error ? error : "");
    pthread_cond_signal(&t.news);
    pthread_mutex_unlock(&t.lock);
}

static void on_jobs_ended(void *ctx, const struct uuid *id UNUSED)
{
    (void)ctx;
    pthread_mutex_lock(&t.lock);
    t.jobs_ended++;
    pthread_cond_signal(&t.news);
    pthread_mutex_unlock(&t.lock);
}

// The next change of state, waited for.
static struct change next_change(void)
{
    struct timespec limit;
    clock_gettime(CLOCK_REALTIME, &limit);
    limit.tv_sec += PATIENCE_S;
    pthread_mutex_lock(&t.lock);
    while (t.changes_seen == t.changes_count)
        assert_int_equal(pthread_cond_timedwait(&t.news, &t.lock, &limit), 0);
    struct change change = t.changes[t.changes_seen++];
    pthread_mutex_unlock(&t.lock);
    return change;
}

static void expect_change(const struct uuid *id, enum project_state state)
{
    struct change change = next_change();
    assert_string_equal(project_state_name(change.state), project_state_name(state));
    assert_string_equal(change.id.text, id->text);
}

static void expect_no_change(void)
{
    pthread_mutex_lock(&t.lock);
    assert_int_equal(t.changes_seen, t.changes_count);
    pthread_mutex_unlock(&t.lock);
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

static int new_channel(int *ret_theirs)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
    struct timeval limit = {.tv_sec = PATIENCE_S};
    setsockopt(fds[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    *ret_theirs = fds[1];
    return fds[0];
}

static void open_projects(void)
{
    struct projects_config config = {.start_timeout_ms = t.start_timeout_ms,
                                     .load = on_load,
                                     .changed = on_changed,
                                     .jobs_ended = on_jobs_ended};
    t.runner = new_channel(&config.runner_fd);
    struct err err;
    assert_int_equal(projects_open(&config, &t.projects, &err), 0);
}

static void close_projects(void)
{
    if (t.projects)
        projects_close(TAKE_PTR(t.projects));
    fd_close(&t.runner);
}

static int setup(void **state)
{
    (void)state;
    t = (struct fixture){.runner = -1, .start_timeout_ms = 60000};
    pthread_mutex_init(&t.lock, NULL);
    pthread_cond_init(&t.news, NULL);
    sem_init(&t.loading, 0, 0);
    sem_init(&t.gate, 0, 0);
    char folder[] = "/tmp/test-projects-XXXXXX";
    if (!mkdtemp(folder) || chdir(folder) || mkdir("run", 0700))
        return -1;
    t.open_fds = count_fds();
    struct err err;
    if (loop_init(&t.loop, &err))
        return -1;
    open_projects();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    close_projects();
    loop_dispose(&t.loop);
    assert_int_equal(count_fds(), t.open_fds);
    char folder[64], command[96];
    assert_non_null(getcwd(folder, sizeof folder));
    assert_int_equal(chdir("/"), 0);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
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

struct test_call {
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

static void on_call_done(struct project_call *call)
{
    CONTAINER(call, struct test_call, call)->done = true;
}

static void wait_done(const bool *done)
{
    uint64_t limit = clock_monotonic_us() + PATIENCE_S * 1000000ull;
    while (!*done) {
        assert_true(clock_monotonic_us() < limit);
        uv_run(&t.loop.uv, UV_RUN_ONCE);
    }
}

static struct test_exec exec_of(const struct uuid *id)
{
    return (struct test_exec){
        .exec = {.call = {.project_id = *id, .loop = &t.loop, .done = on_exec_done},
                 .path = "/home",
                 .command = "echo",
                 .output_max = 1000}};
}

static struct test_file file_of(const struct uuid *id, const char *path)
{
    return (struct test_file){
        .file = {.call = {.project_id = *id, .loop = &t.loop, .done = on_file_done},
                 .path = path,
                 .size_max = 100}};
}

static struct test_call call_of(const struct uuid *id)
{
    return (struct test_call){.call = {.project_id = *id, .loop = &t.loop, .done = on_call_done}};
}

static void expect_failure(const struct project_call *call, enum err_code code, const char *message)
{
    assert_int_equal(call->rc, -(int)code);
    assert_int_equal(call->err.code, code);
    assert_string_equal(call->err.message, message);
}

// ---- The runner that the test plays ----

static void expect_asked(uint32_t type, const struct uuid *id, struct runner_request *ret_asked)
{
    ssize_t n = recv(t.runner, ret_asked, sizeof *ret_asked, 0);
    assert_true(n >= (ssize_t)RUNNER_REQUEST_SIZE(0));
    assert_int_equal(n, RUNNER_REQUEST_SIZE(ret_asked->data_size));
    assert_int_equal(ret_asked->type, type);
    assert_string_equal(ret_asked->uuid, id->text);
}

static void expect_nothing_asked(void)
{
    char byte;
    assert_int_equal(recv(t.runner, &byte, 1, MSG_DONTWAIT), -1);
    assert_int_equal(errno, EAGAIN);
}

static void tell(uint32_t type, uint64_t seq, const struct uuid *id, int32_t value,
                 const char *text)
{
    struct runner_message message = {.type = type, .seq = seq, .value = value};
    memcpy(message.uuid, id->text, sizeof message.uuid);
    snprintf(message.text, sizeof message.text, "%s", text);
    assert_int_equal(send(t.runner, &message, sizeof message, MSG_NOSIGNAL), sizeof message);
}

static void answer(const struct runner_request *asked, const struct uuid *id, int32_t sys_errno,
                   const char *text)
{
    tell(RUNNER_REPLY, asked->seq, id, sys_errno, text);
}

// ---- The agent that the test plays ----

static struct sockaddr_un agent_address(const struct uuid *id)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "run/%s", id->text);
    mkdir(address.sun_path, 0700);
    snprintf(address.sun_path, sizeof address.sun_path, "run/%s/agent.sock", id->text);
    return address;
}

static int agent_listen(const struct uuid *id)
{
    struct sockaddr_un address = agent_address(id);
    unlink(address.sun_path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 16), 0);
    struct timeval limit = {.tv_sec = PATIENCE_S};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    return fd;
}

static int agent_accept(int listener)
{
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    assert_true(fd >= 0);
    struct timeval limit = {.tv_sec = PATIENCE_S};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    return fd;
}

static void send_all(int fd, const void *bytes, size_t size)
{
    assert_int_equal(send(fd, bytes, size, MSG_NOSIGNAL), size);
}

static void send_frame(int fd, enum frame_type type, uint32_t stream, const void *payload,
                       size_t size)
{
    uint8_t frame[sizeof(struct frame_header) + FRAME_OUTPUT_MAX];
    size_t at = frame_write_header(frame, type, stream, size);
    assert_true(size <= sizeof frame - at);
    if (size)
        memcpy(frame + at, payload, size);
    send_all(fd, frame, at + size);
}

static void send_hello_of(int fd, uint32_t version, uint32_t jobs)
{
    const struct frame_hello hello = {version, jobs};
    send_frame(fd, FRAME_HELLO, 0, &hello, version < 3 ? sizeof hello.version : sizeof hello);
}

static void send_hello(int fd)
{
    send_hello_of(fd, FRAME_PROTOCOL_VERSION, 0);
}

static void send_exit(int fd, uint32_t stream, uint32_t outcome, int32_t value, uint64_t size,
                      const char *text)
{
    uint8_t payload[512];
    struct frame_exit end = {.outcome = outcome, .value = value, .size = size};
    memcpy(payload, &end, sizeof end);
    size_t text_size = frame_write_text(payload + sizeof end, text, strlen(text));
    send_frame(fd, FRAME_EXIT, stream, payload, sizeof end + text_size);
}

struct asked_frame {
    struct frame_header header;
    struct buf payload;
    int fd;
};

static void receive_exactly(int fd, void *out, size_t size)
{
    for (size_t at = 0; at < size;) {
        ssize_t n = recv(fd, (char *)out + at, size - at, 0);
        assert_true(n > 0);
        at += (size_t)n;
    }
}

static void read_frame(int fd, struct asked_frame *ret_frame)
{
    char control[CMSG_SPACE(sizeof(int))];
    struct iovec iov = {&ret_frame->header, sizeof ret_frame->header};
    struct msghdr message = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    assert_int_equal(recvmsg(fd, &message, MSG_WAITALL | MSG_CMSG_CLOEXEC),
                     sizeof ret_frame->header);
    struct cmsghdr *cmsg = CMSG_FIRSTHDR(&message);
    ret_frame->fd = -1;
    if (cmsg)
        memcpy(&ret_frame->fd, CMSG_DATA(cmsg), sizeof ret_frame->fd);
    ret_frame->payload = (struct buf){0};
    receive_exactly(fd, buf_reserve(&ret_frame->payload, ret_frame->header.size),
                    ret_frame->header.size);
    ret_frame->payload.size = ret_frame->header.size;
}

// Reads a frame of this type and returns its stream.
static uint32_t expect_frame(int fd, enum frame_type type)
{
    struct asked_frame frame;
    read_frame(fd, &frame);
    assert_int_equal(frame.header.type, type);
    fd_close(&frame.fd);
    buf_dispose(&frame.payload);
    return frame.header.stream;
}

static void expect_end(int fd)
{
    char byte;
    ssize_t n = recv(fd, &byte, 1, 0);
    assert_true(n == 0 || (n < 0 && errno == ECONNRESET));
}

struct agent {
    int listener, conn;
};

// Plays a start that goes well, from START to the hello.
static struct agent play_start(const struct uuid *id)
{
    struct runner_request asked;
    struct agent agent;
    expect_asked(RUNNER_START, id, &asked);
    expect_change(id, PROJECT_STARTING);
    agent.listener = agent_listen(id);
    answer(&asked, id, 0, "");
    agent.conn = agent_accept(agent.listener);
    send_hello(agent.conn);
    expect_change(id, PROJECT_RUNNING);
    return agent;
}

// A project that runs with nothing under way.
static struct agent play_running(const struct uuid *id)
{
    struct test_call start = call_of(id);
    projects_start(t.projects, &start.call, 0);
    struct agent agent = play_start(id);
    wait_done(&start.done);
    assert_int_equal(start.call.rc, 0);
    return agent;
}

static void agent_end(struct agent *agent)
{
    fd_close(&agent->listener);
    fd_close(&agent->conn);
}

// Returns when the thread has dealt with all that was submitted before.
static void wait_for_thread(void)
{
    struct uuid nobody = uuid_new();
    struct test_call stop = call_of(&nobody);
    projects_stop(t.projects, &stop.call);
    wait_done(&stop.done);
}

static void expect_none_running(void)
{
    wait_for_thread();
    assert_int_equal(projects_running(t.projects), 0);
}

static void serve_one(int conn)
{
    send_exit(conn, expect_frame(conn, FRAME_EXEC), EXEC_EXITED, 0, 0, "");
}

// ---- Starting ----

static void check_start_request(const struct runner_request *asked)
{
    static const char env[] = "A=1\0B=two";
    assert_int_equal(asked->flags, 1);
    assert_string_equal(asked->image, "stretch");
    assert_int_equal(asked->data_size, sizeof env);
    assert_memory_equal(asked->data, env, sizeof env);
}

static void check_exec_frame(const struct asked_frame *frame)
{
    const uint8_t *payload = (const uint8_t *)frame->payload.data;
    size_t at = 0, size;
    struct frame_exec fixed;
    const char *text;
    assert_int_equal(frame->header.type, FRAME_EXEC);
    assert_true(frame_read_struct(payload, frame->payload.size, &at, &fixed, sizeof fixed));
    assert_int_equal(fixed.timeout_ms, 5000);
    assert_int_equal(fixed.cpu_seconds, 7);
    assert_int_equal(fixed.script, 0);
    assert_int_equal(fixed.args_count, 2);
    static const char *const texts[] = {"/home", "echo", "one", ""};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        assert_true(frame_read_text(payload, frame->payload.size, &at, &text, &size));
        assert_int_equal(size, strlen(texts[i]));
        assert_memory_equal(text, texts[i], size);
    }
    assert_int_equal(at, frame->payload.size);
}

static void test_exec_starts_project(void **state)
{
    (void)state;
    struct uuid id = uuid_new();
    static const char *const args[] = {"one", ""};
    struct test_exec exec = exec_of(&id);
    exec.exec.args = args;
    exec.exec.args_count = 2;
    exec.exec.timeout_ms = 5000;
    exec.exec.cpu_seconds = 7;
    projects_exec(t.projects, &exec.exec);

    struct runner_request asked;
    expect_asked(RUNNER_START, &id, &asked);
    check_start_request(&asked);
    expect_change(&id, PROJECT_STARTING);
    struct agent agent = {.listener = agent_listen(&id)};
    answer(&asked, &id, 0, "");
    agent.conn = agent_accept(agent.listener);
    expect_no_change();
    send_hello(agent.conn);
    expect_change(&id, PROJECT_RUNNING);
    struct asked_frame frame;
    read_frame(agent.conn, &frame);
    check_exec_frame(&frame);
    buf_dispose(&frame.payload);
    send_frame(agent.conn, FRAME_STDOUT, frame.header.stream, "out", 3);
    send_frame(agent.conn, FRAME_STDERR, frame.header.stream, "error", 5);
    send_exit(agent.conn, frame.header.stream, EXEC_EXITED, 3, 0, "echo one ");
    wait_done(&exec.done);
    assert_int_equal(exec.exec.call.rc, 0);
    assert_int_equal(exec.exec.outcome, EXEC_EXITED);
    assert_int_equal(exec.exec.value, 3);
    assert_string_equal(buf_cstr(&exec.exec.output), "out");
    assert_string_equal(buf_cstr(&exec.exec.error_output), "error");
    assert_string_equal(buf_cstr(&exec.exec.ran), "echo one ");
    assert_int_equal(projects_running(t.projects), 1);
    exec_call_dispose(&exec.exec);
    agent_end(&agent);
}

static void test_found_running(void **state)
{
    (void)state;
    struct uuid id = uuid_new();
    struct agent agent = {.listener = agent_listen(&id)};
    struct test_exec exec = exec_of(&id);
    projects_exec(t.projects, &exec.exec);
    agent.conn = agent_accept(agent.listener);
    send_hello(agent.conn);
    expect_change(&id, PROJECT_RUNNING);
    serve_one(agent.conn);
    wait_done(&exec.done);
    assert_int_equal(exec.exec.call.rc, 0);
    expect_nothing_asked();
    exec_call_dispose(&exec.exec);
    agent_end(&agent);
}

struct test_ask {
    struct ask_call ask;
    bool done;
};

static void on_ask_done(struct project_call *call)
{
    CONTAINER(call, struct test_ask, ask.call)->done = true;
}

static struct test_ask ask_of(const struct uuid *id, enum frame_type type)
{
    return (struct test_ask){
        .ask = {.call = {.project_id = *id, .loop = &t.loop, .done = on_ask_done},
                .type = type,
                .request = "{}",
                .request_size = 2,
                .reply_max = 100}};
}

static const char too_old[] = "the project was started by an earlier version of the server, "
                              "which cannot do this; restart the project";

// Of a sandbox that was started before the hub was upgraded. What it does not know is refused
// before it is sent, and the rest goes on.
static void test_agent_of_version_1(void **state)
{
    (void)state;
    static const char *const env[] = {"A=b"};
    struct uuid id = uuid_new();
    struct agent agent = {.listener = agent_listen(&id)};
    struct test_exec plain = exec_of(&id), with_env = exec_of(&id);
    struct test_ask kernel = ask_of(&id, FRAME_KERNEL);
    with_env.exec.env = env;
    with_env.exec.env_count = 1;
    projects_exec(t.projects, &with_env.exec);
    projects_ask(t.projects, &kernel.ask);
    projects_exec(t.projects, &plain.exec);
    agent.conn = agent_accept(agent.listener);
    send_hello_of(agent.conn, 1, 0);
    serve_one(agent.conn);
    wait_done(&with_env.done);
    wait_done(&kernel.done);
    wait_done(&plain.done);
    expect_failure(&with_env.exec.call, ERR_UNAVAILABLE, too_old);
    expect_failure(&kernel.ask.call, ERR_UNAVAILABLE, too_old);
    assert_int_equal(plain.exec.call.rc, 0);
    exec_call_dispose(&plain.exec);
    exec_call_dispose(&with_env.exec);
    ask_call_dispose(&kernel.ask);
    agent_end(&agent);
}

// It has kernels, but no jobs.
static void test_agent_of_version_2(void **state)
{
    (void)state;
    struct uuid id = uuid_new();
    struct agent agent = {.listener = agent_listen(&id)};
    struct test_ask kernel = ask_of(&id, FRAME_KERNEL), job = ask_of(&id, FRAME_JOB);
    projects_ask(t.projects, &job.ask);
    projects_ask(t.projects, &kernel.ask);
    agent.conn = agent_accept(agent.listener);
    send_hello_of(agent.conn, 2, 0);
    send_exit(agent.conn, expect_frame(agent.conn, FRAME_KERNEL), EXEC_EXITED, 0, 0, "");
    wait_done(&job.done);
    wait_done(&kernel.done);
    expect_failure(&job.ask.call, ERR_UNAVAILABLE, too_old);
    assert_int_equal(kernel.ask.call.rc, 0);
    ask_call_dispose(&job.ask);
    ask_call_dispose(&kernel.ask);
    agent_end(&agent);
}

// Of what the agent was given and has not answered, nobody knows whether it is done.
static void test_question_without_an_answer(void **state)
{
    (void)state;
    struct uuid id = uuid_new();
    struct agent agent = {.listener = agent_listen(&id)};
    struct test_ask impatient = ask_of(&id, FRAME_JOB), given = ask_of(&id, FRAME_JOB);
    impatient.ask.start_wait_ms = 1;
    projects_ask(t.projects, &impatient.ask);
    wait_done(&impatient.done);
    expect_failure(&impatient.ask.call, ERR_TIMEOUT, "timeout");
    assert_false(impatient.ask.handed_over);
    given.ask.timeout_ms = 1;
    projects_ask(t.projects, &given.ask);
    agent.conn = agent_accept(agent.listener);
    send_hello(agent.conn);
    wait_done(&given.done);
    expect_failure(&given.ask.call, ERR_TIMEOUT, "timeout");
    assert_true(given.ask.handed_over);
    agent_end(&agent);
}

static void test_wait_shorter_than_start(void **state)
{
    (void)state;
    struct uuid id = uuid_new();
    struct test_exec impatient = exec_of(&id);
    impatient.exec.start_wait_ms = 30;
    projects_exec(t.projects, &impatient.exec);
    wait_done(&impatient.done);
    expect_failure(&impatient.exec.call, ERR_TIMEOUT, "timeout");

    // The start goes on, and who comes later joins it.
    struct test_call patient = call_of(&id);
    projects_start(t.projects, &patient.call, 0);
    struct agent agent = play_start(&id);
    wait_done(&patient.done);
    assert_int_equal(patient.call.rc, 0);
    expect_nothing_asked();
    agent_end(&agent);
}

static void test_load_refuses(void **state)
{
    (void)state;
    struct uuid id = uuid_new();
    t.load_rc = -1;
    struct test_exec exec = exec_of(&id);
    projects_exec(t.projects, &exec.exec);
    wait_done(&exec.done);
    expect_failure(&exec.exec.call, ERR_NOT_FOUND, "no such project");
    expect_change(&id, PROJECT_STARTING);
    struct change change = next_change();
    assert_int_equal(change.state, PROJECT_OPENED);
    assert_string_equal(change.error, "no such project");
}

static void expect_start_failed(struct test_exec *exec, const struct uuid *id, const char *detail)
{
    wait_done(&exec->done);
    expect_failure(&exec->exec.call, ERR_UNAVAILABLE, "the project failed to start");
    assert_non_null(strstr(exec->exec.call.err.detail, detail));
    expect_change(id, PROJECT_STARTING);
    struct change change = next_change();
    assert_int_equal(change.state, PROJECT_OPENED);
    assert_string_equal(change.error, "the project failed to start");
    expect_none_running();
}

static void test_runner_refuses(void **state)
{
    (void)state;
    struct uuid id = uuid_new();
    struct test_exec exec = exec_of(&id);
    projects_exec(t.projects, &exec.exec);
    struct runner_request asked;
    expect_asked(RUNNER_START, &id, &asked);
    answer(&asked, &id, ENOMEM, "no cgroup");
    expect_start_failed(&exec, &id, "ENOMEM: no cgroup");

    // A request that it finds malformed it answers without a name.
    struct test_exec again = exec_of(&id);
    projects_exec(t.projects, &again.exec);
    expect_asked(RUNNER_START, &id, &asked);
    struct uuid nobody = {""};
    answer(&asked, &nobody, EINVAL, "malformed request");
    expect_start_failed(&again, &id, "EINVAL: malformed request");
}

// `listens`: the sandbox ends after the connection was made, or before.
static void fail_sandbox(bool listens)
{
    struct uuid id = uuid_new();
    struct test_exec exec = exec_of(&id);
    projects_exec(t.projects, &exec.exec);
    struct runner_request asked;
    expect_asked(RUNNER_START, &id, &asked);
    struct agent agent = {.listener = agent_listen(&id), .conn = -1};
    if (!listens)
        fd_close(&agent.listener);
    answer(&asked, &id, 0, "");
    if (listens)
        agent.conn = agent_accept(agent.listener);
    agent_end(&agent);
    tell(RUNNER_EXITED, 0, &id, 256, "bwrap: no such image");
    expect_start_failed(&exec, &id, "bwrap: no such image");
}

static void test_sandbox_ends_before_hello(void **state)
{
    (void)state;
    fail_sandbox(true);
    fail_sandbox(false);
}

static void test_agent_never_answers(void **state)
{
    (void)state;
    close_projects();
    t.start_timeout_ms = 3000;
    open_projects();
    struct uuid id = uuid_new();
    struct test_exec exec = exec_of(&id);
    projects_exec(t.projects, &exec.exec);
    struct runner_request asked;
    expect_asked(RUNNER_START, &id, &asked);
    struct agent agent = {.listener = agent_listen(&id)};
    answer(&asked, &id, 0, "");
    agent.conn = agent_accept(agent.listener);
    expect_start_failed(&exec, &id, "did not answer in time");

    // What is left of it is ended before it is started again.
    expect_asked(RUNNER_KILL, &id, &asked);
    struct test_exec again = exec_of(&id);
    projects_exec(t.projects, &again.exec);
    agent_end(&agent);
    answer(&asked, &id, 0, "");
    wait_for_thread();
    expect_no_change();
    tell(RUNNER_EXITED, 0, &id, 9, "");
    expect_asked(RUNNER_START, &id, &asked);
    answer(&asked, &id, EPERM, "");
    expect_start_failed(&again, &id, "EPERM");
}

// The end of the sandbox before this one, told late, does not end this one's start.
static void test_late_end_of_another(void **state)
{
    (void)state;
    struct uuid id = uuid_new();
    struct test_exec exec = exec_of(&id);
    projects_exec(t.projects, &exec.exec);
    struct runner_request asked;
    expect_asked(RUNNER_START, &id, &asked);
    struct agent agent = {.listener = agent_listen(&id)};
    answer(&asked, &id, 0, "");
    agent.conn = agent_accept(agent.listener);
    tell(RUNNER_EXITED, 0, &id, 9, "");
    send_hello(agent.conn);
    serve_one(agent.conn);
    wait_done(&exec.done);
    assert_int_equal(exec.exec.call.rc, 0);
    exec_call_dispose(&exec.exec);
    agent_end(&agent);
}

// Another process on the same data folder has started it meanwhile.
static void test_started_by_another(void **state)
{
    (void)state;
    struct uuid id = uuid_new();
    struct test_exec exec = exec_of(&id);
    projects_exec(t.projects, &exec.exec);
    struct runner_request asked;
    expect_asked(RUNNER_START, &id, &asked);
    answer(&asked, &id, EBUSY, "");
    expect_asked(RUNNER_START, &id, &asked);
    answer(&asked, &id, 0, "running"); // but it ends before it can be connected to
    expect_asked(RUNNER_START, &id, &asked);
    struct agent agent = {.listener = agent_listen(&id)};
    answer(&asked, &id, 0, "running");
    agent.conn = agent_accept(agent.listener);
    send_hello(agent.conn);
    serve_one(agent.conn);
    wait_done(&exec.done);
    assert_int_equal(exec.exec.call.rc, 0);
    exec_call_dispose(&exec.exec);
    agent_end(&agent);
}

// ---- Running ----

static void test_agent_dies_in_exec(void **state)
{
    (void)state;
    struct uuid id = uuid_new();
    struct agent agent = play_running(&id);
    struct test_exec exec = exec_of(&id);
    projects_exec(t.projects, &exec.exec);
    uint32_t stream = expect_frame(agent.conn, FRAME_EXEC);
    send_frame(agent.conn, FRAME_STDOUT, stream, "half", 4);
    agent_end(&agent);
    wait_done(&exec.done);
    expect_failure(&exec.exec.call, ERR_UNAVAILABLE,
                   "the project stopped while the command was running");
    expect_none_running();
    exec_call_dispose(&exec.exec);

    struct test_exec again = exec_of(&id);
    projects_exec(t.projects, &again.exec);
    // The next one is not started before this one is gone.
    wait_for_thread();
    expect_no_change();
    tell(RUNNER_EXITED, 0, &id, 9, "");
    expect_change(&id, PROJECT_OPENED);
    agent = play_start(&id);
    serve_one(agent.conn);
    wait_done(&again.done);
    assert_int_equal(again.exec.call.rc, 0);
    exec_call_dispose(&again.exec);
    agent_end(&agent);
}

// An exit that was sent before the agent died counts.
static void test_exit_before_death(void **state)
{
    (void)state;
    struct uuid id = uuid_new();
    struct agent agent = play_running(&id);
    struct test_exec first = exec_of(&id), second = exec_of(&id);
    projects_exec(t.projects, &first.exec);
    uint32_t stream = expect_frame(agent.conn, FRAME_EXEC);
    projects_exec(t.projects, &second.exec);
    // The second request stays unread, so that the end is a reset.
    char byte;
    assert_int_equal(recv(agent.conn, &byte, 1, MSG_PEEK), 1);
    send_exit(agent.conn, stream, EXEC_SIGNALED, 9, 0, "");
    agent_end(&agent);
    wait_done(&first.done);
    assert_int_equal(first.exec.call.rc, 0);
    assert_int_equal(first.exec.outcome, EXEC_SIGNALED);
    wait_done(&second.done);
    assert_int_equal(second.exec.call.rc, -ERR_UNAVAILABLE);
    exec_call_dispose(&first.exec);
}

static void test_output_cap(void **state)
{
    (void)state;
    struct uuid id = uuid_new();
    struct agent agent = play_running(&id);
    struct test_exec exec = exec_of(&id);
    exec.exec.output_max = 100;
    projects_exec(t.projects, &exec.exec);
    uint32_t stream = expect_frame(agent.conn, FRAME_EXEC);
    static const char piece[FRAME_OUTPUT_MAX] = "start";
    send_frame(agent.conn, FRAME_STDERR, stream, "few", 3);
    for (int i = 0; i < 20; i++)
        send_frame(agent.conn, FRAME_STDOUT, stream, piece, sizeof piece);
    send_exit(agent.conn, stream, EXEC_EXITED, 0, 0, "");
    wait_done(&exec.done);
    assert_int_equal(exec.exec.output.size, 100);
    assert_memory_equal(exec.exec.output.data, "start", 6);
    assert_int_equal(exec.exec.output_total, 20 * sizeof piece);
    assert_int_equal(exec.exec.error_output.size, 3);
    assert_int_equal(exec.exec.error_output_total, 3);
    exec_call_dispose(&exec.exec);
    agent_end(&agent);
}

// However the bytes of the frames are cut up, the same comes out.
static void test_frames_in_pieces(void **state)
{
    (void)state;
    struct uuid id = uuid_new();
    struct agent agent = play_running(&id);
    struct test_exec exec = exec_of(&id);
    projects_exec(t.projects, &exec.exec);
    uint32_t stream = expect_frame(agent.conn, FRAME_EXEC);
    uint8_t bytes[256];
    size_t size = frame_write_header(bytes, FRAME_STDOUT, stream, 5);
    memcpy(bytes + size, "bytes", 5);
    size += 5;
    size += frame_write_header(bytes + size, FRAME_STDERR, stream, 0);
    struct frame_exit end = {.outcome = EXEC_EXITED, .value = 1};
    size += frame_write_header(bytes + size, FRAME_EXIT, stream, sizeof end + 4 + 3);
    memcpy(bytes + size, &end, sizeof end);
    size += sizeof end;
    size += frame_write_text(bytes + size, "ran", 3);
    for (size_t i = 0; i < size; i++) {
        send_all(agent.conn, bytes + i, 1);
        // Goes on once the byte was read.
        for (int unread = 1; unread;)
            assert_int_equal(ioctl(agent.conn, TIOCOUTQ, &unread), 0);
    }
    wait_done(&exec.done);
    assert_int_equal(exec.exec.value, 1);
    assert_string_equal(buf_cstr(&exec.exec.output), "bytes");
    assert_string_equal(buf_cstr(&exec.exec.ran), "ran");
    exec_call_dispose(&exec.exec);
    agent_end(&agent);
}

static void test_exec_guard_is_not_due(void **state)
{
    (void)state;
    // A limit of 1 ms is the agent's to enforce; the hub leaves it ten seconds for that.
    struct uuid id = uuid_new();
    struct agent agent = play_running(&id);
    struct test_exec exec = exec_of(&id);
    exec.exec.timeout_ms = 1;
    projects_exec(t.projects, &exec.exec);
    uint32_t stream = expect_frame(agent.conn, FRAME_EXEC);
    send_exit(agent.conn, stream, EXEC_TIMED_OUT, 0, 0, "");
    wait_done(&exec.done);
    assert_int_equal(exec.exec.call.rc, 0);
    assert_int_equal(exec.exec.outcome, EXEC_TIMED_OUT);
    exec_call_dispose(&exec.exec);
    agent_end(&agent);
}

#define MANY 3000

static void test_many_at_once(void **state)
{
    (void)state;
    struct uuid id = uuid_new();
    struct agent agent = play_running(&id);
    struct test_exec *execs = mem_zalloc(MANY * sizeof *execs);
    uint32_t *streams = mem_zalloc(MANY * sizeof *streams);
    for (size_t i = 0; i < MANY; i++) {
        execs[i] = exec_of(&id);
        projects_exec(t.projects, &execs[i].exec);
    }
    for (size_t i = 0; i < MANY; i++)
        streams[i] = expect_frame(agent.conn, FRAME_EXEC);
    for (size_t i = MANY; i--;)
        send_exit(agent.conn, streams[i], EXEC_EXITED, (int32_t)(i % 200), 0, "");
    for (size_t i = 0; i < MANY; i++) {
        wait_done(&execs[i].done);
        assert_int_equal(execs[i].exec.call.rc, 0);
        assert_int_equal(execs[i].exec.value, i % 200);
    }
    free(streams);
    free(execs);
    agent_end(&agent);
}

// An agent that does not read: what the hub keeps for it is bounded, and goes out later.
static void test_agent_reads_nothing(void **state)
{
    (void)state;
    enum { CALLS = 12 };
    struct uuid id = uuid_new();
    struct agent agent = play_running(&id);
    char *command = mem_alloc(1000001);
    memset(command, 'x', 1000000);
    command[1000000] = '\0';
    struct test_exec execs[CALLS];
    for (size_t i = 0; i < CALLS; i++) {
        execs[i] = exec_of(&id);
        execs[i].exec.command = command;
        projects_exec(t.projects, &execs[i].exec);
    }
    wait_done(&execs[CALLS - 1].done);
    expect_failure(&execs[CALLS - 1].exec.call, ERR_UNAVAILABLE,
                   "too much is running in the project");
    size_t refused = 0;
    for (size_t i = 0; i < CALLS; i++)
        refused += execs[i].done;
    assert_in_range(refused, 3, 6);
    for (size_t i = 0; i < CALLS - refused; i++)
        serve_one(agent.conn);
    for (size_t i = 0; i < CALLS - refused; i++) {
        wait_done(&execs[i].done);
        assert_int_equal(execs[i].exec.call.rc, 0);
    }
    struct test_exec large = exec_of(&id);
    const char *args[] = {command, command, command, command, command};
    large.exec.command = "echo";
    large.exec.args = args;
    large.exec.args_count = ARRAY_LEN(args);
    projects_exec(t.projects, &large.exec);
    wait_done(&large.done);
    expect_failure(&large.exec.call, ERR_TOO_LARGE, "the command is too long");
    free(command);
    agent_end(&agent);
}

// ---- Agents that break the rules ----

struct violation {
    const char *name;
    uint8_t type;
    uint8_t reserved;
    uint32_t size;
    bool other_stream, own_stream;
    struct frame_exit end; // begins the payload
    uint32_t text_size;    // goes on with it
};

static const struct violation violations[] = {
    {"unknown type", .type = 99},
    {"hub's own type", .type = FRAME_EXEC, .size = 0},
    {"second hello", .type = FRAME_HELLO, .size = 4},
    {"unknown stream", .type = FRAME_STDOUT, .size = 1, .other_stream = true},
    {"exit of an unknown stream", .type = FRAME_EXIT, .size = 20, .other_stream = true},
    {"large output", .type = FRAME_STDOUT, .size = FRAME_OUTPUT_MAX + 1},
    {"huge size", .type = FRAME_STDERR, .size = UINT32_MAX},
    {"short exit", .type = FRAME_EXIT, .size = 16},
    {"large exit", .type = FRAME_EXIT, .size = FRAME_PAYLOAD_MAX},
    {"reserved", .type = FRAME_STDOUT, .size = 1, .reserved = 1},
    {"text beyond the frame", .type = FRAME_EXIT, .size = 20, .text_size = 1},
    {"text of huge size", .type = FRAME_EXIT, .size = 20, .text_size = UINT32_MAX},
    {"bytes behind the text", .type = FRAME_EXIT, .size = 24},
    {"unknown outcome", .type = FRAME_EXIT, .size = 20, .end = {.outcome = 77}},
    {"short count of jobs", .type = FRAME_JOBS, .size = 3},
    {"long count of jobs", .type = FRAME_JOBS, .size = 8},
    {"count of jobs of a stream", .type = FRAME_JOBS, .size = 4, .own_stream = true},
    {"outcome of a file", .type = FRAME_EXIT, .size = 20, .end = {.outcome = EXEC_FILE_FAILED}},
};

static void send_violation(int conn, const struct violation *violation, uint32_t stream)
{
    uint8_t bytes[64] = {0};
    struct frame_header header = {.size = violation->size,
                                  .stream = violation->other_stream ? stream + 1 : stream,
                                  .type = violation->type,
                                  .reserved = {violation->reserved}};
    if (!violation->own_stream && (violation->type == FRAME_HELLO || violation->type == FRAME_JOBS))
        header.stream = 0;
    memcpy(bytes, &header, sizeof header);
    memcpy(bytes + sizeof header, &violation->end, sizeof violation->end);
    memcpy(bytes + sizeof header + sizeof violation->end, &violation->text_size, 4);
    size_t payload = violation->size < 24 ? violation->size : 24;
    send_all(conn, bytes, sizeof header + payload);
}

static void test_violations(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(violations); i++) {
        struct uuid id = uuid_new();
        struct agent agent = play_running(&id);
        struct test_exec exec = exec_of(&id);
        projects_exec(t.projects, &exec.exec);
        uint32_t stream = expect_frame(agent.conn, FRAME_EXEC);
        send_violation(agent.conn, &violations[i], stream);
        wait_done(&exec.done);
        assert_int_equal(exec.exec.call.rc, -ERR_UNAVAILABLE);
        expect_end(agent.conn);
        agent_end(&agent);
        struct runner_request asked;
        expect_asked(RUNNER_KILL, &id, &asked);
        expect_change(&id, PROJECT_STOPPING);
        answer(&asked, &id, 0, "");
        tell(RUNNER_EXITED, 0, &id, 9, "");
        expect_change(&id, PROJECT_OPENED);
        exec_call_dispose(&exec.exec);
    }
}

#define BAD_GREETINGS 5

// Before the hello: another frame, another version, a hello of the wrong size.
static void test_bad_greetings(void **state)
{
    (void)state;
    for (int i = 0; i < BAD_GREETINGS; i++) {
        struct uuid id = uuid_new();
        struct test_exec exec = exec_of(&id);
        projects_exec(t.projects, &exec.exec);
        struct runner_request asked;
        expect_asked(RUNNER_START, &id, &asked);
        struct agent agent = {.listener = agent_listen(&id)};
        answer(&asked, &id, 0, "");
        agent.conn = agent_accept(agent.listener);
        const struct {
            enum frame_type type;
            uint32_t version;
            size_t size;
            const char *why;
        } greetings[] = {{FRAME_STDOUT, FRAME_PROTOCOL_VERSION, 8, "hello"},
                         {FRAME_HELLO, FRAME_PROTOCOL_VERSION + 1, 8, "version"},
                         {FRAME_HELLO, FRAME_PROTOCOL_VERSION, 4, "hello"},
                         {FRAME_HELLO, 2, 8, "hello"},
                         {FRAME_HELLO, FRAME_PROTOCOL_VERSION, 12, "hello"}};
        const uint32_t payload[3] = {greetings[i].version};
        static_assert(ARRAY_LEN(greetings) == BAD_GREETINGS, "all of them");
        send_frame(agent.conn, greetings[i].type, 0, payload, greetings[i].size);
        expect_start_failed(&exec, &id, greetings[i].why);
        expect_asked(RUNNER_KILL, &id, &asked);
        answer(&asked, &id, ESRCH, "");
        agent_end(&agent);
    }
}

// Frames that are right but for a few bytes, and bytes that are no frames at all. Whatever they
// mean, the call ends with the connection, and nothing is read that is not there.
static void send_nonsense(int conn, uint32_t stream, unsigned seed)
{
    uint8_t bytes[400];
    srandom(seed);
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)random();
    if (seed % 4) {
        struct frame_exit end = {.outcome = EXEC_EXITED};
        size_t at = frame_write_header(bytes, FRAME_STDOUT, stream, 50) + 50;
        at += frame_write_header(bytes + at, FRAME_STDERR, stream, 20) + 20;
        at += frame_write_header(bytes + at, FRAME_EXIT, stream, sizeof end + 4 + 30);
        memcpy(bytes + at, &end, sizeof end);
        frame_write_text(bytes + at + sizeof end, "0123456789012345678901234567890", 30);
        for (unsigned i = 0; i < seed % 4; i++)
            bytes[(size_t)random() % (at + sizeof end + 4)] ^= (uint8_t)(1u << random() % 8);
    }
    send_all(conn, bytes, sizeof bytes);
}

static void test_nonsense(void **state)
{
    (void)state;
    for (unsigned seed = 0; seed < 400; seed++) {
        struct uuid id = uuid_new();
        struct agent agent = {.listener = agent_listen(&id)};
        struct test_exec exec = exec_of(&id);
        projects_exec(t.projects, &exec.exec);
        agent.conn = agent_accept(agent.listener);
        send_hello(agent.conn);
        uint32_t stream = expect_frame(agent.conn, FRAME_EXEC);
        send_nonsense(agent.conn, stream, seed);
        agent_end(&agent);
        wait_done(&exec.done);
        assert_true(exec.exec.call.rc == 0 || exec.exec.call.rc == -ERR_UNAVAILABLE);
        exec_call_dispose(&exec.exec);
    }
}

// ---- Stopping ----

static void test_stop(void **state)
{
    (void)state;
    struct uuid id = uuid_new();
    struct agent agent = play_running(&id);
    struct test_call first = call_of(&id), second = call_of(&id);
    struct test_exec behind = exec_of(&id);
    projects_stop(t.projects, &first.call);
    struct asked_frame frame;
    read_frame(agent.conn, &frame);
    assert_int_equal(frame.header.type, FRAME_SHUTDOWN);
    uint32_t grace;
    assert_int_equal(frame.payload.size, sizeof grace);
    memcpy(&grace, frame.payload.data, sizeof grace);
    assert_int_equal(grace, 5000);
    buf_dispose(&frame.payload);
    expect_change(&id, PROJECT_STOPPING);

    // Another stop joins; a call waits and then starts it again.
    projects_stop(t.projects, &second.call);
    projects_exec(t.projects, &behind.exec);
    agent_end(&agent);
    tell(RUNNER_EXITED, 0, &id, 0, "");
    wait_done(&first.done);
    wait_done(&second.done);
    assert_int_equal(first.call.rc, 0);
    assert_int_equal(second.call.rc, 0);
    expect_change(&id, PROJECT_OPENED);
    agent = play_start(&id);
    serve_one(agent.conn);
    wait_done(&behind.done);
    assert_int_equal(behind.exec.call.rc, 0);
    exec_call_dispose(&behind.exec);
    agent_end(&agent);
}

static void test_stop_while_starting(void **state)
{
    (void)state;
    struct uuid id = uuid_new();
    struct test_call start = call_of(&id), stop = call_of(&id), again = call_of(&id);
    projects_start(t.projects, &start.call, 0);
    struct runner_request asked;
    expect_asked(RUNNER_START, &id, &asked);
    projects_stop(t.projects, &stop.call);
    projects_start(t.projects, &again.call, 0);
    expect_change(&id, PROJECT_STARTING);
    struct agent agent = {.listener = agent_listen(&id)};
    answer(&asked, &id, 0, "");
    agent.conn = agent_accept(agent.listener);
    send_hello(agent.conn);
    wait_done(&start.done);
    assert_int_equal(start.call.rc, 0);
    expect_change(&id, PROJECT_RUNNING);
    expect_frame(agent.conn, FRAME_SHUTDOWN);
    expect_change(&id, PROJECT_STOPPING);
    agent_end(&agent);
    tell(RUNNER_EXITED, 0, &id, 0, "");
    wait_done(&stop.done);
    expect_change(&id, PROJECT_OPENED);
    assert_false(again.done);
    agent = play_start(&id);
    wait_done(&again.done);
    assert_int_equal(again.call.rc, 0);
    agent_end(&agent);
}

static void test_stop_of_stopped(void **state)
{
    (void)state;
    struct uuid id = uuid_new();
    struct test_call stop = call_of(&id);
    projects_stop(t.projects, &stop.call);
    wait_done(&stop.done);
    assert_int_equal(stop.call.rc, 0);
    expect_no_change();
    expect_nothing_asked();
}

// A sandbox that an earlier runner started: nobody will tell of its end.
static void test_stop_of_found(void **state)
{
    (void)state;
    struct uuid id = uuid_new();
    struct agent agent = {.listener = agent_listen(&id)};
    struct test_call stop = call_of(&id);
    projects_stop(t.projects, &stop.call);
    agent.conn = agent_accept(agent.listener);
    send_hello(agent.conn);
    expect_frame(agent.conn, FRAME_SHUTDOWN);
    agent_end(&agent);
    wait_done(&stop.done);
    assert_int_equal(stop.call.rc, 0);
    expect_none_running();
}

struct test_idle {
    struct idle_call idle;
    bool done;
};

static void on_idle_done(struct project_call *call)
{
    CONTAINER(call, struct test_idle, idle.call)->done = true;
}

static struct test_idle idle_of(const struct uuid *id)
{
    return (struct test_idle){
        .idle = {.call = {.project_id = *id, .loop = &t.loop, .done = on_idle_done}}};
}

static void send_jobs(int fd, uint32_t jobs)
{
    send_frame(fd, FRAME_JOBS, 0, &jobs, sizeof jobs);
}

static void wait_jobs_ended(unsigned times)
{
    struct timespec limit;
    clock_gettime(CLOCK_REALTIME, &limit);
    limit.tv_sec += PATIENCE_S;
    pthread_mutex_lock(&t.lock);
    while (t.jobs_ended < times)
        assert_int_equal(pthread_cond_timedwait(&t.news, &t.lock, &limit), 0);
    assert_int_equal(t.jobs_ended, times);
    pthread_mutex_unlock(&t.lock);
}

// What the agent tells in its hello, and what it tells later.
static void test_not_idle_while_jobs_run(void **state)
{
    (void)state;
    struct uuid id = uuid_new();
    struct agent agent = {.listener = agent_listen(&id)};
    struct test_idle idle = idle_of(&id);
    struct test_exec exec = exec_of(&id);
    projects_stop_unused(t.projects, &idle.idle);
    projects_exec(t.projects, &exec.exec);
    agent.conn = agent_accept(agent.listener);
    send_hello_of(agent.conn, FRAME_PROTOCOL_VERSION, 2);
    wait_done(&idle.done);
    assert_true(idle.idle.in_use);
    serve_one(agent.conn); // who came meanwhile does not wait for a stop
    wait_done(&exec.done);
    assert_int_equal(exec.exec.call.rc, 0);
    exec_call_dispose(&exec.exec);

    send_jobs(agent.conn, 1);
    wait_jobs_ended(1);
    idle = idle_of(&id);
    projects_stop_unused(t.projects, &idle.idle);
    wait_done(&idle.done);
    assert_true(idle.idle.in_use);

    send_jobs(agent.conn, 2);
    send_jobs(agent.conn, 0);
    wait_jobs_ended(2);
    idle = idle_of(&id);
    projects_stop_unused(t.projects, &idle.idle);
    expect_frame(agent.conn, FRAME_SHUTDOWN);
    agent_end(&agent);
    wait_done(&idle.done);
    assert_false(idle.idle.in_use);
}

// ---- Files ----

static void test_file_write(void **state)
{
    (void)state;
    struct uuid id = uuid_new();
    struct agent agent = play_running(&id);
    struct test_file file = file_of(&id, "/tmp/x");
    file.file.write = true;
    file.file.content = "the content";
    file.file.content_size = 11;
    projects_file(t.projects, &file.file);
    struct asked_frame frame;
    read_frame(agent.conn, &frame);
    assert_int_equal(frame.header.type, FRAME_FILE);
    struct frame_file fixed;
    memcpy(&fixed, frame.payload.data, sizeof fixed);
    assert_int_equal(fixed.write, 1);
    assert_memory_equal(frame.payload.data + sizeof fixed + 4, "/tmp/x", 6);
    assert_true(frame.fd >= 0);
    auto_buf struct buf content = {0};
    assert_int_equal(fd_read_all(frame.fd, 100, &content), 0);
    assert_string_equal(buf_cstr(&content), "the content");
    fd_close(&frame.fd);
    buf_dispose(&frame.payload);
    send_exit(agent.conn, frame.header.stream, EXEC_EXITED, 0, 11, "");
    wait_done(&file.done);
    assert_int_equal(file.file.call.rc, 0);
    agent_end(&agent);
}

// Contents that have to wait until the agent reads arrive with their own requests.
static void test_files_queued(void **state)
{
    (void)state;
    enum { LARGE = 3, FILES = 5 };
    struct uuid id = uuid_new();
    struct agent agent = play_running(&id);
    auto_free char *command = mem_zalloc(500001);
    memset(command, 'x', 500000);
    struct test_exec execs[LARGE];
    struct test_file files[FILES];
    char contents[FILES][16];
    for (size_t i = 0; i < LARGE; i++) {
        execs[i] = exec_of(&id);
        execs[i].exec.command = command;
        projects_exec(t.projects, &execs[i].exec);
    }
    for (size_t i = 0; i < FILES; i++) {
        files[i] = file_of(&id, "/tmp/x");
        files[i].file.write = true;
        files[i].file.content = contents[i];
        files[i].file.content_size = (size_t)snprintf(contents[i], 16, "content %zu", i);
        projects_file(t.projects, &files[i].file);
    }
    wait_for_thread();
    for (size_t i = 0; i < LARGE; i++)
        serve_one(agent.conn);
    for (size_t i = 0; i < FILES; i++) {
        struct asked_frame frame;
        read_frame(agent.conn, &frame);
        assert_int_equal(frame.header.type, FRAME_FILE);
        auto_buf struct buf content = {0};
        assert_int_equal(fd_read_all(frame.fd, 100, &content), 0);
        assert_string_equal(buf_cstr(&content), contents[i]);
        fd_close(&frame.fd);
        buf_dispose(&frame.payload);
        send_exit(agent.conn, frame.header.stream, EXEC_EXITED, 0, content.size, "");
        wait_done(&files[i].done);
        assert_int_equal(files[i].file.call.rc, 0);
    }
    for (size_t i = 0; i < LARGE; i++)
        wait_done(&execs[i].done);
    agent_end(&agent);
}

static void test_file_read(void **state)
{
    (void)state;
    struct uuid id = uuid_new();
    struct agent agent = play_running(&id);
    struct test_file file = file_of(&id, "/tmp/x");
    projects_file(t.projects, &file.file);
    uint32_t stream = expect_frame(agent.conn, FRAME_FILE);
    send_frame(agent.conn, FRAME_STDOUT, stream, "con", 3);
    send_frame(agent.conn, FRAME_STDOUT, stream, "tent", 4);
    send_exit(agent.conn, stream, EXEC_EXITED, 0, 7, "");
    wait_done(&file.done);
    assert_int_equal(file.file.call.rc, 0);
    assert_int_equal(file.file.size, 7);
    assert_string_equal(buf_cstr(&file.file.data), "content");
    file_call_dispose(&file.file);

    struct test_file missing = file_of(&id, "/tmp/y");
    projects_file(t.projects, &missing.file);
    stream = expect_frame(agent.conn, FRAME_FILE);
    send_exit(agent.conn, stream, EXEC_FILE_FAILED, ENOENT, 0, "open(\x01");
    wait_done(&missing.done);
    assert_int_equal(missing.file.call.rc, -ERR_NOT_FOUND);
    assert_int_equal(missing.file.call.err.sys_errno, ENOENT);
    assert_string_equal(missing.file.syscall, "open");

    struct test_file large = file_of(&id, "/tmp/z");
    projects_file(t.projects, &large.file);
    stream = expect_frame(agent.conn, FRAME_FILE);
    send_exit(agent.conn, stream, EXEC_FILE_FAILED, EFBIG, 5000, "read");
    wait_done(&large.done);
    assert_int_equal(large.file.call.rc, -ERR_TOO_LARGE);
    assert_int_equal(large.file.size, 5000);
    agent_end(&agent);
}

static void test_file_larger_than_allowed(void **state)
{
    (void)state;
    struct uuid id = uuid_new();
    struct agent agent = play_running(&id);
    struct test_file file = file_of(&id, "/tmp/x");
    projects_file(t.projects, &file.file);
    uint32_t stream = expect_frame(agent.conn, FRAME_FILE);
    char bytes[101] = "";
    send_frame(agent.conn, FRAME_STDOUT, stream, bytes, sizeof bytes);
    wait_done(&file.done);
    assert_int_equal(file.file.call.rc, -ERR_UNAVAILABLE);
    expect_end(agent.conn);
    file_call_dispose(&file.file);
    agent_end(&agent);
}

static void test_file_timeout(void **state)
{
    (void)state;
    struct uuid id = uuid_new();
    struct agent agent = play_running(&id);
    struct test_file file = file_of(&id, "/tmp/x");
    file.file.timeout_ms = 20;
    projects_file(t.projects, &file.file);
    uint32_t stream = expect_frame(agent.conn, FRAME_FILE);
    wait_done(&file.done);
    expect_failure(&file.file.call, ERR_TIMEOUT, "timeout");
    assert_int_equal(expect_frame(agent.conn, FRAME_KILL), stream);

    // What still comes of it is ignored; other streams go on.
    send_frame(agent.conn, FRAME_STDOUT, stream, "late", 4);
    send_exit(agent.conn, stream, EXEC_EXITED, 0, 4, "");
    struct test_exec exec = exec_of(&id);
    projects_exec(t.projects, &exec.exec);
    serve_one(agent.conn);
    wait_done(&exec.done);
    assert_int_equal(exec.exec.call.rc, 0);
    exec_call_dispose(&exec.exec);
    agent_end(&agent);
}

// ---- The end, the runner's and the thread's ----

static void test_close_with_calls(void **state)
{
    (void)state;
    struct uuid running = uuid_new(), starting = uuid_new(), stopping = uuid_new();
    struct agent agent = play_running(&running), other = play_running(&stopping);
    struct test_exec in_exec = exec_of(&running), in_start = exec_of(&starting),
                     in_stop = exec_of(&stopping);
    struct test_call stop = call_of(&stopping);
    projects_exec(t.projects, &in_exec.exec);
    expect_frame(agent.conn, FRAME_EXEC);
    projects_stop(t.projects, &stop.call);
    expect_frame(other.conn, FRAME_SHUTDOWN);
    projects_exec(t.projects, &in_stop.exec);
    projects_exec(t.projects, &in_start.exec);
    struct runner_request asked;
    expect_asked(RUNNER_START, &starting, &asked);
    close_projects();
    struct test_exec *execs[] = {&in_exec, &in_start, &in_stop};
    for (size_t i = 0; i < ARRAY_LEN(execs); i++) {
        wait_done(&execs[i]->done);
        expect_failure(&execs[i]->exec.call, ERR_UNAVAILABLE, "the server is shutting down");
    }
    wait_done(&stop.done);
    expect_failure(&stop.call, ERR_UNAVAILABLE, "the server is shutting down");
    // The sandbox is left alone: all that its agent sees is the end of the connection.
    expect_end(agent.conn);
    agent_end(&agent);
    agent_end(&other);
}

static void *close_thread(void *data)
{
    projects_close(data);
    return NULL;
}

// The worker that finds out about a project has not come back when the thread is to end.
static void test_close_while_loading(void **state)
{
    (void)state;
    struct uuid id = uuid_new();
    struct test_exec exec = exec_of(&id);
    t.load_waits = true;
    projects_exec(t.projects, &exec.exec);
    sem_wait(&t.loading);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, close_thread, TAKE_PTR(t.projects)), 0);
    wait_done(&exec.done);
    expect_failure(&exec.exec.call, ERR_UNAVAILABLE, "the server is shutting down");
    sem_post(&t.gate);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

static void test_runner_replaced_in_start(void **state)
{
    (void)state;
    struct uuid id = uuid_new();
    struct test_exec exec = exec_of(&id);
    projects_exec(t.projects, &exec.exec);
    struct runner_request asked;
    expect_asked(RUNNER_START, &id, &asked);
    fd_close(&t.runner);
    int theirs;
    t.runner = new_channel(&theirs);
    projects_runner_replaced(t.projects, theirs);
    struct agent agent = play_start(&id);
    serve_one(agent.conn);
    wait_done(&exec.done);
    assert_int_equal(exec.exec.call.rc, 0);
    exec_call_dispose(&exec.exec);
    agent_end(&agent);
}

static void test_runner_dies_over_and_over(void **state)
{
    (void)state;
    struct uuid id = uuid_new();
    struct test_exec exec = exec_of(&id);
    projects_exec(t.projects, &exec.exec);
    for (int i = 0; i < 3; i++) {
        struct runner_request asked;
        expect_asked(RUNNER_START, &id, &asked);
        fd_close(&t.runner);
        int theirs;
        t.runner = new_channel(&theirs);
        projects_runner_replaced(t.projects, theirs);
    }
    expect_start_failed(&exec, &id, "runner died");
}

static void test_runner_replaced_while_running(void **state)
{
    (void)state;
    struct uuid id = uuid_new(), other = uuid_new();
    struct agent agent = play_running(&id);
    fd_close(&t.runner);
    struct test_exec exec = exec_of(&id);
    projects_exec(t.projects, &exec.exec);
    serve_one(agent.conn);
    wait_done(&exec.done);
    assert_int_equal(exec.exec.call.rc, 0);
    struct test_call start = call_of(&other);
    projects_start(t.projects, &start.call, 0);
    expect_change(&other, PROJECT_STARTING);
    int theirs;
    t.runner = new_channel(&theirs);
    projects_runner_replaced(t.projects, theirs);
    struct runner_request asked;
    expect_asked(RUNNER_START, &other, &asked);
    struct agent second = {.listener = agent_listen(&other)};
    answer(&asked, &other, 0, "");
    second.conn = agent_accept(second.listener);
    send_hello(second.conn);
    wait_done(&start.done);
    assert_int_equal(start.call.rc, 0);
    exec_call_dispose(&exec.exec);
    agent_end(&agent);
    agent_end(&second);
}

// ---- Projects of an earlier process ----

static void test_adopt(void **state)
{
    (void)state;
    enum { ALL = 1000, RUNNING = 3 };
    struct uuid *ids = mem_alloc(ALL * sizeof *ids);
    struct agent agents[RUNNING];
    for (size_t i = 0; i < ALL; i++)
        ids[i] = uuid_new();
    for (size_t i = 0; i < RUNNING; i++)
        agents[i].listener = agent_listen(&ids[i * 400]);
    projects_adopt(t.projects, ids, ALL);
    for (size_t i = 0; i < RUNNING; i++) {
        agents[i].conn = agent_accept(agents[i].listener);
        send_hello(agents[i].conn);
    }
    for (size_t i = 0; i < ALL - RUNNING; i++)
        assert_int_equal(next_change().state, PROJECT_OPENED);
    for (size_t i = 0; i < RUNNING; i++) {
        struct test_exec exec = exec_of(&ids[i * 400]);
        projects_exec(t.projects, &exec.exec);
        serve_one(agents[i].conn);
        wait_done(&exec.done);
        assert_int_equal(exec.exec.call.rc, 0);
        agent_end(&agents[i]);
        exec_call_dispose(&exec.exec);
    }
    expect_nothing_asked();
    for (size_t i = 0; i < RUNNING; i++)
        assert_int_equal(next_change().state, PROJECT_OPENED);
    free(ids);
}

// More projects whose agents do not answer than are probed at once: calls are served meanwhile.
static void test_adopt_does_not_delay(void **state)
{
    (void)state;
    enum { SILENT = 100 };
    struct uuid ids[SILENT], id = uuid_new();
    int listeners[SILENT];
    for (size_t i = 0; i < SILENT; i++) {
        ids[i] = uuid_new();
        listeners[i] = agent_listen(&ids[i]);
    }
    projects_adopt(t.projects, ids, SILENT);
    struct agent agent = play_running(&id);
    struct test_exec exec = exec_of(&id);
    projects_exec(t.projects, &exec.exec);
    serve_one(agent.conn);
    wait_done(&exec.done);
    // Each that answers makes room for another.
    for (size_t i = 0; i < SILENT; i++) {
        int conn = agent_accept(listeners[i]);
        send_hello(conn);
        fd_close(&listeners[i]);
        fd_close(&conn);
        expect_change(&ids[i], PROJECT_OPENED);
    }
    exec_call_dispose(&exec.exec);
    agent_end(&agent);
}

static void test_asked_from_outside(void **state)
{
    (void)state;
    struct uuid id = uuid_new();
    assert_false(project_is_listening(&id));
    struct agent agent = {.listener = agent_listen(&id)};
    struct test_call start = call_of(&id);
    projects_start(t.projects, &start.call, 0);
    agent.conn = agent_accept(agent.listener);
    send_hello(agent.conn);
    wait_done(&start.done);
    assert_true(project_is_listening(&id));
    fd_close(&agent.listener);
    assert_false(project_is_listening(&id));
    agent_end(&agent);
}

// The first loop of a process opens descriptors that stay.
static int setup_all(void **state)
{
    (void)state;
    struct loop loop;
    struct err err;
    int rc = loop_init(&loop, &err);
    if (!rc)
        loop_dispose(&loop);
    return rc;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    log_init(LOG_ERROR + 1, false);
    const struct CMUnitTest tests[] = {
        TEST(test_exec_starts_project),
        TEST(test_found_running),
        TEST(test_agent_of_version_1),
        TEST(test_agent_of_version_2),
        TEST(test_question_without_an_answer),
        TEST(test_wait_shorter_than_start),
        TEST(test_load_refuses),
        TEST(test_runner_refuses),
        TEST(test_sandbox_ends_before_hello),
        TEST(test_agent_never_answers),
        TEST(test_late_end_of_another),
        TEST(test_started_by_another),
        TEST(test_agent_dies_in_exec),
        TEST(test_exit_before_death),
        TEST(test_output_cap),
        TEST(test_frames_in_pieces),
        TEST(test_exec_guard_is_not_due),
        TEST(test_many_at_once),
        TEST(test_agent_reads_nothing),
        TEST(test_violations),
        TEST(test_bad_greetings),
        TEST(test_nonsense),
        TEST(test_stop),
        TEST(test_stop_while_starting),
        TEST(test_stop_of_stopped),
        TEST(test_stop_of_found),
        TEST(test_not_idle_while_jobs_run),
        TEST(test_file_write),
        TEST(test_files_queued),
        TEST(test_file_read),
        TEST(test_file_larger_than_allowed),
        TEST(test_file_timeout),
        TEST(test_close_with_calls),
        TEST(test_close_while_loading),
        TEST(test_runner_replaced_in_start),
        TEST(test_runner_dies_over_and_over),
        TEST(test_runner_replaced_while_running),
        TEST(test_adopt),
        TEST(test_adopt_does_not_delay),
        TEST(test_asked_from_outside),
    };
    return cmocka_run_group_tests(tests, setup_all, NULL);
}
