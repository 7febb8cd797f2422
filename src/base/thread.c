// SPDX-License-Identifier: AGPL-3.0-or-later
#include "base/thread.h"

#include <signal.h>

// A thread takes over the mask of the one that starts it.
int thread_start(pthread_t *ret_thread, void *(*body)(void *), void *arg)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int rc = pthread_create(ret_thread, NULL, body, arg);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return rc;
}
