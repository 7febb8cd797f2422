// SPDX-License-Identifier: AGPL-3.0-or-later
// Requests to the kernel bridge (proto/kernel.h): each is put into a sealed memory file and handed,
// with a socket for its answer, to the bridge, which is started when there is none. What comes back
// by that socket is a stream like that of a command.
//
// The bridge takes requests from a SOCK_SEQPACKET socket; those that it does not take at once wait
// in a list, with their descriptors. When it ends, the agent sees that by this socket, ends what it
// has left behind, and starts another for those that wait. The requests that it had taken end with
// it, as nobody holds the other ends of their sockets any more.
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/agent.h"

static struct agent_slot *slot_of(struct agent *a, const struct exec *exec)
{
    return &a->slots[exec - a->execs];
}

// ---- Those that wait. ----

static void queue_add(struct bridge *bridge, struct exec *exec)
{
    exec->next = NULL;
    if (bridge->last)
        bridge->last->next = exec;
    else
        bridge->first = exec;
    bridge->last = exec;
}

static void queue_remove(struct bridge *bridge, struct exec *exec)
{
    struct exec *before = NULL;
    for (struct exec *at = bridge->first; at && at != exec; at = at->next)
        before = at;
    if (before)
        before->next = exec->next;
    else
        bridge->first = exec->next;
    if (bridge->last == exec)
        bridge->last = before;
    exec->next = NULL;
    exec_close(&exec->request_fd[0]);
    exec_close(&exec->request_fd[1]);
}

static bool is_waiting(const struct exec *exec)
{
    return exec->request_fd[0] >= 0;
}

static void queue_fail(struct agent *a, enum exec_outcome outcome, int value)
{
    while (a->bridge.first) {
        struct exec *exec = a->bridge.first;
        queue_remove(&a->bridge, exec);
        exec_end(a, exec, outcome, value);
    }
}

// ---- The bridge. ----

// Of a bridge that takes nothing, few descriptors are on their way: those of all projects count
// together. What is the least that a socket may hold is enough for some requests.
static void keep_small(int fd)
{
    const int least = 1;
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &least, sizeof least);
}

// 0 or an errno.
static int bridge_start(struct agent *a)
{
    int ends[2];
    if (a->kernel_fd < 0)
        return ENOENT;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return errno;
    struct exec *exec = exec_new(a, EXEC_BRIDGE, NULL, 0);
    if (exec)
        exec->pid = fork();
    if (exec && exec->pid == 0)
        supervisor_run_bridge(a, slot_of(a, exec), ends[0]);
    const int error = !exec ? EAGAIN : exec->pid < 0 ? errno : 0;
    close(ends[0]);
    keep_small(ends[1]);
    if (!error && agent_watch(a, ends[1], EPOLLIN, EVENT_BRIDGE, 0)) {
        a->bridge.exec = exec;
        a->bridge.fd = ends[1];
        a->bridge.full = false;
        return 0;
    }
    close(ends[1]); // at the end of it the bridge ends
    if (error && exec) {
        exec->pid = 0;
        exec_free(a, exec);
    }
    return error ? error : ENOMEM;
}

// Those that it has taken and that could not know yet that it never ran.
static void fail_taken(struct agent *a, int error)
{
    for (uint32_t i = 0; i < a->execs_used; i++) {
        struct exec *exec = &a->execs[i];
        if (exec->kind == EXEC_KERNEL && !exec->known && !is_waiting(exec))
            exec_end(a, exec, EXEC_NOT_STARTED, error);
    }
}

// It has ended, or takes no more: what is left of it is ended too.
static void bridge_lose(struct agent *a)
{
    struct exec *exec = a->bridge.exec;
    const struct agent_slot *slot = slot_of(a, exec);
    close(a->bridge.fd);
    a->bridge.exec = NULL;
    if (slot->result == RESULT_NOT_STARTED) {
        fail_taken(a, slot->value);
        queue_fail(a, EXEC_NOT_STARTED, slot->value);
    }
    if (exec->pid)
        kill_begin(a, exec);
}

static int hand_over(const struct agent *a, const struct exec *exec)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof exec->request_fd)];
    } control = {.header = {.cmsg_level = SOL_SOCKET,
                            .cmsg_type = SCM_RIGHTS,
                            .cmsg_len = CMSG_LEN(sizeof exec->request_fd)}};
    char byte = 0;
    struct iovec part = {&byte, 1};
    const struct msghdr message = {.msg_iov = &part,
                                   .msg_iovlen = 1,
                                   .msg_control = &control,
                                   .msg_controllen = sizeof control};
    memcpy(CMSG_DATA(&control.header), exec->request_fd, sizeof exec->request_fd);
    return sendmsg(a->bridge.fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) == 1 ? 0 : errno;
}

static void watch_room(struct agent *a, bool wanted)
{
    if (a->bridge.exec && a->bridge.full != wanted)
        agent_watch(a, a->bridge.fd, EPOLLIN | (wanted ? EPOLLOUT : 0u), EVENT_BRIDGE, 0);
    a->bridge.full = wanted;
}

// Hands over what waits, as far as the bridge takes it. One that is started here and gone before it
// was given anything is not started again for the same requests.
static void bridge_serve(struct agent *a)
{
    bool started = false;
    int error = 0;
    while (a->bridge.first && !error) {
        if (!a->bridge.exec) {
            error = started ? ECHILD : bridge_start(a);
            started = true;
            continue;
        }
        struct exec *exec = a->bridge.first;
        const int refusal = hand_over(a, exec);
        if (refusal == EAGAIN || refusal == EINTR)
            break;
        if (refusal == EPIPE || refusal == ECONNRESET) {
            bridge_lose(a);
            continue;
        }
        queue_remove(&a->bridge, exec);
        if (refusal)
            exec_end(a, exec, EXEC_NOT_STARTED, refusal);
    }
    if (error)
        queue_fail(a, EXEC_NOT_STARTED, error);
    watch_room(a, a->bridge.first != NULL);
}

// It says nothing: what can be read is its end. An event may be from the one before.
static bool has_ended(const struct agent *a)
{
    char byte;
    return recv(a->bridge.fd, &byte, 1, MSG_DONTWAIT) >= 0 || (errno != EAGAIN && errno != EINTR);
}

static void bridge_ended(struct agent *a)
{
    bridge_lose(a);
    if (a->shutdown_ms)
        queue_fail(a, EXEC_STOPPED, SIGTERM);
    bridge_serve(a);
}

void bridge_event(struct agent *a, uint32_t events)
{
    if (!a->bridge.exec)
        return;
    if ((events & ~EPOLLOUT) && has_ended(a))
        bridge_ended(a);
    else
        bridge_serve(a);
}

void bridge_reaped(struct agent *a, struct exec *exec)
{
    kill_end(a, exec);
    if (a->bridge.exec == exec)
        bridge_ended(a);
    exec_free(a, exec);
}

// ---- Requests. ----

static int write_whole(int fd, const uint8_t *bytes, size_t size)
{
    for (size_t at = 0; at < size;) {
        const ssize_t written = pwrite(fd, bytes + at, size - at, (off_t)at);
        if (written < 0 && errno != EINTR)
            return errno;
        if (written > 0)
            at += (size_t)written;
    }
    return 0;
}

// Makes its file and its socket. 0 or an errno.
static int request_open(struct exec *exec, const uint8_t *payload, size_t size)
{
    int ends[2];
    exec->request_fd[0] = memfd_create("request", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (exec->request_fd[0] < 0)
        return errno;
    const int error = write_whole(exec->request_fd[0], payload, size);
    if (error)
        return error;
    if (fcntl(exec->request_fd[0], F_ADD_SEALS,
              F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0 ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
        return errno;
    exec->out_fd[0] = ends[0];
    exec->request_fd[1] = ends[1];
    return fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0 ? errno : 0;
}

void kernel_request(struct agent *a, struct agent_conn *conn, uint32_t stream,
                    const uint8_t *payload, size_t size)
{
    struct exec *exec = exec_new(a, EXEC_KERNEL, conn, stream);
    if (!exec) {
        exec_refuse_without_place(a, conn, stream, EXEC_NOT_STARTED);
        return;
    }
    const int error = a->shutdown_ms ? ESHUTDOWN : request_open(exec, payload, size);
    if (error) {
        exec_close(&exec->request_fd[0]);
        exec_close(&exec->request_fd[1]);
        exec_end(a, exec, EXEC_NOT_STARTED, error);
        return;
    }
    exec_watch(a, exec);
    queue_add(&a->bridge, exec);
    bridge_serve(a);
}

enum exec_outcome kernel_outcome(struct agent *a, int *ret_value)
{
    const struct agent_slot *slot = a->bridge.exec ? slot_of(a, a->bridge.exec) : NULL;
    *ret_value = 0;
    if (slot && slot->result == RESULT_NOT_STARTED) {
        *ret_value = slot->value;
        return EXEC_NOT_STARTED;
    }
    if (!a->shutdown_ms)
        return EXEC_EXITED;
    *ret_value = SIGTERM;
    return EXEC_STOPPED;
}

void kernel_drop(struct agent *a, struct exec *exec)
{
    if (is_waiting(exec))
        queue_remove(&a->bridge, exec);
    exec_end(a, exec, EXEC_SIGNALED, SIGKILL);
}
