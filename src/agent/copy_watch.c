// SPDX-License-Identifier: AGPL-3.0-or-later
// Watches rsync while it runs. Whoever owns the homes can change them meanwhile: a file that became
// a FIFO after it was listed is opened for ever, and files that grow may fill the disk beyond what
// was weighed. So rsync is ended when none of its processes transfers anything for long, and when
// more is written than there was room for.
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "agent/copy.h"

// By how much rsync's own timeout comes first, which tells more.
#define TIMEOUT_GRACE_S 3
// From the request to end to the end; rsync removes what it has begun.
#define END_GRACE_MS 3000
// How often is looked: no disk writes so many bytes in a millisecond that the room is used up
// before the next look.
#define BYTES_PER_MS ((uint64_t)2 << 20)
#define LOOK_MS_MIN  5
#define LOOK_MS_MAX  250

struct watch {
    const struct copy *copy;
    pid_t pid;
    uint64_t still_max_ms;
    uint64_t transferred; // bytes, of all
    uint64_t written;     // bytes, of all but the sender: what goes to files, and some for messages
    uint64_t moved_ms;    // when it was last seen to do something
    uint64_t ended_ms;    // when it was asked to end
    enum copy_watched result;
};

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

// False: it has ended, or cannot be looked at.
static bool read_io(const char *pid, uint64_t *ret_read, uint64_t *ret_written)
{
    char path[64], text[256];
    unsigned long long in, out;
    snprintf(path, sizeof path, "/proc/%.20s/io", pid);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    const ssize_t size = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    if (size <= 0)
        return false;
    text[size] = '\0';
    if (sscanf(text, "rchar: %llu wchar: %llu", &in, &out) != 2)
        return false;
    *ret_read = in;
    *ret_written = out;
    return true;
}

// rsync's processes are the only others in the sandbox. False: nothing can be seen of them.
static bool look_at_all(const struct watch *watch, uint64_t *ret_transferred, uint64_t *ret_written)
{
    const pid_t self = getpid();
    bool seen = false;
    DIR *folder = opendir("/proc");
    *ret_transferred = *ret_written = 0;
    if (!folder)
        return false;
    for (const struct dirent *entry; (entry = readdir(folder));) {
        uint64_t in, out;
        const pid_t pid = isdigit((unsigned char)entry->d_name[0]) ? atoi(entry->d_name) : 0;
        if (pid <= 1 || pid == self || !read_io(entry->d_name, &in, &out))
            continue;
        seen = true;
        *ret_transferred += in + out;
        *ret_written += pid == watch->pid ? 0 : out;
    }
    closedir(folder);
    return seen;
}

static void end(struct watch *watch, enum copy_watched why)
{
    watch->result = why;
    watch->ended_ms = now_ms();
    kill(-watch->pid, SIGTERM);
    kill(-watch->pid, SIGCONT);
}

static void look(struct watch *watch)
{
    uint64_t transferred, written;
    const uint64_t now = now_ms();
    if (watch->result != COPY_WATCHED_WELL) {
        if (now - watch->ended_ms >= END_GRACE_MS)
            kill(-watch->pid, SIGKILL);
        return;
    }
    if (!look_at_all(watch, &transferred, &written) || transferred != watch->transferred)
        watch->moved_ms = now;
    watch->transferred = transferred;
    watch->written = written;
    if (written > watch->copy->written_max)
        end(watch, COPY_WATCHED_GREW);
    else if (now - watch->moved_ms >= watch->still_max_ms)
        end(watch, COPY_WATCHED_STILL);
}

static int until_look(const struct watch *watch)
{
    const uint64_t max = watch->copy->written_max;
    const uint64_t left = max > watch->written ? (max - watch->written) / BYTES_PER_MS : 0;
    return left < LOOK_MS_MIN ? LOOK_MS_MIN : left > LOOK_MS_MAX ? LOOK_MS_MAX : (int)left;
}

// Of what it says, the beginning, which names the cause, goes to standard error; the rest is only
// read. False at the end.
static bool pass_on(int from, size_t *left)
{
    char bytes[4096];
    ssize_t got;
    while ((got = read(from, bytes, sizeof bytes)) > 0) {
        const size_t size = (size_t)got < *left ? (size_t)got : *left;
        ssize_t written = size ? write(STDERR_FILENO, bytes, size) : 0;
        (void)written;
        *left -= size;
    }
    return got < 0 && (errno == EAGAIN || errno == EINTR);
}

static uint64_t still_max_ms(const struct copy *copy)
{
    const unsigned long timeout = strtoul(copy->timeout, NULL, 10);
    const bool shorter = timeout && timeout + TIMEOUT_GRACE_S < COPY_STILL_MAX;
    return 1000 * (shorter ? timeout + TIMEOUT_GRACE_S : COPY_STILL_MAX);
}

// Those that were asked to end may be longer about it than the first of them, which has been waited
// for: they remove what is half. As process 1 of the sandbox, this one inherits them.
void copy_watch_rest(pid_t pid)
{
    const uint64_t start_ms = now_ms();
    while (waitpid(-pid, NULL, WNOHANG) >= 0 && now_ms() - start_ms < END_GRACE_MS)
        poll(NULL, 0, LOOK_MS_MIN);
}

// Processes that rsync leaves behind may hold the pipe for ever, so its own end counts.
enum copy_watched copy_watch(const struct copy *copy, pid_t pid, int output)
{
    struct watch watch = {
        .copy = copy, .pid = pid, .still_max_ms = still_max_ms(copy), .moved_ms = now_ms()};
    const int pid_fd = pidfd_open(pid, 0);
    struct pollfd fds[] = {{.fd = output, .events = POLLIN}, {.fd = pid_fd, .events = POLLIN}};
    size_t left = COPY_TEXT_MAX;
    uint64_t look_ms = now_ms();
    fcntl(output, F_SETFL, O_NONBLOCK);
    while (!fds[1].revents && (pid_fd >= 0 || fds[0].fd >= 0)) {
        if (poll(fds, 2, until_look(&watch)) < 0)
            fds[0].revents = fds[1].revents = 0;
        if (fds[0].revents && !pass_on(output, &left))
            fds[0].fd = -1;
        if (now_ms() - look_ms < LOOK_MS_MIN)
            continue;
        look(&watch);
        look_ms = now_ms();
    }
    if (pid_fd >= 0)
        close(pid_fd);
    return watch.result;
}
