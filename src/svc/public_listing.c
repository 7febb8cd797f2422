// SPDX-License-Identifier: AGPL-3.0-or-later
// The list of a folder (api-v1 6.3).
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/text.h"
#include "svc/folder_names.h"
#include "svc/home.h"
#include "svc/public_files_internal.h"

struct listed {
    const char *name;
    int64_t mtime; // seconds; only set to sort by
};

struct listing {
    struct public_request *request;
    struct public_home home;
    int folder;
    struct folder_names names;
    struct listed *entries; // those that are left
    size_t count;
    bool more;
    bool all_public;   // as the folder is; else only what is public itself
    uint64_t links_us; // that following links has taken
};

// ---- Choosing, in the order of the contract ----

static void choose_names(struct listing *l)
{
    l->entries = mem_alloc((l->names.count + 1) * sizeof *l->entries);
    for (size_t i = 0; i < l->names.count; i++) {
        const char *name = l->names.items[i];
        if ((l->request->hidden || name[0] != '.') && utf8_valid(name, strlen(name)))
            l->entries[l->count++] = (struct listed){.name = name};
    }
}

static int compare_newest(const void *a, const void *b)
{
    const struct listed *x = a, *y = b;
    if (x->mtime != y->mtime)
        return x->mtime > y->mtime ? -1 : 1;
    return strcmp(x->name, y->name);
}

static void sort_newest(struct listing *l)
{
    struct stat st;
    for (size_t i = 0; i < l->count; i++) {
        if (!fstatat(l->folder, l->entries[i].name, &st, AT_SYMLINK_NOFOLLOW))
            l->entries[i].mtime = st.st_mtime;
    }
    qsort(l->entries, l->count, sizeof *l->entries, compare_newest);
}

// Returns where the part begins that was asked for.
static size_t choose_part(struct listing *l)
{
    int64_t count = (int64_t)l->count, start = l->request->start, limit = l->request->limit;
    if (start < 0)
        start = start < -count ? 0 : count + start;
    if (start > count)
        start = count;
    if (limit > 0 && limit < count - start) {
        l->more = true;
        l->count = (size_t)(start + limit);
    }
    return (size_t)start;
}

// ---- Writing ----

static void set_path(const struct listing *l, const char *name, struct buf *path)
{
    buf_append_str(path, l->request->path);
    while (path->size && path->data[path->size - 1] == '/')
        path->size--;
    if (path->size)
        buf_append_char(path, '/');
    buf_append_str(path, name);
    buf_cstr(path);
}

// A folder that is public itself; of others nothing is told.
static bool leads_to_folder(struct listing *l, const char *path)
{
    uint64_t began_us = clock_monotonic_us();
    if (l->links_us > LIMIT_LISTING_LINKS_MS * 1000)
        return false;
    auto_fd int fd = home_open_beneath(l->home.fd, path, O_PATH | O_DIRECTORY);
    bool leads = fd >= 0 && public_home_is_public(&l->home, fd);
    l->links_us += clock_monotonic_us() - began_us;
    return leads;
}

static void write_entry(struct listing *l, const char *name, const char *path)
{
    struct buf *out = l->request->out;
    struct stat st;
    if (fstatat(l->folder, name, &st, AT_SYMLINK_NOFOLLOW))
        return; // gone meanwhile
    bool is_link = S_ISLNK(st.st_mode);
    json_begin_object(out);
    json_member_str(out, "name", name);
    if (!S_ISDIR(st.st_mode))
        json_member_int(out, "size", st.st_size);
    if (S_ISDIR(st.st_mode) || (is_link && leads_to_folder(l, path)))
        json_member_bool(out, "isdir", true);
    json_member_int(out, "mtime", st.st_mtime);
    json_end_object(out);
}

// The list of public paths is sorted.
static bool is_entry_public(const struct listing *l, const char *path)
{
    return l->all_public || public_list_finds(&l->request->list, path);
}

static void write_entries(struct listing *l, size_t start)
{
    struct buf *out = l->request->out;
    json_begin_object(out);
    json_key(out, "files");
    json_begin_array(out);
    for (size_t i = start; i < l->count; i++) {
        auto_buf struct buf path = {0};
        set_path(l, l->entries[i].name, &path);
        if (is_entry_public(l, path.data))
            write_entry(l, l->entries[i].name, path.data);
    }
    json_end_array(out);
    if (l->more)
        json_member_bool(out, "more", true);
    json_end_object(out);
}

// ---- The folder ----

// Opens the folder; it stays closed where there is none, or none for strangers.
static int open_folder(struct listing *l)
{
    struct public_request *r = l->request;
    int fd = home_path_leads_out(r->path)
                 ? -EXDEV
                 : home_open_beneath(l->home.fd, r->path, O_RDONLY | O_DIRECTORY);
    if (fd == -EXDEV)
        return public_home_fail_outside(&l->home, &r->err);
    if (fd == -EACCES)
        return err_set(&r->err, ERR_FORBIDDEN, "path (=%.300s) cannot be read", r->path);
    l->folder = fd;
    if (fd >= 0 && l->all_public && !public_home_is_public(&l->home, fd))
        fd_close(&l->folder);
    return 0;
}

static int read_folder(struct listing *l)
{
    struct public_request *r = l->request;
    int rc = l->home.fd >= 0 ? open_folder(l) : 0;
    if (rc || l->folder < 0)
        return rc;
    rc = folder_names_read(l->folder, LIMIT_LISTING, &l->names);
    return rc ? err_set_errno(&r->err, ERR_INVALID, -rc, "path (=%.300s) %s", r->path,
                              rc == -E2BIG ? "has too many files to be listed" : "cannot be read")
              : 0;
}

int public_listing_make(struct public_request *request)
{
    struct listing l = {.request = request, .folder = -1};
    l.all_public = public_list_has_below(&request->list, request->path);
    public_list_sort(&request->list);
    public_home_enter(request, &l.home);
    int rc = read_folder(&l);
    if (!rc) {
        choose_names(&l);
        if (request->newest_first)
            sort_newest(&l);
        write_entries(&l, choose_part(&l));
    }
    free(l.entries);
    folder_names_dispose(&l.names);
    fd_close(&l.folder);
    public_home_leave(&l.home);
    return rc;
}
