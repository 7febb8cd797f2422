// SPDX-License-Identifier: AGPL-3.0-or-later
// What the files about homes do for each other.
#ifndef SVC_HOME_INTERNAL_H
#define SVC_HOME_INTERNAL_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/macros.h"

// Removes a name from a folder, with all that is below it (home_remove.c). No link is followed.
// That there is none is a success; -ECANCELED when *stop was set meanwhile. Blocking.
int home_remove(int folder, const char *name, const _Atomic bool *stop) MUST_USE;

#endif
