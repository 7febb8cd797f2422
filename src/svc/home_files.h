// SPDX-License-Identifier: AGPL-3.0-or-later
// What is done to the files of a home from outside (hub-rpc 6.7): listed, removed, moved, found.
//
// The hub does it itself, by descriptors of folders that the kernel finds with the home as their
// bound; the last name of a path is never followed. So nothing outside of the home is reached,
// whatever links the project makes meanwhile.
#ifndef SVC_HOME_FILES_H
#define SVC_HOME_FILES_H

#include "base/buf.h"
#include "svc/svc.h"

enum home_action {
    HOME_LIST,    // paths[0]: its entries as a JSON array; those that begin with a dot if `hidden`
    HOME_REMOVE,  // all in the folders among them too; what is missing is no error
    HOME_MOVE,    // into the folder `dest`; nothing is replaced
    HOME_RENAME,  // paths[0] to `dest`, which must not be there
    HOME_RESOLVE, // a JSON array: the paths relative to the home, links resolved; those that lead
                  // out of it as they are, and if `lenient` those that lead nowhere
};

struct home_op {
    // in; texts are the caller's until `done`. Paths are relative to the home, or absolute in the
    // sandbox and below it
    struct uuid project_id;
    enum home_action action;
    const char *const *paths;
    size_t paths_count;
    const char *dest;
    bool hidden, lenient;
    struct loop *loop;
    void (*done)(struct home_op *op);
    // out. A system call that failed gives err.sys_errno and a text like that of Node.js
    int rc;
    struct err err;
    struct buf result;
    // the service's
    struct svc *svc;
    struct work work;
};
void home_op_run(struct svc *svc, struct home_op *op);
void home_op_dispose(struct home_op *op);

#endif
