// SPDX-License-Identifier: AGPL-3.0-or-later
// Who is told of rows that changed.
//
// Each subscription has a delivery: what it has not been told yet, and the message that carries it
// to the subscriber's loop. A transaction's rows are added to the deliveries while it is published,
// under one lock, and so in the order of publishing; the message takes all there is by then. While
// a loop is busy its delivery gathers, each row once, and beyond LIMIT_CHANGES rows it holds only
// that any may have changed: memory is bounded, and nothing is lost.
//
// A message may be under way when its subscriber leaves. So the delivery is not part of the
// subscription: it lives until its message has run, and leaving only cuts it off. As leaving and
// telling happen on the same thread, nothing comes after it.
//
// Where several processes share the numbers of the topics, those of another process say no rows. To
// tell its steps from ours, each db counts its own, under the same lock.
#include <stdlib.h>

#include "base/mem.h"
#include "db/backend.h"

struct db_delivery {
    struct db_delivery *next;
    struct db_subscription *subscription; // NULL: left
    struct db *db;
    enum db_topic topic;
    struct loop *loop;
    struct loop_message message;
    bool posted;               // under the lock: the message is in the loop's mailbox
    struct db_changes pending; // under the lock
    bool telling;              // the loop's: `changed` is being called
};

// ---- Telling, on the loop ----

static void free_delivery(struct db_delivery *delivery)
{
    db_changes_dispose(&delivery->pending);
    free(delivery);
}

static void tell(struct db_delivery *delivery, const struct db_changes *changes)
{
    delivery->telling = true;
    if (changes->unnamed)
        delivery->subscription->changed(delivery->subscription, NULL);
    for (size_t i = 0; i < changes->count && delivery->subscription; i++)
        delivery->subscription->changed(delivery->subscription, changes->rows[i].key);
    delivery->telling = false;
}

static struct db_changes take_pending(struct db_delivery *delivery)
{
    struct db_notices *notices = &delivery->db->notices;
    pthread_mutex_lock(&notices->lock);
    struct db_changes changes = delivery->pending;
    delivery->pending = (struct db_changes){0};
    delivery->posted = false;
    pthread_mutex_unlock(&notices->lock);
    return changes;
}

// The db may be gone when nobody is subscribed any more.
static void on_message(struct loop_message *message)
{
    struct db_delivery *delivery = CONTAINER(message, struct db_delivery, message);
    if (!delivery->subscription) {
        free_delivery(delivery);
        return;
    }
    struct db_changes changes = take_pending(delivery);
    tell(delivery, &changes);
    db_changes_dispose(&changes);
    if (!delivery->subscription && !delivery->posted)
        free_delivery(delivery);
}

// ---- Subscriptions ----

static uint64_t count_others(const struct db *db, int topic)
{
    return atomic_load(&db->epochs[topic]) - db->notices.own[topic];
}

// From now on others are of interest.
static void begin_watching(struct db *db)
{
    for (int topic = 0; topic < DB_TOPIC_COUNT; topic++)
        db->notices.others[topic] = count_others(db, topic);
    db->notices.watched = true;
}

void db_subscribe(struct db *db, struct db_subscription *subscription)
{
    struct db_notices *notices = &db->notices;
    struct db_delivery *delivery = mem_zalloc(sizeof *delivery);
    *delivery = (struct db_delivery){.db = db,
                                     .subscription = subscription,
                                     .topic = subscription->topic,
                                     .loop = subscription->loop};
    subscription->delivery = delivery;
    pthread_mutex_lock(&notices->lock);
    bool was_watched = notices->watched;
    if (!was_watched)
        begin_watching(db);
    delivery->next = notices->first;
    notices->first = delivery;
    pthread_mutex_unlock(&notices->lock);
    if (!was_watched && db->backend->watch)
        db->backend->watch(db);
}

void db_unsubscribe(struct db *db, struct db_subscription *subscription)
{
    struct db_delivery *delivery = TAKE_PTR(subscription->delivery);
    struct db_notices *notices = &db->notices;
    pthread_mutex_lock(&notices->lock);
    struct db_delivery **place = &notices->first;
    while (*place != delivery)
        place = &(*place)->next;
    *place = delivery->next;
    pthread_mutex_unlock(&notices->lock);
    delivery->subscription = NULL;
    if (!delivery->posted && !delivery->telling)
        free_delivery(delivery);
}

// ---- Publishing ----

// The message is posted under the lock: afterwards a subscriber may leave, and end its loop.
static void add_pending(struct db_delivery *delivery, const char *key)
{
    db_changes_add(&delivery->pending, delivery->topic, key);
    if (!delivery->posted)
        loop_post(delivery->loop, &delivery->message, on_message);
    delivery->posted = true;
}

static void deliver(struct db_notices *notices, const struct db_changes *changes)
{
    for (struct db_delivery *d = notices->first; d; d = d->next) {
        if (changes->unnamed & (1u << d->topic))
            add_pending(d, NULL);
        for (size_t i = 0; i < changes->count; i++) {
            if (changes->rows[i].topic == d->topic)
                add_pending(d, changes->rows[i].key);
        }
    }
}

void db_publish(struct db *db, const struct db_changes *changes)
{
    struct db_notices *notices = &db->notices;
    pthread_mutex_lock(&notices->lock);
    for (int topic = 0; topic < DB_TOPIC_COUNT; topic++) {
        if (changes->topics & (1u << topic)) {
            atomic_fetch_add(&db->epochs[topic], 1);
            notices->own[topic]++;
        }
    }
    deliver(notices, changes);
    pthread_mutex_unlock(&notices->lock);
}

void db_publish_unnamed(struct db *db, unsigned topics)
{
    db_publish(db, &(struct db_changes){.topics = topics, .unnamed = topics});
}

void db_publish_others(struct db *db)
{
    struct db_notices *notices = &db->notices;
    struct db_changes changes = {0};
    pthread_mutex_lock(&notices->lock);
    for (int topic = 0; topic < DB_TOPIC_COUNT; topic++) {
        uint64_t others = count_others(db, topic);
        if (others != notices->others[topic])
            db_changes_add(&changes, (enum db_topic)topic, NULL);
        notices->others[topic] = others;
    }
    deliver(notices, &changes);
    pthread_mutex_unlock(&notices->lock);
}
