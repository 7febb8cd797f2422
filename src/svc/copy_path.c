// SPDX-License-Identifier: AGPL-3.0-or-later
#include <string.h>

#include "base/limits.h"
#include "base/text.h"
#include "proto/copy.h"
#include "svc/copies.h"
#include "svc/project.h"

static int leads_out(enum copy_end end, const char *path, const char *home, struct err *err)
{
    if (end == COPY_SOURCE)
        return err_set(err, ERR_INVALID,
                       "source path (=%.200s) must be contained in project_path (=/%s)", path,
                       home);
    return err_set(err, ERR_INVALID,
                   "target path (=%.200s) must be contained in target project path (=/%s)", path,
                   home);
}

// The path below the home, NULL for an absolute one that is elsewhere.
static const char *below_home(const char *path, const char *home)
{
    const size_t size = strlen(home);
    if (path[0] != '/')
        return path;
    path += strspn(path, "/");
    if (strncmp(path, home, size) || (path[size] && path[size] != '/'))
        return NULL;
    return path + size + strspn(path + size, "/");
}

// False when ".." leads above where it began.
static bool normalise(const char *path, size_t size, struct buf *out)
{
    for (const char *end = path + size; path < end;) {
        const char *slash = memchr(path, '/', (size_t)(end - path));
        const size_t length = (size_t)((slash ? slash : end) - path);
        if (length == 2 && !memcmp(path, "..", 2)) {
            if (!out->size)
                return false;
            while (out->size && out->data[--out->size] != '/')
                ;
        } else if (length && !(length == 1 && *path == '.')) {
            if (out->size)
                buf_append_char(out, '/');
            buf_append(out, path, length);
        }
        path += length + (slash != NULL);
    }
    return true;
}

// The folder that a target is put into is made first, so it is looked at first.
static int check_parent(const char *path, const char *inside, const char *home, struct err *err)
{
    const char *slash = strrchr(path, '/');
    auto_buf struct buf parent = {0};
    const bool above =
        inside ? strrchr(inside, '/') &&
                     !normalise(inside, (size_t)(strrchr(inside, '/') - inside), &parent)
               : slash != NULL;
    if (!above)
        return 0;
    return err_set(err, ERR_INVALID, "path (=%.*s) must be contained in project path /%s",
                   (int)(slash - path < 200 ? slash - path : 200), path, home);
}

int copy_path_resolve(enum copy_end end, const struct uuid *project_id, const char *path,
                      struct buf *out, struct err *err)
{
    char home[PROJECT_HOME_SIZE];
    project_home(project_id, home);
    const size_t size = strlen(path);
    if (size > LIMIT_COPY_PATH)
        return err_set(err, ERR_INVALID, "a path must have at most %d bytes", LIMIT_COPY_PATH);
    const char *inside = below_home(path, home);
    const int rc = end == COPY_TARGET ? check_parent(path, inside, home, err) : 0;
    if (rc)
        return rc;
    if (!inside || !normalise(inside, strlen(inside), out))
        return leads_out(end, path, home, err);
    if (end == COPY_TARGET && out->size && path[size - 1] == '/')
        buf_append_char(out, '/');
    return 0;
}

// A copy's error is a text by the time that somebody else's hub tells of it.
enum copy_failure copy_failure_of(const struct err *err)
{
    if (text_has_prefix(err->message, "rsync: link_stat \"") &&
        strstr(err->message, "failed: No such file or directory (2)"))
        return COPY_FAILED_NO_SOURCE;
    if (!strcmp(err->message, COPY_LEADS_OUT))
        return COPY_FAILED_TARGET_OUTSIDE;
    return text_has_prefix(err->message, "rsync") || strstr(err->message, "\nrsync")
               ? COPY_FAILED_RSYNC
               : COPY_FAILED_OTHERWISE;
}
