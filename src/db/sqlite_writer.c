// SPDX-License-Identifier: AGPL-3.0-or-later
// The one thread that writes. It takes all writes that wait and commits them together:
//
//   BEGIN IMMEDIATE; (SAVEPOINT; write; RELEASE or ROLLBACK TO) for each; COMMIT
//
// and only then tells each how it went. While a commit waits for the disk the next group gathers by
// itself, so that nothing is ever delayed for the sake of grouping.
//
// A write that fails is undone alone. A few errors (a full disk above all) make SQLite undo the
// whole transaction under way: then that write has failed and each of the others runs again, on its
// own. If the commit fails, all that would have succeeded have failed, and nothing of them stays.

#include "base/thread.h"
#include "db/sqlite_internal.h"

#define GROUP_MAX ((size_t)256)

static const struct db_stmt stmt_begin = {"BEGIN IMMEDIATE"};
static const struct db_stmt stmt_commit = {"COMMIT"};
static const struct db_stmt stmt_rollback = {"ROLLBACK"};
static const struct db_stmt stmt_savepoint = {"SAVEPOINT one"};
static const struct db_stmt stmt_release = {"RELEASE one"};
static const struct db_stmt stmt_undo = {"ROLLBACK TO one"};

static struct sqlite_db *db_of(struct db *db)
{
    return CONTAINER(db, struct sqlite_db, base);
}

static int run(struct sqlite_session *session, const struct db_stmt *stmt, struct err *err)
{
    return sqlite_exec(&session->base, stmt, DB_NO_ARGS, NULL, err);
}

// ---- One write ----

static bool is_undone(const struct sqlite_session *session)
{
    return sqlite3_get_autocommit(session->handle);
}

// Undoes what the write did; the whole transaction if that is not possible.
static void undo(struct sqlite_session *session)
{
    if (is_undone(session))
        return;
    if (run(session, &stmt_undo, NULL) || run(session, &stmt_release, NULL))
        (void)run(session, &stmt_rollback, NULL);
}

static int run_write(struct sqlite_session *session, struct db_write *write)
{
    db_changes_clear(&session->base.changes);
    session->undone = 0;
    int rc = run(session, &stmt_savepoint, &write->err);
    if (rc)
        return rc;
    session->base.in_txn = true;
    rc = write->fn(&session->base, write->arg, &write->err);
    session->base.in_txn = false;
    assert(rc <= 0 && !session->rows_open);
    if (!rc && is_undone(session))
        rc = sqlite_error(session->base.db, session->handle, session->undone, &write->err);
    if (!rc)
        rc = run(session, &stmt_release, &write->err);
    if (rc)
        undo(session);
    return rc;
}

// ---- A group ----

static void fail_succeeded(struct db_write **writes, size_t count, int rc, const struct err *err)
{
    for (size_t i = 0; i < count; i++) {
        if (!writes[i]->rc) {
            writes[i]->rc = rc;
            writes[i]->err = *err;
        }
    }
}

static void commit(struct sqlite_session *session, struct db_write **writes, size_t count,
                   const struct db_changes *changes, size_t succeeded)
{
    struct err err;
    int rc = succeeded ? run(session, &stmt_commit, &err) : 0;
    if (!is_undone(session))
        (void)run(session, &stmt_rollback, NULL);
    if (rc) {
        fail_succeeded(writes, count, rc, &err);
    } else if (succeeded) {
        sqlite_publish(db_of(session->base.db), changes);
        db_count(&session->base.db->commits, 1);
        db_count(&session->base.db->writes, succeeded);
    }
}

// Returns `count` when every write has its result. Less: the write of that index made SQLite undo
// the transaction, and it alone has its result.
static size_t run_group(struct sqlite_session *session, struct db_write **writes, size_t count)
{
    struct err err;
    for (size_t i = 0; i < count; i++)
        writes[i]->rc = 0;
    int rc = run(session, &stmt_begin, &err);
    if (rc) {
        fail_succeeded(writes, count, rc, &err);
        return count;
    }
    struct db_changes *changes = &db_of(session->base.db)->writer.changes;
    db_changes_clear(changes);
    size_t succeeded = 0;
    for (size_t i = 0; i < count; i++) {
        writes[i]->rc = run_write(session, writes[i]);
        if (is_undone(session))
            return i;
        if (!writes[i]->rc) {
            db_changes_add_all(changes, &session->base.changes);
            succeeded++;
        }
    }
    commit(session, writes, count, changes, succeeded);
    return count;
}

static void on_message(struct loop_message *message)
{
    struct db_write *write = CONTAINER(message, struct db_write, message);
    write->done(write);
}

static void finish(struct db_write *write)
{
    if (write->loop)
        loop_post(write->loop, &write->message, on_message);
    else
        write->done(write);
}

static void serve_group(struct sqlite_session *session, struct db_write **writes, size_t count)
{
    size_t culprit = run_group(session, writes, count);
    for (size_t i = 0; culprit < count && i < count; i++) {
        if (i != culprit)
            (void)run_group(session, &writes[i], 1);
    }
    atomic_fetch_sub_explicit(&session->base.db->queue, count, memory_order_relaxed);
    for (size_t i = 0; i < count; i++)
        finish(writes[i]);
}

// ---- The queue ----

// Waits for writes and takes up to GROUP_MAX of them; 0 when none is left and the writer stops.
static size_t take_group(struct sqlite_writer *writer, struct db_write **ret_writes)
{
    size_t count = 0;
    pthread_mutex_lock(&writer->lock);
    while (!writer->first && !writer->stopping)
        pthread_cond_wait(&writer->queued, &writer->lock);
    while (writer->first && count < GROUP_MAX) {
        ret_writes[count] = writer->first;
        writer->first = ret_writes[count++]->next;
    }
    if (!writer->first)
        writer->last = &writer->first;
    pthread_mutex_unlock(&writer->lock);
    return count;
}

static void *writer_main(void *arg)
{
    struct sqlite_writer *writer = arg;
    struct db_write *writes[GROUP_MAX];
    size_t count;
    while ((count = take_group(writer, writes)))
        serve_group(writer->session, writes, count);
    return NULL;
}

void sqlite_write(struct db *base, struct db_write *write)
{
    struct sqlite_writer *writer = &db_of(base)->writer;
    db_count(&base->queue, 1);
    write->next = NULL;
    pthread_mutex_lock(&writer->lock);
    assert(!writer->stopping);
    bool was_empty = !writer->first;
    *writer->last = write;
    writer->last = &write->next;
    pthread_mutex_unlock(&writer->lock);
    if (was_empty)
        pthread_cond_signal(&writer->queued);
}

int sqlite_writer_start(struct sqlite_db *db, struct err *err)
{
    struct sqlite_writer *writer = &db->writer;
    int rc = sqlite_session_new(db, false, &writer->session, err);
    if (rc)
        return rc;
    pthread_mutex_init(&writer->lock, NULL);
    pthread_cond_init(&writer->queued, NULL);
    writer->last = &writer->first;
    rc = thread_start(&writer->thread, writer_main, writer);
    if (rc) {
        sqlite_session_free(writer->session);
        return err_set_errno(err, ERR_INTERNAL, rc, "internal error");
    }
    db->writing = true;
    return 0;
}

void sqlite_writer_stop(struct sqlite_db *db)
{
    struct sqlite_writer *writer = &db->writer;
    pthread_mutex_lock(&writer->lock);
    writer->stopping = true;
    pthread_mutex_unlock(&writer->lock);
    pthread_cond_signal(&writer->queued);
    pthread_join(writer->thread, NULL);
    sqlite_session_free(writer->session);
    db_changes_dispose(&writer->changes);
    pthread_cond_destroy(&writer->queued);
    pthread_mutex_destroy(&writer->lock);
}
