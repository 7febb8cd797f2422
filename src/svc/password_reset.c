// SPDX-License-Identifier: AGPL-3.0-or-later
// Passwords that were forgotten: the mail with a code, and what the code is good for.
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/text.h"
#include "db/query.h"
#include "svc/account_mail.h"
#include "svc/account_password.h"
#include "svc/accounts.h"
#include "svc/central_log.h"
#include "svc/mail.h"

#define CODE_LIFE_MS CLOCK_HOUR_MS
#define LINK_LIFE_MS CLOCK_DAY_MS

// ---- The limits (api-v1 3.5) ----

// Refused ones count too. Only, as many in the last minute as refuse the next for an hour are
// enough to remember.
static int note_attempt(struct db_session *txn, const struct password_forgot *forgot, int64_t now,
                        struct err *err)
{
    static const struct db_stmt insert = {
        "INSERT INTO password_reset_attempts (email_address, ip_address, time) SELECT $1, $2, $3"
        " WHERE (SELECT count(*) FROM (SELECT 1 FROM password_reset_attempts"
        " WHERE email_address = $1 AND time > $4 LIMIT $5) AS of_address) < $5"
        " AND (SELECT count(*) FROM (SELECT 1 FROM password_reset_attempts"
        " WHERE ip_address = $2 AND time > $4 LIMIT $6) AS of_client) < $6"};
    return db_exec(txn, &insert,
                   DB_ARGS(DB_TEXT(forgot->email), DB_TEXT(forgot->network), DB_INT(now),
                           DB_INT(now - CLOCK_MINUTE_MS), DB_INT(LIMIT_RESETS_ADDRESS_HOUR + 1),
                           DB_INT(LIMIT_RESETS_CLIENT_HOUR + 1)),
                   NULL, err);
}

static int check_attempts(struct db_session *txn, struct password_forgot *forgot, int64_t now,
                          struct err *err)
{
    static const struct db_stmt by_address = {
        "SELECT count(*) FROM (SELECT 1 FROM password_reset_attempts"
        " WHERE email_address = $1 AND time > $2 LIMIT $3) AS made"};
    static const struct db_stmt by_client = {
        "SELECT count(*) FROM (SELECT 1 FROM password_reset_attempts"
        " WHERE ip_address = $1 AND time > $2 LIMIT $3) AS made"};
    const struct {
        const struct db_stmt *count;
        const char *of;
        int64_t since;
        int limit;
        const char *text;
    } rules[] = {
        {&by_address, forgot->email, now - CLOCK_HOUR_MS, LIMIT_RESETS_ADDRESS_HOUR,
         "Too many password resets for this email per hour; try again later."},
        {&by_client, forgot->network, now - CLOCK_MINUTE_MS, LIMIT_RESETS_CLIENT_MINUTE,
         "Too many password resets per minute; try again later."},
        {&by_client, forgot->network, now - CLOCK_HOUR_MS, LIMIT_RESETS_CLIENT_HOUR,
         "Too many password resets per hour; try again later."},
    };
    for (size_t i = 0; i < ARRAY_LEN(rules) && !forgot->refused; i++) {
        int64_t made = 0;
        int rc = db_query_int(
            txn, rules[i].count,
            DB_ARGS(DB_TEXT(rules[i].of), DB_INT(rules[i].since), DB_INT(rules[i].limit + 1)),
            &made, err);
        if (rc)
            return rc;
        if (made > rules[i].limit)
            forgot->refused = err_set(&forgot->refusal, ERR_RATE_LIMITED, "%s", rules[i].text);
    }
    return 0;
}

// ---- forgot_password ----

static int make_code(struct db_session *txn, const char *email, int64_t expire,
                     struct uuid *ret_code, struct err *err)
{
    static const struct db_stmt insert = {
        "INSERT INTO password_reset (id, email_address, expire) VALUES ($1, $2, $3)"};
    *ret_code = uuid_new();
    return db_exec(txn, &insert, DB_ARGS(DB_TEXT(ret_code->text), DB_TEXT(email), DB_INT(expire)),
                   NULL, err);
}

// The mail to an address without an account is made and queued like any other, and taken out again
// before the transaction ends.
static int withdraw_mail(struct db_session *txn, const char *email, int64_t since, struct err *err)
{
    static const struct db_stmt withdraw = {
        "DELETE FROM mail WHERE created >= $1 AND recipient = $2 AND category = 'password_reset'"};
    return db_exec(txn, &withdraw, DB_ARGS(DB_INT(since), DB_TEXT(email)), NULL, err);
}

static int send_code(struct db_session *txn, struct password_forgot *forgot, int64_t now,
                     struct err *err)
{
    static const struct db_stmt find = {
        "SELECT 1 FROM accounts WHERE email_address = $1 AND deleted = 0"};
    int64_t known = 0;
    struct uuid code;
    int rc = db_query_int(txn, &find, DB_ARGS(DB_TEXT(forgot->email)), &known, err);
    if (rc)
        return rc;
    if (!known && forgot->svc->site.reveal_accounts) {
        forgot->refused = err_set(&forgot->refusal, ERR_NOT_FOUND,
                                  "No account with e-mail address %s", forgot->email);
        return 0;
    }
    rc = make_code(txn, forgot->email, now + CODE_LIFE_MS, &code, err);
    if (!rc) {
        rc = account_mail_reset(txn, forgot->svc, forgot->email, &code, &forgot->refusal);
        if (rc == -ERR_INVALID) { // an address that no mail is sent to; the attempt counts
            forgot->refused = rc;
            return 0;
        }
        if (rc)
            *err = forgot->refusal;
    }
    return rc || known ? rc : withdraw_mail(txn, forgot->email, now, err);
}

static int forgot_in_txn(struct db_session *txn, void *arg, struct err *err)
{
    struct password_forgot *forgot = arg;
    int64_t now = clock_now_ms();
    forgot->refused = 0;
    int rc = note_attempt(txn, forgot, now, err);
    if (!rc)
        rc = check_attempts(txn, forgot, now, err);
    return rc || forgot->refused ? rc : send_code(txn, forgot, now, err);
}

static void on_forgot(struct db_write *write)
{
    struct password_forgot *forgot = write->arg;
    forgot->rc = write->rc ? write->rc : forgot->refused;
    forgot->err = write->rc ? write->err : forgot->refusal;
    if (!forgot->rc)
        mail_wake(forgot->svc);
    forgot->done(forgot);
}

void password_forgot(struct svc *svc, struct password_forgot *forgot)
{
    forgot->svc = svc;
    if (!email_address_valid(forgot->email_address)) {
        forgot->rc = err_set(&forgot->err, ERR_INVALID, "Invalid email address.");
        forgot->done(forgot);
        return;
    }
    snprintf(forgot->email, sizeof forgot->email, "%s", forgot->email_address);
    text_lower(forgot->email);
    client_network(forgot->client, forgot->network);
    forgot->write = (struct db_write){
        .loop = forgot->loop, .fn = forgot_in_txn, .arg = forgot, .done = on_forgot};
    db_write_async(svc->db, &forgot->write);
}

int password_reset_link(struct db_session *txn, const struct uuid *account_id,
                        struct uuid *ret_code, struct err *err)
{
    static const struct db_stmt find = {
        "SELECT email_address FROM accounts WHERE account_id = $1 AND deleted = 0"};
    auto_rows struct db_rows *rows = NULL;
    int rc = db_query_row(txn, &find, DB_ARGS(DB_TEXT(account_id->text)), &rows, err);
    if (rc < 0)
        return rc;
    if (!rc || db_rows_null(rows, 0))
        return err_set(err, ERR_INVALID, "passwords are only defined for accounts with email");
    return make_code(txn, db_rows_text(rows, 0), clock_now_ms() + LINK_LIFE_MS, ret_code, err);
}

// ---- reset_forgot_password ----

static int no_longer_valid(struct err *err)
{
    return err_set(err, ERR_NOT_FOUND, "Password reset request is no longer valid.");
}

// The account that a code is for. ERR_NOT_FOUND with the contract's text.
static int find_account(struct db_session *session, const struct uuid *code,
                        struct uuid *ret_account_id, struct err *err)
{
    static const struct db_stmt find = {"SELECT a.account_id FROM password_reset p JOIN accounts a"
                                        " ON a.email_address = p.email_address"
                                        " WHERE p.id = $1 AND p.expire > $2 AND a.deleted = 0"};
    auto_rows struct db_rows *rows = NULL;
    int rc = db_query_row(session, &find, DB_ARGS(DB_TEXT(code->text), DB_INT(clock_now_ms())),
                          &rows, err);
    if (rc == 1)
        uuid_parse(db_rows_text(rows, 0), db_rows_size(rows, 0), ret_account_id);
    return rc == 1 ? 0 : rc ? rc : no_longer_valid(err);
}

int password_reset_check(struct db_session *session, const char *reset_code, struct err *err)
{
    struct uuid code, account_id;
    if (!uuid_parse(reset_code, strlen(reset_code), &code))
        return no_longer_valid(err);
    return find_account(session, &code, &account_id, err);
}

static int reset_in_txn(struct db_session *txn, void *arg, struct err *err)
{
    static const struct db_stmt use = {"DELETE FROM password_reset WHERE id = $1"};
    struct password_reset *reset = arg;
    struct uuid account_id;
    int64_t used = 0;
    int rc = find_account(txn, &reset->code, &account_id, err);
    if (!rc)
        rc = db_exec(txn, &use, DB_ARGS(DB_TEXT(reset->code.text)), &used, err);
    if (!rc && !used)
        rc = no_longer_valid(err);
    if (!rc)
        rc = account_password_set(txn, &account_id, reset->hash, err);
    return rc ? rc
              : central_log(
                    txn, "change_password",
                    CENTRAL_TEXTS({"account_id", account_id.text}, {"ip_address", reset->client}),
                    err);
}

static void on_reset(struct db_write *write)
{
    struct password_reset *reset = write->arg;
    reset->rc = write->rc;
    reset->err = write->err;
    reset->done(reset);
}

static void hash_reset(struct work *work)
{
    struct password_reset *reset = CONTAINER(work, struct password_reset, work);
    reset->rc = password_closing(reset->svc->closing, &reset->err);
    if (!reset->rc)
        reset->rc = password_hash(reset->new_password, reset->hash, &reset->err);
}

static void on_reset_hashed(struct work *work)
{
    struct password_reset *reset = CONTAINER(work, struct password_reset, work);
    if (reset->rc) {
        reset->done(reset);
        return;
    }
    reset->write =
        (struct db_write){.loop = reset->loop, .fn = reset_in_txn, .arg = reset, .done = on_reset};
    db_write_async(reset->svc->db, &reset->write);
}

void password_reset(struct svc *svc, struct db_session *session, struct password_reset *reset)
{
    const char *problem = password_problem(reset->new_password);
    reset->svc = svc;
    if (problem)
        reset->rc = err_set(&reset->err, ERR_INVALID, "%s", problem);
    else
        reset->rc = password_reset_check(session, reset->reset_code, &reset->err);
    if (!reset->rc) {
        uuid_parse(reset->reset_code, strlen(reset->reset_code), &reset->code);
        client_network(reset->asker, reset->owner);
        if (!work_submit_gated(reset->loop, &svc->hashing, &reset->work, reset->owner, hash_reset,
                               on_reset_hashed))
            reset->rc = password_queue_full(&reset->err);
    }
    if (reset->rc)
        reset->done(reset);
}
