// SPDX-License-Identifier: AGPL-3.0-or-later
// createProject, deleteProject, setQuotas (hub-rpc 2.2, 2.3, 3).
#include <math.h>
#include <string.h>

#include "api/params.h"
#include "api/rpc/methods.h"
#include "base/limits.h"
#include "http/http.h"
#include "svc/accounts.h"
#include "svc/copies.h"
#include "svc/project.h"
#include "svc/project_life.h"
#include "svc/project_quota.h"
#include "svc/public_paths.h"

// ---- createProject ----

struct create_params {
    const char *title, *description, *license, *public_path_id, *image, *project_id;
    struct api_number ephemeral;
    const cJSON *customize;
    bool start, no_pool;
};

#define FIELD(field) .offset = offsetof(struct create_params, field)

static const struct api_param create_params[] = {
    {.name = "title",
     .type = PARAM_STRING,
     FIELD(title),
     .text = "title of the project, at most 1000 characters",
     .default_text = "\"No Title\""},
    {.name = "description",
     .type = PARAM_STRING,
     FIELD(description),
     .text = "what it is for, at most 100,000 characters",
     .default_text = "\"\""},
    {.name = "license",
     .type = PARAM_STRING,
     FIELD(license),
     .text = "id of a license, or several ids with commas between; what is no id is left out"},
    {.name = "public_path_id",
     .type = PARAM_STRING,
     FIELD(public_path_id),
     .text = "id of a public path: the project begins with a copy of it, at the same place below "
             "its home folder"},
    {.name = "image",
     .type = PARAM_STRING,
     FIELD(image),
     .text = "software environment: `default`, or one that this server offers",
     .default_text = "\"default\""},
    {.name = "start",
     .type = PARAM_BOOL,
     FIELD(start),
     .text = "start it at once, in the background",
     .default_text = "false"},
    {.name = "noPool",
     .type = PARAM_BOOL,
     FIELD(no_pool),
     .text = "make a new project rather than take one that was made before: this server always "
             "does",
     .default_text = "false"},
    {.name = "project_id",
     .type = PARAM_STRING,
     .is_uuid = true,
     FIELD(project_id),
     .text = "id that it is to have, for administrators; by default a random one"},
    {.name = "ephemeral",
     .type = PARAM_NUMBER,
     FIELD(ephemeral),
     .text = "milliseconds after which it is deleted, to the minute; 0 for never",
     .default_text = "0"},
    {.name = "customize",
     .type = PARAM_ANY,
     FIELD(customize),
     .text = "object: `disableInternet` (the project has no network beside itself, whatever its "
             "quota says), `license` (as the parameter)"},
};
#undef FIELD

static const struct api_example create_examples[] = {
    {"A project with a title:",
     CALL_HUB("{\"name\":\"projects.createProject\",\"args\":[{\"title\":\"My project\"}]}"),
     "\"07897899-6bbb-4fbc-80a7-3586c43348d1\""},
    {"One that starts at once, and has no network beside itself:",
     CALL_HUB("{\"name\":\"projects.createProject\",\"args\":[{\"title\":\"Exam\",\"start\":true,"
              "\"customize\":{\"disableInternet\":true}}]}"),
     "\"07897899-6bbb-4fbc-80a7-3586c43348d1\""},
};

struct creation {
    struct api_call *call;
    bool start;
    struct project_create create;
    struct uuid source_project_id; // of what it begins with
    const char *source_path;       // NULL: nothing
    struct copy_request copy;
};

static void finish_creation(struct creation *op)
{
    if (op->start)
        project_start_later(op->call->svc, &op->create.project_id);
    json_str(rpc_result(op->call), op->create.project_id.text);
    rpc_send(op->call);
}

static void on_filled(struct copy_request *copy)
{
    struct creation *op = CONTAINER(copy, struct creation, copy);
    if (!copy->rc) {
        finish_creation(op);
        return;
    }
    http_request_set_error(op->call->request, &copy->err);
    rpc_refuse(op->call, "the project %s was made, but the public path could not be copied: %s",
               op->create.project_id.text, copy->err.message);
}

static void fill(struct creation *op)
{
    op->copy = (struct copy_request){
        .account_id = op->call->caller.account_id,
        .source_project_id = op->source_project_id,
        .target_project_id = op->create.project_id,
        .source_path = op->source_path,
        .public = true,
        .wait = true,
        .loop = op->call->loop,
        .done = on_filled,
    };
    copy_submit(op->call->svc, &op->copy);
}

static void on_created(struct project_create *create)
{
    struct creation *op = CONTAINER(create, struct creation, create);
    project_create_dispose(create);
    if (create->rc)
        rpc_fail(op->call, &create->err);
    else if (op->source_path)
        fill(op);
    else
        finish_creation(op);
}

// Those of the texts that are ids of licences.
static const char *find_licenses(struct arena *arena, const char *const *texts, size_t count)
{
    auto_buf struct buf ids = {0};
    unsigned found = 0;
    for (size_t i = 0; i < count; i++) {
        for (const char *p = texts[i] ? texts[i] : ""; *p; p += *p == ',') {
            struct uuid id;
            p += strspn(p, " \t\r\n");
            const size_t size = strcspn(p, ", \t\r\n");
            if (uuid_parse(p, size, &id) && found++ < LIMIT_PROJECT_LICENSES)
                buf_printf(&ids, "%s%s", ids.size ? "," : "", id.text);
            p += strcspn(p, ",");
        }
    }
    return arena_strdup(arena, buf_cstr(&ids));
}

// False when the call has been answered, as of what follows.
static bool read_customize(struct creation *op, const struct create_params *p)
{
    const char *const licenses[] = {p->license, json_get_str(p->customize, "license")};
    if (p->customize && !cJSON_IsObject(p->customize)) {
        rpc_refuse(op->call, "customize must be an object");
        return false;
    }
    op->create.disable_internet = params_truth(json_get(p->customize, "disableInternet"));
    op->create.license = find_licenses(op->call->arena, licenses, ARRAY_LEN(licenses));
    return true;
}

static bool read_id(struct creation *op, const char *project_id)
{
    if (!project_id || !project_id[0])
        return true;
    op->create.id_given = true;
    if (!op->call->caller.admin)
        rpc_refuse(op->call, "only admins can specify the project_id");
    else if (!uuid_parse(project_id, strlen(project_id), &op->create.project_id))
        rpc_refuse(op->call, "project_id must be a valid UUID");
    else
        return true;
    return false;
}

static bool read_ephemeral(struct creation *op, const struct api_number *ephemeral)
{
    const double ms = ephemeral->given ? ephemeral->value : 0;
    op->create.ephemeral_ms = ms > 0 && ms <= LIMIT_EPHEMERAL_MS ? (int64_t)ceil(ms) : 0;
    if (ms == 0 || op->create.ephemeral_ms)
        return true;
    rpc_refuse(op->call, "ephemeral must be from 0 to %lld milliseconds",
               (long long)LIMIT_EPHEMERAL_MS);
    return false;
}

static bool find_source(struct creation *op, const char *public_path_id)
{
    struct err err;
    if (!public_path_id || !public_path_id[0] ||
        !public_path_find(op->call->session, public_path_id, op->call->arena,
                          &op->source_project_id, &op->source_path, &err))
        return true;
    rpc_fail(op->call, &err);
    return false;
}

static void handle_create(struct api_call *call, const void *params)
{
    const struct create_params *p = params;
    struct creation *op = arena_zalloc(call->arena, sizeof *op);
    op->call = call;
    op->start = p->start;
    op->create = (struct project_create){
        .title = p->title ? p->title : "No Title",
        .description = p->description,
        .image = p->image && p->image[0] ? p->image : NULL,
        .account_id = call->caller.account_id,
        .loop = call->loop,
        .done = on_created,
    };
    if (!read_id(op, p->project_id) || !read_ephemeral(op, &p->ephemeral) ||
        !read_customize(op, p) || !find_source(op, p->public_path_id))
        return;
    account_mark_active(call->svc, &call->caller.account_id);
    project_create(call->svc, &op->create);
}

const struct api_endpoint hub_projects_create_project = {
    HUB_METHOD("projects.createProject"),
    .run = API_ASYNC,
    .text = "Makes a project with the caller as its owner, and answers with its id. It does not "
            "run yet, unless `start` is given.",
    API_PARAMS(create_params, struct create_params),
    .result = "{\"type\":\"string\",\"format\":\"uuid\"}",
    API_EXAMPLES(create_examples),
    .notes = "With `public_path_id` the answer comes when the files have been copied. If that "
             "fails, the error names the project, which stays; if the id is unknown, or the path "
             "is not public any more, no project is made. A project that is deleted by "
             "`ephemeral` keeps its files, as every deleted project does.",
    .handler = handle_create,
};

// ---- deleteProject ----

struct project_params {
    const char *project_id;
};

static const struct api_param delete_params[] = {
    {.name = "project_id",
     .type = PARAM_STRING,
     .required = true,
     .is_uuid = true,
     .offset = offsetof(struct project_params, project_id),
     .text = "project to delete"},
};

static const struct api_example delete_examples[] = {
    {"",
     CALL_HUB("{\"name\":\"projects.deleteProject\",\"args\":[{\"project_id\":\"" EXAMPLE_PROJECT
              "\"}]}"),
     "null"},
};

struct steering {
    struct api_call *call;
    struct project_steering steering;
};

static void on_removed(struct project_steering *steering)
{
    struct steering *op = CONTAINER(steering, struct steering, steering);
    if (steering->rc)
        rpc_fail(op->call, &steering->err);
    else
        rpc_null(op->call);
}

// Whether the caller may delete the project, or it was answered.
static bool may_delete(struct api_call *call, const char *project_id, struct uuid *ret_project_id)
{
    enum project_access access = ACCESS_NONE;
    struct err err;
    if (!uuid_parse(project_id, strlen(project_id), ret_project_id))
        rpc_refuse(call, "project_id must be a valid UUID");
    else if (project_access_get(call->session, &call->caller, ret_project_id, &access, &err))
        rpc_fail(call, &err);
    else if (access != ACCESS_WRITE && call->caller.admin)
        rpc_refuse_bare(call, "FATAL: unknown project_id '%s'", ret_project_id->text);
    else if (access != ACCESS_WRITE)
        rpc_refuse(call, "must be an owner to delete a project");
    else
        return true;
    return false;
}

static void handle_delete(struct api_call *call, const void *params)
{
    struct steering *op = arena_zalloc(call->arena, sizeof *op);
    op->call = call;
    op->steering = (struct project_steering){
        .reason = "somebody deleted the project", .loop = call->loop, .done = on_removed};
    if (!may_delete(call, ((const struct project_params *)params)->project_id,
                    &op->steering.project_id))
        return;
    account_mark_active(call->svc, &call->caller.account_id);
    project_remove(call->svc, &op->steering);
}

const struct api_endpoint hub_projects_delete_project = {
    HUB_METHOD("projects.deleteProject"),
    .run = API_ASYNC,
    .text = "Stops a project, takes its licenses off and marks it as deleted. Any of its owners "
            "and collaborators may do that, and administrators.",
    API_PARAMS(delete_params, struct project_params),
    .result = NULL_SCHEMA,
    API_EXAMPLES(delete_examples),
    .notes = "Its files and its people stay. `db.userQuery` with `deleted` set to false undoes it; "
             "until then it cannot be started.",
    .handler = handle_delete,
};

// ---- setQuotas ----

struct quotas_params {
    const char *project_id;
    struct api_number amounts[UPGRADE_COUNT];
};

#define AMOUNT(quota, upgrade, what)                                                               \
    {                                                                                              \
        .name = (quota), .type = PARAM_NUMBER,                                                     \
        .offset = offsetof(struct quotas_params, amounts[upgrade]), .text = (what)                 \
    }

static const struct api_param quotas_params[] = {
    {.name = "project_id",
     .type = PARAM_STRING,
     .required = true,
     .is_uuid = true,
     .offset = offsetof(struct quotas_params, project_id),
     .text = "project whose quotas are set"},
    AMOUNT("memory", UPGRADE_MEMORY, "MB of memory"),
    AMOUNT("memory_request", UPGRADE_MEMORY_REQUEST, "MB of memory that are its own"),
    AMOUNT("cpu_shares", UPGRADE_CPU_SHARES, "processors that are its own, in parts of 1024"),
    AMOUNT("cores", UPGRADE_CORES, "processors"),
    AMOUNT("disk_quota", UPGRADE_DISK_QUOTA, "MB of disk"),
    AMOUNT("mintime", UPGRADE_MINTIME, "seconds without use after which it is stopped"),
    AMOUNT("network", UPGRADE_NETWORK, "1: it reaches the internet"),
    AMOUNT("member_host", UPGRADE_MEMBER_HOST, "1: it has more than others where that is scarce"),
    AMOUNT("always_running", UPGRADE_ALWAYS_RUNNING, "1: it is not stopped for being idle"),
};

static const struct api_example quotas_examples[] = {
    {"Two processors and 4 GB of memory, by an administrator:",
     CALL_HUB("{\"name\":\"projects.setQuotas\",\"args\":[{\"project_id\":\"" EXAMPLE_PROJECT
              "\",\"cores\":2,\"memory\":4000}]}"),
     "null"},
};

struct quotas {
    struct api_call *call;
    struct uuid project_id;
    struct upgrade_amounts amounts;
    bool network_stale;
};

static int write_quotas(struct db_session *txn, void *arg, struct err *err)
{
    struct quotas *op = arg;
    int rc = project_settings_set(txn, &op->project_id, &op->amounts, err);
    return rc ? rc
              : project_network_stale(txn, &op->call->svc->site.quotas, &op->project_id,
                                      &op->network_stale, err);
}

// A sandbox has its network from its start on.
static void answer_quotas(struct api_call *call, void *arg)
{
    const struct quotas *op = arg;
    if (op->network_stale)
        project_restart_later(call->svc, &op->project_id,
                              "an administrator changed the project's network");
    else
        project_quota_changed(call->svc, &op->project_id);
    rpc_null(call);
}

// False when the call has been answered.
static bool read_amounts(struct quotas *op, const struct quotas_params *p)
{
    for (int i = 0; i < UPGRADE_COUNT; i++) {
        const struct api_number *amount = &p->amounts[i];
        if (!amount->given)
            continue;
        if (!(amount->value >= 0 && amount->value <= LIMIT_UPGRADE)) {
            rpc_refuse(op->call, "%s must be from 0 to %.0f", upgrade_name((enum upgrade)i),
                       LIMIT_UPGRADE);
            return false;
        }
        const cJSON number = {.type = cJSON_Number, .valuedouble = amount->value};
        op->amounts.given[i] = true;
        op->amounts.of[i] = upgrade_amount((enum upgrade)i, &number);
    }
    return true;
}

static void handle_quotas(struct api_call *call, const void *params)
{
    const struct quotas_params *p = params;
    struct quotas *op = arena_zalloc(call->arena, sizeof *op);
    struct err err;
    op->call = call;
    if (!call->caller.admin)
        rpc_refuse(call, "Must be an admin to do admin search.");
    else if (project_lookup(call->session, p->project_id, &op->project_id, &err))
        rpc_fail(call, &err);
    else if (read_amounts(op, p))
        rpc_write(call, write_quotas, op, answer_quotas);
}

const struct api_endpoint hub_projects_set_quotas = {
    HUB_METHOD("projects.setQuotas"),
    .run = API_ASYNC,
    .text = "Sets what a project may use before upgrades and licenses are added. For "
            "administrators. Quotas that are left out stay as they are, and 0 is what the site "
            "gives every project.",
    API_PARAMS(quotas_params, struct quotas_params),
    .result = NULL_SCHEMA,
    API_EXAMPLES(quotas_examples),
    .notes = "A running project is held to the new limits at once; if its network changes, it is "
             "restarted in the background.",
    .handler = handle_quotas,
};
