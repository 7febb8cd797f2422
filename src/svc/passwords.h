// SPDX-License-Identifier: AGPL-3.0-or-later
// Passwords: argon2id by libsodium. Hashing takes tens of milliseconds and 64 MB; it belongs behind
// svc.hashing.
#ifndef SVC_PASSWORDS_H
#define SVC_PASSWORDS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

#define PASSWORD_HASH_SIZE 128

// NULL if the text may be a password (api-v1 2.5: 6 to 64 UTF-16 units), or what is wrong with it.
// A `password` of NULL stands for what is no text.
const char *password_problem(const char *password);
int password_hash(const char *password, char out[PASSWORD_HASH_SIZE], struct err *err) MUST_USE;
// The error of a caller for whom too many wait already.
int password_queue_full(struct err *err);
// ERR_UNAVAILABLE if the server ends: what waits for a hash then would keep it for a minute.
int password_closing(bool closing, struct err *err) MUST_USE;
bool password_verify(const char *hash, const char *password);

#endif
