// SPDX-License-Identifier: AGPL-3.0-or-later
// Histories of files that are edited together (hub-rpc 2.5): what is known of the file, and its
// patches in the order in which they came.
//
// They are the tables syncstrings and patches. A patch is appended in one transaction that counts
// syncstrings.last_seq up and takes its new value, so that two never get the same number.
#ifndef SVC_HISTORY_H
#define SVC_HISTORY_H

#include "base/buf.h"
#include "base/uuid.h"
#include "db/db.h"

// Which patches of which file.
struct history {
    struct uuid project_id;
    const char *path;
    int64_t start_seq, end_seq; // the first and the last patch; INT64_MAX: to the end
};
// Appends {"patches", "info"}. It may read much. ERR_TOO_LARGE, with an end_seq that would do, for
// more than LIMIT_HISTORY_RESULT.
int history_write(struct db_session *session, const struct history *history, struct buf *out,
                  struct err *err) MUST_USE;

#endif
