// SPDX-License-Identifier: AGPL-3.0-or-later
// Searching accounts. Names are found by the index of svc/account_index.h: walks collect
// candidates, the most recently active of them are chosen, and only then are they loaded, put in
// the order of their names and written.
#include "svc/account_search.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/interval.h"
#include "base/limits.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/text.h"
#include "db/query.h"
#include "svc/account_index.h"
#include "svc/account_search_internal.h"

// Few enough rows to look at all of them rather than to walk a longer list.
#define RARE_ROWS 200

struct candidate {
    int64_t id, recency; // as in the index
    struct uuid account_id;
};

// What is looked for in one walk: names that begin with a term, or a name with each of two terms.
struct wanted {
    const char *first, *last; // `last` NULL: one term, for either name
    bool either_order;
};

struct finder {
    struct db_session *session;
    struct arena *arena;
    int64_t limit;
    int64_t cutoff_ms; // INT64_MIN: none
    int64_t rows_left;
    struct candidate *candidates;
    size_t count, capacity;
    struct search_results *results;
};

// ---- Candidates ----

static void add_candidate(struct finder *finder, struct db_rows *rows)
{
    if (finder->count == finder->capacity) {
        finder->capacity = finder->capacity ? finder->capacity * 2 : 64;
        finder->candidates =
            mem_realloc(finder->candidates, finder->capacity * sizeof *finder->candidates);
    }
    struct candidate *candidate = &finder->candidates[finder->count++];
    candidate->id = db_rows_int(rows, 0);
    candidate->recency = db_rows_int(rows, 1);
    uuid_parse(db_rows_text(rows, 2), db_rows_size(rows, 2), &candidate->account_id);
}

static int by_recency(const void *left, const void *right)
{
    const struct candidate *a = left, *b = right;
    if (a->recency != b->recency)
        return a->recency > b->recency ? -1 : 1;
    return (a->id < b->id) - (a->id > b->id);
}

// Leaves the best of them, each once.
static void choose(struct finder *finder)
{
    size_t kept = 0;
    if (finder->count)
        qsort(finder->candidates, finder->count, sizeof *finder->candidates, by_recency);
    for (size_t i = 0; i < finder->count && (int64_t)kept < finder->limit; i++) {
        if (!kept || finder->candidates[i].id != finder->candidates[kept - 1].id)
            finder->candidates[kept++] = finder->candidates[i];
    }
    finder->count = kept;
}

// ---- Walks ----

static bool matches(const struct wanted *wanted, const char *first, const char *last)
{
    if (!wanted->last)
        return text_has_prefix(first, wanted->first) || text_has_prefix(last, wanted->first);
    return (text_has_prefix(first, wanted->first) && text_has_prefix(last, wanted->last)) ||
           (wanted->either_order && text_has_prefix(first, wanted->last) &&
            text_has_prefix(last, wanted->first));
}

// The accounts of a prefix, the most recently active first, until enough are found or too many
// looked at.
static int walk_range(struct finder *finder, struct db_value prefix, const struct wanted *wanted,
                      int64_t from, int64_t to, int64_t *found, struct err *err)
{
    static const struct db_stmt find = {
        "SELECT s.id, s.recency, n.account_id, n.first_name, n.last_name FROM account_search s"
        " JOIN account_names n ON n.id = s.id"
        " WHERE s.prefix = $1 AND s.recency >= $2 AND s.recency <= $3"
        " ORDER BY s.recency DESC, s.id DESC LIMIT $4"};
    auto_rows struct db_rows *rows = NULL;
    if (finder->rows_left <= 0)
        return 0;
    int rc =
        db_query(finder->session, &find,
                 DB_ARGS(prefix, DB_INT(from), DB_INT(to), DB_INT(finder->rows_left)), &rows, err);
    while (!rc && *found < finder->limit && (rc = db_rows_next(rows, err)) == 1) {
        finder->rows_left--;
        if (matches(wanted, db_rows_text(rows, 3), db_rows_text(rows, 4))) {
            add_candidate(finder, rows);
            ++*found;
        }
        rc = 0;
    }
    return rc;
}

static int walk(struct finder *finder, struct db_value prefix, const struct wanted *wanted,
                struct err *err)
{
    int64_t found = 0;
    if (finder->cutoff_ms == INT64_MIN)
        return walk_range(finder, prefix, wanted, INT64_MIN, INT64_MAX, &found, err);
    int rc = walk_range(finder, prefix, wanted, finder->cutoff_ms, INT64_MAX, &found, err);
    return rc ? rc
              : walk_range(finder, prefix, wanted,
                           account_index_recency(false, 0, finder->cutoff_ms), -1, &found, err);
}

static int walk_word(struct finder *finder, const char *term, const struct wanted *wanted,
                     struct err *err)
{
    struct account_key key;
    size_t size;
    account_key_word(&key, term);
    int rc = account_key_bucket(finder->session, &key, &size, err);
    return rc ? rc : walk(finder, DB_TEXTN(key.text, size), wanted, err);
}

// Whether the accounts that the term is the beginning of a name of are few.
static int is_rare(struct finder *finder, const char *term, bool *ret_rare, struct err *err)
{
    static const struct db_stmt count = {
        "SELECT count(*) FROM (SELECT 1 FROM account_search WHERE prefix = $1 LIMIT $2) AS rows"};
    struct account_key key;
    size_t size;
    int64_t rows = 0;
    account_key_word(&key, term);
    int rc = account_key_bucket(finder->session, &key, &size, err);
    if (!rc)
        rc = db_query_int(finder->session, &count,
                          DB_ARGS(DB_TEXTN(key.text, size), DB_INT(RARE_ROWS + 1)), &rows, err);
    *ret_rare = rows <= RARE_ROWS;
    return rc;
}

static int walk_pair(struct finder *finder, const char *first, const char *last, struct err *err)
{
    struct account_key key;
    size_t size;
    struct wanted wanted = {.first = first, .last = last};
    account_key_pair(&key, first, last);
    int rc = account_key_bucket(finder->session, &key, &size, err);
    return rc ? rc : walk(finder, DB_TEXTN(key.text, size), &wanted, err);
}

// Letters of two terms alternate as far as both have some; beyond, the longer one may tell more.
static int find_pair(struct finder *finder, const char *one, const char *two, struct err *err)
{
    const char *longer = strlen(one) > strlen(two) ? one : two;
    bool rare = false;
    int rc = is_rare(finder, longer, &rare, err);
    if (!rc && rare) {
        struct wanted wanted = {.first = one, .last = two, .either_order = true};
        return walk_word(finder, longer, &wanted, err);
    }
    if (!rc)
        rc = walk_pair(finder, one, two, err);
    return rc ? rc : walk_pair(finder, two, one, err);
}

#define TERMS_MAX 3

// Terms that are beginnings of others say nothing new, and no name begins with two different ones:
// what is left of three or more is found nowhere.
static size_t reduce(const struct search_item *item, const char *left[TERMS_MAX])
{
    size_t count = 0;
    for (size_t i = 0; i < item->count && count < TERMS_MAX; i++) {
        const char *term = item->terms[i];
        size_t at = 0;
        while (at < count && !text_has_prefix(left[at], term) && !text_has_prefix(term, left[at]))
            at++;
        if (at == count)
            left[count++] = term;
        else if (text_has_prefix(term, left[at]))
            left[at] = term;
    }
    return count;
}

static int find_names(struct finder *finder, const struct search_item *item, struct err *err)
{
    const char *terms[TERMS_MAX];
    size_t count = reduce(item, terms);
    if (!finder->limit)
        return 0;
    if (count == 2)
        return find_pair(finder, terms[0], terms[1], err);
    struct wanted wanted = {.first = terms[0]};
    return count == 1 ? walk_word(finder, terms[0], &wanted, err) : 0;
}

// ---- Loading what was found ----

static int load_candidate(struct finder *finder, const struct candidate *candidate, struct err *err)
{
    static const struct db_stmt find = {
        "SELECT account_id, first_name, last_name, last_active, created FROM accounts"
        " WHERE account_id = $1 AND deleted = 0"};
    auto_rows struct db_rows *rows = NULL;
    int rc = db_query_row(finder->session, &find, DB_ARGS(DB_TEXT(candidate->account_id.text)),
                          &rows, err);
    if (rc == 1)
        search_result_add(finder->results, rows);
    return rc < 0 ? rc : 0;
}

static int find_address(struct finder *finder, const char *email_address, struct err *err)
{
    static const struct db_stmt find = {
        "SELECT account_id, first_name, last_name, last_active, created, email_address,"
        " email_address_verified FROM accounts WHERE email_address = $1 AND deleted = 0"};
    auto_rows struct db_rows *rows = NULL;
    int rc = db_query_row(finder->session, &find, DB_ARGS(DB_TEXT(email_address)), &rows, err);
    if (rc == 1) {
        struct search_result *result = search_result_add(finder->results, rows);
        result->email_address = arena_strdup(finder->arena, db_rows_text(rows, 5));
        result->verified =
            db_rows_null(rows, 6) ? "null" : arena_strdup(finder->arena, db_rows_text(rows, 6));
    }
    return rc < 0 ? rc : 0;
}

// ---- The query (api-v1 7.1) ----

static int parse_active(const char *active, int64_t *ret_cutoff_ms, struct err *err)
{
    struct interval interval;
    *ret_cutoff_ms = INT64_MIN;
    if (!*active)
        return 0;
    if (!interval_parse(active, &interval))
        return err_set(err, ERR_INVALID, "invalid input syntax for type interval: \"%.200s\"",
                       active);
    *ret_cutoff_ms = interval_before(&interval, clock_now_ms());
    return 0;
}

// The pieces of an item that are addresses, with or without <>; the rest is names beside them.
static int find_addresses(struct finder *finder, struct map *seen, const struct search_item *item,
                          struct err *err)
{
    int rc = 0;
    for (size_t i = 0; i < item->count && !rc; i++) {
        char *email = search_term_address(item->terms[i], finder->arena);
        if (email && !map_set(seen, email, strlen(email), email))
            rc = find_address(finder, email, err);
    }
    return rc;
}

static int find_all(struct finder *finder, const struct search_item *items, struct err *err)
{
    struct map CLEANUP(map_dispose) seen = {0};
    int rc = 0;
    for (const struct search_item *item = items; item && !rc; item = item->next)
        rc = item->is_address ? find_addresses(finder, &seen, item, err)
                              : find_names(finder, item, err);
    if (rc)
        return rc;
    choose(finder);
    for (size_t i = 0; i < finder->count && !rc; i++)
        rc = load_candidate(finder, &finder->candidates[i], err);
    return rc;
}

int account_search(struct db_session *session, struct account_search *search, struct err *err)
{
    struct arena CLEANUP(arena_dispose) arena = {0};
    struct search_results results = {.arena = &arena, .nulls = true};
    struct search_item *items;
    struct finder finder = {
        .session = session,
        .arena = &arena,
        .limit = search->limit < LIMIT_SEARCH_NAMES ? search->limit : LIMIT_SEARCH_NAMES,
        .rows_left = LIMIT_SEARCH_ROWS,
        .results = &results,
    };
    int rc = parse_active(search->active, &finder.cutoff_ms, err);
    if (!rc)
        rc = search_items_parse(search->query, true, &arena, &items, err);
    if (!rc)
        rc = db_read_begin(session, err);
    if (rc)
        return rc;
    rc = find_all(&finder, items, err);
    db_read_end(session);
    free(finder.candidates);
    if (!rc)
        search_results_write(&results, &search->results);
    search_results_dispose(&results);
    return rc;
}
