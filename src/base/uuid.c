// SPDX-License-Identifier: AGPL-3.0-or-later
#include "base/uuid.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "base/macros.h"

// Random bytes come from the kernel in batches, a batch a thread: one system call for many
// identifiers.
static void random_bytes(unsigned char *out, size_t size)
{
    static _Thread_local unsigned char pool[1024];
    static _Thread_local size_t left;
    assert(size <= sizeof pool);
    if (left < size) {
        for (size_t got = 0; got < sizeof pool;) { // a signal may cut a large request short
            ssize_t n = getrandom(pool + got, sizeof pool - got, 0);
            assert(n > 0 || errno == EINTR);
            got += n > 0 ? (size_t)n : 0;
        }
        left = sizeof pool;
    }
    left -= size;
    memcpy(out, pool + left, size);
    explicit_bzero(pool + left, size);
}

struct uuid uuid_new(void)
{
    static const char hex[] = "0123456789abcdef";
    unsigned char bytes[16];
    random_bytes(bytes, sizeof bytes);
    bytes[6] = (unsigned char)((bytes[6] & 0x0f) | 0x40);
    bytes[8] = (unsigned char)((bytes[8] & 0x3f) | 0x80);
    struct uuid u;
    char *p = u.text;
    for (size_t i = 0; i < sizeof bytes; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *p++ = '-';
        *p++ = hex[bytes[i] >> 4];
        *p++ = hex[bytes[i] & 15];
    }
    *p = '\0';
    return u;
}

bool uuid_parse(const char *text, size_t size, struct uuid *ret_uuid)
{
    if (size != UUID_LEN)
        return false;
    struct uuid u;
    for (size_t i = 0; i < UUID_LEN; i++) {
        unsigned char c = (unsigned char)text[i];
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash ? c != '-' : !isxdigit(c))
            return false;
        u.text[i] = (char)tolower(c);
    }
    u.text[UUID_LEN] = '\0';
    if (ret_uuid)
        *ret_uuid = u;
    return true;
}

bool uuid_equal(const struct uuid *a, const struct uuid *b)
{
    return !memcmp(a->text, b->text, UUID_LEN);
}

// Numbers beyond the alphabet are drawn again, so that every character is equally likely.
static void fill_random(char *token, size_t size, const char *alphabet, size_t letters)
{
    for (size_t i = 0; i < size;) {
        unsigned char byte;
        random_bytes(&byte, 1);
        byte &= 63;
        if (byte < letters)
            token[i++] = alphabet[byte];
    }
    token[size] = '\0';
}

#define LOWER "abcdefghijklmnopqrstuvwxyz0123456789"

void token_random(char *token, size_t size)
{
    static const char alphabet[] = LOWER "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    fill_random(token, size, alphabet, sizeof alphabet - 1);
}

void token_random_lower(char *token, size_t size)
{
    fill_random(token, size, LOWER, sizeof LOWER - 1);
}
