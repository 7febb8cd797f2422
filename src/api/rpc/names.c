// SPDX-License-Identifier: AGPL-3.0-or-later
// system.getNames (hub-rpc 2.1).
#include "api/rpc/methods.h"
#include "svc/account_display.h"

struct names_params {
    struct api_strings account_ids;
};

static const struct api_param names_params[] = {
    {.name = "account_ids",
     .type = PARAM_STRINGS,
     .required = true,
     .is_uuid = true,
     .offset = offsetof(struct names_params, account_ids),
     .text = "accounts"},
};

static const struct api_example names_examples[] = {
    {"",
     CALL_HUB("{\"name\":\"system.getNames\",\"args\":[[\"" EXAMPLE_CALLER "\","
              "\"" EXAMPLE_ACCOUNT "\"]]}"),
     "{\"" EXAMPLE_CALLER "\":{\"first_name\":\"Ada\",\"last_name\":"
     "\"Lovelace\",\"profile\":null},\"" EXAMPLE_ACCOUNT "\":{\"first_name\":"
     "\"John\",\"last_name\":\"Doe\",\"profile\":{\"color\":\"rgb(170,170,170)\"}}}"},
};

struct names {
    struct api_call *call;
    struct account_display display;
};

static void on_displayed(struct account_display *display)
{
    struct api_call *call = CONTAINER(display, struct names, display)->call;
    if (display->rc) {
        rpc_fail(call, &display->err);
        return;
    }
    *rpc_result(call) = display->result;
    rpc_send(call);
}

static void handle_names(struct api_call *call, const void *params)
{
    const struct api_strings *texts = &((const struct names_params *)params)->account_ids;
    struct uuid *ids = arena_alloc(call->arena, (texts->count + 1) * sizeof *ids);
    for (size_t i = 0; i < texts->count; i++) {
        if (!rpc_uuid(call, texts->items[i], &ids[i]))
            return;
    }
    struct names *op = arena_zalloc(call->arena, sizeof *op);
    op->call = call;
    op->display = (struct account_display){
        .ids = ids,
        .count = texts->count,
        .owner = call->caller.account_id.text,
        .loop = call->loop,
        .done = on_displayed,
    };
    account_display(call->svc, call->session, &op->display);
}

const struct api_endpoint hub_system_get_names = {
    HUB_METHOD("system.getNames"),
    .args = ARGS_LIST,
    .run = API_ASYNC,
    .text = "The names of any accounts, with colour and picture: an object with the accounts' ids "
            "as its members. Who has no name is called No Name, and who is not there, or is "
            "deleted, Deleted User. The list of ids is the first of `args` itself.",
    API_PARAMS(names_params, struct names_params),
    .result =
        "{\"type\":\"object\",\"additionalProperties\":{\"type\":\"object\",\"required\":["
        "\"first_name\",\"last_name\"],\"properties\":{\"first_name\":{\"type\":\"string\"},"
        "\"last_name\":{\"type\":\"string\"},\"profile\":{\"type\":[\"object\",\"null\"],"
        "\"properties\":{\"color\":{\"type\":\"string\"},\"image\":{\"type\":\"string\"}}}}}}",
    API_EXAMPLES(names_examples),
    .handler = handle_names,
};
