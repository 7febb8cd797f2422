// SPDX-License-Identifier: AGPL-3.0-or-later
#include "db/texts.h"

#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"

// So few that they are searched one by one, by their hashes.
struct db_texts {
    uint64_t uses;
    size_t count;
    struct db_text texts[DB_TEXTS_MAX];
};

// Eight bytes at a time: a text is some hundred bytes, and no stranger chooses it.
static uint64_t hash_text(const char *text, size_t size)
{
    uint64_t hash = size;
    while (size) {
        uint64_t word = 0;
        size_t taken = size < sizeof word ? size : sizeof word;
        memcpy(&word, text, taken);
        hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
        hash ^= hash >> 32;
        text += taken;
        size -= taken;
    }
    return hash;
}

static struct db_text *find(struct db_texts *texts, const char *sql, size_t size, uint64_t hash)
{
    for (size_t i = 0; i < texts->count; i++) {
        struct db_text *text = &texts->texts[i];
        if (text->hash == hash && text->size == size && !text->open &&
            !memcmp(text->stmt.sql, sql, size))
            return text;
    }
    return NULL;
}

// The one that was not used for longest; NULL when the rows of all are open.
static struct db_text *find_oldest(struct db_texts *texts)
{
    struct db_text *oldest = NULL;
    for (size_t i = 0; i < texts->count; i++) {
        struct db_text *text = &texts->texts[i];
        if (!text->open && (!oldest || text->used < oldest->used))
            oldest = text;
    }
    return oldest;
}

static void drop_sql(struct db_text *text)
{
    free((char *)(uintptr_t)text->stmt.sql);
    text->stmt.sql = NULL;
}

// A place for one more text; NULL when there is none.
static struct db_text *make_room(struct db_session *session)
{
    struct db_texts *texts = session->texts;
    if (texts->count < DB_TEXTS_MAX)
        return &texts->texts[texts->count++];
    struct db_text *oldest = find_oldest(texts);
    if (oldest) {
        if (session->db->backend->forget)
            session->db->backend->forget(session, &oldest->stmt);
        drop_sql(oldest);
    }
    return oldest;
}

int db_text_get(struct db_session *session, const char *sql, struct db_text **ret_text,
                struct err *err)
{
    size_t size = strlen(sql);
    if (size > LIMIT_SQL_TEXT)
        return err_internal(err, "a statement of %zu bytes", size);
    if (!session->texts)
        session->texts = mem_zalloc(sizeof *session->texts);
    uint64_t hash = hash_text(sql, size);
    struct db_text *text = find(session->texts, sql, size, hash);
    if (!text) {
        text = make_room(session);
        if (!text)
            return err_internal(err, "the rows of %d texts are open", DB_TEXTS_MAX);
        *text = (struct db_text){.stmt = {mem_strndup(sql, size)}, .hash = hash, .size = size};
    }
    text->used = ++session->texts->uses;
    *ret_text = text;
    return 0;
}

void db_texts_free(struct db_texts *texts)
{
    for (size_t i = 0; texts && i < texts->count; i++)
        drop_sql(&texts->texts[i]);
    free(texts);
}
