// SPDX-License-Identifier: AGPL-3.0-or-later
// The I/O loops, with MHD driven from libuv.
//
// MHD keeps its sockets in an epoll set of its own; that set's descriptor is one handle of our
// loop. MHD may have more to do though no descriptor is ready (MHD_get_timeout says 0): then an
// idle handle keeps the loop from sleeping. MHD_run is called at most once a turn, after the turn's
// other events.
#include "http/http.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/text.h"
#include "http/http_internal.h"

// MHD keeps a connection's request and reply headers in one pool of this size, and clears all of it
// after each request.
#define CONN_POOL_SIZE ((size_t)8 * 1024)
#define LOG_BATCH_SIZE ((size_t)32 * 1024)

// ---- Turning ----

void loop_mark_due(struct http_loop *loop)
{
    loop->due = true;
}

static void on_idle(uv_idle_t *idle UNUSED)
{
}

static void on_poll(uv_poll_t *poll, int status UNUSED, int events UNUSED)
{
    loop_mark_due(CONTAINER(poll, struct http_daemon, poll)->loop);
}

static bool mhd_wants_turn(const struct http_loop *loop)
{
    MHD_UNSIGNED_LONG_LONG timeout_ms;
    for (size_t i = 0; i < loop->server->config.listeners_count; i++) {
        if (MHD_get_timeout(loop->daemons[i].mhd, &timeout_ms) == MHD_YES && timeout_ms == 0)
            return true;
    }
    return false;
}

static void on_prepare(uv_prepare_t *prepare)
{
    struct http_loop *loop = CONTAINER(prepare, struct http_loop, prepare);
    if (loop->due || mhd_wants_turn(loop)) {
        loop->due = true;
        uv_idle_start(&loop->idle, on_idle);
    } else {
        uv_idle_stop(&loop->idle);
    }
}

static void on_check(uv_check_t *check)
{
    struct http_loop *loop = CONTAINER(check, struct http_loop, check);
    if (!loop->due)
        return;
    loop->due = false;
    for (size_t i = 0; i < loop->server->config.listeners_count; i++)
        MHD_run(loop->daemons[i].mhd);
    // Behind MHD, which ends a client that says nothing without a word.
    if (loop->ticked)
        conn_check_deadlines(loop);
    loop->ticked = false;
    request_acknowledge_fresh(loop);
    if (loop->server->config.tls_cert_pem)
        conn_park_handshakes(loop);
    if (loop->log.size > LOG_BATCH_SIZE)
        log_flush(&loop->log);
}

static void on_log_timer(uv_timer_t *timer)
{
    log_flush(&CONTAINER(timer, struct http_loop, log_timer)->log);
}

static void on_tick(uv_timer_t *timer)
{
    struct http_loop *loop = CONTAINER(timer, struct http_loop, tick);
    loop->ticked = true;
    loop_mark_due(loop); // MHD's own time limits
}

// ---- Set-up of a loop ----

static void mhd_log(void *cls, const char *fmt, va_list args) PRINTF_LIKE(2, 0);
static void mhd_log(void *cls UNUSED, const char *fmt, va_list args)
{
    char text[256];
    if (!log_enabled(LOG_DEBUG))
        return;
    vsnprintf(text, sizeof text, fmt, args);
    text[strcspn(text, "\n")] = '\0';
    log_event(LOG_DEBUG, "mhd", LOG_TEXT("text", text));
}

// Decodes in place. MHD's own would let %00 end a path in its middle; here it stands for itself, as
// any '%' that is no escape does.
static size_t unescape(void *cls UNUSED, struct MHD_Connection *mhd UNUSED, char *text)
{
    char *out = text;
    for (const char *p = text; *p; p++) {
        int high = *p == '%' ? text_hex_digit(p[1]) : -1;
        int low = high >= 0 ? text_hex_digit(p[2]) : -1;
        if (low >= 0 && high + low > 0) {
            *out++ = (char)(high * 16 + low);
            p += 2;
        } else {
            *out++ = *p;
        }
    }
    *out = '\0';
    return (size_t)(out - text);
}

// Connections of one daemon. A quarter of the descriptors is left to projects, files and the
// database, or clients that only connect would stop everything.
static unsigned connection_limit(const struct http_config *config)
{
    struct rlimit files;
    rlim_t limit = config->connections_max;
    if (!getrlimit(RLIMIT_NOFILE, &files)) {
        rlim_t share = (files.rlim_cur - files.rlim_cur / 4) / config->listeners_count;
        limit = share < limit ? share : limit;
    }
    return (unsigned)(limit / config->loops) + 1;
}

static struct MHD_Daemon *start_mhd(struct http_loop *loop, int fd)
{
    const struct http_config *config = &loop->server->config;
    struct MHD_OptionItem tls[] = {
        {MHD_OPTION_HTTPS_MEM_CERT, 0, NULL},
        {MHD_OPTION_HTTPS_MEM_KEY, 0, NULL},
        {MHD_OPTION_END, 0, NULL},
    };
    unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;
    if (config->tls_cert_pem) {
        flags |= MHD_USE_TLS;
        // MHD only reads them; its option type has no const.
        memcpy(&tls[0].ptr_value, &config->tls_cert_pem, sizeof(void *));
        memcpy(&tls[1].ptr_value, &config->tls_key_pem, sizeof(void *));
    } else {
        tls[0].option = MHD_OPTION_END;
    }
    return MHD_start_daemon(flags, 0, NULL, NULL, request_handle, loop, MHD_OPTION_EXTERNAL_LOGGER,
                            mhd_log, NULL, MHD_OPTION_UNESCAPE_CALLBACK, unescape, NULL,
                            MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
                            CONN_POOL_SIZE, MHD_OPTION_CONNECTION_LIMIT, connection_limit(config),
                            MHD_OPTION_CONNECTION_TIMEOUT, config->idle_timeout_s,
                            MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_NOTIFY_CONNECTION,
                            conn_notify, loop, MHD_OPTION_NOTIFY_COMPLETED, request_completed, NULL,
                            MHD_OPTION_ARRAY, tls, MHD_OPTION_END);
}

static int open_daemons(struct http_loop *loop, struct err *err)
{
    const struct http_config *config = &loop->server->config;
    for (size_t i = 0; i < config->listeners_count; i++) {
        struct http_daemon *d = &loop->daemons[i];
        d->loop = loop;
        d->mhd = start_mhd(loop, config->listeners[i].fds[loop->index]);
        if (!d->mhd)
            return err_set(err, ERR_INTERNAL, "the HTTP daemon could not be started%s",
                           config->tls_cert_pem ? "; is the TLS certificate or key usable?" : "");
        int rc = uv_poll_init(&loop->loop.uv, &d->poll,
                              MHD_get_daemon_info(d->mhd, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd);
        if (rc)
            return err_internal(err, "uv_poll_init: %s", uv_strerror(rc));
        uv_poll_start(&d->poll, UV_READABLE, on_poll);
    }
    return 0;
}

static int open_loop(struct http_loop *loop, struct err *err)
{
    int rc = loop_init(&loop->loop, err);
    if (rc)
        return rc;
    uv_loop_t *uv = &loop->loop.uv;
    uv_prepare_init(uv, &loop->prepare);
    uv_prepare_start(&loop->prepare, on_prepare);
    uv_check_init(uv, &loop->check);
    uv_check_start(&loop->check, on_check);
    uv_idle_init(uv, &loop->idle);
    uv_timer_init(uv, &loop->tick);
    uv_timer_start(&loop->tick, on_tick, 1000, 1000);
    uv_timer_init(uv, &loop->log_timer);
    loop->log_timer.timer_cb = on_log_timer;
    const struct http_config *config = &loop->server->config;
    rc = config->loop_open(&loop->loop, config->loop_ctx, &loop->data, err);
    return rc ? rc : open_daemons(loop, err);
}

static void *run_loop(void *arg)
{
    struct http_loop *loop = arg;
    loop_run(&loop->loop);
    return NULL;
}

int http_server_start(const struct http_config *config, struct http_server **ret_server,
                      struct err *err)
{
    assert(config->listeners_count <= HTTP_LISTENERS_MAX);
    struct http_server *server = mem_zalloc(sizeof *server);
    server->config = *config;
    server->memory = (struct budget)BUDGET(config->memory_max);
    server->loops = mem_zalloc(config->loops * sizeof *server->loops);
    for (unsigned i = 0; i < config->loops; i++) {
        struct http_loop *loop = &server->loops[i];
        loop->server = server;
        loop->index = i;
        int rc = open_loop(loop, err);
        if (rc)
            return rc; // the process ends: nothing has run yet
    }
    *ret_server = server;
    for (unsigned i = 0; i < config->loops; i++) {
        int rc = pthread_create(&server->loops[i].thread, NULL, run_loop, &server->loops[i]);
        assert(rc == 0);
    }
    return 0;
}

// ---- Stopping: drain asks every loop to refuse and to tell when it is idle; stop ends them ----

struct stopper {
    struct loop_message message;
    struct http_loop *loop;
    uv_timer_t timer;
    bool (*finished)(struct http_loop *loop); // asked every few milliseconds
    pthread_mutex_t *lock;
    pthread_cond_t *changed;
    unsigned *left;
};

static void on_stopper_closed(uv_handle_t *handle)
{
    struct stopper *s = CONTAINER((uv_timer_t *)handle, struct stopper, timer);
    pthread_mutex_lock(s->lock);
    --*s->left;
    pthread_cond_signal(s->changed);
    pthread_mutex_unlock(s->lock);
}

static void on_stopper_timer(uv_timer_t *timer)
{
    struct stopper *s = CONTAINER(timer, struct stopper, timer);
    if (s->finished(s->loop))
        uv_close((uv_handle_t *)timer, on_stopper_closed);
}

static void on_stopper(struct loop_message *message)
{
    struct stopper *s = CONTAINER(message, struct stopper, message);
    uv_timer_init(&s->loop->loop.uv, &s->timer);
    uv_timer_start(&s->timer, on_stopper_timer, 0, 5);
}

// Has every loop call `finished` now and then until it is true, and waits for all.
static void ask_all(struct http_server *server, bool (*finished)(struct http_loop *loop))
{
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
    unsigned left = server->config.loops;
    auto_free struct stopper *stoppers = mem_zalloc(left * sizeof *stoppers);
    for (unsigned i = 0; i < server->config.loops; i++) {
        stoppers[i] = (struct stopper){.loop = &server->loops[i],
                                       .finished = finished,
                                       .lock = &lock,
                                       .changed = &changed,
                                       .left = &left};
        loop_post(&server->loops[i].loop, &stoppers[i].message, on_stopper);
    }
    pthread_mutex_lock(&lock);
    while (left)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
}

static void refuse_new(struct http_loop *loop)
{
    loop->stopping = true;
    for (size_t i = 0; i < loop->server->config.listeners_count; i++) {
        int fd = MHD_quiesce_daemon(loop->daemons[i].mhd);
        fd_close(&fd);
    }
}

static bool is_drained(struct http_loop *loop)
{
    if (!loop->stopping)
        refuse_new(loop);
    if (!loop->active)
        return true;
    if ((int64_t)clock_monotonic_us() < loop->stop_deadline_us)
        return false;
    if (loop->server->config.loop_shut)
        loop->server->config.loop_shut(loop->data);
    request_abandon_all(loop);
    return true;
}

static bool is_quiet(struct http_loop *loop)
{
    // Every handler has answered; what clients have not read by now is cut with the daemon.
    for (struct http_request *r = loop->requests; r; r = r->next) {
        if (r->handed_over && !r->answered)
            return false;
    }
    return true;
}

void http_server_drain(struct http_server *server, uint32_t grace_ms)
{
    int64_t deadline = (int64_t)clock_monotonic_us() + grace_ms * INT64_C(1000);
    for (unsigned i = 0; i < server->config.loops; i++)
        server->loops[i].stop_deadline_us = deadline;
    ask_all(server, is_drained);
}

static void close_loop(struct http_loop *loop)
{
    for (size_t i = 0; i < loop->server->config.listeners_count; i++) {
        uv_poll_stop(&loop->daemons[i].poll);
        MHD_run(loop->daemons[i].mhd); // resumes what is to be resumed
        MHD_stop_daemon(loop->daemons[i].mhd);
    }
    log_flush(&loop->log);
    buf_dispose(&loop->log);
    for (struct http_request *r = loop->spare, *next; r; r = next) {
        next = r->next;
        free(r);
    }
    loop->server->config.loop_close(loop->data);
    loop_dispose(&loop->loop);
}

void http_server_stop(struct http_server *server)
{
    ask_all(server, is_quiet);
    for (unsigned i = 0; i < server->config.loops; i++)
        loop_stop(&server->loops[i].loop);
    for (unsigned i = 0; i < server->config.loops; i++)
        pthread_join(server->loops[i].thread, NULL);
    for (unsigned i = 0; i < server->config.loops; i++)
        close_loop(&server->loops[i]);
    budget_dispose(&server->memory);
    free(server->loops);
    free(server);
}

// ---- Figures ----

void http_server_stats(const struct http_server *server,
                       struct http_event_stats stats[HTTP_EVENTS_MAX])
{
    memset(stats, 0, HTTP_EVENTS_MAX * sizeof *stats);
    for (unsigned l = 0; l < server->config.loops; l++) {
        for (size_t e = 0; e < HTTP_EVENTS_MAX; e++) {
            const struct http_event_stats *from = &server->loops[l].stats[e];
            stats[e].requests += __atomic_load_n(&from->requests, __ATOMIC_RELAXED);
            stats[e].failed += __atomic_load_n(&from->failed, __ATOMIC_RELAXED);
            stats[e].total_us += __atomic_load_n(&from->total_us, __ATOMIC_RELAXED);
            for (size_t b = 0; b < HTTP_BUCKETS; b++)
                stats[e].buckets[b] += __atomic_load_n(&from->buckets[b], __ATOMIC_RELAXED);
        }
    }
}

size_t http_server_connections(const struct http_server *server)
{
    size_t sum = 0;
    for (unsigned l = 0; l < server->config.loops; l++)
        sum += atomic_load_explicit(&server->loops[l].connections, memory_order_relaxed);
    return sum;
}

size_t http_server_memory(const struct http_server *server)
{
    return budget_used(&server->memory);
}
