// SPDX-License-Identifier: AGPL-3.0-or-later
// Networks of sandboxes: the internet, but nothing of the host's own.
//
// A sandbox has a network namespace of its own with nothing but a loopback. One that is to reach
// the network gets a slirp4netns: an unprivileged process on the host that takes the packets of an
// interface inside and makes connections of its own of them. It does not connect to the host's
// loopback. The host's other addresses, which lead to the same services, and those of no use but to
// reach the surroundings of a machine (169.254.0.0/16) are closed by routes inside, put there
// before the interface; nobody inside has the rights to change them.
//
// The process that sets this up is told by bubblewrap which process is PID 1, bubblewrap waits
// until slirp4netns is ready, and slirp4netns ends when the agent does:
//
//   status   bubblewrap ──▶ helper        "child-pid"
//   block    slirp4netns ──▶ bubblewrap   a byte: ready; end of file: there will be no network
//   hold     agent ──▶ slirp4netns        end of file: the agent is gone
#ifndef RUNNER_NETWORK_H
#define RUNNER_NETWORK_H

#include <limits.h>
#include <stdbool.h>

#include "base/err.h"
#include "runner/sandbox.h"

struct network_host {
    const struct sandbox_host *sandbox;
    char slirp_path[PATH_MAX]; // "": there can be no networks
};

// Finds out whether this host can give networks, and if not, why (`err`, which is no failure).
// As root, with a mount namespace of its own, slirp4netns is given a /dev/net/tun that it may open.
int network_host_open(const struct sandbox_host *sandbox, struct network_host *ret_host,
                      struct err *err) MUST_USE;

// What the process that sets up a network is given.
enum network_fd { NETWORK_STATUS, NETWORK_READY, NETWORK_EXIT, NETWORK_LOG, NETWORK_FDS };

// The ends of the pipes of one network.
struct network {
    struct sandbox_network sandbox; // for the sandbox; owned
    int fds[NETWORK_FDS];           // for network_fork; owned
};
#define NETWORK_NONE                                                                               \
    {                                                                                              \
        {-1, -1, -1, NULL},                                                                        \
        {                                                                                          \
            -1, -1, -1, -1                                                                         \
        }                                                                                          \
    }

// `log_fd` (taken): what slirp4netns and its preparation say.
int network_open(int log_fd, struct network *ret_network, struct err *err) MUST_USE;
void network_dispose(struct network *network);

// Forks the process that sets up the network. It is nobody's child: it belongs to no runner, and
// becomes slirp4netns.
void network_fork(const struct network_host *host, const int fds[NETWORK_FDS]);

#endif
