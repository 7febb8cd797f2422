// SPDX-License-Identifier: AGPL-3.0-or-later
// get_usernames, create_account, user_auth (api-v1 3.1, 3.2, 3.31).
#include <stdio.h>
#include <string.h>

#include "api/params.h"
#include "api/v1/endpoints.h"
#include "base/limits.h"
#include "http/http.h"
#include "svc/accounts.h"
#include "svc/auth.h"

// ---- get_usernames ----

struct get_usernames_params {
    struct api_strings account_ids;
};

static const struct api_param get_usernames_params[] = {
    {.name = "account_ids",
     .type = PARAM_STRINGS,
     .required = true,
     .is_uuid = true,
     .offset = offsetof(struct get_usernames_params, account_ids),
     .text = "ids of the accounts to name"},
};

static const struct api_member get_usernames_members[] = {
    {.name = "usernames",
     .schema = "{\"type\":\"object\",\"additionalProperties\":{\"type\":\"object\",\"properties\":{"
               "\"first_name\":{\"type\":\"string\"},\"last_name\":{\"type\":\"string\"}}}}"},
};

static const struct api_example get_usernames_examples[] = {
    {"Two accounts:",
     CURL " -H \"Content-Type: application/json\" \\\n"
          " -d '{\"account_ids\":[\"cc3cb7f1-14f6-4a18-a803-5034af8c0004\","
          "\"9b896055-920a-413c-9172-dfb4007a8e7f\"]}' \\\n" URL("get_usernames"),
     "{\"event\":\"usernames\",\"id\":\"32b485a8-f214-4fda-a622-4dbfe0db2b9c\",\"usernames\":{"
     "\"cc3cb7f1-14f6-4a18-a803-5034af8c0004\":{\"first_name\":\"John\",\"last_name\":\"Smith\"},"
     "\"9b896055-920a-413c-9172-dfb4007a8e7f\":{\"first_name\":\"Jane\",\"last_name\":\"Doe\"}}}"},
};

static void refuse_account_id(struct api_call *call, const struct api_strings *ids, const char *bad)
{
    auto_buf struct buf text = {0};
    buf_append_str(&text, "invalid uuid ");
    buf_append_str(&text, bad);
    buf_append_str(&text, " in account_ids -- ");
    auto_buf struct buf list = {0};
    json_begin_array(&list);
    for (size_t i = 0; i < ids->count; i++)
        json_str(&list, ids->items[i]);
    json_end_array(&list);
    buf_append(&text, list.data, list.size);
    api_error_strn(call, text.data, text.size);
}

struct naming {
    struct api_call *call;
    const struct api_strings *ids;
    struct uuid *parsed;
    struct buf names; // a JSON object
    int rc;
    struct err err;
    struct work work;
};

// Appends "id":{names}. The id stands as it was sent.
static int write_name(struct naming *op, struct db_session *session, size_t i)
{
    struct account_name name = {0};
    int rc = account_name_get(session, &op->parsed[i], op->call->arena, &name, &op->err);
    if (rc < 0)
        return rc;
    json_key(&op->names, op->ids->items[i]);
    json_begin_object(&op->names);
    if (name.first_name)
        json_member_str(&op->names, "first_name", name.first_name);
    if (name.last_name)
        json_member_str(&op->names, "last_name", name.last_name);
    json_end_object(&op->names);
    return 0;
}

static bool sent_before(const struct api_strings *ids, struct map *seen, size_t i)
{
    return map_set(seen, ids->items[i], UUID_LEN, seen) != NULL;
}

static void write_names(struct naming *op, struct db_session *session)
{
    struct map CLEANUP(map_dispose) seen = {0};
    op->rc = db_read_begin(session, &op->err);
    if (op->rc)
        return;
    json_begin_object(&op->names);
    for (size_t i = 0; i < op->ids->count && !op->rc; i++) {
        if (!sent_before(op->ids, &seen, i))
            op->rc = write_name(op, session, i);
    }
    json_end_object(&op->names);
    db_read_end(session);
}

static void write_on_worker(struct work *work)
{
    struct naming *op = CONTAINER(work, struct naming, work);
    struct sessions *sessions = &op->call->svc->sessions;
    struct db_session *session;
    op->rc = sessions_take(sessions, &session, &op->err);
    if (op->rc)
        return;
    write_names(op, session);
    sessions_give(sessions, session);
}

// The call, and `op` with it, may be gone once it is answered.
static void send_names(struct naming *op)
{
    auto_buf struct buf names = op->names;
    if (op->rc) {
        api_fail(op->call, &op->err);
        return;
    }
    struct buf *out = api_reply(op->call);
    json_key(out, "usernames");
    json_raw(out, names.data, names.size);
    api_send(op->call);
}

static void on_written(struct work *work)
{
    send_names(CONTAINER(work, struct naming, work));
}

// False when the call has been answered.
static bool parse_ids(struct api_call *call, const struct api_strings *ids, struct uuid *parsed)
{
    if (ids->count > LIMIT_USERNAMES) {
        api_error(call, "account_ids must have at most %d ids", LIMIT_USERNAMES);
        return false;
    }
    for (size_t i = 0; i < ids->count; i++) {
        if (!uuid_parse(ids->items[i], strlen(ids->items[i]), &parsed[i])) {
            refuse_account_id(call, ids, ids->items[i]);
            return false;
        }
    }
    return true;
}

static void handle_get_usernames(struct api_call *call, const void *params)
{
    const struct api_strings *ids = &((const struct get_usernames_params *)params)->account_ids;
    struct naming *op = arena_zalloc(call->arena, sizeof *op);
    op->call = call;
    op->ids = ids;
    op->parsed = arena_alloc(call->arena, (ids->count + 1) * sizeof *op->parsed);
    if (!parse_ids(call, ids, op->parsed))
        return;
    if (ids->count <= LIMIT_NAMES_SMALL) {
        write_names(op, call->session);
        send_names(op);
    } else if (!work_submit_gated(call->loop, &call->svc->querying, &op->work,
                                  call->caller.account_id.text, write_on_worker, on_written)) {
        api_error(call, "%s", SVC_QUERIES_WAIT_TEXT);
    }
}

const struct api_endpoint v1_get_usernames = {
    .name = "get_usernames",
    .access = API_ACCOUNT,
    .run = API_ASYNC,
    .text = "First and last names of accounts, by their ids. An id that no account has gets an "
            "empty object.",
    API_PARAMS(get_usernames_params, struct get_usernames_params),
    .reply_event = "usernames",
    API_MEMBERS(get_usernames_members),
    API_EXAMPLES(get_usernames_examples),
    .notes = "A list as a parameter is easiest sent as JSON; a form takes it as `account_ids[]=…`, "
             "once an id.",
    .handler = handle_get_usernames,
};

// ---- create_account ----

struct create_account_params {
    const char *first_name, *last_name, *email_address, *token, *usage_intent;
    const cJSON *password;
    bool agreed_to_terms, get_api_key;
};

#define FIELD(field) .offset = offsetof(struct create_account_params, field)

static const struct api_param create_account_params[] = {
    {.name = "first_name",
     .type = PARAM_STRING,
     FIELD(first_name),
     .text = "given name, at most 254 characters"},
    {.name = "last_name",
     .type = PARAM_STRING,
     FIELD(last_name),
     .text = "family name, at most 254 characters"},
    {.name = "email_address",
     .type = PARAM_STRING,
     FIELD(email_address),
     .text = "address to sign in with; must not belong to an account yet"},
    {.name = "password",
     .type = PARAM_ANY,
     FIELD(password),
     .text = "6 to 64 characters, if given"},
    {.name = "agreed_to_terms",
     .type = PARAM_BOOL,
     FIELD(agreed_to_terms),
     .text = "that the person has agreed to the terms of service; who has not is refused",
     .default_text = "true"},
    {.name = "token",
     .type = PARAM_STRING,
     FIELD(token),
     .text = "registration token, on a server that asks for one"},
    {.name = "get_api_key",
     .type = PARAM_BOOL,
     FIELD(get_api_key),
     .text = "if true, the reply has an API key of the new account; needs a password",
     .default_text = "false"},
    {.name = "usage_intent",
     .type = PARAM_STRING,
     FIELD(usage_intent),
     .text = "what the account is meant for, at most 1000 characters"},
};
#undef FIELD

static const struct api_member create_account_members[] = {
    {.name = "account_id", .schema = "{\"type\":\"string\",\"format\":\"uuid\"}"},
    {.name = "api_key",
     .schema = "{\"type\":\"string\",\"pattern\":\"^sk_[A-Za-z0-9]{24}$\"}",
     .optional = true},
    {.name = "reason",
     .schema = "{\"type\":\"object\",\"additionalProperties\":{\"type\":\"string\"}}",
     .event = "account_creation_failed"},
};

#define CREATE_JOHN                                                                                \
    CURL " -d first_name=John00 \\\n -d last_name=Doe00 \\\n -d email_address=john00@example.com " \
         "\\\n"                                                                                    \
         " -d password=xyzabc09090 \\\n -d agreed_to_terms=true" URL("create_account")

static const struct api_example create_account_examples[] = {
    {"A new account:", CREATE_JOHN,
     "{\"event\":\"account_created\",\"id\":\"15d4bd8e-8d29-4b3b-a62f-fc8a484980d9\","
     "\"account_id\":\"2ac62d5e-7d1c-4e0d-8e0e-7f2d7d0f5b1c\"}"},
    {"The same address again:", CREATE_JOHN,
     "{\"event\":\"account_creation_failed\",\"id\":\"2332be03-aa7d-49a6-933a-cd9824b7331a\","
     "\"reason\":{\"email_address\":\"This e-mail address is already taken.\"}}"},
};

struct create_account {
    struct api_call *call;
    struct account_create create;
};

static void member_if(struct buf *out, const char *name, const char *text)
{
    if (text && text[0])
        json_member_str(out, name, text);
}

static void reply_refusal(struct api_call *call, const struct account_refusal *refusal)
{
    struct buf *out = api_reply_event(call, "account_creation_failed");
    json_key(out, "reason");
    json_begin_object(out);
    member_if(out, "agreed_to_terms", refusal->agreed_to_terms);
    member_if(out, "email_address", refusal->email_address);
    member_if(out, "password", refusal->password);
    member_if(out, "token", refusal->token);
    member_if(out, "other", refusal->other);
    json_end_object(out);
    api_send(call);
}

static void on_account_created(struct account_create *create)
{
    struct create_account *op = CONTAINER(create, struct create_account, create);
    struct account_refusal failure = {0};
    if (create->rc) {
        http_request_set_error(op->call->request, &create->err);
        snprintf(failure.other, sizeof failure.other, "Unable to create account. Error: \"%s\"",
                 create->err.message);
        reply_refusal(op->call, &failure);
        return;
    }
    if (account_refused(&create->refusal)) {
        reply_refusal(op->call, &create->refusal);
        return;
    }
    struct buf *out = api_reply(op->call);
    json_member_str(out, "account_id", create->account_id.text);
    member_if(out, "api_key", create->api_key);
    api_send(op->call);
}

static void handle_create_account(struct api_call *call, const void *params)
{
    const struct create_account_params *p = params;
    struct create_account *op = arena_zalloc(call->arena, sizeof *op);
    op->call = call;
    op->create = (struct account_create){
        .first_name = p->first_name,
        .last_name = p->last_name,
        .email_address = p->email_address,
        .password = cJSON_IsString(p->password) ? p->password->valuestring : NULL,
        .password_is_no_text = !cJSON_IsString(p->password) && params_truth(p->password),
        .token = p->token,
        .usage_intent = p->usage_intent,
        .created_by = http_request_client(call->request),
        .caller = call->caller.account_id.text,
        .get_api_key = p->get_api_key,
        .terms_declined = !p->agreed_to_terms,
        .gold_caller = call->caller.gold,
        .loop = call->loop,
        .done = on_account_created,
    };
    account_create(call->svc, call->session, &op->create);
}

const struct api_endpoint v1_create_account = {
    .name = "create_account",
    .access = API_ACCOUNT,
    .run = API_ASYNC,
    .text = "Makes a new account. What is refused is told by field in `reason`: an address that is "
            "malformed or taken, a"
            " password of fewer than 6 or more than 64 characters, a missing or used-up "
            "registration token, a name that"
            " looks like a link.",
    API_PARAMS(create_account_params, struct create_account_params),
    .reply_event = "account_created",
    API_MEMBERS(create_account_members),
    API_EXAMPLES(create_account_examples),
    .handler = handle_create_account,
};

// ---- user_auth ----

struct user_auth_params {
    const char *account_id, *password;
};

static const struct api_param user_auth_params[] = {
    {.name = "account_id",
     .type = PARAM_STRING,
     .required = true,
     .is_uuid = true,
     .offset = offsetof(struct user_auth_params, account_id),
     .text = "account that the token is for"},
    {.name = "password",
     .type = PARAM_STRING,
     .required = true,
     .offset = offsetof(struct user_auth_params, password),
     .text = "that account's password; an administrator may leave it empty"},
};

static const struct api_member user_auth_members[] = {
    {.name = "auth_token", .schema = "{\"type\":\"string\",\"pattern\":\"^[A-Za-z0-9]{24}$\"}"},
};

static const struct api_example user_auth_examples[] = {
    {"A token for an account whose password is known:",
     CURL " -d account_id=99ebde5c-58f8-4e29-b6e4-b55b8fd71a1b \\\n -d password=secret_password "
          "\\\n" URL("user_auth"),
     "{\"event\":\"user_auth_token\",\"id\":\"9e8b68ac-08e8-432a-a853-398042fae8c9\","
     "\"auth_token\":\"BQokikJOvBiI2HlWgH4olfQ2\"}"},
};

struct user_auth {
    struct api_call *call;
    struct auth_token_call token;
};

static void on_token(struct auth_token_call *token)
{
    struct user_auth *op = CONTAINER(token, struct user_auth, token);
    if (token->rc) {
        api_fail(op->call, &token->err);
        return;
    }
    json_member_str(api_reply(op->call), "auth_token", token->token);
    api_send(op->call);
}

// After a wrong password (api-v1 3.31).
#define USER_AUTH_PAUSE_MS 60000

static void handle_user_auth(struct api_call *call, const void *params)
{
    const struct user_auth_params *p = params;
    struct user_auth *op = arena_zalloc(call->arena, sizeof *op);
    op->call = call;
    op->token = (struct auth_token_call){.caller = call->caller,
                                         .account_id = p->account_id,
                                         .password = p->password,
                                         .life_ms = AUTH_TOKEN_V1_LIFE_MS,
                                         .pause_ms = USER_AUTH_PAUSE_MS,
                                         .loop = call->loop,
                                         .done = on_token};
    auth_token_create(call->svc, call->session, &op->token);
}

const struct api_endpoint v1_user_auth = {
    .name = "user_auth",
    .access = API_ACCOUNT,
    .run = API_ASYNC,
    .text = "A token of 24 characters with which a browser is signed in as the account, for 12 "
            "hours. After a wrong"
            " password the same caller must wait 60 seconds before it tries that account again.",
    API_PARAMS(user_auth_params, struct user_auth_params),
    .reply_event = "user_auth_token",
    API_MEMBERS(user_auth_members),
    API_EXAMPLES(user_auth_examples),
    .handler = handle_user_auth,
};
