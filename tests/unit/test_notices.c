// SPDX-License-Identifier: AGPL-3.0-or-later
// Who is told of rows that changed: what arrives on a subscriber's loop, and that nothing does that
// was undone, or after it has left.
#include "db/db.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/limits.h"
#include "base/mem.h"

#define PATIENCE_MS 60000

struct fixture {
    char folder[64];
    char *url;
    struct db *db;
    struct loop loop;
};

static struct db *open_db(const char *url)
{
    struct err err;
    struct db *db;
    if (db_open(url, &db, &err))
        fail_msg("%s (%s)", err.message, err.detail);
    return db;
}

static int setup(void **state)
{
    struct fixture *f = mem_zalloc(sizeof *f);
    struct err err;
    strcpy(f->folder, "/tmp/cohub-test-XXXXXX");
    if (!mkdtemp(f->folder) || loop_init(&f->loop, &err))
        return -1;
    f->url = mem_printf("sqlite:%s/hub.sqlite3", f->folder);
    f->db = open_db(f->url);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    db_close(f->db);
    loop_dispose(&f->loop);
    auto_free char *command = mem_printf("rm -r %s", f->folder);
    int rc = system(command);
    free(f->url);
    free(f);
    return rc;
}

// ---- A subscriber that notes what it hears ----

enum { HEARD_MAX = 4096 };

struct listener {
    struct db_subscription subscription;
    struct db *db;
    pthread_t thread;
    size_t count;
    char heard[HEARD_MAX][DB_KEY_MAX + 1]; // "*" for any row
    size_t leave_after;                    // 0: never
    const char *write_before_leaving;
};

static void write_row(struct db *db, const char *key);

static void on_changed(struct db_subscription *subscription, const char *key)
{
    struct listener *l = subscription->ctx;
    assert_true(pthread_equal(pthread_self(), l->thread));
    assert_true(l->count < HEARD_MAX);
    snprintf(l->heard[l->count++], sizeof l->heard[0], "%s", key ? key : "*");
    if (l->count != l->leave_after)
        return;
    if (l->write_before_leaving)
        write_row(l->db, l->write_before_leaving);
    db_unsubscribe(l->db, &l->subscription);
}

static struct listener *listen_at(struct db *db, struct loop *loop, enum db_topic topic)
{
    struct listener *l = mem_zalloc(sizeof *l);
    *l = (struct listener){
        .subscription = {.loop = loop, .topic = topic, .changed = on_changed, .ctx = l},
        .db = db,
        .thread = pthread_self()};
    db_subscribe(db, &l->subscription);
    return l;
}

static struct listener *listen_to(struct fixture *f, enum db_topic topic)
{
    return listen_at(f->db, &f->loop, topic);
}

static void leave(struct listener *l)
{
    db_unsubscribe(l->db, &l->subscription);
    free(l);
}

static void on_timeout(uv_timer_t *timer)
{
    *(bool *)timer->data = true;
}

static void wait_for(struct fixture *f, const struct listener *l, size_t count)
{
    bool late = false;
    uv_timer_t timer = {.data = &late};
    uv_timer_init(&f->loop.uv, &timer);
    uv_timer_start(&timer, on_timeout, PATIENCE_MS, 0);
    while (l->count < count && !late)
        uv_run(&f->loop.uv, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&timer, NULL);
    uv_run(&f->loop.uv, UV_RUN_NOWAIT);
    assert_false(late);
}

static void run_what_is_posted(struct fixture *f)
{
    uv_run(&f->loop.uv, UV_RUN_NOWAIT);
}

// Expects these, in this order, and no more.
static void assert_heard(struct fixture *f, const struct listener *l, size_t count,
                         const char *const *keys)
{
    wait_for(f, l, count);
    assert_int_equal(l->count, count);
    for (size_t i = 0; i < count; i++)
        assert_string_equal(l->heard[i], keys[i]);
}

#define HEARD(...)                                                                                 \
    sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *), (const char *const[])             \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }

// ---- Writes ----

struct change {
    enum db_topic topic;
    const char *const *keys; // ends with NULL; itself NULL: no row is named
    int result;
};

static int change_rows(struct db_session *txn, void *arg, struct err *err)
{
    static const struct db_stmt update = {
        "UPDATE server_settings SET value = 'v' WHERE name = 'n'"};
    const struct change *change = arg;
    int rc = db_exec(txn, &update, DB_NO_ARGS, NULL, err);
    if (rc)
        return rc;
    if (!change->keys)
        db_notify(txn, change->topic);
    for (const char *const *key = change->keys; key && *key; key++)
        db_notify_row(txn, change->topic, *key);
    return change->result ? err_set(err, ERR_FORBIDDEN, "wanted") : 0;
}

static void write_change(struct db *db, struct change change)
{
    struct err err;
    int rc = db_write(db, change_rows, &change, &err);
    if (rc != change.result)
        fail_msg("%s (%s)", err.message, err.detail);
}

#define KEYS(...)                                                                                  \
    (const char *const[])                                                                          \
    {                                                                                              \
        __VA_ARGS__, NULL                                                                          \
    }

static void write_row(struct db *db, const char *key)
{
    write_change(db, (struct change){DB_TOPIC_PROJECTS, KEYS(key), 0});
}

// `count` rows with names of their own, in one transaction.
static void write_many(struct db *db, int first, int count)
{
    char(*names)[16] = mem_alloc((size_t)count * sizeof *names);
    const char **keys = mem_alloc(((size_t)count + 1) * sizeof *keys);
    for (int i = 0; i < count; i++) {
        snprintf(names[i], sizeof names[i], "%d", first + i);
        keys[i] = names[i];
    }
    keys[count] = NULL;
    write_change(db, (struct change){DB_TOPIC_PROJECTS, keys, 0});
    free(keys);
    free(names);
}

// ---- What arrives ----

static void rows_come_in_the_order_of_the_commits(void **state)
{
    struct fixture *f = *state;
    struct listener *l = listen_to(f, DB_TOPIC_PROJECTS);
    write_row(f->db, "c");
    write_change(f->db, (struct change){DB_TOPIC_PROJECTS, KEYS("b", "a"), 0});
    write_row(f->db, "d");
    assert_heard(f, l, HEARD("c", "b", "a", "d"));
    leave(l);
}

static void row_named_again_after_it_was_told_is_told_again(void **state)
{
    struct fixture *f = *state;
    struct listener *l = listen_to(f, DB_TOPIC_PROJECTS);
    write_row(f->db, "a");
    wait_for(f, l, 1);
    write_row(f->db, "a");
    assert_heard(f, l, HEARD("a", "a"));
    leave(l);
}

static void longest_key_arrives_whole(void **state)
{
    struct fixture *f = *state;
    struct listener *l = listen_to(f, DB_TOPIC_PROJECTS);
    char key[DB_KEY_MAX + 1] = {0};
    memset(key, 'k', DB_KEY_MAX);
    write_row(f->db, key);
    assert_heard(f, l, HEARD(key));
    leave(l);
}

static void topics_are_apart(void **state)
{
    struct fixture *f = *state;
    struct listener *projects = listen_to(f, DB_TOPIC_PROJECTS);
    struct listener *copies = listen_to(f, DB_TOPIC_COPIES);
    write_row(f->db, "project");
    write_change(f->db, (struct change){DB_TOPIC_COPIES, KEYS("copy"), 0});
    assert_heard(f, copies, HEARD("copy"));
    assert_heard(f, projects, HEARD("project"));
    leave(projects);
    leave(copies);
}

static void topic_without_a_row_is_any_row(void **state)
{
    struct fixture *f = *state;
    struct listener *l = listen_to(f, DB_TOPIC_SETTINGS);
    write_change(f->db, (struct change){DB_TOPIC_SETTINGS, NULL, 0});
    assert_heard(f, l, HEARD("*"));
    leave(l);
}

static void every_subscriber_is_told(void **state)
{
    struct fixture *f = *state;
    struct listener *first = listen_to(f, DB_TOPIC_PROJECTS);
    struct listener *second = listen_to(f, DB_TOPIC_PROJECTS);
    write_row(f->db, "a");
    assert_heard(f, first, HEARD("a"));
    assert_heard(f, second, HEARD("a"));
    leave(first);
    write_row(f->db, "b");
    assert_heard(f, second, HEARD("a", "b"));
    leave(second);
}

static void undone_transaction_gives_none(void **state)
{
    struct fixture *f = *state;
    struct listener *l = listen_to(f, DB_TOPIC_PROJECTS);
    write_change(f->db, (struct change){DB_TOPIC_PROJECTS, KEYS("undone"), -ERR_FORBIDDEN});
    write_row(f->db, "done");
    assert_heard(f, l, HEARD("done"));
    leave(l);
}

// ---- Many ----

static void too_many_rows_of_a_transaction_are_any_row(void **state)
{
    struct fixture *f = *state;
    struct listener *l = listen_to(f, DB_TOPIC_PROJECTS);
    write_many(f->db, 0, LIMIT_CHANGES);
    wait_for(f, l, LIMIT_CHANGES);
    assert_string_equal(l->heard[LIMIT_CHANGES - 1], "1023");
    write_many(f->db, 0, LIMIT_CHANGES + 1);
    wait_for(f, l, LIMIT_CHANGES + 1);
    assert_string_equal(l->heard[LIMIT_CHANGES], "*");
    assert_int_equal(l->count, LIMIT_CHANGES + 1);
    leave(l);
}

// The loop does not run meanwhile.
static void row_that_waits_to_be_told_is_told_once(void **state)
{
    struct fixture *f = *state;
    struct listener *l = listen_to(f, DB_TOPIC_PROJECTS);
    for (int i = 0; i < 50; i++) {
        write_row(f->db, "a");
        write_row(f->db, "b");
    }
    assert_heard(f, l, HEARD("a", "b"));
    leave(l);
}

static void too_many_rows_that_wait_become_any_row(void **state)
{
    struct fixture *f = *state;
    struct listener *l = listen_to(f, DB_TOPIC_PROJECTS);
    for (int i = 0; i < 3; i++)
        write_many(f->db, i * 1000, 1000);
    assert_heard(f, l, HEARD("*"));
    write_row(f->db, "a");
    assert_heard(f, l, HEARD("*", "a"));
    leave(l);
}

enum { ROWS = 400 };

static void *write_rows(void *arg)
{
    for (int i = 0; i < ROWS; i++) {
        char key[16];
        snprintf(key, sizeof key, "%d", i);
        write_row(arg, key);
    }
    return NULL;
}

static void nothing_is_lost_while_a_thread_writes(void **state)
{
    struct fixture *f = *state;
    struct listener *l = listen_to(f, DB_TOPIC_PROJECTS);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, write_rows, f->db), 0);
    wait_for(f, l, ROWS);
    pthread_join(thread, NULL);
    for (int i = 0; i < ROWS; i++)
        assert_int_equal(atoi(l->heard[i]), i);
    leave(l);
}

// ---- Leaving ----

static void nothing_comes_after_leaving(void **state)
{
    struct fixture *f = *state;
    struct listener *l = listen_to(f, DB_TOPIC_PROJECTS);
    write_row(f->db, "under way");
    db_unsubscribe(f->db, &l->subscription);
    write_row(f->db, "later");
    run_what_is_posted(f);
    assert_int_equal(l->count, 0);
    free(l);
}

static void loop_may_end_with_a_notice_under_way(void **state)
{
    struct fixture *f = *state;
    struct err err;
    struct loop loop;
    assert_int_equal(loop_init(&loop, &err), 0);
    struct listener *l = listen_at(f->db, &loop, DB_TOPIC_PROJECTS);
    write_row(f->db, "under way");
    leave(l);
    loop_dispose(&loop);
    write_row(f->db, "later");
}

static void db_may_close_with_a_notice_under_way(void **state)
{
    struct fixture *f = *state;
    struct listener *l = listen_to(f, DB_TOPIC_PROJECTS);
    write_row(f->db, "under way");
    leave(l);
    db_close(TAKE_PTR(f->db));
    run_what_is_posted(f);
}

static void leaving_while_told_ends_it_at_once(void **state)
{
    struct fixture *f = *state;
    struct listener *l = listen_to(f, DB_TOPIC_PROJECTS);
    l->leave_after = 2;
    write_change(f->db, (struct change){DB_TOPIC_PROJECTS, KEYS("a", "b", "c"), 0});
    assert_heard(f, l, HEARD("a", "b"));
    run_what_is_posted(f);
    assert_int_equal(l->count, 2);
    free(l);
}

static void leaving_while_told_with_more_under_way(void **state)
{
    struct fixture *f = *state;
    struct listener *l = listen_to(f, DB_TOPIC_PROJECTS);
    l->leave_after = 1;
    l->write_before_leaving = "more";
    write_row(f->db, "a");
    assert_heard(f, l, HEARD("a"));
    run_what_is_posted(f);
    assert_int_equal(l->count, 1);
    free(l);
}

static void leaving_and_coming_again_while_a_thread_writes(void **state)
{
    struct fixture *f = *state;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, write_rows, f->db), 0);
    for (int i = 0; i < 200; i++) {
        struct listener *l = listen_to(f, DB_TOPIC_PROJECTS);
        uv_run(&f->loop.uv, UV_RUN_NOWAIT);
        leave(l);
    }
    pthread_join(thread, NULL);
}

// ---- Others on the same file ----

static void writes_by_another_handle_are_any_row(void **state)
{
    struct fixture *f = *state;
    struct db *other = open_db(f->url);
    struct listener *projects = listen_to(f, DB_TOPIC_PROJECTS);
    struct listener *copies = listen_to(f, DB_TOPIC_COPIES);
    write_row(other, "a");
    assert_heard(f, projects, HEARD("*"));
    write_row(f->db, "own");
    assert_heard(f, projects, HEARD("*", "own"));
    write_row(other, "b");
    assert_heard(f, projects, HEARD("*", "own", "*"));
    assert_int_equal(copies->count, 0);
    leave(projects);
    leave(copies);
    db_close(other);
}

static void own_writes_are_not_taken_for_those_of_others(void **state)
{
    struct fixture *f = *state;
    struct db *other = open_db(f->url);
    struct listener *there = listen_at(other, &f->loop, DB_TOPIC_PROJECTS);
    struct listener *here = listen_to(f, DB_TOPIC_PROJECTS);
    for (int i = 0; i < 50; i++) {
        write_row(f->db, i % 2 ? "odd" : "even");
        wait_for(f, here, (size_t)i + 1);
    }
    wait_for(f, there, 1);
    for (size_t i = 0; i < here->count; i++)
        assert_string_not_equal(here->heard[i], "*");
    leave(here);
    leave(there);
    db_close(other);
}

// Tells when it has opened the database, and writes when it is told to.
static int write_in_child(const char *url, int fd)
{
    struct err err;
    struct db *db;
    struct change change = {DB_TOPIC_PROJECTS, KEYS("a"), 0};
    char c = 'r';
    if (db_open(url, &db, &err) || write(fd, &c, 1) != 1 || read(fd, &c, 1) != 1)
        return 1;
    if (db_write(db, change_rows, &change, &err))
        return 2;
    db_close(db);
    return 0;
}

static void writes_by_another_process_are_any_row(void **state)
{
    struct fixture *f = *state;
    db_close(TAKE_PTR(f->db));
    int fds[2], status;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (!pid)
        _exit(write_in_child(f->url, fds[1]));
    char c;
    assert_int_equal(read(fds[0], &c, 1), 1);
    f->db = open_db(f->url);
    struct listener *l = listen_to(f, DB_TOPIC_PROJECTS);
    assert_int_equal(write(fds[0], "g", 1), 1);
    assert_heard(f, l, HEARD("*"));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && !WEXITSTATUS(status));
    leave(l);
    close(fds[0]);
    close(fds[1]);
}

#define TEST(f)                                                                                    \
    {                                                                                              \
#f, f, setup, teardown, NULL                                                               \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(rows_come_in_the_order_of_the_commits),
        TEST(row_named_again_after_it_was_told_is_told_again),
        TEST(longest_key_arrives_whole),
        TEST(topics_are_apart),
        TEST(topic_without_a_row_is_any_row),
        TEST(every_subscriber_is_told),
        TEST(undone_transaction_gives_none),
        TEST(too_many_rows_of_a_transaction_are_any_row),
        TEST(row_that_waits_to_be_told_is_told_once),
        TEST(too_many_rows_that_wait_become_any_row),
        TEST(nothing_is_lost_while_a_thread_writes),
        TEST(nothing_comes_after_leaving),
        TEST(loop_may_end_with_a_notice_under_way),
        TEST(db_may_close_with_a_notice_under_way),
        TEST(leaving_while_told_ends_it_at_once),
        TEST(leaving_while_told_with_more_under_way),
        TEST(leaving_and_coming_again_while_a_thread_writes),
        TEST(writes_by_another_handle_are_any_row),
        TEST(own_writes_are_not_taken_for_those_of_others),
        TEST(writes_by_another_process_are_any_row),
    };
    return cmocka_run_group_tests_name("notices", tests, NULL, NULL);
}
