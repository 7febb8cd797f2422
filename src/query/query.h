// SPDX-License-Identifier: AGPL-3.0-or-later
// The engine of user queries: parse, check against the table's description, plan, run, reply
// (user-query.md).
//
// Names in SQL come from descriptions only, values are bound. Who runs a query (svc/user_query.h)
// takes it in steps, so that cheap reads run on an event loop, long ones on a worker and writes in
// a transaction.
//
// All functions fail with the contract's texts: what is not ERR_INTERNAL is the answer.
#ifndef QUERY_QUERY_H
#define QUERY_QUERY_H

#include "query/table.h"

// Tables made ready: names looked up, defaults parsed.
struct query_schema;
// `tables` ends with NULL and outlives it. A description that contradicts itself ends the program.
struct query_schema *query_schema_new(const struct query_table *const *tables);
void query_schema_free(struct query_schema *schema);

// What is the same for all members of a request.
struct query_request {
    const struct query_schema *schema;
    enum query_dialect dialect;
    struct query_caller caller;
    int64_t now_ms;
    const cJSON *options; // as sent, NULL if not; outlives the members
    void *ctx, *begun;    // for the routines of tables
    struct arena *arena;
};

// One query {TABLE: PATTERN}, as far as it can be checked without the database.
struct query_one;

enum query_cost {
    QUERY_POINT, // a get that reads a few rows by their keys: microseconds
    QUERY_SCAN,  // a get that may read many
    QUERY_WRITE, // a set
    QUERY_IDLE,  // a set with nothing to do: its RESULT is {}
};

// Makes a member ready, which lives as long as the arena and borrows `one` (an object) and the
// request. Checks what 11.1 has before administrator and rights; what comes behind is checked when
// it runs.
int query_one_parse(const struct query_request *request, const cJSON *one,
                    struct query_one **ret_one, struct err *err) MUST_USE;
enum query_cost query_one_cost(const struct query_one *one);
// Whether a set merges maps, which may be milliseconds of work.
bool query_one_merges(const struct query_one *one);
// The turn (db_write_in_turn) in which sets that merge maps of the same row run; 0: it merges none.
// Reads all of the key, of any size: not for an event loop.
uint64_t query_one_turn(const struct query_one *one);

// Appends the RESULT of a get.
int query_one_get(struct db_session *session, struct query_one *one, struct buf *out,
                  struct err *err) MUST_USE;
// The same of a QUERY_POINT on an event loop. *ret_large: its row takes long to write, and nothing
// was appended.
int query_one_get_small(struct db_session *session, struct query_one *one, struct buf *out,
                        bool *ret_large, struct err *err) MUST_USE;
// A db_txn_fn; `one` is a struct query_one of a set. Its RESULT is {}.
int query_one_set(struct db_session *txn, void *one, struct err *err);
// After the transaction of query_one_set is durable.
void query_one_committed(const struct query_one *one);
// Frees what runs of a set have left.
void query_one_dispose(struct query_one *one);

#endif
