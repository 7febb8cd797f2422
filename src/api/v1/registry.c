// SPDX-License-Identifier: AGPL-3.0-or-later
// The order is that of the documentation.
#include "api/v1/endpoints.h"

const struct api_endpoint *const api_v1_endpoints[] = {
    &v1_get_usernames,
    &v1_create_account,
    &v1_delete_account,
    &v1_change_password,
    &v1_forgot_password,
    &v1_reset_forgot_password,
    &v1_change_email_address,
    &v1_unlink_passport,
    &v1_project_exec,
    &v1_read_text_file_from_project,
    &v1_write_text_file_to_project,
    &v1_create_project,
    &v1_user_search,
    &v1_add_license_to_project,
    &v1_remove_license_from_project,
    &v1_invite_collaborator,
    &v1_add_collaborator,
    &v1_remove_collaborator,
    &v1_invite_noncloud_collaborators,
    &v1_ping,
    &v1_log_client_error,
    &v1_create_support_ticket,
    &v1_get_support_tickets,
    &v1_user_auth,
    &v1_get_available_upgrades,
    &v1_touch_project,
    &v1_disconnect_from_project,
    NULL,
};
