// SPDX-License-Identifier: AGPL-3.0-or-later
#include "api/rpc_read.h"

#include "loop/work.h"

struct rpc_read {
    struct api_call *call;
    rpc_read_fn *fn;
    void *arg;
    int rc;
    struct err err;
    struct work work;
};

static void read_now(struct work *work)
{
    struct rpc_read *op = CONTAINER(work, struct rpc_read, work);
    struct sessions *sessions = &op->call->svc->sessions;
    struct db_session *session = NULL;
    op->rc = sessions_take(sessions, &session, &op->err);
    if (op->rc)
        return;
    op->rc = db_read_begin(session, &op->err);
    if (!op->rc) {
        op->rc = op->fn(session, op->arg, rpc_result(op->call), &op->err);
        db_read_end(session);
    }
    sessions_give(sessions, session);
}

static void on_read(struct work *work)
{
    struct rpc_read *op = CONTAINER(work, struct rpc_read, work);
    if (op->rc)
        rpc_fail(op->call, &op->err);
    else
        rpc_send(op->call);
}

void rpc_read(struct api_call *call, rpc_read_fn *fn, void *arg)
{
    struct rpc_read *op = arena_zalloc(call->arena, sizeof *op);
    op->call = call;
    op->fn = fn;
    op->arg = arg;
    if (!work_submit_gated(call->loop, &call->svc->querying, &op->work,
                           call->caller.account_id.text, read_now, on_read))
        rpc_refuse(call, SVC_QUERIES_WAIT_TEXT);
}
