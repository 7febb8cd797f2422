// SPDX-License-Identifier: AGPL-3.0-or-later
#include "svc/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "svc/disk.h"
#include "svc/home.h"
#include "svc/project.h"

#define READ_TIMEOUT_MS  60000 // api-v1 3.10
#define WRITE_TIMEOUT_MS 10000 // api-v1 3.11
#define DISK_BLOCK       4096  // what file systems count a file in

static int fail(struct text_file *f, const char *call, int error)
{
    snprintf(f->syscall, sizeof f->syscall, "%s", call);
    return err_set_errno(&f->err, error == ENOSPC || error == EDQUOT ? ERR_NO_SPACE : ERR_INVALID,
                         error, "%s, %s '%s'", err_errno_name(error), call, f->path);
}

static int too_large(struct text_file *f, uint64_t size)
{
    return err_set(&f->err, ERR_TOO_LARGE,
                   "Attempt to open large file of size %.0fMB; the maximum allowed size is 10MB. "
                   "Use vim, emacs, or"
                   " pico from a terminal instead.",
                   (double)size / 1e6);
}

static int hold(struct text_file *f, size_t size)
{
    if (f->svc->drained)
        return err_set(&f->err, ERR_UNAVAILABLE, ERR_CLOSING_TEXT);
    return f->hold && size ? f->hold(f, size, &f->err) : 0;
}

// ---- In the home ----

static int open_home(struct text_file *f)
{
    int rc = project_home_ensure(&f->project_id);
    int fd = rc ? rc : home_open(&f->project_id);
    return fd >= 0 ? fd : fail(f, "open", -fd);
}

// Makes text of what was read; `held` bytes have been allowed for.
static int take_text(struct text_file *f, const struct buf *raw, size_t held)
{
    utf8_append_lossy(&f->data, raw->data ? raw->data : "", raw->size);
    const int rc = f->data.size > held ? hold(f, f->data.size - held) : 0;
    if (rc)
        buf_dispose(&f->data);
    return rc;
}

static int read_open_file(struct text_file *f, int fd)
{
    struct stat st;
    if (fstat(fd, &st))
        return fail(f, "stat", errno);
    if (S_ISDIR(st.st_mode))
        return fail(f, "read", EISDIR);
    if (!S_ISREG(st.st_mode))
        return fail(f, "read", EINVAL);
    if (st.st_size > LIMIT_TEXT_FILE_SIZE)
        return too_large(f, (uint64_t)st.st_size);
    auto_buf struct buf raw = {0};
    int rc = hold(f, (size_t)st.st_size);
    if (rc)
        return rc;
    rc = fd_read_all(fd, LIMIT_TEXT_FILE_SIZE, &raw);
    if (rc)
        return fail(f, "read", -rc);
    if (raw.size > LIMIT_TEXT_FILE_SIZE) // it grew meanwhile
        return too_large(f, raw.size);
    return take_text(f, &raw, (size_t)st.st_size);
}

static int read_in_home(struct text_file *f, const char *path)
{
    auto_fd int home = open_home(f);
    if (home < 0)
        return home;
    auto_fd int fd = home_open_beneath(home, path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
    f->outside = fd == -EXDEV;
    if (f->outside)
        return 0;
    return fd >= 0 ? read_open_file(f, fd) : fail(f, fd == -ENOENT ? "stat" : "open", -fd);
}

// ---- Writing in the home ----

// Opens the folder at path[0..size), made with all above it if it is missing. -EXDEV when it is
// outside.
static int open_folder(struct text_file *f, int home, const char *path, size_t size)
{
    auto_free char *whole = mem_strndup(path, size);
    int fd = home_open_beneath(home, whole, O_RDONLY | O_DIRECTORY);
    if (fd != -ENOENT)
        return fd >= 0 || fd == -EXDEV ? fd : fail(f, fd == -ENOTDIR ? "mkdir" : "open", -fd);
    while (size && path[size - 1] == '/')
        size--;
    size_t name = size;
    while (name && path[name - 1] != '/')
        name--;
    auto_fd int parent = open_folder(f, home, path, name);
    if (parent < 0)
        return parent;
    whole[size] = '\0';
    if (mkdirat(parent, whole + name, 0700) && errno != EEXIST)
        return fail(f, "mkdir", errno);
    if (fsync(parent))
        return fail(f, "fsync", errno);
    fd = home_open_beneath(home, whole, O_RDONLY | O_DIRECTORY);
    return fd >= 0 || fd == -EXDEV ? fd : fail(f, "open", -fd);
}

// The mode for the new content: that of the file it replaces, 0 for the default. Links are left to
// the sandbox.
static int check_target(struct text_file *f, int folder, const char *name, mode_t *ret_mode)
{
    struct stat st;
    *ret_mode = 0;
    if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW))
        return errno == ENOENT ? 0 : fail(f, "open", errno);
    if (S_ISLNK(st.st_mode)) {
        f->outside = true;
        return 0;
    }
    if (S_ISDIR(st.st_mode))
        return fail(f, "open", EISDIR);
    if (!S_ISREG(st.st_mode))
        return fail(f, "open", ENXIO);
    if (faccessat(folder, name, W_OK, AT_EACCESS))
        return fail(f, "open", errno);
    *ret_mode = st.st_mode & 07777;
    return 0;
}

// What the new content takes on the disk more than the old. A file that is there can always be
// written again in its size; one with holes has none of what it seems to have.
static int64_t growth_by(const struct text_file *f, const struct stat *old)
{
    int64_t had = (int64_t)old->st_blocks * 512, size = (int64_t)f->content_size;
    int64_t takes = (size + DISK_BLOCK - 1) / DISK_BLOCK * DISK_BLOCK;
    bool has_holes = had + DISK_BLOCK < old->st_size;
    bool fits = size <= old->st_size && !has_holes;
    return fits && takes > had ? 0 : takes - had;
}

// Before anything is written, folders included. What lies outside takes nothing of the home.
static int reserve(struct text_file *f, int home, const char *path)
{
    struct stat old = {0};
    auto_fd int fd = home_open_beneath(home, path, O_PATH);
    if (fd == -EXDEV)
        return 0;
    bool exists = fd >= 0 && !fstat(fd, &old);
    int64_t growth = growth_by(f, &old);
    int rc = !exists || growth > 0 ? disk_reserve(f->svc, &f->project_id, growth, &f->err) : 0;
    if (rc)
        return f->err.sys_errno ? fail(f, "write", f->err.sys_errno) : rc;
    f->growth = growth;
    return 0;
}

// What was reserved is given back if it was not written; what was freed is told if it was.
static void settle(const struct text_file *f)
{
    if (f->growth > 0)
        disk_settle(f->svc, &f->project_id, f->growth, !f->rc);
    else if (f->growth < 0 && !f->rc)
        disk_wrote(f->svc, &f->project_id, f->growth);
}

static int write_temporary(struct text_file *f, int fd, mode_t mode)
{
    if (mode && fchmod(fd, mode))
        return fail(f, "chmod", errno);
    int rc = fd_write_all(fd, f->content, f->content_size);
    if (rc)
        return fail(f, "write", -rc);
    return fsync(fd) ? fail(f, "fsync", errno) : 0;
}

// Written whole under another name first, so that a reader, or a power cut, finds the old text or
// the new one.
static int replace(struct text_file *f, int folder, const char *name, mode_t mode)
{
    char temporary[] = ".cohub-0123456789abcdef";
    token_random(temporary + 7, 16);
    auto_fd int fd =
        openat(folder, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd < 0)
        return fail(f, "open", errno);
    int rc = write_temporary(f, fd, mode);
    if (!rc && renameat(folder, temporary, folder, name))
        rc = fail(f, "open", errno);
    if (rc)
        unlinkat(folder, temporary, 0);
    else if (fsync(folder))
        rc = fail(f, "fsync", errno);
    return rc;
}

static int write_in_home(struct text_file *f, const char *path)
{
    size_t size = strlen(path), folder_size = size;
    while (folder_size && path[folder_size - 1] != '/')
        folder_size--;
    const char *name = path + folder_size;
    if (!*name || !strcmp(name, ".") || !strcmp(name, ".."))
        return fail(f, "open", EISDIR);
    auto_fd int home = open_home(f);
    if (home < 0)
        return home;
    int rc = reserve(f, home, path);
    if (rc)
        return rc;
    auto_fd int folder = open_folder(f, home, path, folder_size);
    f->outside = folder == -EXDEV;
    if (f->outside && f->keep)
        return fail(f, "open", EXDEV);
    if (folder < 0)
        return f->outside ? 0 : folder;
    mode_t mode;
    if (f->keep && !faccessat(folder, name, F_OK, AT_SYMLINK_NOFOLLOW)) {
        if (f->growth > 0)
            disk_settle(f->svc, &f->project_id, f->growth, false);
        f->growth = 0;
        return 0;
    }
    rc = check_target(f, folder, name, &mode);
    return rc || f->outside ? rc : replace(f, folder, name, mode);
}

// ---- Both ways ----

static void on_agent_done(struct project_call *call)
{
    struct text_file *f =
        CONTAINER(CONTAINER(call, struct file_call, call), struct text_file, call);
    f->rc = call->rc;
    f->err = call->err;
    if (f->rc && f->err.code == ERR_TOO_LARGE)
        f->rc = too_large(f, f->call.size);
    else if (f->rc && f->err.sys_errno)
        f->rc = fail(f, f->call.syscall, f->err.sys_errno);
    else if (f->rc == -ERR_TIMEOUT)
        f->rc = err_set(&f->err, ERR_TIMEOUT, "Timed out after %d seconds.",
                        (int)f->call.timeout_ms / 1000);
    else if (!f->rc && !f->write)
        f->rc = take_text(f, &f->call.data, 0);
    file_call_dispose(&f->call);
    settle(f);
    f->done(f);
}

static void ask_agent(struct text_file *f)
{
    f->call = (struct file_call){
        .call = {.project_id = f->project_id, .loop = f->loop, .done = on_agent_done},
        .write = f->write,
        .path = f->full_path.data,
        .content = f->content,
        .content_size = f->content_size,
        .size_max = LIMIT_TEXT_FILE_SIZE,
        .timeout_ms = f->write ? WRITE_TIMEOUT_MS : READ_TIMEOUT_MS,
    };
    projects_file(f->svc->projects, &f->call);
}

static void run(struct work *work)
{
    struct text_file *f = CONTAINER(work, struct text_file, work);
    const char *path = home_path_relative(&f->project_id, f->path);
    if (!path && f->keep)
        f->rc = fail(f, "open", EXDEV);
    else if (!path)
        f->outside = true;
    else
        f->rc = f->write ? write_in_home(f, path) : read_in_home(f, path);
}

static void on_run(struct work *work)
{
    struct text_file *f = CONTAINER(work, struct text_file, work);
    if (!f->rc && f->outside) {
        ask_agent(f);
        return;
    }
    settle(f);
    f->done(f);
}

static void prepare(struct svc *svc, struct text_file *f, bool write)
{
    f->svc = svc;
    f->write = write;
    f->rc = 0;
    f->outside = false;
    f->growth = 0;
    f->data = f->full_path = (struct buf){0};
    f->call = (struct file_call){0};
    if (f->path[0] != '/')
        buf_printf(&f->full_path, "/projects/%s/", f->project_id.text);
    buf_append_str(&f->full_path, f->path);
    buf_cstr(&f->full_path);
}

void text_file_read(struct svc *svc, struct text_file *file)
{
    prepare(svc, file, false);
    const bool submitted =
        work_submit_gated(file->loop, &svc->reading, &file->work, file->owner, run, on_run);
    assert(submitted);
}

void text_file_write(struct svc *svc, struct text_file *file)
{
    prepare(svc, file, true);
    work_submit(file->loop, &file->work, run, on_run);
}

void text_file_dispose(struct text_file *file)
{
    buf_dispose(&file->data);
    buf_dispose(&file->full_path);
    file_call_dispose(&file->call);
}
