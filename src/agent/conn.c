// SPDX-License-Identifier: AGPL-3.0-or-later
// Connections of hubs.
//
// Incoming bytes collect in a mapping that grows to the frame that is being received and shrinks
// again behind it. Outgoing frames go straight to the socket; what it does not take, at most the
// rest of one frame, waits in a second mapping, and until that is gone nothing else is sent on this
// connection: its streams queue up and their pipes fill, which holds up the commands. Other
// connections go on.
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/agent.h"

#define IN_CAPACITY (64u * 1024)
#define READS_MAX   16 // of one connection in a row

static uint8_t *map_bytes(size_t size)
{
    void *bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return bytes == MAP_FAILED ? NULL : bytes;
}

// The connection ends when the events at hand are done, as its callers still hold it.
static void conn_end(struct agent *a, struct agent_conn *conn)
{
    exec_conn_ended(a, conn);
    conn->blocked_first = conn->blocked_last = NULL;
    close(conn->fd);
    for (unsigned i = 0; i < conn->fds_count; i++)
        close(conn->fds[i]);
    munmap(conn->in, conn->in_capacity);
    munmap(conn->out, AGENT_OUT_MAX);
    *conn = (struct agent_conn){.fd = -1};
}

bool conn_can_send(const struct agent_conn *conn)
{
    return conn->out_size == 0 && !conn->ended;
}

static void conn_watch(struct agent *a, struct agent_conn *conn)
{
    const uint32_t events = EPOLLIN | (conn->out_size ? EPOLLOUT : 0u);
    if (!agent_watch(a, conn->fd, events, EVENT_CONN, (uint32_t)(conn - a->conns)))
        conn->ended = true;
}

void conn_send(struct agent *a, struct agent_conn *conn, const uint8_t *bytes, size_t size)
{
    assert(conn->out_size == 0 && size <= AGENT_OUT_MAX);
    ssize_t sent;
    do
        sent = send(conn->fd, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    if (sent < 0 && errno != EAGAIN) {
        conn->ended = true; // its end is also seen by reading, which cleans up
        shutdown(conn->fd, SHUT_RDWR);
        return;
    }
    const size_t done = sent < 0 ? 0 : (size_t)sent;
    if (done == size)
        return;
    memcpy(conn->out, bytes + done, size - done);
    conn->out_at = 0;
    conn->out_size = size - done;
    conn_watch(a, conn);
}

static void send_jobs(struct agent *a, struct agent_conn *conn)
{
    uint8_t frame[sizeof(struct frame_header) + sizeof a->jobs.running];
    const size_t at = frame_write_header(frame, FRAME_JOBS, 0, sizeof a->jobs.running);
    memcpy(frame + at, &a->jobs.running, sizeof a->jobs.running);
    conn->jobs_due = false;
    conn_send(a, conn, frame, sizeof frame);
}

void conns_tell_jobs(struct agent *a)
{
    for (unsigned i = 0; i < AGENT_CONN_MAX; i++) {
        struct agent_conn *conn = &a->conns[i];
        conn->jobs_due = true;
        if (conn->fd >= 0 && conn_can_send(conn))
            send_jobs(a, conn);
    }
}

void conn_block(struct agent_conn *conn, struct exec *exec)
{
    if (exec->blocked)
        return;
    exec->blocked = true;
    exec->next = NULL;
    if (conn->blocked_last)
        conn->blocked_last->next = exec;
    else
        conn->blocked_first = exec;
    conn->blocked_last = exec;
}

// Serves the streams that queued up, in their order, until the socket is full again.
static void serve_blocked(struct agent *a, struct agent_conn *conn)
{
    struct exec *exec;
    while (conn_can_send(conn) && (exec = conn->blocked_first) != NULL) {
        conn->blocked_first = exec->next;
        if (!conn->blocked_first)
            conn->blocked_last = NULL;
        exec->blocked = false;
        exec->next = NULL;
        exec_service(a, exec);
    }
}

static bool flush(struct agent *a, struct agent_conn *conn)
{
    ssize_t sent =
        send(conn->fd, conn->out + conn->out_at, conn->out_size, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0)
        return errno == EAGAIN || errno == EINTR;
    conn->out_at += (size_t)sent;
    conn->out_size -= (size_t)sent;
    if (conn->out_size == 0) {
        madvise(conn->out, AGENT_OUT_MAX, MADV_DONTNEED);
        conn_watch(a, conn);
        if (conn->jobs_due)
            send_jobs(a, conn);
        serve_blocked(a, conn);
    }
    return true;
}

static int take_content(struct agent_conn *conn)
{
    if (conn->fds_count == 0)
        return -1;
    const int fd = conn->fds[0];
    conn->fds_count--;
    memmove(conn->fds, conn->fds + 1, conn->fds_count * sizeof conn->fds[0]);
    return fd;
}

static bool file_frame(struct agent *a, struct agent_conn *conn, uint32_t stream,
                       const uint8_t *payload, size_t size)
{
    struct frame_file file;
    size_t at = 0;
    if (!frame_read_struct(payload, size, &at, &file, sizeof file))
        return false;
    return exec_file(a, conn, stream, payload, size, file.write ? take_content(conn) : -1);
}

static bool shutdown_frame(struct agent *a, const uint8_t *payload, size_t size)
{
    uint32_t grace_ms;
    size_t at = 0;
    if (!frame_read_struct(payload, size, &at, &grace_ms, sizeof grace_ms) || at != size)
        return false;
    agent_begin_shutdown(a, grace_ms);
    return true;
}

static bool handle_frame(struct agent *a, struct agent_conn *conn,
                         const struct frame_header *header, uint8_t *payload)
{
    switch (header->type) {
    case FRAME_EXEC:
        return exec_command(a, conn, header->stream, NULL, payload, header->size);
    case FRAME_FILE:
        return file_frame(a, conn, header->stream, payload, header->size);
    case FRAME_KERNEL:
        kernel_request(a, conn, header->stream, payload, header->size);
        return true;
    case FRAME_JOB:
        return job_request(a, conn, header->stream, payload, header->size);
    case FRAME_KILL:
        exec_kill(a, conn, header->stream);
        return header->size == 0;
    case FRAME_SHUTDOWN:
        return shutdown_frame(a, payload, header->size);
    default:
        return false;
    }
}

// Makes the mapping `capacity` bytes large, which holds what is in it.
static bool resize_in(struct agent_conn *conn, size_t capacity)
{
    if (capacity == conn->in_capacity)
        return true;
    void *in = mremap(conn->in, conn->in_capacity, capacity, MREMAP_MAYMOVE);
    if (in == MAP_FAILED)
        return false;
    conn->in = in;
    conn->in_capacity = capacity;
    return true;
}

// Carries out the whole frames that are there. False: malformed.
static bool handle_input(struct agent *a, struct agent_conn *conn)
{
    size_t at = 0, wanted = IN_CAPACITY;
    struct frame_header header;
    while (conn->in_size - at >= sizeof header) {
        if (!frame_read_header(conn->in + at, &header))
            return false;
        const size_t whole = sizeof header + header.size;
        if (conn->in_size - at < whole) {
            // A byte more: the process of a stream puts a NUL behind the last text.
            wanted = whole + 1 > IN_CAPACITY ? (whole + 4096) & ~(size_t)4095 : IN_CAPACITY;
            break;
        }
        if (!handle_frame(a, conn, &header, conn->in + at + sizeof header) || conn->ended)
            return false;
        at += whole;
    }
    conn->in_size -= at;
    memmove(conn->in, conn->in + at, conn->in_size);
    if (conn->in_size == 0 && conn->fds_count)
        return false; // a descriptor that no frame asked for
    return resize_in(conn, wanted);
}

static bool keep_descriptors(struct agent_conn *conn, struct msghdr *message)
{
    bool fits = !(message->msg_flags & MSG_CTRUNC);
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        const size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
            if (conn->fds_count < AGENT_CONN_FDS_MAX) {
                conn->fds[conn->fds_count++] = fd;
            } else {
                close(fd);
                fits = false;
            }
        }
    }
    return fits;
}

// Bytes received, 0 when there are none at present, -1 at the end or on an error.
static ssize_t receive(struct agent_conn *conn)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int) * AGENT_CONN_FDS_MAX)];
    } control;
    struct iovec part = {.iov_base = conn->in + conn->in_size,
                         .iov_len = conn->in_capacity - 1 - conn->in_size};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof control};
    const ssize_t got = recvmsg(conn->fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (got < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -1;
    if (!keep_descriptors(conn, &message) || got == 0)
        return -1;
    conn->in_size += (size_t)got;
    return got;
}

static bool read_input(struct agent *a, struct agent_conn *conn)
{
    for (unsigned i = 0; i < READS_MAX; i++) {
        const size_t room = conn->in_capacity - 1 - conn->in_size;
        const ssize_t got = receive(conn);
        if (got <= 0)
            return got == 0;
        if (!handle_input(a, conn))
            return false;
        if ((size_t)got < room && conn->in_capacity == IN_CAPACITY)
            return true;
    }
    return true;
}

void conn_event(struct agent *a, struct agent_conn *conn, uint32_t events)
{
    if (conn->fd < 0)
        return;
    bool alive = !conn->ended;
    if (alive && (events & EPOLLOUT))
        alive = flush(a, conn);
    if (alive && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
        alive = read_input(a, conn);
    if (!alive)
        conn_end(a, conn);
}

#define HELLO_SIZE (sizeof(struct frame_header) + sizeof(struct frame_hello))

static void build_hello(const struct agent *a, uint8_t out[HELLO_SIZE])
{
    const struct frame_hello hello = {FRAME_PROTOCOL_VERSION, a->jobs.running};
    const size_t size = frame_write_header(out, FRAME_HELLO, 0, sizeof hello);
    memcpy(out + size, &hello, sizeof hello);
}

static void conn_open(struct agent *a, struct agent_conn *conn, int fd)
{
    uint8_t hello[HELLO_SIZE];
    *conn = (struct agent_conn){.fd = fd, .in_capacity = IN_CAPACITY};
    conn->in = map_bytes(IN_CAPACITY);
    conn->out = map_bytes(AGENT_OUT_MAX);
    if (!conn->in || !conn->out ||
        !agent_watch(a, fd, EPOLLIN, EVENT_CONN, (uint32_t)(conn - a->conns))) {
        if (conn->in)
            munmap(conn->in, IN_CAPACITY);
        if (conn->out)
            munmap(conn->out, AGENT_OUT_MAX);
        close(fd);
        *conn = (struct agent_conn){.fd = -1};
        return;
    }
    build_hello(a, hello);
    conn_send(a, conn, hello, sizeof hello);
}

static struct agent_conn *free_conn(struct agent *a)
{
    for (unsigned i = 0; i < AGENT_CONN_MAX; i++)
        if (a->conns[i].fd < 0)
            return &a->conns[i];
    return NULL;
}

void conn_accept(struct agent *a)
{
    const int fd = accept4(a->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
        return;
    struct agent_conn *conn = free_conn(a);
    if (conn) {
        conn_open(a, conn, fd);
        return;
    }
    // Who only asks whether an agent is there shall know.
    uint8_t hello[HELLO_SIZE];
    build_hello(a, hello);
    send(fd, hello, sizeof hello, MSG_DONTWAIT | MSG_NOSIGNAL);
    close(fd);
}
