// SPDX-License-Identifier: AGPL-3.0-or-later
#include "unit.h"

#include <string.h>

#include "base/limits.h"
#include "svc/public_paths.h"

#define PATHS_MAX 4

static const struct {
    const char *records[PATHS_MAX];
    const char *path;
    bool public, itself; // `itself`: without the rule for archives
} cases[] = {
    // 1: the whole home
    {{""}, "", true, true},
    {{""}, "a/b", true, true},
    {{""}, ".hidden", true, true},
    // 2: the path itself
    {{"a.txt"}, "a.txt", true, true},
    {{"a.txt"}, "A.txt", false, false},
    {{"a.txt"}, "a.tx", false, false},
    {{"a.txt"}, "", false, false},
    {{"ä b"}, "ä b", true, true},
    // 3: what is below
    {{"a"}, "a/b", true, true},
    {{"a"}, "a/.b/c", true, true},
    {{"a"}, "ab", false, false},
    {{"a"}, "a.txt", false, false},
    {{"a/b"}, "a", false, false},
    {{"a/b"}, "a/bc", false, false},
    {{"x", "a/b", "z"}, "a/b/c", true, true},
    // 4: archives
    {{"a"}, "a.zip", true, false},
    {{"a"}, "a/b.zip", true, true},
    {{"a/b"}, "a/b.zip", true, false},
    {{"a/b"}, "a/bc.zip", false, false},
    {{"a"}, "a.zip.zip", true, false},
    {{"a"}, "a.zip/b", false, false},
    {{"a"}, ".zip", false, false},
    {{".zip"}, ".zip.zip", true, false},
    {{"a"}, "axyz.zip", false, false},
    {{"a/b.zip"}, "a/b.zip.zip.zip", true, false},
    {{"a/b.zip.zip"}, "a/b.zip", false, false},
    {{""}, ".zip", true, true},
    {{"a.zip"}, "a.zip", true, true},
    {{"a.zip"}, "a", false, false},
    // upwards
    {{""}, "..", false, false},
    {{""}, "../", false, false},
    {{"a"}, "a/..", false, false},
    {{"a"}, "a/../", false, false},
    {{"a"}, "a/../a", false, false},
    {{"a"}, "../a", false, false},
    {{"a"}, "a../b", false, false},
    {{"a.."}, "a..", true, true},
    {{"a"}, "a/..b", true, true},
    // nothing else is made the same
    {{"a"}, "./a", false, false},
    {{"a//b"}, "a/b", false, false},
    {{"a//b"}, "a//b", true, true},
    {{"a"}, "/a", false, false},
    // slashes at the end
    {{"a"}, "a/", true, true},
    {{"a"}, "a//", true, true},
    {{"a"}, "a.zip/", true, false},
    // nothing
    {{NULL}, "", false, false},
    {{NULL}, "a", false, false},
};

static struct public_list list_of(const char *const *records)
{
    struct public_list list = {0};
    for (size_t i = 0; i < PATHS_MAX && records[i]; i++)
        public_list_add(&list, records[i]);
    return list;
}

static void test_what_is_public(void **state UNUSED)
{
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct public_list list = list_of(cases[i].records);
        if (public_list_has(&list, cases[i].path) != cases[i].public ||
            public_list_has_below(&list, cases[i].path) != cases[i].itself)
            fail_msg("case %zu: \"%s\"", i, cases[i].path);
        public_list_dispose(&list);
    }
}

static void test_what_is_longer_than_a_path(void **state UNUSED)
{
    const char *const records[PATHS_MAX] = {"", "a"};
    struct public_list list = list_of(records);
    char path[LIMIT_PATH + 2] = "";
    memset(path, 'x', LIMIT_PATH);
    assert_true(public_list_has(&list, path) && public_list_has_below(&list, path));
    path[LIMIT_PATH] = 'x';
    assert_false(public_list_has(&list, path) || public_list_has_below(&list, path));
    public_list_dispose(&list);
}

static void test_the_very_path(void **state UNUSED)
{
    const char *const records[PATHS_MAX] = {"b/", "a.b", "a/b", "a"};
    struct public_list list = list_of(records);
    public_list_sort(&list);
    for (size_t i = 0; i < PATHS_MAX; i++)
        assert_true(public_list_finds(&list, i ? records[i] : "b"));
    assert_false(public_list_finds(&list, "a/b/c"));
    assert_false(public_list_finds(&list, ""));
    public_list_dispose(&list);
    assert_false(public_list_finds(&list, "a"));
}

static void test_the_id_of_a_record(void **state UNUSED)
{
    struct uuid project_id;
    char id[SHA1_TEXT_SIZE];
    assert_true(uuid_parse("29163de6-b5b0-496f-b75d-24be9aa2aa1d", UUID_LEN, &project_id));
    public_path_id(&project_id, "myfile.txt", id);
    assert_string_equal(id, "b4469ba3962c5b0e8185b8d63e144bf9b673b7c2");
    public_path_id(&project_id, "myfile.txt//", id);
    assert_string_equal(id, "b4469ba3962c5b0e8185b8d63e144bf9b673b7c2");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_public),
        cmocka_unit_test(test_what_is_longer_than_a_path),
        cmocka_unit_test(test_the_very_path),
        cmocka_unit_test(test_the_id_of_a_record),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
