// SPDX-License-Identifier: AGPL-3.0-or-later
#include "api/body.h"

#include "api/params.h"
#include "base/mem.h"
#include "http/http.h"
#include "loop/work.h"
#include "svc/svc.h"

// What is made of a smaller body is not counted.
#define PARSED_SIZE_MIN ((size_t)4096)
#define INLINE_SIZE_MAX ((size_t)64 * 1024)

// Of a large one.
struct body_work {
    struct body_read *read;
    struct err err;
    struct work work;
};

static void parse(struct body_read *read, struct err *err)
{
    size_t size;
    const char *text = http_request_body(read->request, &size);
    read->rc = params_read_body(read->content_type, text, size, &read->parsed, err);
}

static void free_body(void *body)
{
    cJSON_Delete(body);
}

static void finish(struct body_read *read, struct err *err)
{
    size_t size;
    http_request_body(read->request, &size);
    http_request_body_done(read->request);
    if (read->parsed)
        http_request_keep(read->request, read->parsed, free_body);
    read->body = read->parsed;
    if (read->parsed && size > PARSED_SIZE_MIN &&
        !http_request_memory_take(read->request, json_size(read->parsed)))
        read->rc = err_set(err, ERR_NO_MEMORY, ERR_MEMORY_TEXT);
    if (read->rc) {
        struct err *kept = arena_alloc(http_request_arena(read->request), sizeof *kept);
        *kept = *err;
        read->err = kept;
    }
    read->ready(read);
}

static void parse_now(struct work *work)
{
    struct body_work *body_work = CONTAINER(work, struct body_work, work);
    parse(body_work->read, &body_work->err);
}

static void on_parsed(struct work *work)
{
    struct body_work *body_work = CONTAINER(work, struct body_work, work);
    finish(body_work->read, &body_work->err);
}

static void parse_later(struct svc *svc, struct body_read *read, struct loop *loop)
{
    struct arena *arena = http_request_arena(read->request);
    struct body_work *body_work = arena_zalloc(arena, sizeof *body_work);
    body_work->read = read;
    if (read->content_type)
        read->content_type = arena_strdup(arena, read->content_type);
    bool submitted = work_submit_gated(loop, &svc->parsing, &body_work->work,
                                       http_request_client(read->request), parse_now, on_parsed);
    assert(submitted);
}

void body_read(struct svc *svc, struct http_request *request, struct loop *loop,
               struct body_read *read)
{
    size_t size;
    struct err err;
    http_request_body(request, &size);
    read->request = request;
    read->content_type = http_request_header(request, "Content-Type");
    read->waited = size > INLINE_SIZE_MAX;
    if (read->waited) {
        parse_later(svc, read, loop);
    } else {
        parse(read, &err);
        finish(read, &err);
    }
}
