// SPDX-License-Identifier: AGPL-3.0-or-later
// messages.send, messages.get (hub-rpc 2.7).
#include "svc/messages.h"
#include "api/params.h"
#include "api/rpc/methods.h"
#include "api/rpc_read.h"
#include "base/js_date.h"
#include "base/limits.h"

// Whole numbers that JSON carries exactly.
#define WHOLE_MAX INT64_C(9007199254740991)

// ---- send ----

struct send_params {
    struct api_strings to_ids;
    const char *subject, *body;
    struct api_number reply_id;
};

#define FIELD(field) .offset = offsetof(struct send_params, field)

static const struct api_param send_params[] = {
    {.name = "to_ids",
     .type = PARAM_STRINGS,
     .required = true,
     FIELD(to_ids),
     .text = "account ids or email addresses, at most 100. If one of them is an address, entries "
             "that belong to no account are left out, but for unknown ids"},
    {.name = "subject",
     .type = PARAM_STRING,
     .required = true,
     FIELD(subject),
     .text = "at most 1000 characters"},
    {.name = "body",
     .type = PARAM_STRING,
     .required = true,
     FIELD(body),
     .text = "Markdown, at most 100,000 characters"},
    {.name = "reply_id",
     .type = PARAM_NUMBER,
     FIELD(reply_id),
     .text = "the message that this one answers: both are in one thread. Ignored if there is none "
             "of this id"},
};
#undef FIELD

struct send {
    struct api_call *call;
    struct message_send send;
    struct db_write write;
};

static void on_sent(struct db_write *write)
{
    struct send *op = CONTAINER(write, struct send, write);
    if (write->rc) {
        rpc_fail_bare(op->call, &write->err);
    } else if (!op->send.id) {
        rpc_null(op->call);
    } else {
        json_int(rpc_result(op->call), op->send.id);
        rpc_send(op->call);
    }
}

static void handle_send(struct api_call *call, const void *params)
{
    const struct send_params *p = params;
    struct send *op = arena_zalloc(call->arena, sizeof *op);
    struct err err;
    int64_t reply_id = 0;
    if (p->reply_id.given && !params_whole(&p->reply_id, 0, WHOLE_MAX, &reply_id)) {
        rpc_refuse(call, "reply_id must be the id of a message");
        return;
    }
    op->call = call;
    op->send = (struct message_send){
        .from_id = call->caller.account_id,
        .to = p->to_ids.items,
        .to_count = p->to_ids.count,
        .subject = p->subject,
        .body = p->body,
        .reply_id = reply_id,
    };
    op->write = (struct db_write){
        .loop = call->loop, .fn = message_send_write, .arg = &op->send, .done = on_sent};
    if (message_send_check(&op->send, &err))
        rpc_fail_bare(call, &err);
    else
        db_write_async(call->svc->db, &op->write);
}

static const struct api_example send_examples[] = {
    {"To an account, and to whoever has an address:",
     CALL_HUB("{\"name\":\"messages.send\",\"args\":[{"
              "\"to_ids\":[\"" EXAMPLE_ACCOUNT "\",\"john00@example.com\"],"
              "\"subject\":\"Homework\",\"body\":\"It is **due** on Friday.\"}]}"),
     "7"},
};

const struct api_endpoint hub_messages_send = {
    HUB_METHOD("messages.send"),
    .run = API_ASYNC,
    .text = "Sends a message to other accounts of this server, and answers with its id; with "
            "`null`, and nothing is sent, if nobody is left to get it. At most 3 in a second, 15 "
            "in a minute and 200 in an hour.",
    API_PARAMS(send_params, struct send_params),
    .result = "{\"type\":[\"integer\",\"null\"]}",
    API_EXAMPLES(send_examples),
    .handler = handle_send,
};

// ---- get ----

struct get_params {
    struct api_number limit, offset;
    const char *type, *cutoff;
};

#define FIELD(field) .offset = offsetof(struct get_params, field)

static const struct api_param get_params[] = {
    {.name = "limit",
     .type = PARAM_NUMBER,
     FIELD(limit),
     .text = "how many messages at most, up to 500",
     .default_text = "100"},
    {.name = "offset",
     .type = PARAM_NUMBER,
     FIELD(offset),
     .text = "how many to leave out at the beginning",
     .default_text = "0"},
    {.name = "type",
     .type = PARAM_STRING,
     FIELD(type),
     .text = "`received`; `sent`, drafts included; `new`: received, and neither read, saved nor "
             "deleted; `starred` or `liked`: received, marked so, and not deleted. None of them "
             "has what the caller expunged",
     .default_text = "\"received\""},
    {.name = "cutoff",
     .type = PARAM_STRING,
     FIELD(cutoff),
     .text = "only messages that were sent later than this time (ISO 8601)"},
};
#undef FIELD

static int get_now(struct db_session *session, void *arg, struct buf *out, struct err *err)
{
    return message_list(session, arg, out, err);
}

static bool read_number(struct api_call *call, const struct api_number *number, const char *name,
                        int64_t otherwise, int64_t *ret_value)
{
    *ret_value = otherwise;
    if (!number->given || params_whole(number, 0, WHOLE_MAX, ret_value))
        return true;
    rpc_refuse(call, "%s must be a whole number, and not negative", name);
    return false;
}

// No draft is later than any time.
static bool read_cutoff(const char *cutoff, int64_t *ret_time_ms)
{
    if (!js_date_parse(cutoff, ret_time_ms))
        return false;
    if (*ret_time_ms < 0)
        *ret_time_ms = 0;
    return true;
}

static void handle_get(struct api_call *call, const void *params)
{
    const struct get_params *p = params;
    struct message_list *list = arena_zalloc(call->arena, sizeof *list);
    list->account_id = call->caller.account_id;
    list->later_than_ms = MESSAGE_ANY_TIME;
    if (!read_number(call, &p->limit, "limit", LIMIT_MESSAGES_LISTED_DEFAULT, &list->limit) ||
        !read_number(call, &p->offset, "offset", 0, &list->offset))
        return;
    if (list->limit > LIMIT_MESSAGES_LISTED)
        rpc_refuse(call, "limit must be at most %d", LIMIT_MESSAGES_LISTED);
    else if (!message_box_find(p->type ? p->type : "received", &list->box))
        rpc_refuse(call, "type must be received, sent, new, starred or liked");
    else if (p->cutoff && !read_cutoff(p->cutoff, &list->later_than_ms))
        rpc_refuse(call, "cutoff must be a time");
    else
        rpc_read(call, get_now, list);
}

static const struct api_example get_examples[] = {
    {"What was not looked at yet, the newest first:",
     CALL_HUB("{\"name\":\"messages.get\",\"args\":[{\"type\":\"new\",\"limit\":10}]}"),
     "[{\"id\":7,\"subject\":\"Homework\",\"body\":\"It is **due** on Friday.\","
     "\"from_id\":\"" EXAMPLE_ACCOUNT "\","
     "\"to_ids\":[\"" EXAMPLE_CALLER "\"],"
     "\"sent\":\"2025-08-29T15:49:00.133Z\",\"thread_id\":null}]"},
};

const struct api_endpoint hub_messages_get = {
    HUB_METHOD("messages.get"),
    .run = API_ASYNC,
    .text = "Lists the caller's messages: the newest sent first, drafts last, and of those of one "
            "time the one with the highest id first. `read`, `saved` and `deleted` are the "
            "caller's own marks, and come with the types `received` and `sent`.",
    API_PARAMS(get_params, struct get_params),
    .result = "{\"type\":\"array\",\"items\":{\"type\":\"object\",\"properties\":{"
              "\"id\":{\"type\":\"integer\"},\"subject\":{\"type\":\"string\"},"
              "\"body\":{\"type\":\"string\"},"
              "\"from_id\":{\"type\":\"string\",\"format\":\"uuid\"},"
              "\"to_ids\":{\"type\":\"array\",\"items\":{\"type\":\"string\",\"format\":\"uuid\"}},"
              "\"sent\":{\"type\":[\"string\",\"null\"],\"format\":\"date-time\"},"
              "\"thread_id\":{\"type\":[\"integer\",\"null\"]},\"read\":{\"type\":\"boolean\"},"
              "\"saved\":{\"type\":\"boolean\"},\"deleted\":{\"type\":\"boolean\"}},"
              "\"required\":[\"id\",\"subject\",\"body\",\"from_id\",\"to_ids\",\"sent\","
              "\"thread_id\"]}}",
    API_EXAMPLES(get_examples),
    .handler = handle_get,
};
