// SPDX-License-Identifier: AGPL-3.0-or-later
#include "jupyter/pool.h"

#include <stdlib.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/mem.h"

// How long a replacement waits for quiet.
#define FILL_US 1000000
// How long a used kernel stays: its end and the start of the next one take a processor for tens of
// milliseconds, in which the answer is on its way to whom waits for it.
#define LINGER_US 30000

static struct pool *find(struct pools *pools, const char *name)
{
    for (size_t i = 0; i < pools->count; i++)
        if (strcmp(pools->list[i].name, name) == 0)
            return &pools->list[i];
    return NULL;
}

static void forget_oldest(struct pools *pools)
{
    size_t oldest = 0;
    for (size_t i = 1; i < pools->count; i++)
        if (pools->list[i].asked_us < pools->list[oldest].asked_us)
            oldest = i;
    free(pools->list[oldest].name);
    pools->list[oldest] = pools->list[--pools->count];
}

static struct pool *find_or_add(struct pools *pools, const char *name)
{
    struct pool *pool = find(pools, name);
    if (pool)
        return pool;
    if (pools->count == POOL_NAMES_MAX)
        forget_oldest(pools);
    pool = &pools->list[pools->count++];
    *pool = (struct pool){.name = mem_strdup(name)};
    return pool;
}

static bool waits(const struct kernel *k)
{
    return !k->taken && k->state != KERNEL_ENDED;
}

static bool is_of(const struct kernel *k, const char *name)
{
    return strcmp(k->spec.name, name) == 0;
}

static unsigned count_waiting(const struct pools *pools, const char *name)
{
    unsigned count = 0;
    for (size_t i = 0; i < pools->kernels_count; i++)
        count += waits(pools->kernels[i]) && (!name || is_of(pools->kernels[i], name));
    return count;
}

// ---- Taking ----

static bool same_spec(const struct spec *a, const struct spec *b)
{
    return strcmp(a->resource_dir, b->resource_dir) == 0 &&
           memcmp(a->digest, b->digest, sizeof a->digest) == 0;
}

// The oldest that is ready, otherwise the oldest that starts. Those of a specification that was
// changed since are ended.
static struct kernel *find_waiting(struct pools *pools, const struct spec *spec)
{
    struct kernel *best = NULL;
    for (size_t i = 0; i < pools->kernels_count; i++) {
        struct kernel *k = pools->kernels[i];
        if (!waits(k) || !is_of(k, spec->name))
            continue;
        kernel_reap(k);
        if (!same_spec(&k->spec, spec))
            kernel_kill(k);
        if (waits(k) && (!best || (best->state == KERNEL_STARTING && k->state == KERNEL_IDLE)))
            best = k;
    }
    return best;
}

static struct kernel *start(struct pools *pools, struct spec *spec, struct err *err)
{
    if (pools->kernels_count == POOL_KERNELS_MAX) {
        (void)err_set(err, ERR_UNAVAILABLE,
                      "Failed to start kernel process. Too many processes are ending.");
        return NULL;
    }
    struct kernel *k = kernel_start(pools->zmq, pools->runtime, spec, err);
    if (k)
        pools->kernels[pools->kernels_count++] = k;
    return k;
}

struct kernel *pool_take(struct pools *pools, const struct pool_order *order, struct err *err)
{
    const uint64_t now_us = clock_monotonic_us();
    struct pool *pool = find_or_add(pools, order->spec->name);
    pool->size = order->size < LIMIT_KERNEL_POOL ? order->size : LIMIT_KERNEL_POOL;
    pool->idle_us = order->idle_us;
    pool->asked_us = now_us;
    pool->broken = false;
    pools->fill_us = now_us + FILL_US;
    struct kernel *k = find_waiting(pools, order->spec);
    if (!k)
        k = start(pools, order->spec, err);
    spec_dispose(order->spec);
    if (k)
        k->taken = true;
    return k;
}

void pool_release(struct kernel *kernel)
{
    kernel->heard_owner = NULL;
    if (kernel->state == KERNEL_BUSY)
        kernel->linger_us = clock_monotonic_us() + LINGER_US;
    else
        kernel->taken = false;
}

static void end_used(struct kernel *k, uint64_t now_us)
{
    if (!k->linger_us || now_us < k->linger_us)
        return;
    k->linger_us = 0;
    k->taken = false;
    kernel_kill(k);
}

static bool any_lingers(const struct pools *pools)
{
    for (size_t i = 0; i < pools->kernels_count; i++)
        if (pools->kernels[i]->linger_us)
            return true;
    return false;
}

// ---- Tending ----

// One that was not wanted any more, or failed though nobody had asked for it.
static void end_waiting(struct pools *pools, struct kernel *k, bool failed)
{
    struct pool *pool = find(pools, k->spec.name);
    if (failed && pool)
        pool->broken = true;
    kernel_kill(k);
}

static unsigned wanted(const struct pool *pool, uint64_t now_us)
{
    return !pool || pool->broken || now_us >= pool->asked_us + pool->idle_us ? 0 : pool->size;
}

static void end_superfluous(struct pools *pools, uint64_t now_us)
{
    for (size_t i = 0; i < pools->kernels_count; i++) {
        struct kernel *k = pools->kernels[i];
        if (!waits(k))
            continue;
        if (k->state == KERNEL_STARTING && now_us >= k->started_us + pools->start_max_us)
            end_waiting(pools, k, true);
        else if (count_waiting(pools, k->spec.name) > wanted(find(pools, k->spec.name), now_us))
            end_waiting(pools, k, false);
    }
}

static void forget_ended(struct pools *pools)
{
    size_t kept = 0;
    for (size_t i = 0; i < pools->kernels_count; i++) {
        struct kernel *k = pools->kernels[i];
        if (k->pid || k->taken)
            pools->kernels[kept++] = k;
        else
            kernel_free(k);
    }
    pools->kernels_count = kept;
}

static bool any_starts(const struct pools *pools)
{
    for (size_t i = 0; i < pools->kernels_count; i++)
        if (pools->kernels[i]->state == KERNEL_STARTING)
            return true;
    return false;
}

// The pool that was asked for last among those that lack a kernel.
static struct pool *find_lacking(struct pools *pools, uint64_t now_us)
{
    struct pool *best = NULL;
    for (size_t i = 0; i < pools->count; i++) {
        struct pool *pool = &pools->list[i];
        if (count_waiting(pools, pool->name) < wanted(pool, now_us) &&
            (!best || pool->asked_us > best->asked_us))
            best = pool;
    }
    return best;
}

// Makes room for one more of that pool at the cost of those that were asked for before it.
static bool make_room(struct pools *pools, const struct pool *pool)
{
    if (count_waiting(pools, NULL) < LIMIT_KERNEL_POOL)
        return true;
    for (size_t i = 0; i < pools->kernels_count; i++) {
        struct kernel *k = pools->kernels[i];
        struct pool *other = find(pools, k->spec.name);
        if (!waits(k) || (other && other->asked_us >= pool->asked_us))
            continue;
        if (other)
            other->size = count_waiting(pools, other->name) - 1;
        kernel_kill(k);
        return true;
    }
    return false;
}

static void fill(struct pools *pools, uint64_t now_us)
{
    auto_specs struct specs specs = {0};
    struct pool *pool = find_lacking(pools, now_us);
    if (!pool || any_starts(pools))
        return;
    specs_read(pool->name, &specs);
    if (!specs.count || !make_room(pools, pool) || !start(pools, &specs.list[0], NULL))
        pool->broken = true;
}

void pool_tick(struct pools *pools, bool quiet, uint64_t now_us)
{
    for (size_t i = 0; i < pools->kernels_count; i++) {
        kernel_tick(pools->kernels[i], now_us);
        end_used(pools->kernels[i], now_us);
    }
    end_superfluous(pools, now_us);
    forget_ended(pools);
    if ((quiet && !any_lingers(pools)) || now_us >= pools->fill_us)
        fill(pools, now_us);
}

void pool_watch(struct pools *pools, bool quiet, struct watch_set *set)
{
    const uint64_t now_us = clock_monotonic_us();
    for (size_t i = 0; i < pools->kernels_count; i++) {
        struct kernel *k = pools->kernels[i];
        kernel_watch(k, set);
        if (k->state == KERNEL_STARTING)
            watch_due(set, k->started_us + pools->start_max_us);
        if (k->linger_us)
            watch_due(set, k->linger_us);
    }
    for (size_t i = 0; i < pools->count; i++)
        if (count_waiting(pools, pools->list[i].name))
            watch_due(set, pools->list[i].asked_us + pools->list[i].idle_us);
    if (!any_starts(pools) && find_lacking(pools, now_us))
        watch_due(set, quiet && !any_lingers(pools) ? now_us : pools->fill_us);
}

bool pool_reap(struct pools *pools, pid_t pid)
{
    for (size_t i = 0; i < pools->kernels_count; i++) {
        struct kernel *k = pools->kernels[i];
        if (k->pid != pid)
            continue;
        if (waits(k))
            end_waiting(pools, k, true);
        kernel_reap(k);
        return true;
    }
    return false;
}

// ---- What is told and asked from outside ----

void pool_write(struct pools *pools, bool quiet, struct buf *out)
{
    for (size_t i = 0; i < pools->kernels_count; i++)
        end_used(pools->kernels[i], UINT64_MAX);
    if (quiet)
        fill(pools, clock_monotonic_us());
    json_begin_array(out);
    for (size_t i = 0; i < pools->kernels_count; i++) {
        const struct kernel *k = pools->kernels[i];
        if (k->state == KERNEL_ENDED || !k->pid)
            continue;
        json_begin_object(out);
        json_member_int(out, "pid", k->pid);
        json_member_str(out, "connectionFile", k->connection_file);
        json_member_str(out, "kernel_name", k->spec.name);
        json_member_str(out, "state", kernel_state_name(k));
        json_end_object(out);
    }
    json_end_array(out);
}

bool pool_stop(struct pools *pools, pid_t pid)
{
    for (size_t i = 0; i < pools->kernels_count; i++) {
        struct kernel *k = pools->kernels[i];
        if (k->pid != pid || k->state == KERNEL_ENDED)
            continue;
        if (waits(k))
            end_waiting(pools, k, true);
        kernel_kill(k);
        return true;
    }
    return false;
}

void pool_dispose(struct pools *pools)
{
    for (size_t i = 0; i < pools->kernels_count; i++)
        kernel_kill(pools->kernels[i]);
    for (size_t i = 0; i < pools->kernels_count; i++) {
        struct kernel *k = pools->kernels[i];
        if (k->pid)
            waitpid(k->pid, NULL, 0);
        kernel_free(k);
    }
    while (pools->count)
        forget_oldest(pools);
    pools->kernels_count = 0;
}
