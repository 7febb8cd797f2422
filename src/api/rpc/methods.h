// SPDX-License-Identifier: AGPL-3.0-or-later
// The methods of the RPC that the registry lists.
#ifndef API_RPC_METHODS_H
#define API_RPC_METHODS_H

#include "api/examples.h"
#include "api/rpc.h"

extern const struct api_endpoint hub_system_ping, hub_system_test;                       // system.c
extern const struct api_endpoint project_ping, project_system_ping, project_system_test; // system.c

extern const struct api_endpoint hub_system_get_names;       // names.c
extern const struct api_endpoint hub_system_user_search;     // search.c
extern const struct api_endpoint hub_system_get_customize;   // customize.c
extern const struct api_endpoint hub_system_manage_api_keys; // keys.c
extern const struct api_endpoint hub_system_generate_user_auth_token,
    hub_system_revoke_user_auth_token, hub_system_admin_reset_password_link,
    hub_system_send_email_verification, hub_system_delete_passport, hub_system_user_tracking,
    hub_system_log_client_error, hub_system_webapp_error; // accounts.c
extern const struct api_endpoint hub_projects_create_project, hub_projects_delete_project,
    hub_projects_set_quotas; // projects.c
extern const struct api_endpoint hub_projects_add_collaborator, hub_projects_remove_collaborator,
    hub_projects_change_user_type, hub_projects_invite_collaborator,
    hub_projects_invite_collaborator_without_account;                     // collaborators.c
extern const struct api_endpoint hub_projects_copy_path_between_projects; // copies.c
extern const struct api_endpoint hub_projects_start, hub_projects_stop, hub_projects_touch,
    hub_projects_state, hub_projects_status; // project_life.c
extern const struct api_endpoint hub_jupyter_kernels, hub_jupyter_execute,
    project_system_jupyter_execute, project_system_list_jupyter_kernels,
    project_system_stop_jupyter_kernel, project_editor_jupyter_kernels,
    project_editor_jupyter_kernel_logo;            // jupyter.c
extern const struct api_endpoint hub_sync_history; // sync.c
extern const struct api_endpoint hub_db_user_query, hub_db_touch, hub_db_file_use_times,
    hub_db_get_legacy_time_travel_info, hub_db_remove_blob_ttls; // db.c
extern const struct api_endpoint hub_purchases_get_balance,
    hub_purchases_get_min_balance;                                    // purchases.c
extern const struct api_endpoint hub_messages_send, hub_messages_get; // messages.c
extern const struct api_endpoint hub_org_get_all, hub_org_create, hub_org_get, hub_org_set,
    hub_org_add_admin, hub_org_add_user, hub_org_get_users, hub_org_remove_user,
    hub_org_remove_admin; // organizations.c
extern const struct api_endpoint hub_org_create_user, hub_org_create_token, hub_org_expire_token,
    hub_org_message;                                                         // organization_users.c
extern const struct api_endpoint project_system_exec, project_system_signal; // exec.c
extern const struct api_endpoint project_system_listing, project_system_delete_files,
    project_system_move_files, project_system_rename_file, project_system_realpath,
    project_system_canonical_paths, project_system_read_text_file_from_project,
    project_system_write_text_file_to_project, project_system_version,
    project_editor_new_file; // files.c

// The parameters and the handler of the methods that end a token (accounts.c).
struct end_token_params {
    const char *token;
};
void rpc_end_token(struct api_call *call, const void *params);

// What a method answers that has nothing to say.
#define NULL_SCHEMA "{\"type\":\"null\"}"

// In examples.
#define EXAMPLE_KEY        "sk-abcdefQWERTY0909000001"
#define EXAMPLE_CALLER     "d0bdabfd-850e-4c8d-8510-f6f1ecb9a5eb" // whose key it is
#define EXAMPLE_ACCOUNT    "96c523b8-321e-41a3-9523-39fde95dc71d" // somebody else's
#define CURL_RPC           " curl -u " EXAMPLE_KEY ": \\\n -H 'Content-Type: application/json' \\\n"
#define CALL_HUB(body)     CURL_RPC " -d '" body "' \\\n " EXAMPLE_HOST "/api/conat/hub"
#define CALL_PROJECT(body) CURL_RPC " -d '" body "' \\\n " EXAMPLE_HOST "/api/conat/project"

#endif
