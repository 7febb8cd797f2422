// SPDX-License-Identifier: AGPL-3.0-or-later
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "server/serve.h"

// A runner that dies at once is not made again faster than this.
#define RUNNER_PAUSE_US UINT64_C(200000)

// How long a runner may take to end.
#define RUNNER_END_S 2

struct supervisor {
    struct serve *serve;
    int control; // our end
    pid_t hub, runner;
    uint64_t runner_started_us;
    bool stopping;
};

// A byte, since an empty packet would read as the end, and room for one descriptor.
struct fd_packet {
    char byte;
    struct iovec iov;
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
};

static struct msghdr fd_message(struct fd_packet *packet)
{
    packet->iov = (struct iovec){.iov_base = &packet->byte, .iov_len = 1};
    return (struct msghdr){.msg_iov = &packet->iov,
                           .msg_iovlen = 1,
                           .msg_control = packet->control,
                           .msg_controllen = sizeof packet->control};
}

int serve_send_fd(int socket, int fd)
{
    struct fd_packet packet = {0};
    struct msghdr message = fd_message(&packet);
    struct cmsghdr *c = CMSG_FIRSTHDR(&message);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(c), &fd, sizeof fd);
    return sendmsg(socket, &message, MSG_NOSIGNAL) == 1 ? 0 : -errno;
}

int serve_receive_fd(int socket)
{
    struct fd_packet packet = {0};
    struct msghdr message = fd_message(&packet);
    int fd = -1;
    ssize_t n = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    struct cmsghdr *c = n == 1 ? CMSG_FIRSTHDR(&message) : NULL;
    if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
        c->cmsg_len == CMSG_LEN(sizeof fd))
        memcpy(&fd, CMSG_DATA(c), sizeof fd);
    return fd;
}

// Dies with the supervisor, also with one that is gone already.
static void die_with_parent(pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
}

static void close_listeners(struct serve *serve)
{
    for (size_t i = 0; i < serve->listeners_count; i++)
        listener_close(&serve->listeners[i]);
}

static void run_runner(const struct supervisor *s, int channel, pid_t parent)
{
    int own_control = s->control;
    fd_close(&own_control);
    close_listeners(s->serve);
    die_with_parent(parent);
    struct runner_config config = {.channel_fd = channel,
                                   .uid = s->serve->owner.uid,
                                   .gid = s->serve->owner.gid,
                                   .agent_path = s->serve->agent_path,
                                   .kernel_path = s->serve->kernel_path};
    _exit(runner_main(&config) ? 1 : 0);
}

// Forks a runner and sends the hub's end of its channel to the hub.
static int start_runner(struct supervisor *s)
{
    int channel[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channel))
        return -errno;
    pid_t parent = getpid();
    s->runner = fork();
    if (s->runner == 0) {
        fd_close(&channel[0]);
        run_runner(s, channel[1], parent);
    }
    int rc = s->runner < 0 ? -errno : serve_send_fd(s->control, channel[0]);
    fd_close(&channel[0]);
    fd_close(&channel[1]);
    s->runner_started_us = clock_monotonic_us();
    return rc;
}

static void run_hub(const struct supervisor *s, int control, pid_t parent)
{
    struct err err;
    int own_control = s->control;
    fd_close(&own_control);
    if (data_drop_privileges(&s->serve->owner, &err)) {
        log_err(LOG_ERROR, "start_failed", &err);
        _exit(1);
    }
    die_with_parent(parent); // after the change of user, which would undo it
    exit(hub_run(s->serve, control));
}

static int start_hub(struct supervisor *s)
{
    int control[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, control))
        return -errno;
    s->control = control[0];
    pid_t parent = getpid();
    s->hub = fork();
    if (s->hub == 0)
        run_hub(s, control[1], parent);
    int rc = s->hub < 0 ? -errno : 0;
    fd_close(&control[1]);
    close_listeners(s->serve);
    return rc;
}

static void restart_runner(struct supervisor *s)
{
    log_event(LOG_WARNING, "runner_died", LOG_INT("pid", s->runner));
    uint64_t age_us = clock_monotonic_us() - s->runner_started_us;
    if (age_us < RUNNER_PAUSE_US)
        usleep((useconds_t)(RUNNER_PAUSE_US - age_us));
    int rc = start_runner(s);
    if (rc)
        log_event(LOG_ERROR, "runner_not_started", LOG_TEXT("error", strerror(-rc)));
}

// Reaps children. True when the hub has ended, with its exit status.
static bool reap(struct supervisor *s, int *ret_status)
{
    int status;
    bool hub_ended = false;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
        if (pid == s->hub) {
            *ret_status = WIFEXITED(status) ? WEXITSTATUS(status) : 1;
            if (WIFSIGNALED(status))
                log_event(LOG_ERROR, "hub_died", LOG_INT("signal", WTERMSIG(status)));
            hub_ended = true;
        } else if (pid == s->runner && !s->stopping) {
            restart_runner(s);
        }
    }
    return hub_ended;
}

static int supervise(struct supervisor *s, const sigset_t *signals)
{
    int status = 1;
    for (;;) {
        int signal = sigwaitinfo(signals, NULL);
        if (signal == SIGCHLD) {
            if (reap(s, &status))
                return status;
        } else if (signal > 0) {
            s->stopping = true;
            kill(s->hub, SIGTERM);
        }
    }
}

// With the hub its channel has ended, and so does the runner, after it has cleaned up.
static void end_runner(const struct supervisor *s, const sigset_t *signals)
{
    const struct timespec patience = {.tv_sec = RUNNER_END_S};
    while (waitpid(s->runner, NULL, WNOHANG) == 0) {
        if (sigtimedwait(signals, NULL, &patience) < 0 && errno == EAGAIN)
            kill(s->runner, SIGKILL);
    }
}

static void raise_open_files(void)
{
    struct rlimit limit;
    if (!getrlimit(RLIMIT_NOFILE, &limit)) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

int serve_run(struct serve *serve)
{
    struct supervisor s = {.serve = serve, .control = -1};
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGCHLD);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    raise_open_files();
    int rc = start_hub(&s);
    if (!rc)
        rc = start_runner(&s);
    if (rc == -EPIPE)
        rc = 0; // the hub could not start; it has said why, and is reaped
    if (rc) {
        log_event(LOG_ERROR, "start_failed", LOG_TEXT("error", strerror(-rc)));
        if (s.hub > 0)
            kill(s.hub, SIGKILL);
        return 1;
    }
    int status = supervise(&s, &signals);
    end_runner(&s, &signals);
    return status;
}
