// SPDX-License-Identifier: AGPL-3.0-or-later
// Notices between the processes that use the database. A transaction sends them with its COMMIT;
// one thread of every process listens. A notice says from whom it is, since that process has told
// itself already, which topic it is about, and the row if one is named:
//
//   b2f1c3d4e5f60718 2 6f9619ff-8b86-4d01-b42d-00cf4fc964ff
//
// When the listener's connection was lost, so were notices: then anything may have changed, and as
// long as there is no other, the numbers of the topics never stand still (db.c) and subscribers are
// told so again and again.
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/thread.h"
#include "db/postgres_internal.h"

#define CHANNEL "cohub"

// ---- Telling ----

static void append_notice(const struct postgres_db *db, int topic, const char *key, struct buf *sql)
{
    buf_printf(sql, "SELECT pg_notify('" CHANNEL "','%s %d", db->origin, topic);
    if (key)
        buf_append_char(sql, ' ');
    for (; key && *key; key++) {
        if (*key == '\'')
            buf_append_char(sql, '\'');
        buf_append_char(sql, *key);
    }
    buf_append_str(sql, "');");
}

void postgres_notify(const struct postgres_db *db, const struct db_changes *changes,
                     struct buf *sql)
{
    for (int topic = 0; topic < DB_TOPIC_COUNT; topic++) {
        if (changes->unnamed & (1u << topic))
            append_notice(db, topic, NULL, sql);
    }
    for (size_t i = 0; i < changes->count; i++)
        append_notice(db, (int)changes->rows[i].topic, changes->rows[i].key, sql);
}

// ---- Being told ----

static void on_notice(struct postgres_db *db, const char *payload)
{
    size_t origin_size = strlen(db->origin);
    if (!strncmp(payload, db->origin, origin_size) || strlen(payload) < origin_size + 2)
        return;
    char *end;
    unsigned long topic = strtoul(payload + origin_size, &end, 10);
    if (topic >= DB_TOPIC_COUNT || (*end && *end != ' ') || strlen(end) > DB_KEY_MAX + 1)
        return;
    struct db_changes changes = {0};
    db_changes_add(&changes, (enum db_topic)topic, *end ? end + 1 : NULL);
    db_publish(&db->base, &changes);
    db_changes_dispose(&changes);
}

static void take_notices(struct postgres_db *db)
{
    PGnotify *notice;
    while ((notice = PQnotifies(db->listener.conn->pg))) {
        on_notice(db, notice->extra);
        PQfreemem(notice);
    }
}

// ---- The thread ----

// Waits as others do, and also for the end.
static int wait_or_end(void *ctx, int fd, short events, uint64_t deadline_us)
{
    const struct postgres_listener *listener = ctx;
    struct pollfd fds[] = {{.fd = fd, .events = events},
                           {.fd = listener->wake_fd, .events = POLLIN}};
    for (;;) {
        uint64_t now = clock_monotonic_us();
        if (deadline_us && now >= deadline_us)
            return -ERR_TIMEOUT;
        int ready =
            poll(fds, ARRAY_LEN(fds), deadline_us ? (int)((deadline_us - now) / 1000 + 1) : -1);
        if (fds[1].revents || (ready < 0 && errno != EINTR))
            return -ERR_UNAVAILABLE;
        if (ready > 0 && fds[0].revents)
            return 0;
    }
}

// True when it is time to end.
static bool sleep_unless_ended(const struct postgres_listener *listener)
{
    struct pollfd wake = {.fd = listener->wake_fd, .events = POLLIN};
    return poll(&wake, 1, LIMIT_DB_LISTEN_PAUSE_MS) > 0;
}

static int listen_to(struct postgres_conn *conn, struct err *err)
{
    return postgres_run(conn, "LISTEN " CHANNEL, postgres_deadline(), NULL, err);
}

// What happened since the connection was lost is not known.
static void reconnect(struct postgres_db *db)
{
    struct postgres_listener *listener = &db->listener;
    struct postgres_wait wait = {wait_or_end, listener};
    struct postgres_conn *conn;
    struct err err;
    if (postgres_reach(db, false, false, wait, &conn, &err))
        return;
    if (listen_to(conn, &err)) {
        postgres_conn_free(conn);
        return;
    }
    listener->conn = conn;
    log_event(LOG_INFO, "database_reached", {0});
    db_publish_unnamed(&db->base, DB_TOPICS_ALL);
    atomic_store(&db->base.deaf, false);
}

static void lose(struct postgres_db *db)
{
    atomic_store(&db->base.deaf, true);
    log_event(LOG_WARNING, "database_lost", {0});
    postgres_conn_free(TAKE_PTR(db->listener.conn));
}

static void tell_again(struct postgres_db *db)
{
    uint64_t now = clock_monotonic_us();
    if (now - db->listener.told_us < LIMIT_DB_DEAF_MS * 1000ull)
        return;
    db->listener.told_us = now;
    db_publish_unnamed(&db->base, DB_TOPICS_ALL);
}

static void *listener_main(void *arg)
{
    struct postgres_db *db = arg;
    struct postgres_listener *listener = &db->listener;
    for (;;) {
        if (!listener->conn) {
            tell_again(db);
            reconnect(db);
        }
        if (!listener->conn) {
            if (sleep_unless_ended(listener))
                return NULL;
            continue;
        }
        take_notices(db);
        if (wait_or_end(listener, PQsocket(listener->conn->pg), POLLIN, 0))
            return NULL;
        if (!PQconsumeInput(listener->conn->pg))
            lose(db);
    }
}

int postgres_listener_start(struct postgres_db *db, struct err *err)
{
    struct postgres_listener *listener = &db->listener;
    int rc = listen_to(listener->conn, err);
    if (rc)
        return rc;
    listener->wake_fd = eventfd(0, EFD_CLOEXEC);
    int sys_errno =
        listener->wake_fd < 0 ? errno : thread_start(&listener->thread, listener_main, db);
    if (sys_errno) {
        fd_close(&listener->wake_fd);
        return err_set_errno(err, ERR_INTERNAL, sys_errno, "internal error");
    }
    listener->started = true;
    return 0;
}

void postgres_listener_stop(struct postgres_db *db)
{
    struct postgres_listener *listener = &db->listener;
    if (listener->started) {
        uint64_t one = 1;
        ssize_t size = write(listener->wake_fd, &one, sizeof one);
        assert(size == sizeof one);
        pthread_join(listener->thread, NULL);
        fd_close(&listener->wake_fd);
    }
    postgres_conn_free(TAKE_PTR(listener->conn));
}
