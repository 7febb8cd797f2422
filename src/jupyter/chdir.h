// SPDX-License-Identifier: AGPL-3.0-or-later
// The statement that changes a kernel's folder, in its language (hub-rpc 7.2).
#ifndef JUPYTER_CHDIR_H
#define JUPYTER_CHDIR_H

#include <stdbool.h>

#include "base/buf.h"

// Appends it; nothing for languages that know no folders. False for a language that nobody has
// described.
bool chdir_write(struct buf *out, const char *language, const char *path);

#endif
