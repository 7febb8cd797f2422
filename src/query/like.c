// SPDX-License-Identifier: AGPL-3.0-or-later
// SQL's LIKE. Each % takes as little as it can; when what follows fails, the last one takes a
// character more.
#include "query/get_internal.h"

// The bytes of the valid UTF-8 character at s.
static size_t char_size(const char *s)
{
    unsigned char c = (unsigned char)*s;
    return c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
}

struct position {
    const char *text, *text_end;
    const char *pattern, *pattern_end;
};

// Takes one character, or none, of the text by the pattern. False if they differ.
static bool step(struct position *at)
{
    const char *p = at->pattern;
    if (at->text == at->text_end || p == at->pattern_end)
        return false;
    if (*p == '_') {
        at->pattern++;
        at->text += char_size(at->text);
        return true;
    }
    p += *p == '\\' && p + 1 < at->pattern_end;
    if (*p != *at->text)
        return false;
    at->pattern = p + 1;
    at->text++;
    return true;
}

bool query_like(const char *text, size_t text_size, const char *pattern, size_t pattern_size,
                int64_t *work)
{
    struct position at = {text, text + text_size, pattern, pattern + pattern_size};
    struct position any = {0}; // behind the last %
    while (at.text < at.text_end || at.pattern < at.pattern_end) {
        if (--*work < 0)
            return false;
        if (at.pattern < at.pattern_end && *at.pattern == '%') {
            at.pattern++;
            any = at;
            if (at.pattern == at.pattern_end)
                return true;
        } else if (!step(&at)) {
            if (!any.text || any.text == any.text_end)
                return false;
            any.text += char_size(any.text);
            at = any;
        }
    }
    return true;
}
