// SPDX-License-Identifier: AGPL-3.0-or-later
// A running project's quota has changed: its sandbox is told.
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "runner/projects.h"
#include "svc/project_quota.h"

struct change {
    struct svc *svc;
    struct uuid project_id;
    bool changed;
    struct quota quota;
    struct db_write write;
    struct limit_call limit;
};

static int write_change(struct db_session *txn, void *arg, struct err *err)
{
    struct change *change = arg;
    return project_quota_update(txn, &change->svc->site.quotas, &change->project_id,
                                &change->changed, &change->quota, err);
}

static void on_limited(struct project_call *call)
{
    struct limit_call *limit = CONTAINER(call, struct limit_call, call);
    struct change *change = CONTAINER(limit, struct change, limit);
    if (call->rc && !change->svc->closing)
        log_err(LOG_WARNING, "limits_not_changed", &call->err);
    free(change);
}

static void on_change_written(struct db_write *write)
{
    struct change *change = CONTAINER(write, struct change, write);
    if (write->rc)
        log_err(LOG_WARNING, "quota_not_changed", &write->err);
    if (write->rc || !change->changed || change->svc->closing) {
        free(change);
        return;
    }
    change->limit = (struct limit_call){
        .call = {.project_id = change->project_id, .loop = change->svc->loop, .done = on_limited},
        .limits = project_limits(&change->svc->site.quotas, &change->quota)};
    projects_limit(change->svc->projects, &change->limit);
}

void project_quota_changed(struct svc *svc, const struct uuid *project_id)
{
    struct change *change = mem_zalloc(sizeof *change);
    change->svc = svc;
    change->project_id = *project_id;
    change->write = (struct db_write){.loop = svc->loop,
                                      .fn = write_change,
                                      .arg = change,
                                      .done = on_change_written,
                                      .in_order = true};
    db_write_async(svc->db, &change->write);
}
