// SPDX-License-Identifier: AGPL-3.0-or-later
// What handlers of RPC methods answer with (hub-rpc 1.4, 1.5). The status is 200 whatever comes,
// unless there is no memory for it.
//
// A method whose caller has waited long enough is answered for by the dispatcher; its handler goes
// on, and what it answers then is dropped.
#ifndef API_RPC_H
#define API_RPC_H

#include "api/api.h"

// ---- Answering: exactly one of these, once a call ----

// The buffer for the result: one JSON value. rpc_send sends it.
struct buf *rpc_result(struct api_call *call);
void rpc_send(struct api_call *call);
void rpc_null(struct api_call *call);
// An exception of the method: {"error":"Error: TEXT"}.
void rpc_refuse(struct api_call *call, const char *fmt, ...) PRINTF_LIKE(2, 3);
// {"error":TEXT}, for texts with another class ("OwnershipError: ") or none.
void rpc_refuse_bare(struct api_call *call, const char *fmt, ...) PRINTF_LIKE(2, 3);
// The same with the public text of `err`, which is noted for the log. ERR_NO_MEMORY: its text
// alone, with status 503.
void rpc_fail(struct api_call *call, const struct err *err);
void rpc_fail_bare(struct api_call *call, const struct err *err);

// How long the caller waits, from when the method began, in ms.
double rpc_timeout_ms(const struct api_call *call);

// ---- What many methods do. In a handler, before it returns ----

// Reads an id. If the text is none, answers in the database's words and returns false.
bool rpc_uuid(struct api_call *call, const char *text, struct uuid *ret_id);
// Whether the caller is an owner or a collaborator of the project; that it is an administrator does
// not count. If not, answers with `refusal` as rpc_refuse does, or that the id is no UUID, and
// returns false.
bool rpc_collaborator(struct api_call *call, const char *project_id, const char *refusal,
                      struct uuid *ret_project_id);
// Runs `fn(txn, arg)` as a transaction (db_write) and answers: the failure, as rpc_fail does, or by
// `answer` (NULL: null).
void rpc_write(struct api_call *call, db_txn_fn *fn, void *arg,
               void (*answer)(struct api_call *call, void *arg));

#endif
