// SPDX-License-Identifier: AGPL-3.0-or-later
#include "runner/runner_link.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "proto/frame.h"

// Texts of the runner are cut at this length; they end in the detail of an error.
#define TEXT_MAX 400

// A message that the socket did not take yet.
struct packet {
    struct packet *next;
    size_t size;
    char bytes[];
};

struct runner_channel {
    struct runner_link *link;
    uv_poll_t poll;
    int fd;
    struct packet *first, **last;
};

void runner_link_init(struct runner_link *link, struct loop *loop,
                      const struct runner_link_ops *ops, void *owner)
{
    *link = (struct runner_link){.loop = loop, .ops = ops, .owner = owner};
}

static void on_channel_closed(uv_handle_t *handle)
{
    free(CONTAINER(handle, struct runner_channel, poll));
}

static void channel_close(struct runner_channel *channel)
{
    for (struct packet *p = channel->first, *next; p; p = next) {
        next = p->next;
        free(p);
    }
    uv_close((uv_handle_t *)&channel->poll, on_channel_closed);
    fd_close(&channel->fd);
}

void runner_link_dispose(struct runner_link *link)
{
    if (link->channel)
        channel_close(TAKE_PTR(link->channel));
    buf_dispose(&link->message);
}

bool runner_link_is_up(const struct runner_link *link)
{
    return link->channel;
}

// ---- Out ----

static void on_poll(uv_poll_t *poll, int status, int events);

// False when the socket is full. A broken channel takes everything: its end is about to be seen.
static bool packet_send(const struct runner_channel *channel, const void *bytes, size_t size)
{
    ssize_t n;
    do
        n = send(channel->fd, bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    return n >= 0 || (errno != EAGAIN && errno != ENOBUFS);
}

static void channel_flush(struct runner_channel *channel)
{
    while (channel->first && packet_send(channel, channel->first->bytes, channel->first->size)) {
        struct packet *sent = channel->first;
        channel->first = sent->next;
        free(sent);
    }
    if (channel->first)
        return;
    channel->last = &channel->first;
    uv_poll_start(&channel->poll, UV_READABLE, on_poll);
}

static void channel_send(struct runner_channel *channel, const struct buf *message)
{
    if (!channel->first && packet_send(channel, message->data, message->size))
        return;
    struct packet *packet = mem_alloc(sizeof *packet + message->size);
    packet->next = NULL;
    packet->size = message->size;
    memcpy(packet->bytes, message->data, message->size);
    *channel->last = packet;
    channel->last = &packet->next;
    uv_poll_start(&channel->poll, UV_READABLE | UV_WRITABLE, on_poll);
}

static void message_append_text(struct buf *message, const char *text)
{
    size_t size = strlen(text);
    uint8_t *out = (uint8_t *)buf_reserve(message, sizeof(uint32_t) + size);
    message->size += frame_write_text(out, text, size);
}

static uint32_t message_begin(struct runner_link *link, enum runner_message_type type,
                              const struct uuid *project_id)
{
    if (!++link->seq)
        link->seq = 1;
    struct runner_header header = {.type = type, .seq = link->seq};
    memcpy(header.project_id, project_id->text, sizeof header.project_id);
    link->message.size = 0;
    buf_append(&link->message, &header, sizeof header);
    return link->seq;
}

int runner_link_start(struct runner_link *link, const struct uuid *project_id,
                      const struct project_spec *spec, uint32_t *ret_seq, struct err *err)
{
    struct runner_start start = {.network = spec->network};
    while (spec->env && spec->env[start.env_count])
        start.env_count++;
    uint32_t seq = message_begin(link, RUNNER_START, project_id);
    struct buf *message = &link->message;
    buf_append(message, &start, sizeof start);
    message_append_text(message, spec->image ? spec->image : "");
    for (uint32_t i = 0; i < start.env_count; i++)
        message_append_text(message, spec->env[i]);
    if (message->size > RUNNER_MESSAGE_MAX)
        return err_set(err, ERR_TOO_LARGE, "the project's environment is too large");
    channel_send(link->channel, message);
    *ret_seq = seq;
    return 0;
}

void runner_link_kill(struct runner_link *link, const struct uuid *project_id, uint32_t *ret_seq)
{
    *ret_seq = message_begin(link, RUNNER_KILL, project_id);
    channel_send(link->channel, &link->message);
}

// ---- In ----

// The fixed part of a message, and its one text as a string.
static bool read_body(const uint8_t *message, size_t size, int32_t *ret_number, char *text)
{
    size_t at = sizeof(struct runner_header), text_size;
    const char *bytes;
    if (size < at + sizeof *ret_number)
        return false;
    memcpy(ret_number, message + at, sizeof *ret_number);
    at += sizeof *ret_number;
    if (!frame_read_text(message, size, &at, &bytes, &text_size))
        return false;
    snprintf(text, TEXT_MAX, "%.*s", (int)(text_size < TEXT_MAX ? text_size : TEXT_MAX), bytes);
    return true;
}

// False when the message is malformed.
static bool take_message(struct runner_link *link, const uint8_t *message, size_t size)
{
    _Static_assert(sizeof(struct runner_reply) == sizeof(int32_t), "read_body reads both");
    _Static_assert(sizeof(struct runner_exited) == sizeof(int32_t), "read_body reads both");
    struct runner_header header;
    struct uuid project_id;
    int32_t number;
    char text[TEXT_MAX];
    if (!read_body(message, size, &number, text))
        return false;
    memcpy(&header, message, sizeof header);
    if (!uuid_parse(header.project_id, sizeof header.project_id, &project_id))
        return false;
    if (header.type == RUNNER_REPLY)
        link->ops->reply(link->owner, &project_id, header.seq, number, text);
    else if (header.type == RUNNER_EXITED)
        link->ops->exited(link->owner, &project_id, number, text);
    else
        return false;
    return true;
}

static void channel_ended(struct runner_channel *channel, const char *why)
{
    struct runner_link *link = channel->link;
    log_event(LOG_ERROR, "runner_lost", LOG_TEXT("why", why));
    link->channel = NULL;
    channel_close(channel);
    link->ops->down(link->owner);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct runner_channel *channel = CONTAINER(poll, struct runner_channel, poll);
    if (status >= 0 && (events & UV_WRITABLE))
        channel_flush(channel);
    if (status >= 0 && !(events & UV_READABLE))
        return;
    uint8_t message[RUNNER_MESSAGE_MAX];
    ssize_t n = recv(channel->fd, message, sizeof message, MSG_DONTWAIT);
    if (n < 0 && (errno == EINTR || errno == EAGAIN) && status >= 0)
        return;
    if (n <= 0)
        channel_ended(channel, n ? strerror(errno) : "end of file");
    else if (!take_message(channel->link, message, (size_t)n))
        channel_ended(channel, "a malformed message");
}

void runner_link_attach(struct runner_link *link, int fd)
{
    if (link->channel)
        channel_ended(link->channel, "replaced");
    struct runner_channel *channel = mem_zalloc(sizeof *channel);
    int rc = uv_poll_init(&link->loop->uv, &channel->poll, fd);
    if (rc) {
        log_event(LOG_ERROR, "runner_lost", LOG_TEXT("why", uv_strerror(rc)));
        free(channel);
        fd_close(&fd);
        return;
    }
    channel->link = link;
    channel->fd = fd;
    channel->last = &channel->first;
    link->channel = channel;
    uv_poll_start(&channel->poll, UV_READABLE, on_poll);
}
