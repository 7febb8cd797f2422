// SPDX-License-Identifier: AGPL-3.0-or-later
#include "runner/runner_link.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"

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

static void channel_send(struct runner_channel *channel, const struct runner_request *request)
{
    size_t size = RUNNER_REQUEST_SIZE(request->data_size);
    if (!channel->first && packet_send(channel, request, size))
        return;
    struct packet *packet = mem_alloc(sizeof *packet + size);
    packet->next = NULL;
    packet->size = size;
    memcpy(packet->bytes, request, size);
    *channel->last = packet;
    channel->last = &packet->next;
    uv_poll_start(&channel->poll, UV_READABLE | UV_WRITABLE, on_poll);
}

static uint64_t request_begin(struct runner_link *link, enum runner_request_type type,
                              const struct uuid *project_id)
{
    struct runner_request *request = &link->request;
    memset(request, 0, offsetof(struct runner_request, data));
    request->type = type;
    request->seq = ++link->seq;
    memcpy(request->uuid, project_id->text, sizeof request->uuid);
    return request->seq;
}

static bool request_set_image(struct runner_request *request, const char *image)
{
    size_t size = strlen(image) + 1;
    if (size > sizeof request->image)
        return false;
    memcpy(request->image, image, size);
    return true;
}

static bool request_add(struct runner_request *request, const char *text)
{
    size_t size = strlen(text) + 1;
    if (size > sizeof request->data - request->data_size)
        return false;
    memcpy(request->data + request->data_size, text, size);
    request->data_size += (uint32_t)size;
    return true;
}

int runner_link_start(struct runner_link *link, const struct uuid *project_id,
                      const struct project_spec *spec, uint64_t *ret_seq, struct err *err)
{
    uint64_t seq = request_begin(link, RUNNER_START, project_id);
    link->request.flags = spec->network ? RUNNER_START_NETWORK : 0;
    link->request.limits = spec->limits;
    if (spec->image && !request_set_image(&link->request, spec->image))
        return err_set(err, ERR_TOO_LARGE, "the name of the project's image is too long");
    for (char *const *env = spec->env; env && *env; env++) {
        if (!request_add(&link->request, *env))
            return err_set(err, ERR_TOO_LARGE, "the project's environment is too large");
    }
    channel_send(link->channel, &link->request);
    *ret_seq = seq;
    return 0;
}

int runner_link_copy(struct runner_link *link, const struct copy_call *copy, uint64_t *ret_seq,
                     struct err *err)
{
    uint64_t seq = request_begin(link, RUNNER_COPY, &copy->call.project_id);
    struct runner_request *request = &link->request;
    memcpy(request->source, copy->source_project_id.text, sizeof request->source);
    request->flags = copy->flags;
    request->timeout_s = copy->timeout_s;
    request->room = copy->room;
    request->bandwidth = copy->bandwidth;
    request->files = copy->files;
    if (!request_add(request, copy->source_path) || !request_add(request, copy->target_path) ||
        !request_add(request, copy->exclude ? copy->exclude : ""))
        return err_set(err, ERR_TOO_LARGE, "the paths are too long");
    channel_send(link->channel, request);
    *ret_seq = seq;
    return 0;
}

void runner_link_end_copy(struct runner_link *link, const struct copy_call *copy)
{
    request_begin(link, RUNNER_END_COPY, &copy->call.project_id);
    link->request.copy_seq = copy->seq;
    channel_send(link->channel, &link->request);
}

void runner_link_limit(struct runner_link *link, const struct uuid *project_id,
                       const struct runner_limits *limits, uint64_t *ret_seq)
{
    *ret_seq = request_begin(link, RUNNER_LIMIT, project_id);
    link->request.limits = *limits;
    channel_send(link->channel, &link->request);
}

void runner_link_usage(struct runner_link *link, const struct uuid *project_id, uint64_t *ret_seq)
{
    *ret_seq = request_begin(link, RUNNER_USAGE, project_id);
    channel_send(link->channel, &link->request);
}

void runner_link_kill(struct runner_link *link, const struct uuid *project_id, uint64_t *ret_seq)
{
    *ret_seq = request_begin(link, RUNNER_KILL, project_id);
    channel_send(link->channel, &link->request);
}

// ---- In ----

// False when the message is malformed.
static bool take_message(const struct runner_link *link, struct runner_message *message)
{
    struct uuid project_id;
    bool has_id = uuid_parse(message->uuid, UUID_LEN, &project_id);
    message->text[sizeof message->text - 1] = '\0';
    if (message->type == RUNNER_REPLY)
        link->ops->reply(link->owner, has_id ? &project_id : NULL, message->seq, message->value,
                         message->text, &message->usage);
    else if (message->type == RUNNER_COPIED)
        link->ops->copied(link->owner, message->seq, message->value, message->text);
    else if (message->type == RUNNER_EXITED && has_id)
        link->ops->exited(link->owner, &project_id, message->value, message->text);
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
    struct runner_message message;
    ssize_t n = recv(channel->fd, &message, sizeof message, MSG_DONTWAIT);
    if (n < 0 && (errno == EINTR || errno == EAGAIN) && status >= 0)
        return;
    if (n <= 0)
        channel_ended(channel, n ? strerror(errno) : "end of file");
    else if (n != sizeof message || !take_message(channel->link, &message))
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
