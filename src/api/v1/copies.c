// SPDX-License-Identifier: AGPL-3.0-or-later
// copy_path_between_projects, copy_path_status, copy_path_delete, copy_public_path_between_projects
// (api-v1 3.20 to 3.22, 3.26, 5).
#include <math.h>
#include <string.h>

#include "api/params.h"
#include "api/v1/endpoints.h"
#include "base/limits.h"
#include "http/http.h"
#include "svc/accounts.h"
#include "svc/copies.h"
#include "svc/project.h"
#include "svc/public_paths.h"

// The reply when the copy is not waited for.
#define NOTED_EVENT "copy_path_between_projects_response"
#define NOTE                                                                                       \
    "Query copy_path_status with the copy_path_id to learn if the copy operation was successful."
#define LIST_MAX     1000 // this and the next: api-v1 5.5
#define OFFSET_MAX   100000
#define EXAMPLE_COPY "9b3b9f0c-5d3e-4a6a-8a3e-5a5f0e4b8c11"

// ---- What both kinds of copying have in common ----

struct copy_options {
    bool overwrite_newer, delete_missing, backup, exclude_history;
    struct api_number timeout;
};

#define OPTION_PARAMS(params)                                                                      \
    {.name = "overwrite_newer",                                                                    \
     .type = PARAM_BOOL,                                                                           \
     .offset = offsetof(params, options.overwrite_newer),                                          \
     .text = "replace files that are newer in the target (destructive)",                           \
     .default_text = "false"},                                                                     \
        {.name = "delete_missing",                                                                 \
         .type = PARAM_BOOL,                                                                       \
         .offset = offsetof(params, options.delete_missing),                                       \
         .text = "delete what the target folder has and the source folder has not (destructive)",  \
         .default_text = "false"},                                                                 \
        {.name = "backup",                                                                         \
         .type = PARAM_BOOL,                                                                       \
         .offset = offsetof(params, options.backup),                                               \
         .text = "keep each file that is replaced or deleted, with ~ behind its name",             \
         .default_text = "false"},                                                                 \
        {.name = "timeout",                                                                        \
         .type = PARAM_NUMBER,                                                                     \
         .offset = offsetof(params, options.timeout),                                              \
         .text = "seconds without any transfer after which the copy fails; " COPY_STILL_MAX_TEXT   \
                 " for 0 and for more than that",                                                  \
         .default_text = "0"},                                                                     \
    {                                                                                              \
        .name = "exclude_history", .type = PARAM_BOOL,                                             \
        .offset = offsetof(params, options.exclude_history),                                       \
        .text = "leave out files named `*.sage-history`", .default_text = "false"                  \
    }

struct copying {
    struct api_call *call;
    struct copy_request request;
};

// False when the call has been answered.
static bool set_options(struct api_call *call, const struct copy_options *options,
                        struct copy_request *request)
{
    const double timeout = options->timeout.given ? options->timeout.value : 0;
    if (!(timeout >= 0 && timeout <= LIMIT_EXEC_SECONDS)) {
        api_error(call, "timeout must be from 0 to %d seconds", LIMIT_EXEC_SECONDS);
        return false;
    }
    request->timeout_s = (uint32_t)ceil(timeout);
    request->flags = (options->overwrite_newer ? RUNNER_COPY_OVERWRITE_NEWER : 0u) |
                     (options->delete_missing ? RUNNER_COPY_DELETE_MISSING : 0u) |
                     (options->backup ? RUNNER_COPY_BACKUP : 0u) |
                     (options->exclude_history ? RUNNER_COPY_EXCLUDE_HISTORY : 0u);
    return true;
}

static void on_submitted(struct copy_request *request)
{
    struct copying *op = CONTAINER(request, struct copying, request);
    struct api_call *call = op->call;
    if (request->rc) {
        api_fail(call, &request->err);
    } else if (request->wait) {
        api_reply(call);
        api_send(call);
    } else {
        struct buf *out = api_reply_event(call, NOTED_EVENT);
        json_member_str(out, "copy_path_id", request->copy_id.text);
        json_member_str(out, "note", NOTE);
        api_send(call);
    }
}

static void submit(struct copying *op)
{
    op->request.account_id = op->call->caller.account_id;
    op->request.loop = op->call->loop;
    op->request.done = on_submitted;
    account_mark_active(op->call->svc, &op->call->caller.account_id);
    copy_submit(op->call->svc, &op->request);
}

// The two rights of 5.1, either of which may be left out. False when the call has been answered.
static bool check_access(struct api_call *call, const struct uuid *target,
                         const struct uuid *source)
{
    enum project_access access = ACCESS_WRITE;
    struct err err;
    if (target && project_access_get(call->session, &call->caller, target, &access, &err)) {
        api_fail(call, &err);
    } else if (access < ACCESS_WRITE) {
        api_error(call, "ACCESS BLOCKED -- No write access to target project -- %s", target->text);
    } else if (source && project_access_get(call->session, &call->caller, source, &access, &err)) {
        api_fail(call, &err);
    } else if (access < ACCESS_READ) {
        api_error(call, "ACCESS BLOCKED -- No read access to source project -- %s", source->text);
    } else {
        return true;
    }
    return false;
}

static bool is_true(const cJSON *value)
{
    return cJSON_IsTrue(value) || (cJSON_IsString(value) && !strcmp(value->valuestring, "true"));
}

// ---- copy_path_between_projects ----

struct copy_path_params {
    const char *src_project_id, *src_path, *target_project_id, *target_path;
    struct copy_options options;
    const cJSON *wait_until_done, *scheduled;
};

#define FIELD(field) .offset = offsetof(struct copy_path_params, field)

static const struct api_param copy_path_params[] = {
    {.name = "src_project_id",
     .type = PARAM_STRING,
     .required = true,
     .is_uuid = true,
     FIELD(src_project_id),
     .text = "project to copy from"},
    {.name = "src_path",
     .type = PARAM_STRING,
     .required = true,
     FIELD(src_path),
     .text = "file or folder in it, relative to its home folder"},
    {.name = "target_project_id",
     .type = PARAM_STRING,
     .required = true,
     .is_uuid = true,
     FIELD(target_project_id),
     .text = "project to copy to, which may be the same"},
    {.name = "target_path",
     .type = PARAM_STRING,
     FIELD(target_path),
     .text = "where the copy is to be, relative to its home folder; left out or empty: as "
             "`src_path`. With a slash at its end it is a folder"},
    OPTION_PARAMS(struct copy_path_params),
    {.name = "wait_until_done",
     .type = PARAM_ANY,
     FIELD(wait_until_done),
     .text = "reply when the copy has been made; anything but true: reply at once, with the copy's "
             "id",
     .default_text = "true"},
    {.name = "scheduled",
     .type = PARAM_ANY,
     FIELD(scheduled),
     .text =
         "do not begin before this time, and do not wait: a date that JavaScript reads, such as "
         "`2030-08-29T22:00:00Z`, or milliseconds since 1970. Without a zone it is UTC"},
};
#undef FIELD

static const struct api_member copy_path_members[] = {
    {.name = "copy_path_id",
     .schema = "{\"type\":\"string\",\"format\":\"uuid\"}",
     .event = NOTED_EVENT},
    {.name = "note", .schema = "{\"type\":\"string\"}", .event = NOTED_EVENT},
};

#define COPY_FROM_TO                                                                               \
    CURL " -d src_project_id=" EXAMPLE_PROJECT " \\\n -d src_path=A/doc.txt \\\n"                  \
         " -d target_project_id=" EXAMPLE_TARGET " \\\n"
#define NOTED                                                                                      \
    "{\"event\":\"" NOTED_EVENT "\",\"id\":\"0e9ab46f-a1b5-4ea2-b7d7-"                             \
    "c1a1cb1bb2a3\",\"copy_path_id\":\"" EXAMPLE_COPY "\",\"note\":\"" NOTE "\"}"

static const struct api_example copy_path_examples[] = {
    {"The file `A/doc.txt` of one project into another. The folder `A` is made there if it is "
     "missing:",
     COPY_FROM_TO URL("copy_path_between_projects"),
     "{\"event\":\"success\",\"id\":\"45d851ac-5ea0-4aea-9997-99a06c054a60\"}"},
    {"Without waiting for it:",
     COPY_FROM_TO " -d wait_until_done=false \\\n" URL("copy_path_between_projects"), NOTED},
    {"Not before a certain time:",
     COPY_FROM_TO " -d scheduled=2030-08-29T22:00:00Z \\\n" URL("copy_path_between_projects"),
     NOTED},
};

static bool set_schedule(struct api_call *call, const cJSON *value, struct copy_request *request)
{
    struct err err;
    if (!value || !copy_schedule(request, value, &err))
        return true;
    api_fail(call, &err);
    return false;
}

static void handle_copy_path(struct api_call *call, const void *params)
{
    const struct copy_path_params *p = params;
    struct copying *op = arena_zalloc(call->arena, sizeof *op);
    struct copy_request *request = &op->request;
    op->call = call;
    request->source_path = p->src_path;
    request->target_path = p->target_path;
    request->wait = !p->wait_until_done || is_true(p->wait_until_done);
    if (!uuid_parse(p->src_project_id, strlen(p->src_project_id), &request->source_project_id))
        api_error(call, "src_project_id='%s' not valid", p->src_project_id);
    else if (!uuid_parse(p->target_project_id, strlen(p->target_project_id),
                         &request->target_project_id))
        api_error(call, "target_project_id='%s' not valid", p->target_project_id);
    else if (check_access(call, &request->target_project_id, &request->source_project_id) &&
             set_options(call, &p->options, request) && set_schedule(call, p->scheduled, request))
        submit(op);
}

const struct api_endpoint v1_copy_path_between_projects = {
    .name = "copy_path_between_projects",
    .access = API_ACCOUNT,
    .run = API_ASYNC,
    .text =
        "Copies a file or a folder from one project to another, or within one. The caller needs "
        "to be able to read the source project, as a viewer for instance, and to write to the "
        "target project. Neither project has to run.",
    API_PARAMS(copy_path_params, struct copy_path_params),
    .reply_event = "success",
    API_MEMBERS(copy_path_members),
    API_EXAMPLES(copy_path_examples),
    .notes =
        "A file is copied to the target path, or into it if that is a folder. Of a folder the "
        "contents are copied into the target folder. Missing folders above the target are made; a "
        "file that stands where one is needed is renamed to `NAME.backup`. Times and permissions "
        "are kept, links are copied as links, and files that the target has unchanged are not "
        "touched, so that a copy can be repeated. A large copy is best made without waiting: ask "
        "`copy_path_status` for its end. Copies survive a restart of the server. A shell "
        "writes the time that `scheduled` takes with `date -d '+1 minute' --utc "
        "+'%Y-%m-%dT%H:%M:%S'`. Caches and trash (`.cache`, `.trash`, `.snapshots` and the like) "
        "are never copied.",
    .handler = handle_copy_path,
};

// ---- copy_public_path_between_projects ----

struct copy_public_params {
    const char *src_project_id, *src_path, *target_project_id, *target_path;
    struct copy_options options;
};

#define FIELD(field) .offset = offsetof(struct copy_public_params, field)

static const struct api_param copy_public_params[] = {
    {.name = "src_project_id",
     .type = PARAM_STRING,
     .required = true,
     .is_uuid = true,
     FIELD(src_project_id),
     .text = "project with the public path"},
    {.name = "src_path",
     .type = PARAM_STRING,
     .required = true,
     FIELD(src_path),
     .text = "file or folder in it that is public, relative to its home folder"},
    {.name = "target_project_id",
     .type = PARAM_STRING,
     .required = true,
     .is_uuid = true,
     FIELD(target_project_id),
     .text = "project to copy to"},
    {.name = "target_path",
     .type = PARAM_STRING,
     FIELD(target_path),
     .text = "where the copy is to be, relative to its home folder; left out or empty: as "
             "`src_path`"},
    OPTION_PARAMS(struct copy_public_params),
};
#undef FIELD

static const struct api_example copy_public_examples[] = {
    {"The public file `PUBLIC/doc.txt` of one project to `A/sample.txt` in another, where it is "
     "not public:",
     CURL " -d src_project_id=" EXAMPLE_PROJECT " \\\n -d src_path=PUBLIC/doc.txt \\\n"
          " -d target_project_id=" EXAMPLE_TARGET
          " \\\n -d target_path=A/sample.txt \\\n" URL("copy_public_path_between_projects"),
     "{\"event\":\"success\",\"id\":\"45d851ac-5ea0-4aea-9997-99a06c054a60\"}"},
};

// False when the call has been answered.
static bool check_public(struct api_call *call, const struct copy_public_params *p,
                         struct copy_request *request)
{
    enum project_access access = ACCESS_NONE;
    bool public = false;
    struct err err;
    if (!uuid_parse(p->target_project_id, strlen(p->target_project_id),
                    &request->target_project_id)) {
        api_error(call, "invalid project_id -- %s", p->target_project_id);
    } else if (project_access_get(call->session, &call->caller, &request->target_project_id,
                                  &access, &err)) {
        api_fail(call, &err);
    } else if (access < ACCESS_WRITE) {
        api_error(call, "user must have write access to target project %s", p->target_project_id);
    } else if (uuid_parse(p->src_project_id, strlen(p->src_project_id),
                          &request->source_project_id) &&
               public_path_check(call->session, &request->source_project_id, p->src_path, &public,
                                 &err)) {
        api_fail(call, &err);
    } else if (!public) {
        api_error(call, "path '%s' of project with id '%s' is not public", p->src_path,
                  p->src_project_id);
    }
    return public;
}

static void handle_copy_public(struct api_call *call, const void *params)
{
    const struct copy_public_params *p = params;
    struct copying *op = arena_zalloc(call->arena, sizeof *op);
    op->call = call;
    op->request.source_path = p->src_path;
    op->request.target_path = p->target_path;
    op->request.public = true;
    op->request.wait = true;
    if (check_public(call, p, &op->request) && set_options(call, &p->options, &op->request))
        submit(op);
}

const struct api_endpoint v1_copy_public_path_between_projects = {
    .name = "copy_public_path_between_projects",
    .access = API_ACCOUNT,
    .run = API_ASYNC,
    .text =
        "Copies a public file or folder of any project into a project that the caller can write "
        "to, and replies when that has been done. The rules are those of "
        "`copy_path_between_projects`.",
    API_PARAMS(copy_public_params, struct copy_public_params),
    .reply_event = "success",
    API_EXAMPLES(copy_public_examples),
    .handler = handle_copy_public,
};

// ---- copy_path_status ----

struct copy_status_params {
    const char *copy_path_id, *src_project_id, *target_project_id, *src_path;
    struct api_number limit, offset;
    bool pending, failed;
};

#define FIELD(field) .offset = offsetof(struct copy_status_params, field)

static const struct api_param copy_status_params[] = {
    {.name = "copy_path_id",
     .type = PARAM_STRING,
     .is_uuid = true,
     FIELD(copy_path_id),
     .text = "the copy, if neither project is given"},
    {.name = "src_project_id",
     .type = PARAM_STRING,
     .is_uuid = true,
     FIELD(src_project_id),
     .text = "all copies out of this project"},
    {.name = "target_project_id",
     .type = PARAM_STRING,
     .is_uuid = true,
     FIELD(target_project_id),
     .text = "all copies into this project"},
    {.name = "src_path",
     .type = PARAM_STRING,
     FIELD(src_path),
     .text = "of these, those of exactly this source path"},
    {.name = "limit",
     .type = PARAM_NUMBER,
     FIELD(limit),
     .text = "at most so many, 0 to 1000",
     .default_text = "1000"},
    {.name = "offset",
     .type = PARAM_NUMBER,
     FIELD(offset),
     .text = "skip so many, 0 to 100000",
     .default_text = "0"},
    {.name = "pending",
     .type = PARAM_BOOL,
     FIELD(pending),
     .text = "true: those that have not finished; false: those that have",
     .default_text = "true"},
    {.name = "failed",
     .type = PARAM_BOOL,
     FIELD(failed),
     .text = "true: those that have finished with an error, whatever `pending` says",
     .default_text = "false"},
};
#undef FIELD

static const struct api_member copy_status_members[] = {
    {.name = "data",
     .schema = "{\"oneOf\":[{\"type\":\"object\"},{\"type\":\"array\",\"items\":{\"type\":"
               "\"object\"}}]}"},
};

static const struct api_example copy_status_examples[] = {
    {"One copy:", CURL " -d copy_path_id=" EXAMPLE_COPY " \\\n" URL("copy_path_status"),
     "{\"event\":\"copy_path_status_response\",\"id\":\"9c7f7c4f-42b8-4f2c-a1ad-4b4e2b2d6a75\","
     "\"data\":{\"copy_path_id\":\"" EXAMPLE_COPY "\",\"time\":\"2019-08-29T20:00:00.000Z\","
     "\"source_project_id\":\"" EXAMPLE_PROJECT "\",\"source_path\":\"A/doc.txt\","
     "\"target_project_id\":\"" EXAMPLE_TARGET "\",\"target_path\":\"A/doc.txt\","
     "\"overwrite_newer\":false,\"delete_missing\":false,\"backup\":false,"
     "\"scheduled\":\"2030-08-29T22:00:00.000Z\"}}"},
    {"The copies into a project that failed:",
     CURL " -d target_project_id=" EXAMPLE_TARGET
          " \\\n -d failed=true \\\n" URL("copy_path_status"),
     "{\"event\":\"copy_path_status_response\",\"id\":\"3d0a7c9e-8c5e-4a57-9d6f-8b0b3c9a1c52\","
     "\"data\":[]}"},
};

// A project that is searched by. False when the call has been answered.
static bool read_filter_id(struct api_call *call, const char *name, const char *text,
                           struct uuid *ret_id)
{
    if (!text || uuid_parse(text, strlen(text), ret_id))
        return true;
    api_error(call, "invalid %s=%s", name, text);
    return false;
}

static bool read_bounded(struct api_call *call, const char *name, const struct api_number *number,
                         int max, int64_t *ret_value)
{
    if (!number->given || params_whole(number, 0, max, ret_value))
        return true;
    api_error(call, "ILLEGAL VALUE %s='%.15g' (must be in [0, %d])", name, number->value, max);
    return false;
}

// A list can be long: a worker reads it.
struct list_copies {
    struct api_call *call;
    struct uuid source, target;
    struct copy_filter filter;
    struct work work;
    int rc;
    struct err err;
    struct buf data;
};

static void read_list(struct work *work)
{
    struct list_copies *list = CONTAINER(work, struct list_copies, work);
    auto_session struct db_session *session = NULL;
    list->rc = db_session_open(list->call->svc->db, &session, &list->err);
    if (!list->rc)
        list->rc = copy_list(session, &list->filter, &list->data, &list->err);
}

static void on_list_read(struct work *work)
{
    struct list_copies *list = CONTAINER(work, struct list_copies, work);
    struct api_call *call = list->call;
    auto_buf struct buf data = list->data;
    if (list->rc) {
        api_fail(call, &list->err);
        return;
    }
    struct buf *out = api_reply(call);
    json_key(out, "data");
    json_raw(out, data.data, data.size);
    api_send(call);
}

static void list_copies(struct api_call *call, const struct copy_status_params *p)
{
    struct list_copies *list = arena_zalloc(call->arena, sizeof *list);
    list->call = call;
    list->filter =
        (struct copy_filter){.source_project_id = p->src_project_id ? &list->source : NULL,
                             .target_project_id = p->target_project_id ? &list->target : NULL,
                             .source_path = p->src_path,
                             .state = p->failed    ? COPY_FAILED
                                      : p->pending ? COPY_PENDING
                                                   : COPY_FINISHED,
                             .limit = LIST_MAX};
    struct copy_filter *filter = &list->filter;
    if (read_filter_id(call, "src_project_id", p->src_project_id, &list->source) &&
        read_filter_id(call, "target_project_id", p->target_project_id, &list->target) &&
        check_access(call, filter->target_project_id, filter->source_project_id) &&
        read_bounded(call, "limit", &p->limit, LIST_MAX, &filter->limit) &&
        read_bounded(call, "offset", &p->offset, OFFSET_MAX, &filter->offset))
        work_submit(call->loop, &list->work, read_list, on_list_read);
}

static void show_copy(struct api_call *call, const char *copy_id)
{
    struct copy_ends ends;
    struct err err;
    auto_buf struct buf data = {0};
    const int rc = copy_get(call->session, copy_id, &ends, &data, &err);
    if (rc < 0) {
        api_fail(call, &err);
    } else if (!rc) {
        api_error(call, "Can't find copy operation with ID=%s", copy_id);
    } else if (check_access(call, &ends.target_project_id, &ends.source_project_id)) {
        struct buf *out = api_reply(call);
        json_key(out, "data");
        json_raw(out, data.data, data.size);
        api_send(call);
    }
}

static void handle_copy_status(struct api_call *call, const void *params)
{
    const struct copy_status_params *p = params;
    if (p->src_project_id || p->target_project_id)
        list_copies(call, p);
    else if (p->copy_path_id)
        show_copy(call, p->copy_path_id);
    else
        api_error(call, "'copy_path_id' (UUID) of a copy operation or "
                        "'src_project_id/target_project_id' must be defined");
}

const struct api_endpoint v1_copy_path_status = {
    .name = "copy_path_status",
    .access = API_ACCOUNT,
    .run = API_ASYNC,
    .text =
        "Tells what became of one copy, or lists the copies out of a project or into one, newest "
        "first. A copy with `finished` has ended, with `error` it has failed. The caller needs "
        "to be able to read the source project and to write to the target project, or the one "
        "of them that is searched by.",
    API_PARAMS(copy_status_params, struct copy_status_params),
    .reply_event = "copy_path_status_response",
    API_MEMBERS(copy_status_members),
    API_EXAMPLES(copy_status_examples),
    .notes =
        "A list has the copies that have not finished, unless `pending` or `failed` say "
        "otherwise. Copies that have finished are forgotten after 90 days, and when an account has "
        "had 2000 later ones.",
    .handler = handle_copy_status,
};

// ---- copy_path_delete ----

struct copy_delete_params {
    const char *copy_path_id;
};

static const struct api_param copy_delete_params[] = {
    {.name = "copy_path_id",
     .type = PARAM_STRING,
     .is_uuid = true,
     .offset = offsetof(struct copy_delete_params, copy_path_id),
     .text = "a scheduled copy that has not finished"},
};

static const struct api_member copy_delete_members[] = {
    {.name = "data", .schema = "{\"type\":\"string\"}"},
};

static const struct api_example copy_delete_examples[] = {
    {"A copy that is not to be made after all:",
     CURL " -d copy_path_id=" EXAMPLE_COPY " \\\n" URL("copy_path_delete"),
     "{\"event\":\"copy_path_status_response\",\"id\":\"6a1a6f0b-6c0f-4a8e-9d8f-3b1a7d1f0c42\","
     "\"data\":\"copy_path_id = '" EXAMPLE_COPY "' deleted\"}"},
};

struct copy_deletion {
    struct api_call *call;
    const char *copy_id;
    struct db_write write;
};

static void refuse_deletion(struct api_call *call, const char *copy_id)
{
    api_error(call, "Copy operation '%s' either does not exist or already finished", copy_id);
}

static int write_deletion(struct db_session *txn, void *arg, struct err *err)
{
    return copy_delete(txn, ((const struct copy_deletion *)arg)->copy_id, err);
}

static void on_deleted(struct db_write *write)
{
    struct copy_deletion *op = write->arg;
    struct api_call *call = op->call;
    if (write->rc == -ERR_NOT_FOUND) {
        refuse_deletion(call, op->copy_id);
    } else if (write->rc) {
        api_fail(call, &write->err);
    } else {
        json_member_str(api_reply(call), "data",
                        arena_printf(call->arena, "copy_path_id = '%s' deleted", op->copy_id));
        api_send(call);
    }
}

static void delete_copy(struct api_call *call, const char *copy_id)
{
    struct copy_deletion *op = arena_zalloc(call->arena, sizeof *op);
    *op = (struct copy_deletion){.call = call, .copy_id = copy_id};
    op->write =
        (struct db_write){.loop = call->loop, .fn = write_deletion, .arg = op, .done = on_deleted};
    db_write_async(call->svc->db, &op->write);
}

static void handle_copy_delete(struct api_call *call, const void *params)
{
    const char *copy_id = ((const struct copy_delete_params *)params)->copy_path_id;
    struct copy_ends ends;
    struct err err;
    if (!copy_id) {
        api_error(call, "ERROR: copy_path_id missing");
        return;
    }
    const int rc = copy_get(call->session, copy_id, &ends, NULL, &err);
    if (rc < 0)
        api_fail(call, &err);
    else if (!rc || !ends.deletable)
        refuse_deletion(call, copy_id);
    else if (check_access(call, &ends.target_project_id, &ends.source_project_id))
        delete_copy(call, copy_id);
}

const struct api_endpoint v1_copy_path_delete = {
    .name = "copy_path_delete",
    .access = API_ACCOUNT,
    .run = API_ASYNC,
    .text = "Forgets a scheduled copy that has not finished, so that it is not made. One that is "
            "being made just now is made all the same. The caller needs to be able to read the "
            "source project and to write to the target project.",
    API_PARAMS(copy_delete_params, struct copy_delete_params),
    .reply_event = "copy_path_status_response",
    API_MEMBERS(copy_delete_members),
    API_EXAMPLES(copy_delete_examples),
    .handler = handle_copy_delete,
};
