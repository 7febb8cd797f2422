// SPDX-License-Identifier: AGPL-3.0-or-later
#include "svc/zip.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/fd.h"
#include "base/text.h"
#include "svc/folder_names.h"

#define PIECE_SIZE ((size_t)64 * 1024) // of a file, read at once

struct writer {
    const struct zip *zip;
    struct archive *archive;
    struct archive_entry *entry;
    struct buf path; // of the member, in the archive
    uint64_t size;   // of all files so far
    size_t count;
    char *piece;
    bool failed; // what libarchive still writes is dropped
    struct err *err;
};

// ---- libarchive ----

static la_ssize_t on_bytes(struct archive *archive UNUSED, void *ctx, const void *bytes,
                           size_t size)
{
    const struct writer *w = ctx;
    if (!w->failed)
        w->zip->write(w->zip->ctx, bytes, size);
    return (la_ssize_t)size;
}

static int fail(struct writer *w)
{
    return err_internal(w->err, "libarchive: %s", archive_error_string(w->archive));
}

static int open_archive(struct writer *w)
{
    struct archive *a = w->archive;
    bool opened = archive_write_set_format_zip(a) == ARCHIVE_OK &&
                  archive_write_zip_set_compression_deflate(a) == ARCHIVE_OK &&
                  archive_write_set_bytes_in_last_block(a, 1) == ARCHIVE_OK &&
                  archive_write_open(a, w, NULL, on_bytes, NULL) == ARCHIVE_OK;
    return opened ? 0 : fail(w);
}

// ---- Members ----

static int fail_read(struct writer *w, int error)
{
    return err_set_errno(w->err, ERR_INVALID, error, "'%.300s' cannot be read: %s",
                         buf_cstr(&w->path), err_errno_name(error));
}

static int too_many(struct writer *w)
{
    return err_set(w->err, ERR_TOO_LARGE, "more than %zu files, or too many folders in folders",
                   w->zip->count_max);
}

static int write_header(struct writer *w, const struct stat *st)
{
    if (++w->count > w->zip->count_max)
        return too_many(w);
    archive_entry_clear(w->entry);
    archive_entry_set_pathname(w->entry, buf_cstr(&w->path));
    archive_entry_set_mode(w->entry, st->st_mode & (S_IFMT | 0777));
    archive_entry_set_mtime(w->entry, st->st_mtime, 0);
    if (S_ISREG(st->st_mode))
        archive_entry_set_size(w->entry, st->st_size);
    return archive_write_header(w->archive, w->entry) == ARCHIVE_OK ? 0 : fail(w);
}

// As much as the file had when it was looked at.
static int write_content(struct writer *w, int fd, uint64_t size)
{
    while (size) {
        ssize_t got = read(fd, w->piece, size < PIECE_SIZE ? (size_t)size : PIECE_SIZE);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return fail_read(w, errno);
        if (got == 0)
            return 0;
        if (archive_write_data(w->archive, w->piece, (size_t)got) < 0)
            return fail(w);
        size -= (uint64_t)got;
    }
    return 0;
}

static int add_file(struct writer *w, int fd, const struct stat *st)
{
    w->size += (uint64_t)st->st_size;
    if (w->size > w->zip->size_max)
        return err_set(w->err, ERR_TOO_LARGE, "too large");
    int rc = write_header(w, st);
    if (!rc)
        rc = write_content(w, fd, (uint64_t)st->st_size);
    if (!rc && archive_write_finish_entry(w->archive) != ARCHIVE_OK)
        rc = fail(w);
    return rc;
}

static int add_folder(struct writer *w, int fd, const struct stat *st, size_t depth);

// What is neither a file nor a folder is left out, and so is what has gone meanwhile or may not be
// read.
static int add_member(struct writer *w, int folder, const char *name, size_t depth)
{
    struct stat st;
    if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) ||
        !(S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)))
        return 0;
    utf8_append_lossy(&w->path, name, strlen(name));
    auto_fd int fd =
        openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT || errno == ELOOP || errno == EACCES ? 0 : fail_read(w, errno);
    if (fstat(fd, &st))
        return fail_read(w, errno);
    if (S_ISREG(st.st_mode))
        return add_file(w, fd, &st);
    buf_append_char(&w->path, '/');
    return S_ISDIR(st.st_mode) ? add_folder(w, fd, &st, depth) : 0;
}

// One with nothing in it is a member of its own.
static int add_folder(struct writer *w, int fd, const struct stat *st, size_t depth)
{
    auto_folder_names struct folder_names names = {0};
    size_t path_size = w->path.size, count = w->count;
    if (depth == w->zip->depth_max)
        return too_many(w);
    int rc = folder_names_read(fd, w->zip->count_max, &names);
    if (rc)
        return rc == -E2BIG ? too_many(w) : fail_read(w, -rc);
    for (size_t i = 0; i < names.count && !rc; i++) {
        rc = add_member(w, fd, names.items[i], depth + 1);
        w->path.size = path_size;
    }
    return rc || w->count > count ? rc : write_header(w, st);
}

// ---- The archive ----

static locale_t utf8_locale;

static void make_locale(void)
{
    utf8_locale = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
}

static int write_all(struct writer *w, int folder)
{
    struct stat st;
    buf_append_str(&w->path, w->zip->name);
    buf_append_char(&w->path, '/');
    int rc = open_archive(w);
    if (!rc && fstat(folder, &st))
        rc = fail_read(w, errno);
    if (!rc)
        rc = add_folder(w, folder, &st, 0);
    if (!rc && archive_write_close(w->archive) != ARCHIVE_OK)
        rc = fail(w);
    return rc;
}

int zip_folder(const struct zip *zip, int folder, uint64_t *ret_size, struct err *err)
{
    // libarchive marks names as UTF-8 when the locale says that they are.
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_locale);
    locale_t before = uselocale(utf8_locale);
    struct writer w = {.zip = zip,
                       .archive = archive_write_new(),
                       .entry = archive_entry_new(),
                       .piece = mem_alloc(PIECE_SIZE),
                       .err = err};
    int rc = w.archive && w.entry ? write_all(&w, folder) : err_internal(err, "out of memory");
    w.failed = rc;
    archive_write_free(
        w.archive); // closes it first: one that is given up would leave memory behind
    archive_entry_free(w.entry);
    mem_free_ptr(&w.piece);
    buf_dispose(&w.path);
    uselocale(before);
    *ret_size = w.size > zip->size_max ? w.size : 0;
    return rc;
}
