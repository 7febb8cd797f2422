// SPDX-License-Identifier: AGPL-3.0-or-later
// The tables of user queries: a constant each, in the file that its name begins with or that its
// heading names. tables.c lists them all. The routines' `ctx` is a struct svc.
#ifndef SVC_TABLES_TABLES_H
#define SVC_TABLES_TABLES_H

#include "query/table.h"
#include "svc/svc.h"

// All tables, NULL behind the last.
extern const struct query_table *const query_tables[];

// accounts.c
extern const struct query_table table_accounts, table_account_profiles, table_collaborators,
    table_collaborators_one_project;
// projects.c
extern const struct query_table table_projects, table_projects_all, table_projects_admin,
    table_projects_owner, table_project_invite_requests, table_project_avatar_images,
    table_public_projects;
// project_log.c
extern const struct query_table table_project_log, table_project_log_all;
// project_invite_tokens.c
extern const struct query_table table_project_invite_tokens;
// public_paths.c
extern const struct query_table table_public_paths, table_public_paths_by_id;
// file_use.c
extern const struct query_table table_file_use, table_file_use_times, table_file_access_log;
// mentions.c, listings.c, blobs.c, compute_images.c
extern const struct query_table table_mentions, table_listings, table_blobs, table_compute_images;
// licenses.c
extern const struct query_table table_site_licenses, table_matching_site_licenses,
    table_manager_site_licenses, table_site_license_public_info, table_site_license_usage_stats,
    table_projects_using_site_license, table_number_of_projects_using_site_license;
// settings.c
extern const struct query_table table_site_settings, table_server_settings,
    table_system_notifications;
// registration_tokens.c
extern const struct query_table table_registration_tokens;
// logs.c
extern const struct query_table table_central_log, table_client_error_log, table_user_tracking;
// messages.c
extern const struct query_table table_messages, table_sent_messages, table_create_message;
// organizations.c
extern const struct query_table table_organizations;
// closed.c: without any block
extern const struct query_table table_webapp_errors, table_copy_paths, table_site_license_usage_log,
    table_passport_settings, table_stats, table_api_keys, table_remember_me, table_auth_tokens,
    table_account_creation_actions, table_password_reset, table_password_reset_attempts;

#endif
