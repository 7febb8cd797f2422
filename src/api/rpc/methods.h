// SPDX-License-Identifier: AGPL-3.0-or-later
// The methods of the RPC that the registry lists.
#ifndef API_RPC_METHODS_H
#define API_RPC_METHODS_H

#include "api/rpc.h"

extern const struct api_endpoint hub_system_ping, hub_system_test;                       // system.c
extern const struct api_endpoint project_ping, project_system_ping, project_system_test; // system.c

// In every example: what the tests and the reference page put the real values for.
#define EXAMPLE_HOST       "https://cocalc.com"
#define EXAMPLE_KEY        "sk-abcdefQWERTY0909000001"
#define EXAMPLE_PROJECT    "e49e86aa-192f-410b-8269-4b89fd934fba"
#define CURL_RPC           " curl -u " EXAMPLE_KEY ": \\\n -H 'Content-Type: application/json' \\\n"
#define CALL_HUB(body)     CURL_RPC " -d '" body "' \\\n " EXAMPLE_HOST "/api/conat/hub"
#define CALL_PROJECT(body) CURL_RPC " -d '" body "' \\\n " EXAMPLE_HOST "/api/conat/project"

#endif
