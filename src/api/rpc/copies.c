// SPDX-License-Identifier: AGPL-3.0-or-later
// copyPathBetweenProjects (hub-rpc 2.2).
#include <math.h>
#include <string.h>

#include "api/rpc/methods.h"
#include "base/limits.h"
#include "http/http.h"
#include "svc/accounts.h"
#include "svc/copies.h"
#include "svc/public_paths.h"

struct copy_params {
    const char *src_project_id, *src_path, *target_project_id, *target_path;
    bool overwrite_newer, delete_missing, backup, is_public;
    struct api_number timeout, bwlimit;
    struct api_strings exclude;
    const cJSON *wait_until_done, *scheduled;
};

#define FIELD(field) .offset = offsetof(struct copy_params, field)

static const struct api_param copy_params[] = {
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
     .is_uuid = true,
     FIELD(target_project_id),
     .text = "project to copy to; by default the same"},
    {.name = "target_path",
     .type = PARAM_STRING,
     FIELD(target_path),
     .text = "where the copy is to be, relative to its home folder; by default as `src_path`"},
    {.name = "overwrite_newer",
     .type = PARAM_BOOL,
     FIELD(overwrite_newer),
     .text = "replace files that are newer in the target (destructive)",
     .default_text = "false"},
    {.name = "delete_missing",
     .type = PARAM_BOOL,
     FIELD(delete_missing),
     .text = "delete what the target folder has and the source folder has not (destructive)",
     .default_text = "false"},
    {.name = "backup",
     .type = PARAM_BOOL,
     FIELD(backup),
     .text = "keep each file that is replaced or deleted, with ~ behind its name",
     .default_text = "false"},
    {.name = "timeout",
     .type = PARAM_NUMBER,
     FIELD(timeout),
     .text = "seconds without any transfer after which the copy fails; " COPY_STILL_MAX_TEXT
             " for 0 and for more than that",
     .default_text = "0"},
    {.name = "bwlimit",
     .type = PARAM_NUMBER,
     FIELD(bwlimit),
     .text = "bandwidth at most, KB a second; 0 for no limit",
     .default_text = "0"},
    {.name = "exclude",
     .type = PARAM_STRINGS,
     FIELD(exclude),
     .text = "patterns of what is left out of a folder, as rsync has them: `*.o`, `/build`, "
             "`data/*.csv`; at most 100, of 4000 bytes together",
     .default_text = "[]"},
    {.name = "wait_until_done",
     .type = PARAM_ANY,
     FIELD(wait_until_done),
     .text = "answer when the copy has been made; false: as soon as it is noted, durably",
     .default_text = "true"},
    {.name = "scheduled",
     .type = PARAM_ANY,
     FIELD(scheduled),
     .text = "do not begin before this time, and do not wait: a date such as "
             "`2030-08-29T22:00:00Z`, or milliseconds since 1970"},
    {.name = "public",
     .type = PARAM_BOOL,
     FIELD(is_public),
     .text = "the source is public, and the caller needs no right to its project",
     .default_text = "false"},
};
#undef FIELD

static const struct api_example copy_examples[] = {
    {"The file `A/doc.txt` of one project into another:",
     CALL_HUB("{\"name\":\"projects.copyPathBetweenProjects\",\"args\":[{\"src_project_id\":"
              "\"" EXAMPLE_PROJECT "\",\"src_path\":\"A/doc.txt\",\"target_project_id\":"
              "\"" EXAMPLE_TARGET "\"}]}"),
     "null"},
    {"A folder within a project, without what a compiler has made:",
     CALL_HUB("{\"name\":\"projects.copyPathBetweenProjects\",\"args\":[{\"src_project_id\":"
              "\"" EXAMPLE_PROJECT "\",\"src_path\":\"A\",\"target_path\":\"B\",\"exclude\":["
              "\"*.o\"]}]}"),
     "null"},
};

struct copying {
    struct api_call *call;
    struct copy_request request;
};

// ---- The end ----

static void fail(struct api_call *call, const struct copy_request *request)
{
    const struct err *err = &request->err;
    http_request_set_error(call->request, err);
    switch (copy_failure_of(err)) {
    case COPY_FAILED_NO_SOURCE:
        rpc_refuse(call, "ENOENT: no such file or directory, stat '%s'", request->source_path);
        break;
    case COPY_FAILED_TARGET_OUTSIDE:
        rpc_refuse(call, "target path must be contained in target project home dir");
        break;
    case COPY_FAILED_RSYNC:
        rpc_refuse(call, "WARNING: copy exited with an error -- %s -- \"rsync %s %s\"",
                   err->message, request->source_path, request->target_path);
        break;
    case COPY_FAILED_OTHERWISE:
        rpc_refuse(call, "%s", err->message);
        break;
    }
}

static void on_copied(struct copy_request *request)
{
    struct api_call *call = CONTAINER(request, struct copying, request)->call;
    if (request->rc)
        fail(call, request);
    else
        rpc_null(call);
}

// ---- What is asked for. Each is false when the call has been answered. ----

static bool find_source(struct api_call *call, const struct copy_params *p,
                        struct copy_request *request)
{
    bool public = false;
    struct err err;
    if (!p->is_public)
        return rpc_collaborator(call, p->src_project_id,
                                "user must be collaborator on source project",
                                &request->source_project_id);
    if (!uuid_parse(p->src_project_id, strlen(p->src_project_id), &request->source_project_id))
        rpc_refuse(call, "invalid account_id or project_id -- all must be valid uuid's");
    else if (public_path_check(call->session, &request->source_project_id, p->src_path, &public,
                               &err))
        rpc_fail(call, &err);
    else if (!public)
        rpc_refuse(call, "path '%s' of project with id '%s' is not public", p->src_path,
                   request->source_project_id.text);
    return public;
}

static bool find_target(struct api_call *call, const struct copy_params *p,
                        struct copy_request *request)
{
    const char *id =
        p->target_project_id && p->target_project_id[0] ? p->target_project_id : p->src_project_id;
    request->target_path = p->target_path && p->target_path[0] ? p->target_path : p->src_path;
    return rpc_collaborator(call, id, "user must be collaborator on target project",
                            &request->target_project_id);
}

static bool resolve(struct api_call *call, enum copy_end end, const struct uuid *project_id,
                    const char *path, struct buf *out)
{
    struct err err;
    if (!copy_path_resolve(end, project_id, path, out, &err))
        return true;
    if (strlen(path) > LIMIT_COPY_PATH)
        rpc_fail(call, &err);
    else if (end == COPY_SOURCE)
        rpc_refuse(call, "source path must be contained in project home dir");
    else
        rpc_refuse(call, "target path must be contained in target project home dir");
    return false;
}

// *ret_same: source and target are one.
static bool check_paths(struct api_call *call, const struct copy_request *request, bool *ret_same)
{
    auto_buf struct buf source = {0}, target = {0};
    if (!resolve(call, COPY_SOURCE, &request->source_project_id, request->source_path, &source) ||
        !resolve(call, COPY_TARGET, &request->target_project_id, request->target_path, &target))
        return false;
    if (target.size && target.data[target.size - 1] == '/')
        target.size--;
    *ret_same = uuid_equal(&request->source_project_id, &request->target_project_id) &&
                !strcmp(buf_cstr(&source), buf_cstr(&target));
    return true;
}

static bool read_number(struct api_call *call, const char *name, const struct api_number *number,
                        int max, const char *unit, uint32_t *ret_value)
{
    const double value = number->given ? number->value : 0;
    *ret_value = 0;
    if (value >= 0 && value <= max) {
        *ret_value = (uint32_t)ceil(value);
        return true;
    }
    rpc_refuse(call, "%s must be from 0 to %d %s", name, max, unit);
    return false;
}

// One a line.
static bool read_exclude(struct api_call *call, const struct api_strings *exclude,
                         struct copy_request *request)
{
    auto_buf struct buf lines = {0};
    bool valid = exclude->count <= COPY_PATTERNS_MAX;
    for (size_t i = 0; i < exclude->count && valid; i++) {
        valid = exclude->items[i][0] && !strchr(exclude->items[i], '\n');
        buf_printf(&lines, "%s%s", i ? "\n" : "", exclude->items[i]);
    }
    if (!valid || lines.size > COPY_EXCLUDE_MAX) {
        rpc_refuse(call,
                   "exclude must have at most %d patterns, of %d bytes together, none of them "
                   "empty or with a line break",
                   COPY_PATTERNS_MAX, COPY_EXCLUDE_MAX);
        return false;
    }
    request->exclude = lines.size ? arena_strdup(call->arena, buf_cstr(&lines)) : NULL;
    return true;
}

static bool read_schedule(struct api_call *call, const struct copy_params *p,
                          struct copy_request *request)
{
    const cJSON *wait = p->wait_until_done, *time = p->scheduled;
    struct err err;
    request->wait = !wait || cJSON_IsNull(wait) || cJSON_IsTrue(wait);
    if (!time || cJSON_IsNull(time) || !copy_schedule(request, time, &err))
        return true;
    rpc_fail(call, &err);
    return false;
}

static bool read_options(struct api_call *call, const struct copy_params *p,
                         struct copy_request *request)
{
    request->flags = (p->overwrite_newer ? RUNNER_COPY_OVERWRITE_NEWER : 0u) |
                     (p->delete_missing ? RUNNER_COPY_DELETE_MISSING : 0u) |
                     (p->backup ? RUNNER_COPY_BACKUP : 0u);
    request->public = p->is_public;
    return read_number(call, "timeout", &p->timeout, LIMIT_EXEC_SECONDS, "seconds",
                       &request->timeout_s) &&
           read_number(call, "bwlimit", &p->bwlimit, LIMIT_COPY_BANDWIDTH, "KB a second",
                       &request->bandwidth) &&
           read_exclude(call, &p->exclude, request) && read_schedule(call, p, request);
}

static void handle_copy(struct api_call *call, const void *params)
{
    const struct copy_params *p = params;
    struct copying *op = arena_zalloc(call->arena, sizeof *op);
    struct copy_request *request = &op->request;
    bool same = false;
    op->call = call;
    *request = (struct copy_request){.account_id = call->caller.account_id,
                                     .source_path = p->src_path,
                                     .loop = call->loop,
                                     .done = on_copied};
    if (!find_source(call, p, request) || !find_target(call, p, request) ||
        !check_paths(call, request, &same) || !read_options(call, p, request))
        return;
    if (same) {
        rpc_null(call);
        return;
    }
    account_mark_active(call->svc, &call->caller.account_id);
    copy_submit(call->svc, request);
}

const struct api_endpoint hub_projects_copy_path_between_projects = {
    HUB_METHOD("projects.copyPathBetweenProjects"),
    .run = API_ASYNC,
    .text = "Copies a file or a folder from one project to another, or within one, and answers "
            "when that is done. The caller needs to work on both projects. Neither has to run, "
            "and neither is started.",
    API_PARAMS(copy_params, struct copy_params),
    .result = NULL_SCHEMA,
    API_EXAMPLES(copy_examples),
    .notes = "A file is copied to the target path, or into it if that is a folder. Of a folder the "
             "contents are copied into the target folder. Missing folders above the target are "
             "made. Times and permissions are kept, links are copied as links. A copy that takes "
             "longer than the caller waits goes on; large ones are best made with a longer "
             "`timeout` of the call, or with `wait_until_done` set to false.",
    .handler = handle_copy,
};
