// SPDX-License-Identifier: AGPL-3.0-or-later
// Tables that user queries read and write, as data (user-query-schema.json says which there are).
//
// A table is a constant: its columns, what of them may be read and written by whom, which rows a
// caller sees, and routines where a rule is more than data. The engine knows none of them: what it
// reads by itself is what rights on projects hang on, who works on them and what of them is public.
// A routine knows no SQL of the engine's. Adding a table is one constant in svc/tables.
//
// Where a member has two values they stand for the dialects: [QUERY_DOCUMENTED] is API v1's,
// [QUERY_CURRENT] the remote procedures'.
#ifndef QUERY_TABLE_H
#define QUERY_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/uuid.h"
#include "db/db.h"

enum query_dialect { QUERY_DOCUMENTED, QUERY_CURRENT, QUERY_DIALECTS };

// Who asks. An account, or a project, or nobody.
struct query_caller {
    struct uuid account_id; // "" if not an account
    struct uuid project_id; // "" if not a project
    bool admin;
};

// ---- Columns ----

// What a value is in a query and, in brackets, in the database.
enum query_type {
    QUERY_UUID, // text in lower case
    QUERY_TEXT,
    QUERY_TIMESTAMP, // (integer, ms)
    QUERY_JSON,      // an object, merged when written (text)
    QUERY_BOOLEAN,   // (0 or 1)
    QUERY_INTEGER,   // 32 bits
    QUERY_NUMBER,    // (integer or real, as the column is)
    QUERY_BYTES,     // (bytes)
    QUERY_BITS,      // text of 0 and 1
};

struct query_set;

// Appends the JSON value that stands for what an expression gave; never called for NULL.
typedef void query_format_fn(const char *text, size_t size, struct buf *out);
// Writes a field that is no column of the row, after the row. `value` is of the column's type and
// not null. The text of ERR_INVALID, ERR_FORBIDDEN and ERR_CONFLICT is the answer.
typedef int query_write_fn(struct db_session *txn, struct query_set *set, const cJSON *value,
                           struct err *err);

struct query_column {
    const char *name;
    enum query_type type;
    bool array;            // a JSON array of `type` (as text)
    bool whole;            // a number that the database keeps as an integer
    unsigned max_length;   // of text, in characters: the rest is cut off; 0: none
    const char *date_keys; // members of JSON that are times if they look so, separated by spaces;
                           // "*": all
    // An SQL expression over the row `t`; NULL: the column of this name; "NULL": there is never a
    // value. Only a constant of the program.
    const char *sql;
    query_format_fn *format; // NULL: by the type
    query_write_fn *write;   // NULL: by the column of this name
};

// ---- Reading ----

enum query_access {
    QUERY_ANONYMOUS,   // no sign-in needed
    QUERY_ACCOUNT,     // a signed-in account
    QUERY_PROJECT,     // owner or collaborator of the project concerned, or an administrator
    QUERY_OWNER,       // owner of it, or an administrator
    QUERY_ADMIN,       // an administrator
    QUERY_PROJECT_KEY, // a project for itself
};

// Which rows there are for a caller (user-query 7.2), by a column.
enum query_filter_kind {
    QUERY_OWN_ACCOUNT,    // it is the caller's account
    QUERY_NEWER_THAN,     // it is at most `seconds` ago
    QUERY_PROJECT_MEMBER, // it is the project asked for, which the caller works on; else any such
    QUERY_PROJECT_EXACT,  // it is the project asked for, which the caller works on
    QUERY_PROJECT_EXACT_OPEN, // it is the project asked for
    QUERY_PROJECT_PUBLIC,     // it is the project asked for, which has an enabled public path
    QUERY_THIS_PROJECT,       // it is the calling project
    QUERY_WHERE,              // `sql` holds
};

struct query_filter {
    enum query_filter_kind kind;
    const char *column;
    int64_t seconds[QUERY_DIALECTS];
    const char *sql;     // over `t`; in it $1 is the caller's account, $2 the value of the field
                         // `column` of the pattern
    const char *row_sql; // the same for one row that is found by its key; NULL: `sql`
    bool quick;          // and whether that takes microseconds, as on an event loop
    // Of QUERY_PROJECT_MEMBER: who is among a project's users finds it in lists, whatever the group
    bool any_group[QUERY_DIALECTS];
};

struct query_get_field {
    const char *name;     // of a column, or of a parameter where the table is computed
    const char *fallback; // JSON that stands for a null, or fills up an object; NULL: none
    const char *current;  // JSON object: members that [QUERY_CURRENT] has besides, or has otherwise
};

struct query_get;
// Refuses, or changes get->pattern, before anything is read.
typedef int query_check_get_fn(struct query_get *get, struct err *err);
// Instead of a SELECT: appends the object or the array that is the member's value, or nothing when
// there is no row.
typedef int query_compute_fn(struct db_session *session, struct query_get *get, struct buf *out,
                             struct err *err);

struct query_get_block {
    enum query_access access;
    const struct query_filter *filters;
    size_t filters_count;
    const struct query_get_field *fields;
    size_t fields_count;
    const char *not_selected;      // a field that is only asked by, NULL: none
    const char *order_by;          // a column, behind '-' descending; NULL: none
    int64_t limit[QUERY_DIALECTS]; // 0: none
    bool keeps_nulls;              // rows of lists have their nulls
    query_check_get_fn *check;
    query_compute_fn *compute;
};

// ---- Writing ----

// How a field gets its value (user-query 8.2).
enum query_rule {
    QUERY_VALUE,
    QUERY_ACCOUNT_ID,        // the caller's account, whatever was sent
    QUERY_PROJECT_ID,        // the calling project, whatever was sent
    QUERY_PROJECT_WRITE,     // must be given; the caller works on that project
    QUERY_PROJECT_OWNER,     // must be given; the caller owns that project
    QUERY_SHA1_PROJECT_PATH, // SHA-1 of project_id and path, whatever was sent
    QUERY_UUID_IF_MISSING,
    QUERY_NOW_IF_MISSING,
};

// Checks the value of one field without the database, before the rights. A refusal's text becomes
// the reason in: FATAL: error setting 'F' -- Error: REASON
typedef int query_check_value_fn(const struct query_set *set, const cJSON *value, struct err *err);

struct query_set_field {
    const char *name; // of a column, or of a parameter that a routine reads
    enum query_rule rule;
    query_check_value_fn *check;
    unsigned max_bytes; // of the text: more is refused; 0: as much as `check` lets pass
};

// Runs in the transaction, maybe again from the start. Texts of ERR_INVALID, ERR_FORBIDDEN,
// ERR_NOT_FOUND, ERR_CONFLICT, ERR_TOO_LARGE and ERR_RATE_LIMITED are the answer as they are.
typedef int query_set_fn(struct db_session *txn, struct query_set *set, struct err *err);
// Runs once the change is durable, on any thread.
typedef void query_committed_fn(const struct query_set *set);

struct query_set_block {
    enum query_access access;
    const struct query_set_field *fields;
    size_t fields_count;
    const char *required[4]; // fields that must be there, besides those whose rule says so
    bool deletes;            // allows the option `delete`
    // In this order, behind the rules and the rights (user-query 8.1). With `before`, `instead` or
    // `after` the full primary key must be given.
    query_set_fn *check;
    query_set_fn *before;
    query_set_fn *instead; // of the write or the delete; sees to rows of other projects itself
    query_set_fn *after;
    query_committed_fn *committed;
};

struct query_table {
    const char *name;
    const char *text; // what it is, for the reference
    const char *base; // the database's table; NULL where all is computed
    const char *key[4];
    bool made_elsewhere; // a set makes no row of it
    const struct query_column *columns;
    size_t columns_count;
    const struct query_get_block *get, *project_get; // of accounts and nobody; of projects
    const struct query_set_block *set, *project_set; // NULL: not allowed
};

#define QUERY_COLUMNS(table) .columns = (table), .columns_count = ARRAY_LEN(table)
#define QUERY_FIELDS(table)  .fields = (table), .fields_count = ARRAY_LEN(table)
#define QUERY_FILTERS(table) .filters = (table), .filters_count = ARRAY_LEN(table)

// ---- What routines get ----

struct query_get {
    const struct query_table *table;
    const struct query_get_block *block;
    struct query_caller caller; // after the option `account_id`
    enum query_dialect dialect;
    int64_t now_ms;
    void *ctx;            // the services'
    struct arena *arena;  // of the request
    const cJSON *pattern; // placeholders replaced
    const cJSON *options; // array, or NULL
    bool list;            // the form [{…}]
    int64_t limit;        // the caller's, or the table's; -1: none
};

struct query_set {
    const struct query_table *table;
    const struct query_set_block *block;
    struct query_caller caller;
    enum query_dialect dialect;
    int64_t now_ms;
    void *ctx;
    void *begun; // the request's: where `committed` leaves what it would begin; NULL: it begins it
    struct arena *arena;
    // What is to be written, rules applied: routines may change it. New for every run.
    cJSON *pattern;
    bool deletes; // the option `delete`
    bool exists;  // whether the row does, for before, instead and after
    void *note;   // a routine's, for a later one of the same set, `committed` last; from the arena
};

#endif
