// SPDX-License-Identifier: AGPL-3.0-or-later
// ping and test, of the hub and of projects (hub-rpc 2.1, 5, 6.1, 6.2).
#include "api/rpc/methods.h"
#include "base/clock.h"

static const char now_schema[] =
    "{\"type\":\"object\",\"properties\":{\"now\":{\"type\":\"integer\"}},\"required\":[\"now\"]}";

static void handle_ping(struct api_call *call, const void *params UNUSED)
{
    struct buf *out = rpc_result(call);
    json_begin_object(out);
    json_member_int(out, "now", clock_now_ms());
    json_end_object(out);
    rpc_send(call);
}

static const struct api_example hub_ping_examples[] = {
    {"Is the server there?", CALL_HUB("{\"name\":\"system.ping\",\"args\":[{}]}"),
     "{\"now\":1756489740133}"},
};

const struct api_endpoint hub_system_ping = {
    HUB_METHOD("system.ping"),
    .run = API_INSTANT,
    .text = "Answers with the server's time, in milliseconds since 1970.",
    .result = now_schema,
    API_EXAMPLES(hub_ping_examples),
    .handler = handle_ping,
};

static const struct api_example project_ping_examples[] = {
    {"Does the project run? If not, it is started:",
     CALL_PROJECT("{\"name\":\"system.ping\",\"args\":[{}],\"project_id\":\"" EXAMPLE_PROJECT
                  "\"}"),
     "{\"now\":1756489740133}"},
};

const struct api_endpoint project_system_ping = {
    PROJECT_METHOD("system.ping"),
    .run = API_INSTANT,
    .text = "Answers with the time in the project, in milliseconds since 1970. As every method of "
            "a project, it starts the project if it does not run.",
    .result = now_schema,
    API_EXAMPLES(project_ping_examples),
    .handler = handle_ping,
};

// ---- ping without a group ----

static void handle_pong(struct api_call *call, const void *params UNUSED)
{
    json_str(rpc_result(call), "pong");
    rpc_send(call);
}

static const struct api_example pong_examples[] = {
    {"", CALL_PROJECT("{\"name\":\"ping\",\"project_id\":\"" EXAMPLE_PROJECT "\"}"), "\"pong\""},
};

const struct api_endpoint project_ping = {
    PROJECT_METHOD("ping"),
    .run = API_INSTANT,
    .text = "Answers `pong` once the project runs.",
    .result = "{\"const\":\"pong\"}",
    API_EXAMPLES(pong_examples),
    .handler = handle_pong,
};

// ---- test: what the caller's key is for ----

static void send_test(struct api_call *call, const char *member, const struct uuid *id)
{
    struct buf *out = rpc_result(call);
    json_begin_object(out);
    json_member_str(out, member, id->text);
    json_member_int(out, "server_time", clock_now_ms());
    json_end_object(out);
    rpc_send(call);
}

static void handle_hub_test(struct api_call *call, const void *params UNUSED)
{
    send_test(call, "account_id", &call->caller.account_id);
}

static const struct api_example hub_test_examples[] = {
    {"Whose key is it?", CALL_HUB("{\"name\":\"system.test\",\"args\":[{}]}"),
     "{\"account_id\":\"" EXAMPLE_CALLER "\",\"server_time\":1756489740133}"},
};

const struct api_endpoint hub_system_test = {
    HUB_METHOD("system.test"),
    .run = API_INSTANT,
    .text = "Answers with the account that the key belongs to. With a key of a project it fails, "
            "as every method of the hub does: this is how a client tells them apart.",
    .result = "{\"type\":\"object\",\"properties\":{\"account_id\":{\"type\":\"string\",\"format\":"
              "\"uuid\"},\"server_time\":{\"type\":\"integer\"}},\"required\":[\"account_id\","
              "\"server_time\"]}",
    API_EXAMPLES(hub_test_examples),
    .handler = handle_hub_test,
};

static void handle_project_test(struct api_call *call, const void *params UNUSED)
{
    send_test(call, "project_id", &call->project_id);
}

static const struct api_example project_test_examples[] = {
    {"Which project is it? With a key of the project, that need not be said:",
     CALL_PROJECT("{\"name\":\"system.test\",\"args\":[{}],\"project_id\":\"" EXAMPLE_PROJECT
                  "\"}"),
     "{\"project_id\":\"" EXAMPLE_PROJECT "\",\"server_time\":1756489740133}"},
};

const struct api_endpoint project_system_test = {
    PROJECT_METHOD("system.test"),
    .run = API_INSTANT,
    .text = "Answers with the project that the call is for. With a key of a project this is how a "
            "client learns which one.",
    .result = "{\"type\":\"object\",\"properties\":{\"project_id\":{\"type\":\"string\",\"format\":"
              "\"uuid\"},\"server_time\":{\"type\":\"integer\"}},\"required\":[\"project_id\","
              "\"server_time\"]}",
    API_EXAMPLES(project_test_examples),
    .handler = handle_project_test,
};
