// SPDX-License-Identifier: AGPL-3.0-or-later
#include "runner/runner.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "runner/cgroup.h"
#include "runner/copy.h"
#include "runner/etc.h"
#include "runner/network.h"
#include "runner/sandbox.h"
#include "runner/spare.h"

#define LOCK_TRIES   100 // of 2 ms: the lock is held only while a sandbox is being started
#define RUN_PATH_MAX 80
// How long the agent's greeting is waited for; one that comes later is no reason to start another.
#define GREETING_MS    50
#define GREETING_TRIES 100
#define AGENT_BACKLOG  16
#define SMALL_FILE     4096
// How much later than bubblewrap its first process may have been started, in clock ticks.
#define INIT_DELAY_MAX 1000
#define SWEEP_PAUSE_MS 10000

struct child {
    pid_t pid;
    struct uuid project_id;
};

struct runner {
    int channel_fd, signal_fd;
    struct sandbox_host host;
    struct cgroups cgroups;
    struct network_host network;
    struct spares spares;
    uint32_t missing;  // runner_missing
    uint64_t sweep_ms; // when to look again for groups of sandboxes that are gone; 0: not needed
    struct child *children;
    size_t children_count, children_capacity;
    struct copy_jobs copies;
};

// What /proc says of a process.
struct process {
    int parent;
    uint64_t start_ticks;
};

static void run_path(const struct uuid *project_id, const char *name, char out[RUN_PATH_MAX])
{
    snprintf(out, RUN_PATH_MAX, "run/%s%s%s", project_id->text, *name ? "/" : "", name);
}

// ---- Small files. ----

static bool read_small(const char *path, char out[SMALL_FILE])
{
    auto_fd int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    const ssize_t size = fd < 0 ? -1 : read(fd, out, SMALL_FILE - 1);
    out[size > 0 ? size : 0] = '\0';
    return size > 0;
}

static int open_run_file(const struct uuid *project_id, const char *name, int flags)
{
    char path[RUN_PATH_MAX];
    run_path(project_id, name, path);
    return open(path, flags | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
}

static void remove_run_file(const struct uuid *project_id, const char *name)
{
    char path[RUN_PATH_MAX];
    run_path(project_id, name, path);
    unlink(path);
}

static void remove_run_files(const struct uuid *project_id)
{
    static const char *const names[] = {"agent.sock", "pid", "info", "log", "network"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        remove_run_file(project_id, names[i]);
}

static bool read_process(pid_t pid, struct process *ret_process)
{
    char path[32], text[SMALL_FILE];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    if (!read_small(path, text))
        return false;
    const char *at = strrchr(text, ')'); // the name may hold anything
    char state;
    unsigned long long ticks;
    // Fields 3, 4 and 22.
    if (!at || sscanf(at + 1,
                      " %c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d "
                      "%llu",
                      &state, &ret_process->parent, &ticks) != 3)
        return false;
    ret_process->start_ticks = ticks;
    return state != 'Z' && state != 'X';
}

// ---- Who runs in a project: run/UUID/pid and info. ----

// Has the disk keep room for what is written to a small file later, without making it longer.
static int reserve(int fd)
{
    return fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, SMALL_FILE) < 0 && errno != EOPNOTSUPP ? -errno
                                                                                        : 0;
}

static void write_pid_file(const struct uuid *project_id, int fd, pid_t pid)
{
    struct process process;
    char text[64];
    if (!read_process(pid, &process))
        return;
    const int size =
        snprintf(text, sizeof text, "%d %llu\n", (int)pid, (unsigned long long)process.start_ticks);
    if (fd_write_all(fd, text, (size_t)size) < 0)
        remove_run_file(project_id, "pid");
}

static bool read_pid_file(const struct uuid *project_id, pid_t *ret_pid, uint64_t *ret_start)
{
    char path[RUN_PATH_MAX], text[SMALL_FILE];
    int pid;
    unsigned long long start;
    run_path(project_id, "pid", path);
    if (!read_small(path, text) || sscanf(text, "%d %llu", &pid, &start) != 2 || pid <= 1)
        return false;
    *ret_pid = pid;
    *ret_start = start;
    return true;
}

static bool read_info_file(const struct uuid *project_id, pid_t *ret_pid)
{
    static const char key[] = "\"child-pid\":";
    char path[RUN_PATH_MAX], text[SMALL_FILE];
    run_path(project_id, "info", path);
    if (!read_small(path, text))
        return false;
    const char *at = strstr(text, key);
    const long pid = at ? strtol(at + sizeof key - 1, NULL, 10) : 0;
    if (pid <= 1 || pid > INT_MAX)
        return false;
    *ret_pid = (pid_t)pid;
    return true;
}

// PID 1 of the sandbox as the host numbers it. It is bubblewrap's child; should bubblewrap be gone,
// it was started right after it. Numbers that the system has given to others meanwhile are told by
// the start time.
static bool find_init(const struct uuid *project_id, pid_t *ret_init)
{
    pid_t bwrap, init;
    uint64_t start;
    struct process bwrap_process, init_process;
    if (!read_pid_file(project_id, &bwrap, &start) || !read_info_file(project_id, &init) ||
        !read_process(init, &init_process))
        return false;
    const bool bwrap_runs =
        read_process(bwrap, &bwrap_process) && bwrap_process.start_ticks == start;
    if (bwrap_runs
            ? init_process.parent != bwrap
            : init_process.start_ticks < start || init_process.start_ticks - start > INIT_DELAY_MAX)
        return false;
    *ret_init = init;
    return true;
}

// bubblewrap itself, while it runs.
static bool find_bwrap(const struct uuid *project_id, pid_t *ret_bwrap)
{
    uint64_t start;
    struct process process;
    return read_pid_file(project_id, ret_bwrap, &start) && read_process(*ret_bwrap, &process) &&
           process.start_ticks == start;
}

// PID 1; or bubblewrap, if it is only just building the sandbox: without it nothing comes of it.
static bool find_sandbox(const struct uuid *project_id, pid_t *ret_pid)
{
    return find_init(project_id, ret_pid) || find_bwrap(project_id, ret_pid);
}

// ---- Starting. ----

static int make_folder(const char *path)
{
    return mkdir(path, 0700) < 0 && errno != EEXIST ? -errno : 0;
}

static int make_folders(const struct uuid *project_id)
{
    char home[RUN_PATH_MAX], run[RUN_PATH_MAX];
    snprintf(home, sizeof home, "projects/%s", project_id->text);
    run_path(project_id, "", run);
    const char *const paths[] = {"projects", "run", home, run};
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        const int rc = make_folder(paths[i]);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int take_lock(const struct uuid *project_id, int *ret_fd)
{
    auto_fd int fd = open_run_file(project_id, "lock", O_RDWR);
    if (fd < 0)
        return -errno;
    for (unsigned i = 0; flock(fd, LOCK_EX | LOCK_NB) < 0; i++) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            return -errno;
        if (i == LOCK_TRIES)
            return -EBUSY;
        poll(NULL, 0, 2);
    }
    *ret_fd = TAKE_FD(fd);
    return 0;
}

static struct sockaddr_un agent_address(const struct uuid *project_id)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char path[RUN_PATH_MAX];
    run_path(project_id, "agent.sock", path);
    static_assert(sizeof path <= sizeof address.sun_path, "the path fits");
    memcpy(address.sun_path, path, sizeof path);
    return address;
}

// One try: the agent greets, or is only just being started, or is busy. One that is dying may still
// take the connection, and then drops it.
static bool agent_greets(const struct uuid *project_id, bool *ret_again)
{
    const struct sockaddr_un address = agent_address(project_id);
    auto_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    char byte;
    *ret_again = false;
    if (fd < 0)
        return false;
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) < 0)
        return errno == EAGAIN; // somebody listens
    if (poll(&ready, 1, GREETING_MS) <= 0)
        return true;
    *ret_again = recv(fd, &byte, 1, 0) <= 0;
    return !*ret_again;
}

static bool agent_answers(const struct uuid *project_id)
{
    bool again = true, answers = false;
    for (unsigned i = 0; again && i < GREETING_TRIES; i++)
        answers = agent_greets(project_id, &again);
    return answers;
}

static int listen_for_agent(const struct uuid *project_id, int *ret_fd)
{
    const struct sockaddr_un address = agent_address(project_id);
    unlink(address.sun_path);
    auto_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof address) < 0 ||
        listen(fd, AGENT_BACKLOG) < 0)
        return -errno;
    *ret_fd = TAKE_FD(fd);
    return 0;
}

static void remember_child(struct runner *r, pid_t pid, const struct uuid *project_id)
{
    if (r->children_count == r->children_capacity) {
        r->children_capacity = r->children_capacity ? r->children_capacity * 2 : 64;
        r->children = mem_realloc(r->children, r->children_capacity * sizeof *r->children);
    }
    r->children[r->children_count++] = (struct child){pid, *project_id};
}

// What a start writes. bubblewrap must not find the disk full: it would end and leave its half-made
// sandbox behind, which nobody could find.
struct run_files {
    int log_fd, info_fd, pid_fd;
};

static void run_files_dispose(struct run_files *files)
{
    fd_close(&files->log_fd);
    fd_close(&files->info_fd);
    fd_close(&files->pid_fd);
}

static int run_files_open(const struct uuid *project_id, struct run_files *ret_files,
                          struct err *err)
{
    CLEANUP(run_files_dispose)
    struct run_files files = {open_run_file(project_id, "log", O_RDWR | O_TRUNC | O_APPEND),
                              open_run_file(project_id, "info", O_WRONLY | O_TRUNC),
                              open_run_file(project_id, "pid", O_WRONLY | O_TRUNC)};
    int rc = files.log_fd < 0 || files.info_fd < 0 || files.pid_fd < 0 ? -errno : 0;
    if (rc == 0)
        rc = reserve(files.info_fd);
    if (rc == 0)
        rc = reserve(files.pid_fd);
    if (rc < 0)
        return err_set_errno(err, ERR_INTERNAL, -rc, "cannot write to the project's run folder");
    *ret_files = files;
    files = (struct run_files){-1, -1, -1};
    return 0;
}

// The pipes of the project's network, if it is to have one and the host can give it.
static int network_prepare(const struct runner *r, const struct runner_request *request,
                           const struct uuid *project_id, struct network *ret_network,
                           bool *ret_wanted, struct err *err)
{
    *ret_wanted = (request->flags & RUNNER_START_NETWORK) && !(r->missing & RUNNER_NO_NETWORK);
    if (!*ret_wanted)
        return 0;
    auto_fd int log_fd = open_run_file(project_id, "network", O_WRONLY | O_TRUNC | O_APPEND);
    if (log_fd < 0)
        return err_set_errno(err, ERR_INTERNAL, errno, "cannot write to the project's run folder");
    return network_open(TAKE_FD(log_fd), ret_network, err);
}

static void sweep_later(struct runner *r);

static int start_locked(struct runner *r, const struct runner_request *request,
                        const struct uuid *project_id, struct err *err)
{
    auto_fd int listen_fd = -1;
    CLEANUP(run_files_dispose) struct run_files files = {-1, -1, -1};
    CLEANUP(network_dispose) struct network network = NETWORK_NONE;
    CLEANUP(sandbox_start_dispose) struct sandbox_start start = SANDBOX_START_NONE;
    bool with_network;
    pid_t pid;
    int rc = run_files_open(project_id, &files, err);
    if (rc < 0)
        return rc;
    rc = listen_for_agent(project_id, &listen_fd);
    if (rc < 0)
        return err_set_errno(err, ERR_INTERNAL, -rc, "cannot make the agent's socket");
    rc = network_prepare(r, request, project_id, &network, &with_network, err);
    if (rc < 0)
        return rc;
    const struct sandbox_spec spec = {.project_id = *project_id,
                                      .image = request->image[0] ? request->image : NULL,
                                      .network = with_network ? &network.sandbox : NULL,
                                      .env = request->data,
                                      .env_size = request->data_size,
                                      .processes = request->limits.processes,
                                      .listen_fd = listen_fd,
                                      .info_fd = files.info_fd,
                                      .log_fd = files.log_fd};
    rc = sandbox_prepare(&r->host, &spec, &start, err);
    if (rc == 0)
        rc = spares_start(&r->spares, &start, &request->limits, with_network ? network.fds : NULL,
                          &pid, err);
    if (rc < 0)
        return rc;
    remember_child(r, pid, project_id);
    write_pid_file(project_id, files.pid_fd, pid);
    sweep_later(r); // it may take the place of one that another runner, which is gone, has left
    return 0;
}

static int start(struct runner *r, const struct runner_request *request,
                 const struct uuid *project_id, bool *ret_running, struct err *err)
{
    auto_fd int lock_fd = -1;
    *ret_running = false;
    int rc = make_folders(project_id);
    if (rc < 0)
        return err_set_errno(err, ERR_INTERNAL, -rc, "cannot make the project's folders");
    rc = take_lock(project_id, &lock_fd);
    if (rc < 0)
        return err_set_errno(err, ERR_UNAVAILABLE, -rc, "cannot take the project's lock");
    *ret_running = agent_answers(project_id);
    if (*ret_running)
        return 0;
    rc = start_locked(r, request, project_id, err);
    if (rc < 0)
        remove_run_files(project_id);
    return rc;
}

// ---- Ending. ----

// Signals with the rights of the sandboxes' user only: what run/UUID says comes from that user.
static int kill_as_user(const struct sandbox_host *host, pid_t pid)
{
    if (!host->root)
        return kill(pid, SIGKILL) < 0 ? -errno : 0;
    if (setresuid(host->uid, host->uid, 0) < 0)
        return -errno;
    const int rc = kill(pid, SIGKILL) < 0 ? -errno : 0;
    if (setresuid(0, 0, 0) < 0)
        abort(); // must not go on as somebody else
    setfsuid(host->uid);
    return rc;
}

static int kill_sandbox(struct runner *r, const struct uuid *project_id)
{
    pid_t pid;
    return find_sandbox(project_id, &pid) ? kill_as_user(&r->host, pid) : -ESRCH;
}

// ---- The channel. ----

static bool send_message(struct runner *r, const struct runner_message *message)
{
    ssize_t sent;
    do
        sent = send(r->channel_fd, message, sizeof *message, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent == (ssize_t)sizeof *message;
}

static bool reply(struct runner *r, const struct runner_request *request, int error,
                  const char *text, const char *detail)
{
    struct runner_message message = {.type = RUNNER_REPLY,
                                     .value = error,
                                     .seq = request->seq,
                                     .usage = {.missing = r->missing}};
    memcpy(message.uuid, request->uuid, UUID_LEN);
    snprintf(message.text, sizeof message.text, "%s%s%s", text, *detail ? ": " : "", detail);
    return send_message(r, &message);
}

static bool handle_start(struct runner *r, const struct runner_request *request,
                         const struct uuid *project_id)
{
    struct err err = {0};
    bool running;
    if (start(r, request, project_id, &running, &err) == 0)
        return reply(r, request, 0, running ? "running" : "", "");
    return reply(r, request, err.sys_errno ? err.sys_errno : EIO, err.message, err.detail);
}

static bool handle_copy(struct runner *r, const struct runner_request *request)
{
    struct err err = {0};
    if (copy_job_start(&r->copies, &r->host, &r->spares, request, &err) == 0)
        return reply(r, request, 0, "", "");
    return reply(r, request, err.sys_errno ? err.sys_errno : EIO, err.message, err.detail);
}

static bool handle_end_copy(struct runner *r, const struct runner_request *request)
{
    const int rc = copy_job_kill(&r->copies, request->copy_seq);
    return reply(r, request, -rc, rc ? strerror(-rc) : "", "");
}

// ---- Limits and use of a sandbox that runs. ----

// Its group is where its processes are. False: there is no such group, as the host has no
// groups, or another runner made it elsewhere.
static bool group_of(const struct runner *r, pid_t pid, char ret_group[CGROUP_NAME_MAX])
{
    char path[32], text[SMALL_FILE];
    snprintf(path, sizeof path, "/proc/%d/cgroup", (int)pid);
    return read_small(path, text) && cgroup_of(&r->cgroups, text, ret_group);
}

static bool handle_limit(struct runner *r, const struct runner_request *request,
                         const struct uuid *project_id)
{
    struct err err = {0};
    char group[CGROUP_NAME_MAX];
    pid_t pid;
    if (!find_sandbox(project_id, &pid))
        return reply(r, request, ESRCH, "the project does not run", "");
    if (group_of(r, pid, group) && cgroup_limit(&r->cgroups, group, &request->limits, &err) < 0)
        return reply(r, request, err.sys_errno ? err.sys_errno : EIO, err.message, err.detail);
    return reply(r, request, 0, "", "");
}

static bool handle_usage(struct runner *r, const struct runner_request *request,
                         const struct uuid *project_id)
{
    struct runner_message message = {.type = RUNNER_REPLY, .seq = request->seq};
    char group[CGROUP_NAME_MAX];
    pid_t pid;
    if (!find_sandbox(project_id, &pid))
        return reply(r, request, ESRCH, "the project does not run", "");
    if (group_of(r, pid, group))
        cgroup_usage(&r->cgroups, group, &message.usage);
    message.usage.missing = r->missing;
    if (find_init(project_id, &pid))
        message.usage.pid = pid;
    memcpy(message.uuid, request->uuid, UUID_LEN);
    return send_message(r, &message);
}

static bool request_valid(const struct runner_request *request, size_t size,
                          struct uuid *ret_project_id)
{
    if (size < RUNNER_REQUEST_SIZE(0) || request->data_size > RUNNER_DATA_MAX ||
        size != RUNNER_REQUEST_SIZE(request->data_size))
        return false;
    const uint32_t flags = request->type == RUNNER_COPY    ? COPY_FLAGS
                           : request->type == RUNNER_START ? RUNNER_START_NETWORK
                                                           : 0;
    if ((request->flags & ~flags) || request->image[RUNNER_IMAGE_MAX] || request->uuid[UUID_LEN] ||
        !uuid_parse(request->uuid, UUID_LEN, ret_project_id))
        return false;
    // Folders have lower-case names.
    return memcmp(request->uuid, ret_project_id->text, UUID_LEN) == 0 &&
           (!request->image[0] || sandbox_image_valid(request->image)) &&
           (request->type == RUNNER_COPY ? copy_request_valid(request)
                                         : sandbox_env_valid(request->data, request->data_size));
}

static bool handle_request(struct runner *r, const struct runner_request *request, size_t size)
{
    struct uuid project_id;
    if (!request_valid(request, size, &project_id)) {
        const struct runner_request unknown = {
            .seq = size >= offsetof(struct runner_request, uuid) ? request->seq : 0};
        return reply(r, &unknown, EINVAL, "malformed request", "");
    }
    if (request->type == RUNNER_START)
        return handle_start(r, request, &project_id);
    if (request->type == RUNNER_COPY)
        return handle_copy(r, request);
    if (request->type == RUNNER_END_COPY)
        return handle_end_copy(r, request);
    if (request->type == RUNNER_LIMIT)
        return handle_limit(r, request, &project_id);
    if (request->type == RUNNER_USAGE)
        return handle_usage(r, request, &project_id);
    if (request->type != RUNNER_KILL)
        return reply(r, request, EINVAL, "unknown request", "");
    const int rc = kill_sandbox(r, &project_id);
    return reply(r, request, -rc, rc ? strerror(-rc) : "", "");
}

// False at the end of the channel.
static bool read_request(struct runner *r)
{
    static struct runner_request request;
    const ssize_t size = recv(r->channel_fd, &request, sizeof request, MSG_DONTWAIT | MSG_TRUNC);
    if (size < 0)
        return errno == EAGAIN || errno == EINTR;
    if (size == 0)
        return false;
    const bool alive = handle_request(r, &request, (size_t)size);
    explicit_bzero(request.data, sizeof request.data);
    return alive;
}

// ---- Groups that are left. ----

static uint64_t now_ms(void)
{
    return clock_monotonic_us() / 1000;
}

static void sweep_later(struct runner *r)
{
    r->sweep_ms = r->sweep_ms ? r->sweep_ms : now_ms() + SWEEP_PAUSE_MS;
}

// Of sandboxes that another runner started nobody tells the end.
static void sweep(struct runner *r)
{
    r->sweep_ms = 0;
    if (!cgroups_sweep(&r->cgroups))
        sweep_later(r);
}

// ---- Children that ended. ----

static void read_log(const struct uuid *project_id, char *out, size_t size)
{
    char path[RUN_PATH_MAX], text[SMALL_FILE];
    run_path(project_id, "log", path);
    read_small(path, text);
    size_t length = strlen(text);
    while (length && text_is_space(text[length - 1]))
        text[--length] = '\0';
    snprintf(out, size, "%s", text);
}

// Removes what belongs to the sandbox, unless another one has been started meanwhile.
static void clean_up(const struct uuid *project_id, pid_t pid)
{
    auto_fd int lock_fd = -1;
    pid_t owner;
    uint64_t start_ticks;
    if (take_lock(project_id, &lock_fd) < 0)
        return;
    if (!read_pid_file(project_id, &owner, &start_ticks) || owner != pid ||
        agent_answers(project_id))
        return;
    remove_run_files(project_id);
}

// The process of its network may outlast a sandbox by a moment.
static void remove_group(struct runner *r, pid_t pid)
{
    char group[CGROUP_NAME_MAX];
    spare_group(pid, group);
    if (!cgroup_remove(&r->cgroups, group))
        sweep_later(r);
}

// As `usage` knows of its group: memory ran out, and the agent was among what was killed for it.
static bool died_of_memory(const struct runner_usage *usage, int status)
{
    return usage->oom_kills && (WIFSIGNALED(status) ? WTERMSIG(status) == SIGKILL
                                                    : WEXITSTATUS(status) == 128 + SIGKILL);
}

static bool child_ended(struct runner *r, const struct child *child, int status)
{
    struct runner_message message = {.type = RUNNER_EXITED, .value = status};
    char group[CGROUP_NAME_MAX];
    spare_group(child->pid, group);
    cgroup_usage(&r->cgroups, group, &message.usage);
    message.usage.missing = r->missing;
    memcpy(message.uuid, child->project_id.text, UUID_LEN);
    if (died_of_memory(&message.usage, status))
        snprintf(message.text, sizeof message.text, "%s", RUNNER_OUT_OF_MEMORY);
    else if (status != 0)
        read_log(&child->project_id, message.text, sizeof message.text);
    clean_up(&child->project_id, child->pid);
    remove_group(r, child->pid);
    return send_message(r, &message);
}

static bool forget_child(struct runner *r, pid_t pid, struct child *ret_child)
{
    for (size_t i = 0; i < r->children_count; i++) {
        if (r->children[i].pid != pid)
            continue;
        *ret_child = r->children[i];
        r->children[i] = r->children[--r->children_count];
        return true;
    }
    return false;
}

static bool copy_ended(struct runner *r, pid_t pid, const struct runner_message *message)
{
    remove_group(r, pid);
    return send_message(r, message);
}

static bool reap(struct runner *r)
{
    struct signalfd_siginfo info;
    struct runner_message message;
    struct child child;
    int status;
    pid_t pid;
    bool alive = true;
    while (read(r->signal_fd, &info, sizeof info) > 0)
        ;
    while (alive && (pid = waitpid(-1, &status, WNOHANG)) > 0)
        if (forget_child(r, pid, &child))
            alive = child_ended(r, &child, status);
        else if (copy_job_ended(&r->copies, pid, status, &message))
            alive = copy_ended(r, pid, &message);
        else
            spares_forget(&r->spares, pid);
    return alive;
}

// ---- The process. ----

static bool runs(const struct uuid *project_id)
{
    pid_t pid;
    return find_sandbox(project_id, &pid);
}

// Copies of /etc from before are only removed when nobody can be using them.
static void remove_old_copies(void)
{
    struct uuid project_id;
    bool used = false;
    DIR *folder = opendir("run");
    if (!folder)
        return;
    for (const struct dirent *entry; !used && (entry = readdir(folder));)
        used = uuid_parse(entry->d_name, strlen(entry->d_name), &project_id) && runs(&project_id);
    closedir(folder);
    if (!used)
        etc_remove_all();
}

static int set_up(const struct runner_config *config, struct runner *r, struct err *err)
{
    const struct sandbox_host_config host = {.uid = config->uid,
                                             .gid = config->gid,
                                             .agent_path = config->agent_path,
                                             .kernel_path = config->kernel_path,
                                             .bwrap_path = config->bwrap_path};
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGCHLD);
    // A terminal's interrupt is for the hub; the runner ends with its channel.
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    umask(077);
    r->channel_fd = config->channel_fd;
    r->signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    if (r->signal_fd < 0 || fcntl(r->channel_fd, F_SETFD, FD_CLOEXEC) < 0)
        return err_set_errno(err, ERR_INTERNAL, errno, "cannot set up the runner");
    prctl(PR_SET_NAME, "cohub-runner");
    prctl(PR_SET_CHILD_SUBREAPER, 1); // of the processes of networks (network.h)
    return sandbox_host_open(&host, &r->host, err);
}

// What there is time for when nothing is asked: false, nothing more. A spare that cannot be made is
// tried again after the next request or end of a sandbox.
static bool do_idle_work(struct runner *r)
{
    if (spares_add(&r->spares))
        return true;
    if (r->sweep_ms && now_ms() >= r->sweep_ms)
        sweep(r);
    return false;
}

static int wait_ms(const struct runner *r)
{
    const uint64_t now = now_ms();
    if (!r->sweep_ms)
        return -1;
    return r->sweep_ms > now ? (int)(r->sweep_ms - now) : 0;
}

static void serve(struct runner *r)
{
    struct pollfd fds[] = {{.fd = r->channel_fd, .events = POLLIN},
                           {.fd = r->signal_fd, .events = POLLIN}};
    bool alive = true, idle = false;
    while (alive) {
        const int ready = poll(fds, ARRAY_LEN(fds), idle ? wait_ms(r) : 0);
        if (ready < 0)
            continue;
        idle = ready == 0 && !do_idle_work(r);
        if (ready && fds[1].revents)
            alive = reap(r);
        if (ready && alive && fds[0].revents)
            alive = read_request(r);
    }
}

// A group's name for the data folder, wherever it is mounted.
static void name_folder(char *out, size_t size)
{
    struct stat info;
    if (stat(".", &info) < 0)
        abort(); // it is the working directory
    snprintf(out, size, "%llx-%llx", (unsigned long long)info.st_dev,
             (unsigned long long)info.st_ino);
}

// What limits there can be. What is missing is no reason not to serve.
static void find_limits(struct runner *r)
{
    char folder[40];
    struct err err = {0};
    name_folder(folder, sizeof folder);
    const struct cgroups_config config = {.folder = folder,
                                          .uid = r->host.root ? r->host.uid : 0,
                                          .mountinfo = "/proc/self/mountinfo",
                                          .self = "/proc/self/cgroup"};
    cgroups_open(&config, &r->cgroups);
    r->missing = r->cgroups.missing;
    if (network_host_open(&r->host, &r->network, &err) < 0)
        r->missing |= RUNNER_NO_NETWORK;
    r->spares = (struct spares){.host = &r->host, .cgroups = &r->cgroups, .network = &r->network};
    sweep(r);
}

int runner_main(const struct runner_config *config)
{
    struct runner r = {.signal_fd = -1,
                       .host = {.agent_fd = -1, .kernel_fd = -1, .seccomp_fd = -1}};
    struct err err = {0};
    const int rc = set_up(config, &r, &err);
    if (rc == 0) {
        remove_old_copies();
        find_limits(&r);
        sandbox_host_prepare(&r.host);
        serve(&r);
    } else {
        log_err(LOG_ERROR, "runner", &err);
    }
    spares_dispose(&r.spares);
    cgroups_close(&r.cgroups);
    sandbox_host_close(&r.host);
    fd_close(&r.signal_fd);
    copy_jobs_dispose(&r.copies);
    free(r.children);
    return rc;
}
