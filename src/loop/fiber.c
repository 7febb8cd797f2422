// SPDX-License-Identifier: AGPL-3.0-or-later
#include "loop/fiber.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/mem.h"

struct fiber {
    struct loop *loop;
    char *mapping; // the guard page, then the stack
    size_t guard_size;
    ucontext_t inside, outside;
    fiber_fn *fn;
    void *arg;
    bool busy;
    bool running; // the thread is on its stack
    bool shut;
    struct fiber_wait *wait; // under way, NULL: none
    uv_timer_t timer;
    uint64_t deadline_us;
    // AddressSanitizer's.
    void *fake_stack;
    const void *outside_stack;
    size_t outside_size;
};

// One for each wait: a stopped handle that lived on would be in the way of a descriptor that gets
// the same number later.
struct fiber_wait {
    uv_poll_t poll;
    struct fiber *fiber;
    int rc;
};

// ---- Changing stacks, of which AddressSanitizer is told ----

#ifdef __has_feature
#define HAS_ASAN __has_feature(address_sanitizer)
#elif defined __SANITIZE_ADDRESS__
#define HAS_ASAN 1
#else
#define HAS_ASAN 0
#endif

#if HAS_ASAN
#include <sanitizer/common_interface_defs.h>
#define switch_begin  __sanitizer_start_switch_fiber
#define switch_finish __sanitizer_finish_switch_fiber
#else
static void switch_begin(void **fake_stack UNUSED, const void *stack UNUSED, size_t size UNUSED)
{
}

static void switch_finish(void *fake_stack UNUSED, const void **ret_stack UNUSED,
                          size_t *ret_size UNUSED)
{
}
#endif

static void enter(struct fiber *fiber)
{
    void *fake_stack = NULL;
    fiber->running = true;
    switch_begin(&fake_stack, fiber->mapping + fiber->guard_size, LIMIT_FIBER_STACK);
    int rc = swapcontext(&fiber->outside, &fiber->inside);
    assert(rc == 0);
    switch_finish(fake_stack, NULL, NULL);
}

static void entered(struct fiber *fiber)
{
    switch_finish(fiber->fake_stack, &fiber->outside_stack, &fiber->outside_size);
}

// Returns when the fiber is entered again: never if it has ended.
static void leave(struct fiber *fiber)
{
    fiber->running = false;
    switch_begin(fiber->busy ? &fiber->fake_stack : NULL, fiber->outside_stack,
                 fiber->outside_size);
    int rc = swapcontext(&fiber->inside, &fiber->outside);
    assert(rc == 0);
    entered(fiber);
}

// makecontext passes ints only.
static void begin(unsigned high, unsigned low)
{
    struct fiber *fiber = (struct fiber *)((uintptr_t)high << 32 | low);
    entered(fiber);
    fiber->fn(fiber->arg);
    fiber->busy = false;
    leave(fiber);
}

// ---- Running ----

static int map_stack(struct fiber *fiber)
{
    fiber->guard_size = (size_t)sysconf(_SC_PAGESIZE);
    void *mapping = mmap(NULL, fiber->guard_size + LIMIT_FIBER_STACK, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);
    if (mapping == MAP_FAILED)
        return errno;
    fiber->mapping = mapping;
    if (mprotect(mapping, fiber->guard_size, PROT_NONE)) {
        int error = errno;
        munmap(mapping, fiber->guard_size + LIMIT_FIBER_STACK);
        return error;
    }
    return 0;
}

int fiber_open(struct loop *loop, struct fiber **ret_fiber, struct err *err)
{
    auto_free struct fiber *fiber = mem_zalloc(sizeof *fiber);
    fiber->loop = loop;
    int error = map_stack(fiber);
    if (error)
        return err_set_errno(err, ERR_UNAVAILABLE, error, "out of memory for a fiber");
    uv_timer_init(&loop->uv, &fiber->timer);
    *ret_fiber = TAKE_PTR(fiber);
    return 0;
}

void fiber_run(struct fiber *fiber, fiber_fn *fn, void *arg)
{
    assert(!fiber->busy);
    fiber->fn = fn;
    fiber->arg = arg;
    fiber->busy = true;
    fiber->fake_stack = NULL;
    int rc = getcontext(&fiber->inside);
    assert(rc == 0);
    fiber->inside.uc_stack.ss_sp = fiber->mapping + fiber->guard_size;
    fiber->inside.uc_stack.ss_size = LIMIT_FIBER_STACK;
    fiber->inside.uc_link = NULL;
    uint64_t self = (uintptr_t)fiber;
    makecontext(&fiber->inside, (void (*)(void))begin, 2, (unsigned)(self >> 32), (unsigned)self);
    enter(fiber);
}

// ---- Waiting ----

static void wake(struct fiber *fiber, int rc)
{
    fiber->wait->rc = rc;
    enter(fiber);
}

// An error of the descriptor is for who reads it.
static void on_ready(uv_poll_t *poll, int status UNUSED, int events UNUSED)
{
    wake(CONTAINER(poll, struct fiber_wait, poll)->fiber, 0);
}

static void on_deadline(uv_timer_t *timer);

// The timer counts from when the loop's turn began, and may come too early.
static void start_timer(struct fiber *fiber)
{
    uint64_t now = clock_monotonic_us();
    uint64_t left_us = fiber->deadline_us > now ? fiber->deadline_us - now : 0;
    uv_timer_start(&fiber->timer, on_deadline, (left_us + 999) / 1000, 0);
}

static void on_deadline(uv_timer_t *timer)
{
    struct fiber *fiber = CONTAINER(timer, struct fiber, timer);
    if (clock_monotonic_us() < fiber->deadline_us)
        start_timer(fiber);
    else
        wake(fiber, -ERR_TIMEOUT);
}

static void on_wait_closed(uv_handle_t *handle)
{
    free(CONTAINER((uv_poll_t *)handle, struct fiber_wait, poll));
}

int fiber_wait(struct fiber *fiber, int fd, short events, uint64_t deadline_us)
{
    assert(fiber->running);
    if (fiber->shut)
        return -ERR_UNAVAILABLE;
    struct fiber_wait *wait = mem_zalloc(sizeof *wait);
    if (uv_poll_init(&fiber->loop->uv, &wait->poll, fd)) {
        free(wait);
        return -ERR_UNAVAILABLE;
    }
    wait->fiber = fiber;
    fiber->wait = wait;
    fiber->deadline_us = deadline_us;
    uv_poll_start(&wait->poll,
                  (events & POLLIN ? UV_READABLE : 0) | (events & POLLOUT ? UV_WRITABLE : 0),
                  on_ready);
    if (deadline_us)
        start_timer(fiber);
    leave(fiber);
    int rc = wait->rc;
    fiber->wait = NULL;
    uv_timer_stop(&fiber->timer);
    uv_close((uv_handle_t *)&wait->poll, on_wait_closed);
    return rc;
}

// ---- The end ----

void fiber_shut(struct fiber *fiber)
{
    fiber->shut = true;
    if (fiber->wait)
        wake(fiber, -ERR_UNAVAILABLE);
    assert(!fiber->busy);
}

static void on_closed(uv_handle_t *handle)
{
    free(CONTAINER((uv_timer_t *)handle, struct fiber, timer));
}

void fiber_close(struct fiber *fiber)
{
    if (!fiber)
        return;
    assert(!fiber->busy);
    munmap(fiber->mapping, fiber->guard_size + LIMIT_FIBER_STACK);
    uv_close((uv_handle_t *)&fiber->timer, on_closed);
}
