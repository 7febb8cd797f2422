// SPDX-License-Identifier: AGPL-3.0-or-later
// One connection to a project's agent: frames out, frames in, and the streams under way.
//
// The agent is not trusted. Every header is checked before its payload is looked at, output goes to
// its stream piece by piece as it arrives, and the only payload that is ever gathered is that of
// FRAME_EXIT, which is bounded. What the socket does not take at once is queued up to a bound. A
// connection that breaks the rules is reported as closed, with the reason.
//
// Idle connections hold no buffers: all of a thread share one to receive into and one to build
// frames in (struct agent_io).
#ifndef RUNNER_AGENT_CONN_H
#define RUNNER_AGENT_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/uuid.h"
#include "loop/loop.h"
#include "proto/frame.h"

// Streams of one connection at once (an agent has places for as many); queued bytes beyond which
// new requests are refused.
#define AGENT_STREAMS_MAX 4096u
#define AGENT_QUEUE_MAX   (2u * FRAME_PAYLOAD_MAX)

struct agent_conn;

// Embedded in the owner's record of a request.
struct agent_stream {
    uint32_t number; // 0: not under way
};

// Called on the loop's thread while the connection is read. None of them may close the connection,
// but `closed`.
struct agent_conn_ops {
    void (*hello)(void *owner);
    // Some of the agent's jobs have ended.
    void (*jobs_ended)(void *owner);
    // Output of a stream, in pieces of any size. False: not allowed for this stream.
    bool (*output)(struct agent_stream *stream, bool is_error, const void *bytes, size_t size);
    // The end of a stream; `text` is borrowed. False: not allowed for this stream, which then still
    // is under way.
    bool (*exit)(struct agent_stream *stream, const struct frame_exit *end, const char *text,
                 size_t text_size);
    // The connection is being closed with this stream under way.
    void (*lost)(struct agent_stream *stream);
    // The other side closed it (`violation` is NULL) or broke the rules. The owner closes it.
    void (*closed)(void *owner, const char *violation);
};

// What the connections of one thread share.
struct agent_io {
    struct loop *loop;
    const struct agent_conn_ops *ops;
    bool shared; // others may use the same projects, and are told what is in use (runner/use.h)
    uint8_t *input;
    struct buf frame;
};
void agent_io_init(struct agent_io *io, struct loop *loop, const struct agent_conn_ops *ops);
void agent_io_dispose(struct agent_io *io);

// Connects to run/UUID/agent.sock, below the working directory. 0 or a negative errno: -ENOENT and
// -ECONNREFUSED when no agent listens, -EAGAIN when its queue is full at the moment.
int agent_socket_connect(const struct uuid *project_id, int *ret_fd) MUST_USE;

// As agent_socket_connect, watched by the loop of `io`.
int agent_conn_open(struct agent_io *io, const struct uuid *project_id, void *owner,
                    struct agent_conn **ret_conn) MUST_USE;
// Ends the streams with `lost` and frees the connection.
void agent_conn_close(struct agent_conn *conn);

// A request: agent_conn_begin, append the payload to the buffer it returns, agent_conn_submit.
struct buf *agent_conn_begin(struct agent_conn *conn);
// Sends it as a new stream, with `fd` (or -1; stays the caller's). ERR_TOO_LARGE, or
// ERR_UNAVAILABLE when too much is under way or the connection is broken.
int agent_conn_submit(struct agent_conn *conn, enum frame_type type, int fd,
                      struct agent_stream *stream, struct err *err) MUST_USE;
// The version of the protocol that the agent speaks, once it has greeted.
uint32_t agent_conn_version(const struct agent_conn *conn);
// How many jobs run, as the agent says.
uint32_t agent_conn_jobs(const struct agent_conn *conn);
// How many streams the agent has not ended.
size_t agent_conn_streams(const struct agent_conn *conn);
// Nobody waits for the stream any more: tells the agent to end it, and ignores what still comes.
void agent_conn_abandon(struct agent_conn *conn, struct agent_stream *stream);
void agent_conn_shutdown(struct agent_conn *conn, uint32_t grace_ms);
// The other side takes no more; `closed` is about to be called. What was refused for that reason
// never reached the agent.
bool agent_conn_is_broken(const struct agent_conn *conn);

#endif
