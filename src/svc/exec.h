// SPDX-License-Identifier: AGPL-3.0-or-later
// Running a command in a project, with the rules of the contract (api-v1 section 4, hub-rpc 6.3):
// when bash is implied, how output is cut, what counts as an error and in which words, and how
// equal requests are joined.
#ifndef SVC_EXEC_H
#define SVC_EXEC_H

#include <stdatomic.h>

#include "base/json.h"
#include "base/limits.h"
#include "runner/projects.h"
#include "svc/svc.h"

// Shared by all whose requests were joined; given back with exec_result_unref.
struct exec_result {
    atomic_uint refs;
    bool failed; // then `error` says why, in the contract's words
    struct buf error;
    struct buf output, error_output; // valid UTF-8
    int exit_code;
};
void exec_result_unref(struct exec_result *result);

enum exec_words { EXEC_WORDS_V1, EXEC_WORDS_RPC };

// What is compared of the stamps of equal requests.
struct exec_stamp {
    enum exec_stamp_kind { EXEC_STAMP_OTHER, EXEC_STAMP_TEXT, EXEC_STAMP_VALUE } kind;
    double number;                  // that it is or that its text says, else NAN
    char text[LIMIT_AGGREGATE + 1]; // or the JSON of an object's `value`, "": it has none
};

struct exec_request {
    // in; strings are the caller's until `done`
    struct uuid project_id;
    const char *path; // working directory: "" or relative to the home, or absolute
    const char *command;
    const char *const *args;
    size_t args_count;
    const char *const *env; // "NAME=value", besides the project's
    size_t env_count;
    double timeout_s;  // 0: no limit
    double max_output; // characters of each stream; negative: no limit of the caller's
    bool bash, err_on_exit;
    bool no_cpu_limit;      // for a script; else it is the time limit
    enum exec_words words;  // of errors, and what counts as one
    const cJSON *aggregate; // NULL: runs on its own
    struct loop *loop;
    void (*done)(struct exec_request *request);
    // Instead of running it: `exec` is filled. On the thread of `loop`; or NULL.
    void (*prepared)(struct exec_request *request);
    // out
    int rc; // negative: it could not be run at all (wrong input, no start, the project went away)
    struct err err;
    struct exec_result *result; // if rc is 0; the caller's
    // the service's
    struct svc *svc;
    struct exec_call exec;
    struct buf script, directory;
    struct exec_stamp stamp;
    struct aggregate *group;
    struct exec_job_call *job; // that it is prepared for (svc/exec_jobs.h)
    struct exec_request *next;
    struct loop_message message;
    struct work work;
};
// What exec_run refuses at once.
int exec_request_check(const struct exec_request *request, struct err *err) MUST_USE;
// Starts the project if needed. `done` runs on the thread of `loop`, perhaps before this returns.
void exec_run(struct svc *svc, struct exec_request *request);
void exec_request_dispose(struct exec_request *request);

// For the aggregator: runs without joining.
void exec_run_alone(struct svc *svc, struct exec_request *request);

// What became of the request once it has run (exec_result.c).
struct exec_result *exec_result_make(const struct exec_request *request);
// As if it had failed for that reason.
struct exec_result *exec_result_refused(const struct err *err);
// Makes text of what is kept of a stream, and cuts it at max_output characters, which it then says.
// `total`: the bytes that were written.
void exec_stream_text(double max_output, const struct buf *raw, uint64_t total, struct buf *out);

// ---- Joining equal requests (api-v1 4.7) ----

struct aggregator *aggregator_new(void);
void aggregator_free(struct aggregator *aggregator);
// Runs the request, or has it share the run or the recent result of an equal one. ERR_INVALID for a
// stamp that is too long.
void aggregator_submit(struct aggregator *aggregator, struct exec_request *request);
// After the run of a request that leads a group: hands its outcome to the group.
void aggregator_finished(struct aggregator *aggregator, struct exec_request *leader);

#endif
