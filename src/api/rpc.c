// SPDX-License-Identifier: AGPL-3.0-or-later
// From an HTTP request to a method's handler (hub-rpc section 1): who calls, which method, its
// parameters, and an answer in time. A project's method runs once the project does.
#include "api/rpc.h"

#include <stdarg.h>
#include <string.h>

#include "api/body.h"
#include "api/credentials.h"
#include "api/loop_state.h"
#include "api/params.h"
#include "base/limits.h"
#include "http/http.h"
#include "runner/projects.h"
#include "svc/project.h"

#define TIMEOUT_DEFAULT_MS 15000
#define NOT_UUIDS          "invalid account_id or project_id -- all must be valid uuid's"

// Lives as long as the request, which is until the handler has answered.
struct rpc_call {
    struct api_call call;
    struct api_loop *api_loop;
    enum api_family family;
    struct credentials credentials;
    struct body_read body;
    const char *name;
    const struct api_entry *entry; // NULL: no such method
    double timeout_ms;
    struct call_timer *timer; // while the caller waits
    struct lane_call lane_call;
};

static struct rpc_call *rpc_of(struct api_call *call)
{
    return CONTAINER(call, struct rpc_call, call);
}

// ---- Answering ----

static void send_body(struct rpc_call *c, int status, struct buf *body)
{
    if (c->timer)
        call_timer_stop(c->api_loop, c->timer);
    c->timer = NULL;
    http_reply(c->call.request, status, HTTP_JSON, body);
}

static void write_error(struct buf *out, const char *text)
{
    json_begin_object(out);
    json_member_str(out, "error", text);
    json_end_object(out);
}

static void send_error(struct rpc_call *c, int status, const char *text)
{
    buf_dispose(&c->call.reply);
    write_error(&c->call.reply, text);
    send_body(c, status, &c->call.reply);
}

static void note_error(struct api_call *call, const char *text)
{
    struct err err;
    err_set(&err, ERR_INVALID, "%s", text);
    http_request_set_error(call->request, &err);
}

struct buf *rpc_result(struct api_call *call)
{
    return &call->reply;
}

void rpc_send(struct api_call *call)
{
    send_body(rpc_of(call), 200, &call->reply);
}

void rpc_null(struct api_call *call)
{
    json_null(rpc_result(call));
    rpc_send(call);
}

PRINTF_LIKE(3, 0)
static void refuse(struct api_call *call, const char *prefix, const char *fmt, va_list args)
{
    const char *text =
        arena_printf(call->arena, "%s%s", prefix, arena_vprintf(call->arena, fmt, args));
    note_error(call, text);
    send_error(rpc_of(call), 200, text);
}

void rpc_refuse(struct api_call *call, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    refuse(call, "Error: ", fmt, args);
    va_end(args);
}

void rpc_refuse_bare(struct api_call *call, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    refuse(call, "", fmt, args);
    va_end(args);
}

static void fail(struct api_call *call, const char *prefix, const struct err *err)
{
    http_request_set_error(call->request, err);
    if (err->code == ERR_NO_MEMORY)
        send_error(rpc_of(call), err_http_status(err->code), err->message);
    else
        send_error(rpc_of(call), 200, arena_printf(call->arena, "%s%s", prefix, err->message));
}

void rpc_fail(struct api_call *call, const struct err *err)
{
    fail(call, "Error: ", err);
}

void rpc_fail_bare(struct api_call *call, const struct err *err)
{
    fail(call, "", err);
}

// What went wrong on the way to the method, in the words of hub-rpc 1.5.
static void way_error(const struct rpc_call *c, const char *message, const char *code,
                      struct buf *out)
{
    const bool to_hub = c->family == API_HUB;
    buf_printf(out, "%s - callHub: subject='%s.%s.%s', name='%.200s', code='%s' ", message,
               to_hub ? "hub.account" : "project",
               to_hub ? c->call.caller.account_id.text : c->call.project_id.text,
               to_hub ? "api" : "0.api.-", c->name, code);
}

static void refuse_way(struct rpc_call *c, const char *message, const char *code)
{
    auto_buf struct buf text = {0};
    way_error(c, message, code, &text);
    rpc_refuse_bare(&c->call, "%s", buf_cstr(&text));
}

// The handler goes on, perhaps on another thread, where the arena is its own; what it answers is
// dropped.
static void on_timeout(uv_timer_t *uv_timer)
{
    struct call_timer *timer = CONTAINER(uv_timer, struct call_timer, timer);
    struct rpc_call *c = timer->call;
    struct buf body = {0};
    auto_buf struct buf text = {0};
    call_timer_stop(c->api_loop, timer);
    c->timer = NULL;
    way_error(c, "timeout", "408", &text);
    note_error(&c->call, buf_cstr(&text));
    write_error(&body, text.data);
    http_reply_for(c->call.request, 200, HTTP_JSON, &body);
}

double rpc_timeout_ms(const struct api_call *call)
{
    return rpc_of((struct api_call *)(uintptr_t)call)->timeout_ms;
}

// ---- What many methods do ----

// Whether the account owns the project or works on it.
static int is_collaborator(struct api_call *call, const struct uuid *project_id, bool *ret_is,
                           struct err *err)
{
    const struct caller caller = {.account_id = call->caller.account_id};
    enum project_access access;
    int rc = project_access_get(call->session, &caller, project_id, &access, err);
    *ret_is = !rc && access == ACCESS_WRITE;
    return rc;
}

bool rpc_uuid(struct api_call *call, const char *text, struct uuid *ret_id)
{
    bool valid = uuid_parse(text, strlen(text), ret_id);
    if (!valid)
        rpc_refuse_bare(call, "error: invalid input syntax for type uuid: \"%.200s\"", text);
    return valid;
}

bool rpc_collaborator(struct api_call *call, const char *project_id, const char *refusal,
                      struct uuid *ret_project_id)
{
    struct err err;
    bool is = false;
    if (!project_id || !uuid_parse(project_id, strlen(project_id), ret_project_id))
        rpc_refuse(call, NOT_UUIDS);
    else if (is_collaborator(call, ret_project_id, &is, &err))
        rpc_fail(call, &err);
    else if (!is)
        rpc_refuse(call, "%s", refusal);
    return is;
}

struct rpc_write {
    struct api_call *call;
    void (*answer)(struct api_call *call, void *arg);
    struct db_write write;
};

static void on_written(struct db_write *write)
{
    struct rpc_write *op = CONTAINER(write, struct rpc_write, write);
    if (write->rc)
        rpc_fail(op->call, &write->err);
    else if (op->answer)
        op->answer(op->call, write->arg);
    else
        rpc_null(op->call);
}

void rpc_write(struct api_call *call, db_txn_fn *fn, void *arg,
               void (*answer)(struct api_call *call, void *arg))
{
    struct rpc_write *op = arena_zalloc(call->arena, sizeof *op);
    *op = (struct rpc_write){
        .call = call,
        .answer = answer,
        .write = {.loop = call->loop, .fn = fn, .arg = arg, .done = on_written},
    };
    db_write_async(call->svc->db, &op->write);
}

// ---- Running the method ----

// The object that holds the parameters, NULL if it was left out.
static int find_object(const struct api_endpoint *method, const cJSON *args,
                       const cJSON **ret_object, struct err *err)
{
    const cJSON *object = args ? args->child : NULL;
    if (object && cJSON_IsNull(object))
        object = NULL;
    if (object && !cJSON_IsObject(object))
        return err_set(err, ERR_INVALID, "args[0] must be an object");
    if (object && method->args == ARGS_OPTS) {
        object = json_get(object, "opts");
        if (object && !cJSON_IsObject(object))
            return err_set(err, ERR_INVALID, "opts must be an object");
    }
    *ret_object = object;
    return 0;
}

static int read_params(struct rpc_call *c, void **ret_params, struct err *err)
{
    const struct api_endpoint *method = c->entry->endpoint;
    const cJSON *args = json_get(c->body.body, "args"), *object = NULL;
    if (args && cJSON_IsNull(args))
        args = NULL;
    if (args && !cJSON_IsArray(args))
        return err_set(err, ERR_INVALID, "args must be an array");
    if (method->args == ARGS_LIST)
        return params_fill_list(method, args, c->call.arena, ret_params, err);
    int rc = find_object(method, args, &object, err);
    return rc ? rc : params_fill(method, object, c->call.arena, ret_params, err);
}

static void run_method(struct rpc_call *c, struct db_session *session)
{
    const struct api_endpoint *method = c->entry->endpoint;
    c->call.session = session;
    if (method->run == API_ASYNC)
        c->timer = call_timer_start(c->api_loop, (uint64_t)c->timeout_ms, c, on_timeout);
    method->handler(&c->call, c->call.params);
}

static void run_method_in_lane(struct lane_call *lane_call, struct db_session *session)
{
    run_method(CONTAINER(lane_call, struct rpc_call, lane_call), session);
}

struct rpc_start {
    struct rpc_call *call;
    struct project_call start;
};

static void on_started(struct project_call *start)
{
    struct rpc_call *c = CONTAINER(start, struct rpc_start, start)->call;
    if (start->rc) {
        auto_buf struct buf text = {0};
        way_error(c, start->err.message, start->err.code == ERR_TIMEOUT ? "408" : "503", &text);
        http_request_set_error(c->call.request, &start->err);
        send_error(c, 200, buf_cstr(&text));
        return;
    }
    if (c->entry->endpoint->run == API_INSTANT)
        run_method(c, NULL);
    else
        api_loop_run(c->api_loop, &c->lane_call);
}

// The project is in use from now on, and runs before its method does (hub-rpc section 5).
static void wake_project(struct rpc_call *c)
{
    struct svc *svc = c->call.svc;
    if (c->call.project_key)
        project_mark_edited(svc, &c->call.project_id);
    else
        project_mark_used(svc, &c->call.caller.account_id, &c->call.project_id);
    c->lane_call.run = run_method_in_lane;
    struct rpc_start *op = arena_zalloc(c->call.arena, sizeof *op);
    op->call = c;
    op->start.project_id = c->call.project_id;
    op->start.loop = c->call.loop;
    op->start.done = on_started;
    projects_start(svc->projects, &op->start, PROJECT_START_WAIT_MS);
}

// ---- Who calls (hub-rpc 1.2) ----

// The project that the call is for, or answers and returns false.
static bool find_project(struct rpc_call *c, const struct key_owner *owner)
{
    struct api_call *call = &c->call;
    const cJSON *target = json_get(c->body.body, "project_id");
    const char *text = cJSON_IsString(target) ? target->valuestring : "";
    struct uuid id = {0};
    struct err err;
    bool is = false;
    if (target && !cJSON_IsNull(target) && !cJSON_IsString(target)) {
        rpc_refuse_bare(call, NOT_UUIDS);
        return false;
    }
    bool is_uuid = uuid_parse(text, strlen(text), &id);
    if (call->project_key) {
        call->project_id = owner->project_id;
        if (!text[0] || (is_uuid && uuid_equal(&id, &owner->project_id)))
            return true;
        rpc_refuse_bare(call, "project specific api key must match requested project");
        return false;
    }
    call->project_id = id;
    if (!text[0])
        rpc_refuse_bare(call, "must specify project_id or use project-specific api key");
    else if (!is_uuid)
        rpc_refuse_bare(call, NOT_UUIDS);
    else if (is_collaborator(call, &id, &is, &err))
        rpc_fail_bare(call, &err);
    else if (!is)
        rpc_refuse_bare(call, "user must be a collaborator on the project");
    return is;
}

// Sets the caller and the project, or answers and returns false.
static bool identify(struct rpc_call *c)
{
    struct api_call *call = &c->call;
    struct key_owner owner;
    struct err err;
    if (credentials_resolve(c->api_loop, call->session, &c->credentials, &owner, &err)) {
        rpc_fail_bare(call, &err);
        return false;
    }
    bool is_project = owner.project_id.text[0] != '\0';
    if (owner.status != KEY_VALID || (is_project && c->family == API_HUB)) {
        rpc_refuse_bare(call, "%s",
                        c->family == API_HUB
                            ? "must be signed in and MUST provide an api key (cookies are not "
                              "allowed)"
                            : "must sign in as project or account");
        return false;
    }
    call->project_key = is_project;
    if (!is_project) {
        call->caller = owner.caller;
        http_request_set_account(call->request, &call->caller.account_id);
    }
    // Of a project's key, too, it is the account's that made it: who has many has one share.
    if (!http_request_set_owner(call->request, &owner.caller.account_id)) {
        err_set(&err, ERR_NO_MEMORY, ERR_MEMORY_TEXT);
        rpc_fail_bare(call, &err);
        return false;
    }
    return c->family == API_HUB || find_project(c, &owner);
}

// ---- The way there ----

// How long the caller waits, negative if what it says is no time.
static double read_timeout(const struct rpc_call *c)
{
    const cJSON *timeout = json_get(c->body.body, "timeout");
    if (!timeout)
        return TIMEOUT_DEFAULT_MS;
    if (!cJSON_IsNumber(timeout) || timeout->valuedouble <= 0)
        return -1;
    return timeout->valuedouble < LIMIT_RPC_TIMEOUT_MS ? timeout->valuedouble
                                                       : LIMIT_RPC_TIMEOUT_MS;
}

static bool is_elsewhere(const struct rpc_call *c)
{
    const cJSON *server = json_get(c->body.body, "compute_server_id");
    return server && !cJSON_IsNull(server) && !(cJSON_IsNumber(server) && server->valuedouble == 0);
}

static void refuse_unknown(struct rpc_call *c)
{
    if (cJSON_IsString(json_get(c->body.body, "name")))
        rpc_refuse(&c->call, "unknown function '%.200s'", c->name);
    else
        rpc_refuse(&c->call,
                   "unknown function 'undefined': POST a JSON object with a name, and the "
                   "header Content-Type: application/json");
}

// Without a session, the credentials are known and the method is instant.
static void dispatch(struct rpc_call *c, struct db_session *session)
{
    struct api_call *call = &c->call;
    struct err err;
    void *params;
    call->session = session;
    if (!identify(c))
        return;
    c->timeout_ms = read_timeout(c);
    if (c->timeout_ms <= 0) {
        refuse_way(c, "timeout must be positive", "undefined");
    } else if (!c->entry) {
        refuse_unknown(c);
    } else if (c->family == API_PROJECT && is_elsewhere(c)) {
        rpc_refuse(call, "this server has no compute servers");
    } else if (read_params(c, &params, &err)) {
        rpc_fail(call, &err);
    } else {
        call->endpoint = c->entry->endpoint;
        call->params = params;
        if (c->family == API_HUB)
            run_method(c, session);
        else
            wake_project(c);
    }
}

static void dispatch_in_lane(struct lane_call *lane_call, struct db_session *session)
{
    struct rpc_call *c = CONTAINER(lane_call, struct rpc_call, lane_call);
    credentials_read_again(c->api_loop, c->call.arena, &c->credentials);
    dispatch(c, session);
}

static void refuse_lane(struct lane_call *lane_call)
{
    struct rpc_call *c = CONTAINER(lane_call, struct rpc_call, lane_call);
    send_error(c, 503, c->call.svc->closing ? ERR_CLOSING_TEXT : API_BUSY_TEXT);
}

static struct rpc_call *rpc_new(struct http_request *request, enum api_family family)
{
    struct rpc_call *c = arena_zalloc(http_request_arena(request), sizeof *c);
    c->api_loop = http_request_loop_data(request);
    c->family = family;
    c->lane_call = (struct lane_call){.run = dispatch_in_lane, .refuse = refuse_lane};
    c->call.request = request;
    c->call.svc = c->api_loop->svc;
    c->call.loop = c->api_loop->loop;
    c->call.arena = http_request_arena(request);
    return c;
}

static void find_method(struct rpc_call *c)
{
    const cJSON *name = json_get(c->body.body, "name");
    c->name = cJSON_IsString(name) ? name->valuestring : "undefined";
    c->entry = api_loop_find(c->api_loop, c->family, c->name);
    http_request_set_event(c->call.request, c->entry ? c->entry->endpoint->event : "unknown method",
                           c->entry ? c->entry->index : 0);
}

// Whether it is answered from memory, without the database.
static bool is_instant(const struct rpc_call *c)
{
    return c->family == API_HUB && c->credentials.owner &&
           (!c->entry || c->entry->endpoint->run == API_INSTANT);
}

static void on_body(struct body_read *body)
{
    struct rpc_call *c = CONTAINER(body, struct rpc_call, body);
    if (body->rc) {
        http_request_set_error(c->call.request, body->err);
        send_error(c, err_http_status(body->err->code), body->err->message);
        return;
    }
    find_method(c);
    if (body->waited)
        credentials_read_again(c->api_loop, c->call.arena, &c->credentials);
    if (is_instant(c) || !c->api_loop->lanes)
        dispatch(c, c->api_loop->session);
    else
        lanes_run(c->api_loop->lanes, &c->lane_call);
}

static void handle(struct http_request *request, enum api_family family)
{
    struct rpc_call *c = rpc_new(request, family);
    struct err err;
    const char *refusal =
        credentials_read(c->api_loop, c->call.arena, http_request_header(request, "Authorization"),
                         &c->credentials, &err);
    http_request_set_event(request, "unknown method", 0);
    if (refusal) {
        http_request_set_error(request, &err);
        send_error(c, 200, refusal);
        return;
    }
    c->body.ready = on_body;
    if (!strcmp(http_request_method(request), "POST"))
        body_read(c->call.svc, request, c->call.loop, &c->body);
    else
        on_body(&c->body);
}

void rpc_hub_handle(struct http_request *request, void *ctx UNUSED)
{
    handle(request, API_HUB);
}

void rpc_project_handle(struct http_request *request, void *ctx UNUSED)
{
    handle(request, API_PROJECT);
}
