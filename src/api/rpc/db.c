// SPDX-License-Identifier: AGPL-3.0-or-later
// db.* (hub-rpc 2.6, section 3). What concerns uses of files is asked and written as the queries of
// the tables that hold them.
#include <string.h>

#include "api/rpc/methods.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/text.h"
#include "svc/accounts.h"
#include "svc/blobs.h"
#include "svc/project.h"
#include "svc/user_query.h"

// ---- userQuery ----

struct query_params {
    const cJSON *query, *options;
};

#define FIELD(field) .offset = offsetof(struct query_params, field)

static const struct api_param query_params[] = {
    {.name = "query",
     .type = PARAM_ANY,
     .required = true,
     FIELD(query),
     .text = "`{\"table\": {\"field\": value, …}}`, or a list of such objects"},
    {.name = "options",
     .type = PARAM_ANY,
     FIELD(options),
     .text = "list of objects with one member each: `limit`, `order_by`, `set`, `delete`, "
             "`account_id`",
     .default_text = "[]"},
};
#undef FIELD

#define QUERY(text) CALL_HUB("{\"name\":\"db.userQuery\",\"args\":[{\"query\":" text "}]}")

static const struct api_example query_examples[] = {
    {"The caller's projects of the last six weeks, the last edited first:",
     QUERY("{\"projects\":[{\"project_id\":null,\"title\":null,\"state\":null,\"users\":null}]}"),
     "{\"projects\":[{\"project_id\":\"" EXAMPLE_PROJECT "\",\"title\":\"A test's\","
     "\"state\":{\"state\":\"opened\"},\"users\":{"
     "\"" EXAMPLE_CALLER "\":{\"group\":\"owner\"}}}]}"},
    {"The caller's own name:", QUERY("{\"accounts\":{\"first_name\":null,\"last_name\":null}}"),
     "{\"accounts\":{\"first_name\":\"Ada\",\"last_name\":\"Lovelace\"}}"},
    {"A new title for a project:",
     QUERY("{\"projects\":{\"project_id\":\"" EXAMPLE_PROJECT "\",\"title\":\"Numbers\"}}"), "{}"},
    {"Two queries, one after the other, the second of them for one row at most:",
     CALL_HUB("{\"name\":\"db.userQuery\",\"args\":[{\"query\":[{\"accounts\":{\"font_size\":16}},"
              "{\"projects_all\":[{\"title\":null}]}],\"options\":[{\"limit\":1}]}]}"),
     "[{},{\"projects_all\":[{\"title\":\"A test's\"}]}]"},
};

struct query_call {
    struct api_call *call;
    struct user_query query;
    cJSON *made; // of methods that ask by a query of their own: it and its options
    void (*answer)(struct query_call *op, const cJSON *row);
};

static int hold(struct user_query *query, size_t size, struct err *err)
{
    return api_hold(CONTAINER(query, struct query_call, query)->call, size, err);
}

static struct query_call *query_call_new(struct api_call *call)
{
    struct query_call *op = arena_zalloc(call->arena, sizeof *op);
    op->call = call;
    op->query = (struct user_query){
        .caller = {.account_id = call->caller.account_id, .admin = call->caller.admin},
        .dialect = QUERY_CURRENT,
        .arena = call->arena,
        .loop = call->loop,
        .hold = hold,
    };
    return op;
}

// ---- The call ----

static void on_queried(struct user_query *query)
{
    struct query_call *op = CONTAINER(query, struct query_call, query);
    if (query->rc) {
        rpc_fail_bare(op->call, &query->err);
        return;
    }
    *rpc_result(op->call) = query->result;
    rpc_send(op->call);
}

static void handle_query(struct api_call *call, const void *params)
{
    const struct query_params *p = params;
    struct query_call *op = query_call_new(call);
    op->query.query = p->query;
    op->query.options = p->options;
    op->query.waits = true;
    op->query.done = on_queried;
    user_query(call->svc, call->session, &op->query);
}

const struct api_endpoint hub_db_user_query = {
    HUB_METHOD("db.userQuery"),
    .run = API_ASYNC,
    .text =
        "Reads or writes rows of a table. The query is an object with one member: the name of a "
        "table, and in it the fields. If any value in it is null, however deep, it is a get: it "
        "answers with the fields that it names, where those that are not null choose the rows; "
        "one row, or `{}` if there is none, or with the fields in a list, `[{…}]`, all rows. "
        "Otherwise it is a set: it changes the row whose primary key it gives, or makes one, and "
        "answers `{}`. A list of queries answers with the list of their results; the first error "
        "ends it.\n\n"
        "In the rows of a list, fields without a value are left out. Errors are texts without "
        "`Error: ` before them.",
    API_PARAMS(query_params, struct query_params),
    .result = "{\"type\":[\"object\",\"array\"]}",
    API_EXAMPLES(query_examples),
    .notes = "Which tables there are, comparisons, options and how maps are merged stand in the "
             "reference of API v1, at `query`. Here `projects` has the projects of the last six "
             "weeks, and some defaults are newer ones.",
    .handler = handle_query,
};

// ---- Queries that methods make ----

// The caller has not set a field of a query: "FATAL: error setting 'path' -- Error: must have …" is
// told as "path must have …".
static void fail_made(struct api_call *call, const struct err *err)
{
    static const char before[] = "FATAL: error setting '", behind[] = "' -- Error: ";
    const char *field =
        text_has_prefix(err->message, before) ? err->message + strlen(before) : NULL;
    const char *end = field ? strstr(field, behind) : NULL;
    struct err plain = *err;
    if (end)
        (void)err_set(&plain, err->code, "%.*s %s", (int)(end - field), field,
                      end + strlen(behind));
    if (text_has_prefix(plain.message, "Error: "))
        rpc_fail_bare(call, &plain);
    else
        rpc_fail(call, &plain);
}

static void on_made_answered(struct user_query *query)
{
    struct query_call *op = CONTAINER(query, struct query_call, query);
    auto_json cJSON *result = NULL;
    struct err err = query->err;
    int rc = query->rc;
    if (!rc)
        rc = json_parse(query->result.data, query->result.size, LIMIT_JSON_DEPTH, &result, &err);
    buf_dispose(&query->result);
    cJSON_Delete(op->made);
    if (!rc)
        op->answer(op, result->child);
    else
        fail_made(op->call, &err);
}

// Runs [QUERY, OPTIONS], which is what `text` has.
static void run_made(struct query_call *op, const struct buf *text)
{
    struct api_call *call = op->call;
    struct err err;
    if (json_parse(text->data, text->size, LIMIT_JSON_DEPTH, &op->made, &err)) {
        rpc_fail(call, &err);
        return;
    }
    op->query.query = op->made->child;
    op->query.options = op->made->child->next;
    op->query.done = on_made_answered;
    user_query(call->svc, call->session, &op->query);
}

// ---- touch ----

struct touch_params {
    const char *project_id, *path, *action;
};

#define FIELD(field) .offset = offsetof(struct touch_params, field)

static const struct api_param touch_params[] = {
    {.name = "project_id",
     .type = PARAM_STRING,
     .is_uuid = true,
     FIELD(project_id),
     .text = "project that is in use; without one, only the account is"},
    {.name = "path", .type = PARAM_STRING, FIELD(path), .text = "file of it that is in use"},
    {.name = "action",
     .type = PARAM_STRING,
     FIELD(action),
     .text = "what is done with the file: `open`, `edit`, `read`, `seen`, `chat` or `chatseen`",
     .default_text = "\"edit\""},
};
#undef FIELD

static const struct api_example touch_examples[] = {
    {"The caller edits a file:",
     CALL_HUB("{\"name\":\"db.touch\",\"args\":[{\"project_id\":\"" EXAMPLE_PROJECT
              "\",\"path\":\"notes.md\"}]}"),
     "null"},
};

static void answer_null(struct query_call *op, const cJSON *row UNUSED)
{
    rpc_null(op->call);
}

static void write_use(struct buf *out, const struct uuid *account_id, const char *project_id,
                      const char *path, const char *action)
{
    const int64_t now_ms = clock_now_ms();
    json_begin_array(out);
    json_begin_object(out);
    json_key(out, "file_use");
    json_begin_object(out);
    json_member_str(out, "project_id", project_id);
    json_member_str(out, "path", path);
    json_key(out, "users");
    json_begin_object(out);
    json_key(out, account_id->text);
    json_begin_object(out);
    json_member_int(out, action, now_ms);
    json_end_object(out);
    json_end_object(out);
    if (!strcmp(action, "edit") || !strcmp(action, "chat"))
        json_member_int(out, "last_edited", now_ms);
    json_end_object(out);
    json_end_object(out);
    json_raw(out, "[]", 2);
    json_end_array(out);
}

static void handle_touch(struct api_call *call, const void *params)
{
    static const char *const actions[] = {"open", "edit", "read", "seen", "chat", "chatseen", NULL};
    const struct touch_params *p = params;
    const char *action = p->action ? p->action : "edit";
    struct uuid project_id;
    if (!text_is_one_of(action, actions)) {
        rpc_refuse(call, "there is no action '%.100s'", action);
        return;
    }
    if (!p->project_id) {
        account_mark_active(call->svc, &call->caller.account_id);
        rpc_null(call);
        return;
    }
    if (!rpc_collaborator(call, p->project_id, "user must be collaborator on project", &project_id))
        return;
    project_mark_used(call->svc, &call->caller.account_id, &project_id);
    if (!p->path) {
        rpc_null(call);
        return;
    }
    auto_buf struct buf text = {0};
    struct query_call *op = query_call_new(call);
    op->answer = answer_null;
    write_use(&text, &call->caller.account_id, project_id.text, p->path, action);
    run_made(op, &text);
}

const struct api_endpoint hub_db_touch = {
    HUB_METHOD("db.touch"),
    .run = API_ASYNC,
    .text = "Says that the caller is at work: marks the account, the project and the file as used "
            "now. Other than `projects.touch`, it does not start the project.",
    API_PARAMS(touch_params, struct touch_params),
    .result = NULL_SCHEMA,
    API_EXAMPLES(touch_examples),
    .handler = handle_touch,
};

// ---- fileUseTimes ----

struct times_params {
    const char *project_id, *path, *target_account_id;
    struct api_number limit;
    bool access_times, edit_times;
};

#define FIELD(field) .offset = offsetof(struct times_params, field)

static const struct api_param times_params[] = {
    {.name = "project_id",
     .type = PARAM_STRING,
     .required = true,
     .is_uuid = true,
     FIELD(project_id),
     .text = "project that the file is in"},
    {.name = "path", .type = PARAM_STRING, .required = true, FIELD(path), .text = "the file"},
    {.name = "target_account_id",
     .type = PARAM_STRING,
     .is_uuid = true,
     FIELD(target_account_id),
     .text = "whose uses; the caller's if left out"},
    {.name = "limit",
     .type = PARAM_NUMBER,
     FIELD(limit),
     .text = "how many of each kind at most",
     .default_text = "1000"},
    {.name = "access_times",
     .type = PARAM_BOOL,
     FIELD(access_times),
     .text = "whether to tell when the account worked with the file",
     .default_text = "true"},
    {.name = "edit_times",
     .type = PARAM_BOOL,
     FIELD(edit_times),
     .text = "whether to tell when it edited the file",
     .default_text = "false"},
};
#undef FIELD

static const struct api_example times_examples[] = {
    {"When did the caller work with a file?",
     CALL_HUB("{\"name\":\"db.fileUseTimes\",\"args\":[{\"project_id\":\"" EXAMPLE_PROJECT
              "\",\"path\":\"unknown.md\",\"edit_times\":true}]}"),
     "{\"target_account_id\":\"" EXAMPLE_CALLER "\",\"access_times\":[],"
     "\"edit_times\":[]}"},
};

static void write_times_query(struct buf *out, const struct times_params *p, const char *account_id)
{
    json_begin_array(out);
    json_begin_object(out);
    json_key(out, "file_use_times");
    json_begin_object(out);
    json_member_str(out, "project_id", p->project_id);
    json_member_str(out, "path", p->path);
    json_member_str(out, "account_id", account_id);
    for (int i = 0; i < 2; i++) {
        if (i ? p->edit_times : p->access_times) {
            json_key(out, i ? "edit_times" : "access_times");
            json_null(out);
        }
    }
    json_end_object(out);
    json_end_object(out);
    json_raw(out, "[{\"set\":false}", strlen("[{\"set\":false}"));
    if (p->limit.given) {
        json_begin_object(out);
        json_key(out, "limit");
        json_double(out, p->limit.value);
        json_end_object(out);
    }
    json_end_array(out);
    json_end_array(out);
}

static void answer_times(struct query_call *op, const cJSON *row)
{
    static const char *const names[] = {"access_times", "edit_times"};
    struct buf *out = rpc_result(op->call);
    json_begin_object(out);
    json_member_str(out, "target_account_id", json_get_str(row, "account_id"));
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const cJSON *times = json_get(row, names[i]);
        if (times) {
            json_key(out, names[i]);
            json_value(out, times);
        }
    }
    json_end_object(out);
    rpc_send(op->call);
}

static void handle_times(struct api_call *call, const void *params)
{
    const struct times_params *p = params;
    auto_buf struct buf text = {0};
    struct query_call *op = query_call_new(call);
    op->answer = answer_times;
    write_times_query(&text, p,
                      p->target_account_id ? p->target_account_id : call->caller.account_id.text);
    run_made(op, &text);
}

const struct api_endpoint hub_db_file_use_times = {
    HUB_METHOD("db.fileUseTimes"),
    .run = API_ASYNC,
    .text = "When an account worked with a file, and when it edited it: milliseconds since 1970, "
            "to the minute, the newest first.",
    API_PARAMS(times_params, struct times_params),
    .result = "{\"type\":\"object\",\"required\":[\"target_account_id\"],\"properties\":{"
              "\"target_account_id\":{\"type\":\"string\",\"format\":\"uuid\"},"
              "\"access_times\":{\"type\":\"array\",\"items\":{\"type\":\"integer\"}},"
              "\"edit_times\":{\"type\":\"array\",\"items\":{\"type\":\"integer\"}}}}",
    API_EXAMPLES(times_examples),
    .handler = handle_times,
};

// ---- getLegacyTimeTravelInfo ----

struct legacy_params {
    const char *project_id, *path;
};

static const struct api_param legacy_params[] = {
    {.name = "project_id",
     .type = PARAM_STRING,
     .required = true,
     .is_uuid = true,
     .offset = offsetof(struct legacy_params, project_id),
     .text = "project that the file is in"},
    {.name = "path",
     .type = PARAM_STRING,
     .required = true,
     .offset = offsetof(struct legacy_params, path),
     .text = "the file"},
};

static const struct api_example legacy_examples[] = {
    {"",
     CALL_HUB(
         "{\"name\":\"db.getLegacyTimeTravelInfo\",\"args\":[{\"project_id\":\"" EXAMPLE_PROJECT
         "\",\"path\":\"notes.md\"}]}"),
     "{\"uuid\":\"\"}"},
};

static void handle_legacy(struct api_call *call, const void *params)
{
    const struct legacy_params *p = params;
    struct uuid project_id;
    if (!rpc_collaborator(call, p->project_id, "user must be collaborator on project", &project_id))
        return;
    struct buf *out = rpc_result(call);
    json_begin_object(out);
    json_member_str(out, "uuid", "");
    json_end_object(out);
    rpc_send(call);
}

const struct api_endpoint hub_db_get_legacy_time_travel_info = {
    HUB_METHOD("db.getLegacyTimeTravelInfo"),
    .run = API_INLINE,
    .text = "Where the old archive of a file's history is. This server never had one, which is "
            "what an empty `uuid` says; the history is `sync.history`.",
    API_PARAMS(legacy_params, struct legacy_params),
    .result = "{\"type\":\"object\",\"required\":[\"uuid\"],\"properties\":{\"uuid\":{\"const\":"
              "\"\"}}}",
    API_EXAMPLES(legacy_examples),
    .handler = handle_legacy,
};

// ---- removeBlobTtls ----

struct blobs_params {
    struct api_strings uuids;
};

static const struct api_param blobs_params[] = {
    {.name = "uuids",
     .type = PARAM_STRINGS,
     .required = true,
     .is_uuid = true,
     .offset = offsetof(struct blobs_params, uuids),
     .text = "ids of blobs, 1000 at most"},
};

static const struct api_example blobs_examples[] = {
    {"",
     CALL_HUB("{\"name\":\"db.removeBlobTtls\",\"args\":[{\"uuids\":[\"356a192b-7913-404c-9457-"
              "4d18c28d46e6\"]}]}"),
     "null"},
};

struct blobs {
    struct uuid *ids;
    size_t count;
};

static int keep_blobs(struct db_session *txn, void *arg, struct err *err)
{
    const struct blobs *blobs = arg;
    return blobs_keep(txn, blobs->ids, blobs->count, err);
}

static void handle_blobs(struct api_call *call, const void *params)
{
    const struct api_strings *uuids = &((const struct blobs_params *)params)->uuids;
    struct blobs *blobs = arena_zalloc(call->arena, sizeof *blobs);
    if (uuids->count > LIMIT_BLOBS_KEPT) {
        rpc_refuse(call, "there can be at most %d uuids", LIMIT_BLOBS_KEPT);
        return;
    }
    blobs->ids = arena_alloc(call->arena, (uuids->count + 1) * sizeof *blobs->ids);
    for (; blobs->count < uuids->count; blobs->count++) {
        if (!rpc_uuid(call, uuids->items[blobs->count], &blobs->ids[blobs->count]))
            return;
    }
    rpc_write(call, keep_blobs, blobs, NULL);
}

const struct api_endpoint hub_db_remove_blob_ttls = {
    HUB_METHOD("db.removeBlobTtls"),
    .run = API_ASYNC,
    .text = "Keeps blobs for good that were stored for some time only. Ids that no blob has are "
            "skipped.",
    API_PARAMS(blobs_params, struct blobs_params),
    .result = NULL_SCHEMA,
    API_EXAMPLES(blobs_examples),
    .handler = handle_blobs,
};
