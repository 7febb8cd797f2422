// SPDX-License-Identifier: AGPL-3.0-or-later
// Jupyter kernels (hub-rpc 2.4, 6.4 to 6.6, section 7): running code in a project, which kernels it
// has, and which run. Nothing is cached: what code gives may differ the next time.
#include <math.h>

#include "api/params.h"
#include "api/rpc/methods.h"
#include "base/clock.h"
#include "svc/jupyter.h"

#define NOT_COLLABORATOR "permission denied -- user must be collaborator on project"
#define NOT_ENABLED      "Jupyter API is not enabled on this server."

#define KERNEL_SCHEMA                                                                              \
    "{\"type\":\"object\",\"properties\":{\"name\":{\"type\":\"string\"},\"display_name\":{"       \
    "\"type\":\"string\"},\"language\":{\"type\":\"string\"},\"interrupt_mode\":{\"type\":"        \
    "\"string\"},\"env\":{\"type\":\"object\"},\"metadata\":{\"type\":\"object\"},"                \
    "\"resource_dir\":{\"type\":\"string\"},\"argv\":{\"type\":\"array\",\"items\":{\"type\":"     \
    "\"string\"}}},\"required\":[\"name\",\"display_name\",\"language\",\"env\",\"resource_dir\"," \
    "\"argv\"]}"
#define KERNELS_SCHEMA "{\"type\":\"array\",\"items\":" KERNEL_SCHEMA "}"
#define ITEMS_SCHEMA   "{\"type\":\"array\",\"items\":{\"type\":\"object\"}}"

#define KERNELS_EXAMPLE                                                                            \
    "[{\"name\":\"octave\",\"display_name\":\"Octave\",\"language\":\"octave\",\"env\":{},"        \
    "\"resource_dir\":\"/usr/share/jupyter/kernels/octave\",\"argv\":[\"python\",\"-m\","          \
    "\"octave_kernel\",\"-f\",\"{connection_file}\"]},"                                            \
    "{\"name\":\"python3\",\"display_name\":\"Python 3 (ipykernel)\",\"language\":\"python\","     \
    "\"env\":{},\"metadata\":{\"debugger\":true},\"resource_dir\":\"/usr/share/jupyter/kernels/"   \
    "python3\",\"argv\":[\"/usr/bin/python3\",\"-m\",\"ipykernel_launcher\",\"-f\",\"{connection_" \
    "file}\"]},"                                                                                   \
    "{\"name\":\"ir\",\"display_name\":\"R\",\"language\":\"R\",\"env\":{},\"resource_dir\":"      \
    "\"/usr/share/jupyter/kernels/ir\",\"argv\":[\"R\",\"--slave\",\"-e\",\"IRkernel::main()\","   \
    "\"--args\",\"{connection_file}\"]}]"

struct jupyter_call {
    struct api_call *call;
    void (*write)(const struct jupyter_request *request, struct buf *out);
    struct jupyter_request request;
};

static struct jupyter_request *request_new(struct api_call *call, enum jupyter_op op,
                                           void (*write)(const struct jupyter_request *request,
                                                         struct buf *out))
{
    struct jupyter_call *c = arena_zalloc(call->arena, sizeof *c);
    c->call = call;
    c->write = write;
    c->request.project_id = call->project_id;
    c->request.op = op;
    return &c->request;
}

static void write_result(const struct jupyter_request *r, struct buf *out)
{
    json_raw(out, r->result, r->result_size);
}

// An error in the project has one prefix there, and the hub's methods put another before it. One
// that does not answer in time is told by a single word.
static void refuse(struct api_call *call, struct jupyter_request *r)
{
    const bool hub = call->endpoint->family == API_HUB;
    const struct err err = r->err;
    const int rc = r->rc;
    const char *text = arena_printf(call->arena, "%s%.*s", hub ? "Error: " : "", (int)r->error.size,
                                    r->error.size ? r->error.data : "");
    jupyter_request_dispose(r);
    if (!rc)
        rpc_refuse(call, "%s", text);
    else if (hub && rc == -ERR_TIMEOUT)
        rpc_fail_bare(call, &err);
    else
        rpc_fail(call, &err);
}

static void on_done(struct jupyter_request *request)
{
    const struct jupyter_call *c = CONTAINER(request, struct jupyter_call, request);
    struct api_call *call = c->call;
    if (request->rc || request->failed) {
        refuse(call, request);
        return;
    }
    c->write(request, rpc_result(call));
    jupyter_request_dispose(request);
    rpc_send(call);
}

static double timeout_of(const struct api_number *timeout)
{
    return timeout->given && isfinite(timeout->value) && timeout->value > 0 ? timeout->value : 0;
}

static void ask(struct api_call *call, struct jupyter_request *r)
{
    r->loop = call->loop;
    r->done = on_done;
    if (call->endpoint->family == API_HUB)
        r->answer_ms = call->svc->site.jupyter.answer_s * 1000;
    jupyter_run(call->svc, r);
}

// ---- The hub's: kernels ----

struct hub_kernels_params {
    const char *project_id;
};

static const struct api_param hub_kernels_params[] = {
    {.name = "project_id",
     .type = PARAM_STRING,
     .is_uuid = true,
     .offset = offsetof(struct hub_kernels_params, project_id),
     .text = "project whose kernels are wanted"},
};

static const struct api_example hub_kernels_examples[] = {
    {"The kernels that code can be run in:",
     CALL_HUB("{\"name\":\"jupyter.kernels\",\"args\":[{\"project_id\":\"" EXAMPLE_PROJECT
              "\"}],\"timeout\":60000}"),
     KERNELS_EXAMPLE},
};

static void handle_hub_kernels(struct api_call *call, const void *params)
{
    const struct hub_kernels_params *p = params;
    struct jupyter_request *r = request_new(call, JUPYTER_KERNELS, write_result);
    if (!p->project_id)
        rpc_refuse(call, NOT_ENABLED);
    else if (rpc_collaborator(call, p->project_id, NOT_COLLABORATOR, &r->project_id))
        ask(call, r);
}

const struct api_endpoint hub_jupyter_kernels = {
    HUB_METHOD("jupyter.kernels"),
    .run = API_ASYNC,
    .text = "The kernels of a project, sorted by `display_name`: what is installed for all, and "
            "what the project's own users have registered. `name` is what `kernel` of the other "
            "methods takes. Starts the project if it does not run.",
    API_PARAMS(hub_kernels_params, struct hub_kernels_params),
    .result = KERNELS_SCHEMA,
    API_EXAMPLES(hub_kernels_examples),
    .handler = handle_hub_kernels,
};

// ---- The hub's: execute ----

struct execute_params {
    const char *project_id, *input, *kernel, *path, *hash;
    struct api_strings history;
    struct api_number timeout;
    const cJSON *limits, *pool;
};

#define FIELD(field) .offset = offsetof(struct execute_params, field)

// Of the hub's method and the project's.
#define CODE_PARAMS                                                                                \
    {.name = "history",                                                                            \
     .type = PARAM_STRINGS,                                                                        \
     FIELD(history),                                                                               \
     .text = "code that is run before, whose output is dropped"},                                  \
        {.name = "path",                                                                           \
         .type = PARAM_STRING,                                                                     \
         FIELD(path),                                                                              \
         .text = "folder in which it is run, relative to the home, `.` for the home itself; "      \
                 "without it, or where there is none, a fresh one that is removed afterwards"},    \
    {                                                                                              \
        .name = "timeout", .type = PARAM_NUMBER, FIELD(timeout),                                   \
        .text = "seconds that the caller waits: code may take as long, up to what the server "     \
                "allows (30, and 90 at most, unless its owner has changed that), then it is "      \
                "interrupted. The call's own `timeout`, outside of args, should be longer, so "    \
                "that the answer has what was printed until then"                                  \
    }

static const struct api_param hub_execute_params[] = {
    {.name = "input", .type = PARAM_STRING, FIELD(input), .text = "the code"},
    {.name = "kernel",
     .type = PARAM_STRING,
     FIELD(kernel),
     .text = "name of the kernel that it is run in"},
    {.name = "project_id",
     .type = PARAM_STRING,
     .is_uuid = true,
     FIELD(project_id),
     .text = "project in which it is run; this server runs no code outside of projects"},
    CODE_PARAMS,
    {.name = "hash",
     .type = PARAM_STRING,
     FIELD(hash),
     .text = "key of a result that is kept; alone it gives null, as none is"},
};

static const struct api_example hub_execute_examples[] = {
    {"Run a line of Python:",
     CALL_HUB("{\"name\":\"jupyter.execute\",\"args\":[{\"project_id\":\"" EXAMPLE_PROJECT
              "\",\"kernel\":\"python3\",\"input\":\"sum(range(100))\",\"timeout\":90}],"
              "\"timeout\":90000}"),
     "{\"output\":[{\"data\":{\"text/"
     "plain\":\"4950\"}}],\"created\":\"2026-11-22T09:12:33.145Z\"}"},
};

static void write_executed(const struct jupyter_request *r, struct buf *out)
{
    json_begin_object(out);
    json_key(out, "output");
    json_raw(out, r->result, r->result_size);
    json_member_time(out, "created", clock_now_ms());
    json_end_object(out);
}

static struct jupyter_request *execution_new(struct api_call *call, const struct execute_params *p,
                                             void (*write)(const struct jupyter_request *request,
                                                           struct buf *out))
{
    struct jupyter_request *r = request_new(call, JUPYTER_EXECUTE, write);
    r->kernel = p->kernel;
    r->code = (struct jupyter_code){
        .input = p->input,
        .history = p->history.items,
        .history_count = p->history.count,
        .path = p->path,
        .timeout_s = timeout_of(&p->timeout),
        .limits = p->limits,
        .pool = p->pool,
    };
    return r;
}

static void handle_hub_execute(struct api_call *call, const void *params)
{
    const struct execute_params *p = params;
    struct jupyter_request *r = execution_new(call, p, write_executed);
    if (!p->input && !p->hash)
        rpc_refuse(call, "input or hash must not be null");
    else if (!p->input)
        rpc_null(call);
    else if (!p->kernel || !p->kernel[0])
        rpc_refuse(call, "kernel must be specified in hash is not specified");
    else if (!p->project_id)
        rpc_refuse(call, NOT_ENABLED);
    else if (rpc_collaborator(call, p->project_id, NOT_COLLABORATOR, &r->project_id))
        ask(call, r);
}

const struct api_endpoint hub_jupyter_execute = {
    HUB_METHOD("jupyter.execute"),
    .run = API_ASYNC,
    .text = "Runs code in a fresh kernel of a project, and answers with its output: an item for "
            "each message that the kernel has sent, in their order. Nothing of it is left for the "
            "next call; what is needed from before is `history`. An exception in the code is an "
            "item with `ename`, `evalue` and `traceback`, not an error. Starts the project if it "
            "does not run.",
    API_PARAMS(hub_execute_params, struct execute_params),
    .result = "{\"oneOf\":[{\"type\":\"null\"},{\"type\":\"object\",\"properties\":{\"output\":"
              "" ITEMS_SCHEMA ",\"created\":{\"type\":\"string\",\"format\":\"date-time\"}},"
              "\"required\":[\"output\",\"created\"]}]}",
    API_EXAMPLES(hub_execute_examples),
    .handler = handle_hub_execute,
};

// ---- The project's: jupyterExecute ----

static const struct api_param execute_params[] = {
    {.name = "input", .type = PARAM_STRING, .required = true, FIELD(input), .text = "the code"},
    {.name = "kernel",
     .type = PARAM_STRING,
     .required = true,
     FIELD(kernel),
     .text = "name of the kernel that it is run in"},
    CODE_PARAMS,
    {.name = "limits",
     .type = PARAM_ANY,
     FIELD(limits),
     .text = "object with `timeout_ms_per_cell`, `max_output_per_cell` and `max_output`; and "
             "`timeout_ms`, which counts from `start_time`"},
    {.name = "pool",
     .type = PARAM_ANY,
     FIELD(pool),
     .text = "object with `size`, how many started kernels are kept for later calls, and "
             "`timeout_s`, for how long"},
};
#undef FIELD

static const struct api_example execute_examples[] = {
    {"What comes before is in the history:",
     CALL_PROJECT("{\"name\":\"system.jupyterExecute\",\"args\":[{\"kernel\":\"python3\","
                  "\"history\":[\"a = 6\"],\"input\":\"print(a * 7)\"}],\"timeout\":90000,"
                  "\"project_id\":\"" EXAMPLE_PROJECT "\"}"),
     "[{\"name\":\"stdout\",\"text\":\"42\\n\"}]"},
};

static void handle_execute(struct api_call *call, const void *params)
{
    ask(call, execution_new(call, params, write_result));
}

const struct api_endpoint project_system_jupyter_execute = {
    PROJECT_METHOD("system.jupyterExecute"),
    .run = API_ASYNC,
    .text = "Runs code in a fresh kernel and answers with its output, as the hub's "
            "`jupyter.execute` does, but with the list of items alone.",
    API_PARAMS(execute_params, struct execute_params),
    .result = ITEMS_SCHEMA,
    API_EXAMPLES(execute_examples),
    .handler = handle_execute,
};

// ---- The project's: kernels that run ----

static const struct api_example list_examples[] = {
    {"Kernels that run, among them those that wait for the next call:",
     CALL_PROJECT("{\"name\":\"system.listJupyterKernels\",\"args\":[{}],"
                  "\"project_id\":\"" EXAMPLE_PROJECT "\"}"),
     "[{\"pid\":21,\"connectionFile\":\"/tmp/cohub-jupyter-Xk3v0Q/"
     "kernel-0b6a0d8c-5f57-4a2c-9d38-b6a4c7a4a6f1.json\","
     "\"kernel_name\":\"python3\",\"state\":\"idle\"}]"},
};

static void handle_list(struct api_call *call, const void *params UNUSED)
{
    ask(call, request_new(call, JUPYTER_LIST, write_result));
}

const struct api_endpoint project_system_list_jupyter_kernels = {
    PROJECT_METHOD("system.listJupyterKernels"),
    .run = API_ASYNC,
    .text = "The kernels that run in the project: those that run code, and those that wait for it.",
    .result = "{\"type\":\"array\",\"items\":{\"type\":\"object\",\"properties\":{\"pid\":{"
              "\"type\":\"integer\"},\"connectionFile\":{\"type\":\"string\"},\"kernel_name\":{"
              "\"type\":\"string\"},\"state\":{\"type\":\"string\"}},\"required\":[\"pid\","
              "\"connectionFile\"]}}",
    API_EXAMPLES(list_examples),
    .handler = handle_list,
};

struct stop_params {
    struct api_number pid;
};

static const struct api_param stop_params[] = {
    {.name = "pid",
     .type = PARAM_NUMBER,
     .required = true,
     .offset = offsetof(struct stop_params, pid),
     .text = "as `system.listJupyterKernels` tells it"},
};

static const struct api_example stop_examples[] = {
    {"A number that no kernel has:",
     CALL_PROJECT("{\"name\":\"system.stopJupyterKernel\",\"args\":[{\"pid\":1}],"
                  "\"project_id\":\"" EXAMPLE_PROJECT "\"}"),
     "{\"success\":false}"},
};

// What is no number of a process is none of a kernel, as 0 is.
static void handle_stop(struct api_call *call, const void *params)
{
    const struct api_number *pid = &((const struct stop_params *)params)->pid;
    struct jupyter_request *r = request_new(call, JUPYTER_STOP, write_result);
    params_whole(pid, 1, INT32_MAX, &r->pid);
    ask(call, r);
}

const struct api_endpoint project_system_stop_jupyter_kernel = {
    PROJECT_METHOD("system.stopJupyterKernel"),
    .run = API_ASYNC,
    .text = "Ends a kernel, with all processes of its group. `success` is false when no kernel of "
            "the project has that number.",
    API_PARAMS(stop_params, struct stop_params),
    .result = "{\"type\":\"object\",\"properties\":{\"success\":{\"type\":\"boolean\"}},"
              "\"required\":[\"success\"]}",
    API_EXAMPLES(stop_examples),
    .handler = handle_stop,
};

// ---- The project's: kernels that there are ----

static const struct api_example kernels_examples[] = {
    {"",
     CALL_PROJECT("{\"name\":\"editor.jupyterKernels\",\"args\":[{}],"
                  "\"project_id\":\"" EXAMPLE_PROJECT "\"}"),
     KERNELS_EXAMPLE},
};

static void handle_kernels(struct api_call *call, const void *params UNUSED)
{
    ask(call, request_new(call, JUPYTER_KERNELS, write_result));
}

const struct api_endpoint project_editor_jupyter_kernels = {
    PROJECT_METHOD("editor.jupyterKernels"),
    .run = API_ASYNC,
    .text = "The kernels of the project, as the hub's `jupyter.kernels` lists them.",
    .result = KERNELS_SCHEMA,
    API_EXAMPLES(kernels_examples),
    .handler = handle_kernels,
};

struct logo_params {
    const char *name;
};

static const struct api_param logo_params[] = {
    {.name = "name",
     .type = PARAM_STRING,
     .required = true,
     .offset = offsetof(struct logo_params, name),
     .text = "the kernel's name"},
};

static const struct api_example logo_examples[] = {
    {"",
     CALL_PROJECT("{\"name\":\"editor.jupyterKernelLogo\",\"args\":[\"python3\"],"
                  "\"project_id\":\"" EXAMPLE_PROJECT "\"}"),
     "{\"filename\":\"logo-64x64.png\",\"base64\":\"iVBORw0KGgoAAAANSUhEUgAAAEAAAABACAYAAACq\"}"},
};

static void handle_logo(struct api_call *call, const void *params)
{
    struct jupyter_request *r = request_new(call, JUPYTER_LOGO, write_result);
    r->kernel = ((const struct logo_params *)params)->name;
    ask(call, r);
}

const struct api_endpoint project_editor_jupyter_kernel_logo = {
    PROJECT_METHOD("editor.jupyterKernelLogo"),
    .args = ARGS_LIST,
    .run = API_ASYNC,
    .text = "The picture of a kernel, or null if it has none.",
    API_PARAMS(logo_params, struct logo_params),
    .result = "{\"oneOf\":[{\"type\":\"null\"},{\"type\":\"object\",\"properties\":{\"filename\":{"
              "\"type\":\"string\"},\"base64\":{\"type\":\"string\"}},\"required\":[\"filename\","
              "\"base64\"]}]}",
    API_EXAMPLES(logo_examples),
    .handler = handle_logo,
};
