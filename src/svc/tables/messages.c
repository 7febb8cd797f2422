// SPDX-License-Identifier: AGPL-3.0-or-later
// messages, sent_messages, create_message (user-query 12.14). What they do: svc/messages.h.
#include "svc/messages.h"

#include <string.h>

#include "base/limits.h"
#include "db/query.h"
#include "query/value.h"
#include "svc/tables/bounds.h"
#include "svc/tables/tables.h"

enum { ID, SENT, FROM_ID, TO_IDS, SUBJECT, BODY, THREAD_ID, MARKS };

static const struct query_column columns[] = {
    [ID] = {.name = "id", .type = QUERY_INTEGER},
    [SENT] = {.name = "sent", .type = QUERY_TIMESTAMP},
    [FROM_ID] = {.name = "from_id", .type = QUERY_UUID},
    [TO_IDS] = {.name = "to_ids", .type = QUERY_UUID, .array = true},
    [SUBJECT] = {.name = "subject", .type = QUERY_TEXT},
    [BODY] = {.name = "body", .type = QUERY_TEXT},
    [THREAD_ID] = {.name = "thread_id", .type = QUERY_NUMBER, .whole = true},
    {.name = "read", .type = QUERY_BITS},
    {.name = "saved", .type = QUERY_BITS},
    {.name = "starred", .type = QUERY_BITS},
    {.name = "liked", .type = QUERY_BITS},
    {.name = "deleted", .type = QUERY_BITS},
    {.name = "expire", .type = QUERY_BITS},
};
#define COLUMNS                                                                                    \
    "id, sent, from_id, to_ids, subject, body, thread_id, \"read\", saved, starred, liked, "       \
    "deleted, expire"

static const struct query_get_field get_fields[] = {
    {.name = "id"},      {.name = "sent"},    {.name = "from_id"},   {.name = "to_ids"},
    {.name = "subject"}, {.name = "body"},    {.name = "thread_id"}, {.name = "read"},
    {.name = "saved"},   {.name = "starred"}, {.name = "liked"},     {.name = "deleted"},
    {.name = "expire"},
};

// ---- What is written ----

static int check_subject(const struct query_set *set UNUSED, const cJSON *value, struct err *err)
{
    return bounds_check_text(value, LIMIT_MESSAGE_SUBJECT, err);
}

static int check_body(const struct query_set *set UNUSED, const cJSON *value, struct err *err)
{
    return bounds_check_text(value, LIMIT_MESSAGE_BODY, err);
}

static int check_to_ids(const struct query_set *set UNUSED, const cJSON *value, struct err *err)
{
    const cJSON *item;
    if (cJSON_GetArraySize(value) > LIMIT_MESSAGE_RECIPIENTS)
        return err_set(err, ERR_TOO_LARGE, "must have at most %d entries",
                       LIMIT_MESSAGE_RECIPIENTS);
    cJSON_ArrayForEach(item, value)
    {
        if (cJSON_IsNull(item))
            return err_set(err, ERR_INVALID, "must be account ids");
    }
    return 0;
}

// The list without those that come a second time.
static const char *without_doubles(const char *ids, struct arena *arena)
{
    auto_json cJSON *list = cJSON_Parse(ids);
    auto_buf struct buf out = {0};
    const cJSON *id;
    json_begin_array(&out);
    cJSON_ArrayForEach(id, list)
    {
        if (!out.size || !strstr(buf_cstr(&out), id->valuestring))
            json_str(&out, id->valuestring);
    }
    json_end_array(&out);
    return arena_strndup(arena, out.data, out.size);
}

// Takes what a pattern has for a column; nothing if it has nothing.
static int take(const cJSON *pattern, int column, struct arena *arena, struct db_value *ret_value,
                struct err *err)
{
    const cJSON *field = json_get(pattern, columns[column].name);
    *ret_value = DB_NULL;
    if (!field || cJSON_IsNull(field))
        return 0;
    return query_value_read(&columns[column], field, arena, ret_value, err);
}

static int check_message(const struct message *message, struct err *err)
{
    if (message->thread_id < 0)
        return err_set(err, ERR_INVALID, "Error: thread_id must be positive");
    if (message->sent_ms && !strcmp(message->to_ids, "[]"))
        return err_set(err, ERR_INVALID, "Error: a message that is sent needs a recipient");
    return 0;
}

// Puts what a pattern gives into a message. A message is sent no later than now.
static int read_message(const cJSON *pattern, int64_t now_ms, struct arena *arena,
                        struct message *message, struct err *err)
{
    struct db_value values[MARKS];
    int rc = 0;
    for (int i = SENT; i < MARKS && !rc; i++)
        rc = i == FROM_ID ? 0 : take(pattern, i, arena, &values[i], err);
    if (rc)
        return rc;
    if (values[TO_IDS].type != DB_TYPE_NULL)
        message->to_ids =
            without_doubles(arena_strndup(arena, values[TO_IDS].text, values[TO_IDS].size), arena);
    if (values[SUBJECT].type != DB_TYPE_NULL)
        message->subject = arena_strndup(arena, values[SUBJECT].text, values[SUBJECT].size);
    if (values[BODY].type != DB_TYPE_NULL)
        message->body = arena_strndup(arena, values[BODY].text, values[BODY].size);
    if (values[THREAD_ID].type != DB_TYPE_NULL)
        message->thread_id = values[THREAD_ID].integer;
    if (values[SENT].type != DB_TYPE_NULL)
        message->sent_ms = values[SENT].integer > 0 && values[SENT].integer < now_ms
                               ? values[SENT].integer
                               : now_ms;
    return check_message(message, err);
}

// ---- Marks ----

// The own mark, which is sent alone, or at its place among all of them.
static int read_mark(const cJSON *value, int place, struct arena *arena, bool *ret_on,
                     struct err *err)
{
    const char *text = query_value_text(value, arena);
    const size_t size = strlen(text);
    if (cJSON_IsBool(value)) {
        *ret_on = cJSON_IsTrue(value);
        return 0;
    }
    if (!size || strspn(text, "01") != size)
        return err_set(err, ERR_INVALID, "Error: invalid bit '%.100s'", text);
    *ret_on = size == 1 ? text[0] == '1' : (size_t)place < size && text[place] == '1';
    return 0;
}

static int write_marks(struct db_session *txn, const struct query_set *set, int64_t id, int place,
                       struct err *err)
{
    bool any = false;
    int rc = 0;
    for (int i = 0; i < MESSAGE_MARKS && !rc; i++) {
        const enum message_mark mark = (enum message_mark)i;
        const cJSON *value = json_get(set->pattern, message_mark_name(mark));
        bool on = false;
        if (!value || cJSON_IsNull(value))
            continue;
        any = true;
        rc = read_mark(value, place, set->arena, &on, err);
        if (!rc)
            rc = message_mark(txn, id, place, mark, on, err);
    }
    return rc || !any ? rc : message_marked(txn, id, &set->caller.account_id, err);
}

static int no_right(struct err *err)
{
    return err_set(err, ERR_FORBIDDEN, "Error: you do not have permission to edit this message");
}

// The message that a set names, and the caller's place in it.
static int find(struct db_session *txn, const struct query_set *set, bool as_author,
                const char *otherwise, int64_t *ret_id, struct message_access *ret_access,
                struct err *err)
{
    struct db_value id;
    int rc = take(set->pattern, ID, set->arena, &id, err);
    if (!rc)
        rc = message_find(txn, id.integer, &set->caller.account_id, as_author, set->arena,
                          ret_access, err);
    if (rc)
        return rc;
    *ret_id = id.integer;
    if (!ret_access->exists)
        return err_set(err, ERR_NOT_FOUND, "%s", otherwise);
    return ret_access->place < 0 ? no_right(err) : 0;
}

// ---- messages ----

static const struct query_filter received[] = {
    {.kind = QUERY_WHERE,
     .sql = "t.sent IS NOT NULL AND t.id IN"
            " (SELECT r.message_id FROM message_recipients r WHERE r.account_id = $1)",
     .row_sql = "t.sent IS NOT NULL AND EXISTS (SELECT 1 FROM message_recipients r"
                " WHERE r.account_id = $1 AND r.message_id = t.id)",
     .quick = true},
};

static const struct query_get_block received_get = {
    .access = QUERY_ACCOUNT,
    QUERY_FILTERS(received),
    QUERY_FIELDS(get_fields),
    .order_by = "-id",
    .limit = {1000, 1000},
};

static const struct query_set_field received_set_fields[] = {
    {.name = "id"},    {.name = "read"},    {.name = "saved"},  {.name = "starred"},
    {.name = "liked"}, {.name = "deleted"}, {.name = "expire"},
};

static int mark_received(struct db_session *txn, struct query_set *set, struct err *err)
{
    struct message_access access;
    int64_t id = 0;
    int rc = find(txn, set, false, "use the sent_messages table to create a new message", &id,
                  &access, err);
    return rc ? rc : write_marks(txn, set, id, access.place, err);
}

static const struct query_set_block received_set = {
    .access = QUERY_ACCOUNT,
    QUERY_FIELDS(received_set_fields),
    .required = {"id"},
    .instead = mark_received,
};

const struct query_table table_messages = {
    .name = "messages",
    .text = "Messages that the caller was sent, the newest first. `read`, `saved`, `starred`, "
            "`liked`, `deleted` and `expire` are texts of 0 and 1, first the sender's and then one "
            "for each of `to_ids`; a set changes the caller's own to 0 or 1.",
    .base = "messages",
    .key = {"id"},
    QUERY_COLUMNS(columns),
    .get = &received_get,
    .set = &received_set,
};

// ---- sent_messages ----

static const struct query_filter written[] = {
    {.kind = QUERY_OWN_ACCOUNT, .column = "from_id"},
};

static const struct query_get_block sent_get = {
    .access = QUERY_ACCOUNT,
    QUERY_FILTERS(written),
    QUERY_FIELDS(get_fields),
    .order_by = "-id",
    .limit = {1000, 1000},
};

static const struct query_set_field sent_set_fields[] = {
    {.name = "id"},
    {.name = "to_ids", .check = check_to_ids},
    {.name = "subject", .check = check_subject},
    {.name = "body", .check = check_body},
    {.name = "sent"},
    {.name = "thread_id"},
    {.name = "saved"},
    {.name = "starred"},
    {.name = "liked"},
    {.name = "read"},
    {.name = "deleted"},
    {.name = "expire"},
};

static bool changes_text(const struct query_set *set)
{
    for (int i = SENT; i < MARKS; i++) {
        const cJSON *value = json_get(set->pattern, columns[i].name);
        if (value && !cJSON_IsNull(value))
            return true;
    }
    return false;
}

static int edit_sent(struct db_session *txn, struct query_set *set, struct err *err)
{
    struct message_access access;
    int64_t id = 0;
    int rc = find(txn, set, true, "use the create_message virtual table to create messages", &id,
                  &access, err);
    if (!rc && changes_text(set)) {
        if (access.sent)
            return no_right(err);
        rc = read_message(set->pattern, set->now_ms, set->arena, &access.message, err);
        if (!rc)
            rc = message_rewrite(txn, id, &access.message, err);
    }
    return rc ? rc : write_marks(txn, set, id, access.place, err);
}

static const struct query_set_block sent_set = {
    .access = QUERY_ACCOUNT,
    QUERY_FIELDS(sent_set_fields),
    .required = {"id"},
    .instead = edit_sent,
};

const struct query_table table_sent_messages = {
    .name = "sent_messages",
    .text = "Messages that the caller has written, the newest first. One whose `sent` is null is a "
            "draft, which nobody else sees: it may be changed, and is sent by giving it a time. Of "
            "one that was sent only the own marks change.",
    .base = "messages",
    .key = {"id"},
    QUERY_COLUMNS(columns),
    .get = &sent_get,
    .set = &sent_set,
};

// ---- create_message ----

static const struct query_get_field create_fields[] = {
    {.name = "id"},   {.name = "to_ids"}, {.name = "subject"},
    {.name = "body"}, {.name = "sent"},   {.name = "thread_id"},
};

struct creation {
    struct message message;
    int64_t now_ms, id;
};

static int create_in_txn(struct db_session *txn, void *arg, struct err *err)
{
    struct creation *creation = arg;
    return message_create(txn, &creation->message, creation->now_ms, &creation->id, err);
}

static int check_field(const struct query_get *asked, int column, query_check_value_fn *check,
                       struct err *err)
{
    const cJSON *value = json_get(asked->pattern, columns[column].name);
    struct err reason;
    if (!value || cJSON_IsNull(value) || !check(NULL, value, &reason))
        return 0;
    return err_set(err, reason.code, "Error: %s %s", columns[column].name, reason.message);
}

static int read_creation(const struct query_get *asked, struct creation *creation, struct err *err)
{
    const cJSON *to_ids = json_get(asked->pattern, "to_ids");
    *creation = (struct creation){
        .now_ms = asked->now_ms,
        .message = {
            .from_id = asked->caller.account_id, .to_ids = "[]", .subject = "", .body = ""}};
    if (!to_ids || cJSON_IsNull(to_ids))
        return err_set(err, ERR_INVALID, "FATAL: must specify create_message.to_ids");
    int rc = check_field(asked, TO_IDS, check_to_ids, err);
    if (!rc)
        rc = check_field(asked, SUBJECT, check_subject, err);
    if (!rc)
        rc = check_field(asked, BODY, check_body, err);
    return rc ? rc
              : read_message(asked->pattern, asked->now_ms, asked->arena, &creation->message, err);
}

static int write_row(struct db_session *session, const struct query_get *asked, int64_t id,
                     struct buf *out, struct err *err)
{
    static const struct db_stmt read = {"SELECT " COLUMNS " FROM messages WHERE id = $1"};
    auto_rows struct db_rows *rows = NULL;
    int rc = db_query_row(session, &read, DB_ARGS(DB_INT(id)), &rows, err);
    if (rc <= 0)
        return rc;
    if (asked->list)
        json_begin_array(out);
    json_begin_object(out);
    for (int i = 0; i < (int)ARRAY_LEN(columns); i++) {
        json_key(out, columns[i].name);
        query_value_write(&columns[i], rows, i, out);
    }
    json_end_object(out);
    if (asked->list)
        json_end_array(out);
    return 0;
}

// Runs on a worker, as all that is computed does, and waits there until it is written.
static int create(struct db_session *session, struct query_get *asked, struct buf *out,
                  struct err *err)
{
    const struct svc *svc = asked->ctx;
    struct creation creation;
    int rc = read_creation(asked, &creation, err);
    if (!rc)
        rc = db_write(svc->db, create_in_txn, &creation, err);
    return rc ? rc : write_row(session, asked, creation.id, out, err);
}

static const struct query_get_block create_get = {
    .access = QUERY_ACCOUNT,
    QUERY_FIELDS(create_fields),
    .compute = create,
};

const struct query_table table_create_message = {
    .name = "create_message",
    .text =
        "A get that writes a message to the accounts `to_ids` and gives its row: sent if `sent` "
        "has a time, else a draft. At most 3 in a second, 15 in a minute and 200 in an hour.",
    .key = {"id"},
    QUERY_COLUMNS(columns),
    .get = &create_get,
};
