// SPDX-License-Identifier: AGPL-3.0-or-later
// How large a value that somebody writes may be.
#ifndef SVC_TABLES_BOUNDS_H
#define SVC_TABLES_BOUNDS_H

#include "query/table.h"

// A value of a text column has at most so many characters (UTF-16 units), as the text that it
// becomes. The error's text is a reason, for a query_check_value_fn.
int bounds_check_text(const cJSON *value, size_t max, struct err *err) MUST_USE;

// Texts of one line, such as a colour or a key.
query_check_value_fn bounds_check_line;
// An array of them.
query_check_value_fn bounds_check_lines;

// In a transaction, once a map is merged: what is stored now for a row is no more than that.
// `length` gives the length for the key $1. ERR_TOO_LARGE.
int bounds_check_stored(struct db_session *txn, const struct db_stmt *length, const char *key,
                        const char *field, size_t max, struct err *err) MUST_USE;
// The same for each of several maps that the pattern has.
struct bounds_map {
    const char *field;
    struct db_stmt length;
    size_t max;
};
int bounds_check_maps(struct db_session *txn, const cJSON *pattern, const struct bounds_map *maps,
                      size_t count, const char *key, struct err *err) MUST_USE;

#endif
