// SPDX-License-Identifier: AGPL-3.0-or-later
#include "svc/public_files.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/mem.h"
#include "svc/home.h"
#include "svc/public_files_internal.h"
#include "svc/zip.h"

#define PIECE_SIZE ((size_t)64 * 1024) // of a file, read at once

// ---- Files ----

static int fail_size(struct public_request *r, const char *how, uint64_t size)
{
    return err_set(&r->err, ERR_TOO_LARGE,
                   "path (=%.300s) must be at most %d bytes, but it is %s%" PRIu64 " bytes",
                   r->path, LIMIT_PUBLIC_FILE_SIZE, how, size);
}

static int fail_read(struct public_request *r, int error)
{
    return err_set_errno(&r->err, ERR_INVALID, error, "path (=%.300s) cannot be read: %s", r->path,
                         err_errno_name(error));
}

static int read_text(struct public_request *r, int fd, uint64_t size)
{
    auto_free char *piece = mem_alloc(PIECE_SIZE);
    struct json_stream text;
    uint64_t taken = 0;
    if (size > LIMIT_PUBLIC_FILE_SIZE)
        return fail_size(r, "", size);
    json_stream_begin(&text, r->out);
    for (;;) {
        ssize_t got = read(fd, piece, PIECE_SIZE);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return fail_read(r, errno);
        if (got == 0)
            break;
        taken += (uint64_t)got;
        if (taken > LIMIT_PUBLIC_FILE_SIZE) // it grew meanwhile
            return fail_size(r, "at least ", taken);
        json_stream_append(&text, piece, (size_t)got);
    }
    json_stream_end(&text);
    return 0;
}

// ---- Folders ----

static void append_archive(void *ctx, const void *bytes, size_t size)
{
    json_stream_append(ctx, bytes, size);
}

// The last name in a path; that of the home is the project's.
static const char *base_name(const struct public_request *r, const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    return *name ? name : r->project_id.text;
}

static int read_folder(struct public_request *r, int fd, const char *path)
{
    struct json_stream text;
    struct zip zip = {
        .name = base_name(r, path),
        .size_max = LIMIT_PUBLIC_FILE_SIZE,
        .count_max = LIMIT_ARCHIVE_FILES,
        .depth_max = LIMIT_ARCHIVE_DEPTH,
        .write = append_archive,
        .ctx = &text,
    };
    uint64_t size;
    struct err err;
    json_stream_begin(&text, r->out);
    int rc = zip_folder(&zip, fd, &size, &err);
    if (rc && size)
        return fail_size(r, "at least ", size);
    if (rc) {
        r->err = err;
        return rc == -ERR_INTERNAL
                   ? rc
                   : err_set(&r->err, err.code, "path (=%.300s): %s", r->path, err.message);
    }
    json_stream_end(&text);
    return 0;
}

// ---- Finding ----

static int fail_missing(struct public_request *r, const char *without_zip)
{
    return without_zip ? err_set(&r->err, ERR_NOT_FOUND,
                                 "path (=%.200s) does not exist and neither does %.200s", r->path,
                                 without_zip)
                       : err_set(&r->err, ERR_NOT_FOUND, "path (=%.300s) does not exist", r->path);
}

static bool is_missing(int error)
{
    return error == -ENOENT || error == -ENOTDIR || error == -ELOOP || error == -ENAMETOOLONG;
}

static int read_open(struct public_request *r, struct public_home *home, int fd, const char *path)
{
    struct stat st;
    if (!public_home_is_public(home, fd)) {
        r->not_public = true;
        return err_set(&r->err, ERR_FORBIDDEN, "a link leads to what is not public");
    }
    if (fstat(fd, &st))
        return fail_read(r, errno);
    if (S_ISDIR(st.st_mode))
        return read_folder(r, fd, path);
    return S_ISREG(st.st_mode) ? read_text(r, fd, (uint64_t)st.st_size) : fail_read(r, EINVAL);
}

// What is public only because it is called like an archive is not opened itself.
static int open_itself(struct public_request *r, struct public_home *home, const char *path)
{
    if (!public_list_has_below(&r->list, path))
        return -ENOENT;
    if (home_path_leads_out(r->path))
        return -EXDEV;
    return home_open_beneath(home->fd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
}

static int read_archived(struct public_request *r, struct public_home *home, char *path,
                         size_t size)
{
    path[size - strlen(".zip")] = '\0';
    auto_fd int fd = public_list_has_below(&r->list, path)
                         ? home_open_beneath(home->fd, path, O_RDONLY | O_DIRECTORY)
                         : -ENOENT;
    if (fd >= 0)
        return read_open(r, home, fd, path);
    return is_missing(fd) ? fail_missing(r, path) : fail_read(r, -fd);
}

static int read_path(struct public_request *r, struct public_home *home)
{
    auto_free char *path = mem_strdup(r->path);
    size_t size = strlen(path);
    while (size && path[size - 1] == '/')
        path[--size] = '\0';
    auto_fd int fd = home->fd >= 0 ? open_itself(r, home, path) : -ENOENT;
    if (fd >= 0)
        return read_open(r, home, fd, path);
    if (fd == -EXDEV)
        return public_home_fail_outside(home, &r->err);
    if (!is_missing(fd))
        return fail_read(r, -fd);
    bool is_zip = size >= 4 && !strcmp(path + size - 4, ".zip");
    return is_zip ? read_archived(r, home, path, size) : fail_missing(r, NULL);
}

// ---- Requests ----

static void run_read(struct work *work)
{
    struct public_request *r = CONTAINER(work, struct public_request, work);
    struct public_home home;
    public_home_enter(r, &home);
    r->rc = read_path(r, &home);
    public_home_leave(&home);
}

static void run_list(struct work *work)
{
    struct public_request *r = CONTAINER(work, struct public_request, work);
    r->rc = public_listing_make(r);
}

static void on_run(struct work *work)
{
    struct public_request *r = CONTAINER(work, struct public_request, work);
    r->done(r);
}

static int check_list(struct public_request *r)
{
    return r->list.count ? 0 : err_set(&r->err, ERR_NOT_FOUND, "not_public");
}

static int check_read(struct public_request *r)
{
    r->not_public = !public_list_has(&r->list, r->path);
    return r->not_public ? err_set(&r->err, ERR_FORBIDDEN, "not public") : 0;
}

static void submit(struct svc *svc, struct db_session *session, struct public_request *r,
                   int (*check)(struct public_request *r), work_fn *run)
{
    r->not_public = false;
    client_network(r->client, r->network);
    r->list = (struct public_list){0};
    r->rc = public_list_load(session, &r->project_id, &r->list, &r->err);
    if (!r->rc)
        r->rc = check(r);
    // From then on it is the worker's.
    if (!r->rc && work_submit_gated(r->loop, &svc->publishing, &r->work, r->network, run, on_run))
        return;
    if (!r->rc)
        r->rc = err_set(&r->err, ERR_RATE_LIMITED,
                        "Too many requests from your address at once. Please try again later.");
    r->done(r);
}

void public_folder_list(struct svc *svc, struct db_session *session, struct public_request *request)
{
    submit(svc, session, request, check_list, run_list);
}

void public_file_read(struct svc *svc, struct db_session *session, struct public_request *request)
{
    submit(svc, session, request, check_read, run_read);
}

void public_request_dispose(struct public_request *request)
{
    public_list_dispose(&request->list);
}
