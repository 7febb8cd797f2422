// SPDX-License-Identifier: AGPL-3.0-or-later
// registration_tokens (user-query 12.12): for administrators. Rows are read and written whole.
#include <string.h>

#include "base/limits.h"
#include "db/query.h"
#include "query/value.h"
#include "svc/registration_tokens.h"
#include "svc/tables/bounds.h"
#include "svc/tables/tables.h"

enum { TOKEN, DESCR, COUNTER, EXPIRES, LIMIT, DISABLED, EPHEMERAL, CUSTOMIZE };

static const struct query_column columns[] = {
    [TOKEN] = {.name = "token", .type = QUERY_TEXT},
    [DESCR] = {.name = "descr", .type = QUERY_TEXT},
    [COUNTER] = {.name = "counter", .type = QUERY_NUMBER, .whole = true},
    [EXPIRES] = {.name = "expires", .type = QUERY_TIMESTAMP},
    [LIMIT] = {.name = "limit", .type = QUERY_NUMBER, .whole = true},
    [DISABLED] = {.name = "disabled", .type = QUERY_BOOLEAN},
    [EPHEMERAL] = {.name = "ephemeral", .type = QUERY_NUMBER, .whole = true},
    [CUSTOMIZE] = {.name = "customize", .type = QUERY_JSON},
};
#define COLUMNS "token, descr, counter, expires, \"limit\", disabled, ephemeral, customize"

// The token that stands for all of them.
#define ALL "*"

static int refuse(struct err *err)
{
    return err_set(err, ERR_INVALID, "Error: don't know what to do with this query");
}

static const struct query_get_field get_fields[] = {
    {.name = "token"}, {.name = "descr"},    {.name = "expires"},   {.name = "counter"},
    {.name = "limit"}, {.name = "disabled"}, {.name = "ephemeral"}, {.name = "customize"},
};

static void write_row(struct db_rows *rows, struct buf *out)
{
    json_begin_object(out);
    for (int i = 0; i < (int)ARRAY_LEN(columns); i++) {
        json_key(out, columns[i].name);
        query_value_write(&columns[i], rows, i, out);
    }
    json_end_object(out);
}

static int list_all(struct db_session *session, const struct query_get *asked, struct buf *out,
                    struct err *err)
{
    static const struct db_stmt list = {"SELECT " COLUMNS
                                        " FROM registration_tokens ORDER BY token LIMIT $1"};
    auto_rows struct db_rows *rows = NULL;
    int64_t limit = asked->limit < 0 ? LIMIT_QUERY_ROWS : asked->limit;
    int rc = db_query(session, &list, DB_ARGS(DB_INT(limit)), &rows, err);
    json_begin_array(out);
    while (!rc && (rc = db_rows_next(rows, err)) == 1) {
        write_row(rows, out);
        rc = 0;
    }
    json_end_array(out);
    return rc;
}

static int show_one(struct db_session *session, const struct query_get *asked, const char *token,
                    struct buf *out, struct err *err)
{
    static const struct db_stmt find = {"SELECT " COLUMNS
                                        " FROM registration_tokens WHERE token = $1"};
    auto_rows struct db_rows *rows = NULL;
    int rc = db_query_row(session, &find, DB_ARGS(DB_TEXT(token)), &rows, err);
    if (rc < 0)
        return rc;
    if (asked->list)
        json_begin_array(out);
    if (rc)
        write_row(rows, out);
    if (asked->list)
        json_end_array(out);
    return 0;
}

static int compute(struct db_session *session, struct query_get *asked, struct buf *out,
                   struct err *err)
{
    const cJSON *token = json_get(asked->pattern, "token");
    struct db_value text;
    if (!token || cJSON_IsNull(token))
        return refuse(err);
    int rc = query_value_read(&columns[TOKEN], token, asked->arena, &text, err);
    if (rc)
        return rc;
    const char *name = arena_strndup(asked->arena, text.text, text.size);
    return strcmp(name, ALL) ? show_one(session, asked, name, out, err)
                             : list_all(session, asked, out, err);
}

static const struct query_get_block get = {
    .access = QUERY_ADMIN,
    QUERY_FIELDS(get_fields),
    .compute = compute,
};

// ---- Writing ----

static int check_descr(const struct query_set *set UNUSED, const cJSON *value, struct err *err)
{
    return bounds_check_text(value, LIMIT_QUERY_TEXT, err);
}

static const struct query_set_field set_fields[] = {
    {.name = "token", .max_bytes = LIMIT_DB_KEY_TEXT},
    {.name = "descr", .check = check_descr},
    {.name = "expires"},
    {.name = "limit"},
    {.name = "disabled"},
    {.name = "ephemeral"},
    {.name = "customize"},
};

// The value of a field, NULL if it is not given.
static int read_field(const struct query_set *set, int column, struct db_value *ret_value,
                      struct err *err)
{
    const cJSON *field = json_get(set->pattern, columns[column].name);
    *ret_value = DB_NULL;
    if (!field || cJSON_IsNull(field))
        return 0;
    if (columns[column].type == QUERY_JSON && !cJSON_IsObject(field))
        return err_set(err, ERR_INVALID, "FATAL: error setting '%s' -- Error: must be an object",
                       columns[column].name);
    return query_value_read(&columns[column], field, set->arena, ret_value, err);
}

static const char *text_of(const struct query_set *set, const struct db_value *value)
{
    return value->type == DB_TYPE_NULL ? NULL : arena_strndup(set->arena, value->text, value->size);
}

static int replace_row(struct db_session *txn, const struct query_set *set, struct err *err)
{
    struct db_value values[ARRAY_LEN(columns)];
    int rc = 0;
    for (int i = 0; i < (int)ARRAY_LEN(columns) && !rc; i++)
        rc = read_field(set, i, &values[i], err);
    if (rc)
        return rc;
    const struct registration_token token = {
        .token = text_of(set, &values[TOKEN]),
        .descr = text_of(set, &values[DESCR]),
        .expires_ms = values[EXPIRES].integer,
        .limit = values[LIMIT].type == DB_TYPE_NULL ? -1 : values[LIMIT].integer,
        .disabled = values[DISABLED].integer,
        .ephemeral_ms = values[EPHEMERAL].integer,
        .customize = text_of(set, &values[CUSTOMIZE]),
    };
    return registration_token_set(txn, &token, err);
}

static int write_it(struct db_session *txn, struct query_set *set, struct err *err)
{
    struct db_value token;
    const char *name = json_get_str(set->pattern, "token");
    if (!set->deletes && name && !strcmp(name, ALL)) // meant as a get, it would let everybody in
        return refuse(err);
    if (!set->deletes)
        return replace_row(txn, set, err);
    int rc = read_field(set, TOKEN, &token, err);
    if (!rc && token.type == DB_TYPE_NULL)
        return err_set(err, ERR_INVALID, "FATAL: delete query must set primary key");
    if (rc || !set->exists)
        return rc;
    return registration_token_delete(txn, text_of(set, &token), err);
}

static const struct query_set_block set = {
    .access = QUERY_ADMIN,
    QUERY_FIELDS(set_fields),
    .required = {"token"},
    .deletes = true,
    .instead = write_it,
};

const struct query_table table_registration_tokens = {
    .name = "registration_tokens",
    .text = "Tokens that people sign up with, for administrators. The token `*` reads all of them. "
            "A set replaces the whole row; how often a token was used stays.",
    .base = "registration_tokens",
    .key = {"token"},
    QUERY_COLUMNS(columns),
    .get = &get,
    .set = &set,
};
