// SPDX-License-Identifier: AGPL-3.0-or-later
// Control groups: what a sandbox may use of memory, processors and processes, and what it does use.
//
// Each sandbox has a group of its own, in every hierarchy that is needed:
//
//   <the runner's own group>/cohub-<folder>/<name>
//
// where <folder> tells hubs on one machine apart, and <name> is the number of the process that made
// the group. Controllers may lie in hierarchies of version 1,
// in the unified one of version 2, or some here and some there; each is taken where it is mounted.
//
// The runner of a hub that was killed may still be ending while that of the next begins. So each
// holds a shared lock (flock) on the base folders, and removes them at its end only if no other
// does.
//
// In the unified hierarchy a group whose children have controllers has no processes itself. So the
// runner's own group is cleared first: the hub's processes go into its child cohub-hub. That is
// done only where the group is the hub's: delegated by systemd, or with no others in it.
#ifndef RUNNER_CGROUP_H
#define RUNNER_CGROUP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "runner/runner.h"

#define CGROUP_NAME_MAX 64

enum cgroup_controller {
    CGROUP_MEMORY = 1,
    CGROUP_CPU = 2,
    CGROUP_CPUACCT = 4, // in version 2: of the group itself
    CGROUP_PIDS = 8,
};

// A hierarchy in which sandboxes have groups.
struct cgroup_tree {
    int base_fd; // the folder of the groups
    bool unified;
    unsigned controllers;
};

struct cgroups {
    char folder[40];
    uid_t uid; // whose file rights the process has otherwise; 0: they stay as they are
    struct cgroup_tree trees[4];
    unsigned trees_count;
    uint32_t missing; // runner_missing of limits that cannot be enforced
};

struct cgroups_config {
    const char *folder; // part of the base folder's name
    uid_t uid;
    const char *mountinfo,
        *self; // /proc/self/mountinfo and /proc/self/cgroup, or what is like them
};

// Finds or makes the base folders. What cannot be had is in `missing`.
void cgroups_open(const struct cgroups_config *config, struct cgroups *ret_cgroups);
void cgroups_close(struct cgroups *cgroups);

// Makes the group `name` and moves the calling process into it, with all that it starts from now
// on. It may take some milliseconds: the kernel waits for all processors.
int cgroup_enter(const struct cgroups *cgroups, const char *name, struct err *err) MUST_USE;
// Sets the limits of a group. Those that the host cannot enforce are left out. sys_errno EBUSY: the
// group uses more memory than it shall have; all other limits are set.
int cgroup_limit(const struct cgroups *cgroups, const char *name,
                 const struct runner_limits *limits, struct err *err) MUST_USE;
void cgroup_usage(const struct cgroups *cgroups, const char *name, struct runner_usage *ret_usage);
// False: it has processes still.
bool cgroup_remove(const struct cgroups *cgroups, const char *name);
// Removes all groups without processes that were made by a process that is gone: their names are
// the process's number. Those of the caller's own children are left alone. False: of others some
// are left.
bool cgroups_sweep(const struct cgroups *cgroups);
// The group of a process, by the text of its /proc/PID/cgroup. False: none of these.
bool cgroup_of(const struct cgroups *cgroups, const char *text, char ret_name[CGROUP_NAME_MAX]);

#endif
