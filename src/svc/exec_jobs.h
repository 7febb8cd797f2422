// SPDX-License-Identifier: AGPL-3.0-or-later
// Commands that go on after the call that started them has been answered (hub-rpc 6.3). Whoever may
// use the project may ask for their output, while they run and for an hour after the last look.
//
// They live in the hub that started them: another hub does not know them, nor does this one after
// it was started anew, though the command itself may go on. They end with their project. What all
// of them keep has a bound; if that is reached, those are forgotten that nobody has looked at
// longest, of the project that has most.
#ifndef SVC_EXEC_JOBS_H
#define SVC_EXEC_JOBS_H

#include "svc/exec.h"

struct exec_jobs;
struct exec_jobs *exec_jobs_new(void);
void exec_jobs_free(struct exec_jobs *jobs);
// From now on nobody waits for the end of one, and none is started. Any thread.
void exec_jobs_shut(struct svc *svc);

enum exec_job_status { EXEC_JOB_RUNNING, EXEC_JOB_COMPLETED, EXEC_JOB_ERROR };

struct exec_job_call {
    // in; strings are the caller's until `done`
    struct uuid project_id;
    const char *job_id; // of exec_job_get
    bool await;         // that it ends; of exec_job_get
    struct loop *loop;
    void (*done)(struct exec_job_call *call);
    // out
    int rc;
    struct err err;
    struct uuid id;
    enum exec_job_status status;
    int64_t start_ms;
    uint64_t elapsed_us;             // if it has ended
    struct exec_result *result;      // if it has ended; the caller's
    struct buf output, error_output; // if it runs: the text so far
    // the service's
    struct svc *svc;
    struct exec_job *job;
    struct exec_look look;
    double max_output;
    struct exec_job_call *next;
    struct loop_message message;
    struct work work;
};
// Runs what `request` says, which is copied; of what its service fills in nothing needs to be set.
void exec_job_start(struct svc *svc, const struct exec_request *request,
                    struct exec_job_call *call);
// ERR_NOT_FOUND if there is no such job of the project.
void exec_job_get(struct svc *svc, struct exec_job_call *call);
void exec_job_call_dispose(struct exec_job_call *call);

#endif
