// SPDX-License-Identifier: AGPL-3.0-or-later
// The serving process's end of the channel to the runner: messages out, messages in. The channel
// may end at any time and be replaced by another; what is under way then is the owner's to repeat.
#ifndef RUNNER_RUNNER_LINK_H
#define RUNNER_RUNNER_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/uuid.h"
#include "loop/loop.h"
#include "runner/projects.h"
#include "runner/runner.h"

struct runner_channel;

// Called on the loop's thread. Texts are borrowed and NUL-terminated.
struct runner_link_ops {
    // `project_id` is NULL when the runner found the request malformed.
    void (*reply)(void *owner, const struct uuid *project_id, uint64_t seq, int sys_errno,
                  const char *text, const struct runner_usage *usage);
    void (*exited)(void *owner, const struct uuid *project_id, int wait_status, const char *text);
    void (*copied)(void *owner, uint64_t seq, int wait_status, const char *text);
    // The channel ended: no reply and no exit will come for what was sent on it.
    void (*down)(void *owner);
};

struct runner_link {
    struct loop *loop;
    const struct runner_link_ops *ops;
    void *owner;
    struct runner_channel *channel; // NULL: down
    uint64_t seq;
    struct runner_request request; // the one being built
};

void runner_link_init(struct runner_link *link, struct loop *loop,
                      const struct runner_link_ops *ops, void *owner);
// Closes the channel, without `down`.
void runner_link_dispose(struct runner_link *link);
// Uses this channel (taken) from now on. The one before is closed first, with `down`.
void runner_link_attach(struct runner_link *link, int fd);
bool runner_link_is_up(const struct runner_link *link);

// Sends a request whose reply will have the number *ret_seq, which is never 0. The link is up.
// ERR_TOO_LARGE when the spec does not fit a request.
int runner_link_start(struct runner_link *link, const struct uuid *project_id,
                      const struct project_spec *spec, uint64_t *ret_seq, struct err *err) MUST_USE;
// ERR_TOO_LARGE when the paths do not fit.
int runner_link_copy(struct runner_link *link, const struct copy_call *copy, uint64_t *ret_seq,
                     struct err *err) MUST_USE;
void runner_link_end_copy(struct runner_link *link, const struct copy_call *copy);
void runner_link_limit(struct runner_link *link, const struct uuid *project_id,
                       const struct runner_limits *limits, uint64_t *ret_seq);
void runner_link_usage(struct runner_link *link, const struct uuid *project_id, uint64_t *ret_seq);
void runner_link_kill(struct runner_link *link, const struct uuid *project_id, uint64_t *ret_seq);

#endif
