// SPDX-License-Identifier: AGPL-3.0-or-later
// One of a kernel's sockets, connected by ZeroMQ over a local path.
//
// Sizes and numbers are bounded here: libzmq ends a connection that brings a frame beyond
// MESSAGE_SIZE_MAX, and stops reading from one of which RECEIVE_MAX messages wait.
#ifndef JUPYTER_CHANNEL_H
#define JUPYTER_CHANNEL_H

#include <zmq.h>

#include "jupyter/message.h"

// In the order of the ports in a connection file, from 1.
enum channel { CHANNEL_SHELL, CHANNEL_IOPUB, CHANNEL_STDIN, CHANNEL_CONTROL, CHANNEL_COUNT };

// The frames of a message that came.
struct parcel {
    zmq_msg_t parts[MESSAGE_FRAMES_MAX];
    struct frame frames[MESSAGE_FRAMES_MAX];
    size_t count;
};

// Connects to a path; the channels of one kernel share an identity, by which it answers on them.
// NULL if that fails.
void *channel_open(void *zmq, enum channel channel, const char *identity, const char *path);
void channel_close(void **socket);
// A socket from which something can be read as soon as `channel` is connected; `name` is its own
// within the process. NULL if that fails. It is closed before the channel, with
// channel_watch_close.
void *channel_watch_open(void *zmq, void *channel, const char *name);
void channel_watch_close(void *channel, void **watch);

// Takes the next message without waiting; false if there is none. The caller disposes of it.
// Frames beyond MESSAGE_FRAMES_MAX are left out.
bool channel_receive(void *socket, struct parcel *ret_parcel);
void parcel_dispose(struct parcel *parcel);
// Sends without waiting; false if the queue is full or the socket is gone.
bool channel_send(void *socket, const struct message_key_text *key, const struct buf *header,
                  const struct buf *content);

#endif
