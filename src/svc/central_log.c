// SPDX-License-Identifier: AGPL-3.0-or-later
#include "svc/central_log.h"

#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/limits.h"
#include "db/query.h"

#define REPORT_LIFE_MS (30 * CLOCK_DAY_MS)

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

// The bytes of the text that are kept; a character is not split.
static size_t kept_size(const char *text)
{
    size_t size = strnlen(text, LIMIT_CLIENT_ERROR_TEXT + 1);
    if (size <= LIMIT_CLIENT_ERROR_TEXT)
        return size;
    size = LIMIT_CLIENT_ERROR_TEXT;
    while (size && ((unsigned char)text[size] & 0xc0) == 0x80)
        size--;
    return size;
}

static int check_rate(struct db_session *txn, const struct uuid *account_id, int64_t now,
                      struct err *err)
{
    static const struct db_stmt count = {
        "SELECT count(*) FROM client_error_log WHERE account_id = $1 AND time > $2"};
    int64_t reported = 0;
    int rc =
        db_query_int(txn, &count, DB_ARGS(DB_TEXT(account_id->text), DB_INT(now - CLOCK_HOUR_MS)),
                     &reported, err);
    if (!rc && reported >= LIMIT_CLIENT_ERRORS_HOUR)
        return err_set(err, ERR_RATE_LIMITED,
                       "too many errors reported: at most %d an hour are kept; try again later",
                       LIMIT_CLIENT_ERRORS_HOUR);
    return rc;
}

int client_error_log(struct db_session *txn, const struct client_error *error, struct err *err)
{
    static const struct db_stmt find = {"SELECT 1 FROM client_error_log WHERE id = $1"};
    static const struct db_stmt insert = {
        "INSERT INTO client_error_log (id, event, error, account_id, time, expire)"
        " VALUES ($1, $6, $2, $3, $4, $5)"};
    struct uuid id = error->id;
    int64_t taken = 0, now = clock_now_ms();
    int rc = check_rate(txn, &error->account_id, now, err);
    if (!rc && id.text[0])
        rc = db_query_int(txn, &find, DB_ARGS(DB_TEXT(id.text)), &taken, err);
    if (rc)
        return rc;
    if (taken || !id.text[0])
        id = uuid_new();
    return db_exec(txn, &insert,
                   DB_ARGS(DB_TEXT(id.text), DB_TEXTN(error->error, kept_size(error->error)),
                           DB_TEXT(error->account_id.text), DB_INT(now),
                           DB_INT(now + REPORT_LIFE_MS),
                           DB_TEXT(error->event ? error->event : "error")),
                   NULL, err);
}

int user_tracking_log(struct db_session *txn, const struct tracked *tracked, struct err *err)
{
    static const struct db_stmt count = {
        "SELECT count(*) FROM user_tracking WHERE account_id = $1 AND time > $2"};
    // What comes in the same millisecond takes the next that is free.
    static const struct db_stmt insert = {
        "INSERT INTO user_tracking (account_id, time, event, value, expire)"
        " SELECT $1, coalesce(max(time) + 1, $2), $3, $4, $5 FROM user_tracking"
        " WHERE account_id = $1 AND time >= $2"};
    int64_t noted = 0, now = clock_now_ms();
    const char *account_id = tracked->account_id.text;
    if (tracked->value && strlen(tracked->value) > LIMIT_TRACKED_VALUE)
        return err_set(err, ERR_TOO_LARGE, "value must have at most %zu bytes as JSON",
                       LIMIT_TRACKED_VALUE);
    int rc = db_query_int(txn, &count, DB_ARGS(DB_TEXT(account_id), DB_INT(now - CLOCK_HOUR_MS)),
                          &noted, err);
    if (!rc && noted >= LIMIT_TRACKED_HOUR)
        return err_set(err, ERR_RATE_LIMITED,
                       "too many events reported: at most %d an hour are kept; try again later",
                       LIMIT_TRACKED_HOUR);
    if (rc)
        return rc;
    return db_exec(txn, &insert,
                   DB_ARGS(DB_TEXT(account_id), DB_INT(now), DB_TEXT(tracked->event),
                           DB_TEXT(tracked->value), DB_INT(now + REPORT_LIFE_MS)),
                   NULL, err);
}
