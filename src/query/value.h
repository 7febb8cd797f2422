// SPDX-License-Identifier: AGPL-3.0-or-later
// Values as queries have them and as the database has them (user-query 10.1 to 10.3), for the
// engine and for routines of tables.
#ifndef QUERY_VALUE_H
#define QUERY_VALUE_H

#include "query/table.h"

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
// What a pattern has for a field; NULL for null too.
const cJSON *query_given(const cJSON *pattern, const char *field);
// Puts `value`, which it takes over, in the place of what a pattern has for a field.
void query_put(cJSON *pattern, const char *field, cJSON *value);
// PostgreSQL's name of a type.
const char *query_type_name(enum query_type type);

#endif
