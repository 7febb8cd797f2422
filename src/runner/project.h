// SPDX-License-Identifier: AGPL-3.0-or-later
// One project's life: found by its socket, started, used, stopped; and the thread's state that all
// projects share. Only the projects' thread comes here.
//
//   NEW ─▶ PROBING ─▶ RUNNING                                        it ran already
//             └▶ LOADING ─▶ LAUNCHING ─▶ GREETING ─▶ RUNNING         it had to be started
//                                            └▶ FAILING ─▶ settled
//   RUNNING ─▶ STOPPING ─▶ REAPING ─▶ settled                        a stop
//                 └▶ KILLING ──┘                                     that took too long
//   RUNNING ─▶ REAPING ─▶ settled                                    it died
//
// A settled project is forgotten, or found again from NEW if calls wait for it. A project is kept
// by its phases and freed in project_settle only: whoever called something that may settle it does
// not touch it afterwards.
#ifndef RUNNER_PROJECT_H
#define RUNNER_PROJECT_H

#include <stdatomic.h>

#include "base/map.h"
#include "loop/work.h"
#include "runner/agent_conn.h"
#include "runner/job.h"
#include "runner/projects.h"
#include "runner/runner_link.h"

enum project_phase {
    PHASE_NEW,       // nothing is known; or it runs, but the connection was dropped
    PHASE_PROBING,   // looking for a running agent
    PHASE_LOADING,   // a worker finds out what to start it with
    PHASE_LAUNCHING, // the runner is to start the sandbox
    PHASE_GREETING,  // the sandbox is there, its agent not yet
    PHASE_RUNNING,
    PHASE_STOPPING, // the agent ends everything
    PHASE_KILLING,  // the runner ends the sandbox
    PHASE_REAPING,  // the agent is gone, the sandbox about to be
    PHASE_FAILING,  // as REAPING, after a start that failed
};

struct project {
    struct uuid id;
    struct projects *projects;
    enum project_phase phase;
    enum project_state told; // the state that the rest of the program knows
    bool wanted;             // a call wants it started; it goes on when that call has given up
    bool wanted_again;       // as `wanted`, once it has stopped
    int64_t seen_ms;         // when it was found running, since it was last stopped; 0: not
    bool adopting;           // is one of the probes of projects_adopt
    bool owned;              // the runner will tell when the sandbox is gone
    bool ended;              // while GREETING: the runner has told its end
    bool counted;            // in projects.running
    bool dropping;           // the connection is being dropped
    unsigned launches;
    uint64_t seq; // of what the runner was asked and has not answered, or 0
    struct agent_conn *conn;
    struct project_launch *launch; // while starting
    struct job_list waiting;       // for it to run
    struct job_list stops;         // for it to be stopped
    uv_timer_t timer;              // of the phase
    uint64_t deadline;             // of starting or probing, in the loop's time
};

// The ids of one call of projects_adopt.
struct adoption {
    struct loop_message message;
    struct projects *projects;
    struct adoption *next;
    size_t count, at;
    struct uuid ids[];
};

TAILQ_HEAD(copy_queue, copy_call);
TAILQ_HEAD(call_queue, project_call);

struct projects {
    struct projects_config config;
    struct loop loop;
    pthread_t thread;
    atomic_size_t running;
    bool closing;
    bool ended; // nobody submits calls any more
    struct loop_message shut_message, close_message;
    unsigned loading; // workers that hold a project
    struct map by_id;
    struct agent_io io;
    struct runner_link runner;
    struct copy_queue copies; // not ended
    struct call_queue asked;  // limits and usage: not answered
    struct job_pool jobs;
    struct adoption *adoptions, **adoptions_last;
    unsigned adopting; // probes under way
    uv_idle_t adopt_idle;
};

// copy_call.c: the copies. False when a reply is not to one of theirs.
bool copies_answered(struct projects *projects, uint64_t seq, int sys_errno, const char *text);
void copies_ended(struct projects *projects, uint64_t seq, int wait_status, const char *text);
// The runner ended, and took what it was doing with it; it was replaced; the thread ends.
void copies_down(struct projects *projects);
void copies_up(struct projects *projects);
void copies_drop(struct projects *projects);

// limit_call.c: limits and usage. False when a reply is not to one of these calls.
bool asked_answered(struct projects *projects, uint64_t seq, int sys_errno, const char *text,
                    const struct runner_usage *usage);
// The runner or the thread ends.
void asked_drop(struct projects *projects);

extern const struct agent_conn_ops project_conn_ops;
extern const struct runner_link_ops project_runner_ops;

struct project *project_new(struct projects *projects, const struct uuid *id);
// Looks whether it runs, and starts it if it is wanted and does not.
void project_find(struct project *project);
// A call came; from here on the project answers it.
void project_add_job(struct project *project, struct job *job);
// True if a call waits for the project or is under way in it.
bool project_in_use(const struct project *project);
void project_disconnect(struct project *project);
// The runner was replaced: repeats what its predecessor was asked.
void project_runner_up(struct project *project);
// The thread ends: fails all calls and frees the project, or leaves that to the worker that is at
// it.
void project_drop(struct project *project);

// projects.c: one of the probes of projects_adopt has its answer.
void projects_adopted(struct projects *projects);
// projects.c: ends the loop once no worker holds a project, if it is closing.
void projects_drained(struct projects *projects);

#endif
