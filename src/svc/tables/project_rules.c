// SPDX-License-Identifier: AGPL-3.0-or-later
// What may be written of a project, apart from its users and its actions (user-query 12.2).
#include "svc/tables/projects.h"

#include "base/limits.h"
#include "svc/tables/bounds.h"

// ---- Checks of single values ----

int project_check_title(const struct query_set *set UNUSED, const cJSON *value, struct err *err)
{
    return bounds_check_text(value, LIMIT_PROJECT_TITLE, err);
}

int project_check_description(const struct query_set *set UNUSED, const cJSON *value,
                              struct err *err)
{
    return bounds_check_text(value, LIMIT_PROJECT_DESCRIPTION, err);
}

int project_check_avatar_tiny(const struct query_set *set UNUSED, const cJSON *value,
                              struct err *err)
{
    return bounds_check_text(value, LIMIT_AVATAR_TINY, err);
}

int project_check_avatar_full(const struct query_set *set UNUSED, const cJSON *value,
                              struct err *err)
{
    return bounds_check_text(value, LIMIT_AVATAR_FULL, err);
}

// ---- In the transaction ----

int project_after(struct db_session *txn, struct query_set *set, struct err *err UNUSED)
{
    db_notify_row(txn, DB_TOPIC_PROJECTS, json_get_str(set->pattern, "project_id"));
    return 0;
}
