// SPDX-License-Identifier: AGPL-3.0-or-later
// Fibers on a loop of their own: who goes on when, and what ends a wait.
#include "loop/fiber.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "unit.h"

#define MANY        500
#define LONG_US     (UINT64_C(600) * 1000000)
#define DEADLINE_US 30000

struct scene {
    struct loop loop;
    char said[64];
    unsigned busy; // fibers whose functions have not returned
};

static void say(struct scene *scene, const char *word)
{
    strcat(scene->said, word);
}

static int set_up(void **state)
{
    struct scene *scene = mem_zalloc(sizeof *scene);
    struct err err;
    *state = scene;
    return loop_init(&scene->loop, &err);
}

static int tear_down(void **state)
{
    struct scene *scene = *state;
    loop_dispose(&scene->loop);
    free(scene);
    return 0;
}

static struct fiber *open_fiber(struct scene *scene)
{
    struct fiber *fiber;
    struct err err;
    assert_int_equal(fiber_open(&scene->loop, &fiber, &err), 0);
    return fiber;
}

struct part {
    struct scene *scene;
    fiber_fn *fn;
    void *arg;
};

static void act(void *arg)
{
    struct part part = *(struct part *)arg;
    free(arg);
    part.scene->busy++;
    part.fn(part.arg);
    part.scene->busy--;
}

static void run(struct scene *scene, struct fiber *fiber, fiber_fn *fn, void *arg)
{
    struct part *part = mem_alloc(sizeof *part);
    *part = (struct part){scene, fn, arg};
    fiber_run(fiber, act, part);
}

// Turns the loop until no fiber is busy.
static void turn(struct scene *scene)
{
    while (scene->busy)
        uv_run(&scene->loop.uv, UV_RUN_ONCE);
}

// One that reads from its pipe, says so, and writes to the other's.
struct player {
    struct scene *scene;
    struct fiber *fiber;
    const char *name;
    int in, out;
    unsigned rounds;
};

static void play(void *arg)
{
    struct player *player = arg;
    for (unsigned i = 0; i < player->rounds; i++) {
        char ball;
        assert_int_equal(fiber_wait(player->fiber, player->in, POLLIN, 0), 0);
        assert_int_equal(read(player->in, &ball, 1), 1);
        say(player->scene, player->name);
        assert_int_equal(fiber_wait(player->fiber, player->out, POLLOUT, 0), 0);
        assert_int_equal(write(player->out, &ball, 1), 1);
    }
}

static void test_two_take_turns(void **state)
{
    struct scene *scene = *state;
    int there[2], back[2];
    assert_int_equal(pipe(there) | pipe(back), 0);
    struct player players[2] = {
        {scene, open_fiber(scene), "a", there[0], back[1], 3},
        {scene, open_fiber(scene), "b", back[0], there[1], 3},
    };
    struct fiber *fibers[2] = {players[0].fiber, players[1].fiber};
    run(scene, fibers[0], play, &players[0]);
    run(scene, fibers[1], play, &players[1]);
    say(scene, "-");
    assert_int_equal(write(there[1], "o", 1), 1);
    turn(scene);
    assert_string_equal(scene->said, "-ababab");
    for (int i = 0; i < 2; i++) {
        fiber_close(fibers[i]);
        close(there[i]);
        close(back[i]);
    }
}

struct waiter {
    struct scene *scene;
    struct fiber *fiber;
    int fd;
    uint64_t deadline_us;
    int rc, rc_after;
    uint64_t ended_us;
};

static void wait_twice(void *arg)
{
    struct waiter *waiter = arg;
    waiter->rc = fiber_wait(waiter->fiber, waiter->fd, POLLIN, waiter->deadline_us);
    waiter->ended_us = clock_monotonic_us();
    waiter->rc_after = fiber_wait(waiter->fiber, waiter->fd, POLLIN, waiter->deadline_us);
}

static void test_deadline(void **state)
{
    struct scene *scene = *state;
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    struct fiber *fiber = open_fiber(scene);
    struct waiter waiter = {scene, fiber, fds[0], clock_monotonic_us() + DEADLINE_US, 1, 1, 0};
    run(scene, fiber, wait_twice, &waiter);
    assert_int_equal(scene->busy, 1);
    turn(scene);
    assert_int_equal(waiter.rc, -ERR_TIMEOUT);
    assert_true(waiter.ended_us >= waiter.deadline_us);
    assert_int_equal(waiter.rc_after, -ERR_TIMEOUT);
    fiber_close(fiber);
    close(fds[0]);
    close(fds[1]);
}

static void test_shut(void **state)
{
    struct scene *scene = *state;
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    struct fiber *fiber = open_fiber(scene);
    struct waiter waiter = {scene, fiber, fds[0], clock_monotonic_us() + LONG_US, 1, 1, 0};
    run(scene, fiber, wait_twice, &waiter);
    fiber_shut(fiber);
    assert_int_equal(scene->busy, 0);
    assert_int_equal(waiter.rc, -ERR_UNAVAILABLE);
    assert_int_equal(waiter.rc_after, -ERR_UNAVAILABLE);
    fiber_close(fiber);
    close(fds[0]);
    close(fds[1]);
}

static void test_not_to_be_watched(void **state)
{
    struct scene *scene = *state;
    struct fiber *fiber = open_fiber(scene);
    struct waiter waiter = {scene, fiber, -1, 0, 1, 1, 0};
    run(scene, fiber, wait_twice, &waiter);
    assert_int_equal(scene->busy, 0);
    assert_int_equal(waiter.rc, -ERR_UNAVAILABLE);
    fiber_close(fiber);
}

// The other end is gone: whoever reads finds out.
static void test_closed_at_the_other_end(void **state)
{
    struct scene *scene = *state;
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    struct fiber *fiber = open_fiber(scene);
    struct waiter waiter = {scene, fiber, fds[0], 0, 1, 1, 0};
    run(scene, fiber, wait_twice, &waiter);
    close(fds[1]);
    turn(scene);
    assert_int_equal(waiter.rc, 0);
    fiber_close(fiber);
    close(fds[0]);
}

// A stack that is used deeply keeps what is on it while others run on theirs.
struct deep {
    struct fiber *fiber;
    int fd;
    unsigned seed;
    bool kept;
};

static unsigned descend(struct deep *deep, unsigned levels)
{
    unsigned char bytes[1024];
    memset(bytes, (int)(deep->seed + levels), sizeof bytes);
    unsigned sum = 0;
    if (levels)
        sum = descend(deep, levels - 1);
    else
        assert_int_equal(fiber_wait(deep->fiber, deep->fd, POLLIN, 0), 0);
    for (size_t i = 0; i < sizeof bytes; i++)
        sum += bytes[i] != (unsigned char)(deep->seed + levels);
    return sum;
}

static void run_deep(void *arg)
{
    struct deep *deep = arg;
    deep->kept = descend(deep, 50) == 0;
}

static void test_many(void **state)
{
    struct scene *scene = *state;
    static struct deep deep[MANY];
    static struct fiber *fibers[MANY];
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    for (unsigned round = 0; round < 3; round++) { // each runs again
        char byte;
        for (unsigned i = 0; i < MANY; i++) {
            if (!round)
                fibers[i] = open_fiber(scene);
            int fd = dup(fds[0]);
            deep[i] = (struct deep){fibers[i], fd, i + round, false};
            run(scene, fibers[i], run_deep, &deep[i]);
        }
        assert_int_equal(write(fds[1], "!", 1), 1);
        turn(scene);
        assert_int_equal(read(fds[0], &byte, 1), 1);
        for (unsigned i = 0; i < MANY; i++) {
            assert_true(deep[i].kept);
            close(deep[i].fd);
        }
    }
    for (unsigned i = 0; i < MANY; i++)
        fiber_close(fibers[i]);
    close(fds[0]);
    close(fds[1]);
}

// A descriptor is closed while its number is known to the loop, and another gets the number.
struct changer {
    struct fiber *fiber;
    int (*fds)[2];
    unsigned rounds;
    int rc;
};

static void change(void *arg)
{
    struct changer *changer = arg;
    for (unsigned i = 0; i < changer->rounds && !changer->rc; i++) {
        char byte;
        changer->rc = fiber_wait(changer->fiber, (*changer->fds)[0], POLLIN, 0);
        assert_int_equal(read((*changer->fds)[0], &byte, 1), 1);
        close((*changer->fds)[0]);
        close((*changer->fds)[1]);
        assert_int_equal(pipe(*changer->fds), 0);
        assert_int_equal(write((*changer->fds)[1], "!", 1), 1);
    }
}

static void test_numbers_are_used_again(void **state)
{
    struct scene *scene = *state;
    int fds[2][2];
    struct fiber *fibers[2];
    struct changer changers[2];
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pipe(fds[i]), 0);
        fibers[i] = open_fiber(scene);
        changers[i] = (struct changer){fibers[i], &fds[i], 100, 0};
        run(scene, fibers[i], change, &changers[i]);
        assert_int_equal(write(fds[i][1], "!", 1), 1);
    }
    turn(scene);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(changers[i].rc, 0);
        fiber_close(fibers[i]);
        close(fds[i][0]);
        close(fds[i][1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_two_take_turns, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_deadline, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_shut, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_not_to_be_watched, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_closed_at_the_other_end, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_many, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_numbers_are_used_again, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
