// SPDX-License-Identifier: AGPL-3.0-or-later
// Sessions for workers, which stay open between their uses: opening one takes longer than most of
// what it is for.
#ifndef SVC_SESSIONS_H
#define SVC_SESSIONS_H

#include <pthread.h>

#include "db/db.h"

// That are kept: as many workers seldom read at once.
#define SESSIONS_MAX 16

struct sessions {
    struct db *db;
    pthread_mutex_t lock;
    pthread_cond_t given;
    struct db_session *free[SESSIONS_MAX];
    size_t count, taken;
};

void sessions_init(struct sessions *sessions, struct db *db);
// Waits for what is taken, and closes all, before the store is closed.
void sessions_close(struct sessions *sessions);
void sessions_dispose(struct sessions *sessions);

// Any thread. What is taken is given back, by whichever thread.
int sessions_take(struct sessions *sessions, struct db_session **ret_session,
                  struct err *err) MUST_USE;
// `session` may be NULL, for one that could not be opened.
void sessions_give(struct sessions *sessions, struct db_session *session);

#endif
