// SPDX-License-Identifier: AGPL-3.0-or-later
// SHA-1, which the contract makes ids of. It proves nothing: two texts with one sum can be found.
#ifndef BASE_SHA1_H
#define BASE_SHA1_H

#include <stddef.h>

#define SHA1_TEXT_SIZE (2 * 20 + 1)

// In hexadecimal digits (small letters), which end in NUL.
void sha1_text(const void *bytes, size_t size, char ret_text[SHA1_TEXT_SIZE]);

#endif
