// SPDX-License-Identifier: AGPL-3.0-or-later
// What a project is asked to do by `action_request` (user-query 12.2).
//
// The set stores the request as begun and is answered, unless its caller waits for the end; the
// action goes on behind it. When it has ended, the request is stored once more, unless another
// has taken its place meanwhile. One whose hub ended first is ended by any hub, once it is too
// old to be under way.
#include "svc/tables/projects.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/log.h"
#include "db/query.h"
#include "runner/projects.h"
#include "svc/project.h"
#include "svc/tables/bounds.h"

#define REASON_STOP    "somebody stopped the project"
#define REASON_RESTART "somebody restarted the project"

// ---- The request ----

// `save` has what was written on the disk; `close` is a stop: there is nowhere else for a project
// to go. `test` is only stored.
enum kind { KIND_UNKNOWN, KIND_TEST, KIND_START, KIND_STOP, KIND_RESTART, KIND_SAVE, KIND_CLOSE };

struct project_action {
    enum kind kind;
    struct uuid project_id;
    char *action, *time; // as sent; `time` as JSON, NULL if not sent
    int64_t started_ms;
};

static enum kind find_kind(const char *action)
{
    static const char *const names[] = {
        [KIND_TEST] = "test",       [KIND_START] = "start", [KIND_STOP] = "stop",
        [KIND_RESTART] = "restart", [KIND_SAVE] = "save",   [KIND_CLOSE] = "close"};
    for (size_t i = KIND_TEST; i < ARRAY_LEN(names); i++) {
        if (!strcmp(names[i], action))
            return (enum kind)i;
    }
    return KIND_UNKNOWN;
}

// Appends it as it is stored; finished_ms 0: not yet.
static void action_write(const struct project_action *action, int64_t finished_ms,
                         const char *error, struct buf *out)
{
    json_begin_object(out);
    json_member_str(out, "action", action->action);
    if (action->time) {
        json_key(out, "time");
        json_raw(out, action->time, strlen(action->time));
    }
    if (action->kind != KIND_TEST)
        json_member_time(out, "started", action->started_ms);
    if (finished_ms)
        json_member_time(out, "finished", finished_ms);
    if (error)
        json_member_str(out, "err", error);
    json_end_object(out);
}

int project_action_check(const struct query_set *set UNUSED, const cJSON *value, struct err *err)
{
    const cJSON *action = json_get(value, "action"), *time = json_get(value, "time");
    if (cJSON_IsNull(value))
        return 0;
    if (!cJSON_IsObject(value))
        return err_set(err, ERR_INVALID, "must be an object");
    if (!cJSON_IsString(action))
        return err_set(err, ERR_INVALID, "action must be a string");
    if (time && !cJSON_IsString(time) && !cJSON_IsNumber(time) && !cJSON_IsNull(time))
        return err_set(err, ERR_INVALID, "time must be a string or a number");
    int rc = bounds_check_text(action, LIMIT_ACTION_TEXT, err);
    return rc || !time ? rc : bounds_check_text(time, LIMIT_ACTION_TEXT, err);
}

// Whether a request with this time is the one that is stored.
static int is_known(struct db_session *txn, const struct uuid *project_id, const cJSON *time,
                    bool *ret_known, struct err *err)
{
    static const struct db_stmt find = {
        "SELECT action_request FROM projects WHERE project_id = $1"};
    auto_rows struct db_rows *rows = NULL;
    int rc = db_query_row(txn, &find, DB_ARGS(DB_TEXT(project_id->text)), &rows, err);
    if (rc < 0)
        return rc;
    const char *text = rc ? db_rows_text(rows, 0) : NULL;
    auto_json cJSON *stored = text ? cJSON_Parse(text) : NULL;
    *ret_known = time && cJSON_Compare(time, json_get(stored, "time"), true);
    return 0;
}

static void action_read(struct query_set *set, const cJSON *value, const cJSON *time,
                        struct project_action *ret_action)
{
    struct project_action action = {.kind = find_kind(json_get_str(value, "action")),
                                    .action =
                                        arena_strdup(set->arena, json_get_str(value, "action")),
                                    .started_ms = clock_now_ms()};
    const char *project_id = json_get_str(set->pattern, "project_id");
    uuid_parse(project_id, strlen(project_id), &action.project_id);
    if (time) {
        auto_buf struct buf text = {0};
        json_value(&text, time);
        action.time = arena_strndup(set->arena, text.data, text.size);
    }
    *ret_action = action;
}

// Whether there is something to do.
static bool is_run(const struct project_action *action)
{
    return action->kind != KIND_UNKNOWN && action->kind != KIND_TEST;
}

static int action_store(struct db_session *txn, const struct project_action *action,
                        struct err *err)
{
    static const struct db_stmt update = {
        "UPDATE projects SET action_request = $2, acting_since = $3 WHERE project_id = $1"};
    auto_buf struct buf text = {0};
    bool unknown = action->kind == KIND_UNKNOWN;
    auto_free char *error =
        unknown ? mem_printf("FATAL: action '%s' not implemented", action->action) : NULL;
    action_write(action, unknown ? action->started_ms : 0, error, &text);
    return db_exec(txn, &update,
                   DB_ARGS(DB_TEXT(action->project_id.text), DB_TEXTN(text.data, text.size),
                           is_run(action) ? DB_INT(action->started_ms) : DB_NULL),
                   NULL, err);
}

int project_action_write(struct db_session *txn, struct query_set *set, const cJSON *value,
                         struct err *err)
{
    struct project_note *note = set->note;
    struct project_action *action = arena_zalloc(set->arena, sizeof *action);
    const cJSON *time = json_get(value, "time");
    bool known = false;
    if (cJSON_IsNull(time))
        time = NULL;
    action_read(set, value, time, action);
    int rc = is_known(txn, &action->project_id, time, &known, err);
    if (rc || known)
        return rc;
    if (is_run(action))
        note->action = action;
    return action_store(txn, action, err);
}

// ---- Carrying it out, on svc->loop or the loop of who waits ----

struct run {
    struct svc *svc;
    struct loop *loop;
    struct project_action_wait *wait; // NULL: nobody does
    struct project_action action;
    int rc; // of the action
    struct err err;
    struct loop_message message;
    struct work work;
    struct project_call call;
    struct db_write write;
};

static void run_end(struct run *run)
{
    struct project_action_wait *wait = run->wait;
    if (wait) {
        wait->rc = run->rc;
        wait->err = run->err;
    }
    free(run->action.action);
    free(run->action.time);
    free(run);
    if (wait)
        wait->done(wait);
}

static int write_finished(struct db_session *txn, void *arg, struct err *err)
{
    static const struct db_stmt update = {
        "UPDATE projects SET action_request = $3, acting_since = NULL"
        " WHERE project_id = $1 AND action_request = $2"};
    const struct run *run = arg;
    auto_buf struct buf begun = {0}, finished = {0};
    const char *id = run->action.project_id.text;
    action_write(&run->action, 0, NULL, &begun);
    action_write(&run->action, clock_now_ms(), run->rc ? run->err.message : NULL, &finished);
    db_notify_row(txn, DB_TOPIC_PROJECTS, id);
    return db_exec(txn, &update,
                   DB_ARGS(DB_TEXT(id), DB_TEXTN(begun.data, begun.size),
                           DB_TEXTN(finished.data, finished.size)),
                   NULL, err);
}

static void on_finished_written(struct db_write *write)
{
    if (write->rc)
        log_err(LOG_WARNING, "action_not_finished", &write->err);
    run_end(write->arg);
}

// Behind the state, which was given to be written before. At the end of the program nothing is
// written any more.
static void finish(struct run *run, int rc, const struct err *err)
{
    run->rc = rc;
    if (rc)
        run->err = *err;
    if (run->svc->closing) {
        run_end(run);
        return;
    }
    run->write = (struct db_write){.loop = run->loop,
                                   .fn = write_finished,
                                   .arg = run,
                                   .done = on_finished_written,
                                   .in_order = true};
    db_write_async(run->svc->db, &run->write);
}

static void on_call_done(struct project_call *call)
{
    finish(CONTAINER(call, struct run, call), call->rc, &call->err);
}

static struct project_call *begin_call(struct run *run, void (*done)(struct project_call *call),
                                       const char *reason)
{
    run->call = (struct project_call){
        .project_id = run->action.project_id, .loop = run->loop, .done = done, .reason = reason};
    return &run->call;
}

static void on_stopped_to_restart(struct project_call *call)
{
    struct run *run = CONTAINER(call, struct run, call);
    if (call->rc || run->svc->closing)
        on_call_done(call);
    else
        projects_start(run->svc->projects, begin_call(run, on_call_done, NULL), 0);
}

// Blocking: everything of the file system that the home is on.
static void save(struct work *work)
{
    struct run *run = CONTAINER(work, struct run, work);
    char home[PROJECT_HOME_SIZE];
    project_home(&run->action.project_id, home);
    auto_fd int fd = open(home, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 || syncfs(fd))
        run->rc = err_set_errno(&run->err, ERR_INTERNAL, errno, "the project cannot be saved: %s",
                                strerror(errno));
}

static void on_saved(struct work *work)
{
    struct run *run = CONTAINER(work, struct run, work);
    struct err err = run->err;
    finish(run, run->rc, &err);
}

static void begin_save(struct run *run)
{
    struct err err;
    if (work_submit_gated(run->loop, &run->svc->saving, &run->work, run->action.project_id.text,
                          save, on_saved))
        return;
    finish(run, err_set(&err, ERR_RATE_LIMITED, "it is being saved already"), &err);
}

static void on_begin(struct loop_message *message)
{
    struct run *run = CONTAINER(message, struct run, message);
    struct projects *projects = run->svc->projects;
    struct err err;
    if (run->svc->closing)
        finish(run, err_set(&err, ERR_UNAVAILABLE, ERR_CLOSING_TEXT), &err);
    else if (run->action.kind == KIND_START)
        projects_start(projects, begin_call(run, on_call_done, NULL), 0);
    else if (run->action.kind == KIND_RESTART)
        projects_stop(projects, begin_call(run, on_stopped_to_restart, REASON_RESTART));
    else if (run->action.kind == KIND_SAVE)
        begin_save(run);
    else
        projects_stop(projects, begin_call(run, on_call_done, REASON_STOP));
}

void project_action_run(struct svc *svc, const struct project_action *action,
                        struct project_action_wait *wait)
{
    struct run *run = mem_zalloc(sizeof *run);
    run->svc = svc;
    run->loop = wait ? wait->loop : svc->loop;
    run->wait = wait;
    run->action = *action;
    run->action.action = mem_strdup(action->action);
    run->action.time = action->time ? mem_strdup(action->time) : NULL;
    loop_post(run->loop, &run->message, on_begin);
}

// ---- Those that were lost ----

static int end_lost(struct db_session *txn, const char *project_id, const char *text,
                    struct err *err)
{
    static const struct db_stmt update = {
        "UPDATE projects SET action_request = $2, acting_since = NULL WHERE project_id = $1"};
    auto_json cJSON *request = text ? cJSON_Parse(text) : NULL;
    auto_buf struct buf ended = {0};
    char now[CLOCK_ISO_SIZE];
    clock_iso(clock_now_ms(), now);
    if (!cJSON_IsObject(request)) {
        cJSON_Delete(request);
        request = cJSON_CreateObject();
    }
    cJSON_AddStringToObject(request, "finished", now);
    cJSON_AddStringToObject(request, "err", "the server ended meanwhile");
    json_value(&ended, request);
    db_notify_row(txn, DB_TOPIC_PROJECTS, project_id);
    return db_exec(txn, &update, DB_ARGS(DB_TEXT(project_id), DB_TEXTN(ended.data, ended.size)),
                   NULL, err);
}

int project_actions_end_lost(struct db_session *txn, struct err *err)
{
    static const struct db_stmt find = {
        "SELECT project_id, action_request FROM projects WHERE acting_since < $1"
        " ORDER BY acting_since LIMIT $2"};
    struct {
        char *id, *text;
    } lost[LIMIT_ACTIONS_ENDED];
    size_t count = 0;
    struct arena arena = {0};
    auto_rows struct db_rows *rows = NULL;
    int rc = db_query(
        txn, &find, DB_ARGS(DB_INT(clock_now_ms() - LIMIT_ACTION_MS), DB_INT(LIMIT_ACTIONS_ENDED)),
        &rows, err);
    while (!rc && (rc = db_rows_next(rows, err)) == 1) {
        rc = 0;
        lost[count].id = arena_strdup(&arena, db_rows_text(rows, 0));
        lost[count++].text =
            db_rows_null(rows, 1) ? NULL : arena_strdup(&arena, db_rows_text(rows, 1));
    }
    for (size_t i = 0; i < count && !rc; i++)
        rc = end_lost(txn, lost[i].id, lost[i].text, err);
    arena_dispose(&arena);
    return rc;
}
