// SPDX-License-Identifier: AGPL-3.0-or-later
// What sandboxes see as /etc.
//
// Each mount costs a start 60 to 120 us, and programs need some twenty parts of the system's /etc.
// So these parts are copied once into a folder run/etc-N, together with files of our own for users,
// groups and hosts, and a sandbox gets that folder in one read-only mount. It also takes up memory
// once for all. The copy is made with the rights of the unprivileged user, so it holds nothing that
// is not for everybody to read.
//
// N is a hash of what was copied. At each start a few folders are looked at, and when one has
// changed (a package was installed), a new copy is made; the old one stays for those who use it.
#ifndef RUNNER_ETC_H
#define RUNNER_ETC_H

#include <stdint.h>

#include "base/err.h"

struct etc_copy {
    uint64_t seen; // hash of those folders at the last look, 0: never
    char path[40]; // run/etc-N
};

// Brings `copy` up to date with the /etc below `root_fd`, a folder that is the root of a system.
// The working directory is the data folder.
int etc_update(int root_fd, struct etc_copy *copy, struct err *err) MUST_USE;

// Removes the copies, unless another process may be about to use one; only when no sandbox runs.
void etc_remove_all(void);

#endif
