// SPDX-License-Identifier: AGPL-3.0-or-later
// Writing: a few threads, each with a connection of its own, take writes from one queue and run
// each as a transaction.
//
// What runs in transactions was written as if nobody else wrote meanwhile. So they are
// serializable: where two would not fit behind one another, the server ends one of them, and it
// runs again after a random pause.
//
// A connection that is lost takes its transaction with it, which then runs again too; but once
// COMMIT is under way nobody can tell from outside. So every transaction knows its number, and
// another connection asks the server what became of it.
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/thread.h"
#include "db/postgres_internal.h"

#define BEGIN_WRITING "BEGIN ISOLATION LEVEL SERIALIZABLE READ WRITE;"
// One migration waits for another, for as long as it takes, and sees what that has done.
#define BEGIN_MIGRATING                                                                            \
    "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL statement_timeout = 0;"            \
    "SET LOCAL idle_in_transaction_session_timeout = 0;"
#define SELECT_NUMBER "SELECT pg_current_xact_id()"

enum outcome { DONE, AGAIN, UNKNOWN };

struct attempt {
    struct postgres_session *session;
    struct db_write *write;
    char number[24];  // of the transaction
    uint64_t lost_us; // when a connection was lost with it, 0: none was
};

static void pause_ms(unsigned ms)
{
    usleep(ms * 1000);
}

// Whether the server, which was there, is waited for still.
static bool may_return(const struct attempt *attempt)
{
    return attempt->lost_us &&
           clock_monotonic_us() - attempt->lost_us < LIMIT_DB_RETURN_MS * 1000ull;
}

// ---- One transaction ----

static int reach(struct attempt *attempt, struct err *err)
{
    struct postgres_session *session = attempt->session;
    struct postgres_db *db = CONTAINER(session->base.db, struct postgres_db, base);
    struct postgres_wait wait = {0};
    if (session->conn)
        return 0;
    int rc;
    while ((rc = postgres_reach(db, true, attempt->lost_us, wait, &session->conn, err)) ==
               -ERR_UNAVAILABLE &&
           may_return(attempt))
        pause_ms(LIMIT_DB_LOOK_MS);
    return rc;
}

// Ends with the connection, if not before.
static int take_turn(struct attempt *attempt)
{
    struct postgres_conn *conn = attempt->session->conn;
    uint64_t turn = attempt->write->turn;
    if (turn == conn->turn)
        return 0;
    char sql[64];
    snprintf(sql, sizeof sql, "SELECT pg_advisory_lock(%" PRId64 ")", (int64_t)turn);
    int rc = postgres_run(conn, sql, postgres_deadline(), NULL, &attempt->write->err);
    if (!rc)
        conn->turn = turn;
    return rc;
}

static void give_turn_back(struct postgres_session *session)
{
    struct postgres_conn *conn = session->conn;
    if (!conn || !conn->turn)
        return;
    conn->turn = 0;
    if (postgres_run(conn, "SELECT pg_advisory_unlock_all()", postgres_deadline(), NULL, NULL))
        postgres_session_drop(session);
}

static int begin(struct attempt *attempt)
{
    struct postgres_session *session = attempt->session;
    struct postgres_db *db = CONTAINER(session->base.db, struct postgres_db, base);
    struct err *err = &attempt->write->err;
    auto_result PGresult *result = NULL;
    int rc = reach(attempt, err);
    if (rc)
        return rc;
    session->conn->state = POSTGRES_FINE;
    rc = take_turn(attempt);
    if (!rc)
        rc = postgres_run(session->conn,
                          db->base.version ? BEGIN_WRITING SELECT_NUMBER
                                           : BEGIN_MIGRATING SELECT_NUMBER,
                          postgres_deadline(), &result, err);
    if (rc)
        return rc;
    snprintf(attempt->number, sizeof attempt->number, "%s", PQgetvalue(result, 0, 0));
    return 0;
}

static int run(struct attempt *attempt)
{
    struct postgres_session *session = attempt->session;
    struct db_write *write = attempt->write;
    db_changes_clear(&session->base.changes);
    session->failure.code = 0;
    session->base.in_txn = true;
    int rc = write->fn(&session->base, write->arg, &write->err);
    session->base.in_txn = false;
    assert(rc <= 0 && !session->conn->streaming);
    if (rc || PQtransactionStatus(session->conn->pg) != PQTRANS_INERROR)
        return rc;
    // Nothing of a transaction is kept in which something failed, whatever its function thinks.
    if (!session->failure.code)
        return err_internal(&write->err, "a transaction went on after an error");
    write->err = session->failure;
    return -(int)session->failure.code;
}

// The transaction is durable.
static void publish(struct postgres_session *session)
{
    struct db *db = session->base.db;
    db_count(&db->commits, 1);
    db_count(&db->writes, 1);
    db_publish(db, &session->base.changes);
}

static int commit(struct attempt *attempt)
{
    struct postgres_session *session = attempt->session;
    auto_buf struct buf sql = {0};
    postgres_notify(CONTAINER(session->base.db, struct postgres_db, base), &session->base.changes,
                    &sql);
    buf_append_str(&sql, "COMMIT");
    int rc = postgres_run(session->conn, buf_cstr(&sql), postgres_deadline(), NULL,
                          &attempt->write->err);
    if (rc)
        return rc;
    publish(session);
    return 0;
}

static void roll_back(struct postgres_session *session)
{
    if (PQtransactionStatus(session->conn->pg) == PQTRANS_IDLE)
        return;
    enum postgres_state state = session->conn->state;
    if (state == POSTGRES_LOST ||
        postgres_run(session->conn, "ROLLBACK", postgres_deadline(), NULL, NULL))
        postgres_session_drop(session);
}

static enum outcome outcome_of(const struct postgres_session *session, int rc, bool committing)
{
    if (!rc || session->conn->state == POSTGRES_FINE)
        return DONE;
    if (committing && session->conn->state == POSTGRES_LOST)
        return UNKNOWN;
    return rc == -ERR_TIMEOUT ? DONE : AGAIN;
}

static enum outcome try_once(struct attempt *attempt)
{
    struct postgres_session *session = attempt->session;
    bool committing = false;
    int rc = begin(attempt);
    if (!session->conn) {
        attempt->write->rc = rc;
        return DONE;
    }
    if (!rc)
        rc = run(attempt);
    if (!rc) {
        committing = true;
        rc = commit(attempt);
    }
    attempt->write->rc = rc;
    enum outcome outcome = outcome_of(session, rc, committing);
    if (session->conn->state != POSTGRES_LOST) {
        roll_back(session);
        return outcome;
    }
    postgres_session_drop(session);
    if (!attempt->lost_us)
        attempt->lost_us = clock_monotonic_us();
    return outcome;
}

// ---- What became of a transaction ----

static int ask(struct attempt *attempt, char *answer, size_t answer_size, struct err *err)
{
    struct postgres_session *session = attempt->session;
    auto_result PGresult *result = NULL;
    int rc = reach(attempt, err);
    if (rc)
        return rc;
    auto_free char *sql = mem_printf("SELECT pg_xact_status('%s')", attempt->number);
    rc = postgres_run(session->conn, sql, postgres_deadline(), &result, err);
    if (rc)
        postgres_session_drop(session);
    else
        snprintf(answer, answer_size, "%s", PQgetvalue(result, 0, 0));
    return rc;
}

// It may be under way still, and the server may just be starting again.
static enum outcome find_out(struct attempt *attempt)
{
    struct db_write *write = attempt->write;
    do {
        char answer[16] = "";
        int rc = ask(attempt, answer, sizeof answer, NULL);
        if (!strcmp(answer, "aborted"))
            return AGAIN;
        if (!strcmp(answer, "committed")) {
            write->rc = 0;
            publish(attempt->session);
            return DONE;
        }
        if (!rc && strcmp(answer, "in progress") != 0)
            break;
        pause_ms(LIMIT_DB_LOOK_MS);
    } while (may_return(attempt));
    write->rc = err_set(&write->err, ERR_UNAVAILABLE,
                        "The database was lost while it stored this: it may be stored or not.");
    return DONE;
}

// ---- Again and again ----

// Random, so that those who got into each other's way do not do so again.
static void back_off(unsigned attempts)
{
    unsigned most = 2u << (attempts < 6 ? attempts : 6), ms;
    if (getrandom(&ms, sizeof ms, 0) != sizeof ms)
        ms = attempts;
    pause_ms(ms % most);
}

static void serve(struct postgres_session *session, struct db_write *write)
{
    struct attempt attempt = {.session = session, .write = write};
    const uint64_t patience_us = clock_monotonic_us() + LIMIT_DB_PATIENCE_MS * 1000ull;
    for (unsigned attempts = 1;; attempts++) {
        enum outcome outcome = try_once(&attempt);
        if (outcome == UNKNOWN)
            outcome = find_out(&attempt);
        if (outcome == DONE ||
            (attempts >= LIMIT_DB_ATTEMPTS && clock_monotonic_us() >= patience_us))
            break;
        back_off(attempts);
    }
    give_turn_back(session);
}

static void on_message(struct loop_message *message)
{
    struct db_write *write = CONTAINER(message, struct db_write, message);
    write->done(write);
}

static void finish(struct db *db, struct db_write *write)
{
    atomic_fetch_sub_explicit(&db->queue, 1, memory_order_relaxed);
    if (write->loop)
        loop_post(write->loop, &write->message, on_message);
    else
        write->done(write);
}

// ---- The queue ----

static void queue_init(struct postgres_queue *queue)
{
    queue->first = NULL;
    queue->last = &queue->first;
}

static void queue_add(struct postgres_queue *queue, struct db_write *write)
{
    write->next = NULL;
    *queue->last = write;
    queue->last = &write->next;
}

// Whether none is under way that it has to wait for.
static bool may_run(const struct postgres_writers *writers, const struct db_write *write)
{
    for (unsigned i = 0; i < writers->started; i++) {
        const struct postgres_writer *other = &writers->all[i];
        if ((write->in_order && other->in_order) || (write->turn && write->turn == other->turn))
            return false;
    }
    return true;
}

static struct db_write *queue_take(struct postgres_queue *queue, struct db_write **link)
{
    struct db_write *write = *link;
    *link = write->next;
    if (!*link)
        queue->last = link;
    return write;
}

// The next write for a thread that is free; NULL when there is none.
static struct db_write *take(struct postgres_writers *writers)
{
    struct db_write **link = &writers->in_order.first;
    if (*link && may_run(writers, *link))
        return queue_take(&writers->in_order, link);
    link = &writers->any.first;
    while (*link && !may_run(writers, *link))
        link = &(*link)->next;
    return *link ? queue_take(&writers->any, link) : NULL;
}

static struct db_write *wait_for_write(struct postgres_writers *writers)
{
    struct db_write *write;
    writers->idle++;
    while (!(write = take(writers)) && !writers->stopping)
        pthread_cond_wait(&writers->queued, &writers->lock);
    writers->idle--;
    writers->waiting -= write != NULL;
    return write;
}

static void *writer_main(void *arg)
{
    struct postgres_writer *writer = arg;
    struct db *db = &writer->db->base;
    struct postgres_writers *writers = &writer->db->writers;
    struct postgres_session session = {0};
    struct db_write *write;
    db_session_init(&session.base, db);
    pthread_mutex_lock(&writers->lock);
    while ((write = wait_for_write(writers))) {
        writer->in_order = write->in_order;
        writer->turn = write->turn;
        pthread_mutex_unlock(&writers->lock);
        serve(&session, write);
        finish(db, write);
        pthread_mutex_lock(&writers->lock);
        writer->in_order = false;
        if (writer->turn) // whose next one waits for any thread, this one may take another
            pthread_cond_signal(&writers->queued);
        writer->turn = 0;
    }
    pthread_mutex_unlock(&writers->lock);
    postgres_session_drop(&session);
    db_session_dispose(&session.base);
    return NULL;
}

static void start_thread(struct postgres_db *db)
{
    struct postgres_writers *writers = &db->writers;
    struct postgres_writer *writer = &writers->all[writers->started];
    writer->db = db;
    int rc = thread_start(&writer->thread, writer_main, writer);
    assert(!rc || writers->started);
    if (!rc)
        writers->started++;
}

// Threads come as they are needed: a command writes once.
void postgres_write(struct db *base, struct db_write *write)
{
    struct postgres_db *db = CONTAINER(base, struct postgres_db, base);
    struct postgres_writers *writers = &db->writers;
    db_count(&base->queue, 1);
    pthread_mutex_lock(&writers->lock);
    assert(!writers->stopping);
    queue_add(write->in_order ? &writers->in_order : &writers->any, write);
    if (++writers->waiting > writers->idle && writers->started < LIMIT_DB_WRITERS)
        start_thread(db);
    pthread_mutex_unlock(&writers->lock);
    pthread_cond_signal(&writers->queued);
}

void postgres_writers_init(struct postgres_db *db)
{
    struct postgres_writers *writers = &db->writers;
    pthread_mutex_init(&writers->lock, NULL);
    pthread_cond_init(&writers->queued, NULL);
    queue_init(&writers->any);
    queue_init(&writers->in_order);
}

void postgres_writers_stop(struct postgres_db *db)
{
    struct postgres_writers *writers = &db->writers;
    pthread_mutex_lock(&writers->lock);
    writers->stopping = true;
    pthread_mutex_unlock(&writers->lock);
    pthread_cond_broadcast(&writers->queued);
    for (unsigned i = 0; i < writers->started; i++)
        pthread_join(writers->all[i].thread, NULL);
    pthread_cond_destroy(&writers->queued);
    pthread_mutex_destroy(&writers->lock);
}
