// SPDX-License-Identifier: AGPL-3.0-or-later
// One copy that has its turn: its paths and its room, rsync, the note of its end.
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "loop/work.h"
#include "svc/copies_internal.h"
#include "svc/disk.h"
#include "svc/project.h"
#include "svc/public_files.h"

// A database that takes no writes may take them again.
#define WRITE_AGAIN_MS 1000
// With so much of a lease left a copy is ended: in time for it to be gone when the lease is.
#define LEASE_LEFT_MS 15000

enum run_end { RUN_SUCCEEDED, RUN_FAILED, RUN_CUT_SHORT, RUN_HALTED };

struct copy_run {
    struct copies *copies;
    TAILQ_ENTRY(copy_run) link; // copies'
    bool marked;                // it was there when the tending under way began
    bool called;                // projects_copy has it
    bool lost;                  // another hub may have claimed it
    struct copy_row row;
    struct buf source_path, target_path;
    int rc;
    struct err err;
    struct work work;
    struct copy_call call;
    enum run_end end;
    bool ended; // as `end` says
    bool own;   // the end has been noted: until then it was this hub's
    struct db_write write;
    uv_timer_t again;
};

// ---- The note ----

static void on_again_closed(uv_handle_t *handle)
{
    struct copy_run *run = CONTAINER(handle, struct copy_run, again);
    copy_row_dispose(&run->row);
    buf_dispose(&run->source_path);
    buf_dispose(&run->target_path);
    free(run);
}

static int write_end(struct db_session *txn, void *arg, struct err *err)
{
    struct copy_run *run = arg;
    const char *hub = run->copies->hub;
    if (run->end == RUN_CUT_SHORT || run->end == RUN_HALTED)
        return copy_row_release(txn, &run->row.id, hub, run->end == RUN_CUT_SHORT, &run->own, err);
    return copy_row_finish(txn, &run->row.id, hub, run->end == RUN_FAILED ? run->err.message : NULL,
                           &run->own, err);
}

static void note_end(struct copy_run *run);

static void on_again(uv_timer_t *timer)
{
    note_end(CONTAINER(timer, struct copy_run, again));
}

static void on_noted(struct db_write *write)
{
    struct copy_run *run = write->arg;
    struct copies *copies = run->copies;
    if (write->rc) {
        log_err(LOG_WARNING, "copy_not_noted", &write->err);
        if (!copies->closing) {
            uv_timer_start(&run->again, on_again, WRITE_AGAIN_MS, 0);
            return;
        }
    }
    const bool taken = !write->rc && !run->own;
    const bool released = taken || run->end == RUN_CUT_SHORT || run->end == RUN_HALTED;
    TAILQ_REMOVE(&copies->runs, run, link);
    copy_run_ended(copies, &run->row, released, run->end == RUN_FAILED ? &run->err : NULL);
    if (taken)
        copies_look_at_all(copies); // it may have ended there
    uv_close((uv_handle_t *)&run->again, on_again_closed);
}

static void note_end(struct copy_run *run)
{
    run->write = (struct db_write){
        .loop = &run->copies->loop, .fn = write_end, .arg = run, .done = on_noted};
    db_write_async(run->copies->svc->db, &run->write);
}

static void end(struct copy_run *run, enum run_end how)
{
    if (how == RUN_FAILED && run->err.code == ERR_INTERNAL)
        log_err(LOG_WARNING, "copy_failed", &run->err);
    run->end = how;
    run->ended = true;
    note_end(run);
}

// ---- rsync ----

// rsync's words may hold names that are no text.
static void set_text(struct copy_run *run, const char *text)
{
    auto_buf struct buf valid = {0};
    utf8_append_lossy(&valid, text, strlen(text));
    run->rc = err_set(&run->err, ERR_INVALID, "%s", buf_cstr(&valid));
}

static void judge(struct copy_run *run)
{
    const int status = run->call.status;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return;
    if (WIFEXITED(status) && WEXITSTATUS(status) == COPY_EXIT_NO_ROOM)
        run->rc = disk_refuse(&run->row.target_project_id, &run->err);
    else if (text_has_prefix(run->call.text, "bwrap:"))
        run->rc = err_internal(&run->err, "%s", run->call.text);
    else if (run->call.text[0])
        set_text(run, run->call.text);
    else
        run->rc = err_set(&run->err, ERR_INTERNAL, "the copy ended with wait status %d", status);
}

static void cut_short(struct copy_run *run)
{
    if (run->copies->closing || run->lost) {
        end(run, RUN_HALTED);
    } else if (run->row.attempts < LIMIT_COPY_ATTEMPTS) {
        end(run, RUN_CUT_SHORT);
    } else {
        run->rc = err_set(&run->err, ERR_UNAVAILABLE, "%s", COPY_GIVEN_UP);
        end(run, RUN_FAILED);
    }
}

static void on_copied(struct project_call *call)
{
    struct copy_run *run =
        CONTAINER(CONTAINER(call, struct copy_call, call), struct copy_run, call);
    run->called = false;
    run->rc = call->rc;
    run->err = call->err;
    disk_changed(run->copies->svc, &run->row.target_project_id);
    if (run->rc == -ERR_UNAVAILABLE && !call->err.sys_errno) {
        cut_short(run);
        return;
    }
    if (!run->rc)
        judge(run);
    end(run, !run->rc ? RUN_SUCCEEDED : run->lost ? RUN_HALTED : RUN_FAILED);
}

// ---- Leases ----

static void lose(struct copy_run *run)
{
    if (run->lost || run->ended)
        return;
    run->lost = true;
    log_event(LOG_WARNING, "copy_lease_lost", LOG_TEXT("copy", run->row.id.text));
    if (run->called)
        projects_copy_end(run->copies->svc->projects, &run->call);
}

static bool is_among(const struct uuid *id, const struct uuid *ids, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (uuid_equal(id, &ids[i]))
            return true;
    return false;
}

void copy_runs_mark(struct copies *copies)
{
    struct copy_run *run;
    TAILQ_FOREACH(run, &copies->runs, link)
    {
        run->marked = true;
    }
}

void copy_runs_check(struct copies *copies, const struct copy_tending *tending)
{
    struct copy_run *run;
    TAILQ_FOREACH(run, &copies->runs, link)
    {
        if (is_among(&run->row.id, tending->own, tending->own_count))
            run->row.until_ms = tending->until_ms;
        else if (run->marked)
            lose(run);
    }
}

void copy_runs_end_late(struct copies *copies)
{
    const int64_t now = clock_now_ms();
    struct copy_run *run;
    TAILQ_FOREACH(run, &copies->runs, link)
    {
        if (run->row.until_ms - now < LEASE_LEFT_MS)
            lose(run);
    }
}

// ---- Before ----

// Who has no other right to the source gets no more than what strangers may read.
static int check_public(struct copy_run *run, struct db_session *session)
{
    const struct copy_row *row = &run->row;
    bool is_public;
    int rc = public_place_check(session, &row->source_project_id, row->source_path, &is_public,
                                &run->err);
    return rc || is_public ? rc
                           : err_set(&run->err, ERR_FORBIDDEN,
                                     "path '%.300s' of project with id '%s' is not public",
                                     row->source_path, row->source_project_id.text);
}

static int find_room(struct copy_run *run)
{
    auto_session struct db_session *session = NULL;
    int64_t room = 0;
    int rc = db_session_open(run->copies->svc->db, &session, &run->err);
    if (!rc && run->row.public)
        rc = check_public(run, session);
    if (!rc)
        rc = disk_room(run->copies->svc, session, &run->row.target_project_id, &room, &run->err);
    if (!rc && room < 0) // not even what replaces something: it may grow meanwhile
        rc = disk_refuse(&run->row.target_project_id, &run->err);
    if (rc)
        return rc;
    run->call.room = (uint64_t)room;
    run->call.files = disk_files_room(run->copies->svc, &run->row.target_project_id);
    return 0;
}

static int find_homes(struct copy_run *run)
{
    const struct uuid *const ids[] = {&run->row.source_project_id, &run->row.target_project_id};
    for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
        const int rc = project_home_ensure(ids[i]);
        if (rc)
            return err_set_errno(&run->err, rc == -ENOSPC ? ERR_NO_SPACE : ERR_INTERNAL, -rc,
                                 "the project's folder cannot be made: %s", strerror(-rc));
    }
    return 0;
}

static void prepare(struct work *work)
{
    struct copy_run *run = CONTAINER(work, struct copy_run, work);
    const struct copy_row *row = &run->row;
    run->rc = copy_path_resolve(COPY_SOURCE, &row->source_project_id, row->source_path,
                                &run->source_path, &run->err);
    if (!run->rc)
        run->rc = copy_path_resolve(COPY_TARGET, &row->target_project_id, row->target_path,
                                    &run->target_path, &run->err);
    if (!run->rc)
        run->rc = find_homes(run);
    if (!run->rc)
        run->rc = find_room(run);
}

static void on_prepared(struct work *work)
{
    struct copy_run *run = CONTAINER(work, struct copy_run, work);
    if (run->rc) {
        end(run, RUN_FAILED);
        return;
    }
    if (run->copies->closing || run->lost) {
        end(run, RUN_HALTED);
        return;
    }
    struct copy_call *call = &run->call;
    call->call = (struct project_call){
        .project_id = run->row.target_project_id, .loop = &run->copies->loop, .done = on_copied};
    call->source_project_id = run->row.source_project_id;
    call->source_path = buf_cstr(&run->source_path);
    call->target_path = buf_cstr(&run->target_path);
    call->flags = run->row.flags;
    call->timeout_s = run->row.timeout_s;
    call->bandwidth = run->row.bandwidth;
    call->exclude = run->row.exclude;
    run->called = true;
    projects_copy(run->copies->svc->projects, call);
}

void copy_run_start(struct copies *copies, struct copy_row *row)
{
    struct copy_run *run = mem_zalloc(sizeof *run);
    run->copies = copies;
    run->row = *row;
    row->source_path = row->target_path = row->exclude = NULL;
    uv_timer_init(&copies->loop.uv, &run->again);
    TAILQ_INSERT_TAIL(&copies->runs, run, link);
    work_submit(&copies->loop, &run->work, prepare, on_prepared);
}
