// SPDX-License-Identifier: AGPL-3.0-or-later
// What hub and agent say to each other about jobs: commands that the agent runs on its own account,
// whichever hub has started them, and whose outcome it keeps (hub-rpc 6.3, "Asynchronous").
//
// A hub sends FRAME_JOB: a frame_job, and for a start behind it one text, the note, which the agent
// gives back unread, and the payload of a FRAME_EXEC. The answer is what is known of the job, as
// FRAME_STDOUT, and FRAME_EXIT with EXEC_EXITED. A start is answered once the command runs, or
// could not be started. Instead there may be EXEC_NOT_STARTED alone, with an error number:
//
//   ENOENT     no such job
//   EDQUOT     as many run as there may be
//   EBUSY      as many wait for its end as may
//   others     the agent has no place, no memory, or shuts down
//
// A job is forgotten when the agent ends, an hour after the last look at it, and earlier when its
// place or its memory is needed for another; never while it runs.
#ifndef PROTO_JOB_H
#define PROTO_JOB_H

#include <stdint.h>

#define JOB_ID_SIZE     36
#define JOB_SAMPLES_MAX 100

enum job_op {
    JOB_OP_START,
    JOB_OP_GET,
    JOB_OP_AWAIT, // answered when it has ended
};

struct frame_job {
    char id[JOB_ID_SIZE]; // chosen by the hub
    uint32_t op;
    uint32_t output_max; // of a start: bytes to keep of each stream
};

// The answer: this, then samples[samples_count], the note, what was executed, as in FRAME_EXIT,
// standard output and standard error.
struct job_state {
    uint32_t running; // 1; or 0, then outcome and value are as in frame_exit
    uint32_t outcome;
    int32_t value;
    int32_t pid;         // in the sandbox; 0: it was not started
    int64_t start_ms;    // since 1970
    uint64_t elapsed_ms; // until its end, or now
    uint64_t total[2];   // bytes that were written to the two streams
    uint32_t kept[2];    // of these, in the answer
    uint32_t note_size, ran_size;
    uint32_t samples_count;
    uint32_t reserved;
};

// What the command and all that descends from it used at some time.
struct job_sample {
    int64_t time_ms; // since 1970
    uint64_t memory; // resident, bytes
    uint64_t cpu_ms; // processor time until then
};

#endif
