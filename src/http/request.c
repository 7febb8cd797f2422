// SPDX-License-Identifier: AGPL-3.0-or-later
// One request: from MHD's calls to the handler and back.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "http/coding.h"
#include "http/http_internal.h"

const uint32_t http_bucket_us[HTTP_BUCKETS] = {100,   250,   500,    1000,    2500,     5000,
                                               10000, 50000, 100000, 1000000, 10000000, 60000000};

#define ETAG_SIZE      sizeof "W/\"0123456789abcdef\""
#define DISCARD_FACTOR 4
#define SMALL_REPLY    ((size_t)4096)      // is always sent
#define SMALL_BODY     ((size_t)16 * 1024) // is always taken: who fills the memory shuts nobody out
#define ETAG_BODY_MAX  ((size_t)64 * 1024) // above, the hash costs more than a client could save

// ---- Memory ----

#define MEMORY_REPLY "{\"error\":\"" ERR_MEMORY_TEXT "\"}"

// What is small does not count for the owner: it is most of what there is, and little together.
static bool counts_for_owner(const struct http_request *r, size_t size)
{
    return r->owner.text[0] && size > SMALL_REPLY;
}

// False, and nothing is taken, when there is not as much left.
static bool memory_take(struct http_request *r, size_t size)
{
    const bool owned = counts_for_owner(r, size);
    if (!budget_take(&r->loop->server->memory, owned ? r->owner.text : NULL, size))
        return false;
    atomic_fetch_add(owned ? &r->memory_owned : &r->memory, size);
    return true;
}

static void memory_give_back(struct http_request *r)
{
    struct budget *memory = &r->loop->server->memory;
    budget_give_back(memory, NULL, atomic_exchange(&r->memory, 0));
    budget_give_back(memory, r->owner.text, atomic_exchange(&r->memory_owned, 0));
}

bool http_request_set_owner(struct http_request *r, const struct uuid *owner)
{
    assert(!r->owner.text[0]);
    r->owner = *owner;
    const size_t held = r->memory;
    if (held <= SMALL_BODY)
        return true;
    if (!budget_assign(&r->loop->server->memory, owner->text, held))
        return false;
    r->memory -= held;
    r->memory_owned += held;
    return true;
}

// ---- Beginning ----

static const struct http_route *find_route(const struct http_request *r)
{
    const char *method = strcmp(r->method, "HEAD") ? r->method : "GET";
    for (const struct http_route *route = r->loop->server->config.routes; route->path; route++) {
        size_t len = strlen(route->path);
        bool prefix = route->path[len - 1] == '*';
        bool fits =
            prefix ? !strncmp(r->path, route->path, len - 1) : !strcmp(r->path, route->path);
        if (fits && (!route->method || !strcmp(method, route->method)))
            return route;
    }
    return NULL;
}

// What is read and thrown away of a body that is refused, so that the client gets to see why: most
// clients look for an answer only when they have sent all.
static size_t discard_max(const struct http_request *r)
{
    return DISCARD_FACTOR * r->loop->server->config.body_size_max;
}

static bool length_within(struct http_request *r, size_t size_max)
{
    const char *length = http_request_header(r, "Content-Length");
    int64_t size;
    return !length || (text_parse_int64(length, 0, INT64_MAX, &size) && (uint64_t)size <= size_max);
}

struct framing {
    unsigned lengths, codings;
    bool odd_name;
};

static enum MHD_Result add_framing(void *cls, enum MHD_ValueKind kind UNUSED, const char *name,
                                   const char *value UNUSED)
{
    struct framing *framing = cls;
    char first = (char)(name[0] | 0x20); // most names differ in it from both
    framing->lengths += first == 'c' && !strcasecmp(name, "Content-Length");
    framing->codings += first == 't' && !strcasecmp(name, "Transfer-Encoding");
    framing->odd_name |= strpbrk(name, " \t") != NULL;
    return MHD_YES;
}

// Whether a program in front could think that the body ends somewhere else, and that what follows
// is another client's request (RFC 9112, 5.1 and 6.3).
static bool is_ambiguous(struct http_request *r)
{
    struct framing framing = {0};
    MHD_get_connection_values(r->mhd, MHD_HEADER_KIND, add_framing, &framing);
    return framing.lengths + framing.codings > 1 || framing.odd_name;
}

// The status to refuse the request with, whatever its body is, or 0.
static int early_status(struct http_request *r)
{
    const struct http_server *server = r->loop->server;
    if (is_ambiguous(r))
        return 400;
    if (r->loop->stopping)
        return 503;
    if (!r->route)
        return 404;
    return length_within(r, server->config.body_size_max) ? 0 : 413;
}

// A request that is all zeros, but for its arena's memory.
static struct http_request *request_take(struct http_loop *loop)
{
    struct http_request *r = loop->spare;
    if (r) {
        loop->spare = r->next;
        loop->spare_count--;
    } else {
        r = mem_alloc(sizeof *r);
    }
    memset(r, 0, offsetof(struct http_request, arena_memory));
    arena_lend(&r->arena, r->arena_memory, sizeof r->arena_memory);
    return r;
}

static void request_give_back(struct http_loop *loop, struct http_request *r)
{
    if (loop->spare_count == HTTP_REQUESTS_KEPT) {
        free(r);
        return;
    }
    r->next = loop->spare;
    loop->spare = r;
    loop->spare_count++;
}

static struct http_request *request_new(struct http_loop *loop, struct MHD_Connection *mhd,
                                        const char *url, const char *method)
{
    struct http_request *r = request_take(loop);
    r->loop = loop;
    r->mhd = mhd;
    r->conn = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
    r->link = &loop->requests;
    r->next = loop->requests;
    if (r->next)
        r->next->link = &r->next;
    loop->requests = r;
    loop->active++;
    r->started_us = clock_monotonic_us();
    r->id = uuid_new();
    r->method = method;
    const char *base = loop->server->config.base_path;
    size_t base_len = strlen(base);
    bool below = !strncmp(url, base, base_len) && (url[base_len] == '/' || !url[base_len]);
    r->url = url;
    r->path = !below ? "" : url[base_len] ? url + base_len : "/";
    r->route = find_route(r);
    r->early_status = early_status(r);
    conn_phase_set(r->conn, CONN_BODY);
    return r;
}

// ---- The end ----

static void count(struct http_request *r, uint64_t spent_us)
{
    struct http_event_stats *s = &r->loop->stats[r->event_index];
    __atomic_fetch_add(&s->requests, 1, __ATOMIC_RELAXED);
    __atomic_fetch_add(&s->total_us, spent_us, __ATOMIC_RELAXED);
    if (r->status >= 400)
        __atomic_fetch_add(&s->failed, 1, __ATOMIC_RELAXED);
    for (size_t i = 0; i < HTTP_BUCKETS; i++) {
        if (spent_us <= http_bucket_us[i]) {
            __atomic_fetch_add(&s->buckets[i], 1, __ATOMIC_RELAXED);
            break;
        }
    }
}

static void log_request(struct http_request *r, uint64_t spent_us)
{
    enum log_level level = r->err && r->err->code == ERR_INTERNAL ? LOG_ERROR : LOG_INFO;
    if (!log_enabled(level))
        return;
    struct log_field fields[8] = {
        LOG_TEXT("id", r->id.text),
        LOG_TEXT("account", r->account_id.text[0] ? r->account_id.text : "-"),
        LOG_TEXT("call", r->event ? r->event : r->path),
        LOG_INT("status", r->status),
        log_ms("ms", spent_us),
    };
    if (r->err) {
        fields[5] = LOG_TEXT("error", r->err->message);
        if (r->err->detail[0])
            fields[6] = LOG_TEXT("detail", r->err->detail);
    }
    if (!r->loop->log.size)
        uv_timer_start(&r->loop->log_timer, r->loop->log_timer.timer_cb, 50, 0);
    log_format(&r->loop->log, level, clock_now_ms(), "request", fields);
}

static void request_free(struct http_request *r)
{
    *r->link = r->next;
    if (r->next)
        r->next->link = r->link;
    r->loop->active--;
    memory_give_back(r);
    if (r->response)
        MHD_destroy_response(r->response);
    if (r->kept)
        r->kept_release(r->kept);
    buf_dispose(&r->body);
    free(r->err);
    arena_dispose(&r->arena);
    request_give_back(r->loop, r);
}

// The handler goes on with what is not MHD's.
static void abandon(struct http_request *r)
{
    r->abandoned = true;
    r->mhd = NULL;
    r->url = r->method = r->path = "";
}

void request_completed(void *cls UNUSED, struct MHD_Connection *mhd UNUSED, void **request_context,
                       enum MHD_RequestTerminationCode code UNUSED)
{
    struct http_request *r = *request_context;
    if (!r)
        return;
    *request_context = NULL;
    // The next request's header may take as long as an idle connection may live and a header may
    // take.
    conn_phase_set(r->conn, CONN_HEADER);
    r->conn->deadline_us += r->loop->server->config.idle_timeout_s * UINT64_C(1000000);
    if (r->handed_over && !r->answered)
        abandon(r); // http_reply frees it
    else
        request_free(r);
}

// ---- Answering ----

static enum MHD_Result queue_answer(struct http_request *r)
{
    uint64_t spent_us = clock_monotonic_us() - r->started_us;
    enum MHD_Result rc = MHD_queue_response(r->mhd, (unsigned)r->status, r->response);
    conn_phase_set(r->conn, CONN_REPLY);
    count(r, spent_us);
    log_request(r, spent_us);
    return rc;
}

// Eight bytes at a time into a number that differs from one answer to another.
static uint64_t fingerprint(const char *bytes, size_t size)
{
    const uint64_t prime = UINT64_C(0x9e3779b97f4a7c15);
    uint64_t hash = size * prime;
    for (; size; bytes += sizeof hash) {
        uint64_t word = 0;
        size_t n = size < sizeof word ? size : sizeof word;
        memcpy(&word, bytes, n);
        hash = (hash ^ word) * prime;
        hash ^= hash >> 29;
        size -= n;
    }
    return hash;
}

static void etag(const struct buf *body, char out[ETAG_SIZE])
{
    static const char hex[] = "0123456789abcdef";
    uint64_t hash = fingerprint(body->data, body->size);
    memcpy(out, "W/\"0123456789abcdef\"", ETAG_SIZE);
    for (size_t i = 0; i < 16; i++, hash >>= 4)
        out[3 + i] = hex[hash & 15];
}

static void set_response(struct http_request *r, int status, const char *content_type,
                         struct buf *body)
{
    char tag[ETAG_SIZE] = "";
    if (status == 200 && body->size <= ETAG_BODY_MAX)
        etag(body, tag);
    size_t size;
    bool deflated =
        status == 200 && body->size >= CODING_SIZE_MIN && body->size <= CODING_SIZE_MAX &&
        coding_accepts_gzip(http_request_header(r, "Accept-Encoding")) && coding_gzip(body);
    if (!memory_take(r, body->size) && body->size > SMALL_REPLY) {
        buf_dispose(body);
        buf_append_str(body, MEMORY_REPLY);
        content_type = HTTP_JSON;
        status = 503;
        deflated = false;
    }
    char *bytes = buf_take(body, &size);
    r->response =
        MHD_create_response_from_buffer(size, bytes ? bytes : mem_alloc(1), MHD_RESPMEM_MUST_FREE);
    assert(r->response);
    r->status = status;
    MHD_add_response_header(r->response, MHD_HTTP_HEADER_CONTENT_TYPE, content_type);
    if (tag[0])
        MHD_add_response_header(r->response, MHD_HTTP_HEADER_ETAG, tag);
    if (deflated)
        MHD_add_response_header(r->response, MHD_HTTP_HEADER_CONTENT_ENCODING, "gzip");
    if (r->loop->stopping || status == 413 || r->early_status == 400 ||
        (r->early_status && !length_within(r, discard_max(r))))
        MHD_add_response_header(r->response, MHD_HTTP_HEADER_CONNECTION, "close");
    for (size_t i = 0; i < r->reply_headers_count; i++)
        MHD_add_response_header(r->response, r->reply_headers[i].name, r->reply_headers[i].value);
}

static void resume(struct http_request *r)
{
    r->suspended = false;
    MHD_resume_connection(r->mhd);
    loop_mark_due(r->loop);
}

// What the handler was given is not kept for as long as the client takes to read the answer.
static void release_body(struct http_request *r)
{
    if (r->kept)
        r->kept_release(r->kept);
    r->kept = NULL;
    buf_dispose(&r->body);
    memory_give_back(r);
}

void http_reply(struct http_request *r, int status, const char *content_type, struct buf *body)
{
    assert(!r->answered);
    r->answered = true;
    if (r->response) { // it was answered in the handler's place
        buf_dispose(body);
        if (r->abandoned)
            request_free(r);
        return;
    }
    release_body(r);
    set_response(r, status, content_type, body);
    if (r->suspended)
        resume(r);
}

// A client that sends header and body in two pieces may hold the second back until the first is
// acknowledged, which the kernel would put off for 40 ms. The newest requests stand first.
void request_acknowledge_fresh(struct http_loop *loop)
{
    static const int on = 1;
    for (struct http_request *r = loop->requests; r && !r->turned; r = r->next) {
        r->turned = true;
        if (!r->handed_over && !r->response)
            setsockopt(r->conn->fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on);
    }
}

void http_reply_for(struct http_request *r, int status, const char *content_type, struct buf *body)
{
    assert(!r->answered);
    if (r->abandoned || r->response) {
        buf_dispose(body);
        return;
    }
    set_response(r, status, content_type, body);
    if (r->suspended)
        resume(r);
}

void request_abandon_all(struct http_loop *loop)
{
    for (struct http_request *r = loop->requests; r; r = r->next) {
        if (r->suspended && !r->response) {
            auto_buf struct buf page = {0};
            buf_append_str(&page, "{\"error\":\"" ERR_CLOSING_TEXT "\"}");
            http_reply_for(r, 503, HTTP_JSON, &page);
        }
    }
}

void http_reply_error(struct http_request *r, int status, const char *text)
{
    struct buf page = {0};
    buf_printf(
        &page,
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>%d</title></head>"
        "<body><h1>%d</h1><pre>",
        status, status);
    text_append_html(&page, text);
    buf_append_str(&page, "</pre></body></html>\n");
    http_reply(r, status, HTTP_HTML, &page);
}

void http_reply_redirect(struct http_request *r, const char *location)
{
    struct buf empty = {0};
    http_request_reply_header(r, "Location", location);
    http_reply(r, 302, HTTP_TEXT, &empty);
}

// ---- MHD's calls: first with the header, then for each piece of the body, last when it is whole;
// again after a resume ----

static void reply_short_of_memory(struct http_request *r)
{
    auto_buf struct buf body = {0};
    buf_append_str(&body, MEMORY_REPLY);
    http_reply(r, 503, HTTP_JSON, &body);
}

static void reply_early(struct http_request *r)
{
    if (r->short_of_memory) {
        reply_short_of_memory(r);
        return;
    }
    switch (r->early_status) {
    case 400:
        http_reply_error(r, 400, "It is not clear where the body of the request ends.");
        break;
    case 413:
        http_reply_error(r, 413, "The body of the request is too large.");
        break;
    case 503:
        http_reply_error(r, 503, "The server is shutting down.");
        break;
    default:
        http_reply_error(r, 404, arena_printf(&r->arena, "Cannot %s %s", r->method, r->url));
    }
}

// Keeps a piece of the body. A body that is refused in its middle is read on and thrown away, so
// that the client sees the answer; one that does not end is cut.
static enum MHD_Result take_upload(struct http_request *r, const char *upload, size_t *upload_size)
{
    size_t size_max = r->loop->server->config.body_size_max;
    size_t size = *upload_size;
    *upload_size = 0;
    if (r->early_status) {
        r->discarded += size;
        return r->discarded <= discard_max(r) ? MHD_YES : MHD_NO;
    }
    if (r->body.size + size > size_max) {
        r->early_status = 413;
        return MHD_YES;
    }
    if (!memory_take(r, size) && r->body.size + size > SMALL_BODY) {
        r->early_status = 503;
        r->short_of_memory = true;
        return MHD_YES;
    }
    buf_append(&r->body, upload, size);
    return MHD_YES;
}

static void inflate_body(struct http_request *r)
{
    const char *encoding = r->body.size ? http_request_header(r, "Content-Encoding") : NULL;
    struct err err;
    if (!encoding)
        return;
    if (coding_inflate(encoding, &r->body, r->loop->server->config.body_size_max, &err))
        http_reply_error(r, err_http_status(err.code), err.message);
    else if (!memory_take(r, r->body.size))
        reply_short_of_memory(r);
}

static enum MHD_Result hand_over(struct http_request *r)
{
    inflate_body(r);
    if (r->response)
        return queue_answer(r);
    r->handed_over = true;
    conn_phase_set(r->conn, CONN_HANDLER);
    r->route->handler(r, r->route->ctx);
    if (r->response)
        return queue_answer(r);
    r->suspended = true;
    MHD_suspend_connection(r->mhd);
    return MHD_YES;
}

enum MHD_Result request_handle(void *cls, struct MHD_Connection *mhd, const char *url,
                               const char *method, const char *version UNUSED, const char *upload,
                               size_t *upload_size, void **request_context)
{
    struct http_request *r = *request_context;
    if (!r) {
        r = *request_context = request_new(cls, mhd, url, method);
        if (!r->early_status || (r->early_status != 400 && length_within(r, discard_max(r))))
            return MHD_YES;
    } else if (*upload_size) {
        return take_upload(r, upload, upload_size);
    }
    if (!r->response && r->early_status)
        reply_early(r);
    if (r->response)
        return queue_answer(r);
    return hand_over(r);
}

// ---- What handlers ask ----

const char *http_request_method(const struct http_request *r)
{
    return r->method;
}

const char *http_request_path(const struct http_request *r)
{
    return r->path;
}

const char *http_request_header(struct http_request *r, const char *name)
{
    return r->mhd ? MHD_lookup_connection_value(r->mhd, MHD_HEADER_KIND, name) : NULL;
}

const char *http_request_query(struct http_request *r, const char *name)
{
    const char *value =
        r->mhd ? MHD_lookup_connection_value(r->mhd, MHD_GET_ARGUMENT_KIND, name) : NULL;
    return value ? arena_strdup(&r->arena, value) : NULL;
}

const char *http_request_body(struct http_request *r, size_t *ret_size)
{
    *ret_size = r->body.size;
    return r->body.size ? r->body.data : "";
}

void http_request_body_done(struct http_request *r)
{
    buf_dispose(&r->body);
    memory_give_back(r);
}

static enum MHD_Result add_forwarded(void *cls, enum MHD_ValueKind kind UNUSED, const char *name,
                                     const char *value)
{
    if (value && !strcasecmp(name, "X-Forwarded-For"))
        buf_printf(cls, ",%s", value);
    return MHD_YES;
}

static const struct sockaddr *peer_of(const struct http_request *r)
{
    return MHD_get_connection_info(r->mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS)->client_addr;
}

const char *http_request_client(struct http_request *r)
{
    if (!r->client && r->mhd) {
        char text[ADDRESS_TEXT_SIZE];
        // A proxy may append to the client's header or add one of its own: lines are one list.
        auto_buf struct buf forwarded = {0};
        MHD_get_connection_values(r->mhd, MHD_HEADER_KIND, add_forwarded, &forwarded);
        address_client(r->loop->server->config.trusted_proxies, peer_of(r),
                       forwarded.size ? buf_cstr(&forwarded) : NULL, text);
        r->client = arena_strdup(&r->arena, text);
    }
    return r->client ? r->client : "";
}

const char *http_request_origin(struct http_request *r)
{
    const struct http_config *config = &r->loop->server->config;
    const char *host = http_request_header(r, "Host"),
               *scheme = config->tls_cert_pem ? "https" : "http";
    const char *proto = http_request_header(r, "X-Forwarded-Proto");
    if (proto && !strcmp(proto, "https") && net_list_contains(config->trusted_proxies, peer_of(r)))
        scheme = "https";
    bool plain =
        host &&
        host[strspn(
            host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:[]_")] == '\0';
    return arena_printf(&r->arena, "%s://%s%s", scheme, plain ? host : "localhost",
                        config->base_path);
}

const struct uuid *http_request_id(const struct http_request *r)
{
    return &r->id;
}

bool http_request_answered(const struct http_request *r)
{
    return r->answered;
}

struct arena *http_request_arena(struct http_request *r)
{
    return &r->arena;
}

bool http_request_memory_take(struct http_request *r, size_t size)
{
    return memory_take(r, size);
}

void http_request_keep(struct http_request *r, void *what, void (*release)(void *what))
{
    assert(!r->kept);
    r->kept = what;
    r->kept_release = release;
}

void *http_request_loop_data(struct http_request *r)
{
    return r->loop->data;
}

void http_request_set_event(struct http_request *r, const char *event, unsigned index)
{
    assert(index < HTTP_EVENTS_MAX);
    r->event = event;
    r->event_index = index;
}

void http_request_set_account(struct http_request *r, const struct uuid *account_id)
{
    r->account_id = *account_id;
}

void http_request_set_error(struct http_request *r, const struct err *err)
{
    if (!r->err)
        r->err = mem_alloc(sizeof *r->err);
    *r->err = *err;
}

void http_request_reply_header(struct http_request *r, const char *name, const char *value)
{
    assert(r->reply_headers_count < HTTP_REPLY_HEADERS_MAX);
    r->reply_headers[r->reply_headers_count].name = name;
    r->reply_headers[r->reply_headers_count++].value = arena_strdup(&r->arena, value);
}
