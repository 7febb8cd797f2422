// SPDX-License-Identifier: AGPL-3.0-or-later
// What transactions have changed: a set of rows that stays small. It is searched one by one, which
// for as many as there may be costs less than a transaction of so many rows does.
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "db/backend.h"

#define CAPACITY_MIN ((size_t)8)

static uint64_t hash_key(const char *key)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (; *key; key++)
        hash = (hash ^ (unsigned char)*key) * 0x100000001b3u;
    return hash;
}

static bool has_row(const struct db_changes *changes, const struct db_change *wanted)
{
    for (size_t i = 0; i < changes->count; i++) {
        const struct db_change *row = &changes->rows[i];
        if (row->hash == wanted->hash && row->topic == wanted->topic &&
            !strcmp(row->key, wanted->key))
            return true;
    }
    return false;
}

static void add_topic(struct db_changes *changes, enum db_topic topic)
{
    unsigned bit = 1u << topic;
    changes->topics |= bit;
    if (changes->unnamed & bit)
        return;
    changes->unnamed |= bit;
    size_t kept = 0;
    for (size_t i = 0; i < changes->count; i++) {
        if (changes->rows[i].topic != topic)
            changes->rows[kept++] = changes->rows[i];
    }
    changes->count = kept;
}

static void add_row(struct db_changes *changes, const struct db_change *row)
{
    changes->topics |= 1u << row->topic;
    if (changes->unnamed & (1u << row->topic) || has_row(changes, row))
        return;
    if (changes->count == LIMIT_CHANGES) {
        add_topic(changes, row->topic);
        return;
    }
    if (changes->count == changes->capacity) {
        changes->capacity = changes->capacity ? changes->capacity * 2 : CAPACITY_MIN;
        changes->rows = mem_realloc(changes->rows, changes->capacity * sizeof *row);
    }
    changes->rows[changes->count++] = *row;
}

void db_changes_add(struct db_changes *changes, enum db_topic topic, const char *key)
{
    if (!key) {
        add_topic(changes, topic);
        return;
    }
    struct db_change row = {.topic = topic, .hash = hash_key(key)};
    size_t size = strlen(key) + 1;
    assert(size <= sizeof row.key);
    memcpy(row.key, key, size);
    add_row(changes, &row);
}

void db_changes_add_all(struct db_changes *changes, const struct db_changes *more)
{
    for (int topic = 0; topic < DB_TOPIC_COUNT; topic++) {
        if (more->unnamed & (1u << topic))
            add_topic(changes, (enum db_topic)topic);
    }
    for (size_t i = 0; i < more->count; i++)
        add_row(changes, &more->rows[i]);
}

void db_changes_clear(struct db_changes *changes)
{
    changes->topics = changes->unnamed = 0;
    changes->count = 0;
}

void db_changes_dispose(struct db_changes *changes)
{
    free(changes->rows);
    *changes = (struct db_changes){0};
}
