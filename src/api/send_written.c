// SPDX-License-Identifier: AGPL-3.0-or-later
// Replies with much text: written as JSON by a worker, as the loop has other clients.
#include "api/rpc.h"
#include "base/limits.h"
#include "http/http.h"

const char *api_owner(const struct api_call *call)
{
    const char *owner = call->project_key ? call->project_id.text : call->caller.account_id.text;
    return *owner ? owner : NULL;
}

int api_hold(struct api_call *call, size_t size, struct err *err)
{
    if (!http_request_memory_take(call->request, size))
        return err_set(err, ERR_NO_MEMORY, ERR_MEMORY_TEXT);
    call->held += size;
    return 0;
}

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
    if (!w->call->svc->drained)
        w->write(&w->call->reply, w->arg);
}

static void fail(struct api_call *call, const struct err *err)
{
    if (call->endpoint->family == API_V1)
        api_fail(call, err);
    else
        rpc_fail(call, err);
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
    struct err err;
    const bool is_long = size > LIMIT_OUTPUT_INLINE;
    if (is_long && size > call->held && api_hold(call, size - call->held, &err)) {
        dispose(arg);
        fail(call, &err);
        return;
    }
    struct writing *w = arena_zalloc(call->arena, sizeof *w);
    *w = (struct writing){.call = call, .write = write, .dispose = dispose, .arg = arg};
    if (is_long) {
        const bool submitted = work_submit_gated(call->loop, &call->svc->rendering, &w->work,
                                                 api_owner(call), write_now, on_written);
        assert(submitted);
        return;
    }
    write_now(&w->work);
    on_written(&w->work);
}
