// SPDX-License-Identifier: AGPL-3.0-or-later
// Content codings: compressed request bodies in, compressed answers out (zlib).
#ifndef HTTP_CODING_H
#define HTTP_CODING_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"

// Replaces `body` by what it encodes. `encoding` is the Content-Encoding: "gzip", "deflate" or
// "identity". ERR_INVALID for another one or broken data; ERR_TOO_LARGE when the result has more
// than `size_max` bytes.
int coding_inflate(const char *encoding, struct buf *body, size_t size_max,
                   struct err *err) MUST_USE;

// A smaller answer is not worth it: the saving would be less than a packet.
#define CODING_SIZE_MIN ((size_t)1024)
// A larger one would keep the loop from its other clients meanwhile.
#define CODING_SIZE_MAX ((size_t)1024 * 1024)

// Whether an Accept-Encoding (may be NULL) lets an answer be gzip.
bool coding_accepts_gzip(const char *accept);
// Replaces `body` by its gzip form if that is worth it; false and unchanged if not.
bool coding_gzip(struct buf *body);

#endif
