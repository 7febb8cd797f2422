// SPDX-License-Identifier: AGPL-3.0-or-later
#include "svc/mention_mail.h"

#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/text.h"
#include "db/query.h"
#include "svc/accounts.h"
#include "svc/invite_letter.h"
#include "svc/mail.h"
#include "svc/mail_html.h"
#include "svc/project.h"

#define AGAIN_MS   (8 * CLOCK_HOUR_MS) // until the same file's mentions are mailed again
#define TITLE_SIZE 40                  // characters of the project's title in the subject

// ---- Whether to send it ----

// Somebody who reads it.
struct reader {
    const char *email_address; // NULL: none
    bool allows;
};

static int read_reader(struct db_session *txn, const struct uuid *account_id, struct arena *arena,
                       struct reader *ret_reader, struct err *err)
{
    static const struct db_stmt find = {
        "SELECT email_address, other_settings FROM accounts WHERE account_id = $1 AND deleted = 0"};
    auto_rows struct db_rows *rows = NULL;
    *ret_reader = (struct reader){.allows = true};
    int rc = db_query_row(txn, &find, DB_ARGS(DB_TEXT(account_id->text)), &rows, err);
    if (rc <= 0)
        return rc;
    const char *address = db_rows_text(rows, 0), *settings = db_rows_text(rows, 1);
    auto_json cJSON *map = settings ? cJSON_Parse(settings) : NULL;
    ret_reader->email_address = address ? arena_strdup(arena, address) : NULL;
    ret_reader->allows = !cJSON_IsFalse(json_get(map, "allow_mentions"));
    return 0;
}

// Mails to the account of the last day, and whether this file's are among those of 8 hours.
static int was_mailed(struct db_session *txn, const struct mention *mention, int64_t now_ms,
                      const char **ret_why, struct err *err)
{
    static const struct db_stmt count = {
        "SELECT count(*) FROM mentions WHERE target = $1 AND mailed > $2"};
    static const struct db_stmt same = {"SELECT count(*) FROM mentions WHERE target = $1"
                                        " AND mailed > $2 AND project_id = $3 AND path = $4"};
    int64_t mails = 0, again = 0;
    struct db_value target = DB_TEXT(mention->target.text);
    int rc = db_query_int(txn, &count, DB_ARGS(target, DB_INT(now_ms - CLOCK_DAY_MS)), &mails, err);
    if (!rc)
        rc = db_query_int(txn, &same,
                          DB_ARGS(target, DB_INT(now_ms - AGAIN_MS),
                                  DB_TEXT(mention->project_id.text), DB_TEXT(mention->path)),
                          &again, err);
    if (again)
        *ret_why = "mail of the same file was sent in the last 8 hours";
    else if (mails >= LIMIT_MENTION_MAILS)
        *ret_why = "too many mails of mentions were sent to the account today";
    return rc;
}

// *ret_why is NULL if it is to be sent.
static int decide(struct db_session *txn, const struct svc *svc, const struct mention *mention,
                  const struct reader *reader, int64_t now_ms, const char **ret_why,
                  struct err *err)
{
    bool may = false;
    int rc = 0;
    *ret_why = NULL;
    if (uuid_equal(&mention->source, &mention->target))
        *ret_why = "the author mentioned themself";
    else if (!reader->email_address)
        *ret_why = "the account has no email address";
    else if (!reader->allows)
        *ret_why = "the account does not want mail of mentions";
    if (*ret_why)
        return 0;
    rc = invite_links_allowed(txn, svc, &mention->project_id, &mention->source, &may, err);
    if (!rc && !may)
        *ret_why = "the project has no network access";
    return rc || *ret_why ? rc : was_mailed(txn, mention, now_ms, ret_why, err);
}

// ---- The mail ----

// What is encoded is everything but plain characters and those of `keep`.
static void append_encoded(struct buf *out, const char *text, const char *keep)
{
    for (const char *p = text; *p; p++) {
        char one[2] = {*p};
        if (strchr(keep, *p))
            buf_append_char(out, *p);
        else
            text_append_percent(out, one);
    }
}

static void append_address(const struct svc *svc, const struct mention *mention, struct buf *out)
{
    buf_printf(out, "%s/projects/%s/files/", svc->site.url, mention->project_id.text);
    append_encoded(out, mention->path, "/");
    if (mention->fragment_id && *mention->fragment_id) {
        buf_append_char(out, '#');
        append_encoded(out, mention->fragment_id, "=&");
    }
}

// What cannot be cleaned is plain text.
static void append_description(const char *description, struct buf *html)
{
    auto_buf struct buf clean = {0};
    struct err err;
    if (!description || !*description)
        return;
    buf_append_str(html, "<blockquote>");
    if (mail_html_clean(description, true, &clean, &err))
        text_append_html(html, description);
    else
        buf_append(html, clean.data, clean.size);
    buf_append_str(html, "</blockquote>\n");
}

static void append_body(const struct svc *svc, const struct mention *mention, const char *author,
                        const char *title, struct buf *html)
{
    auto_buf struct buf address = {0};
    append_address(svc, mention, &address);
    buf_append_str(html, "<p>");
    text_append_html(html, *author ? author : "Somebody");
    buf_append_str(html, " mentioned you in ");
    mail_html_link(html, buf_cstr(&address), mention->path);
    if (*title) {
        buf_append_str(html, " of the project '");
        text_append_html(html, title);
        buf_append_str(html, "'");
    }
    buf_append_str(html, mention->description && *mention->description ? ":</p>\n" : ".</p>\n");
    append_description(mention->description, html);
}

static int read_author(struct db_session *txn, const struct uuid *account_id, struct arena *arena,
                       const char **ret_author, struct err *err)
{
    struct account_name name = {0};
    int rc = account_name_get(txn, account_id, arena, &name, err);
    const char *first = name.first_name ? name.first_name : "";
    const char *last = name.last_name ? name.last_name : "";
    *ret_author = arena_printf(arena, "%s%s%s", first, *first && *last ? " " : "", last);
    return rc < 0 ? rc : 0;
}

static int send_mail(struct db_session *txn, const struct svc *svc, const struct mention *mention,
                     const char *address, struct arena *arena, struct err *err)
{
    auto_buf struct buf html = {0};
    const char *author, *title;
    int rc = read_author(txn, &mention->source, arena, &author, err);
    if (!rc)
        rc = project_title_get(txn, &mention->project_id, arena, &title, err);
    if (rc)
        return rc;
    append_body(svc, mention, author, title, &html);
    int title_size = (int)utf8_prefix_utf16(title, strlen(title), TITLE_SIZE, NULL);
    const struct mail mail = {
        .category = "mention",
        .to = address,
        .from_name = *author ? author : NULL,
        .from = svc->site.help_email,
        .subject = arena_printf(arena, "[%.*s] %s", title_size, title, mention->path),
        .html = buf_cstr(&html),
    };
    return mail_queue(txn, svc, &mail, err);
}

// ---- What became of it ----

static int write_outcome(struct db_session *txn, const struct mention *mention, const char *action,
                         const char *error, int64_t mailed, struct err *err)
{
    static const struct db_stmt update = {
        "UPDATE mentions SET action = $5, error = $6, mailed = $7"
        " WHERE project_id = $1 AND time = $2 AND path = $3 AND target = $4"};
    return db_exec(txn, &update,
                   DB_ARGS(DB_TEXT(mention->project_id.text), DB_INT(mention->time),
                           DB_TEXT(mention->path), DB_TEXT(mention->target.text), DB_TEXT(action),
                           DB_TEXT(error), mailed ? DB_INT(mailed) : DB_NULL),
                   NULL, err);
}

int mention_mail(struct db_session *txn, const struct svc *svc, const struct mention *mention,
                 struct arena *arena, bool *ret_queued, struct err *err)
{
    int64_t now_ms = clock_now_ms();
    struct reader reader;
    struct err refusal;
    const char *why = NULL;
    *ret_queued = false;
    int rc = read_reader(txn, &mention->target, arena, &reader, err);
    if (!rc)
        rc = decide(txn, svc, mention, &reader, now_ms, &why, err);
    if (rc)
        return rc;
    if (why)
        return write_outcome(txn, mention, "ignore", why, 0, err);
    rc = send_mail(txn, svc, mention, reader.email_address, arena, &refusal);
    if (rc == -ERR_INVALID) // of the address
        return write_outcome(txn, mention, "email", refusal.message, 0, err);
    if (rc) {
        *err = refusal;
        return rc;
    }
    *ret_queued = true;
    return write_outcome(txn, mention, "email", NULL, now_ms, err);
}
