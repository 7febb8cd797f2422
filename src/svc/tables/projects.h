// SPDX-License-Identifier: AGPL-3.0-or-later
// The rules of the tables of projects (user-query 12.2), for their descriptions.
#ifndef SVC_TABLES_PROJECTS_H
#define SVC_TABLES_PROJECTS_H

#include "query/table.h"
#include "svc/svc.h"

// ---- project_format.c: what is put together from several columns or rows ----

// Expressions over `t`, and what makes JSON of what they give.
extern const char project_users_sql[], project_last_active_sql[], project_state_sql[];
query_format_fn project_users_format, project_last_active_format, project_state_format;

// What follows from a set once it is durable: set->note of these tables. set->begun takes over the
// action, a const struct project_action *.
struct project_action;
struct project_note {
    struct uuid *changed; // projects whose upgrades may be others now
    size_t changed_count;
    struct project_action *action; // to be carried out; NULL: none
};

// ---- project_users.c: the field `users` ----

query_check_value_fn project_users_check;
query_write_fn project_users_write;

// ---- project_actions.c: the field `action_request` ----

query_check_value_fn project_action_check;
query_write_fn project_action_write;
// Who waits for the end of an action. Fill `loop` and `done`; alive until that has run there.
struct project_action_wait {
    struct loop *loop;
    void (*done)(struct project_action_wait *wait);
    int rc; // of the action, which is in its row by then, with the project's state
    struct err err;
};
// Begins to carry it out. `wait` may be NULL. Any thread.
void project_action_run(struct svc *svc, const struct project_action *action,
                        struct project_action_wait *wait);
// In a transaction: ends some of those whose hub was gone before they had ended.
int project_actions_end_lost(struct db_session *txn, struct err *err) MUST_USE;

// ---- project_rules.c ----

query_check_value_fn project_check_title, project_check_description, project_check_avatar_tiny,
    project_check_avatar_full, project_check_image, project_check_env, project_check_licenses,
    project_check_owner_flag, project_check_requests;
query_write_fn project_licenses_write;
query_set_fn project_check, project_before, project_after;
query_committed_fn project_committed;
// In project_invite_requests.
query_set_fn project_own_request;

#endif
