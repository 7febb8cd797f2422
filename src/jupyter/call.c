// SPDX-License-Identifier: AGPL-3.0-or-later
#include "jupyter/call.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/limits.h"
#include "base/mem.h"
#include "jupyter/execute.h"

// The memory file with the request and the socket for the answer. Others are not expected, and
// closed.
#define FDS     2
#define FDS_MAX 8

struct received {
    int fds[FDS_MAX];
    size_t count;
};

static void received_dispose(struct received *received)
{
    for (size_t i = 0; i < received->count; i++)
        fd_close(&received->fds[i]);
}

static void take_fds(struct msghdr *message, struct received *received)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        const size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count && received->count < FDS_MAX; i++)
            memcpy(&received->fds[received->count++], CMSG_DATA(c) + i * sizeof(int), sizeof(int));
    }
}

// What recvmsg gives.
static ssize_t receive(int socket_fd, struct received *received)
{
    char byte;
    union {
        char bytes[CMSG_SPACE(FDS_MAX * sizeof(int))];
        struct cmsghdr align;
    } control;
    struct iovec part = {&byte, 1};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof control.bytes};
    const ssize_t size = recvmsg(socket_fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (size >= 0)
        take_fds(&message, received);
    return size;
}

static cJSON *read_request(int fd)
{
    struct stat st;
    auto_buf struct buf text = {0};
    cJSON *request = NULL;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || lseek(fd, 0, SEEK_SET) != 0 ||
        fd_read_all(fd, LIMIT_KERNEL_REQUEST, &text) != 0 || text.size > LIMIT_KERNEL_REQUEST ||
        json_parse(text.data, text.size, LIMIT_JSON_DEPTH, &request, NULL) != 0)
        return NULL;
    return request;
}

bool call_receive(int socket_fd, struct call **ret_call, cJSON **ret_request, bool *ret_closed)
{
    CLEANUP(received_dispose) struct received received = {0};
    const ssize_t size = receive(socket_fd, &received);
    *ret_closed = size == 0 || (size < 0 && errno != EAGAIN && errno != EINTR);
    if (size <= 0 || received.count < FDS)
        return false;
    struct call *call = mem_zalloc(sizeof *call);
    call->fd = TAKE_FD(received.fds[1]);
    *ret_call = call;
    *ret_request = read_request(received.fds[0]);
    return true;
}

void call_free(struct call *call)
{
    if (call->execution)
        execution_free(call->execution);
    fd_close(&call->fd);
    buf_dispose(&call->answer);
    free(call);
}

void call_send(struct call *call)
{
    while (call->sent < call->answer.size && !call->over) {
        const ssize_t size = send(call->fd, call->answer.data + call->sent,
                                  call->answer.size - call->sent, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (size < 0 && errno == EINTR)
            continue;
        if (size < 0 && errno == EAGAIN)
            return;
        if (size < 0)
            call->over = true;
        else
            call->sent += (size_t)size;
    }
    if (call->sent < call->answer.size)
        return;
    call->over = true;
    fd_close(&call->fd);
}

static void ready(void *owner, unsigned tag, short events)
{
    struct call *call = owner;
    (void)tag;
    if (events & ZMQ_POLLERR)
        call->over = true;
    else if (events & ZMQ_POLLOUT)
        call_send(call);
}

void call_watch(struct call *call, struct watch_set *set)
{
    watch_fd(set, call->fd, call->answer.size ? ZMQ_POLLOUT : 0, ready, call, 0);
}
