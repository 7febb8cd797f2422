// SPDX-License-Identifier: AGPL-3.0-or-later
// The system calls that sandboxes must do without.
#ifndef RUNNER_SECCOMP_H
#define RUNNER_SECCOMP_H

#include "base/err.h"
#include "base/macros.h"

// Compiles the filter into a fresh memory file, as bubblewrap's --seccomp reads it. Read it through
// a new open of /proc/self/fd/N, as all copies of a descriptor share one offset.
int seccomp_compile(int *ret_fd, struct err *err) MUST_USE;

#endif
