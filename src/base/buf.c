// SPDX-License-Identifier: AGPL-3.0-or-later
#include "base/buf.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"

#define BUF_CAPACITY_MIN ((size_t)256)

void buf_dispose(struct buf *b)
{
    free(b->data);
    *b = (struct buf){0};
}

void buf_grow(struct buf *b, size_t extra)
{
    assert(extra < SIZE_MAX / 4 - b->size);
    size_t capacity = b->capacity ? b->capacity : BUF_CAPACITY_MIN;
    while (capacity - b->size < extra)
        capacity *= 2;
    b->data = mem_realloc(b->data, capacity);
    b->capacity = capacity;
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    char *room = buf_reserve(b, 128);
    int size = vsnprintf(room, 128, fmt, args);
    va_end(args);
    assert(size >= 0);
    if (size >= 128)
        vsnprintf(buf_reserve(b, (size_t)size + 1), (size_t)size + 1, fmt, again);
    va_end(again);
    b->size += (size_t)size;
}

char *buf_cstr(struct buf *b)
{
    *buf_reserve(b, 1) = '\0';
    return b->data;
}

char *buf_take(struct buf *b, size_t *ret_size)
{
    char *data = b->data;
    *ret_size = b->size;
    *b = (struct buf){0};
    return data;
}
