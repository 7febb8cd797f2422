// SPDX-License-Identifier: AGPL-3.0-or-later
#include "svc/passwords.h"

#include <sodium.h>
#include <string.h>

#include "base/limits.h"
#include "base/text.h"

_Static_assert(PASSWORD_HASH_SIZE >= crypto_pwhash_STRBYTES, "libsodium's hash text fits");

const char *password_problem(const char *password)
{
    if (!password)
        return "Password must be specified.";
    size_t units = utf8_utf16_len(password, strlen(password));
    if (units < LIMIT_PASSWORD_MIN || units > LIMIT_PASSWORD_MAX)
        return "Password must be between 6 and 64 characters in length.";
    return NULL;
}

int password_queue_full(struct err *err)
{
    return err_set(err, ERR_RATE_LIMITED,
                   "too many of your calls with a password are under way; try again later");
}

int password_closing(bool closing, struct err *err)
{
    return closing ? err_set(err, ERR_UNAVAILABLE, ERR_CLOSING_TEXT) : 0;
}

int password_hash(const char *password, char out[PASSWORD_HASH_SIZE], struct err *err)
{
    if (crypto_pwhash_str(out, password, strlen(password), crypto_pwhash_OPSLIMIT_INTERACTIVE,
                          crypto_pwhash_MEMLIMIT_INTERACTIVE))
        return err_set(err, ERR_UNAVAILABLE, "out of memory for hashing a password");
    return 0;
}

bool password_verify(const char *hash, const char *password)
{
    return crypto_pwhash_str_verify(hash, password, strlen(password)) == 0;
}
