// SPDX-License-Identifier: AGPL-3.0-or-later
#include "svc/status.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/sha1.h"
#include "db/query.h"
#include "svc/disk.h"

// Smaller changes are not worth a write: memory and disk, or the part of them; processor time.
#define NOTICED_KB      1024
#define NOTICED_PART    0.05
#define NOTICED_SECONDS 1

#define KB_PER_MB 1024 // of memory, as the sandbox is limited

struct status {
    double memory_kb, cache_kb, limit_kb, disk_mb, cpu_s, processes, oom_kills, start_ms, pid;
    uint32_t missing; // runner_missing
    struct uuid session_id;
};

static const struct {
    uint32_t bit;
    const char *name;
} missing_names[] = {
    {RUNNER_NO_MEMORY_LIMIT, "memory"},
    {RUNNER_NO_CPU_LIMIT, "cpu"},
    {RUNNER_NO_PROCESS_LIMIT, "processes"},
    {RUNNER_NO_NETWORK, "network"},
};

// ---- As JSON ----

static void member_number(struct buf *out, const char *key, double value)
{
    json_key(out, key);
    json_double(out, value);
}

// The process that everything in the sandbox descends from, in both of the places where clients
// look for it.
static void write_process(double pid, struct buf *out)
{
    member_number(out, "project.pid", pid);
    json_key(out, "project");
    json_begin_object(out);
    member_number(out, "pid", pid);
    json_end_object(out);
}

static void status_write(const struct status *status, struct buf *out)
{
    json_begin_object(out);
    if (status->pid > 0)
        write_process(status->pid, out);
    member_number(out, "start_ts", status->start_ms);
    json_member_str(out, "session_id", status->session_id.text);
    json_member_int(out, "version", FRAME_PROTOCOL_VERSION);
    json_key(out, "memory");
    json_begin_object(out);
    member_number(out, "rss", status->memory_kb);
    member_number(out, "cache", status->cache_kb);
    member_number(out, "limit", status->limit_kb);
    json_end_object(out);
    json_key(out, "cpu");
    json_begin_object(out);
    member_number(out, "usage", status->cpu_s);
    json_end_object(out);
    json_key(out, "processes");
    json_begin_object(out);
    member_number(out, "count", status->processes);
    json_end_object(out);
    member_number(out, "oom_kills", status->oom_kills);
    if (status->disk_mb >= 0)
        member_number(out, "disk_MB", status->disk_mb);
    json_key(out, "not_enforced");
    json_begin_array(out);
    for (size_t i = 0; i < ARRAY_LEN(missing_names); i++) {
        if (status->missing & missing_names[i].bit)
            json_str(out, missing_names[i].name);
    }
    json_end_array(out);
    json_end_object(out);
}

static double read_number(const cJSON *object, const char *outer, const char *inner)
{
    const cJSON *value = json_get(object, outer);
    if (inner)
        value = json_get(value, inner);
    return cJSON_IsNumber(value) ? value->valuedouble : -1;
}

static uint32_t read_missing(const cJSON *object)
{
    uint32_t missing = 0;
    const cJSON *name;
    cJSON_ArrayForEach(name, json_get(object, "not_enforced"))
    {
        for (size_t i = 0; i < ARRAY_LEN(missing_names); i++) {
            if (cJSON_IsString(name) && !strcmp(name->valuestring, missing_names[i].name))
                missing |= missing_names[i].bit;
        }
    }
    return missing;
}

// What is not there reads as -1, which nothing measured is.
static struct status status_read(struct db_rows *rows, int column)
{
    auto_json cJSON *object = NULL;
    if (!db_rows_null(rows, column) &&
        json_parse(db_rows_text(rows, column), db_rows_size(rows, column), LIMIT_JSON_DEPTH,
                   &object, NULL))
        object = NULL;
    return (struct status){
        .pid = read_number(object, "project.pid", NULL),
        .memory_kb = read_number(object, "memory", "rss"),
        .cache_kb = read_number(object, "memory", "cache"),
        .limit_kb = read_number(object, "memory", "limit"),
        .disk_mb = read_number(object, "disk_MB", NULL),
        .cpu_s = read_number(object, "cpu", "usage"),
        .processes = read_number(object, "processes", "count"),
        .oom_kills = read_number(object, "oom_kills", NULL),
        .start_ms = read_number(object, "start_ts", NULL),
        .missing = read_missing(object),
    };
}

// ---- Storing ----

static bool differs(double a, double b, double noticed)
{
    return fabs(a - b) >= fmax(noticed, NOTICED_PART * fmax(fabs(a), fabs(b)));
}

static bool is_noticeable(const struct status *was, const struct status *is)
{
    return was->start_ms != is->start_ms || was->limit_kb != is->limit_kb ||
           was->processes != is->processes || was->oom_kills != is->oom_kills ||
           was->missing != is->missing || was->pid != is->pid ||
           differs(was->memory_kb, is->memory_kb, NOTICED_KB) ||
           differs(was->cache_kb, is->cache_kb, NOTICED_KB) ||
           differs(was->disk_mb, is->disk_mb, 1) || is->cpu_s - was->cpu_s >= NOTICED_SECONDS;
}

// One run of a project has one id: made of its start, so that every hub tells the same, before and
// after its own restart.
static struct uuid session_id(const struct uuid *project_id, int64_t start_ms)
{
    char sum[SHA1_TEXT_SIZE];
    struct uuid id;
    auto_buf struct buf text = {0};
    buf_append_str(&text, project_id->text);
    json_write_digits(&text, start_ms);
    sha1_text(text.data, text.size, sum);
    snprintf(id.text, sizeof id.text, "%.8s-%.4s-5%.3s-8%.3s-%.12s", sum, sum + 8, sum + 12,
             sum + 15, sum + 18);
    return id;
}

static struct status measured(const struct status_refresh *refresh, struct db_rows *rows)
{
    const struct runner_usage *usage = &refresh->usage.usage;
    struct svc *svc = refresh->svc;
    int64_t disk = svc->disk ? disk_used(svc, &refresh->project_id) : -1;
    struct quota quota = {0};
    if (!quota_read(db_rows_text(rows, 2), &quota))
        quota.memory_mb = 0;
    return (struct status){
        .pid = usage->pid,
        .session_id = session_id(&refresh->project_id, db_rows_int(rows, 1)),
        .memory_kb = (double)(usage->memory_bytes / 1024),
        .cache_kb = (double)(usage->cache_bytes / 1024),
        .limit_kb = quota.memory_mb * KB_PER_MB,
        .disk_mb = disk < 0 ? -1 : ceil((double)disk / 1e6),
        .cpu_s = round((double)usage->cpu_us / 1e5) / 10,
        .processes = usage->processes,
        .oom_kills = usage->oom_kills,
        .start_ms = (double)db_rows_int(rows, 1),
        .missing = usage->missing,
    };
}

static int store(struct db_session *txn, const struct uuid *project_id, const struct status *status,
                 struct err *err)
{
    static const struct db_stmt update = {"UPDATE projects SET status = $2 WHERE project_id = $1"};
    auto_buf struct buf text = {0};
    status_write(status, &text);
    db_notify_row(txn, DB_TOPIC_PROJECTS, project_id->text);
    return db_exec(txn, &update, DB_ARGS(DB_TEXT(project_id->text), DB_TEXTN(text.data, text.size)),
                   NULL, err);
}

static int write_status(struct db_session *txn, void *arg, struct err *err)
{
    static const struct db_stmt find = {"SELECT status, last_started, run_quota FROM projects"
                                        " WHERE project_id = $1 AND state = 'running'"};
    struct status_refresh *refresh = arg;
    auto_rows struct db_rows *rows = NULL;
    refresh->object.size = 0; // of a first try of the transaction
    int rc = db_query_row(txn, &find, DB_ARGS(DB_TEXT(refresh->project_id.text)), &rows, err);
    if (rc <= 0)
        return rc;
    struct status was = status_read(rows, 0), is = measured(refresh, rows);
    if (refresh->shown)
        status_write(&is, &refresh->object);
    return is_noticeable(&was, &is) ? store(txn, &refresh->project_id, &is, err) : 0;
}

// ---- Measuring ----

static void finish(struct status_refresh *refresh, int rc, const struct err *err)
{
    refresh->rc = rc;
    if (rc)
        refresh->err = *err;
    else if (refresh->shown && !refresh->object.size)
        buf_append_str(&refresh->object, "{}");
    refresh->done(refresh);
}

static void on_written(struct db_write *write)
{
    if (write->rc)
        log_err(LOG_WARNING, "status_not_written", &write->err);
    finish(write->arg, write->rc, &write->err);
}

static void on_usage(struct project_call *call)
{
    struct usage_call *usage = CONTAINER(call, struct usage_call, call);
    struct status_refresh *refresh = CONTAINER(usage, struct status_refresh, usage);
    struct svc *svc = refresh->svc;
    if (call->rc && !svc->closing)
        log_err(LOG_WARNING, "usage_not_known", &call->err);
    if (call->rc || svc->closing || !usage->running) {
        finish(refresh, call->rc, &call->err);
        return;
    }
    refresh->write = (struct db_write){.loop = refresh->loop,
                                       .fn = write_status,
                                       .arg = refresh,
                                       .done = on_written,
                                       .in_order = true};
    db_write_async(svc->db, &refresh->write);
}

void status_refresh(struct svc *svc, struct status_refresh *refresh)
{
    refresh->svc = svc;
    refresh->object = (struct buf){0};
    if (!refresh->loop)
        refresh->loop = svc->loop;
    refresh->usage = (struct usage_call){
        .call = {.project_id = refresh->project_id, .loop = refresh->loop, .done = on_usage}};
    projects_usage(svc->projects, &refresh->usage);
}

static void on_refreshed_later(struct status_refresh *refresh)
{
    free(refresh);
}

void status_refresh_later(struct svc *svc, const struct uuid *project_id)
{
    struct status_refresh *refresh = mem_zalloc(sizeof *refresh);
    refresh->project_id = *project_id;
    refresh->done = on_refreshed_later;
    status_refresh(svc, refresh);
}
