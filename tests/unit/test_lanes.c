// SPDX-License-Identifier: AGPL-3.0-or-later
// Lanes before a database whose statements give one row once a byte can be read from its pipe.
#include "api/lanes.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/mem.h"
#include "db/backend.h"
#include "unit.h"

#define LANES 2

// ---- The database ----

struct piped_db {
    struct db base;
    int fds[2];
};

// Has a connection of its own.
struct piped_session {
    struct db_session base;
    int fd;
};

static int open_session(struct db *db, struct db_session **ret_session, struct err *err UNUSED)
{
    struct piped_session *session = mem_zalloc(sizeof *session);
    db_session_init(&session->base, db);
    session->fd = dup(CONTAINER(db, struct piped_db, base)->fds[0]);
    *ret_session = &session->base;
    return 0;
}

static void close_session(struct db_session *base)
{
    struct piped_session *session = CONTAINER(base, struct piped_session, base);
    db_session_dispose(base);
    close(session->fd);
    free(session);
}

static int query(struct db_session *session, const struct db_stmt *stmt UNUSED,
                 const struct db_value *args UNUSED, size_t args_count UNUSED,
                 struct db_rows **ret_rows, struct err *err)
{
    int fd = CONTAINER(session, struct piped_session, base)->fd;
    char byte;
    int rc = 0;
    // What made one ready another may have taken.
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    while (!rc && !poll(&ready, 1, 0))
        rc = session->wait(session->wait_ctx, fd, POLLIN, 0);
    if (rc)
        return err_set(err, (enum err_code) - rc, "no answer");
    assert_int_equal(read(fd, &byte, 1), 1);
    *ret_rows = mem_zalloc(sizeof **ret_rows);
    (*ret_rows)->session = session;
    return 0;
}

static void close_rows(struct db_rows *rows)
{
    free(rows);
}

static const struct db_backend backend = {
    .remote = true,
    .session_open = open_session,
    .session_close = close_session,
    .query = query,
    .rows_close = close_rows,
};

// ---- The scene ----

struct scene {
    struct loop loop;
    struct piped_db db;
    struct lanes *lanes;
    unsigned read, failed, refused;
    char order[LIMIT_LANE_CALLS + LANES + 1];
};

struct call {
    struct lane_call lane_call;
    struct scene *scene;
    char name;
};

static void on_run(struct lane_call *lane_call, struct db_session *session)
{
    static const struct db_stmt stmt = {"SELECT 1"};
    const struct call *call = CONTAINER(lane_call, struct call, lane_call);
    struct scene *scene = call->scene;
    auto_rows struct db_rows *rows = NULL;
    struct err err;
    strncat(scene->order, &call->name, 1);
    if (db_query(session, &stmt, DB_NO_ARGS, &rows, &err))
        scene->failed++;
    else
        scene->read++;
}

static void on_refuse(struct lane_call *lane_call)
{
    CONTAINER(lane_call, struct call, lane_call)->scene->refused++;
}

static int set_up(void **state)
{
    struct scene *scene = mem_zalloc(sizeof *scene);
    struct err err;
    *state = scene;
    db_init(&scene->db.base, &backend);
    assert_int_equal(pipe(scene->db.fds), 0);
    assert_int_equal(loop_init(&scene->loop, &err), 0);
    return lanes_open(&scene->loop, &scene->db.base, LANES, &scene->lanes, &err);
}

static int tear_down(void **state)
{
    struct scene *scene = *state;
    lanes_shut(scene->lanes);
    lanes_close(scene->lanes);
    loop_dispose(&scene->loop);
    db_dispose(&scene->db.base);
    close(scene->db.fds[0]);
    close(scene->db.fds[1]);
    free(scene);
    return 0;
}

static void run(struct scene *scene, struct call *call, char name)
{
    *call = (struct call){{.run = on_run, .refuse = on_refuse}, scene, name};
    lanes_run(scene->lanes, &call->lane_call);
}

static void answer(const struct scene *scene, size_t statements)
{
    for (size_t i = 0; i < statements; i++)
        assert_int_equal(write(scene->db.fds[1], "!", 1), 1);
}

// ---- Tests ----

static void test_runs_at_once(void **state)
{
    struct scene *scene = *state;
    struct call call;
    answer(scene, 1);
    run(scene, &call, 'a');
    assert_int_equal(scene->read, 1);
}

static void test_waits_in_order(void **state)
{
    struct scene *scene = *state;
    struct call calls[LANES + 3];
    for (size_t i = 0; i < ARRAY_LEN(calls); i++)
        run(scene, &calls[i], (char)('a' + (int)i));
    assert_string_equal(scene->order, "ab");
    answer(scene, ARRAY_LEN(calls));
    while (scene->read < ARRAY_LEN(calls))
        uv_run(&scene->loop.uv, UV_RUN_ONCE);
    assert_string_equal(scene->order, "abcde");
    answer(scene, 1);
    run(scene, &calls[0], 'f');
    assert_string_equal(scene->order, "abcdef");
    assert_int_equal(scene->failed + scene->refused, 0);
}

static void test_too_many_are_refused(void **state)
{
    struct scene *scene = *state;
    static struct call calls[LIMIT_LANE_CALLS + LANES];
    struct call more;
    for (size_t i = 0; i < ARRAY_LEN(calls); i++)
        run(scene, &calls[i], 'a');
    assert_int_equal(scene->refused, 0);
    run(scene, &more, 'b');
    assert_int_equal(scene->refused, 1);
}

// Those that have begun fail, those that wait and those that come are refused.
static void test_shut(void **state)
{
    struct scene *scene = *state;
    struct call calls[LANES + 2];
    for (size_t i = 0; i < LANES + 1; i++)
        run(scene, &calls[i], 'a');
    lanes_shut(scene->lanes);
    assert_int_equal(scene->failed, LANES);
    assert_int_equal(scene->refused, 1);
    run(scene, &calls[LANES + 1], 'b');
    assert_int_equal(scene->refused, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_runs_at_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_waits_in_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_too_many_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_shut, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
