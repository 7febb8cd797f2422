// SPDX-License-Identifier: AGPL-3.0-or-later
#include "svc/sessions.h"

void sessions_init(struct sessions *sessions, struct db *db)
{
    *sessions = (struct sessions){.db = db};
    pthread_mutex_init(&sessions->lock, NULL);
}

void sessions_close(struct sessions *sessions)
{
    while (sessions->count)
        db_session_close(sessions->free[--sessions->count]);
}

void sessions_dispose(struct sessions *sessions)
{
    sessions_close(sessions);
    pthread_mutex_destroy(&sessions->lock);
}

int sessions_take(struct sessions *sessions, struct db_session **ret_session, struct err *err)
{
    struct db_session *session = NULL;
    pthread_mutex_lock(&sessions->lock);
    if (sessions->count)
        session = sessions->free[--sessions->count];
    pthread_mutex_unlock(&sessions->lock);
    if (!session)
        return db_session_open(sessions->db, ret_session, err);
    *ret_session = session;
    return 0;
}

void sessions_give(struct sessions *sessions, struct db_session *session)
{
    pthread_mutex_lock(&sessions->lock);
    bool kept = sessions->count < SESSIONS_MAX;
    if (kept)
        sessions->free[sessions->count++] = session;
    pthread_mutex_unlock(&sessions->lock);
    if (!kept)
        db_session_close(session);
}
