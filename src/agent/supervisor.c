// SPDX-License-Identifier: AGPL-3.0-or-later
// The process behind each command. It is a fork of the agent, which is small, and stands between
// the agent and the command for one reason: as the subreaper it keeps every descendant of the
// command below itself, also those that have made themselves daemons, so that the whole tree can be
// found and killed. When the command ends it ends too, and daemons that are left go to PID 1.
//
// Making it costs a fifth of the time of a short command. So one is kept in reserve, which has its
// pipes already and waits for its command on another one.
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/agent.h"

struct command {
    char *directory;
    char **argv;
    uint32_t cpu_seconds;
};

static _Noreturn void end_not_started(struct agent_slot *slot, int error)
{
    slot->value = error;
    slot->result = RESULT_NOT_STARTED;
    _exit(0);
}

// The file belongs to the reply: the agent removes it.
static int write_script(const char *path, const char *text, size_t size)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0700);
    if (fd < 0)
        return errno;
    while (size) {
        const ssize_t written = write(fd, text, size);
        if (written < 0 && errno != EINTR)
            return errno;
        if (written > 0) {
            text += written;
            size -= (size_t)written;
        }
    }
    close(fd);
    return 0;
}

static void take_descriptors(const int fds[3])
{
    for (int i = 0; i < 3; i++)
        dup2(fds[i], i);
}

// The texts lie one behind the other, each led by its size; once all are found, the byte behind
// each can be made its NUL. The payload is this process's own copy.
static bool find_texts(const struct command_job *job, size_t count, char **texts)
{
    size_t at = sizeof(struct frame_exec), text_size;
    const char *text;
    for (size_t i = 0; i < count; i++) {
        if (!frame_read_text(job->payload, job->size, &at, &text, &text_size))
            return false;
        texts[i] = (char *)job->payload + (text - (const char *)job->payload);
        if (i > 0)
            job->payload[at - text_size - sizeof(uint32_t)] = '\0';
    }
    job->payload[job->size] = '\0';
    return true;
}

static int prepare_argv(const struct command_job *job, uint32_t args_count, struct command *command)
{
    const size_t count = (size_t)args_count + 2;
    char **texts = mmap(NULL, (count + 1) * sizeof *texts, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (texts == MAP_FAILED)
        return ENOMEM;
    if (!find_texts(job, count, texts))
        return EINVAL;
    command->directory = texts[0];
    command->argv = texts + 1;
    return 0;
}

static int prepare_script(const struct command_job *job, struct command *command)
{
    static char bash[] = "bash";
    static char *argv[3] = {bash};
    const size_t text_size = job->size - (size_t)((uint8_t *)command->argv[0] - job->payload);
    const int error = write_script(job->script_path, command->argv[0], text_size);
    argv[1] = job->script_path;
    command->argv = argv;
    return error;
}

// Between vfork and exec: shares all memory with the supervisor, which waits meanwhile.
static _Noreturn void become_command(struct agent_slot *slot, const struct command *command)
{
    sigset_t none;
    setsid();
    if (chdir(command->directory) < 0)
        end_not_started(slot, errno);
    if (command->cpu_seconds) {
        const struct rlimit cpu = {command->cpu_seconds, command->cpu_seconds};
        setrlimit(RLIMIT_CPU, &cpu);
    }
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execvp(command->argv[0], command->argv);
    end_not_started(slot, errno);
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

// Standard input, output and error are the command's already, nothing else is open.
static _Noreturn void supervise(struct agent_slot *slot, const struct command_job *job)
{
    struct frame_exec frame;
    memcpy(&frame, job->payload, sizeof frame);
    struct command command = {.cpu_seconds = frame.cpu_seconds};
    int error = prepare_argv(job, frame.args_count, &command);
    if (!error && job->script_path)
        error = prepare_script(job, &command);
    if (error)
        end_not_started(slot, error);
    const pid_t pid = vfork();
    if (pid == 0)
        become_command(slot, &command);
    if (pid < 0)
        end_not_started(slot, errno);
    const int status = wait_for(pid);
    if (slot->result == RESULT_NONE) {
        slot->value = status;
        slot->result = RESULT_WAITED;
    }
    // This process has kept the pipes open until now: at their end the agent finds the result.
    close_range(0, 2, 0);
    _exit(0);
}

_Noreturn void supervisor_run(struct agent_slot *slot, const struct command_job *job,
                              const int fds[3])
{
    take_descriptors(fds);
    close_range(3, ~0u, 0);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    supervise(slot, job);
}

// ---- The spare one. ----

struct given_job {
    uint32_t size;
    char script_path[AGENT_SCRIPT_MAX]; // "": none
};

// Fits into a pipe as a whole, so it does not block.
bool supervisor_give(int fd, const struct command_job *job)
{
    struct given_job given = {.size = (uint32_t)job->size};
    if (job->script_path)
        memcpy(given.script_path, job->script_path, strlen(job->script_path));
    const struct iovec parts[] = {{&given, sizeof given}, {job->payload, job->size}};
    return writev(fd, parts, 2) == (ssize_t)(sizeof given + job->size);
}

static bool read_all(int fd, void *bytes, size_t size)
{
    for (size_t done = 0; done < size;) {
        const ssize_t got = read(fd, (char *)bytes + done, size - done);
        if (got == 0 || (got < 0 && errno != EINTR))
            return false;
        if (got > 0)
            done += (size_t)got;
    }
    return true;
}

_Noreturn void supervisor_run_spare(struct agent_slot *slot, int job_fd, const int fds[3])
{
    static uint8_t payload[SUPERVISOR_GIVE_MAX + 1];
    struct given_job given;
    take_descriptors(fds);
    dup2(job_fd, 3);
    close_range(4, ~0u, 0);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    if (!read_all(3, &given, sizeof given) || given.size >= sizeof payload ||
        !read_all(3, payload, given.size))
        _exit(0);
    close(3);
    const struct command_job job = {payload, given.size,
                                    given.script_path[0] ? given.script_path : NULL};
    supervise(slot, &job);
}
