// SPDX-License-Identifier: AGPL-3.0-or-later
// invite_collaborator, invite_noncloud_collaborators (api-v1 3.16, 3.19).
#include <string.h>

#include "api/v1/endpoints.h"
#include "http/http.h"
#include "svc/accounts.h"
#include "svc/collaborators.h"
#include "svc/invitations.h"
#include "svc/project.h"

struct invitation_call {
    struct api_call *call;
    struct invite invite;
};

// Passes the gate and begins; NULL: it was answered.
static struct invitation_call *begin(struct api_call *call, const char *project_id,
                                     const struct invite_text *text)
{
    struct invitation_call *op = arena_zalloc(call->arena, sizeof *op);
    struct err err;
    op->call = call;
    op->invite.inviter = call->caller.account_id;
    op->invite.text = *text;
    op->invite.arena = call->arena;
    op->invite.loop = call->loop;
    if (project_gate(call->session, &call->caller, project_id, ACCESS_WRITE, &op->invite.project_id,
                     &err) ||
        collaborators_manage_check(call->session, &call->caller, &op->invite.project_id, &err)) {
        api_fail(call, &err);
        return NULL;
    }
    project_mark_edited(call->svc, &op->invite.project_id);
    account_mark_active(call->svc, &call->caller.account_id);
    return op;
}

// ---- invite_collaborator ----

struct invite_collaborator_params {
    const char *project_id, *account_id;
    struct invite_text text;
};

#define FIELD(field) .offset = offsetof(struct invite_collaborator_params, field)

static const struct api_param invite_collaborator_params[] = {
    {.name = "project_id",
     .type = PARAM_STRING,
     .required = true,
     .is_uuid = true,
     FIELD(project_id),
     .text = "project to invite to"},
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
    {.name = "replyto",
     .type = PARAM_STRING,
     FIELD(text.replyto),
     .text = "email address of the person who invites; answers to the mail go there"},
    {.name = "replyto_name",
     .type = PARAM_STRING,
     FIELD(text.replyto_name),
     .text = "name of the person who invites"},
    {.name = "email",
     .type = PARAM_STRING,
     FIELD(text.email),
     .text = "text of the mail, plain or HTML; without it none is sent"},
    {.name = "subject",
     .type = PARAM_STRING,
     FIELD(text.subject),
     .text = "subject of the mail; by default one with the project's title"},
};
#undef FIELD

#define SUCCESS "{\"event\":\"success\",\"id\":\"e80fd64d-fd7e-4cbc-981c-c0e8c843deec\"}"
#define INVITE_JANE                                                                                \
    CURL " -d account_id=99ebde5c-58f8-4e29-b6e4-b55b8fd71a1b \\\n -d project_id=" EXAMPLE_PROJECT \
         " \\\n"

static const struct api_example invite_collaborator_examples[] = {
    {"Without a mail:", INVITE_JANE URL("invite_collaborator"), SUCCESS},
    {"With one:",
     INVITE_JANE " -d replyto_name='John Smith' \\\n -d replyto=john00@example.com \\\n"
                 " -d title='Class Project' \\\n -d link2proj=" EXAMPLE_HOST
                 "/projects/" EXAMPLE_PROJECT
                 " \\\n -d email='Here is what we talked about.' \\\n" URL("invite_collaborator"),
     SUCCESS},
};

static void on_account_invited(struct invite *invite)
{
    struct api_call *call = CONTAINER(invite, struct invitation_call, invite)->call;
    if (invite->rc) {
        api_fail(call, &invite->err);
        return;
    }
    api_reply(call);
    api_send(call);
}

static void handle_invite_collaborator(struct api_call *call, const void *params)
{
    const struct invite_collaborator_params *p = params;
    struct invitation_call *op = begin(call, p->project_id, &p->text);
    if (!op)
        return;
    if (!uuid_parse(p->account_id, strlen(p->account_id), &op->invite.account_id)) {
        api_error(call, "invalid account_id -- %s", p->account_id);
        return;
    }
    op->invite.done = on_account_invited;
    invite_account(call->svc, call->session, &op->invite);
}

const struct api_endpoint v1_invite_collaborator = {
    .name = "invite_collaborator",
    .access = API_ACCOUNT,
    .run = API_ASYNC,
    .text = "Makes a person who has an account a collaborator of a project, at once; they do not "
            "have to accept. With `email`, they are told by mail.",
    API_PARAMS(invite_collaborator_params, struct invite_collaborator_params),
    .reply_event = "success",
    API_EXAMPLES(invite_collaborator_examples),
    .notes =
        "An error about the mail leaves the person on the project. Within seven days a project "
        "sends an address one mail. The text keeps its simple HTML; links are kept if the project "
        "has network access or the caller has upgrades to give, and refused otherwise.",
    .handler = handle_invite_collaborator,
};

// ---- invite_noncloud_collaborators ----

struct invite_noncloud_params {
    const char *project_id, *to;
    struct invite_text text;
};

#define FIELD(field) .offset = offsetof(struct invite_noncloud_params, field)

static const struct api_param invite_noncloud_params[] = {
    {.name = "project_id",
     .type = PARAM_STRING,
     .required = true,
     .is_uuid = true,
     FIELD(project_id),
     .text = "project to invite to"},
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
    {.name = "replyto",
     .type = PARAM_STRING,
     FIELD(text.replyto),
     .text = "email address of the person who invites; answers to the mail go there"},
    {.name = "replyto_name",
     .type = PARAM_STRING,
     FIELD(text.replyto_name),
     .text = "name of the person who invites"},
    {.name = "subject",
     .type = PARAM_STRING,
     FIELD(text.subject),
     .text = "subject of the mail; by default the site's name and Invitation"},
};
#undef FIELD

static const struct api_member invite_noncloud_members[] = {
    {.name = "mesg", .schema = "{\"type\":\"string\"}"},
};

static const struct api_example invite_noncloud_examples[] = {
    {"One address:",
     CURL " -d project_id=18955da4-4bfa-4afa-910c-7f2358c05eb8 \\\n -d to=john00@example.com \\\n"
          " -d 'email=Please sign up and join this project.' \\\n -d 'title=Class Project' \\\n"
          " -d link2proj=" EXAMPLE_HOST "/projects/18955da4-4bfa-4afa-910c-7f2358c05eb8 \\\n" URL(
              "invite_noncloud_collaborators"),
     "{\"event\":\"invite_noncloud_collaborators_resp\",\"id\":\"39d7203d-89b1-4145-8a7a-"
     "59e41d5682a3\",\"mesg\":\"Invited john00@example.com to collaborate on a project.\"}"},
};

static void on_addresses_invited(struct invite *invite)
{
    struct api_call *call = CONTAINER(invite, struct invitation_call, invite)->call;
    if (invite->rc) {
        api_fail(call, &invite->err);
        return;
    }
    const char *mesg =
        arena_printf(call->arena, "Invited %s to collaborate on a project.", invite->to);
    json_member_str(api_reply(call), "mesg", mesg);
    api_send(call);
}

static void handle_invite_noncloud(struct api_call *call, const void *params)
{
    const struct invite_noncloud_params *p = params;
    struct invitation_call *op = begin(call, p->project_id, &p->text);
    if (!op)
        return;
    op->invite.to = p->to;
    op->invite.done = on_addresses_invited;
    invite_addresses(call->svc, call->session, &op->invite);
}

const struct api_endpoint v1_invite_noncloud_collaborators = {
    .name = "invite_noncloud_collaborators",
    .access = API_ACCOUNT,
    .run = API_ASYNC,
    .text = "Invites people by their email addresses. Who has an account becomes a collaborator at "
            "once and gets no mail; the others are asked by mail to sign up with that address, and "
            "are on the project as soon as they do so within 14 days.",
    API_PARAMS(invite_noncloud_params, struct invite_noncloud_params),
    .reply_event = "invite_noncloud_collaborators_resp",
    API_MEMBERS(invite_noncloud_members),
    API_EXAMPLES(invite_noncloud_examples),
    .notes = "If an address is refused, the others are invited nevertheless. Within seven days a "
             "project sends an address one mail. The text keeps its simple HTML; links are kept if "
             "the project has network access or the caller has upgrades to give, and refused "
             "otherwise.",
    .handler = handle_invite_noncloud,
};
