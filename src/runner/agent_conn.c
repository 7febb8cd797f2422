// SPDX-License-Identifier: AGPL-3.0-or-later
#include "runner/agent_conn.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "runner/use.h"

#define INPUT_SIZE ((size_t)256 * 1024)
// A FRAME_EXIT may have to be gathered; what was executed is told shortened.
#define EXIT_SIZE_MAX (64u * 1024)
// Buffers larger than this are given back when they are empty.
#define FRAME_KEEP_MAX ((size_t)64 * 1024)
#define SLOTS_KEEP_MAX 64u
#define SLOTS_MIN      4u
#define NO_SLOT        UINT32_MAX

// A stream's number is its slot's index and, above that, how often the slot was used.
struct slot {
    struct agent_stream *stream; // NULL: abandoned, or free
    uint32_t number;
    uint32_t next_free;
    bool taken;
};

// A descriptor that goes with the byte `at` of the queue.
struct queued_fd {
    size_t at;
    int fd;
};

struct agent_conn {
    struct agent_io *io;
    void *owner;
    struct uuid project_id;
    uv_poll_t poll;
    int fd;
    int use_fd;       // while there are streams (runner/use.h)
    uint32_t version; // that the agent speaks; 0: it has not greeted
    uint32_t jobs;    // that run
    bool broken, writable_wanted;

    struct slot *slots;
    uint32_t slots_count, slots_capacity, free_slot;
    uint32_t generation;

    uint8_t head[sizeof(struct frame_header)];
    size_t head_size;          // bytes of `head` that are there
    struct frame_header frame; // the frame whose payload is being read
    size_t left;               // bytes of its payload still to come
    struct buf gathered;       // of a payload that is needed as a whole and came in pieces

    struct buf queue;
    size_t queue_at;
    struct queued_fd *fds;
    size_t fds_count;
};

void agent_io_init(struct agent_io *io, struct loop *loop, const struct agent_conn_ops *ops)
{
    *io = (struct agent_io){.loop = loop, .ops = ops, .input = mem_alloc(INPUT_SIZE)};
}

void agent_io_dispose(struct agent_io *io)
{
    free(io->input);
    buf_dispose(&io->frame);
}

int agent_socket_connect(const struct uuid *project_id, int *ret_fd)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "run/%s/agent.sock", project_id->text);
    auto_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    if (connect(fd, (struct sockaddr *)&address, sizeof address))
        return -errno;
    *ret_fd = TAKE_FD(fd);
    return 0;
}

// ---- Streams ----

static void slots_grow(struct agent_conn *conn)
{
    uint32_t old = conn->slots_capacity;
    uint32_t capacity = old ? old * 2 : SLOTS_MIN;
    conn->slots = mem_realloc(conn->slots, capacity * sizeof *conn->slots);
    for (uint32_t i = old; i < capacity; i++)
        conn->slots[i] = (struct slot){.next_free = i + 1 < capacity ? i + 1 : NO_SLOT};
    conn->slots_capacity = capacity;
    conn->free_slot = old;
}

static void stream_add(struct agent_conn *conn, struct agent_stream *stream)
{
    if (conn->free_slot == NO_SLOT)
        slots_grow(conn);
    uint32_t index = conn->free_slot;
    struct slot *slot = &conn->slots[index];
    conn->free_slot = slot->next_free;
    conn->generation = (conn->generation + 1) % (UINT32_MAX / AGENT_STREAMS_MAX);
    slot->number = (conn->generation + 1) * AGENT_STREAMS_MAX + index;
    slot->stream = stream;
    slot->taken = true;
    stream->number = slot->number;
    if (conn->slots_count++ == 0 && conn->io->shared)
        conn->use_fd = project_use_begin(&conn->project_id);
}

static struct slot *slot_find(const struct agent_conn *conn, uint32_t number)
{
    uint32_t index = number % AGENT_STREAMS_MAX;
    if (index >= conn->slots_capacity)
        return NULL;
    struct slot *slot = &conn->slots[index];
    return slot->taken && slot->number == number ? slot : NULL;
}

static void slot_release(struct agent_conn *conn, struct slot *slot)
{
    uint32_t index = (uint32_t)(slot - conn->slots);
    *slot = (struct slot){.next_free = conn->free_slot};
    conn->free_slot = index;
    if (--conn->slots_count)
        return;
    fd_close(&conn->use_fd);
    if (conn->slots_capacity > SLOTS_KEEP_MAX) {
        free(conn->slots);
        conn->slots = NULL;
        conn->slots_capacity = 0;
        conn->free_slot = NO_SLOT;
    }
}

uint32_t agent_conn_version(const struct agent_conn *conn)
{
    return conn->version;
}

uint32_t agent_conn_jobs(const struct agent_conn *conn)
{
    return conn->jobs;
}

size_t agent_conn_streams(const struct agent_conn *conn)
{
    return conn->slots_count;
}

// ---- Out ----

static ssize_t send_some(int socket_fd, const void *bytes, size_t size, int fd)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec iov = {(void *)(uintptr_t)bytes, size};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
    if (fd >= 0) {
        message.msg_control = control.bytes;
        message.msg_controllen = sizeof control.bytes;
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof fd);
        memcpy(CMSG_DATA(header), &fd, sizeof fd);
    }
    ssize_t n;
    do
        n = sendmsg(socket_fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    return n;
}

static void on_poll(uv_poll_t *poll, int status, int events);

static void watch(struct agent_conn *conn, bool writable)
{
    if (conn->writable_wanted == writable)
        return;
    conn->writable_wanted = writable;
    uv_poll_start(&conn->poll, writable ? UV_READABLE | UV_WRITABLE : UV_READABLE, on_poll);
}

static void queue_drop(struct agent_conn *conn)
{
    for (size_t i = 0; i < conn->fds_count; i++)
        close(conn->fds[i].fd);
    free(conn->fds);
    conn->fds = NULL;
    conn->fds_count = 0;
    buf_dispose(&conn->queue);
    conn->queue_at = 0;
}

static void queue_compact(struct agent_conn *conn)
{
    if (conn->queue_at < conn->queue.size - conn->queue_at)
        return;
    conn->queue.size -= conn->queue_at;
    memmove(conn->queue.data, conn->queue.data + conn->queue_at, conn->queue.size);
    for (size_t i = 0; i < conn->fds_count; i++)
        conn->fds[i].at -= conn->queue_at;
    conn->queue_at = 0;
}

static bool queue_append(struct agent_conn *conn, const void *bytes, size_t size, int fd)
{
    if (conn->queue_at)
        queue_compact(conn);
    if (fd >= 0) {
        int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
        if (copy < 0)
            return false;
        conn->fds = mem_realloc(conn->fds, (conn->fds_count + 1) * sizeof *conn->fds);
        conn->fds[conn->fds_count++] = (struct queued_fd){conn->queue.size, copy};
    }
    buf_append(&conn->queue, bytes, size);
    return true;
}

// Sends up to the next descriptor in the queue, or that descriptor and the bytes behind it.
static ssize_t queue_send(struct agent_conn *conn)
{
    size_t end = conn->queue.size;
    bool with_fd = conn->fds_count && conn->fds[0].at == conn->queue_at;
    if (conn->fds_count > with_fd)
        end = conn->fds[with_fd].at;
    ssize_t n = send_some(conn->fd, conn->queue.data + conn->queue_at, end - conn->queue_at,
                          with_fd ? conn->fds[0].fd : -1);
    if (n > 0 && with_fd) {
        close(conn->fds[0].fd);
        memmove(conn->fds, conn->fds + 1, --conn->fds_count * sizeof *conn->fds);
    }
    return n;
}

// The other side takes no more. Its end is seen by reading, also when the failure was on this side.
static void conn_break(struct agent_conn *conn)
{
    conn->broken = true;
    shutdown(conn->fd, SHUT_RDWR);
}

// The kernel is short of something at the moment; the connection is as good as before. All of a
// user's descriptors that are on their way through sockets count together: a project can use up
// what the hub may have.
static bool is_shortage(int error)
{
    return error == ETOOMANYREFS || error == ENOBUFS || error == ENOMEM;
}

static void queue_flush(struct agent_conn *conn)
{
    while (conn->queue_at < conn->queue.size) {
        ssize_t n = queue_send(conn);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n < 0) {
            conn_break(conn);
            break;
        }
        conn->queue_at += (size_t)n;
    }
    queue_drop(conn);
    watch(conn, false);
}

static size_t queue_size(const struct agent_conn *conn)
{
    return conn->queue.size - conn->queue_at;
}

// False when the descriptor could not be sent or kept. A broken connection takes everything: its
// end is about to be reported.
static bool send_or_queue(struct agent_conn *conn, const void *bytes, size_t size, int fd)
{
    ssize_t sent = 0;
    if (!queue_size(conn)) {
        sent = send_some(conn->fd, bytes, size, fd);
        if (sent < 0 && fd >= 0 && is_shortage(errno))
            return false;
        if (sent < 0 && errno != EAGAIN && !is_shortage(errno)) {
            conn_break(conn);
            return true;
        }
        if (sent < 0)
            sent = 0;
    }
    if ((size_t)sent == size)
        return true;
    if (!queue_append(conn, (const char *)bytes + sent, size - (size_t)sent, sent ? -1 : fd))
        return false;
    watch(conn, true);
    return true;
}

struct buf *agent_conn_begin(struct agent_conn *conn)
{
    struct buf *frame = &conn->io->frame;
    if (frame->capacity > FRAME_KEEP_MAX)
        buf_dispose(frame);
    buf_reserve(frame, sizeof(struct frame_header));
    frame->size = sizeof(struct frame_header);
    return frame;
}

int agent_conn_submit(struct agent_conn *conn, enum frame_type type, int fd,
                      struct agent_stream *stream, struct err *err)
{
    struct buf *frame = &conn->io->frame;
    size_t payload_size = frame->size - sizeof(struct frame_header);
    if (payload_size > FRAME_PAYLOAD_MAX)
        return err_set(err, ERR_TOO_LARGE, "the command is too long");
    if (conn->slots_count == AGENT_STREAMS_MAX || queue_size(conn) + frame->size > AGENT_QUEUE_MAX)
        return err_set(err, ERR_UNAVAILABLE, "too much is running in the project");
    stream_add(conn, stream);
    frame_write_header((uint8_t *)frame->data, type, stream->number, payload_size);
    bool sent = send_or_queue(conn, frame->data, frame->size, fd);
    if (sent && !conn->broken)
        return 0;
    slot_release(conn, slot_find(conn, stream->number));
    stream->number = 0;
    return err_set(err, ERR_UNAVAILABLE, sent ? "the project stopped" : "too many files are open");
}

static void send_control(struct agent_conn *conn, enum frame_type type, uint32_t stream,
                         const void *payload, size_t size)
{
    uint8_t frame[sizeof(struct frame_header) + sizeof(uint32_t)];
    assert(size <= sizeof(uint32_t));
    size_t at = frame_write_header(frame, type, stream, size);
    if (size)
        memcpy(frame + at, payload, size);
    bool sent = send_or_queue(conn, frame, at + size, -1);
    assert(sent);
}

void agent_conn_abandon(struct agent_conn *conn, struct agent_stream *stream)
{
    struct slot *slot = slot_find(conn, stream->number);
    assert(slot && slot->stream == stream);
    slot->stream = NULL;
    stream->number = 0;
    send_control(conn, FRAME_KILL, slot->number, NULL, 0);
}

void agent_conn_shutdown(struct agent_conn *conn, uint32_t grace_ms)
{
    send_control(conn, FRAME_SHUTDOWN, 0, &grace_ms, sizeof grace_ms);
}

bool agent_conn_is_broken(const struct agent_conn *conn)
{
    return conn->broken;
}

// ---- In: functions that return a text have found the rules broken ----

static const char *check_stream(const struct agent_conn *conn)
{
    return slot_find(conn, conn->frame.stream) ? NULL : "a frame of an unknown stream";
}

static const char *check_header(struct agent_conn *conn)
{
    const struct frame_header *frame = &conn->frame;
    const bool greeted = conn->version != 0;
    if ((frame->type == FRAME_HELLO) == greeted)
        return greeted ? "a second hello" : "a frame before the hello";
    switch (frame->type) {
    case FRAME_HELLO:
        return frame->size >= sizeof(uint32_t) && frame->size <= sizeof(struct frame_hello) &&
                       !frame->stream
                   ? NULL
                   : "a malformed hello";
    case FRAME_STDOUT:
    case FRAME_STDERR:
        return frame->size <= FRAME_OUTPUT_MAX ? check_stream(conn) : "too large a piece of output";
    case FRAME_EXIT:
        if (frame->size < sizeof(struct frame_exit) + sizeof(uint32_t) ||
            frame->size > EXIT_SIZE_MAX)
            return "an exit of the wrong size";
        return check_stream(conn);
    case FRAME_JOBS:
        return frame->size == sizeof conn->jobs && !frame->stream ? NULL
                                                                  : "a malformed count of jobs";
    default:
        return "a frame of an unknown type";
    }
}

static const char *take_hello(struct agent_conn *conn, const uint8_t *payload)
{
    struct frame_hello hello = {0};
    memcpy(&hello, payload, conn->frame.size);
    if (hello.version < FRAME_PROTOCOL_OLDEST || hello.version > FRAME_PROTOCOL_VERSION)
        return "another version of the protocol";
    if (conn->frame.size != (hello.version < 3 ? sizeof hello.version : sizeof hello))
        return "a malformed hello";
    conn->version = hello.version;
    conn->jobs = hello.jobs;
    conn->io->ops->hello(conn->owner);
    return NULL;
}

static const char *take_jobs(struct agent_conn *conn, const uint8_t *payload)
{
    const uint32_t before = conn->jobs;
    memcpy(&conn->jobs, payload, sizeof conn->jobs);
    if (conn->jobs < before)
        conn->io->ops->jobs_ended(conn->owner);
    return NULL;
}

static const char *take_exit(struct agent_conn *conn, const uint8_t *payload)
{
    struct frame_exit end;
    memcpy(&end, payload, sizeof end);
    size_t at = sizeof end, text_size;
    const char *text;
    if (!frame_read_text(payload, conn->frame.size, &at, &text, &text_size) ||
        at != conn->frame.size)
        return "an exit with a malformed text";
    if (!frame_outcome_fits(end.outcome, end.value))
        return "an exit with an outcome that makes no sense";
    struct agent_stream *stream = slot_find(conn, conn->frame.stream)->stream;
    if (stream && !conn->io->ops->exit(stream, &end, text, text_size))
        return "an exit that does not fit its request";
    slot_release(conn, slot_find(conn, conn->frame.stream));
    return NULL;
}

static const char *take_output(struct agent_conn *conn, const uint8_t *bytes, size_t size)
{
    struct agent_stream *stream = slot_find(conn, conn->frame.stream)->stream;
    bool is_error = conn->frame.type == FRAME_STDERR;
    if (stream && !conn->io->ops->output(stream, is_error, bytes, size))
        return "output that does not fit its request";
    conn->left -= size;
    return NULL;
}

static const char *take_whole(struct agent_conn *conn, const uint8_t *payload)
{
    switch (conn->frame.type) {
    case FRAME_HELLO:
        return take_hello(conn, payload);
    case FRAME_JOBS:
        return take_jobs(conn, payload);
    default:
        return take_exit(conn, payload);
    }
}

// A piece of a payload that is needed as a whole.
static const char *gather(struct agent_conn *conn, const uint8_t *bytes, size_t size)
{
    conn->left -= size;
    if (!conn->left && !conn->gathered.size)
        return take_whole(conn, bytes);
    buf_append(&conn->gathered, bytes, size);
    if (conn->left)
        return NULL;
    auto_buf struct buf payload = conn->gathered;
    conn->gathered = (struct buf){0};
    return take_whole(conn, (const uint8_t *)payload.data);
}

static const char *take_header(struct agent_conn *conn, const uint8_t *bytes, size_t *size)
{
    size_t missing = sizeof conn->head - conn->head_size;
    *size = *size < missing ? *size : missing;
    memcpy(conn->head + conn->head_size, bytes, *size);
    conn->head_size += *size;
    if (conn->head_size < sizeof conn->head)
        return NULL;
    conn->head_size = 0;
    if (!frame_read_header(conn->head, &conn->frame))
        return "a malformed header";
    conn->left = conn->frame.size;
    return check_header(conn);
}

static const char *take_payload(struct agent_conn *conn, const uint8_t *bytes, size_t *size)
{
    *size = *size < conn->left ? *size : conn->left;
    bool is_output = conn->frame.type == FRAME_STDOUT || conn->frame.type == FRAME_STDERR;
    return is_output ? take_output(conn, bytes, *size) : gather(conn, bytes, *size);
}

static const char *take_input(struct agent_conn *conn, const uint8_t *bytes, size_t size)
{
    const char *violation = NULL;
    while (size && !violation) {
        size_t used = size;
        violation = conn->left ? take_payload(conn, bytes, &used) : take_header(conn, bytes, &used);
        bytes += used;
        size -= used;
    }
    return violation;
}

enum receive_result { RECEIVE_MORE, RECEIVE_EMPTY, RECEIVE_CLOSED };

// One read. After RECEIVE_CLOSED the connection is gone.
static enum receive_result receive(struct agent_conn *conn)
{
    ssize_t n;
    do
        n = recv(conn->fd, conn->io->input, INPUT_SIZE, MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n < 0 && errno == EAGAIN)
        return RECEIVE_EMPTY;
    const char *violation = n > 0 ? take_input(conn, conn->io->input, (size_t)n) : NULL;
    if (n > 0 && !violation)
        return RECEIVE_MORE;
    conn->io->ops->closed(conn->owner, violation);
    return RECEIVE_CLOSED;
}

// An error is pending on the socket, which is no longer watched; what came before it is still there
// to be read.
static void receive_rest(struct agent_conn *conn)
{
    enum receive_result result;
    do
        result = receive(conn);
    while (result == RECEIVE_MORE);
    if (result == RECEIVE_EMPTY)
        conn->io->ops->closed(conn->owner, NULL);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct agent_conn *conn = CONTAINER(poll, struct agent_conn, poll);
    if (status < 0) {
        receive_rest(conn);
        return;
    }
    if (events & UV_WRITABLE)
        queue_flush(conn);
    if (events & UV_READABLE)
        receive(conn);
}

int agent_conn_open(struct agent_io *io, const struct uuid *project_id, void *owner,
                    struct agent_conn **ret_conn)
{
    auto_fd int fd = -1;
    int rc = agent_socket_connect(project_id, &fd);
    if (rc)
        return rc;
    struct agent_conn *conn = mem_zalloc(sizeof *conn);
    rc = uv_poll_init(&io->loop->uv, &conn->poll, fd);
    if (rc) {
        free(conn);
        return rc;
    }
    conn->io = io;
    conn->owner = owner;
    conn->project_id = *project_id;
    conn->use_fd = -1;
    conn->fd = TAKE_FD(fd);
    conn->free_slot = NO_SLOT;
    uv_poll_start(&conn->poll, UV_READABLE, on_poll);
    *ret_conn = conn;
    return 0;
}

static void on_closed(uv_handle_t *handle)
{
    free(CONTAINER(handle, struct agent_conn, poll));
}

void agent_conn_close(struct agent_conn *conn)
{
    for (uint32_t i = 0; i < conn->slots_capacity; i++) {
        struct agent_stream *stream = conn->slots[i].stream;
        if (!stream)
            continue;
        stream->number = 0;
        conn->io->ops->lost(stream);
    }
    free(conn->slots);
    fd_close(&conn->use_fd);
    queue_drop(conn);
    buf_dispose(&conn->gathered);
    uv_close((uv_handle_t *)&conn->poll, on_closed);
    fd_close(&conn->use_fd);
    fd_close(&conn->fd);
}
