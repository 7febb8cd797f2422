// SPDX-License-Identifier: AGPL-3.0-or-later
#include "svc/idle.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "runner/projects.h"
#include "svc/licenses.h"
#include "svc/project_life.h"
#include "svc/status.h"

// Projects that are stopped or measured at once.
#define AT_ONCE 16u

struct seen {
    struct uuid project_id;
    bool idle;
    bool lost; // it does not run by its record, but nobody starts or stops it any more
};

// The projects of one look, and how far it has got with them.
struct idle {
    struct svc *svc;
    struct idle_config config;
    uv_timer_t timer;
    struct work work;
    bool looking; // a worker fills what follows
    int rc;
    struct err err;
    struct seen *seen;
    size_t count, next;
    unsigned under_way;
};

static void go_on(struct idle *idle);

// ---- One project ----

struct visit {
    struct idle *idle;
    struct idle_call stop;
    struct status_refresh status;
};

static void visit_done(struct visit *visit)
{
    struct idle *idle = visit->idle;
    free(visit);
    idle->under_way--;
    if (!idle->svc->closing)
        go_on(idle);
}

static void on_refreshed(struct status_refresh *status)
{
    visit_done(CONTAINER(status, struct visit, status));
}

static void measure(struct visit *visit, const struct uuid *project_id)
{
    visit->status = (struct status_refresh){.project_id = *project_id, .done = on_refreshed};
    status_refresh(visit->idle->svc, &visit->status);
}

static void on_stopped(struct project_call *call)
{
    struct idle_call *stop = CONTAINER(call, struct idle_call, call);
    struct visit *visit = CONTAINER(stop, struct visit, stop);
    struct svc *svc = visit->idle->svc;
    if (call->rc && !svc->closing)
        log_err(LOG_WARNING, "idle_stop_failed", &call->err);
    else if (!call->rc && !stop->in_use)
        log_event(LOG_INFO, "idle_stopped", LOG_TEXT("project", call->project_id.text));
    if (stop->in_use && !svc->closing)
        measure(visit, &call->project_id);
    else
        visit_done(visit);
}

static void visit(struct idle *idle, const struct seen *seen)
{
    struct visit *visit = mem_zalloc(sizeof *visit);
    visit->idle = idle;
    idle->under_way++;
    if (!seen->idle) {
        measure(visit, &seen->project_id);
        return;
    }
    visit->stop.call = (struct project_call){
        .project_id = seen->project_id, .loop = idle->svc->loop, .done = on_stopped};
    projects_stop_unused(idle->svc->projects, &visit->stop);
}

static void go_on(struct idle *idle)
{
    while (idle->next < idle->count && idle->under_way < AT_ONCE) {
        const struct seen *seen = &idle->seen[idle->next++];
        if (!seen->lost)
            visit(idle, seen);
    }
}

// ---- All of them ----

// The columns are project_id, last_edited, last_started, run_quota, and whether it runs.
static bool is_idle(const struct idle *idle, struct db_rows *rows, int64_t now_ms)
{
    struct quota quota;
    if (!quota_read(db_rows_text(rows, 3), &quota) || quota.always_running)
        return false;
    return (double)(now_ms - db_rows_int(rows, 1)) > quota.idle_timeout_s * 1000 &&
           now_ms - db_rows_int(rows, 2) > (int64_t)idle->config.grace_s * 1000;
}

static int look(struct idle *idle, struct db_session *session, struct err *err)
{
    // The second condition has the index of the active ones used.
    static const struct db_stmt list = {
        "SELECT project_id, last_edited, last_started, run_quota,"
        " CASE WHEN state = 'running' THEN 1 ELSE 0 END FROM projects"
        " WHERE (state = 'running' OR state_time < $1) AND state <> 'opened'"};
    auto_rows struct db_rows *rows = NULL;
    int64_t now_ms = clock_now_ms();
    size_t room = 0;
    int rc = db_query(session, &list, DB_ARGS(DB_INT(now_ms - idle->svc->site.transition_ms)),
                      &rows, err);
    if (rc)
        return rc;
    while ((rc = db_rows_next(rows, err)) == 1) {
        if (idle->count == room) {
            room = room ? 2 * room : 64;
            idle->seen = mem_realloc(idle->seen, room * sizeof *idle->seen);
        }
        struct seen *seen = &idle->seen[idle->count];
        seen->idle = is_idle(idle, rows, now_ms);
        seen->lost = !db_rows_int(rows, 4);
        if (uuid_parse(db_rows_text(rows, 0), db_rows_size(rows, 0), &seen->project_id))
            idle->count++;
    }
    return rc;
}

static void forget(struct idle *idle)
{
    free(TAKE_PTR(idle->seen));
    idle->count = idle->next = 0;
}

// Whose agent is not connected to may have ended without anybody noticing.
static void find_lost(const struct idle *idle)
{
    auto_free struct uuid *ids = mem_alloc((idle->count + 1) * sizeof *ids);
    bool any_lost = false;
    for (size_t i = 0; i < idle->count; i++) {
        ids[i] = idle->seen[i].project_id;
        any_lost |= idle->seen[i].lost;
    }
    if (any_lost)
        project_transitions_end(idle->svc, clock_now_ms() - idle->svc->site.transition_ms);
    if (idle->count)
        projects_adopt(idle->svc->projects, ids, idle->count);
}

static int release_lost(struct db_session *txn, void *arg UNUSED, struct err *err)
{
    return licenses_release_lost(txn, err);
}

static void look_now(struct work *work)
{
    struct idle *idle = CONTAINER(work, struct idle, work);
    struct db_session *session;
    idle->rc = sessions_take(&idle->svc->sessions, &session, &idle->err);
    if (idle->rc)
        return;
    idle->rc = look(idle, session, &idle->err);
    sessions_give(&idle->svc->sessions, session);
}

static void on_looked(struct work *work)
{
    struct idle *idle = CONTAINER(work, struct idle, work);
    idle->looking = false;
    if (idle->rc) {
        log_err(LOG_WARNING, "idle_look_failed", &idle->err);
        forget(idle);
    }
    if (idle->svc->closing)
        return;
    find_lost(idle);
    svc_write_later(idle->svc, release_lost, "", 0);
    go_on(idle);
}

static void on_timer(uv_timer_t *timer)
{
    struct idle *idle = CONTAINER(timer, struct idle, timer);
    if (idle->svc->closing || idle->under_way || idle->looking)
        return;
    forget(idle);
    idle->looking = true;
    work_submit(idle->svc->loop, &idle->work, look_now, on_looked);
}

struct idle *idle_open(struct svc *svc, const struct idle_config *config)
{
    struct idle *idle = mem_zalloc(sizeof *idle);
    uint64_t interval_ms = (uint64_t)config->check_s * 1000;
    idle->svc = svc;
    idle->config = *config;
    uv_timer_init(&svc->loop->uv, &idle->timer);
    uv_timer_start(&idle->timer, on_timer, interval_ms, interval_ms);
    return idle;
}

void idle_close(struct idle *idle)
{
    uv_timer_stop(&idle->timer);
    while (idle->looking)
        uv_run(&idle->svc->loop->uv, UV_RUN_ONCE);
}

void idle_free(struct idle *idle)
{
    forget(idle);
    free(idle);
}
