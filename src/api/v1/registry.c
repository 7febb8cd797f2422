// SPDX-License-Identifier: AGPL-3.0-or-later
// The order is that of the documentation.
#include "api/v1/endpoints.h"

const struct api_endpoint *const api_v1_endpoints[] = {
    &v1_get_usernames,
    &v1_create_account,
    &v1_project_exec,
    &v1_read_text_file_from_project,
    &v1_write_text_file_to_project,
    &v1_create_project,
    &v1_ping,
    &v1_log_client_error,
    &v1_user_auth,
    &v1_touch_project,
    NULL,
};
