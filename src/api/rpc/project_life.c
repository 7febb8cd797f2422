// SPDX-License-Identifier: AGPL-3.0-or-later
// start, stop, touch, state, status of a project (hub-rpc 2.3, 4).
#include "svc/project_life.h"
#include "api/rpc/methods.h"
#include "base/clock.h"
#include "http/http.h"
#include "svc/project.h"
#include "svc/status.h"

struct project_params {
    const char *project_id;
};

static const struct api_param project_params[] = {
    {.name = "project_id",
     .type = PARAM_STRING,
     .required = true,
     .is_uuid = true,
     .offset = offsetof(struct project_params, project_id),
     .text = "a project that the caller works on"},
};

#define CALL_METHOD(method)                                                                        \
    CALL_HUB("{\"name\":\"projects." method "\",\"args\":[{\"project_id\":\"" EXAMPLE_PROJECT      \
             "\"}]}")
#define NULL_EXAMPLES(name, method)                                                                \
    static const struct api_example name[] = {{"", CALL_METHOD(method), "null"}}

NULL_EXAMPLES(start_examples, "start");
NULL_EXAMPLES(stop_examples, "stop");
NULL_EXAMPLES(touch_examples, "touch");

// Whether the caller works on the project, and what that does now; or it was answered.
static bool find_project(struct api_call *call, const void *params, const char *refusal,
                         struct uuid *ret_project_id, enum project_state *ret_state)
{
    struct err err;
    if (!rpc_collaborator(call, ((const struct project_params *)params)->project_id, refusal,
                          ret_project_id))
        return false;
    if (!project_state_find(call->svc, call->session, ret_project_id, ret_state, &err))
        return true;
    rpc_fail(call, &err);
    return false;
}

struct steering {
    struct api_call *call;
    struct project_steering steering;
};

static struct steering *steering_new(struct api_call *call, const struct uuid *project_id,
                                     void (*done)(struct project_steering *steering))
{
    struct steering *op = arena_zalloc(call->arena, sizeof *op);
    op->call = call;
    op->steering =
        (struct project_steering){.project_id = *project_id, .loop = call->loop, .done = done};
    return op;
}

// ---- start ----

static void on_started(struct project_steering *steering)
{
    struct api_call *call = CONTAINER(steering, struct steering, steering)->call;
    if (!steering->rc)
        rpc_null(call);
    else if (steering->rc == -ERR_TIMEOUT)
        rpc_refuse(call, "timeout -- the project has not started within 30 seconds");
    else
        rpc_fail(call, &steering->err);
}

static void start(struct api_call *call, const struct uuid *project_id)
{
    project_start(call->svc, &steering_new(call, project_id, on_started)->steering);
}

static void handle_start(struct api_call *call, const void *params)
{
    enum project_state state;
    struct uuid id;
    if (!find_project(call, params, "must be collaborator on project to start it", &id, &state))
        return;
    if (state == PROJECT_OPENED)
        start(call, &id);
    else
        rpc_null(call);
}

const struct api_endpoint hub_projects_start = {
    HUB_METHOD("projects.start"),
    .run = API_ASYNC,
    .text = "Starts a project, and answers when it runs.",
    API_PARAMS(project_params, struct project_params),
    .result = NULL_SCHEMA,
    API_EXAMPLES(start_examples),
    .notes = "Nothing happens if it runs, is being started or is being stopped: ask for its state "
             "then. A start is waited for 30 seconds at most.",
    .handler = handle_start,
};

// ---- stop ----

static void on_stopped(struct project_steering *steering)
{
    struct api_call *call = CONTAINER(steering, struct steering, steering)->call;
    if (steering->rc) {
        http_request_set_error(call->request, &steering->err);
        rpc_refuse(call, "timeout -- %s", steering->err.message);
    } else {
        rpc_null(call);
    }
}

static void handle_stop(struct api_call *call, const void *params)
{
    enum project_state state;
    struct uuid id;
    if (!find_project(call, params, "must be collaborator on project to stop it", &id, &state))
        return;
    if (state != PROJECT_RUNNING) {
        rpc_null(call);
        return;
    }
    struct steering *op = steering_new(call, &id, on_stopped);
    op->steering.reason = "somebody stopped the project";
    project_stop(call->svc, &op->steering);
}

const struct api_endpoint hub_projects_stop = {
    HUB_METHOD("projects.stop"),
    .run = API_ASYNC,
    .text = "Stops a project with all that runs in it, and answers when it has stopped. Programs "
            "are asked to end, and killed 5 seconds later.",
    API_PARAMS(project_params, struct project_params),
    .result = NULL_SCHEMA,
    API_EXAMPLES(stop_examples),
    .notes = "Nothing happens if it does not run, is being started or is being stopped.",
    .handler = handle_stop,
};

// ---- touch ----

static void handle_touch(struct api_call *call, const void *params)
{
    enum project_state state;
    struct uuid id;
    if (!find_project(call, params, "must be collaborator on project to touch it", &id, &state))
        return;
    project_mark_used(call->svc, &call->caller.account_id, &id);
    if (state == PROJECT_RUNNING)
        rpc_null(call);
    else
        start(call, &id);
}

const struct api_endpoint hub_projects_touch = {
    HUB_METHOD("projects.touch"),
    .run = API_ASYNC,
    .text = "Notes that the caller uses a project, so that it is not stopped for being idle, and "
            "starts it if it does not run; answers when it does.",
    API_PARAMS(project_params, struct project_params),
    .result = NULL_SCHEMA,
    API_EXAMPLES(touch_examples),
    .notes = "The times are written once a minute at most.",
    .handler = handle_touch,
};

// ---- state ----

static const struct api_example state_examples[] = {
    {"", CALL_METHOD("state"),
     "{\"ip\":\"127.0.0.1\",\"state\":\"opened\",\"time\":\"2026-08-29T17:49:00.133Z\"}"},
};

static void handle_state(struct api_call *call, const void *params)
{
    enum project_state state;
    struct uuid id;
    if (!find_project(call, params, "must be collaborator on project to get state", &id, &state))
        return;
    struct err err;
    if (state == PROJECT_OPENED && project_state_confirm(call->svc, call->session, &id, &err)) {
        rpc_fail(call, &err);
        return;
    }
    struct buf *out = rpc_result(call);
    json_begin_object(out);
    if (state == PROJECT_OPENED || state == PROJECT_RUNNING)
        json_member_str(out, "ip", "127.0.0.1");
    json_member_str(out, "state", project_state_name(state));
    json_member_time(out, "time", clock_now_ms());
    json_end_object(out);
    rpc_send(call);
}

const struct api_endpoint hub_projects_state = {
    HUB_METHOD("projects.state"),
    .run = API_INLINE,
    .text = "Tells what a project does now: `opened` (it does not run), `starting`, `running` or "
            "`stopping`. `time` is the time of the answer.",
    API_PARAMS(project_params, struct project_params),
    .result = "{\"type\":\"object\",\"properties\":{\"state\":{\"enum\":[\"opened\",\"starting\","
              "\"running\",\"stopping\"]},\"time\":{\"type\":\"string\",\"format\":\"date-time\"},"
              "\"ip\":{\"type\":\"string\"}},\"required\":[\"state\",\"time\"]}",
    API_EXAMPLES(state_examples),
    .handler = handle_state,
};

// ---- status ----

static const struct api_example status_examples[] = {
    {"Of a project that does not run:", CALL_METHOD("status"), "{}"},
};

struct status_call {
    struct api_call *call;
    struct status_refresh refresh;
};

static void on_status(struct status_refresh *refresh)
{
    struct api_call *call = CONTAINER(refresh, struct status_call, refresh)->call;
    auto_buf struct buf object = refresh->object;
    if (refresh->rc) {
        rpc_fail(call, &refresh->err);
        return;
    }
    json_raw(rpc_result(call), object.data, object.size);
    rpc_send(call);
}

static void handle_status(struct api_call *call, const void *params)
{
    struct status_call *op = arena_zalloc(call->arena, sizeof *op);
    enum project_state state;
    struct uuid id;
    if (!find_project(call, params, "must be collaborator on project to get status", &id, &state))
        return;
    if (state != PROJECT_RUNNING) {
        json_raw(rpc_result(call), "{}", 2);
        rpc_send(call);
        return;
    }
    op->call = call;
    op->refresh = (struct status_refresh){
        .project_id = id, .loop = call->loop, .shown = true, .done = on_status};
    status_refresh(call->svc, &op->refresh);
}

const struct api_endpoint hub_projects_status = {
    HUB_METHOD("projects.status"),
    .run = API_ASYNC,
    .text = "Measures what a running project uses. Of one that does not run there is nothing to "
            "tell.",
    API_PARAMS(project_params, struct project_params),
    .result =
        "{\"type\":\"object\",\"properties\":{\"project.pid\":{\"type\":\"integer\","
        "\"description\":\"of the first process in it, as the server numbers it\"},\"project\":{"
        "\"type\":\"object\",\"properties\":{\"pid\":{\"type\":\"integer\"}}},\"start_ts\":{"
        "\"type\":\"integer\",\"description\":\"when it was started, milliseconds since 1970\"},"
        "\"session_id\":{\"type\":\"string\",\"format\":\"uuid\",\"description\":\"another at each "
        "start\"},\"version\":{\"type\":\"integer\",\"description\":\"of what the program in it "
        "speaks with the server\"},\"memory\":{\"type\":\"object\",\"description\":\"KiB: rss, "
        "cache, limit\"},\"cpu\":{\"type\":\"object\",\"description\":\"usage, seconds\"},"
        "\"processes\":{\"type\":\"object\",\"description\":\"count\"},\"oom_kills\":{\"type\":"
        "\"integer\"},\"disk_MB\":{\"type\":\"number\"},\"not_enforced\":{\"type\":\"array\","
        "\"items\":{\"type\":\"string\"},\"description\":\"limits that this server cannot keep "
        "projects to\"}}}",
    API_EXAMPLES(status_examples),
    .handler = handle_status,
};
