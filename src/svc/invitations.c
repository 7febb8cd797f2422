// SPDX-License-Identifier: AGPL-3.0-or-later
#include "svc/invitations.h"

#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/text.h"
#include "db/query.h"
#include "svc/accounts.h"
#include "svc/collaborator_notes.h"
#include "svc/collaborators.h"
#include "svc/invite_letter.h"
#include "svc/invite_notes.h"
#include "svc/mail.h"

#define MAIL_PAUSE_MS (7 * CLOCK_DAY_MS) // between two mails for a project to one address
#define BATCH         16                 // addresses in one transaction
#define ADDRESS_MAX   128                // this and the next: characters, by the contract
#define TO_MAX        1024

// Whether an error is an answer to the caller, which undoes nothing.
static bool is_refusal(int rc)
{
    return rc == -ERR_INVALID || rc == -ERR_NOT_FOUND || rc == -ERR_RATE_LIMITED ||
           rc == -ERR_TOO_LARGE;
}

// ---- Who was sent what ----

static bool was_sent_lately(const struct invite *invite, const cJSON *notes, const char *address)
{
    const cJSON *entry = json_get(notes, address);
    const char *time = json_get_str(entry, "time"), *error = json_get_str(entry, "error");
    const int64_t pause_ms = invite->pause_ms ? invite->pause_ms : MAIL_PAUSE_MS;
    int64_t time_ms;
    return time && !(error && *error) && clock_parse(time, &time_ms) &&
           time_ms > clock_now_ms() - pause_ms;
}

// Invitations of the last day: an account sends only so many, and an address gets only so many.
static int count_invitation(struct db_session *txn, const struct invite *invite,
                            const char *address, struct err *err)
{
    static const struct db_stmt by = {
        "SELECT count(*) FROM invitation_mails WHERE account_id = $1 AND time > $2"};
    static const struct db_stmt to = {
        "SELECT count(*) FROM invitation_mails WHERE recipient = $1 AND time > $2"};
    static const struct db_stmt drop = {"DELETE FROM invitation_mails WHERE time <= $1"};
    static const struct db_stmt add = {
        "INSERT INTO invitation_mails (account_id, recipient, time) VALUES ($1, $2, $3)"};
    int64_t now = clock_now_ms(), sent = 0, got = 0;
    struct db_value since = DB_INT(now - CLOCK_DAY_MS);
    int rc = db_exec(txn, &drop, DB_ARGS(since), NULL, err);
    if (!rc)
        rc = db_query_int(txn, &by, DB_ARGS(DB_TEXT(invite->inviter.text), since), &sent, err);
    if (!rc)
        rc = db_query_int(txn, &to, DB_ARGS(DB_TEXT(address), since), &got, err);
    if (rc)
        return rc;
    if (sent >= LIMIT_INVITATIONS_BY || got >= LIMIT_INVITATIONS_TO)
        return err_set(err, ERR_RATE_LIMITED,
                       "too many invitations %s within a day; try again tomorrow",
                       sent >= LIMIT_INVITATIONS_BY ? "by you" : "to this address");
    return db_exec(txn, &add, DB_ARGS(DB_TEXT(invite->inviter.text), DB_TEXT(address), DB_INT(now)),
                   NULL, err);
}

// ---- Sending ----

// `action` is what waits for somebody without an account.
static int send_mail(struct db_session *txn, const struct invite *invite, cJSON *notes,
                     const char *address, const struct uuid *action, struct err *err)
{
    const struct invite_letter *letter = &invite->letter;
    if (letter->rc) {
        *err = letter->err;
        return letter->rc;
    }
    int rc = invite_letter_send(txn, invite, address, action, err);
    if (!rc || is_refusal(rc))
        invite_notes_put(notes, address, rc ? err->message : NULL);
    return rc;
}

// ---- An account (3.16) ----

// Who is on the project already is not noted again.
static int add_account(struct db_session *txn, const struct invite *invite,
                       const struct uuid *account_id, struct err *err)
{
    static const struct db_stmt find = {
        "SELECT 1 FROM project_users WHERE project_id = $1 AND account_id = $2"};
    int64_t user = 0;
    int rc = db_query_int(txn, &find,
                          DB_ARGS(DB_TEXT(invite->project_id.text), DB_TEXT(account_id->text)),
                          &user, err);
    if (!rc)
        rc = collaborator_add(txn, &invite->project_id, account_id, err);
    return rc || user ? rc
                      : collaborator_note_added(txn, &invite->inviter, &invite->project_id,
                                                account_id, err);
}

static int mail_account(struct db_session *txn, const struct invite *invite, struct err *err)
{
    static const struct db_stmt find = {"SELECT email_address FROM accounts WHERE account_id = $1"};
    auto_rows struct db_rows *rows = NULL;
    auto_json cJSON *notes = NULL;
    int rc = db_query_row(txn, &find, DB_ARGS(DB_TEXT(invite->account_id.text)), &rows, err);
    const char *address = rc == 1 ? db_rows_text(rows, 0) : NULL;
    if (rc < 0 || !address)
        return rc < 0 ? rc : 0;
    rc = invite_notes_load(txn, &invite->project_id, &notes, err);
    if (rc || was_sent_lately(invite, notes, address))
        return rc;
    rc = count_invitation(txn, invite, address, err);
    if (rc)
        return rc;
    struct err save_err;
    rc = send_mail(txn, invite, notes, address, NULL, err);
    int saved = invite_notes_save(txn, &invite->project_id, notes, &save_err);
    if (!saved)
        return rc;
    *err = save_err;
    return saved;
}

static int write_account(struct db_session *txn, void *arg, struct err *err)
{
    struct invite *invite = arg;
    invite->batch_rc = 0;
    int rc = add_account(txn, invite, &invite->account_id, err);
    if (rc || !invite->text.email)
        return rc;
    rc = mail_account(txn, invite, err);
    if (!is_refusal(rc))
        return rc;
    invite->batch_rc = rc;
    invite->batch_err = *err;
    return 0;
}

// ---- Addresses (3.19) ----

static int check_address(const char *address, struct err *err)
{
    size_t size = strlen(address);
    bool valid = email_address_valid(address) || (size > LIMIT_EMAIL && strchr(address, '@'));
    if (!valid)
        return err_set(err, ERR_INVALID, "invalid email address '%.400s'", address);
    if (utf8_utf16_len(address, size) >= ADDRESS_MAX)
        return err_set(err, ERR_INVALID, "email address must be at most 128 characters: '%.400s'",
                       address);
    return 0;
}

// 1: an account has the address.
static int find_account(struct db_session *session, const char *address,
                        struct uuid *ret_account_id, struct err *err)
{
    static const struct db_stmt find = {
        "SELECT account_id FROM accounts WHERE email_address = $1 AND deleted = 0"};
    auto_rows struct db_rows *rows = NULL;
    int rc = db_query_row(session, &find, DB_ARGS(DB_TEXT(address)), &rows, err);
    return rc == 1 ? uuid_parse(db_rows_text(rows, 0), db_rows_size(rows, 0), ret_account_id) : rc;
}

static int invite_stranger(struct db_session *txn, const struct invite *invite, cJSON *notes,
                           const char *address, struct err *err)
{
    struct uuid action;
    bool sent = was_sent_lately(invite, notes, address);
    int rc = sent ? 0 : count_invitation(txn, invite, address, err);
    if (!rc)
        rc = creation_action_add(txn, &invite->project_id, address, &action, err);
    if (rc || sent)
        return rc;
    rc = send_mail(txn, invite, notes, address, &action, err);
    return invite->letter.rc || !is_refusal(rc) ? rc : 0; // the mail's own fate is only noted
}

static int invite_address(struct db_session *txn, const struct invite *invite, cJSON *notes,
                          const char *address, struct err *err)
{
    struct uuid account_id;
    int rc = check_address(address, err);
    if (!rc)
        rc = find_account(txn, address, &account_id, err);
    if (rc == 1)
        return add_account(txn, invite, &account_id, err);
    return rc ? rc : invite_stranger(txn, invite, notes, address, err);
}

static size_t batch_end(const struct invite *invite)
{
    size_t left = invite->addresses_count - invite->addresses_done;
    return invite->addresses_done + (left < BATCH ? left : BATCH);
}

static int write_batch(struct db_session *txn, void *arg, struct err *err)
{
    struct invite *invite = arg;
    auto_json cJSON *notes = NULL;
    invite->batch_rc = 0;
    int rc = invite_notes_load(txn, &invite->project_id, &notes, err);
    for (size_t i = invite->addresses_done; i < batch_end(invite) && !rc; i++) {
        struct err refusal;
        int one = invite_address(txn, invite, notes, invite->addresses[i], &refusal);
        if (one && !is_refusal(one)) {
            *err = refusal;
            rc = one;
        } else if (one && !invite->batch_rc) {
            invite->batch_rc = one;
            invite->batch_err = refusal;
        }
    }
    return rc ? rc : invite_notes_save(txn, &invite->project_id, notes, err);
}

// ---- The steps ----

static void write_next(struct invite *invite);

static void on_written(struct db_write *write)
{
    struct invite *invite = write->arg;
    if (write->rc) {
        invite->batch_rc = write->rc;
        invite->batch_err = write->err;
    }
    if (invite->batch_rc && !invite->rc) {
        invite->rc = invite->batch_rc;
        invite->err = invite->batch_err;
    }
    if (!write->rc)
        mail_wake(invite->svc);
    if (invite->to)
        invite->addresses_done = batch_end(invite);
    if (!write->rc && invite->addresses_done < invite->addresses_count)
        write_next(invite);
    else
        invite->done(invite);
}

static void write_next(struct invite *invite)
{
    invite->write = (struct db_write){.loop = invite->loop,
                                      .fn = invite->to ? write_batch : write_account,
                                      .arg = invite,
                                      .done = on_written};
    db_write_async(invite->svc->db, &invite->write);
}

static void begin(struct svc *svc, struct db_session *session, struct invite *invite)
{
    invite->svc = svc;
    invite->letter = (struct invite_letter){0};
    if (!invite->rc)
        invite->rc = invite_letter_prepare(session, invite, &invite->err);
    if (invite->rc || (invite->to && !invite->addresses_count))
        invite->done(invite);
    else
        write_next(invite);
}

void invite_account(struct svc *svc, struct db_session *session, struct invite *invite)
{
    invite->rc = 0;
    invite->to = NULL;
    begin(svc, session, invite);
}

// Addresses stand between commas, semicolons and white space.
static void split_addresses(struct invite *invite)
{
    static const char between[] = ",; \t\r\n\v\f";
    size_t size = strlen(invite->to);
    invite->addresses = arena_alloc(invite->arena, (size / 2 + 1) * sizeof *invite->addresses);
    invite->addresses_count = invite->addresses_done = 0;
    for (const char *p = invite->to + strspn(invite->to, between); *p; p += strspn(p, between)) {
        size_t len = strcspn(p, between);
        char *address = arena_strndup(invite->arena, p, len);
        text_lower(address);
        invite->addresses[invite->addresses_count++] = address;
        p += len;
    }
}

void invite_addresses(struct svc *svc, struct db_session *session, struct invite *invite)
{
    const char *replyto = invite->text.replyto;
    invite->rc = 0;
    if (utf8_utf16_len(invite->to, strlen(invite->to)) > TO_MAX)
        invite->rc = err_set(&invite->err, ERR_INVALID,
                             "Specify less recipients when adding collaborators to project.");
    else if (replyto && *replyto && !email_address_valid(replyto))
        invite->rc = err_set(&invite->err, ERR_INVALID, "invalid email address '%.400s'", replyto);
    else
        split_addresses(invite);
    if (!invite->rc && !invite->addresses_count)
        invite->rc =
            err_set(&invite->err, ERR_INVALID, "invalid email address '%.400s'", invite->to);
    begin(svc, session, invite);
}

// ---- Accepting ----

static int find_project(struct db_session *session, const char *action, struct arena *arena,
                        struct invitation *ret_invitation, struct err *err)
{
    static const struct db_stmt find = {"SELECT title FROM projects WHERE project_id = $1"};
    auto_json cJSON *parsed = cJSON_Parse(action);
    auto_rows struct db_rows *rows = NULL;
    const char *id = json_get_str(parsed, "project_id");
    if (!id || !uuid_parse(id, strlen(id), &ret_invitation->project_id))
        return err_set(err, ERR_NOT_FOUND, "no such invitation");
    int rc =
        db_query_row(session, &find, DB_ARGS(DB_TEXT(ret_invitation->project_id.text)), &rows, err);
    if (rc != 1)
        return rc ? rc : err_set(err, ERR_NOT_FOUND, "the project is gone");
    const char *title = db_rows_text(rows, 0);
    ret_invitation->title = arena_strdup(arena, title ? title : "");
    return 0;
}

static int find_state(struct db_session *session, bool done, struct invitation *invitation,
                      struct err *err)
{
    static const struct db_stmt member = {
        "SELECT 1 FROM project_users WHERE project_id = $1 AND account_id = $2"};
    struct uuid account_id;
    int64_t is_member = 0;
    int rc = find_account(session, invitation->email_address, &account_id, err);
    if (rc == 1)
        rc = db_query_int(session, &member,
                          DB_ARGS(DB_TEXT(invitation->project_id.text), DB_TEXT(account_id.text)),
                          &is_member, err);
    else if (!rc && !done)
        return 0;
    invitation->state = is_member ? INVITATION_TAKEN : INVITATION_CLOSED;
    return rc;
}

int invitation_get(struct db_session *session, const char *token, struct arena *arena,
                   struct invitation *ret_invitation, struct err *err)
{
    static const struct db_stmt find = {"SELECT email_address, action, done FROM "
                                        "account_creation_actions WHERE id = $1 AND expire > $2"};
    struct invitation invitation = {.state = INVITATION_OPEN};
    auto_rows struct db_rows *rows = NULL;
    int rc =
        db_query_row(session, &find, DB_ARGS(DB_TEXT(token), DB_INT(clock_now_ms())), &rows, err);
    if (rc != 1)
        return rc ? rc : err_set(err, ERR_NOT_FOUND, "no such invitation");
    invitation.email_address = arena_strdup(arena, db_rows_text(rows, 0));
    rc = find_project(session, db_rows_text(rows, 1), arena, &invitation, err);
    if (!rc)
        rc = find_state(session, db_rows_int(rows, 2), &invitation, err);
    if (!rc)
        *ret_invitation = invitation;
    return rc;
}
