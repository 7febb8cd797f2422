// SPDX-License-Identifier: AGPL-3.0-or-later
// add_license_to_project, remove_license_from_project, get_available_upgrades (api-v1 3.14, 3.15,
// 3.34).
#include <string.h>

#include "api/v1/endpoints.h"
#include "http/http.h"
#include "svc/accounts.h"
#include "svc/licenses.h"
#include "svc/project.h"
#include "svc/upgrades.h"

#define EXAMPLE_LICENSE "7e57f3bb-5dd7-4ef6-b1b7-6ae0b0ee0a34"
#define SUCCESS         "{\"event\":\"success\",\"id\":\"0fb0ffb2-90ea-4fbe-8bb2-6a4e7c6f6b47\"}"

// ---- add_license_to_project, remove_license_from_project ----

struct license_params {
    const char *project_id, *license_id;
};

static const struct api_param license_params[] = {
    {.name = "project_id",
     .type = PARAM_STRING,
     .required = true,
     .is_uuid = true,
     .offset = offsetof(struct license_params, project_id),
     .text = "project of which the caller is owner or collaborator"},
    {.name = "license_id",
     .type = PARAM_STRING,
     .required = true,
     .is_uuid = true,
     .offset = offsetof(struct license_params, license_id),
     .text = "license"},
};

typedef int license_change_fn(struct db_session *txn, const struct uuid *project_id,
                              const struct uuid *license_id, struct err *err);

struct license_change {
    struct api_call *call;
    license_change_fn *change;
    struct uuid project_id, license_id;
    struct db_write write;
};

static int write_license_change(struct db_session *txn, void *arg, struct err *err)
{
    const struct license_change *op = arg;
    return op->change(txn, &op->project_id, &op->license_id, err);
}

static void on_license_changed(struct db_write *write)
{
    struct license_change *op = write->arg;
    if (write->rc) {
        api_fail(op->call, &write->err);
        return;
    }
    api_reply(op->call);
    api_send(op->call);
}

static void change_license(struct api_call *call, const struct license_params *p,
                           license_change_fn *change)
{
    struct license_change *op = arena_zalloc(call->arena, sizeof *op);
    struct err err;
    op->call = call;
    op->change = change;
    account_mark_active(call->svc, &call->caller.account_id);
    if (project_write_gate(call->session, &call->caller, p->project_id, &op->project_id, &err)) {
        http_request_set_error(call->request, &err);
        api_error(call, "must have write access to %s -- %s", p->project_id, err.message);
        return;
    }
    if (!uuid_parse(p->license_id, strlen(p->license_id), &op->license_id)) {
        api_error(call, "license id \"%.100s\" is not a UUID", p->license_id);
        return;
    }
    op->write = (struct db_write){
        .loop = call->loop, .fn = write_license_change, .arg = op, .done = on_license_changed};
    db_write_async(call->svc->db, &op->write);
}

static void handle_add_license_to_project(struct api_call *call, const void *params)
{
    change_license(call, params, project_license_add);
}

static void handle_remove_license_from_project(struct api_call *call, const void *params)
{
    change_license(call, params, project_license_remove);
}

#define LICENSE_FORM                                                                               \
    CURL " -d license_id=" EXAMPLE_LICENSE " \\\n -d project_id=" EXAMPLE_PROJECT " \\\n"

static const struct api_example add_license_examples[] = {
    {"A license for a project:", LICENSE_FORM URL("add_license_to_project"), SUCCESS},
};

static const struct api_example remove_license_examples[] = {
    {"The project without it, from its next start on:",
     LICENSE_FORM URL("remove_license_from_project"), SUCCESS},
};

const struct api_endpoint v1_add_license_to_project = {
    .name = "add_license_to_project",
    .access = API_ACCOUNT,
    .run = API_ASYNC,
    .text = "Attaches a license to a project. It takes effect when the project starts next, if it "
            "is valid then and not in use by as many running projects as it is good for. Attaching "
            "it again changes nothing.",
    API_PARAMS(license_params, struct license_params),
    .reply_event = "success",
    API_EXAMPLES(add_license_examples),
    .handler = handle_add_license_to_project,
};

const struct api_endpoint v1_remove_license_from_project = {
    .name = "remove_license_from_project",
    .access = API_ACCOUNT,
    .run = API_ASYNC,
    .text = "Takes a license off a project. While the project runs, it keeps what the license gave "
            "it. Taking off one that is not attached changes nothing.",
    API_PARAMS(license_params, struct license_params),
    .reply_event = "success",
    API_EXAMPLES(remove_license_examples),
    .handler = handle_remove_license_from_project,
};

// ---- get_available_upgrades ----

#define AMOUNTS_SCHEMA "{\"type\":\"object\",\"additionalProperties\":{\"type\":\"number\"}"

static const struct api_member get_available_upgrades_members[] = {
    {.name = "total",
     .schema = AMOUNTS_SCHEMA ",\"description\":\"what the account has to give, by name\"}"},
    {.name = "excess",
     .schema = "{\"type\":\"object\",\"additionalProperties\":" AMOUNTS_SCHEMA
               "},\"description\":\"what projects have beyond that, by project\"}"},
    {.name = "available",
     .schema = AMOUNTS_SCHEMA ",\"description\":\"what is left to give, by name\"}"},
};

static const struct api_example get_available_upgrades_examples[] = {
    {"Of the account that the key belongs to:",
     " curl -X POST -u " EXAMPLE_KEY ": \\\n" URL("get_available_upgrades"),
     "{\"event\":\"available_upgrades\",\"id\":\"57fcfd71-b50f-44ef-ba66-1e37cac858ef\","
     "\"total\":{\"cores\":10,\"cpu_shares\":2048,\"disk_quota\":200000,\"member_host\":80,"
     "\"memory\":120000,\"memory_request\":8000,\"mintime\":3456000,\"network\":400},"
     "\"excess\":{},"
     "\"available\":{\"cores\":6,\"cpu_shares\":512,\"disk_quota\":131000,\"member_host\":51,"
     "\"memory\":94000,\"memory_request\":8000,\"mintime\":1733400,\"network\":372}}"},
};

static void handle_get_available_upgrades(struct api_call *call, const void *params UNUSED)
{
    struct upgrade_state state;
    struct err err;
    if (upgrades_get(call->session, &call->caller.account_id, &state, &err)) {
        api_fail(call, &err);
        return;
    }
    upgrade_state_write(&state, api_reply(call));
    upgrade_state_dispose(&state);
    api_send(call);
}

const struct api_endpoint v1_get_available_upgrades = {
    .name = "get_available_upgrades",
    .access = API_ACCOUNT,
    .run = API_INLINE,
    .text = "Tells which upgrades the caller has in total, what of them is still free to be given "
            "to projects, and by how much projects have more than there is to give. An account "
            "without upgrades gets empty objects.",
    .params_size = 1,
    .reply_event = "available_upgrades",
    API_MEMBERS(get_available_upgrades_members),
    API_EXAMPLES(get_available_upgrades_examples),
    .notes = "`disk_quota`, `memory` and `memory_request` are megabytes, `cores` processors, "
             "`cpu_shares` 1024ths of a processor, `mintime` seconds; `network`, `member_host` and "
             "`always_running` count projects.",
    .handler = handle_get_available_upgrades,
};
