// SPDX-License-Identifier: AGPL-3.0-or-later
// Numbers and random names as text, without stdio.
#include <sys/random.h>

#include "agent/agent.h"

char *text_put_number(char *out, uint64_t value)
{
    char digits[20];
    unsigned count = 0;
    do
        digits[count++] = (char)('0' + value % 10);
    while (value /= 10);
    while (count)
        *out++ = digits[--count];
    return out;
}

char *text_put_random(char *out, unsigned count)
{
    static const char letters[32] = "abcdefghijkmnpqrstuvwxyz23456789";
    uint8_t random[32] = {0};
    assert(count <= sizeof random);
    ssize_t got = getrandom(random, count, GRND_NONBLOCK);
    (void)got; // names are made with O_EXCL: random letters only keep them from being guessed
    for (unsigned i = 0; i < count; i++)
        *out++ = letters[random[i] % sizeof letters];
    return out;
}
