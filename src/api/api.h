// SPDX-License-Identifier: AGPL-3.0-or-later
// API calls, described once.
//
// An endpoint is a constant: its name, who may call it, its parameters and reply, its text and
// examples, and its handler. The same constants drive dispatch, the checks of parameters, the
// reading of forms, api.json, the OpenAPI document, the reference page and the tests. Adding an
// endpoint is one constant and one handler in a file of api/v1. The methods of the RPC are such
// constants too, in files of api/rpc; api/rpc.h is what their handlers answer with.
#ifndef API_API_H
#define API_API_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/uuid.h"
#include "svc/svc.h"

struct api_call;
struct http_request;
struct lane_call;

enum api_param_type {
    PARAM_STRING,         // const char *; NULL when left out
    PARAM_BOOL,           // bool
    PARAM_NUMBER,         // struct api_number
    PARAM_STRINGS,        // struct api_strings
    PARAM_STRING_OR_LIST, // struct api_strings; is_list tells which
    PARAM_ANY,            // const cJSON *; NULL when left out
};

struct api_number {
    bool given;
    double value;
};

struct api_strings {
    const char *const *items;
    size_t count;
    bool given, is_list;
};

struct api_param {
    const char *name;
    enum api_param_type type;
    bool required;
    bool is_uuid; // documentation: the text is a UUID; handlers check, since each has its own words
                  // for a wrong one
    bool takes_null; // of PARAM_ANY: null is a value, and not the same as leaving it out
    size_t offset;
    const char *text;         // what it means
    const char *default_text; // as JSON, NULL if there is none; a bool may be true by default
};

// A member of the reply besides `event` and `id`.
struct api_member {
    const char *name;
    const char *schema; // JSON schema
    bool optional;
    const char *event; // that it belongs to; NULL: the endpoint's own. Those of one stand together
};

struct api_example {
    const char *title;
    const char *command; // runs as it stands, with host, key and ids put in
    const char *reply;   // NULL: nothing is shown
};

enum api_access {
    API_ANYONE,  // a blank key is enough
    API_ACCOUNT, // a key of an account
};

enum api_run {
    API_INLINE,  // has answered when the handler returns: prepared reads at most
    API_INSTANT, // the same, and does not use the database
    API_ASYNC,   // answers later, on the same loop
};

enum api_family {
    API_V1,
    API_HUB,     // methods of POST /api/conat/hub
    API_PROJECT, // methods of POST /api/conat/project
};
#define API_FAMILIES 3

// Where a method's parameters are in `args` (hub-rpc 1.1).
enum api_args {
    ARGS_OBJECT, // members of args[0]
    ARGS_OPTS,   // members of args[0].opts
    ARGS_LIST,   // args themselves, in the order of the table
};

struct api_endpoint {
    const char *name;
    const char *event; // of a method, in logs and figures: its family and name; else NULL
    enum api_family family;
    enum api_args args;
    enum api_access access; // of API v1
    enum api_run run;
    const char *text;
    const struct api_param *params;
    size_t params_count;
    size_t params_size;
    const char *result; // of a method: JSON schema of what it answers
    const char *reply_event;
    const struct api_member *members;
    size_t members_count;
    const struct api_example *examples;
    size_t examples_count;
    const char *notes; // behind the examples, NULL if none
    // Of API v1: with what the call is refused before anybody asks whose key it has, NULL: with
    // nothing. May be NULL.
    const char *(*refusal)(const void *params);
    void (*handler)(struct api_call *call, const void *params);
};

#define API_PARAMS(table, type)                                                                    \
    .params = (table), .params_count = ARRAY_LEN(table), .params_size = sizeof(type)
#define API_MEMBERS(table)  .members = (table), .members_count = ARRAY_LEN(table)
#define API_EXAMPLES(table) .examples = (table), .examples_count = ARRAY_LEN(table)

#define HUB_METHOD(method)     .name = (method), .event = "hub." method, .family = API_HUB
#define PROJECT_METHOD(method) .name = (method), .event = "project." method, .family = API_PROJECT

// All endpoints of API v1 (api/v1/registry.c) and all methods (api/rpc/registry.c), NULL behind the
// last.
extern const struct api_endpoint *const api_v1_endpoints[];
extern const struct api_endpoint *const api_hub_methods[];
extern const struct api_endpoint *const api_project_methods[];

// One call. Everything but `svc` and `session` belongs to the call and goes with it.
struct api_call {
    const struct api_endpoint *endpoint;
    struct http_request *request;
    struct svc *svc;
    struct db_session *session; // for the handler, until it returns; nothing that comes later
    struct loop *loop;
    struct arena *arena;
    struct caller caller;
    struct uuid project_id; // of a project's method: the project, which runs
    bool project_key;       // the caller is the project itself, and has no account
    const char *id_json;    // the call's id, as JSON
    const void *params;
    struct buf reply;
    atomic_size_t held; // by api_hold
};

// ---- Answering: exactly one of these, once a call ----

// Begins a successful reply with `event` and `id` and returns the buffer for further members;
// api_send sends it.
struct buf *api_reply(struct api_call *call);
void api_send(struct api_call *call);
// As api_send, or rpc_send of a method, after what `write` appends, about `size` bytes of text: a
// long one is written by a worker, callers taking turns, and counts as held until it is written.
// `dispose` gets `arg` afterwards.
typedef void api_write_fn(struct buf *out, void *arg);
void api_send_written(struct api_call *call, size_t size, api_write_fn *write,
                      void (*dispose)(void *arg), void *arg);
// The error event of the contract: status 200, {"event":"error","id":…,"error":text}.
void api_error(struct api_call *call, const char *fmt, ...) PRINTF_LIKE(2, 3);
void api_error_strn(struct api_call *call, const char *text, size_t size);
// As api_error with the public text of `err`, which is noted for the log.
void api_fail(struct api_call *call, const struct err *err);
// A reply whose member `error` is false, or the public text of `err`, which is noted for the log.
void api_send_outcome(struct api_call *call, int rc, const struct err *err);
extern const struct api_member api_outcome_members[1];
// Status 400 and {"error":text}.
void api_refuse(struct api_call *call, const char *fmt, ...) PRINTF_LIKE(2, 3);
// Begins a reply with an event of its own.
struct buf *api_reply_event(struct api_call *call, const char *event);

// ---- What a call costs others ----

// Who takes turns with other callers, NULL if it is nobody in particular; lives as long as the
// call.
const char *api_owner(const struct api_call *call);
// Counts bytes as held for the call until it is answered, beside its reply. ERR_NO_MEMORY: there
// is none for them, or the caller has too much. Any thread.
int api_hold(struct api_call *call, size_t size, struct err *err) MUST_USE;

// ---- For the HTTP server ----

struct api_config {
    struct svc *svc;
    unsigned lanes; // of each loop, where the database is remote
};

// What each I/O loop has for its calls. `config` is a struct api_config.
struct api_loop;
int api_loop_open(struct loop *loop, void *config, void **ret_data, struct err *err) MUST_USE;
// What a handler of another route finds by http_request_loop_data, taken apart.
struct svc *api_loop_svc(const struct api_loop *api_loop);
struct loop *api_loop_loop(const struct api_loop *api_loop);
// Runs what reads the database (api/lanes.h): at once where that is local, else in a lane.
void api_loop_run(struct api_loop *api_loop, struct lane_call *call);
// From now on nothing waits for a remote database.
void api_loop_shut(void *api_loop);
void api_loop_close(void *api_loop);
// POST below /api/v1/ (api-v1 section 1).
void api_v1_handle(struct http_request *request, void *ctx);
// /api/conat/hub and /api/conat/project (hub-rpc section 1).
void rpc_hub_handle(struct http_request *request, void *ctx);
void rpc_project_handle(struct http_request *request, void *ctx);
// The event names by their index in the HTTP figures, NULL behind the last; index 0 is everything
// else.
const char *api_event_name(unsigned index);

#endif
