// SPDX-License-Identifier: AGPL-3.0-or-later
// The ways to sign in, for programs (api-v1 3.8).
#include <string.h>

#include "http/http.h"
#include "pages/page.h"

static void run(struct page_call *call)
{
    struct buf *out = &call->body;
    json_begin_array(out);
    if (strcmp(page_query(call, "v"), "2")) {
        json_str(out, "email");
    } else {
        json_begin_object(out);
        json_member_str(out, "name", "email");
        json_member_str(out, "display", "Email");
        json_member_str(out, "type", "email");
        json_key(out, "icon");
        json_null(out);
        json_member_bool(out, "public", true);
        json_end_object(out);
    }
    json_end_array(out);
    http_reply(call->request, 200, HTTP_JSON, out);
}

struct page page_strategies = {.name = "strategies", .run = run};
