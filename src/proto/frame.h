// SPDX-License-Identifier: AGPL-3.0-or-later
// What hub and agent say to each other over the agent's Unix stream socket.
//
// A frame is a header and a payload. All numbers are little-endian, as on every machine that both
// run on. A stream is one request and its answer; its number is chosen by the hub and unique within
// the connection. Text in a payload is a 32-bit length and the bytes. The hub trusts nothing that
// comes from an agent: sizes are checked, unknown frames end the connection.
#ifndef PROTO_FRAME_H
#define PROTO_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"

// Sandboxes outlive the hub, so agents of an earlier version may still serve. In version 1 commands
// have no env, and there is no FRAME_KERNEL. In version 2 there are no jobs.
#define FRAME_PROTOCOL_VERSION 3
#define FRAME_PROTOCOL_OLDEST  1
// Largest payload in either direction. Output comes in pieces of at most FRAME_OUTPUT_MAX.
#define FRAME_PAYLOAD_MAX (4u * 1024 * 1024)
#define FRAME_OUTPUT_MAX  (64u * 1024)

enum frame_type {
    // hub -> agent
    FRAME_EXEC = 1, // frame_exec
    FRAME_FILE,     // frame_file; a write carries a memfd with the content as SCM_RIGHTS
    FRAME_KILL,     // no payload: end the stream's whole process tree
    FRAME_SHUTDOWN, // u32 grace in ms: SIGTERM to all, after the grace SIGKILL, then the agent
                    // exits
    FRAME_KERNEL,   // a request to the kernel bridge (proto/kernel.h), whose answer comes as
                    // FRAME_STDOUT
    FRAME_JOB,      // starts a job or asks for one (proto/job.h)
    // agent -> hub
    FRAME_HELLO = 64, // frame_hello, on accepting a connection
    FRAME_STDOUT,     // raw bytes
    FRAME_STDERR,     // raw bytes
    FRAME_EXIT,       // frame_exit; the last frame of its stream
    FRAME_JOBS,       // u32: how many jobs run now, whenever that has changed
};

struct frame_header {
    uint32_t size; // of the payload
    uint32_t stream;
    uint8_t type;
    uint8_t reserved[3];
};

struct frame_hello {
    uint32_t version; // FRAME_PROTOCOL_VERSION
    uint32_t jobs;    // since version 3: how many run
};

// FRAME_EXEC: this, then texts: working directory (absolute), command, args[args_count],
// env[env_count] ("NAME=value", which adds to the agent's environment or replaces what is in it).
struct frame_exec {
    uint32_t timeout_ms;  // 0: none
    uint32_t cpu_seconds; // RLIMIT_CPU of the command, 0: none
    uint32_t script;      // 1: the command is text for bash, put into a temporary file
    uint32_t args_count;
    uint32_t limit_file_size; // 1: no file may grow beyond file_size_max
    uint32_t env_count;
    uint64_t file_size_max; // bytes
};

// FRAME_FILE: this, then one text: the absolute path. A read sends the content as FRAME_STDOUT.
struct frame_file {
    uint32_t write; // 0: read, 1: write
    uint32_t
        size_max; // read: a larger file is refused with EFBIG, `size` of frame_exit is its size
};

enum exec_outcome {
    EXEC_EXITED,      // value: exit code
    EXEC_SIGNALED,    // value: signal number
    EXEC_TIMED_OUT,   // value: 0
    EXEC_NOT_STARTED, // value: errno
    EXEC_FILE_FAILED, // value: errno; text: the system call that failed
    EXEC_STOPPED,     // value: signal number; the agent was shutting down
};

// FRAME_EXIT: this, then one text: what was really executed ("bash /tmp/f-12-3-x"), or the name of
// the failed system call.
struct frame_exit {
    uint32_t outcome;
    int32_t value;
    uint64_t size;
};

// Whether the agent may say so: a value is as above.
bool frame_outcome_fits(uint32_t outcome, int32_t value);

// Reads text fields from a payload. `at` moves on; false when the payload is too short. The text is
// borrowed, without NUL.
bool frame_read_text(const uint8_t *payload, size_t size, size_t *at, const char **ret_text,
                     size_t *ret_size);
// Copies a fixed part (frame_exec, a u32, ...) out of a payload, as above.
bool frame_read_struct(const uint8_t *payload, size_t size, size_t *at, void *out, size_t out_size);
// Reads a header from sizeof(struct frame_header) bytes; false when it is malformed.
bool frame_read_header(const uint8_t *bytes, struct frame_header *ret_header);

// Writes a header, or a text field, to `out`; returns the bytes written: the size of the header, or
// 4 + size.
size_t frame_write_header(uint8_t *out, enum frame_type type, uint32_t stream, size_t payload_size);
size_t frame_write_text(uint8_t *out, const char *text, size_t size);

#endif
