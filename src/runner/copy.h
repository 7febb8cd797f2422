// SPDX-License-Identifier: AGPL-3.0-or-later
// The runner's copies: each is the agent with --copy (proto/copy.h) in a sandbox that sees two
// homes, has a control group of its own, and ends with the runner.
#ifndef RUNNER_COPY_H
#define RUNNER_COPY_H

#include "runner/runner.h"
#include "runner/sandbox.h"
#include "runner/spare.h"

struct copy_job {
    pid_t pid;
    uint64_t seq; // of the request
    int log_fd;   // memory: what was said
};

struct copy_jobs {
    struct copy_job *items;
    size_t count, capacity;
};

// True for a request that copy_job_start takes.
bool copy_request_valid(const struct runner_request *request);
int copy_job_start(struct copy_jobs *jobs, struct sandbox_host *host, struct spares *spares,
                   const struct runner_request *request, struct err *err) MUST_USE;
// Its end is told like any other. -ESRCH.
int copy_job_kill(const struct copy_jobs *jobs, uint64_t seq) MUST_USE;
// False when the process is no copy. Otherwise it is forgotten, and the message tells of its end.
bool copy_job_ended(struct copy_jobs *jobs, pid_t pid, int status,
                    struct runner_message *ret_message);
void copy_jobs_dispose(struct copy_jobs *jobs);

#endif
