// SPDX-License-Identifier: AGPL-3.0-or-later
#include "svc/messages.h"

#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/text.h"
#include "db/query.h"
#include "svc/accounts.h"
#include "svc/row_json.h"

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

// ---- What is made of the marks ----

// Brings the recipient's row up to date. Nothing happens if the account is none.
static int update_recipient(struct db_session *txn, int64_t id, const char *account_id,
                            struct err *err)
{
    static const struct db_stmt find = {
        "SELECT to_ids, \"read\", saved, starred, liked, deleted, expire FROM messages"
        " WHERE id = $1"};
    static const struct db_stmt update = {
        "UPDATE message_recipients SET kept = $3, fresh = $4, starred = $5, liked = $6"
        " WHERE account_id = $1 AND message_id = $2"};
    auto_rows struct db_rows *rows = NULL;
    bool on[MESSAGE_MARKS];
    int rc = db_query_row(txn, &find, DB_ARGS(DB_INT(id)), &rows, err);
    const int place = rc == 1 ? place_of(db_rows_text(rows, 0), account_id) : -1;
    if (place < 0)
        return rc < 0 ? rc : 0;
    for (int mark = 0; mark < MESSAGE_MARKS; mark++)
        on[mark] = is_marked(db_rows_text(rows, 1 + mark), place);
    const bool gone = on[MESSAGE_DELETED] || on[MESSAGE_EXPIRE];
    return db_exec(txn, &update,
                   DB_ARGS(DB_TEXT(account_id), DB_INT(id), DB_INT(!on[MESSAGE_EXPIRE]),
                           DB_INT(!on[MESSAGE_READ] && !on[MESSAGE_SAVED] && !gone),
                           DB_INT(on[MESSAGE_STARRED] && !gone),
                           DB_INT(on[MESSAGE_LIKED] && !gone)),
                   NULL, err);
}

// Counts threads, each by its first message, of the newest messages.
static int count_unread(struct db_session *txn, const char *account_id, int64_t *ret_count,
                        struct err *err)
{
    static const struct db_stmt count = {
        "SELECT count(DISTINCT coalesce(m.thread_id, m.id)) FROM messages m JOIN"
        " (SELECT message_id, fresh FROM message_recipients WHERE account_id = $1"
        " ORDER BY message_id DESC LIMIT $2) r ON m.id = r.message_id WHERE r.fresh = 1"};
    return db_query_int(txn, &count, DB_ARGS(DB_TEXT(account_id), DB_INT(LIMIT_MESSAGES_COUNTED)),
                        ret_count, err);
}

static int update_unread(struct db_session *txn, const char *account_id, struct err *err)
{
    static const struct db_stmt update = {
        "UPDATE accounts SET unread_message_count = $2 WHERE account_id = $1"};
    int64_t count = 0;
    int rc = count_unread(txn, account_id, &count, err);
    return rc ? rc : db_exec(txn, &update, DB_ARGS(DB_TEXT(account_id), DB_INT(count)), NULL, err);
}

int message_marked(struct db_session *txn, int64_t id, const struct uuid *account_id,
                   struct err *err)
{
    int rc = drop_if_expired(txn, id, err);
    if (!rc)
        rc = update_recipient(txn, id, account_id->text, err);
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
                  {CLOCK_MINUTE_MS, LIMIT_MESSAGES_MINUTE},
                  {CLOCK_HOUR_MS, LIMIT_MESSAGES_HOUR}};
    static const struct db_stmt find = {
        "SELECT created FROM messages WHERE from_id = $1 ORDER BY id DESC LIMIT 1 OFFSET $2"};
    int64_t time = 0;
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
    return rc;
}

static int check_room(struct db_session *txn, const struct uuid *from_id, struct err *err)
{
    static const struct db_stmt count = {"SELECT count(*) FROM messages WHERE from_id = $1"};
    int64_t written = 0;
    int rc = db_query_int(txn, &count, DB_ARGS(DB_TEXT(from_id->text)), &written, err);
    if (rc || written < LIMIT_MESSAGES_WRITTEN)
        return rc;
    return err_set(err, ERR_TOO_LARGE,
                   "Error: an account can keep at most %d messages that it wrote",
                   LIMIT_MESSAGES_WRITTEN);
}

// Lets the recipients see it.
static int deliver(struct db_session *txn, int64_t id, int64_t sent_ms, const cJSON *ids,
                   struct err *err)
{
    static const struct db_stmt add = {
        "INSERT INTO message_recipients (account_id, message_id, sent) VALUES ($1, $2, $3)"};
    const cJSON *to;
    int rc = 0;
    cJSON_ArrayForEach(to, ids)
    {
        if (!rc)
            rc = db_exec(txn, &add, DB_ARGS(DB_TEXT(to->valuestring), DB_INT(id), DB_INT(sent_ms)),
                         NULL, err);
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
    if (!rc && !message->continues)
        rc = check_rate(txn, &message->from_id, now_ms, err);
    if (!rc)
        rc = check_room(txn, &message->from_id, err);
    if (!rc)
        rc = db_exec(txn, &add,
                     DB_ARGS(or_null(message->sent_ms), DB_TEXT(message->from_id.text),
                             DB_TEXT(message->to_ids), DB_INT(now_ms), or_null(message->thread_id),
                             DB_TEXT(message->subject), DB_TEXT(message->body)),
                     NULL, err);
    if (!rc)
        rc = db_query_int(txn, &newest, DB_ARGS(DB_TEXT(message->from_id.text)), ret_id, err);
    return rc || !message->sent_ms ? rc : deliver(txn, *ret_id, message->sent_ms, ids, err);
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
    return rc || !message->sent_ms ? rc : deliver(txn, id, message->sent_ms, ids, err);
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

// ---- Sending ----

int message_text_check(const char *subject, const char *body, struct err *err)
{
    if (utf8_utf16_len(subject, strlen(subject)) > LIMIT_MESSAGE_SUBJECT)
        return err_set(err, ERR_TOO_LARGE, "Error: subject must have at most %d characters",
                       LIMIT_MESSAGE_SUBJECT);
    if (utf8_utf16_len(body, strlen(body)) > LIMIT_MESSAGE_BODY)
        return err_set(err, ERR_TOO_LARGE, "Error: body must have at most %zu characters",
                       LIMIT_MESSAGE_BODY);
    return 0;
}

int message_send_check(const struct message_send *send, struct err *err)
{
    if (send->to_count > LIMIT_MESSAGE_RECIPIENTS)
        return err_set(err, ERR_TOO_LARGE, "Error: to_ids must have at most %d entries",
                       LIMIT_MESSAGE_RECIPIENTS);
    return message_text_check(send->subject, send->body, err);
}

static bool names_an_address(const struct message_send *send)
{
    for (size_t i = 0; i < send->to_count; i++) {
        if (strchr(send->to[i], '@'))
            return true;
    }
    return false;
}

// Who is left of those that are named, as a JSON array without doubles.
static int find_recipients(struct db_session *txn, const struct message_send *send, struct buf *ids,
                           struct err *err)
{
    const bool may_miss = names_an_address(send);
    json_begin_array(ids);
    for (size_t i = 0; i < send->to_count; i++) {
        const char *to = send->to[i];
        const bool is_id = uuid_parse(to, strlen(to), NULL);
        struct uuid id;
        int rc = account_find_living(txn, to, &id, err);
        if (!rc && !strstr(buf_cstr(ids), id.text))
            json_str(ids, id.text);
        else if (rc == -ERR_NOT_FOUND && is_id)
            return err_set(err, ERR_NOT_FOUND, "Error: invalid account_id -- %s", to);
        else if (rc == -ERR_NOT_FOUND && !may_miss)
            return err_set(err, ERR_INVALID,
                           "error: invalid input syntax for type uuid: \"%.300s\"", to);
        else if (rc && rc != -ERR_NOT_FOUND)
            return rc;
    }
    json_end_array(ids);
    return 0;
}

// The thread that an answer to a message belongs to; 0 if there is no such message.
static int find_thread(struct db_session *txn, int64_t reply_id, int64_t *ret_thread_id,
                       struct err *err)
{
    static const struct db_stmt find = {
        "SELECT coalesce(thread_id, id) FROM messages WHERE id = $1"};
    return db_query_int(txn, &find, DB_ARGS(DB_INT(reply_id)), ret_thread_id, err);
}

int message_send_write(struct db_session *txn, void *arg, struct err *err)
{
    struct message_send *send = arg;
    const int64_t now_ms = clock_now_ms();
    struct message message = {
        .from_id = send->from_id, .subject = send->subject, .body = send->body, .sent_ms = now_ms};
    auto_buf struct buf ids = {0};
    send->id = 0;
    int rc = find_recipients(txn, send, &ids, err);
    if (rc || ids.size == strlen("[]"))
        return rc;
    message.to_ids = buf_cstr(&ids);
    rc = find_thread(txn, send->reply_id, &message.thread_id, err);
    return rc ? rc : message_create(txn, &message, now_ms, &send->id, err);
}

// ---- Listing ----

#define MESSAGE_COLUMNS "m.id, m.subject, m.body, m.from_id, m.to_ids, m.sent, m.thread_id"
#define MARK_COLUMNS    ", m.\"read\", m.saved, m.deleted"

// Where the list begins that leaves the first $3 out, and what follows from there. Only the first
// reads what it leaves out, of an index.
struct box {
    const char *name;
    bool shows_marks;
    struct db_stmt start, page;
};

#define RECIPIENT_BOX(box_name, flag, marks)                                                       \
    .name = (box_name),                                                                            \
    .start = {"SELECT sent, message_id FROM message_recipients WHERE account_id = $1 AND " flag    \
              " = 1 AND sent > $2 ORDER BY sent DESC, message_id DESC LIMIT 1 OFFSET $3"},         \
    .page = {"SELECT " MESSAGE_COLUMNS marks                                                       \
             " FROM message_recipients r JOIN messages m ON m.id = r.message_id"                   \
             " WHERE r.account_id = $1 AND r." flag                                                \
             " = 1 AND r.sent > $2 AND (r.sent, r.message_id) <= ($3, $4)"                         \
             " ORDER BY r.sent DESC, r.message_id DESC LIMIT $5"}

#define OWN_MESSAGES                                                                               \
    " FROM messages m WHERE from_id = $1 AND coalesce(substr(expire, 1, 1), '') <> '1'"            \
    " AND coalesce(sent, 0) > $2"

static const struct box boxes[MESSAGE_BOXES] = {
    [BOX_RECEIVED] = {RECIPIENT_BOX("received", "kept", MARK_COLUMNS), .shows_marks = true},
    [BOX_SENT] = {.name = "sent",
                  .shows_marks = true,
                  .start = {"SELECT coalesce(sent, 0), id" OWN_MESSAGES
                            " ORDER BY coalesce(sent, 0) DESC, id DESC LIMIT 1 OFFSET $3"},
                  .page = {"SELECT " MESSAGE_COLUMNS MARK_COLUMNS OWN_MESSAGES
                           " AND (coalesce(sent, 0), id) <= ($3, $4)"
                           " ORDER BY coalesce(sent, 0) DESC, id DESC LIMIT $5"}},
    [BOX_NEW] = {RECIPIENT_BOX("new", "fresh", "")},
    [BOX_STARRED] = {RECIPIENT_BOX("starred", "starred", "")},
    [BOX_LIKED] = {RECIPIENT_BOX("liked", "liked", "")},
};

bool message_box_find(const char *name, enum message_box *ret_box)
{
    for (int box = 0; box < MESSAGE_BOXES; box++) {
        if (!strcmp(name, boxes[box].name)) {
            *ret_box = (enum message_box)box;
            return true;
        }
    }
    return false;
}

static void write_message(struct db_rows *rows, const struct message_list *list, struct buf *out)
{
    static const char *const marks[] = {"read", "saved", "deleted"};
    const char *to_ids = db_rows_text(rows, 4);
    const int place = list->box == BOX_SENT ? 0 : place_of(to_ids, list->account_id.text);
    json_begin_object(out);
    json_member_int(out, "id", db_rows_int(rows, 0));
    json_member_str(out, "subject", db_rows_text(rows, 1));
    json_member_str(out, "body", db_rows_text(rows, 2));
    json_member_str(out, "from_id", db_rows_text(rows, 3));
    json_key(out, "to_ids");
    json_raw(out, to_ids, strlen(to_ids));
    row_member_or_null(out, "sent", ROW_TIME, rows, 5);
    row_member_or_null(out, "thread_id", ROW_INTEGER, rows, 6);
    for (int i = 0; i < (int)ARRAY_LEN(marks) && boxes[list->box].shows_marks; i++)
        json_member_bool(out, marks[i], is_marked(db_rows_text(rows, 7 + i), place));
    json_end_object(out);
}

// The first of the page. 0: there is none; 1: there is.
static int find_start(struct db_session *session, const struct message_list *list,
                      int64_t *ret_sent_ms, int64_t *ret_id, struct err *err)
{
    auto_rows struct db_rows *rows = NULL;
    *ret_sent_ms = *ret_id = INT64_MAX;
    if (!list->offset)
        return 1;
    int rc = db_query_row(
        session, &boxes[list->box].start,
        DB_ARGS(DB_TEXT(list->account_id.text), DB_INT(list->later_than_ms), DB_INT(list->offset)),
        &rows, err);
    if (rc == 1) {
        *ret_sent_ms = db_rows_int(rows, 0);
        *ret_id = db_rows_int(rows, 1);
    }
    return rc;
}

int message_list(struct db_session *session, const struct message_list *list, struct buf *out,
                 struct err *err)
{
    auto_rows struct db_rows *rows = NULL;
    int64_t sent_ms, id;
    int rc = find_start(session, list, &sent_ms, &id, err);
    json_begin_array(out);
    if (rc == 1)
        rc = db_query(session, &boxes[list->box].page,
                      DB_ARGS(DB_TEXT(list->account_id.text), DB_INT(list->later_than_ms),
                              DB_INT(sent_ms), DB_INT(id), DB_INT(list->limit)),
                      &rows, err);
    while (rows && !rc && (rc = db_rows_next(rows, err)) == 1) {
        write_message(rows, list, out);
        rc = out->size <= LIMIT_QUERY_RESULT
                 ? 0
                 : err_set(err, ERR_TOO_LARGE,
                           "the messages are too large together; ask for fewer of them");
    }
    json_end_array(out);
    return rc;
}
