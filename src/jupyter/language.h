// SPDX-License-Identifier: AGPL-3.0-or-later
// What is said to kernels in their own languages.
#ifndef JUPYTER_LANGUAGE_H
#define JUPYTER_LANGUAGE_H

#include <stdbool.h>

#include "base/buf.h"

// Appends the statement that changes the folder (hub-rpc 7.2); nothing for languages that know no
// folders. False for a language that nobody has described.
bool language_write_chdir(struct buf *out, const char *language, const char *path);

// Code that changes nothing but has the kernel load what it would load for its first result, while
// nobody waits. NULL if none is known.
const char *language_warm_up(const char *language);

#endif
