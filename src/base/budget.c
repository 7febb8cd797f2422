// SPDX-License-Identifier: AGPL-3.0-or-later
#include "base/budget.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

struct owner {
    size_t used;
    char name[];
};

void budget_dispose(struct budget *budget)
{
    assert(!budget->owners.count);
    map_dispose(&budget->owners);
    pthread_mutex_destroy(&budget->lock);
}

static struct owner *owner_add(struct budget *budget, const char *name, size_t name_size)
{
    struct owner *owner = mem_zalloc(sizeof *owner + name_size + 1);
    memcpy(owner->name, name, name_size);
    map_set(&budget->owners, owner->name, name_size, owner);
    return owner;
}

// False, and nothing is added, if that would be more than `max`.
static bool add(atomic_size_t *used, size_t size, size_t max)
{
    if (atomic_fetch_add(used, size) + size <= max)
        return true;
    atomic_fetch_sub(used, size);
    return false;
}

static bool take_of(struct budget *budget, const char *name, size_t size)
{
    const size_t name_size = strlen(name), share = budget->max / BUDGET_SHARES;
    if (!size)
        return true;
    pthread_mutex_lock(&budget->lock);
    struct owner *owner = map_get(&budget->owners, name, name_size);
    const bool fits = size <= share && (!owner || owner->used <= share - size);
    if (fits && !owner)
        owner = owner_add(budget, name, name_size);
    if (fits)
        owner->used += size;
    pthread_mutex_unlock(&budget->lock);
    return fits;
}

bool budget_assign(struct budget *budget, const char *owner, size_t size)
{
    const bool fits = take_of(budget, owner, size);
    if (fits)
        atomic_fetch_sub(&budget->nobodys, size);
    return fits;
}

bool budget_take(struct budget *budget, const char *owner, size_t size)
{
    if (!add(&budget->used, size, budget->max))
        return false;
    if (owner ? take_of(budget, owner, size) : add(&budget->nobodys, size, budget->max / 2))
        return true;
    atomic_fetch_sub(&budget->used, size);
    return false;
}

static void give_back_of(struct budget *budget, const char *name, size_t size)
{
    const size_t name_size = strlen(name);
    pthread_mutex_lock(&budget->lock);
    struct owner *owner = map_get(&budget->owners, name, name_size);
    assert(owner && owner->used >= size);
    owner->used -= size;
    if (!owner->used) {
        map_remove(&budget->owners, name, name_size);
        free(owner);
    }
    pthread_mutex_unlock(&budget->lock);
}

void budget_give_back(struct budget *budget, const char *owner, size_t size)
{
    if (!size)
        return;
    if (owner)
        give_back_of(budget, owner, size);
    else
        atomic_fetch_sub(&budget->nobodys, size);
    atomic_fetch_sub(&budget->used, size);
}

size_t budget_used(const struct budget *budget)
{
    return atomic_load(&budget->used);
}
