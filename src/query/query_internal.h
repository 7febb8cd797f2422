// SPDX-License-Identifier: AGPL-3.0-or-later
// Shared by the files of the engine.
#ifndef QUERY_QUERY_INTERNAL_H
#define QUERY_QUERY_INTERNAL_H

#include "base/map.h"
#include "query/query.h"

// ---- schema.c ----

// A block with its names looked up. `fields` gives for a name the index of the field + 1 (as a
// pointer's number).
struct query_get_plan {
    const struct query_get_block *block;
    struct map fields;
    const struct query_column **columns; // by field; NULL: a parameter of a computed table
    cJSON **fallbacks[QUERY_DIALECTS];   // by field; NULL: none
};
struct query_set_plan {
    const struct query_set_block *block;
    struct map fields;
    const struct query_column **columns; // by field; NULL: a parameter
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

// ---- parse.c ----

struct query_one {
    const struct query_request *request;
    const struct query_entry *entry;
    bool is_set;
    bool list;
    bool idle; // a set with nothing to do (8.1, step 3)
    bool deletes;
    cJSON *pattern;       // own copy, placeholders replaced; freed with the arena
    struct uuid sudo_id;  // "" without the option account_id
    struct query_set set; // of the run under way, or the last one
};

// ---- set.c ----

// What query_one_parse has to check for a set (8.1, steps 1 to 6), once everything but `idle` and
// `deletes` is in `one`, which it sets. `table` is the name as sent; one->entry is NULL when there
// is no such table.
int query_set_parse(struct query_one *one, const char *table, struct err *err) MUST_USE;

// ---- value.c: values of queries and of the database (10.1 to 10.3) ----

// The database's value of `value`, which is not null, for a column; text is the arena's or the
// value's. Fails with the texts of 10.1.
int query_value_read(const struct query_column *column, const cJSON *value, struct arena *arena,
                     struct db_value *ret_value, struct err *err) MUST_USE;
// The same for a condition (10.2).
int query_operand_read(const struct query_column *column, const cJSON *value, int64_t now_ms,
                       struct arena *arena, struct db_value *ret_value, struct err *err) MUST_USE;
// Appends column `index` of the current row as JSON (10.3), `null` for NULL.
void query_value_write(const struct query_column *column, struct db_rows *rows, int index,
                       struct buf *out);
// A UUID in lower case. False: none.
bool query_uuid_read(const cJSON *value, struct uuid *ret_id);
// What JavaScript's text of a value is, as error texts show it: [1,2] is "1,2"; cut to a size.
const char *query_value_text(const cJSON *value, struct arena *arena);

// ---- merge.c: merging maps (9) ----

// Merges `change` (an object) into `old` (an object, changed).
void query_merge(cJSON *old, const cJSON *change);
// Takes the nulls out of a map that is stored anew.
void query_drop_nulls(cJSON *map);

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
