// SPDX-License-Identifier: AGPL-3.0-or-later
// Copies on the projects' thread: handed to the runner, waited for, given up when it ends. One that
// comes while there is no runner waits for the next.
#include <string.h>

#include "base/mem.h"
#include "runner/project.h"

static void finish(struct projects *projects, struct copy_call *copy)
{
    TAILQ_REMOVE(&projects->copies, copy, link);
    project_call_answer(&copy->call);
}

static void interrupt(struct projects *projects, struct copy_call *copy)
{
    copy->call.rc = err_set(&copy->call.err, ERR_UNAVAILABLE, "the copy was interrupted");
    finish(projects, copy);
}

static struct copy_call *find(struct projects *projects, uint64_t seq)
{
    struct copy_call *copy;
    TAILQ_FOREACH(copy, &projects->copies, link)
    {
        if (seq && copy->seq == seq)
            return copy;
    }
    return NULL;
}

static void hand_over(struct projects *projects, struct copy_call *copy)
{
    copy->call.rc = runner_link_copy(&projects->runner, copy, &copy->seq, &copy->call.err);
    if (copy->call.rc)
        finish(projects, copy);
}

static void on_copy(struct loop_message *message)
{
    struct project_call *call = CONTAINER(message, struct project_call, message);
    struct copy_call *copy = CONTAINER(call, struct copy_call, call);
    struct projects *projects = call->projects;
    TAILQ_INSERT_TAIL(&projects->copies, copy, link);
    if (projects->closing)
        interrupt(projects, copy);
    else if (runner_link_is_up(&projects->runner))
        hand_over(projects, copy);
}

void projects_copy(struct projects *projects, struct copy_call *copy)
{
    copy->call.rc = 0;
    copy->call.projects = projects;
    copy->seq = 0;
    loop_post(&projects->loop, &copy->call.message, on_copy);
}

struct ending {
    struct loop_message message;
    struct projects *projects;
    const struct copy_call *copy; // it may be gone
};

// Messages keep their order: no other copy that came to be at the same place is in the list yet.
static void on_end(struct loop_message *message)
{
    auto_free struct ending *ending = CONTAINER(message, struct ending, message);
    struct projects *projects = ending->projects;
    struct copy_call *copy = TAILQ_FIRST(&projects->copies);
    while (copy && copy != ending->copy)
        copy = TAILQ_NEXT(copy, link);
    if (copy && !copy->seq)
        interrupt(projects, copy);
    else if (copy && runner_link_is_up(&projects->runner))
        runner_link_end_copy(&projects->runner, copy);
}

void projects_copy_end(struct projects *projects, const struct copy_call *copy)
{
    struct ending *ending = mem_zalloc(sizeof *ending);
    ending->projects = projects;
    ending->copy = copy;
    loop_post(&projects->loop, &ending->message, on_end);
}

bool copies_answered(struct projects *projects, uint64_t seq, int sys_errno, const char *text)
{
    struct copy_call *copy = find(projects, seq);
    if (copy && sys_errno) {
        copy->call.rc = err_set_errno(&copy->call.err, ERR_INTERNAL, sys_errno, "%s", text);
        finish(projects, copy);
    }
    return copy;
}

void copies_ended(struct projects *projects, uint64_t seq, int wait_status, const char *text)
{
    struct copy_call *copy = find(projects, seq);
    if (!copy)
        return;
    static_assert(sizeof copy->text == RUNNER_TEXT_MAX, "the text fits");
    strncpy(copy->text, text, sizeof copy->text - 1);
    copy->text[sizeof copy->text - 1] = '\0';
    copy->status = wait_status;
    finish(projects, copy);
}

void copies_down(struct projects *projects)
{
    for (struct copy_call *copy = TAILQ_FIRST(&projects->copies), *next; copy; copy = next) {
        next = TAILQ_NEXT(copy, link);
        if (copy->seq)
            interrupt(projects, copy);
    }
}

void copies_up(struct projects *projects)
{
    for (struct copy_call *copy = TAILQ_FIRST(&projects->copies), *next; copy; copy = next) {
        next = TAILQ_NEXT(copy, link);
        if (!copy->seq)
            hand_over(projects, copy);
    }
}

void copies_drop(struct projects *projects)
{
    while (!TAILQ_EMPTY(&projects->copies))
        interrupt(projects, TAILQ_FIRST(&projects->copies));
}
