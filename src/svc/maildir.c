// SPDX-License-Identifier: AGPL-3.0-or-later
// The maildir of the data folder, for sites without an SMTP server. A file's name holds the
// message's time and id, so that delivering once more after a crash changes nothing.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "svc/mail_internal.h"

#define MAILDIR          "mail"
#define MESSAGE_SIZE_MAX (16 * 1024 * 1024)

static const char *const folders[] = {"new", "cur"};

static int fail(struct err *err, int sys_errno)
{
    enum err_code code = sys_errno == ENOSPC || sys_errno == EDQUOT ? ERR_NO_SPACE : ERR_INTERNAL;
    return err_set_errno(err, code, sys_errno, "the folder " MAILDIR " cannot be used: %s",
                         strerror(sys_errno));
}

// ---- Delivering ----

static int make_folders(struct err *err)
{
    static const char *const paths[] = {MAILDIR, MAILDIR "/tmp", MAILDIR "/new", MAILDIR "/cur"};
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        if (mkdir(paths[i], 0700) && errno != EEXIST)
            return fail(err, errno);
    }
    return 0;
}

static int write_file(const char *path, const char *message, size_t size)
{
    auto_fd int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    int rc = fd < 0 ? -errno : fd_write_all(fd, message, size);
    return !rc && fsync(fd) ? -errno : rc;
}

static int sync_folder(const char *path)
{
    auto_fd int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 || fsync(fd) ? -errno : 0;
}

int maildir_deliver(const char *id, int64_t time_ms, const char *message, size_t size,
                    struct err *err)
{
    auto_free char *name =
        mem_printf("%lld.M%03d_%s.cohub", (long long)(time_ms / 1000), (int)(time_ms % 1000), id);
    auto_free char *temporary = mem_printf(MAILDIR "/tmp/%s", name);
    auto_free char *final = mem_printf(MAILDIR "/new/%s", name);
    int rc = make_folders(err);
    if (rc)
        return rc;
    rc = write_file(temporary, message, size);
    if (!rc && rename(temporary, final))
        rc = -errno;
    if (!rc)
        rc = sync_folder(MAILDIR "/new");
    return rc ? fail(err, -rc) : 0;
}

// ---- Looking ----

static bool parse_name(const char *folder, const char *name, struct maildir_entry *ret_entry)
{
    long long seconds;
    int ms, at = 0;
    if (sscanf(name, "%lld.M%3d_%n", &seconds, &ms, &at) != 2 || !at || strlen(name) > 100 ||
        strnlen(name + at, UUID_LEN) < UUID_LEN || !uuid_parse(name + at, UUID_LEN, &ret_entry->id))
        return false;
    ret_entry->time_ms = seconds * 1000 + ms;
    snprintf(ret_entry->path, sizeof ret_entry->path, MAILDIR "/%s/%s", folder, name);
    return true;
}

struct listing {
    struct maildir_entry *entries;
    size_t count, capacity;
};

static int list_folder(struct listing *listing, const char *folder, struct err *err)
{
    auto_free char *path = mem_printf(MAILDIR "/%s", folder);
    DIR *dir = opendir(path);
    if (!dir)
        return errno == ENOENT ? 0 : fail(err, errno);
    for (struct dirent *file; (file = readdir(dir));) {
        if (listing->count == listing->capacity) {
            listing->capacity = listing->capacity ? listing->capacity * 2 : 64;
            listing->entries =
                mem_realloc(listing->entries, listing->capacity * sizeof *listing->entries);
        }
        listing->count += parse_name(folder, file->d_name, &listing->entries[listing->count]);
    }
    closedir(dir);
    return 0;
}

static int newest_first(const void *a, const void *b)
{
    const struct maildir_entry *x = a, *y = b;
    if (x->time_ms != y->time_ms)
        return x->time_ms < y->time_ms ? 1 : -1;
    return strcmp(y->id.text, x->id.text);
}

int maildir_list(size_t count_max, struct maildir_entry **ret_entries, size_t *ret_count,
                 struct err *err)
{
    struct listing listing = {0};
    for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
        int rc = list_folder(&listing, folders[i], err);
        if (rc) {
            free(listing.entries);
            return rc;
        }
    }
    if (listing.count)
        qsort(listing.entries, listing.count, sizeof *listing.entries, newest_first);
    *ret_entries = listing.entries;
    *ret_count = listing.count < count_max ? listing.count : count_max;
    return 0;
}

int maildir_find(const char *id, struct maildir_entry *ret_entry, struct err *err)
{
    auto_free struct maildir_entry *entries = NULL;
    size_t count = 0;
    int rc = maildir_list(SIZE_MAX, &entries, &count, err);
    for (size_t i = 0; i < count; i++) {
        if (!strcmp(entries[i].id.text, id)) {
            *ret_entry = entries[i];
            return 0;
        }
    }
    return rc ? rc : err_set(err, ERR_NOT_FOUND, "there is no mail %s", id);
}

int maildir_read(const struct maildir_entry *entry, size_t size_max, struct buf *out,
                 struct err *err)
{
    auto_fd int fd = open(entry->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (size_max > MESSAGE_SIZE_MAX)
        size_max = MESSAGE_SIZE_MAX;
    int rc = fd < 0 ? -errno : fd_read_all(fd, size_max, out);
    return rc == -ENOENT ? err_set(err, ERR_NOT_FOUND, "there is no mail %s", entry->id.text)
           : rc          ? fail(err, -rc)
                         : 0;
}
