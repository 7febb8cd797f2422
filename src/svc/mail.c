// SPDX-License-Identifier: AGPL-3.0-or-later
#include "svc/mail.h"

#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "db/query.h"
#include "svc/accounts.h"
#include "svc/mail_internal.h"
#include "svc/row_json.h"

#define HEADER_SIZE_MAX 16384 // of a message, for listing

// ---- Queueing ----

static bool is_banned(const char *address)
{
    static const char banned[] = "qq.com";
    size_t size = strlen(address), tail = strlen(banned);
    return size > tail && !strcasecmp(address + size - tail, banned) &&
           strchr("@.", address[size - tail - 1]);
}

// An address that a header and an envelope can hold. The domain may be of any script, the part
// before it is ASCII.
int mail_address_check(const char *address, struct err *err)
{
    const char *at = strrchr(address, '@');
    if (!email_address_valid(address) || strchr(address, 0x7f))
        return err_set(err, ERR_INVALID, "invalid email address '%.254s'", address);
    for (const char *p = address; p < at; p++) {
        if ((unsigned char)*p >= 0x80)
            return err_set(err, ERR_INVALID, "invalid email address '%.254s'", address);
    }
    return is_banned(address) ? err_set(err, ERR_INVALID, "banned domain") : 0;
}

static int check_addresses(const struct mail *mail, struct err *err)
{
    const char *addresses[] = {mail->to, mail->from, mail->reply_to};
    for (size_t i = 0; i < ARRAY_LEN(addresses); i++) {
        int rc = addresses[i] ? mail_address_check(addresses[i], err) : 0;
        if (rc)
            return rc;
    }
    return 0;
}

// Text for one line of a header: valid UTF-8, no control characters, not too long, nothing that a
// reader would decode ("=?utf-8?q?=0A?="). NULL stays NULL.
static char *tame(const char *text, size_t units_max)
{
    auto_buf struct buf valid = {0}, out = {0};
    if (!text)
        return NULL;
    utf8_append_lossy(&valid, text, strlen(text));
    for (size_t i = 0; i < valid.size; i++) {
        unsigned char c = (unsigned char)valid.data[i];
        if (c == '?' && i && valid.data[i - 1] == '=')
            buf_append_char(&out, ' ');
        buf_append_char(&out, c < ' ' || c == 0x7f ? ' ' : (char)c);
    }
    return mem_strndup(buf_cstr(&out), utf8_prefix_utf16(out.data, out.size, units_max, NULL));
}

static int insert(struct db_session *txn, const struct mail *mail, const struct uuid *id,
                  const struct buf *message, struct err *err)
{
    static const struct db_stmt stmt = {
        "INSERT INTO mail (id, category, recipient, subject, message, project_id, created,"
        " next_attempt) VALUES ($1, $2, $3, $4, $5, $6, $7, $7)"};
    const char *project_id = mail->project_id ? mail->project_id->text : NULL;
    return db_exec(txn, &stmt,
                   DB_ARGS(DB_TEXT(id->text), DB_TEXT(mail->category), DB_TEXT(mail->to),
                           DB_TEXT(mail->subject), DB_TEXTN(message->data, message->size),
                           DB_TEXT(project_id), DB_INT(clock_now_ms())),
                   NULL, err);
}

int mail_queue(struct db_session *txn, const struct svc *svc, const struct mail *mail,
               struct err *err)
{
    auto_free char *subject = tame(mail->subject, LIMIT_MAIL_SUBJECT);
    auto_free char *from_name = tame(mail->from_name, LIMIT_MAIL_NAME);
    auto_free char *reply_to_name = tame(mail->reply_to_name, LIMIT_MAIL_NAME);
    auto_buf struct buf message = {0};
    struct mail tamed = *mail;
    struct uuid id = uuid_new();
    tamed.subject = subject;
    tamed.from_name = from_name;
    tamed.reply_to_name = reply_to_name;
    int rc = check_addresses(mail, err);
    if (!rc)
        rc = mail_message_write(svc, &tamed, &id, &message, err);
    return rc ? rc : insert(txn, &tamed, &id, &message, err);
}

void mail_wake(const struct svc *svc)
{
    if (svc->mailer)
        mailer_wake(svc->mailer);
}

// ---- Looking ----

// One row, for the list or as a whole.
#define COLUMNS                                                                                    \
    "id, category, recipient, subject, created, attempts, next_attempt, sent, error, message"
enum {
    ID,
    CATEGORY,
    RECIPIENT,
    SUBJECT,
    CREATED,
    ATTEMPTS,
    NEXT_ATTEMPT,
    SENT,
    ERROR,
    MESSAGE,
};

static const char *state_of(struct db_rows *row)
{
    return !db_rows_null(row, NEXT_ATTEMPT) ? "waiting"
           : !db_rows_null(row, SENT)       ? "sent"
                                            : "failed";
}

static void begin_entry(struct buf *out, const char *id, int64_t time_ms, const char *state)
{
    json_begin_object(out);
    json_member_str(out, "id", id);
    json_member_time(out, "time", time_ms);
    json_member_str(out, "state", state);
}

static void write_state(struct db_rows *row, struct buf *out)
{
    json_member_int(out, "attempts", db_rows_int(row, ATTEMPTS));
    row_member(out, "next_attempt", ROW_TIME, row, NEXT_ATTEMPT);
    row_member(out, "sent", ROW_TIME, row, SENT);
    row_member(out, "error", ROW_TEXT, row, ERROR);
}

static void list_row(struct db_rows *row, struct buf *out)
{
    begin_entry(out, db_rows_text(row, ID), db_rows_int(row, CREATED), state_of(row));
    json_member_str(out, "to", db_rows_text(row, RECIPIENT));
    json_member_str(out, "subject", db_rows_text(row, SUBJECT));
    json_member_str(out, "category", db_rows_text(row, CATEGORY));
    write_state(row, out);
    json_end_object(out);
}

static int list_entry(const struct maildir_entry *entry, struct buf *out, struct err *err)
{
    auto_buf struct buf message = {0};
    int rc = maildir_read(entry, HEADER_SIZE_MAX, &message, err);
    if (rc == -ERR_NOT_FOUND)
        return 0; // a reader of mail has taken it meanwhile
    if (rc)
        return rc;
    begin_entry(out, entry->id.text, entry->time_ms, "delivered");
    mail_message_brief(message.data, message.size, out);
    json_end_object(out);
    return 0;
}

// The rows and the maildir, both newest first. What was delivered a moment ago may be in both.
static int merge(struct db_rows *rows, int row, const struct maildir_entry *entries, size_t count,
                 struct buf *out, struct err *err)
{
    struct uuid last = {0};
    int rc = 0;
    size_t next = 0;
    for (int i = 0; i < LIMIT_MAIL_LIST && rc >= 0 && (row > 0 || next < count); i++) {
        if (row > 0 && (next == count || db_rows_int(rows, CREATED) >= entries[next].time_ms)) {
            list_row(rows, out);
            uuid_parse(db_rows_text(rows, ID), db_rows_size(rows, ID), &last);
            row = rc = db_rows_next(rows, err);
        } else {
            const struct maildir_entry *entry = &entries[next++];
            rc = uuid_equal(&entry->id, &last) ? 0 : list_entry(entry, out, err);
        }
    }
    return rc < 0 ? rc : 0;
}

// The rows are read first: a message that is delivered meanwhile is then seen twice, not never.
int mail_list(struct db_session *session, struct buf *out, struct err *err)
{
    static const struct db_stmt stmt = {"SELECT " COLUMNS
                                        " FROM mail ORDER BY created DESC, id DESC LIMIT $1"};
    auto_free struct maildir_entry *entries = NULL;
    auto_rows struct db_rows *rows = NULL;
    size_t count = 0;
    int row = db_query_row(session, &stmt, DB_ARGS(DB_INT(LIMIT_MAIL_LIST)), &rows, err);
    int rc = row < 0 ? row : maildir_list(LIMIT_MAIL_LIST, &entries, &count, err);
    if (rc)
        return rc;
    json_begin_array(out);
    rc = merge(rows, row, entries, count, out, err);
    json_end_array(out);
    return rc;
}

static int show_delivered(const char *id, struct buf *out, struct err *err)
{
    auto_buf struct buf message = {0};
    struct maildir_entry entry;
    int rc = maildir_find(id, &entry, err);
    if (!rc)
        rc = maildir_read(&entry, SIZE_MAX, &message, err);
    if (rc)
        return rc;
    begin_entry(out, entry.id.text, entry.time_ms, "delivered");
    mail_message_whole(message.data, message.size, out);
    json_end_object(out);
    return 0;
}

static void show_row(struct db_rows *row, struct buf *out)
{
    if (!db_rows_size(row, MESSAGE)) {
        list_row(row, out); // sent; its text is gone
        return;
    }
    begin_entry(out, db_rows_text(row, ID), db_rows_int(row, CREATED), state_of(row));
    json_member_str(out, "category", db_rows_text(row, CATEGORY));
    write_state(row, out);
    mail_message_whole(db_rows_text(row, MESSAGE), db_rows_size(row, MESSAGE), out);
    json_end_object(out);
}

int mail_show(struct db_session *session, const char *id, struct buf *out, struct err *err)
{
    static const struct db_stmt stmt = {"SELECT " COLUMNS " FROM mail WHERE id = $1"};
    auto_rows struct db_rows *rows = NULL;
    int rc = db_query_row(session, &stmt, DB_ARGS(DB_TEXT(id)), &rows, err);
    if (rc < 0)
        return rc;
    if (!rc)
        return show_delivered(id, out, err);
    show_row(rows, out);
    return 0;
}
