// SPDX-License-Identifier: AGPL-3.0-or-later
// user_search (api-v1 3.13, section 7).

#include "api/v1/endpoints.h"
#include "base/limits.h"
#include "http/http.h"
#include "svc/account_search.h"
#include "svc/accounts.h"

#define LIMIT_DEFAULT 20

struct user_search_params {
    const cJSON *query;
    bool admin;
    const char *active;
    struct api_number limit;
};

#define FIELD(field) .offset = offsetof(struct user_search_params, field)

static const struct api_param user_search_params[] = {
    {.name = "query",
     .type = PARAM_ANY,
     .required = true,
     FIELD(query),
     .text = "email addresses and names, with commas, semicolons or newlines between"},
    {.name = "admin",
     .type = PARAM_BOOL,
     FIELD(admin),
     .text = "search as an administrator: any part of names and addresses matches, and the "
             "results have addresses",
     .default_text = "false"},
    {.name = "active",
     .type = PARAM_STRING,
     FIELD(active),
     .text = "of those found by name, only who was active, or made the account, within this time, "
             "such as `6 months` or `10 days`",
     .default_text = "\"\""},
    {.name = "limit",
     .type = PARAM_NUMBER,
     FIELD(limit),
     .text = "how many to find by name, 50 at most",
     .default_text = "20"},
};
#undef FIELD

static const struct api_member user_search_members[] = {
    {.name = "results",
     .schema = "{\"type\":\"array\",\"items\":{\"type\":\"object\",\"required\":[\"account_id\"],"
               "\"properties\":{\"account_id\":{\"type\":\"string\",\"format\":\"uuid\"},"
               "\"first_name\":{\"type\":[\"string\",\"null\"]},"
               "\"last_name\":{\"type\":[\"string\",\"null\"]},"
               "\"last_active\":{\"type\":[\"string\",\"null\"],\"format\":\"date-time\"},"
               "\"created\":{\"type\":\"string\",\"format\":\"date-time\"},"
               "\"email_address\":{\"type\":\"string\"},"
               "\"email_address_verified\":{\"type\":[\"object\",\"null\"],"
               "\"additionalProperties\":{\"type\":\"string\",\"format\":\"date-time\"}},"
               "\"banned\":{\"type\":\"boolean\"}}}}"},
};

#define JOHN                                                                                       \
    "{\"account_id\":\"96c523b8-321e-41a3-9523-39fde95dc71d\",\"first_name\":\"John\","            \
    "\"last_name\":\"Doe\",\"last_active\":null,\"created\":\"2020-05-24T13:29:11.742Z\","         \
    "\"email_address\":\"john00@example.com\",\"email_address_verified\":null}"
#define FOUND(id, first, last)                                                                     \
    "{\"account_id\":\"" id "\",\"first_name\":\"" first "\",\"last_name\":\"" last                \
    "\",\"last_active\":null,\"created\":\"2020-05-24T13:29:11.742Z\"}"
#define FOO_BAR                                                                                    \
    FOUND("9b896055-920a-413c-9172-dfb4007a8e7f", "bar123", "fooxyz")                              \
    "," FOUND("1a842a67-eed3-405d-a222-2f23a33f675e", "foo",                                       \
              "bar") "," FOUND("0e9418a7-af6a-4004-970a-32fafe733f29", "Foo", "Bar")

static const struct api_example user_search_examples[] = {
    {"By address:", CURL " -d query=john00@example.com \\\n" URL("user_search"),
     "{\"event\":\"user_search_results\",\"id\":\"3818fa50-b892-4167-b9d9-d22d521b36af\","
     "\"results\":[" JOHN "]}"},
    {"At most three whose first and last names begin with `foo` and `bar`, in either order:",
     CURL " -d 'query=foo bar' \\\n -d limit=3 \\\n" URL("user_search"),
     "{\"event\":\"user_search_results\",\"id\":\"fd9b025b-25d0-4e27-97f4-2c080bb07155\","
     "\"results\":[" FOO_BAR "]}"},
    {"Names and addresses together:",
     CURL " -d 'query=foo bar,john00@example.com' \\\n -d limit=4 \\\n" URL("user_search"),
     "{\"event\":\"user_search_results\",\"id\":\"a2554ec8-665b-495b-b0e2-8e248b54eb94\","
     "\"results\":[" FOO_BAR "," JOHN "]}"},
};

struct user_search {
    struct api_call *call;
    struct account_search search;
};

// What is answered may be gone with the request.
static void reply_results(struct api_call *call, int rc, struct account_search *search)
{
    struct buf *out = rc ? NULL : api_reply(call);
    if (out) {
        json_key(out, "results");
        json_raw(out, search->results.data, search->results.size);
    }
    buf_dispose(&search->results);
    if (out)
        api_send(call);
    else
        api_fail(call, &search->err);
}

static void on_searched(struct account_search *search)
{
    reply_results(CONTAINER(search, struct user_search, search)->call, search->rc, search);
}

static bool read_limit(struct api_call *call, const struct api_number *limit, int64_t *ret_limit)
{
    if (limit->given && limit->value < 0) {
        api_error(call, "limit must not be negative");
        return false;
    }
    *ret_limit = !limit->given                             ? LIMIT_DEFAULT
                 : limit->value > LIMIT_SEARCH_NAMES_ADMIN ? LIMIT_SEARCH_NAMES_ADMIN
                                                           : (int64_t)limit->value;
    return true;
}

static void handle_user_search(struct api_call *call, const void *params)
{
    const struct user_search_params *p = params;
    struct user_search *op = arena_zalloc(call->arena, sizeof *op);
    struct account_search *search = &op->search;
    op->call = call;
    if (p->admin && !call->caller.admin) {
        api_error(call, "must be logged in and a member of the admin group");
        return;
    }
    if (!read_limit(call, &p->limit, &search->limit))
        return;
    search->query = cJSON_IsString(p->query) ? p->query->valuestring : "";
    search->active = p->active ? p->active : "";
    search->loop = call->loop;
    search->done = on_searched;
    account_mark_active(call->svc, &call->caller.account_id);
    if (p->admin)
        account_search_admin(call->svc, search);
    else
        reply_results(call, account_search(call->session, search, &search->err), search);
}

const struct api_endpoint v1_user_search = {
    .name = "user_search",
    .access = API_ACCOUNT,
    .run = API_ASYNC,
    .text =
        "Finds accounts. A whole email address finds the account that has it, and the result "
        "says the address. Anything else finds the accounts whose first or last name begins with "
        "it; if it is several words, each must begin one of the two names. Letters count "
        "the same in upper and lower case, and `%` and `_` are ordinary characters. Of more "
        "than `limit` that match by name, those that were active last are taken. Results are in "
        "the order of names, and who was found by name keeps the address private.",
    API_PARAMS(user_search_params, struct user_search_params),
    .reply_event = "user_search_results",
    API_MEMBERS(user_search_members),
    API_EXAMPLES(user_search_examples),
    .notes =
        "With `admin`, an administrator finds one account by its id, deleted or not, or by its "
        "address; otherwise by any part of names and addresses, without a cap of 50.",
    .handler = handle_user_search,
};
