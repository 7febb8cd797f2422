// SPDX-License-Identifier: AGPL-3.0-or-later
// Methods that read too much for an event loop: the reading is done on a worker, in turns with the
// queries of others.
#ifndef API_RPC_READ_H
#define API_RPC_READ_H

#include "api/rpc.h"

// Appends the method's result to `out`. Runs on a worker.
typedef int rpc_read_fn(struct db_session *session, void *arg, struct buf *out, struct err *err);
// Runs `fn` with all its reads seeing one state, and answers with what it appended, or with the
// failure as rpc_fail does. `arg` is the call's.
void rpc_read(struct api_call *call, rpc_read_fn *fn, void *arg);

#endif
