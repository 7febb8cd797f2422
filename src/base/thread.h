// SPDX-License-Identifier: AGPL-3.0-or-later
#ifndef BASE_THREAD_H
#define BASE_THREAD_H

#include <pthread.h>

#include "base/macros.h"

// As pthread_create, for a thread that no signal reaches: they are for those that expect them.
int thread_start(pthread_t *ret_thread, void *(*body)(void *), void *arg) MUST_USE;

#endif
