// SPDX-License-Identifier: AGPL-3.0-or-later
#include "loop/work.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void work_threads_set(unsigned count)
{
    char text[16];
    snprintf(text, sizeof text, "%u", count);
    setenv("UV_THREADPOOL_SIZE", text, 1);
}

static void on_run(uv_work_t *uv)
{
    struct work *work = CONTAINER(uv, struct work, uv);
    work->run(work);
}

static void on_done(uv_work_t *uv, int status);

void work_gate_init(struct work_gate *gate, unsigned limit)
{
    *gate = (struct work_gate){.limit = limit};
    pthread_mutex_init(&gate->lock, NULL);
}

// The first submission starts the threads, which take over its signal mask: signals are the main
// thread's, also while it closes.
static void start(struct work *work)
{
    static atomic_bool started;
    sigset_t all, old;
    bool first = !atomic_load(&started);
    if (first) {
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &old);
    }
    int rc = uv_queue_work(&work->loop->uv, &work->uv, on_run, on_done);
    assert(rc == 0);
    if (first) {
        pthread_sigmask(SIG_SETMASK, &old, NULL);
        atomic_store(&started, true);
    }
}

static void on_turn(struct loop_message *message)
{
    start(CONTAINER(message, struct work, message));
}

static bool is_of(const struct work *work, const char *owner)
{
    return work->owner && owner && !strcmp(work->owner, owner);
}

// Whether there is a place for a work of the owner.
static bool owner_may_run(const struct work_gate *gate, const char *owner)
{
    unsigned count = 0;
    if (gate->running == gate->limit)
        return false;
    for (const struct work *w = gate->owner_running ? gate->active : NULL; w; w = w->next)
        count += is_of(w, owner);
    return !gate->owner_running || count < gate->owner_running;
}

static void gate_enter(struct work_gate *gate, struct work *work)
{
    work->next = gate->active;
    gate->active = work;
    gate->running++;
}

// Where the work is that waits longest and may run, of another owner than `owner` (NULL: of any).
static struct work **find_next(struct work_gate *gate, const char *owner)
{
    struct work **link = &gate->first;
    while (*link && (is_of(*link, owner) || !owner_may_run(gate, (*link)->owner)))
        link = &(*link)->next;
    return link;
}

// Takes out the next work to run, another owner's before one of `owner`: owners take turns. NULL:
// none waits that may run.
static struct work *take_next(struct work_gate *gate, const char *owner)
{
    struct work **link = find_next(gate, owner);
    if (!*link)
        link = find_next(gate, NULL);
    struct work *next = *link;
    if (!next)
        return NULL;
    *link = next->next;
    gate->round = next->round > gate->round ? next->round : gate->round;
    return next;
}

// Hands the place of a finished work on, on the thread of the next one's loop.
static void gate_leave(struct work_gate *gate, const struct work *work)
{
    pthread_mutex_lock(&gate->lock);
    struct work **link = &gate->active;
    while (*link != work)
        link = &(*link)->next;
    *link = work->next;
    gate->running--;
    struct work *next = take_next(gate, work->owner);
    if (next)
        gate_enter(gate, next);
    pthread_mutex_unlock(&gate->lock);
    if (next)
        loop_post(next->loop, &next->message, on_turn);
}

static void on_done(uv_work_t *uv, int status UNUSED)
{
    struct work *work = CONTAINER(uv, struct work, uv);
    if (work->gate)
        gate_leave(work->gate, work);
    work->done(work);
}

static void prepare(struct loop *loop, struct work *work, struct work_gate *gate, work_fn *run,
                    work_fn *done)
{
    work->loop = loop;
    work->gate = gate;
    work->run = run;
    work->done = done;
}

void work_submit(struct loop *loop, struct work *work, work_fn *run, work_fn *done)
{
    prepare(loop, work, NULL, run, done);
    start(work);
}

static bool owner_may_wait(const struct work_gate *gate, const char *owner)
{
    unsigned count = 0;
    if (!owner || !gate->owner_max)
        return true;
    for (const struct work *w = gate->first; w; w = w->next)
        count += is_of(w, owner);
    return count < gate->owner_max;
}

// Behind what waits for others as often, and for the owner itself.
static void wait_for_turn(struct work_gate *gate, struct work *work)
{
    struct work **link = &gate->first;
    work->round = gate->round;
    for (const struct work *w = gate->first; w; w = w->next) {
        if (is_of(w, work->owner) && w->round >= work->round)
            work->round = w->round + 1;
    }
    while (*link && (*link)->round <= work->round)
        link = &(*link)->next;
    work->next = *link;
    *link = work;
}

// In the place of the owner's first work of several turns, which takes that of the second, and so
// on; the last one waits anew.
static void wait_to_go_on(struct work_gate *gate, struct work *work)
{
    for (struct work **link = &gate->first; *link; link = &(*link)->next) {
        struct work *other = *link;
        if (!other->turns || !is_of(other, work->owner))
            continue;
        work->round = other->round;
        work->next = other->next;
        *link = work;
        work = other;
    }
    wait_for_turn(gate, work);
}

bool work_submit_gated(struct loop *loop, struct work_gate *gate, struct work *work,
                       const char *owner, work_fn *run, work_fn *done)
{
    prepare(loop, work, gate, run, done);
    work->owner = owner;
    work->next = NULL;
    pthread_mutex_lock(&gate->lock);
    bool may_run = owner_may_run(gate, owner);
    bool may_wait = !may_run && owner_may_wait(gate, owner);
    if (may_run)
        gate_enter(gate, work);
    else if (may_wait)
        wait_for_turn(gate, work);
    pthread_mutex_unlock(&gate->lock);
    if (may_run)
        start(work);
    return may_run || may_wait;
}

void work_go_on(struct work *work)
{
    struct work_gate *gate = work->gate;
    assert(work->turns);
    pthread_mutex_lock(&gate->lock);
    const bool may_run = owner_may_run(gate, work->owner);
    if (may_run)
        gate_enter(gate, work);
    else
        wait_to_go_on(gate, work);
    pthread_mutex_unlock(&gate->lock);
    if (may_run)
        start(work);
}
