// SPDX-License-Identifier: AGPL-3.0-or-later
// All methods, in the order of the documentation.
#include "api/rpc/methods.h"

const struct api_endpoint *const api_hub_methods[] = {
    &hub_system_ping,
    &hub_system_test,
    &hub_system_get_names,
    &hub_system_user_search,
    &hub_system_get_customize,
    &hub_sync_history,
    &hub_db_user_query,
    &hub_db_touch,
    &hub_db_file_use_times,
    &hub_db_get_legacy_time_travel_info,
    &hub_db_remove_blob_ttls,
    &hub_purchases_get_balance,
    &hub_purchases_get_min_balance,
    NULL,
};

const struct api_endpoint *const api_project_methods[] = {
    &project_ping,
    &project_system_ping,
    &project_system_test,
    NULL,
};
