// SPDX-License-Identifier: AGPL-3.0-or-later
// All methods, in the order of the documentation.
#include "api/rpc/methods.h"

const struct api_endpoint *const api_hub_methods[] = {
    &hub_system_ping,
    &hub_system_test,
    NULL,
};

const struct api_endpoint *const api_project_methods[] = {
    &project_ping,
    &project_system_ping,
    &project_system_test,
    NULL,
};
