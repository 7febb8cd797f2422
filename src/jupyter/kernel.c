// SPDX-License-Identifier: AGPL-3.0-or-later
#include "jupyter/kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/mem.h"
#include "jupyter/kernel_internal.h"
#include "jupyter/language.h"
#include "jupyter/launch.h"

// Between two looks for the sockets of a kernel that starts, which takes some hundred milliseconds.
#define LOOK_US 10000
// For the stdin channel. A kernel that has none is not to be refused for it.
#define STDIN_US 5000000
// After how much silence a probe is sent once more, times how often it was sent; and how often
// until the iopub connection is made anew: that loses what is on its way, and a busy machine may
// take its time.
#define PROBE_US    100000
#define PROBE_TRIES 3
// Messages that are taken from a channel until others have their turn.
#define MESSAGES_AT_ONCE 64

// ---- Start and end ----

static int start_process(struct kernel *k, struct err *err)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return err_set_errno(err, ERR_UNAVAILABLE, errno, "Failed to start kernel process. %s",
                             strerror(errno));
    k->stderr_fd = ends[0];
    auto_fd int child_end = ends[1];
    fcntl(k->stderr_fd, F_SETFL, O_NONBLOCK);
    struct kernel_program program;
    kernel_program_init(&program, k);
    const int rc = launch(
        &(struct launch){
            .argv = program.argv, .env = program.env, .folder = k->folder, .stderr_fd = child_end},
        &k->pid);
    kernel_program_dispose(&program);
    if (rc == 0)
        return 0;
    k->pid = 0;
    return err_set_errno(err, ERR_UNAVAILABLE, rc, "Failed to start kernel process. %s",
                         strerror(rc));
}

struct kernel *kernel_start(void *zmq, const char *runtime, struct spec *spec, struct err *err)
{
    struct kernel *k = mem_zalloc(sizeof *k);
    k->zmq = zmq;
    k->spec = *spec;
    *spec = (struct spec){0};
    k->id = uuid_new();
    k->key = message_key_new();
    k->stderr_fd = -1;
    k->started_us = clock_monotonic_us();
    k->connection_file = mem_printf("%s/kernel-%s.json", runtime, k->id.text);
    k->prefix = mem_printf("%s/kernel-%s", runtime, k->id.text);
    k->folder = mem_printf("%s/%s", runtime, k->id.text);
    if (kernel_files_make(k, err) == 0 && start_process(k, err) == 0)
        return k;
    kernel_free(k);
    return NULL;
}

static void close_channels(struct kernel *k)
{
    channel_watch_close(k->channels[CHANNEL_STDIN], &k->stdin_watch);
    for (size_t i = 0; i < CHANNEL_COUNT; i++)
        channel_close(&k->channels[i]);
}

void kernel_free(struct kernel *k)
{
    close_channels(k);
    kernel_files_remove(k);
    fd_close(&k->stderr_fd);
    spec_dispose(&k->spec);
    free(k->prefix);
    free(k->connection_file);
    free(k->folder);
    free(k);
}

static void end(struct kernel *k)
{
    k->state = KERNEL_ENDED;
    close_channels(k);
}

void kernel_kill(struct kernel *k)
{
    if (k->state == KERNEL_ENDED)
        return;
    kill(-k->pid, SIGKILL);
    k->killed = true;
    end(k);
}

void kernel_reap(struct kernel *k)
{
    siginfo_t info = {0};
    if (!k->pid || waitid(P_PID, (id_t)k->pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0 ||
        info.si_pid != k->pid)
        return;
    // Its number is ours until it is reaped: what it has left behind ends with it.
    kill(-k->pid, SIGKILL);
    waitpid(k->pid, &k->status, WNOHANG);
    k->pid = 0;
    kernel_stderr_read(k);
    fd_close(&k->stderr_fd);
    end(k);
}

// ---- Limits and signals ----

// A process may not raise its limits.
static void limit(pid_t pid, __rlimit_resource_t resource, uint64_t soft, uint64_t hard)
{
    struct rlimit now;
    if (soft == KERNEL_NO_LIMIT || prlimit(pid, resource, NULL, &now) != 0)
        return;
    const struct rlimit wanted = {soft < now.rlim_max ? soft : now.rlim_max,
                                  hard < now.rlim_max ? hard : now.rlim_max};
    prlimit(pid, resource, &wanted, NULL);
}

// The time that it has used so far does not count. The system first sends a signal that tells what
// it is about, and a second later the one that nobody can ignore.
static void limit_cpu(struct kernel *k, uint64_t seconds)
{
    clockid_t clock;
    struct timespec used;
    if (seconds == KERNEL_NO_LIMIT || clock_getcpuclockid(k->pid, &clock) != 0 ||
        clock_gettime(clock, &used) != 0)
        return;
    const uint64_t max_s = (uint64_t)used.tv_sec + (used.tv_nsec > 0) + seconds;
    limit(k->pid, RLIMIT_CPU, max_s, max_s + 1);
}

void kernel_limit(struct kernel *k, const struct kernel_limits *limits)
{
    if (!k->pid)
        return;
    limit(k->pid, RLIMIT_NOFILE, limits->files, limits->files);
    limit(k->pid, RLIMIT_FSIZE, limits->file_bytes, limits->file_bytes);
    limit(k->pid, RLIMIT_AS, limits->memory_bytes, limits->memory_bytes);
    limit_cpu(k, limits->cpu_s);
}

// Opens a channel if it is not. The kernel must have told how its paths are written.
static bool open_channel(struct kernel *k, enum channel channel)
{
    if (k->channels[channel])
        return true;
    auto_free char *path = mem_printf("%s%c%u", k->prefix, k->separator, channel + 1u);
    k->channels[channel] = channel_open(k->zmq, channel, k->id.text, path);
    return k->channels[channel] != NULL;
}

// Sends a request; ret_id is its message's id. False if it cannot be sent.
static bool send_request(struct kernel *k, enum channel channel, const char *type,
                         const struct buf *content, char ret_id[static MESSAGE_ID_SIZE])
{
    auto_buf struct buf header = {0};
    if (!k->channels[channel])
        return false;
    snprintf(ret_id, MESSAGE_ID_SIZE, "%s_%u", k->id.text, ++k->messages_sent);
    message_write_header(&header, ret_id, k->id.text, type);
    return channel_send(k->channels[channel], &k->key, &header, content);
}

void kernel_interrupt(struct kernel *k)
{
    char id[MESSAGE_ID_SIZE];
    const struct buf empty = {.data = (char[]){"{}"}, .size = 2};
    if (k->state == KERNEL_ENDED)
        return;
    if (!spec_interrupts_by_message(&k->spec))
        kill(-k->pid, SIGINT);
    else if (open_channel(k, CHANNEL_CONTROL))
        (void)send_request(k, CHANNEL_CONTROL, "interrupt_request", &empty, id);
}

void kernel_end_input(struct kernel *k)
{
    char id[MESSAGE_ID_SIZE];
    auto_buf struct buf content = {0};
    json_begin_object(&content);
    json_member_str(&content, "value", "\x04"); // as the terminal's end of file
    json_end_object(&content);
    (void)send_request(k, CHANNEL_STDIN, "input_reply", &content, id);
}

// ---- Messages ----

static void write_request(struct buf *out, const struct kernel_code *code)
{
    json_begin_object(out);
    json_member_str(out, "code", code->text);
    json_member_bool(out, "silent", code->silent);
    json_member_bool(out, "store_history", !code->silent);
    json_key(out, "user_expressions");
    json_begin_object(out);
    json_end_object(out);
    json_member_bool(out, "allow_stdin", false);
    // An error must not keep what comes next from running.
    json_member_bool(out, "stop_on_error", false);
    json_end_object(out);
}

bool kernel_execute(struct kernel *k, const struct kernel_code *code,
                    char ret_id[static MESSAGE_ID_SIZE])
{
    auto_buf struct buf content = {0};
    write_request(&content, code);
    return send_request(k, CHANNEL_SHELL, "execute_request", &content, ret_id);
}

bool kernel_verify(const struct kernel *k, const struct message *message)
{
    return message_verify(message, &k->key);
}

static void probe_send(struct kernel *k)
{
    const struct buf empty = {.data = (char[]){"{}"}, .size = 2};
    k->probe.tries++;
    k->probe.again_us = clock_monotonic_us() + k->probe.tries * PROBE_US;
    (void)send_request(k, CHANNEL_SHELL, "kernel_info_request", &empty, k->probe.id);
}

void kernel_probe(struct kernel *k)
{
    k->probe = (struct kernel_probe){0};
    probe_send(k);
}

static void probe_again(struct kernel *k)
{
    if (k->probe.tries % PROBE_TRIES == 0) {
        channel_close(&k->channels[CHANNEL_IOPUB]);
        (void)open_channel(k, CHANNEL_IOPUB);
        k->probe.reconnected = true;
    }
    k->probe.replied = false;
    probe_send(k);
}

// What it wrote while it started is no word about its end.
static void become_idle(struct kernel *k)
{
    k->state = KERNEL_IDLE;
    kernel_stderr_read(k);
    k->stderr_size = 0;
}

// Has it load what its first result needs; it is ready when it answers after that. False if there
// is nothing to load, or somebody waits for it.
static bool warm_up(struct kernel *k)
{
    char id[MESSAGE_ID_SIZE];
    const char *code = k->taken || k->warmed ? NULL : language_warm_up(spec_language(&k->spec));
    k->warmed = true;
    if (!code || !kernel_execute(k, &(struct kernel_code){code, .silent = true}, id))
        return false;
    kernel_probe(k);
    return true;
}

static void probe_answered(struct kernel *k, enum channel channel)
{
    if (channel == CHANNEL_SHELL)
        k->probe.replied = true;
    if (channel == CHANNEL_IOPUB)
        k->probe.heard = true;
    if (k->state == KERNEL_STARTING && kernel_probe_done(k) && !warm_up(k))
        become_idle(k);
}

static void take(struct kernel *k, enum channel channel, const struct parcel *parcel)
{
    struct message message;
    if (!message_read(parcel->frames, parcel->count, &message) || !message.parent_id[0])
        return;
    if (strcmp(message.parent_id, k->probe.id) == 0) {
        if (kernel_verify(k, &message))
            probe_answered(k, channel);
    } else if (k->heard_owner) {
        k->heard(k->heard_owner, channel, &message);
    }
}

static void receive(void *owner, unsigned channel, short events)
{
    struct kernel *k = owner;
    struct parcel parcel;
    (void)events;
    k->probe.again_us = clock_monotonic_us() + k->probe.tries * PROBE_US;
    for (int i = 0; i < MESSAGES_AT_ONCE && k->channels[channel]; i++) {
        if (!channel_receive(k->channels[channel], &parcel))
            return;
        take(k, (enum channel)channel, &parcel);
        parcel_dispose(&parcel);
    }
}

// ---- Time ----

// Connects when its sockets are there.
static void look_for_sockets(struct kernel *k, uint64_t now_us)
{
    k->look_us = now_us + LOOK_US;
    k->separator = kernel_files_separator(k);
    if (!k->separator)
        return;
    k->look_us = now_us + STDIN_US;
    if (open_channel(k, CHANNEL_STDIN))
        k->stdin_watch = channel_watch_open(k->zmq, k->channels[CHANNEL_STDIN], k->id.text);
    if (k->stdin_watch && open_channel(k, CHANNEL_SHELL))
        (void)open_channel(k, CHANNEL_IOPUB);
}

static void begin(struct kernel *k)
{
    channel_watch_close(k->channels[CHANNEL_STDIN], &k->stdin_watch);
    kernel_probe(k);
}

static void stdin_connected(void *owner, unsigned tag, short events)
{
    struct kernel *k = owner;
    (void)tag, (void)events;
    if (k->stdin_watch)
        begin(k);
}

static bool waits_for_sockets(const struct kernel *k)
{
    return k->state == KERNEL_STARTING && !k->separator;
}

static bool waits_for_probe(const struct kernel *k)
{
    return k->probe.tries && k->probe.replied && !k->probe.heard;
}

void kernel_tick(struct kernel *k, uint64_t now_us)
{
    if (waits_for_sockets(k) && now_us >= k->look_us)
        look_for_sockets(k, now_us);
    else if (k->stdin_watch && now_us >= k->look_us)
        begin(k);
    else if (k->state != KERNEL_ENDED && waits_for_probe(k) && now_us >= k->probe.again_us)
        probe_again(k);
}

static void stderr_ready(void *owner, unsigned tag, short events)
{
    (void)tag, (void)events;
    kernel_stderr_read(owner);
}

void kernel_watch(struct kernel *k, struct watch_set *set)
{
    for (unsigned i = 0; i < CHANNEL_COUNT; i++)
        if (k->channels[i])
            watch_socket(set, k->channels[i], receive, k, i);
    if (k->stderr_fd >= 0)
        watch_fd(set, k->stderr_fd, ZMQ_POLLIN, stderr_ready, k, 0);
    if (k->stdin_watch)
        watch_socket(set, k->stdin_watch, stdin_connected, k, 0);
    if (waits_for_sockets(k) || k->stdin_watch)
        watch_due(set, k->look_us);
    else if (k->state != KERNEL_ENDED && waits_for_probe(k))
        watch_due(set, k->probe.again_us);
}

// ---- What is told of it ----

static void write_signal(struct buf *out, int signal)
{
    const char *name = sigabbrev_np(signal);
    if (signal == SIGXCPU) // of its limit; shells say it so
        buf_append_str(out, "Kernel last exited with code 137.");
    else if (name)
        buf_printf(out, "Kernel last terminated by signal SIG%s.", name);
    else
        buf_printf(out, "Kernel last terminated by signal %d.", signal);
}

void kernel_write_end(const struct kernel *k, struct buf *out)
{
    if (k->pid || k->killed) // the end of its process may be yet to come
        write_signal(out, SIGKILL);
    else if (WIFSIGNALED(k->status))
        write_signal(out, WTERMSIG(k->status));
    else
        buf_printf(out, "Kernel last exited with code %d.", WEXITSTATUS(k->status));
    kernel_stderr_write(k, out);
}

const char *kernel_state_name(const struct kernel *k)
{
    return k->state == KERNEL_STARTING ? "starting" : k->state == KERNEL_IDLE ? "idle" : "busy";
}
