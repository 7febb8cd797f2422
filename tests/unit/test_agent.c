// SPDX-License-Identifier: AGPL-3.0-or-later
// The agent as PID 1 of a real PID namespace, which bubblewrap makes; it sees the host's files, but
// has a /tmp of its own.
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "agent_fixture.h"
#include "base/fd.h"

#define TIMEOUT_MS 60000

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static int start(void **state)
{
    return fixture_start(state, NULL);
}

static void assert_exited(const struct client_result *r, int code, const char *out)
{
    assert_int_equal(r->exit.outcome, EXEC_EXITED);
    assert_int_equal(r->exit.value, code);
    assert_string_equal(r->out.data, out);
}

static void test_command_gets_its_arguments_as_they_are(void **state)
{
    struct fixture *f = *state;
    const char *const args[] = {"%s|", "a b", "", "$X;*", NULL};
    const struct client_result *r =
        client_run(f->client, 1, &(struct client_command){.command = "printf", .args = args});
    assert_exited(r, 0, "a b||$X;*|");
    assert_string_equal(r->text.data, "printf %s| a b  $X;*");
    assert_int_equal(r->err.size, 0);
}

static void test_script_runs_in_bash_and_leaves_no_file(void **state)
{
    struct fixture *f = *state;
    const struct client_result *r =
        fixture_run(f, "echo $BASH_VERSION | grep -q . && ls -l /tmp; exit 3");
    assert_int_equal(r->exit.value, 3);
    assert_non_null(strstr(r->out.data, "-rwx------"));
    assert_int_equal(strncmp(r->text.data, "bash /tmp/f-1-", 14), 0);
    assert_exited(fixture_run(f, "ls /tmp | wc -l"), 0, "1\n");
    r = fixture_run(f, "kill -9 $$");
    assert_int_equal(r->exit.outcome, EXEC_SIGNALED);
    assert_exited(fixture_run(f, "ls /tmp | wc -l"), 0, "1\n");
}

static void test_large_script_and_output_are_whole(void **state)
{
    struct fixture *f = *state;
    auto_buf struct buf script = {0};
    buf_append_str(&script, "cat <<'END'\n");
    for (unsigned i = 0; i < 40000; i++)
        buf_printf(&script, "%07u some line of text\n", i);
    buf_append_str(&script, "END\nhead -c 3000000 /dev/zero >&2\n");
    const struct client_result *r = fixture_run(f, buf_cstr(&script));
    assert_int_equal(r->exit.value, 0);
    assert_int_equal(r->out.size, 40000 * 26);
    assert_memory_equal(r->out.data, script.data + 12, r->out.size);
    assert_int_equal(r->err.size, 3000000);
}

static void assert_not_started(const struct client_result *r, int error)
{
    assert_int_equal(r->exit.outcome, EXEC_NOT_STARTED);
    assert_int_equal(r->exit.value, error);
}

static void test_what_cannot_start_says_why(void **state)
{
    struct fixture *f = *state;
    const char *const args[] = {"x", NULL};
    const struct client_result *r = client_run(
        f->client, 1, &(struct client_command){.command = "no-such-program", .args = args});
    assert_not_started(r, ENOENT);
    assert_string_equal(r->text.data, "no-such-program x");
    assert_not_started(client_run(f->client, 1, &(struct client_command){.command = "/etc/passwd"}),
                       EACCES);
    assert_not_started(client_run(f->client, 1, &(struct client_command){.command = ""}), ENOENT);
    assert_not_started(
        client_run(f->client, 1,
                   &(struct client_command){.command = "true", .directory = "/no/such"}),
        ENOENT);
    assert_not_started(client_run(f->client, 1,
                                  &(struct client_command){.command = "true",
                                                           .script = true,
                                                           .directory = "/etc/passwd"}),
                       ENOTDIR);
    assert_exited(fixture_run(f, "ls /tmp | wc -l"), 0, "1\n");
}

static void test_command_finds_a_clean_process(void **state)
{
    struct fixture *f = *state;
    const struct client_result *r =
        client_run(f->client, 1,
                   &(struct client_command){
                       .script = true,
                       .cpu_seconds = 7,
                       .directory = "/usr",
                       .command = "pwd; ls /proc/self/fd | wc -l; ulimit -t; umask\n"
                                  "cat /proc/self/status | grep -E 'Sig(Blk|Ign|Cgt)'\n"
                                  "ps -o sid= -p $$ | tr -d ' ' | grep -qx $$ && echo own"});
    assert_exited(r, 0,
                  "/usr\n4\n7\n0022\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n"
                  "SigCgt:\t0000000000000000\nown\n");
}

static void test_variables_are_added_and_replaced(void **state)
{
    struct fixture *f = *state;
    const char *const env[] = {"NEW=a=b c\n", "EMPTY=", "PATH=/tmp/bin:/usr/bin:/bin", NULL};
    struct client_command command = {
        .script = true,
        .env = env,
        .command = "mkdir -p /tmp/bin; printf '#!/bin/sh\\necho mine' >/tmp/bin/date\n"
                   "chmod +x /tmp/bin/date; printf '%s|%s|' \"$NEW\" \"${EMPTY-unset}\"\n"
                   "env | grep -c ^PATH="};
    assert_exited(client_run(f->client, 1, &command), 0, "a=b c\n||1\n");
    // The program itself is looked for where they say.
    const char *const args[] = {"x", NULL};
    command = (struct client_command){.command = "date", .args = args, .env = env};
    const struct client_result *r = client_run(f->client, 1, &command);
    assert_exited(r, 0, "mine\n");
    assert_string_equal(r->text.data, "date x");
    // Nothing of it stays with the process that starts the next.
    assert_exited(fixture_run(f, "rm -r /tmp/bin; echo ${NEW-unset}; command -v date"), 0,
                  "unset\n/usr/bin/date\n");
}

static void test_many_variables_reach_a_command(void **state)
{
    struct fixture *f = *state;
    static char texts[500][220];
    const char *env[501] = {NULL};
    for (unsigned i = 0; i < 500; i++) {
        snprintf(texts[i], sizeof texts[i], "V%u=%0200u", i, i);
        env[i] = texts[i];
    }
    const struct client_command command = {
        .script = true, .env = env, .command = "env | grep -c ^V; echo ${V499: -4}"};
    assert_exited(client_run(f->client, 1, &command), 0, "500\n0499\n");
}

static void test_what_is_no_variable_is_refused(void **state)
{
    struct fixture *f = *state;
    const char *const wrong[] = {"", "=x", "NAME"};
    for (size_t i = 0; i < 3; i++) {
        const char *const env[] = {"A=b", wrong[i], NULL};
        assert_not_started(
            client_run(f->client, 1, &(struct client_command){.command = "true", .env = env}),
            EINVAL);
    }
}

static void test_standard_input_never_ends(void **state)
{
    struct fixture *f = *state;
    const struct client_result *r =
        client_run(f->client, 1, &(struct client_command){.command = "cat", .timeout_ms = 150});
    assert_int_equal(r->exit.outcome, EXEC_TIMED_OUT);
}

static void test_timeout_kills_daemons_too(void **state)
{
    struct fixture *f = *state;
    const struct client_result *r = client_run(
        f->client, 1,
        &(struct client_command){
            .script = true,
            .timeout_ms = 3000,
            .command = "echo begun\n"
                       "(setsid sleep 1001 >/dev/null 2>&1 &)\n"
                       "setsid bash -c 'trap \"\" TERM; sleep 1002 & setsid sleep 1003 & wait' &\n"
                       "sleep 1004"});
    assert_int_equal(r->exit.outcome, EXEC_TIMED_OUT);
    assert_string_equal(r->out.data, "begun\n");
    assert_exited(fixture_run(f, "pgrep -f 'sleep 100[0-9]' | grep -vx $$ | wc -l"), 0, "0\n");
    assert_exited(fixture_run(f, "ls /tmp | wc -l"), 0, "1\n");
}

static void test_timeout_ends_what_keeps_forking(void **state)
{
    struct fixture *f = *state;
    const struct client_result *r = client_run(
        f->client, 1,
        &(struct client_command){.script = true,
                                 .timeout_ms = 300,
                                 .command = "f() { g=$1; (sleep 0.01; f $((g+1))) & }\n"
                                            "export -f f; f 1; f 2; f 3; wait; sleep 1005"});
    assert_int_equal(r->exit.outcome, EXEC_TIMED_OUT);
    assert_exited(fixture_run(f, "pgrep -cx 'bash|sleep'"), 0, "1\n");
}

static void test_kill_ends_the_tree(void **state)
{
    struct fixture *f = *state;
    client_exec(f->client, 2,
                &(struct client_command){.script = true,
                                         .command = "setsid sleep 1006 & echo on; sleep 1007"});
    while (f->client->results[2].out.size == 0)
        assert_true(client_read(f->client, TIMEOUT_MS));
    client_send(f->client, FRAME_KILL, 2, NULL, 0, -1);
    const struct client_result *r = client_wait(f->client, 2);
    assert_int_equal(r->exit.outcome, EXEC_SIGNALED);
    assert_int_equal(r->exit.value, SIGKILL);
    assert_exited(fixture_run(f, "pgrep -f 'sleep 100[67]' | grep -vx $$ | wc -l"), 0, "0\n");
}

static void test_background_process_that_holds_the_pipes_lives_on(void **state)
{
    struct fixture *f = *state;
    const uint64_t begin = now_ms();
    const struct client_result *r = client_run(
        f->client, 1,
        &(struct client_command){
            .script = true, .timeout_ms = 3000, .command = "sleep 1008 & echo left; exit 4"});
    assert_exited(r, 4, "left\n");
    assert_true(now_ms() - begin >= 3000);
    assert_exited(fixture_run(f, "pgrep -xf 'sleep 1008' | wc -l; pkill -xf 'sleep 1008'"), 0,
                  "1\n");
}

static void test_daemon_lives_on_at_once(void **state)
{
    struct fixture *f = *state;
    const uint64_t begin = now_ms();
    assert_exited(fixture_run(f, "setsid sleep 1009 >/dev/null 2>&1 </dev/null &"), 0, "");
    assert_true(now_ms() - begin < TIMEOUT_MS / 2);
    assert_exited(fixture_run(f, "until pid=$(pgrep -xf 'sleep 1009'); do :; done;"
                                 " ps -o ppid= -p $pid | tr -d ' '"),
                  0, "1\n");
}

static void test_killed_command_is_reported_at_once(void **state)
{
    struct fixture *f = *state;
    const struct client_result *r = fixture_run(f, "sleep 1010 & echo x; kill -SEGV $$");
    assert_int_equal(r->exit.outcome, EXEC_SIGNALED);
    assert_int_equal(r->exit.value, SIGSEGV);
    assert_string_equal(r->out.data, "x\n");
}

static void test_all_being_killed_by_the_user_is_survived(void **state)
{
    struct fixture *f = *state;
    assert_exited(fixture_run(f, "true"), 0, "");
    const struct client_result *r = fixture_run(f, "kill -9 -1; sleep 1011");
    assert_int_equal(r->exit.outcome, EXEC_SIGNALED);
    assert_exited(fixture_run(f, "echo still here"), 0, "still here\n");
}

static void test_hub_that_does_not_read_holds_up_nobody_else(void **state)
{
    struct fixture *f = *state;
    struct client *slow = client_open(f->socket);
    client_exec(slow, 1, &(struct client_command){.command = "yes", .timeout_ms = 600000});
    client_exec(slow, 2,
                &(struct client_command){.script = true,
                                         .command = "head -c 20000000 /dev/zero; echo end"});
    for (unsigned i = 0; i < 5; i++)
        assert_exited(fixture_run(f, "echo other"), 0, "other\n");
    assert_exited(fixture_run(f, "pgrep -x yes | wc -l"), 0, "1\n");
    client_send(slow, FRAME_KILL, 1, NULL, 0, -1);
    assert_int_equal(client_wait(slow, 1)->exit.outcome, EXEC_SIGNALED);
    assert_int_equal(client_wait(slow, 2)->out.size, 20000004);
    client_close(slow);
}

static void test_commands_go_on_when_their_hub_is_gone(void **state)
{
    struct fixture *f = *state;
    struct client *gone = client_open(f->socket);
    client_exec(gone, 1,
                &(struct client_command){.script = true,
                                         .command =
                                             "echo a; mkfifo /tmp/q; read x </tmp/q; "
                                             "head -c 1000000 /dev/zero; echo $x >/tmp/done"});
    client_exec(gone, 2, &(struct client_command){.command = "yes", .timeout_ms = 500});
    while (gone->results[1].out.size == 0)
        assert_true(client_read(gone, TIMEOUT_MS));
    client_close(gone);
    assert_exited(fixture_run(f, "until [ -p /tmp/q ]; do :; done; echo went on >/tmp/q\n"
                                 "until [ -s /tmp/done ]; do sleep 0.01; done; cat /tmp/done\n"
                                 "while pgrep -x yes >/dev/null; do sleep 0.01; done"),
                  0, "went on\n");
    assert_exited(fixture_run(f, "rm /tmp/q /tmp/done; ls /tmp | wc -l"), 0, "1\n");
}

static void test_thousand_sleepers(void **state)
{
    struct fixture *f = *state;
    const char *const args[] = {"1012", NULL};
    for (uint32_t i = 100; i < 1100; i++)
        client_exec(f->client, i, &(struct client_command){.command = "sleep", .args = args});
    assert_exited(
        fixture_run(f, "while [ $(pgrep -xf 'sleep 1012' | wc -l) -lt 1000 ]; do :; done"), 0, "");
    assert_exited(fixture_run(f, "pkill -xf 'sleep 1012'"), 0, "");
    for (uint32_t i = 100; i < 1100; i++)
        assert_int_equal(client_wait(f->client, i)->exit.value, SIGTERM);
}

static void assert_closes(struct client *c)
{
    assert_false(client_read(c, TIMEOUT_MS));
    assert_true(c->closed);
    client_close(c);
}

static void test_malformed_frames_end_only_their_connection(void **state)
{
    struct fixture *f = *state;
    static const uint8_t zeros[64];
    const struct frame_exec many = {.args_count = UINT32_MAX};
    const struct frame_exec many_variables = {.env_count = UINT32_MAX};
    struct client *c = client_open(f->socket);
    client_send(c, 99, 1, NULL, 0, -1);
    assert_closes(c);
    c = client_open(f->socket);
    client_send(c, FRAME_EXEC, 1, zeros, 3, -1);
    assert_closes(c);
    c = client_open(f->socket);
    client_send(c, FRAME_EXEC, 1, &many, sizeof many, -1);
    assert_closes(c);
    c = client_open(f->socket);
    client_send(c, FRAME_EXEC, 1, &many_variables, sizeof many_variables, -1);
    assert_closes(c);
    c = client_open(f->socket);
    client_send(c, FRAME_EXEC, 1, zeros, 48, -1);
    assert_closes(c);
    c = client_open(f->socket);
    client_file(c, 1, true, "/tmp/x", 0, -1);
    assert_closes(c);
    c = client_open(f->socket);
    send(c->fd, "\xff\xff\xff\xff\0\0\0\0\1\0\0\0", 12, MSG_NOSIGNAL);
    assert_closes(c);
    assert_exited(fixture_run(f, "echo fine"), 0, "fine\n");
}

// ---- Files ----

static int content(const char *text, size_t size)
{
    const int fd = memfd_create("content", MFD_CLOEXEC);
    assert_int_equal(fd_write_all(fd, text, size), 0);
    return fd;
}

static const struct client_result *write_file(struct fixture *f, const char *path, const char *text)
{
    auto_fd int fd = content(text, strlen(text));
    client_forget(f->client, 3);
    client_file(f->client, 3, true, path, 0, fd);
    return client_wait(f->client, 3);
}

static const struct client_result *read_file(struct fixture *f, const char *path, uint32_t size_max)
{
    client_forget(f->client, 3);
    client_file(f->client, 3, false, path, size_max, -1);
    return client_wait(f->client, 3);
}

static void assert_failed(const struct client_result *r, int error, const char *syscall_name)
{
    assert_int_equal(r->exit.outcome, EXEC_FILE_FAILED);
    assert_int_equal(r->exit.value, error);
    assert_string_equal(r->text.data, syscall_name);
}

static void test_files_are_written_and_read(void **state)
{
    struct fixture *f = *state;
    assert_exited(write_file(f, "/tmp/new/folder/x", "first\n"), 0, "");
    const struct client_result *r = read_file(f, "/tmp/new/folder/x", 100);
    assert_exited(r, 0, "first\n");
    assert_int_equal(r->exit.size, 6);
    assert_exited(fixture_run(f, "stat -c %a /tmp/new /tmp/new/folder /tmp/new/folder/x"), 0,
                  "700\n700\n644\n");
    assert_exited(
        fixture_run(f, "cd /tmp/new; chmod 751 folder/x; ln -s folder/x l; ln -s /tmp/new/l l2"), 0,
        "");
    assert_exited(write_file(f, "/tmp/new/l2", "second\n"), 0, "");
    assert_exited(
        fixture_run(f,
                    "cd /tmp/new; readlink l l2; stat -c %a folder/x; cat folder/x; ls -A folder"),
        0, "folder/x\n/tmp/new/l\n751\nsecond\nx\n");
    assert_exited(fixture_run(f, "ln -s /tmp/new/dangling /tmp/new/d"), 0, "");
    assert_exited(write_file(f, "/tmp/new/d", "third\n"), 0, "");
    assert_exited(fixture_run(f, "cat /tmp/new/dangling; rm -r /tmp/new"), 0, "third\n");
}

static void test_large_file_is_whole(void **state)
{
    struct fixture *f = *state;
    static char text[3 * 1024 * 1024];
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)(i * 7 + i / 4099);
    auto_fd int fd = content(text, sizeof text);
    client_file(f->client, 4, true, "/tmp/large", 0, fd);
    assert_int_equal(client_wait(f->client, 4)->exit.outcome, EXEC_EXITED);
    const struct client_result *r = read_file(f, "/tmp/large", sizeof text);
    assert_int_equal(r->exit.size, sizeof text);
    assert_int_equal(r->out.size, sizeof text);
    assert_memory_equal(r->out.data, text, sizeof text);
    r = read_file(f, "/tmp/large", sizeof text - 1);
    assert_failed(r, EFBIG, "read");
    assert_int_equal(r->exit.size, sizeof text);
    assert_int_equal(r->out.size, 0);
    assert_exited(fixture_run(f, "rm /tmp/large"), 0, "");
}

static void test_failed_file_operations_name_the_call(void **state)
{
    struct fixture *f = *state;
    assert_exited(fixture_run(f, "mkdir /tmp/d; mkfifo /tmp/p; echo x >/tmp/ro; chmod 400 /tmp/ro;"
                                 "echo x >/tmp/secret; chmod 0 /tmp/secret; ln -s loop /tmp/loop"),
                  0, "");
    assert_failed(read_file(f, "/tmp/none", 9), ENOENT, "stat");
    assert_failed(read_file(f, "/tmp/d", 9), EISDIR, "read");
    assert_failed(read_file(f, "/tmp/p", 9), EINVAL, "read");
    assert_failed(read_file(f, "/tmp/secret", 9), EACCES, "open");
    assert_failed(read_file(f, "relative", 9), EINVAL, "open");
    assert_failed(write_file(f, "/tmp/d", "y"), EISDIR, "open");
    assert_failed(write_file(f, "/tmp/p", "y"), EINVAL, "open");
    assert_failed(write_file(f, "/tmp/ro", "y"), EACCES, "open");
    assert_failed(write_file(f, "/tmp/loop", "y"), ELOOP, "open");
    assert_failed(write_file(f, "/tmp/ro/below", "y"), ENOTDIR, "mkdir");
    assert_failed(write_file(f, "/usr/new-folder/x", "y"), EACCES, "mkdir");
    assert_failed(write_file(f, "/usr/x", "y"), EACCES, "open");
    assert_exited(
        fixture_run(
            f, "cat /tmp/ro; ls -A /tmp/d; rm -rf /tmp/d /tmp/p /tmp/ro /tmp/secret /tmp/loop"),
        0, "x\n");
}

// ---- Ends ----

static void test_shutdown_asks_first_and_ends_as_soon_as_nothing_is_left(void **state)
{
    struct fixture *f = *state;
    const uint64_t begin = now_ms();
    client_exec(f->client, 2,
                &(struct client_command){.script = true,
                                         .command = "trap 'echo bye; exit 5' TERM\n"
                                                    "echo on; while :; do sleep 0.01; done"});
    while (f->client->results[2].out.size == 0)
        assert_true(client_read(f->client, TIMEOUT_MS));
    client_shutdown(f->client, 600000);
    assert_exited(client_wait(f->client, 2), 5, "on\nbye\n");
    assert_false(client_read(f->client, TIMEOUT_MS));
    assert_true(f->client->closed);
    assert_true(now_ms() - begin < 300000);
    client_close(f->client);
    f->client = NULL;
}

static void test_shutdown_kills_after_the_grace(void **state)
{
    struct fixture *f = *state;
    client_exec(f->client, 2,
                &(struct client_command){.script = true,
                                         .command = "trap '' TERM; echo on; exec sleep 1013"});
    while (f->client->results[2].out.size == 0)
        assert_true(client_read(f->client, TIMEOUT_MS));
    const uint64_t begin = now_ms();
    client_shutdown(f->client, 200);
    assert_not_started(client_run(f->client, 5, &(struct client_command){.command = "true"}),
                       ESHUTDOWN);
    const struct client_result *killed = client_wait(f->client, 2);
    assert_int_equal(killed->exit.outcome, EXEC_STOPPED);
    assert_int_equal(killed->exit.value, SIGKILL);
    while (client_read(f->client, TIMEOUT_MS))
        ;
    assert_true(f->client->closed);
    assert_true(now_ms() - begin >= 200);
    client_close(f->client);
    f->client = NULL;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, fixture_stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_command_gets_its_arguments_as_they_are),
        TEST(test_script_runs_in_bash_and_leaves_no_file),
        TEST(test_large_script_and_output_are_whole),
        TEST(test_what_cannot_start_says_why),
        TEST(test_command_finds_a_clean_process),
        TEST(test_variables_are_added_and_replaced),
        TEST(test_many_variables_reach_a_command),
        TEST(test_what_is_no_variable_is_refused),
        TEST(test_standard_input_never_ends),
        TEST(test_timeout_kills_daemons_too),
        TEST(test_timeout_ends_what_keeps_forking),
        TEST(test_kill_ends_the_tree),
        TEST(test_background_process_that_holds_the_pipes_lives_on),
        TEST(test_daemon_lives_on_at_once),
        TEST(test_killed_command_is_reported_at_once),
        TEST(test_all_being_killed_by_the_user_is_survived),
        TEST(test_hub_that_does_not_read_holds_up_nobody_else),
        TEST(test_commands_go_on_when_their_hub_is_gone),
        TEST(test_thousand_sleepers),
        TEST(test_malformed_frames_end_only_their_connection),
        TEST(test_files_are_written_and_read),
        TEST(test_large_file_is_whole),
        TEST(test_failed_file_operations_name_the_call),
        TEST(test_shutdown_asks_first_and_ends_as_soon_as_nothing_is_left),
        TEST(test_shutdown_kills_after_the_grace),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
