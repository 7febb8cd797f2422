// SPDX-License-Identifier: AGPL-3.0-or-later
// The home of a project, as the hub itself enters it: the kernel resolves every path with the home
// as its bound.
#ifndef SVC_HOME_H
#define SVC_HOME_H

#include <stdbool.h>

#include "base/limits.h"
#include "base/macros.h"
#include "base/uuid.h"

// A descriptor that only finds things (O_PATH), or a negative errno.
int home_open(const struct uuid *project_id) MUST_USE;
// Opens something below the home, "" being the home itself. -EXDEV when the path leads out of it.
int home_open_beneath(int home, const char *path, int flags) MUST_USE;
// True for a path that leads out of the home by its words.
bool home_path_leads_out(const char *path);
// The path relative to the home, whether it is that or absolute in the sandbox; NULL when it is
// absolute and elsewhere.
const char *home_path_relative(const struct uuid *project_id, const char *path);
// Where something that is open really lies, relative to the home. NULL if that is not below it, or
// cannot be told.
const char *home_place(int home, int fd, char out[LIMIT_PATH]);

#endif
