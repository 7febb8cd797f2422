// SPDX-License-Identifier: AGPL-3.0-or-later
#include "unit.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "svc/disk_walk.h"

#define BLOCK 4096

static char root[64];

static void run(const char *command)
{
    assert_int_equal(system(command), 0);
}

static int setup(void **state UNUSED)
{
    snprintf(root, sizeof root, "/tmp/cohub-walk-XXXXXX");
    return mkdtemp(root) && !chdir(root) ? 0 : -1;
}

static int teardown(void **state UNUSED)
{
    run("chmod -R u+rwX . && rm -rf \"$PWD\"");
    return chdir("/");
}

static void put(const char *path, size_t size)
{
    static const char bytes[64 * 1024];
    auto_fd int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    for (; size; size -= size < sizeof bytes ? size : sizeof bytes)
        assert_int_equal(fd_write_all(fd, bytes, size < sizeof bytes ? size : sizeof bytes), 0);
    assert_int_equal(fsync(fd), 0);
}

static struct disk_usage walk(enum disk_walk_end expected)
{
    struct disk_walk walk = {.folder = ".", .names_max = 1000};
    struct disk_usage usage = {0};
    enum disk_walk_end end;
    assert_int_equal(disk_walk(&walk, &usage, &end), 0);
    assert_int_equal(end, expected);
    return usage;
}

static int64_t bytes(void)
{
    return walk(DISK_WALK_WHOLE).bytes;
}

static void test_files_and_folders(void **state UNUSED)
{
    int64_t empty = bytes();
    put("one", 10 * BLOCK);
    assert_int_equal(bytes() - empty, 10 * BLOCK);
    run("mkdir -p a/b/c");
    put("a/b/c/two", 20 * BLOCK);
    struct disk_usage usage = walk(DISK_WALK_WHOLE);
    assert_in_range(usage.bytes - empty, 30 * BLOCK, 33 * BLOCK);
    assert_int_equal(usage.files, 6);
    assert_int_equal(usage.largest, 20 * BLOCK);
}

static void test_several_names_count_once(void **state UNUSED)
{
    put("one", 10 * BLOCK);
    struct disk_usage before = walk(DISK_WALK_WHOLE);
    run("for i in $(seq 400); do ln one name$i; done");
    struct disk_usage after = walk(DISK_WALK_WHOLE);
    assert_in_range(after.bytes - before.bytes, 0, 8 * BLOCK); // the folder grew
    assert_int_equal(after.files, before.files);
}

static void test_many_files_with_several_names(void **state UNUSED)
{
    run("for i in $(seq 300); do : > f$i; ln f$i g$i; done");
    assert_int_equal(walk(DISK_WALK_WHOLE).files, 301);
}

static void test_links_are_not_followed(void **state UNUSED)
{
    int64_t empty = bytes();
    run("ln -s /usr usr; ln -s . here; ln -s loop loop");
    assert_in_range(bytes() - empty, 0, 3 * BLOCK);
}

static void test_holes_take_nothing(void **state UNUSED)
{
    int64_t empty = bytes();
    run("truncate -s 1G holes");
    struct disk_usage usage = walk(DISK_WALK_WHOLE);
    assert_in_range(usage.bytes - empty, 0, BLOCK);
    assert_int_equal(usage.largest, 1 << 30);
}

static void test_folders_that_are_shut(void **state UNUSED)
{
    static const unsigned modes[] = {0, 0400, 0100, 0300, 0600};
    int64_t empty = bytes();
    struct stat st;
    run("mkdir -p shut/below");
    put("shut/below/file", 10 * BLOCK);
    for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
        assert_int_equal(chmod("shut/below", modes[i]) | chmod("shut", modes[i]), 0);
        assert_in_range(bytes() - empty, 10 * BLOCK, 12 * BLOCK);
        assert_int_equal(stat("shut", &st), 0);
        assert_int_equal(st.st_mode & 07777, modes[i]);
        assert_int_equal(chmod("shut", 0700), 0);
        assert_int_equal(stat("shut/below", &st), 0);
        assert_int_equal(st.st_mode & 07777, modes[i]);
    }
}

enum { WALKS = 1000 };

// NULL if every walk saw the file.
static void *walk_often(void *arg)
{
    const struct disk_walk all = {.folder = ".", .names_max = 1000};
    for (int i = 0; i < WALKS; i++) {
        struct disk_usage usage;
        enum disk_walk_end end;
        if (disk_walk(&all, &usage, &end) || usage.largest != 10 * BLOCK)
            return arg;
    }
    return NULL;
}

static bool walk_at_once(void)
{
    pthread_t threads[3];
    bool whole = true;
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        whole &= !pthread_create(&threads[i], NULL, walk_often, &whole);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        whole &= !failed;
    }
    return whole;
}

// As a user to whom rights matter.
static void test_walks_of_a_shut_folder_at_once(void **state UNUSED)
{
    enum { NOBODY = 65534 };
    struct stat st;
    int status;
    run("mkdir -p shut/below");
    put("shut/below/file", 10 * BLOCK);
    if (geteuid() == 0)
        run("chown -R 65534 .");
    assert_int_equal(chmod("shut/below", 0400) | chmod("shut", 0400), 0);
    pid_t pid = fork();
    if (pid == 0)
        _exit((geteuid() == 0 && setuid(NOBODY)) || !walk_at_once());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(stat("shut", &st), 0);
    assert_int_equal(st.st_mode & 07777, 0400);
}

static void test_too_many_names(void **state UNUSED)
{
    run("for i in $(seq 1001); do : > f$i; done");
    walk(DISK_WALK_TOO_MANY);
    run("rm f1001");
    walk(DISK_WALK_WHOLE);
}

static void test_too_deep(void **state UNUSED)
{
    run("for i in $(seq 127); do mkdir d; cd d; done");
    assert_int_equal(walk(DISK_WALK_WHOLE).files, 128);
    run("for i in $(seq 127); do cd d; done; mkdir d");
    walk(DISK_WALK_TOO_MANY);
}

static void test_stopping(void **state UNUSED)
{
    atomic_bool stop = true;
    struct disk_walk walk = {.folder = ".", .names_max = 1000, .stop = &stop};
    struct disk_usage usage;
    enum disk_walk_end end;
    run("for i in $(seq 200); do : > f$i; done");
    assert_int_equal(disk_walk(&walk, &usage, &end), 0);
    assert_int_equal(end, DISK_WALK_STOPPED);
    assert_in_range(usage.files, 1, 200);
    walk.stop = NULL;
    walk.deadline_us = 1;
    assert_int_equal(disk_walk(&walk, &usage, &end), 0);
    assert_int_equal(end, DISK_WALK_STOPPED);
    walk.deadline_us = clock_monotonic_us() + UINT64_C(60000000);
    assert_int_equal(disk_walk(&walk, &usage, &end), 0);
    assert_int_equal(end, DISK_WALK_WHOLE);
}

static void test_what_is_no_folder(void **state UNUSED)
{
    struct disk_walk walk = {.folder = "missing", .names_max = 10};
    struct disk_usage usage;
    enum disk_walk_end end;
    assert_true(disk_walk(&walk, &usage, &end) < 0);
    put("file", 1);
    walk.folder = "file";
    assert_true(disk_walk(&walk, &usage, &end) < 0);
    assert_int_equal(symlink("/usr", "link"), 0);
    walk.folder = "link";
    assert_true(disk_walk(&walk, &usage, &end) < 0);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    // Root may look into everything.
    if (!geteuid() && (setgid(65534) || setuid(65534)))
        return 1;
    const struct CMUnitTest tests[] = {
        TEST(test_files_and_folders),
        TEST(test_several_names_count_once),
        TEST(test_many_files_with_several_names),
        TEST(test_links_are_not_followed),
        TEST(test_holes_take_nothing),
        TEST(test_folders_that_are_shut),
        TEST(test_walks_of_a_shut_folder_at_once),
        TEST(test_too_many_names),
        TEST(test_too_deep),
        TEST(test_stopping),
        TEST(test_what_is_no_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
