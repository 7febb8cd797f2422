// SPDX-License-Identifier: AGPL-3.0-or-later
// Sandboxes: what they consist of, told to bubblewrap.
//
// A sandbox sees a read-only system (the host's /usr, or an image's), a small /etc of its own, a
// private /tmp and /dev, its processes, and the project's home. It has no privileges, no way to get
// some, and, unless it is given the host's, no network.
//
// All that bubblewrap is told goes through a memory file, so that a project's environment is not to
// be read in the list of processes.
#ifndef RUNNER_SANDBOX_H
#define RUNNER_SANDBOX_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/uuid.h"
#include "runner/etc.h"

#define SANDBOX_UID      2001      // inside
#define SANDBOX_HOSTNAME "project" // as in etc.c

// What the sandboxes of one runner have in common.
struct sandbox_host {
    bool root; // started as root: sandboxes get uid and gid
    uid_t uid;
    gid_t gid;
    char bwrap_path[PATH_MAX];
    char data_path[PATH_MAX]; // the data folder, as the sandboxes' user reaches it
    int agent_fd;             // a sealed copy of the agent's program
    int seccomp_fd;
    struct etc_copy etc;       // of the host
    struct etc_copy image_etc; // of the image started last
    char image_name[256];
};

struct sandbox_host_config {
    uid_t uid; // only used by root
    gid_t gid;
    const char *agent_path; // NULL: none is needed
    const char *bwrap_path; // NULL: looked for in PATH
};

// The working directory is the data folder. As root, the process gets a mount namespace of its own
// where the data folder can be reached by everybody, whatever lies above it, and goes on with
// the file rights of `uid`.
int sandbox_host_open(const struct sandbox_host_config *config, struct sandbox_host *ret_host,
                      struct err *err) MUST_USE;
void sandbox_host_close(struct sandbox_host *host);

struct sandbox_spec {
    struct uuid project_id;
    const char *image; // NULL: the host's own system
    bool network;
    const char *env; // "NAME=value\0..."
    size_t env_size;
    const char *const *command; // NULL: the agent
    int listen_fd;              // its socket; -1 with another command
    int info_fd;                // where bubblewrap writes who is PID 1; -1: nowhere
    int log_fd;                 // standard output and error
};

// True when the bytes are entries that sandbox_start takes: NAME=value, each with its NUL.
bool sandbox_env_valid(const char *env, size_t size);
bool sandbox_image_valid(const char *name); // [A-Za-z0-9._-]+ without leading dot

// Starts bubblewrap as a session of its own. The home projects/UUID exists. The descriptors stay
// the caller's.
int sandbox_start(struct sandbox_host *host, const struct sandbox_spec *spec, pid_t *ret_pid,
                  struct err *err) MUST_USE;

// Runs `true` in a whole sandbox, as the runner would, and says why that does not work. The working
// directory is the data folder. Leaves the calling process as it is.
int sandbox_probe(const struct sandbox_host_config *config, struct err *err) MUST_USE;

#endif
