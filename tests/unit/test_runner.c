// SPDX-License-Identifier: AGPL-3.0-or-later
// The runner with real sandboxes. As root the data folder lies below a folder that only root may
// enter, and sandboxes belong to the system's user for them.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "agent_client.h"
#include "base/fd.h"
#include "runner/runner.h"
#include "runner/sandbox.h"
#include "runner/spare.h"

#define TIMEOUT_MS 60000

struct fixture {
    char top[64];
    uid_t uid;
    gid_t gid;
    int channel;
    pid_t runner;
    uint64_t seq;
};

static void user_of_sandboxes(struct fixture *f)
{
    const struct passwd *user = getpwnam("cohub");
    if (!user)
        user = getpwnam("nobody");
    f->uid = geteuid() == 0 ? user->pw_uid : geteuid();
    f->gid = geteuid() == 0 ? user->pw_gid : getegid();
}

static void start_runner(struct fixture *f)
{
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    const struct runner_config config = {
        .channel_fd = ends[1], .uid = f->uid, .gid = f->gid, .agent_path = AGENT_PATH};
    f->runner = fork();
    if (f->runner == 0) {
        close(ends[0]);
        _exit(runner_main(&config) == 0 ? 0 : 1);
    }
    close(ends[1]);
    f->channel = ends[0];
}

static void stop_runner(struct fixture *f)
{
    int status;
    fd_close(&f->channel);
    assert_int_equal(waitpid(f->runner, &status, 0), f->runner);
    assert_int_equal(status, 0);
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    char data[80];
    user_of_sandboxes(f);
    strcpy(f->top, "/tmp/test_runner.XXXXXX"); // mode 0700
    assert_non_null(mkdtemp(f->top));
    snprintf(data, sizeof data, "%s/data", f->top);
    assert_int_equal(mkdir(data, 0700), 0);
    assert_int_equal(chown(data, f->uid, f->gid), 0);
    assert_int_equal(chdir(data), 0);
    start_runner(f);
    *state = f;
    return 0;
}

static void send_request(struct fixture *f, const struct runner_request *request, size_t size)
{
    assert_int_equal(send(f->channel, request, size, MSG_NOSIGNAL), (ssize_t)size);
}

static struct runner_message receive(struct fixture *f)
{
    struct runner_message message = {0};
    struct pollfd fd = {.fd = f->channel, .events = POLLIN};
    assert_int_equal(poll(&fd, 1, TIMEOUT_MS), 1);
    assert_int_equal(recv(f->channel, &message, sizeof message, 0), sizeof message);
    return message;
}

static struct runner_message receive_type(struct fixture *f, enum runner_message_type type)
{
    struct runner_message message;
    do
        message = receive(f);
    while (message.type != (uint32_t)type);
    return message;
}

static struct runner_request request_for(struct fixture *f, enum runner_request_type type,
                                         const struct uuid *id)
{
    struct runner_request request = {.type = type, .seq = ++f->seq};
    memcpy(request.uuid, id->text, UUID_LEN);
    return request;
}

static struct runner_message ask(struct fixture *f, const struct runner_request *request)
{
    send_request(f, request, RUNNER_REQUEST_SIZE(request->data_size));
    const struct runner_message reply = receive_type(f, RUNNER_REPLY);
    assert_int_equal(reply.seq, request->seq);
    return reply;
}

static void add_env(struct runner_request *request, const char *entry)
{
    strcpy(request->data + request->data_size, entry);
    request->data_size += (uint32_t)strlen(entry) + 1;
}

static void start(struct fixture *f, const struct runner_request *request)
{
    const struct runner_message reply = ask(f, request);
    if (reply.value)
        fail_msg("start: %s", reply.text);
}

static struct client *connect_agent(const struct uuid *id)
{
    char path[80];
    snprintf(path, sizeof path, "run/%s/agent.sock", id->text);
    return client_open(path);
}

static struct client *start_plain(struct fixture *f, struct uuid *ret_id)
{
    *ret_id = uuid_new();
    const struct runner_request request = request_for(f, RUNNER_START, ret_id);
    start(f, &request);
    return connect_agent(ret_id);
}

static void expect_exited(struct fixture *f, const struct uuid *id)
{
    const struct runner_message message = receive_type(f, RUNNER_EXITED);
    assert_string_equal(message.uuid, id->text);
}

static void end(struct fixture *f, struct client *c, const struct uuid *id)
{
    client_close(c);
    const struct runner_request request = request_for(f, RUNNER_KILL, id);
    assert_int_equal(ask(f, &request).value, 0);
    expect_exited(f, id);
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    char command[128];
    stop_runner(f);
    assert_int_equal(chdir("/"), 0);
    snprintf(command, sizeof command, "rm -rf %s", f->top);
    assert_int_equal(system(command), 0);
    free(f);
    return 0;
}

static struct client_result *run(struct client *c, const char *script)
{
    return client_run(
        c, 1,
        &(struct client_command){.command = script, .script = true, .timeout_ms = TIMEOUT_MS});
}

static void assert_prints(struct client *c, const char *script, const char *out)
{
    const struct client_result *r = run(c, script);
    if (r->err.size)
        print_message("%s: %s", script, r->err.data);
    assert_string_equal(r->out.data, out);
    assert_int_equal(r->exit.outcome, EXEC_EXITED);
}

static void test_sandbox_is_the_projects_own_place(void **state)
{
    struct fixture *f = *state;
    struct uuid id;
    char text[512];
    struct client *c = start_plain(f, &id);
    assert_prints(c, "id -u; id -un; id -gn; hostname; cat /etc/hostname",
                  "2001\nuser\nuser\nproject\nproject\n");
    snprintf(text, sizeof text, "/projects/%s\n%s\nuser\n/projects/%s/.smc\nC.UTF-8\n/bin/bash\n",
             id.text, id.text, id.text);
    assert_prints(c,
                  "echo ~user; echo $COCALC_PROJECT_ID; echo $COCALC_USERNAME; echo $SMC; echo "
                  "$LANG; echo $SHELL",
                  text);
    assert_prints(c,
                  "cd; echo kept >x; stat -c %a . ; touch /tmp/a /var/tmp/b; ls /tmp | grep -v ^f- "
                  "| tr '\\n' ' '",
                  "700\na b ");
    snprintf(text, sizeof text, "projects/%s/x", id.text);
    assert_int_equal(access(text, F_OK), 0);
    assert_prints(c, "cat /proc/1/comm", "cohub-agent\n");
    end(f, c, &id);
}

static void test_nothing_else_can_be_seen_or_written(void **state)
{
    struct fixture *f = *state;
    struct uuid id;
    struct client *c = start_plain(f, &id);
    assert_prints(
        c,
        "shopt -s extglob\necho /!(bin|dev|etc|lib?(32|64)|libx32|proc|projects|run|sbin|"
        "tmp|usr|var); ls /run; ls /projects | wc -l; echo /home/* /root/*",
        "/!(bin|dev|etc|lib?(32|64)|libx32|proc|projects|run|sbin|tmp|usr|var)\npasswd\n1\n"
        "/home/* /root/*\n");
    assert_prints(c,
                  "for d in / /etc /usr /bin /dev /run /var /projects /proc/sys/kernel; do touch "
                  "$d/x 2>/dev/null && echo $d; done",
                  "");
    assert_prints(c, "ls /proc | grep -c '^[0-9]' | awk '{print ($1 < 12)}'", "1\n");
    assert_prints(c,
                  "ls /etc | grep -xE 'shadow|gshadow|sudoers|ssh|machine-id|fstab|crontab'; wc -l "
                  "</etc/passwd",
                  "3\n");
    assert_prints(
        c, "grep -E '^(CapEff|CapBnd|NoNewPrivs|Seccomp):' /proc/self/status",
        "CapEff:\t0000000000000000\nCapBnd:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n");
    assert_prints(
        c,
        "ls -l /proc/self/fd | grep -vE ' [0-3] ->|^total' ; cat /proc/net/dev | grep -c :", "1\n");
    assert_prints(c, "ls /proc/1/fd /proc/1/root 2>/dev/null; cat /proc/1/environ 2>/dev/null", "");
    end(f, c, &id);
}

static void test_system_calls_are_refused(void **state)
{
    struct fixture *f = *state;
    struct uuid id;
    struct client *c = start_plain(f, &id);
    assert_prints(c,
                  "unshare -U true 2>&1 | grep -c 'not permitted'; unshare -r true 2>&1 | grep -c "
                  "'not permitted'\n"
                  "mount -t tmpfs x /tmp 2>&1 | grep -cE 'permission|permitted|superuser'\n"
                  "bwrap --ro-bind / / true 2>&1 | grep -cE 'permission|permitted'",
                  "1\n1\n1\n1\n");
    assert_prints(c,
                  "perl -e '\n"
                  "sub t { my ($n, @a) = @_; $! = 0; syscall($n, @a); print $!+0, \" \"; }\n"
                  "use POSIX; if ((POSIX::uname())[4] eq \"x86_64\") {\n"
                  "t(435, 0, 0); t(425, 1, 0); t(321, 0, 0, 0); t(298, 0, 0, 0, 0, 0); t(250, 0);\n"
                  "t(304, 0, 0, 0); t(56, 0x10000011, 0); t(16, 0, 0x5412, 0); t(41, 17, 3, 0);\n"
                  "t(41, 40, 1, 0); t(41, 38, 5, 0); t(0x40000000 + 39); }\n"
                  "else { print \"38 38 1 1 1 1 1 1 97 97 97 38 \" } print \"\\n\"'",
                  "38 38 1 1 1 1 1 1 97 97 97 38 \n");
    assert_prints(c,
                  "perl -MSocket -e 'for (AF_UNIX, AF_INET, AF_INET6) { socket(my $s, $_, "
                  "SOCK_STREAM, 0) or print \"no $_\\n\" }'",
                  "");
    end(f, c, &id);
}

static void test_environment_is_given_and_not_to_be_listed(void **state)
{
    struct fixture *f = *state;
    const struct uuid id = uuid_new();
    struct runner_request request = request_for(f, RUNNER_START, &id);
    add_env(&request, "SECRET=a b\n--bind / /");
    add_env(&request, "LD_PRELOAD=/no/such.so");
    add_env(&request, "EMPTY=");
    start(f, &request);
    struct client *c = connect_agent(&id);
    const struct client_result *r = run(c, "echo \"$SECRET|${EMPTY-unset}|$LD_PRELOAD\"");
    assert_string_equal(r->out.data, "a b\n--bind / /||/no/such.so\n");
    assert_int_equal(
        system("! cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' ' | grep -q 'SECRE[T]='"), 0);
    end(f, c, &id);
}

static void test_started_only_once(void **state)
{
    struct fixture *f = *state;
    struct uuid id;
    struct client *c = start_plain(f, &id);
    assert_prints(c, "echo mine >/tmp/mark", "");
    const struct runner_request again = request_for(f, RUNNER_START, &id);
    const struct runner_message reply = ask(f, &again);
    assert_int_equal(reply.value, 0);
    assert_string_equal(reply.text, "running");
    struct client *other = connect_agent(&id);
    assert_prints(other, "cat /tmp/mark", "mine\n");
    client_close(other);
    end(f, c, &id);
}

static void test_end_leaves_nothing_behind(void **state)
{
    struct fixture *f = *state;
    struct uuid id;
    char command[128];
    struct client *c = start_plain(f, &id);
    client_shutdown(c, 1000);
    const struct runner_message message = receive_type(f, RUNNER_EXITED);
    assert_string_equal(message.uuid, id.text);
    assert_int_equal(message.value, 0);
    assert_string_equal(message.text, "");
    client_close(c);
    snprintf(command, sizeof command, "test \"$(ls run/%s)\" = lock", id.text);
    assert_int_equal(system(command), 0);
    const struct runner_request kill = request_for(f, RUNNER_KILL, &id);
    assert_int_equal(ask(f, &kill).value, ESRCH);
    struct runner_request request = request_for(f, RUNNER_START, &id);
    start(f, &request);
    c = connect_agent(&id);
    assert_prints(c, "echo again", "again\n");
    end(f, c, &id);
}

static void test_sandbox_survives_its_runner_and_another_ends_it(void **state)
{
    struct fixture *f = *state;
    struct uuid id;
    struct client *c = start_plain(f, &id);
    kill(f->runner, SIGKILL);
    assert_int_equal(waitpid(f->runner, NULL, 0), f->runner);
    fd_close(&f->channel);
    assert_prints(c, "echo alive", "alive\n");
    start_runner(f);
    const struct runner_request again = request_for(f, RUNNER_START, &id);
    assert_string_equal(ask(f, &again).text, "running");
    assert_prints(c, "echo alive", "alive\n");
    const struct runner_request kill_request = request_for(f, RUNNER_KILL, &id);
    assert_int_equal(ask(f, &kill_request).value, 0);
    assert_false(client_read(c, TIMEOUT_MS));
    assert_true(c->closed);
    client_close(c);
    start(f, &again);
    c = connect_agent(&id);
    assert_prints(c, "echo new", "new\n");
    end(f, c, &id);
}

static struct runner_request copy_request(struct fixture *f, const char *source, const char *target)
{
    const struct uuid id = uuid_new();
    struct runner_request request = request_for(f, RUNNER_COPY, &id);
    memcpy(request.source, id.text, UUID_LEN);
    add_env(&request, source);
    add_env(&request, target);
    add_env(&request, "*.tmp");
    return request;
}

static void test_malformed_copies_are_refused(void **state)
{
    static const char *const bad[][2] = {
        {"/etc/passwd", "x"}, {"x", "/x"},        {"..", "x"},
        {"x", "../x"},        {"a/../../b", "x"}, {"x", "a/.."},
    };
    struct fixture *f = *state;
    struct runner_request request;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        request = copy_request(f, bad[i][0], bad[i][1]);
        assert_int_equal(ask(f, &request).value, EINVAL);
    }
    request = copy_request(f, "x", "y");
    request.data[request.data_size - 1] = 'z';
    assert_int_equal(ask(f, &request).value, EINVAL);
    request = copy_request(f, "x", "y");
    add_env(&request, "z");
    assert_int_equal(ask(f, &request).value, EINVAL);
    request = copy_request(f, "x", "y");
    request.data_size = 2;
    assert_int_equal(ask(f, &request).value, EINVAL);
    request = copy_request(f, "x", "y");
    strcpy(request.source, "../../etc");
    assert_int_equal(ask(f, &request).value, EINVAL);
    request = copy_request(f, "..x", "a/...");
    assert_int_equal(ask(f, &request).value, ENOENT); // well-formed, but there is no such home
}

static void test_malformed_requests_are_refused(void **state)
{
    struct fixture *f = *state;
    const struct uuid id = uuid_new();
    static const char *const images[] = {"..", ".x", "a/b", "a b", "../../etc"};
    static const char *const entries[] = {"", "=x", "1A=x", "A B=x", "NOVALUE", "A-B=x"};
    struct runner_request request;
    for (size_t i = 0; i < ARRAY_LEN(images); i++) {
        request = request_for(f, RUNNER_START, &id);
        strcpy(request.image, images[i]);
        assert_int_equal(ask(f, &request).value, EINVAL);
    }
    for (size_t i = 0; i < ARRAY_LEN(entries); i++) {
        request = request_for(f, RUNNER_START, &id);
        add_env(&request, entries[i]);
        assert_int_equal(ask(f, &request).value, EINVAL);
    }
    request = request_for(f, RUNNER_START, &id);
    memcpy(request.uuid, "../../../../../../../../../../tmp/xxx", UUID_LEN);
    assert_int_equal(ask(f, &request).value, EINVAL);
    request = request_for(f, RUNNER_START, &id);
    request.uuid[0] = 'A';
    assert_int_equal(ask(f, &request).value, EINVAL);
    request = request_for(f, RUNNER_START, &id);
    request.flags = RUNNER_START_NETWORK << 1;
    assert_int_equal(ask(f, &request).value, EINVAL);
    request = request_for(f, 77, &id);
    assert_int_equal(ask(f, &request).value, EINVAL);
    request = request_for(f, RUNNER_START, &id);
    request.data_size = 100;
    send_request(f, &request, RUNNER_REQUEST_SIZE(0));
    assert_int_equal(receive(f).value, EINVAL);
    send_request(f, &request, 3);
    assert_int_equal(receive(f).value, EINVAL);
    request = request_for(f, RUNNER_START, &id);
    strcpy(request.image, "missing");
    assert_int_equal(ask(f, &request).value, ENOENT);
    assert_int_equal(access("run/..", F_OK) == 0 && access("projects/../../xxx", F_OK) == 0, 0);
}

static void test_folders_are_made_with_the_users_rights(void **state)
{
    struct fixture *f = *state;
    struct stat info;
    struct uuid id;
    char path[80];
    struct client *c = start_plain(f, &id);
    static const char *const folders[] = {"run", "projects"};
    for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
        snprintf(path, sizeof path, "%s/%s", folders[i], id.text);
        assert_int_equal(stat(path, &info), 0);
        assert_int_equal(info.st_uid, f->uid);
        assert_int_equal(info.st_mode & 07777, 0700);
    }
    end(f, c, &id);
    // A link in the place of a file is not followed.
    if (geteuid() == 0) {
        char command[300];
        snprintf(command, sizeof command, "echo precious >%s/target && ln -sf %s/target run/%s/log",
                 f->top, f->top, id.text);
        assert_int_equal(system(command), 0);
        const struct runner_request request = request_for(f, RUNNER_START, &id);
        assert_int_not_equal(ask(f, &request).value, 0);
        snprintf(command, sizeof command, "grep -q precious %s/target", f->top);
        assert_int_equal(system(command), 0);
    }
}

static void test_forged_pid_files_kill_nobody_else(void **state)
{
    struct fixture *f = *state;
    const struct uuid id = uuid_new();
    char path[80], text[64];
    const pid_t victim = fork();
    if (victim == 0) {
        pause();
        _exit(0);
    }
    mkdir("run", 0755);
    snprintf(path, sizeof path, "run/%s", id.text);
    assert_int_equal(mkdir(path, 0755), 0);
    snprintf(path, sizeof path, "run/%s/pid", id.text);
    snprintf(text, sizeof text, "%d 1\n", (int)victim);
    FILE *file = fopen(path, "w");
    fputs(text, file);
    fclose(file);
    chmod(path, 0644);
    const struct runner_request request = request_for(f, RUNNER_KILL, &id);
    assert_int_equal(ask(f, &request).value, ESRCH);
    assert_int_equal(waitpid(victim, NULL, WNOHANG), 0);
    kill(victim, SIGKILL);
    waitpid(victim, NULL, 0);
}

static unsigned count_entries(const char *path)
{
    DIR *folder = opendir(path);
    unsigned count = 0;
    assert_non_null(folder);
    while (readdir(folder))
        count++;
    closedir(folder);
    return count;
}

static unsigned count_children(pid_t pid)
{
    char path[64];
    unsigned count = 0;
    int child;
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)pid, (int)pid);
    FILE *children = fopen(path, "r");
    assert_non_null(children);
    while (fscanf(children, "%d", &child) == 1)
        count++;
    fclose(children);
    return count;
}

// All spares are made, and nothing else is there. Returns the runner's descriptors.
static unsigned settle(const struct fixture *f)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/fd", (int)f->runner);
    for (unsigned i = 0; count_children(f->runner) != SPARES_MAX; i++) {
        assert_true(i < TIMEOUT_MS);
        poll(NULL, 0, 1);
    }
    return count_entries(path);
}

static void test_starting_and_ending_leaks_nothing(void **state)
{
    struct fixture *f = *state;
    struct uuid id;
    end(f, start_plain(f, &id), &id);
    const unsigned before = settle(f);
    const struct runner_request start_request = request_for(f, RUNNER_START, &id);
    for (unsigned i = 0; i < 60; i++) {
        start(f, &start_request);
        end(f, connect_agent(&id), &id);
    }
    // Of the last spare, the runner may be about to close its end.
    for (unsigned i = 0; settle(f) > before; i++) {
        assert_true(i < TIMEOUT_MS);
        poll(NULL, 0, 1);
    }
}

static void test_image_takes_the_place_of_the_hosts_system(void **state)
{
    struct fixture *f = *state;
    const struct uuid id = uuid_new();
    assert_int_equal(
        system("umask 022; chmod 755 .. .; mkdir -p images/small/usr/bin "
               "images/small/etc/profile.d images/small/opt/tool &&"
               "cp -L /bin/bash /bin/ls /bin/cat /bin/uname /bin/true images/small/usr/bin/ &&"
               "for l in $(ldd /bin/bash /bin/ls " AGENT_PATH
               " 2>/dev/null | grep -o '/[^ ]*lib[^ ]*'); do"
               "  mkdir -p images/small/usr$(dirname $l | sed 's,^/usr,,'); cp -L $l "
               "images/small/usr$(echo $l | sed 's,^/usr,,'); done;"
               "ln -s usr/bin images/small/bin; ln -s usr/lib images/small/lib; ln -s usr/lib64 "
               "images/small/lib64;"
               "echo of the image >images/small/etc/profile; echo secret >images/small/etc/shadow"),
        0);
    struct runner_request request = request_for(f, RUNNER_START, &id);
    strcpy(request.image, "small");
    start(f, &request);
    struct client *c = connect_agent(&id);
    assert_prints(c, "cat /etc/profile; ls /usr/bin; ls /opt; cat /etc/shadow 2>/dev/null",
                  "of the image\nbash\ncat\nls\ntrue\nuname\ntool\n");
    end(f, c, &id);
}

static void test_network_only_when_asked_for(void **state)
{
    struct fixture *f = *state;
    const struct uuid id = uuid_new();
    struct runner_request request = request_for(f, RUNNER_START, &id);
    static const char command[] =
        "grep -o '^ *[a-z0-9]*:' /proc/net/dev | tr -d ' ' | sort | xargs;"
        "cat /etc/resolv.conf";
    request.flags = RUNNER_START_NETWORK;
    start(f, &request);
    struct client *c = connect_agent(&id);
    assert_prints(c, command, "lo: tap0:\nnameserver 10.0.2.3\n");
    end(f, c, &id);
    request = request_for(f, RUNNER_START, &id);
    start(f, &request);
    c = connect_agent(&id);
    assert_string_equal(run(c, command)->out.data, "lo:\n");
    end(f, c, &id);
}

static void test_failure_of_bubblewrap_is_told(void **state)
{
    struct fixture *f = *state;
    struct uuid id;
    char command[128];
    struct client *c = start_plain(f, &id);
    end(f, c, &id);
    // A file where the home was.
    snprintf(command, sizeof command, "rmdir projects/%s && : >projects/%s", id.text, id.text);
    assert_int_equal(system(command), 0);
    const struct runner_request request = request_for(f, RUNNER_START, &id);
    start(f, &request);
    const struct runner_message message = receive_type(f, RUNNER_EXITED);
    assert_int_not_equal(message.value, 0);
    assert_non_null(strstr(message.text, "bwrap:"));
}

static void test_probe_tells_what_is_wrong(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    struct sandbox_host_config config = {.uid = f->uid, .gid = f->gid};
    if (sandbox_probe(&config, &err) != 0)
        fail_msg("%s (%s)", err.message, err.detail);
    config.bwrap_path = "/no/such/bwrap";
    assert_int_equal(sandbox_probe(&config, &err), -ERR_UNAVAILABLE);
    assert_non_null(strstr(err.message, "/no/such/bwrap"));
    config.bwrap_path = "/bin/false";
    assert_int_equal(sandbox_probe(&config, &err), -ERR_UNAVAILABLE);
    assert_int_equal(count_entries("projects"), 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_sandbox_is_the_projects_own_place),
        TEST(test_nothing_else_can_be_seen_or_written),
        TEST(test_system_calls_are_refused),
        TEST(test_environment_is_given_and_not_to_be_listed),
        TEST(test_started_only_once),
        TEST(test_end_leaves_nothing_behind),
        TEST(test_sandbox_survives_its_runner_and_another_ends_it),
        TEST(test_malformed_requests_are_refused),
        TEST(test_malformed_copies_are_refused),
        TEST(test_folders_are_made_with_the_users_rights),
        TEST(test_forged_pid_files_kill_nobody_else),
        TEST(test_starting_and_ending_leaks_nothing),
        TEST(test_image_takes_the_place_of_the_hosts_system),
        TEST(test_network_only_when_asked_for),
        TEST(test_failure_of_bubblewrap_is_told),
        TEST(test_probe_tells_what_is_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
