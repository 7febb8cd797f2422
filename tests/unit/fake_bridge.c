// SPDX-License-Identifier: AGPL-3.0-or-later
// A kernel bridge for tests of the agent: what it does with a request stands in the request.
//
//   echo TEXT   answers with TEXT
//   large       answers with 3 MB
//   hold        answers nothing until nobody waits; then makes the file /tmp/given-up
//   deaf        takes no further request until nobody waits for this one
//   look        answers with what it finds about itself and the request's file
//   leave       leaves a process behind in a session of its own, and ends
//   end         ends without an answer
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"

#define LARGE_SIZE ((size_t)3 * 1024 * 1024)

static bool receive(int socket_fd, int ret_fds[2])
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(2 * sizeof(int))];
    } control;
    char byte;
    struct iovec part = {&byte, 1};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof control};
    if (recvmsg(socket_fd, &message, MSG_CMSG_CLOEXEC) != 1)
        return false;
    memcpy(ret_fds, CMSG_DATA(&control.header), 2 * sizeof(int));
    return true;
}

static void answer(int fd, const char *text)
{
    if (fd_write_all(fd, text, strlen(text)) < 0)
        _exit(1);
}

static void answer_large(int fd)
{
    char *bytes = malloc(LARGE_SIZE);
    memset(bytes, 'x', LARGE_SIZE);
    if (fd_write_all(fd, bytes, LARGE_SIZE) < 0)
        _exit(1);
    free(bytes);
}

static void wait_for_end(int fd)
{
    struct pollfd end = {.fd = fd, .events = POLLIN};
    while (poll(&end, 1, -1) < 0)
        ;
}

static long read_number(const char *path)
{
    char text[32] = "";
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || read(fd, text, sizeof text - 1) < 0)
        _exit(1);
    close(fd);
    return atol(text);
}

static void look(int request_fd, int fd)
{
    char text[256], folder[128];
    struct rlimit processes;
    getrlimit(RLIMIT_NPROC, &processes);
    if (!getcwd(folder, sizeof folder))
        _exit(1);
    snprintf(text, sizeof text, "seals %x, at %ld, processes %ld, oom %ld, session %d, in %s",
             (unsigned)fcntl(request_fd, F_GET_SEALS), (long)lseek(request_fd, 0, SEEK_CUR),
             (long)processes.rlim_cur, read_number("/proc/self/oom_score_adj"),
             getsid(0) == getpid(), folder);
    answer(fd, text);
}

static void leave(void)
{
    if (fork() > 0)
        _exit(0);
    setsid();
    execlp("sleep", "left-behind", "1000", (char *)NULL);
    _exit(127);
}

static void serve(int request_fd, int fd)
{
    struct stat info;
    if (fstat(request_fd, &info) < 0)
        _exit(1);
    char *request = calloc(1, (size_t)info.st_size + 1);
    if (pread(request_fd, request, (size_t)info.st_size, 0) != info.st_size)
        _exit(1);
    if (strncmp(request, "echo ", 5) == 0)
        answer(fd, request + 5);
    else if (strcmp(request, "large") == 0)
        answer_large(fd);
    else if (strcmp(request, "look") == 0)
        look(request_fd, fd);
    else if (strcmp(request, "leave") == 0)
        leave();
    else if (strcmp(request, "end") == 0)
        _exit(0);
    else
        wait_for_end(fd);
    if (strcmp(request, "hold") == 0)
        close(open("/tmp/given-up", O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    free(request);
}

int main(int argc, char **argv)
{
    int fds[2];
    if (argc != 3 || strcmp(argv[1], "--socket-fd") != 0)
        return 2;
    const int socket_fd = atoi(argv[2]);
    fcntl(socket_fd, F_SETFD, FD_CLOEXEC);
    while (receive(socket_fd, fds)) {
        serve(fds[0], fds[1]);
        close(fds[0]);
        close(fds[1]);
    }
    return 0;
}
