// SPDX-License-Identifier: AGPL-3.0-or-later
// Heap memory that aborts when it runs out, scoped clean-up, and arenas.
//
// An arena hands out memory that is freed as a whole: all that a request allocates goes with the
// request.
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stdarg.h>
#include <stddef.h>

#include "base/macros.h"

// Like malloc, calloc, realloc, strdup, strndup; never NULL: small allocations abort the process
// when memory is out.
void *mem_alloc(size_t size) __attribute__((malloc, returns_nonnull));
void *mem_zalloc(size_t size) __attribute__((malloc, returns_nonnull));
void *mem_realloc(void *p, size_t size) __attribute__((returns_nonnull));
char *mem_strdup(const char *s) __attribute__((malloc, returns_nonnull));
char *mem_strndup(const char *s, size_t size) __attribute__((malloc, returns_nonnull));
// printf into a fresh heap string; the caller frees it.
char *mem_printf(const char *fmt, ...) PRINTF_LIKE(1, 2) __attribute__((returns_nonnull));

void mem_free_ptr(void *p); // for auto_free: p is the address of the pointer
#define auto_free CLEANUP(mem_free_ptr)

struct arena_chunk;

struct arena {
    struct arena_chunk *chunks;
    char *next;
    size_t left;
};

// An empty arena is all zeros; nothing is allocated before the first use.
void arena_dispose(struct arena *a);
// Gives an empty arena its first memory, aligned for any type; it stays the caller's.
void arena_lend(struct arena *a, char *memory, size_t size);
void *arena_alloc(struct arena *a, size_t size) __attribute__((returns_nonnull));
void *arena_zalloc(struct arena *a, size_t size) __attribute__((returns_nonnull));
char *arena_strdup(struct arena *a, const char *s) __attribute__((returns_nonnull));
char *arena_strndup(struct arena *a, const char *s, size_t size) __attribute__((returns_nonnull));
char *arena_vprintf(struct arena *a, const char *fmt, va_list args) PRINTF_LIKE(2, 0)
    __attribute__((returns_nonnull));
char *arena_printf(struct arena *a, const char *fmt, ...) PRINTF_LIKE(2, 3)
    __attribute__((returns_nonnull));

#endif
