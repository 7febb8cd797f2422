// SPDX-License-Identifier: AGPL-3.0-or-later
// Licences (api-v1 3.14, 3.15, 11.5): what raises the quota of the projects that they are attached
// to, for as many projects at once as they are good for.
//
// projects.site_license names the licences of a project. They are looked at when it starts, in one
// transaction: each that holds and has a place left is granted. A row of site_license_usage_log
// that has no end is such a place in use; so a place is taken once however many projects start at
// the same moment, and given back when the project is known to run no more.
#ifndef SVC_LICENSES_H
#define SVC_LICENSES_H

#include "svc/svc.h"

struct license_create {
    const char *title, *description; // NULL: none
    const char *upgrades;            // JSON: upgrade -> amount, added to the quota; NULL: none
    const char *quota; // JSON: cpu, ram (GB), disk (GB), dedicated_cpu, dedicated_ram (GB),
                       // idle_timeout (s), member, always_running; NULL: none
    int64_t run_limit; // projects at once; 0: any number
    int64_t activates_ms, expires_ms; // expires 0: never
    const char *managers;             // JSON array of accounts, NULL: none
};
// In a transaction.
int license_create(struct db_session *txn, const struct license_create *create, struct uuid *ret_id,
                   struct err *err) MUST_USE;

// Appends one JSON object, with the number of projects that run with it now. ERR_NOT_FOUND,
// ERR_INVALID for a text that is no UUID.
int license_show(struct db_session *session, const char *license_id, struct buf *out,
                 struct err *err) MUST_USE;
// Appends a JSON array of all, newest first, 1000 at most.
int license_list(struct db_session *session, struct buf *out, struct err *err) MUST_USE;

// ---- Of a project; in a transaction ----

// Attaches a licence, from the next start on; what is attached stays as it is. Neither is checked
// to exist. ERR_INVALID when there are too many.
int project_license_add(struct db_session *txn, const struct uuid *project_id,
                        const struct uuid *license_id, struct err *err) MUST_USE;
// The running project keeps what it was granted.
int project_license_remove(struct db_session *txn, const struct uuid *project_id,
                           const struct uuid *license_id, struct err *err) MUST_USE;

// Replaces all that is attached.
int project_licenses_store(struct db_session *txn, const struct uuid *project_id,
                           const cJSON *licenses, struct err *err) MUST_USE;

// The project is about to start: grants what can be granted of `site_license` (the map id ->
// anything), takes the places, and gives the places back that it had. *ret_granted is the map with
// each entry filled from its licence, or {}; the caller's.
int licenses_grant(struct db_session *txn, const struct uuid *project_id, const cJSON *site_license,
                   cJSON **ret_granted, struct err *err) MUST_USE;
// What it runs with, in the same form.
int licenses_granted(struct db_session *session, const struct uuid *project_id, cJSON **ret_granted,
                     struct err *err) MUST_USE;
// The project was seen not to run at that time: the places that it had then are free.
int licenses_release(struct db_session *txn, const struct uuid *project_id, int64_t time_ms,
                     struct err *err) MUST_USE;
// Frees the places of all projects that do not run by their records.
int licenses_release_lost(struct db_session *txn, struct err *err) MUST_USE;

#endif
