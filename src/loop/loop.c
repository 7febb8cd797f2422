// SPDX-License-Identifier: AGPL-3.0-or-later
#include "loop/loop.h"

#include <stdlib.h>

#include "base/mem.h"

static struct loop_message *take_messages(struct loop *loop)
{
    pthread_mutex_lock(&loop->lock);
    struct loop_message *first = loop->first;
    loop->first = NULL;
    loop->last = &loop->first;
    pthread_mutex_unlock(&loop->lock);
    return first;
}

static void run_messages(struct loop *loop)
{
    for (struct loop_message *m = take_messages(loop), *next; m; m = next) {
        next = m->next;
        m->fn(m);
    }
}

static void on_wake(uv_async_t *wake)
{
    run_messages(CONTAINER(wake, struct loop, wake));
}

int loop_init(struct loop *loop, struct err *err)
{
    *loop = (struct loop){.last = &loop->first};
    int rc = uv_loop_init(&loop->uv);
    if (rc)
        return err_internal(err, "uv_loop_init: %s", uv_strerror(rc));
    rc = uv_async_init(&loop->uv, &loop->wake, on_wake);
    if (rc) {
        uv_loop_close(&loop->uv);
        return err_internal(err, "uv_async_init: %s", uv_strerror(rc));
    }
    pthread_mutex_init(&loop->lock, NULL);
    return 0;
}

void loop_run(struct loop *loop)
{
    uv_run(&loop->uv, UV_RUN_DEFAULT);
}

struct stop_message {
    struct loop_message message;
    struct loop *loop;
};

static void on_stop(struct loop_message *message)
{
    struct stop_message *stop = CONTAINER(message, struct stop_message, message);
    uv_stop(&stop->loop->uv);
    free(stop);
}

void loop_stop(struct loop *loop)
{
    struct stop_message *stop = mem_alloc(sizeof *stop);
    stop->loop = loop;
    loop_post(loop, &stop->message, on_stop);
}

static void close_handle(uv_handle_t *handle, void *data UNUSED)
{
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

void loop_dispose(struct loop *loop)
{
    run_messages(loop);
    uv_walk(&loop->uv, close_handle, NULL);
    uv_run(&loop->uv, UV_RUN_DEFAULT);
    int rc = uv_loop_close(&loop->uv);
    assert(rc == 0);
    pthread_mutex_destroy(&loop->lock);
}

void loop_post(struct loop *loop, struct loop_message *message, loop_message_fn *fn)
{
    message->next = NULL;
    message->fn = fn;
    pthread_mutex_lock(&loop->lock);
    bool was_empty = !loop->first;
    *loop->last = message;
    loop->last = &message->next;
    pthread_mutex_unlock(&loop->lock);
    if (was_empty)
        uv_async_send(&loop->wake);
}
