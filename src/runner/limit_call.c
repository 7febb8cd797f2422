// SPDX-License-Identifier: AGPL-3.0-or-later
// What the runner is asked of a sandbox that runs: other limits, and what it uses. The call waits
// on the projects' thread for the answer. A project that does not run is no failure.
#include <errno.h>

#include "runner/project.h"

static void finish(struct projects *projects, struct project_call *call)
{
    TAILQ_REMOVE(&projects->asked, call, link);
    project_call_answer(call);
}

static void interrupt(struct projects *projects, struct project_call *call)
{
    call->rc = err_set(&call->err, ERR_UNAVAILABLE, "the runner cannot be asked now");
    finish(projects, call);
}

static bool ask_begin(struct project_call *call)
{
    struct projects *projects = call->projects;
    TAILQ_INSERT_TAIL(&projects->asked, call, link);
    if (!projects->closing && runner_link_is_up(&projects->runner))
        return true;
    interrupt(projects, call);
    return false;
}

static void on_limit(struct loop_message *message)
{
    struct project_call *call = CONTAINER(message, struct project_call, message);
    const struct limit_call *limit = CONTAINER(call, struct limit_call, call);
    if (ask_begin(call))
        runner_link_limit(&call->projects->runner, &call->project_id, &limit->limits, &call->seq);
}

static void limit_answered(struct project_call *call, int sys_errno, const char *text,
                           const struct runner_usage *usage UNUSED)
{
    if (sys_errno && sys_errno != ESRCH)
        call->rc = err_set_errno(&call->err, sys_errno == EBUSY ? ERR_CONFLICT : ERR_UNAVAILABLE,
                                 sys_errno, "%s", text);
}

static void on_usage(struct loop_message *message)
{
    struct project_call *call = CONTAINER(message, struct project_call, message);
    if (ask_begin(call))
        runner_link_usage(&call->projects->runner, &call->project_id, &call->seq);
}

static void usage_answered(struct project_call *call, int sys_errno, const char *text,
                           const struct runner_usage *usage)
{
    struct usage_call *asker = CONTAINER(call, struct usage_call, call);
    asker->running = sys_errno == 0;
    asker->usage = *usage;
    if (sys_errno && sys_errno != ESRCH)
        call->rc = err_set_errno(&call->err, ERR_UNAVAILABLE, sys_errno, "%s", text);
}

static void submit(struct projects *projects, struct project_call *call, loop_message_fn *fn,
                   project_answered_fn *answered)
{
    call->rc = 0;
    call->seq = 0;
    call->projects = projects;
    call->answered = answered;
    loop_post(&projects->loop, &call->message, fn);
}

void projects_limit(struct projects *projects, struct limit_call *limit)
{
    submit(projects, &limit->call, on_limit, limit_answered);
}

void projects_usage(struct projects *projects, struct usage_call *usage)
{
    usage->running = false;
    usage->usage = (struct runner_usage){0};
    submit(projects, &usage->call, on_usage, usage_answered);
}

bool asked_answered(struct projects *projects, uint64_t seq, int sys_errno, const char *text,
                    const struct runner_usage *usage)
{
    struct project_call *call;
    TAILQ_FOREACH(call, &projects->asked, link)
    {
        if (call->seq != seq)
            continue;
        call->answered(call, sys_errno, text, usage);
        finish(projects, call);
        return true;
    }
    return false;
}

void asked_drop(struct projects *projects)
{
    while (!TAILQ_EMPTY(&projects->asked))
        interrupt(projects, TAILQ_FIRST(&projects->asked));
}
