// SPDX-License-Identifier: AGPL-3.0-or-later
// purchases.getBalance, purchases.getMinBalance (hub-rpc section 3): nothing is sold here.
#include "api/rpc/methods.h"

static void handle_zero(struct api_call *call, const void *params UNUSED)
{
    json_int(rpc_result(call), 0);
    rpc_send(call);
}

static const struct api_example balance_examples[] = {
    {"What is the caller's balance?", CALL_HUB("{\"name\":\"purchases.getBalance\",\"args\":[{}]}"),
     "0"},
};

const struct api_endpoint hub_purchases_get_balance = {
    HUB_METHOD("purchases.getBalance"),
    .run = API_INSTANT,
    .text = "The caller's balance. It is always 0: this server sells nothing.",
    .result = "{\"type\":\"number\"}",
    API_EXAMPLES(balance_examples),
    .handler = handle_zero,
};

static const struct api_example min_balance_examples[] = {
    {"How far may it fall?", CALL_HUB("{\"name\":\"purchases.getMinBalance\",\"args\":[{}]}"), "0"},
};

const struct api_endpoint hub_purchases_get_min_balance = {
    HUB_METHOD("purchases.getMinBalance"),
    .run = API_INSTANT,
    .text = "The lowest balance that the caller may have. It is always 0: this server sells "
            "nothing.",
    .result = "{\"type\":\"number\"}",
    API_EXAMPLES(min_balance_examples),
    .handler = handle_zero,
};
