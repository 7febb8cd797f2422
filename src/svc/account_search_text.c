// SPDX-License-Identifier: AGPL-3.0-or-later
#include "svc/account_search_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/limits.h"
#include "base/text.h"
#include "svc/accounts.h"

// Bytes of the longest name.
#define WORD_SIZE_MAX ((size_t)4 * LIMIT_NAME)

// ---- Queries (api-v1 7.1) ----

static bool is_separator(char c)
{
    return c == '\n' || c == ',' || c == ';';
}

static size_t count_words(const char *text, size_t size)
{
    size_t count = 0;
    for (size_t i = 0; i < size; i++)
        count += !text_is_space(text[i]) && (i == 0 || text_is_space(text[i - 1]));
    return count;
}

// Lower-cased; NULL if it is too long for any name and any address.
static const char *parse_word(const char *text, size_t size, bool is_address, struct arena *arena)
{
    auto_buf struct buf lower = {0};
    if (size > WORD_SIZE_MAX)
        return NULL;
    char *word = arena_strndup(arena, text, size);
    if (is_address) {
        text_lower(word); // they are stored with their ASCII letters lower-cased
        return word;
    }
    text_append_lower(&lower, word);
    return arena_strndup(arena, lower.data, lower.size);
}

// NULL if it says nothing, or nothing can be found by it.
static struct search_item *parse_item(const char *text, size_t size, size_t words, bool addresses,
                                      struct arena *arena)
{
    if (!words)
        return NULL;
    struct search_item *item = arena_zalloc(arena, sizeof *item);
    item->is_address = addresses && memchr(text, '@', size);
    item->terms = arena_alloc(arena, words * sizeof *item->terms);
    for (const char *p = text; words; words--) {
        while (text_is_space(*p))
            p++;
        const char *start = p;
        while (p < text + size && !text_is_space(*p))
            p++;
        const char *term = parse_word(start, (size_t)(p - start), item->is_address, arena);
        if (term)
            item->terms[item->count++] = term;
        else if (!item->is_address) // each word of a name must match
            return NULL;
    }
    return item->count ? item : NULL;
}

int search_items_parse(const char *query, bool addresses, struct arena *arena,
                       struct search_item **ret_items, struct err *err)
{
    struct search_item *first = NULL, **last = &first;
    size_t count = 0, words = 0;
    for (const char *p = query; *p;) {
        size_t size = 0;
        while (p[size] && !is_separator(p[size]))
            size++;
        size_t item_words = count_words(p, size);
        words += item_words;
        if (words > LIMIT_SEARCH_WORDS)
            return err_set(err, ERR_TOO_LARGE, "search for at most %d words", LIMIT_SEARCH_WORDS);
        struct search_item *item = parse_item(p, size, item_words, addresses, arena);
        if (item) {
            count += item->is_address ? item->count : 1;
            if (count > LIMIT_SEARCH_ITEMS)
                return err_set(err, ERR_TOO_LARGE, "search for at most %d names or addresses",
                               LIMIT_SEARCH_ITEMS);
            *last = item;
            last = &item->next;
        }
        p += size + (p[size] != '\0');
    }
    *ret_items = first;
    return 0;
}

char *search_query_trim(const char *query, struct arena *arena)
{
    while (text_is_space(*query))
        query++;
    size_t size = strlen(query);
    while (size && text_is_space(query[size - 1]))
        size--;
    return arena_strndup(arena, query, size);
}

char *search_term_address(const char *term, struct arena *arena)
{
    size_t size = strlen(term);
    bool wrapped = size > 2 && term[0] == '<' && term[size - 1] == '>';
    char *address = arena_strndup(arena, term + wrapped, size - (wrapped ? 2 : 0));
    return email_address_valid(address) ? address : NULL;
}

// ---- Results ----

static const char *text_of(struct search_results *results, struct db_rows *rows, int column)
{
    return db_rows_null(rows, column) ? NULL
                                      : arena_strdup(results->arena, db_rows_text(rows, column));
}

static const char *order_of(struct arena *arena, const struct search_result *result)
{
    auto_buf struct buf order = {0};
    text_append_lower(&order, result->first_name ? result->first_name : "");
    buf_append_char(&order, ' ');
    text_append_lower(&order, result->last_name ? result->last_name : "");
    return arena_strndup(arena, order.data, order.size);
}

struct search_result *search_result_add(struct search_results *results, struct db_rows *rows)
{
    if (results->count == results->capacity) {
        results->capacity = results->capacity ? results->capacity * 2 : 32;
        results->items = mem_realloc(results->items, results->capacity * sizeof *results->items);
    }
    struct search_result *result = &results->items[results->count++];
    *result = (struct search_result){
        .first_name = text_of(results, rows, 1),
        .last_name = text_of(results, rows, 2),
        .was_active = !db_rows_null(rows, 3),
        .last_active_ms = db_rows_int(rows, 3),
        .created_ms = db_rows_int(rows, 4),
    };
    uuid_parse(db_rows_text(rows, 0), db_rows_size(rows, 0), &result->account_id);
    result->order = order_of(results->arena, result);
    return result;
}

// By UTF-16 units: characters beyond the first 65536 come before the last of these.
static int compare_units(const char *left, const char *right)
{
    size_t i = 0;
    while (left[i] && left[i] == right[i])
        i++;
    unsigned char a = (unsigned char)left[i], b = (unsigned char)right[i];
    if (a >= 0xee && b >= 0xee && (a >= 0xf0) != (b >= 0xf0))
        return a >= 0xf0 ? -1 : 1;
    return a - b;
}

static int by_name(const void *left, const void *right)
{
    const struct search_result *a = left, *b = right;
    int order = compare_units(a->order, b->order);
    if (order)
        return order;
    int64_t a_ms = a->was_active ? a->last_active_ms : a->created_ms;
    int64_t b_ms = b->was_active ? b->last_active_ms : b->created_ms;
    return (a_ms < b_ms) - (a_ms > b_ms);
}

static void write_text(struct buf *out, const char *name, const char *text, bool nulls)
{
    if (text) {
        json_member_str(out, name, text);
    } else if (nulls) {
        json_key(out, name);
        json_null(out);
    }
}

static void write_result(const struct search_result *result, bool nulls, struct buf *out)
{
    json_begin_object(out);
    json_member_str(out, "account_id", result->account_id.text);
    write_text(out, "first_name", result->first_name, nulls);
    write_text(out, "last_name", result->last_name, nulls);
    if (result->was_active)
        json_member_time(out, "last_active", result->last_active_ms);
    else
        write_text(out, "last_active", NULL, nulls);
    json_member_time(out, "created", result->created_ms);
    write_text(out, "email_address", result->email_address, false);
    if (result->verified) {
        json_key(out, "email_address_verified");
        json_raw(out, result->verified, strlen(result->verified));
    }
    if (result->tell_banned)
        json_member_bool(out, "banned", result->banned);
    json_end_object(out);
}

void search_results_write(struct search_results *results, struct buf *out)
{
    if (results->count)
        qsort(results->items, results->count, sizeof *results->items, by_name);
    json_begin_array(out);
    for (size_t i = 0; i < results->count; i++)
        write_result(&results->items[i], results->nulls, out);
    json_end_array(out);
}

void search_results_dispose(struct search_results *results)
{
    free(results->items);
}
