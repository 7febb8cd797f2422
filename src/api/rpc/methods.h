// SPDX-License-Identifier: AGPL-3.0-or-later
// The methods of the RPC that the registry lists.
#ifndef API_RPC_METHODS_H
#define API_RPC_METHODS_H

#include "api/rpc.h"

extern const struct api_endpoint hub_system_ping, hub_system_test;                       // system.c
extern const struct api_endpoint project_ping, project_system_ping, project_system_test; // system.c

extern const struct api_endpoint hub_system_get_names;     // names.c
extern const struct api_endpoint hub_system_user_search;   // search.c
extern const struct api_endpoint hub_system_get_customize; // customize.c
extern const struct api_endpoint hub_sync_history;         // sync.c
extern const struct api_endpoint hub_db_user_query, hub_db_touch, hub_db_file_use_times,
    hub_db_get_legacy_time_travel_info, hub_db_remove_blob_ttls; // db.c
extern const struct api_endpoint hub_purchases_get_balance,
    hub_purchases_get_min_balance; // purchases.c

// In every example: what the tests and the reference page put the real values for.
#define EXAMPLE_HOST       "https://cocalc.com"
#define EXAMPLE_KEY        "sk-abcdefQWERTY0909000001"
#define EXAMPLE_PROJECT    "e49e86aa-192f-410b-8269-4b89fd934fba"
#define CURL_RPC           " curl -u " EXAMPLE_KEY ": \\\n -H 'Content-Type: application/json' \\\n"
#define CALL_HUB(body)     CURL_RPC " -d '" body "' \\\n " EXAMPLE_HOST "/api/conat/hub"
#define CALL_PROJECT(body) CURL_RPC " -d '" body "' \\\n " EXAMPLE_HOST "/api/conat/project"

#endif
