// SPDX-License-Identifier: AGPL-3.0-or-later
#include "agent_fixture.h"

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/fd.h"

#define TIMEOUT_MS 60000

static void become_unprivileged(void)
{
    const struct passwd *user = getpwnam("cohub");
    if (geteuid() != 0)
        return;
    if (!user)
        user = getpwnam("nobody");
    if (setgroups(0, NULL) < 0 || setresgid(user->pw_gid, user->pw_gid, user->pw_gid) < 0 ||
        setresuid(user->pw_uid, user->pw_uid, user->pw_uid) < 0)
        _exit(126);
}

static _Noreturn void run_agent(int listen_fd, int agent_fd, int kernel_fd)
{
    char number[16], agent[32], kernel[16];
    snprintf(number, sizeof number, "%d", listen_fd);
    snprintf(agent, sizeof agent, "/proc/self/fd/%d", agent_fd);
    fcntl(listen_fd, F_SETFD, 0);
    fcntl(agent_fd, F_SETFD, 0);
    snprintf(kernel, sizeof kernel, "%d", kernel_fd);
    if (kernel_fd >= 0)
        fcntl(kernel_fd, F_SETFD, 0);
    const struct rlimit files = {1024, 16384};
    setrlimit(RLIMIT_NOFILE, &files);
    become_unprivileged();
    setenv("PATH", "/usr/local/bin:/usr/bin:/bin", 1);
    execlp("bwrap", "bwrap", "--dev-bind", "/", "/", "--unshare-user", "--unshare-pid", "--proc",
           "/proc", "--perms", "1777", "--tmpfs", "/tmp", "--as-pid-1", agent, "--listen-fd",
           number, kernel_fd < 0 ? NULL : "--kernel-fd", kernel, NULL);
    _exit(127);
}

int fixture_start(void **state, const char *kernel_path)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strcpy(f->folder, "/tmp/test_agent.XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    snprintf(f->socket, sizeof f->socket, "%s/agent.sock", f->folder);
    strcpy(address.sun_path, f->socket);
    auto_fd int agent_fd = open(AGENT_PATH, O_RDONLY | O_CLOEXEC);
    assert_true(agent_fd >= 0);
    auto_fd int kernel_fd = kernel_path ? open(kernel_path, O_RDONLY | O_CLOEXEC) : -1;
    assert_true(!kernel_path || kernel_fd >= 0);
    auto_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 16), 0);
    f->bwrap = fork();
    if (f->bwrap == 0)
        run_agent(fd, agent_fd, kernel_fd);
    fd_close(&fd);
    f->client = client_open(f->socket);
    *state = f;
    return 0;
}

int fixture_stop(void **state)
{
    struct fixture *f = *state;
    int status;
    if (f->client) {
        client_shutdown(f->client, 0);
        while (client_read(f->client, TIMEOUT_MS))
            ;
        assert_true(f->client->closed);
        client_close(f->client);
    }
    assert_int_equal(waitpid(f->bwrap, &status, 0), f->bwrap);
    assert_int_equal(status, 0);
    unlink(f->socket);
    rmdir(f->folder);
    free(f);
    return 0;
}

struct client_result *fixture_run(struct fixture *f, const char *script)
{
    return client_run(
        f->client, 1,
        &(struct client_command){.command = script, .script = true, .timeout_ms = TIMEOUT_MS});
}
