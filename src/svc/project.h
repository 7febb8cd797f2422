// SPDX-License-Identifier: AGPL-3.0-or-later
// Projects as records: who may do what, creating, touching, listing, and what one is started with.
// Running them is runner/projects.h.
#ifndef SVC_PROJECT_H
#define SVC_PROJECT_H

#include "base/mem.h"
#include "runner/projects.h"
#include "svc/svc.h"

// How long a call waits for its project to start, milliseconds. The start goes on.
#define PROJECT_START_WAIT_MS 30000

// Of those that are deleted, too.
int project_exists(struct db_session *session, const struct uuid *project_id, bool *ret_exists,
                   struct err *err) MUST_USE;

enum project_access { ACCESS_NONE, ACCESS_READ, ACCESS_WRITE };

// What the caller may do (api-v1 2.1): owners and collaborators write, viewers read, administrators
// both if it exists.
int project_access_get(struct db_session *session, const struct caller *caller,
                       const struct uuid *project_id, enum project_access *ret_access,
                       struct err *err) MUST_USE;
// The project gate (api-v1 2.1). `project_id` is as sent; fails with the contract's texts.
int project_gate(struct db_session *session, const struct caller *caller, const char *project_id,
                 enum project_access need, struct uuid *ret_project_id, struct err *err) MUST_USE;
// The second gate (api-v1 2.1): write access, with texts to stand behind an endpoint's own.
int project_write_gate(struct db_session *session, const struct caller *caller,
                       const char *project_id, struct uuid *ret_project_id,
                       struct err *err) MUST_USE;
// The title, the arena's; "" if it has none, or there is no such project.
int project_title_get(struct db_session *session, const struct uuid *project_id,
                      struct arena *arena, const char **ret_title, struct err *err) MUST_USE;

// Notes that a project was edited, at most every 30 s (api-v1 2.1).
void project_mark_edited(struct svc *svc, const struct uuid *project_id);
// In a transaction: the project was edited now and, unless it is "", the account was active in it.
int project_active_set(struct db_session *txn, const struct uuid *project_id,
                       const struct uuid *account_id, struct err *err) MUST_USE;

// ---- Creating (api-v1 3.12) ----

struct project_create {
    // in; strings are the caller's until `done`
    const char *title, *description; // NULL: ""
    const char *image;               // NULL: the default
    const char *license;             // ids separated by commas, NULL: none
    bool start;                      // in the background, once it exists
    bool disable_internet;           // whatever its quota has
    int64_t ephemeral_ms;            // until it is deleted, 0: it is not
    struct uuid project_id;          // out; in, if `id_given`: ERR_CONFLICT if it is taken
    bool id_given;
    struct uuid account_id; // the owner
    struct loop *loop;
    void (*done)(struct project_create *create);
    // out
    int rc;
    struct err err;
    // the service's
    struct svc *svc;
    struct buf site_license;
    struct work work;
    struct db_write write;
};
// Makes the home and, in a transaction, the record; both are there when `done` is called.
void project_create(struct svc *svc, struct project_create *create);
void project_create_dispose(struct project_create *create);

// The home of a project relative to the data folder.
#define PROJECT_HOME_SIZE sizeof "projects/01234567-89ab-cdef-0123-456789abcdef"
void project_home(const struct uuid *project_id, char out[PROJECT_HOME_SIZE]);
// Makes the home if it is not there, 0700. 0 or a negative errno.
int project_home_ensure(const struct uuid *project_id) MUST_USE;

// ---- Touching (api-v1 3.35) ----

// Notes the project and the account as active, at most every 60 s for a pair.
void project_mark_used(struct svc *svc, const struct uuid *account_id,
                       const struct uuid *project_id);
// The same, and starts the project in the background.
void project_touch(struct svc *svc, const struct uuid *account_id, const struct uuid *project_id);

// ---- Looking after projects ----

// ERR_NOT_FOUND.
int project_lookup(struct db_session *session, const char *project_id, struct uuid *ret_project_id,
                   struct err *err) MUST_USE;
int project_show(struct db_session *session, const struct uuid *project_id, struct buf *out,
                 struct err *err) MUST_USE;
struct project_filter {
    const struct uuid *account_id; // NULL: of anybody
    const char *state;             // NULL: any
    bool deleted;                  // those that are deleted too
};
int project_list(struct db_session *session, const struct project_filter *filter, struct buf *out,
                 struct err *err) MUST_USE;
// In a transaction.
int project_delete(struct db_session *txn, const struct uuid *project_id, bool purge,
                   struct err *err) MUST_USE;
// In a transaction: undoes that, unless it was purged. ERR_NOT_FOUND.
int project_undelete(struct db_session *txn, const struct uuid *project_id,
                     struct err *err) MUST_USE;
// Removes the home and the run folder of a project that does not run, with all in them, as far as
// they are there. Blocking.
int project_folders_remove(const struct uuid *project_id, struct err *err) MUST_USE;

// ---- For the running of projects ----

// projects_config.load: what to start it with: the record, and the quota that its licences grant
// from now on. A deleted project is not started. `ctx` is the svc.
int project_spec_load(void *ctx, const struct uuid *project_id, struct project_spec *ret_spec,
                      struct err *err) MUST_USE;
// As projects_config.changed: writes the state, unless another hub has done more with the project
// meanwhile; a project that has stopped gives its licences back. Any thread.
void project_state_set(struct svc *svc, const struct uuid *project_id, enum project_state state,
                       int64_t seen_ms, const char *error);
// The ids of projects whose record says that they are not stopped, but not of those that were being
// started at `starting_ms` or later: another hub may be about it. *ret_ids is heap.
int project_active_ids(struct db_session *session, int64_t starting_ms, struct uuid **ret_ids,
                       size_t *ret_count, struct err *err) MUST_USE;

#endif
