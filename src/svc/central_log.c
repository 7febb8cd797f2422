// SPDX-License-Identifier: AGPL-3.0-or-later
#include "svc/central_log.h"

#include "base/clock.h"
#include "base/json.h"
#include "db/query.h"

#define CLIENT_ERROR_LIFE_MS (INT64_C(30) * 24 * 3600 * 1000)

int central_log(struct db_session *txn, const char *event, const struct central_text *texts,
                struct err *err)
{
    static const struct db_stmt insert = {
        "INSERT INTO central_log (id, event, value, time) VALUES ($1, $2, $3, $4)"};
    auto_buf struct buf value = {0};
    struct uuid id = uuid_new();
    json_begin_object(&value);
    for (; texts->name; texts++) {
        if (texts->text)
            json_member_str(&value, texts->name, texts->text);
    }
    json_end_object(&value);
    return db_exec(txn, &insert,
                   DB_ARGS(DB_TEXT(id.text), DB_TEXT(event), DB_TEXTN(value.data, value.size),
                           DB_INT(clock_now_ms())),
                   NULL, err);
}

int client_error_log(struct db_session *txn, const struct client_error *error, struct err *err)
{
    static const struct db_stmt find = {"SELECT 1 FROM client_error_log WHERE id = $1"};
    static const struct db_stmt insert = {
        "INSERT INTO client_error_log (id, event, error, account_id, time, expire)"
        " VALUES ($1, 'error', $2, $3, $4, $5)"};
    struct uuid id = error->id;
    int64_t taken = 0, now = clock_now_ms();
    int rc = id.text[0] ? db_query_int(txn, &find, DB_ARGS(DB_TEXT(id.text)), &taken, err) : 0;
    if (rc)
        return rc;
    if (taken || !id.text[0])
        id = uuid_new();
    return db_exec(txn, &insert,
                   DB_ARGS(DB_TEXT(id.text), DB_TEXT(error->error), DB_TEXT(error->account_id.text),
                           DB_INT(now), DB_INT(now + CLIENT_ERROR_LIFE_MS)),
                   NULL, err);
}
