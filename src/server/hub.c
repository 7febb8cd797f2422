// SPDX-License-Identifier: AGPL-3.0-or-later
// The hub's process: what is opened in which order, and closed in the other.
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "api/api.h"
#include "api/docs.h"
#include "base/clock.h"
#include "base/log.h"
#include "http/http.h"
#include "pages/pages.h"
#include "runner/projects.h"
#include "server/metrics.h"
#include "server/seat.h"
#include "server/serve.h"
#include "server/site.h"
#include "svc/account_index.h"
#include "svc/copies.h"
#include "svc/disk.h"
#include "svc/expiry.h"
#include "svc/idle.h"
#include "svc/mail.h"
#include "svc/project.h"
#include "svc/project_life.h"
#include "svc/project_quota.h"
#include "svc/settings.h"
#include "svc/status.h"
#include "svc/svc.h"

#define STOP_GRACE_MS   10000
#define HTTP_ROUTES_MAX 64

struct hub {
    struct serve *serve;
    struct loop
        loop; // of the main thread: signals, the control channel, writes that nobody waits for
    uv_signal_t term, interrupt;
    uv_poll_t control;
    int control_fd;
    struct db *db;
    struct svc svc;
    struct seat seat;
    struct net_list trusted;
    struct api_config api;
    struct metrics metrics;
    struct idle *idle;
    struct expiry *expiry;
    struct settings *settings;
};

// ---- Projects ----

static void on_state_changed(void *ctx, const struct uuid *project_id, enum project_state state,
                             int64_t seen_ms, const char *error)
{
    struct hub *hub = ctx;
    log_event(LOG_INFO, "project", LOG_TEXT("project", project_id->text),
              LOG_TEXT("state", project_state_name(state)),
              error ? LOG_TEXT("error", error) : (struct log_field){0});
    project_state_set(&hub->svc, project_id, state, seen_ms, error);
    if (state != PROJECT_RUNNING)
        return;
    // What was given to it while it started; and what this host cannot enforce, from the beginning.
    project_quota_changed(&hub->svc, project_id);
    status_refresh_later(&hub->svc, project_id);
}

// What they may have written, and that the project was in use until now.
static void on_jobs_ended(void *ctx, const struct uuid *project_id)
{
    struct hub *hub = ctx;
    disk_changed(&hub->svc, project_id);
    project_mark_edited(&hub->svc, project_id);
}

static int load_spec(void *ctx, const struct uuid *project_id, struct project_spec *ret_spec,
                     struct err *err)
{
    struct hub *hub = ctx;
    return project_spec_load(&hub->svc, project_id, ret_spec, err);
}

static int64_t started_before(const struct hub *hub)
{
    return hub->seat.alone ? INT64_MAX : clock_now_ms() - hub->svc.site.transition_ms;
}

// Projects that ran when an earlier hub ended may run still.
static int adopt_projects(struct hub *hub, struct err *err)
{
    auto_session struct db_session *session = NULL;
    auto_free struct uuid *ids = NULL;
    size_t count = 0;
    int rc = db_session_open(hub->db, &session, err);
    if (!rc)
        rc = project_active_ids(session, started_before(hub), &ids, &count, err);
    if (!rc && count) {
        project_transitions_end(&hub->svc, started_before(hub));
        projects_adopt(hub->svc.projects, ids, count);
    }
    return rc;
}

static int open_projects(struct hub *hub, struct err *err)
{
    int runner_fd = serve_receive_fd(hub->control_fd);
    if (runner_fd < 0)
        return err_internal(err, "no runner");
    struct projects_config config = {
        .runner_fd = runner_fd,
        .start_timeout_ms =
            (uint32_t)config_int(hub->serve->config, CONFIG_PROJECTS_START_TIMEOUT) * 1000,
        .shared = db_is_remote(hub->db),
        .ctx = hub,
        .load = load_spec,
        .changed = on_state_changed,
        .jobs_ended = on_jobs_ended,
    };
    return projects_open(&config, &hub->svc.projects, err);
}

static void open_idle(struct hub *hub)
{
    const struct config *c = hub->serve->config;
    struct idle_config config = {.check_s = (unsigned)config_int(c, CONFIG_PROJECTS_IDLE_CHECK),
                                 .grace_s = (unsigned)config_int(c, CONFIG_PROJECTS_IDLE_GRACE)};
    hub->idle = idle_open(&hub->svc, &config);
}

// ---- HTTP ----

// People who open the printed address find the description of the interface.
static void handle_home(struct http_request *request, void *ctx UNUSED)
{
    http_request_set_event(request, "home", 0);
    http_reply_redirect(request, arena_printf(http_request_arena(request), "%s/api/v1/",
                                              http_request_origin(request)));
}

// Each loop has one at least.
static unsigned lanes_per_loop(const struct serve *serve)
{
    unsigned connections = (unsigned)config_int(serve->config, CONFIG_DATABASE_CONNECTIONS);
    return connections > serve->loops ? connections / serve->loops : 1;
}

static int open_http(struct hub *hub, struct err *err)
{
    static struct http_route routes[HTTP_ROUTES_MAX]; // outlives the server; filled once
    const struct http_route own[] = {
        {"POST", "/api/v1/*", api_v1_handle, NULL},
        {NULL, "/api/conat/hub", rpc_hub_handle, NULL},
        {NULL, "/api/conat/project", rpc_project_handle, NULL},
        {"GET", "/", handle_home, NULL},
        {"GET", "/api/v1/", docs_handle_page, NULL},
        {"GET", "/api/v1", docs_handle_page, NULL},
        {"GET", "/api/v1/openapi.json", docs_handle_openapi, NULL},
        {"GET", "/api/conat/", docs_handle_rpc_page, NULL},
        {"GET", "/api/conat", docs_handle_rpc_page, NULL},
        {"GET", "/healthz", healthz_handle, &hub->metrics},
        {"GET", "/metrics", metrics_handle, &hub->metrics},
    };
    size_t count = ARRAY_LEN(own);
    memcpy(routes, own, sizeof own);
    for (const struct http_route *route = pages_routes; route->path; route++) {
        assert(count + 1 < HTTP_ROUTES_MAX);
        routes[count++] = *route;
    }
    const struct config *c = hub->serve->config;
    hub->api = (struct api_config){.svc = &hub->svc, .lanes = lanes_per_loop(hub->serve)};
    struct http_config config = {
        .listeners = hub->serve->listeners,
        .listeners_count = hub->serve->listeners_count,
        .loops = hub->serve->loops,
        .base_path = config_text(c, CONFIG_HTTP_BASE_PATH),
        .routes = routes,
        .tls_cert_pem = hub->serve->tls_cert_pem,
        .tls_key_pem = hub->serve->tls_key_pem,
        .trusted_proxies = &hub->trusted,
        .body_size_max = (size_t)config_int(c, CONFIG_HTTP_BODY_SIZE_MAX),
        .memory_max = (size_t)config_int(c, CONFIG_HTTP_MEMORY_MAX),
        .connections_max = (unsigned)config_int(c, CONFIG_HTTP_CONNECTIONS_MAX),
        .header_timeout_s = (unsigned)config_int(c, CONFIG_HTTP_HEADER_TIMEOUT),
        .body_timeout_s = (unsigned)config_int(c, CONFIG_HTTP_BODY_TIMEOUT),
        .reply_timeout_s = (unsigned)config_int(c, CONFIG_HTTP_REPLY_TIMEOUT),
        .idle_timeout_s = (unsigned)config_int(c, CONFIG_HTTP_IDLE_TIMEOUT),
        .loop_open = api_loop_open,
        .loop_close = api_loop_close,
        .loop_shut = api_loop_shut,
        .loop_ctx = &hub->api,
    };
    return http_server_start(&config, &hub->metrics.http, err);
}

// ---- Start ----

static int load_settings(struct svc *svc, struct err *err)
{
    struct db_session *session;
    int rc = sessions_take(&svc->sessions, &session, err);
    if (rc)
        return rc;
    rc = settings_load(svc, session, err);
    sessions_give(&svc->sessions, session);
    return rc;
}

static int open_services(struct hub *hub, struct err *err)
{
    const struct config *c = hub->serve->config;
    const char *url = config_text(c, CONFIG_DATABASE_URL);
    struct site site;
    int rc = data_make_folders(err);
    if (!rc)
        rc = data_check_database(url, err);
    if (!rc)
        rc = net_list_parse(config_text(c, CONFIG_HTTP_TRUSTED_PROXIES), &hub->trusted, err);
    if (!rc)
        rc = db_open(url, &hub->db, err);
    if (!rc)
        rc = seat_take(db_is_remote(hub->db), &hub->seat, err);
    if (!rc)
        rc = data_note_database(url, err);
    if (!rc)
        rc = site_url_note(hub->serve, err);
    if (!rc)
        rc = site_configure(c, &site, err);
    if (!rc)
        rc = svc_init(&hub->svc, hub->db, &site, err);
    if (!rc)
        rc = load_settings(&hub->svc, err);
    if (rc)
        return rc;
    hub->svc.seat = hub->seat.number;
    hub->svc.loop = &hub->loop;
    return 0;
}

static int open_mailer(struct hub *hub, struct err *err)
{
    struct mailer_config config = site_mailer_config(hub->serve->config);
    return mailer_open(&hub->svc, &config, &hub->svc.mailer, err);
}

static int open_hub(struct hub *hub, struct err *err)
{
    work_threads_set((unsigned)config_int(hub->serve->config, CONFIG_SERVER_WORKERS));
    int rc = loop_init(&hub->loop, err);
    if (!rc)
        rc = open_services(hub, err);
    if (!rc)
        rc = open_mailer(hub, err);
    if (!rc)
        rc = open_projects(hub, err);
    if (!rc)
        rc = adopt_projects(hub, err);
    if (rc)
        return rc;
    const struct config *c = hub->serve->config;
    disk_open(&hub->svc, (unsigned)config_int(c, CONFIG_PROJECTS_IDLE_CHECK));
    rc = copies_open(&hub->svc, (unsigned)config_int(c, CONFIG_PROJECTS_COPIES), err);
    if (rc)
        return rc;
    open_idle(hub);
    hub->expiry = expiry_open(&hub->svc);
    hub->settings = settings_open(&hub->svc);
    hub->metrics = (struct metrics){.svc = &hub->svc, .started_ms = clock_now_ms()};
    return open_http(hub, err);
}

static void print_ready(const struct hub *hub)
{
    for (size_t i = 0; i < hub->serve->listeners_count; i++) {
        auto_buf struct buf url = {0};
        site_listener_url(hub->serve, i, &url);
        printf("cohub: ready on %s\n", buf_cstr(&url));
    }
    fflush(stdout);
}

// ---- Running ----

static void on_stop_signal(uv_signal_t *handle, int signal)
{
    log_event(LOG_INFO, "stopping", LOG_INT("signal", signal));
    uv_stop(handle->loop);
}

static void on_control(uv_poll_t *poll, int status UNUSED, int events UNUSED)
{
    struct hub *hub = CONTAINER(poll, struct hub, control);
    int fd = serve_receive_fd(hub->control_fd);
    if (fd >= 0)
        projects_runner_replaced(hub->svc.projects, fd);
    else
        uv_stop(poll->loop); // the supervisor is gone
}

static void watch(struct hub *hub)
{
    uv_signal_init(&hub->loop.uv, &hub->term);
    uv_signal_start(&hub->term, on_stop_signal, SIGTERM);
    uv_signal_init(&hub->loop.uv, &hub->interrupt);
    uv_signal_start(&hub->interrupt, on_stop_signal, SIGINT);
    uv_poll_init(&hub->loop.uv, &hub->control, hub->control_fd);
    uv_poll_start(&hub->control, UV_READABLE, on_control);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static void ignore_further_signals(void)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigprocmask(SIG_BLOCK, &signals, NULL);
}

// Clients first, then what they may be waiting for, then what that has written.
static void close_hub(struct hub *hub)
{
    hub->svc.closing = true;
    http_server_drain(hub->metrics.http, STOP_GRACE_MS);
    hub->svc.drained = true;
    copies_shut(&hub->svc);
    projects_shut(hub->svc.projects);
    http_server_stop(hub->metrics.http);
    copies_close(&hub->svc);
    projects_close(hub->svc.projects);
    mailer_close(hub->svc.mailer);
    disk_close(&hub->svc);
    idle_close(hub->idle);
    expiry_close(hub->expiry);
    settings_close(hub->settings);
    sessions_close(&hub->svc.sessions);
    db_close(hub->db);
    loop_dispose(&hub->loop);
    idle_free(hub->idle);
    expiry_free(hub->expiry);
    settings_free(hub->settings);
    svc_dispose(&hub->svc);
    net_list_dispose(&hub->trusted);
}

int hub_run(struct serve *serve, int control_fd)
{
    static struct hub hub;
    struct err err;
    hub.serve = serve;
    hub.control_fd = control_fd;
    if (open_hub(&hub, &err)) {
        log_err(LOG_ERROR, "start_failed", &err);
        fprintf(stderr, "cohub: %s%s%s\n", err.message, err.detail[0] ? ": " : "", err.detail);
        _exit(1); // threads may run already; what is open is the kernel's to close
    }
    watch(&hub);
    print_ready(&hub);
    account_index_complete(&hub.svc);
    log_event(LOG_INFO, "started", LOG_INT("listeners", serve->listeners_count),
              LOG_INT("loops", serve->loops));
    loop_run(&hub.loop);
    ignore_further_signals(); // which would end the process once the loop is gone
    close_hub(&hub);
    log_event(LOG_INFO, "stopped", LOG_INT("pid", getpid()));
    return 0;
}
