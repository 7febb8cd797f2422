// SPDX-License-Identifier: AGPL-3.0-or-later
#include "svc/sessions.h"

void sessions_init(struct sessions *sessions, struct db *db)
{
    *sessions = (struct sessions){.db = db};
    pthread_mutex_init(&sessions->lock, NULL);
    pthread_cond_init(&sessions->given, NULL);
}

void sessions_close(struct sessions *sessions)
{
    pthread_mutex_lock(&sessions->lock);
    while (sessions->taken)
        pthread_cond_wait(&sessions->given, &sessions->lock);
    while (sessions->count)
        db_session_close(sessions->free[--sessions->count]);
    pthread_mutex_unlock(&sessions->lock);
}

void sessions_dispose(struct sessions *sessions)
{
    sessions_close(sessions);
    pthread_cond_destroy(&sessions->given);
    pthread_mutex_destroy(&sessions->lock);
}

int sessions_take(struct sessions *sessions, struct db_session **ret_session, struct err *err)
{
    struct db_session *session = NULL;
    pthread_mutex_lock(&sessions->lock);
    if (sessions->count)
        session = sessions->free[--sessions->count];
    sessions->taken++;
    pthread_mutex_unlock(&sessions->lock);
    int rc = session ? 0 : db_session_open(sessions->db, &session, err);
    if (rc)
        sessions_give(sessions, NULL);
    else
        *ret_session = session;
    return rc;
}

void sessions_give(struct sessions *sessions, struct db_session *session)
{
    pthread_mutex_lock(&sessions->lock);
    if (session && sessions->count < SESSIONS_MAX)
        sessions->free[sessions->count++] = session;
    else
        db_session_close(session);
    sessions->taken--;
    pthread_cond_broadcast(&sessions->given);
    pthread_mutex_unlock(&sessions->lock);
}
