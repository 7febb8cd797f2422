// SPDX-License-Identifier: AGPL-3.0-or-later
// A number of bytes that many may hold together, and of which each may hold a share: whoever fills
// its own leaves the rest to others. Those who are nobody in particular share a half. Any thread.
#ifndef BASE_BUDGET_H
#define BASE_BUDGET_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/macros.h"
#include "base/map.h"

// What one owner may hold: the whole divided by this.
#define BUDGET_SHARES 4

struct budget {
    size_t max;
    atomic_size_t used;
    atomic_size_t nobodys; // of it
    pthread_mutex_t lock;
    struct map owners; // what each holds, of those that hold anything
};

#define BUDGET(bytes)                                                                              \
    {                                                                                              \
        .max = (bytes), .lock = PTHREAD_MUTEX_INITIALIZER                                          \
    }

// Nobody holds anything any more.
void budget_dispose(struct budget *budget);
// False, and nothing is taken, when there is not as much left of the whole or of the owner's share.
// `owner` may be NULL: nobody in particular. The text is not kept.
bool budget_take(struct budget *budget, const char *owner, size_t size) MUST_USE;
// What was taken for nobody in particular counts as the owner's from now on; if true.
bool budget_assign(struct budget *budget, const char *owner, size_t size) MUST_USE;
// What was taken for the same owner.
void budget_give_back(struct budget *budget, const char *owner, size_t size);
size_t budget_used(const struct budget *budget);

#endif
