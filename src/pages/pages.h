// SPDX-License-Identifier: AGPL-3.0-or-later
// All pages, as routes of the HTTP server.
#ifndef PAGES_PAGES_H
#define PAGES_PAGES_H

#include "http/http.h"

// Ends with one without a path.
extern const struct http_route pages_routes[];

#endif
