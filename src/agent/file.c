// SPDX-License-Identifier: AGPL-3.0-or-later
// The process behind each file operation: reads a file into a pipe, or writes one in whole. A
// process of its own, as a disk or a FUSE mount may take its time.
//
// A write goes to a temporary file in the target's folder, which then takes the target's name: who
// reads sees the old content or the new one.
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/agent.h"

#define LINKS_MAX 40 // as the kernel's
#define DATA_FD   3  // the pipe that a file is read into, or the content to write

static _Noreturn void end_failed(struct agent_slot *slot, const char *syscall_name, int error)
{
    strncpy(slot->syscall, syscall_name, sizeof slot->syscall - 1);
    slot->value = error;
    slot->result = RESULT_FILE_FAILED;
    close(DATA_FD); // at the end of the pipe the agent finds the result
    _exit(0);
}

static _Noreturn void end_done(struct agent_slot *slot, uint64_t size)
{
    slot->size = size;
    slot->result = RESULT_FILE_DONE;
    close(DATA_FD);
    _exit(0);
}

static void keep_only(int fd)
{
    dup2(fd, DATA_FD);
    close_range(DATA_FD + 1, ~0u, 0);
}

static int type_error(const struct stat *info)
{
    return S_ISREG(info->st_mode) ? 0 : S_ISDIR(info->st_mode) ? EISDIR : EINVAL;
}

static void write_piece(struct agent_slot *slot, int fd, const char *bytes, size_t size)
{
    while (size) {
        const ssize_t written = write(fd, bytes, size);
        if (written < 0 && errno != EINTR)
            end_failed(slot, "write", errno);
        if (written > 0) {
            bytes += written;
            size -= (size_t)written;
        }
    }
}

_Noreturn void file_run_read(struct agent_slot *slot, const char *path, uint64_t size_max,
                             int out_fd)
{
    static char piece[64 * 1024];
    struct stat info;
    keep_only(out_fd);
    if (stat(path, &info) < 0)
        end_failed(slot, "stat", errno);
    if (type_error(&info))
        end_failed(slot, "read", type_error(&info));
    // It may be another one by now: must not wait for the writer of a FIFO.
    const int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0)
        end_failed(slot, "open", errno);
    if (fstat(fd, &info) < 0)
        end_failed(slot, "stat", errno);
    if (type_error(&info))
        end_failed(slot, "read", type_error(&info));
    uint64_t size = slot->size = (uint64_t)info.st_size;
    if (size > size_max)
        end_failed(slot, "read", EFBIG);
    for (size = 0;;) {
        const ssize_t got = read(fd, piece, sizeof piece);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            end_failed(slot, "read", errno);
        if (got == 0)
            end_done(slot, size);
        size += (uint64_t)got;
        slot->size = size;
        if (size > size_max)
            end_failed(slot, "read", EFBIG);
        write_piece(slot, DATA_FD, piece, (size_t)got);
    }
}

// ---- Writing. ----

// Where the last '/' of an absolute path is.
static char *last_slash(char *path)
{
    return strrchr(path, '/');
}

static void make_parents(struct agent_slot *slot, char *path)
{
    struct stat info;
    char *end = last_slash(path);
    if (end == path)
        return;
    *end = '\0';
    const bool there = stat(path, &info) == 0 && S_ISDIR(info.st_mode);
    *end = '/';
    if (there)
        return;
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(path, 0700) < 0) {
            // A folder that may not be written is told as such also where it exists.
            const int error = errno;
            if (stat(path, &info) < 0)
                end_failed(slot, "mkdir", error);
            if (!S_ISDIR(info.st_mode))
                end_failed(slot, "mkdir", ENOTDIR);
        }
        *slash = '/';
    }
}

// Replaces a path whose last part is a symbolic link by what it points to, whether that exists or
// not.
static void follow_links(struct agent_slot *slot, char *path)
{
    char target[PATH_MAX];
    for (unsigned links = 0;; links++) {
        const ssize_t size = readlink(path, target, sizeof target);
        if (size < 0)
            return; // no link, or nothing there
        char *name = target[0] == '/' ? path : last_slash(path) + 1;
        if (links == LINKS_MAX)
            end_failed(slot, "open", ELOOP);
        if ((size_t)(name - path) + (size_t)size >= PATH_MAX)
            end_failed(slot, "open", ENAMETOOLONG);
        memcpy(name, target, (size_t)size);
        name[size] = '\0';
    }
}

// The mode that the new file is to have.
static mode_t target_mode(struct agent_slot *slot, const char *path)
{
    struct stat info;
    if (lstat(path, &info) < 0) {
        if (errno != ENOENT)
            end_failed(slot, "stat", errno);
        return 0666 & ~umask(0);
    }
    if (type_error(&info))
        end_failed(slot, "open", type_error(&info));
    if (faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) < 0)
        end_failed(slot, "open", errno);
    return info.st_mode & 07777;
}

// `path` becomes its folder, ret_temporary a fresh name in it.
static void temporary_name(struct agent_slot *slot, const char *path, size_t folder_size,
                           char ret_temporary[PATH_MAX])
{
    static const char prefix[] = ".cohub-write-";
    if (folder_size + sizeof prefix + 12 >= PATH_MAX)
        end_failed(slot, "open", ENAMETOOLONG);
    memcpy(ret_temporary, path, folder_size);
    memcpy(ret_temporary + folder_size, prefix, sizeof prefix - 1);
    *text_put_random(ret_temporary + folder_size + sizeof prefix - 1, 12) = '\0';
}

static const char *fill(int fd, int content_fd, mode_t mode, uint64_t *ret_size)
{
    off_t from = 0;
    for (;;) {
        const ssize_t sent = sendfile(fd, content_fd, &from, 1u << 30);
        if (sent == 0)
            break;
        if (sent < 0 && errno != EINTR)
            return "write";
    }
    *ret_size = (uint64_t)from;
    if (fchmod(fd, mode) < 0)
        return "chmod";
    return fsync(fd) < 0 ? "fsync" : NULL;
}

static const char *sync_folder(char *path, size_t folder_size)
{
    path[folder_size] = '\0';
    const int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const bool synced = fd >= 0 && fsync(fd) == 0;
    // Some file systems have no such thing; a folder without read permission cannot be opened.
    return synced || errno == EINVAL || errno == EACCES ? NULL : "fsync";
}

_Noreturn void file_run_write(struct agent_slot *slot, const char *path, int content_fd)
{
    static char target[PATH_MAX], temporary[PATH_MAX];
    uint64_t size = 0;
    keep_only(content_fd);
    strncpy(target, path, sizeof target - 1);
    make_parents(slot, target);
    follow_links(slot, target);
    if (!last_slash(target)[1])
        end_failed(slot, "open", EISDIR);
    const mode_t mode = target_mode(slot, target);
    const size_t folder_size = (size_t)(last_slash(target) + 1 - target);
    temporary_name(slot, target, folder_size, temporary);
    const int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        end_failed(slot, "open", errno);
    const char *failed = fill(fd, DATA_FD, mode, &size);
    if (!failed && rename(temporary, target) < 0)
        failed = "rename";
    if (failed) {
        const int error = errno;
        unlink(temporary);
        end_failed(slot, failed, error);
    }
    failed = sync_folder(target, folder_size);
    if (failed)
        end_failed(slot, failed, errno);
    end_done(slot, size);
}
