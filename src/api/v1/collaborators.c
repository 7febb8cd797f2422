// SPDX-License-Identifier: AGPL-3.0-or-later
// add_collaborator, remove_collaborator (api-v1 3.17, 3.18).
#include <string.h>

#include "api/v1/endpoints.h"
#include "svc/accounts.h"
#include "svc/collaborators.h"
#include "svc/project.h"
#include "svc/project_quota.h"

#define EXAMPLE_ACCOUNT "99ebde5c-58f8-4e29-b6e4-b55b8fd71a1b"
#define SUCCESS         "{\"event\":\"success\",\"id\":\"e80fd64d-fd7e-4cbc-981c-c0e8c843deec\"}"

// ---- add_collaborator ----

struct add_collaborator_params {
    struct api_strings project_id, account_id;
    const cJSON *token_id;
};

#define FIELD(field) .offset = offsetof(struct add_collaborator_params, field)

static const struct api_param add_collaborator_params[] = {
    {.name = "project_id",
     .type = PARAM_STRING_OR_LIST,
     .is_uuid = true,
     FIELD(project_id),
     .text = "project, or a list of projects, one for each account; not needed with a token, which "
             "belongs to a project"},
    {.name = "account_id",
     .type = PARAM_STRING_OR_LIST,
     .required = true,
     .is_uuid = true,
     FIELD(account_id),
     .text = "person to add, or a list of people"},
    {.name = "token_id",
     .type = PARAM_ANY,
     FIELD(token_id),
     .text = "invite token of a project, or a list of tokens, one for each account"},
};
#undef FIELD

static const struct api_member add_collaborator_members[] = {
    {.name = "project_id",
     .schema = "{\"type\":[\"string\",\"array\"],\"items\":{\"type\":\"string\",\"format\":"
               "\"uuid\"},\"description\":\"with a token: the project that was joined, or the list "
               "of them\"}",
     .optional = true},
};

static const struct api_example add_collaborator_examples[] = {
    {"One person:",
     CURL " -d account_id=" EXAMPLE_ACCOUNT " \\\n -d project_id=" EXAMPLE_PROJECT
          " \\\n" URL("add_collaborator"),
     SUCCESS},
    {"Two people, each to a project:",
     CURL_JSON " -d '{\"account_id\":[\"" EXAMPLE_ACCOUNT
               "\",\"9b896055-920a-413c-9172-dfb4007a8e7f\"],"
               "\"project_id\":[\"" EXAMPLE_PROJECT
               "\",\"18955da4-4bfa-4afa-910c-7f2358c05eb8\"]}' \\\n" URL("add_collaborator"),
     SUCCESS},
    {"With an invite token:",
     CURL " -d account_id=" EXAMPLE_ACCOUNT
          " \\\n -d token_id=8sNCs0gO6qwRLMwJ \\\n" URL("add_collaborator"),
     "{\"event\":\"success\",\"id\":\"e80fd64d-fd7e-4cbc-981c-c0e8c843deec\","
     "\"project_id\":\"" EXAMPLE_PROJECT "\"}"},
};

struct add_collaborator {
    struct api_call *call;
    bool single_token;
    struct collaborators_add add;
    struct db_write write;
};

static void reply_added(struct add_collaborator *op)
{
    struct buf *out = api_reply(op->call);
    if (op->add.tokens) {
        json_key(out, "project_id");
        if (op->single_token) {
            json_str(out, op->add.project_ids[0].text);
        } else {
            json_begin_array(out);
            for (size_t i = 0; i < op->add.tokens_count; i++)
                json_str(out, op->add.project_ids[i].text);
            json_end_array(out);
        }
    }
    api_send(op->call);
}

static void on_added(struct db_write *write)
{
    struct add_collaborator *op = CONTAINER(write, struct add_collaborator, write);
    if (write->rc)
        api_fail(op->call, &write->err);
    else if (op->add.rc)
        api_fail(op->call, &op->add.err);
    else
        reply_added(op);
}

static void handle_add_collaborator(struct api_call *call, const void *params)
{
    const struct add_collaborator_params *p = params;
    struct add_collaborator *op = arena_zalloc(call->arena, sizeof *op);
    struct err err;
    op->call = call;
    op->add = (struct collaborators_add){
        .caller = call->caller,
        .accounts = p->account_id.items,
        .accounts_count = p->account_id.count,
        .projects = p->project_id.items,
        .projects_count = p->project_id.count,
        .projects_given = p->project_id.given,
        .project_ids =
            arena_zalloc(call->arena, (p->account_id.count + 1) * sizeof *op->add.project_ids),
    };
    op->single_token = cJSON_IsString(p->token_id);
    if (!collaborators_add_tokens(&op->add, p->token_id, call->arena)) {
        api_refuse(call, "invalid parameters 'TypeError: token_id must be a string or a list of "
                         "strings'");
        return;
    }
    if (collaborators_add_check(call->session, &op->add, &err)) {
        api_fail(call, &err);
        return;
    }
    account_mark_active(call->svc, &call->caller.account_id);
    op->write = (struct db_write){
        .loop = call->loop, .fn = collaborators_add_write, .arg = &op->add, .done = on_added};
    db_write_async(call->svc->db, &op->write);
}

const struct api_endpoint v1_add_collaborator = {
    .name = "add_collaborator",
    .access = API_ACCOUNT,
    .run = API_ASYNC,
    .text = "Makes people collaborators of projects. The caller must be owner or collaborator of "
            "each project, or give an invite token of it. Nobody is told by mail, and nobody has "
            "to accept.",
    API_PARAMS(add_collaborator_params, struct add_collaborator_params),
    .reply_event = "success",
    API_MEMBERS(add_collaborator_members),
    API_EXAMPLES(add_collaborator_examples),
    .notes = "Lists are paired by position. If one pair fails, those before it stay. Who is on the "
             "project already stays what they are, and uses up no token.",
    .handler = handle_add_collaborator,
};

// ---- remove_collaborator ----

struct remove_collaborator_params {
    const char *project_id, *account_id;
};

#define FIELD(field) .offset = offsetof(struct remove_collaborator_params, field)

static const struct api_param remove_collaborator_params[] = {
    {.name = "project_id",
     .type = PARAM_STRING,
     .required = true,
     .is_uuid = true,
     FIELD(project_id),
     .text = "project to take the person off"},
    {.name = "account_id",
     .type = PARAM_STRING,
     .required = true,
     .is_uuid = true,
     FIELD(account_id),
     .text = "person to remove; may be the caller"},
};
#undef FIELD

static const struct api_example remove_collaborator_examples[] = {
    {"Somebody leaves:",
     CURL " -d account_id=" EXAMPLE_ACCOUNT " \\\n -d project_id=" EXAMPLE_PROJECT
          " \\\n" URL("remove_collaborator"),
     SUCCESS},
};

struct remove_collaborator {
    struct api_call *call;
    struct uuid project_id, account_id;
    struct db_write write;
};

static int write_removal(struct db_session *txn, void *arg, struct err *err)
{
    const struct remove_collaborator *op = arg;
    return collaborator_remove(txn, &op->call->caller, &op->project_id, &op->account_id, err);
}

static void on_removed(struct db_write *write)
{
    struct remove_collaborator *op = write->arg;
    if (write->rc) {
        api_fail(op->call, &write->err);
        return;
    }
    project_quota_changed(op->call->svc, &op->project_id); // upgrades went with the person
    api_reply(op->call);
    api_send(op->call);
}

static void handle_remove_collaborator(struct api_call *call, const void *params)
{
    const struct remove_collaborator_params *p = params;
    struct remove_collaborator *op = arena_zalloc(call->arena, sizeof *op);
    struct err err;
    op->call = call;
    if (project_gate(call->session, &call->caller, p->project_id, ACCESS_WRITE, &op->project_id,
                     &err)) {
        api_fail(call, &err);
        return;
    }
    if (!uuid_parse(p->account_id, strlen(p->account_id), &op->account_id)) {
        api_error(call, "invalid account_id -- %s", p->account_id);
        return;
    }
    if (!uuid_equal(&op->account_id, &call->caller.account_id) &&
        collaborators_manage_check(call->session, &call->caller, &op->project_id, &err)) {
        api_fail(call, &err);
        return;
    }
    project_mark_edited(call->svc, &op->project_id);
    account_mark_active(call->svc, &call->caller.account_id);
    op->write =
        (struct db_write){.loop = call->loop, .fn = write_removal, .arg = op, .done = on_removed};
    db_write_async(call->svc->db, &op->write);
}

const struct api_endpoint v1_remove_collaborator = {
    .name = "remove_collaborator",
    .access = API_ACCOUNT,
    .run = API_ASYNC,
    .text = "Takes a person off a project, with the upgrades that they gave it. Owners stay, "
            "whoever asks; what the person runs goes on. Nobody is told by mail.",
    API_PARAMS(remove_collaborator_params, struct remove_collaborator_params),
    .reply_event = "success",
    API_EXAMPLES(remove_collaborator_examples),
    .handler = handle_remove_collaborator,
};
