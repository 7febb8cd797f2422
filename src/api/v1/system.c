// SPDX-License-Identifier: AGPL-3.0-or-later
// ping and log_client_error (api-v1 3.23, 3.27).
#include <string.h>

#include "api/v1/endpoints.h"
#include "base/clock.h"
#include "http/http.h"
#include "svc/central_log.h"

// ---- ping ----

static const struct api_member ping_members[] = {
    {.name = "now", .schema = "{\"type\":\"string\",\"format\":\"date-time\"}"},
};

static const struct api_example ping_examples[] = {
    {"With a key; the server makes up the `id`:", " curl -X POST -u " EXAMPLE_KEY ":" URL("ping"),
     "{\"event\":\"pong\",\"id\":\"c74afb40-d89b-430f-836a-1d889484c794\",\"now\":\"2017-05-24T13:"
     "29:11.742Z\"}"},
    {"With a blank key:", " curl -X POST -u :" URL("ping"),
     "{\"event\":\"pong\",\"id\":\"d90f529b-e026-4a60-8131-6ce8b6d4adc8\",\"now\":\"2017-11-05T21:"
     "10:46.585Z\"}"},
    {"With an `id` of the caller's as a form field:",
     " curl -u " EXAMPLE_KEY ":" URL("ping") " -d id=553f2815-1508-416d-8e69-2dde5af3aed8",
     "{\"event\":\"pong\",\"id\":\"553f2815-1508-416d-8e69-2dde5af3aed8\",\"now\":\"2017-05-24T13:"
     "47:21.312Z\"}"},
    {"The same in JSON:",
     CURL_JSON " -d '{\"id\":\"8ec4ac73-2595-42d2-ad47-0b9641043b46\"}'" URL("ping"),
     "{\"event\":\"pong\",\"id\":\"8ec4ac73-2595-42d2-ad47-0b9641043b46\",\"now\":\"2017-05-24T17:"
     "15:59.288Z\"}"},
};

static void handle_ping(struct api_call *call, const void *params UNUSED)
{
    json_member_time(api_reply(call), "now", clock_now_ms());
    api_send(call);
}

const struct api_endpoint v1_ping = {
    .name = "ping",
    .access = API_ANYONE,
    .run = API_INSTANT,
    .text = "Tells whether the server can be reached and what time it has. The key may be blank.",
    .params_size = 1,
    .reply_event = "pong",
    API_MEMBERS(ping_members),
    API_EXAMPLES(ping_examples),
    .handler = handle_ping,
};

// ---- log_client_error ----

struct log_client_error_params {
    const char *error;
};

static const struct api_param log_client_error_params[] = {
    {.name = "error",
     .type = PARAM_STRING,
     .required = true,
     .offset = offsetof(struct log_client_error_params, error),
     .text = "what went wrong, in any form"},
};

static const struct api_example log_client_error_examples[] = {
    {"With an `id` to refer to later:",
     CURL " -d id=34a424dc-1731-4b31-ba3d-fc8a484980d9 \\\n -d \"error=cannot load library xyz\" "
          "\\\n" URL("log_client_error"),
     "{\"event\":\"success\",\"id\":\"34a424dc-1731-4b31-ba3d-fc8a484980d9\"}"},
};

struct log_client_error {
    struct api_call *call;
    struct client_error error;
    struct db_write write;
};

static int write_client_error(struct db_session *txn, void *arg, struct err *err)
{
    const struct log_client_error *op = arg;
    return client_error_log(txn, &op->error, err);
}

static void on_client_error_written(struct db_write *write)
{
    struct log_client_error *op = write->arg;
    if (write->rc) {
        api_fail(op->call, &write->err);
        return;
    }
    api_reply(op->call);
    api_send(op->call);
}

static void handle_log_client_error(struct api_call *call, const void *params)
{
    const struct log_client_error_params *p = params;
    struct log_client_error *op = arena_zalloc(call->arena, sizeof *op);
    op->call = call;
    op->error.account_id = call->caller.account_id;
    op->error.error = p->error;
    size_t size = strlen(call->id_json);
    if (size > 2)
        uuid_parse(call->id_json + 1, size - 2, &op->error.id);
    op->write = (struct db_write){
        .loop = call->loop, .fn = write_client_error, .arg = op, .done = on_client_error_written};
    db_write_async(call->svc->db, &op->write);
}

const struct api_endpoint v1_log_client_error = {
    .name = "log_client_error",
    .access = API_ACCOUNT,
    .run = API_ASYNC,
    .text = "Records an error that a client met, for the people who run this server. It is kept "
            "for 30 days and cannot be"
            " read through the API. Of a text beyond 32 KiB the beginning is kept; an account can"
            " report 60 an hour.",
    API_PARAMS(log_client_error_params, struct log_client_error_params),
    .reply_event = "success",
    API_EXAMPLES(log_client_error_examples),
    .handler = handle_log_client_error,
};
