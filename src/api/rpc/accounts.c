// SPDX-License-Identifier: AGPL-3.0-or-later
// Tokens that sign in, links to new passwords, verified addresses, linked identities, and what
// clients report (hub-rpc 3).
#include <string.h>

#include "api/rpc/methods.h"
#include "base/text.h"
#include "svc/account_email.h"
#include "svc/account_password.h"
#include "svc/accounts.h"
#include "svc/auth.h"
#include "svc/central_log.h"
#include "svc/mail.h"

// ---- system.generateUserAuthToken ----

// After a wrong password.
#define TOKEN_PAUSE_MS 30000

struct token_params {
    const char *user_account_id, *password;
};

static const struct api_param token_params[] = {
    {.name = "user_account_id",
     .type = PARAM_STRING,
     .required = true,
     .is_uuid = true,
     .offset = offsetof(struct token_params, user_account_id),
     .text = "whom to sign in as"},
    {.name = "password",
     .type = PARAM_STRING,
     .offset = offsetof(struct token_params, password),
     .text = "that account's password; administrators need none",
     .default_text = "\"\""},
};

static const struct api_example token_examples[] = {
    {"The key is an administrator's; others give a `password` too:",
     CALL_HUB("{\"name\":\"system.generateUserAuthToken\",\"args\":[{\"user_account_id\":"
              "\"" EXAMPLE_ACCOUNT "\"}]}"),
     "\"BQokikJOvBiI2HlWgH4olfQ2\""},
};

struct token {
    struct api_call *call;
    struct auth_token_call token;
};

static void on_token(struct auth_token_call *token)
{
    struct api_call *call = CONTAINER(token, struct token, token)->call;
    if (token->rc) {
        rpc_fail(call, &token->err);
        return;
    }
    json_str(rpc_result(call), token->token);
    rpc_send(call);
}

static void handle_generate_token(struct api_call *call, const void *params)
{
    const struct token_params *p = params;
    struct token *op = arena_zalloc(call->arena, sizeof *op);
    op->call = call;
    op->token = (struct auth_token_call){.caller = call->caller,
                                         .account_id = p->user_account_id,
                                         .password = p->password ? p->password : "",
                                         .life_ms = AUTH_TOKEN_LIFE_MS,
                                         .pause_ms = TOKEN_PAUSE_MS,
                                         .loop = call->loop,
                                         .done = on_token};
    auth_token_create(call->svc, call->session, &op->token);
}

const struct api_endpoint hub_system_generate_user_auth_token = {
    HUB_METHOD("system.generateUserAuthToken"),
    .run = API_ASYNC,
    .text =
        "Answers with a token for `/auth/impersonate?auth_token=TOKEN`: whoever opens that "
        "address is signed in as the account for twelve hours. The token is good for a day, any "
        "number of times. After a wrong password the caller waits 30 seconds before it can try "
        "that account again.",
    API_PARAMS(token_params, struct token_params),
    .result = "{\"type\":\"string\",\"pattern\":\"^[A-Za-z0-9]{24}$\"}",
    API_EXAMPLES(token_examples),
    .handler = handle_generate_token,
};

// ---- system.revokeUserAuthToken ----

static const struct api_param revoke_params[] = {
    {.name = "token",
     .type = PARAM_STRING,
     .required = true,
     .offset = offsetof(struct end_token_params, token),
     .text = "the token"},
};

static const struct api_example revoke_examples[] = {
    {"",
     CALL_HUB("{\"name\":\"system.revokeUserAuthToken\","
              "\"args\":[\"BQokikJOvBiI2HlWgH4olfQ2\"]}"),
     "null"},
};

static int expire_in_txn(struct db_session *txn, void *arg, struct err *err)
{
    const struct api_call *call = arg;
    const struct end_token_params *params = call->params;
    return auth_token_expire(txn, &call->svc->secret, params->token, err);
}

void rpc_end_token(struct api_call *call, const void *params UNUSED)
{
    rpc_write(call, expire_in_txn, call, NULL);
}

const struct api_endpoint hub_system_revoke_user_auth_token = {
    HUB_METHOD("system.revokeUserAuthToken"),
    .args = ARGS_LIST,
    .run = API_ASYNC,
    .text = "A token that signs in is good for nothing any more, whoever made it. Browsers that it "
            "has signed in stay so. The token is the first of `args` itself.",
    API_PARAMS(revoke_params, struct end_token_params),
    .result = NULL_SCHEMA,
    API_EXAMPLES(revoke_examples),
    .handler = rpc_end_token,
};

// ---- system.adminResetPasswordLink ----

struct link_params {
    const char *user_account_id;
};

static const struct api_param link_params[] = {
    {.name = "user_account_id",
     .type = PARAM_STRING,
     .required = true,
     .is_uuid = true,
     .offset = offsetof(struct link_params, user_account_id),
     .text = "whose password is to be set"},
};

static const struct api_example link_examples[] = {
    {"The key is an administrator's:",
     CALL_HUB("{\"name\":\"system.adminResetPasswordLink\",\"args\":[{\"user_account_id\":"
              "\"" EXAMPLE_ACCOUNT "\"}]}"),
     "\"/auth/password-reset/35a0eea6-370a-45c3-ab2f-3210df68748f\""},
};

struct link {
    struct uuid account_id, code;
};

static int link_in_txn(struct db_session *txn, void *arg, struct err *err)
{
    struct link *op = arg;
    return password_reset_link(txn, &op->account_id, &op->code, err);
}

static void answer_link(struct api_call *call, void *arg)
{
    const struct link *op = arg;
    json_str(rpc_result(call), arena_printf(call->arena, "/auth/password-reset/%s", op->code.text));
    rpc_send(call);
}

static void handle_link(struct api_call *call, const void *params)
{
    const char *account_id = ((const struct link_params *)params)->user_account_id;
    struct link *op = arena_zalloc(call->arena, sizeof *op);
    if (!call->caller.admin)
        rpc_refuse(call, "must be an admin");
    else if (rpc_uuid(call, account_id, &op->account_id))
        rpc_write(call, link_in_txn, op, answer_link);
}

const struct api_endpoint hub_system_admin_reset_password_link = {
    HUB_METHOD("system.adminResetPasswordLink"),
    .run = API_ASYNC,
    .text = "For administrators: answers with the path of a page where the account's password can "
            "be set, once, within a day. It goes behind the site's address.",
    API_PARAMS(link_params, struct link_params),
    .result = "{\"type\":\"string\",\"pattern\":\"^/auth/password-reset/[-0-9a-f]{36}$\"}",
    API_EXAMPLES(link_examples),
    .handler = handle_link,
};

// ---- system.sendEmailVerification ----

struct verification_params {
    bool only_verify;
};

static const struct api_param verification_params[] = {
    {.name = "only_verify",
     .type = PARAM_BOOL,
     .offset = offsetof(struct verification_params, only_verify),
     .text = "just the link; else it comes with the welcome of new accounts",
     .default_text = "true"},
};

static const struct api_example verification_examples[] = {
    {"", CALL_HUB("{\"name\":\"system.sendEmailVerification\",\"args\":[{}]}"), "null"},
};

struct verification {
    struct api_call *call;
    bool only_verify;
};

static int send_in_txn(struct db_session *txn, void *arg, struct err *err)
{
    const struct verification *op = arg;
    struct api_call *call = op->call;
    return email_challenge_send(txn, call->svc, &call->caller.account_id, !op->only_verify, err);
}

static void answer_sent(struct api_call *call, void *arg UNUSED)
{
    mail_wake(call->svc);
    rpc_null(call);
}

static void handle_verification(struct api_call *call, const void *params)
{
    struct verification *op = arena_zalloc(call->arena, sizeof *op);
    op->call = call;
    op->only_verify = ((const struct verification_params *)params)->only_verify;
    rpc_write(call, send_in_txn, op, answer_sent);
}

const struct api_endpoint hub_system_send_email_verification = {
    HUB_METHOD("system.sendEmailVerification"),
    .run = API_ASYNC,
    .text = "Mails the link that verifies the caller's address to that address, at most five times "
            "an hour. An address that is verified gets none.",
    API_PARAMS(verification_params, struct verification_params),
    .result = NULL_SCHEMA,
    API_EXAMPLES(verification_examples),
    .handler = handle_verification,
};

// ---- system.deletePassport ----

struct passport_params {
    const char *strategy, *id;
};

static const struct api_param passport_params[] = {
    {.name = "strategy",
     .type = PARAM_STRING,
     .required = true,
     .offset = offsetof(struct passport_params, strategy),
     .text = "name of the identity provider"},
    {.name = "id",
     .type = PARAM_STRING,
     .required = true,
     .offset = offsetof(struct passport_params, id),
     .text = "the person's id at that provider"},
};

static const struct api_example passport_examples[] = {
    {"",
     CALL_HUB("{\"name\":\"system.deletePassport\",\"args\":[{\"strategy\":\"facebook\","
              "\"id\":\"14159265358\"}]}"),
     "null"},
};

struct passport {
    struct api_call *call;
    const struct passport_params *params;
};

static int unlink_in_txn(struct db_session *txn, void *arg, struct err *err)
{
    const struct passport *op = arg;
    return account_passport_unlink(txn, &op->call->caller.account_id, op->params->strategy,
                                   op->params->id, err);
}

static void handle_passport(struct api_call *call, const void *params)
{
    struct passport *op = arena_zalloc(call->arena, sizeof *op);
    *op = (struct passport){.call = call, .params = params};
    rpc_write(call, unlink_in_txn, op, NULL);
}

const struct api_endpoint hub_system_delete_passport = {
    HUB_METHOD("system.deletePassport"),
    .run = API_ASYNC,
    .text = "Unlinks an identity of another site from the caller's account. One that is not linked "
            "is no error.",
    API_PARAMS(passport_params, struct passport_params),
    .result = NULL_SCHEMA,
    API_EXAMPLES(passport_examples),
    .handler = handle_passport,
};

// ---- system.userTracking ----

#define EVENT_MAX 80 // characters

// Whether it may name an event, or answers.
static bool check_event(struct api_call *call, const char *event)
{
    size_t units = utf8_utf16_len(event, strlen(event));
    bool good = units >= 1 && units <= EVENT_MAX;
    if (!good)
        rpc_refuse(call, "event must have 1 to %d characters", EVENT_MAX);
    return good;
}

struct tracking_params {
    const char *event;
    const cJSON *value;
};

static const struct api_param tracking_params[] = {
    {.name = "event",
     .type = PARAM_STRING,
     .required = true,
     .offset = offsetof(struct tracking_params, event),
     .text = "what somebody did, 1 to 80 characters"},
    {.name = "value",
     .type = PARAM_ANY,
     .offset = offsetof(struct tracking_params, value),
     .text = "more about it: any JSON value of at most 4096 bytes"},
};

static const struct api_example tracking_examples[] = {
    {"",
     CALL_HUB("{\"name\":\"system.userTracking\",\"args\":[{\"event\":\"open-file\","
              "\"value\":{\"type\":\"ipynb\"}}]}"),
     "null"},
};

static int track_in_txn(struct db_session *txn, void *arg, struct err *err)
{
    return user_tracking_log(txn, arg, err);
}

static void handle_tracking(struct api_call *call, const void *params)
{
    const struct tracking_params *p = params;
    if (!check_event(call, p->event))
        return;
    struct tracked *op = arena_zalloc(call->arena, sizeof *op);
    *op = (struct tracked){.account_id = call->caller.account_id, .event = p->event};
    if (p->value) {
        auto_buf struct buf text = {0};
        json_value(&text, p->value);
        op->value = arena_strndup(call->arena, text.data, text.size);
    }
    rpc_write(call, track_in_txn, op, NULL);
}

const struct api_endpoint hub_system_user_tracking = {
    HUB_METHOD("system.userTracking"),
    .run = API_ASYNC,
    .text = "Notes what somebody did, for the site's administrators, who read it by a query of "
            "`user_tracking`. It is kept 30 days; at most 300 events of an account in an hour.",
    API_PARAMS(tracking_params, struct tracking_params),
    .result = NULL_SCHEMA,
    API_EXAMPLES(tracking_examples),
    .handler = handle_tracking,
};

// ---- system.logClientError, system.webappError ----

static int report_in_txn(struct db_session *txn, void *arg, struct err *err)
{
    return client_error_log(txn, arg, err);
}

// `error` lives as long as the call.
static void report(struct api_call *call, const char *event, const char *error)
{
    struct client_error *op = arena_zalloc(call->arena, sizeof *op);
    *op = (struct client_error){
        .account_id = call->caller.account_id, .event = event, .error = error};
    rpc_write(call, report_in_txn, op, NULL);
}

struct client_error_params {
    const char *event, *error;
};

static const struct api_param client_error_params[] = {
    {.name = "event",
     .type = PARAM_STRING,
     .required = true,
     .offset = offsetof(struct client_error_params, event),
     .text = "what kind of error, 1 to 80 characters"},
    {.name = "error",
     .type = PARAM_STRING,
     .required = true,
     .offset = offsetof(struct client_error_params, error),
     .text = "what went wrong"},
};

static const struct api_example client_error_examples[] = {
    {"",
     CALL_HUB("{\"name\":\"system.logClientError\",\"args\":[{\"event\":\"upload\","
              "\"error\":\"the disk is full\"}]}"),
     "null"},
};

static void handle_client_error(struct api_call *call, const void *params)
{
    const struct client_error_params *p = params;
    if (check_event(call, p->event))
        report(call, p->event, p->error);
}

const struct api_endpoint hub_system_log_client_error = {
    HUB_METHOD("system.logClientError"),
    .run = API_ASYNC,
    .text = "Tells the people who run the site of an error; kept for 30 days, at most 60 of an "
            "account in an hour.",
    API_PARAMS(client_error_params, struct client_error_params),
    .result = NULL_SCHEMA,
    API_EXAMPLES(client_error_examples),
    .handler = handle_client_error,
};

struct webapp_error_params {
    const char *name, *message, *comment, *stacktrace, *file, *path, *severity;
    struct api_number line, column;
};

#define TEXT_PARAM(member, what)                                                                   \
    {                                                                                              \
        .name = #member, .type = PARAM_STRING,                                                     \
        .offset = offsetof(struct webapp_error_params, member), .text = (what)                     \
    }

static const struct api_param webapp_error_params[] = {
    TEXT_PARAM(name, "the exception's class"),
    TEXT_PARAM(message, "its text"),
    TEXT_PARAM(comment, "what the program says of it"),
    TEXT_PARAM(stacktrace, "where it was thrown"),
    TEXT_PARAM(file, "source file"),
    TEXT_PARAM(path, "page that was open"),
    TEXT_PARAM(severity, "how bad it is"),
    {.name = "lineNumber",
     .type = PARAM_NUMBER,
     .offset = offsetof(struct webapp_error_params, line),
     .text = "line of the file"},
    {.name = "columnNumber",
     .type = PARAM_NUMBER,
     .offset = offsetof(struct webapp_error_params, column),
     .text = "column of the line"},
};

static const struct api_example webapp_error_examples[] = {
    {"",
     CALL_HUB("{\"name\":\"system.webappError\",\"args\":[{\"name\":\"TypeError\","
              "\"message\":\"x is undefined\",\"stacktrace\":\"at f (app.js:10)\"}]}"),
     "null"},
};

static void write_number(struct buf *out, const char *name, const struct api_number *number)
{
    if (!number->given)
        return;
    json_key(out, name);
    json_double(out, number->value);
}

static void write_text(struct buf *out, const char *name, const char *text)
{
    if (text)
        json_member_str(out, name, text);
}

// As JSON, with the longest text last: that is what is cut off.
static void handle_webapp_error(struct api_call *call, const void *params)
{
    const struct webapp_error_params *p = params;
    auto_buf struct buf json = {0};
    json_begin_object(&json);
    write_text(&json, "name", p->name);
    write_text(&json, "message", p->message);
    write_text(&json, "comment", p->comment);
    write_text(&json, "severity", p->severity);
    write_text(&json, "path", p->path);
    write_text(&json, "file", p->file);
    write_number(&json, "lineNumber", &p->line);
    write_number(&json, "columnNumber", &p->column);
    write_text(&json, "stacktrace", p->stacktrace);
    json_end_object(&json);
    report(call, "webapp_error", arena_strndup(call->arena, json.data, json.size));
}

const struct api_endpoint hub_system_webapp_error = {
    HUB_METHOD("system.webappError"),
    .run = API_ASYNC,
    .text = "The same of an exception in a browser.",
    API_PARAMS(webapp_error_params, struct webapp_error_params),
    .result = NULL_SCHEMA,
    API_EXAMPLES(webapp_error_examples),
    .handler = handle_webapp_error,
};
