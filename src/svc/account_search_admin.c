// SPDX-License-Identifier: AGPL-3.0-or-later
// The administrators' search (api-v1 7.4). Any part of a name or an address may be asked for, which
// no index helps with: all accounts are read, the most recently active first, until enough are
// found.
#include <string.h>

#include "base/limits.h"
#include "base/text.h"
#include "db/query.h"
#include "svc/account_search.h"
#include "svc/account_search_internal.h"
#include "svc/accounts.h"

#define COLUMNS                                                                                    \
    "SELECT account_id, first_name, last_name, last_active, created, email_address, banned"        \
    " FROM accounts"

static void add_result(struct search_results *results, struct db_rows *rows)
{
    struct search_result *result = search_result_add(results, rows);
    if (!db_rows_null(rows, 5))
        result->email_address = arena_strdup(results->arena, db_rows_text(rows, 5));
    result->tell_banned = true;
    result->banned = db_rows_int(rows, 6);
}

// ---- One account ----

static int find_one(struct db_session *session, const struct db_stmt *stmt, const char *key,
                    struct search_results *results, struct err *err)
{
    auto_rows struct db_rows *rows = NULL;
    int rc = db_query_row(session, stmt, DB_ARGS(DB_TEXT(key)), &rows, err);
    if (rc == 1)
        add_result(results, rows);
    return rc < 0 ? rc : 0;
}

// ---- Parts of names ----

struct row_texts {
    struct buf first, last;
    const char *email;
};

static bool has_term(struct row_texts *texts, const char *term)
{
    return strstr(buf_cstr(&texts->first), term) || strstr(buf_cstr(&texts->last), term) ||
           strstr(texts->email, term);
}

static bool has_item(struct row_texts *texts, const struct search_item *item)
{
    for (size_t i = 0; i < item->count; i++) {
        if (!has_term(texts, item->terms[i]))
            return false;
    }
    return true;
}

static bool has_any(struct row_texts *texts, const struct search_item *items)
{
    for (const struct search_item *item = items; item; item = item->next) {
        if (has_item(texts, item))
            return true;
    }
    return false;
}

static void read_texts(struct db_rows *rows, struct row_texts *texts)
{
    texts->first.size = texts->last.size = 0;
    text_append_lower(&texts->first, db_rows_null(rows, 1) ? "" : db_rows_text(rows, 1));
    text_append_lower(&texts->last, db_rows_null(rows, 2) ? "" : db_rows_text(rows, 2));
    texts->email = db_rows_null(rows, 5) ? "" : db_rows_text(rows, 5);
}

static int scan(struct db_session *session, const struct db_stmt *stmt,
                const struct search_item *items, size_t limit, struct search_results *results,
                struct err *err)
{
    auto_rows struct db_rows *rows = NULL;
    struct row_texts texts = {0};
    int rc = db_query(session, stmt, DB_ARGS(DB_INT(LIMIT_SEARCH_ROWS_ADMIN)), &rows, err);
    while (!rc && results->count < limit && (rc = db_rows_next(rows, err)) == 1) {
        read_texts(rows, &texts);
        if (has_any(&texts, items))
            add_result(results, rows);
        rc = 0;
    }
    buf_dispose(&texts.first);
    buf_dispose(&texts.last);
    return rc;
}

static int find_parts(struct db_session *session, const struct account_search *search,
                      struct search_results *results, struct err *err)
{
    static const struct db_stmt active = {
        COLUMNS " WHERE last_active > 0 AND deleted = 0 ORDER BY last_active DESC LIMIT $1"};
    // Read by the index on `created`, so that nothing is sorted.
    static const struct db_stmt never_active = {
        COLUMNS " WHERE coalesce(last_active, 0) <= 0 AND deleted = 0"
                " ORDER BY created DESC LIMIT $1"};
    struct search_item *items;
    size_t limit =
        search->limit < LIMIT_SEARCH_NAMES_ADMIN ? (size_t)search->limit : LIMIT_SEARCH_NAMES_ADMIN;
    int rc = search_items_parse(search->query, false, results->arena, &items, err);
    if (rc || !items)
        return rc;
    rc = scan(session, &active, items, limit, results, err);
    return rc ? rc : scan(session, &never_active, items, limit, results, err);
}

static int find(struct db_session *session, const struct account_search *search,
                struct search_results *results, struct err *err)
{
    static const struct db_stmt by_id = {COLUMNS " WHERE account_id = $1"};
    static const struct db_stmt by_address = {COLUMNS " WHERE email_address = $1"};
    char *key = search_query_trim(search->query, results->arena);
    text_lower(key);
    if (uuid_parse(key, strlen(key), NULL))
        return find_one(session, &by_id, key, results, err);
    if (email_address_valid(key))
        return find_one(session, &by_address, key, results, err);
    return find_parts(session, search, results, err);
}

// ---- On a worker ----

static void search_now(struct work *work)
{
    struct account_search *search = CONTAINER(work, struct account_search, work);
    struct arena CLEANUP(arena_dispose) arena = {0};
    struct search_results results = {.arena = &arena};
    auto_session struct db_session *session = NULL;
    search->rc = db_session_open(search->svc->db, &session, &search->err);
    if (!search->rc)
        search->rc = find(session, search, &results, &search->err);
    if (!search->rc)
        search_results_write(&results, &search->results);
    search_results_dispose(&results);
}

static void on_searched(struct work *work)
{
    struct account_search *search = CONTAINER(work, struct account_search, work);
    search->done(search);
}

void account_search_admin(struct svc *svc, struct account_search *search)
{
    search->svc = svc;
    work_submit(search->loop, &search->work, search_now, on_searched);
}
