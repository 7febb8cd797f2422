// SPDX-License-Identifier: AGPL-3.0-or-later
// org.* (hub-rpc 2.8): accounts of organizations, signing in as one, messages to all of them.
#include "api/rpc/methods.h"
#include "base/clock.h"
#include "base/limits.h"
#include "http/http.h"
#include "svc/organizations.h"

#define NAME_TEXT "name of the organization"

// ---- createUser ----

struct create_user_params {
    const char *name, *email, *first_name, *last_name, *password;
};

#define FIELD(field) .type = PARAM_STRING, .offset = offsetof(struct create_user_params, field)

static const struct api_param create_user_params[] = {
    {.name = "name",
     FIELD(name),
     .required = true,
     .text = NAME_TEXT ". For an administrator of the site, there need not be one"},
    {.name = "email", FIELD(email), .required = true, .text = "address of the new account"},
    {.name = "firstName", FIELD(first_name), .text = "first name, at most 254 characters"},
    {.name = "lastName", FIELD(last_name), .text = "last name, at most 254 characters"},
    {.name = "password",
     FIELD(password),
     .text = "6 to 64 characters; left out, a random one that nobody gets to know"},
};
#undef FIELD

struct create_user {
    struct api_call *call;
    struct organization_user_create create;
};

static void on_user_created(struct organization_user_create *create)
{
    struct api_call *call = CONTAINER(create, struct create_user, create)->call;
    if (create->rc) {
        rpc_fail(call, &create->err);
        return;
    }
    json_str(rpc_result(call), create->account_id.text);
    rpc_send(call);
}

static void handle_create_user(struct api_call *call, const void *params)
{
    const struct create_user_params *p = params;
    struct create_user *op = arena_zalloc(call->arena, sizeof *op);
    op->call = call;
    op->create = (struct organization_user_create){
        .caller = call->caller,
        .name = p->name,
        .email_address = p->email,
        .first_name = p->first_name,
        .last_name = p->last_name,
        .password = p->password,
        .client = http_request_client(call->request),
        .loop = call->loop,
        .done = on_user_created,
    };
    organization_user_create(call->svc, call->session, &op->create);
}

static const struct api_example create_user_examples[] = {
    {"A new member:",
     CALL_HUB("{\"name\":\"org.createUser\",\"args\":[{\"name\":\"physics\","
              "\"email\":\"jane00@example.com\",\"firstName\":\"Jane\",\"lastName\":\"Doe\"}]}"),
     "\"cc3cb7f1-14f6-4a18-a803-5034af8c0004\""},
};

const struct api_endpoint hub_org_create_user = {
    HUB_METHOD("org.createUser"),
    .run = API_ASYNC,
    .text = "Makes an account that belongs to an organization, and answers with its id. It has a "
            "first project, unless invitations to others wait for the address. For administrators "
            "of the organization, and of the site.",
    API_PARAMS(create_user_params, struct create_user_params),
    .result = "{\"type\":\"string\",\"format\":\"uuid\"}",
    API_EXAMPLES(create_user_examples),
    .handler = handle_create_user,
};

// ---- createToken ----

struct create_token_params {
    const char *user;
    struct api_number expire;
};

static const struct api_param create_token_params[] = {
    {.name = "user",
     .type = PARAM_STRING,
     .required = true,
     .offset = offsetof(struct create_token_params, user),
     .text = "account id or email address of a member"},
    {.name = "expire",
     .type = PARAM_NUMBER,
     .offset = offsetof(struct create_token_params, expire),
     .text = "when the token expires, in milliseconds since 1970, at most 31 days from now. A "
             "number of no more milliseconds than these days have is how long it lasts. Left out, "
             "it lasts 24 hours"},
};

// What is out of all bounds is left to the service to refuse.
static int64_t token_life_ms(const struct api_number *expire)
{
    if (!expire->given)
        return AUTH_TOKEN_LIFE_MS;
    if (!(expire->value > 0 && expire->value < 1e15))
        return 0;
    const int64_t expire_ms = (int64_t)expire->value;
    return expire_ms <= LIMIT_AUTH_TOKEN_LIFE_MS ? expire_ms : expire_ms - clock_now_ms();
}

static void answer_token(struct api_call *call, void *arg)
{
    const struct organization_token *token = arg;
    auto_buf struct buf url = {0};
    struct buf *out = rpc_result(call);
    auth_token_url(&call->svc->site, token->token, &url);
    json_begin_object(out);
    json_member_str(out, "token", token->token);
    json_member_str(out, "url", buf_cstr(&url));
    json_end_object(out);
    rpc_send(call);
}

static void handle_create_token(struct api_call *call, const void *params)
{
    const struct create_token_params *p = params;
    struct organization_token *token = arena_zalloc(call->arena, sizeof *token);
    token->caller = call->caller;
    token->secret = &call->svc->secret;
    token->user = p->user;
    token->life_ms = token_life_ms(&p->expire);
    rpc_write(call, organization_token_issue, token, answer_token);
}

static const struct api_example create_token_examples[] = {
    {"Sign a browser in as a member:",
     CALL_HUB("{\"name\":\"org.createToken\",\"args\":[{\"user\":\"john00@example.com\"}]}"),
     "{\"token\":\"TGBPVaqNXsv9Bqkb3Nf8Qh1d\",\"url\":\"" EXAMPLE_HOST
     "/auth/impersonate?auth_token=TGBPVaqNXsv9Bqkb3Nf8Qh1d\"}"},
};

const struct api_endpoint hub_org_create_token = {
    HUB_METHOD("org.createToken"),
    .run = API_ASYNC,
    .text = "Makes a token that signs a browser in as a member of an organization for 12 hours, "
            "any number of times until it expires, and the address that does so. For "
            "administrators of the member's organization, and of the site; for a member who is an "
            "administrator of the site, the latter alone.",
    API_PARAMS(create_token_params, struct create_token_params),
    .result = "{\"type\":\"object\",\"properties\":{\"token\":{\"type\":\"string\"},"
              "\"url\":{\"type\":\"string\",\"format\":\"uri\"}},\"required\":[\"token\",\"url\"]}",
    API_EXAMPLES(create_token_examples),
    .handler = handle_create_token,
};

// ---- expireToken ----

static const struct api_param expire_token_params[] = {
    {.name = "token",
     .type = PARAM_STRING,
     .required = true,
     .offset = offsetof(struct end_token_params, token),
     .text = "what `org.createToken` gave"},
};

static const struct api_example expire_token_examples[] = {
    {"It is of no use any more:",
     CALL_HUB("{\"name\":\"org.expireToken\",\"args\":[{\"token\":\"TGBPVaqNXsv9Bqkb3Nf8Qh1d\"}]}"),
     "null"},
};

const struct api_endpoint hub_org_expire_token = {
    HUB_METHOD("org.expireToken"),
    .run = API_ASYNC,
    .text = "Ends a token. Whoever knows it may do so; nothing happens if there is no such token.",
    API_PARAMS(expire_token_params, struct end_token_params),
    .result = NULL_SCHEMA,
    API_EXAMPLES(expire_token_examples),
    .handler = rpc_end_token,
};

// ---- message ----

struct message_params {
    const char *name, *subject, *body;
};

#define FIELD(field)                                                                               \
    .type = PARAM_STRING, .required = true, .offset = offsetof(struct message_params, field)

static const struct api_param message_params[] = {
    {.name = "name", FIELD(name), .text = NAME_TEXT},
    {.name = "subject", FIELD(subject), .text = "at most 1000 characters"},
    {.name = "body", FIELD(body), .text = "Markdown, at most 100,000 characters"},
};
#undef FIELD

struct message_call {
    struct api_call *call;
    struct organization_message message;
};

static void on_message(struct organization_message *message)
{
    struct api_call *call = CONTAINER(message, struct message_call, message)->call;
    if (message->rc)
        rpc_fail_bare(call, &message->err);
    else
        rpc_null(call);
}

static void handle_message(struct api_call *call, const void *params)
{
    const struct message_params *p = params;
    struct message_call *op = arena_zalloc(call->arena, sizeof *op);
    struct err err;
    if (organization_check_admin(call->session, &call->caller, p->name, &err)) {
        rpc_fail(call, &err);
        return;
    }
    op->call = call;
    op->message = (struct organization_message){
        .from_id = call->caller.account_id,
        .name = p->name,
        .subject = p->subject,
        .body = p->body,
        .loop = call->loop,
        .done = on_message,
    };
    organization_message(call->svc, &op->message);
}

static const struct api_example message_examples[] = {
    {"To all members:",
     CALL_HUB("{\"name\":\"org.message\",\"args\":[{\"name\":\"physics\","
              "\"subject\":\"Maintenance\",\"body\":\"The server rests on Sunday.\"}]}"),
     "null"},
};

const struct api_endpoint hub_org_message = {
    HUB_METHOD("org.message"),
    .run = API_ASYNC,
    .text = "Sends a message from the caller to all members of an organization. Where there are "
            "more than 100 of them, each gets one of several messages that say the same. For "
            "administrators of the organization, and of the site.",
    API_PARAMS(message_params, struct message_params),
    .result = NULL_SCHEMA,
    API_EXAMPLES(message_examples),
    .handler = handle_message,
};
