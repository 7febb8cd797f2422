// SPDX-License-Identifier: AGPL-3.0-or-later
#include "pages/pages.h"

const struct http_route pages_routes[] = {
    {0},
};
