// SPDX-License-Identifier: AGPL-3.0-or-later
// A call under way on the projects' thread: where it waits, its stream in the agent, its deadline.
// Jobs come from a pool, so that a call costs no allocation but that of its results.
#ifndef RUNNER_JOB_H
#define RUNNER_JOB_H

#include <sys/queue.h>

#include "runner/agent_conn.h"
#include "runner/projects.h"

struct project;

enum job_kind {
    JOB_START,
    JOB_STOP,
    JOB_STOP_UNUSED, // a stop, unless jobs of the agent run (proto/job.h)
    JOB_EXEC,
    JOB_FILE,
    JOB_ASK,
};

struct job {
    TAILQ_ENTRY(job) link;
    struct job_list *list; // that it waits in, or NULL
    struct job_pool *pool;
    struct project *project;
    struct project_call *call;
    enum job_kind kind;
    bool after_stop; // came while the project was stopping: waits for the next start
    struct agent_stream stream;
    uv_timer_t timer;
};
TAILQ_HEAD(job_list, job);

struct job_pool {
    struct loop *loop;
    struct job_list free;
};
void job_pool_init(struct job_pool *pool, struct loop *loop);
// After the loop is disposed of, and all jobs are finished.
void job_pool_dispose(struct job_pool *pool);

// Has `done` of a call run on its loop, with what is in it.
void project_call_answer(struct project_call *call);

struct job *job_new(struct job_pool *pool, struct project_call *call, enum job_kind kind);
// Puts it at the end of a list of its project's, until its wait_ms are over.
void job_wait(struct job *job, struct project *project, struct job_list *list);
// Answers the call with what is in it, or with an error.
void job_finish(struct job *job);
void job_fail(struct job *job, const struct err *err);

// Hands a waiting job to the agent. False when the connection is broken and the agent has not seen
// it; then it still waits. Otherwise it is the stream's now, or finished.
bool job_send(struct job *job, struct agent_conn *conn);
// For agent_conn_ops.
bool job_output(struct agent_stream *stream, bool is_error, const void *bytes, size_t size);
bool job_exit(struct agent_stream *stream, const struct frame_exit *end, const char *text,
              size_t text_size);
struct job *job_of_stream(struct agent_stream *stream);
bool job_is_stop(const struct job *job);
// What is under way, in words.
const char *job_name(const struct job *job);

#endif
