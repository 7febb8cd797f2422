// SPDX-License-Identifier: AGPL-3.0-or-later
#include "server/metrics.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "api/api.h"
#include "api/lanes.h"
#include "base/clock.h"
#include "db/query.h"
#include "runner/projects.h"

// `type` is "counter" or "gauge".
static void put(struct buf *out, const char *name, const char *type, const char *help,
                uint64_t value)
{
    buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n%s %" PRIu64 "\n", name, help, name, type, name,
               value);
}

static void put_latency(struct buf *out, const char *event, const struct http_event_stats *s)
{
    static const char name[] = "cohub_request_duration_seconds";
    uint64_t cumulative = 0;
    for (size_t b = 0; b < HTTP_BUCKETS; b++) {
        cumulative += s->buckets[b];
        buf_printf(out, "%s_bucket{event=\"%s\",le=\"%g\"} %" PRIu64 "\n", name, event,
                   http_bucket_us[b] / 1e6, cumulative);
    }
    buf_printf(out, "%s_bucket{event=\"%s\",le=\"+Inf\"} %" PRIu64 "\n", name, event, s->requests);
    buf_printf(out, "%s_sum{event=\"%s\"} %.6f\n", name, event, (double)s->total_us / 1e6);
    buf_printf(out, "%s_count{event=\"%s\"} %" PRIu64 "\n", name, event, s->requests);
}

static void put_requests(struct buf *out, const struct http_server *http)
{
    struct http_event_stats stats[HTTP_EVENTS_MAX];
    http_server_stats(http, stats);
    buf_append_str(
        out, "# HELP cohub_request_duration_seconds Time from a request's header to its answer.\n"
             "# TYPE cohub_request_duration_seconds histogram\n");
    for (unsigned i = 0; i < HTTP_EVENTS_MAX && api_event_name(i); i++)
        put_latency(out, api_event_name(i), &stats[i]);
    buf_append_str(
        out, "# HELP cohub_requests_failed_total Requests answered with a status of 400 or above.\n"
             "# TYPE cohub_requests_failed_total counter\n");
    for (unsigned i = 0; i < HTTP_EVENTS_MAX && api_event_name(i); i++)
        buf_printf(out, "cohub_requests_failed_total{event=\"%s\"} %" PRIu64 "\n",
                   api_event_name(i), stats[i].failed);
}

static uint64_t resident_bytes(void)
{
    unsigned long pages = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (file && fscanf(file, "%*u %lu", &pages) != 1)
        pages = 0;
    if (file)
        fclose(file);
    return (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

void metrics_handle(struct http_request *request, void *ctx)
{
    const struct metrics *m = ctx;
    struct buf out = {0};
    struct db_stats db = db_stats_get(m->svc->db);
    put_requests(&out, m->http);
    put(&out, "cohub_connections", "gauge", "Open client connections.",
        http_server_connections(m->http));
    put(&out, "cohub_projects_running", "gauge", "Projects that run.",
        projects_running(m->svc->projects));
    put(&out, "cohub_database_reads_total", "counter", "Statements that read.", db.reads);
    put(&out, "cohub_database_writes_total", "counter", "Transactions asked for.", db.writes);
    put(&out, "cohub_database_commits_total", "counter",
        "Commits, each of one or more transactions.", db.commits);
    put(&out, "cohub_database_errors_total", "counter", "Statements and commits that failed.",
        db.errors);
    put(&out, "cohub_database_queue", "gauge", "Transactions that wait.", db.queue);
    put(&out, "cohub_memory_resident_bytes", "gauge", "Resident memory of the hub.",
        resident_bytes());
    put(&out, "cohub_memory_bodies_bytes", "gauge",
        "Bodies, what is held to answer, and unsent replies.", http_server_memory(m->http));
    put(&out, "cohub_uptime_seconds", "gauge", "Time since the hub started.",
        (uint64_t)(clock_now_ms() - m->started_ms) / 1000);
    http_request_set_event(request, "metrics_page", 0);
    http_reply(request, 200, "text/plain; version=0.0.4; charset=utf-8", &out);
}

// ---- Health ----

struct health {
    struct lane_call lane_call;
    struct http_request *request;
};

static void reply_health(struct http_request *request, const char *problem)
{
    struct buf out = {0};
    json_begin_object(&out);
    json_member_str(&out, "status", problem ? "unavailable" : "ok");
    if (problem)
        json_member_str(&out, "error", problem);
    json_end_object(&out);
    buf_append_char(&out, '\n');
    http_reply(request, problem ? 503 : 200, HTTP_JSON, &out);
}

static void ask_database(struct lane_call *lane_call, struct db_session *session)
{
    static const struct db_stmt ask = {"SELECT 1"};
    struct http_request *request = CONTAINER(lane_call, struct health, lane_call)->request;
    int64_t one;
    struct err err;
    int rc = db_query_int(session, &ask, DB_NO_ARGS, &one, &err);
    if (rc)
        http_request_set_error(request, &err);
    reply_health(request, rc ? err.message : NULL);
}

static void refuse_lane(struct lane_call *lane_call)
{
    reply_health(CONTAINER(lane_call, struct health, lane_call)->request, API_BUSY_TEXT);
}

// Of a local database the process would not live without.
void healthz_handle(struct http_request *request, void *ctx)
{
    const struct metrics *m = ctx;
    http_request_set_event(request, "healthz", 0);
    if (!db_is_remote(m->svc->db)) {
        reply_health(request, NULL);
        return;
    }
    struct health *health = arena_zalloc(http_request_arena(request), sizeof *health);
    *health = (struct health){.lane_call = {.run = ask_database, .refuse = refuse_lane},
                              .request = request};
    api_loop_run(http_request_loop_data(request), &health->lane_call);
}
