// SPDX-License-Identifier: AGPL-3.0-or-later
// The queue of mail as several processes share it: who claims what, and what becomes of it.
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/macros.h"
#include "base/mem.h"
#include "db/query.h"
#include "svc/mail_internal.h"

#define MAIL_MAX 8

struct fixture {
    char folder[64];
    struct db *db;
    struct db_session *session;
    struct outgoing mail[MAIL_MAX];
    size_t count;
};

static int setup(void **state)
{
    struct fixture *f = mem_zalloc(sizeof *f);
    struct err err;
    strcpy(f->folder, "/tmp/cohub-test-XXXXXX");
    if (!mkdtemp(f->folder))
        return -1;
    auto_free char *url = mem_printf("sqlite:%s/hub.sqlite3", f->folder);
    *state = f;
    return db_open(url, &f->db, &err) || db_session_open(f->db, &f->session, &err) ? -1 : 0;
}

static void forget(struct fixture *f)
{
    for (size_t i = 0; i < f->count; i++)
        outgoing_dispose(&f->mail[i]);
    f->count = 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    forget(f);
    db_session_close(f->session);
    db_close(f->db);
    auto_free char *command = mem_printf("rm -r %s", f->folder);
    free(f);
    return system(command);
}

static int insert(struct db_session *txn, void *arg, struct err *err)
{
    static const struct db_stmt stmt = {
        "INSERT INTO mail (id, category, recipient, subject, message, created, next_attempt)"
        " VALUES ($1, 'ticket', 'a@example.org', 's', 'text', 1, $2)"};
    struct uuid id = uuid_new();
    return db_exec(txn, &stmt, DB_ARGS(DB_TEXT(id.text), DB_INT(*(int64_t *)arg)), NULL, err);
}

static void queue(struct fixture *f, int64_t next_attempt)
{
    struct err err;
    assert_int_equal(db_write(f->db, insert, &next_attempt, &err), 0);
}

static int run_out(struct db_session *txn, void *arg UNUSED, struct err *err)
{
    static const struct db_stmt stmt = {"UPDATE mail SET claimed_until = 1"};
    return db_exec(txn, &stmt, DB_NO_ARGS, NULL, err);
}

static size_t claim(struct fixture *f, size_t count)
{
    struct err err;
    forget(f);
    assert_int_equal(outbox_claim(f->db, f->session, count, f->mail, &f->count, &err), 0);
    return f->count;
}

static int64_t count_where(struct fixture *f, const struct db_stmt *stmt)
{
    struct err err;
    int64_t count = -1;
    assert_int_equal(db_query_int(f->session, stmt, DB_NO_ARGS, &count, &err), 0);
    return count;
}

static void test_only_what_is_due_is_claimed(void **state)
{
    struct fixture *f = *state;
    queue(f, clock_now_ms() + 3600 * 1000);
    assert_int_equal(claim(f, 4), 0);
    queue(f, 1);
    assert_int_equal(claim(f, 4), 1);
    assert_string_equal(f->mail[0].to, "a@example.org");
    assert_memory_equal(f->mail[0].message.data, "text", 4);
}

static void test_what_is_claimed_is_nobody_elses(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 6; i++)
        queue(f, i + 1);
    assert_int_equal(claim(f, 4), 4);
    assert_int_equal(claim(f, 4), 2);
    assert_int_equal(claim(f, 4), 0);
}

static void test_a_claim_runs_out(void **state)
{
    struct fixture *f = *state;
    struct err err;
    queue(f, 1);
    assert_int_equal(claim(f, 4), 1);
    assert_int_equal(db_write(f->db, run_out, NULL, &err), 0);
    assert_int_equal(claim(f, 4), 1);
    assert_int_equal(db_write(f->db, run_out, NULL, &err), 0);
    assert_int_equal(outbox_renew(f->db, &f->mail[0], &err), 0);
    assert_int_equal(claim(f, 4), 0);
}

static void test_what_is_released_is_claimed_at_once(void **state)
{
    struct fixture *f = *state;
    struct err err;
    queue(f, 1);
    assert_int_equal(claim(f, 4), 1);
    assert_int_equal(outbox_release(f->db, &f->mail[0], &err), 0);
    assert_int_equal(claim(f, 4), 1);
    assert_int_equal(f->mail[0].attempts, 0);
}

static void test_what_is_done_is_not_claimed_again(void **state)
{
    static const struct db_stmt sent = {
        "SELECT count(*) FROM mail WHERE sent IS NOT NULL AND message = ''"};
    static const struct db_stmt failed = {
        "SELECT count(*) FROM mail WHERE error = 'why' AND attempts = 1 AND message = 'text'"};
    static const struct db_stmt all = {"SELECT count(*) FROM mail"};
    struct fixture *f = *state;
    struct err err;
    for (int i = 0; i < 3; i++)
        queue(f, i + 1);
    assert_int_equal(claim(f, 4), 3);
    assert_int_equal(outbox_sent(f->db, &f->mail[0], &err), 0);
    assert_int_equal(outbox_failed(f->db, &f->mail[1], "why", 0, &err), 0);
    assert_int_equal(outbox_delivered(f->db, &f->mail[2], &err), 0);
    assert_int_equal(db_write(f->db, run_out, NULL, &err), 0);
    assert_int_equal(claim(f, 4), 0);
    assert_int_equal(count_where(f, &sent), 1);
    assert_int_equal(count_where(f, &failed), 1);
    assert_int_equal(count_where(f, &all), 2);
}

static void test_what_failed_waits(void **state)
{
    struct fixture *f = *state;
    struct err err;
    queue(f, 1);
    assert_int_equal(claim(f, 4), 1);
    assert_int_equal(outbox_failed(f->db, &f->mail[0], "why", clock_now_ms() + 3600 * 1000, &err),
                     0);
    assert_int_equal(claim(f, 4), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_only_what_is_due_is_claimed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_is_claimed_is_nobody_elses, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_claim_runs_out, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_is_released_is_claimed_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_is_done_is_not_claimed_again, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_failed_waits, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
