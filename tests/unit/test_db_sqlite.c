// SPDX-License-Identifier: AGPL-3.0-or-later
// What is particular to the store in a SQLite file: the files, full disks, damaged files, and paths
// that cannot be made absolute.
#include "db/db.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/fd.h"
#include "base/mem.h"

static const struct db_stmt insert_setting = {
    "INSERT INTO server_settings (name, value) VALUES ($1, $2)"};
static const struct db_stmt count_settings = {"SELECT count(*) FROM server_settings"};

// Every test has a fresh folder as its working directory.
static char folder[64];

static int setup(void **state UNUSED)
{
    strcpy(folder, "/tmp/cohub-test-XXXXXX");
    return mkdtemp(folder) ? chdir(folder) : -1;
}

static int teardown(void **state UNUSED)
{
    auto_free char *command = mem_printf("chmod -R u+rwx %s && rm -r %s", folder, folder);
    return chdir("/") || system(command);
}

static int put(struct db_session *txn, void *arg, struct err *err)
{
    return db_exec(txn, &insert_setting, DB_ARGS(DB_TEXT(arg), DB_TEXT("v")), NULL, err);
}

static int64_t count(struct db *db)
{
    struct err err;
    auto_session struct db_session *session = NULL;
    if (db_session_open(db, &session, &err))
        return -1;
    auto_rows struct db_rows *rows = NULL;
    if (db_query(session, &count_settings, DB_NO_ARGS, &rows, &err) || db_rows_next(rows, &err) < 1)
        return -1;
    return db_rows_int(rows, 0);
}

// Runs in a child process, whose result is a line number, 0 for success.
#define EXPECT(condition)                                                                          \
    do {                                                                                           \
        if (!(condition))                                                                          \
            return __LINE__;                                                                       \
    } while (0)

static int run_child(int (*run)(void))
{
    int fds[2], line = -1;
    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (!pid) {
        line = run();
        _exit(write(fds[1], &line, sizeof line) != sizeof line);
    }
    close(fds[1]);
    ssize_t size = read(fds[0], &line, sizeof line);
    close(fds[0]);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_int_equal(size, sizeof line);
    return line;
}

static void assert_child_succeeds(int (*run)(void))
{
    int line = run_child(run);
    if (line)
        fail_msg("in the child process, line %d", line);
}

// ---- Files ----

static mode_t mode_of(const char *path)
{
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    return st.st_mode & 07777;
}

static void files_belong_to_the_owner_only(void **state UNUSED)
{
    struct err err;
    auto_db struct db *db = NULL;
    umask(0);
    assert_int_equal(db_open("sqlite:hub.sqlite3", &db, &err), 0);
    umask(022);
    char name[] = "a";
    assert_int_equal(db_write(db, put, name, &err), 0);
    assert_int_equal(mode_of("hub.sqlite3"), 0600);
    assert_int_equal(mode_of("hub.sqlite3-wal"), 0600);
    assert_int_equal(mode_of("hub.sqlite3-shm"), 0600);
    assert_int_equal(mode_of("hub.sqlite3-epochs"), 0600);
}

static int pragma_of(struct db_session *txn, void *arg, struct err *err)
{
    static const struct db_stmt synchronous = {"PRAGMA synchronous"};
    auto_rows struct db_rows *rows = NULL;
    int rc = db_query(txn, &synchronous, DB_NO_ARGS, &rows, err);
    if (rc)
        return rc;
    rc = db_rows_next(rows, err);
    *(int64_t *)arg = db_rows_int(rows, 0);
    return rc < 0 ? rc : 0;
}

static void commits_wait_for_the_disk(void **state UNUSED)
{
    struct err err;
    auto_db struct db *db = NULL;
    int64_t synchronous = -1;
    assert_int_equal(db_open("sqlite:hub.sqlite3", &db, &err), 0);
    assert_int_equal(db_write(db, pragma_of, &synchronous, &err), 0);
    assert_int_equal(synchronous, 2); // FULL
}

static void names_that_are_no_files_are_refused(void **state UNUSED)
{
    struct err err;
    struct db *db;
    assert_int_equal(db_open("sqlite:", &db, &err), -ERR_INVALID);
    assert_int_equal(db_open("sqlite::memory:", &db, &err), -ERR_INVALID);
    assert_int_equal(db_open("sqlite:file:x?mode=memory", &db, &err), -ERR_INVALID);
    assert_int_equal(mkdir("folder", 0700), 0);
    assert_int_equal(db_open("sqlite:folder", &db, &err), -ERR_INVALID);
    assert_int_equal(symlink("target", "link"), 0);
    assert_int_equal(db_open("sqlite:link", &db, &err), -ERR_INVALID);
    assert_true(db_open("sqlite:no/such/folder", &db, &err) < 0);
    assert_int_equal(err.sys_errno, ENOENT);
}

static void write_file(const char *path, const char *bytes, size_t size)
{
    auto_fd int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_int_equal(fd_write_all(fd, bytes, size), 0);
}

static void read_file(const char *path, struct buf *out)
{
    auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_int_equal(fd_read_all(fd, 1 << 24, out), 0);
}

static void file_that_is_no_database_stays_untouched(void **state UNUSED)
{
    static const char text[] = "These are somebody's notes, and long enough to have a header: "
                               "0123456789012345678901234567890123456789";
    write_file("notes.txt", text, sizeof text);
    struct err err;
    struct db *db;
    assert_int_equal(db_open("sqlite:notes.txt", &db, &err), -ERR_INVALID);
    assert_non_null(strstr(err.message, "not a database"));
    auto_buf struct buf after = {0};
    read_file("notes.txt", &after);
    assert_int_equal(after.size, sizeof text);
    assert_memory_equal(after.data, text, sizeof text);
    assert_int_equal(access("notes.txt-epochs", F_OK), -1);
}

static int drop_migrations(struct db_session *txn, void *arg UNUSED, struct err *err)
{
    static const struct db_stmt drop = {"DROP TABLE schema_migrations"};
    return db_exec(txn, &drop, DB_NO_ARGS, NULL, err);
}

static void database_of_another_program_is_refused(void **state UNUSED)
{
    struct err err;
    struct db *db;
    assert_int_equal(db_open("sqlite:other.sqlite3", &db, &err), 0);
    assert_int_equal(db_write(db, drop_migrations, NULL, &err), 0);
    db_close(db);
    assert_int_equal(db_open("sqlite:other.sqlite3", &db, &err), -ERR_INVALID);
    assert_non_null(strstr(err.message, "another program"));
}

static void damaged_database_is_refused_and_stays_untouched(void **state UNUSED)
{
    struct err err;
    struct db *db;
    assert_int_equal(db_open("sqlite:hub.sqlite3", &db, &err), 0);
    db_close(db);
    auto_buf struct buf before = {0}, after = {0};
    read_file("hub.sqlite3", &before);
    memset(before.data + 100, 0xff, 200); // the schema
    write_file("hub.sqlite3", before.data, before.size);
    assert_int_equal(db_open("sqlite:hub.sqlite3", &db, &err), -ERR_INTERNAL);
    assert_non_null(strstr(err.message, "damaged"));
    read_file("hub.sqlite3", &after);
    assert_int_equal(after.size, before.size);
    assert_memory_equal(after.data, before.data, before.size);
}

// ---- A full disk ----

enum { BIG_SIZE = 64 << 10 };

static int put_big(struct db_session *txn, void *arg, struct err *err)
{
    auto_free char *big = mem_alloc(BIG_SIZE);
    memset(big, 'x', BIG_SIZE);
    return db_exec(txn, &insert_setting, DB_ARGS(DB_TEXT(arg), DB_TEXTN(big, BIG_SIZE)), NULL, err);
}

// Far more than the cache of the writer, so that the disk is full before the commit.
static int put_huge(struct db_session *txn, void *arg UNUSED, struct err *err)
{
    for (int i = 0; i < 200; i++) {
        char name[16];
        snprintf(name, sizeof name, "huge%d", i);
        int rc = put_big(txn, name, err);
        if (rc)
            return rc;
    }
    return 0;
}

static int put_huge_and_hide_the_error(struct db_session *txn, void *arg UNUSED, struct err *err)
{
    if (put_huge(txn, NULL, err))
        return 0;
    return 0;
}

static bool write_proc(const char *path, const char *text)
{
    auto_fd int fd = open(path, O_WRONLY | O_CLOEXEC);
    return fd >= 0 && !fd_write_all(fd, text, strlen(text));
}

// A file system of 3 MB in a namespace of this process, which needs no rights.
static int enter_small_disk(void)
{
    auto_free char *uid_map = mem_printf("0 %d 1", (int)geteuid());
    auto_free char *gid_map = mem_printf("0 %d 1", (int)getegid());
    if (mkdir("disk", 0700) || unshare(CLONE_NEWUSER | CLONE_NEWNS))
        return -1;
    if (!write_proc("/proc/self/setgroups", "deny") || !write_proc("/proc/self/uid_map", uid_map) ||
        !write_proc("/proc/self/gid_map", gid_map))
        return -1;
    if (mount("none", "disk", "tmpfs", 0, "size=3m"))
        return -1;
    return chdir("disk");
}

// Writes until the disk is full; *ret_count is how many were acknowledged.
static int fill_disk(struct db *db, int64_t *ret_count, struct err *err)
{
    for (int64_t i = 0;; i++) {
        char name[24];
        snprintf(name, sizeof name, "%lld", (long long)i);
        int rc = db_write(db, put_big, name, err);
        if (rc) {
            *ret_count = i;
            return rc;
        }
    }
}

enum { NO_NAMESPACE = -2 };

static int full_disk_child(void)
{
    if (enter_small_disk())
        return NO_NAMESPACE;
    int ballast = open("ballast", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    EXPECT(!posix_fallocate(ballast, 0, 1 << 20));
    struct err err;
    struct db *db;
    int64_t acknowledged;
    EXPECT(!db_open("sqlite:hub.sqlite3", &db, &err));
    EXPECT(fill_disk(db, &acknowledged, &err) == -ERR_NO_SPACE);
    EXPECT(err.code == ERR_NO_SPACE && strstr(err.message, "full"));
    EXPECT(acknowledged > 0 && count(db) == acknowledged);
    EXPECT(!ftruncate(ballast, 0));
    char name[] = "after";
    EXPECT(!db_write(db, put_big, name, &err));
    EXPECT(count(db) == acknowledged + 1);
    db_close(db);
    EXPECT(!db_open("sqlite:hub.sqlite3", &db, &err));
    EXPECT(count(db) == acknowledged + 1);
    db_close(db);
    return 0;
}

static void check_line(int line)
{
    if (line == NO_NAMESPACE)
        fail_msg("no namespace for a small disk can be made");
    if (line)
        fail_msg("in the child process, line %d", line);
}

static void full_disk_is_reported_and_survived(void **state UNUSED)
{
    check_line(run_child(full_disk_child));
}

static int full_at_open_child(void)
{
    if (enter_small_disk())
        return NO_NAMESPACE;
    int ballast = open("ballast", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    EXPECT(!posix_fallocate(ballast, 0, (3 << 20) - 8192));
    struct err err;
    struct db *db;
    EXPECT(db_open("sqlite:hub.sqlite3", &db, &err) == -ERR_NO_SPACE);
    EXPECT(!ftruncate(ballast, 0));
    EXPECT(!db_open("sqlite:hub.sqlite3", &db, &err));
    db_close(db);
    return 0;
}

static void disk_full_at_the_first_start_is_reported_and_survived(void **state UNUSED)
{
    check_line(run_child(full_at_open_child));
}

// Holds the writer until so many writes wait (itself included), so that they become one group.
struct hold {
    struct db *db;
    uint64_t queue;
    atomic_bool entered;
};

static int hold_writer(struct db_session *txn UNUSED, void *arg, struct err *err UNUSED)
{
    struct hold *hold = arg;
    hold->entered = true;
    while (db_stats_get(hold->db).queue < hold->queue)
        sched_yield();
    return 0;
}

static void hold_start(struct hold *hold, struct db_write *write)
{
    db_write_async(hold->db, write);
    while (!hold->entered)
        sched_yield();
}

static void stop_loop(struct db_write *write)
{
    loop_stop(write->loop);
}

static void ignore(struct db_write *write UNUSED)
{
}

static int put_and_notify(struct db_session *txn, void *arg, struct err *err)
{
    db_notify(txn, DB_TOPIC_SETTINGS);
    return put(txn, arg, err);
}

// A group with a write that makes SQLite undo everything: the others must be there afterwards, and
// their notices given once.
static int undone_group_child(db_txn_fn *culprit)
{
    if (enter_small_disk())
        return NO_NAMESPACE;
    struct err err;
    struct db *db;
    struct loop loop;
    EXPECT(!db_open("sqlite:hub.sqlite3", &db, &err));
    EXPECT(!loop_init(&loop, &err));
    uint64_t epoch = db_epoch(db, DB_TOPIC_SETTINGS);
    struct hold hold = {.db = db, .queue = 4};
    struct db_write first = {.loop = &loop, .fn = hold_writer, .arg = &hold, .done = ignore};
    hold_start(&hold, &first);
    struct db_write writes[] = {
        {.loop = &loop, .fn = put_and_notify, .arg = (char[]){"first"}, .done = ignore},
        {.loop = &loop, .fn = culprit, .done = ignore},
        {.loop = &loop, .fn = put, .arg = (char[]){"last"}, .done = stop_loop},
    };
    for (size_t i = 0; i < ARRAY_LEN(writes); i++)
        db_write_async(db, &writes[i]);
    loop_run(&loop);
    EXPECT(!writes[0].rc && !writes[2].rc);
    EXPECT(writes[1].rc == -ERR_NO_SPACE && writes[1].err.code == ERR_NO_SPACE);
    EXPECT(count(db) == 2 && db_epoch(db, DB_TOPIC_SETTINGS) == epoch + 1);
    loop_dispose(&loop);
    db_close(db);
    return 0;
}

static int undone_by_error_child(void)
{
    return undone_group_child(put_huge);
}

static int undone_in_silence_child(void)
{
    return undone_group_child(put_huge_and_hide_the_error);
}

static void group_that_is_undone_loses_only_the_culprit(void **state UNUSED)
{
    check_line(run_child(undone_by_error_child));
}

static void write_that_hides_the_full_disk_still_fails(void **state UNUSED)
{
    check_line(run_child(undone_in_silence_child));
}

enum { BIG_WRITES = 10 };

// A group that fits the memory, but not the disk: each of its writes succeeds until the commit.
static int failed_commit_child(void)
{
    if (enter_small_disk())
        return NO_NAMESPACE;
    struct err err;
    struct db *db;
    struct loop loop;
    EXPECT(!db_open("sqlite:hub.sqlite3", &db, &err));
    int ballast = open("ballast", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    EXPECT(!posix_fallocate(ballast, 0, 2200 << 10));
    EXPECT(!loop_init(&loop, &err));
    struct hold hold = {.db = db, .queue = 1 + BIG_WRITES};
    struct db_write first = {.loop = &loop, .fn = hold_writer, .arg = &hold, .done = ignore};
    hold_start(&hold, &first);
    struct db_write writes[BIG_WRITES];
    char names[BIG_WRITES][8];
    for (int i = 0; i < BIG_WRITES; i++) {
        snprintf(names[i], sizeof names[i], "%d", i);
        bool is_last = i == BIG_WRITES - 1;
        writes[i] = (struct db_write){
            .loop = &loop, .fn = put_big, .arg = names[i], .done = is_last ? stop_loop : ignore};
        db_write_async(db, &writes[i]);
    }
    loop_run(&loop);
    for (int i = 0; i < BIG_WRITES; i++)
        EXPECT(writes[i].rc == -ERR_NO_SPACE && writes[i].err.code == ERR_NO_SPACE);
    EXPECT(count(db) == 0);
    EXPECT(!ftruncate(ballast, 0));
    EXPECT(!db_write(db, put_big, names[0], &err) && count(db) == 1);
    loop_dispose(&loop);
    db_close(db);
    return 0;
}

static void failed_commit_fails_its_whole_group(void **state UNUSED)
{
    check_line(run_child(failed_commit_child));
}

// ---- Paths ----

static int unreadable_parent_child(void)
{
    const struct passwd *user = getpwnam("nobody");
    EXPECT(user);
    EXPECT(!mkdir("closed", 0700) && !mkdir("closed/data", 0700));
    EXPECT(!chown("closed/data", user->pw_uid, user->pw_gid));
    EXPECT(!chdir("closed/data"));
    EXPECT(!setgid(user->pw_gid) && !setuid(user->pw_uid));
    EXPECT(access(folder, X_OK));
    struct err err;
    struct db *db;
    EXPECT(!db_open("sqlite:hub.sqlite3", &db, &err));
    char name[] = "a";
    EXPECT(!db_write(db, put, name, &err));
    EXPECT(count(db) == 1);
    db_close(db);
    EXPECT(!db_open("sqlite:hub.sqlite3", &db, &err));
    EXPECT(count(db) == 1);
    db_close(db);
    return 0;
}

static void folders_above_need_not_be_readable(void **state UNUSED)
{
    if (geteuid())
        fail_msg("only root can become another user");
    assert_child_succeeds(unreadable_parent_child);
}

#define TEST(f)                                                                                    \
    {                                                                                              \
#f, f, setup, teardown, NULL                                                               \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(files_belong_to_the_owner_only),
        TEST(commits_wait_for_the_disk),
        TEST(names_that_are_no_files_are_refused),
        TEST(file_that_is_no_database_stays_untouched),
        TEST(database_of_another_program_is_refused),
        TEST(damaged_database_is_refused_and_stays_untouched),
        TEST(full_disk_is_reported_and_survived),
        TEST(disk_full_at_the_first_start_is_reported_and_survived),
        TEST(group_that_is_undone_loses_only_the_culprit),
        TEST(write_that_hides_the_full_disk_still_fails),
        TEST(failed_commit_fails_its_whole_group),
        TEST(folders_above_need_not_be_readable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
