// SPDX-License-Identifier: AGPL-3.0-or-later
// One connection to PostgreSQL. libpq is used without ever blocking in it; all waiting, while
// connecting too, happens in wait_for, by poll(2) or by what the session was given for it.
//
// An error leaves its mark in conn->state: that a transaction would better run again, or that the
// connection is of no more use.
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"
#include "db/postgres_internal.h"

#define UNREACHABLE "The database cannot be reached."

// Everything that a connection has, whoever uses it.
#define SETUP                                                                                      \
    "SET statement_timeout = " LIMIT_DB_STATEMENT_MS_TEXT ";"                                      \
    "SET idle_in_transaction_session_timeout = " LIMIT_DB_STATEMENT_MS_TEXT ";"

// ---- Errors ----

// The longest that fits a SQLSTATE comes first.
static const struct {
    const char *prefix;
    enum err_code code;
    enum postgres_state state;
    const char *text;
} errors[] = {
    {"23505", ERR_CONFLICT, POSTGRES_FINE, "It exists already."},
    {"23", ERR_CONFLICT, POSTGRES_FINE, "It does not fit what is stored."},
    {"40001", ERR_UNAVAILABLE, POSTGRES_CONFLICT, "The database is busy."},
    {"40P01", ERR_UNAVAILABLE, POSTGRES_CONFLICT, "The database is busy."},
    {"55P03", ERR_UNAVAILABLE, POSTGRES_CONFLICT, "The database is busy."},
    {"53100", ERR_NO_SPACE, POSTGRES_FINE, "The disk of the database is full."},
    {"53300", ERR_UNAVAILABLE, POSTGRES_LOST, UNREACHABLE},
    {"53", ERR_UNAVAILABLE, POSTGRES_FINE, "The database is busy."},
    {"54", ERR_TOO_LARGE, POSTGRES_FINE, "The value is too large."},
    {"57014", ERR_TIMEOUT, POSTGRES_FINE, "The database took too long."},
    {"57P", ERR_UNAVAILABLE, POSTGRES_LOST, UNREACHABLE},
    {"25P03", ERR_UNAVAILABLE, POSTGRES_LOST, UNREACHABLE},
    {"08P", ERR_INTERNAL, POSTGRES_FINE, "internal error"},
    {"08", ERR_UNAVAILABLE, POSTGRES_LOST, UNREACHABLE},
    // What was prepared is gone, or the tables have changed under it: a new connection knows
    // better.
    {"26000", ERR_INTERNAL, POSTGRES_LOST, "internal error"},
    {"0A000", ERR_INTERNAL, POSTGRES_LOST, "internal error"},
    {"XX00", ERR_INTERNAL, POSTGRES_FINE, "The database is damaged."},
    {"", ERR_INTERNAL, POSTGRES_FINE, "internal error"},
};

static int set_lost(struct postgres_conn *conn, struct err *err)
{
    conn->state = POSTGRES_LOST;
    (void)err_set(err, ERR_UNAVAILABLE, UNREACHABLE);
    const char *text = PQerrorMessage(conn->pg);
    return err ? err_detail(err, "PostgreSQL: %.*s", (int)strcspn(text, "\n"), text)
               : -ERR_UNAVAILABLE;
}

int postgres_failed(struct postgres_conn *conn, struct err *err)
{
    if (PQstatus(conn->pg) == CONNECTION_BAD)
        return set_lost(conn, err);
    return err_internal(err, "libpq: %s", PQerrorMessage(conn->pg));
}

// The message alone: what the server says besides may hold what was to be stored.
static int server_error(struct postgres_conn *conn, const PGresult *result, struct err *err)
{
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *text = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    if (!state)
        return postgres_failed(conn, err);
    size_t i = 0;
    while (!text_has_prefix(state, errors[i].prefix))
        i++;
    if (conn->state != POSTGRES_LOST)
        conn->state = PQstatus(conn->pg) == CONNECTION_BAD ? POSTGRES_LOST : errors[i].state;
    (void)err_set(err, errors[i].code, "%s", errors[i].text);
    if (err)
        (void)err_detail(err, "PostgreSQL %s: %s", state, text ? text : "");
    return -(int)errors[i].code;
}

// ---- Waiting ----

uint64_t postgres_deadline(void)
{
    return clock_monotonic_us() + (LIMIT_DB_STATEMENT_MS + LIMIT_DB_ANSWER_MS) * 1000ull;
}

// What a thread does that nobody gave anything else to do.
static int block(int fd, short events, uint64_t deadline_us)
{
    struct pollfd poll_fd = {.fd = fd, .events = events};
    for (;;) {
        uint64_t now = clock_monotonic_us();
        if (deadline_us && now >= deadline_us)
            return -ERR_TIMEOUT;
        int ready = poll(&poll_fd, 1, deadline_us ? (int)((deadline_us - now) / 1000 + 1) : -1);
        if (ready > 0)
            return 0;
        if (ready < 0 && errno != EINTR)
            return -ERR_UNAVAILABLE;
    }
}

// Where nobody waits any longer, the server may still be at it: the connection is given up.
static int wait_for(struct postgres_conn *conn, short events, uint64_t deadline_us, struct err *err)
{
    int fd = PQsocket(conn->pg);
    if (fd < 0)
        return set_lost(conn, err);
    int rc = conn->wait.fn ? conn->wait.fn(conn->wait.ctx, fd, events, deadline_us)
                           : block(fd, events, deadline_us);
    if (!rc)
        return 0;
    conn->state = POSTGRES_LOST;
    return err_set(err, ERR_TIMEOUT, "The database took too long.");
}

// ---- Sending and receiving ----

int postgres_flush(struct postgres_conn *conn, uint64_t deadline_us, struct err *err)
{
    int more;
    while ((more = PQflush(conn->pg)) == 1) {
        int rc = wait_for(conn, POLLIN | POLLOUT, deadline_us, err);
        if (rc)
            return rc;
        if (!PQconsumeInput(conn->pg))
            return postgres_failed(conn, err);
    }
    return more ? postgres_failed(conn, err) : 0;
}

int postgres_result(struct postgres_conn *conn, uint64_t deadline_us, PGresult **ret_result,
                    struct err *err)
{
    if (conn->state == POSTGRES_LOST)
        return set_lost(conn, err);
    while (PQisBusy(conn->pg)) {
        int rc = wait_for(conn, POLLIN, deadline_us, err);
        if (rc)
            return rc;
        if (!PQconsumeInput(conn->pg))
            return postgres_failed(conn, err);
    }
    auto_result PGresult *result = PQgetResult(conn->pg);
    switch (PQresultStatus(result)) {
    case PGRES_BAD_RESPONSE:
    case PGRES_FATAL_ERROR:
        if (result)
            return server_error(conn, result, err);
        break;
    case PGRES_COPY_IN:
    case PGRES_COPY_OUT:
    case PGRES_COPY_BOTH:
        conn->state = POSTGRES_LOST;
        return err_internal(err, "a statement copies");
    default:
        break;
    }
    *ret_result = TAKE_PTR(result);
    return 0;
}

int postgres_finish(struct postgres_conn *conn, uint64_t deadline_us, PGresult **ret_last,
                    struct err *err)
{
    auto_result PGresult *last = NULL;
    int first_rc = 0;
    for (;;) {
        PGresult *result;
        int rc = postgres_result(conn, deadline_us, &result, first_rc ? NULL : err);
        if (rc && !first_rc)
            first_rc = rc;
        if (rc && conn->state == POSTGRES_LOST)
            return first_rc;
        if (rc)
            continue;
        if (!result)
            break;
        PQclear(last);
        last = result;
    }
    if (!first_rc && ret_last)
        *ret_last = TAKE_PTR(last);
    return first_rc;
}

int postgres_run(struct postgres_conn *conn, const char *sql, uint64_t deadline_us,
                 PGresult **ret_last, struct err *err)
{
    if (conn->streaming)
        postgres_rows_detach(conn->streaming);
    if (!PQsendQuery(conn->pg, sql))
        return postgres_failed(conn, err);
    int rc = postgres_flush(conn, deadline_us, err);
    return rc ? rc : postgres_finish(conn, deadline_us, ret_last, err);
}

void postgres_result_clear(PGresult **result)
{
    PQclear(*result);
}

// ---- Connecting ----

// What the server has to say besides, nobody reads.
static void ignore_notice(void *arg UNUSED, const PGresult *result UNUSED)
{
}

// What stands before the URL it may change; what stands behind it not.
static PGconn *start(const char *url)
{
    static const char *const names[] = {"application_name",
                                        "keepalives",
                                        "keepalives_idle",
                                        "keepalives_interval",
                                        "keepalives_count",
                                        "tcp_user_timeout",
                                        "dbname",
                                        "client_encoding",
                                        NULL};
    const char *const values[] = {"cohub",
                                  "1",
                                  LIMIT_DB_KEEPALIVE_S_TEXT,
                                  LIMIT_DB_KEEPALIVE_S_TEXT,
                                  "3",
                                  LIMIT_DB_SILENT_MS_TEXT,
                                  url,
                                  "UTF8",
                                  NULL};
    return PQconnectStartParams(names, values, 1);
}

// libpq leaves the time to whoever does not block in it.
static uint64_t connect_ms(PGconn *pg)
{
    uint64_t seconds = 0;
    PQconninfoOption *options = pg ? PQconninfo(pg) : NULL;
    for (const PQconninfoOption *o = options; o && o->keyword; o++)
        if (strcmp(o->keyword, "connect_timeout") == 0 && o->val)
            seconds = strtoul(o->val, NULL, 10);
    PQconninfoFree(options);
    seconds = seconds < LIMIT_DB_CONNECT_MAX_S ? seconds : LIMIT_DB_CONNECT_MAX_S;
    return seconds ? seconds * 1000 : LIMIT_DB_CONNECT_MS;
}

static int poll_connection(struct postgres_conn *conn, uint64_t deadline_us, struct err *err)
{
    if (PQstatus(conn->pg) == CONNECTION_BAD)
        return set_lost(conn, err);
    PostgresPollingStatusType status = PGRES_POLLING_WRITING;
    while (status != PGRES_POLLING_OK) {
        int rc =
            wait_for(conn, status == PGRES_POLLING_READING ? POLLIN : POLLOUT, deadline_us, err);
        if (rc)
            return clock_monotonic_us() < deadline_us ? rc
                                                      : err_set(err, ERR_UNAVAILABLE, UNREACHABLE);
        status = PQconnectPoll(conn->pg);
        if (status == PGRES_POLLING_FAILED)
            return set_lost(conn, err);
    }
    return 0;
}

static int check_server(struct postgres_conn *conn, struct err *err)
{
    const char *encoding = PQparameterStatus(conn->pg, "server_encoding");
    if (PQserverVersion(conn->pg) < 140000)
        return err_set(err, ERR_INVALID, "The database is of a PostgreSQL older than 14.");
    if (!encoding || strcmp(encoding, "UTF8") != 0)
        return err_set(err, ERR_INVALID, "The database's encoding is %s; it must be UTF8.",
                       encoding ? encoding : "unknown");
    return 0;
}

int postgres_connect(const char *url, const char *setup, struct postgres_wait wait,
                     struct postgres_conn **ret_conn, struct err *err)
{
    struct postgres_conn *conn = mem_zalloc(sizeof *conn);
    auto_free char *statements = mem_printf("%s%s", SETUP, setup);
    conn->wait = wait;
    conn->pg = start(url);
    const uint64_t deadline_us = clock_monotonic_us() + connect_ms(conn->pg) * 1000;
    int rc = conn->pg ? poll_connection(conn, deadline_us, err)
                      : err_set(err, ERR_UNAVAILABLE, UNREACHABLE);
    if (!rc && PQsetnonblocking(conn->pg, 1))
        rc = postgres_failed(conn, err);
    if (!rc) {
        PQsetNoticeReceiver(conn->pg, ignore_notice, NULL);
        rc = check_server(conn, err);
    }
    if (!rc)
        rc = postgres_run(conn, statements, deadline_us, NULL, err);
    if (rc) {
        postgres_conn_free(conn);
        return rc;
    }
    *ret_conn = conn;
    return 0;
}

bool postgres_conn_alive(struct postgres_conn *conn)
{
    struct pollfd poll_fd = {.fd = PQsocket(conn->pg), .events = POLLIN};
    if (conn->state == POSTGRES_LOST || PQtransactionStatus(conn->pg) != PQTRANS_IDLE)
        return false;
    return poll(&poll_fd, 1, 0) == 0 ||
           (PQconsumeInput(conn->pg) && PQstatus(conn->pg) == CONNECTION_OK);
}

void postgres_conn_free(struct postgres_conn *conn)
{
    if (!conn)
        return;
    assert(!conn->streaming);
    postgres_stmts_free(conn);
    PQfinish(conn->pg);
    buf_dispose(&conn->scratch);
    free(conn);
}
