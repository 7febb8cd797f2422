// SPDX-License-Identifier: AGPL-3.0-or-later
#include "svc/registration_tokens.h"

#include <string.h>

#include "base/json.h"
#include "base/limits.h"
#include "db/query.h"
#include "svc/row_json.h"

#define COLUMNS "token, descr, counter, \"limit\", expires, disabled"

int registration_token_set(struct db_session *txn, const struct registration_token *token,
                           struct err *err)
{
    static const struct db_stmt set = {
        "INSERT INTO registration_tokens (token, descr, \"limit\", expires, disabled, ephemeral,"
        " customize) VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (token) DO UPDATE SET"
        " descr = excluded.descr, \"limit\" = excluded.\"limit\", expires = excluded.expires,"
        " disabled = excluded.disabled, ephemeral = excluded.ephemeral,"
        " customize = excluded.customize"};
    if (!token->token[0])
        return err_set(err, ERR_INVALID, "a registration token must not be empty");
    if (strlen(token->token) > LIMIT_DB_KEY_TEXT)
        return err_set(err, ERR_TOO_LARGE, "a registration token must have at most %d bytes",
                       LIMIT_DB_KEY_TEXT);
    return db_exec(txn, &set,
                   DB_ARGS(DB_TEXT(token->token), DB_TEXT(token->descr),
                           token->limit < 0 ? DB_NULL : DB_INT(token->limit),
                           token->expires_ms ? DB_INT(token->expires_ms) : DB_NULL,
                           DB_INT(token->disabled),
                           token->ephemeral_ms > 0 ? DB_INT(token->ephemeral_ms) : DB_NULL,
                           DB_TEXT(token->customize)),
                   NULL, err);
}

static int not_found(const char *token, struct err *err)
{
    return err_set(err, ERR_NOT_FOUND, "no registration token %s", token);
}

int registration_token_delete(struct db_session *txn, const char *token, struct err *err)
{
    static const struct db_stmt remove = {"DELETE FROM registration_tokens WHERE token = $1"};
    int64_t changed = 0;
    int rc = db_exec(txn, &remove, DB_ARGS(DB_TEXT(token)), &changed, err);
    return rc || changed ? rc : not_found(token, err);
}

static void write_token(struct db_rows *rows, struct buf *out)
{
    json_begin_object(out);
    json_member_str(out, "token", db_rows_text(rows, 0));
    row_member(out, "descr", ROW_TEXT, rows, 1);
    json_member_int(out, "counter", db_rows_int(rows, 2));
    row_member(out, "limit", ROW_INTEGER, rows, 3);
    row_member(out, "expires", ROW_TIME, rows, 4);
    json_member_bool(out, "disabled", db_rows_int(rows, 5));
    json_end_object(out);
}

int registration_token_show(struct db_session *session, const char *token, struct buf *out,
                            struct err *err)
{
    static const struct db_stmt find = {"SELECT " COLUMNS
                                        " FROM registration_tokens WHERE token = $1"};
    auto_rows struct db_rows *rows = NULL;
    int rc = db_query_row(session, &find, DB_ARGS(DB_TEXT(token)), &rows, err);
    if (rc == 1)
        write_token(rows, out);
    return rc < 0 ? rc : rc ? 0 : not_found(token, err);
}

int registration_token_list(struct db_session *session, struct buf *out, struct err *err)
{
    static const struct db_stmt list = {"SELECT " COLUMNS
                                        " FROM registration_tokens ORDER BY token"};
    auto_rows struct db_rows *rows = NULL;
    int rc = db_query(session, &list, DB_NO_ARGS, &rows, err);
    if (rc)
        return rc;
    json_begin_array(out);
    while ((rc = db_rows_next(rows, err)) == 1)
        write_token(rows, out);
    json_end_array(out);
    return rc;
}
