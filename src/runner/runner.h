// SPDX-License-Identifier: AGPL-3.0-or-later
// The runner: the process that starts and ends sandboxes, and all that may be asked of it.
//
// It is forked from a process without threads before anything else happens, keeps root where there
// is root, and obeys whoever holds the other end of its channel, which it does not trust: a request
// has one form, every field of it is checked, files are opened and processes signalled with the
// rights of the unprivileged user.
//
// The channel is a Unix socket of type SOCK_SEQPACKET, one message a packet. The working directory
// is the data folder, which belongs to that user:
//
//   projects/UUID/        home, made when it is missing
//   images/NAME/          systems to run projects in instead of the host's own
//   run/UUID/agent.sock   the agent's socket; who can connect to it finds the project running
//   run/UUID/lock         held while a sandbox is being started
//   run/UUID/pid          "PID START-TIME" of bubblewrap
//   run/UUID/info         what bubblewrap tells of the sandbox: the process that is its PID 1
//   run/UUID/log          what bubblewrap said, if it failed
//   run/UUID/network      what slirp4netns said
//   run/etc-N/            what sandboxes see as /etc (runner/etc.h)
//
// A sandbox outlives the runner that started it. Any runner on the same data folder can end it.
#ifndef RUNNER_RUNNER_H
#define RUNNER_RUNNER_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/macros.h"
#include "base/uuid.h"
#include "proto/copy.h"

#define RUNNER_IMAGE_MAX     64          // characters of an image's name
#define RUNNER_DATA_MAX      (32 * 1024) // bytes of a project's environment, each entry with its NUL
#define RUNNER_TEXT_MAX      512
#define RUNNER_OUT_OF_MEMORY "out of memory" // that was all that was wrong

enum runner_request_type {
    RUNNER_START = 1, // run the project's sandbox; answered as soon as the agent's socket can be
                      // connected to. Success, with the text "running", if it runs already.
    RUNNER_KILL,      // end the sandbox and all in it at once; ESRCH if there is none
    RUNNER_LIMIT,     // give the running sandbox these limits; ESRCH if there is none
    RUNNER_USAGE,     // what the sandbox uses; ESRCH if there is none
    RUNNER_COPY,     // run rsync in a sandbox of its own; answered when it runs. The project is the
                     // target
    RUNNER_END_COPY, // end a copy and all in its sandbox at once; ESRCH if it does not run
};

// 0: no limit.
struct runner_limits {
    uint32_t memory_mb;
    uint32_t cpu_millis; // 1000: one processor
    uint32_t cpu_shares; // weight against others; 1024 is a processor's worth
    uint32_t processes;
};

enum runner_start_flags {
    RUNNER_START_NETWORK = 1, // with the internet, but nothing of the host's
};

enum runner_copy_flags {
    RUNNER_COPY_OVERWRITE_NEWER = COPY_OVERWRITE_NEWER,
    RUNNER_COPY_DELETE_MISSING = COPY_DELETE_MISSING,
    RUNNER_COPY_BACKUP = COPY_BACKUP,
    RUNNER_COPY_EXCLUDE_HISTORY = COPY_EXCLUDE_HISTORY,
};

struct runner_request {
    uint32_t type;
    uint32_t flags; // START: runner_start_flags; COPY: runner_copy_flags
    uint64_t seq;   // chosen by the asker, comes back in the reply
    char uuid[UUID_LEN + 1];
    char source[UUID_LEN + 1]; // COPY: the source's project
    char image[RUNNER_IMAGE_MAX +
               1];               // START: [A-Za-z0-9._-]+, no leading dot; "": the host's system
    struct runner_limits limits; // START, LIMIT
    uint32_t timeout_s;          // COPY: without any transfer; 0: none
    uint64_t room;               // COPY: by which the target may grow, bytes
    uint32_t bandwidth;          // COPY: KB a second; 0: any
    uint64_t files;              // COPY: that may be made in the target
    uint64_t copy_seq;           // END_COPY: of the request that began it
    uint32_t data_size;          // bytes used of data
    char data[RUNNER_DATA_MAX]; // START: "NAME=value\0NAME=value\0"; COPY: source path, NUL, target
                                // path, NUL, both relative to the homes, without "..", and
                                // patterns of what is not copied, one a line, NUL
};
// A request is sent without the unused end of data.
#define RUNNER_REQUEST_SIZE(data_size) (offsetof(struct runner_request, data) + (data_size))

enum runner_message_type {
    RUNNER_REPLY = 1,
    RUNNER_EXITED, // a sandbox that this runner started has ended
    RUNNER_COPIED, // a COPY has ended; the exit status is as proto/copy.h has it
};

// Limits that the host cannot enforce.
enum runner_missing {
    RUNNER_NO_MEMORY_LIMIT = 1,
    RUNNER_NO_CPU_LIMIT = 2,
    RUNNER_NO_PROCESS_LIMIT = 4,
    RUNNER_NO_NETWORK = 8,
};

struct runner_usage {
    uint64_t memory_bytes;
    uint64_t cpu_us; // since the start
    uint32_t processes;
    uint32_t oom_kills;   // processes that ended for want of memory
    uint32_t missing;     // runner_missing
    uint64_t cache_bytes; // of files in memory, which are not in memory_bytes: they can be dropped
    int32_t pid; // reply to USAGE: of its PID 1, as the host numbers it; 0: it is only just coming
};

struct runner_message {
    uint32_t type;
    int32_t value; // reply: 0 or an errno; EXITED, COPIED: wait status
    uint64_t seq;  // reply, COPIED: of the request
    char uuid[UUID_LEN + 1];
    struct runner_usage usage;  // reply to USAGE, LIMIT and START; EXITED: as far as it is known
    char text[RUNNER_TEXT_MAX]; // reply: why it failed; EXITED: what bubblewrap said, if it failed,
                                // or RUNNER_OUT_OF_MEMORY;
                                // COPIED: the beginning of what rsync said
};

struct runner_config {
    int channel_fd;
    uid_t uid; // whom sandboxes belong to on the host; only used when started as root
    gid_t gid;
    const char *agent_path;
    const char *kernel_path; // of the kernel bridge; NULL: there is none
    const char *bwrap_path;  // NULL: looked for in PATH
};

// Serves the channel until its other end is closed; then returns 0. Negative: it could not begin
// (logged). Sandboxes go on running. To be called in a process without threads; it blocks signals
// and may get a mount namespace of its own.
int runner_main(const struct runner_config *config) MUST_USE;

#endif
