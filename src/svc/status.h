// SPDX-License-Identifier: AGPL-3.0-or-later
// projects.status: what a running project uses, as it was last measured (hub-rpc 4.3).
#ifndef SVC_STATUS_H
#define SVC_STATUS_H

#include "base/buf.h"
#include "runner/projects.h"
#include "svc/svc.h"

// Measures a running project and stores that, if it has changed noticeably. Fill, and keep alive
// until `done`, which runs on svc->loop or `loop`. A failure is logged.
struct status_refresh {
    struct uuid project_id;
    struct loop *loop; // NULL: svc->loop
    bool shown;        // the object is wanted
    void (*done)(struct status_refresh *refresh);
    // out
    int rc;
    struct err err;
    struct buf object; // if it is wanted, the caller's: {} if the project does not run
    // the service's
    struct svc *svc;
    struct usage_call usage;
    struct db_write write;
};
void status_refresh(struct svc *svc, struct status_refresh *refresh);
// The same when nobody waits for it. Any thread.
void status_refresh_later(struct svc *svc, const struct uuid *project_id);

#endif
