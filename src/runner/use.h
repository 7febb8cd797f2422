// SPDX-License-Identifier: AGPL-3.0-or-later
// That a process has calls under way in a project, which others on the same data folder must not
// stop for being idle: a shared lock (flock) on the folder run/UUID, which ends with its holder.
#ifndef RUNNER_USE_H
#define RUNNER_USE_H

#include <stdbool.h>

#include "base/uuid.h"

// A descriptor to be closed when nothing is under way any more; -1 when none could be had.
int project_use_begin(const struct uuid *project_id);
// Whether another holds one. Not to be asked by who does.
bool project_used_elsewhere(const struct uuid *project_id);

#endif
