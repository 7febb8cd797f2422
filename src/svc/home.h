// SPDX-License-Identifier: AGPL-3.0-or-later
// The home of a project, as the hub itself enters it: the kernel resolves every path with the home
// as its bound.
#ifndef SVC_HOME_H
#define SVC_HOME_H

#include "base/macros.h"
#include "base/uuid.h"

// A descriptor that only finds things (O_PATH), or a negative errno.
int home_open(const struct uuid *project_id) MUST_USE;
// Opens something below the home, "" being the home itself. -EXDEV when the path leads out of it.
int home_open_beneath(int home, const char *path, int flags) MUST_USE;

#endif
