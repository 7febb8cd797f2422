// SPDX-License-Identifier: AGPL-3.0-or-later
// A hub's side of an agent's socket, blocking, for tests. What comes in is kept by stream; any
// failure fails the test.
#ifndef TESTS_AGENT_CLIENT_H
#define TESTS_AGENT_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "proto/frame.h"
#include "proto/job.h"

#define CLIENT_STREAMS 2048

struct client_result {
    bool ended;
    struct frame_exit exit;
    struct buf text, out, err;
};

struct client {
    int fd;
    bool closed;   // by the agent
    uint32_t jobs; // that run, as it says
    struct client_result results[CLIENT_STREAMS];
};

struct client_command {
    const char *directory; // NULL: /
    const char *command;
    const char *const *args; // ends with NULL; or NULL
    const char *const *env;  // ends with NULL; or NULL
    uint32_t timeout_ms, cpu_seconds;
    bool script;
};

// Connects and waits for the agent's greeting.
struct client *client_open(const char *path);
void client_close(struct client *c);
void client_send(struct client *c, enum frame_type type, uint32_t stream, const void *payload,
                 size_t size, int fd);
void client_exec(struct client *c, uint32_t stream, const struct client_command *command);
// `note` and `command` of a start; else NULL.
void client_job(struct client *c, uint32_t stream, const struct frame_job *job, const char *note,
                const struct client_command *command);
void client_file(struct client *c, uint32_t stream, bool write, const char *path, uint32_t size_max,
                 int content_fd);
void client_shutdown(struct client *c, uint32_t grace_ms);
// Reads one frame into its stream's result; false when nothing comes for wait_ms, or the agent has
// closed.
bool client_read(struct client *c, int wait_ms);
// Reads until the stream has ended; the result stays the client's.
struct client_result *client_wait(struct client *c, uint32_t stream);
struct client_result *client_run(struct client *c, uint32_t stream,
                                 const struct client_command *command);
void client_forget(struct client *c, uint32_t stream);

#endif
