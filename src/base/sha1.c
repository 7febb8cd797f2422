// SPDX-License-Identifier: AGPL-3.0-or-later
#include "base/sha1.h"

#include <gnutls/crypto.h>
#include <sodium.h>

#include "base/macros.h"

void sha1_text(const void *bytes, size_t size, char ret_text[SHA1_TEXT_SIZE])
{
    unsigned char hash[(SHA1_TEXT_SIZE - 1) / 2];
    int rc = gnutls_hash_fast(GNUTLS_DIG_SHA1, bytes, size, hash);
    assert(rc == 0);
    sodium_bin2hex(ret_text, SHA1_TEXT_SIZE, hash, sizeof hash);
}
