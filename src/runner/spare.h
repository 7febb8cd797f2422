// SPDX-License-Identifier: AGPL-3.0-or-later
// Processes that wait in control groups of their own to become sandboxes.
//
// Moving a process into a group takes the kernel up to 20 ms where groups are of version 1, as it
// waits until no processor is forking. So that no start waits for that, a few processes are forked
// and moved ahead of their use, each into a group that is named by its number. A start gives one of
// them the descriptors of the sandbox and its limits, and it becomes bubblewrap.
#ifndef RUNNER_SPARE_H
#define RUNNER_SPARE_H

#include "runner/cgroup.h"
#include "runner/network.h"
#include "runner/sandbox.h"

#define SPARES_MAX 4

struct spare {
    pid_t pid;
    int fd; // what it is told its work by
};

struct spares {
    const struct sandbox_host *host;
    const struct cgroups *cgroups;
    const struct network_host *network;
    struct spare list[SPARES_MAX];
    unsigned count;
};

// The name of the group of a process that was made here.
void spare_group(pid_t pid, char ret_name[CGROUP_NAME_MAX]);

// Makes one more if there are fewer than there should be. False when none was made; if that failed,
// whoever needs one is told why.
bool spares_add(struct spares *spares);
// Starts a sandbox in one of them; if there is none, makes one for it. `network_fds` NULL: it has
// no network.
int spares_start(struct spares *spares, const struct sandbox_start *start,
                 const struct runner_limits *limits, const int network_fds[NETWORK_FDS],
                 pid_t *ret_pid, struct err *err) MUST_USE;
// A process has ended that may be one of them.
void spares_forget(struct spares *spares, pid_t pid);
// Ends those that are left.
void spares_dispose(struct spares *spares);

#endif
