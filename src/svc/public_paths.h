// SPDX-License-Identifier: AGPL-3.0-or-later
// Public paths (api-v1 section 6): what anybody may list, read and copy.
#ifndef SVC_PUBLIC_PATHS_H
#define SVC_PUBLIC_PATHS_H

#include "svc/svc.h"

// Whether a path, relative to the home, is public by the rules of 6.1.
int public_path_check(struct db_session *session, const struct uuid *project_id, const char *path,
                      bool *ret_public, struct err *err) MUST_USE;

struct public_path {
    struct uuid project_id;
    const char *path;                  // relative to the home; slashes at its end are dropped
    const char *description, *license; // NULL: left as they are
    bool disabled, unlisted;
};
// In a transaction: adds or changes the record (6.2). ERR_INVALID for a path that leads out of the
// home.
int public_path_set(struct db_session *txn, const struct public_path *path,
                    struct err *err) MUST_USE;

#endif
