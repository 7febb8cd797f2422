// SPDX-License-Identifier: AGPL-3.0-or-later
#include "runner/spare.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"

#define FDS_MAX (SANDBOX_FDS + NETWORK_FDS)
#define WORK_FD 3
// Arguments of an agent that does not serve: two paths, patterns, and some short ones.
#define ARGS_SIZE  (4 * PATH_MAX)
#define ARGS_COUNT 12

// What a spare is told. Descriptors come with it, in their order, but for those that are -1.
struct work {
    int fds[FDS_MAX]; // of the sandbox, then of its network
    bool network;
    uint32_t processes;
    struct runner_limits limits;
    uint32_t args_size;   // 0: the agent serves
    char args[ARGS_SIZE]; // each with its NUL; sent without the unused end
};
#define WORK_SIZE(args_size) (offsetof(struct work, args) + (args_size))

union work_control {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(FDS_MAX * sizeof(int))];
};

void spare_group(pid_t pid, char ret_name[CGROUP_NAME_MAX])
{
    snprintf(ret_name, CGROUP_NAME_MAX, "%d", (int)pid);
}

// ---- In the spare. ----

static bool receive_work(struct work *work)
{
    union work_control control;
    struct iovec part = {work, sizeof *work};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof control};
    ssize_t got;
    do
        got = recvmsg(WORK_FD, &message, MSG_CMSG_CLOEXEC);
    while (got < 0 && errno == EINTR);
    const struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (got < (ssize_t)WORK_SIZE(0) || got != (ssize_t)WORK_SIZE(work->args_size) || !header ||
        (message.msg_flags & MSG_CTRUNC))
        return false;
    const unsigned char *at = CMSG_DATA(header);
    for (size_t i = 0; i < FDS_MAX; i++) {
        if (work->fds[i] < 0)
            continue;
        memcpy(&work->fds[i], at, sizeof(int));
        at += sizeof(int);
    }
    return true;
}

static _Noreturn void fail(const struct work *work, const struct err *err)
{
    dprintf(work->fds[SANDBOX_LOG], "%s%s%s\n", err->message, err->detail[0] ? ": " : "",
            err->detail);
    _exit(127);
}

static void split_args(const struct work *work, const char *ret_args[ARGS_COUNT + 1])
{
    size_t count = 0;
    const char *end = work->args + work->args_size;
    for (const char *at = work->args; at < end && count < ARGS_COUNT; at += strlen(at) + 1)
        ret_args[count++] = at;
    ret_args[count] = NULL;
}

static _Noreturn void do_work(const struct spares *spares, const char *group,
                              const struct work *work)
{
    struct err err;
    const char *args[ARGS_COUNT + 1];
    struct sandbox_start start = {.processes = work->processes};
    memcpy(start.fds, work->fds, sizeof start.fds);
    if (cgroup_limit(spares->cgroups, group, &work->limits, &err) < 0)
        fail(work, &err);
    if (work->network)
        network_fork(spares->network, work->fds + SANDBOX_FDS);
    for (size_t i = SANDBOX_FDS; i < FDS_MAX; i++)
        if (work->fds[i] >= 0)
            close(work->fds[i]);
    split_args(work, args);
    if (!work->args_size)
        prctl(PR_SET_PDEATHSIG, 0); // a sandbox whose agent serves outlives the runner
    sandbox_become(spares->host, &start, NULL, work->args_size ? args : NULL);
}

// Keeps open what a spare needs, and nothing else of the runner's: its end must be seen at the
// other ends of its sockets.
static bool keep_only(struct cgroups *cgroups, int fd)
{
    const int first = WORK_FD + 1 + (int)ARRAY_LEN(cgroups->trees);
    fd = fcntl(fd, F_DUPFD_CLOEXEC, first);
    for (unsigned i = 0; i < cgroups->trees_count; i++)
        cgroups->trees[i].base_fd = fcntl(cgroups->trees[i].base_fd, F_DUPFD_CLOEXEC, first);
    bool kept = dup3(fd, WORK_FD, O_CLOEXEC) >= 0;
    for (unsigned i = 0; i < cgroups->trees_count; i++) {
        const int place = WORK_FD + 1 + (int)i;
        kept &= dup3(cgroups->trees[i].base_fd, place, O_CLOEXEC) >= 0;
        cgroups->trees[i].base_fd = place;
    }
    close_range((unsigned)(WORK_FD + 1) + cgroups->trees_count, ~0u, 0);
    return kept;
}

static _Noreturn void run(const struct spares *spares, int fd, pid_t runner)
{
    struct err err = {0};
    struct work work;
    char group[CGROUP_NAME_MAX];
    struct cgroups cgroups = *spares->cgroups;
    const struct spares own = {
        .host = spares->host, .cgroups = &cgroups, .network = spares->network};
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != runner || !keep_only(&cgroups, fd))
        _exit(1);
    spare_group(getpid(), group);
    const int rc = cgroup_enter(&cgroups, group, &err);
    if (!receive_work(&work))
        _exit(1);
    if (rc < 0)
        fail(&work, &err);
    do_work(&own, group, &work);
}

// ---- In the runner. ----

static int make(const struct spares *spares, struct spare *ret_spare)
{
    int ends[2];
    const pid_t runner = getpid();
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return -errno;
    auto_fd int own_end = ends[0], other_end = ends[1];
    const pid_t pid = fork();
    if (pid == 0)
        run(spares, other_end, runner);
    if (pid < 0)
        return -errno;
    *ret_spare = (struct spare){pid, TAKE_FD(own_end)};
    return 0;
}

bool spares_add(struct spares *spares)
{
    struct spare spare;
    if (spares->count == SPARES_MAX || make(spares, &spare) < 0)
        return false;
    spares->list[spares->count++] = spare;
    return true;
}

static bool send_work(int fd, const struct work *work)
{
    union work_control control = {
        .header = {.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = 0}};
    unsigned char *at = CMSG_DATA(&control.header);
    size_t count = 0;
    for (size_t i = 0; i < FDS_MAX; i++)
        if (work->fds[i] >= 0)
            memcpy(at + count++ * sizeof(int), &work->fds[i], sizeof(int));
    control.header.cmsg_len = CMSG_LEN(count * sizeof(int));
    const size_t size = WORK_SIZE(work->args_size);
    struct iovec part = {(void *)(uintptr_t)work, size};
    const struct msghdr message = {.msg_iov = &part,
                                   .msg_iovlen = 1,
                                   .msg_control = &control,
                                   .msg_controllen = CMSG_SPACE(count * sizeof(int))};
    return sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)size;
}

static bool add_args(struct work *work, const char *const *args)
{
    for (size_t count = 0; args && args[count]; count++) {
        const size_t size = strlen(args[count]) + 1;
        if (count == ARGS_COUNT || size > sizeof work->args - work->args_size)
            return false;
        memcpy(work->args + work->args_size, args[count], size);
        work->args_size += (uint32_t)size;
    }
    return true;
}

static int take(struct spares *spares, struct spare *ret_spare)
{
    if (spares->count == 0)
        return make(spares, ret_spare);
    *ret_spare = spares->list[0]; // the oldest: it is in its group
    memmove(spares->list, spares->list + 1, --spares->count * sizeof spares->list[0]);
    return 0;
}

int spares_start(struct spares *spares, const struct sandbox_start *start,
                 const struct runner_limits *limits, const int network_fds[NETWORK_FDS],
                 pid_t *ret_pid, struct err *err)
{
    struct work work = {.network = network_fds, .processes = start->processes, .limits = *limits};
    if (!add_args(&work, start->agent_args))
        return err_set(err, ERR_TOO_LARGE, "the arguments are too long");
    memcpy(work.fds, start->fds, sizeof start->fds);
    for (size_t i = 0; i < NETWORK_FDS; i++)
        work.fds[SANDBOX_FDS + i] = network_fds ? network_fds[i] : -1;
    // One that has died is found by its socket.
    for (unsigned i = 0; i <= SPARES_MAX; i++) {
        struct spare spare;
        const int rc = take(spares, &spare);
        if (rc < 0)
            return err_set_errno(err, ERR_UNAVAILABLE, -rc, "cannot start a process");
        const bool sent = send_work(spare.fd, &work);
        const int error = errno;
        fd_close(&spare.fd);
        if (sent) {
            *ret_pid = spare.pid;
            return 0;
        }
        if (error != EPIPE && error != ECONNRESET)
            return err_set_errno(err, ERR_UNAVAILABLE, error, "cannot start a process");
    }
    return err_set(err, ERR_UNAVAILABLE, "cannot start a process");
}

void spares_forget(struct spares *spares, pid_t pid)
{
    for (unsigned i = 0; i < spares->count; i++) {
        if (spares->list[i].pid != pid)
            continue;
        fd_close(&spares->list[i].fd);
        spares->list[i] = spares->list[--spares->count];
    }
}

void spares_dispose(struct spares *spares)
{
    char group[CGROUP_NAME_MAX];
    while (spares->count) {
        struct spare *spare = &spares->list[--spares->count];
        fd_close(&spare->fd);
        kill(spare->pid, SIGKILL);
        while (waitpid(spare->pid, NULL, 0) < 0 && errno == EINTR)
            ;
        spare_group(spare->pid, group);
        cgroup_remove(spares->cgroups, group);
    }
}
