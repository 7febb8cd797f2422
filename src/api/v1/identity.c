// SPDX-License-Identifier: AGPL-3.0-or-later
// delete_account, change_email_address, unlink_passport (api-v1 3.3, 3.7, 3.8).
#include <string.h>

#include "api/v1/endpoints.h"
#include "http/http.h"
#include "svc/account_email.h"
#include "svc/accounts.h"

// ---- delete_account ----

struct delete_account_params {
    const char *account_id;
};

static const struct api_param delete_account_params[] = {
    {.name = "account_id",
     .type = PARAM_STRING,
     .required = true,
     .is_uuid = true,
     .offset = offsetof(struct delete_account_params, account_id),
     .text = "account to delete: the caller's own, or any if the caller is an administrator"},
};

static const struct api_member delete_account_members[] = {
    {.name = "error", .schema = "{\"type\":\"string\"}", .optional = true},
};

static const struct api_example delete_account_examples[] = {
    {"The account of the key:",
     CURL " -d account_id=99ebde5c-58f8-4e29-b6e4-b55b8fd71a1b \\\n" URL("delete_account"),
     "{\"event\":\"account_deleted\",\"id\":\"9e8b68ac-08e8-432a-a853-398042fae8c9\"}"},
    {"Somebody else's account:",
     CURL " -d account_id=cc3cb7f1-14f6-4a18-a803-5034af8c0004 \\\n" URL("delete_account"),
     "{\"event\":\"account_deleted\",\"id\":\"6d0f8f0c-3c1b-4b0e-8a55-0f8d3c0f3b52\","
     "\"error\":\"only the account itself or an administrator may delete account "
     "cc3cb7f1-14f6-4a18-a803-5034af8c0004\"}"},
};

struct delete_account {
    struct api_call *call;
    struct uuid account_id;
    struct db_write write;
};

static void reply_deleted(struct api_call *call, int rc, const struct err *err)
{
    struct buf *out = api_reply(call);
    if (rc) {
        http_request_set_error(call->request, err);
        json_member_str(out, "error", err->message);
    }
    api_send(call);
}

static int delete_in_txn(struct db_session *txn, void *arg, struct err *err)
{
    const struct delete_account *op = arg;
    return account_delete_by(txn, &op->call->caller, &op->account_id, err);
}

static void on_deleted(struct db_write *write)
{
    const struct delete_account *op = write->arg;
    reply_deleted(op->call, write->rc, &write->err);
}

static void handle_delete_account(struct api_call *call, const void *params)
{
    const struct delete_account_params *p = params;
    struct delete_account *op = arena_zalloc(call->arena, sizeof *op);
    struct err err;
    op->call = call;
    if (!uuid_parse(p->account_id, strlen(p->account_id), &op->account_id)) {
        int rc = err_set(&err, ERR_INVALID, "invalid account_id -- %.200s", p->account_id);
        reply_deleted(call, rc, &err);
        return;
    }
    op->write =
        (struct db_write){.loop = call->loop, .fn = delete_in_txn, .arg = op, .done = on_deleted};
    db_write_async(call->svc->db, &op->write);
}

const struct api_endpoint v1_delete_account = {
    .name = "delete_account",
    .access = API_ACCOUNT,
    .run = API_ASYNC,
    .text = "Deletes an account: nobody can sign in with it any more, its keys stop, and its "
            "address is free for another. Projects that it owned or worked on stay, and still "
            "list it. An account that is deleted already, or that never was, is answered in the "
            "same way.",
    API_PARAMS(delete_account_params, struct delete_account_params),
    .reply_event = "account_deleted",
    API_MEMBERS(delete_account_members),
    API_EXAMPLES(delete_account_examples),
    .handler = handle_delete_account,
};

// ---- change_email_address ----

struct change_email_address_params {
    const char *account_id, *old_email_address, *new_email_address, *password;
};

#define FIELD(field) .offset = offsetof(struct change_email_address_params, field)

static const struct api_param change_email_address_params[] = {
    {.name = "account_id",
     .type = PARAM_STRING,
     .required = true,
     .is_uuid = true,
     FIELD(account_id),
     .text = "the account of the API key"},
    {.name = "old_email_address",
     .type = PARAM_STRING,
     FIELD(old_email_address),
     .text = "not looked at",
     .default_text = "\"\""},
    {.name = "new_email_address",
     .type = PARAM_STRING,
     .required = true,
     FIELD(new_email_address),
     .text = "the new address; must not belong to an account"},
    {.name = "password",
     .type = PARAM_STRING,
     FIELD(password),
     .text = "the account's password; if it has none, what is given becomes it",
     .default_text = "\"\""},
};
#undef FIELD

#define CHANGE_EMAIL                                                                               \
    CURL " -d account_id=99ebde5c-58f8-4e29-b6e4-b55b8fd71a1b \\\n -d password=secret_password "   \
         "\\\n -d new_email_address=new@example.com \\\n" URL("change_email_address")

static const struct api_example change_email_address_examples[] = {
    {"A new address:", CHANGE_EMAIL,
     "{\"event\":\"changed_email_address\",\"id\":\"8f68f6c4-9851-4b88-bd65-37cb983298e3\","
     "\"error\":false}"},
    {"An address that an account has, even this one:", CHANGE_EMAIL,
     "{\"event\":\"changed_email_address\",\"id\":\"4501f022-a57c-4aaf-9cd8-af0eb05ebfce\","
     "\"error\":\"email_already_taken\"}"},
};

struct change_email_address {
    struct api_call *call;
    struct email_change change;
};

static void on_email_changed(struct email_change *change)
{
    api_send_outcome(CONTAINER(change, struct change_email_address, change)->call, change->rc,
                     &change->err);
}

static void handle_change_email_address(struct api_call *call, const void *params)
{
    const struct change_email_address_params *p = params;
    struct change_email_address *op = arena_zalloc(call->arena, sizeof *op);
    op->call = call;
    op->change = (struct email_change){.caller = call->caller,
                                       .account_id = p->account_id,
                                       .email_address = p->new_email_address,
                                       .password = p->password ? p->password : "",
                                       .client = http_request_client(call->request),
                                       .loop = call->loop,
                                       .done = on_email_changed};
    email_change(call->svc, call->session, &op->change);
}

const struct api_endpoint v1_change_email_address = {
    .name = "change_email_address",
    .access = API_ACCOUNT,
    .run = API_ASYNC,
    .text = "Gives the caller's own account another address. Invitations that wait for the new "
            "address are carried out. What can be wrong, in this order: `email_invalid`, "
            "`account_id in mesg is not what user is signed in as`, `invalid_password`, "
            "`email_already_taken`. Wrong passwords count as in `change_password`.",
    API_PARAMS(change_email_address_params, struct change_email_address_params),
    .reply_event = "changed_email_address",
    API_MEMBERS(api_outcome_members),
    API_EXAMPLES(change_email_address_examples),
    .handler = handle_change_email_address,
};

// ---- unlink_passport ----

struct unlink_passport_params {
    const char *strategy;
    const cJSON *id;
};

static const struct api_param unlink_passport_params[] = {
    {.name = "strategy",
     .type = PARAM_STRING,
     .required = true,
     .offset = offsetof(struct unlink_passport_params, strategy),
     .text = "name of the identity provider"},
    {.name = "id",
     .type = PARAM_ANY,
     .required = true,
     .offset = offsetof(struct unlink_passport_params, id),
     .text = "the person's id at that provider; it is also what the reply's `id` is"},
};

static const struct api_example unlink_passport_examples[] = {
    {"Sign-in with that identity ends:",
     CURL " -d strategy=facebook \\\n -d id=14159265358 \\\n" URL("unlink_passport"),
     "{\"event\":\"success\",\"id\":\"14159265358\"}"},
};

struct unlink_passport {
    struct api_call *call;
    const char *strategy, *id;
    struct db_write write;
};

static int unlink_in_txn(struct db_session *txn, void *arg, struct err *err)
{
    const struct unlink_passport *op = arg;
    return account_passport_unlink(txn, &op->call->caller.account_id, op->strategy, op->id, err);
}

static void on_unlinked(struct db_write *write)
{
    const struct unlink_passport *op = write->arg;
    if (write->rc) {
        api_fail(op->call, &write->err);
        return;
    }
    api_reply(op->call);
    api_send(op->call);
}

static void handle_unlink_passport(struct api_call *call, const void *params)
{
    const struct unlink_passport_params *p = params;
    struct unlink_passport *op = arena_zalloc(call->arena, sizeof *op);
    op->call = call;
    op->strategy = p->strategy;
    op->id = cJSON_IsString(p->id) ? p->id->valuestring : call->id_json;
    op->write =
        (struct db_write){.loop = call->loop, .fn = unlink_in_txn, .arg = op, .done = on_unlinked};
    db_write_async(call->svc->db, &op->write);
}

const struct api_endpoint v1_unlink_passport = {
    .name = "unlink_passport",
    .access = API_ACCOUNT,
    .run = API_ASYNC,
    .text = "Takes the identity at another provider from the caller's account. The providers are "
            "listed at `/auth/strategies`; a `query` for `passports` in the table `accounts` shows "
            "which "
            "there are. Success also means that there was no such identity.",
    API_PARAMS(unlink_passport_params, struct unlink_passport_params),
    .reply_event = "success",
    API_EXAMPLES(unlink_passport_examples),
    .handler = handle_unlink_passport,
};
