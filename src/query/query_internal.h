// SPDX-License-Identifier: AGPL-3.0-or-later
// Shared by the files of the engine.
#ifndef QUERY_QUERY_INTERNAL_H
#define QUERY_QUERY_INTERNAL_H

#include "base/map.h"
#include "query/query.h"
#include "query/value.h"

// ---- schema.c ----

// What stands for a null in one dialect.
struct query_fallback {
    cJSON *value; // NULL: there is none
    char *text;   // the same, written
    size_t size;
};
// A block with its names looked up. `fields` gives for a name the index of the field + 1 (as a
// pointer's number).
struct query_get_plan {
    const struct query_get_block *block;
    struct map fields;
    const struct query_column **columns;              // by field; NULL: a parameter
    struct query_fallback *fallbacks[QUERY_DIALECTS]; // by field
};
struct query_set_plan {
    const struct query_set_block *block;
    struct map fields;
};
struct query_entry {
    const struct query_table *table;
    struct map columns;                       // name -> const struct query_column *
    struct query_get_plan *get, *project_get; // NULL: not allowed
    struct query_set_plan *set, *project_set;
};
// NULL: no such table.
const struct query_entry *query_schema_find(const struct query_schema *schema, const char *name);
const struct query_column *query_entry_column(const struct query_entry *entry, const char *name);
// The index of a field of a block by its name; -1: it has none of this name.
int query_field_index(const struct map *fields, const char *name);

// ---- parse.c ----

struct query_one {
    const struct query_request *request;
    const struct query_entry *entry;
    const struct query_get_plan *plan; // of a get
    bool is_set;
    bool list;
    bool idle; // a set with nothing to do (8.1, step 3)
    bool deletes;
    bool small, large;    // whether a large row ends the get; whether one did
    cJSON *pattern;       // own copy, placeholders replaced; its memory is the arena's
    struct uuid sudo_id;  // "" without the option account_id
    struct query_set set; // of the run under way, or the last one
};

// Whether a get with this pattern can find but one row, by its primary key.
bool query_one_is_row(const struct query_one *one, const cJSON *pattern);

// What JavaScript takes for true.
bool query_truth(const cJSON *value);

// ---- set.c ----

// What query_one_parse has to check for a set (8.1, steps 1 to 6), once everything but `idle` and
// `deletes` is in `one`, which it sets. `table` is the name as sent; one->entry is NULL when there
// is no such table.
int query_set_parse(struct query_one *one, const char *table, struct err *err) MUST_USE;

// ---- merge.c: merging maps (9) ----

// Merges `change` (an object) into `old` (an object, changed).
void query_merge(cJSON *old, const cJSON *change);

// ---- access.c: rights on projects (6) ----

enum query_right { QUERY_RIGHT_READ, QUERY_RIGHT_WRITE, QUERY_RIGHT_OWN };
// Whether the caller has the right on a project; administrators have every right, even on one that
// does not exist. *ret_exists may be NULL.
int query_project_right(struct db_session *session, const struct query_caller *caller,
                        const struct uuid *project_id, enum query_right right, bool *ret_granted,
                        bool *ret_exists, struct err *err) MUST_USE;
// 8.3, with its texts. `value` is what was sent for project_id.
int query_project_write_check(struct db_session *session, const struct query_caller *caller,
                              const cJSON *value, enum query_right right, struct uuid *ret_id,
                              struct err *err) MUST_USE;
// The caller after the option account_id: whom the query is run as.
int query_caller_resolve(struct db_session *session, const struct query_one *one,
                         struct query_caller *ret_caller, struct err *err) MUST_USE;

#endif
