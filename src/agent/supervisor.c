// SPDX-License-Identifier: AGPL-3.0-or-later
// The process behind each command. It is a fork of the agent, which is small, and stands between
// the agent and the command for one reason: as the subreaper it keeps every descendant of the
// command below itself, also those that have made themselves daemons, so that the whole tree can be
// found and killed. When the command ends it ends too, and daemons that are left go to PID 1.
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
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
    close_range(3, ~0u, 0);
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

_Noreturn void supervisor_run(struct agent_slot *slot, const struct command_job *job,
                              const int fds[3])
{
    struct frame_exec frame;
    memcpy(&frame, job->payload, sizeof frame);
    struct command command = {.cpu_seconds = frame.cpu_seconds};
    take_descriptors(fds);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
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
    close_range(0, 2, 0);
    const int status = wait_for(pid);
    if (slot->result == RESULT_NONE) {
        slot->value = status;
        slot->result = RESULT_WAITED;
    }
    _exit(0);
}
