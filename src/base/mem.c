// SPDX-License-Identifier: AGPL-3.0-or-later
#include "base/mem.h"

#include <stdalign.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// One chunk serves an ordinary request; larger pieces get a chunk of their own.
#define ARENA_CHUNK_SIZE ((size_t)4000)

struct arena_chunk {
    struct arena_chunk *next;
    alignas(max_align_t) char data[];
};

static void *check(void *p)
{
    if (!p) {
        fputs("cohub: out of memory\n", stderr);
        abort();
    }
    return p;
}

void *mem_alloc(size_t size)
{
    return check(malloc(size ? size : 1));
}

void *mem_zalloc(size_t size)
{
    return check(calloc(1, size ? size : 1));
}

void *mem_realloc(void *p, size_t size)
{
    return check(realloc(p, size ? size : 1));
}

char *mem_strdup(const char *s)
{
    return check(strdup(s));
}

char *mem_strndup(const char *s, size_t size)
{
    char *copy = mem_alloc(size + 1);
    memcpy(copy, s, size);
    copy[size] = '\0';
    return copy;
}

char *mem_printf(const char *fmt, ...)
{
    char *text = NULL;
    va_list args;
    va_start(args, fmt);
    int size = vasprintf(&text, fmt, args);
    va_end(args);
    return check(size < 0 ? NULL : text);
}

void mem_free_ptr(void *p)
{
    free(*(void **)p);
}

static void *arena_grow(struct arena *a, size_t size)
{
    size_t chunk_size = size > ARENA_CHUNK_SIZE / 4 ? size : ARENA_CHUNK_SIZE;
    struct arena_chunk *chunk = mem_alloc(sizeof *chunk + chunk_size);
    chunk->next = a->chunks;
    a->chunks = chunk;
    if (chunk_size == ARENA_CHUNK_SIZE) {
        a->next = chunk->data + size;
        a->left = chunk_size - size;
    }
    return chunk->data;
}

void *arena_alloc(struct arena *a, size_t size)
{
    assert(size < SIZE_MAX / 2);
    size = (size + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
    if (size > a->left)
        return arena_grow(a, size);
    void *p = a->next;
    a->next += size;
    a->left -= size;
    return p;
}

void *arena_zalloc(struct arena *a, size_t size)
{
    return memset(arena_alloc(a, size), 0, size);
}

char *arena_strdup(struct arena *a, const char *s)
{
    return arena_strndup(a, s, strlen(s));
}

char *arena_strndup(struct arena *a, const char *s, size_t size)
{
    char *copy = arena_alloc(a, size + 1);
    memcpy(copy, s, size);
    copy[size] = '\0';
    return copy;
}

char *arena_vprintf(struct arena *a, const char *fmt, va_list args)
{
    auto_free char *text = NULL;
    int size = vasprintf(&text, fmt, args);
    return arena_strndup(a, check(size < 0 ? NULL : text), (size_t)size);
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    char *text = arena_vprintf(a, fmt, args);
    va_end(args);
    return text;
}

void arena_lend(struct arena *a, char *memory, size_t size)
{
    assert(!a->chunks && !a->next);
    a->next = memory;
    a->left = size;
}

void arena_dispose(struct arena *a)
{
    for (struct arena_chunk *chunk = a->chunks, *next; chunk; chunk = next) {
        next = chunk->next;
        free(chunk);
    }
    *a = (struct arena){0};
}
