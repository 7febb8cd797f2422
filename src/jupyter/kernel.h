// SPDX-License-Identifier: AGPL-3.0-or-later
// One kernel: its process, its sockets, and whether it is ready.
//
// It is started with a connection file in the bridge's folder and connected to as soon as its
// sockets appear there, first of all on the stdin channel: a kernel's question to somebody who is
// not connected is lost, and waited for without end. It is ready when an answer has come to a probe
// on both ways: the reply to a kernel_info_request on the shell channel, and the status that
// belongs to it on the iopub channel. Before that the subscription may not have reached the kernel,
// and its first output would be lost. A probe also tells, later, that all has arrived that was sent
// before it, and finds out that the iopub connection was lost: libzmq ends one that brings an
// oversized message.
//
// A kernel that was killed, or has ended by itself, stays until its process is reaped.
#ifndef JUPYTER_KERNEL_H
#define JUPYTER_KERNEL_H

#include <sys/types.h>

#include "base/uuid.h"
#include "jupyter/channel.h"
#include "jupyter/specs.h"
#include "jupyter/watch.h"

#define KERNEL_STDERR_MAX ((size_t)4096)
#define KERNEL_NO_LIMIT   UINT64_MAX

enum kernel_state { KERNEL_STARTING, KERNEL_IDLE, KERNEL_BUSY, KERNEL_ENDED };

// Limits of the system for its process; KERNEL_NO_LIMIT where there is none.
struct kernel_limits {
    uint64_t files, file_bytes, cpu_s, memory_bytes;
};

struct kernel_probe {
    char id[MESSAGE_ID_SIZE];
    bool replied, heard;
    bool reconnected; // the iopub connection had to be made anew
    unsigned tries;
    uint64_t again_us; // when it is sent once more if nothing is heard
};

struct kernel_code {
    const char *text;
    bool silent; // leaves no trace in the history, and no result
};

// Told each message that belongs to no probe. It is not verified yet: kernel_verify.
typedef void kernel_heard_fn(void *owner, enum channel channel, const struct message *message);

struct kernel {
    void *zmq;
    struct spec spec;
    struct uuid id;
    struct message_key_text key;
    char *prefix;          // of its sockets' paths
    char *connection_file; // absolute
    char *folder;          // where it starts
    pid_t pid;             // 0 once it is reaped
    int status;            // as wait has it
    bool killed;           // by us
    bool taken;            // by an execution
    bool warmed;           // has been asked to load what its first result needs
    uint64_t linger_us;    // when it ends, having been used; 0: not yet
    enum kernel_state state;
    uint64_t started_us;
    int stderr_fd;
    char stderr_tail[2 * KERNEL_STDERR_MAX];
    size_t stderr_size;
    void *channels[CHANNEL_COUNT];
    void *stdin_watch; // tells that the stdin channel is connected; NULL: nobody waits for that
    char separator;    // of its sockets' paths
    struct kernel_probe probe;
    uint64_t look_us; // when to look for its sockets, or to wait for the stdin channel no longer
    unsigned messages_sent;
    kernel_heard_fn *heard;
    void *heard_owner; // NULL: nobody listens
};

// Starts one; takes over the specification. NULL with the contract's text if that fails.
struct kernel *kernel_start(void *zmq, const char *runtime, struct spec *spec, struct err *err);
void kernel_free(struct kernel *k); // its process is reaped

void kernel_watch(struct kernel *k, struct watch_set *set);
void kernel_tick(struct kernel *k, uint64_t now_us);
// Takes note of its end, if it has ended.
void kernel_reap(struct kernel *k);

void kernel_limit(struct kernel *k, const struct kernel_limits *limits);
void kernel_interrupt(struct kernel *k);
// Answers its question for input with the end of input.
void kernel_end_input(struct kernel *k);
void kernel_kill(struct kernel *k);

// Has it run code; ret_id is the request's id. False if it cannot be sent.
bool kernel_execute(struct kernel *k, const struct kernel_code *code,
                    char ret_id[static MESSAGE_ID_SIZE]);
bool kernel_verify(const struct kernel *k, const struct message *message);
void kernel_probe(struct kernel *k);
static inline bool kernel_probe_done(const struct kernel *k)
{
    return k->probe.replied && k->probe.heard;
}

// How it ended, and the end of what it wrote to its standard error (hub-rpc 7.4).
void kernel_write_end(const struct kernel *k, struct buf *out);
const char *kernel_state_name(const struct kernel *k);

#endif
