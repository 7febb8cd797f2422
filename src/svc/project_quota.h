// SPDX-License-Identifier: AGPL-3.0-or-later
// The quota of a stored project: what its record, its users' upgrades and its licences make of it
// (svc/quota.h), kept as run_quota while it runs, and given to its sandbox.
#ifndef SVC_PROJECT_QUOTA_H
#define SVC_PROJECT_QUOTA_H

#include "runner/runner.h"
#include "svc/svc.h"
#include "svc/upgrades.h"

// What it has now if it runs, else what it would have if it started with the licences that were
// granted last. ERR_NOT_FOUND.
int project_quota_get(struct db_session *session, const struct quota_site *site,
                      const struct uuid *project_id, struct quota *ret_quota,
                      struct err *err) MUST_USE;

// The project is about to start: grants its licences and stores run_quota. Waits for the store; on
// a worker.
int project_quota_begin(struct svc *svc, struct db_session *session, const struct uuid *project_id,
                        struct quota *ret_quota, struct err *err) MUST_USE;

// In a transaction: something that a running project's quota is made of may have changed. Licences
// and network are those that it started with. *ret_changed tells whether *ret_quota is new, and
// then stored; it is not if the project does not run.
int project_quota_update(struct db_session *txn, const struct quota_site *site,
                         const struct uuid *project_id, bool *ret_changed, struct quota *ret_quota,
                         struct err *err) MUST_USE;
// The same once the change is stored, in the background, and gives the sandbox its new limits. Any
// thread.
void project_quota_changed(struct svc *svc, const struct uuid *project_id);

// In a transaction: whether the project runs with another network than it would now start with.
// ERR_NOT_FOUND.
int project_network_stale(struct db_session *txn, const struct quota_site *site,
                          const struct uuid *project_id, bool *ret_stale, struct err *err) MUST_USE;

// In a transaction: the administrators' base of a project (11.5); names not given stay as they are,
// 0 is the site's again. For a running project project_quota_changed comes after it. ERR_NOT_FOUND.
int project_settings_set(struct db_session *txn, const struct uuid *project_id,
                         const struct upgrade_amounts *amounts, struct err *err) MUST_USE;

// What the sandbox is to keep to.
struct runner_limits project_limits(const struct quota_site *site, const struct quota *quota);

#endif
