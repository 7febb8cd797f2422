// SPDX-License-Identifier: AGPL-3.0-or-later
// Replies with much text: written as JSON by a worker, as the loop has other clients.
#include "api/rpc.h"
#include "base/limits.h"

struct writing {
    struct work work;
    struct api_call *call;
    api_write_fn *write;
    void (*dispose)(void *arg);
    void *arg;
};

static void write_now(struct work *work)
{
    struct writing *w = CONTAINER(work, struct writing, work);
    w->write(&w->call->reply, w->arg);
}

static void on_written(struct work *work)
{
    struct writing *w = CONTAINER(work, struct writing, work);
    w->dispose(w->arg);
    if (w->call->endpoint->family == API_V1)
        api_send(w->call);
    else
        rpc_send(w->call);
}

void api_send_written(struct api_call *call, size_t size, api_write_fn *write,
                      void (*dispose)(void *arg), void *arg)
{
    struct writing *w = arena_zalloc(call->arena, sizeof *w);
    *w = (struct writing){.call = call, .write = write, .dispose = dispose, .arg = arg};
    if (size > LIMIT_OUTPUT_INLINE) {
        const bool submitted = work_submit_gated(call->loop, &call->svc->rendering, &w->work, NULL,
                                                 write_now, on_written);
        assert(submitted);
        return;
    }
    write_now(&w->work);
    on_written(&w->work);
}
