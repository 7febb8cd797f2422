// SPDX-License-Identifier: AGPL-3.0-or-later
#include "svc/account_find.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/limits.h"
#include "base/map.h"
#include "base/text.h"
#include "db/query.h"
#include "svc/account_index.h"
#include "svc/account_search_internal.h"
#include "svc/accounts.h"
#include "svc/row_json.h"

// An account that matches by its name, and when it was active last, or made.
struct match {
    struct uuid account_id;
    int64_t recency_ms;
};

// An account as the results have it.
struct result {
    struct uuid account_id;
    int64_t recency_ms;
    const char *json;
};

struct finder {
    const struct account_find *find;
    struct db_session *session;
    struct err *err;
    struct arena arena;
    struct map seen; // struct result by its id
    struct result **results;
    size_t count, capacity;
    struct match *matches;
    size_t matches_count, matches_capacity;
};

static void finder_dispose(struct finder *finder)
{
    map_dispose(&finder->seen);
    free(finder->results);
    free(finder->matches);
    arena_dispose(&finder->arena);
}

// ---- Accounts as results ----

#define COLUMNS                                                                                    \
    "SELECT account_id, first_name, last_name, name, last_active, created, email_address,"         \
    " email_address_verified, banned FROM accounts WHERE deleted = 0 AND "
enum { ID, FIRST_NAME, LAST_NAME, NAME, LAST_ACTIVE, CREATED, ADDRESS, VERIFIED, BANNED };

// Whether the record of proved addresses has the present one; null if there is no record.
static void write_verified(struct buf *out, struct db_rows *rows)
{
    auto_json cJSON *record =
        db_rows_null(rows, VERIFIED) ? NULL : cJSON_Parse(db_rows_text(rows, VERIFIED));
    const char *address = db_rows_text(rows, ADDRESS);
    json_key(out, "email_address_verified");
    if (!cJSON_IsObject(record))
        json_null(out);
    else
        json_bool(out, address && json_get(record, address));
}

static const char *write_result(struct finder *finder, struct db_rows *rows, bool tell_address)
{
    auto_buf struct buf out = {0};
    json_begin_object(&out);
    json_member_str(&out, "account_id", db_rows_text(rows, ID));
    row_member_or_null(&out, "first_name", ROW_TEXT, rows, FIRST_NAME);
    row_member_or_null(&out, "last_name", ROW_TEXT, rows, LAST_NAME);
    row_member_or_null(&out, "name", ROW_TEXT, rows, NAME);
    row_member_or_null(&out, "last_active", ROW_INTEGER, rows, LAST_ACTIVE);
    row_member_or_null(&out, "created", ROW_INTEGER, rows, CREATED);
    write_verified(&out, rows);
    if (tell_address || finder->find->admin)
        row_member_or_null(&out, "email_address", ROW_TEXT, rows, ADDRESS);
    if (finder->find->admin)
        json_member_bool(&out, "banned", db_rows_int(rows, BANNED));
    json_end_object(&out);
    return arena_strndup(&finder->arena, out.data, out.size);
}

// Each account once: as it was found first.
static void add_result(struct finder *finder, struct db_rows *rows, bool tell_address)
{
    struct result *result = arena_zalloc(&finder->arena, sizeof *result);
    uuid_parse(db_rows_text(rows, ID), db_rows_size(rows, ID), &result->account_id);
    if (map_get(&finder->seen, result->account_id.text, UUID_LEN))
        return;
    map_set(&finder->seen, result->account_id.text, UUID_LEN, result);
    result->recency_ms = db_rows_int(rows, db_rows_null(rows, LAST_ACTIVE) ? CREATED : LAST_ACTIVE);
    result->json = write_result(finder, rows, tell_address);
    if (finder->count == finder->capacity) {
        finder->capacity = finder->capacity ? 2 * finder->capacity : 32;
        finder->results =
            mem_realloc(finder->results, finder->capacity * sizeof finder->results[0]);
    }
    finder->results[finder->count++] = result;
}

static int add_results(struct finder *finder, const struct db_stmt *stmt, const char *key,
                       bool tell_address)
{
    auto_rows struct db_rows *rows = NULL;
    int rc = db_query(finder->session, stmt, DB_ARGS(DB_TEXT(key)), &rows, finder->err);
    while (!rc && (rc = db_rows_next(rows, finder->err)) == 1) {
        add_result(finder, rows, tell_address);
        rc = 0;
    }
    return rc;
}

static int find_by_id(struct finder *finder, const char *id)
{
    static const struct db_stmt by_id = {COLUMNS "account_id = $1"};
    return add_results(finder, &by_id, id, false);
}

// For administrators, the id may be a project's.
static int find_by_uuid(struct finder *finder, const char *id)
{
    static const struct db_stmt by_project = {
        COLUMNS "account_id IN (SELECT account_id FROM project_users WHERE project_id = $1"
                " AND \"group\" IN ('owner', 'collaborator'))"};
    int rc = find_by_id(finder, id);
    return rc || finder->count || !finder->find->admin
               ? rc
               : add_results(finder, &by_project, id, false);
}

static int by_recency(const void *left, const void *right)
{
    const struct result *a = *(struct result *const *)left, *b = *(struct result *const *)right;
    return (a->recency_ms < b->recency_ms) - (a->recency_ms > b->recency_ms);
}

static void write_results(struct finder *finder, struct buf *out)
{
    if (finder->count)
        qsort(finder->results, finder->count, sizeof finder->results[0], by_recency);
    json_begin_array(out);
    for (size_t i = 0; i < finder->count; i++)
        json_raw(out, finder->results[i]->json, strlen(finder->results[i]->json));
    json_end_array(out);
}

// ---- Addresses ----

// The words of an item that are addresses, with or without <>; the rest is names beside them.
static int find_addresses(struct finder *finder, const struct search_item *item)
{
    static const struct db_stmt by_address = {COLUMNS "email_address = $1"};
    int rc = 0;
    for (size_t i = 0; i < item->count && !rc; i++) {
        const char *email = search_term_address(item->terms[i], &finder->arena);
        if (email)
            rc = add_results(finder, &by_address, email, true);
    }
    return rc;
}

// ---- Names ----

// `@name` looks for a user name.
static bool is_address(const struct search_item *item)
{
    return item->is_address && item->terms[0][0] != '@';
}

static bool has_names(const struct search_item *items)
{
    for (; items; items = items->next) {
        if (!is_address(items))
            return true;
    }
    return false;
}

// Administrators look for addresses as for names.
static int count_terms(const struct search_item *items, bool admin, struct err *err)
{
    const size_t most = admin ? LIMIT_FIND_TERMS_ADMIN : LIMIT_FIND_TERMS;
    size_t count = 0;
    for (; items; items = items->next)
        count += admin || !is_address(items) ? items->count : 0;
    return count <= most ? 0 : err_set(err, ERR_TOO_LARGE, "search for at most %zu names", most);
}

// A pattern that a text with the term in it is like.
static const char *term_pattern(struct arena *arena, const char *term)
{
    auto_buf struct buf lower = {0}, pattern = {0};
    text_append_lower(&lower, term);
    buf_append_char(&pattern, '%');
    for (size_t i = 0; i < lower.size; i++) {
        if (strchr("%_!", lower.data[i]))
            buf_append_char(&pattern, '!');
        buf_append_char(&pattern, lower.data[i]);
    }
    buf_append_char(&pattern, '%');
    return arena_strndup(arena, pattern.data, pattern.size);
}

static void append_condition(struct buf *sql, size_t number)
{
    buf_printf(sql,
               "(n.first_name LIKE $%zu ESCAPE '!' OR n.last_name LIKE $%zu ESCAPE '!'"
               " OR n.account_id IN (SELECT account_id FROM accounts WHERE name IS NOT NULL"
               " AND '@' || lower(name) LIKE $%zu ESCAPE '!'))",
               number, number, number);
}

// One look at all names for all items.
static size_t write_names_query(struct finder *finder, const struct search_item *items,
                                struct buf *sql, struct db_value *args)
{
    size_t count = 0;
    buf_append_str(sql, "SELECT n.account_id FROM account_names n WHERE ");
    for (const struct search_item *item = items; item; item = item->next) {
        if (is_address(item))
            continue;
        buf_append_str(sql, count ? " OR (" : "(");
        for (size_t i = 0; i < item->count; i++) {
            args[count++] = DB_TEXT(term_pattern(&finder->arena, item->terms[i]));
            buf_append_str(sql, i ? " AND " : "");
            append_condition(sql, count);
        }
        buf_append_char(sql, ')');
    }
    args[count++] = DB_INT(finder->find->limit);
    buf_printf(sql,
               " ORDER BY CASE WHEN n.recency < 0 THEN n.recency + %lld ELSE n.recency END DESC,"
               " n.id DESC LIMIT $%zu",
               (long long)ACCOUNT_INDEX_NEVER, count);
    return count;
}

static void add_match(struct finder *finder, const char *account_id, int64_t recency_ms)
{
    if (finder->matches_count == finder->matches_capacity) {
        finder->matches_capacity = finder->matches_capacity ? 2 * finder->matches_capacity : 64;
        finder->matches =
            mem_realloc(finder->matches, finder->matches_capacity * sizeof finder->matches[0]);
    }
    struct match *match = &finder->matches[finder->matches_count++];
    match->recency_ms = recency_ms;
    uuid_parse(account_id, UUID_LEN, &match->account_id);
}

static int load_matches(struct finder *finder)
{
    int rc = 0;
    for (size_t i = 0; i < finder->matches_count && !rc; i++)
        rc = find_by_id(finder, finder->matches[i].account_id.text);
    return rc;
}

static int find_names(struct finder *finder, const struct search_item *items)
{
    auto_buf struct buf sql = {0};
    auto_rows struct db_rows *rows = NULL;
    struct db_value args[LIMIT_FIND_TERMS + 1];
    int rc = count_terms(items, false, finder->err);
    if (rc)
        return rc;
    size_t count = write_names_query(finder, items, &sql, args);
    rc = db_query_text(finder->session, buf_cstr(&sql), args, count, &rows, finder->err);
    while (!rc && (rc = db_rows_next(rows, finder->err)) == 1) {
        add_match(finder, db_rows_text(rows, 0), 0);
        rc = 0;
    }
    return rc ? rc : load_matches(finder);
}

// ---- What administrators find ----

struct texts {
    struct buf first, last, name;
    const char *address;
};

static void texts_dispose(struct texts *texts)
{
    buf_dispose(&texts->first);
    buf_dispose(&texts->last);
    buf_dispose(&texts->name);
}

static void read_lower(struct buf *out, const char *prefix, struct db_rows *rows, int column)
{
    out->size = 0;
    if (db_rows_null(rows, column))
        return;
    buf_append_str(out, prefix);
    text_append_lower(out, db_rows_text(rows, column));
}

static bool has_item(struct texts *texts, const struct search_item *item, bool only_address)
{
    for (size_t i = 0; i < item->count; i++) {
        const char *term = item->terms[i];
        if (!strstr(texts->address, term) &&
            (only_address ||
             (!strstr(buf_cstr(&texts->first), term) && !strstr(buf_cstr(&texts->last), term) &&
              !strstr(buf_cstr(&texts->name), term))))
            return false;
    }
    return true;
}

static bool has_any(struct texts *texts, const struct search_item *items, bool only_address)
{
    for (; items; items = items->next) {
        if (has_item(texts, items, only_address))
            return true;
    }
    return false;
}

static int matches_by_recency(const void *left, const void *right)
{
    const struct match *a = left, *b = right;
    return (a->recency_ms < b->recency_ms) - (a->recency_ms > b->recency_ms);
}

// Leaves the most recently active.
static void trim_matches(struct finder *finder)
{
    const size_t limit = (size_t)finder->find->limit;
    if (finder->matches_count)
        qsort(finder->matches, finder->matches_count, sizeof finder->matches[0],
              matches_by_recency);
    if (finder->matches_count > limit)
        finder->matches_count = limit;
}

static int scan(struct finder *finder, const struct search_item *items)
{
    static const struct db_stmt all = {
        "SELECT account_id, first_name, last_name, name, coalesce(last_active, created),"
        " email_address FROM accounts WHERE deleted = 0 AND account_id > $1"
        " ORDER BY account_id LIMIT $2"};
    struct texts CLEANUP(texts_dispose) texts = {0};
    struct uuid last = {0};
    int64_t page = LIMIT_FIND_PAGE, rows_count = page;
    int rc = 0;
    while (!rc && rows_count == page) {
        auto_rows struct db_rows *rows = NULL;
        rc = db_query(finder->session, &all, DB_ARGS(DB_TEXT(last.text), DB_INT(page)), &rows,
                      finder->err);
        for (rows_count = 0; !rc && (rc = db_rows_next(rows, finder->err)) == 1; rc = 0) {
            rows_count++;
            uuid_parse(db_rows_text(rows, 0), db_rows_size(rows, 0), &last);
            read_lower(&texts.first, "", rows, 1);
            read_lower(&texts.last, "", rows, 2);
            read_lower(&texts.name, "@", rows, 3);
            texts.address = db_rows_null(rows, 5) ? "" : db_rows_text(rows, 5);
            if (has_any(&texts, items, finder->find->only_address))
                add_match(finder, last.text, db_rows_int(rows, 4));
            if (finder->matches_count == 2 * LIMIT_FIND_NAMES_ADMIN)
                trim_matches(finder);
        }
    }
    trim_matches(finder);
    return rc;
}

static int find_as_admin(struct finder *finder, const struct search_item *items)
{
    int rc = count_terms(items, true, finder->err);
    if (!rc)
        rc = scan(finder, items);
    return rc ? rc : load_matches(finder);
}

// ---- The search ----

static int find_items(struct finder *finder, const struct search_item *items)
{
    const struct account_find *find = finder->find;
    int rc = 0;
    if (!items)
        return 0;
    if (find->admin)
        return find_as_admin(finder, items);
    for (const struct search_item *item = items; item && !rc; item = item->next)
        rc = is_address(item) ? find_addresses(finder, item) : 0;
    return rc || find->only_address || !has_names(items) ? rc : find_names(finder, items);
}

static void run(struct account_find *find, struct db_session *session)
{
    struct finder CLEANUP(finder_dispose)
        finder = {.find = find, .session = session, .err = &find->err};
    struct search_item *items = NULL;
    const char *query = search_query_trim(find->query, &finder.arena);
    struct uuid id;
    if (uuid_parse(query, strlen(query), &id)) {
        find->rc = find_by_uuid(&finder, id.text);
    } else {
        find->rc = search_items_parse(query, true, &finder.arena, &items, &find->err);
        if (!find->rc)
            find->rc = find_items(&finder, items);
    }
    if (!find->rc)
        write_results(&finder, &find->results);
}

static void run_on_worker(struct work *work)
{
    struct account_find *find = CONTAINER(work, struct account_find, work);
    struct db_session *session;
    find->rc = sessions_take(&find->svc->sessions, &session, &find->err);
    if (find->rc)
        return;
    run(find, session);
    sessions_give(&find->svc->sessions, session);
}

static void on_run(struct work *work)
{
    struct account_find *find = CONTAINER(work, struct account_find, work);
    find->done(find);
}

// An id or one address.
static bool is_look_up(const struct account_find *find)
{
    struct arena CLEANUP(arena_dispose) arena = {0};
    const char *query = search_query_trim(find->query, &arena);
    return uuid_parse(query, strlen(query), NULL) || (!find->admin && email_address_valid(query));
}

void account_find_any(struct svc *svc, struct db_session *session, struct account_find *find)
{
    find->svc = svc;
    find->rc = 0;
    find->results = (struct buf){0};
    if (is_look_up(find)) {
        run(find, session);
        find->done(find);
        return;
    }
    if (work_submit_gated(find->loop, &svc->searching, &find->work, find->owner, run_on_worker,
                          on_run))
        return;
    find->rc = err_set(&find->err, ERR_RATE_LIMITED,
                       "too many of your searches are waiting; try again later");
    find->done(find);
}
