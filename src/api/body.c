// SPDX-License-Identifier: AGPL-3.0-or-later
#include "api/body.h"

#include "api/params.h"
#include "http/http.h"

// What is made of a smaller body is not counted.
#define PARSED_SIZE_MIN ((size_t)4096)
#define INLINE_SIZE_MAX ((size_t)64 * 1024)

static void parse(struct body_read *read)
{
    size_t size;
    const char *text = http_request_body(read->request, &size);
    read->rc = params_read_body(read->content_type, text, size, &read->parsed, &read->err);
}

static void free_body(void *body)
{
    cJSON_Delete(body);
}

static void finish(struct body_read *read)
{
    size_t size;
    http_request_body(read->request, &size);
    if (read->parsed)
        http_request_keep(read->request, read->parsed, free_body);
    read->body = read->parsed;
    if (read->parsed && size > PARSED_SIZE_MIN &&
        !http_request_memory_take(read->request, json_size(read->parsed)))
        read->rc =
            err_set(&read->err, ERR_UNAVAILABLE, "the server is short of memory; try again later");
    read->ready(read);
}

static void parse_now(struct work *work)
{
    parse(CONTAINER(work, struct body_read, work));
}

static void on_parsed(struct work *work)
{
    finish(CONTAINER(work, struct body_read, work));
}

void body_read(struct svc *svc, struct http_request *request, struct loop *loop,
               struct body_read *read)
{
    size_t size;
    const char *content_type = http_request_header(request, "Content-Type");
    http_request_body(request, &size);
    read->request = request;
    read->parsed = NULL;
    read->waited = size > INLINE_SIZE_MAX;
    if (!read->waited) {
        read->content_type = content_type;
        parse(read);
        finish(read);
        return;
    }
    read->content_type =
        content_type ? arena_strdup(http_request_arena(request), content_type) : NULL;
    bool submitted = work_submit_gated(loop, &svc->parsing, &read->work,
                                       http_request_client(request), parse_now, on_parsed);
    assert(submitted);
}
