// SPDX-License-Identifier: AGPL-3.0-or-later
// A byte string that grows at its end. Not NUL-terminated, unless buf_cstr was called last.
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stddef.h>
#include <string.h>

#include "base/macros.h"

struct buf {
    char *data;
    size_t size;
    size_t capacity;
};

void buf_dispose(struct buf *b); // frees the bytes; the buffer is empty and usable afterwards
#define auto_buf CLEANUP(buf_dispose)

void buf_grow(struct buf *b, size_t extra); // for buf_reserve

// Makes room for `extra` more bytes and returns where they go; the caller adds to b->size what it
// wrote.
static inline char *buf_reserve(struct buf *b, size_t extra)
{
    if (b->capacity - b->size < extra)
        buf_grow(b, extra);
    return b->data + b->size;
}

static inline void buf_append(struct buf *b, const void *bytes, size_t size)
{
    if (!size)
        return;
    memcpy(buf_reserve(b, size), bytes, size);
    b->size += size;
}

static inline void buf_append_char(struct buf *b, char c)
{
    *buf_reserve(b, 1) = c;
    b->size++;
}

static inline void buf_append_str(struct buf *b, const char *s)
{
    buf_append(b, s, strlen(s));
}

void buf_printf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
// Puts a NUL behind the last byte, without counting it, and returns the bytes (borrowed).
char *buf_cstr(struct buf *b);
// Hands the heap bytes over (may be NULL when empty); the buffer is empty afterwards.
char *buf_take(struct buf *b, size_t *ret_size);

#endif
