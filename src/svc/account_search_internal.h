// SPDX-License-Identifier: AGPL-3.0-or-later
// Shared by the two searches for accounts: reading a query, and writing results.
#ifndef SVC_ACCOUNT_SEARCH_INTERNAL_H
#define SVC_ACCOUNT_SEARCH_INTERNAL_H

#include "base/buf.h"
#include "base/mem.h"
#include "svc/svc.h"

// One of the alternatives of a query, lower-cased.
struct search_item {
    bool is_address;    // holds an @, and addresses are told from names
    const char **terms; // its words
    size_t count;       // at least one
    struct search_item *next;
};
// *ret_items: NULL if there are none. Names with a word that is too long for any, and words that
// are too long for any address, are left out. ERR_TOO_LARGE for more than LIMIT_SEARCH_ITEMS, or
// LIMIT_SEARCH_WORDS in them.
int search_items_parse(const char *query, bool addresses, struct arena *arena,
                       struct search_item **ret_items, struct err *err) MUST_USE;

// The query without the white space around it.
char *search_query_trim(const char *query, struct arena *arena);
// The address that a term is, with or without <>. NULL if it is none.
char *search_term_address(const char *term, struct arena *arena);

struct search_result {
    struct uuid account_id;
    const char *first_name, *last_name; // NULL: none
    bool was_active;
    int64_t last_active_ms, created_ms;
    const char *email_address; // NULL: not told, or none
    const char *verified;      // JSON, NULL: not told
    bool tell_banned, banned;
    const char *order; // the lower-cased names together
};

struct search_results {
    struct arena *arena;
    bool nulls; // what is not set is written as null, else left out
    struct search_result *items;
    size_t count, capacity;
};
// Adds the account of a row that begins with account_id, first_name, last_name, last_active,
// created. Valid until the next is added.
struct search_result *search_result_add(struct search_results *results, struct db_rows *rows);
// Appends a JSON array, in the order of names (api-v1 7.3).
void search_results_write(struct search_results *results, struct buf *out);
void search_results_dispose(struct search_results *results);

#endif
