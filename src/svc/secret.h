// SPDX-License-Identifier: AGPL-3.0-or-later
// The server's secret: what API keys are hashed with and what sealed keys are opened with. It lies
// beside the database, not in it.
#ifndef SVC_SECRET_H
#define SVC_SECRET_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"

#define SECRET_SIZE          32
#define SECRET_HASH_TEXT_LEN 64

struct secret {
    unsigned char *key; // SECRET_SIZE bytes, in locked memory where the system allows it
};

// Reads secret.key in the working directory, or makes it with mode 0600, which *ret_made tells.
// ERR_INVALID if it is no key.
int secret_load(struct secret *secret, bool *ret_made, struct err *err) MUST_USE;
void secret_dispose(struct secret *secret);

// The keyed hash of a token (BLAKE2b) as hexadecimal text.
void secret_hash(const struct secret *secret, const char *token, size_t size,
                 char out[SECRET_HASH_TEXT_LEN + 1]);
// Encrypts a short text, as base64; and back. Opening fails with ERR_INTERNAL when the text was not
// sealed by this secret.
void secret_seal(const struct secret *secret, const char *text, struct buf *out);
int secret_open(const struct secret *secret, const char *sealed, struct buf *out,
                struct err *err) MUST_USE;

#endif
