// SPDX-License-Identifier: AGPL-3.0-or-later
// UTF-8 and the small questions about text that several layers ask.
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

// True when the bytes are UTF-8 as Unicode defines it: no overlong forms, no surrogates, nothing
// above U+10FFFF.
bool utf8_valid(const char *s, size_t size);
// Appends the bytes as UTF-8, each maximal invalid sequence replaced by U+FFFD (as the WHATWG
// decoder does).
void utf8_append_lossy(struct buf *out, const char *s, size_t size);
// Copies text as UTF-8, as much as there is room for. A character that has been cut, here or
// before, is left out; what else is invalid becomes U+FFFD.
void utf8_copy(char *out, size_t out_size, const char *s);
// The number of bytes of valid UTF-8 text that make its first `units` UTF-16 units (all of them if
// there are fewer); a character of two units is never split. *ret_units (may be NULL) is how many
// UTF-16 units those bytes are.
size_t utf8_prefix_utf16(const char *s, size_t size, size_t units, size_t *ret_units);
// The length of valid UTF-8 text in UTF-16 units, which is what JavaScript calls its length.
size_t utf8_utf16_len(const char *s, size_t size);

bool text_has_prefix(const char *s, const char *prefix);
// Whether a list that ends with NULL has it.
bool text_is_one_of(const char *s, const char *const *list);
// Lower-cases ASCII letters in place.
void text_lower(char *s);
// Appends UTF-8 text with every letter in lower case, one for one, as Unicode pairs them; each
// invalid sequence becomes U+FFFD.
void text_append_lower(struct buf *out, const char *s);
// True for white space as a shell separates words by it, or a JavaScript pattern's \s among ASCII.
bool text_is_space(char c);
// What a hexadecimal digit counts, -1 if it is none.
int text_hex_digit(char c);

// Appends text with the characters that mean something in HTML escaped, quotes included.
void text_append_html(struct buf *out, const char *s);
void text_append_htmln(struct buf *out, const char *s, size_t size);

// Appends text for a query string: letters, digits and -._~ as they are, all else percent-encoded.
void text_append_percent(struct buf *out, const char *s);

// A decimal number without white space or trailing text, within [min, max].
bool text_parse_int64(const char *s, int64_t min, int64_t max, int64_t *ret_value);
// A finite decimal number, all of the text.
bool text_parse_double(const char *s, double *ret_value);

#endif
