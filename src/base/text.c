// SPDX-License-Identifier: AGPL-3.0-or-later
#include "base/text.h"

#include <ctype.h>
#include <errno.h>
#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <wctype.h>

// Looks at one character at s[0..size). Returns its length if it is valid; otherwise 0, with
// *ret_skip the length of the maximal invalid sequence.
static size_t utf8_char(const unsigned char *s, size_t size, size_t *ret_skip)
{
    unsigned char c = s[0];
    size_t len;
    unsigned char low = 0x80, high = 0xbf; // the range of the second byte
    if (c < 0x80)
        return 1;
    *ret_skip = 1;
    if (c >= 0xc2 && c <= 0xdf) {
        len = 2;
    } else if (c >= 0xe0 && c <= 0xef) {
        len = 3;
        low = c == 0xe0 ? 0xa0 : 0x80;
        high = c == 0xed ? 0x9f : 0xbf;
    } else if (c >= 0xf0 && c <= 0xf4) {
        len = 4;
        low = c == 0xf0 ? 0x90 : 0x80;
        high = c == 0xf4 ? 0x8f : 0xbf;
    } else {
        return 0;
    }
    for (size_t i = 1; i < len; i++) {
        if (i >= size || s[i] < low || s[i] > high) {
            *ret_skip = i;
            return 0;
        }
        low = 0x80;
        high = 0xbf;
    }
    return len;
}

// A length within the run of ASCII that the text begins with; eight bytes are looked at together.
static size_t ascii_len(const char *s, size_t size)
{
    size_t len = 0;
    for (uint64_t word; len + sizeof word <= size; len += sizeof word) {
        memcpy(&word, s + len, sizeof word);
        if (word & UINT64_C(0x8080808080808080))
            break;
    }
    return len;
}

bool utf8_valid(const char *s, size_t size)
{
    const unsigned char *p = (const unsigned char *)s;
    for (size_t i = ascii_len(s, size), skip; i < size;) {
        size_t len = utf8_char(p + i, size - i, &skip);
        if (!len)
            return false;
        i += len;
        i += ascii_len(s + i, size - i);
    }
    return true;
}

void utf8_append_lossy(struct buf *out, const char *s, size_t size)
{
    const unsigned char *p = (const unsigned char *)s;
    size_t start = 0;
    for (size_t i = 0, skip; i < size;) {
        size_t len = utf8_char(p + i, size - i, &skip);
        if (len) {
            i += len;
            continue;
        }
        buf_append(out, s + start, i - start);
        buf_append_str(out, "\xef\xbf\xbd");
        i += skip;
        start = i;
    }
    buf_append(out, s + start, size - start);
}

// What is written for an invalid sequence: nothing for a character that has begun.
static const char *stand_in(unsigned char first)
{
    return first >= 0xc2 && first <= 0xf4 ? "" : "\xef\xbf\xbd";
}

void utf8_copy(char *out, size_t out_size, const char *s)
{
    const unsigned char *p = (const unsigned char *)s;
    size_t used = 0;
    for (size_t i = 0, left = strlen(s), skip = 0; left;) {
        const size_t len = utf8_char(p + i, left, &skip);
        const char *piece = len ? s + i : stand_in(p[i]);
        const size_t size = len ? len : strlen(piece), step = len ? len : skip;
        if (used + size >= out_size)
            break;
        memcpy(out + used, piece, size);
        used += size;
        i += step;
        left -= step;
    }
    out[used] = '\0';
}

size_t utf8_prefix_utf16(const char *s, size_t size, size_t units, size_t *ret_units)
{
    size_t i = 0, used = 0;
    while (i < size) {
        unsigned char c = (unsigned char)s[i];
        size_t len = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
        size_t need = len == 4 ? 2 : 1;
        if (used + need > units)
            break;
        used += need;
        i += len;
    }
    if (ret_units)
        *ret_units = used;
    return i;
}

size_t utf8_utf16_len(const char *s, size_t size)
{
    size_t units;
    utf8_prefix_utf16(s, size, SIZE_MAX, &units);
    return units;
}

bool text_has_prefix(const char *s, const char *prefix)
{
    return !strncmp(s, prefix, strlen(prefix));
}

bool text_is_one_of(const char *s, const char *const *list)
{
    while (*list && strcmp(s, *list))
        list++;
    return *list;
}

void text_lower(char *s)
{
    for (; *s; s++)
        *s = (char)(*s >= 'A' && *s <= 'Z' ? *s - 'A' + 'a' : *s);
}

#define REPLACEMENT 0xfffd

static locale_t unicode;
static pthread_once_t unicode_once = PTHREAD_ONCE_INIT;

static void open_unicode(void)
{
    unicode = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    assert(unicode); // built into the C library
}

// The code point of the valid UTF-8 character at s, of `len` bytes.
static uint32_t code_point(const unsigned char *s, size_t len)
{
    static const unsigned char lead_bits[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    uint32_t c = s[0] & lead_bits[len];
    for (size_t i = 1; i < len; i++)
        c = c << 6 | (s[i] & 0x3f);
    return c;
}

static void append_code_point(struct buf *out, uint32_t c)
{
    static const unsigned char leads[] = {0, 0, 0xc0, 0xe0, 0xf0};
    size_t len = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    buf_append_char(out, (char)(leads[len] | c >> 6 * (len - 1)));
    for (size_t i = len - 1; i-- > 0;)
        buf_append_char(out, (char)(0x80 | (c >> 6 * i & 0x3f)));
}

void text_append_lower(struct buf *out, const char *s)
{
    const unsigned char *p = (const unsigned char *)s;
    size_t size = strlen(s);
    pthread_once(&unicode_once, open_unicode);
    for (size_t i = 0, skip; i < size;) {
        size_t len = utf8_char(p + i, size - i, &skip);
        uint32_t c = len ? code_point(p + i, len) : REPLACEMENT;
        append_code_point(out, (uint32_t)towlower_l((wint_t)c, unicode));
        i += len ? len : skip;
    }
}

bool text_is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

int text_hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

void text_append_htmln(struct buf *out, const char *s, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        const char *entity = s[i] == '&'    ? "&amp;"
                             : s[i] == '<'  ? "&lt;"
                             : s[i] == '>'  ? "&gt;"
                             : s[i] == '"'  ? "&quot;"
                             : s[i] == '\'' ? "&#39;"
                                            : NULL;
        if (entity)
            buf_append_str(out, entity);
        else
            buf_append_char(out, s[i]);
    }
}

void text_append_html(struct buf *out, const char *s)
{
    text_append_htmln(out, s, strlen(s));
}

void text_append_percent(struct buf *out, const char *s)
{
    for (; *s; s++) {
        if (isalnum((unsigned char)*s) || strchr("-._~", *s))
            buf_append_char(out, *s);
        else
            buf_printf(out, "%%%02X", (unsigned char)*s);
    }
}

bool text_parse_int64(const char *s, int64_t min, int64_t max, int64_t *ret_value)
{
    if (!isdigit((unsigned char)s[*s == '-']))
        return false;
    char *end;
    errno = 0;
    long long value = strtoll(s, &end, 10);
    if (errno || *end || value < min || value > max)
        return false;
    *ret_value = value;
    return true;
}

bool text_parse_double(const char *s, double *ret_value)
{
    if (!*s || strspn(s, "0123456789.eE+-") != strlen(s))
        return false;
    char *end;
    double value = strtod(s, &end);
    if (*end || !isfinite(value))
        return false;
    *ret_value = value;
    return true;
}
