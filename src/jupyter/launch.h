// SPDX-License-Identifier: AGPL-3.0-or-later
// Starting programs from a process with threads: by posix_spawn of this program itself, which then
// makes its process what the kernel's shall be (it dies with the bridge, has its folder and only
// three descriptors) and becomes the kernel's program.
#ifndef JUPYTER_LAUNCH_H
#define JUPYTER_LAUNCH_H

#include <sys/types.h>

#include "base/macros.h"

struct launch {
    char *const *argv;
    char *const *env;
    const char *folder;
    int stderr_fd;
};

// Starts a program in a session of its own. 0 and its process, or an errno.
int launch(const struct launch *launch, pid_t *ret_pid) MUST_USE;
// Removes a folder with all that is in it, in a process of its own that is not waited for.
void launch_removal(const char *folder);

// The other side, for main: -1 if the arguments are not for it, otherwise the exit status.
int launch_main(int argc, char **argv);

#endif
