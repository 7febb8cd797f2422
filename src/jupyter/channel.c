// SPDX-License-Identifier: AGPL-3.0-or-later
#include "jupyter/channel.h"

#include "proto/kernel.h"

// More than the longest answer has no use.
#define MESSAGE_SIZE_MAX ((int64_t)KERNEL_REPLY_MAX)
// Enough for bursts of small messages; those in a kernel's own queue are a thousand more.
#define RECEIVE_MAX 200
// Kernels are near: one that does not listen yet will in a moment.
#define RECONNECT_MS 10

static bool configure(void *socket, enum channel channel, const char *identity)
{
    const int64_t size_max = MESSAGE_SIZE_MAX;
    const int receive_max = RECEIVE_MAX, reconnect_ms = RECONNECT_MS, linger_ms = 0;
    return zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &size_max, sizeof size_max) == 0 &&
           zmq_setsockopt(socket, ZMQ_RCVHWM, &receive_max, sizeof receive_max) == 0 &&
           zmq_setsockopt(socket, ZMQ_RECONNECT_IVL, &reconnect_ms, sizeof reconnect_ms) == 0 &&
           zmq_setsockopt(socket, ZMQ_LINGER, &linger_ms, sizeof linger_ms) == 0 &&
           (channel == CHANNEL_IOPUB
                ? zmq_setsockopt(socket, ZMQ_SUBSCRIBE, "", 0) == 0
                : zmq_setsockopt(socket, ZMQ_ROUTING_ID, identity, strlen(identity)) == 0);
}

void *channel_open(void *zmq, enum channel channel, const char *identity, const char *path)
{
    char address[256];
    void *socket = zmq_socket(zmq, channel == CHANNEL_IOPUB ? ZMQ_SUB : ZMQ_DEALER);
    if (!socket)
        return NULL;
    const int size = snprintf(address, sizeof address, "ipc://%s", path);
    if (size >= (int)sizeof address || !configure(socket, channel, identity) ||
        zmq_connect(socket, address) != 0)
        channel_close(&socket);
    return socket;
}

void channel_close(void **socket)
{
    if (*socket)
        zmq_close(*socket);
    *socket = NULL;
}

void *channel_watch_open(void *zmq, void *channel, const char *name)
{
    char address[64];
    snprintf(address, sizeof address, "inproc://%s", name);
    void *watch = zmq_socket(zmq, ZMQ_PAIR);
    if (watch && (zmq_socket_monitor(channel, address, ZMQ_EVENT_HANDSHAKE_SUCCEEDED) != 0 ||
                  zmq_connect(watch, address) != 0))
        channel_watch_close(channel, &watch);
    return watch;
}

void channel_watch_close(void *channel, void **watch)
{
    if (*watch)
        zmq_socket_monitor(channel, NULL, 0);
    channel_close(watch);
}

bool channel_receive(void *socket, struct parcel *ret_parcel)
{
    struct parcel *p = ret_parcel;
    bool more = true, any = false;
    p->count = 0;
    while (more) {
        zmq_msg_t part;
        zmq_msg_init(&part);
        if (zmq_msg_recv(&part, socket, ZMQ_DONTWAIT) < 0) {
            zmq_msg_close(&part);
            break;
        }
        any = true;
        more = zmq_msg_more(&part);
        if (p->count < MESSAGE_FRAMES_MAX) {
            zmq_msg_t *kept = &p->parts[p->count];
            zmq_msg_init(kept);
            zmq_msg_move(kept, &part);
            p->frames[p->count++] = (struct frame){zmq_msg_data(kept), zmq_msg_size(kept)};
        }
        zmq_msg_close(&part);
    }
    return any;
}

void parcel_dispose(struct parcel *parcel)
{
    for (size_t i = 0; i < parcel->count; i++)
        zmq_msg_close(&parcel->parts[i]);
    parcel->count = 0;
}

bool channel_send(void *socket, const struct message_key_text *key, const struct buf *header,
                  const struct buf *content)
{
    char signature[MESSAGE_SIGNATURE_LEN + 1];
    const struct frame frames[2 + MESSAGE_PARTS] = {
        {MESSAGE_DELIMITER, sizeof MESSAGE_DELIMITER - 1},
        {signature, MESSAGE_SIGNATURE_LEN},
        {header->data, header->size},
        {"{}", 2},
        {"{}", 2},
        {content->data, content->size}};
    bool sent = true;
    message_sign(&frames[2], key, signature);
    for (size_t i = 0; sent && i < ARRAY_LEN(frames); i++)
        sent = zmq_send(socket, frames[i].data, frames[i].size,
                        ZMQ_DONTWAIT | (i + 1 < ARRAY_LEN(frames) ? ZMQ_SNDMORE : 0)) >= 0;
    return sent;
}
