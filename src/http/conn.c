// SPDX-License-Identifier: AGPL-3.0-or-later
// Deadlines of connections, and TLS handshakes.
//
// MHD's own timeout counts inactivity only, so a client that drips bytes would live for ever: every
// phase has a deadline of ours besides. And MHD asks to be run again at once while a handshake
// waits for bytes: such a connection is suspended and resumed when its descriptor is readable.
#include <gnutls/gnutls.h>
#include <stdlib.h>

#include "http/http_internal.h"

struct conn_handshake {
    uv_poll_t poll;
    struct http_conn *conn; // NULL once the connection is gone
    gnutls_session_t session;
    bool parked;
    bool finished_sent, finished_received;
};

// ---- Phases and deadlines ----

// The time at which the loop's turn began: exact enough for deadlines of seconds.
static uint64_t conn_now_us(const struct http_loop *loop)
{
    return uv_now(&loop->loop.uv) * 1000;
}

void conn_phase_set(struct http_conn *conn, enum conn_phase phase)
{
    const struct http_config *config = &conn->loop->server->config;
    const unsigned seconds[] = {
        [CONN_HEADER] = config->header_timeout_s,
        [CONN_BODY] = config->body_timeout_s,
        [CONN_HANDLER] = 0,
        [CONN_REPLY] = config->reply_timeout_s,
    };
    conn->phase = phase;
    conn->deadline_us =
        seconds[phase] ? conn_now_us(conn->loop) + seconds[phase] * UINT64_C(1000000) : 0;
}

// A plain client gets to know why; into a TLS stream nothing can be put from outside.
static void conn_cut(struct http_conn *conn)
{
    static const char answer[] =
        "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    bool may_answer = conn->phase == CONN_HEADER || conn->phase == CONN_BODY;
    if (may_answer && !conn->loop->server->config.tls_cert_pem &&
        send(conn->fd, answer, sizeof answer - 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
        conn->phase = CONN_REPLY;
    shutdown(conn->fd, SHUT_RDWR);
    conn->deadline_us = 0;
}

static void handshake_unpark(struct conn_handshake *hs)
{
    uv_poll_stop(&hs->poll);
    hs->parked = false;
    MHD_resume_connection(hs->conn->mhd);
    loop_mark_due(hs->conn->loop);
}

void conn_check_deadlines(struct http_loop *loop)
{
    uint64_t now = conn_now_us(loop);
    for (struct http_conn *conn = loop->conns; conn; conn = conn->next) {
        if (!conn->deadline_us || conn->deadline_us > now)
            continue;
        conn_cut(conn);
        if (conn->handshake && conn->handshake->parked)
            handshake_unpark(conn->handshake);
    }
}

// ---- TLS handshakes ----

static void free_handshake(uv_handle_t *handle)
{
    free(CONTAINER(handle, struct conn_handshake, poll));
}

static void handshake_end(struct http_conn *conn)
{
    struct conn_handshake *hs = conn->handshake;
    if (!hs)
        return;
    conn->handshake = NULL;
    hs->conn = NULL;
    uv_close((uv_handle_t *)&hs->poll, free_handshake);
}

static void on_handshake_readable(uv_poll_t *poll, int status UNUSED, int events UNUSED)
{
    struct conn_handshake *hs = CONTAINER(poll, struct conn_handshake, poll);
    if (hs->conn)
        handshake_unpark(hs);
}

static _Thread_local struct http_loop
    *handshake_loop; // GnuTLS's hook is told nothing but the session

// Each side says that it has finished, in an order that depends on the version and on resumption:
// what comes first is not the end.
static int on_handshake_finished(gnutls_session_t session, unsigned type UNUSED,
                                 unsigned when UNUSED, unsigned incoming,
                                 const gnutls_datum_t *message UNUSED)
{
    struct http_conn *conn = handshake_loop->conns;
    while (conn && !(conn->handshake && conn->handshake->session == session))
        conn = conn->next;
    if (!conn)
        return 0;
    *(incoming ? &conn->handshake->finished_received : &conn->handshake->finished_sent) = true;
    if (conn->handshake->finished_received && conn->handshake->finished_sent)
        handshake_end(conn);
    return 0;
}

static void handshake_begin(struct http_conn *conn, gnutls_session_t session)
{
    struct conn_handshake *hs = mem_zalloc(sizeof *hs);
    hs->conn = conn;
    hs->session = session;
    conn->handshake = hs;
    int rc = uv_poll_init(&conn->loop->loop.uv, &hs->poll, conn->fd);
    assert(rc == 0);
    handshake_loop = conn->loop;
    gnutls_handshake_set_hook_function(session, GNUTLS_HANDSHAKE_FINISHED, GNUTLS_HOOK_POST,
                                       on_handshake_finished);
}

void conn_park_handshakes(struct http_loop *loop)
{
    for (struct http_conn *conn = loop->conns; conn; conn = conn->next) {
        struct conn_handshake *hs = conn->handshake;
        if (!hs || hs->parked || !conn->deadline_us)
            continue;
        hs->parked = true;
        MHD_suspend_connection(conn->mhd);
        uv_poll_start(&hs->poll, UV_READABLE, on_handshake_readable);
    }
}

// ---- Life ----

static struct http_conn *conn_new(struct http_loop *loop, struct MHD_Connection *mhd)
{
    struct http_conn *conn = mem_zalloc(sizeof *conn);
    conn->loop = loop;
    conn->mhd = mhd;
    conn->fd = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
    conn->link = &loop->conns;
    conn->next = loop->conns;
    if (conn->next)
        conn->next->link = &conn->next;
    loop->conns = conn;
    atomic_fetch_add_explicit(&loop->connections, 1, memory_order_relaxed);
    conn_phase_set(conn, CONN_HEADER);
    return conn;
}

static void conn_free(struct http_conn *conn)
{
    handshake_end(conn);
    *conn->link = conn->next;
    if (conn->next)
        conn->next->link = conn->link;
    atomic_fetch_sub_explicit(&conn->loop->connections, 1, memory_order_relaxed);
    free(conn);
}

void conn_notify(void *cls, struct MHD_Connection *mhd, void **socket_context,
                 enum MHD_ConnectionNotificationCode code)
{
    struct http_loop *loop = cls;
    if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
        conn_free(*socket_context);
        return;
    }
    struct http_conn *conn = conn_new(loop, mhd);
    *socket_context = conn;
    if (loop->server->config.tls_cert_pem)
        handshake_begin(
            conn, MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_GNUTLS_SESSION)->tls_session);
}
