// SPDX-License-Identifier: AGPL-3.0-or-later
// The life of a project as its people steer it (hub-rpc 2.3, 4.1): what it does now, starting,
// stopping, deleting. What is answered is true for every hub: the record says it too by then.
#ifndef SVC_PROJECT_LIFE_H
#define SVC_PROJECT_LIFE_H

#include "runner/projects.h"
#include "svc/svc.h"

// What the project does now: its record, held against the socket by which it is found. A record
// that turns out to be wrong is put right in the background. ERR_NOT_FOUND.
int project_state_find(struct svc *svc, struct db_session *session, const struct uuid *project_id,
                       enum project_state *ret_state, struct err *err) MUST_USE;
// What a hub that is gone left in a start or a stop before `before_ms` is recorded as running, in
// the background. Those who look at it afterwards (projects_adopt) tell if it does not run; that
// it does is no news to them, and a record that says otherwise would stay. Any thread.
void project_transitions_end(struct svc *svc, int64_t before_ms);
// That it is opened was found out now: for a record that never had anything found out.
int project_state_confirm(struct svc *svc, struct db_session *session,
                          const struct uuid *project_id, struct err *err) MUST_USE;

// Fill, and keep alive until `done`, which runs on `loop`.
struct project_steering {
    struct uuid project_id;
    const char *reason; // of a stop: told to those whose commands it ends; or NULL
    struct loop *loop;
    void (*done)(struct project_steering *steering);
    // out
    int rc;
    struct err err;
    // the service's
    struct svc *svc;
    struct project_call call;
    struct db_write write;
};
// Starts it, waits until it runs, and marks it as edited. ERR_TIMEOUT after 30 s, while the start
// goes on.
void project_start(struct svc *svc, struct project_steering *steering);
// Ends what runs in it, within 20 s or so, else ERR_UNAVAILABLE.
void project_stop(struct svc *svc, struct project_steering *steering);
// Takes its licences off, marks it as deleted and stops it; that it cannot be stopped is no
// failure. Its files and its people stay. ERR_NOT_FOUND.
void project_remove(struct svc *svc, struct project_steering *steering);

// In the background; a failure is logged. Any thread.
void project_start_later(struct svc *svc, const struct uuid *project_id);
void project_stop_later(struct svc *svc, const struct uuid *project_id, const char *reason);
// Nothing happens to one that does not run.
void project_restart_later(struct svc *svc, const struct uuid *project_id, const char *reason);

#endif
