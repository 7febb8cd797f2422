// SPDX-License-Identifier: AGPL-3.0-or-later
#include "svc/messages.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/limits.h"
#include "base/map.h"
#include "db/query.h"

// What one id takes in the text of to_ids: quotes and a comma.
#define ID_IN_LIST (UUID_LEN + 3)

static const char *const mark_names[MESSAGE_MARKS] = {
    [MESSAGE_READ] = "read",   [MESSAGE_SAVED] = "saved",     [MESSAGE_STARRED] = "starred",
    [MESSAGE_LIKED] = "liked", [MESSAGE_DELETED] = "deleted", [MESSAGE_EXPIRE] = "expire",
};

const char *message_mark_name(enum message_mark mark)
{
    return mark_names[mark];
}

// ---- Marks ----

// Where an account's marks are, by the text of to_ids. -1: it is no recipient.
static int place_of(const char *to_ids, const char *account_id)
{
    const char *found = strstr(to_ids, account_id);
    return found ? (int)((size_t)(found - to_ids) / ID_IN_LIST) + 1 : -1;
}

static bool is_marked(const char *marks, int place)
{
    return marks && strlen(marks) > (size_t)place && marks[place] == '1';
}

int message_mark(struct db_session *txn, int64_t id, int place, enum message_mark mark, bool on,
                 struct err *err)
{
    auto_free char *read =
        mem_printf("SELECT \"%s\" FROM messages WHERE id = $1", mark_names[mark]);
    auto_free char *write =
        mem_printf("UPDATE messages SET \"%s\" = $2 WHERE id = $1", mark_names[mark]);
    auto_rows struct db_rows *rows = NULL;
    char marks[LIMIT_MESSAGE_RECIPIENTS + 2];
    int rc = db_query_text(txn, read, DB_ARGS(DB_INT(id)), &rows, err);
    if (!rc)
        rc = db_rows_next(rows, err);
    if (rc <= 0)
        return rc;
    const char *old = db_rows_text(rows, 0);
    size_t size = old ? strnlen(old, sizeof marks - 1) : 0;
    memset(marks, '0', sizeof marks);
    if (old)
        memcpy(marks, old, size);
    marks[place] = on ? '1' : '0';
    size = size > (size_t)place ? size : (size_t)place + 1;
    return db_exec_text(txn, write, DB_ARGS(DB_INT(id), DB_TEXTN(marks, size)), NULL, err);
}

// Who can still see it: author and recipients, all of whom must have done with it.
static int drop_if_expired(struct db_session *txn, int64_t id, struct err *err)
{
    static const struct db_stmt find = {"SELECT expire, to_ids, sent FROM messages WHERE id = $1"};
    static const struct db_stmt drop = {"DELETE FROM messages WHERE id = $1"};
    auto_rows struct db_rows *rows = NULL;
    int rc = db_query_row(txn, &find, DB_ARGS(DB_INT(id)), &rows, err);
    if (rc <= 0)
        return rc;
    const int people = db_rows_null(rows, 2) ? 0 : (int)(db_rows_size(rows, 1) / ID_IN_LIST);
    for (int place = 0; place <= people; place++) {
        if (!is_marked(db_rows_text(rows, 0), place))
            return 0;
    }
    return db_exec(txn, &drop, DB_ARGS(DB_INT(id)), NULL, err);
}

// ---- Unread messages ----

// Counts threads, each by its first message, of the newest messages.
static int count_unread(struct db_session *txn, const char *account_id, int64_t *ret_count,
                        struct err *err)
{
    static const struct db_stmt list = {
        "SELECT coalesce(m.thread_id, m.id), m.to_ids, m.\"read\", m.saved, m.deleted, m.expire"
        " FROM messages m JOIN (SELECT message_id FROM message_recipients WHERE account_id = $1"
        " ORDER BY message_id DESC LIMIT $2) r ON m.id = r.message_id"};
    auto_rows struct db_rows *rows = NULL;
    struct map threads = {0};
    int64_t seen[LIMIT_MESSAGES_COUNTED];
    size_t count = 0;
    int rc = db_query(txn, &list, DB_ARGS(DB_TEXT(account_id), DB_INT(LIMIT_MESSAGES_COUNTED)),
                      &rows, err);
    while (!rc && (rc = db_rows_next(rows, err)) == 1) {
        const int place = place_of(db_rows_text(rows, 1), account_id);
        bool done = place < 0;
        for (int column = 2; column < 6 && !done; column++)
            done = is_marked(db_rows_text(rows, column), place);
        seen[count] = db_rows_int(rows, 0);
        if (!done && !map_get(&threads, &seen[count], sizeof *seen)) {
            map_set(&threads, &seen[count], sizeof *seen, &seen[count]);
            count++;
        }
        rc = 0;
    }
    map_dispose(&threads);
    *ret_count = (int64_t)count;
    return rc;
}

static int update_unread(struct db_session *txn, const char *account_id, struct err *err)
{
    static const struct db_stmt update = {
        "UPDATE accounts SET unread_message_count = $2 WHERE account_id = $1"};
    int64_t count;
    int rc = count_unread(txn, account_id, &count, err);
    return rc ? rc : db_exec(txn, &update, DB_ARGS(DB_TEXT(account_id), DB_INT(count)), NULL, err);
}

int message_marked(struct db_session *txn, int64_t id, const struct uuid *account_id,
                   struct err *err)
{
    int rc = drop_if_expired(txn, id, err);
    return rc ? rc : update_unread(txn, account_id->text, err);
}

// ---- Writing ----

// Those who are none, as a JSON array behind `missing`.
static int find_missing(struct db_session *txn, const cJSON *ids, struct buf *missing,
                        struct err *err)
{
    static const struct db_stmt find = {
        "SELECT 1 FROM accounts WHERE account_id = $1 AND deleted = 0"};
    const cJSON *id;
    int rc = 0;
    cJSON_ArrayForEach(id, ids)
    {
        int64_t found = 0;
        if (!rc)
            rc = db_query_int(txn, &find, DB_ARGS(DB_TEXT(id->valuestring)), &found, err);
        if (!rc && !found)
            json_str(missing, id->valuestring);
    }
    return rc;
}

static int check_recipients(struct db_session *txn, const cJSON *ids, struct err *err)
{
    auto_buf struct buf missing = {0};
    int rc = find_missing(txn, ids, &missing, err);
    if (rc || !missing.size)
        return rc;
    return err_set(err, ERR_NOT_FOUND,
                   "Error: every target account_id must exist -- these accounts do not exist: "
                   "[%.380s]",
                   buf_cstr(&missing));
}

// By the newest messages of the account, whichever hub took them.
static int check_rate(struct db_session *txn, const struct uuid *from_id, int64_t now_ms,
                      struct err *err)
{
    static const struct {
        int64_t ms;
        int most;
    } limits[] = {{1000, LIMIT_MESSAGES_SECOND},
                  {60 * 1000, LIMIT_MESSAGES_MINUTE},
                  {3600 * 1000, LIMIT_MESSAGES_HOUR}};
    static const struct db_stmt find = {
        "SELECT created FROM messages WHERE from_id = $1 ORDER BY id DESC LIMIT 1 OFFSET $2"};
    static const struct db_stmt count = {"SELECT count(*) FROM messages WHERE from_id = $1"};
    int64_t time = 0, written = 0;
    int rc = 0;
    for (size_t i = 0; i < ARRAY_LEN(limits) && !rc; i++) {
        rc = db_query_int(txn, &find, DB_ARGS(DB_TEXT(from_id->text), DB_INT(limits[i].most - 1)),
                          &time, err);
        if (!rc && time > now_ms - limits[i].ms)
            return err_set(err, ERR_RATE_LIMITED,
                           "Error: too many messages: at most %d in a second, %d in a minute and "
                           "%d in an hour; try again later",
                           LIMIT_MESSAGES_SECOND, LIMIT_MESSAGES_MINUTE, LIMIT_MESSAGES_HOUR);
    }
    if (!rc)
        rc = db_query_int(txn, &count, DB_ARGS(DB_TEXT(from_id->text)), &written, err);
    if (rc || written < LIMIT_MESSAGES_WRITTEN)
        return rc;
    return err_set(err, ERR_TOO_LARGE,
                   "Error: an account can keep at most %d messages that it wrote",
                   LIMIT_MESSAGES_WRITTEN);
}

// Lets the recipients see it.
static int deliver(struct db_session *txn, int64_t id, const cJSON *ids, struct err *err)
{
    static const struct db_stmt add = {
        "INSERT INTO message_recipients (account_id, message_id) VALUES ($1, $2)"};
    const cJSON *to;
    int rc = 0;
    cJSON_ArrayForEach(to, ids)
    {
        if (!rc)
            rc = db_exec(txn, &add, DB_ARGS(DB_TEXT(to->valuestring), DB_INT(id)), NULL, err);
        if (!rc)
            rc = update_unread(txn, to->valuestring, err);
    }
    return rc;
}

static struct db_value or_null(int64_t value)
{
    return value ? DB_INT(value) : DB_NULL;
}

int message_create(struct db_session *txn, const struct message *message, int64_t now_ms,
                   int64_t *ret_id, struct err *err)
{
    static const struct db_stmt add = {
        "INSERT INTO messages (sent, from_id, to_ids, created, thread_id, subject, body)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7)"};
    static const struct db_stmt newest = {"SELECT max(id) FROM messages WHERE from_id = $1"};
    auto_json cJSON *ids = cJSON_Parse(message->to_ids);
    int rc = check_recipients(txn, ids, err);
    if (!rc)
        rc = check_rate(txn, &message->from_id, now_ms, err);
    if (!rc)
        rc = db_exec(txn, &add,
                     DB_ARGS(or_null(message->sent_ms), DB_TEXT(message->from_id.text),
                             DB_TEXT(message->to_ids), DB_INT(now_ms), or_null(message->thread_id),
                             DB_TEXT(message->subject), DB_TEXT(message->body)),
                     NULL, err);
    if (!rc)
        rc = db_query_int(txn, &newest, DB_ARGS(DB_TEXT(message->from_id.text)), ret_id, err);
    return rc || !message->sent_ms ? rc : deliver(txn, *ret_id, ids, err);
}

int message_rewrite(struct db_session *txn, int64_t id, const struct message *message,
                    struct err *err)
{
    static const struct db_stmt update = {
        "UPDATE messages SET sent = $2, to_ids = $3, thread_id = $4, subject = $5, body = $6"
        " WHERE id = $1"};
    auto_json cJSON *ids = cJSON_Parse(message->to_ids);
    int rc = check_recipients(txn, ids, err);
    if (!rc)
        rc = db_exec(txn, &update,
                     DB_ARGS(DB_INT(id), or_null(message->sent_ms), DB_TEXT(message->to_ids),
                             or_null(message->thread_id), DB_TEXT(message->subject),
                             DB_TEXT(message->body)),
                     NULL, err);
    return rc || !message->sent_ms ? rc : deliver(txn, id, ids, err);
}

// ---- Finding ----

int message_find(struct db_session *txn, int64_t id, const struct uuid *account_id, bool as_author,
                 struct arena *arena, struct message_access *ret_access, struct err *err)
{
    static const struct db_stmt find = {
        "SELECT sent, from_id, to_ids, thread_id, subject, body FROM messages WHERE id = $1"};
    auto_rows struct db_rows *rows = NULL;
    *ret_access = (struct message_access){.place = -1};
    int rc = db_query_row(txn, &find, DB_ARGS(DB_INT(id)), &rows, err);
    if (rc <= 0)
        return rc;
    struct message *message = &ret_access->message;
    *message = (struct message){
        .to_ids = arena_strdup(arena, db_rows_text(rows, 2)),
        .subject = arena_strdup(arena, db_rows_text(rows, 4)),
        .body = arena_strdup(arena, db_rows_text(rows, 5)),
        .sent_ms = db_rows_int(rows, 0),
        .thread_id = db_rows_int(rows, 3),
    };
    (void)uuid_parse(db_rows_text(rows, 1), db_rows_size(rows, 1), &message->from_id);
    ret_access->exists = true;
    ret_access->sent = !db_rows_null(rows, 0);
    if (as_author)
        ret_access->place = uuid_equal(&message->from_id, account_id) ? 0 : -1;
    else if (ret_access->sent)
        ret_access->place = place_of(message->to_ids, account_id->text);
    return 0;
}
