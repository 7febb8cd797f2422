// SPDX-License-Identifier: AGPL-3.0-or-later
#include "svc/account_index.h"

#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "db/query.h"

#define KEYS_MAX 3
// Of what is missing: some hundred milliseconds that other writes wait. In the order of names, so
// that rows that lie together are written together.
#define PUT_AT_ONCE 1000

int64_t account_index_recency(bool was_active, int64_t last_active_ms, int64_t created_ms)
{
    return was_active ? last_active_ms : created_ms - ACCOUNT_INDEX_NEVER;
}

// ---- Keys ----

// Adds a letter, and a prefix that ends with it. Returns the letter's size, 0 at the end of the
// word or of what a key can hold.
static size_t add_letter(struct account_key *key, size_t *size, const char *letter)
{
    if (!*letter || text_is_space(*letter) || key->count == LIMIT_SEARCH_PREFIX)
        return 0;
    unsigned char c = (unsigned char)*letter;
    size_t len = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
    memcpy(key->text + *size, letter, len);
    *size += len;
    key->ends[key->count++] = *size;
    return len;
}

void account_key_word(struct account_key *key, const char *name)
{
    size_t size = 0, len;
    key->count = 0;
    while ((len = add_letter(key, &size, name)))
        name += len;
}

static void key_pair(struct account_key *key, const char *first, const char *last, bool to_the_end)
{
    const char *rest[2] = {first, last};
    size_t size = 1, missing = 0;
    key->text[0] = ' ';
    key->count = 0;
    for (int side = 0; missing < 2 && key->count < LIMIT_SEARCH_PREFIX; side = !side) {
        size_t len = add_letter(key, &size, rest[side]);
        rest[side] += len;
        missing = len ? 0 : missing + 1;
        if (len)
            continue;
        if (!to_the_end || missing == 2)
            break;
        key->text[size++] = ' '; // the shorter name's place
        key->ends[key->count++] = size;
    }
}

void account_key_pair(struct account_key *key, const char *first, const char *last)
{
    key_pair(key, first, last, false);
}

static bool has_word(const char *name)
{
    return *name && !text_is_space(*name);
}

// What the index has of one account.
struct entry {
    int64_t id, recency;
    struct account_key keys[KEYS_MAX];
    size_t keys_count;
};

static void entry_keys(struct entry *entry, const char *first, const char *last)
{
    entry->keys_count = 0;
    if (has_word(first))
        account_key_word(&entry->keys[entry->keys_count++], first);
    if (has_word(last))
        account_key_word(&entry->keys[entry->keys_count++], last);
    if (has_word(first) && has_word(last))
        key_pair(&entry->keys[entry->keys_count++], first, last, true);
}

// ---- Rows of one prefix ----

static struct db_value prefix(const struct account_key *key, size_t level)
{
    return DB_TEXTN(key->text, key->ends[level]);
}

static int is_split(struct db_session *session, struct db_value at, bool *ret_split,
                    struct err *err)
{
    static const struct db_stmt find = {"SELECT 1 FROM account_search_splits WHERE prefix = $1"};
    int64_t found = 0;
    int rc = db_query_int(session, &find, DB_ARGS(at), &found, err);
    *ret_split = found;
    return rc;
}

int account_key_bucket(struct db_session *session, const struct account_key *key, size_t *ret_size,
                       struct err *err)
{
    size_t level = 0;
    for (bool longer; level + 1 < key->count; level++) {
        int rc = is_split(session, prefix(key, level), &longer, err);
        if (rc)
            return rc;
        if (!longer)
            break;
    }
    *ret_size = key->ends[level];
    return 0;
}

static int row_add(struct db_session *txn, struct db_value at, int64_t recency, int64_t id,
                   struct err *err)
{
    static const struct db_stmt insert = {
        "INSERT INTO account_search (prefix, recency, id) VALUES ($1, $2, $3)"
        " ON CONFLICT (prefix, recency, id) DO NOTHING"};
    return db_exec(txn, &insert, DB_ARGS(at, DB_INT(recency), DB_INT(id)), NULL, err);
}

static int row_remove(struct db_session *txn, struct db_value at, int64_t recency, int64_t id,
                      struct err *err)
{
    static const struct db_stmt delete = {
        "DELETE FROM account_search WHERE prefix = $1 AND recency = $2 AND id = $3"};
    return db_exec(txn, &delete, DB_ARGS(at, DB_INT(recency), DB_INT(id)), NULL, err);
}

// ---- Splitting ----

struct member {
    struct entry entry;
    struct member *next;
};

static int load_members(struct db_session *txn, struct db_value at, struct arena *arena,
                        struct member **ret_members, struct err *err)
{
    static const struct db_stmt find = {
        "SELECT s.id, s.recency, n.first_name, n.last_name FROM account_search s"
        " JOIN account_names n ON n.id = s.id WHERE s.prefix = $1"};
    auto_rows struct db_rows *rows = NULL;
    int rc = db_query(txn, &find, DB_ARGS(at), &rows, err);
    *ret_members = NULL;
    while (!rc && (rc = db_rows_next(rows, err)) == 1) {
        struct member *member = arena_alloc(arena, sizeof *member);
        member->entry.id = db_rows_int(rows, 0);
        member->entry.recency = db_rows_int(rows, 1);
        entry_keys(&member->entry, db_rows_text(rows, 2), db_rows_text(rows, 3));
        member->next = *ret_members;
        *ret_members = member;
        rc = 0;
    }
    return rc;
}

// Adds the rows that are one letter longer than the prefix.
static int add_longer(struct db_session *txn, struct db_value at, const struct entry *entry,
                      struct err *err)
{
    int rc = 0;
    for (size_t i = 0; i < entry->keys_count && !rc; i++) {
        const struct account_key *key = &entry->keys[i];
        for (size_t level = 0; level + 1 < key->count && !rc; level++) {
            if (key->ends[level] == at.size && !memcmp(key->text, at.text, at.size))
                rc = row_add(txn, prefix(key, level + 1), entry->recency, entry->id, err);
        }
    }
    return rc;
}

static int split(struct db_session *txn, struct db_value at, struct err *err)
{
    static const struct db_stmt insert = {"INSERT INTO account_search_splits (prefix) VALUES ($1)"};
    struct arena CLEANUP(arena_dispose) arena = {0};
    struct member *member;
    int rc = load_members(txn, at, &arena, &member, err);
    for (; member && !rc; member = member->next)
        rc = add_longer(txn, at, &member->entry, err);
    return rc ? rc : db_exec(txn, &insert, DB_ARGS(at), NULL, err);
}

static int is_full(struct db_session *txn, struct db_value at, bool *ret_full, struct err *err)
{
    static const struct db_stmt count = {
        "SELECT count(*) FROM (SELECT 1 FROM account_search WHERE prefix = $1 LIMIT $2) AS rows"};
    int64_t rows = 0;
    int rc = db_query_int(txn, &count, DB_ARGS(at, DB_INT(LIMIT_SEARCH_BUCKET + 1)), &rows, err);
    *ret_full = rows > LIMIT_SEARCH_BUCKET;
    return rc;
}

// ---- Rows of one key ----

static int key_add(struct db_session *txn, const struct entry *entry, const struct account_key *key,
                   struct err *err)
{
    bool longer = true;
    int rc = 0;
    for (size_t level = 0; level < key->count && longer && !rc; level++) {
        struct db_value at = prefix(key, level);
        rc = row_add(txn, at, entry->recency, entry->id, err);
        if (!rc)
            rc = is_split(txn, at, &longer, err);
        if (rc || longer)
            continue;
        rc = is_full(txn, at, &longer, err);
        if (!rc && longer)
            rc = split(txn, at, err);
    }
    return rc;
}

static int key_remove(struct db_session *txn, const struct entry *entry,
                      const struct account_key *key, struct err *err)
{
    bool longer = true;
    int rc = 0;
    for (size_t level = 0; level < key->count && longer && !rc; level++) {
        rc = row_remove(txn, prefix(key, level), entry->recency, entry->id, err);
        if (!rc)
            rc = is_split(txn, prefix(key, level), &longer, err);
    }
    return rc;
}

static int key_move(struct db_session *txn, const struct entry *entry,
                    const struct account_key *key, int64_t recency, struct err *err)
{
    bool longer = true;
    int rc = 0;
    for (size_t level = 0; level < key->count && longer && !rc; level++) {
        struct db_value at = prefix(key, level);
        rc = row_remove(txn, at, entry->recency, entry->id, err);
        if (!rc)
            rc = row_add(txn, at, recency, entry->id, err);
        if (!rc)
            rc = is_split(txn, at, &longer, err);
    }
    return rc;
}

// ---- Accounts ----

// 1: it is in the index; 0: it is not.
static int find_entry(struct db_session *txn, const struct uuid *account_id,
                      struct entry *ret_entry, struct err *err)
{
    static const struct db_stmt find = {
        "SELECT id, recency, first_name, last_name FROM account_names WHERE account_id = $1"};
    auto_rows struct db_rows *rows = NULL;
    int rc = db_query_row(txn, &find, DB_ARGS(DB_TEXT(account_id->text)), &rows, err);
    if (rc != 1)
        return rc;
    ret_entry->id = db_rows_int(rows, 0);
    ret_entry->recency = db_rows_int(rows, 1);
    entry_keys(ret_entry, db_rows_text(rows, 2), db_rows_text(rows, 3));
    return 1;
}

int account_index_remove(struct db_session *txn, const struct uuid *account_id, struct err *err)
{
    static const struct db_stmt delete = {"DELETE FROM account_names WHERE id = $1"};
    struct entry entry;
    int rc = find_entry(txn, account_id, &entry, err);
    if (rc != 1)
        return rc;
    rc = 0;
    for (size_t i = 0; i < entry.keys_count && !rc; i++)
        rc = key_remove(txn, &entry, &entry.keys[i], err);
    return rc ? rc : db_exec(txn, &delete, DB_ARGS(DB_INT(entry.id)), NULL, err);
}

int account_index_touch(struct db_session *txn, const struct uuid *account_id, int64_t time_ms,
                        struct err *err)
{
    static const struct db_stmt update = {"UPDATE account_names SET recency = $2 WHERE id = $1"};
    struct entry entry;
    int rc = find_entry(txn, account_id, &entry, err);
    if (rc != 1)
        return rc;
    rc = 0;
    for (size_t i = 0; i < entry.keys_count && !rc; i++)
        rc = key_move(txn, &entry, &entry.keys[i], time_ms, err);
    return rc ? rc : db_exec(txn, &update, DB_ARGS(DB_INT(entry.id), DB_INT(time_ms)), NULL, err);
}

static void append_lower(struct buf *out, struct db_rows *rows, int column)
{
    if (!db_rows_null(rows, column))
        text_append_lower(out, db_rows_text(rows, column));
}

// What a new entry is made of. 1: it is to be in the index; 0: it is not.
static int load_account(struct db_session *txn, const struct uuid *account_id, struct buf *first,
                        struct buf *last, int64_t *ret_recency, struct err *err)
{
    static const struct db_stmt find = {"SELECT first_name, last_name, created, last_active"
                                        " FROM accounts"
                                        " WHERE account_id = $1 AND deleted = 0 AND unlisted = 0"};
    auto_rows struct db_rows *rows = NULL;
    int rc = db_query_row(txn, &find, DB_ARGS(DB_TEXT(account_id->text)), &rows, err);
    if (rc != 1)
        return rc;
    append_lower(first, rows, 0);
    append_lower(last, rows, 1);
    *ret_recency =
        account_index_recency(!db_rows_null(rows, 3), db_rows_int(rows, 3), db_rows_int(rows, 2));
    return 1;
}

static int insert_names(struct db_session *txn, const struct uuid *account_id, struct buf *first,
                        struct buf *last, int64_t recency, struct err *err)
{
    static const struct db_stmt insert = {
        "INSERT INTO account_names (account_id, first_name, last_name, recency)"
        " VALUES ($1, $2, $3, $4)"};
    return db_exec(txn, &insert,
                   DB_ARGS(DB_TEXT(account_id->text), DB_TEXT(buf_cstr(first)),
                           DB_TEXT(buf_cstr(last)), DB_INT(recency)),
                   NULL, err);
}

static int add_account(struct db_session *txn, const struct uuid *account_id, struct err *err)
{
    auto_buf struct buf first = {0}, last = {0};
    struct entry entry;
    int64_t recency;
    int rc = load_account(txn, account_id, &first, &last, &recency, err);
    if (rc != 1)
        return rc;
    rc = insert_names(txn, account_id, &first, &last, recency, err);
    if (!rc)
        rc = find_entry(txn, account_id, &entry, err);
    if (rc < 0)
        return rc;
    rc = 0;
    for (size_t i = 0; i < entry.keys_count && !rc; i++)
        rc = key_add(txn, &entry, &entry.keys[i], err);
    return rc;
}

int account_index_put(struct db_session *txn, const struct uuid *account_id, struct err *err)
{
    static const struct db_stmt mark = {"UPDATE accounts SET searchable = 1 WHERE account_id = $1"};
    int rc = account_index_remove(txn, account_id, err);
    if (!rc)
        rc = add_account(txn, account_id, err);
    return rc ? rc : db_exec(txn, &mark, DB_ARGS(DB_TEXT(account_id->text)), NULL, err);
}

// ---- What is missing ----

struct completion {
    struct svc *svc;
    struct uuid ids[PUT_AT_ONCE];
    size_t count;
    struct db_write write;
};

static int find_missing(struct db_session *txn, struct completion *completion, struct err *err)
{
    static const struct db_stmt find = {
        "SELECT account_id FROM accounts WHERE searchable = 0 AND deleted = 0"
        " ORDER BY first_name LIMIT $1"};
    auto_rows struct db_rows *rows = NULL;
    int rc = db_query(txn, &find, DB_ARGS(DB_INT(PUT_AT_ONCE)), &rows, err);
    completion->count = 0;
    while (!rc && (rc = db_rows_next(rows, err)) == 1) {
        uuid_parse(db_rows_text(rows, 0), db_rows_size(rows, 0),
                   &completion->ids[completion->count++]);
        rc = 0;
    }
    return rc;
}

static int put_missing(struct db_session *txn, void *arg, struct err *err)
{
    struct completion *completion = arg;
    int rc = find_missing(txn, completion, err);
    for (size_t i = 0; i < completion->count && !rc; i++)
        rc = account_index_put(txn, &completion->ids[i], err);
    return rc;
}

static void on_put(struct db_write *write)
{
    struct completion *completion = write->arg;
    if (!write->rc && completion->count == PUT_AT_ONCE && !completion->svc->closing) {
        db_write_async(completion->svc->db, write);
        return;
    }
    if (write->rc)
        log_err(LOG_WARNING, "account_index_failed", &write->err);
    free(completion);
}

void account_index_complete(struct svc *svc)
{
    struct completion *completion = mem_zalloc(sizeof *completion);
    completion->svc = svc;
    completion->write =
        (struct db_write){.loop = svc->loop, .fn = put_missing, .arg = completion, .done = on_put};
    db_write_async(svc->db, &completion->write);
}
