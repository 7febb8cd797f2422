// SPDX-License-Identifier: AGPL-3.0-or-later
#include "agent_client.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/fd.h"
#include "base/mem.h"

#define WAIT_MS 60000

static bool receive(struct client *c, void *bytes, size_t size, int wait_ms)
{
    for (size_t done = 0; done < size;) {
        struct pollfd fd = {.fd = c->fd, .events = POLLIN};
        if (poll(&fd, 1, wait_ms) <= 0)
            return false;
        const ssize_t got = recv(c->fd, (char *)bytes + done, size - done, 0);
        c->closed = got == 0 || (got < 0 && errno == ECONNRESET);
        if (c->closed)
            return false;
        assert_true(got > 0);
        done += (size_t)got;
    }
    return true;
}

struct client *client_open(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct frame_header header;
    struct frame_hello hello = {0};
    struct client *c = mem_zalloc(sizeof *c);
    c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(strlen(path) < sizeof address.sun_path);
    strcpy(address.sun_path, path);
    if (connect(c->fd, (struct sockaddr *)&address, sizeof address) < 0)
        fail_msg("connect %s: %s", path, strerror(errno));
    assert_true(receive(c, &header, sizeof header, WAIT_MS));
    assert_int_equal(header.type, FRAME_HELLO);
    assert_int_equal(header.size, sizeof hello);
    assert_true(receive(c, &hello, sizeof hello, WAIT_MS));
    assert_int_equal(hello.version, FRAME_PROTOCOL_VERSION);
    c->jobs = hello.jobs;
    return c;
}

void client_forget(struct client *c, uint32_t stream)
{
    struct client_result *result = &c->results[stream];
    buf_dispose(&result->text);
    buf_dispose(&result->out);
    buf_dispose(&result->err);
    *result = (struct client_result){0};
}

void client_close(struct client *c)
{
    for (uint32_t i = 0; i < CLIENT_STREAMS; i++)
        client_forget(c, i);
    fd_close(&c->fd);
    free(c);
}

void client_send(struct client *c, enum frame_type type, uint32_t stream, const void *payload,
                 size_t size, int fd)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof fd)];
    } control = {0};
    auto_buf struct buf frame = {0};
    uint8_t header[sizeof(struct frame_header)];
    buf_append(&frame, header, frame_write_header(header, type, stream, size));
    buf_append(&frame, payload, size);
    for (size_t done = 0; done < frame.size;) {
        struct iovec part = {frame.data + done, frame.size - done};
        struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
        if (fd >= 0 && done == 0) {
            control.header.cmsg_level = SOL_SOCKET;
            control.header.cmsg_type = SCM_RIGHTS;
            control.header.cmsg_len = CMSG_LEN(sizeof fd);
            memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
            message.msg_control = &control;
            message.msg_controllen = sizeof control;
        }
        const ssize_t sent = sendmsg(c->fd, &message, MSG_NOSIGNAL);
        if (sent < 0)
            return; // the agent has closed; reading tells
        done += (size_t)sent;
    }
}

static void add_text(struct buf *payload, const char *text)
{
    const size_t size = strlen(text);
    uint8_t *out = (uint8_t *)buf_reserve(payload, 4 + size);
    payload->size += frame_write_text(out, text, size);
}

static void add_command(struct buf *payload, const struct client_command *command)
{
    struct frame_exec frame = {.timeout_ms = command->timeout_ms,
                               .cpu_seconds = command->cpu_seconds,
                               .script = command->script};
    for (const char *const *arg = command->args; arg && *arg; arg++)
        frame.args_count++;
    for (const char *const *variable = command->env; variable && *variable; variable++)
        frame.env_count++;
    buf_append(payload, &frame, sizeof frame);
    add_text(payload, command->directory ? command->directory : "/");
    add_text(payload, command->command);
    for (uint32_t i = 0; i < frame.args_count; i++)
        add_text(payload, command->args[i]);
    for (uint32_t i = 0; i < frame.env_count; i++)
        add_text(payload, command->env[i]);
}

void client_exec(struct client *c, uint32_t stream, const struct client_command *command)
{
    auto_buf struct buf payload = {0};
    add_command(&payload, command);
    client_send(c, FRAME_EXEC, stream, payload.data, payload.size, -1);
}

void client_job(struct client *c, uint32_t stream, const struct frame_job *job, const char *note,
                const struct client_command *command)
{
    auto_buf struct buf payload = {0};
    buf_append(&payload, job, sizeof *job);
    if (command) {
        add_text(&payload, note);
        add_command(&payload, command);
    }
    client_send(c, FRAME_JOB, stream, payload.data, payload.size, -1);
}

void client_file(struct client *c, uint32_t stream, bool write, const char *path, uint32_t size_max,
                 int content_fd)
{
    auto_buf struct buf payload = {0};
    const struct frame_file frame = {.write = write, .size_max = size_max};
    buf_append(&payload, &frame, sizeof frame);
    add_text(&payload, path);
    client_send(c, FRAME_FILE, stream, payload.data, payload.size, content_fd);
}

void client_shutdown(struct client *c, uint32_t grace_ms)
{
    client_send(c, FRAME_SHUTDOWN, 0, &grace_ms, sizeof grace_ms, -1);
}

static void take_exit(struct client_result *result, const uint8_t *payload, size_t size)
{
    size_t at = 0, text_size;
    const char *text;
    assert_true(frame_read_struct(payload, size, &at, &result->exit, sizeof result->exit));
    assert_true(frame_read_text(payload, size, &at, &text, &text_size));
    assert_int_equal(at, size);
    buf_append(&result->text, text, text_size);
    buf_cstr(&result->text);
    buf_cstr(&result->out);
    buf_cstr(&result->err);
    result->ended = true;
}

bool client_read(struct client *c, int wait_ms)
{
    static uint8_t payload[FRAME_OUTPUT_MAX];
    uint8_t bytes[sizeof(struct frame_header)];
    struct frame_header header;
    if (!receive(c, bytes, sizeof bytes, wait_ms))
        return false;
    assert_true(frame_read_header(bytes, &header));
    assert_true(header.size <= sizeof payload && header.stream < CLIENT_STREAMS);
    assert_true(receive(c, payload, header.size, WAIT_MS));
    if (header.type == FRAME_JOBS) {
        assert_int_equal(header.size, sizeof c->jobs);
        memcpy(&c->jobs, payload, sizeof c->jobs);
        return true;
    }
    struct client_result *result = &c->results[header.stream];
    assert_false(result->ended);
    if (header.type == FRAME_STDOUT)
        buf_append(&result->out, payload, header.size);
    else if (header.type == FRAME_STDERR)
        buf_append(&result->err, payload, header.size);
    else if (header.type == FRAME_EXIT)
        take_exit(result, payload, header.size);
    else
        fail_msg("frame of type %d", header.type);
    return true;
}

struct client_result *client_wait(struct client *c, uint32_t stream)
{
    while (!c->results[stream].ended)
        if (!client_read(c, WAIT_MS))
            fail_msg("stream %u: %s", stream, c->closed ? "the agent closed" : "nothing comes");
    return &c->results[stream];
}

struct client_result *client_run(struct client *c, uint32_t stream,
                                 const struct client_command *command)
{
    client_forget(c, stream);
    client_exec(c, stream, command);
    return client_wait(c, stream);
}
