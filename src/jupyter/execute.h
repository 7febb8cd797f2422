// SPDX-License-Identifier: AGPL-3.0-or-later
// One execution: code that runs in a fresh kernel (hub-rpc 7.2 to 7.4).
//
// It waits for its turn, takes a kernel, waits until that is ready, and has it run up to three
// cells: the change of the folder, the history and the input, whose output is the result.
#ifndef JUPYTER_EXECUTE_H
#define JUPYTER_EXECUTE_H

#include "jupyter/cell.h"
#include "jupyter/pool.h"

struct execution;

// From a request, which it takes over. NULL if the request is none.
struct execution *execution_new(cJSON **request, struct err *err);
void execution_free(struct execution *execution); // its kernel ends

// Begins: takes a kernel.
void execution_begin(struct execution *execution, struct pools *pools);
bool execution_has_begun(const struct execution *execution);
void execution_tick(struct execution *execution, const struct pools *pools, uint64_t now_us);
void execution_watch(const struct execution *execution, struct watch_set *set);
bool execution_done(const struct execution *execution);
// Appends the answer of one that is done.
void execution_write(const struct execution *execution, struct buf *out);

#endif
