// SPDX-License-Identifier: AGPL-3.0-or-later
// The rules of the tables of projects (user-query 12.2), for their descriptions.
#ifndef SVC_TABLES_PROJECTS_H
#define SVC_TABLES_PROJECTS_H

#include "query/table.h"

// ---- project_format.c: what is put together from several columns or rows ----

// Expressions over `t`, and what makes JSON of what they give.
extern const char project_users_sql[], project_last_active_sql[], project_state_sql[];
query_format_fn project_users_format, project_last_active_format, project_state_format;

// ---- project_rules.c ----

query_check_value_fn project_check_title, project_check_description, project_check_avatar_tiny,
    project_check_avatar_full;
// Tells who watches the project.
query_set_fn project_after;

#endif
