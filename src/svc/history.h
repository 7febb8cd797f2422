// SPDX-License-Identifier: AGPL-3.0-or-later
// Histories of files that are edited together (hub-rpc 2.5): what is known of the file, and its
// patches in the order in which they came.
//
// They are the tables syncstrings and patches. A patch is appended in one transaction that counts
// syncstrings.last_seq up and takes its new value, so that two never get the same number.
#ifndef SVC_HISTORY_H
#define SVC_HISTORY_H

#include "base/buf.h"
#include "base/sha1.h"
#include "svc/svc.h"

struct history {
    // in; what it points to is the caller's until `done`
    struct uuid project_id;
    const char *path;
    int64_t start_seq, end_seq; // the first and the last patch; INT64_MAX: to the end
    const char *owner;          // whom it is read for
    struct loop *loop;
    void (*done)(struct history *history);
    // out
    int rc;
    struct err err;
    struct buf result; // {"patches", "info"}; to be freed
    // the service's
    struct svc *svc;
    char string_id[SHA1_TEXT_SIZE];
    struct work work;
};
// Reads on a worker. ERR_TOO_LARGE, with an end_seq that would do, for more than
// LIMIT_HISTORY_RESULT; ERR_RATE_LIMITED if too much waits for the owner.
void history_read(struct svc *svc, struct history *history);

#endif
