// SPDX-License-Identifier: AGPL-3.0-or-later
// Running projects: their states, their sandboxes and what runs inside them.
//
// One thread with its own loop owns the state of all projects, the connection to the runner and
// those to the agents. Calls come in from any thread as messages and are answered on the loop that
// the caller names; a call that waits holds no thread.
//
// A project is found running by connecting to its agent's socket, run/UUID/agent.sock. So it makes
// no difference who started it: this process, the one before it, or another on the same data
// folder. Starting takes the lock run/UUID/lock.
#ifndef RUNNER_PROJECTS_H
#define RUNNER_PROJECTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/uuid.h"
#include "loop/loop.h"
#include "proto/frame.h"
#include "runner/runner.h"

struct projects;

// The states of the contract (api-v1 2.2) that a server with local sandboxes has; "opened" is a
// stopped project.
enum project_state { PROJECT_OPENED, PROJECT_STARTING, PROJECT_RUNNING, PROJECT_STOPPING };
const char *project_state_name(enum project_state state);

// What a project is started with. Filled by projects_config.load; strings are heap, freed by
// project_spec_dispose.
struct project_spec {
    char *image;  // name of a folder in images/, or NULL: the host's own system
    char **env;   // "NAME=value", ends with NULL; or NULL
    bool network; // outside network
    struct runner_limits limits;
};
void project_spec_dispose(struct project_spec *spec);

struct projects_config {
    int runner_fd; // control channel of the runner process (runner/runner.h); owned by projects
    uint32_t start_timeout_ms; // a sandbox that is not ready by then has failed to start
    bool shared;               // other processes like this may use the same projects
    void *ctx;
    // On a worker thread: what to start the project with. Fails (ERR_NOT_FOUND) when it must not be
    // started.
    int (*load)(void *ctx, const struct uuid *project_id, struct project_spec *ret_spec,
                struct err *err);
    // On the projects' thread, must not block: the state changed; `seen_ms`: when it was
    // found running, whoever had started it, 0 if it was not; `error` is why a start failed, or
    // NULL.
    void (*changed)(void *ctx, const struct uuid *project_id, enum project_state state,
                    int64_t seen_ms, const char *error);
    // The same: commands that went on by themselves (proto/job.h) have ended; or NULL.
    void (*jobs_ended)(void *ctx, const struct uuid *project_id);
};

// Starts the thread. The working directory is the data folder.
int projects_open(const struct projects_config *config, struct projects **ret_projects,
                  struct err *err) MUST_USE;
// A new channel after the runner was replaced (any thread). Takes the descriptor.
void projects_runner_replaced(struct projects *projects, int runner_fd);
// From now on calls fail with ERR_UNAVAILABLE, those that wait and those to come. Any thread, once.
void projects_shut(struct projects *projects);
// No call is submitted any more. Fails the calls that still wait with ERR_UNAVAILABLE; sandboxes
// and their commands go on. Ends the thread.
void projects_close(struct projects *projects);

// ---- Calls: fill, submit from any thread, wait for `done` on `loop`; alive until then. Strings
// are the caller's. ----

struct project_call;
// The runner's answer to a call.
typedef void project_answered_fn(struct project_call *call, int sys_errno, const char *text,
                                 const struct runner_usage *usage);

struct project_call {
    struct uuid project_id;
    struct loop *loop;
    void (*done)(struct project_call *call);
    const char *reason; // of a stop: told to those whose commands it ends; or NULL
    int rc;             // 0, or negative and `err` is set: the call could not be carried out at all
    struct err err;
    struct loop_message message; // projects'
    struct projects *projects;   // projects'
    uint32_t wait_ms;            // projects'
    // projects', of a call that the runner answers
    uint64_t seq;
    project_answered_fn *answered;
    TAILQ_ENTRY(project_call) link;
};

// Start, and wait until it runs (or ERR_TIMEOUT after wait_ms; the start goes on). Nothing happens
// if it runs already.
void projects_start(struct projects *projects, struct project_call *call, uint32_t wait_ms);
// SIGTERM, 5 s later SIGKILL, then the sandbox is gone. Nothing happens if it does not run.
void projects_stop(struct projects *projects, struct project_call *call);
// Stops it only if nobody uses it: no call waits for it, none is under way in it, of this process
// or another, and no command goes on by itself (proto/job.h).
struct idle_call {
    struct project_call call;
    bool in_use; // out: then nothing was done
};
void projects_stop_unused(struct projects *projects, struct idle_call *idle);
// Drops the connection to its agent. Calls under way fail with ERR_UNAVAILABLE, while their
// commands go on as the project does; the next call connects again. Nothing happens if there is no
// connection.
void projects_disconnect(struct projects *projects, struct project_call *call);

// What fits of the reason of a stop.
#define PROJECT_REASON_SIZE 128

struct exec_call {
    struct project_call call;
    // in
    const char *path;        // working directory, absolute inside the sandbox
    const char *command;     // program, or text of a bash script
    const char *const *args; // of a program; a script has none
    size_t args_count;
    const char *const *env; // "NAME=value", added to the project's or replacing what is in it
    size_t env_count;
    bool script;
    uint32_t timeout_ms; // of the command, 0: none. Counts from when it runs, not from the start of
                         // the project
    uint32_t cpu_seconds;   // 0: no limit
    bool limit_file_size;   // no file may grow beyond file_size_max
    uint64_t file_size_max; // bytes
    uint32_t start_wait_ms; // how long to wait for the project to start; ERR_TIMEOUT "timeout"
                            // then; 0: as long as it takes
    size_t output_max;      // bytes kept of each stream; what comes after is counted and dropped
    // out, if rc is 0
    enum exec_outcome outcome;
    int value;                             // exit code, signal or errno, as the outcome says
    struct buf ran;                        // what was really executed
    char stop_reason[PROJECT_REASON_SIZE]; // if it was stopped with its project; "": not known here
    struct buf output, error_output;
    uint64_t output_total, error_output_total; // bytes before the cut
    // the service's
    size_t output_taken;                 // of what all calls together may keep
    bool output_full, error_output_full; // there was no more to be had of that
};
// Starts the project if it does not run.
void projects_exec(struct projects *projects, struct exec_call *call);
void exec_call_dispose(struct exec_call *call); // frees the buffers of the results

// Appends what the agent is told of it: the payload of FRAME_EXEC. ERR_TOO_LARGE when it is larger
// than any frame.
int exec_call_write(const struct exec_call *call, struct buf *out, struct err *err) MUST_USE;

// A question to what runs in the project, whose answer is a sequence of bytes.
struct ask_call {
    struct project_call call;
    // in
    enum frame_type type; // FRAME_KERNEL (proto/kernel.h) or FRAME_JOB (proto/job.h)
    const char *request;
    size_t request_size;
    size_t reply_max;       // bytes; ERR_TOO_LARGE beyond
    uint32_t start_wait_ms; // as of exec_call
    uint32_t timeout_ms;    // from when it was handed over; ERR_TIMEOUT "timeout" then; 0: none
    // out, if rc is 0
    struct buf reply; // all that was answered: of a kernel bridge that ended meanwhile, a part
    char stop_reason[PROJECT_REASON_SIZE]; // if the project is being stopped; "": not known here
    bool handed_over;                      // of ERR_TIMEOUT: the agent may still do it
    // projects'
    size_t reply_taken; // of what all calls together may keep
};
// Starts the project if it does not run. ERR_UNAVAILABLE with sys_errno when it is refused; and
// when the project stops meanwhile, or its agent is of a version that cannot do it.
void projects_ask(struct projects *projects, struct ask_call *ask);
void ask_call_dispose(struct ask_call *ask);

struct file_call {
    struct project_call call;
    // in
    bool write;
    const char *path;    // absolute inside the sandbox
    const char *content; // write
    size_t content_size;
    size_t size_max;     // read: ERR_TOO_LARGE beyond
    uint32_t timeout_ms; // for all of it, the start of the project included; 0: none
    int content_fd;      // projects'
    // out. A failed system call gives rc < 0 with err.sys_errno set and its name here.
    char syscall[32];
    uint64_t size;   // read: the size of the file
    struct buf data; // read: the content
    // projects'
    size_t data_taken; // of what all calls together may keep
};
// For paths outside the home, which only the sandbox can see. Starts the project if it does not
// run.
void projects_file(struct projects *projects, struct file_call *call);
void file_call_dispose(struct file_call *call);

// Gives a running project other limits. Nothing happens if it does not run. ERR_CONFLICT when it
// uses more memory than it shall have: then it keeps the limit of that, and gets the others.
struct limit_call {
    struct project_call call;
    struct runner_limits limits; // in
};
void projects_limit(struct projects *projects, struct limit_call *limit);

struct usage_call {
    struct project_call call;
    bool running;              // out
    struct runner_usage usage; // out, if it runs
};
// What a project uses.
void projects_usage(struct projects *projects, struct usage_call *usage);

// rsync from one home into another, in a sandbox that sees only these two (api-v1 5.3).
// call.project_id is the target; neither project needs to run, nor is started. A slash at the end
// of target_path makes it a folder. ERR_UNAVAILABLE when the runner ended meanwhile: it may be done
// again.
struct copy_call {
    struct project_call call;
    // in
    struct uuid source_project_id;
    const char *source_path, *target_path; // relative to the homes, normalised
    unsigned flags;                        // runner_copy_flags
    uint32_t timeout_s;                    // without any transfer; 0: none
    uint32_t bandwidth;                    // KB a second; 0: any
    const char *exclude;                   // patterns of what is not copied, one a line; NULL: none
    uint64_t room, files; // by which the target may grow, bytes; that may be made in it
    // out, if rc is 0
    int status;                  // wait status; of the exits, proto/copy.h
    char text[RUNNER_TEXT_MAX];  // the beginning of what rsync said
    uint64_t seq;                // projects': of the runner's request, 0 before it is sent
    TAILQ_ENTRY(copy_call) link; // projects'
};
void projects_copy(struct projects *projects, struct copy_call *copy);
// Ends it, if it has not ended yet: it is answered with ERR_UNAVAILABLE or a killed process's
// status. On the thread that `done` runs on, before it does.
void projects_copy_end(struct projects *projects, const struct copy_call *copy);

// Projects whose stored state says that they run: finds out which do, and tells `changed` about
// those that do not (any thread). Those that are connected to are known to run.
void projects_adopt(struct projects *projects, const struct uuid *project_ids, size_t count);
// How many run now (any thread).
size_t projects_running(const struct projects *projects);

// Whether somebody listens on the project's socket: it runs, or ended a moment ago (any thread).
bool project_is_listening(const struct uuid *project_id);

#endif
