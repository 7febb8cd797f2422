// SPDX-License-Identifier: AGPL-3.0-or-later
#include "runner/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <link.h>
#include <linux/openat2.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/fd.h"
#include "base/text.h"
#include "proto/kernel.h"
#include "runner/runner.h"
#include "runner/seccomp.h"

#define ENV_ENTRIES_MAX   1024 // bubblewrap takes 9000 arguments
#define TMP_SIZE          "268435456"
#define MOUNT_POINT       "/tmp" // in the mount namespace of the runner
#define PROBE_TEXT_MAX    400
#define DESCRIPTORS_REST  16 // a sixteenth
#define FD_FIRST          10 // of those that bubblewrap and the agent are given
#define OOM_SCORE_ADJ     200
#define SANDBOX_FDS_OWNED (SANDBOX_KERNEL + 1)

// Parts of a system beside /usr: links into it, or folders of their own.
static const char *const system_folders[] = {"bin", "lib", "lib32", "lib64", "libx32", "sbin"};
// What programs in /usr keep elsewhere, if it is there.
static const char *const state_folders[] = {
    "var/lib/texmf",
    "var/lib/ghostscript",
    "var/cache/fontconfig",
};

// ---- Writing the arguments: each ends with a NUL. ----

static void add(struct buf *args, const char *text)
{
    buf_append(args, text, strlen(text) + 1);
}

static void add2(struct buf *args, const char *option, const char *first, const char *second)
{
    add(args, option);
    add(args, first);
    add(args, second);
}

static void add_fd(struct buf *args, const char *option, int fd, const char *target)
{
    char number[16];
    snprintf(number, sizeof number, "%d", fd);
    add(args, option);
    add(args, number);
    if (target)
        add(args, target);
}

static void add_bind(struct buf *args, const char *option, const char *root, const char *path)
{
    char source[2 * PATH_MAX], target[PATH_MAX];
    snprintf(source, sizeof source, "%s/%s", root, path);
    snprintf(target, sizeof target, "/%s", path);
    add2(args, option, source, target);
}

// Of an image nothing is followed that could lead out of it: what is found there would be bound
// into the sandbox, be it the data folder. The host's own system is taken as it is.
static bool has_folder(int root_fd, const char *root, const char *path)
{
    struct open_how how = {.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
                           .resolve = *root ? RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS : 0};
    auto_fd int fd = (int)syscall(SYS_openat2, root_fd, path, &how, sizeof how);
    return fd >= 0 && faccessat(root_fd, path, X_OK, AT_EACCESS) == 0;
}

// A folder of the system is bound, a link is made anew.
static void add_system_folder(struct buf *args, int root_fd, const char *root, const char *name)
{
    char target[PATH_MAX], link[64];
    struct stat info;
    if (fstatat(root_fd, name, &info, AT_SYMLINK_NOFOLLOW) < 0)
        return;
    if (S_ISDIR(info.st_mode)) {
        add_bind(args, "--ro-bind", root, name);
        return;
    }
    const ssize_t size = readlinkat(root_fd, name, target, sizeof target - 1);
    if (size <= 0)
        return;
    target[size] = '\0';
    snprintf(link, sizeof link, "/%s", name);
    add2(args, "--symlink", target, link);
}

static void add_system(struct buf *args, const struct sandbox_host *host, int root_fd,
                       const char *root, const char *etc_path)
{
    char etc[2 * PATH_MAX];
    snprintf(etc, sizeof etc, "%s/%s", host->data_path, etc_path);
    add_bind(args, "--ro-bind", root, "usr");
    for (size_t i = 0; i < ARRAY_LEN(system_folders); i++)
        add_system_folder(args, root_fd, root, system_folders[i]);
    add2(args, "--ro-bind", etc, "/etc");
    for (size_t i = 0; i < ARRAY_LEN(state_folders); i++)
        if (has_folder(root_fd, root, state_folders[i]))
            add_bind(args, "--ro-bind", root, state_folders[i]);
    if (*root && has_folder(root_fd, root, "opt"))
        add_bind(args, "--ro-bind", root, "opt");
}

// The host's loader and its libraries, for the kernel bridge.
static void add_libraries(struct buf *args, const struct sandbox_host *host)
{
    char folder[PATH_MAX], loader[PATH_MAX];
    if (!host->loader[0])
        return;
    snprintf(folder, sizeof folder, "%s", host->loader);
    char *name = strrchr(folder, '/');
    *name++ = '\0';
    snprintf(loader, sizeof loader, "%s/%s", KERNEL_LIBRARIES, name);
    add2(args, "--ro-bind", folder, KERNEL_LIBRARIES);
    add2(args, "--symlink", loader, KERNEL_LOADER);
}

static void add_env(struct buf *args, const struct sandbox_spec *spec, const char *home)
{
    char text[512];
    add(args, "--clearenv");
    snprintf(text, sizeof text,
             "%s/bin:%s/.local/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:"
             "/usr/local/games:/usr/games",
             home, home);
    add2(args, "--setenv", "PATH", text);
    snprintf(text, sizeof text, "%s/.smc", home);
    add2(args, "--setenv", "SMC", text);
    add2(args, "--setenv", "HOME", home);
    add2(args, "--setenv", "USER", "user");
    add2(args, "--setenv", "LOGNAME", "user");
    add2(args, "--setenv", "SHELL", "/bin/bash");
    add2(args, "--setenv", "LANG", "C.UTF-8");
    add2(args, "--setenv", "TERM", "dumb");
    // Debian's pip refuses to install beside its own packages (PEP 668). Nothing of the system can
    // be written here: it installs into the home, where the libraries of one project are to be.
    add2(args, "--setenv", "PIP_BREAK_SYSTEM_PACKAGES", "1");
    add2(args, "--setenv", "COCALC_USERNAME", "user");
    add2(args, "--setenv", "COCALC_PROJECT_ID", spec->project_id.text);
    for (size_t i = 0; i < spec->env_size; i += strlen(spec->env + i) + 1) {
        const char *at = spec->env + i, *value = strchr(at, '=') + 1;
        add(args, "--setenv");
        buf_append(args, at, (size_t)(value - 1 - at));
        buf_append_char(args, '\0');
        add(args, value);
    }
}

static void add_isolation(struct buf *args, const struct sandbox_spec *spec)
{
    char id[16];
    snprintf(id, sizeof id, "%d", SANDBOX_UID);
    add(args, "--unshare-user");
    add(args, "--unshare-all");
    add(args, "--as-pid-1");
    if (spec->die_with_parent)
        add(args, "--die-with-parent");
    add(args, "--uid");
    add(args, id);
    add(args, "--gid");
    add(args, id);
    add(args, "--hostname");
    add(args, SANDBOX_HOSTNAME);
    add(args, "--cap-drop");
    add(args, "ALL");
}

static void add_tmpfs(struct buf *args, const char *where)
{
    add(args, "--perms");
    add(args, "1777");
    add(args, "--size");
    add(args, TMP_SIZE);
    add(args, "--tmpfs");
    add(args, where);
}

static void add_scratch(struct buf *args)
{
    add(args, "--proc");
    add(args, "/proc");
    add(args, "--dev");
    add(args, "/dev");
    add_tmpfs(args, "/dev/shm");
    add(args, "--remount-ro");
    add(args, "/dev");
    add_tmpfs(args, "/tmp");
    add2(args, "--symlink", "../tmp", "/var/tmp");
}

// ---- Descriptors that bubblewrap reads. ----

static int memory_file(const char *name, const void *bytes, size_t size)
{
    auto_fd int fd = memfd_create(name, MFD_CLOEXEC);
    if (fd < 0 || fd_write_all(fd, bytes, size) < 0 || lseek(fd, 0, SEEK_SET) < 0)
        return -1;
    return TAKE_FD(fd);
}

static int passwd_file(const char *home)
{
    char text[256];
    const int size = snprintf(text, sizeof text,
                              "root:x:0:0:root:/root:/usr/sbin/nologin\n"
                              "user:x:%d:%d:user:%s:/bin/bash\n"
                              "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
                              SANDBOX_UID, SANDBOX_UID, home);
    return memory_file("passwd", text, (size_t)size);
}

static int reopen(int fd)
{
    char path[32];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return open(path, O_RDONLY | O_CLOEXEC);
}

// ---- Starting. ----

// A descriptor's number in the process that becomes bubblewrap.
static int fd_number(enum sandbox_fd which)
{
    return FD_FIRST + (int)which;
}

void sandbox_start_dispose(struct sandbox_start *start)
{
    for (size_t i = 0; i < SANDBOX_FDS_OWNED; i++)
        fd_close(&start->fds[i]);
}

// The agent serves on its socket.
static bool spec_serves(const struct sandbox_spec *spec)
{
    return !spec->command && !spec->agent_args;
}

static void write_args(const struct sandbox_host *host, const struct sandbox_spec *spec,
                       int root_fd, const char *root, const char *etc_path, struct buf *args)
{
    char home[64], source[2 * PATH_MAX];
    snprintf(home, sizeof home, "/projects/%s", spec->project_id.text);
    snprintf(source, sizeof source, "%s%s", host->data_path, home);
    add_isolation(args, spec);
    add_env(args, spec, home);
    add_system(args, host, root_fd, root, etc_path);
    add_scratch(args);
    if (spec->image && spec_serves(spec) && host->kernel_fd >= 0)
        add_libraries(args, host);
    add_fd(args, "--file", fd_number(SANDBOX_PASSWD), "/run/passwd");
    if (spec->network)
        add_fd(args, "--file", fd_number(SANDBOX_RESOLV), "/run/resolv.conf");
    add2(args, "--bind", source, home);
    if (spec->source_id.text[0]) {
        char other[64];
        snprintf(other, sizeof other, "projects/%s", spec->source_id.text);
        add_bind(args, "--ro-bind", host->data_path, other);
    }
    add(args, "--chdir");
    add(args, home);
    add(args, "--remount-ro");
    add(args, "/");
    add_fd(args, "--seccomp", fd_number(SANDBOX_SECCOMP), NULL);
    if (spec->info_fd >= 0)
        add_fd(args, "--info-fd", fd_number(SANDBOX_INFO), NULL);
    if (!spec->network)
        return;
    add_fd(args, "--json-status-fd", fd_number(SANDBOX_STATUS), NULL);
    add_fd(args, "--block-fd", fd_number(SANDBOX_BLOCK), NULL);
}

static int open_root(const struct sandbox_host *host, const char *image, char *ret_root,
                     size_t ret_size, struct err *err)
{
    char relative[PATH_MAX] = "/";
    *ret_root = '\0';
    if (image) {
        snprintf(relative, sizeof relative, "images/%s", image);
        snprintf(ret_root, ret_size, "%s/%s", host->data_path, relative);
    }
    const int fd = open(relative, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_set_errno(err, ERR_NOT_FOUND, errno, "no such image");
    if (!has_folder(fd, ret_root, "usr")) {
        close(fd);
        return err_set(err, ERR_NOT_FOUND, "not the folder of a system");
    }
    return fd;
}

static struct etc_copy *etc_of(struct sandbox_host *host, const char *image)
{
    if (!image)
        return &host->etc;
    if (strcmp(host->image_name, image) != 0) {
        snprintf(host->image_name, sizeof host->image_name, "%s", image);
        host->image_etc = (struct etc_copy){0};
    }
    return &host->image_etc;
}

static int open_fds(const struct sandbox_host *host, const struct sandbox_spec *spec,
                    const struct buf *args, struct sandbox_start *start)
{
    char home[64];
    snprintf(home, sizeof home, "/projects/%s", spec->project_id.text);
    start->fds[SANDBOX_ARGS] = memory_file("args", args->data, args->size);
    start->fds[SANDBOX_PASSWD] = passwd_file(home);
    start->fds[SANDBOX_SECCOMP] = reopen(host->seccomp_fd);
    if (spec->network)
        start->fds[SANDBOX_RESOLV] = memory_file("resolv.conf", spec->network->nameservers,
                                                 strlen(spec->network->nameservers));
    const bool with_kernel = spec_serves(spec) && host->kernel_fd >= 0;
    if (!spec->command)
        start->fds[SANDBOX_AGENT] = fcntl(host->agent_fd, F_DUPFD_CLOEXEC, 0);
    if (with_kernel)
        start->fds[SANDBOX_KERNEL] = fcntl(host->kernel_fd, F_DUPFD_CLOEXEC, 0);
    const bool failed = start->fds[SANDBOX_ARGS] < 0 || start->fds[SANDBOX_PASSWD] < 0 ||
                        start->fds[SANDBOX_SECCOMP] < 0 ||
                        (spec->network && start->fds[SANDBOX_RESOLV] < 0) ||
                        (!spec->command && start->fds[SANDBOX_AGENT] < 0) ||
                        (with_kernel && start->fds[SANDBOX_KERNEL] < 0);
    return failed ? -errno : 0;
}

static struct sandbox_start start_of(const struct sandbox_spec *spec)
{
    struct sandbox_start start = {.processes = spec->processes, .agent_args = spec->agent_args};
    for (size_t i = 0; i < SANDBOX_FDS; i++)
        start.fds[i] = -1;
    start.fds[SANDBOX_LOG] = spec->log_fd;
    start.fds[SANDBOX_LISTEN] = spec->listen_fd;
    start.fds[SANDBOX_INFO] = spec->info_fd;
    if (spec->network) {
        start.fds[SANDBOX_STATUS] = spec->network->status_fd;
        start.fds[SANDBOX_BLOCK] = spec->network->block_fd;
        start.fds[SANDBOX_HOLD] = spec->network->hold_fd;
    }
    return start;
}

int sandbox_prepare(struct sandbox_host *host, const struct sandbox_spec *spec,
                    struct sandbox_start *ret_start, struct err *err)
{
    char root[2 * PATH_MAX];
    CLEANUP(sandbox_start_dispose) struct sandbox_start start = start_of(spec);
    auto_fd int root_fd = open_root(host, spec->image, root, sizeof root, err);
    if (root_fd < 0)
        return root_fd;
    struct etc_copy *etc = etc_of(host, spec->image);
    int rc = etc_update(root_fd, etc, err);
    if (rc < 0)
        return rc;
    auto_buf struct buf args = {0};
    write_args(host, spec, root_fd, root, etc->path, &args);
    rc = open_fds(host, spec, &args, &start);
    if (rc < 0)
        return err_set_errno(err, ERR_INTERNAL, -rc, "cannot start a sandbox");
    *ret_start = start;
    start = start_of(spec);
    return 0;
}

// Puts the descriptors where they belong; nothing else stays open. The log is standard output and
// error from then on.
static int place_fds(const struct sandbox_start *start)
{
    int fds[SANDBOX_FDS];
    for (size_t i = 0; i < SANDBOX_FDS; i++) {
        fds[i] =
            start->fds[i] < 0 ? -1 : fcntl(start->fds[i], F_DUPFD_CLOEXEC, fd_number(SANDBOX_FDS));
        if (start->fds[i] >= 0 && fds[i] < 0)
            return -1;
    }
    if (dup2(fds[SANDBOX_LOG], STDERR_FILENO) < 0 || dup2(fds[SANDBOX_LOG], STDOUT_FILENO) < 0)
        return -1;
    // bubblewrap stays as long as the sandbox, and would keep open what the runner was given.
    close_range(STDERR_FILENO + 1, ~0u, CLOSE_RANGE_CLOEXEC);
    for (int i = 0; i < SANDBOX_FDS; i++)
        if (fds[i] >= 0 && i != SANDBOX_LOG && dup2(fds[i], fd_number((enum sandbox_fd)i)) < 0)
            return -1;
    return 0;
}

int sandbox_become_user(const struct sandbox_host *host)
{
    if (!host->root)
        return 0;
    if (setgroups(0, NULL) < 0 || setresgid(host->gid, host->gid, host->gid) < 0)
        return -1;
    return setresuid(host->uid, host->uid, host->uid);
}

static _Noreturn void child_fail(const char *what)
{
    dprintf(STDERR_FILENO, "%s: %s\n", what, strerror(errno));
    _exit(127);
}

// Of the descriptors that one process may have, and that the processes of one user together may
// have on their way through sockets, a rest is left to the hub, who is the same user. The agent
// leaves another to itself.
static void leave_descriptors(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) < 0)
        return;
    files.rlim_max -= files.rlim_max / DESCRIPTORS_REST;
    files.rlim_cur = files.rlim_cur < files.rlim_max ? files.rlim_cur : files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
}

// Processes of all sandboxes count for the one user that they have on the host: a limit of that
// user's would let some projects keep others from starting. Each has a limit of its own inside.
static void lift_process_limit(void)
{
    struct rlimit processes = {RLIM_INFINITY, RLIM_INFINITY};
    if (setrlimit(RLIMIT_NPROC, &processes) == 0 || getrlimit(RLIMIT_NPROC, &processes) < 0)
        return;
    processes.rlim_cur = processes.rlim_max;
    setrlimit(RLIMIT_NPROC, &processes);
}

// Where memory runs out, projects go before the system's own processes, the hub among them. Their
// commands go before their agent (agent/supervisor.c). With CAP_SYS_RESOURCE this is also as low as
// anybody inside can go.
static void yield_memory(const struct sandbox_host *host)
{
    if (host->root)
        setfsuid(0); // the file is root's; the change of user comes later
    auto_fd int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd >= 0)
        dprintf(fd, "%d", OOM_SCORE_ADJ);
}

static void child_set_up(const struct sandbox_host *host, const struct sandbox_start *start)
{
    sigset_t none;
    sigemptyset(&none);
    signal(SIGPIPE, SIG_DFL);
    signal(SIGCHLD, SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setsid();
    auto_fd int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (null_fd < 0 || dup2(null_fd, STDIN_FILENO) < 0)
        child_fail("descriptors");
    fd_close(&null_fd); // its number may be one of those to come
    if (place_fds(start) < 0)
        child_fail("descriptors");
    leave_descriptors();
    lift_process_limit();
    yield_memory(host);
    umask(022);
    if (chdir("/") < 0)
        child_fail("chdir /");
    if (sandbox_become_user(host) < 0)
        child_fail("cannot become the sandboxes' user");
}

struct command {
    char args_fd[16], agent[32], listen_fd[16], hold_fd[16], kernel_fd[16], processes[16];
    const char *argv[16];
    size_t count;
};

static void command_add(struct command *command, const char *argument)
{
    if (command->count + 1 < ARRAY_LEN(command->argv))
        command->argv[command->count++] = argument;
}

static void command_add_option(struct command *command, const char *name, const char *value)
{
    command_add(command, name);
    command_add(command, value);
}

static void command_add_all(struct command *command, const char *const *arguments)
{
    while (*arguments)
        command_add(command, *arguments++);
}

// What the agent is told that serves on its socket.
static void command_add_served(struct command *command, const struct sandbox_start *start)
{
    snprintf(command->listen_fd, sizeof command->listen_fd, "%d", fd_number(SANDBOX_LISTEN));
    snprintf(command->hold_fd, sizeof command->hold_fd, "%d", fd_number(SANDBOX_HOLD));
    snprintf(command->kernel_fd, sizeof command->kernel_fd, "%d", fd_number(SANDBOX_KERNEL));
    snprintf(command->processes, sizeof command->processes, "%u", start->processes);
    command_add_option(command, "--listen-fd", command->listen_fd);
    if (start->fds[SANDBOX_HOLD] >= 0)
        command_add_option(command, "--hold-fd", command->hold_fd);
    if (start->fds[SANDBOX_KERNEL] >= 0)
        command_add_option(command, "--kernel-fd", command->kernel_fd);
    if (start->processes)
        command_add_option(command, "--processes", command->processes);
}

_Noreturn void sandbox_become(const struct sandbox_host *host, const struct sandbox_start *start,
                              const char *const *command, const char *const *agent_args)
{
    char *environment[] = {NULL};
    struct command whole = {.argv = {NULL}};
    child_set_up(host, start);
    snprintf(whole.args_fd, sizeof whole.args_fd, "%d", fd_number(SANDBOX_ARGS));
    snprintf(whole.agent, sizeof whole.agent, "/proc/self/fd/%d", fd_number(SANDBOX_AGENT));
    command_add(&whole, "bwrap");
    command_add_option(&whole, "--args", whole.args_fd);
    command_add(&whole, "--");
    if (command) {
        command_add_all(&whole, command);
    } else {
        command_add(&whole, whole.agent);
        if (agent_args)
            command_add_all(&whole, agent_args);
        else
            command_add_served(&whole, start);
    }
    execve(host->bwrap_path, (char *const *)(uintptr_t)whole.argv, environment);
    child_fail(host->bwrap_path);
}

int sandbox_start(struct sandbox_host *host, const struct sandbox_spec *spec, pid_t *ret_pid,
                  struct err *err)
{
    struct sandbox_start start;
    const int rc = sandbox_prepare(host, spec, &start, err);
    if (rc < 0)
        return rc;
    const pid_t pid = fork();
    if (pid == 0)
        sandbox_become(host, &start, spec->command, spec->agent_args);
    sandbox_start_dispose(&start);
    if (pid < 0)
        return err_set_errno(err, ERR_UNAVAILABLE, errno, "cannot start a process");
    *ret_pid = pid;
    return 0;
}

bool sandbox_image_valid(const char *name)
{
    const size_t size = strlen(name);
    return size > 0 && size <= RUNNER_IMAGE_MAX && name[0] != '.' &&
           strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") ==
               size;
}

static bool env_name_valid(const char *entry)
{
    const size_t size =
        strspn(entry, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_");
    return size > 0 && entry[size] == '=' && !(entry[0] >= '0' && entry[0] <= '9');
}

bool sandbox_env_valid(const char *env, size_t size)
{
    if (size == 0)
        return true;
    if (env[size - 1] != '\0')
        return false;
    size_t entries = 0;
    for (size_t at = 0; at < size; at += strlen(env + at) + 1)
        if (++entries > ENV_ENTRIES_MAX || !env_name_valid(env + at))
            return false;
    return true;
}

// ---- What all have in common. ----

bool sandbox_find_program(const char *name, char *ret_path, size_t size)
{
    const char *at = getenv("PATH");
    for (at = at ? at : "/usr/bin:/bin"; *at; at += *at == ':') {
        const size_t length = strcspn(at, ":");
        snprintf(ret_path, size, "%.*s/%s", (int)length, at, name);
        if (*at == '/' && access(ret_path, X_OK) == 0)
            return true;
        at += length;
    }
    return false;
}

static int find_bwrap(const char *configured, char *ret_path, size_t size, struct err *err)
{
    if (configured) {
        snprintf(ret_path, size, "%s", configured);
        if (access(ret_path, X_OK) == 0)
            return 0;
        return err_set_errno(err, ERR_UNAVAILABLE, errno, "cannot run bubblewrap at %s", ret_path);
    }
    if (sandbox_find_program("bwrap", ret_path, size))
        return 0;
    return err_set(err, ERR_UNAVAILABLE, "bubblewrap is not installed (no bwrap in PATH)");
}

// A copy that nobody can change, not even through /proc/1/exe of a sandbox.
static int copy_program(const char *path, const char *name, int *ret_fd, struct err *err)
{
    struct stat info;
    auto_fd int from = open(path, O_RDONLY | O_CLOEXEC);
    if (from < 0 || fstat(from, &info) < 0)
        return err_set_errno(err, ERR_UNAVAILABLE, errno, "cannot open %s", path);
    auto_fd int copy = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (copy < 0)
        return err_set_errno(err, ERR_INTERNAL, errno, "cannot copy %s", path);
    ssize_t sent;
    do
        sent = sendfile(copy, from, NULL, (size_t)info.st_size + 1);
    while (sent > 0);
    if (sent < 0 ||
        fcntl(copy, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
        return err_set_errno(err, ERR_INTERNAL, errno, "cannot copy %s", path);
    *ret_fd = TAKE_FD(copy);
    return 0;
}

// Puts the data folder where the sandboxes' user reaches it: bubblewrap runs as that user, who may
// have no way into a folder above. False when mounting is not permitted.
static bool mount_data(struct sandbox_host *host)
{
    if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
        return false;
    host->own_mounts = true;
    auto_fd int data = open_tree(AT_FDCWD, ".", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    if (data < 0)
        return false;
    const bool mounted =
        mount("none", MOUNT_POINT, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC,
              "mode=0755,size=64k") == 0 &&
        mkdir(MOUNT_POINT "/data", 0755) == 0 &&
        move_mount(data, "", AT_FDCWD, MOUNT_POINT "/data", MOVE_MOUNT_F_EMPTY_PATH) == 0;
    if (mounted)
        snprintf(host->data_path, sizeof host->data_path, MOUNT_POINT "/data");
    return mounted;
}

static int set_data_path(struct sandbox_host *host, struct err *err)
{
    if (!getcwd(host->data_path, sizeof host->data_path))
        return err_set_errno(err, ERR_INTERNAL, errno, "cannot tell the path of the data folder");
    if (host->root && mount_data(host) && chdir(host->data_path) < 0)
        return err_set_errno(err, ERR_INTERNAL, errno, "cannot enter the data folder");
    return 0;
}

// Of this program, which comes first; the bridge was built with it. Only a folder of /usr holds
// nothing but what all projects may see.
static int find_loader(struct dl_phdr_info *info, size_t size UNUSED, void *ret_loader)
{
    char path[PATH_MAX];
    for (size_t i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];
        const char *name = (const char *)(uintptr_t)(info->dlpi_addr + part->p_vaddr);
        if (part->p_type == PT_INTERP && realpath(name, path) && text_has_prefix(path, "/usr/"))
            memcpy(ret_loader, path, strlen(path) + 1);
    }
    return 1;
}

int sandbox_host_open(const struct sandbox_host_config *config, struct sandbox_host *ret_host,
                      struct err *err)
{
    CLEANUP(sandbox_host_close)
    struct sandbox_host host = {.uid = config->uid,
                                .gid = config->gid,
                                .agent_fd = -1,
                                .kernel_fd = -1,
                                .seccomp_fd = -1,
                                .root = geteuid() == 0};
    if (host.root && (host.uid == 0 || host.gid == 0))
        return err_set(err, ERR_INVALID, "sandboxes must not belong to root");
    int rc = find_bwrap(config->bwrap_path, host.bwrap_path, sizeof host.bwrap_path, err);
    if (rc == 0 && config->agent_path)
        rc = copy_program(config->agent_path, "cohub-agent", &host.agent_fd, err);
    if (rc == 0 && config->kernel_path)
        rc = copy_program(config->kernel_path, "cohub-jupyter", &host.kernel_fd, err);
    if (rc == 0)
        rc = seccomp_compile(&host.seccomp_fd, err);
    if (rc == 0)
        rc = set_data_path(&host, err);
    if (rc < 0)
        return rc;
    if (host.root) {
        if (setgroups(0, NULL) < 0)
            return err_set_errno(err, ERR_INTERNAL, errno, "cannot give up the groups of root");
        setfsgid(host.gid);
        setfsuid(host.uid);
    }
    dl_iterate_phdr(find_loader, host.loader);
    *ret_host = host;
    host.agent_fd = host.kernel_fd = host.seccomp_fd = -1;
    return 0;
}

void sandbox_host_close(struct sandbox_host *host)
{
    fd_close(&host->agent_fd);
    fd_close(&host->kernel_fd);
    fd_close(&host->seccomp_fd);
}

// ---- Trying it out. ----

static int probe_wait(pid_t pid)
{
    int status;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int probe_start(const struct sandbox_host_config *config, int log_fd, pid_t *ret_pid,
                       struct uuid *ret_id, struct err *err)
{
    static const char *const command[] = {"true", NULL};
    CLEANUP(sandbox_host_close)
    struct sandbox_host host = {.agent_fd = -1, .kernel_fd = -1, .seccomp_fd = -1};
    char home[64];
    const int rc = sandbox_host_open(config, &host, err);
    if (rc < 0)
        return rc;
    const struct sandbox_spec spec = {.project_id = uuid_new(),
                                      .command = command,
                                      .listen_fd = -1,
                                      .info_fd = -1,
                                      .log_fd = log_fd};
    snprintf(home, sizeof home, "projects/%s", spec.project_id.text);
    if ((mkdir("run", 0700) < 0 || mkdir("projects", 0700) < 0) && errno != EEXIST)
        return err_set_errno(err, ERR_INTERNAL, errno, "cannot write to the data folder");
    if (mkdir(home, 0700) < 0)
        return err_set_errno(err, ERR_INTERNAL, errno, "cannot write to the data folder");
    *ret_id = spec.project_id;
    return sandbox_start(&host, &spec, ret_pid, err);
}

// In a process of its own, as it changes its rights and mounts. What it has to say goes to log_fd.
static _Noreturn void probe_run(const struct sandbox_host_config *config, int log_fd)
{
    struct err err = {0};
    struct uuid id = {""};
    char home[64];
    pid_t pid;
    int code = 1;
    if (probe_start(config, log_fd, &pid, &id, &err) == 0)
        code = probe_wait(pid);
    else
        dprintf(log_fd, "%s%s%s", err.message, err.detail[0] ? ": " : "", err.detail);
    snprintf(home, sizeof home, "projects/%s", id.text);
    if (id.text[0])
        rmdir(home);
    _exit(code);
}

static int probe_explain(const char *text, struct err *err)
{
    static const struct {
        const char *part, *reason;
    } reasons[] = {
        {"namespace", "the system does not permit user namespaces"},
        {"uid map", "the system does not permit user namespaces"},
        {"NEWNET", "the system does not permit network namespaces"},
        {"loopback", "the system does not permit network namespaces"},
        {"seccomp", "the system does not support system call filters"},
        {"Unknown option", "this bubblewrap is too old (0.8 is needed)"},
    };
    for (size_t i = 0; i < ARRAY_LEN(reasons); i++)
        if (strstr(text, reasons[i].part))
            return err_set(err, ERR_UNAVAILABLE, "sandboxes do not work: %s: %s", reasons[i].reason,
                           text);
    return err_set(err, ERR_UNAVAILABLE, "sandboxes do not work: %s",
                   *text ? text : "the sandbox ended without a word");
}

void sandbox_host_prepare(struct sandbox_host *host)
{
    char root[2 * PATH_MAX];
    struct err err;
    auto_fd int root_fd = open_root(host, NULL, root, sizeof root, &err);
    if (root_fd < 0 || etc_update(root_fd, &host->etc, &err) < 0)
        host->etc = (struct etc_copy){0};
}

int sandbox_probe(const struct sandbox_host_config *config, struct err *err)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return err_set_errno(err, ERR_INTERNAL, errno, "cannot make a pipe");
    auto_fd int read_fd = ends[0], write_fd = ends[1];
    const pid_t pid = fork();
    if (pid == 0)
        probe_run(config, write_fd);
    if (pid < 0)
        return err_set_errno(err, ERR_UNAVAILABLE, errno, "cannot start a process");
    fd_close(&write_fd);
    auto_buf struct buf text = {0};
    const int rc = fd_read_all(read_fd, PROBE_TEXT_MAX, &text);
    const int code = probe_wait(pid);
    if (rc == 0 && code == 0)
        return 0;
    while (text.size && text_is_space(text.data[text.size - 1]))
        text.size--;
    return probe_explain(buf_cstr(&text), err);
}
