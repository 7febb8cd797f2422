// SPDX-License-Identifier: AGPL-3.0-or-later
// org.* (hub-rpc 2.8): what organizations are and say of themselves, and who is in them.
#include "svc/organizations.h"
#include "api/rpc/methods.h"
#include "api/rpc_read.h"

#define NAME_PARAM(record)                                                                         \
    {                                                                                              \
        .name = "name", .type = PARAM_STRING, .required = true, .offset = offsetof(record, name),  \
        .text = "name of the organization"                                                         \
    }
#define ADMINS_SCHEMA                                                                              \
    "{\"type\":[\"array\",\"null\"],\"items\":{\"type\":\"string\",\"format\":\"uuid\"}}"
#define TEXT_SCHEMA "{\"type\":[\"string\",\"null\"]}"

struct name_params {
    const char *name;
};
static const struct api_param name_params[] = {NAME_PARAM(struct name_params)};

// What its administrators read. Answers itself if the caller is none.
static bool check_admin(struct api_call *call, const char *name)
{
    struct err err;
    if (!organization_check_admin(call->session, &call->caller, name, &err))
        return true;
    rpc_fail(call, &err);
    return false;
}

// ---- getAll ----

static int read_all(struct db_session *session, void *arg UNUSED, struct buf *out, struct err *err)
{
    return organization_list(session, out, err);
}

static void handle_get_all(struct api_call *call, const void *params UNUSED)
{
    if (call->caller.admin)
        rpc_read(call, read_all, NULL);
    else
        rpc_refuse(call, "must be a site admin");
}

static const struct api_example get_all_examples[] = {
    {"As an administrator of the site:", CALL_HUB("{\"name\":\"org.getAll\",\"args\":[{}]}"),
     "[{\"name\":\"physics\",\"title\":\"Department of Physics\","
     "\"admin_account_ids\":[\"" EXAMPLE_ACCOUNT "\"]}]"},
};

const struct api_endpoint hub_org_get_all = {
    HUB_METHOD("org.getAll"),
    .run = API_ASYNC,
    .text = "Lists all organizations. For administrators of the site.",
    .result = "{\"type\":\"array\",\"items\":{\"type\":\"object\",\"properties\":{"
              "\"name\":{\"type\":\"string\"},\"title\":" TEXT_SCHEMA
              ",\"admin_account_ids\":" ADMINS_SCHEMA
              "},\"required\":[\"name\",\"title\",\"admin_account_ids\"]}}",
    API_EXAMPLES(get_all_examples),
    .handler = handle_get_all,
};

// ---- create ----

static void answer_created(struct api_call *call, void *arg)
{
    const struct organization_create *create = arg;
    json_str(rpc_result(call), create->id.text);
    rpc_send(call);
}

static void handle_create(struct api_call *call, const void *params)
{
    struct organization_create *create = arena_zalloc(call->arena, sizeof *create);
    create->caller = call->caller;
    create->name = ((const struct name_params *)params)->name;
    rpc_write(call, organization_create, create, answer_created);
}

static const struct api_param create_params[] = {
    {.name = "name",
     .type = PARAM_STRING,
     .required = true,
     .offset = offsetof(struct name_params, name),
     .text = "1 to 39 characters, which no account or other organization has as its name. It "
             "stays"},
};

static const struct api_example create_examples[] = {
    {"As an administrator of the site:",
     CALL_HUB("{\"name\":\"org.create\",\"args\":[{\"name\":\"physics\"}]}"),
     "\"07897899-6bbb-4fbc-80a7-3586c43348d1\""},
};

const struct api_endpoint hub_org_create = {
    HUB_METHOD("org.create"),
    .run = API_ASYNC,
    .text = "Makes an organization, which has no members yet, and answers with its id. For "
            "administrators of the site.",
    API_PARAMS(create_params, struct name_params),
    .result = "{\"type\":\"string\",\"format\":\"uuid\"}",
    API_EXAMPLES(create_examples),
    .handler = handle_create,
};

// ---- get ----

static void handle_get(struct api_call *call, const void *params)
{
    const char *name = ((const struct name_params *)params)->name;
    struct err err;
    if (!check_admin(call, name))
        return;
    if (organization_show(call->session, name, rpc_result(call), &err))
        rpc_fail(call, &err);
    else
        rpc_send(call);
}

static const struct api_example get_examples[] = {
    {"What it says of itself:",
     CALL_HUB("{\"name\":\"org.get\",\"args\":[{\"name\":\"physics\"}]}"),
     "{\"name\":\"physics\",\"title\":\"Department of Physics\",\"description\":null,"
     "\"link\":\"https://physics.example.com\",\"email_address\":null,"
     "\"admin_account_ids\":[\"" EXAMPLE_ACCOUNT "\"]}"},
};

const struct api_endpoint hub_org_get = {
    HUB_METHOD("org.get"),
    .run = API_INLINE,
    .text = "What an organization says of itself, and who looks after it; `null` where nothing is "
            "set. For its administrators, and those of the site.",
    API_PARAMS(name_params, struct name_params),
    .result = "{\"type\":\"object\",\"properties\":{\"name\":{\"type\":\"string\"},"
              "\"title\":" TEXT_SCHEMA ",\"description\":" TEXT_SCHEMA ",\"link\":" TEXT_SCHEMA
              ",\"email_address\":" TEXT_SCHEMA ",\"admin_account_ids\":" ADMINS_SCHEMA
              "},\"required\":[\"name\",\"title\",\"description\",\"link\",\"email_address\","
              "\"admin_account_ids\"]}",
    API_EXAMPLES(get_examples),
    .handler = handle_get,
};

// ---- set ----

struct set_params {
    const char *name, *title, *description, *email_address, *link;
};

#define TEXT_PARAM(field, what)                                                                    \
    {                                                                                              \
        .name = #field, .type = PARAM_STRING, .offset = offsetof(struct set_params, field),        \
        .text = what ", at most 254 characters"                                                    \
    }

static const struct api_param set_params[] = {
    NAME_PARAM(struct set_params),         TEXT_PARAM(title, "what it is called"),
    TEXT_PARAM(description, "what it is"), TEXT_PARAM(email_address, "where it can be reached"),
    TEXT_PARAM(link, "its website"),
};

static void handle_set(struct api_call *call, const void *params)
{
    const struct set_params *p = params;
    struct organization_change *change = arena_zalloc(call->arena, sizeof *change);
    *change = (struct organization_change){
        .caller = call->caller,
        .name = p->name,
        .title = p->title,
        .description = p->description,
        .link = p->link,
        .email_address = p->email_address,
    };
    rpc_write(call, organization_change, change, NULL);
}

static const struct api_example set_examples[] = {
    {"A new title:",
     CALL_HUB("{\"name\":\"org.set\",\"args\":[{\"name\":\"physics\",\"title\":\"Department of "
              "Physics\"}]}"),
     "null"},
};

const struct api_endpoint hub_org_set = {
    HUB_METHOD("org.set"),
    .run = API_ASYNC,
    .text =
        "Changes what an organization says of itself. What is left out, or `null`, stays; `\"\"` "
        "clears. For its administrators, and those of the site.",
    API_PARAMS(set_params, struct set_params),
    .result = NULL_SCHEMA,
    API_EXAMPLES(set_examples),
    .handler = handle_set,
};

// ---- getUsers ----

static int read_users(struct db_session *session, void *arg, struct buf *out, struct err *err)
{
    return organization_members(session, arg, out, err);
}

static void handle_get_users(struct api_call *call, const void *params)
{
    const char *name = ((const struct name_params *)params)->name;
    if (check_admin(call, name))
        rpc_read(call, read_users, arena_strdup(call->arena, name));
}

static const struct api_example get_users_examples[] = {
    {"Who is in it?", CALL_HUB("{\"name\":\"org.getUsers\",\"args\":[{\"name\":\"physics\"}]}"),
     "[{\"first_name\":\"John\",\"last_name\":\"Doe\","
     "\"account_id\":\"" EXAMPLE_ACCOUNT "\","
     "\"email_address\":\"john00@example.com\",\"last_active\":\"2025-08-29T15:49:00.133Z\"}]"},
};

const struct api_endpoint hub_org_get_users = {
    HUB_METHOD("org.getUsers"),
    .run = API_ASYNC,
    .text = "Lists the members of an organization. For its administrators, and those of the site.",
    API_PARAMS(name_params, struct name_params),
    .result = "{\"type\":\"array\",\"items\":{\"type\":\"object\",\"properties\":{"
              "\"first_name\":" TEXT_SCHEMA ",\"last_name\":" TEXT_SCHEMA
              ",\"account_id\":{\"type\":\"string\",\"format\":\"uuid\"},"
              "\"email_address\":" TEXT_SCHEMA
              ",\"last_active\":{\"type\":[\"string\",\"null\"],\"format\":\"date-time\"}},"
              "\"required\":[\"first_name\",\"last_name\",\"account_id\",\"email_address\","
              "\"last_active\"]}}",
    API_EXAMPLES(get_users_examples),
    .handler = handle_get_users,
};

// ---- addAdmin, addUser, removeUser, removeAdmin ----

struct user_params {
    const char *name, *user;
};

static const struct api_param user_params[] = {
    NAME_PARAM(struct user_params),
    {.name = "user",
     .type = PARAM_STRING,
     .required = true,
     .offset = offsetof(struct user_params, user),
     .text = "account id or email address"},
};

static void write_user(struct api_call *call, const void *params, db_txn_fn *fn)
{
    const struct user_params *p = params;
    struct organization_user *user = arena_zalloc(call->arena, sizeof *user);
    *user = (struct organization_user){.caller = call->caller, .name = p->name, .user = p->user};
    rpc_write(call, fn, user, NULL);
}

#define CALL_USER(method)                                                                          \
    CALL_HUB("{\"name\":\"" method "\",\"args\":[{\"name\":\"physics\","                           \
             "\"user\":\"john00@example.com\"}]}")

static void handle_add_admin(struct api_call *call, const void *params)
{
    write_user(call, params, organization_admin_add);
}

static const struct api_example add_admin_examples[] = {
    {"As an administrator of the site:", CALL_USER("org.addAdmin"), "null"},
};

const struct api_endpoint hub_org_add_admin = {
    HUB_METHOD("org.addAdmin"),
    .run = API_ASYNC,
    .text = "Makes an account an administrator of an organization, and a member. It must not "
            "belong to another one. For administrators of the site.",
    API_PARAMS(user_params, struct user_params),
    .result = NULL_SCHEMA,
    API_EXAMPLES(add_admin_examples),
    .handler = handle_add_admin,
};

static void handle_add_user(struct api_call *call, const void *params)
{
    write_user(call, params, organization_user_add);
}

static const struct api_example add_user_examples[] = {
    {"As an administrator of the site:", CALL_USER("org.addUser"), "null"},
};

const struct api_endpoint hub_org_add_user = {
    HUB_METHOD("org.addUser"),
    .run = API_ASYNC,
    .text = "Makes an account a member of an organization, out of any other, whose administrator "
            "it is no longer. There need not be an organization of that name. For administrators "
            "of the site.",
    API_PARAMS(user_params, struct user_params),
    .result = NULL_SCHEMA,
    API_EXAMPLES(add_user_examples),
    .handler = handle_add_user,
};

static void handle_remove_user(struct api_call *call, const void *params)
{
    write_user(call, params, organization_user_remove);
}

static const struct api_example remove_user_examples[] = {
    {"Somebody leaves:", CALL_USER("org.removeUser"), "null"},
};

const struct api_endpoint hub_org_remove_user = {
    HUB_METHOD("org.removeUser"),
    .run = API_ASYNC,
    .text = "Ends a membership. An administrator of the organization cannot leave it. For its "
            "administrators, and those of the site.",
    API_PARAMS(user_params, struct user_params),
    .result = NULL_SCHEMA,
    API_EXAMPLES(remove_user_examples),
    .handler = handle_remove_user,
};

static void handle_remove_admin(struct api_call *call, const void *params)
{
    write_user(call, params, organization_admin_remove);
}

static const struct api_example remove_admin_examples[] = {
    {"A member like the others again:", CALL_USER("org.removeAdmin"), "null"},
};

const struct api_endpoint hub_org_remove_admin = {
    HUB_METHOD("org.removeAdmin"),
    .run = API_ASYNC,
    .text = "Makes an administrator of an organization a mere member. For its administrators, and "
            "those of the site.",
    API_PARAMS(user_params, struct user_params),
    .result = NULL_SCHEMA,
    API_EXAMPLES(remove_admin_examples),
    .handler = handle_remove_admin,
};
