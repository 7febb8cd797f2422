// SPDX-License-Identifier: AGPL-3.0-or-later
// What the files of the HTTP server share: its loops, connections and requests.
#ifndef HTTP_HTTP_INTERNAL_H
#define HTTP_HTTP_INTERNAL_H

#include <microhttpd.h>
#include <stdatomic.h>

#include "base/budget.h"
#include "http/http.h"

#define HTTP_LISTENERS_MAX     16
#define HTTP_REQUEST_ARENA     2048 // first memory of a request's arena: enough for an ordinary one
#define HTTP_REQUESTS_KEPT     64   // that a loop keeps for reuse
#define HTTP_REPLY_HEADERS_MAX 6

struct http_server {
    struct http_config config;
    struct http_loop *loops;
    struct budget memory; // of bodies, what was made of them, and unsent replies
};

struct http_daemon {
    struct http_loop *loop;
    struct MHD_Daemon *mhd;
    uv_poll_t poll;
};

struct http_loop {
    struct loop loop;
    struct http_server *server;
    unsigned index;
    pthread_t thread;
    void *data; // of the handlers
    struct http_daemon daemons[HTTP_LISTENERS_MAX];
    uv_prepare_t prepare;
    uv_check_t check;
    uv_idle_t idle;       // keeps the loop turning while MHD has work left
    uv_timer_t tick;      // once a second: deadlines
    uv_timer_t log_timer; // writes collected log lines
    bool due;             // MHD_run has something to do
    bool ticked;          // deadlines are to be looked at
    bool stopping;
    int64_t stop_deadline_us; // when the rest is answered with 503
    struct http_conn *conns;  // all of them
    unsigned active;          // requests under way
    struct http_request *requests;
    struct http_request *spare; // kept for reuse, by `next`
    unsigned spare_count;
    struct buf log;
    atomic_size_t connections;
    struct http_event_stats
        stats[HTTP_EVENTS_MAX]; // written by the loop, read by any: relaxed atomics
};

enum conn_phase { CONN_HEADER, CONN_BODY, CONN_HANDLER, CONN_REPLY };

struct http_conn {
    struct http_loop *loop;
    struct http_conn *next, **link; // in loop->conns
    struct MHD_Connection *mhd;
    int fd;
    enum conn_phase phase;
    uint64_t deadline_us;             // 0: none
    struct conn_handshake *handshake; // while TLS is being set up
};

struct http_request {
    struct http_loop *loop;
    struct http_conn *conn;
    struct http_request *next, **link; // in loop->requests
    struct arena arena;
    struct MHD_Connection *mhd;
    const char *method;
    const char *url;  // as it came, decoded, without what follows "?"
    const char *path; // without base path; "" if it is not below that
    struct buf body;
    struct uuid owner; // whose memory it is, "" if nobody's in particular
    // Counted in server->memory: for nobody in particular, and for the owner.
    atomic_size_t memory, memory_owned;
    const struct http_route *route;
    uint64_t started_us;
    struct uuid id;
    const char *event;
    unsigned event_index;
    struct uuid account_id; // "" if none
    struct err *err;        // the request's; not in the arena, which may be another thread's now
    const char *client;     // in the arena, once asked for
    struct {
        const char *name, *value;
    } reply_headers[HTTP_REPLY_HEADERS_MAX];
    size_t reply_headers_count;
    int early_status;     // answer before the body is read, 0: none
    bool short_of_memory; // is why
    // The answer, once there is one.
    struct MHD_Response *response;
    int status;
    size_t discarded;
    void *kept; // for the handler, released with the request
    void (*kept_release)(void *what);
    bool turned;      // has seen the end of a turn of the loop
    bool handed_over; // to the handler
    bool suspended;
    bool answered;  // by the handler
    bool abandoned; // answered in the handler's place, and gone but for the handler
    _Alignas(max_align_t) char arena_memory[HTTP_REQUEST_ARENA];
};

// conn.c
void conn_notify(void *cls, struct MHD_Connection *mhd, void **socket_context,
                 enum MHD_ConnectionNotificationCode code);
void conn_phase_set(struct http_conn *conn, enum conn_phase phase);
void conn_check_deadlines(struct http_loop *loop);
// After MHD_run: parks the connections whose TLS handshake waits for the client.
void conn_park_handshakes(struct http_loop *loop);

// request.c
enum MHD_Result request_handle(void *cls, struct MHD_Connection *mhd, const char *url,
                               const char *method, const char *version, const char *upload,
                               size_t *upload_size, void **request_context);
void request_completed(void *cls, struct MHD_Connection *mhd, void **request_context,
                       enum MHD_RequestTerminationCode code);
// After MHD_run: tells clients whose body is still to come that their header is here.
void request_acknowledge_fresh(struct http_loop *loop);
// Answers all that still wait for their handlers with 503.
void request_abandon_all(struct http_loop *loop);

// server.c
void loop_mark_due(struct http_loop *loop);

#endif
