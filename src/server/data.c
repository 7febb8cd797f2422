// SPDX-License-Identifier: AGPL-3.0-or-later
#include "server/data.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"

static bool is_empty(int fd)
{
    auto_fd int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = copy >= 0 ? fdopendir(copy) : NULL;
    if (!dir)
        return false;
    copy = -1;
    bool empty = true;
    for (struct dirent *entry; empty && (entry = readdir(dir));)
        empty = !strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..");
    closedir(dir);
    return empty;
}

int data_owner_find(const char *user, struct data_owner *ret_owner, struct err *err)
{
    const struct passwd *pw = getpwnam(user);
    if (!pw || !pw->pw_uid)
        return err_set(err, ERR_INVALID,
                       "there is no unprivileged user \"%s\" to run as; make one (useradd --system "
                       "%s) or name another with"
                       " --user",
                       user, user);
    *ret_owner = (struct data_owner){.uid = pw->pw_uid, .gid = pw->pw_gid};
    return 0;
}

// A folder of root's is given to the user if it is new.
static int give_away(int fd, const char *path, const char *user, struct data_owner *owner,
                     struct err *err)
{
    struct data_owner of_user;
    int rc = data_owner_find(user, &of_user, err);
    if (rc)
        return rc;
    if (!is_empty(fd))
        return err_set(err, ERR_INVALID,
                       "%s belongs to root; give it to whom the hub shall run as: chown -R %s: %s",
                       path, user, path);
    if (fchown(fd, of_user.uid, of_user.gid))
        return err_set_errno(err, ERR_INVALID, errno, "%s cannot be given to %s: %s", path, user,
                             strerror(errno));
    *owner = of_user;
    return 0;
}

// Sandboxes cannot be made with the rights of that group.
static int refuse_group(const char *path, uid_t owner, struct err *err)
{
    const struct passwd *pw = getpwuid(owner);
    const char *name = pw ? pw->pw_name : "USER";
    return err_set(
        err, ERR_INVALID,
        "%s belongs to the group root; give it to a group of its owner's: chown -R %s: %s", path,
        name, path);
}

int data_enter(const char *path, bool create, const char *user, struct data_owner *ret_owner,
               struct err *err)
{
    struct stat st;
    if (create && mkdir(path, 0700) && errno != EEXIST)
        return err_set_errno(err, ERR_INVALID, errno, "%s cannot be made: %s", path,
                             strerror(errno));
    auto_fd int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st))
        return err_set_errno(err, errno == ENOENT ? ERR_NOT_FOUND : ERR_INVALID, errno,
                             "data folder %s: %s", path, strerror(errno));
    struct data_owner owner = {.uid = st.st_uid, .gid = st.st_gid};
    if (geteuid() == 0 && owner.uid == 0) {
        int rc = give_away(fd, path, user, &owner, err);
        if (rc)
            return rc;
    }
    if (geteuid() == 0 && owner.gid == 0)
        return refuse_group(path, owner.uid, err);
    if (geteuid() != 0 && geteuid() != owner.uid)
        return err_set(err, ERR_INVALID, "data folder %s belongs to another user", path);
    if (fchdir(fd))
        return err_set_errno(err, ERR_INVALID, errno, "data folder %s: %s", path, strerror(errno));
    *ret_owner = owner;
    return 0;
}

int data_drop_privileges(const struct data_owner *owner, struct err *err)
{
    if (geteuid() != 0)
        return 0;
    if (setgroups(0, NULL) || setresgid(owner->gid, owner->gid, owner->gid) ||
        setresuid(owner->uid, owner->uid, owner->uid))
        return err_set_errno(err, ERR_INTERNAL, errno, "root cannot be given up: %s",
                             strerror(errno));
    assert(setuid(0) != 0);
    return 0;
}

int data_make_folders(struct err *err)
{
    static const char *const folders[] = {"projects", "run", "images", "mail"};
    for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
        if (mkdir(folders[i], 0700) && errno != EEXIST)
            return err_set_errno(err, ERR_INTERNAL, errno,
                                 "%s cannot be made in the data folder: %s", folders[i],
                                 strerror(errno));
    }
    return 0;
}

// ---- Which database ----

#define DATABASE_FILE "run/database"
#define KIND_MAX      32

int data_note_database(const char *url, struct err *err)
{
    char name[sizeof DATABASE_FILE + 24]; // of this process's own
    snprintf(name, sizeof name, DATABASE_FILE ".%ld", (long)getpid());
    auto_fd int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    int rc = fd < 0 ? -errno : fd_write_all(fd, url, strcspn(url, ":"));
    if (!rc && rename(name, DATABASE_FILE))
        rc = -errno;
    return rc ? err_set_errno(err, ERR_INTERNAL, -rc, "cannot write to the data folder: %s",
                              strerror(-rc))
              : 0;
}

int data_check_database(const char *url, struct err *err)
{
    auto_buf struct buf kind = {0};
    auto_fd int fd = open(DATABASE_FILE, O_RDONLY | O_CLOEXEC);
    if (strcmp(url, DATA_DATABASE) || fd < 0 || fd_read_all(fd, KIND_MAX, &kind) ||
        !strcmp(buf_cstr(&kind), "sqlite"))
        return 0;
    return err_set(err, ERR_CONFLICT,
                   "the hub of this data folder uses %s; name its database by --database, "
                   "COHUB_DATABASE_URL or database.url in cohub.conf",
                   buf_cstr(&kind));
}
