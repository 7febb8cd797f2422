// SPDX-License-Identifier: AGPL-3.0-or-later
#include "svc/project_quota.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "db/query.h"
#include "svc/licenses.h"

// ---- What it is made of ----

struct sources {
    cJSON *settings, *site_license;
    cJSON **upgrades; // of each user who has given any
    size_t upgrades_count;
    char *run_quota; // NULL: none yet
    bool running, disable_internet;
};

static void sources_dispose(struct sources *sources)
{
    cJSON_Delete(sources->settings);
    cJSON_Delete(sources->site_license);
    for (size_t i = 0; i < sources->upgrades_count; i++)
        cJSON_Delete(sources->upgrades[i]);
    free(sources->upgrades);
    free(sources->run_quota);
}
#define auto_sources CLEANUP(sources_dispose)

// NULL for what is none.
static cJSON *read_json(struct db_rows *rows, int column)
{
    cJSON *value = NULL;
    if (db_rows_null(rows, column) ||
        json_parse(db_rows_text(rows, column), db_rows_size(rows, column), LIMIT_JSON_DEPTH, &value,
                   NULL))
        return NULL;
    return value;
}

static int read_record(struct db_session *session, const struct uuid *project_id,
                       struct sources *out, struct err *err)
{
    static const struct db_stmt find = {
        "SELECT settings, site_license, run_quota, state, disable_internet FROM projects"
        " WHERE project_id = $1"};
    auto_rows struct db_rows *rows = NULL;
    int rc = db_query_row(session, &find, DB_ARGS(DB_TEXT(project_id->text)), &rows, err);
    if (rc < 0)
        return rc;
    if (!rc)
        return err_set(err, ERR_NOT_FOUND, "project %s does not exist", project_id->text);
    out->settings = read_json(rows, 0);
    out->site_license = read_json(rows, 1);
    out->run_quota = db_rows_null(rows, 2) ? NULL : mem_strdup(db_rows_text(rows, 2));
    out->running = !strcmp(db_rows_text(rows, 3), "running");
    out->disable_internet = db_rows_int(rows, 4);
    return 0;
}

static int read_upgrades(struct db_session *session, const struct uuid *project_id,
                         struct sources *out, struct err *err)
{
    static const struct db_stmt list = {
        "SELECT upgrades FROM project_users WHERE project_id = $1 AND upgrades IS NOT NULL"};
    auto_rows struct db_rows *rows = NULL;
    int rc = db_query(session, &list, DB_ARGS(DB_TEXT(project_id->text)), &rows, err);
    if (rc)
        return rc;
    while ((rc = db_rows_next(rows, err)) == 1) {
        out->upgrades =
            mem_realloc(out->upgrades, (out->upgrades_count + 1) * sizeof *out->upgrades);
        out->upgrades[out->upgrades_count++] = read_json(rows, 0);
    }
    return rc;
}

static int read_sources(struct db_session *session, const struct uuid *project_id,
                        struct sources *out, struct err *err)
{
    int rc = read_record(session, project_id, out, err);
    return rc ? rc : read_upgrades(session, project_id, out, err);
}

static struct quota compute(const struct quota_site *site, const struct sources *sources,
                            const cJSON *licenses)
{
    struct quota_input input = {.settings = sources->settings,
                                .upgrades = (const cJSON *const *)sources->upgrades,
                                .upgrades_count = sources->upgrades_count,
                                .licenses = licenses};
    struct quota quota;
    quota_compute(site, &input, &quota);
    quota.network &= !sources->disable_internet;
    return quota;
}

int project_quota_get(struct db_session *session, const struct quota_site *site,
                      const struct uuid *project_id, struct quota *ret_quota, struct err *err)
{
    auto_sources struct sources sources = {0};
    int rc = read_sources(session, project_id, &sources, err);
    if (rc)
        return rc;
    if (!sources.running || !quota_read(sources.run_quota, ret_quota))
        *ret_quota = compute(site, &sources, sources.site_license);
    return 0;
}

// ---- Storing it ----

// True if `quota` is what is stored already.
static bool is_stored(const struct sources *sources, const struct quota *quota)
{
    auto_buf struct buf text = {0};
    quota_write(quota, &text);
    return sources->run_quota && !strcmp(sources->run_quota, buf_cstr(&text));
}

static int store(struct db_session *txn, const struct uuid *project_id, const struct quota *quota,
                 struct err *err)
{
    static const struct db_stmt update = {
        "UPDATE projects SET run_quota = $2 WHERE project_id = $1"};
    auto_buf struct buf text = {0};
    quota_write(quota, &text);
    db_notify_row(txn, DB_TOPIC_PROJECTS, project_id->text);
    return db_exec(txn, &update, DB_ARGS(DB_TEXT(project_id->text), DB_TEXTN(text.data, text.size)),
                   NULL, err);
}

struct begin {
    const struct quota_site *site;
    struct uuid project_id;
    struct quota quota;
};

static int write_begin(struct db_session *txn, void *arg, struct err *err)
{
    struct begin *begin = arg;
    auto_sources struct sources sources = {0};
    auto_json cJSON *granted = NULL;
    int rc = read_sources(txn, &begin->project_id, &sources, err);
    if (!rc)
        rc = licenses_grant(txn, &begin->project_id, sources.site_license, &granted, err);
    if (!rc && granted->child)
        rc = project_licenses_store(txn, &begin->project_id, granted, err);
    if (rc)
        return rc;
    begin->quota = compute(begin->site, &sources, granted);
    return store(txn, &begin->project_id, &begin->quota, err);
}

static int write_quota(struct db_session *txn, void *arg, struct err *err)
{
    const struct begin *begin = arg;
    return store(txn, &begin->project_id, &begin->quota, err);
}

// Most projects have no licence and the quota of their last start: then nothing is written. Only
// licences, of which there may not be enough, are waited for.
int project_quota_begin(struct svc *svc, struct db_session *session, const struct uuid *project_id,
                        struct quota *ret_quota, struct err *err)
{
    auto_sources struct sources sources = {0};
    struct begin begin = {.site = &svc->site.quotas, .project_id = *project_id};
    int rc = read_sources(session, project_id, &sources, err);
    if (rc)
        return rc;
    begin.quota = compute(begin.site, &sources, NULL);
    if (cJSON_GetArraySize(sources.site_license))
        rc = db_write(svc->db, write_begin, &begin, err);
    else if (!is_stored(&sources, &begin.quota))
        svc_write_later(svc, write_quota, &begin, sizeof begin);
    if (!rc)
        *ret_quota = begin.quota;
    return rc;
}

// ---- While it runs ----

// What a running project would be given if it were started now.
static int compute_now(struct db_session *txn, const struct quota_site *site,
                       const struct uuid *project_id, struct sources *ret_sources,
                       struct quota *ret_quota, struct err *err)
{
    auto_json cJSON *granted = NULL;
    int rc = read_sources(txn, project_id, ret_sources, err);
    if (!rc)
        rc = licenses_granted(txn, project_id, &granted, err);
    if (!rc)
        *ret_quota = compute(site, ret_sources, granted);
    return rc;
}

int project_quota_update(struct db_session *txn, const struct quota_site *site,
                         const struct uuid *project_id, bool *ret_changed, struct quota *ret_quota,
                         struct err *err)
{
    auto_sources struct sources sources = {0};
    struct quota before, quota;
    int rc = compute_now(txn, site, project_id, &sources, &quota, err);
    if (rc)
        return rc;
    if (quota_read(sources.run_quota, &before))
        quota.network = before.network;
    bool changed = sources.running && !is_stored(&sources, &quota);
    rc = changed ? store(txn, project_id, &quota, err) : 0;
    if (!rc) {
        *ret_changed = changed;
        *ret_quota = quota;
    }
    return rc;
}

int project_network_stale(struct db_session *txn, const struct quota_site *site,
                          const struct uuid *project_id, bool *ret_stale, struct err *err)
{
    auto_sources struct sources sources = {0};
    struct quota before, quota;
    int rc = compute_now(txn, site, project_id, &sources, &quota, err);
    if (rc)
        return rc;
    *ret_stale = sources.running && quota_read(sources.run_quota, &before) &&
                 before.network != quota.network;
    return 0;
}

int project_settings_set(struct db_session *txn, const struct uuid *project_id,
                         const struct upgrade_amounts *amounts, struct err *err)
{
    static const struct db_stmt update = {
        "UPDATE projects SET settings = $2 WHERE project_id = $1"};
    auto_sources struct sources sources = {0};
    auto_buf struct buf text = {0};
    int rc = read_record(txn, project_id, &sources, err);
    if (rc)
        return rc;
    struct upgrade_amounts settings = upgrade_amounts_read(sources.settings);
    upgrade_amounts_replace(&settings, amounts);
    upgrade_amounts_write(&settings, &text);
    db_notify_row(txn, DB_TOPIC_PROJECTS, project_id->text);
    return db_exec(txn, &update, DB_ARGS(DB_TEXT(project_id->text), DB_TEXTN(text.data, text.size)),
                   NULL, err);
}

// ---- For the sandbox ----

// 0 would be no limit.
static uint32_t limit_of(double value)
{
    return value < 1 ? 1 : value < UINT32_MAX ? (uint32_t)value : UINT32_MAX;
}

struct runner_limits project_limits(const struct quota_site *site, const struct quota *quota)
{
    return (struct runner_limits){
        .memory_mb = limit_of(quota->memory_mb),
        .cpu_millis = limit_of(round(quota->cpu_limit * 1000)),
        .cpu_shares = limit_of(round(quota->cpu_request * 1024)),
        .processes = site->processes,
    };
}
