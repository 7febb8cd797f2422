// SPDX-License-Identifier: AGPL-3.0-or-later
// Tables of the server's own: queries know their names, and that is all (user-query 8.1, step 2).
#include "svc/tables/tables.h"

#define CLOSED(id) const struct query_table table_##id = {.name = #id, .text = "The server's own."}

CLOSED(webapp_errors);
CLOSED(copy_paths);
CLOSED(site_license_usage_log);
CLOSED(passport_settings);
CLOSED(stats);
CLOSED(api_keys);
CLOSED(remember_me);
CLOSED(auth_tokens);
CLOSED(account_creation_actions);
CLOSED(password_reset);
CLOSED(password_reset_attempts);
