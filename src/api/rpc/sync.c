// SPDX-License-Identifier: AGPL-3.0-or-later
// sync.history (hub-rpc 2.5).
#include "api/rpc/methods.h"
#include "api/rpc_read.h"
#include "svc/history.h"

struct history_params {
    const char *project_id, *path;
    struct api_number start_seq, end_seq;
};

#define FIELD(field) .offset = offsetof(struct history_params, field)

static const struct api_param history_params[] = {
    {.name = "project_id",
     .type = PARAM_STRING,
     .required = true,
     .is_uuid = true,
     FIELD(project_id),
     .text = "project that the file is in"},
    {.name = "path",
     .type = PARAM_STRING,
     .required = true,
     FIELD(path),
     .text = "the file, relative to the home"},
    {.name = "start_seq",
     .type = PARAM_NUMBER,
     FIELD(start_seq),
     .text = "number of the first patch to answer with",
     .default_text = "0"},
    {.name = "end_seq",
     .type = PARAM_NUMBER,
     FIELD(end_seq),
     .text = "number of the last one; without it, all that follow"},
};
#undef FIELD

static const struct api_example history_examples[] = {
    {"The history of a file that nobody has edited together with others:",
     CALL_HUB("{\"name\":\"sync.history\",\"args\":[{\"project_id\":\"" EXAMPLE_PROJECT
              "\",\"path\":\"notes.md\"}]}"),
     "{\"patches\":[],\"info\":{}}"},
};

static int read_history(struct db_session *session, void *arg, struct buf *out, struct err *err)
{
    return history_write(session, arg, out, err);
}

// A number beyond what can be counted to stands for the farthest.
static int64_t sequence(const struct api_number *number, int64_t otherwise)
{
    if (!number->given)
        return otherwise;
    if (number->value < 0)
        return -1;
    return number->value < 9e15 ? (int64_t)number->value : INT64_MAX;
}

static void handle_history(struct api_call *call, const void *params)
{
    const struct history_params *p = params;
    struct history *history = arena_zalloc(call->arena, sizeof *history);
    if (!rpc_collaborator(call, p->project_id, "user must be collaborator on source project",
                          &history->project_id))
        return;
    history->path = p->path;
    history->start_seq = sequence(&p->start_seq, 0);
    history->end_seq = sequence(&p->end_seq, INT64_MAX);
    rpc_read(call, read_history, history);
}

const struct api_endpoint hub_sync_history = {
    HUB_METHOD("sync.history"),
    .run = API_ASYNC,
    .text =
        "The history of a file that people edit together: its patches in their order, and what "
        "is known of the file. Of a file that nobody has edited so, both are empty. A patch has "
        "a number (`seq`), the time when it came, and under `mesg` its logical time, the "
        "change itself (`patch`, a text), the logical times of those that it follows "
        "(`parents`), and who made it (`user_id`, a place in `info.users`). A history that is "
        "too large for one answer is refused with an `end_seq` that would do.",
    API_PARAMS(history_params, struct history_params),
    .result = "{\"type\":\"object\",\"required\":[\"patches\",\"info\"],\"properties\":{"
              "\"patches\":{\"type\":\"array\",\"items\":{\"type\":\"object\","
              "\"required\":[\"seq\",\"time\",\"mesg\"],\"properties\":{"
              "\"seq\":{\"type\":\"integer\"},\"time\":{\"type\":\"integer\"},"
              "\"mesg\":{\"type\":\"object\"},\"headers\":{},\"key\":{\"type\":\"string\"}}}},"
              "\"info\":{\"type\":\"object\"}}}",
    API_EXAMPLES(history_examples),
    .handler = handle_history,
};
