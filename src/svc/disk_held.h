// SPDX-License-Identifier: AGPL-3.0-or-later
// Files that have no name any more and still take room, as processes of a running project hold them
// open. They are found by the descriptors of all its threads, each of which may have its own: in
// the sandbox's own /proc, which shows nobody else's. Not found are those that no descriptor that
// the hub may look at leads to: mapped into memory only, on their way through a socket, or held by
// a process that has forbidden others to look at it.
#ifndef SVC_DISK_HELD_H
#define SVC_DISK_HELD_H

#include "base/uuid.h"
#include "svc/disk_walk.h"

// Of `walk`, which has looked into the project's home, the folder tells the file system, the
// deadline and `stop` count on, and names_max bounds the descriptors. *ret_bytes is what such files
// take of that file system, 0 if the project does not run. Blocking.
void disk_held(const struct uuid *project_id, const struct disk_walk *walk, int64_t *ret_bytes,
               enum disk_walk_end *ret_end);

#endif
