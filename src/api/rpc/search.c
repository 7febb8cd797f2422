// SPDX-License-Identifier: AGPL-3.0-or-later
// system.userSearch (hub-rpc 2.1).
#include "api/rpc/methods.h"
#include "base/limits.h"
#include "svc/account_find.h"

#define LIMIT_DEFAULT 20

struct search_params {
    const char *query;
    struct api_number limit;
    bool admin, only_email;
};

#define FIELD(field) .offset = offsetof(struct search_params, field)

static const struct api_param search_params[] = {
    {.name = "query",
     .type = PARAM_STRING,
     .required = true,
     FIELD(query),
     .text = "parts of names, email addresses, with commas, semicolons or newlines between; or one "
             "account's id"},
    {.name = "limit",
     .type = PARAM_NUMBER,
     FIELD(limit),
     .text = "how many to find by name, 50 at most",
     .default_text = "20"},
    {.name = "admin",
     .type = PARAM_BOOL,
     FIELD(admin),
     .text = "search as an administrator: parts of addresses and unlisted accounts too, 2500 at "
             "most; a project's id finds who works on it",
     .default_text = "false"},
    {.name = "only_email",
     .type = PARAM_BOOL,
     FIELD(only_email),
     .text = "do not search names",
     .default_text = "false"},
};
#undef FIELD

static const struct api_example search_examples[] = {
    {"By address:",
     CALL_HUB("{\"name\":\"system.userSearch\",\"args\":[{\"query\":\"john00@example.com\"}]}"),
     "[{\"account_id\":\"" EXAMPLE_ACCOUNT "\",\"first_name\":\"John\","
     "\"last_name\":\"Doe\",\"name\":null,\"last_active\":null,\"created\":1590326951742,"
     "\"email_address_verified\":null,\"email_address\":\"john00@example.com\"}]"},
    {"Names with `oh` and `do` in them:",
     CALL_HUB("{\"name\":\"system.userSearch\",\"args\":[{\"query\":\"oh do\",\"limit\":1}]}"),
     "[{\"account_id\":\"" EXAMPLE_ACCOUNT "\",\"first_name\":\"John\","
     "\"last_name\":\"Doe\",\"name\":null,\"last_active\":null,\"created\":1590326951742,"
     "\"email_address_verified\":null}]"},
};

struct search {
    struct api_call *call;
    struct account_find find;
};

static void on_found(struct account_find *find)
{
    struct api_call *call = CONTAINER(find, struct search, find)->call;
    if (find->rc) {
        rpc_fail(call, &find->err);
        return;
    }
    *rpc_result(call) = find->results;
    rpc_send(call);
}

static int64_t read_limit(const struct search_params *p)
{
    const int64_t max = p->admin ? LIMIT_FIND_NAMES_ADMIN : LIMIT_FIND_NAMES;
    if (!p->limit.given)
        return LIMIT_DEFAULT;
    return p->limit.value < 0 ? 0 : p->limit.value > (double)max ? max : (int64_t)p->limit.value;
}

static void handle_search(struct api_call *call, const void *params)
{
    const struct search_params *p = params;
    if (p->admin && !call->caller.admin) {
        rpc_refuse(call, "Must be an admin to do admin search.");
        return;
    }
    struct search *op = arena_zalloc(call->arena, sizeof *op);
    op->call = call;
    op->find = (struct account_find){
        .query = p->query,
        .admin = p->admin,
        .only_address = p->only_email,
        .limit = read_limit(p),
        .owner = call->caller.account_id.text,
        .loop = call->loop,
        .done = on_found,
    };
    account_find_any(call->svc, call->session, &op->find);
}

const struct api_endpoint hub_system_user_search = {
    HUB_METHOD("system.userSearch"),
    .run = API_ASYNC,
    .text =
        "Finds accounts, the most recently active first. A whole email address finds the account "
        "that has it, and only such results say the address; an id finds its account. Anything "
        "else is a name: each of its words must be a part of the first name, of the last name, or "
        "of `@` and the user name. Letters count the same in upper and lower case. Accounts that "
        "are not listed are found by address and id only.",
    API_PARAMS(search_params, struct search_params),
    .result = "{\"type\":\"array\",\"items\":{\"type\":\"object\",\"required\":[\"account_id\","
              "\"first_name\",\"last_name\",\"name\",\"last_active\",\"created\","
              "\"email_address_verified\"],\"properties\":{"
              "\"account_id\":{\"type\":\"string\",\"format\":\"uuid\"},"
              "\"first_name\":{\"type\":[\"string\",\"null\"]},"
              "\"last_name\":{\"type\":[\"string\",\"null\"]},"
              "\"name\":{\"type\":[\"string\",\"null\"]},"
              "\"last_active\":{\"type\":[\"integer\",\"null\"]},"
              "\"created\":{\"type\":[\"integer\",\"null\"]},"
              "\"email_address_verified\":{\"type\":[\"boolean\",\"null\"]},"
              "\"email_address\":{\"type\":[\"string\",\"null\"]},"
              "\"banned\":{\"type\":\"boolean\"}}}}",
    API_EXAMPLES(search_examples),
    .handler = handle_search,
};
