// SPDX-License-Identifier: AGPL-3.0-or-later
#include "pages/pages.h"

#include "pages/page.h"

const struct http_route pages_routes[] = {
    {"GET", "/app", page_handle, &page_forgot},
    {"GET", "/auth/impersonate", page_handle, &page_impersonate},
    {"POST", "/auth/sign_out", page_handle, &page_sign_out},
    {"GET", "/auth/strategies", page_handle, &page_strategies},
    {"GET", "/auth/password_reset", page_handle, &page_password},
    {"GET", "/auth/password-reset/*", page_handle, &page_password_link},
    {"POST", "/auth/password_reset", page_handle, &page_password_set},
    {"GET", "/auth/verify", page_handle, &page_verify},
    {"POST", "/auth/verify", page_handle, &page_verify_confirm},
    {"GET", "/auth/invitation", page_handle, &page_invitation},
    {"POST", "/auth/invitation", page_handle, &page_invitation_accept},
    {"GET", "/requests/*", page_handle, &page_ticket},
    {"POST", "/requests/*", page_handle, &page_ticket_answer},
    {0},
};
