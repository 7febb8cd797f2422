// SPDX-License-Identifier: AGPL-3.0-or-later
#include "query_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

struct query_fixture fixture;

static char folder[64];

struct rows {
    const char *const *statements;
    size_t count;
};

static int insert(struct db_session *txn, void *arg, struct err *err)
{
    const struct rows *rows = arg;
    int rc = 0;
    for (size_t i = 0; !rc && i < rows->count; i++)
        rc = db_exec_text(txn, rows->statements[i], DB_NO_ARGS, NULL, err);
    return rc;
}

int query_fixture_open(const struct query_table *const *tables, const char *const *statements,
                       size_t count)
{
    struct rows rows = {statements, count};
    struct err err = {0};
    const char *url = getenv("COHUB_TEST_POSTGRES");
    strcpy(folder, "/tmp/cohub-test-XXXXXX");
    if (!mkdtemp(folder) || chdir(folder))
        return -1;
    fixture.schema = query_schema_new(tables);
    if (db_open(url ? url : "sqlite:db", &fixture.db, &err) ||
        db_write(fixture.db, insert, &rows, &err) ||
        db_session_open(fixture.db, &fixture.session, &err)) {
        fprintf(stderr, "%s %s\n", err.message, err.detail);
        return -1;
    }
    return 0;
}

int query_fixture_close(void)
{
    db_session_close(fixture.session);
    db_close(fixture.db);
    query_schema_free(fixture.schema);
    auto_free char *command = mem_printf("rm -r %s", folder);
    return chdir("/") || system(command) ? -1 : 0;
}

int query_fixture_run(const struct query_request *request, const cJSON *query, struct buf *out,
                      struct err *err)
{
    struct query_one *one;
    int rc = query_one_parse(request, query, &one, err);
    if (rc || query_one_cost(one) == QUERY_IDLE)
        return rc;
    if (query_one_cost(one) != QUERY_WRITE)
        return query_one_get(fixture.session, one, out, err);
    rc = db_write(fixture.db, query_one_set, one, err);
    query_one_dispose(one);
    return rc;
}

enum query_cost query_fixture_cost(const struct query_request *request, const char *text)
{
    struct arena arena = {0};
    struct err err;
    struct query_one *one;
    auto_json cJSON *query = cJSON_Parse(text);
    struct query_request whole = *request;
    whole.arena = &arena;
    int rc = query_one_parse(&whole, query, &one, &err);
    assert(rc == 0);
    const enum query_cost cost = query_one_cost(one);
    arena_dispose(&arena);
    return cost;
}
