// SPDX-License-Identifier: AGPL-3.0-or-later
// `cohub serve`: three processes.
//
// The supervisor, which the caller started, stays small, single-threaded and, if it was, root. It
// binds the listeners, forks the runner and the hub, makes a new runner when one dies, passes
// signals on, and ends with the hub. The hub has the threads and the clients and no root. If the
// supervisor dies, the kernel ends both; projects go on running.
#ifndef SERVER_SERVE_H
#define SERVER_SERVE_H

#include "http/listen.h"
#include "runner/runner.h"
#include "server/config.h"
#include "server/data.h"

#define SERVE_LISTENERS_MAX 16

struct serve {
    const struct config *config;
    const char *agent_path;
    const char *kernel_path; // NULL: projects have no kernels
    struct data_owner owner;
    struct listener listeners[SERVE_LISTENERS_MAX];
    size_t listeners_count;
    unsigned loops;
    char *tls_cert_pem, *tls_key_pem; // NULL: plain HTTP
};

// In the data folder, before any thread. Returns the exit status of the command when the hub has
// stopped.
int serve_run(struct serve *serve);

// The hub's process: serves until SIGTERM or SIGINT, or until the control channel ends. On that
// channel come the runners' channels, the first one first. Returns the exit status.
int hub_run(struct serve *serve, int control_fd);

// Sends one descriptor over a SOCK_SEQPACKET socket, and receives it: -1 at the end or on an error.
int serve_send_fd(int socket, int fd) MUST_USE;
int serve_receive_fd(int socket);

#endif
