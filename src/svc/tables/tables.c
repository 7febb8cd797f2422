// SPDX-License-Identifier: AGPL-3.0-or-later
#include "svc/tables/tables.h"

const struct query_table *const query_tables[] = {
    &table_accounts,
    &table_account_profiles,
    &table_projects,
    &table_projects_all,
    &table_projects_admin,
    &table_projects_owner,
    &table_project_invite_requests,
    &table_project_avatar_images,
    &table_public_projects,
    &table_collaborators,
    &table_collaborators_one_project,
    &table_project_log,
    &table_project_log_all,
    &table_project_invite_tokens,
    &table_public_paths,
    &table_public_paths_by_id,
    &table_file_use,
    &table_file_use_times,
    &table_file_access_log,
    &table_mentions,
    &table_listings,
    &table_blobs,
    &table_compute_images,
    NULL,
};
