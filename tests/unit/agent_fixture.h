// SPDX-License-Identifier: AGPL-3.0-or-later
// The agent as PID 1 of a real PID namespace, which bubblewrap makes; it sees the host's files, but
// has a /tmp of its own.
#ifndef TESTS_AGENT_FIXTURE_H
#define TESTS_AGENT_FIXTURE_H

#include <sys/types.h>

#include "agent_client.h"

struct fixture {
    char folder[64], socket[80];
    pid_t bwrap;
    struct client *client;
};

// For cmocka: set-up, with a program as kernel bridge (NULL: none), and tear-down. A test that has
// ended the agent itself sets `client` to NULL.
int fixture_start(void **state, const char *kernel_path);
int fixture_stop(void **state);
// Runs a script of bash.
struct client_result *fixture_run(struct fixture *f, const char *script);

#endif
