// SPDX-License-Identifier: AGPL-3.0-or-later
// The files of a project (hub-rpc 6.7).
#include <string.h>

#include "api/rpc/methods.h"
#include "base/limits.h"
#include "proto/frame.h"
#include "svc/files.h"
#include "svc/home_files.h"

#define PATH_TEXT "relative to the home folder, or absolute and below it"

#define FILES_EXAMPLE(name, args)                                                                  \
    CALL_PROJECT("{\"name\":\"" name "\",\"args\":[" args "],\"project_id\":\"" EXAMPLE_PROJECT    \
                 "\"}")

// ---- What is done in the home ----

struct files_op {
    struct api_call *call;
    bool first_only; // of the result, which is an array
    struct home_op home;
};

// What is the call's may be gone once it is answered.
static void on_files_done(struct home_op *home)
{
    const struct files_op *op = CONTAINER(home, struct files_op, home);
    struct api_call *call = op->call;
    const size_t size = home->result.size, cut = op->first_only ? 1 : 0;
    const struct err err = home->err;
    const bool failed = home->rc;
    if (!failed && size)
        json_raw(rpc_result(call), home->result.data + cut, size - 2 * cut);
    home_op_dispose(home);
    if (failed)
        rpc_fail(call, &err);
    else if (!size)
        rpc_null(call);
    else
        rpc_send(call);
}

static struct files_op *files_op_new(struct api_call *call, enum home_action action,
                                     const char *const *paths, size_t count)
{
    struct files_op *op = arena_zalloc(call->arena, sizeof *op);
    op->call = call;
    op->home = (struct home_op){
        .project_id = call->project_id,
        .action = action,
        .paths = paths,
        .paths_count = count,
        .loop = call->loop,
        .done = on_files_done,
    };
    return op;
}

static void run_files_op(struct files_op *op)
{
    if (op->home.paths_count > LIMIT_HOME_PATHS)
        rpc_refuse(op->call, "at most %d paths are allowed", LIMIT_HOME_PATHS);
    else
        home_op_run(op->call->svc, &op->home);
}

// A path among the parameters, to be pointed at as a list of one.
static const char *const *one_path(struct api_call *call, const char *path)
{
    const char **paths = arena_alloc(call->arena, sizeof *paths);
    paths[0] = path;
    return paths;
}

// ---- system.listing ----

struct listing_params {
    const char *path;
    bool hidden;
};

static const struct api_param listing_params[] = {
    {.name = "path",
     .type = PARAM_STRING,
     .offset = offsetof(struct listing_params, path),
     .text = "the folder, " PATH_TEXT,
     .default_text = "\"\""},
    {.name = "hidden",
     .type = PARAM_BOOL,
     .offset = offsetof(struct listing_params, hidden),
     .text = "also what begins with a dot",
     .default_text = "false"},
};

static void handle_listing(struct api_call *call, const void *params)
{
    const struct listing_params *p = params;
    struct files_op *op = files_op_new(call, HOME_LIST, one_path(call, p->path ? p->path : ""), 1);
    op->home.hidden = p->hidden;
    run_files_op(op);
}

static const struct api_example listing_examples[] = {
    {"The home folder:", FILES_EXAMPLE("system.listing", "{\"path\":\"\"}"),
     "[{\"name\":\"Assignments\",\"isdir\":true,\"size\":1,\"mtime\":1756489740.133}]"},
};

const struct api_endpoint project_system_listing = {
    PROJECT_METHOD("system.listing"),
    .run = API_ASYNC,
    .text = "Lists a folder in the order of its names.",
    API_PARAMS(listing_params, struct listing_params),
    .result = "{\"type\":\"array\",\"items\":{\"type\":\"object\",\"required\":[\"name\"],"
              "\"properties\":{\"name\":{\"type\":\"string\"},\"isdir\":{\"type\":\"boolean\"},"
              "\"issymlink\":{\"type\":\"boolean\"},\"link_target\":{\"type\":\"string\"},"
              "\"size\":{\"type\":\"integer\"},\"mtime\":{\"type\":\"number\"},\"error\":{"
              "\"type\":\"string\"}}}}",
    API_EXAMPLES(listing_examples),
    .notes = "The size of a folder is the number of its entries; it is left out where counting "
             "would take long. A link has the size and time of what it leads to, if that is "
             "in the home folder and the link is relative, else its own.",
    .handler = handle_listing,
};

// ---- system.deleteFiles ----

struct delete_params {
    struct api_strings paths;
};

static const struct api_param delete_params[] = {
    {.name = "paths",
     .type = PARAM_STRINGS,
     .required = true,
     .offset = offsetof(struct delete_params, paths),
     .text = "files and folders, each " PATH_TEXT},
};

static void handle_delete(struct api_call *call, const void *params)
{
    const struct delete_params *p = params;
    run_files_op(files_op_new(call, HOME_REMOVE, p->paths.items, p->paths.count));
}

static const struct api_example delete_examples[] = {
    {"A file that need not be there:",
     FILES_EXAMPLE("system.deleteFiles", "{\"paths\":[\"missing.txt\"]}"), "null"},
};

const struct api_endpoint project_system_delete_files = {
    PROJECT_METHOD("system.deleteFiles"),
    .run = API_ASYNC,
    .text = "Removes files, and folders with all that is in them. What is missing is no error.",
    API_PARAMS(delete_params, struct delete_params),
    .result = NULL_SCHEMA,
    API_EXAMPLES(delete_examples),
    .handler = handle_delete,
};

// ---- system.moveFiles ----

struct move_params {
    struct api_strings paths;
    const char *dest;
};

static const struct api_param move_params[] = {
    {.name = "paths",
     .type = PARAM_STRINGS,
     .required = true,
     .offset = offsetof(struct move_params, paths),
     .text = "files and folders, each " PATH_TEXT},
    {.name = "dest",
     .type = PARAM_STRING,
     .required = true,
     .offset = offsetof(struct move_params, dest),
     .text = "the folder that they come into, " PATH_TEXT},
};

static void handle_move(struct api_call *call, const void *params)
{
    const struct move_params *p = params;
    struct files_op *op = files_op_new(call, HOME_MOVE, p->paths.items, p->paths.count);
    op->home.dest = p->dest;
    run_files_op(op);
}

static const struct api_example move_examples[] = {
    {"A file from a folder into the home:",
     FILES_EXAMPLE("system.moveFiles", "{\"paths\":[\"A/doc.txt\"],\"dest\":\"\"}"), "null"},
};

const struct api_endpoint project_system_move_files = {
    PROJECT_METHOD("system.moveFiles"),
    .run = API_ASYNC,
    .text = "Moves files and folders into a folder. Nothing is replaced: the first that cannot be "
            "moved is the error, and those behind it stay.",
    API_PARAMS(move_params, struct move_params),
    .result = NULL_SCHEMA,
    API_EXAMPLES(move_examples),
    .handler = handle_move,
};

// ---- system.renameFile ----

struct rename_params {
    const char *src, *dest;
};

static const struct api_param rename_params[] = {
    {.name = "src",
     .type = PARAM_STRING,
     .required = true,
     .offset = offsetof(struct rename_params, src),
     .text = "a file or folder, " PATH_TEXT},
    {.name = "dest",
     .type = PARAM_STRING,
     .required = true,
     .offset = offsetof(struct rename_params, dest),
     .text = "its new path, " PATH_TEXT},
};

static void handle_rename(struct api_call *call, const void *params)
{
    const struct rename_params *p = params;
    struct files_op *op = files_op_new(call, HOME_RENAME, one_path(call, p->src), 1);
    op->home.dest = p->dest;
    run_files_op(op);
}

static const struct api_example rename_examples[] = {
    {"", FILES_EXAMPLE("system.renameFile", "{\"src\":\"A/doc.txt\",\"dest\":\"A/notes.txt\"}"),
     "null"},
    {"A file that is missing:",
     FILES_EXAMPLE("system.renameFile", "{\"src\":\"missing.txt\",\"dest\":\"found.txt\"}"),
     "{\"error\":\"Error: ENOENT: no such file or directory, rename 'missing.txt'\"}"},
};

const struct api_endpoint project_system_rename_file = {
    PROJECT_METHOD("system.renameFile"),
    .run = API_ASYNC,
    .text = "Gives a file or folder another path. Nothing is replaced.",
    API_PARAMS(rename_params, struct rename_params),
    .result = NULL_SCHEMA,
    API_EXAMPLES(rename_examples),
    .handler = handle_rename,
};

// ---- system.realpath, system.canonicalPaths ----

struct path_params {
    const char *path;
};

static const struct api_param realpath_params[] = {
    {.name = "path",
     .type = PARAM_STRING,
     .required = true,
     .offset = offsetof(struct path_params, path),
     .text = PATH_TEXT},
};

static void handle_realpath(struct api_call *call, const void *params)
{
    const struct path_params *p = params;
    struct files_op *op = files_op_new(call, HOME_RESOLVE, one_path(call, p->path), 1);
    op->first_only = true;
    run_files_op(op);
}

static const struct api_example realpath_examples[] = {
    {"Where a file really is:", FILES_EXAMPLE("system.realpath", "\"./Assignments\""),
     "\"Assignments\""},
};

const struct api_endpoint project_system_realpath = {
    PROJECT_METHOD("system.realpath"),
    .args = ARGS_LIST,
    .run = API_ASYNC,
    .text = "Answers with a path relative to the home folder in which all links are resolved. One "
            "whose links lead out of the home folder comes back as it is.",
    API_PARAMS(realpath_params, struct path_params),
    .result = "{\"type\":\"string\"}",
    API_EXAMPLES(realpath_examples),
    .handler = handle_realpath,
};

static const struct api_param canonical_params[] = {
    {.name = "paths",
     .type = PARAM_STRINGS,
     .required = true,
     .offset = offsetof(struct delete_params, paths),
     .text = "each " PATH_TEXT},
};

static void handle_canonical(struct api_call *call, const void *params)
{
    const struct delete_params *p = params;
    struct files_op *op = files_op_new(call, HOME_RESOLVE, p->paths.items, p->paths.count);
    op->home.lenient = true;
    run_files_op(op);
}

static const struct api_example canonical_examples[] = {
    {"Where files really are:",
     FILES_EXAMPLE("system.canonicalPaths", "[\"./Assignments\",\"missing.txt\"]"),
     "[\"Assignments\",\"missing.txt\"]"},
};

const struct api_endpoint project_system_canonical_paths = {
    PROJECT_METHOD("system.canonicalPaths"),
    .args = ARGS_LIST,
    .run = API_ASYNC,
    .text = "The same for many paths. What is missing comes back as it is.",
    API_PARAMS(canonical_params, struct delete_params),
    .result = "{\"type\":\"array\",\"items\":{\"type\":\"string\"}}",
    API_EXAMPLES(canonical_examples),
    .handler = handle_canonical,
};

// ---- Text files ----

struct text_op {
    struct api_call *call;
    struct text_file file;
};

static int hold_text(struct text_file *file, size_t size, struct err *err)
{
    return api_hold(CONTAINER(file, struct text_op, file)->call, size, err);
}

// Why it failed, as Node.js says it.
static struct err text_error(const struct text_file *file)
{
    struct err err = file->err;
    char text[ERR_ERRNO_TEXT_SIZE];
    err_errno_text(err.sys_errno, text);
    if (err.sys_errno)
        err_set_errno(&err, file->err.code, file->err.sys_errno, "%s: %s, %s '%.300s'",
                      err_errno_name(file->err.sys_errno), text, file->syscall,
                      file->full_path.data);
    return err;
}

static void write_text(struct buf *out, void *arg)
{
    const struct text_file *file = arg;
    json_strn(out, file->data.data, file->data.size);
}

static void dispose_text(void *file)
{
    text_file_dispose(file);
}

static void on_text_done(struct text_file *file)
{
    struct api_call *call = CONTAINER(file, struct text_op, file)->call;
    if (!file->rc && !file->write) {
        api_send_written(call, file->data.size, write_text, dispose_text, file);
        return;
    }
    const bool failed = file->rc;
    struct err err;
    if (failed)
        err = text_error(file);
    text_file_dispose(file);
    if (failed)
        rpc_fail(call, &err);
    else
        rpc_null(call);
}

static struct text_file *text_op_new(struct api_call *call, const char *path)
{
    struct text_op *op = arena_zalloc(call->arena, sizeof *op);
    op->call = call;
    op->file = (struct text_file){
        .project_id = call->project_id,
        .path = path,
        .content = "",
        .owner = api_owner(call),
        .hold = hold_text,
        .loop = call->loop,
        .done = on_text_done,
    };
    return &op->file;
}

static const struct api_param read_params[] = {
    {.name = "path",
     .type = PARAM_STRING,
     .required = true,
     .offset = offsetof(struct path_params, path),
     .text = "path of the file, relative to the home folder unless it begins with /"},
};

static void handle_read(struct api_call *call, const void *params)
{
    const struct path_params *p = params;
    text_file_read(call->svc, text_op_new(call, p->path));
}

static const struct api_example read_examples[] = {
    {"A file:",
     FILES_EXAMPLE("system.readTextFileFromProject", "{\"path\":\"Assignments/A1/h1.txt\"}"),
     "\"hello\""},
};

const struct api_endpoint project_system_read_text_file_from_project = {
    PROJECT_METHOD("system.readTextFileFromProject"),
    .run = API_ASYNC,
    .text = "Reads a text file of at most 10 MB. Bytes that are not UTF-8 become U+FFFD.",
    API_PARAMS(read_params, struct path_params),
    .result = "{\"type\":\"string\"}",
    API_EXAMPLES(read_examples),
    .handler = handle_read,
};

struct write_params {
    const char *path, *content;
};

static const struct api_param write_params[] = {
    {.name = "path",
     .type = PARAM_STRING,
     .required = true,
     .offset = offsetof(struct write_params, path),
     .text = "path of the file, relative to the home folder unless it begins with /"},
    {.name = "content",
     .type = PARAM_STRING,
     .required = true,
     .offset = offsetof(struct write_params, content),
     .text = "the whole new text of the file"},
};

static void handle_write(struct api_call *call, const void *params)
{
    const struct write_params *p = params;
    struct text_file *file = text_op_new(call, p->path);
    file->content = p->content;
    file->content_size = strlen(p->content);
    text_file_write(call->svc, file);
}

static const struct api_example write_examples[] = {
    {"A file of two lines:",
     FILES_EXAMPLE("system.writeTextFileToProject",
                   "{\"path\":\"Assignments/A1/h1.txt\",\"content\":\"hello\\nworld\\n\"}"),
     "null"},
};

const struct api_endpoint project_system_write_text_file_to_project = {
    PROJECT_METHOD("system.writeTextFileToProject"),
    .run = API_ASYNC,
    .text = "Makes a text file, or replaces the one that is there; folders above it are made as "
            "needed.",
    API_PARAMS(write_params, struct write_params),
    .result = NULL_SCHEMA,
    API_EXAMPLES(write_examples),
    .handler = handle_write,
};

// ---- editor.newFile ----

static const struct api_param new_params[] = {
    {.name = "path",
     .type = PARAM_STRING,
     .required = true,
     .offset = offsetof(struct path_params, path),
     .text = PATH_TEXT},
};

static void handle_new(struct api_call *call, const void *params)
{
    const struct path_params *p = params;
    struct text_file *file = text_op_new(call, p->path);
    file->keep = true;
    text_file_write(call->svc, file);
}

static const struct api_example new_examples[] = {
    {"An empty file:", FILES_EXAMPLE("editor.newFile", "\"Assignments/A1/new.txt\""), "null"},
};

const struct api_endpoint project_editor_new_file = {
    PROJECT_METHOD("editor.newFile"),
    .args = ARGS_LIST,
    .run = API_ASYNC,
    .text = "Makes an empty file, and the folders above it. What is there already stays as it is.",
    API_PARAMS(new_params, struct path_params),
    .result = NULL_SCHEMA,
    API_EXAMPLES(new_examples),
    .handler = handle_new,
};

// ---- system.version ----

static void handle_version(struct api_call *call, const void *params UNUSED)
{
    json_int(rpc_result(call), FRAME_PROTOCOL_VERSION);
    rpc_send(call);
}

static const struct api_example version_examples[] = {
    {"Which version?", FILES_EXAMPLE("system.version", "{}"), "2"},
};

const struct api_endpoint project_system_version = {
    PROJECT_METHOD("system.version"),
    .run = API_INSTANT,
    .text = "Answers with the version of the protocol that the server speaks with what runs in its "
            "projects, as `projects.status` does.",
    .result = "{\"type\":\"integer\"}",
    API_EXAMPLES(version_examples),
    .handler = handle_version,
};
