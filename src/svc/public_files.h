// SPDX-License-Identifier: AGPL-3.0-or-later
// What strangers see of public paths (api-v1 6.3, 6.4): lists of folders, files, and folders as
// archives. Read by the hub itself; no project is started. docs/decisions/public_paths.md tells
// what links do.
#ifndef SVC_PUBLIC_FILES_H
#define SVC_PUBLIC_FILES_H

#include "svc/client_network.h"
#include "svc/public_paths.h"

struct public_request {
    // in; strings are the caller's until `done`
    struct uuid project_id;
    const char *path;
    const char *client;        // the caller's network address: what waits is bounded for each
    bool hidden, newest_first; // of a list, as are these:
    int64_t start;             // entries left out at its beginning; negative: from its end
    int64_t limit;             // at most so many; not positive: all
    struct buf *out;           // gets a JSON value, only to be used if rc is 0
    struct loop *loop;
    void (*done)(struct public_request *request); // perhaps before the call returns
    // out
    int rc;
    struct err err;
    bool not_public; // why it cannot be read
    // the service's
    char network[CLIENT_NETWORK_SIZE];
    struct public_list list; // of all that is public in the project
    struct work work;
};
// {"files":[…],"more":true}. ERR_NOT_FOUND "not_public" if nothing of the project is public.
void public_folder_list(struct svc *svc, struct db_session *session,
                        struct public_request *request);
// The text of a file, or the ZIP archive of a folder taken for text: invalid UTF-8 becomes U+FFFD.
void public_file_read(struct svc *svc, struct db_session *session, struct public_request *request);
void public_request_dispose(struct public_request *request);

// Whether what lies at a path is public wherever links may lead, for those who read it in another
// way; public_path_check sees the words alone. What does not exist is. On a worker.
int public_place_check(struct db_session *session, const struct uuid *project_id, const char *path,
                       bool *ret_public, struct err *err) MUST_USE;

#endif
