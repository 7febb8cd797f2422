// SPDX-License-Identifier: AGPL-3.0-or-later
// The agent's loop. Started as PID 1 of a sandbox:
//
//   cohub-agent --listen-fd N [--hold-fd N] [--kernel-fd N] [--processes COUNT]
//
// (or to copy only: proto/copy.h).
//
// The first is a listening Unix stream socket; the second is kept open as long as the agent lives;
// the third is the program of the kernel bridge. Every other descriptor but the standard three is
// closed, and those are replaced by /dev/null, so that nothing of whoever started the sandbox is
// kept open. COUNT is how many processes commands may have.
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "agent/agent.h"
#include "agent/copy.h"

#define EVENTS_MAX             64
#define SHUTDOWN_GRACE_MAX_MS  60000
#define SHUTDOWN_TERM_GRACE_MS 5000
#define SHUTDOWN_ANSWERS_MS    1000
#define LISTEN_FD              3
#define HOLD_FD                4
#define KERNEL_FD              5
#define NUMBER_MAX             1000000

#if defined(__SANITIZE_ADDRESS__) || defined(__clang__)
// Leaks cannot be looked for in the processes of a PID namespace's init; nothing is allocated
// anyway.
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "detect_leaks=0";
}
#endif

uint64_t agent_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

bool agent_watch(struct agent *a, int fd, uint32_t events, enum agent_event kind, uint32_t index)
{
    struct epoll_event event = {.events = events, .data.u64 = (uint64_t)kind << 32 | index};
    if (epoll_ctl(a->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0)
        return true;
    return errno == EEXIST && epoll_ctl(a->epoll_fd, EPOLL_CTL_MOD, fd, &event) == 0;
}

// True when processes are left.
static bool reap(struct agent *a)
{
    for (;;) {
        int status;
        pid_t pid = waitpid(-1, &status, WNOHANG);
        if (pid > 0)
            exec_reaped(a, pid, status);
        else if (pid == 0)
            return true;
        else if (errno != EINTR)
            return false;
    }
}

void agent_begin_shutdown(struct agent *a, uint32_t grace_ms)
{
    if (grace_ms > SHUTDOWN_GRACE_MAX_MS)
        grace_ms = SHUTDOWN_GRACE_MAX_MS;
    const uint64_t at = agent_now_ms() + grace_ms;
    if (a->shutdown_ms && a->shutdown_ms <= at)
        return;
    a->shutdown_ms = at;
    exec_spares_end(a);
    kill(-1, SIGTERM);
    kill(-1, SIGCONT);
}

static void signals_read(struct agent *a)
{
    struct signalfd_siginfo info[8];
    bool terminate = false, started = false;
    ssize_t size;
    while ((size = read(a->signal_fd, info, sizeof info)) > 0)
        for (size_t i = 0; i < (size_t)size / sizeof info[0]; i++) {
            terminate |= info[i].ssi_signo == SIGTERM && info[i].ssi_pid == 0;
            started |= info[i].ssi_signo == SIGUSR1;
        }
    if (started)
        jobs_started(a);
    // Only a process outside the sandbox has no number in here.
    if (terminate)
        agent_begin_shutdown(a, SHUTDOWN_TERM_GRACE_MS);
}

static void dispatch(struct agent *a, const struct epoll_event *event, bool *ret_signals)
{
    const uint32_t index = (uint32_t)event->data.u64;
    switch ((enum agent_event)(event->data.u64 >> 32)) {
    case EVENT_LISTEN:
        conn_accept(a);
        break;
    case EVENT_SIGNAL:
        *ret_signals = true;
        break;
    case EVENT_CONN:
        conn_event(a, &a->conns[index], event->events);
        break;
    case EVENT_STDOUT:
        exec_readable(a, &a->execs[index], 0);
        break;
    case EVENT_STDERR:
        exec_readable(a, &a->execs[index], 1);
        break;
    case EVENT_BRIDGE:
        bridge_event(a, event->events);
        break;
    }
}

static int wait_ms(const struct agent *a)
{
    uint64_t next = exec_next_deadline(a);
    const uint64_t kill_ms = kill_next_ms(a), jobs_ms = jobs_next_ms(a), now = agent_now_ms();
    if (kill_ms < next)
        next = kill_ms;
    if (jobs_ms < next)
        next = jobs_ms;
    if (a->shutdown_ms && a->shutdown_ms < next)
        next = a->shutdown_ms;
    if (next <= now)
        return 0;
    return next - now > 3600000 ? 3600000 : (int)(next - now);
}

// Those whose commands end with the sandbox are told so before it is gone. What is left at the end
// of the grace is killed, and has a moment for that.
static bool shutdown_done(struct agent *a, bool processes_left, uint64_t now_ms)
{
    if (!a->shutdown_ms)
        return false;
    if (!processes_left && !exec_unanswered(a))
        return true;
    if (now_ms < a->shutdown_ms)
        return false;
    if (a->killed)
        return true;
    kill(-1, SIGKILL);
    a->killed = true;
    a->shutdown_ms = now_ms + SHUTDOWN_ANSWERS_MS;
    return false;
}

static void loop_once(struct agent *a)
{
    struct epoll_event events[EVENTS_MAX];
    bool signals = false;
    int count = epoll_wait(a->epoll_fd, events, EVENTS_MAX, wait_ms(a));
    // What the pipes still hold is read before the end of the process behind them is seen.
    for (int i = 0; i < count; i++)
        dispatch(a, &events[i], &signals);
    bool processes_left = true;
    if (signals)
        signals_read(a);
    if (signals || a->shutdown_ms)
        processes_left = reap(a);
    const uint64_t now = agent_now_ms();
    exec_deadlines(a, now);
    kill_tick(a, now);
    jobs_tick(a, now);
    if (shutdown_done(a, processes_left, now))
        _exit(0);
}

struct options {
    int listen_fd, hold_fd, kernel_fd, processes; // -1: there is none
};

// Puts a descriptor where it stays. False when that fails.
static bool place(int copy, int where)
{
    return copy < 0 || dup3(copy, where, O_CLOEXEC) >= 0;
}

// -1: there is none; -2: it cannot be had.
static int copy_behind(int fd)
{
    const int copy = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, KERNEL_FD + 1);
    return fd >= 0 && copy < 0 ? -2 : copy;
}

// Keeps only what it was given, as the lowest descriptors behind the standard three.
static bool take_descriptors(struct agent *a, const struct options *options)
{
    const int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    const int listen_copy = copy_behind(options->listen_fd);
    const int hold_copy = copy_behind(options->hold_fd);
    const int kernel_copy = copy_behind(options->kernel_fd);
    if (null_fd < 0 || listen_copy < 0 || hold_copy < -1 || kernel_copy < -1)
        return false;
    for (int fd = 0; fd <= 2; fd++)
        if (dup2(null_fd, fd) < 0)
            return false;
    close_range(LISTEN_FD, KERNEL_FD, 0);
    if (!place(listen_copy, LISTEN_FD) || !place(hold_copy, HOLD_FD) ||
        !place(kernel_copy, KERNEL_FD))
        return false;
    close_range(KERNEL_FD + 1, ~0u, 0);
    a->listen_fd = LISTEN_FD;
    a->kernel_fd = kernel_copy < 0 ? -1 : KERNEL_FD;
    return fcntl(a->listen_fd, F_SETFL, O_NONBLOCK) == 0;
}

static bool set_up(struct agent *a, const struct options *options)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    // Commands run as the same user: they shall not trace this process or use its descriptors.
    prctl(PR_SET_DUMPABLE, 0);
    prctl(PR_SET_NAME, "cohub-agent");
    umask(022);
    if (!take_descriptors(a, options))
        return false;
    // All signals stay blocked, here and in the processes per stream: those that are sent to every
    // process of the sandbox shall not cost the results.
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    sigset_t handled;
    sigemptyset(&handled);
    sigaddset(&handled, SIGCHLD);
    sigaddset(&handled, SIGTERM);
    sigaddset(&handled, SIGUSR1);
    a->signal_fd = signalfd(-1, &handled, SFD_CLOEXEC | SFD_NONBLOCK);
    a->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    a->proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    a->slots = mmap(NULL, sizeof(struct agent_slot) * AGENT_EXEC_MAX, PROT_READ | PROT_WRITE,
                    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    a->scan.proc.dir = a->usage.proc.dir = -1;
    for (unsigned i = 0; i < AGENT_CONN_MAX; i++)
        a->conns[i].fd = -1;
    return a->signal_fd >= 0 && a->epoll_fd >= 0 && a->proc_fd >= 0 && a->slots != MAP_FAILED &&
           agent_watch(a, a->listen_fd, EPOLLIN, EVENT_LISTEN, 0) &&
           agent_watch(a, a->signal_fd, EPOLLIN, EVENT_SIGNAL, 0);
}

// -1 when it is no number.
static int number(const char *text)
{
    char *end;
    errno = 0;
    const long value = strtol(text, &end, 10);
    return errno || end == text || *end || value < 0 || value > NUMBER_MAX ? -1 : (int)value;
}

static bool read_options(int argc, char **argv, struct options *options)
{
    const struct {
        const char *name;
        int *value;
    } known[] = {{"--listen-fd", &options->listen_fd},
                 {"--hold-fd", &options->hold_fd},
                 {"--kernel-fd", &options->kernel_fd},
                 {"--processes", &options->processes}};
    for (int i = 1; i < argc; i += 2) {
        int value = -1;
        for (size_t k = 0; i + 1 < argc && k < sizeof known / sizeof known[0]; k++)
            if (strcmp(argv[i], known[k].name) == 0)
                value = *known[k].value = number(argv[i + 1]);
        if (value < 0)
            return false;
    }
    return options->listen_fd >= 0 && options->processes > 0;
}

static int fail(const char *message)
{
    ssize_t written = write(STDERR_FILENO, message, strlen(message));
    (void)written;
    return 1;
}

int main(int argc, char **argv)
{
    static struct agent agent;
    if (argc > 1 && strcmp(argv[1], "--copy") == 0)
        return copy_main(argc, argv);
    struct options options = {-1, -1, -1, AGENT_PROCESSES_MAX};
    if (!read_options(argc, argv, &options))
        return fail("usage: cohub-agent --listen-fd N [--hold-fd N] [--kernel-fd N] "
                    "[--processes COUNT]\n");
    // It signals all processes it can: that must be those of its own sandbox only.
    if (getpid() != 1)
        return fail("cohub-agent: must be the first process of a PID namespace\n");
    agent.processes_max = (uint32_t)options.processes;
    if (!set_up(&agent, &options))
        return fail("cohub-agent: cannot set up\n");
    for (;;)
        loop_once(&agent);
}
