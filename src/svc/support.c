// SPDX-License-Identifier: AGPL-3.0-or-later
#include "svc/support.h"

#include <sodium.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "db/query.h"
#include "svc/accounts.h"
#include "svc/mail.h"
#include "svc/mail_html.h"
#include "svc/row_json.h"

#define ARCHIVE_MS (90 * CLOCK_DAY_MS) // since a ticket was closed
#define SECONDS    sizeof "2017-07-05T14:28:38Z"

void ticket_url(const struct site *site, int64_t id, const char *secret, struct buf *out)
{
    buf_printf(out, "%s/requests/%lld?key=%s", site->url, (long long)id, secret);
}

// ---- Checks of a new ticket ----

static int check_size(const char *name, const char *text, size_t size_max, struct err *err)
{
    return !text || strlen(text) <= size_max
               ? 0
               : err_set(err, ERR_INVALID, "%s must have at most %zu bytes", name, size_max);
}

static int check_sizes(const struct ticket_create *create, struct err *err)
{
    auto_buf struct buf info = {0};
    if (create->tags_count > LIMIT_TICKET_TAGS)
        return err_set(err, ERR_INVALID, "there must be at most %d tags", LIMIT_TICKET_TAGS);
    if (create->info)
        json_value(&info, create->info);
    int rc = check_size("username", create->username, LIMIT_TICKET_LINE, err);
    if (!rc)
        rc = check_size("subject", create->subject, LIMIT_TICKET_LINE, err);
    if (!rc)
        rc = check_size("body", create->body, LIMIT_TICKET_TEXT, err);
    if (!rc)
        rc = check_size("location", create->location, LIMIT_TICKET_LINE, err);
    if (!rc)
        rc = check_size("info", buf_cstr(&info), LIMIT_TICKET_INFO, err);
    for (size_t i = 0; i < create->tags_count && !rc; i++)
        rc = check_size("a tag", create->tags[i], LIMIT_TICKET_TAG, err);
    return rc;
}

// Whose list the ticket will be in: the caller's, or that of anybody for administrators.
static int check_account(struct db_session *txn, const struct ticket_create *create,
                         struct uuid *ret_id, struct err *err)
{
    const char *text = create->account_id;
    bool exists;
    *ret_id = (struct uuid){0};
    if (!text)
        return 0;
    if (!uuid_parse(text, strlen(text), ret_id))
        return err_set(err, ERR_INVALID, "invalid account_id -- %.200s", text);
    if (uuid_equal(ret_id, &create->caller->account_id))
        return 0;
    if (!create->caller->admin)
        return err_set(err, ERR_FORBIDDEN, "account_id must be that of your own account");
    int rc = account_exists(txn, ret_id, &exists, err);
    return rc || exists ? rc : err_set(err, ERR_NOT_FOUND, "there is no account %s", ret_id->text);
}

static int check_rate(struct db_session *txn, const struct caller *caller, struct err *err)
{
    static const struct db_stmt count = {
        "SELECT count(*) FROM support_tickets WHERE created_by = $1 AND created > $2"};
    int64_t filed = 0;
    if (caller->admin)
        return 0;
    int rc = db_query_int(
        txn, &count,
        DB_ARGS(DB_TEXT(caller->account_id.text), DB_INT(clock_now_ms() - CLOCK_HOUR_MS)), &filed,
        err);
    return rc || filed < LIMIT_TICKETS_PER_HOUR
               ? rc
               : err_set(err, ERR_RATE_LIMITED,
                         "at most %d support tickets can be created in an hour; try again later",
                         LIMIT_TICKETS_PER_HOUR);
}

// ---- Its description (api-v1 10.1) ----

// Bytes of the text that belong to an address which began before it.
static size_t url_rest(const char *text)
{
    size_t size = strcspn(text, " \t\r\n\v\f\"'<>()[]{}`");
    while (size && strchr(".,;:!?", text[size - 1]))
        size--;
    return size;
}

// Appends text without the values of `session` in addresses, which let others in.
static void append_without_sessions(const char *text, struct buf *out)
{
    static const char name[] = "session=";
    const char *found;
    while ((found = strstr(text, name))) {
        bool parameter = found > text && strchr("?&", found[-1]);
        size_t size = (size_t)(found - text) + strlen(name);
        buf_append(out, text, size);
        text += size;
        if (parameter)
            text += strcspn(text, "& \t\r\n\v\f\"'<>()[]{}`#");
    }
    buf_append_str(out, text);
}

// Appends text whose addresses of this site all have the parameter, so that who helps opens them
// in a session of its own.
static void append_with_sessions(const char *text, const char *site_url, struct buf *out)
{
    const char *found;
    while ((found = strstr(text, site_url))) {
        const char *rest = found + strlen(site_url);
        size_t size = url_rest(rest);
        auto_free char *url = mem_strndup(rest, size);
        bool ours = !size || strchr("/?#", *rest); // else another site's address begins alike
        buf_append(out, text, (size_t)(rest - text) + size);
        if (ours && !strstr(url, "session="))
            buf_append_str(out, strchr(url, '?') ? "&session=" : "?session=");
        text = rest + size;
    }
    buf_append_str(out, text);
}

static void append_location(const char *location, const char *site_url, struct buf *out)
{
    buf_append_str(out, site_url);
    if (*location != '/')
        buf_append_char(out, '/');
    for (const char *p = location; *p; p++) {
        if ((unsigned char)*p > ' ' && *p != 0x7f && !(*p == '/' && p > location && p[-1] == '/'))
            buf_append_char(out, *p);
    }
}

static void describe(const struct ticket_create *create, struct buf *out)
{
    const char *site_url = create->svc->site.url, *course = json_get_str(create->info, "course");
    auto_buf struct buf body = {0};
    append_without_sessions(create->body, &body);
    append_with_sessions(buf_cstr(&body), site_url, out);
    buf_append_str(out, "\n\n");
    if (create->location && *create->location)
        append_location(create->location, site_url, out);
    else
        buf_append_str(out, "(No location was given.)");
    if (course && uuid_parse(course, strlen(course), NULL))
        buf_printf(out, "\n\nCourse: %s/projects/%s", site_url, course);
}

// ---- Mail ----

// A ticket's mail that cannot be queued because of an address does not undo the ticket.
static int queue(struct db_session *txn, const struct svc *svc, const struct mail *mail,
                 struct err *err)
{
    int rc = mail_queue(txn, svc, mail, err);
    if (rc != -ERR_INVALID)
        return rc;
    log_err(LOG_WARNING, "ticket_mail_refused", err);
    return 0;
}

static void append_link(const struct site *site, int64_t id, const char *secret, struct buf *html)
{
    auto_buf struct buf url = {0};
    ticket_url(site, id, secret, &url);
    mail_html_link(html, buf_cstr(&url), buf_cstr(&url));
}

struct letter {
    int64_t id;
    const char *secret, *subject, *username, *email_address;
    const char *text;  // what is new
    const char *extra; // HTML behind it, or NULL
    bool to_help;
};

static int send_letter(struct db_session *txn, const struct svc *svc, const struct letter *letter,
                       struct err *err)
{
    auto_buf struct buf html = {0};
    auto_free char *subject = mem_printf("[#%lld] %s", (long long)letter->id, letter->subject);
    buf_append_str(&html, "<p>");
    mail_html_from_plain(letter->text, &html);
    buf_append_str(&html, "</p>\n<p>");
    buf_append_str(&html,
                   letter->to_help ? "The request: " : "Your request, where you can answer: ");
    append_link(&svc->site, letter->id, letter->secret, &html);
    buf_append_str(&html, "</p>\n");
    buf_append_str(&html, letter->extra ? letter->extra : "");
    struct mail mail = {
        .category = "ticket",
        .to = letter->to_help ? svc->site.help_email : letter->email_address,
        .reply_to = letter->to_help ? letter->email_address : svc->site.help_email,
        .reply_to_name = letter->to_help ? letter->username : svc->site.name,
        .subject = subject,
        .html = buf_cstr(&html),
    };
    return queue(txn, svc, &mail, err);
}

static void append_detail(struct buf *html, const char *name, const char *text)
{
    if (!*text)
        return;
    buf_printf(html, "<li>%s: ", name);
    text_append_html(html, text);
    buf_append_str(html, "</li>\n");
}

static int mail_new_ticket(struct db_session *txn, const struct ticket_create *create,
                           const char *username, const char *description, struct buf *tags,
                           struct buf *info, struct err *err)
{
    auto_buf struct buf details = {0};
    buf_append_str(&details, "<ul>\n");
    append_detail(&details, "name", username);
    append_detail(&details, "address", create->email_address);
    append_detail(&details, "account", create->caller->account_id.text);
    append_detail(&details, "tags", buf_cstr(tags));
    append_detail(&details, "info", buf_cstr(info));
    buf_append_str(&details, "</ul>\n");
    struct letter letter = {
        .id = create->id,
        .secret = create->secret,
        .subject = create->subject,
        .username = username,
        .email_address = create->email_address,
        .text = description,
        .extra = buf_cstr(&details),
        .to_help = true,
    };
    return send_letter(txn, create->svc, &letter, err);
}

// ---- Creating ----

static bool is_blank(const char *text)
{
    while (text && text_is_space(*text))
        text++;
    return !text || !*text;
}

static int insert_ticket(struct db_session *txn, struct ticket_create *create,
                         const struct uuid *account_id, const char *username,
                         const struct buf *description, const struct buf *tags,
                         const struct buf *info, struct err *err)
{
    static const struct db_stmt stmt = {
        "INSERT INTO support_tickets (secret, created_by, account_id, username, email_address,"
        " subject, description, tags, location, info, status, created, updated)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 'new', $11, $11) RETURNING id"};
    const char *account = account_id->text[0] ? account_id->text : NULL;
    return db_query_int(txn, &stmt,
                        DB_ARGS(DB_TEXT(create->secret), DB_TEXT(create->caller->account_id.text),
                                DB_TEXT(account), DB_TEXT(username), DB_TEXT(create->email_address),
                                DB_TEXT(create->subject),
                                DB_TEXTN(description->data, description->size),
                                DB_TEXTN(tags->data, tags->size), DB_TEXT(create->location),
                                DB_TEXTN(info->data, info->size), DB_INT(clock_now_ms())),
                        &create->id, err);
}

static int check(struct db_session *txn, const struct ticket_create *create,
                 struct uuid *ret_account_id, struct err *err)
{
    int rc = mail_address_check(create->email_address, err);
    if (!rc)
        rc = check_sizes(create, err);
    if (!rc && create->info && !cJSON_IsObject(create->info))
        rc = err_set(err, ERR_INVALID, "info must be an object");
    if (!rc)
        rc = check_account(txn, create, ret_account_id, err);
    return rc ? rc : check_rate(txn, create->caller, err);
}

int ticket_create(struct db_session *txn, void *arg, struct err *err)
{
    struct ticket_create *create = arg;
    auto_buf struct buf description = {0}, tags = {0}, info = {0};
    struct uuid account_id;
    int rc = check(txn, create, &account_id, err);
    if (rc)
        return rc;
    const char *username = is_blank(create->username) ? create->email_address : create->username;
    describe(create, &description);
    json_begin_array(&tags);
    for (size_t i = 0; i < create->tags_count; i++)
        json_str(&tags, create->tags[i]);
    json_end_array(&tags);
    if (create->info)
        json_value(&info, create->info);
    else
        buf_append_str(&info, "{}");
    token_random(create->secret, TICKET_SECRET_LEN);
    rc = insert_ticket(txn, create, &account_id, username, &description, &tags, &info, err);
    return rc ? rc
              : mail_new_ticket(txn, create, username, buf_cstr(&description), &tags, &info, err);
}

// ---- Lists ----

#define COLUMNS                                                                                    \
    "id, secret, account_id, username, email_address, subject, description, tags, location, info," \
    " status, created, updated, created_by"
enum {
    ID,
    SECRET,
    ACCOUNT_ID,
    USERNAME,
    EMAIL_ADDRESS,
    SUBJECT,
    DESCRIPTION,
    TAGS,
    LOCATION,
    INFO,
    STATUS,
    CREATED,
    UPDATED,
    CREATED_BY,
};

// The contract's times of tickets have no fractions.
static void member_seconds(struct buf *out, const char *name, int64_t time_ms)
{
    char text[CLOCK_ISO_SIZE];
    clock_iso(time_ms, text);
    memcpy(text + SECONDS - 2, "Z", 2);
    json_member_str(out, name, text);
}

static void write_ticket(struct db_rows *row, const struct site *site, struct buf *out)
{
    auto_buf struct buf url = {0};
    ticket_url(site, db_rows_int(row, ID), db_rows_text(row, SECRET), &url);
    json_member_int(out, "id", db_rows_int(row, ID));
    json_member_str(out, "subject", db_rows_text(row, SUBJECT));
    json_member_str(out, "description", db_rows_text(row, DESCRIPTION));
    member_seconds(out, "created_at", db_rows_int(row, CREATED));
    member_seconds(out, "updated_at", db_rows_int(row, UPDATED));
    json_member_str(out, "status", db_rows_text(row, STATUS));
    json_member_str(out, "url", buf_cstr(&url));
}

static void write_ticket_whole(struct db_rows *row, const struct site *site, struct buf *out)
{
    write_ticket(row, site, out);
    json_member_str(out, "username", db_rows_text(row, USERNAME));
    json_member_str(out, "email_address", db_rows_text(row, EMAIL_ADDRESS));
    row_member(out, "account_id", ROW_TEXT, row, ACCOUNT_ID);
    row_member(out, "location", ROW_TEXT, row, LOCATION);
    json_key(out, "tags");
    json_raw(out, db_rows_text(row, TAGS), db_rows_size(row, TAGS));
    json_key(out, "info");
    json_raw(out, db_rows_text(row, INFO), db_rows_size(row, INFO));
}

static int write_all(struct db_rows *rows, const struct site *site,
                     void (*write)(struct db_rows *row, const struct site *site, struct buf *out),
                     struct buf *out, struct err *err)
{
    int rc;
    json_begin_array(out);
    while ((rc = db_rows_next(rows, err)) > 0) {
        json_begin_object(out);
        write(rows, site, out);
        json_end_object(out);
    }
    json_end_array(out);
    return rc;
}

int ticket_list_of(struct db_session *session, const struct site *site,
                   const struct uuid *account_id, struct buf *out, struct err *err)
{
    static const struct db_stmt stmt = {
        "SELECT " COLUMNS " FROM support_tickets WHERE account_id = $1"
        " AND (status <> 'closed' OR updated > $2) ORDER BY id DESC LIMIT $3"};
    auto_rows struct db_rows *rows = NULL;
    int rc = db_query(session, &stmt,
                      DB_ARGS(DB_TEXT(account_id->text), DB_INT(clock_now_ms() - ARCHIVE_MS),
                              DB_INT(LIMIT_TICKETS_LISTED)),
                      &rows, err);
    return rc ? rc : write_all(rows, site, write_ticket, out, err);
}

int ticket_list(struct db_session *session, const struct site *site, struct buf *out,
                struct err *err)
{
    static const struct db_stmt stmt = {"SELECT " COLUMNS
                                        " FROM support_tickets ORDER BY id DESC LIMIT 1000"};
    auto_rows struct db_rows *rows = NULL;
    int rc = db_query(session, &stmt, DB_NO_ARGS, &rows, err);
    return rc ? rc : write_all(rows, site, write_ticket_whole, out, err);
}

static void write_reply(void *ctx, bool staff, int64_t time_ms, const char *body)
{
    struct buf *out = ctx;
    json_begin_object(out);
    json_member_str(out, "from", staff ? "support" : "requester");
    member_seconds(out, "time", time_ms);
    json_member_str(out, "body", body);
    json_end_object(out);
}

static int no_such_ticket(int64_t id, struct err *err)
{
    return err_set(err, ERR_NOT_FOUND, "there is no support ticket %lld", (long long)id);
}

static int find(struct db_session *session, int64_t id, struct db_rows **ret_rows, struct err *err)
{
    static const struct db_stmt stmt = {"SELECT " COLUMNS " FROM support_tickets WHERE id = $1"};
    int rc = db_query_row(session, &stmt, DB_ARGS(DB_INT(id)), ret_rows, err);
    return rc == 0 ? no_such_ticket(id, err) : rc < 0 ? rc : 0;
}

int ticket_show(struct db_session *session, const struct site *site, int64_t id, struct buf *out,
                struct err *err)
{
    auto_rows struct db_rows *rows = NULL;
    int rc = find(session, id, &rows, err);
    if (rc)
        return rc;
    json_begin_object(out);
    write_ticket_whole(rows, site, out);
    json_key(out, "replies");
    json_begin_array(out);
    rc = ticket_replies(session, id, write_reply, out, err);
    json_end_array(out);
    json_end_object(out);
    return rc;
}

// ---- The page ----

int ticket_view(struct db_session *session, struct arena *arena, const char *id, const char *secret,
                struct ticket_view *ret_view, struct err *err)
{
    auto_rows struct db_rows *rows = NULL;
    int64_t number;
    if (!text_parse_int64(id, 1, INT64_MAX, &number) || strlen(secret) != TICKET_SECRET_LEN)
        return 0;
    int rc = find(session, number, &rows, err);
    if (rc)
        return rc == -ERR_NOT_FOUND ? 0 : rc;
    if (db_rows_size(rows, SECRET) != TICKET_SECRET_LEN ||
        sodium_memcmp(db_rows_text(rows, SECRET), secret, TICKET_SECRET_LEN))
        return 0;
    *ret_view = (struct ticket_view){
        .id = number,
        .subject = arena_strdup(arena, db_rows_text(rows, SUBJECT)),
        .description = arena_strdup(arena, db_rows_text(rows, DESCRIPTION)),
        .status = arena_strdup(arena, db_rows_text(rows, STATUS)),
        .username = arena_strdup(arena, db_rows_text(rows, USERNAME)),
        .created = db_rows_int(rows, CREATED),
        .closed = !strcmp(db_rows_text(rows, STATUS), "closed"),
    };
    return 1;
}

int ticket_replies(struct db_session *session, int64_t id, ticket_reply_fn *fn, void *ctx,
                   struct err *err)
{
    static const struct db_stmt stmt = {"SELECT staff, time, body FROM support_ticket_replies"
                                        " WHERE ticket_id = $1 ORDER BY id"};
    auto_rows struct db_rows *rows = NULL;
    int rc = db_query(session, &stmt, DB_ARGS(DB_INT(id)), &rows, err);
    if (rc)
        return rc;
    while ((rc = db_rows_next(rows, err)) > 0)
        fn(ctx, db_rows_int(rows, 0), db_rows_int(rows, 1), db_rows_text(rows, 2));
    return rc;
}

// ---- Answers ----

// Administrators file for others, of whom each has answers of his own.
static int count_recent_answers(struct db_session *txn, struct db_rows *ticket, int64_t *ret_count,
                                struct err *err)
{
    static const struct db_stmt creator = {"SELECT \"groups\" FROM accounts WHERE account_id = $1"};
    static const struct db_stmt count = {
        "SELECT count(*) FROM support_tickets t JOIN support_ticket_replies r ON r.ticket_id = t.id"
        " WHERE t.created_by = $1 AND t.updated > $4 AND (t.id = $2 OR $3 = 0) AND r.staff = 0"
        " AND r.time > $4"};
    auto_rows struct db_rows *rows = NULL;
    const char *created_by = db_rows_text(ticket, CREATED_BY);
    int rc = db_query_row(txn, &creator, DB_ARGS(DB_TEXT(created_by)), &rows, err);
    if (rc < 0)
        return rc;
    bool by_admin = rc && json_list_has(db_rows_text(rows, 0), "admin");
    return db_query_int(txn, &count,
                        DB_ARGS(DB_TEXT(created_by), DB_INT(db_rows_int(ticket, ID)),
                                DB_INT(by_admin), DB_INT(clock_now_ms() - CLOCK_HOUR_MS)),
                        ret_count, err);
}

static int count_answers(struct db_session *txn, int64_t id, int64_t *ret_count, struct err *err)
{
    static const struct db_stmt count = {
        "SELECT count(*) FROM support_ticket_replies WHERE ticket_id = $1 AND staff = 0"};
    return db_query_int(txn, &count, DB_ARGS(DB_INT(id)), ret_count, err);
}

static int check_answers(struct db_session *txn, struct db_rows *ticket, struct err *err)
{
    int64_t of_ticket = 0, recent = 0;
    int rc = count_answers(txn, db_rows_int(ticket, ID), &of_ticket, err);
    if (!rc)
        rc = count_recent_answers(txn, ticket, &recent, err);
    if (!rc && of_ticket >= LIMIT_TICKET_ANSWERS)
        return err_set(err, ERR_TOO_LARGE,
                       "a request takes at most %d answers; please make a new one",
                       LIMIT_TICKET_ANSWERS);
    return rc || recent < LIMIT_TICKET_ANSWERS_PER_HOUR
               ? rc
               : err_set(err, ERR_RATE_LIMITED,
                         "at most %d answers can be added in an hour; try again later",
                         LIMIT_TICKET_ANSWERS_PER_HOUR);
}

static int check_answer(struct db_session *txn, const struct ticket_answer *answer,
                        struct db_rows *ticket, struct err *err)
{
    if (is_blank(answer->body))
        return err_set(err, ERR_INVALID, "the answer is empty");
    int rc = check_size("the answer", answer->body, LIMIT_TICKET_TEXT, err);
    if (rc || answer->staff)
        return rc;
    if (!strcmp(db_rows_text(ticket, STATUS), "closed"))
        return err_set(err, ERR_CONFLICT, "this request is closed");
    return check_answers(txn, ticket, err);
}

static int insert_answer(struct db_session *txn, const struct ticket_answer *answer,
                         struct err *err)
{
    static const struct db_stmt insert = {
        "INSERT INTO support_ticket_replies (ticket_id, staff, body, time)"
        " VALUES ($1, $2, $3, $4)"};
    static const struct db_stmt update = {
        "UPDATE support_tickets SET status = $2, updated = $3 WHERE id = $1"};
    struct db_value id = DB_INT(answer->id), now = DB_INT(clock_now_ms());
    int rc = db_exec(txn, &insert, DB_ARGS(id, DB_INT(answer->staff), DB_TEXT(answer->body), now),
                     NULL, err);
    return rc ? rc
              : db_exec(txn, &update, DB_ARGS(id, DB_TEXT(answer->staff ? "pending" : "open"), now),
                        NULL, err);
}

int ticket_answer(struct db_session *txn, void *arg, struct err *err)
{
    const struct ticket_answer *answer = arg;
    auto_rows struct db_rows *rows = NULL;
    int rc = find(txn, answer->id, &rows, err);
    if (!rc)
        rc = check_answer(txn, answer, rows, err);
    if (!rc)
        rc = insert_answer(txn, answer, err);
    if (rc)
        return rc;
    struct letter letter = {
        .id = answer->id,
        .secret = db_rows_text(rows, SECRET),
        .subject = db_rows_text(rows, SUBJECT),
        .username = db_rows_text(rows, USERNAME),
        .email_address = db_rows_text(rows, EMAIL_ADDRESS),
        .text = answer->body,
        .to_help = !answer->staff,
    };
    return send_letter(txn, answer->svc, &letter, err);
}

int ticket_close(struct db_session *txn, int64_t id, struct err *err)
{
    static const struct db_stmt stmt = {
        "UPDATE support_tickets SET status = 'closed', updated = $2 WHERE id = $1"};
    int64_t changed = 0;
    int rc = db_exec(txn, &stmt, DB_ARGS(DB_INT(id), DB_INT(clock_now_ms())), &changed, err);
    return rc || changed ? rc : no_such_ticket(id, err);
}
