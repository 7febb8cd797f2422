// SPDX-License-Identifier: AGPL-3.0-or-later
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "db/query.h"
#include "svc/invite_notes.h"
#include "svc/mail_internal.h"

#define CLAIM_MS   60000
#define KEEP_MS    (30 * CLOCK_DAY_MS)
#define CLAIMS_MAX 16

void outgoing_dispose(struct outgoing *mail)
{
    free(mail->to);
    buf_dispose(&mail->message);
    *mail = (struct outgoing){0};
}

// ---- Claiming ----

struct claim {
    struct uuid ids[CLAIMS_MAX];
    bool ours[CLAIMS_MAX];
    size_t count;
    int64_t now;
};

static int find_due(struct db_session *session, size_t count, struct claim *claim, struct err *err)
{
    static const struct db_stmt stmt = {
        "SELECT id FROM mail WHERE next_attempt <= $1 AND (claimed_until IS NULL OR"
        " claimed_until <= $1) ORDER BY next_attempt LIMIT $2"};
    auto_rows struct db_rows *rows = NULL;
    size_t limit = count < CLAIMS_MAX ? count : CLAIMS_MAX;
    int rc = db_query(session, &stmt, DB_ARGS(DB_INT(claim->now), DB_INT(limit)), &rows, err);
    if (rc)
        return rc;
    while ((rc = db_rows_next(rows, err)) > 0)
        uuid_parse(db_rows_text(rows, 0), db_rows_size(rows, 0), &claim->ids[claim->count++]);
    return rc;
}

static int claim_in_txn(struct db_session *txn, void *arg, struct err *err)
{
    static const struct db_stmt stmt = {
        "UPDATE mail SET claimed_until = $2 WHERE id = $1 AND next_attempt <= $3 AND"
        " (claimed_until IS NULL OR claimed_until <= $3)"};
    struct claim *claim = arg;
    int rc = 0;
    for (size_t i = 0; i < claim->count && !rc; i++) {
        int64_t changed = 0;
        rc = db_exec(
            txn, &stmt,
            DB_ARGS(DB_TEXT(claim->ids[i].text), DB_INT(claim->now + CLAIM_MS), DB_INT(claim->now)),
            &changed, err);
        claim->ours[i] = changed == 1;
    }
    return rc;
}

static int load(struct db_session *session, const struct uuid *id, struct outgoing *mail,
                struct err *err)
{
    static const struct db_stmt stmt = {
        "SELECT recipient, message, created, attempts, project_id FROM mail WHERE id = $1"};
    auto_rows struct db_rows *rows = NULL;
    int rc = db_query_row(session, &stmt, DB_ARGS(DB_TEXT(id->text)), &rows, err);
    if (rc <= 0)
        return rc ? rc : err_set(err, ERR_NOT_FOUND, "the mail %s is gone", id->text);
    *mail = (struct outgoing){
        .id = *id,
        .to = mem_strdup(db_rows_text(rows, 0)),
        .created = db_rows_int(rows, 2),
        .attempts = db_rows_int(rows, 3),
    };
    buf_append(&mail->message, db_rows_text(rows, 1), db_rows_size(rows, 1));
    if (!db_rows_null(rows, 4))
        uuid_parse(db_rows_text(rows, 4), db_rows_size(rows, 4), &mail->project_id);
    return 0;
}

int outbox_claim(struct db *db, struct db_session *session, size_t count, struct outgoing *ret_mail,
                 size_t *ret_count, struct err *err)
{
    struct claim claim = {.now = clock_now_ms()};
    *ret_count = 0;
    int rc = find_due(session, count, &claim, err);
    if (!rc && claim.count)
        rc = db_write(db, claim_in_txn, &claim, err);
    for (size_t i = 0; i < claim.count && !rc; i++) {
        if (claim.ours[i])
            rc = load(session, &claim.ids[i], &ret_mail[*ret_count], err);
        *ret_count += claim.ours[i] && !rc;
    }
    return rc;
}

// ---- What became of it ----

struct outcome {
    const struct outgoing *mail;
    const char *why;
    int64_t retry_at;
};

static int sent_in_txn(struct db_session *txn, void *arg, struct err *err)
{
    static const struct db_stmt stmt = {
        "UPDATE mail SET sent = $2, message = '', attempts = attempts + 1, next_attempt = NULL,"
        " claimed_until = NULL, error = NULL WHERE id = $1"};
    const struct outgoing *mail = ((struct outcome *)arg)->mail;
    return db_exec(txn, &stmt, DB_ARGS(DB_TEXT(mail->id.text), DB_INT(clock_now_ms())), NULL, err);
}

int outbox_sent(struct db *db, const struct outgoing *mail, struct err *err)
{
    return db_write(db, sent_in_txn, &(struct outcome){.mail = mail}, err);
}

static int delivered_in_txn(struct db_session *txn, void *arg, struct err *err)
{
    static const struct db_stmt stmt = {"DELETE FROM mail WHERE id = $1"};
    const struct outgoing *mail = ((struct outcome *)arg)->mail;
    return db_exec(txn, &stmt, DB_ARGS(DB_TEXT(mail->id.text)), NULL, err);
}

int outbox_delivered(struct db *db, const struct outgoing *mail, struct err *err)
{
    return db_write(db, delivered_in_txn, &(struct outcome){.mail = mail}, err);
}

static int renew_in_txn(struct db_session *txn, void *arg, struct err *err)
{
    static const struct db_stmt stmt = {"UPDATE mail SET claimed_until = $2 WHERE id = $1"};
    const struct outgoing *mail = ((struct outcome *)arg)->mail;
    return db_exec(txn, &stmt, DB_ARGS(DB_TEXT(mail->id.text), DB_INT(clock_now_ms() + CLAIM_MS)),
                   NULL, err);
}

int outbox_renew(struct db *db, const struct outgoing *mail, struct err *err)
{
    return db_write(db, renew_in_txn, &(struct outcome){.mail = mail}, err);
}

static int release_in_txn(struct db_session *txn, void *arg, struct err *err)
{
    static const struct db_stmt stmt = {"UPDATE mail SET claimed_until = NULL WHERE id = $1"};
    const struct outgoing *mail = ((struct outcome *)arg)->mail;
    return db_exec(txn, &stmt, DB_ARGS(DB_TEXT(mail->id.text)), NULL, err);
}

int outbox_release(struct db *db, const struct outgoing *mail, struct err *err)
{
    return db_write(db, release_in_txn, &(struct outcome){.mail = mail}, err);
}

static int note_invitation(struct db_session *txn, const struct outcome *outcome, struct err *err)
{
    const struct uuid *project_id = &outcome->mail->project_id;
    auto_json cJSON *notes = NULL;
    int rc = invite_notes_load(txn, project_id, &notes, err);
    if (rc)
        return rc;
    invite_notes_put(notes, outcome->mail->to, outcome->why);
    return invite_notes_save(txn, project_id, notes, err);
}

static int failed_in_txn(struct db_session *txn, void *arg, struct err *err)
{
    static const struct db_stmt stmt = {
        "UPDATE mail SET attempts = attempts + 1, next_attempt = $2, claimed_until = NULL,"
        " error = $3 WHERE id = $1"};
    const struct outcome *outcome = arg;
    struct db_value next = outcome->retry_at ? DB_INT(outcome->retry_at) : DB_NULL;
    int rc =
        db_exec(txn, &stmt, DB_ARGS(DB_TEXT(outcome->mail->id.text), next, DB_TEXT(outcome->why)),
                NULL, err);
    bool note = !outcome->retry_at && outcome->mail->project_id.text[0];
    return rc || !note ? rc : note_invitation(txn, outcome, err);
}

int outbox_failed(struct db *db, const struct outgoing *mail, const char *why, int64_t retry_at,
                  struct err *err)
{
    struct outcome outcome = {.mail = mail, .why = why, .retry_at = retry_at};
    return db_write(db, failed_in_txn, &outcome, err);
}

static int purge_in_txn(struct db_session *txn, void *arg, struct err *err)
{
    static const struct db_stmt stmt = {
        "DELETE FROM mail WHERE next_attempt IS NULL AND created < $1"};
    return db_exec(txn, &stmt, DB_ARGS(DB_INT(*(int64_t *)arg)), NULL, err);
}

int outbox_purge(struct db *db, struct err *err)
{
    int64_t before = clock_now_ms() - KEEP_MS;
    return db_write(db, purge_in_txn, &before, err);
}
