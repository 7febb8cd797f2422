// SPDX-License-Identifier: AGPL-3.0-or-later
// A database with some rows and the engine of queries on it. It is a file in a temporary folder, or
// the PostgreSQL database that the environment names (tests/postgres.py).
#ifndef TESTS_UNIT_QUERY_FIXTURE_H
#define TESTS_UNIT_QUERY_FIXTURE_H

#include "query/query.h"

extern struct query_fixture {
    struct db *db;
    struct db_session *session;
    struct query_schema *schema;
} fixture;

// Opens it. `rows` are statements that run in one transaction. 0, or -1 with a line on standard
// error.
int query_fixture_open(const struct query_table *const *tables, const char *const *rows,
                       size_t rows_count);
// Closes it and removes the folder.
int query_fixture_close(void);

// Parses and runs one query; what a get gives is appended to `out`.
int query_fixture_run(const struct query_request *request, const cJSON *query, struct buf *out,
                      struct err *err);
// What one query costs, which can be parsed. `request` needs no arena.
enum query_cost query_fixture_cost(const struct query_request *request, const char *text);

#endif
