// SPDX-License-Identifier: AGPL-3.0-or-later
#include "svc/user_query.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/limits.h"

// ---- One member ----

static void answer(struct user_query *query)
{
    if (query->rc)
        buf_dispose(&query->result);
    query->done(query);
}

static void on_acted(struct project_action_wait *acting)
{
    struct user_query *query = CONTAINER(acting, struct user_query, acting);
    query->rc = acting->rc;
    query->err = acting->err;
    answer(query);
}

static void finish(struct user_query *query)
{
    if (query->one)
        query_one_dispose(query->one);
    if (query->action) {
        query->acting = (struct project_action_wait){.loop = query->loop, .done = on_acted};
        project_action_run(query->svc, query->action, &query->acting);
    } else {
        answer(query);
    }
}

static void on_written(struct db_write *write)
{
    struct user_query *query = CONTAINER(write, struct user_query, write);
    query->rc = write->rc;
    query->err = write->err;
    if (!query->rc) {
        query_one_committed(query->one);
        json_raw(&query->result, "{}", 2);
    }
    finish(query);
}

static void write_single(struct user_query *query)
{
    query->write = (struct db_write){
        .loop = query->loop, .fn = query_one_set, .arg = query->one, .done = on_written};
    db_write_async(query->svc->db, &query->write);
}

// ---- On a worker ----

static int run_one(struct user_query *query, struct db_session *session, struct query_one *one)
{
    struct buf result = {0};
    int rc = 0;
    switch (query_one_cost(one)) {
    case QUERY_POINT:
    case QUERY_SCAN:
        rc = query_one_get(session, one, &result, &query->err);
        break;
    case QUERY_WRITE:
        rc = db_write_in_turn(query->svc->db, query_one_turn(one), query_one_set, one, &query->err);
        if (!rc)
            query_one_committed(one);
        break;
    case QUERY_IDLE:
        break;
    }
    if (!rc && result.size)
        json_raw(&query->result, result.data, result.size);
    else if (!rc)
        json_raw(&query->result, "{}", 2);
    buf_dispose(&result);
    return rc;
}

static int run_member(struct user_query *query, struct db_session *session, const cJSON *member)
{
    if (query->members++ == LIMIT_QUERY_MEMBERS)
        return err_set(&query->err, ERR_INVALID, "a batch can have %d queries at most",
                       LIMIT_QUERY_MEMBERS);
    struct query_one *one = NULL;
    struct arena arena = {0}; // a thousand of them together would be too much
    query->request.now_ms = clock_now_ms();
    query->request.arena = &arena;
    int rc = query_one_parse(&query->request, member, &one, &query->err);
    if (!rc)
        rc = run_one(query, session, one);
    if (one)
        query_one_dispose(one);
    arena_dispose(&arena);
    if (!rc && query->result.size > LIMIT_QUERY_RESULT)
        rc = err_set(&query->err, ERR_TOO_LARGE,
                     "the result is too large: ask for less, or in several requests");
    return rc;
}

static int begin_batch(struct user_query *query, const cJSON *batch)
{
    if (query->depth == ARRAY_LEN(query->next))
        return err_set(&query->err, ERR_INVALID, "the batches are nested too deeply");
    json_begin_array(&query->result);
    query->next[query->depth++] = batch->child;
    return 0;
}

// One step through the batches, which hold members and batches.
static int run_next(struct user_query *query, struct db_session *session)
{
    const cJSON **next = &query->next[query->depth - 1], *member = *next;
    if (!member) {
        json_end_array(&query->result);
        query->depth--;
        return 0;
    }
    *next = member->next;
    return cJSON_IsArray(member) ? begin_batch(query, member) : run_member(query, session, member);
}

// What only ends batches needs no other turn.
static int run_turn(struct user_query *query, struct db_session *session)
{
    const uint64_t end_us = clock_monotonic_us() + LIMIT_QUERY_TURN_MS * UINT64_C(1000);
    int rc = 0;
    while (!rc && query->depth && (!query->next[query->depth - 1] || clock_monotonic_us() < end_us))
        rc = query->svc->closing ? err_set(&query->err, ERR_UNAVAILABLE, ERR_CLOSING_TEXT)
                                 : run_next(query, session);
    return rc;
}

static void run_on_worker(struct work *work)
{
    struct user_query *query = CONTAINER(work, struct user_query, work);
    struct db_session *session;
    query->rc = sessions_take(&query->svc->sessions, &session, &query->err);
    if (query->rc)
        return;
    query->rc = query->one ? run_one(query, session, query->one) : run_turn(query, session);
    sessions_give(&query->svc->sessions, session);
}

static void hold_result(struct user_query *query)
{
    query->rc = query->hold(query, query->result.size - query->held, &query->err);
    query->held = query->result.size;
}

// What is left of a batch waits behind the queries of others.
static void on_ran(struct work *work)
{
    struct user_query *query = CONTAINER(work, struct user_query, work);
    if (!query->rc && query->depth)
        hold_result(query);
    if (!query->rc && query->depth)
        work_go_on(work);
    else
        finish(query);
}

static void submit(struct user_query *query)
{
    const struct query_caller *caller = &query->caller;
    const char *owner =
        caller->project_id.text[0] ? caller->project_id.text : caller->account_id.text;
    if (work_submit_gated(query->loop, &query->svc->querying, &query->work, owner, run_on_worker,
                          on_ran))
        return;
    query->rc = err_set(&query->err, ERR_RATE_LIMITED, SVC_QUERIES_WAIT_TEXT);
    finish(query);
}

// ---- Where each kind runs ----

static void run_point(struct user_query *query, struct db_session *session)
{
    bool large;
    query->rc = query_one_get_small(session, query->one, &query->result, &large, &query->err);
    if (large)
        submit(query);
    else
        finish(query);
}

static void run_single(struct user_query *query, struct db_session *session)
{
    switch (query_one_cost(query->one)) {
    case QUERY_POINT:
        run_point(query, session);
        return;
    case QUERY_SCAN:
        submit(query);
        return;
    case QUERY_WRITE: // few of one account at once keep others from writing
        if (query_one_merges(query->one))
            submit(query);
        else
            write_single(query);
        return;
    case QUERY_IDLE:
        json_raw(&query->result, "{}", 2);
        finish(query);
        return;
    }
}

void user_query(struct svc *svc, struct db_session *session, struct user_query *query)
{
    query->svc = svc;
    query->rc = 0;
    query->one = NULL;
    query->members = query->depth = query->held = 0;
    query->action = NULL;
    query->work = (struct work){.turns = cJSON_IsArray(query->query)};
    query->request = (struct query_request){
        .schema = svc->schema,
        .dialect = query->dialect,
        .caller = query->caller,
        .now_ms = clock_now_ms(),
        .options = query->options,
        .ctx = svc,
        .begun = query->waits && !query->work.turns ? &query->action : NULL,
        .arena = query->arena,
    };
    if (query->work.turns) {
        query->rc = begin_batch(query, query->query);
        submit(query);
        return;
    }
    query->rc = query_one_parse(&query->request, query->query, &query->one, &query->err);
    if (query->rc)
        finish(query);
    else
        run_single(query, session);
}
