// SPDX-License-Identifier: AGPL-3.0-or-later
// Shared by the files that read rows: get.c, options.c, condition.c, compare.c, like.c, render.c.
#ifndef QUERY_GET_INTERNAL_H
#define QUERY_GET_INTERNAL_H

#include "base/limits.h"
#include "query/query_internal.h"

// A field that is asked for.
struct query_asked {
    const struct query_column *column;     // NULL: a parameter
    const struct query_fallback *fallback; // its value is NULL where there is none
    const char *name;
    const cJSON *value; // of the pattern
    int index;          // in the rows; -1: it is not read, there is never a value
};

// A statement in the making. A get has no more arguments than its conditions and some of its
// filters.
#define QUERY_SQL_ARGS (LIMIT_QUERY_CONDITIONS + 28)
struct query_sql {
    struct buf text;
    struct db_value args[QUERY_SQL_ARGS];
    size_t args_count;
};
// Appends the number that stands for an argument: "$3".
void query_sql_arg(struct query_sql *sql, struct db_value value);
// Appends what a column is: t."title", or its expression.
void query_sql_column(struct query_sql *sql, const struct query_column *column);

// ---- options.c ----

struct query_order {
    const struct query_column *column;
    bool descending;
};
struct query_options {
    int64_t limit; // -1: none
    bool only_changes;
    struct query_order *orders;
    size_t orders_count;
};
// The options of a get, and those that the table has by itself (5).
int query_options_read(const struct query_one *one, struct query_options *ret_options,
                       struct err *err) MUST_USE;
// The limit alone, for tables that are computed: of several the first (12.6).
int query_limit_read(const struct query_one *one, int64_t *ret_limit, struct err *err) MUST_USE;

// ---- condition.c: conditions of the pattern (7.3) ----

enum query_operator {
    QUERY_EQUAL,
    QUERY_NOT_EQUAL,
    QUERY_LESS,
    QUERY_LESS_EQUAL,
    QUERY_GREATER,
    QUERY_GREATER_EQUAL,
    QUERY_LIKE,
    QUERY_NOT_LIKE,
    QUERY_ILIKE,
    QUERY_NOT_ILIKE,
    QUERY_IS,
    QUERY_IS_NOT,
    QUERY_ANY,
    QUERY_MINLEN,
    QUERY_MAXLEN,
    QUERY_OPERATORS
};

struct query_condition {
    const struct query_asked *asked;
    enum query_operator op;
    bool in_sql;             // else it is evaluated here, on rows as they come
    struct db_value operand; // NULL of IS: null is asked for
    cJSON *json;             // operand of JSON and arrays
};
struct query_conditions {
    struct query_condition *items;
    size_t count, capacity;
    size_t residual; // how many are evaluated here
    bool never;      // no row can fulfil them
    int64_t work;    // that is left for those evaluated here
};
// Reads the conditions of all fields; what it gives is to be disposed of even if it fails.
int query_conditions_read(const struct query_asked *asked, size_t count, int64_t now_ms,
                          struct arena *arena, struct query_conditions *conditions,
                          struct err *err) MUST_USE;
void query_conditions_dispose(struct query_conditions *conditions);
// Appends the condition of a statement.
void query_condition_sql(const struct query_condition *condition, struct query_sql *sql);
// Whether the current row fulfils those that are not in the statement. 1, 0 or an error.
int query_conditions_hold(struct query_conditions *conditions, struct db_rows *rows,
                          struct arena *arena, struct err *err) MUST_USE;

// ---- compare.c ----

// Order of JSON as PostgreSQL's jsonb has it: negative, 0 or positive. Members' order is
// irrelevant.
int query_json_compare(const cJSON *a, const cJSON *b);
// Order of arrays by their elements, the shorter one first.
int query_array_compare(const cJSON *a, const cJSON *b);

// ---- like.c ----

// Whether a text (UTF-8) is as an SQL pattern says: % is any text, _ a character, \ takes the
// meaning of the next. False once *work is used up.
bool query_like(const char *text, size_t text_size, const char *pattern, size_t pattern_size,
                int64_t *work);

// ---- render.c ----

// Appends the current row as an object (7.4, 7.5).
void query_row_write(const struct query_asked *asked, size_t count, bool keeps_nulls,
                     struct db_rows *rows, struct buf *out);

#endif
