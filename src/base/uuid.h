// SPDX-License-Identifier: AGPL-3.0-or-later
// UUIDs as 36-character lower-case text, and random tokens.
#ifndef BASE_UUID_H
#define BASE_UUID_H

#include <stdbool.h>
#include <stddef.h>

#define UUID_LEN 36

struct uuid {
    char text[UUID_LEN + 1];
};

// A random version-4 UUID.
struct uuid uuid_new(void);
// True when the text of `size` bytes is a UUID (hexadecimal 8-4-4-4-12, either case); then
// *ret_uuid (may be NULL) is it in lower case.
bool uuid_parse(const char *text, size_t size, struct uuid *ret_uuid);
bool uuid_equal(const struct uuid *a, const struct uuid *b);

// Fills token[0..size) with random characters of A-Za-z0-9 and a NUL behind them.
void token_random(char *token, size_t size);
// The same of a-z0-9.
void token_random_lower(char *token, size_t size);

#endif
