// SPDX-License-Identifier: AGPL-3.0-or-later
// For public_files.c, public_home.c and public_listing.c: on a worker.
#ifndef SVC_PUBLIC_FILES_INTERNAL_H
#define SVC_PUBLIC_FILES_INTERNAL_H

#include "svc/public_files.h"

struct public_home {
    const struct public_request *request;
    int fd;                    // negative errno: there is no home
    struct public_list places; // where the public paths really lie, once somebody asked
    bool places_known;
};
void public_home_enter(const struct public_request *request, struct public_home *ret_home);
void public_home_leave(struct public_home *home);

int public_home_fail_outside(const struct public_home *home, struct err *err) MUST_USE;
// Whether what was opened lies where something is public, whatever links led there.
bool public_home_is_public(struct public_home *home, int fd) MUST_USE;

// Writes the list of a folder to request->out.
int public_listing_make(struct public_request *request) MUST_USE;

#endif
