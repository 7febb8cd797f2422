// SPDX-License-Identifier: AGPL-3.0-or-later
// change_password, forgot_password, reset_forgot_password (api-v1 3.4 to 3.6).

#include "api/v1/endpoints.h"
#include "http/http.h"
#include "svc/account_password.h"

#define NEW_PASSWORD_TEXT "the new password, 6 to 64 characters"

// NULL for what is no text.
static const char *text_of(const cJSON *value)
{
    return cJSON_IsString(value) ? value->valuestring : NULL;
}

// ---- change_password ----

struct change_password_params {
    const char *account_id, *old_password;
    const cJSON *new_password;
};

#define FIELD(field) .offset = offsetof(struct change_password_params, field)

static const struct api_param change_password_params[] = {
    {.name = "account_id",
     .type = PARAM_STRING,
     .required = true,
     .is_uuid = true,
     FIELD(account_id),
     .text = "the account whose password it is: that of the API key"},
    {.name = "old_password",
     .type = PARAM_STRING,
     FIELD(old_password),
     .text = "the present password; an account without one takes anything",
     .default_text = "\"\""},
    {.name = "new_password",
     .type = PARAM_ANY,
     .required = true,
     FIELD(new_password),
     .text = NEW_PASSWORD_TEXT},
};
#undef FIELD

static const struct api_member change_password_members[] = {
    {.name = "error",
     .schema = "{\"oneOf\":[{\"type\":\"string\"},{\"type\":\"object\",\"properties\":{"
               "\"new_password\":{\"type\":\"string\"},\"other\":{\"type\":\"string\"}}}]}",
     .optional = true},
};

#define CHANGE_PASSWORD                                                                            \
    CURL                                                                                           \
        " -d account_id=99ebde5c-58f8-4e29-b6e4-b55b8fd71a1b \\\n -d old_password=secret_password" \
        " \\\n -d new_password=xyzabc09090 \\\n" URL("change_password")

static const struct api_example change_password_examples[] = {
    {"A new password:", CHANGE_PASSWORD,
     "{\"event\":\"changed_password\",\"id\":\"41ff89c3-348e-4361-ad1d-372b55e1544a\"}"},
    {"The same again; now the old password is another:", CHANGE_PASSWORD,
     "{\"event\":\"changed_password\",\"id\":\"5f1b8d0e-8f3c-4f0e-9d3b-2c1a7e6b4d90\","
     "\"error\":\"invalid old password\"}"},
};

struct change_password {
    struct api_call *call;
    struct password_change change;
};

// The error member of a reply: a text, or an object with one.
static void member_reason(struct buf *out, const char *name, const char *text)
{
    json_key(out, "error");
    json_begin_object(out);
    json_member_str(out, name, text);
    json_end_object(out);
}

static void on_password_changed(struct password_change *change)
{
    struct api_call *call = CONTAINER(change, struct change_password, change)->call;
    struct buf *out = api_reply(call);
    if (change->rc)
        http_request_set_error(call->request, &change->err);
    if (change->rc == -ERR_FORBIDDEN || change->rc == -ERR_RATE_LIMITED)
        json_member_str(out, "error", change->err.message);
    else if (change->rc)
        member_reason(out, "other", change->err.message);
    else if (change->new_problem)
        member_reason(out, "new_password", change->new_problem);
    api_send(call);
}

static void handle_change_password(struct api_call *call, const void *params)
{
    const struct change_password_params *p = params;
    struct change_password *op = arena_zalloc(call->arena, sizeof *op);
    op->call = call;
    op->change = (struct password_change){.caller = call->caller,
                                          .account_id = p->account_id,
                                          .old_password = p->old_password ? p->old_password : "",
                                          .new_password = text_of(p->new_password),
                                          .client = http_request_client(call->request),
                                          .loop = call->loop,
                                          .done = on_password_changed};
    password_change(call->svc, call->session, &op->change);
}

const struct api_endpoint v1_change_password = {
    .name = "change_password",
    .access = API_ACCOUNT,
    .run = API_ASYNC,
    .text = "Sets a new password of the caller's own account, for somebody who knows the present "
            "one. Whoever is signed in with the account is signed out; API keys stay good. Five "
            "wrong passwords a minute are told so, or thirty an hour; then the caller waits.",
    API_PARAMS(change_password_params, struct change_password_params),
    .reply_event = "changed_password",
    API_MEMBERS(change_password_members),
    API_EXAMPLES(change_password_examples),
    .handler = handle_change_password,
};

// ---- forgot_password ----

struct forgot_password_params {
    const char *email_address;
};

static const struct api_param forgot_password_params[] = {
    {.name = "email_address",
     .type = PARAM_STRING,
     .required = true,
     .offset = offsetof(struct forgot_password_params, email_address),
     .text = "address of the account whose password is forgotten"},
};

static const struct api_example forgot_password_examples[] = {
    {"A mail with a link:", CURL " -d email_address=john00@example.com \\\n" URL("forgot_password"),
     "{\"event\":\"forgot_password_response\",\"id\":\"26ed294b-922b-47e1-8f3f-1e54d8c8e558\","
     "\"error\":false}"},
};

struct forgot_password {
    struct api_call *call;
    struct password_forgot forgot;
};

static void on_forgot(struct password_forgot *forgot)
{
    api_send_outcome(CONTAINER(forgot, struct forgot_password, forgot)->call, forgot->rc,
                     &forgot->err);
}

static void handle_forgot_password(struct api_call *call, const void *params)
{
    const struct forgot_password_params *p = params;
    struct forgot_password *op = arena_zalloc(call->arena, sizeof *op);
    op->call = call;
    op->forgot = (struct password_forgot){.email_address = p->email_address,
                                          .client = http_request_client(call->request),
                                          .loop = call->loop,
                                          .done = on_forgot};
    password_forgot(call->svc, &op->forgot);
}

const struct api_endpoint v1_forgot_password = {
    .name = "forgot_password",
    .access = API_ACCOUNT,
    .run = API_ASYNC,
    .text = "Sends a mail with a link to a page where a new password can be set, for an hour. The "
            "link ends with the code that `reset_forgot_password` takes. An address may be asked "
            "for 30 times an hour; from one network address, 10 calls a minute and 60 an hour are "
            "answered. An address that no account has gets the same answer, unless this server is "
            "set up to tell.",
    API_PARAMS(forgot_password_params, struct forgot_password_params),
    .reply_event = "forgot_password_response",
    API_MEMBERS(api_outcome_members),
    API_EXAMPLES(forgot_password_examples),
    .handler = handle_forgot_password,
};

// ---- reset_forgot_password ----

struct reset_forgot_password_params {
    const char *reset_code;
    const cJSON *new_password;
};

static const struct api_param reset_forgot_password_params[] = {
    {.name = "reset_code",
     .type = PARAM_STRING,
     .required = true,
     .is_uuid = true,
     .offset = offsetof(struct reset_forgot_password_params, reset_code),
     .text = "code from the mail, good for one new password"},
    {.name = "new_password",
     .type = PARAM_ANY,
     .required = true,
     .offset = offsetof(struct reset_forgot_password_params, new_password),
     .text = NEW_PASSWORD_TEXT},
};

#define RESET_PASSWORD                                                                             \
    CURL " -d reset_code=35a0eea6-370a-45c3-ab2f-3210df68748f \\\n -d new_password=qjqhddfsfj "    \
         "\\\n" URL("reset_forgot_password")

static const struct api_example reset_forgot_password_examples[] = {
    {"With the code from the mail:", RESET_PASSWORD,
     "{\"event\":\"reset_forgot_password_response\","
     "\"id\":\"85bd6027-644d-4859-9e17-5e835bd47570\",\"error\":false}"},
    {"A code works once:", RESET_PASSWORD,
     "{\"event\":\"reset_forgot_password_response\","
     "\"id\":\"0c7c7a0e-4a2f-4e0b-bc0c-5d2a2f9e3a11\","
     "\"error\":\"Password reset request is no longer valid.\"}"},
};

struct reset_forgot_password {
    struct api_call *call;
    struct password_reset reset;
};

static void on_reset(struct password_reset *reset)
{
    api_send_outcome(CONTAINER(reset, struct reset_forgot_password, reset)->call, reset->rc,
                     &reset->err);
}

static void handle_reset_forgot_password(struct api_call *call, const void *params)
{
    const struct reset_forgot_password_params *p = params;
    struct reset_forgot_password *op = arena_zalloc(call->arena, sizeof *op);
    op->call = call;
    op->reset = (struct password_reset){.reset_code = p->reset_code,
                                        .new_password = text_of(p->new_password),
                                        .asker = call->caller.account_id.text,
                                        .client = http_request_client(call->request),
                                        .loop = call->loop,
                                        .done = on_reset};
    password_reset(call->svc, call->session, &op->reset);
}

const struct api_endpoint v1_reset_forgot_password = {
    .name = "reset_forgot_password",
    .access = API_ACCOUNT,
    .run = API_ASYNC,
    .text = "Sets the password of the account whose address the code was sent to. Whoever is "
            "signed in with that account is signed out.",
    API_PARAMS(reset_forgot_password_params, struct reset_forgot_password_params),
    .reply_event = "reset_forgot_password_response",
    API_MEMBERS(api_outcome_members),
    API_EXAMPLES(reset_forgot_password_examples),
    .handler = handle_reset_forgot_password,
};
