// SPDX-License-Identifier: AGPL-3.0-or-later
#include "unit.h"

#include "base/limits.h"
#include "svc/disk_tolerance.h"

#define HARD  1200000
#define FILES ((int64_t)LIMIT_HOME_FILES_HARD)

static struct disk_usage usage(int64_t bytes, int64_t files)
{
    return (struct disk_usage){.bytes = bytes, .files = files};
}

static struct disk_tolerance started(int64_t bytes, int64_t files)
{
    struct disk_tolerance tolerance = {0};
    struct disk_usage found = usage(bytes, files);
    disk_tolerance_start(&tolerance, &found, HARD);
    return tolerance;
}

static bool grown(struct disk_tolerance *tolerance, int64_t bytes, int64_t files)
{
    struct disk_usage now = usage(bytes, files);
    return disk_tolerance_grown(tolerance, &now, HARD, false);
}

static void test_within_the_limits_is_no_growth(void **state UNUSED)
{
    struct disk_tolerance tolerance = started(0, 0);
    assert_false(grown(&tolerance, HARD, FILES));
}

static void test_beyond_either_limit_has_grown(void **state UNUSED)
{
    struct disk_tolerance bytes = started(0, 0), files = started(0, 0);
    assert_true(grown(&bytes, HARD + 1, 1));
    assert_true(grown(&files, 1, FILES + 1));
}

static void test_what_was_there_at_the_start_is_tolerated(void **state UNUSED)
{
    struct disk_tolerance tolerance = started(2 * HARD, 2 * FILES);
    assert_false(grown(&tolerance, 2 * HARD, 2 * FILES));
    assert_false(grown(&tolerance, 2 * HARD - 1, 2 * FILES - 1));
}

static void test_more_bytes_than_at_the_start_have_grown(void **state UNUSED)
{
    struct disk_tolerance tolerance = started(2 * HARD, 1);
    assert_true(grown(&tolerance, 2 * HARD + HARD / 50, 1));
}

static void test_more_files_than_at_the_start_have_grown(void **state UNUSED)
{
    struct disk_tolerance tolerance = started(1, 2 * FILES);
    assert_true(grown(&tolerance, 1, 2 * FILES + FILES / 50));
}

static void test_tolerated_bytes_are_no_leave_for_files(void **state UNUSED)
{
    struct disk_tolerance tolerance = started(2 * HARD, 1);
    assert_true(grown(&tolerance, 2 * HARD, FILES + 1));
}

static void test_starting_again_and_again_tolerates_no_more_files(void **state UNUSED)
{
    struct disk_tolerance tolerance = started(1, FILES + 1);
    struct disk_usage more = usage(1, 2 * FILES);
    assert_true(grown(&tolerance, more.bytes, more.files));
    disk_tolerance_start(&tolerance, &more, HARD);
    assert_true(grown(&tolerance, more.bytes, more.files));
}

static void test_within_the_limit_again_nothing_is_tolerated(void **state UNUSED)
{
    struct disk_tolerance tolerance = started(2 * HARD, 2 * FILES);
    assert_false(grown(&tolerance, 1, 1));
    assert_true(grown(&tolerance, 1, FILES + 1));
}

static void test_who_was_just_started_may_remove_files_first(void **state UNUSED)
{
    struct disk_tolerance tolerance = started(1, FILES + 1), fresh = started(1, 1);
    struct disk_usage more = usage(1, 2 * FILES), full = usage(2 * HARD, 1);
    assert_false(disk_tolerance_grown(&tolerance, &more, HARD, true));
    assert_true(disk_tolerance_grown(&tolerance, &more, HARD, false));
    assert_true(disk_tolerance_grown(&fresh, &more, HARD, true));
    assert_true(disk_tolerance_grown(&tolerance, &full, HARD, true));
}

static void test_more_files_than_are_counted_are_never_tolerated(void **state UNUSED)
{
    struct disk_tolerance tolerance = started(1, LIMIT_HOME_NAMES);
    assert_true(grown(&tolerance, 1, LIMIT_HOME_NAMES));
    assert_true(grown(&tolerance, 1, LIMIT_HOME_NAMES));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_within_the_limits_is_no_growth),
        cmocka_unit_test(test_beyond_either_limit_has_grown),
        cmocka_unit_test(test_what_was_there_at_the_start_is_tolerated),
        cmocka_unit_test(test_more_bytes_than_at_the_start_have_grown),
        cmocka_unit_test(test_more_files_than_at_the_start_have_grown),
        cmocka_unit_test(test_tolerated_bytes_are_no_leave_for_files),
        cmocka_unit_test(test_starting_again_and_again_tolerates_no_more_files),
        cmocka_unit_test(test_within_the_limit_again_nothing_is_tolerated),
        cmocka_unit_test(test_who_was_just_started_may_remove_files_first),
        cmocka_unit_test(test_more_files_than_are_counted_are_never_tolerated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
