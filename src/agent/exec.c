// SPDX-License-Identifier: AGPL-3.0-or-later
// Streams: a command or a file operation that a hub asked for.
//
// Each has a process of its own (supervisor.c, file.c), the agent's ends of its pipes, a slot in
// shared memory for its result and perhaps a deadline. The reply is due once the result is known
// and both pipes are at their end, or when the deadline comes: then a command that still runs is
// killed with all its descendants (kill.c), and one that has ended but left a process behind which
// holds the pipes is reported as it ended.
//
// A stream whose hub is gone goes on; what it prints is read and dropped. What a job's command
// prints is the job's (jobs.c).
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/agent.h"

#define NO_PLACE UINT32_MAX
// A pipe never holds more than this; what a process goes on writing behind it is not waited for.
#define DRAIN_MAX     (1024u * 1024)
#define SCRIPT_PREFIX "bash " // ahead of a script's path in `ran`
// When a killed tree does not go away (a process that waits for a disk), the reply does not wait.
#define KILL_WAIT_MS 2000

static uint32_t index_of(const struct agent *a, const struct exec *exec)
{
    return (uint32_t)(exec - a->execs);
}

static struct agent_slot *slot_of(struct agent *a, const struct exec *exec)
{
    return &a->slots[index_of(a, exec)];
}

// ---- Deadlines: a binary heap of indexes, the earliest first. ----

static bool earlier(const struct agent *a, uint32_t x, uint32_t y)
{
    return a->execs[a->heap[x]].deadline_ms < a->execs[a->heap[y]].deadline_ms;
}

static void heap_swap(struct agent *a, uint32_t x, uint32_t y)
{
    const uint32_t index = a->heap[x];
    a->heap[x] = a->heap[y];
    a->heap[y] = index;
    a->execs[a->heap[x]].heap_at = x;
    a->execs[a->heap[y]].heap_at = y;
}

static void heap_settle(struct agent *a, uint32_t at)
{
    while (at > 0 && earlier(a, at, (at - 1) / 2)) {
        heap_swap(a, at, (at - 1) / 2);
        at = (at - 1) / 2;
    }
    for (;;) {
        uint32_t first = at;
        for (uint32_t child = 2 * at + 1; child <= 2 * at + 2; child++)
            if (child < a->heap_size && earlier(a, child, first))
                first = child;
        if (first == at)
            return;
        heap_swap(a, at, first);
        at = first;
    }
}

static void deadline_clear(struct agent *a, struct exec *exec)
{
    const uint32_t at = exec->heap_at;
    if (at == NO_PLACE)
        return;
    a->heap_size--;
    if (at != a->heap_size) {
        heap_swap(a, at, a->heap_size);
        heap_settle(a, at);
    }
    exec->heap_at = NO_PLACE;
}

static void deadline_set(struct agent *a, struct exec *exec, uint32_t in_ms)
{
    deadline_clear(a, exec);
    exec->deadline_ms = agent_now_ms() + in_ms;
    exec->heap_at = a->heap_size;
    a->heap[a->heap_size++] = index_of(a, exec);
    heap_settle(a, exec->heap_at);
}

uint64_t exec_next_deadline(const struct agent *a)
{
    return a->heap_size ? a->execs[a->heap[0]].deadline_ms : UINT64_MAX;
}

// ---- The table. ----

struct exec *exec_new(struct agent *a, enum exec_kind kind, struct agent_conn *conn,
                      uint32_t stream)
{
    struct exec *exec = a->execs_free;
    if (exec)
        a->execs_free = exec->next;
    else if (a->execs_used < AGENT_EXEC_MAX)
        exec = &a->execs[a->execs_used++];
    else
        return NULL;
    *exec = (struct exec){.kind = (uint8_t)kind,
                          .stream = stream,
                          .conn = conn,
                          .job_fd = -1,
                          .stdin_fd = -1,
                          .out_fd = {-1, -1},
                          .request_fd = {-1, -1},
                          .heap_at = NO_PLACE};
    exec->ran = exec->ran_inline;
    memset(slot_of(a, exec), 0, sizeof(struct agent_slot)); // RESULT_NONE
    return exec;
}

void exec_close(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

void exec_free(struct agent *a, struct exec *exec)
{
    deadline_clear(a, exec);
    exec_close(&exec->stdin_fd);
    exec_close(&exec->out_fd[0]);
    exec_close(&exec->out_fd[1]);
    exec_close(&exec->request_fd[0]);
    exec_close(&exec->request_fd[1]);
    if (exec->kind == EXEC_LOOK)
        job_look_ended(a, exec);
    if (exec->ran != exec->ran_inline)
        munmap(exec->ran, AGENT_RAN_MAX);
    exec->kind = EXEC_FREE;
    exec->next = a->execs_free;
    a->execs_free = exec;
}

static void finish(struct agent *a, struct exec *exec)
{
    if ((exec->replied || !exec->conn) && exec->known && !exec->pid && exec->out_fd[0] < 0 &&
        exec->out_fd[1] < 0)
        exec_free(a, exec);
}

// ---- Spare supervisors. ----

void exec_spares_end(struct agent *a)
{
    while (a->spares_count)
        close(a->spares[--a->spares_count].job_fd); // at the end of it they exit
}

static void spare_reaped(struct agent *a, pid_t pid)
{
    for (unsigned i = 0; i < a->spares_count; i++) {
        if (a->spares[i].pid != pid)
            continue;
        close(a->spares[i].job_fd);
        a->spares[i] = a->spares[--a->spares_count];
        return;
    }
}

// The stream has no process any more.
static void spare_keep(struct agent *a, struct exec *exec)
{
    if (a->spares_count < AGENT_SPARES_MAX && !a->shutdown_ms)
        a->spares[a->spares_count++] = (struct spare){exec->pid, exec->job_fd};
    else
        close(exec->job_fd);
    exec->pid = 0;
    exec->job_fd = -1;
}

// ---- Results. ----

static void set_outcome(struct exec *exec, enum exec_outcome outcome, int value)
{
    if (exec->known)
        return;
    exec->outcome = outcome;
    exec->value = value;
    exec->known = true;
}

static void take_signal(const struct agent *a, struct exec *exec, int signal)
{
    set_outcome(exec, a->shutdown_ms ? EXEC_STOPPED : EXEC_SIGNALED, signal);
}

static void take_wait_status(const struct agent *a, struct exec *exec, int status)
{
    if (WIFSIGNALED(status))
        take_signal(a, exec, WTERMSIG(status));
    else
        set_outcome(exec, EXEC_EXITED, WEXITSTATUS(status));
}

static void take_result(struct agent *a, struct exec *exec, int own_status)
{
    const struct agent_slot *slot = slot_of(a, exec);
    if (exec->known)
        return;
    if (exec->pid && exec->job_fd >= 0 && slot->reusable)
        spare_keep(a, exec);
    exec->size = slot->size;
    switch ((enum agent_result)slot->result) {
    case RESULT_WAITED:
        take_wait_status(a, exec, slot->value);
        return;
    case RESULT_NOT_STARTED:
        set_outcome(exec, EXEC_NOT_STARTED, slot->value);
        return;
    case RESULT_FILE_DONE:
        set_outcome(exec, EXEC_EXITED, 0);
        return;
    case RESULT_FILE_FAILED:
        set_outcome(exec, EXEC_FILE_FAILED, slot->value);
        return;
    case RESULT_NONE:
        break;
    }
    // It was killed before it could tell.
    if (exec->kind != EXEC_COMMAND) {
        set_outcome(exec, EXEC_FILE_FAILED, ECANCELED);
        memcpy(slot_of(a, exec)->syscall, "kill", sizeof "kill");
    } else {
        take_signal(a, exec, WIFSIGNALED(own_status) ? WTERMSIG(own_status) : SIGKILL);
    }
}

// ---- Replies. ----

static size_t build_exit(uint8_t *out, uint32_t stream, const struct frame_exit *exit,
                         const char *text, size_t text_size)
{
    size_t at = frame_write_header(out, FRAME_EXIT, stream, sizeof *exit + 4 + text_size);
    memcpy(out + at, exit, sizeof *exit);
    at += sizeof *exit;
    return at + frame_write_text(out + at, text, text_size);
}

static void remove_script(struct exec *exec)
{
    if (!exec->script)
        return;
    char path[AGENT_SCRIPT_MAX];
    const size_t name_at = sizeof SCRIPT_PREFIX - 1;
    memcpy(path, exec->ran + name_at, exec->ran_size - name_at);
    path[exec->ran_size - name_at] = '\0';
    unlink(path);
    exec->script = false;
}

static void send_exit(struct agent *a, struct exec *exec)
{
    const struct frame_exit exit = {
        .outcome = exec->outcome, .value = exec->value, .size = exec->size};
    const bool failed_file = exec->outcome == EXEC_FILE_FAILED;
    const char *text = failed_file ? slot_of(a, exec)->syscall : exec->ran;
    const size_t text_size =
        failed_file ? strnlen(text, sizeof slot_of(a, exec)->syscall) : exec->ran_size;
    const size_t size = build_exit(a->scratch, exec->stream, &exit, text, text_size);
    conn_send(a, exec->conn, a->scratch, size);
    exec->replied = true;
}

static void reply_if_due(struct agent *a, struct exec *exec)
{
    if (exec->out_fd[0] >= 0 || exec->out_fd[1] >= 0)
        return;
    if (exec->kind == EXEC_KERNEL && !exec->known) {
        exec->outcome = kernel_outcome(a, &exec->value);
        exec->known = true;
    }
    // Its process may have told already, though it has not been reaped.
    if (slot_of(a, exec)->result != RESULT_NONE)
        take_result(a, exec, 0);
    if (!exec->known)
        return;
    exec_close(&exec->stdin_fd);
    deadline_clear(a, exec);
    remove_script(exec);
    if (exec->kind == EXEC_COMMAND && exec->job)
        job_ended(a, exec->job, exec->outcome, exec->value);
    if (exec->conn && !exec->replied) {
        if (!conn_can_send(exec->conn)) {
            conn_block(exec->conn, exec);
            return;
        }
        send_exit(a, exec);
    }
    finish(a, exec);
}

void exec_end(struct agent *a, struct exec *exec, enum exec_outcome outcome, int value)
{
    exec_close(&exec->out_fd[0]);
    exec_close(&exec->out_fd[1]);
    set_outcome(exec, outcome, value);
    if (!exec->blocked)
        reply_if_due(a, exec);
}

// For a stream that never came to be.
static void refuse(struct agent *a, struct exec *exec, int error)
{
    exec->outcome = exec->kind == EXEC_COMMAND ? EXEC_NOT_STARTED : EXEC_FILE_FAILED;
    exec->value = error;
    exec->known = true;
    memcpy(slot_of(a, exec)->syscall, "open", sizeof "open");
    exec->script = false;
    reply_if_due(a, exec);
}

// ---- Output. ----

static void watch_output(struct agent *a, struct exec *exec, unsigned i)
{
    if (exec->out_fd[i] >= 0 && !agent_watch(a, exec->out_fd[i], EPOLLIN,
                                             i ? EVENT_STDERR : EVENT_STDOUT, index_of(a, exec)))
        exec_close(&exec->out_fd[i]);
}

// Reads one piece and sends it. False: nothing more can be done at present.
static bool forward(struct agent *a, struct exec *exec, unsigned i)
{
    const size_t header_size = sizeof(struct frame_header);
    const ssize_t got = read(exec->out_fd[i], a->scratch + header_size, FRAME_OUTPUT_MAX);
    if (got < 0 && errno == EINTR)
        return true;
    if (got < 0 && errno == EAGAIN && !exec->draining)
        return false;
    if (got <= 0 || (exec->draining && exec->drain_left < (size_t)got)) {
        exec_close(&exec->out_fd[i]);
        return false;
    }
    if (exec->draining)
        exec->drain_left -= (uint32_t)got;
    if (exec->job) {
        job_keep(a, exec->job, i, a->scratch + header_size, (size_t)got);
    } else if (exec->conn && !exec->replied) {
        frame_write_header(a->scratch, i ? FRAME_STDERR : FRAME_STDOUT, exec->stream, (size_t)got);
        conn_send(a, exec->conn, a->scratch, header_size + (size_t)got);
    }
    return true;
}

static bool can_forward(const struct exec *exec)
{
    return !exec->conn || exec->replied || conn_can_send(exec->conn);
}

void exec_readable(struct agent *a, struct exec *exec, unsigned i)
{
    if (exec->kind == EXEC_FREE || exec->out_fd[i] < 0)
        return;
    if (!can_forward(exec)) {
        epoll_ctl(a->epoll_fd, EPOLL_CTL_DEL, exec->out_fd[i], NULL);
        conn_block(exec->conn, exec);
        return;
    }
    forward(a, exec, i);
    reply_if_due(a, exec);
}

// Reads all that the pipes hold, as far as the connection takes it, and closes them.
static void drain(struct agent *a, struct exec *exec)
{
    for (unsigned i = 0; i < 2; i++)
        while (exec->out_fd[i] >= 0) {
            if (!can_forward(exec)) {
                conn_block(exec->conn, exec);
                return;
            }
            forward(a, exec, i);
        }
    reply_if_due(a, exec);
}

static void begin_drain(struct agent *a, struct exec *exec)
{
    exec->draining = true;
    exec->drain_left = DRAIN_MAX;
    if (!exec->blocked)
        drain(a, exec);
}

void exec_service(struct agent *a, struct exec *exec)
{
    if (exec->draining) {
        drain(a, exec);
        return;
    }
    if (exec->kind == EXEC_LOOK && !exec->known) {
        job_look_serve(a, exec);
        return;
    }
    for (unsigned i = 0; i < 2; i++)
        watch_output(a, exec, i);
    for (unsigned i = 0; i < 2 && exec->kind != EXEC_FREE; i++)
        exec_readable(a, exec, i);
    if (exec->kind != EXEC_FREE && !exec->blocked)
        reply_if_due(a, exec);
}

// ---- Ends of processes and deadlines. ----

static struct exec *find_pid(struct agent *a, pid_t pid)
{
    for (uint32_t i = 0; i < a->execs_used; i++)
        if (a->execs[i].pid == pid && a->execs[i].kind != EXEC_FREE)
            return &a->execs[i];
    return NULL;
}

void exec_reaped(struct agent *a, pid_t pid, int status)
{
    struct exec *exec = find_pid(a, pid);
    if (!exec) {
        spare_reaped(a, pid);
        return;
    }
    exec->pid = 0;
    if (exec->kind == EXEC_BRIDGE) {
        bridge_reaped(a, exec);
        return;
    }
    exec_close(&exec->job_fd);
    const bool was_killed = exec->killing;
    kill_end(a, exec);
    take_result(a, exec, status);
    if (was_killed || exec->outcome == EXEC_SIGNALED)
        begin_drain(a, exec);
    else
        reply_if_due(a, exec);
}

// True when its process is over or has told its result; what may be left are others that hold the
// pipes.
static bool has_ended(struct agent *a, struct exec *exec)
{
    if (exec->pid && slot_of(a, exec)->result == RESULT_NONE)
        return false;
    take_result(a, exec, 0);
    return true;
}

static void deadline_passed(struct agent *a, struct exec *exec)
{
    deadline_clear(a, exec);
    // When the tree does not go away, what is known now is reported.
    if (exec->killing || has_ended(a, exec)) {
        begin_drain(a, exec);
        return;
    }
    set_outcome(exec, EXEC_TIMED_OUT, 0);
    kill_begin(a, exec);
    deadline_set(a, exec, KILL_WAIT_MS);
}

void exec_deadlines(struct agent *a, uint64_t now_ms)
{
    while (a->heap_size && a->execs[a->heap[0]].deadline_ms <= now_ms)
        deadline_passed(a, &a->execs[a->heap[0]]);
}

// ---- Starting. ----

struct exec_pipes {
    int child[3]; // read end of standard input, write ends of output and error
};

static void pipes_close_child(struct exec_pipes *pipes)
{
    for (unsigned i = 0; i < 3; i++)
        exec_close(&pipes->child[i]);
}

// What fails leaves the ends that are open to exec_free and pipes_close_child.
static bool pipes_open(struct exec *exec, struct exec_pipes *ret_pipes)
{
    int ends[2];
    *ret_pipes = (struct exec_pipes){{-1, -1, -1}};
    const bool command = exec->kind == EXEC_COMMAND;
    if (command) {
        if (pipe2(ends, O_CLOEXEC) < 0)
            return false;
        ret_pipes->child[0] = ends[0];
        exec->stdin_fd = ends[1];
    }
    const unsigned outputs = command ? 2 : exec->kind == EXEC_FILE_READ ? 1 : 0;
    for (unsigned i = 0; i < outputs; i++) {
        if (pipe2(ends, O_CLOEXEC) < 0)
            return false;
        exec->out_fd[i] = ends[0];
        ret_pipes->child[i + 1] = ends[1];
        // Only this end: the commands shall find ordinary pipes.
        if (fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0)
            return false;
    }
    return true;
}

static void exec_abandon(struct agent *a, struct exec *exec, struct exec_pipes *pipes, int error)
{
    pipes_close_child(pipes);
    exec_close(&exec->out_fd[0]);
    exec_close(&exec->out_fd[1]);
    refuse(a, exec, error);
}

void exec_watch(struct agent *a, struct exec *exec)
{
    for (unsigned i = 0; i < 2; i++)
        watch_output(a, exec, i);
}

static void exec_started(struct agent *a, struct exec *exec, uint32_t timeout_ms)
{
    exec_watch(a, exec);
    if (timeout_ms)
        deadline_set(a, exec, timeout_ms);
}

// A stream when there is no place in the table.
void exec_refuse_without_place(struct agent *a, struct agent_conn *conn, uint32_t stream,
                               enum exec_outcome outcome)
{
    // When even the reply does not fit, the hub sends faster than it reads.
    if (!conn_can_send(conn)) {
        conn->ended = true;
        return;
    }
    const struct frame_exit exit = {.outcome = outcome, .value = EAGAIN};
    const char *text = outcome == EXEC_FILE_FAILED ? "fork" : "";
    const size_t size = build_exit(a->scratch, stream, &exit, text, strlen(text));
    conn_send(a, conn, a->scratch, size);
}

// The text of what is executed; a long one gets a mapping of its own.
static void ran_append(struct exec *exec, const char *text, size_t size)
{
    if (exec->ran == exec->ran_inline && exec->ran_size + size > AGENT_RAN_INLINE) {
        void *large =
            mmap(NULL, AGENT_RAN_MAX, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (large != MAP_FAILED)
            exec->ran = memcpy(large, exec->ran_inline, exec->ran_size);
    }
    const size_t room =
        (exec->ran == exec->ran_inline ? AGENT_RAN_INLINE : AGENT_RAN_MAX) - exec->ran_size;
    size = size < room ? size : room;
    memcpy(exec->ran + exec->ran_size, text, size);
    exec->ran_size += (uint32_t)size;
}

// "/tmp/f-PID-N-RANDOM"
static void name_script(struct agent *a, char out[AGENT_SCRIPT_MAX])
{
    static const char prefix[] = "/tmp/f-";
    memcpy(out, prefix, sizeof prefix - 1);
    out = text_put_number(out + sizeof prefix - 1, (uint64_t)getpid());
    *out++ = '-';
    out = text_put_number(out, ++a->scripts);
    *out++ = '-';
    *text_put_random(out, 12) = '\0';
}

static bool is_variable(const char *text, size_t size)
{
    return size > 0 && text[0] != '=' && memchr(text, '=', size) && !memchr(text, 0, size);
}

// Walks the texts behind a frame_exec. `ran` (may be NULL) gets command and arguments. *ret_valid:
// no program can be given them otherwise.
static bool check_texts(const struct frame_exec *frame, const uint8_t *payload, size_t size,
                        struct exec *ran, bool *ret_valid)
{
    size_t at = sizeof *frame;
    const char *text;
    size_t text_size;
    const size_t count_max = size / sizeof(uint32_t), args_end = (size_t)frame->args_count + 2;
    *ret_valid = true;
    if (frame->args_count > count_max || frame->env_count > count_max)
        return false;
    for (size_t i = 0; i < args_end + frame->env_count; i++) {
        if (!frame_read_text(payload, size, &at, &text, &text_size))
            return false;
        const bool is_script = i == 1 && frame->script;
        if (i >= args_end)
            *ret_valid &= is_variable(text, text_size);
        else
            *ret_valid &= is_script || !memchr(text, 0, text_size);
        if (!ran || i == 0 || i >= args_end)
            continue;
        if (i > 1)
            ran_append(ran, " ", 1);
        ran_append(ran, text, text_size);
    }
    return at == size;
}

// ---- Commands. ----

// Gives the job to a spare supervisor. False: there is none, or the job is too large, or all have
// been killed.
static bool give_to_spare(struct agent *a, struct exec *exec, const struct command_job *job,
                          const int fds[3])
{
    while (a->spares_count && job->size <= SUPERVISOR_GIVE_MAX) {
        const struct spare spare = a->spares[--a->spares_count];
        kill(spare.pid, SIGCONT); // a user may have stopped all processes
        if (supervisor_give(spare.job_fd, index_of(a, exec), job, fds)) {
            exec->pid = spare.pid;
            exec->job_fd = spare.job_fd;
            return true;
        }
        close(spare.job_fd);
    }
    return false;
}

// Makes a spare supervisor; when that fails, there is none.
static void spare_make(struct agent *a)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return;
    const pid_t pid = fork();
    if (pid == 0)
        supervisor_serve(a, ends[0]);
    close(ends[0]);
    if (pid < 0)
        close(ends[1]);
    else
        a->spares[a->spares_count++] = (struct spare){pid, ends[1]};
}

static bool start_supervisor(struct agent *a, struct exec *exec, const struct command_job *job,
                             const int fds[3])
{
    if (job->size <= SUPERVISOR_GIVE_MAX && a->spares_count == 0)
        spare_make(a);
    if (give_to_spare(a, exec, job, fds))
        return true;
    const pid_t pid = fork();
    if (pid == 0)
        supervisor_run(a, slot_of(a, exec), job, fds);
    if (pid < 0)
        return false;
    exec->pid = pid;
    return true;
}

static void command_start(struct agent *a, struct exec *exec, const struct command_job *job,
                          uint32_t timeout_ms)
{
    struct exec_pipes pipes;
    slot_of(a, exec)->announce = exec->job != NULL;
    if (!pipes_open(exec, &pipes) || !start_supervisor(a, exec, job, pipes.child)) {
        exec_abandon(a, exec, &pipes, errno);
        return;
    }
    pipes_close_child(&pipes);
    exec_started(a, exec, timeout_ms);
}

static void exec_describe(struct exec *exec, const struct frame_exec *frame,
                          const struct command_job *job)
{
    bool valid;
    if (!job->script_path) {
        check_texts(frame, job->payload, job->size, exec, &valid);
        return;
    }
    ran_append(exec, SCRIPT_PREFIX, sizeof SCRIPT_PREFIX - 1);
    ran_append(exec, job->script_path, strlen(job->script_path));
    exec->script = true;
}

static void refuse_command(struct agent *a, struct agent_conn *conn, uint32_t stream,
                           struct job *job)
{
    if (job)
        job_ended(a, job, EXEC_NOT_STARTED, EAGAIN);
    else
        exec_refuse_without_place(a, conn, stream, EXEC_NOT_STARTED);
}

bool exec_command(struct agent *a, struct agent_conn *conn, uint32_t stream, struct job *job,
                  uint8_t *payload, size_t size)
{
    struct frame_exec frame;
    size_t at = 0;
    bool valid;
    char script_path[AGENT_SCRIPT_MAX];
    if (!frame_read_struct(payload, size, &at, &frame, sizeof frame) || frame.script > 1 ||
        frame.limit_file_size > 1 || (frame.script && frame.args_count) ||
        !check_texts(&frame, payload, size, NULL, &valid))
        return false;
    if (frame.script)
        name_script(a, script_path);
    const struct command_job command = {payload, size, frame.script ? script_path : NULL};
    struct exec *exec = exec_new(a, EXEC_COMMAND, conn, stream);
    if (!exec) {
        refuse_command(a, conn, stream, job);
        return true;
    }
    exec_describe(exec, &frame, &command);
    if (job)
        job_began(a, job, exec);
    if (!valid || a->shutdown_ms)
        refuse(a, exec, valid ? ESHUTDOWN : EINVAL);
    else
        command_start(a, exec, &command, frame.timeout_ms);
    return true;
}

// ---- Files. ----

// In the process of a file operation.
static _Noreturn void run_file(struct agent *a, struct exec *exec, const struct frame_file *frame,
                               const char *path, size_t path_size, int out_fd, int content_fd)
{
    static char path_text[PATH_MAX];
    memcpy(path_text, path, path_size);
    if (exec->kind == EXEC_FILE_READ)
        file_run_read(slot_of(a, exec), path_text, frame->size_max, out_fd);
    file_run_write(slot_of(a, exec), path_text, content_fd);
}

static void start_file(struct agent *a, struct exec *exec, const struct frame_file *frame,
                       const char *path, size_t path_size, int content_fd)
{
    struct exec_pipes pipes;
    if (!pipes_open(exec, &pipes)) {
        exec_abandon(a, exec, &pipes, errno);
        return;
    }
    exec->pid = fork();
    if (exec->pid == 0)
        run_file(a, exec, frame, path, path_size, pipes.child[1], content_fd);
    if (exec->pid < 0) {
        const int error = errno;
        exec->pid = 0;
        exec_abandon(a, exec, &pipes, error);
        return;
    }
    pipes_close_child(&pipes);
    exec_started(a, exec, 0);
}

static int file_refusal(const struct agent *a, const char *path, size_t path_size)
{
    if (a->shutdown_ms)
        return ESHUTDOWN;
    if (path_size >= PATH_MAX)
        return ENAMETOOLONG;
    return path_size == 0 || path[0] != '/' || memchr(path, 0, path_size) ? EINVAL : 0;
}

bool exec_file(struct agent *a, struct agent_conn *conn, uint32_t stream, const uint8_t *payload,
               size_t size, int content_fd)
{
    struct frame_file frame;
    const char *path;
    size_t path_size, at = 0;
    const bool well_formed = frame_read_struct(payload, size, &at, &frame, sizeof frame) &&
                             frame_read_text(payload, size, &at, &path, &path_size) && at == size &&
                             frame.write <= 1 && (!frame.write || content_fd >= 0);
    struct exec *exec = NULL;
    if (well_formed)
        exec = exec_new(a, frame.write ? EXEC_FILE_WRITE : EXEC_FILE_READ, conn, stream);
    if (exec) {
        const int refusal = file_refusal(a, path, path_size);
        if (refusal)
            refuse(a, exec, refusal);
        else
            start_file(a, exec, &frame, path, path_size, content_fd);
    } else if (well_formed) {
        exec_refuse_without_place(a, conn, stream, EXEC_FILE_FAILED);
    }
    exec_close(&content_fd);
    return well_formed;
}

// ---- Ending. ----

static void kill_stream(struct agent *a, struct exec *exec)
{
    if (exec->killing || exec->replied)
        return;
    if (exec->kind == EXEC_KERNEL) {
        kernel_drop(a, exec);
        return;
    }
    if (exec->kind == EXEC_LOOK) {
        exec_end(a, exec, EXEC_SIGNALED, SIGKILL);
        return;
    }
    if (has_ended(a, exec)) {
        begin_drain(a, exec);
    } else if (exec->kind == EXEC_FILE_READ) {
        kill(exec->pid, SIGKILL);
    } else if (exec->kind == EXEC_COMMAND) {
        set_outcome(exec, EXEC_SIGNALED, SIGKILL);
        kill_begin(a, exec);
        deadline_set(a, exec, KILL_WAIT_MS);
    }
}

bool exec_unanswered(const struct agent *a)
{
    for (unsigned i = 0; i < AGENT_CONN_MAX; i++)
        if (a->conns[i].fd >= 0 && !a->conns[i].ended && a->conns[i].out_at < a->conns[i].out_size)
            return true;
    for (uint32_t i = 0; i < a->execs_used; i++)
        if (a->execs[i].kind != EXEC_FREE && a->execs[i].conn && !a->execs[i].replied)
            return true;
    return false;
}

void exec_kill(struct agent *a, struct agent_conn *conn, uint32_t stream)
{
    for (uint32_t i = 0; i < a->execs_used; i++) {
        struct exec *exec = &a->execs[i];
        if (exec->kind != EXEC_FREE && exec->conn == conn && exec->stream == stream)
            kill_stream(a, exec);
    }
}

void exec_conn_ended(struct agent *a, struct agent_conn *conn)
{
    for (uint32_t i = 0; i < a->execs_used; i++) {
        struct exec *exec = &a->execs[i];
        if (exec->kind == EXEC_FREE || exec->conn != conn)
            continue;
        exec->conn = NULL;
        const bool was_blocked = exec->blocked;
        exec->blocked = false;
        if (exec->kind == EXEC_KERNEL) {
            kernel_drop(a, exec);
            continue;
        }
        if (exec->kind == EXEC_LOOK) {
            exec_end(a, exec, EXEC_SIGNALED, SIGKILL);
            continue;
        }
        if (was_blocked)
            exec_service(a, exec);
        if (exec->kind != EXEC_FREE)
            finish(a, exec);
    }
}
