// SPDX-License-Identifier: AGPL-3.0-or-later
// What the serving process and the runner say to each other over their SOCK_SEQPACKET pair.
//
// One packet is one message: a runner_header, the fixed part of its type, then texts as frame.h
// has them (32-bit length and bytes, read by frame_read_text). All numbers are in the machine's
// order. The runner answers each START and KILL with one REPLY, and tells of each sandbox that it
// started when that is gone. The runner does not trust the serving process: it checks everything.
#ifndef RUNNER_RUNNER_H
#define RUNNER_RUNNER_H

#include <stdint.h>

#include "base/uuid.h"

// Largest message in either direction.
#define RUNNER_MESSAGE_MAX (64u * 1024)

enum runner_message_type {
    // serving process -> runner
    RUNNER_START = 1, // runner_start
    RUNNER_KILL,      // no fixed part: ends the sandbox at once, whoever started it
    // runner -> serving process
    RUNNER_REPLY = 64, // runner_reply; same seq
    RUNNER_EXITED,     // runner_exited; seq 0
};

struct runner_header {
    uint32_t type;
    uint32_t seq; // chosen by the asking side
    char project_id[UUID_LEN];
};

// Then texts: the image's name (empty: the host's own system), then env_count times "NAME=value".
struct runner_start {
    uint32_t network; // 1: outside network
    uint32_t env_count;
};

// Then one text: what went wrong, empty if nothing did. START: 0 means that the agent's socket is
// bound and listens; EEXIST that the project runs already. KILL: ESRCH that nothing runs.
struct runner_reply {
    int32_t sys_errno;
};

// Then one text: what the sandbox wrote on its standard error, at most a few lines.
struct runner_exited {
    int32_t wait_status;
};

#endif
