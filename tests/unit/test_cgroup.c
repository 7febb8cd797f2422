// SPDX-License-Identifier: AGPL-3.0-or-later
// Control groups: which files are written what, in folders that look like version 1 and version 2;
// and the host's own groups.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "runner/cgroup.h"
#include "unit.h"

struct fixture {
    char top[64];
    char mountinfo[512], self[512]; // their paths
    struct cgroups cgroups;
};

static const struct runner_limits limits = {
    .memory_mb = 1000, .cpu_millis = 1500, .cpu_shares = 512, .processes = 100};

static void put(const struct fixture *f, const char *path, const char *text)
{
    char whole[256];
    snprintf(whole, sizeof whole, "%s/%s", f->top, path);
    for (char *at = strchr(whole + 1, '/'); at; at = strchr(at + 1, '/')) {
        *at = '\0';
        mkdir(whole, 0755);
        *at = '/';
    }
    FILE *file = fopen(whole, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void assert_file(const struct fixture *f, const char *path, const char *expected)
{
    char whole[256], text[128] = "";
    snprintf(whole, sizeof whole, "%s/%s", f->top, path);
    FILE *file = fopen(whole, "r");
    if (!file)
        fail_msg("%s: %s", path, strerror(errno));
    const size_t size = fread(text, 1, sizeof text - 1, file);
    text[size] = '\0';
    fclose(file);
    if (strcmp(text, expected) != 0)
        fail_msg("%s: \"%s\", not \"%s\"", path, text, expected);
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    strcpy(f->top, "/tmp/test_cgroup.XXXXXX");
    assert_non_null(mkdtemp(f->top));
    snprintf(f->mountinfo, sizeof f->mountinfo, "%s/mountinfo", f->top);
    snprintf(f->self, sizeof f->self, "%s/self", f->top);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    char command[128];
    cgroups_close(&f->cgroups);
    snprintf(command, sizeof command, "rm -r %s", f->top);
    assert_int_equal(system(command), 0);
    free(f);
    return 0;
}

static void open_groups(struct fixture *f)
{
    const struct cgroups_config config = {
        .folder = "test", .mountinfo = f->mountinfo, .self = f->self};
    cgroups_open(&config, &f->cgroups);
}

static void make_v2(struct fixture *f, const char *controllers)
{
    char line[256];
    snprintf(line, sizeof line,
             "22 1 0:5 / /proc rw - proc proc rw\n"
             "31 1 0:6 / %s/u rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n",
             f->top);
    put(f, "mountinfo", line);
    put(f, "self", "0::/system/cohub.service\n");
    put(f, "u/system/cohub.service/cgroup.controllers", controllers);
    put(f, "u/system/cohub.service/cgroup.subtree_control", "");
    put(f, "u/system/cohub.service/cohub-test/cgroup.controllers", controllers);
    put(f, "u/system/cohub.service/cohub-test/cgroup.subtree_control", "");
}

#define V2 "u/system/cohub.service/cohub-test/"

static void test_version_2(void **state)
{
    struct fixture *f = *state;
    static const char *const files[] = {"memory.max", "memory.swap.max", "cpu.max", "cpu.weight",
                                        "pids.max"};
    struct err err;
    char path[128];
    make_v2(f, "cpuset cpu io memory pids\n");
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        snprintf(path, sizeof path, V2 "77/%s", files[i]);
        put(f, path, "");
    }
    open_groups(f);
    assert_int_equal(f->cgroups.missing, 0);
    assert_file(f, "u/system/cohub.service/cgroup.subtree_control", "+memory +cpu +pids");
    assert_file(f, V2 "cgroup.subtree_control", "+memory +cpu +pids");
    assert_int_equal(cgroup_limit(&f->cgroups, "77", &limits, &err), 0);
    assert_file(f, V2 "77/memory.max", "1048576000");
    assert_file(f, V2 "77/memory.swap.max", "1048576000");
    assert_file(f, V2 "77/cpu.max", "150000 100000");
    assert_file(f, V2 "77/cpu.weight", "50");
    assert_file(f, V2 "77/pids.max", "228");
    const struct runner_limits none = {0};
    assert_int_equal(cgroup_limit(&f->cgroups, "77", &none, &err), 0);
    assert_file(f, V2 "77/memory.max", "max");
    assert_file(f, V2 "77/memory.swap.max", "max");
    assert_file(f, V2 "77/cpu.max", "max 100000");
    assert_file(f, V2 "77/cpu.weight", "100");
    assert_file(f, V2 "77/pids.max", "max");
}

static void test_version_2_usage(void **state)
{
    struct fixture *f = *state;
    struct runner_usage usage;
    make_v2(f, "cpu memory pids\n");
    put(f, V2 "77/memory.current", "5000000\n");
    put(f, V2 "77/memory.stat", "anon 10\nfile 20\ninactive_file 1000000\nactive_file 500000\n");
    put(f, V2 "77/memory.events", "low 0\noom 9\noom_kill 3\noom_group_kill 0\n");
    put(f, V2 "77/cpu.stat", "usage_usec 123456\nuser_usec 1\n");
    put(f, V2 "77/pids.current", "12\n");
    open_groups(f);
    cgroup_usage(&f->cgroups, "77", &usage);
    assert_int_equal(usage.memory_bytes, 3500000);
    assert_int_equal(usage.oom_kills, 3);
    assert_int_equal(usage.cpu_us, 123456);
    assert_int_equal(usage.processes, 12);
    assert_int_equal(usage.missing, 0);
}

static void test_what_is_not_delegated_is_missing(void **state)
{
    struct fixture *f = *state;
    struct err err;
    make_v2(f, "memory\n");
    put(f, V2 "77/memory.max", "");
    put(f, V2 "77/memory.swap.max", "");
    open_groups(f);
    assert_int_equal(f->cgroups.missing, RUNNER_NO_CPU_LIMIT | RUNNER_NO_PROCESS_LIMIT);
    assert_int_equal(cgroup_limit(&f->cgroups, "77", &limits, &err), 0);
    assert_file(f, V2 "77/memory.max", "1048576000");
}

// The hub's processes were moved into a child of the group before; the groups are beside it.
static void test_own_group_is_above_the_hubs(void **state)
{
    struct fixture *f = *state;
    make_v2(f, "memory cpu pids\n");
    put(f, "self", "0::/system/cohub.service/cohub-hub\n");
    open_groups(f);
    assert_int_equal(f->cgroups.missing, 0);
}

static void make_v1(struct fixture *f)
{
    char lines[512];
    snprintf(lines, sizeof lines,
             "31 1 0:6 /docker/x %s/memory rw - cgroup cgroup rw,memory\n"
             "32 1 0:7 / %s/cpu rw - cgroup cgroup rw,cpu,cpuacct\n"
             "33 1 0:8 / %s/pids rw - cgroup cgroup rw,pids\n",
             f->top, f->top, f->top);
    put(f, "mountinfo", lines);
    put(f, "self", "5:memory:/docker/x/y\n4:cpu,cpuacct:/\n3:pids:/\n1:name=systemd:/\n");
    put(f, "memory/y/cohub-test/memory.limit_in_bytes", "");
    put(f, "cpu/cohub-test/cpu.cfs_quota_us", "");
    put(f, "cpu/cohub-test/cpuacct.usage", "");
    put(f, "pids/cohub-test/cgroup.procs", "");
}

static void test_version_1(void **state)
{
    struct fixture *f = *state;
    struct err err;
    make_v1(f);
    put(f, "memory/y/cohub-test/77/memory.limit_in_bytes", "");
    put(f, "memory/y/cohub-test/77/memory.memsw.limit_in_bytes", "");
    put(f, "cpu/cohub-test/77/cpu.cfs_quota_us", "");
    put(f, "cpu/cohub-test/77/cpu.shares", "");
    put(f, "pids/cohub-test/77/pids.max", "");
    open_groups(f);
    assert_int_equal(f->cgroups.missing, 0);
    assert_int_equal(f->cgroups.trees_count, 3);
    assert_int_equal(cgroup_limit(&f->cgroups, "77", &limits, &err), 0);
    assert_file(f, "memory/y/cohub-test/77/memory.limit_in_bytes", "1048576000");
    assert_file(f, "memory/y/cohub-test/77/memory.memsw.limit_in_bytes", "2097152000");
    assert_file(f, "cpu/cohub-test/77/cpu.cfs_quota_us", "150000");
    assert_file(f, "cpu/cohub-test/77/cpu.shares", "512");
    assert_file(f, "pids/cohub-test/77/pids.max", "228");
    const struct runner_limits none = {0};
    assert_int_equal(cgroup_limit(&f->cgroups, "77", &none, &err), 0);
    assert_file(f, "memory/y/cohub-test/77/memory.limit_in_bytes", "-1");
    assert_file(f, "memory/y/cohub-test/77/memory.memsw.limit_in_bytes", "-1");
    assert_file(f, "cpu/cohub-test/77/cpu.cfs_quota_us", "-1");
    assert_file(f, "cpu/cohub-test/77/cpu.shares", "1024");
    assert_file(f, "pids/cohub-test/77/pids.max", "max");
}

static void test_version_1_usage(void **state)
{
    struct fixture *f = *state;
    struct runner_usage usage;
    make_v1(f);
    put(f, "memory/y/cohub-test/77/memory.usage_in_bytes", "5000000\n");
    put(f, "memory/y/cohub-test/77/memory.stat",
        "active_file 7\ntotal_inactive_file 1000000\ntotal_active_file 1\n");
    put(f, "memory/y/cohub-test/77/memory.oom_control",
        "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n");
    put(f, "cpu/cohub-test/77/cpuacct.usage", "9000000\n");
    put(f, "pids/cohub-test/77/pids.current", "4\n");
    open_groups(f);
    cgroup_usage(&f->cgroups, "77", &usage);
    assert_int_equal(usage.memory_bytes, 3999999);
    assert_int_equal(usage.oom_kills, 2);
    assert_int_equal(usage.cpu_us, 9000);
    assert_int_equal(usage.processes, 4);
}

static void test_without_groups_all_is_missing(void **state)
{
    struct fixture *f = *state;
    struct err err;
    struct runner_usage usage;
    put(f, "mountinfo", "22 1 0:5 / /proc rw - proc proc rw\n");
    put(f, "self", "");
    open_groups(f);
    assert_int_equal(f->cgroups.missing,
                     RUNNER_NO_MEMORY_LIMIT | RUNNER_NO_CPU_LIMIT | RUNNER_NO_PROCESS_LIMIT);
    assert_int_equal(cgroup_enter(&f->cgroups, "77", &err), 0);
    assert_int_equal(cgroup_limit(&f->cgroups, "77", &limits, &err), 0);
    cgroup_usage(&f->cgroups, "77", &usage);
    assert_int_equal(usage.memory_bytes, 0);
}

static void test_group_of_a_process(void **state)
{
    struct fixture *f = *state;
    char name[CGROUP_NAME_MAX];
    put(f, "mountinfo", "");
    put(f, "self", "");
    open_groups(f);
    assert_true(cgroup_of(&f->cgroups, "4:cpu:/\n3:pids:/a/cohub-test/4711\n", name));
    assert_string_equal(name, "4711");
    assert_false(cgroup_of(&f->cgroups, "3:pids:/a/cohub-other/4711\n", name));
    assert_false(cgroup_of(&f->cgroups, "3:pids:/a/cohub-test/../x\n", name));
    assert_false(cgroup_of(&f->cgroups, "3:pids:/a/cohub-test/\n", name));
}

// ---- In the groups of this host, as far as they may be used ----

static void open_real_groups(struct cgroups *ret_cgroups)
{
    char folder[32];
    snprintf(folder, sizeof folder, "test%d", (int)getpid());
    const struct cgroups_config config = {
        .folder = folder, .mountinfo = "/proc/self/mountinfo", .self = "/proc/self/cgroup"};
    cgroups_open(&config, ret_cgroups);
}

static int use_real_group(const struct cgroups *cgroups)
{
    struct err err;
    struct runner_usage usage;
    char name[16];
    snprintf(name, sizeof name, "%d", (int)getpid());
    if (cgroup_enter(cgroups, name, &err) < 0 || cgroup_limit(cgroups, name, &limits, &err) < 0)
        return 1;
    cgroup_usage(cgroups, name, &usage);
    const bool counted = cgroups->missing & RUNNER_NO_PROCESS_LIMIT || usage.processes == 1;
    return counted && usage.missing == cgroups->missing ? 0 : 2;
}

static void assert_usable(const struct cgroups *cgroups)
{
    int status;
    const pid_t pid = fork();
    if (pid == 0)
        _exit(use_real_group(cgroups));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_true(cgroups_sweep(cgroups));
}

static void test_real_groups(void **state)
{
    struct fixture *f = *state;
    open_real_groups(&f->cgroups);
    assert_usable(&f->cgroups);
}

// Lives in a group of its own until `end` is closed.
static _Noreturn void live_in_group(const struct cgroups *cgroups, int entered_fd, int end_fd)
{
    char name[16], byte = 0;
    struct err err;
    snprintf(name, sizeof name, "%d", (int)getpid());
    const bool entered = cgroups->trees_count && cgroup_enter(cgroups, name, &err) == 0;
    if (write(entered_fd, entered ? "y" : "n", 1) == 1)
        (void)!read(end_fd, &byte, 1);
    _exit(0);
}

// What an own child made is nothing to come back for; what somebody else's did is.
static void test_only_others_groups_are_left(void **state)
{
    struct fixture *f = *state;
    int entered[2], end[2], status;
    char answer;
    open_real_groups(&f->cgroups);
    assert_int_equal(pipe2(entered, O_CLOEXEC), 0);
    for (int generation = 1; generation <= 2; generation++) {
        assert_int_equal(pipe2(end, O_CLOEXEC), 0);
        const pid_t pid = fork();
        if (pid == 0) {
            close(end[1]);
            if (generation == 1 || fork() == 0)
                live_in_group(&f->cgroups, entered[1], end[0]);
            wait(NULL);
            _exit(0);
        }
        assert_int_equal(read(entered[0], &answer, 1), 1);
        assert_int_equal(answer, f->cgroups.trees_count ? 'y' : 'n');
        assert_int_equal(cgroups_sweep(&f->cgroups), generation == 1 || answer == 'n');
        close(end[0]);
        close(end[1]);
        assert_int_equal(waitpid(pid, &status, 0), pid);
    }
    assert_true(cgroups_sweep(&f->cgroups));
    close(entered[0]);
    close(entered[1]);
}

// The runner of a hub that was killed ends while the next one's begins.
static void test_another_runner_ends(void **state)
{
    struct fixture *f = *state;
    struct cgroups other;
    open_real_groups(&other);
    open_real_groups(&f->cgroups);
    cgroups_close(&other);
    assert_usable(&f->cgroups);
}

// Nothing is left on the host once the last runner has ended.
static void test_the_last_runner_ends(void **state)
{
    struct fixture *f = *state;
    struct cgroups other;
    int base_fds[ARRAY_LEN(other.trees)];
    open_real_groups(&other);
    open_real_groups(&f->cgroups);
    const unsigned count = f->cgroups.trees_count;
    for (unsigned i = 0; i < count; i++)
        base_fds[i] = dup(f->cgroups.trees[i].base_fd);
    cgroups_close(&other);
    cgroups_close(&f->cgroups);
    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(faccessat(base_fds[i], "cgroup.procs", F_OK, 0), -1);
        close(base_fds[i]);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_version_2),
        TEST(test_version_2_usage),
        TEST(test_what_is_not_delegated_is_missing),
        TEST(test_own_group_is_above_the_hubs),
        TEST(test_version_1),
        TEST(test_version_1_usage),
        TEST(test_without_groups_all_is_missing),
        TEST(test_group_of_a_process),
        TEST(test_real_groups),
        TEST(test_only_others_groups_are_left),
        TEST(test_another_runner_ends),
        TEST(test_the_last_runner_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
