// SPDX-License-Identifier: AGPL-3.0-or-later
// Sandboxes: what they consist of, told to bubblewrap.
//
// A sandbox sees a read-only system (the host's /usr, or an image's), a small /etc of its own, a
// private /tmp and /dev, its processes, and the project's home. It has no privileges, no way to get
// some, and no network but a loopback of its own, unless network.h gives it one.
//
// With an image, the host's libraries are there besides, for the kernel bridge (proto/kernel.h):
// the image may have none that it can use.
//
// All that bubblewrap is told goes through a memory file, so that a project's environment is not to
// be read in the list of processes.
#ifndef RUNNER_SANDBOX_H
#define RUNNER_SANDBOX_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/uuid.h"
#include "runner/etc.h"

#define SANDBOX_UID      2001      // inside
#define SANDBOX_HOSTNAME "project" // as in etc.c

// What the sandboxes of one runner have in common.
struct sandbox_host {
    bool root;       // started as root: sandboxes get uid and gid
    bool own_mounts; // the process has a mount namespace of its own
    uid_t uid;
    gid_t gid;
    char bwrap_path[PATH_MAX];
    char data_path[PATH_MAX]; // the data folder, as the sandboxes' user reaches it
    int agent_fd;             // a sealed copy of the agent's program
    int kernel_fd;            // the same of the kernel bridge's; -1: there is none
    char loader[PATH_MAX];    // the host's, of dynamic programs, below /usr; "": not known
    int seccomp_fd;
    struct etc_copy etc;       // of the host
    struct etc_copy image_etc; // of the image started last
    char image_name[256];
};

struct sandbox_host_config {
    uid_t uid; // only used by root
    gid_t gid;
    const char *agent_path;  // NULL: none is needed
    const char *kernel_path; // of the kernel bridge; NULL: there is none
    const char *bwrap_path;  // NULL: looked for in PATH
};

// The working directory is the data folder. As root, the process gets a mount namespace of its own
// where the data folder can be reached by everybody, whatever lies above it, and goes on with
// the file rights of `uid`.
int sandbox_host_open(const struct sandbox_host_config *config, struct sandbox_host *ret_host,
                      struct err *err) MUST_USE;
void sandbox_host_close(struct sandbox_host *host);
// Makes what the first sandbox would otherwise wait for. If it cannot, each start says why.
void sandbox_host_prepare(struct sandbox_host *host);

// What a sandbox with a network is given (network.h).
struct sandbox_network {
    int status_fd;           // where bubblewrap writes who is PID 1
    int block_fd;            // what it reads before it runs the agent
    int hold_fd;             // kept open by the agent as long as it lives
    const char *nameservers; // text of resolv.conf
};

struct sandbox_spec {
    struct uuid project_id;
    const char *image;                     // NULL: the host's own system
    const struct sandbox_network *network; // NULL: none
    const char *env;                       // "NAME=value\0..."
    size_t env_size;
    struct uuid source_id;         // another home, which is seen but not written; "": none
    const char *const *command;    // NULL: the agent
    const char *const *agent_args; // NULL: it serves on listen_fd
    uint32_t processes;            // that commands of the agent may have; 0: its own limit
    bool die_with_parent;          // it ends with the process that started it
    int listen_fd;                 // the agent's socket; -1 with another command or arguments
    int info_fd;                   // where bubblewrap writes who is PID 1; -1: nowhere
    int log_fd;                    // standard output and error
};

// True when the bytes are entries that sandbox_start takes: NAME=value, each with its NUL.
bool sandbox_env_valid(const char *env, size_t size);
bool sandbox_image_valid(const char *name); // [A-Za-z0-9._-]+ without leading dot

// Starts bubblewrap as a session of its own. The home projects/UUID exists. The descriptors stay
// the caller's.
int sandbox_start(struct sandbox_host *host, const struct sandbox_spec *spec, pid_t *ret_pid,
                  struct err *err) MUST_USE;

// The same in two steps: first what needs to know the host, then what a process that was there
// before does to become bubblewrap (spare.h).

// Descriptors for a sandbox, whose numbers are the same in every one.
enum sandbox_fd {
    SANDBOX_ARGS, // these are made by sandbox_prepare
    SANDBOX_PASSWD,
    SANDBOX_RESOLV,
    SANDBOX_SECCOMP,
    SANDBOX_AGENT,
    SANDBOX_KERNEL,
    SANDBOX_LOG, // these are the caller's
    SANDBOX_LISTEN,
    SANDBOX_INFO,
    SANDBOX_STATUS,
    SANDBOX_BLOCK,
    SANDBOX_HOLD,
    SANDBOX_FDS,
};

// Gives up root for good, if there is any. Negative: errno is set.
int sandbox_become_user(const struct sandbox_host *host) MUST_USE;
// The file of a program in PATH.
bool sandbox_find_program(const char *name, char *ret_path, size_t size);

struct sandbox_start {
    int fds[SANDBOX_FDS]; // -1: there is none
    uint32_t processes;
    const char *const *agent_args; // the spec's
};
#define SANDBOX_START_NONE                                                                         \
    {                                                                                              \
        {-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1}, 0, NULL                                  \
    }
int sandbox_prepare(struct sandbox_host *host, const struct sandbox_spec *spec,
                    struct sandbox_start *ret_start, struct err *err) MUST_USE;
void sandbox_start_dispose(struct sandbox_start *start);
// `command` and `agent_args` as in the spec. What fails is written to the log.
_Noreturn void sandbox_become(const struct sandbox_host *host, const struct sandbox_start *start,
                              const char *const *command, const char *const *agent_args);

// Runs `true` in a whole sandbox, as the runner would, and says why that does not work. The working
// directory is the data folder. Leaves the calling process as it is.
int sandbox_probe(const struct sandbox_host_config *config, struct err *err) MUST_USE;

#endif
