// SPDX-License-Identifier: AGPL-3.0-or-later
// User queries for API calls, methods and pages: runs what query/ has made of them where it belongs
// (reads by key at once, long reads and batches on a worker, writes in a transaction), and carries
// out what follows from a change.
#ifndef SVC_USER_QUERY_H
#define SVC_USER_QUERY_H

#include "base/limits.h"
#include "query/query.h"
#include "svc/svc.h"
#include "svc/tables/projects.h"

struct user_query {
    // in; what it points to is the caller's until `done`
    struct query_caller caller;
    enum query_dialect dialect;
    const cJSON *query;   // as sent
    const cJSON *options; // as sent, NULL if not
    struct arena *arena;  // the request's
    struct loop *loop;
    bool waits; // for the end of the action that a set asks a project for, whose failure is its own
    // Before a batch keeps so many bytes more between its turns, on `loop`; an error is the
    // query's.
    int (*hold)(struct user_query *query, size_t size, struct err *err);
    void (*done)(struct user_query *query);
    // out
    int rc;
    struct err err; // its text is the answer, in the contract's words
    // In: what stands before RESULT in the reply, so that a large one is not copied. Out: RESULT as
    // JSON behind it; to be freed.
    struct buf result;
    // the service's
    struct svc *svc;
    struct query_request request;
    struct query_one *one;
    size_t members;                      // of a batch, run so far
    size_t held;                         // of its result, by `hold`
    const struct project_action *action; // that the set has stored; NULL: none
    struct project_action_wait acting;
    // Where a batch and those in it go on, the innermost last.
    const cJSON *next[LIMIT_JSON_DEPTH];
    size_t depth;
    struct work work;
    struct db_write write;
};
// `done` may run before this returns, on the thread of `loop`. `session` is for that thread.
void user_query(struct svc *svc, struct db_session *session, struct user_query *query);

#endif
