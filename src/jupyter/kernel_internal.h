// SPDX-License-Identifier: AGPL-3.0-or-later
// The parts of a kernel that are not its life: its files, its program, its standard error.
#ifndef JUPYTER_KERNEL_INTERNAL_H
#define JUPYTER_KERNEL_INTERNAL_H

#include "base/err.h"
#include "jupyter/kernel.h"

// What is run for it: arguments and environment, which end with NULL.
struct kernel_program {
    char **argv;
    char **env;
};

// Makes the connection file and the folder where it starts.
int kernel_files_make(const struct kernel *k, struct err *err) MUST_USE;
// Removes these and the sockets.
void kernel_files_remove(const struct kernel *k);
// Kernels differ in what stands between a socket's path and its number: '-' or ':'. 0 while there
// is no socket.
char kernel_files_separator(const struct kernel *k);

void kernel_program_init(struct kernel_program *ret_program, const struct kernel *k);
void kernel_program_dispose(struct kernel_program *program);

// Takes what is there, keeping the end of all.
void kernel_stderr_read(struct kernel *k);
// Appends line break, "...", line break and the end of what was read, if there is any.
void kernel_stderr_write(const struct kernel *k, struct buf *out);

#endif
