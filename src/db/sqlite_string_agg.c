// SPDX-License-Identifier: AGPL-3.0-or-later
// string_agg(value, separator) as PostgreSQL has it: the values that are not NULL, in the order of
// the rows, each but the first after its row's separator; NULL when there are none.
#include "db/sqlite_internal.h"

struct list {
    sqlite3_str *text; // NULL: no value yet
};

static void append(sqlite3_str *text, sqlite3_value *value)
{
    const char *bytes = (const char *)sqlite3_value_text(value);
    if (bytes)
        sqlite3_str_append(text, bytes, sqlite3_value_bytes(value));
}

static void step(sqlite3_context *context, int count UNUSED, sqlite3_value **values)
{
    if (sqlite3_value_type(values[0]) == SQLITE_NULL)
        return;
    struct list *list = sqlite3_aggregate_context(context, sizeof *list);
    if (!list) {
        sqlite3_result_error_nomem(context);
        return;
    }
    if (list->text)
        append(list->text, values[1]);
    else
        list->text = sqlite3_str_new(sqlite3_context_db_handle(context));
    append(list->text, values[0]);
}

// Comes also when the statement is given up, to free what the rows have left.
static void finish(sqlite3_context *context)
{
    struct list *list = sqlite3_aggregate_context(context, 0);
    if (!list || !list->text)
        return;
    int rc = sqlite3_str_errcode(list->text);
    int size = sqlite3_str_length(list->text);
    char *text = sqlite3_str_finish(list->text);
    if (rc != SQLITE_OK)
        sqlite3_result_error_code(context, rc);
    else if (text)
        sqlite3_result_text(context, text, size, sqlite3_free);
    else
        sqlite3_result_text(context, "", 0, SQLITE_STATIC);
}

int sqlite_add_string_agg(sqlite3 *handle)
{
    int flags = SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS;
    return sqlite3_create_function_v2(handle, "string_agg", 2, flags, NULL, NULL, step, finish,
                                      NULL);
}
