// SPDX-License-Identifier: AGPL-3.0-or-later
#include "pages/pages.h"

#include "pages/page.h"

const struct http_route pages_routes[] = {
    {"GET", "/auth/invitation", page_handle, &page_invitation},
    {"POST", "/auth/invitation", page_handle, &page_invitation_accept},
    {"GET", "/requests/*", page_handle, &page_ticket},
    {"POST", "/requests/*", page_handle, &page_ticket_answer},
    {0},
};
