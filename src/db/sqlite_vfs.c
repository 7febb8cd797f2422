// SPDX-License-Identifier: AGPL-3.0-or-later
// SQLite's own VFS for Unix makes every path absolute, and so needs rights on all folders above the
// database. This one is that VFS, but leaves paths as they are: a process that was put into its
// data folder goes on working when it may not reach that folder by name. The price is that the
// working directory must not change while a database is open.
#include <string.h>

#include "db/sqlite_internal.h"

static sqlite3_vfs relative_vfs;

static int keep_path(sqlite3_vfs *vfs UNUSED, const char *path, int size, char *ret_path)
{
    size_t needed = strlen(path) + 1;
    if (needed > (size_t)size)
        return SQLITE_CANTOPEN;
    memcpy(ret_path, path, needed);
    return SQLITE_OK;
}

static void init(void)
{
    // Counting allocated bytes would take a lock at every allocation of every session.
    (void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    const sqlite3_vfs *unix_vfs = sqlite3_vfs_find("unix");
    assert(unix_vfs);
    relative_vfs = *unix_vfs;
    relative_vfs.zName = "unix-relative";
    relative_vfs.xFullPathname = keep_path;
    int rc = sqlite3_vfs_register(&relative_vfs, 0);
    assert(rc == SQLITE_OK);
}

const char *sqlite_vfs_name(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, init);
    return relative_vfs.zName;
}
