// SPDX-License-Identifier: AGPL-3.0-or-later
#include "api/lanes.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/mem.h"
#include "loop/fiber.h"

struct lane {
    struct lanes *lanes;
    struct fiber *fiber;
    struct db_session *session;
    struct lane_call *call; // that it begins with
    struct lane *next;      // free
};

struct lanes {
    struct loop *loop;
    struct lane *lanes;
    unsigned count;
    struct lane *free; // the one used last first, so that no more sessions are busy than needed
    struct lane_call *first, **last; // that wait
    unsigned waiting;
    uv_timer_t timer; // runs while any wait
    bool shut;
};

// ---- Who waits ----

static struct lane_call *take_first(struct lanes *lanes)
{
    struct lane_call *call = lanes->first;
    if (!call)
        return NULL;
    lanes->first = call->next;
    if (!lanes->first) {
        lanes->last = &lanes->first;
        uv_timer_stop(&lanes->timer);
    }
    lanes->waiting--;
    return call;
}

static void on_timer(uv_timer_t *timer);

static void start_timer(struct lanes *lanes, uint64_t wait_us)
{
    uv_timer_start(&lanes->timer, on_timer, wait_us / 1000 + 1, 0);
}

// Refuses those that have waited too long.
static void on_timer(uv_timer_t *timer)
{
    struct lanes *lanes = CONTAINER(timer, struct lanes, timer);
    uint64_t now = clock_monotonic_us();
    while (lanes->first && lanes->first->refuse_us <= now) {
        struct lane_call *call = take_first(lanes);
        call->refuse(call);
    }
    if (lanes->first)
        start_timer(lanes, lanes->first->refuse_us - now);
}

static void wait_for_lane(struct lanes *lanes, struct lane_call *call)
{
    call->next = NULL;
    call->refuse_us = clock_monotonic_us() + LIMIT_LANE_WAIT_MS * UINT64_C(1000);
    if (!lanes->first)
        start_timer(lanes, LIMIT_LANE_WAIT_MS * UINT64_C(1000));
    *lanes->last = call;
    lanes->last = &call->next;
    lanes->waiting++;
}

// ---- Running ----

// In the fiber: one call after the other, as long as any wait.
static void run_lane(void *arg)
{
    struct lane *lane = arg;
    struct lanes *lanes = lane->lanes;
    for (struct lane_call *call = lane->call; call; call = take_first(lanes))
        call->run(call, lane->session);
    lane->next = lanes->free;
    lanes->free = lane;
}

void lanes_run(struct lanes *lanes, struct lane_call *call)
{
    struct lane *lane = lanes->free;
    if (lanes->shut || (!lane && lanes->waiting == LIMIT_LANE_CALLS)) {
        call->refuse(call);
    } else if (!lane) {
        wait_for_lane(lanes, call);
    } else {
        lanes->free = lane->next;
        lane->call = call;
        fiber_run(lane->fiber, run_lane, lane);
    }
}

// ---- Opening and closing ----

static int wait_in_lane(void *lane, int fd, short events, uint64_t deadline_us)
{
    return fiber_wait(((struct lane *)lane)->fiber, fd, events, deadline_us);
}

static int lane_open(struct lanes *lanes, struct lane *lane, struct db *db, struct err *err)
{
    lane->lanes = lanes;
    int rc = fiber_open(lanes->loop, &lane->fiber, err);
    if (!rc)
        rc = db_session_open(db, &lane->session, err);
    if (rc)
        return rc;
    db_session_set_wait(lane->session, wait_in_lane, lane);
    lane->next = lanes->free;
    lanes->free = lane;
    return 0;
}

int lanes_open(struct loop *loop, struct db *db, unsigned count, struct lanes **ret_lanes,
               struct err *err)
{
    struct lanes *lanes = mem_zalloc(sizeof *lanes);
    *lanes = (struct lanes){.loop = loop, .count = count, .last = &lanes->first};
    lanes->lanes = mem_zalloc(count * sizeof *lanes->lanes);
    uv_timer_init(&loop->uv, &lanes->timer);
    int rc = 0;
    for (unsigned i = 0; i < count && !rc; i++)
        rc = lane_open(lanes, &lanes->lanes[i], db, err);
    if (rc)
        lanes_close(lanes);
    else
        *ret_lanes = lanes;
    return rc;
}

void lanes_shut(struct lanes *lanes)
{
    lanes->shut = true;
    for (struct lane_call *call; (call = take_first(lanes));)
        call->refuse(call);
    for (unsigned i = 0; i < lanes->count; i++)
        fiber_shut(lanes->lanes[i].fiber);
}

static void on_closed(uv_handle_t *handle)
{
    struct lanes *lanes = CONTAINER((uv_timer_t *)handle, struct lanes, timer);
    free(lanes->lanes);
    free(lanes);
}

void lanes_close(struct lanes *lanes)
{
    if (!lanes)
        return;
    for (unsigned i = 0; i < lanes->count; i++) {
        db_session_close(lanes->lanes[i].session);
        fiber_close(lanes->lanes[i].fiber);
    }
    uv_close((uv_handle_t *)&lanes->timer, on_closed);
}
