// SPDX-License-Identifier: AGPL-3.0-or-later
#include "svc/home_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "svc/disk.h"
#include "svc/folder_names.h"
#include "svc/home.h"
#include "svc/home_internal.h"
#include "svc/project.h"

// ---- Errors ----

// "ENOENT: no such file or directory, open 'PATH'"
static int fail(struct home_op *op, int error, const char *call, const char *path)
{
    char text[ERR_ERRNO_TEXT_SIZE];
    err_errno_text(error, text);
    return err_set_errno(&op->err, ERR_INVALID, error, "%s: %s, %s '%.300s'", err_errno_name(error),
                         text, call, path);
}

static int refuse_outside(struct home_op *op, const char *path)
{
    return err_set(&op->err, ERR_INVALID, "path '%.300s' must be in the project's home folder",
                   path);
}

// ---- Finding ----

// A folder, and the name of something in it that may be there.
struct place {
    int folder;
    char *name;
};

static void place_dispose(struct place *place)
{
    fd_close(&place->folder);
    mem_free_ptr(&place->name);
}
#define auto_place CLEANUP(place_dispose)

static const char *relative(struct home_op *op, const char *path)
{
    const char *rest = home_path_relative(&op->project_id, path);
    if (rest && !home_path_leads_out(rest))
        return rest;
    op->rc = refuse_outside(op, path);
    return NULL;
}

static bool is_name(const char *name)
{
    return name[0] && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

// The home itself, which has no name in it, is refused.
static int find_place(struct home_op *op, int home, const char *path, struct place *ret_place)
{
    const char *rest = relative(op, path);
    if (!rest)
        return op->rc;
    auto_free char *whole = mem_strdup(rest);
    size_t size = strlen(whole);
    while (size && whole[size - 1] == '/')
        whole[--size] = '\0';
    char *slash = strrchr(whole, '/');
    const char *name = slash ? slash + 1 : whole;
    if (!is_name(name))
        return fail(op, EBUSY, "open", path);
    ret_place->name = mem_strdup(name);
    if (slash)
        *slash = '\0';
    ret_place->folder = home_open_beneath(home, slash ? whole : "", O_PATH | O_DIRECTORY);
    if (ret_place->folder == -EXDEV)
        return refuse_outside(op, path);
    return ret_place->folder < 0 ? fail(op, -ret_place->folder, "open", path) : 0;
}

static int open_folder(struct home_op *op, int home, const char *path, int flags, int *ret_fd)
{
    const char *rest = relative(op, path);
    if (!rest)
        return op->rc;
    int fd = home_open_beneath(home, rest, flags | O_DIRECTORY);
    if (fd == -EXDEV)
        return refuse_outside(op, path);
    if (fd < 0)
        return fail(op, -fd, "scandir", path);
    *ret_fd = fd;
    return 0;
}

// ---- Removing and moving ----

static int remove_one(struct home_op *op, int home, const char *path)
{
    auto_place struct place place = {.folder = -1};
    int rc = find_place(op, home, path, &place);
    if (rc)
        return op->err.sys_errno == ENOENT || op->err.sys_errno == ENOTDIR ? 0 : rc;
    rc = home_remove(place.folder, place.name, &op->svc->closing);
    return rc ? fail(op, -rc, "rm", path) : 0;
}

static int remove_all(struct home_op *op, int home)
{
    int rc = 0;
    for (size_t i = 0; i < op->paths_count && !rc; i++)
        rc = remove_one(op, home, op->paths[i]);
    disk_changed(op->svc, &op->project_id);
    return rc;
}

static int rename_to(struct home_op *op, int home, const char *path, int folder, const char *name)
{
    auto_place struct place from = {.folder = -1};
    int rc = find_place(op, home, path, &from);
    if (!rc && renameat2(from.folder, from.name, folder, name ? name : from.name, RENAME_NOREPLACE))
        rc = fail(op, errno, "rename", path);
    return rc;
}

static int move_all(struct home_op *op, int home)
{
    auto_fd int folder = -1;
    int rc = open_folder(op, home, op->dest, O_PATH, &folder);
    for (size_t i = 0; i < op->paths_count && !rc; i++)
        rc = rename_to(op, home, op->paths[i], folder, NULL);
    return rc;
}

static int rename_one(struct home_op *op, int home)
{
    auto_place struct place to = {.folder = -1};
    int rc = find_place(op, home, op->dest, &to);
    return rc ? rc : rename_to(op, home, op->paths[0], to.folder, to.name);
}

// ---- Resolving ----

static int resolve_one(struct home_op *op, int home, const char *path)
{
    char name[LIMIT_PATH];
    const char *rest = relative(op, path);
    if (!rest)
        return op->rc;
    auto_fd int fd = home_open_beneath(home, rest, O_PATH);
    if (fd < 0 && fd != -EXDEV && !op->lenient)
        return fail(op, -fd, "realpath", path);
    const char *place = fd >= 0 ? home_place(home, fd, name) : NULL;
    json_str(&op->result, place ? place : path);
    return 0;
}

static int resolve_all(struct home_op *op, int home)
{
    int rc = 0;
    json_begin_array(&op->result);
    for (size_t i = 0; i < op->paths_count && !rc; i++)
        rc = resolve_one(op, home, op->paths[i]);
    json_end_array(&op->result);
    return rc;
}

// ---- Listing ----

struct listing {
    struct home_op *op;
    int home, folder;
    const char *path;  // of the folder, relative to the home
    uint64_t until_us; // what links lead to, and what is in folders, is looked for so long
};

static bool is_shown(const struct home_op *op, const char *name)
{
    return op->hidden || name[0] != '.';
}

// How many entries a folder has of those that are shown. False if that cannot be told.
static bool count_entries(const struct listing *l, int folder, int64_t *ret_count)
{
    int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream = fd >= 0 ? fdopendir(fd) : NULL;
    if (!stream) {
        fd_close(&fd);
        return false;
    }
    const struct dirent *entry;
    *ret_count = 0;
    bool in_time = true;
    while (in_time && (entry = readdir(stream))) {
        if (is_name(entry->d_name) && is_shown(l->op, entry->d_name) && ++*ret_count % 512 == 0)
            in_time = clock_monotonic_us() < l->until_us;
    }
    closedir(stream);
    return in_time;
}

static void write_link(struct listing *l, const char *name)
{
    struct buf *out = &l->op->result;
    char target[LIMIT_PATH];
    ssize_t size = readlinkat(l->folder, name, target, sizeof target);
    json_member_bool(out, "issymlink", true);
    if (size < 0)
        return;
    json_key(out, "link_target");
    json_strn(out, target, (size_t)size);
}

// What it is, or what a link leads to: only in the home, and while there is time.
static int open_entry(const struct listing *l, const char *name, bool is_link)
{
    if (clock_monotonic_us() >= l->until_us)
        return -ETIME;
    if (!is_link)
        return openat(l->folder, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    auto_free char *path = mem_printf("%s%s%s", l->path, l->path[0] ? "/" : "", name);
    return home_open_beneath(l->home, path, O_PATH);
}

static void write_size(struct listing *l, int fd, const struct stat *st)
{
    struct buf *out = &l->op->result;
    int64_t count;
    if (!S_ISDIR(st->st_mode))
        json_member_int(out, "size", st->st_size);
    else if (fd >= 0 && count_entries(l, fd, &count))
        json_member_int(out, "size", count);
}

static void write_entry(struct listing *l, const char *name)
{
    struct buf *out = &l->op->result;
    struct stat st, target;
    if (fstatat(l->folder, name, &st, AT_SYMLINK_NOFOLLOW))
        return; // gone meanwhile
    const bool is_link = S_ISLNK(st.st_mode);
    auto_fd int fd = is_link || S_ISDIR(st.st_mode) ? open_entry(l, name, is_link) : -1;
    json_begin_object(out);
    json_member_str(out, "name", name);
    if (is_link)
        write_link(l, name);
    if (is_link && fd >= 0 && !fstat(fd, &target))
        st = target;
    if (S_ISDIR(st.st_mode))
        json_member_bool(out, "isdir", true);
    write_size(l, fd, &st);
    json_key(out, "mtime");
    json_double(out, (double)st.st_mtim.tv_sec + (double)(st.st_mtim.tv_nsec / 1000000) / 1000);
    if (!utf8_valid(name, strlen(name)))
        json_member_str(out, "error", "the name is not UTF-8");
    json_end_object(out);
}

static int list(struct home_op *op, int home)
{
    auto_fd int folder = -1;
    auto_folder_names struct folder_names names = {0};
    const char *path = op->paths[0];
    int rc = open_folder(op, home, path, O_RDONLY, &folder);
    if (rc)
        return rc;
    rc = folder_names_read(folder, LIMIT_LISTING, &names);
    if (rc == -E2BIG)
        return err_set(&op->err, ERR_TOO_LARGE, "path '%.300s' has too many files to be listed",
                       path);
    if (rc)
        return fail(op, -rc, "scandir", path);
    struct listing l = {.op = op,
                        .home = home,
                        .folder = folder,
                        .path = home_path_relative(&op->project_id, path),
                        .until_us = clock_monotonic_us() + LIMIT_LISTING_LINKS_MS * 1000};
    json_begin_array(&op->result);
    for (size_t i = 0; i < names.count; i++) {
        if (is_shown(op, names.items[i]))
            write_entry(&l, names.items[i]);
    }
    json_end_array(&op->result);
    return 0;
}

// ---- Running ----

static int act(struct home_op *op, int home)
{
    switch (op->action) {
    case HOME_LIST:
        return list(op, home);
    case HOME_REMOVE:
        return remove_all(op, home);
    case HOME_MOVE:
        return move_all(op, home);
    case HOME_RENAME:
        return rename_one(op, home);
    case HOME_RESOLVE:
        return resolve_all(op, home);
    }
    return err_internal(&op->err, "no such action: %d", (int)op->action);
}

static void run(struct work *work)
{
    struct home_op *op = CONTAINER(work, struct home_op, work);
    int rc = project_home_ensure(&op->project_id);
    auto_fd int home = rc ? rc : home_open(&op->project_id);
    op->rc = home < 0 ? fail(op, -home, "open", ".") : act(op, home);
}

static void on_run(struct work *work)
{
    struct home_op *op = CONTAINER(work, struct home_op, work);
    op->done(op);
}

void home_op_run(struct svc *svc, struct home_op *op)
{
    op->svc = svc;
    op->rc = 0;
    op->err = (struct err){0};
    op->result = (struct buf){0};
    struct work_gate *gate = op->action == HOME_REMOVE ? &svc->removing : &svc->homes;
    if (work_submit_gated(op->loop, gate, &op->work, op->project_id.text, run, on_run))
        return;
    op->rc =
        err_set(&op->err, ERR_RATE_LIMITED, "too many calls wait for the files of this project");
    op->done(op);
}

void home_op_dispose(struct home_op *op)
{
    buf_dispose(&op->result);
}
