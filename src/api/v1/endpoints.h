// SPDX-License-Identifier: AGPL-3.0-or-later
// The endpoints of API v1 that the registry lists.
#ifndef API_V1_ENDPOINTS_H
#define API_V1_ENDPOINTS_H

#include "api/api.h"
#include "api/examples.h"

extern const struct api_endpoint v1_get_usernames, v1_create_account, v1_user_auth; // accounts.c
extern const struct api_endpoint v1_delete_account, v1_change_email_address,
    v1_unlink_passport; // identity.c
extern const struct api_endpoint v1_change_password, v1_forgot_password,
    v1_reset_forgot_password;                    // passwords.c
extern const struct api_endpoint v1_user_search; // search.c
extern const struct api_endpoint v1_project_exec, v1_create_project, v1_touch_project,
    v1_disconnect_from_project; // projects.c
extern const struct api_endpoint v1_add_license_to_project, v1_remove_license_from_project,
    v1_get_available_upgrades; // licenses.c
extern const struct api_endpoint v1_read_text_file_from_project,
    v1_write_text_file_to_project;                                            // files.c
extern const struct api_endpoint v1_add_collaborator, v1_remove_collaborator; // collaborators.c
extern const struct api_endpoint v1_invite_collaborator,
    v1_invite_noncloud_collaborators; // invitations.c
extern const struct api_endpoint v1_copy_path_between_projects, v1_copy_path_status,
    v1_copy_path_delete, v1_copy_public_path_between_projects;                     // copies.c
extern const struct api_endpoint v1_ping, v1_log_client_error;                     // system.c
extern const struct api_endpoint v1_create_support_ticket, v1_get_support_tickets; // support.c
extern const struct api_endpoint v1_public_get_directory_listing,
    v1_public_get_text_file;               // public.c
extern const struct api_endpoint v1_query; // query.c

// In examples.
#define EXAMPLE_KEY "sk_abcdefQWERTY090900000000"
#define CURL        " curl -u " EXAMPLE_KEY ": \\\n"
#define CURL_JSON   CURL " -H 'Content-Type: application/json' \\\n"
#define URL(event)  " " EXAMPLE_HOST "/api/v1/" event

#endif
