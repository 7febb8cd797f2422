// SPDX-License-Identifier: AGPL-3.0-or-later
// addCollaborator, removeCollaborator, changeUserType, inviteCollaborator,
// inviteCollaboratorWithoutAccount (hub-rpc 2.2, 3).
#include <string.h>

#include "api/rpc/methods.h"
#include "base/clock.h"
#include "base/text.h"
#include "svc/accounts.h"
#include "svc/collaborators.h"
#include "svc/invitations.h"
#include "svc/project.h"
#include "svc/project_quota.h"

#define OPTS_CALL(method, opts)                                                                    \
    CALL_HUB("{\"name\":\"projects." method "\",\"args\":[{\"opts\":{" opts "}}]}")
#define MAIL_PAUSE_MS CLOCK_DAY_MS

// The services' texts say the class of what went wrong where it is another than Error, and
// sometimes where it is not.
static void fail(struct api_call *call, const struct err *err)
{
    if (text_has_prefix(err->message, "Error: ") ||
        text_has_prefix(err->message, "OwnershipError: "))
        rpc_fail_bare(call, err);
    else
        rpc_fail(call, err);
}

// ---- addCollaborator ----

struct add_params {
    struct api_strings project_id, account_id;
    const cJSON *token_id;
};

#define FIELD(field) .offset = offsetof(struct add_params, field)

static const struct api_param add_params[] = {
    {.name = "project_id",
     .type = PARAM_STRING_OR_LIST,
     .is_uuid = true,
     FIELD(project_id),
     .text = "project, or a list of projects, one for each account; not with a token, which "
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

static const struct api_example add_examples[] = {
    {"One person:",
     OPTS_CALL("addCollaborator",
               "\"project_id\":\"" EXAMPLE_PROJECT "\",\"account_id\":\"" EXAMPLE_ACCOUNT "\""),
     "{\"project_id\":[\"" EXAMPLE_PROJECT "\"]}"},
    {"With an invite token:",
     OPTS_CALL("addCollaborator",
               "\"account_id\":\"" EXAMPLE_ACCOUNT "\",\"token_id\":\"8sNCs0gO6qwRLMwJ\""),
     "{\"project_id\":\"" EXAMPLE_PROJECT "\"}"},
};

struct adding {
    struct api_call *call;
    bool single_token;
    struct collaborators_add add;
    struct db_write write;
};

static void answer_added(struct adding *op)
{
    struct buf *out = rpc_result(op->call);
    json_begin_object(out);
    json_key(out, "project_id");
    if (op->single_token) {
        json_str(out, op->add.project_ids[0].text);
    } else {
        json_begin_array(out);
        for (size_t i = 0; i < op->add.accounts_count; i++)
            json_str(out, op->add.project_ids[i].text);
        json_end_array(out);
    }
    json_end_object(out);
    rpc_send(op->call);
}

static void on_added(struct db_write *write)
{
    struct adding *op = CONTAINER(write, struct adding, write);
    if (write->rc)
        fail(op->call, &write->err);
    else if (op->add.rc == -ERR_NOT_FOUND &&
             text_has_prefix(op->add.err.message, COLLABORATORS_TOKEN_REFUSED))
        rpc_refuse_bare(op->call, "%sno such token", COLLABORATORS_TOKEN_REFUSED);
    else if (op->add.rc)
        fail(op->call, &op->add.err);
    else
        answer_added(op);
}

// False: it was answered.
static bool read_tokens(struct adding *op, const cJSON *value)
{
    struct collaborators_add *add = &op->add;
    op->single_token = cJSON_IsString(value) && value->valuestring[0];
    if (!collaborators_add_tokens(add, value, op->call->arena))
        rpc_refuse(op->call, "token_id must be a string or a list of strings");
    else if (add->tokens && add->projects_given && add->projects_count && add->projects[0][0])
        rpc_refuse(op->call, "project_id must not be given with token_id");
    else
        return true;
    return false;
}

static void handle_add(struct api_call *call, const void *params)
{
    const struct add_params *p = params;
    struct adding *op = arena_zalloc(call->arena, sizeof *op);
    struct err err;
    op->call = call;
    op->add = (struct collaborators_add){
        .caller = call->caller,
        .by_rpc = true,
        .accounts = p->account_id.items,
        .accounts_count = p->account_id.count,
        .projects = p->project_id.items,
        .projects_count = p->project_id.count,
        .projects_given = p->project_id.given,
        .project_ids =
            arena_zalloc(call->arena, (p->account_id.count + 1) * sizeof *op->add.project_ids),
    };
    if (!read_tokens(op, p->token_id))
        return;
    if (collaborators_add_check(call->session, &op->add, &err)) {
        fail(call, &err);
        return;
    }
    account_mark_active(call->svc, &call->caller.account_id);
    op->write = (struct db_write){
        .loop = call->loop, .fn = collaborators_add_write, .arg = &op->add, .done = on_added};
    db_write_async(call->svc->db, &op->write);
}

const struct api_endpoint hub_projects_add_collaborator = {
    HUB_METHOD("projects.addCollaborator"),
    .args = ARGS_OPTS,
    .run = API_ASYNC,
    .text = "Makes people collaborators of projects, and answers with the projects. The caller "
            "must work on each of them, be an administrator, or give an invite token. Nobody is "
            "told by mail, and nobody has to accept.",
    API_PARAMS(add_params, struct add_params),
    .result = "{\"type\":\"object\",\"properties\":{\"project_id\":{\"type\":[\"array\","
              "\"string\"],\"items\":{\"type\":\"string\",\"format\":\"uuid\"},\"description\":"
              "\"a list, unless one token was given\"}},\"required\":[\"project_id\"]}",
    API_EXAMPLES(add_examples),
    .notes = "Lists are paired by position. If one pair fails, those before it stay. Who is on the "
             "project already stays what they are, and uses up no token. One may add oneself to a "
             "project that belongs to the course of a project one works on. Where only owners may "
             "manage collaborators (the project's `manage_users_owner_only`, or the site's "
             "`strict_collaborator_management`), only they and administrators may.",
    .handler = handle_add,
};

// ---- removeCollaborator ----

struct member_params {
    const char *project_id, *account_id, *new_group;
};

#define PROJECT_PARAM(params, what)                                                                \
    {                                                                                              \
        .name = "project_id", .type = PARAM_STRING, .required = true, .is_uuid = true,             \
        .offset = offsetof(params, project_id), .text = (what)                                     \
    }
#define MEMBER_PARAM(param, what)                                                                  \
    {                                                                                              \
        .name = (param), .type = PARAM_STRING, .required = true, .is_uuid = true,                  \
        .offset = offsetof(struct member_params, account_id), .text = (what)                       \
    }

static const struct api_param remove_params[] = {
    PROJECT_PARAM(struct member_params, "project to take the person off"),
    MEMBER_PARAM("account_id", "person to remove; may be the caller"),
};

static const struct api_example remove_examples[] = {
    {"",
     OPTS_CALL("removeCollaborator",
               "\"project_id\":\"" EXAMPLE_PROJECT "\",\"account_id\":\"" EXAMPLE_ACCOUNT "\""),
     "null"},
};

struct member {
    struct api_call *call;
    struct uuid project_id, account_id;
    const char *group;
    struct db_write write;
};

static void on_member_written(struct db_write *write)
{
    struct member *op = write->arg;
    if (write->rc) {
        fail(op->call, &write->err);
        return;
    }
    if (!op->group)
        project_quota_changed(op->call->svc, &op->project_id); // upgrades went with the person
    rpc_null(op->call);
}

static void write_member(struct member *op, db_txn_fn *fn)
{
    struct api_call *call = op->call;
    account_mark_active(call->svc, &call->caller.account_id);
    op->write =
        (struct db_write){.loop = call->loop, .fn = fn, .arg = op, .done = on_member_written};
    db_write_async(call->svc->db, &op->write);
}

static bool read_account(struct api_call *call, const char *text, struct uuid *ret_account_id)
{
    if (uuid_parse(text, strlen(text), ret_account_id))
        return true;
    rpc_refuse(call, "Invalid account_id: %.200s", text);
    return false;
}

static int write_removal(struct db_session *txn, void *arg, struct err *err)
{
    const struct member *op = arg;
    return collaborator_remove_by(txn, &op->call->caller, &op->project_id, &op->account_id, err);
}

static void handle_remove(struct api_call *call, const void *params)
{
    const struct member_params *p = params;
    struct member *op = arena_zalloc(call->arena, sizeof *op);
    op->call = call;
    if (!rpc_collaborator(call, p->project_id, "user must be a collaborator", &op->project_id) ||
        !read_account(call, p->account_id, &op->account_id))
        return;
    project_mark_edited(call->svc, &op->project_id);
    write_member(op, write_removal);
}

const struct api_endpoint hub_projects_remove_collaborator = {
    HUB_METHOD("projects.removeCollaborator"),
    .args = ARGS_OPTS,
    .run = API_ASYNC,
    .text = "Takes a person off a project that the caller works on, with the upgrades that they "
            "gave it. An owner has to be made a collaborator first. What the person runs goes on.",
    API_PARAMS(remove_params, struct member_params),
    .result = NULL_SCHEMA,
    API_EXAMPLES(remove_examples),
    .handler = handle_remove,
};

// ---- changeUserType ----

static const struct api_param type_params[] = {
    PROJECT_PARAM(struct member_params, "project of which the caller is an owner"),
    MEMBER_PARAM("target_account_id", "somebody who works on it; may be the caller"),
    {.name = "new_group",
     .type = PARAM_STRING,
     .required = true,
     .offset = offsetof(struct member_params, new_group),
     .text = "`owner` or `collaborator`"},
};

static const struct api_example type_examples[] = {
    {"A second owner:",
     OPTS_CALL("changeUserType",
               "\"project_id\":\"" EXAMPLE_PROJECT "\",\"target_account_id\":\"" EXAMPLE_ACCOUNT
               "\",\"new_group\":\"owner\""),
     "null"},
};

static int write_type(struct db_session *txn, void *arg, struct err *err)
{
    const struct member *op = arg;
    return collaborator_group_set(txn, &op->call->caller, &op->project_id, &op->account_id,
                                  op->group, err);
}

static void handle_type(struct api_call *call, const void *params)
{
    const struct member_params *p = params;
    struct member *op = arena_zalloc(call->arena, sizeof *op);
    op->call = call;
    op->group = p->new_group;
    if (!uuid_parse(p->project_id, strlen(p->project_id), &op->project_id))
        rpc_refuse(call, "Invalid project_id: %.200s", p->project_id);
    else if (read_account(call, p->account_id, &op->account_id))
        write_member(op, write_type);
}

const struct api_endpoint hub_projects_change_user_type = {
    HUB_METHOD("projects.changeUserType"),
    .args = ARGS_OPTS,
    .run = API_ASYNC,
    .text = "Makes an owner of a collaborator, or a collaborator of an owner. For owners. A "
            "project always keeps one.",
    API_PARAMS(type_params, struct member_params),
    .result = NULL_SCHEMA,
    API_EXAMPLES(type_examples),
    .handler = handle_type,
};

// ---- inviteCollaborator ----

struct invite_params {
    const char *project_id, *account_id, *to;
    struct invite_text text;
};

#define FIELD(field) .offset = offsetof(struct invite_params, field)
#define REPLY_PARAMS                                                                               \
    {.name = "replyto",                                                                            \
     .type = PARAM_STRING,                                                                         \
     FIELD(text.replyto),                                                                          \
     .text = "email address of the person who invites; answers to the mail go there"},             \
        {.name = "replyto_name",                                                                   \
         .type = PARAM_STRING,                                                                     \
         FIELD(text.replyto_name),                                                                 \
         .text = "name of the person who invites"},                                                \
    {                                                                                              \
        .name = "subject", .type = PARAM_STRING, FIELD(text.subject),                              \
        .text = "subject of the mail"                                                              \
    }

static const struct api_param invite_params[] = {
    PROJECT_PARAM(struct invite_params, "project to invite to"),
    {.name = "account_id",
     .type = PARAM_STRING,
     .required = true,
     .is_uuid = true,
     FIELD(account_id),
     .text = "person to invite, who has an account"},
    {.name = "title",
     .type = PARAM_STRING,
     FIELD(text.title),
     .text = "what the mail calls the project; by default its title"},
    {.name = "link2proj",
     .type = PARAM_STRING,
     FIELD(text.link2proj),
     .text = "full URL of the project, for the mail"},
    REPLY_PARAMS,
    {.name = "email",
     .type = PARAM_STRING,
     FIELD(text.email),
     .text = "text of the mail, plain or HTML; without it none is sent"},
};

static const struct api_example invite_examples[] = {
    {"Without a mail:",
     OPTS_CALL("inviteCollaborator",
               "\"project_id\":\"" EXAMPLE_PROJECT "\",\"account_id\":\"" EXAMPLE_ACCOUNT "\""),
     "null"},
};

struct invitation_call {
    struct api_call *call;
    struct invite invite;
};

static void on_invited(struct invite *invite)
{
    struct api_call *call = CONTAINER(invite, struct invitation_call, invite)->call;
    if (invite->rc)
        fail(call, &invite->err);
    else
        rpc_null(call);
}

// NULL: it was answered.
static struct invitation_call *invitation_begin(struct api_call *call,
                                                const struct invite_params *p)
{
    struct invitation_call *op = arena_zalloc(call->arena, sizeof *op);
    struct err err;
    op->call = call;
    op->invite = (struct invite){
        .inviter = call->caller.account_id,
        .to = p->to,
        .text = p->text,
        .pause_ms = MAIL_PAUSE_MS,
        .arena = call->arena,
        .loop = call->loop,
        .done = on_invited,
    };
    if (!rpc_collaborator(call, p->project_id, "user must be a collaborator",
                          &op->invite.project_id))
        return NULL;
    if (collaborators_manage_check(call->session, &call->caller, &op->invite.project_id, &err)) {
        fail(call, &err);
        return NULL;
    }
    project_mark_edited(call->svc, &op->invite.project_id);
    account_mark_active(call->svc, &call->caller.account_id);
    return op;
}

static void handle_invite(struct api_call *call, const void *params)
{
    const struct invite_params *p = params;
    struct invitation_call *op = invitation_begin(call, p);
    if (op && read_account(call, p->account_id, &op->invite.account_id))
        invite_account(call->svc, call->session, &op->invite);
}

const struct api_endpoint hub_projects_invite_collaborator = {
    HUB_METHOD("projects.inviteCollaborator"),
    .args = ARGS_OPTS,
    .run = API_ASYNC,
    .text = "Makes a person who has an account a collaborator of a project, at once; they do not "
            "have to accept. With `email`, they are told by mail.",
    API_PARAMS(invite_params, struct invite_params),
    .result = NULL_SCHEMA,
    API_EXAMPLES(invite_examples),
    .notes = "An error about the mail leaves the person on the project. Within a day a project "
             "sends an address one mail. The text keeps its simple HTML; links are kept if the "
             "project has network access or the caller has upgrades to give, and refused "
             "otherwise.",
    .handler = handle_invite,
};

// ---- inviteCollaboratorWithoutAccount ----

static const struct api_param address_params[] = {
    PROJECT_PARAM(struct invite_params, "project to invite to"),
    {.name = "to",
     .type = PARAM_STRING,
     .required = true,
     FIELD(to),
     .text = "email addresses with commas, semicolons or white space between them; at most 1024 "
             "characters, each address at most 127"},
    {.name = "email",
     .type = PARAM_STRING,
     .required = true,
     FIELD(text.email),
     .text = "text of the mail, plain or HTML"},
    {.name = "title",
     .type = PARAM_STRING,
     .required = true,
     FIELD(text.title),
     .text = "what the mail calls the project"},
    {.name = "link2proj",
     .type = PARAM_STRING,
     .required = true,
     FIELD(text.link2proj),
     .text = "full URL of the project"},
    REPLY_PARAMS,
};
#undef FIELD

static const struct api_example address_examples[] = {
    {"",
     OPTS_CALL("inviteCollaboratorWithoutAccount",
               "\"project_id\":\"" EXAMPLE_PROJECT
               "\",\"to\":\"john00@example.com\",\"title\":\"Class Project\",\"link2proj\":"
               "\"" EXAMPLE_HOST "/projects/" EXAMPLE_PROJECT
               "\",\"email\":\"Please sign up and join this project.\""),
     "null"},
};

static void handle_invite_address(struct api_call *call, const void *params)
{
    struct invitation_call *op = invitation_begin(call, params);
    if (op)
        invite_addresses(call->svc, call->session, &op->invite);
}

const struct api_endpoint hub_projects_invite_collaborator_without_account = {
    HUB_METHOD("projects.inviteCollaboratorWithoutAccount"),
    .args = ARGS_OPTS,
    .run = API_ASYNC,
    .text = "Invites people by their email addresses. Who has an account becomes a collaborator at "
            "once and gets no mail; the others are asked by mail to sign up with that address, and "
            "are on the project as soon as they do so within 14 days.",
    API_PARAMS(address_params, struct invite_params),
    .result = NULL_SCHEMA,
    API_EXAMPLES(address_examples),
    .notes = "If an address is refused, the others are invited nevertheless. Within a day a "
             "project sends an address one mail.",
    .handler = handle_invite_address,
};
