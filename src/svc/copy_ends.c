// SPDX-License-Identifier: AGPL-3.0-or-later
// Ends of copies that another hub ran although this one was asked for them: notices tell which rows
// changed, and a worker reads those that somebody waits for here.
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "db/query.h"
#include "loop/work.h"
#include "svc/copies_internal.h"

struct end {
    struct uuid id;
    bool finished;
    char *error; // NULL: it succeeded
};

struct copy_look {
    struct work work;
    struct copies *copies;
    int rc;
    struct err err;
    size_t count;
    struct end ends[];
};

// ---- Reading, on a worker ----

static int read_end(struct db_session *session, struct end *end, struct err *err)
{
    static const struct db_stmt find = {"SELECT finished, error FROM copy_paths WHERE id = $1"};
    auto_rows struct db_rows *rows = NULL;
    int rc = db_query_row(session, &find, DB_ARGS(DB_TEXT(end->id.text)), &rows, err);
    if (rc < 0)
        return rc;
    end->finished = !rc || !db_rows_null(rows, 0);
    if (!rc)
        end->error = mem_strdup("the copy has been removed");
    else if (!db_rows_null(rows, 1))
        end->error = mem_strdup(db_rows_text(rows, 1));
    return 0;
}

static void read_ends(struct work *work)
{
    struct copy_look *look = CONTAINER(work, struct copy_look, work);
    struct sessions *sessions = &look->copies->svc->sessions;
    struct db_session *session;
    look->rc = sessions_take(sessions, &session, &look->err);
    if (look->rc)
        return;
    for (size_t i = 0; i < look->count && !look->rc; i++)
        look->rc = read_end(session, &look->ends[i], &look->err);
    sessions_give(sessions, session);
}

// ---- On the thread of the copies ----

static void look(struct copies *copies);

static void tell(struct copies *copies, const struct end *end)
{
    struct err err;
    if (end->error)
        err_set(&err, ERR_INVALID, "%s", end->error);
    if (end->finished)
        copy_ended(copies, &end->id, end->error ? &err : NULL);
}

static void on_read(struct work *work)
{
    struct copy_look *done = CONTAINER(work, struct copy_look, work);
    struct copies *copies = done->copies;
    if (done->rc)
        log_err(LOG_WARNING, "copies_not_seen", &done->err);
    for (size_t i = 0; i < done->count; i++) {
        tell(copies, &done->ends[i]);
        free(done->ends[i].error);
    }
    free(done);
    copies->looking = false;
    look(copies);
    copies_not_busy(copies);
}

// Those that were named while it looked are looked at when it has.
static void look(struct copies *copies)
{
    if (copies->looking || copies->closing || !copies->waiting.count)
        return;
    struct copy_look *look =
        mem_zalloc(sizeof *look + copies->waiting.count * sizeof look->ends[0]);
    size_t position = 0;
    for (void *value; map_next(&copies->waiting, &position, &value);) {
        struct copy_request *request = value;
        if (request->changed)
            look->ends[look->count++].id = request->copy_id;
        request->changed = false;
    }
    if (!look->count) {
        free(look);
        return;
    }
    look->copies = copies;
    copies->looking = true;
    copies->busy++;
    work_submit(&copies->loop, &look->work, read_ends, on_read);
}

void copies_look_at_all(struct copies *copies)
{
    size_t position = 0;
    for (void *value; map_next(&copies->waiting, &position, &value);) {
        struct copy_request *request = value;
        request->changed = !request->here;
    }
    look(copies);
}

static void on_notice(struct db_subscription *notices, const char *key)
{
    struct copies *copies = notices->ctx;
    struct copy_request *request = key ? map_get(&copies->waiting, key, strlen(key)) : NULL;
    if (!key) {
        copies_look_at_all(copies);
    } else if (request && !request->here) {
        request->changed = true;
        look(copies);
    }
}

void copies_watch(struct copies *copies)
{
    copies->notices = (struct db_subscription){
        .loop = &copies->loop, .topic = DB_TOPIC_COPIES, .changed = on_notice, .ctx = copies};
    if (db_is_remote(copies->svc->db)) // else there is no other hub
        db_subscribe(copies->svc->db, &copies->notices);
}

void copies_unwatch(struct copies *copies)
{
    if (db_is_remote(copies->svc->db))
        db_unsubscribe(copies->svc->db, &copies->notices);
}
