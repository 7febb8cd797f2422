// SPDX-License-Identifier: AGPL-3.0-or-later
// Learning of what other processes commit to the same file.
//
// Beside the topics' numbers, all processes share a word that grows when something is published. A
// process with subscriptions has a thread that sleeps on the word (a futex, which works across
// processes) and then looks whose numbers have grown. The word is only woken when others than the
// own process sleep on it, so that a hub alone pays nothing for it. A process that died while it
// slept is still counted; that costs a system call for each commit.
//
// The kernel is asked again after a second, in case a process died between the number and the wake.
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/thread.h"
#include "db/sqlite_internal.h"

#define LOOK_AGAIN_S 1

_Static_assert(sizeof(_Atomic uint32_t) == sizeof(uint32_t), "a futex is 32 bits");

static long futex(_Atomic uint32_t *word, int operation, uint32_t value,
                  const struct timespec *timeout)
{
    return syscall(SYS_futex, word, operation, value, timeout, NULL, 0);
}

static void sleep_on(_Atomic uint32_t *word, uint32_t value)
{
    const struct timespec timeout = {.tv_sec = LOOK_AGAIN_S};
    if (!futex(word, FUTEX_WAIT, value, &timeout))
        return;
    // Where a futex does not work on this file, time has to do.
    if (errno != EAGAIN && errno != EINTR && errno != ETIMEDOUT)
        nanosleep(&(struct timespec){.tv_nsec = 200 * 1000 * 1000}, NULL);
}

static void *watch_main(void *arg)
{
    struct sqlite_db *db = arg;
    _Atomic uint32_t *publishings = &db->shared->publishings;
    while (!atomic_load(&db->watch_stopping)) {
        uint32_t seen = atomic_load(publishings);
        db_publish_others(&db->base);
        sleep_on(publishings, seen);
    }
    return NULL;
}

static void wake_all(_Atomic uint32_t *word)
{
    atomic_fetch_add(word, 1);
    (void)futex(word, FUTEX_WAKE, INT_MAX, NULL);
}

// Counted for the others before it counts itself out: the other way round somebody might publish
// in between, and wake nobody.
void sqlite_watch(struct db *base)
{
    struct sqlite_db *db = CONTAINER(base, struct sqlite_db, base);
    atomic_fetch_add(&db->shared->watchers, 1);
    atomic_store(&db->watching, true);
    int rc = thread_start(&db->watch_thread, watch_main, db);
    assert(rc == 0);
}

void sqlite_watch_stop(struct sqlite_db *db)
{
    if (!db->watching)
        return;
    atomic_store(&db->watch_stopping, true);
    wake_all(&db->shared->publishings);
    pthread_join(db->watch_thread, NULL);
    atomic_fetch_sub(&db->shared->watchers, 1);
}

void sqlite_publish(struct sqlite_db *db, const struct db_changes *changes)
{
    if (!changes->topics)
        return;
    db_publish(&db->base, changes);
    uint32_t own = atomic_load(&db->watching);
    if (atomic_load(&db->shared->watchers) > own)
        wake_all(&db->shared->publishings);
}
