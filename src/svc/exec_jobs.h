// SPDX-License-Identifier: AGPL-3.0-or-later
// Commands that go on after the call that started them has been answered (hub-rpc 6.3). Whoever may
// use the project may ask for their output, through any hub, while they run and for an hour after
// the last look.
//
// They are the agent's (proto/job.h), and end with it: the hub keeps nothing of them. What an agent
// says of one is taken for what a stranger says.
#ifndef SVC_EXEC_JOBS_H
#define SVC_EXEC_JOBS_H

#include "proto/job.h"
#include "svc/exec.h"

enum exec_job_status { EXEC_JOB_RUNNING, EXEC_JOB_COMPLETED, EXEC_JOB_ERROR };

struct exec_job_call {
    // in; strings are the caller's until `done`
    struct uuid project_id;
    const char *job_id;      // of exec_job_get
    bool await;              // that it ends; of exec_job_get
    double await_timeout_ms; // ERR_TIMEOUT then
    struct loop *loop;
    void (*done)(struct exec_job_call *call);
    // out
    int rc;
    struct err err;
    struct uuid id;
    enum exec_job_status status;
    int pid; // in the sandbox, 0: it could not be started
    int64_t start_ms;
    uint64_t elapsed_ms;
    struct exec_result *result;      // if it has ended; the caller's
    struct buf output, error_output; // if it runs: the text so far
    struct job_sample samples[JOB_SAMPLES_MAX];
    size_t samples_count;
    // the service's
    struct svc *svc;
    struct exec_request *request; // of a start
    struct buf payload;
    struct ask_call ask;
    struct work work;
};
// Runs what `request` says, which is the caller's until `done`; of what its service fills in, and
// of `loop` and `done`, nothing needs to be set. That it runs is all that is told of it.
void exec_job_start(struct svc *svc, struct exec_request *request, struct exec_job_call *call);
// ERR_NOT_FOUND if there is no such job of the project.
void exec_job_get(struct svc *svc, struct exec_job_call *call);
void exec_job_call_dispose(struct exec_job_call *call);

// ---- What the agent answers, and what it gives back of a start (exec_job_reply.c) ----

// What is needed to say what became of a command (exec_result.c), as the agent keeps it.
void exec_job_note_write(const struct exec_request *request, struct buf *out);

struct exec_job_reply {
    struct job_state state;
    struct job_sample samples[JOB_SAMPLES_MAX];
    // The command, as far as exec_result_make has to know it, and what came of it. Its texts and
    // buffers are in the reply; `args` is heap.
    struct exec_request request;
    const char **args;
};
// ERR_INTERNAL if it is not what an agent says. Needs exec_job_reply_dispose if it is.
int exec_job_reply_read(const struct buf *reply, struct exec_job_reply *ret_reply,
                        struct err *err) MUST_USE;
void exec_job_reply_dispose(struct exec_job_reply *reply);

#endif
