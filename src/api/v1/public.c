// SPDX-License-Identifier: AGPL-3.0-or-later
// public_get_directory_listing, public_get_text_file (api-v1 3.24, 3.25).
#include <math.h>
#include <string.h>

#include "api/v1/endpoints.h"
#include "base/limits.h"
#include "http/http.h"
#include "svc/public_files.h"

#define EXAMPLE_PUBLIC "9a19cca3-c53d-4c7c-8c0f-e166aada7bb6"
#define CURL_BLANK     " curl -u : \\\n"

// ---- What both share ----

struct public_op {
    struct api_call *call;
    const char *project_id; // as sent
    struct public_request request;
};

static void on_done(struct public_request *request)
{
    struct public_op *op = CONTAINER(request, struct public_op, request);
    struct api_call *call = op->call;
    bool not_public = request->not_public;
    public_request_dispose(request);
    if (!request->rc) {
        api_send(call);
        return;
    }
    call->reply.size = 0; // what was begun
    http_request_set_error(call->request, &request->err);
    if (not_public)
        api_error(call, "path '%s' of project with id '%s' is not public", request->path,
                  op->project_id);
    else
        api_error(call, "%s", request->err.message);
}

// Begins the reply, whose member `member` the result is. NULL, and answered, for an id that is
// none.
static struct public_request *op_new(struct api_call *call, const char *project_id,
                                     const char *path, const char *member)
{
    struct public_op *op = arena_zalloc(call->arena, sizeof *op);
    op->call = call;
    op->project_id = project_id;
    op->request = (struct public_request){.path = path,
                                          .client = http_request_client(call->request),
                                          .out = &call->reply,
                                          .loop = call->loop,
                                          .done = on_done};
    if (!uuid_parse(project_id, strlen(project_id), &op->request.project_id)) {
        api_error(call, "postgresql Error: invalid input syntax for type uuid: \"%s\"", project_id);
        return NULL;
    }
    api_reply(call);
    json_key(&call->reply, member);
    return &op->request;
}

// ---- public_get_directory_listing ----

struct list_params {
    const char *project_id, *path;
    bool hidden, time;
    struct api_number start, limit;
};

static const struct api_param list_params[] = {
    {.name = "project_id",
     .type = PARAM_STRING,
     .required = true,
     .is_uuid = true,
     .offset = offsetof(struct list_params, project_id),
     .text = "project with the folder"},
    {.name = "path",
     .type = PARAM_STRING,
     .required = true,
     .offset = offsetof(struct list_params, path),
     .text = "path of the folder, relative to the project's home folder; the empty text is that "
             "folder itself"},
    {.name = "hidden",
     .type = PARAM_BOOL,
     .offset = offsetof(struct list_params, hidden),
     .default_text = "false",
     .text = "also names that begin with a dot"},
    {.name = "time",
     .type = PARAM_BOOL,
     .offset = offsetof(struct list_params, time),
     .default_text = "false",
     .text = "newest first, instead of by name"},
    {.name = "start",
     .type = PARAM_NUMBER,
     .offset = offsetof(struct list_params, start),
     .default_text = "0",
     .text = "leave out so many entries at the beginning; a negative number counts from the end"},
    {.name = "limit",
     .type = PARAM_NUMBER,
     .offset = offsetof(struct list_params, limit),
     .default_text = "-1",
     .text = "at most so many entries; 0 or less: all"},
};

static const struct api_member list_members[] = {
    {.name = "result",
     .schema = "{\"type\":\"object\",\"required\":[\"files\"],\"properties\":{\"files\":{\"type\":"
               "\"array\",\"items\":{\"type\":\"object\",\"required\":[\"name\",\"mtime\"],"
               "\"properties\":{\"name\":{\"type\":\"string\"},\"size\":{\"type\":\"integer\"},"
               "\"isdir\":{\"type\":\"boolean\"},\"mtime\":{\"type\":\"integer\"}}}},\"more\":{"
               "\"type\":\"boolean\"}}}"},
};

static const struct api_example list_examples[] = {
    {"The folder \"Public\" is shared; it has one file and one folder. The key may be blank:",
     CURL_BLANK " -d path=Public \\\n -d project_id=" EXAMPLE_PUBLIC
                " \\\n" URL("public_get_directory_listing"),
     "{\"event\":\"public_directory_listing\",\"id\":\"3e576b3b-b673-4d5c-9bce-780883f92958\","
     "\"result\":{\"files\":[{\"name\":\"hello.txt\",\"size\":41,\"mtime\":1496430932},"
     "{\"name\":\"p2\",\"isdir\":true,\"mtime\":1496461616}]}}"},
    {"The first entry only:",
     CURL_BLANK " -d path=Public -d limit=1 \\\n -d project_id=" EXAMPLE_PUBLIC
                " \\\n" URL("public_get_directory_listing"),
     "{\"event\":\"public_directory_listing\",\"id\":\"e5c1a9a4-5a0e-4b7f-9a53-0ee3d1f7a0c2\","
     "\"result\":{\"files\":[{\"name\":\"hello.txt\",\"size\":41,\"mtime\":1496430932}],\"more\":"
     "true}}"},
};

// A whole number of a size that adding to cannot overflow.
static int64_t as_integer(const struct api_number *number, int64_t fallback)
{
    double value = number->given ? trunc(number->value) : (double)fallback;
    return (int64_t)fmax(-LIMIT_LISTING, fmin(LIMIT_LISTING, value));
}

static void handle_list(struct api_call *call, const void *params)
{
    const struct list_params *p = params;
    struct public_request *request = op_new(call, p->project_id, p->path, "result");
    if (!request)
        return;
    request->hidden = p->hidden;
    request->newest_first = p->time;
    request->start = as_integer(&p->start, 0);
    request->limit = as_integer(&p->limit, -1);
    public_folder_list(call->svc, call->session, request);
}

const struct api_endpoint v1_public_get_directory_listing = {
    .name = "public_get_directory_listing",
    .access = API_ANYONE,
    .run = API_ASYNC,
    .text = "Lists what is public in a folder of a project. Anybody may ask; the key may be blank. "
            "The project is not started.",
    API_PARAMS(list_params, struct list_params),
    .reply_event = "public_directory_listing",
    API_MEMBERS(list_members),
    API_EXAMPLES(list_examples),
    .notes = "Folders have `isdir`, everything else has a `size` in bytes; `mtime` is in seconds "
             "since 1970. `more` tells that `limit` has cut something off. Entries that are not "
             "public themselves are left out, also those that have something public below them. A "
             "folder that does not exist has no entries; for a project where nothing is public the "
             "error is `not_public`.",
    .handler = handle_list,
};

// ---- public_get_text_file ----

struct read_params {
    const char *project_id, *path;
};

static const struct api_param read_params[] = {
    {.name = "project_id",
     .type = PARAM_STRING,
     .required = true,
     .is_uuid = true,
     .offset = offsetof(struct read_params, project_id),
     .text = "project with the file"},
    {.name = "path",
     .type = PARAM_STRING,
     .required = true,
     .offset = offsetof(struct read_params, path),
     .text = "path of the file, relative to the project's home folder"},
};

static const struct api_member read_members[] = {
    {.name = "data", .schema = "{\"type\":\"string\"}"},
};

static const struct api_example read_examples[] = {
    {"A public file; the key may be blank:",
     CURL_BLANK " -d project_id=" EXAMPLE_PROJECT
                " \\\n -d path=Public/hello.txt \\\n" URL("public_get_text_file"),
     "{\"event\":\"public_text_file_contents\",\"id\":\"2d0e2faa-893a-44c1-9f64-59203bbbb017\","
     "\"data\":\"hello world\\nToday is Friday\\n\"}"},
    {"A file that is not public:",
     CURL " -d project_id=" EXAMPLE_PROJECT
          " \\\n -d path=Private/hello.txt \\\n" URL("public_get_text_file"),
     "{\"event\":\"error\",\"id\":\"0288b7d0-dda9-4895-87ba-aa71929b2bfb\",\"error\":\"path "
     "'Private/hello.txt' of project with id '" EXAMPLE_PROJECT "' is not public\"}"},
};

static void handle_read(struct api_call *call, const void *params)
{
    const struct read_params *p = params;
    struct public_request *request = op_new(call, p->project_id, p->path, "data");
    if (request)
        public_file_read(call->svc, call->session, request);
}

const struct api_endpoint v1_public_get_text_file = {
    .name = "public_get_text_file",
    .access = API_ANYONE,
    .run = API_ASYNC,
    .text = "Reads a public text file of a project. Anybody may ask; the key may be blank. Bytes "
            "that are not UTF-8 become U+FFFD; a file may have 20,000,000 bytes at most. The "
            "project is not started.",
    API_PARAMS(read_params, struct read_params),
    .reply_event = "public_text_file_contents",
    API_MEMBERS(read_members),
    API_EXAMPLES(read_examples),
    .notes = "A folder, also under its name with `.zip` behind it, comes as a ZIP archive whose "
             "bytes are taken for text, which is of little use; a link to a place that is not "
             "public is not followed.",
    .handler = handle_read,
};
