// SPDX-License-Identifier: AGPL-3.0-or-later
// Commands in a project: system.exec (hub-rpc 6.3), system.signal (6.7).
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <string.h>

#include "api/rpc/methods.h"
#include "base/limits.h"
#include "base/log.h"
#include "svc/exec_jobs.h"
#include "svc/project.h"

#define TIMEOUT_S        60
#define ASYNC_OUTPUT_MAX 1048576
#define MB               (1024.0 * 1024) // of memory

struct exec_params {
    const char *command, *path, *cwd, *async_get;
    struct api_strings args;
    struct api_number timeout, max_output, compute_server_id;
    const cJSON *env, *aggregate;
    bool bash, err_on_exit, ulimit_timeout, async_call, async_await, async_stats, verbose;
};

#define FIELD(field) .name = #field, .offset = offsetof(struct exec_params, field)

static const struct api_param exec_params[] = {
    {FIELD(command), .type = PARAM_STRING,
     .text = "a program, or text for bash if it has white space and `args` is empty; not needed "
             "with `async_get`"},
    {FIELD(args), .type = PARAM_STRINGS, .text = "arguments of the program", .default_text = "[]"},
    {FIELD(bash), .type = PARAM_BOOL, .text = "run through bash", .default_text = "false"},
    {FIELD(path), .type = PARAM_STRING,
     .text = "working directory, relative to the home folder unless it begins with /",
     .default_text = "\"\""},
    {FIELD(cwd), .type = PARAM_STRING, .text = "the same; it wins over `path`"},
    {FIELD(timeout), .type = PARAM_NUMBER,
     .text = "seconds after which the command and all that it started are killed; 0 for no limit",
     .default_text = "60"},
    {FIELD(max_output), .type = PARAM_NUMBER,
     .text = "characters of each stream to keep at most; 1048576 unless said otherwise with "
             "`async_call`"},
    {FIELD(env), .type = PARAM_ANY,
     .text = "an object of texts: variables that are added to the project's, or replace them"},
    {FIELD(err_on_exit), .type = PARAM_BOOL,
     .text = "whether an exit code other than 0 is an error", .default_text = "true"},
    {FIELD(ulimit_timeout), .type = PARAM_BOOL,
     .text = "whether `timeout` is also a limit of a script's processor time",
     .default_text = "true"},
    {FIELD(async_call), .type = PARAM_BOOL,
     .text = "answer at once with a `job_id`, while the command runs", .default_text = "false"},
    {FIELD(async_get), .type = PARAM_STRING, .text = "a `job_id`: answer what has become of it"},
    {FIELD(async_await), .type = PARAM_BOOL, .text = "with `async_get`: wait for its end",
     .default_text = "false"},
    {FIELD(async_stats), .type = PARAM_BOOL,
     .text = "with `async_get`: answer what it has used, too", .default_text = "false"},
    {FIELD(compute_server_id), .type = PARAM_NUMBER, .text = "0", .default_text = "0"},
    {FIELD(aggregate), .type = PARAM_ANY,
     .text = "a number that grows, such as a time: of equal calls, those whose number is not "
             "greater than that of one that runs or has just run share its result"},
    {FIELD(verbose), .type = PARAM_BOOL,
     .text = "note the call in the server's log, where that has details", .default_text = "false"},
};
#undef FIELD

// ---- Reading the parameters ----

static bool is_variable_name(const char *name)
{
    return name[0] && !strchr(name, '=');
}

// Answers and returns false if they cannot be had.
static bool read_env(struct api_call *call, const cJSON *env, struct exec_request *request)
{
    size_t count = 0, size = 0;
    if (!env || cJSON_IsNull(env))
        return true;
    const char **texts = arena_alloc(call->arena, LIMIT_EXEC_ENV * sizeof *texts);
    bool fits = cJSON_IsObject(env);
    for (const cJSON *member = env->child; fits && member; member = member->next) {
        fits = cJSON_IsString(member) && is_variable_name(member->string);
        if (!fits)
            break;
        size += strlen(member->string) + strlen(member->valuestring) + 2;
        if (count == LIMIT_EXEC_ENV || size > LIMIT_EXEC_ENV_SIZE) {
            rpc_refuse(call, "env may have at most %d variables and %d bytes", LIMIT_EXEC_ENV,
                       LIMIT_EXEC_ENV_SIZE);
            return false;
        }
        texts[count++] = arena_printf(call->arena, "%s=%s", member->string, member->valuestring);
    }
    if (!fits)
        rpc_refuse(call, "env must be an object of texts, whose names are not empty and have no =");
    request->env = texts;
    request->env_count = count;
    return fits;
}

// What is wrong with them, NULL if nothing is.
static const char *problem_of(const struct exec_params *p)
{
    if (p->compute_server_id.given && p->compute_server_id.value != 0)
        return "this server has no compute servers";
    if (p->async_get)
        return NULL;
    if (p->async_stats && !p->async_call)
        return "async_stats is for asynchronous commands";
    if (!p->command)
        return "command must be given";
    // Not called a timeout: that word means that a call may be repeated.
    if (p->timeout.given && !(p->timeout.value >= 0 && p->timeout.value <= LIMIT_EXEC_SECONDS))
        return "the time limit must be from 0 to 86400 seconds";
    if (p->max_output.given && !(p->max_output.value >= 0))
        return "max_output must not be negative";
    if (p->async_call && p->aggregate && !cJSON_IsNull(p->aggregate))
        return "aggregate and async_call cannot be combined";
    return NULL;
}

static struct exec_request make_request(const struct api_call *call, const struct exec_params *p)
{
    const char *path = p->cwd ? p->cwd : p->path;
    return (struct exec_request){
        .project_id = call->project_id,
        .path = path ? path : "",
        .command = p->command,
        .args = p->args.items,
        .args_count = p->args.count,
        .timeout_s = p->timeout.given ? p->timeout.value : TIMEOUT_S,
        .max_output = p->max_output.given ? p->max_output.value
                      : p->async_call     ? ASYNC_OUTPUT_MAX
                                          : -1,
        .bash = p->bash,
        .err_on_exit = p->err_on_exit,
        .no_cpu_limit = !p->ulimit_timeout,
        .words = EXEC_WORDS_RPC,
        .aggregate = p->aggregate,
        .loop = call->loop,
    };
}

// ---- Answering ----

static void write_stream(struct buf *out, const char *key, const struct buf *text)
{
    json_key(out, key);
    json_strn(out, text->data ? text->data : "", text->size);
}

struct exec_op {
    struct api_call *call;
    struct exec_request request;
    struct exec_job_call job;
    bool with_stats;
};

static void write_blocking(struct buf *out, void *arg)
{
    const struct exec_result *result = arg;
    json_begin_object(out);
    json_member_str(out, "type", "blocking");
    write_stream(out, "stdout", &result->output);
    write_stream(out, "stderr", &result->error_output);
    json_member_int(out, "exit_code", result->exit_code);
    json_end_object(out);
}

static void dispose_result(void *result)
{
    exec_result_unref(result);
}

static void on_exec_done(struct exec_request *request)
{
    struct exec_op *op = CONTAINER(request, struct exec_op, request);
    struct api_call *call = op->call;
    struct exec_result *result = TAKE_PTR(request->result);
    const struct err err = request->err;
    const bool failed = request->rc;
    exec_request_dispose(request);
    if (!failed && !result->failed) {
        api_send_written(call, result->output.size + result->error_output.size, write_blocking,
                         dispose_result, result);
        return;
    }
    if (failed)
        rpc_fail(call, &err);
    else
        rpc_refuse_bare(call, "%.*s", (int)result->error.size, result->error.data);
    exec_result_unref(result);
}

// Rounded to parts of that number.
static void write_number(struct buf *out, const char *key, double value, double parts)
{
    json_key(out, key);
    json_double(out, round(value * parts) / parts);
}

static const char *status_name(enum exec_job_status status)
{
    return status == EXEC_JOB_RUNNING     ? "running"
           : status == EXEC_JOB_COMPLETED ? "completed"
                                          : "error";
}

// The processor's part is that of the time since the sample before.
static void write_stats(struct buf *out, const struct exec_job_call *job)
{
    struct job_sample before = {.time_ms = job->start_ms};
    json_key(out, "stats");
    json_begin_array(out);
    for (size_t i = 0; i < job->samples_count; i++) {
        const struct job_sample *sample = &job->samples[i];
        const double ms = (double)sample->time_ms - (double)before.time_ms;
        const double cpu_ms = (double)sample->cpu_ms - (double)before.cpu_ms;
        json_begin_object(out);
        json_member_int(out, "timestamp", sample->time_ms);
        write_number(out, "mem_rss", (double)sample->memory / MB, 10);
        write_number(out, "cpu_pct", ms > 0 && cpu_ms > 0 ? 100 * cpu_ms / ms : 0, 10);
        write_number(out, "cpu_secs", (double)sample->cpu_ms / 1000, 100);
        json_end_object(out);
        before = *sample;
    }
    json_end_array(out);
}

static void write_job(struct buf *out, void *arg)
{
    const struct exec_op *op = arg;
    const struct exec_job_call *job = &op->job;
    const struct exec_result *result = job->result;
    const bool failed = job->status == EXEC_JOB_ERROR;
    json_begin_object(out);
    json_member_str(out, "type", "async");
    write_stream(out, "stdout", result ? &result->output : &job->output);
    write_stream(out, "stderr",
                 failed   ? &result->error
                 : result ? &result->error_output
                          : &job->error_output);
    json_member_int(out, "exit_code", failed ? 1 : result ? result->exit_code : 0);
    json_member_int(out, "start", job->start_ms);
    json_member_str(out, "job_id", job->id.text);
    json_member_str(out, "status", status_name(job->status));
    if (job->pid)
        json_member_int(out, "pid", job->pid);
    if (result)
        write_number(out, "elapsed_s", (double)job->elapsed_ms / 1000, 1000);
    if (op->with_stats)
        write_stats(out, job);
    json_end_object(out);
}

static void dispose_job(void *arg)
{
    struct exec_op *op = arg;
    exec_job_call_dispose(&op->job);
}

static size_t job_text_size(const struct exec_job_call *job)
{
    const struct exec_result *result = job->result;
    return result ? result->output.size + result->error_output.size + result->error.size
                  : job->output.size + job->error_output.size;
}

static void on_job_done(struct exec_job_call *job)
{
    struct exec_op *op = CONTAINER(job, struct exec_op, job);
    struct api_call *call = op->call;
    if (job->rc) {
        const struct err err = job->err;
        exec_job_call_dispose(job);
        rpc_fail(call, &err);
        return;
    }
    api_send_written(call, job_text_size(job), write_job, dispose_job, op);
}

// ---- The method ----

static void log_call(const struct api_call *call, const struct exec_request *r)
{
    log_event(LOG_DEBUG, "exec", LOG_TEXT("project", call->project_id.text),
              LOG_TEXT("account", call->caller.account_id.text), LOG_INT("bash", r->bash),
              LOG_INT("command_bytes", strlen(r->command)), LOG_INT("args", r->args_count),
              LOG_INT("env", r->env_count), LOG_INT("limit_s", r->timeout_s));
}

static void begin(struct exec_op *op, const struct exec_params *p)
{
    struct api_call *call = op->call;
    op->request = make_request(call, p);
    if (!read_env(call, p->env, &op->request))
        return;
    if (p->verbose)
        log_call(call, &op->request);
    if (p->async_call) {
        exec_job_start(call->svc, &op->request, &op->job);
    } else {
        op->request.done = on_exec_done;
        exec_run(call->svc, &op->request);
    }
}

static void handle_exec(struct api_call *call, const void *params)
{
    const struct exec_params *p = params;
    const char *problem = problem_of(p);
    if (problem) {
        rpc_refuse(call, "%s", problem);
        return;
    }
    struct exec_op *op = arena_zalloc(call->arena, sizeof *op);
    op->call = call;
    op->with_stats = p->async_stats;
    op->job = (struct exec_job_call){
        .project_id = call->project_id,
        .job_id = p->async_get,
        .await = p->async_await,
        .await_timeout_ms = rpc_timeout_ms(call),
        .loop = call->loop,
        .done = on_job_done,
    };
    if (p->async_get)
        exec_job_get(call->svc, &op->job);
    else
        begin(op, p);
}

#define EXEC_EXAMPLE(args)                                                                         \
    CALL_PROJECT("{\"name\":\"system.exec\",\"args\":[{" args                                      \
                 "}],\"project_id\":\"" EXAMPLE_PROJECT "\"}")

static const struct api_example exec_examples[] = {
    {"A program with arguments:", EXEC_EXAMPLE("\"command\":\"echo\",\"args\":[\"xyz\",\"abc\"]"),
     "{\"type\":\"blocking\",\"stdout\":\"xyz abc\\n\",\"stderr\":\"\",\"exit_code\":0}"},
    {"A script, with a variable of its own:",
     EXEC_EXAMPLE(
         "\"command\":\"echo $((N + 1)) >&2; exit 42\",\"bash\":true,\"env\":{\"N\":\"6\"}"),
     "{\"error\":\"command 'echo $((N + 1)) >&2; exit 42' exited with nonzero code 42 -- "
     "stderr='7\\n'\"}"},
    {"In the background:", EXEC_EXAMPLE("\"command\":\"sleep 1\",\"async_call\":true"),
     "{\"type\":\"async\",\"stdout\":\"\",\"stderr\":\"\",\"exit_code\":0,\"start\":1756489740133,"
     "\"job_id\":\"0d5d3a0c-3d0c-4b5e-8a3e-7b1f9d2c4e6a\",\"status\":\"running\",\"pid\":12}"},
};

const struct api_endpoint project_system_exec = {
    PROJECT_METHOD("system.exec"),
    .run = API_ASYNC,
    .text = "Runs a command in the project and gives back what it wrote and its exit code. A "
            "command that fails is an error, unless `err_on_exit` is false.",
    API_PARAMS(exec_params, struct exec_params),
    .result = "{\"type\":\"object\",\"required\":[\"type\",\"stdout\",\"stderr\",\"exit_code\"],"
              "\"properties\":{\"type\":{\"enum\":[\"blocking\",\"async\"]},\"stdout\":{\"type\":"
              "\"string\"},\"stderr\":{\"type\":\"string\"},\"exit_code\":{\"type\":\"integer\"},"
              "\"job_id\":{\"type\":\"string\",\"format\":\"uuid\"},\"start\":{\"type\":"
              "\"integer\"},\"status\":{\"enum\":[\"running\",\"completed\",\"error\"]},"
              "\"pid\":{\"type\":\"integer\"},\"elapsed_s\":{\"type\":\"number\"},\"stats\":{"
              "\"type\":\"array\",\"maxItems\":100,\"items\":{\"type\":\"object\",\"required\":["
              "\"timestamp\",\"mem_rss\",\"cpu_pct\",\"cpu_secs\"],\"properties\":{\"timestamp\":{"
              "\"type\":\"integer\"},\"mem_rss\":{\"type\":\"number\"},\"cpu_pct\":{\"type\":"
              "\"number\"},\"cpu_secs\":{\"type\":\"number\"}}}}}}",
    API_EXAMPLES(exec_examples),
    .notes =
        "The call's own `timeout`, 15 s unless the body says otherwise, is how long the "
        "answer is waited for: the command goes on to its own limit, and is then killed. An "
        "asynchronous command belongs to the project: it goes on while the server restarts, and "
        "ends, and is forgotten, with the project. At most 100 are kept, each for an hour "
        "after its end or the last look at it. `pid` is its number in "
        "the project, and that of its process group. `stats` are at most 100 samples of all "
        "its processes together, at first 20 in a second and ever fewer as it goes on: "
        "`timestamp` in milliseconds, `mem_rss` in MB, `cpu_pct` of one processor since the "
        "sample before, `cpu_secs` so far.",
    .handler = handle_exec,
};

// ---- system.signal ----

struct signal_params {
    struct api_number signal, pid;
    const cJSON *pids;
};

static const struct api_param signal_params[] = {
    {.name = "signal",
     .type = PARAM_NUMBER,
     .required = true,
     .offset = offsetof(struct signal_params, signal),
     .text = "number of the signal; 0 only asks whether the process is there"},
    {.name = "pid",
     .type = PARAM_NUMBER,
     .offset = offsetof(struct signal_params, pid),
     .text = "a process of the project"},
    {.name = "pids",
     .type = PARAM_ANY,
     .offset = offsetof(struct signal_params, pids),
     .text = "a list of them"},
};

struct signal_op {
    struct api_call *call;
    struct exec_request request;
    struct buf script;
};

// bash says it in words, of which these are the system's own in the C locale.
static const char *signal_error(const struct exec_result *result)
{
    static const struct {
        const char *text, *name;
    } errors[] = {{"No such process", "kill ESRCH"}, {"not permitted", "kill EPERM"}};
    const struct buf *text = &result->error_output;
    for (size_t i = 0; i < ARRAY_LEN(errors) && text->size; i++) {
        if (memmem(text->data, text->size, errors[i].text, strlen(errors[i].text)))
            return errors[i].name;
    }
    return "kill EINVAL";
}

static void on_signaled(struct exec_request *request)
{
    struct signal_op *op = CONTAINER(request, struct signal_op, request);
    struct api_call *call = op->call;
    struct exec_result *result = TAKE_PTR(request->result);
    const struct err err = request->err;
    const bool failed = request->rc;
    exec_request_dispose(request);
    buf_dispose(&op->script);
    if (failed)
        rpc_fail(call, &err);
    else if (result->failed)
        rpc_refuse_bare(call, "%.*s", (int)result->error.size, result->error.data);
    else if (result->exit_code == 1)
        rpc_refuse(call, "%s", signal_error(result));
    else
        rpc_null(call);
    exec_result_unref(result);
}

// Process 1 is what runs the project, and what is below are groups.
static bool is_pid(double value)
{
    return value > 1 && value <= INT32_MAX && value == floor(value);
}

// One command for each; what the last one that failed says is left on standard error.
static bool add_pid(struct signal_op *op, int signal, double pid)
{
    if (!is_pid(pid))
        return false;
    buf_printf(&op->script, "e=$(kill -n %d -- %.0f 2>&1) || last=$e r=1\n", signal, pid);
    return true;
}

static bool add_pids(struct signal_op *op, int signal, const cJSON *pids)
{
    bool valid = !pids || cJSON_IsNull(pids) || cJSON_IsArray(pids);
    if (!valid || !cJSON_IsArray(pids))
        return valid;
    valid = cJSON_GetArraySize(pids) <= LIMIT_EXEC_ARGS;
    for (const cJSON *pid = pids->child; valid && pid; pid = pid->next)
        valid = cJSON_IsNumber(pid) && add_pid(op, signal, pid->valuedouble);
    return valid;
}

static void handle_signal(struct api_call *call, const void *params)
{
    static const char *const env[] = {"LC_ALL=C"};
    const struct signal_params *p = params;
    const double signal = p->signal.value;
    if (!(signal >= 0 && signal < NSIG && signal == floor(signal))) {
        rpc_refuse(call, "kill EINVAL");
        return;
    }
    struct signal_op *op = arena_zalloc(call->arena, sizeof *op);
    op->call = call;
    buf_append_str(&op->script, "r=0\n");
    if ((p->pid.given && !add_pid(op, (int)signal, p->pid.value)) ||
        !add_pids(op, (int)signal, p->pids)) {
        buf_dispose(&op->script);
        rpc_refuse(call, "pid must be a whole number greater than 1, and pids a list of at most %d",
                   LIMIT_EXEC_ARGS);
        return;
    }
    buf_append_str(&op->script, "printf %s \"$last\" >&2; exit $r\n");
    op->request = (struct exec_request){
        .project_id = call->project_id,
        .path = "/",
        .command = buf_cstr(&op->script),
        .env = env,
        .env_count = ARRAY_LEN(env),
        .timeout_s = TIMEOUT_S,
        .max_output = 1000,
        .bash = true,
        .words = EXEC_WORDS_RPC,
        .loop = call->loop,
        .done = on_signaled,
    };
    exec_run(call->svc, &op->request);
}

static const struct api_example signal_examples[] = {
    {"Is there a process 99999999?",
     CALL_PROJECT("{\"name\":\"system.signal\",\"args\":[{\"signal\":0,\"pid\":99999999}],"
                  "\"project_id\":\"" EXAMPLE_PROJECT "\"}"),
     "{\"error\":\"Error: kill ESRCH\"}"},
};

const struct api_endpoint project_system_signal = {
    PROJECT_METHOD("system.signal"),
    .run = API_ASYNC,
    .text = "Sends a signal to processes of the project. All of them get it, and the last failure "
            "is the error.",
    API_PARAMS(signal_params, struct signal_params),
    .result = "{\"type\":\"null\"}",
    API_EXAMPLES(signal_examples),
    .handler = handle_signal,
};
