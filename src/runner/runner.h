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
//   run/etc-N/            what sandboxes see as /etc (runner/system.h)
//
// A sandbox outlives the runner that started it. Any runner on the same data folder can end it.
#ifndef RUNNER_RUNNER_H
#define RUNNER_RUNNER_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/macros.h"
#include "base/uuid.h"

#define RUNNER_IMAGE_MAX 64          // characters of an image's name
#define RUNNER_ENV_MAX   (32 * 1024) // bytes of a project's environment, each entry with its NUL
#define RUNNER_TEXT_MAX  512

enum runner_request_type {
    RUNNER_START = 1, // run the project's sandbox; answered as soon as the agent's socket can be
                      // connected to. Success, with the text "running", if it runs already.
    RUNNER_KILL,      // end the sandbox and all in it at once; ESRCH if there is none
};

struct runner_request {
    uint32_t type;
    uint32_t network; // START: 1: with the host's network
    uint64_t seq;     // chosen by the asker, comes back in the reply
    char uuid[UUID_LEN + 1];
    char image[RUNNER_IMAGE_MAX +
               1];            // START: [A-Za-z0-9._-]+, no leading dot; "": the host's system
    uint32_t env_size;        // START: bytes used of env
    char env[RUNNER_ENV_MAX]; // "NAME=value\0NAME=value\0"
};
// A request is sent without the unused end of env.
#define RUNNER_REQUEST_SIZE(env_size) (offsetof(struct runner_request, env) + (env_size))

enum runner_message_type {
    RUNNER_REPLY = 1,
    RUNNER_EXITED, // a sandbox that this runner started has ended
};

struct runner_message {
    uint32_t type;
    int32_t value; // reply: 0 or an errno; EXITED: wait status of bubblewrap
    uint64_t seq;  // reply: of the request
    char uuid[UUID_LEN + 1];
    char text[RUNNER_TEXT_MAX]; // reply: why it failed; EXITED: what bubblewrap said, if it failed
};

struct runner_config {
    int channel_fd;
    uid_t uid; // whom sandboxes belong to on the host; only used when started as root
    gid_t gid;
    const char *agent_path;
    const char *bwrap_path; // NULL: looked for in PATH
};

// Serves the channel until its other end is closed; then returns 0. Negative: it could not begin
// (logged). Sandboxes go on running. To be called in a process without threads; it blocks signals
// and may get a mount namespace of its own.
int runner_main(const struct runner_config *config) MUST_USE;

#endif
