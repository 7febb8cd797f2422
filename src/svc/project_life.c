// SPDX-License-Identifier: AGPL-3.0-or-later
#include "svc/project_life.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "db/query.h"
#include "svc/licenses.h"
#include "svc/project.h"

// ---- What it does now ----

static enum project_state read_state(const char *name)
{
    enum project_state state = PROJECT_STOPPING;
    while (state > PROJECT_OPENED && strcmp(name, project_state_name(state)) != 0)
        state--;
    return state;
}

// What is stopped by its record is: an agent whose end was seen may listen for a moment longer.
static enum project_state judge(const struct svc *svc, const struct uuid *project_id,
                                enum project_state recorded, int64_t recorded_ms)
{
    const bool in_transition = recorded == PROJECT_STARTING || recorded == PROJECT_STOPPING;
    if (recorded == PROJECT_OPENED ||
        (in_transition && clock_now_ms() - recorded_ms < svc->site.transition_ms))
        return recorded;
    return project_is_listening(project_id) ? PROJECT_RUNNING : PROJECT_OPENED;
}

int project_state_find(struct svc *svc, struct db_session *session, const struct uuid *project_id,
                       enum project_state *ret_state, struct err *err)
{
    static const struct db_stmt find = {
        "SELECT state, state_time FROM projects WHERE project_id = $1"};
    auto_rows struct db_rows *rows = NULL;
    int rc = db_query_row(session, &find, DB_ARGS(DB_TEXT(project_id->text)), &rows, err);
    if (rc != 1)
        return rc ? rc : err_set(err, ERR_NOT_FOUND, "no project %s", project_id->text);
    const enum project_state recorded = read_state(db_rows_text(rows, 0));
    *ret_state = judge(svc, project_id, recorded, db_rows_int(rows, 1));
    if (*ret_state != recorded) {
        project_transitions_end(svc, clock_now_ms() - svc->site.transition_ms);
        projects_adopt(svc->projects, project_id, 1);
    }
    return 0;
}

static int write_confirmation(struct db_session *txn, void *arg, struct err *err)
{
    static const struct db_stmt update = {
        "UPDATE projects SET state_time = $2 WHERE project_id = $1 AND state = 'opened'"
        " AND state_time <= created"};
    const struct uuid *project_id = arg;
    int64_t changed = 0;
    int rc = db_exec(txn, &update, DB_ARGS(DB_TEXT(project_id->text), DB_INT(clock_now_ms())),
                     &changed, err);
    if (!rc && changed)
        db_notify_row(txn, DB_TOPIC_PROJECTS, project_id->text);
    return rc;
}

// It is asked for again and again, and has to be written once.
int project_state_confirm(struct svc *svc, struct db_session *session,
                          const struct uuid *project_id, struct err *err)
{
    static const struct db_stmt find = {"SELECT 1 FROM projects WHERE project_id = $1"
                                        " AND state = 'opened' AND state_time <= created"};
    int64_t unconfirmed = 0;
    int rc = db_query_int(session, &find, DB_ARGS(DB_TEXT(project_id->text)), &unconfirmed, err);
    if (!rc && unconfirmed)
        svc_write_later(svc, write_confirmation, project_id, sizeof *project_id);
    return rc;
}

// ---- What ended hubs left ----

static int write_transitions_end(struct db_session *txn, void *arg, struct err *err)
{
    static const struct db_stmt update = {
        "UPDATE projects SET state = 'running', state_time = $2,"
        " last_started = CASE WHEN state = 'starting' THEN state_time ELSE last_started END"
        " WHERE state <> 'opened' AND state <> 'running' AND state_time < $1 RETURNING project_id"};
    const int64_t *before_ms = arg;
    auto_rows struct db_rows *rows = NULL;
    int rc =
        db_query(txn, &update, DB_ARGS(DB_INT(*before_ms), DB_INT(clock_now_ms())), &rows, err);
    while (!rc && (rc = db_rows_next(rows, err)) == 1) {
        db_notify_row(txn, DB_TOPIC_PROJECTS, db_rows_text(rows, 0));
        rc = 0;
    }
    return rc;
}

void project_transitions_end(struct svc *svc, int64_t before_ms)
{
    svc_write_later(svc, write_transitions_end, &before_ms, sizeof before_ms);
}

// ---- Steering ----

static void finish(struct project_steering *steering, int rc, const struct err *err)
{
    steering->rc = rc;
    if (rc)
        steering->err = *err;
    steering->done(steering);
}

// What the project did counts more than what became of the note.
static void on_written(struct db_write *write)
{
    struct project_steering *steering = CONTAINER(write, struct project_steering, write);
    if (steering->call.rc)
        finish(steering, steering->call.rc, &steering->call.err);
    else
        finish(steering, write->rc, &write->err);
}

// Behind the state, which was given to be written before: when this is durable, that is.
static void write_behind(struct project_steering *steering, db_txn_fn *fn)
{
    steering->write = (struct db_write){
        .loop = steering->loop, .fn = fn, .arg = steering, .done = on_written, .in_order = true};
    db_write_async(steering->svc->db, &steering->write);
}

static struct project_call *begin_call(struct svc *svc, struct project_steering *steering,
                                       void (*done)(struct project_call *call))
{
    steering->svc = svc;
    steering->call = (struct project_call){.project_id = steering->project_id,
                                           .reason = steering->reason,
                                           .loop = steering->loop,
                                           .done = done};
    return &steering->call;
}

static int write_started(struct db_session *txn, void *arg, struct err *err)
{
    static const struct uuid nobody = {""};
    const struct project_steering *steering = arg;
    return project_active_set(txn, &steering->project_id, &nobody, err);
}

static int write_nothing(struct db_session *txn UNUSED, void *arg UNUSED, struct err *err UNUSED)
{
    return 0;
}

static void on_started(struct project_call *call)
{
    struct project_steering *steering = CONTAINER(call, struct project_steering, call);
    write_behind(steering, call->rc ? write_nothing : write_started);
}

void project_start(struct svc *svc, struct project_steering *steering)
{
    projects_start(svc->projects, begin_call(svc, steering, on_started), PROJECT_START_WAIT_MS);
}

static void on_stopped(struct project_call *call)
{
    write_behind(CONTAINER(call, struct project_steering, call), write_nothing);
}

void project_stop(struct svc *svc, struct project_steering *steering)
{
    projects_stop(svc->projects, begin_call(svc, steering, on_stopped));
}

// ---- Deleting ----

// Once it is marked as deleted, nothing starts it again.
static int write_removal(struct db_session *txn, void *arg, struct err *err)
{
    const struct project_steering *steering = arg;
    auto_json cJSON *none = cJSON_CreateObject();
    int rc = project_licenses_store(txn, &steering->project_id, none, err);
    return rc ? rc : project_delete(txn, &steering->project_id, false, err);
}

static void on_removed(struct project_call *call)
{
    struct project_steering *steering = CONTAINER(call, struct project_steering, call);
    if (call->rc)
        log_err(LOG_WARNING, "deleted_project_not_stopped", &call->err);
    call->rc = 0;
    write_behind(steering, write_nothing);
}

static void on_removal_written(struct db_write *write)
{
    struct project_steering *steering = CONTAINER(write, struct project_steering, write);
    if (write->rc)
        finish(steering, write->rc, &write->err);
    else
        projects_stop(steering->svc->projects, begin_call(steering->svc, steering, on_removed));
}

void project_remove(struct svc *svc, struct project_steering *steering)
{
    steering->svc = svc;
    steering->write = (struct db_write){
        .loop = steering->loop, .fn = write_removal, .arg = steering, .done = on_removal_written};
    db_write_async(svc->db, &steering->write);
}

// ---- In the background ----

struct background {
    struct svc *svc;
    struct project_call call;
};

static void on_background_done(struct project_call *call)
{
    struct background *background = CONTAINER(call, struct background, call);
    if (call->rc && !background->svc->closing)
        log_err(LOG_WARNING, "background_steering_failed", &call->err);
    free(background);
}

static struct project_call *background_new(struct svc *svc, const struct uuid *project_id,
                                           const char *reason,
                                           void (*done)(struct project_call *call))
{
    struct background *background = mem_zalloc(sizeof *background);
    background->svc = svc;
    background->call = (struct project_call){
        .project_id = *project_id, .reason = reason, .loop = svc->loop, .done = done};
    return &background->call;
}

void project_start_later(struct svc *svc, const struct uuid *project_id)
{
    projects_start(svc->projects, background_new(svc, project_id, NULL, on_background_done), 0);
}

void project_stop_later(struct svc *svc, const struct uuid *project_id, const char *reason)
{
    projects_stop(svc->projects, background_new(svc, project_id, reason, on_background_done));
}

static void on_stopped_to_restart(struct project_call *call)
{
    struct background *background = CONTAINER(call, struct background, call);
    const bool go_on = !call->rc && !background->svc->closing;
    struct svc *svc = background->svc;
    const struct uuid project_id = call->project_id;
    on_background_done(call);
    if (go_on)
        project_start_later(svc, &project_id);
}

void project_restart_later(struct svc *svc, const struct uuid *project_id, const char *reason)
{
    if (project_is_listening(project_id))
        projects_stop(svc->projects,
                      background_new(svc, project_id, reason, on_stopped_to_restart));
}
