// SPDX-License-Identifier: AGPL-3.0-or-later
// cohub-jupyter: the bridge between a hub's requests for kernels and Jupyter's protocol.
//
//   cohub-jupyter --socket-fd N [--start-ms N]
//
// It runs in a project's sandbox, as the user whose code the kernels run: whatever reaches it from
// there is bounded and checked, and the hub takes its answers for what a stranger says.
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/text.h"
#include "jupyter/bridge.h"
#include "jupyter/launch.h"

// The contract's time for a kernel to come up (hub-rpc 7.4).
#define START_MS 120000

struct options {
    int64_t socket_fd;
    int64_t start_ms;
};

static bool read_options(int argc, char **argv, struct options *ret_options)
{
    struct options options = {.socket_fd = -1, .start_ms = START_MS};
    for (int i = 1; i < argc; i += 2) {
        const bool is_socket = strcmp(argv[i], "--socket-fd") == 0;
        if (i + 1 == argc || (!is_socket && strcmp(argv[i], "--start-ms") != 0) ||
            !text_parse_int64(argv[i + 1], 0, 1000000000,
                              is_socket ? &options.socket_fd : &options.start_ms))
            return false;
    }
    *ret_options = options;
    return options.socket_fd >= 0;
}

static int fail(const char *what)
{
    fprintf(stderr, "cohub-jupyter: %s: %s\n", what, strerror(errno));
    return 1;
}

static int open_signals(void)
{
    sigset_t ends;
    sigemptyset(&ends);
    sigaddset(&ends, SIGCHLD);
    sigprocmask(SIG_BLOCK, &ends, NULL);
    signal(SIGPIPE, SIG_IGN);
    return signalfd(-1, &ends, SFD_CLOEXEC | SFD_NONBLOCK);
}

static int serve(const struct options *options, const char *runtime)
{
    static struct bridge bridge;
    bridge.socket_fd = (int)options->socket_fd;
    bridge.signal_fd = open_signals();
    bridge.pools.runtime = runtime;
    bridge.pools.start_max_us = (uint64_t)options->start_ms * 1000;
    bridge.pools.zmq = zmq_ctx_new();
    if (bridge.signal_fd < 0 || !bridge.pools.zmq)
        return fail("cannot set up");
    bridge_run(&bridge);
    bridge_dispose(&bridge);
    zmq_ctx_term(bridge.pools.zmq);
    fd_close(&bridge.signal_fd);
    return 0;
}

int main(int argc, char **argv)
{
    char runtime[] = "/tmp/cohub-jupyter-XXXXXX";
    struct options options;
    const int launched = launch_main(argc, argv);
    if (launched >= 0)
        return launched;
    if (!read_options(argc, argv, &options)) {
        fputs("usage: cohub-jupyter --socket-fd N [--start-ms N]\n", stderr);
        return 2;
    }
    // Kernels run as the same user: they shall not trace this process or use its descriptors.
    prctl(PR_SET_DUMPABLE, 0);
    umask(022);
    if (fcntl((int)options.socket_fd, F_SETFD, FD_CLOEXEC) != 0)
        return fail("no such socket");
    if (sodium_init() < 0 || !mkdtemp(runtime))
        return fail("cannot make a folder in /tmp");
    const int status = serve(&options, runtime);
    if (rmdir(runtime) != 0)
        launch_removal(runtime);
    return status;
}
