// SPDX-License-Identifier: AGPL-3.0-or-later
// The order in which the works of a gate have their turns. Mostly one runs at a time; the first
// holds the gate until all others wait.
#include "loop/work.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "unit.h"

static struct scene {
    struct loop loop;
    struct work_gate gate;
    uv_sem_t held;
    struct work holder;
    unsigned left; // turns that are to come
    char order[128];
} * scene;

// One job: `name` is said at each of its turns.
struct job {
    struct work work;
    char name;
    unsigned turns;
};

static void nothing(struct work *work UNUSED)
{
}

static void hold(struct work *work UNUSED)
{
    uv_sem_wait(&scene->held);
}

static void on_turn(struct work *work)
{
    struct job *job = CONTAINER(work, struct job, work);
    strncat(scene->order, &job->name, 1);
    scene->left--;
    if (--job->turns)
        work_go_on(work);
}

static int set_up(void **state UNUSED)
{
    struct err err;
    scene = mem_zalloc(sizeof *scene);
    uv_sem_init(&scene->held, 0);
    work_gate_init(&scene->gate, 1);
    int rc = loop_init(&scene->loop, &err);
    if (!rc && !work_submit_gated(&scene->loop, &scene->gate, &scene->holder, NULL, hold, nothing))
        rc = -1;
    return rc;
}

static int tear_down(void **state UNUSED)
{
    loop_dispose(&scene->loop);
    uv_sem_destroy(&scene->held);
    free(TAKE_PTR(scene));
    return 0;
}

static bool submit(struct job *job, char name, const char *owner, unsigned turns)
{
    *job = (struct job){.work.turns = turns > 1, .name = name, .turns = turns};
    const bool taken =
        work_submit_gated(&scene->loop, &scene->gate, &job->work, owner, nothing, on_turn);
    scene->left += taken ? turns : 0;
    return taken;
}

static const char *run_all(void)
{
    uv_sem_post(&scene->held);
    while (scene->left)
        uv_run(&scene->loop.uv, UV_RUN_ONCE);
    return scene->order;
}

static void test_owners_take_turns(void **state UNUSED)
{
    struct job jobs[5];
    for (size_t i = 0; i < 3; i++)
        assert_true(submit(&jobs[i], (char)('a' + i), "one", 1));
    assert_true(submit(&jobs[3], 'x', "two", 1));
    assert_true(submit(&jobs[4], 'y', "two", 1));
    assert_string_equal(run_all(), "axbyc");
}

// While one hands its place over and comes back, the next is begun, but no third.
static void test_what_has_begun_goes_on_before_more_is_begun(void **state UNUSED)
{
    struct job jobs[4];
    for (size_t i = 0; i < 4; i++)
        assert_true(submit(&jobs[i], (char)('a' + i), "one", 3));
    assert_string_equal(run_all(), "abababcdcdcd");
}

static void test_what_takes_one_turn_is_not_held_up_by_what_takes_several(void **state UNUSED)
{
    struct job jobs[3];
    assert_true(submit(&jobs[0], 'a', "one", 4));
    assert_true(submit(&jobs[1], 's', "one", 1));
    assert_true(submit(&jobs[2], 'b', "one", 4));
    char *order = strchr(run_all(), 's');
    assert_non_null(order);
    assert_in_range(order - scene->order, 0, 2);
}

static void test_a_turn_of_one_owner_waits_for_those_of_others(void **state UNUSED)
{
    struct job jobs[4];
    assert_true(submit(&jobs[0], 'a', "one", 2));
    assert_true(submit(&jobs[1], 'b', "one", 2));
    assert_true(submit(&jobs[2], 'x', "two", 1));
    assert_true(submit(&jobs[3], 'y', "two", 1));
    assert_string_equal(run_all(), "axaybb");
}

static void test_what_has_begun_is_never_refused(void **state UNUSED)
{
    struct job jobs[3];
    scene->gate.owner_max = 2;
    assert_true(submit(&jobs[0], 'a', "one", 3));
    assert_true(submit(&jobs[1], 'b', "one", 3));
    assert_false(submit(&jobs[2], 'c', "one", 3));
    scene->gate.owner_max = 1; // so that all places are taken when the first comes back
    assert_string_equal(run_all(), "ababab");
}

static void test_an_owner_leaves_places_to_others(void **state UNUSED)
{
    struct job jobs[2];
    struct work second = {0};
    scene->gate.limit = 3;
    scene->gate.owner_running = 1;
    assert_true(work_submit_gated(&scene->loop, &scene->gate, &second, "one", hold, nothing));
    assert_true(submit(&jobs[0], 'a', "one", 1));
    assert_true(submit(&jobs[1], 'x', "two", 1));
    while (scene->left > 1)
        uv_run(&scene->loop.uv, UV_RUN_ONCE);
    assert_string_equal(scene->order, "x");
    uv_sem_post(&scene->held); // of two that are held
    assert_string_equal(run_all(), "xa");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_owners_take_turns, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_has_begun_goes_on_before_more_is_begun, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(
            test_what_takes_one_turn_is_not_held_up_by_what_takes_several, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_turn_of_one_owner_waits_for_those_of_others, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_what_has_begun_is_never_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_an_owner_leaves_places_to_others, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
