// SPDX-License-Identifier: AGPL-3.0-or-later
// read_text_file_from_project, write_text_file_to_project (api-v1 3.10, 3.11).
#include <string.h>

#include "api/v1/endpoints.h"
#include "base/limits.h"
#include "http/http.h"
#include "svc/files.h"
#include "svc/project.h"

// A failed system call is an object, as file errors of the original were; anything else is a text.
static void write_file_error(struct buf *out, const struct text_file *file)
{
    if (!file->err.sys_errno) {
        json_str(out, file->err.message);
        return;
    }
    json_begin_object(out);
    json_member_int(out, "errno", -file->err.sys_errno);
    json_member_str(out, "code", err_errno_name(file->err.sys_errno));
    json_member_str(out, "syscall", file->syscall);
    json_member_str(out, "path", file->full_path.data);
    json_end_object(out);
}

// ---- read_text_file_from_project ----

struct read_params {
    struct api_strings project_id, path;
};

static const struct api_param read_params[] = {
    {.name = "project_id",
     .type = PARAM_STRING_OR_LIST,
     .required = true,
     .is_uuid = true,
     .offset = offsetof(struct read_params, project_id),
     .text = "project with the file, or a list of projects"},
    {.name = "path",
     .type = PARAM_STRING_OR_LIST,
     .required = true,
     .offset = offsetof(struct read_params, path),
     .text = "path of the file in the project, relative to its home folder unless it begins with "
             "/; or a list, as long as"
             " that of the projects"},
};

static const struct api_member read_members[] = {
    {.name = "content",
     .schema = "{\"oneOf\":[{\"type\":\"string\"},{\"type\":\"array\",\"items\":{\"type\":"
               "\"object\",\"required\":["
               "\"project_id\",\"path\"],\"properties\":{\"project_id\":{\"type\":\"string\"},"
               "\"path\":{\"type\":"
               "\"string\"},\"content\":{\"type\":\"string\"},\"error\":{}}}}]}"},
};

static const struct api_example read_examples[] = {
    {"One file:",
     CURL " -d project_id=" EXAMPLE_PROJECT
          " \\\n -d path=Assignments/A1/h1.txt \\\n" URL("read_text_file_from_project"),
     "{\"event\":\"text_file_read_from_project\",\"id\":\"481d6055-5609-450f-a229-480e518b2f84\","
     "\"content\":\"hello\"}"},
    {"Two files at once:",
     CURL_JSON " -d '{\"project_id\":[\"" EXAMPLE_PROJECT "\",\"" EXAMPLE_PROJECT "\"],"
               "\"path\":[\"Assignments/A1/h1.txt\",\"missing.txt\"]}' \\\n" URL(
                   "read_text_file_from_project"),
     "{\"event\":\"text_file_read_from_project\",\"id\":\"481d6055-5609-450f-a229-480e518b2f84\","
     "\"content\":["
     "{\"project_id\":\"" EXAMPLE_PROJECT
     "\",\"path\":\"Assignments/A1/h1.txt\",\"content\":\"hello\"},"
     "{\"project_id\":\"" EXAMPLE_PROJECT
     "\",\"path\":\"missing.txt\",\"error\":{\"errno\":-2,\"code\":\"ENOENT\","
     "\"syscall\":\"stat\",\"path\":\"/projects/" EXAMPLE_PROJECT "/missing.txt\"}}]}"},
};

static void write_content(struct buf *out, const struct text_file *file)
{
    json_key(out, "content");
    json_strn(out, file->data.data, file->data.size);
}

struct file_op {
    struct api_call *call;
    struct text_file file;
};

static int hold_one(struct text_file *file, size_t size, struct err *err)
{
    return api_hold(CONTAINER(file, struct file_op, file)->call, size, err);
}

static void write_one(struct buf *out, void *file)
{
    write_content(out, file);
}

static void dispose_one(void *file)
{
    text_file_dispose(file);
}

// The reply to a call for one file: with its content if it was read.
static void on_file_done(struct text_file *file)
{
    struct file_op *op = CONTAINER(file, struct file_op, file);
    struct api_call *call = op->call;
    if (file->rc == -ERR_NO_MEMORY) {
        const struct err err = file->err;
        text_file_dispose(file);
        api_fail(call, &err);
        return;
    }
    struct buf *out = file->rc ? api_reply_event(call, "error") : api_reply(call);
    if (file->rc) {
        http_request_set_error(call->request, &file->err);
        json_key(out, "error");
        write_file_error(out, file);
    } else if (!file->write) {
        api_send_written(call, file->data.size, write_one, dispose_one, file);
        return;
    }
    text_file_dispose(file);
    api_send(call);
}

static struct file_op *file_op_new(struct api_call *call, const struct uuid *project_id,
                                   const char *path)
{
    struct file_op *op = arena_zalloc(call->arena, sizeof *op);
    op->call = call;
    op->file = (struct text_file){.project_id = *project_id,
                                  .path = path,
                                  .owner = api_owner(call),
                                  .hold = hold_one,
                                  .loop = call->loop,
                                  .done = on_file_done};
    return op;
}

// Many files: some at once, written to the reply in the order in which they come, when all are
// here.
struct read_many {
    struct api_call *call;
    const struct read_params *params;
    const struct uuid *project_ids;
    size_t started, finished;
    atomic_size_t held;
    struct read_many_file *first, **end;
};

struct read_many_file {
    struct read_many *op;
    size_t index;
    struct read_many_file *next;
    struct text_file file;
};

static void read_next(struct read_many *op);

static int too_large_together(struct err *err)
{
    return err_set(err, ERR_TOO_LARGE,
                   "The files are too large to be read in one call; read this one by itself.");
}

static int hold_one_of_many(struct text_file *file, size_t size, struct err *err)
{
    struct read_many *op = CONTAINER(file, struct read_many_file, file)->op;
    int rc = 0;
    if (atomic_fetch_add(&op->held, size) + size > LIMIT_TEXT_FILES_SIZE)
        rc = too_large_together(err);
    else
        rc = api_hold(op->call, size, err);
    if (rc)
        atomic_fetch_sub(&op->held, size);
    return rc;
}

static void write_many_file(struct buf *out, struct read_many_file *one)
{
    const struct read_params *params = one->op->params;
    struct text_file *file = &one->file;
    if (!file->rc && out->size + file->data.size > LIMIT_TEXT_FILES_SIZE)
        file->rc = too_large_together(&file->err);
    json_begin_object(out);
    json_member_str(out, "project_id", params->project_id.items[one->index]);
    json_member_str(out, "path", params->path.items[one->index]);
    if (file->rc) {
        json_key(out, "error");
        write_file_error(out, file);
    } else {
        write_content(out, file);
    }
    json_end_object(out);
}

static void write_many(struct buf *out, void *arg)
{
    const struct read_many *op = arg;
    json_key(out, "content");
    json_begin_array(out);
    for (struct read_many_file *one = op->first; one; one = one->next) {
        write_many_file(out, one);
        text_file_dispose(&one->file);
    }
    json_end_array(out);
}

static void dispose_many(void *arg)
{
    const struct read_many *op = arg;
    for (struct read_many_file *one = op->first; one; one = one->next)
        text_file_dispose(&one->file);
}

static void on_one_of_many(struct text_file *file)
{
    struct read_many_file *one = CONTAINER(file, struct read_many_file, file);
    struct read_many *op = one->op;
    *op->end = one;
    op->end = &one->next;
    op->finished++;
    if (op->finished < op->params->path.count) {
        read_next(op);
        return;
    }
    api_reply(op->call);
    api_send_written(op->call, op->held, write_many, dispose_many, op);
}

static void read_next(struct read_many *op)
{
    if (op->started == op->params->path.count)
        return;
    struct read_many_file *one = arena_zalloc(op->call->arena, sizeof *one);
    one->op = op;
    one->index = op->started++;
    one->file = (struct text_file){.project_id = op->project_ids[one->index],
                                   .path = op->params->path.items[one->index],
                                   .owner = api_owner(op->call),
                                   .hold = hold_one_of_many,
                                   .loop = op->call->loop,
                                   .done = on_one_of_many};
    text_file_read(op->call->svc, &one->file);
}

static void read_many(struct api_call *call, const struct read_params *params,
                      const struct uuid *project_ids)
{
    struct read_many *op = arena_zalloc(call->arena, sizeof *op);
    op->call = call;
    op->params = params;
    op->project_ids = project_ids;
    op->end = &op->first;
    for (size_t i = 0; i < LIMIT_TEXT_FILES_AT_ONCE; i++)
        read_next(op);
}

static const char *shape_problem(const struct read_params *p)
{
    if (p->project_id.is_list && (!p->path.is_list || p->path.count != p->project_id.count))
        return "if project_id is an array, then path must be an array of the same length";
    if (!p->project_id.is_list && p->path.is_list)
        return "if path is an array, then project_id must be an array of the same length";
    return p->path.count > LIMIT_TEXT_FILES ? "too many files in one call" : NULL;
}

static void handle_read(struct api_call *call, const void *params)
{
    const struct read_params *p = params;
    const char *problem = shape_problem(p);
    if (problem) {
        api_error(call, "%s", problem);
        return;
    }
    struct err err;
    struct uuid *ids = arena_alloc(call->arena, (p->project_id.count + 1) * sizeof *ids);
    for (size_t i = 0; i < p->project_id.count; i++) {
        if (project_gate(call->session, &call->caller, p->project_id.items[i], ACCESS_READ, &ids[i],
                         &err)) {
            api_fail(call, &err);
            return;
        }
        project_mark_edited(call->svc, &ids[i]);
    }
    if (!p->project_id.is_list) {
        text_file_read(call->svc, &file_op_new(call, &ids[0], p->path.items[0])->file);
    } else if (p->path.count) {
        read_many(call, p, ids);
    } else {
        struct buf *out = api_reply(call);
        json_key(out, "content");
        json_raw(out, "[]", 2);
        api_send(call);
    }
}

const struct api_endpoint v1_read_text_file_from_project = {
    .name = "read_text_file_from_project",
    .access = API_ACCOUNT,
    .run = API_ASYNC,
    .text = "Reads a text file of a project, or many files of many projects in one call. Bytes "
            "that are not UTF-8 become"
            " U+FFFD; a file may have 10 MB at most.",
    API_PARAMS(read_params, struct read_params),
    .reply_event = "text_file_read_from_project",
    API_MEMBERS(read_members),
    API_EXAMPLES(read_examples),
    .notes = "Files in the home folder are read without starting the project. A file that cannot "
             "be read has, in place of"
             " `content`, an `error`: a text, or an object with the failed system call.",
    .handler = handle_read,
};

// ---- write_text_file_to_project ----

struct write_params {
    const char *project_id, *path, *content;
};

static const struct api_param write_params[] = {
    {.name = "project_id",
     .type = PARAM_STRING,
     .required = true,
     .is_uuid = true,
     .offset = offsetof(struct write_params, project_id),
     .text = "project that gets the file"},
    {.name = "path",
     .type = PARAM_STRING,
     .required = true,
     .offset = offsetof(struct write_params, path),
     .text =
         "path of the file in the project, relative to its home folder unless it begins with /"},
    {.name = "content",
     .type = PARAM_STRING,
     .required = true,
     .offset = offsetof(struct write_params, content),
     .text = "the whole new text of the file"},
};

static const struct api_example write_examples[] = {
    {"A file of two lines:",
     CURL " -d project_id=" EXAMPLE_PROJECT
          " \\\n -d \"content=hello$'\\n'world\" \\\n -d path=Assignments/A1/h1.txt"
          " \\\n" URL("write_text_file_to_project"),
     "{\"event\":\"file_written_to_project\",\"id\":\"0d5d3a0c-3d0c-4b5e-8a3e-7b1f9d2c4e6a\"}"},
};

static void handle_write(struct api_call *call, const void *params)
{
    const struct write_params *p = params;
    struct uuid id;
    struct err err;
    if (project_gate(call->session, &call->caller, p->project_id, ACCESS_WRITE, &id, &err)) {
        api_fail(call, &err);
        return;
    }
    project_mark_edited(call->svc, &id);
    struct file_op *op = file_op_new(call, &id, p->path);
    op->file.content = p->content;
    op->file.content_size = strlen(p->content);
    text_file_write(call->svc, &op->file);
}

const struct api_endpoint v1_write_text_file_to_project = {
    .name = "write_text_file_to_project",
    .access = API_ACCOUNT,
    .run = API_ASYNC,
    .text = "Makes a text file in a project, or replaces the one that is there; folders above it "
            "are made as needed. When the"
            " reply comes, the file is safe on disk; at no time is half of it to be seen.",
    API_PARAMS(write_params, struct write_params),
    .reply_event = "file_written_to_project",
    API_EXAMPLES(write_examples),
    .handler = handle_write,
};
