// SPDX-License-Identifier: AGPL-3.0-or-later
// The data folder, and whom the process works as.
//
// The owner of the folder is who the hub runs as: a process of root gives its rights up for that
// user's. The folders above may be closed to the owner, so the process enters the folder while it
// may and names everything in it by relative paths from then on.
#ifndef SERVER_DATA_H
#define SERVER_DATA_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"

struct data_owner {
    uid_t uid;
    gid_t gid;
};

// Makes `path` the working directory. With `create`, a folder that is not there is made; as root it
// then belongs to `user`. ERR_NOT_FOUND without `create`; ERR_INVALID if root owns a folder that is
// not empty, or `user` does not exist.
int data_enter(const char *path, bool create, const char *user, struct data_owner *ret_owner,
               struct err *err) MUST_USE;
// Whom a folder that `user` gets would belong to. ERR_INVALID if there is no such user, or it is
// root.
int data_owner_find(const char *user, struct data_owner *ret_owner, struct err *err) MUST_USE;
// Gives root up for good; nothing happens in a process that has no root.
int data_drop_privileges(const struct data_owner *owner, struct err *err) MUST_USE;
// Makes the folders that the data folder has (projects, run, images, mail), as the owner.
int data_make_folders(struct err *err) MUST_USE;

#define DATA_DATABASE "sqlite:hub.sqlite3" // where nobody says anything else, in the data folder
// Notes in the data folder which kind of database the hub uses that `url` names.
int data_note_database(const char *url, struct err *err) MUST_USE;
// ERR_CONFLICT if `url` is DATA_DATABASE, but the hub that served the folder last used a database
// of another kind: whoever forgot to name that one would read and write what no hub looks at.
int data_check_database(const char *url, struct err *err) MUST_USE;

#endif
