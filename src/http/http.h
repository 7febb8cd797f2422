// SPDX-License-Identifier: AGPL-3.0-or-later
// The HTTP server: libmicrohttpd on our own event loops.
//
// Each I/O loop is a thread with one MHD daemon a listener; the listeners of all loops share their
// port by SO_REUSEPORT, so the kernel spreads connections and a connection stays on its loop. A
// request is handed to the handler of its route once its body is whole. The handler answers at
// once, or later from the same thread; a request that waits holds no thread.
//
// What a stranger can cost is bounded: every phase of a connection has a deadline, bodies have a
// size limit, and the bytes of all bodies, of what handlers hold to answer, and of unsent replies
// together have a limit for the process, of which no caller who is known gets more than a share,
// and all others together no more than half.
#ifndef HTTP_HTTP_H
#define HTTP_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/uuid.h"
#include "http/listen.h"
#include "loop/loop.h"

struct http_server;
struct http_request;

// A handler runs on the request's loop when the body is whole, and answers with http_reply sooner
// or later, exactly once.
typedef void http_handler_fn(struct http_request *request, void *ctx);

struct http_route {
    const char *method; // "GET" also serves HEAD; NULL: any
    const char *path;   // without the base path; ends in '*': a prefix
    http_handler_fn *handler;
    void *ctx;
};

// Figures by event, for the metrics page. Event 0 is what has no name of its own.
#define HTTP_EVENTS_MAX 160
#define HTTP_BUCKETS    12
extern const uint32_t http_bucket_us[HTTP_BUCKETS]; // upper bounds of the latency histogram

struct http_event_stats {
    uint64_t requests;
    uint64_t failed; // status 400 and above
    uint64_t total_us;
    uint64_t buckets[HTTP_BUCKETS]; // not cumulative; slower ones are in no bucket
};

struct http_config {
    const struct listener *listeners;
    size_t listeners_count;
    unsigned loops;
    const char *base_path;                  // "" or "/x"
    const struct http_route *routes;        // ends with one without a path
    const char *tls_cert_pem, *tls_key_pem; // both or none: TLS on all TCP listeners
    const struct net_list *trusted_proxies;
    size_t body_size_max;     // after inflating too
    size_t memory_max;        // bytes of all bodies, what is held to answer, and unsent replies
    unsigned connections_max; // a loop's share is this divided by the loops
    unsigned header_timeout_s, body_timeout_s, reply_timeout_s, idle_timeout_s;
    // On each loop's thread, before its first request and after its last: the state that handlers
    // find by http_request_loop_data.
    int (*loop_open)(struct loop *loop, void *ctx, void **ret_data, struct err *err);
    void (*loop_close)(void *data);
    // While stopping, before the requests that are under way still are answered with 503 (may be
    // NULL): no handler may wait any more in its middle, where it uses what belongs to the request.
    void (*loop_shut)(void *data);
    void *loop_ctx;
};

// Starts the loops' threads; requests are answered from now on, and *ret_server is set before the
// first. Takes the listeners' descriptors. The config's strings and tables stay the caller's and
// outlive the server.
int http_server_start(const struct http_config *config, struct http_server **ret_server,
                      struct err *err) MUST_USE;
// Stops accepting, refuses further requests and waits for those under way, up to `grace_ms`; then
// answers the rest with 503, though their handlers go on.
void http_server_drain(struct http_server *server, uint32_t grace_ms);
// After a drain, and once every handler is certain to answer: waits for them, joins the threads and
// frees all.
void http_server_stop(struct http_server *server);
void http_server_stats(const struct http_server *server,
                       struct http_event_stats stats[HTTP_EVENTS_MAX]);
size_t http_server_connections(const struct http_server *server);
size_t http_server_memory(const struct http_server *server); // what memory_max bounds

// ---- A request. What is returned is borrowed and lives as long as the request; a header until the
// handler has returned. One that is answered in its handler's place has no method, path, headers
// and query any more. ----

const char *http_request_method(const struct http_request *request); // "POST"
const char *
http_request_path(const struct http_request *request); // decoded, without base path and query
const char *http_request_header(struct http_request *request, const char *name); // NULL if absent
// What the query string says of a name, decoded; NULL if absent. Any bytes but NUL.
const char *http_request_query(struct http_request *request, const char *name);
const char *http_request_body(struct http_request *request, size_t *ret_size);
// The client's address as text: of the peer, or what a trusted proxy says.
const char *http_request_client(struct http_request *request);
// Where the client sees this server, such as "https://host" or "http://127.0.0.1:5000/base"; from
// the Host header.
const char *http_request_origin(struct http_request *request);
const struct uuid *http_request_id(const struct http_request *request);
struct arena *http_request_arena(struct http_request *request);
// The body has been read into something else: frees it, and what was counted for it.
void http_request_body_done(struct http_request *request);
// Whose the request's memory is from now on; what it has already counts as well. False: the owner
// holds too much. Once, on the request's loop.
bool http_request_set_owner(struct http_request *request, const struct uuid *owner) MUST_USE;
// Counts what is held to answer as memory of the request's, until it is answered. False: there is
// not as much left, or not for its owner. Any thread.
bool http_request_memory_take(struct http_request *request, size_t size) MUST_USE;
// Has `release(what)` called when the request ends.
void http_request_keep(struct http_request *request, void *what, void (*release)(void *what));
void *http_request_loop_data(struct http_request *request);

// What the log line and the figures say of the request. `event` is static text and `index` below
// HTTP_EVENTS_MAX.
void http_request_set_event(struct http_request *request, const char *event, unsigned index);
void http_request_set_account(struct http_request *request, const struct uuid *account_id);
void http_request_set_error(struct http_request *request,
                            const struct err *err); // logged with the line

// Whether the handler has answered already; only while it runs.
bool http_request_answered(const struct http_request *request);

// Answers. Takes the bytes of `body` (emptied); `content_type` is static text. The request may be
// gone when it returns.
void http_reply(struct http_request *request, int status, const char *content_type,
                struct buf *body);
// Answers in the place of a handler that is not done: what it answers with later is dropped, and
// until then the request lives on.
void http_reply_for(struct http_request *request, int status, const char *content_type,
                    struct buf *body);
// As http_reply with a short page that says what went wrong.
void http_reply_error(struct http_request *request, int status, const char *text);
void http_reply_redirect(struct http_request *request, const char *location);
// Further headers of the answer, before http_reply. `name` is static text, `value` is copied.
void http_request_reply_header(struct http_request *request, const char *name, const char *value);

#define HTTP_JSON "application/json; charset=utf-8"
#define HTTP_HTML "text/html; charset=utf-8"
#define HTTP_TEXT "text/plain; charset=utf-8"

#endif
