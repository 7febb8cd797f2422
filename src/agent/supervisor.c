// SPDX-License-Identifier: AGPL-3.0-or-later
// The process behind each command. It is a fork of the agent, which is small, and stands between
// the agent and the command for one reason: as the subreaper it keeps every descendant of the
// command below itself, also those that have made themselves daemons, so that the whole tree can be
// found and killed. When the command ends it ends too, and daemons that are left go to PID 1.
//
// Making it costs a fifth of the time of a short command. So one whose command has left nothing
// behind stays, if the agent has use for it, and is given the next: the agent sends the payload and
// the ends of the pipes over a socket.
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/agent.h"
#include "proto/kernel.h"

#define JOB_FD           3 // where commands come from
#define BRIDGE_FD        3 // where the kernel bridge gets its requests from
#define OOM_SCORE_ADJ    "700"
#define DESCRIPTORS_REST 16 // a sixteenth
#define TEXT_OF(number)  TEXT_OF_(number)
#define TEXT_OF_(number) #number

struct command {
    char *directory;
    char **argv, **environment;
    size_t script_size;
    struct frame_exec frame;
};

// The file belongs to the reply: the agent removes it.
static int write_script(const char *path, const char *text, size_t size)
{
    int error = 0;
    const int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0700);
    if (fd < 0)
        return errno;
    while (size && !error) {
        const ssize_t written = write(fd, text, size);
        if (written < 0 && errno != EINTR)
            error = errno;
        if (written > 0) {
            text += written;
            size -= (size_t)written;
        }
    }
    close(fd);
    return error;
}

// The texts lie one behind the other, each led by its size; once all are found, the byte behind
// each can be made its NUL. The payload is this process's own copy. A NULL ends the arguments.
static bool find_texts(const struct command_job *job, struct command *command, char **texts)
{
    size_t at = sizeof(struct frame_exec), text_size;
    const size_t args_end = (size_t)command->frame.args_count + 2;
    const size_t count = args_end + command->frame.env_count;
    const char *text;
    for (size_t i = 0; i < count; i++) {
        if (!frame_read_text(job->payload, job->size, &at, &text, &text_size))
            return false;
        texts[i < args_end ? i : i + 1] =
            (char *)job->payload + (text - (const char *)job->payload);
        if (i > 0)
            job->payload[at - text_size - sizeof(uint32_t)] = '\0';
        if (i == 1)
            command->script_size = text_size;
    }
    job->payload[job->size] = '\0';
    return true;
}

static bool is_replaced(const char *variable, char *const *by, size_t by_count)
{
    const size_t name_size = strcspn(variable, "=") + 1;
    for (size_t i = 0; i < by_count; i++)
        if (!strncmp(by[i], variable, name_size))
            return true;
    return false;
}

// Puts this process's variables behind the command's own, which replace those of the same name.
static void add_environment(char **own, size_t own_count)
{
    char **end = own + own_count;
    for (char **variable = environ; *variable; variable++)
        if (!is_replaced(*variable, own, own_count))
            *end++ = *variable;
}

static size_t texts_size(const struct frame_exec *frame)
{
    size_t inherited = 0;
    while (environ[inherited])
        inherited++;
    return ((size_t)frame->args_count + frame->env_count + inherited + 4) * sizeof(char *);
}

static int prepare_texts(const struct command_job *job, struct command *command)
{
    const size_t size = texts_size(&command->frame);
    char **texts = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (texts == MAP_FAILED)
        return ENOMEM;
    if (!find_texts(job, command, texts)) {
        munmap(texts, size);
        return EINVAL;
    }
    command->directory = texts[0];
    command->argv = texts + 1;
    command->environment = texts + command->frame.args_count + 3;
    add_environment(command->environment, command->frame.env_count);
    return 0;
}

static int prepare_script(const struct command_job *job, struct command *command)
{
    static char bash[] = "bash";
    static char *argv[3] = {bash};
    const int error = write_script(job->script_path, command->argv[0], command->script_size);
    argv[1] = job->script_path;
    command->argv = argv;
    return error;
}

// How many processes commands may have. Counted by the kernel for this sandbox's user namespace
// alone. The agent and its supervisors have no such limit, so that commands can still be started,
// and the bomb's tree ended.
static rlim_t processes_max = AGENT_PROCESSES_MAX;

static void limit(int resource, rlim_t value)
{
    struct rlimit now;
    if (getrlimit(resource, &now) < 0 || now.rlim_max < value)
        return;
    now.rlim_cur = now.rlim_max = value;
    setrlimit(resource, &now);
}

// The kernel counts what is on its way through sockets for the processes of all sandboxes together,
// against the limit of who sends more: a rest is left to the agents, which send descriptors to
// their bridges.
static void leave_descriptors(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0)
        limit(RLIMIT_NOFILE, files.rlim_max - files.rlim_max / DESCRIPTORS_REST);
}

// Writing beyond the limit fails, as on a full disk; the signal for that would end the command.
static void limit_files(uint64_t size_max)
{
    limit(RLIMIT_FSIZE, size_max);
    signal(SIGXFSZ, SIG_IGN);
}

// Who started the server may have ignored some, as nohup does.
static void reset_signals(void)
{
    for (int number = 1; number < NSIG; number++)
        signal(number, SIG_DFL);
}

static void let_signals_in(void)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

// Between vfork and exec: shares all memory with the supervisor, which waits meanwhile.
static _Noreturn void become_command(const struct command *command, volatile int *error)
{
    reset_signals();
    setsid();
    if (chdir(command->directory) == 0) {
        limit(RLIMIT_NPROC, processes_max);
        leave_descriptors();
        if (command->frame.cpu_seconds)
            limit(RLIMIT_CPU, command->frame.cpu_seconds);
        if (command->frame.limit_file_size)
            limit_files(command->frame.file_size_max);
        let_signals_in();
        environ = command->environment; // execvp looks for the program in its PATH
        execvp(command->argv[0], command->argv);
    }
    *error = errno;
    _exit(127);
}

static int wait_for(pid_t command)
{
    int status;
    for (;;) {
        const pid_t pid = waitpid(-1, &status, 0);
        if (pid == command)
            return status;
        if (pid < 0 && errno != EINTR)
            return W_EXITCODE(0, SIGKILL);
    }
}

// The agent has the signal blocked, and reads it; who else sends it has it look once more.
static void tell_started(struct agent_slot *slot, pid_t command)
{
    slot->pid = command;
    if (slot->announce)
        kill(1, SIGUSR1);
}

// Standard input, output and error are the command's already. Returns an errno if it was not
// started.
static int run_command(const struct command *command, struct agent_slot *slot, int *ret_status)
{
    volatile int error = 0;
    char **const own = environ;
    const pid_t pid = vfork();
    if (pid == 0)
        become_command(command, &error);
    environ = own; // which the child has changed
    if (pid < 0)
        return errno;
    if (!error)
        tell_started(slot, pid);
    *ret_status = wait_for(pid);
    return error;
}

static int run_job(const struct command_job *job, struct agent_slot *slot, int *ret_status)
{
    struct command command;
    memcpy(&command.frame, job->payload, sizeof command.frame);
    int error = prepare_texts(job, &command);
    if (error)
        return error;
    char **texts = command.argv - 1;
    if (job->script_path)
        error = prepare_script(job, &command);
    if (!error)
        error = run_command(&command, slot, ret_status);
    munmap(texts, texts_size(&command.frame));
    return error;
}

static bool nothing_left(void)
{
    pid_t pid;
    do
        pid = waitpid(-1, NULL, WNOHANG);
    while (pid > 0 || (pid < 0 && errno == EINTR));
    return pid < 0;
}

// This process has kept the pipes open until now: at their end the agent finds the result.
static void tell(struct agent_slot *slot, int error, int status, bool reusable)
{
    slot->value = error ? error : status;
    slot->reusable = reusable;
    slot->result = error ? RESULT_NOT_STARTED : RESULT_WAITED;
    close_range(0, 2, 0);
}

// When memory runs out, commands go before the agent: they inherit this. The file belongs to root
// unless the process may be traced, so it may for that long; there is nothing in it yet that the
// other processes of its user should not know.
static void yield_memory(void)
{
    prctl(PR_SET_DUMPABLE, 1);
    const int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd >= 0) {
        const ssize_t written = write(fd, OOM_SCORE_ADJ, sizeof OOM_SCORE_ADJ - 1);
        (void)written;
        close(fd);
    }
    prctl(PR_SET_DUMPABLE, 0);
}

_Noreturn void supervisor_run(struct agent *a, struct agent_slot *slot,
                              const struct command_job *job, const int fds[3])
{
    int status = 0;
    for (int i = 0; i < 3; i++)
        dup2(fds[i], i);
    close_range(3, ~0u, 0);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    processes_max = a->processes_max;
    yield_memory();
    const int error = run_job(job, slot, &status);
    tell(slot, error, status, false);
    _exit(0);
}

// ---- Those that are given one command after the other. ----

struct given_job {
    uint32_t slot, size;
    char script_path[AGENT_SCRIPT_MAX]; // "": none
};

union given_control {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(3 * sizeof(int))];
};

bool supervisor_give(int fd, uint32_t slot, const struct command_job *job, const int fds[3])
{
    struct given_job given = {.slot = slot, .size = (uint32_t)job->size};
    union given_control control = {.header = {.cmsg_level = SOL_SOCKET,
                                              .cmsg_type = SCM_RIGHTS,
                                              .cmsg_len = CMSG_LEN(3 * sizeof(int))}};
    memcpy(CMSG_DATA(&control.header), fds, 3 * sizeof(int));
    if (job->script_path)
        memcpy(given.script_path, job->script_path, strlen(job->script_path));
    struct iovec parts[] = {{&given, sizeof given}, {job->payload, job->size}};
    const struct msghdr message = {.msg_iov = parts,
                                   .msg_iovlen = 2,
                                   .msg_control = &control,
                                   .msg_controllen = sizeof control};
    return sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) ==
           (ssize_t)(sizeof given + job->size);
}

// The descriptors become 0, 1 and 2, which are free.
static bool receive_job(struct given_job *ret_given, uint8_t *payload, size_t payload_max)
{
    union given_control control;
    struct iovec parts[] = {{ret_given, sizeof *ret_given}, {payload, payload_max}};
    struct msghdr message = {.msg_iov = parts,
                             .msg_iovlen = 2,
                             .msg_control = &control,
                             .msg_controllen = sizeof control};
    ssize_t got;
    do
        got = recvmsg(JOB_FD, &message, 0);
    while (got < 0 && errno == EINTR);
    return got > (ssize_t)sizeof *ret_given && !(message.msg_flags & (MSG_CTRUNC | MSG_TRUNC)) &&
           (size_t)got == sizeof *ret_given + ret_given->size;
}

_Noreturn void supervisor_serve(struct agent *a, int job_fd)
{
    static uint8_t payload[SUPERVISOR_GIVE_MAX + 1];
    struct given_job given;
    bool reusable = true;
    dup2(job_fd, JOB_FD);
    close_range(0, 2, 0);
    close_range(JOB_FD + 1, ~0u, 0);
    fcntl(JOB_FD, F_SETFD, FD_CLOEXEC);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    processes_max = a->processes_max;
    yield_memory();
    while (reusable && receive_job(&given, payload, SUPERVISOR_GIVE_MAX)) {
        const struct command_job job = {payload, given.size,
                                        given.script_path[0] ? given.script_path : NULL};
        int status = 0;
        const int error = run_job(&job, &a->slots[given.slot], &status);
        reusable = nothing_left();
        tell(&a->slots[given.slot], error, status, reusable);
    }
    _exit(0);
}

// ---- The kernel bridge. ----

// Between vfork and exec, as above; in the agent's working directory, the home.
static _Noreturn void become_bridge(volatile int *error)
{
    const char *const direct[] = {"cohub-jupyter", "--socket-fd", TEXT_OF(BRIDGE_FD), NULL};
    const char *const loaded[] = {KERNEL_LOADER_ARGS, "--socket-fd", TEXT_OF(BRIDGE_FD), NULL};
    reset_signals();
    setsid();
    limit(RLIMIT_NPROC, processes_max);
    leave_descriptors();
    let_signals_in();
    if (access(KERNEL_LOADER, X_OK) == 0) {
        fcntl(KERNEL_PROGRAM_FD, F_SETFD, 0);
        execv(KERNEL_LOADER, (char *const *)(uintptr_t)loaded);
    } else {
        execveat(KERNEL_PROGRAM_FD, "", (char *const *)(uintptr_t)direct, environ, AT_EMPTY_PATH);
    }
    *error = errno;
    _exit(127);
}

static void take_bridge_descriptors(const struct agent *a, int fd)
{
    const int program = fcntl(a->kernel_fd, F_DUPFD_CLOEXEC, KERNEL_PROGRAM_FD + 1);
    const int socket = fcntl(fd, F_DUPFD_CLOEXEC, KERNEL_PROGRAM_FD + 1);
    dup2(socket, BRIDGE_FD);
    dup3(program, KERNEL_PROGRAM_FD, O_CLOEXEC);
    close_range(KERNEL_PROGRAM_FD + 1, ~0u, 0);
}

// The agent sees the bridge's end by its socket, which nobody else keeps open, and ends what is
// left; so does this process once nothing is.
_Noreturn void supervisor_run_bridge(struct agent *a, struct agent_slot *slot, int fd)
{
    volatile int error = 0;
    take_bridge_descriptors(a, fd);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    processes_max = a->processes_max;
    yield_memory();
    const pid_t pid = vfork();
    if (pid == 0)
        become_bridge(&error);
    if (pid < 0)
        error = errno;
    if (error) {
        slot->value = error;
        slot->result = RESULT_NOT_STARTED;
    }
    close_range(0, ~0u, 0);
    while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
        ;
    _exit(0);
}
