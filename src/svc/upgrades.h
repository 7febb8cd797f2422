// SPDX-License-Identifier: AGPL-3.0-or-later
// Upgrades (api-v1 11.2 to 11.4, 3.34): what an account has to give, and what its projects have of
// it. Who has no total has nothing to give.
#ifndef SVC_UPGRADES_H
#define SVC_UPGRADES_H

#include "svc/svc.h"

struct upgrade_amounts {
    double of[UPGRADE_COUNT];
    bool given[UPGRADE_COUNT]; // named at all
};
// What an object counts, upgrade by upgrade. NULL, or anything else, names nothing.
struct upgrade_amounts upgrade_amounts_read(const cJSON *object);
void upgrade_amounts_write(const struct upgrade_amounts *amounts, struct buf *out);
// What `more` names counts from now on; 0 names nothing any more.
void upgrade_amounts_replace(struct upgrade_amounts *amounts, const struct upgrade_amounts *more);

// What some project has of an account beyond what there was to give; or what is left of it then.
struct upgrade_trim {
    struct uuid project_id;
    struct upgrade_amounts excess, kept;
};
struct upgrade_state {
    struct upgrade_amounts total, available;
    struct upgrade_trim *trims; // only projects with an excess; heap
    size_t trims_count;
    size_t projects; // that have any of its upgrades
};
// 11.3. ERR_NOT_FOUND.
int upgrades_get(struct db_session *session, const struct uuid *account_id,
                 struct upgrade_state *ret_state, struct err *err) MUST_USE;
void upgrade_state_dispose(struct upgrade_state *state);
// Appends the members total, excess and available of the reply (3.34).
void upgrade_state_write(const struct upgrade_state *state, struct buf *out);

// In a transaction: what an account has to give; names not given stay as they are, 0 removes one.
// What its projects have beyond that is excess until it is next given out. ERR_NOT_FOUND.
int upgrades_total_set(struct db_session *txn, const struct uuid *account_id,
                       const struct upgrade_amounts *amounts, struct err *err) MUST_USE;

// Gives a project upgrades of one of its users (11.4): names not given stay as they are. What the
// account gives beyond its total is taken back, from the projects that have an excess by 11.3.
struct upgrades_apply {
    struct uuid account_id, project_id;
    struct upgrade_amounts amounts;
    // out: the projects whose upgrades may be others now (heap), for project_quota_changed; what
    // this one has of the account
    struct uuid *changed;
    size_t changed_count;
    struct upgrade_amounts stored;
};
// In a transaction. ERR_NOT_FOUND if the account is no user of the project, ERR_INVALID when it has
// given to too many.
int upgrades_apply(struct db_session *txn, struct upgrades_apply *apply, struct err *err) MUST_USE;
void upgrades_apply_dispose(struct upgrades_apply *apply);

#endif
