// SPDX-License-Identifier: AGPL-3.0-or-later
// create_project, touch_project, disconnect_from_project, project_exec (api-v1 3.12, 3.35, 3.36,
// 3.9).
#include <string.h>

#include "api/v1/endpoints.h"
#include "http/http.h"
#include "svc/accounts.h"
#include "svc/exec.h"
#include "svc/project.h"

// ---- create_project ----

struct create_project_params {
    const char *title, *description, *image, *license;
    bool start;
};

#define FIELD(field) .offset = offsetof(struct create_project_params, field)

static const struct api_param create_project_params[] = {
    {.name = "title",
     .type = PARAM_STRING,
     FIELD(title),
     .text = "title of the project, at most 1000 characters",
     .default_text = "\"\""},
    {.name = "description",
     .type = PARAM_STRING,
     FIELD(description),
     .text = "what it is for, at most 100,000 characters",
     .default_text = "\"\""},
    {.name = "image",
     .type = PARAM_STRING,
     FIELD(image),
     .text = "software environment: `default`, or one that this server offers",
     .default_text = "\"default\""},
    {.name = "license",
     .type = PARAM_STRING,
     FIELD(license),
     .text = "id of a license, or several ids with commas between"},
    {.name = "start",
     .type = PARAM_BOOL,
     FIELD(start),
     .text = "start it at once, in the background",
     .default_text = "false"},
};
#undef FIELD

static const struct api_member create_project_members[] = {
    {.name = "project_id", .schema = "{\"type\":\"string\",\"format\":\"uuid\"}"},
};

static const struct api_example create_project_examples[] = {
    {"A project with a title:",
     CURL
     " -d title='MY NEW PROJECT' \\\n -d description='sample project' \\\n" URL("create_project"),
     "{\"event\":\"project_created\",\"id\":\"0b4df293-d518-45d0-8a3c-4281e501b85e\","
     "\"project_id\":\"07897899-6bbb-4fbc-80a7-3586c43348d1\"}"},
};

struct create_project {
    struct api_call *call;
    struct project_create create;
};

static void on_project_created(struct project_create *create)
{
    struct create_project *op = CONTAINER(create, struct create_project, create);
    project_create_dispose(create);
    if (create->rc) {
        auto_buf struct buf reason = {0};
        json_write_quoted(&reason, create->err.message, strlen(create->err.message));
        http_request_set_error(op->call->request, &create->err);
        api_error(op->call, "Failed to create new project '%s' -- %s",
                  create->title ? create->title : "", buf_cstr(&reason));
        return;
    }
    json_member_str(api_reply(op->call), "project_id", create->project_id.text);
    api_send(op->call);
}

static void handle_create_project(struct api_call *call, const void *params)
{
    const struct create_project_params *p = params;
    struct create_project *op = arena_zalloc(call->arena, sizeof *op);
    op->call = call;
    op->create = (struct project_create){
        .title = p->title,
        .description = p->description,
        .image = p->image && p->image[0] ? p->image : NULL,
        .license = p->license,
        .start = p->start,
        .account_id = call->caller.account_id,
        .loop = call->loop,
        .done = on_project_created,
    };
    account_mark_active(call->svc, &call->caller.account_id);
    project_create(call->svc, &op->create);
}

const struct api_endpoint v1_create_project = {
    .name = "create_project",
    .access = API_ACCOUNT,
    .run = API_ASYNC,
    .text =
        "Makes a project with the caller as its owner. Its folder is there when the reply comes.",
    API_PARAMS(create_project_params, struct create_project_params),
    .reply_event = "project_created",
    API_MEMBERS(create_project_members),
    API_EXAMPLES(create_project_examples),
    .handler = handle_create_project,
};

// ---- touch_project ----

struct touch_project_params {
    const char *project_id;
};

static const struct api_param touch_project_params[] = {
    {.name = "project_id",
     .type = PARAM_STRING,
     .required = true,
     .is_uuid = true,
     .offset = offsetof(struct touch_project_params, project_id),
     .text = "project in use"},
};

static const struct api_example touch_project_examples[] = {
    {"While somebody works in it:",
     CURL " -d project_id=" EXAMPLE_PROJECT " \\\n" URL("touch_project"),
     "{\"event\":\"success\",\"id\":\"5e0b8d5c-0f39-4b1c-a2a8-3b0c7a1f7b52\"}"},
};

static void handle_touch_project(struct api_call *call, const void *params)
{
    const char *project_id = ((const struct touch_project_params *)params)->project_id;
    struct uuid id;
    struct err err;
    if (project_write_gate(call->session, &call->caller, project_id, &id, &err)) {
        http_request_set_error(call->request, &err);
        api_error(call, "unable to touch project %s -- %s", project_id, err.message);
        return;
    }
    project_touch(call->svc, &call->caller.account_id, &id);
    api_reply(call);
    api_send(call);
}

const struct api_endpoint v1_touch_project = {
    .name = "touch_project",
    .access = API_ACCOUNT,
    .run = API_INLINE,
    .text = "Notes that the caller is using the project, so that it is not stopped for being idle, "
            "and starts it in the"
            " background if it does not run.",
    API_PARAMS(touch_project_params, struct touch_project_params),
    .reply_event = "success",
    API_EXAMPLES(touch_project_examples),
    .handler = handle_touch_project,
};

// ---- disconnect_from_project ----

struct disconnect_params {
    const char *project_id;
};

static const struct api_param disconnect_params[] = {
    {.name = "project_id",
     .type = PARAM_STRING,
     .required = true,
     .is_uuid = true,
     .offset = offsetof(struct disconnect_params, project_id),
     .text = "project to disconnect from"},
};

static const struct api_example disconnect_examples[] = {
    {"Whether it runs or not:",
     CURL " -d project_id=" EXAMPLE_PROJECT " \\\n" URL("disconnect_from_project"),
     "{\"event\":\"success\",\"id\":\"7bd7a2a3-0b46-4b3c-9a1c-3f8f63b2f3c0\"}"},
};

struct disconnect {
    struct api_call *call;
    struct project_call disconnect;
};

static void on_disconnected(struct project_call *disconnect)
{
    struct api_call *call = CONTAINER(disconnect, struct disconnect, disconnect)->call;
    if (disconnect->rc) {
        api_fail(call, &disconnect->err);
        return;
    }
    api_reply(call);
    api_send(call);
}

static void handle_disconnect_from_project(struct api_call *call, const void *params)
{
    const char *project_id = ((const struct disconnect_params *)params)->project_id;
    struct disconnect *op = arena_zalloc(call->arena, sizeof *op);
    struct err err;
    op->call = call;
    op->disconnect = (struct project_call){.loop = call->loop, .done = on_disconnected};
    if (project_write_gate(call->session, &call->caller, project_id, &op->disconnect.project_id,
                           &err)) {
        http_request_set_error(call->request, &err);
        api_error(call, "unable to disconnect from project %s -- %s", project_id, err.message);
        return;
    }
    projects_disconnect(call->svc->projects, &op->disconnect);
}

const struct api_endpoint v1_disconnect_from_project = {
    .name = "disconnect_from_project",
    .access = API_ACCOUNT,
    .run = API_ASYNC,
    .text = "Drops the server's connection to a project, for debugging. The project goes on "
            "running, and the next call connects again.",
    API_PARAMS(disconnect_params, struct disconnect_params),
    .reply_event = "success",
    API_EXAMPLES(disconnect_examples),
    .notes = "Calls that wait for a command get an error; the command goes on.",
    .handler = handle_disconnect_from_project,
};

// ---- project_exec ----

struct project_exec_params {
    const char *project_id, *path, *command;
    struct api_strings args;
    struct api_number timeout, max_output;
    const cJSON *aggregate;
    bool bash, err_on_exit;
};

#define FIELD(field) .offset = offsetof(struct project_exec_params, field)

static const struct api_param project_exec_params[] = {
    {.name = "project_id",
     .type = PARAM_STRING,
     .required = true,
     .is_uuid = true,
     FIELD(project_id),
     .text = "project to run the command in"},
    {.name = "path",
     .type = PARAM_STRING,
     FIELD(path),
     .text = "working directory, relative to the project's home folder unless it begins with /",
     .default_text = "\"\""},
    {.name = "command",
     .type = PARAM_STRING,
     .required = true,
     FIELD(command),
     .text = "a program, or text for bash if it has white space and `args` is empty"},
    {.name = "args",
     .type = PARAM_STRINGS,
     FIELD(args),
     .text = "arguments of the program",
     .default_text = "[]"},
    {.name = "timeout",
     .type = PARAM_NUMBER,
     FIELD(timeout),
     .text = "seconds after which the command and all that it started are killed; 0 for no limit",
     .default_text = "10"},
    {.name = "aggregate",
     .type = PARAM_ANY,
     FIELD(aggregate),
     .text = "a number that grows, such as a time: of equal requests, those whose number is not "
             "greater than that of one"
             " that runs or has just run share its result instead of running"},
    {.name = "max_output",
     .type = PARAM_NUMBER,
     FIELD(max_output),
     .text = "characters of each stream to keep at most"},
    {.name = "bash",
     .type = PARAM_BOOL,
     FIELD(bash),
     .text = "run through bash",
     .default_text = "false"},
    {.name = "err_on_exit",
     .type = PARAM_BOOL,
     FIELD(err_on_exit),
     .text = "whether an exit code other than 0 is an error",
     .default_text = "true"},
};
#undef FIELD

static const struct api_member project_exec_members[] = {
    {.name = "stdout", .schema = "{\"type\":\"string\"}"},
    {.name = "stderr", .schema = "{\"type\":\"string\"}"},
    {.name = "exit_code", .schema = "{\"type\":\"integer\"}"},
};

#define EXEC_JSON(text)                                                                            \
    CURL_JSON " -d '{" text ",\"project_id\":\"" EXAMPLE_PROJECT "\"}' \\\n" URL("project_exec")

static const struct api_example project_exec_examples[] = {
    {"A program:",
     CURL " -d command=pwd \\\n -d project_id=" EXAMPLE_PROJECT " \\\n" URL("project_exec"),
     "{\"event\":\"project_exec_output\",\"id\":\"8a78a37d-b2fb-4e29-94ae-d66acdeac949\","
     "\"stdout\":\"/projects/" EXAMPLE_PROJECT "\\n\",\"stderr\":\"\",\"exit_code\":0}"},
    {"In another folder:",
     CURL " -d command=pwd \\\n -d path=Private \\\n -d project_id=" EXAMPLE_PROJECT
          " \\\n" URL("project_exec"),
     "{\"event\":\"project_exec_output\",\"id\":\"8a78a37d-b2fb-4e29-94ae-d66acdeac949\","
     "\"stdout\":\"/projects/" EXAMPLE_PROJECT "/Private\\n\",\"stderr\":\"\",\"exit_code\":0}"},
    {"With arguments, which need JSON:",
     EXEC_JSON("\"command\":\"echo\",\"args\":[\"xyz\",\"abc\"]"),
     "{\"event\":\"project_exec_output\",\"id\":\"39289ba7-0333-48ad-984e-b25c8b8ffa0e\","
     "\"stdout\":\"xyz abc\\n\","
     "\"stderr\":\"\",\"exit_code\":0}"},
    {"At most 3 characters of output:",
     EXEC_JSON("\"command\":\"echo\",\"args\":[\"xyz\",\"abc\"],\"max_output\":3"),
     "{\"event\":\"project_exec_output\",\"id\":\"02feab6c-a743-411a-afca-8a23b58988a9\","
     "\"stdout\":\"xyz (truncated at 3 characters)\",\"stderr\":\"\",\"exit_code\":0}"},
    {"A time limit that is too short:", EXEC_JSON("\"command\":\"sleep 5\",\"timeout\":2"),
     "{\"event\":\"error\",\"id\":\"86fea3f0-6a90-495b-a541-9c14a25fbe58\",\"error\":\"Error "
     "executing command 'sleep 5'"
     " with args '' -- killed command 'bash /tmp/f-11-1-8ei2z0', , \"}"},
};

struct project_exec {
    struct api_call *call;
    struct exec_request request;
};

static void write_result(struct buf *out, void *arg)
{
    const struct exec_result *result = arg;
    if (result->failed) {
        json_key(out, "error");
        json_strn(out, result->error.data, result->error.size);
        return;
    }
    json_key(out, "stdout");
    json_strn(out, result->output.data, result->output.size);
    json_key(out, "stderr");
    json_strn(out, result->error_output.data, result->error_output.size);
    json_member_int(out, "exit_code", result->exit_code);
}

static void dispose_result(void *result)
{
    exec_result_unref(result);
}

static void on_exec_done(struct exec_request *request)
{
    struct project_exec *op = CONTAINER(request, struct project_exec, request);
    struct api_call *call = op->call;
    struct exec_result *result = TAKE_PTR(request->result);
    struct err err = request->err;
    bool failed = request->rc;
    exec_request_dispose(request);
    if (failed) {
        api_fail(call, &err);
        return;
    }
    if (result->failed)
        api_reply_event(call, "error");
    else
        api_reply(call);
    api_send_written(call, result->error.size + result->output.size + result->error_output.size,
                     write_result, dispose_result, result);
}

static void handle_project_exec(struct api_call *call, const void *params)
{
    const struct project_exec_params *p = params;
    struct project_exec *op = arena_zalloc(call->arena, sizeof *op);
    struct err err;
    op->call = call;
    op->request = (struct exec_request){
        .path = p->path ? p->path : "",
        .command = p->command,
        .args = p->args.items,
        .args_count = p->args.count,
        .timeout_s = p->timeout.given ? p->timeout.value : 10,
        .max_output = p->max_output.given ? p->max_output.value : -1,
        .bash = p->bash,
        .err_on_exit = p->err_on_exit,
        .aggregate = p->aggregate,
        .loop = call->loop,
        .done = on_exec_done,
    };
    if (project_gate(call->session, &call->caller, p->project_id, ACCESS_WRITE,
                     &op->request.project_id, &err)) {
        api_fail(call, &err);
        return;
    }
    if (p->max_output.given && p->max_output.value < 0) {
        api_error(call, "max_output must not be negative");
        return;
    }
    project_mark_edited(call->svc, &op->request.project_id);
    exec_run(call->svc, &op->request);
}

const struct api_endpoint v1_project_exec = {
    .name = "project_exec",
    .access = API_ACCOUNT,
    .run = API_ASYNC,
    .text = "Runs a command in a project and gives back what it wrote and its exit code. A project "
            "that does not run is"
            " started first.",
    API_PARAMS(project_exec_params, struct project_exec_params),
    .reply_event = "project_exec_output",
    API_MEMBERS(project_exec_members),
    API_EXAMPLES(project_exec_examples),
    .notes = "A command that leaves something running in the background must redirect its output, "
             "or the reply waits for"
             " it, up to the time limit. The time that a start takes is not counted in `timeout`, "
             "but a start that takes"
             " longer than that is not waited for: the reply is then the error `timeout`, and the "
             "call can be repeated.",
    .handler = handle_project_exec,
};
