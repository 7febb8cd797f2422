// SPDX-License-Identifier: AGPL-3.0-or-later
// Attributes and small macros that every file may use.
#ifndef BASE_MACROS_H
#define BASE_MACROS_H

#include <assert.h>
#include <stddef.h>

#define ARRAY_LEN(a)       (sizeof(a) / sizeof((a)[0]))
#define CLEANUP(f)         __attribute__((cleanup(f)))
#define MUST_USE           __attribute__((warn_unused_result))
#define PRINTF_LIKE(f, a)  __attribute__((format(printf, f, a)))
#define UNUSED             __attribute__((unused))
#define CONTAINER(p, t, m) ((t *)(void *)((char *)(p)-offsetof(t, m)))

// Hands a pointer or descriptor over: its clean-up variable is emptied.
#define TAKE_PTR(p)                                                                                \
    __extension__({                                                                                \
        __typeof__(p) taken_ = (p);                                                                \
        (p) = NULL;                                                                                \
        taken_;                                                                                    \
    })
#define TAKE_FD(fd)                                                                                \
    __extension__({                                                                                \
        int taken_ = (fd);                                                                         \
        (fd) = -1;                                                                                 \
        taken_;                                                                                    \
    })

#endif
