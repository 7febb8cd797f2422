// SPDX-License-Identifier: AGPL-3.0-or-later
// From an HTTP request to an endpoint's handler: the checks of api-v1 1.4 in their order, the
// caller, the parameters.
#include <stdarg.h>
#include <string.h>

#include "api/api.h"
#include "api/body.h"
#include "api/credentials.h"
#include "api/loop_state.h"
#include "api/params.h"
#include "http/http.h"

// Names that exist in the protocol but not over HTTP, beside those of replies (api-v1 1.4, 3.32,
// 3.33, 15).
static const char *const not_http[] = {
    "metrics",
    "start_metrics",
    "sign_in",
    "signed_in",
    "sign_out",
    "signed_out",
    "error",
    "account_creation_failed",
    "copy_path_between_projects_response",
    "query_cancel",
    "user_tracking",
    "api_key",
    "hello",
    "cookies",
    "webapp_error",
    "sign_in_using_auth_token",
    "send_verification_email",
    "admin_reset_password",
    "admin_ban_user",
    "project_set_quotas",
    "remove_all_upgrades",
};

// ---- Answering ----

struct buf *api_reply_event(struct api_call *call, const char *event)
{
    json_begin_object(&call->reply);
    json_member_str(&call->reply, "event", event);
    json_key(&call->reply, "id");
    json_raw(&call->reply, call->id_json, strlen(call->id_json));
    return &call->reply;
}

struct buf *api_reply(struct api_call *call)
{
    return api_reply_event(call, call->endpoint->reply_event);
}

void api_send(struct api_call *call)
{
    json_end_object(&call->reply);
    http_reply(call->request, 200, HTTP_JSON, &call->reply);
}

void api_error_strn(struct api_call *call, const char *text, size_t size)
{
    struct buf *out = api_reply_event(call, "error");
    json_key(out, "error");
    json_strn(out, text, size);
    api_send(call);
}

void api_error(struct api_call *call, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    const char *text = arena_vprintf(call->arena, fmt, args);
    va_end(args);
    api_error_strn(call, text, strlen(text));
}

const struct api_member api_outcome_members[] = {
    {.name = "error", .schema = "{\"oneOf\":[{\"const\":false},{\"type\":\"string\"}]}"},
};

void api_send_outcome(struct api_call *call, int rc, const struct err *err)
{
    struct buf *out = api_reply(call);
    if (rc) {
        http_request_set_error(call->request, err);
        json_member_str(out, "error", err->message);
    } else {
        json_member_bool(out, "error", false);
    }
    api_send(call);
}

// `log_text` stands in the log.
static void refuse_noting(struct http_request *request, int status, const char *text,
                          const char *log_text)
{
    struct buf out = {0};
    struct err err;
    err_set(&err, ERR_INVALID, "%s", log_text);
    http_request_set_error(request, &err);
    json_begin_object(&out);
    json_member_str(&out, "error", text);
    json_end_object(&out);
    http_reply(request, status, HTTP_JSON, &out);
}

static void refuse(struct http_request *request, int status, const char *text)
{
    refuse_noting(request, status, text, text);
}

void api_refuse(struct api_call *call, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    const char *text = arena_vprintf(call->arena, fmt, args);
    va_end(args);
    refuse(call->request, 400, text);
}

void api_fail(struct api_call *call, const struct err *err)
{
    http_request_set_error(call->request, err);
    if (err->code != ERR_NO_MEMORY) {
        api_error(call, "%s", err->message);
        return;
    }
    buf_dispose(&call->reply);
    refuse(call->request, err_http_status(err->code), err->message);
}

// ---- Who calls ----

// Whether the caller is nobody, which is enough for the endpoint.
static bool is_anonymous(const struct api_endpoint *endpoint, const struct credentials *credentials)
{
    return !credentials->owner && !*credentials->key && endpoint->access == API_ANYONE;
}

// Sets call->caller, or answers. True if the call may go on.
static bool identify(struct api_call *call, struct api_loop *l,
                     const struct credentials *credentials)
{
    struct key_owner owner;
    struct err err;
    if (is_anonymous(call->endpoint, credentials)) {
        call->caller.anonymous = true;
        return true;
    }
    if (credentials_resolve(l, call->session, credentials, &owner, &err)) {
        api_fail(call, &err);
        return false;
    }
    if (owner.status == KEY_BANNED) {
        http_request_set_account(call->request, &owner.caller.account_id);
        api_refuse(call, "User is BANNED.  If this is a mistake, please contact %s",
                   l->svc->site.help_email);
        return false;
    }
    // A key for one project is no key for an account's calls.
    if (owner.status != KEY_VALID || owner.project_id.text[0]) {
        api_refuse(call, "No account found. Is your API key wrong?");
        return false;
    }
    call->caller = owner.caller;
    http_request_set_account(call->request, &call->caller.account_id);
    if (http_request_set_owner(call->request, &call->caller.account_id))
        return true;
    err_set(&err, ERR_NO_MEMORY, ERR_MEMORY_TEXT);
    api_fail(call, &err);
    return false;
}

// ---- Dispatch (api-v1 1.4) ----

static const char *event_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static bool is_not_http(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(not_http); i++) {
        if (!strcmp(name, not_http[i]))
            return true;
    }
    for (size_t i = 0; api_v1_endpoints[i]; i++) {
        if (!strcmp(name, api_v1_endpoints[i]->reply_event))
            return true;
    }
    return false;
}

static void refuse_unknown(struct http_request *request, const char *name)
{
    refuse(request, 400,
           arena_printf(http_request_arena(request),
                        is_not_http(name) ? "endpoint '%s' is not part of the HTTP API"
                                          : "unknown endpoint '%.200s'",
                        name));
}

// The id to answer with: the caller's, whatever JSON value it is, or the request's own.
static const char *id_json(struct http_request *request, const cJSON *body)
{
    const cJSON *id = json_get(body, "id");
    if (!id || cJSON_IsNull(id)) {
        char *quoted = arena_alloc(http_request_arena(request), UUID_LEN + 3);
        quoted[0] = quoted[UUID_LEN + 1] = '"';
        memcpy(quoted + 1, http_request_id(request)->text, UUID_LEN);
        quoted[UUID_LEN + 2] = '\0';
        return quoted;
    }
    auto_buf struct buf text = {0};
    json_value(&text, id);
    return arena_strndup(http_request_arena(request), text.data, text.size);
}

// ---- Where it runs ----

// A call on its way to its handler.
struct v1_call {
    struct lane_call lane_call;
    struct body_read body;
    struct http_request *request;
    const struct api_endpoint *endpoint;
    struct credentials credentials;
};

static struct api_call *call_new(const struct v1_call *v1, struct api_loop *l,
                                 struct db_session *session)
{
    struct http_request *request = v1->request;
    struct api_call *call = arena_zalloc(http_request_arena(request), sizeof *call);
    call->endpoint = v1->endpoint;
    call->request = request;
    call->svc = l->svc;
    call->session = session;
    call->loop = l->loop;
    call->arena = http_request_arena(request);
    call->id_json = id_json(request, v1->body.body);
    return call;
}

static void dispatch(const struct v1_call *v1, struct db_session *session)
{
    struct api_loop *l = http_request_loop_data(v1->request);
    struct err err;
    void *params;
    if (params_fill(v1->endpoint, v1->body.body, http_request_arena(v1->request), &params, &err)) {
        refuse(v1->request, 400, err.message);
        return;
    }
    const char *refusal = v1->endpoint->refusal ? v1->endpoint->refusal(params) : NULL;
    if (refusal) {
        refuse(v1->request, 400, refusal);
        return;
    }
    struct api_call *call = call_new(v1, l, session);
    call->params = params;
    if (!identify(call, l, &v1->credentials))
        return;
    v1->endpoint->handler(call, params);
    assert(v1->endpoint->run == API_ASYNC || http_request_answered(v1->request));
}

static void run_in_lane(struct lane_call *lane_call, struct db_session *session)
{
    struct v1_call *v1 = CONTAINER(lane_call, struct v1_call, lane_call);
    credentials_read_again(http_request_loop_data(v1->request), http_request_arena(v1->request),
                           &v1->credentials);
    dispatch(v1, session);
}

static void refuse_lane(struct lane_call *lane_call)
{
    struct http_request *request = CONTAINER(lane_call, struct v1_call, lane_call)->request;
    const struct api_loop *l = http_request_loop_data(request);
    refuse(request, 503, l->svc->closing ? ERR_CLOSING_TEXT : API_BUSY_TEXT);
}

static bool needs_lane(const struct api_loop *l, const struct api_endpoint *endpoint,
                       const struct credentials *credentials)
{
    bool reads_key = !credentials->owner && !is_anonymous(endpoint, credentials);
    return l->lanes && (reads_key || endpoint->run != API_INSTANT);
}

static void on_body(struct body_read *body)
{
    struct v1_call *v1 = CONTAINER(body, struct v1_call, body);
    struct api_loop *l = http_request_loop_data(v1->request);
    if (body->rc) {
        refuse(v1->request, err_http_status(body->err->code), body->err->message);
        return;
    }
    if (body->waited)
        credentials_read_again(l, http_request_arena(v1->request), &v1->credentials);
    if (needs_lane(l, v1->endpoint, &v1->credentials))
        lanes_run(l->lanes, &v1->lane_call);
    else
        dispatch(v1, l->session);
}

static void begin(struct http_request *request, struct api_loop *l,
                  const struct api_endpoint *endpoint, const struct credentials *credentials)
{
    struct v1_call *v1 = arena_zalloc(http_request_arena(request), sizeof *v1);
    v1->lane_call.run = run_in_lane;
    v1->lane_call.refuse = refuse_lane;
    v1->body.ready = on_body;
    v1->request = request;
    v1->endpoint = endpoint;
    v1->credentials = *credentials;
    body_read(l->svc, request, l->loop, &v1->body);
}

void api_v1_handle(struct http_request *request, void *ctx UNUSED)
{
    struct api_loop *l = http_request_loop_data(request);
    const char *name = event_of(http_request_path(request));
    const struct api_entry *entry = api_loop_find(l, API_V1, name);
    struct credentials credentials;
    struct err err;
    const char *refusal =
        credentials_read(l, http_request_arena(request),
                         http_request_header(request, "Authorization"), &credentials, &err);
    http_request_set_event(request, entry ? entry->endpoint->name : "unknown",
                           entry ? entry->index : 0);
    if (refusal)
        refuse_noting(request, 400, refusal, err.message);
    else if (!entry)
        refuse_unknown(request, name);
    else
        begin(request, l, entry->endpoint, &credentials);
}
