// SPDX-License-Identifier: AGPL-3.0-or-later
// The link that proves that somebody reads an address's mail. The account keeps the address, the
// link's token and when it was made.
#include <sodium.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/text.h"
#include "db/query.h"
#include "svc/account_email.h"
#include "svc/account_mail.h"

#define CHALLENGE_LIFE_MS CLOCK_DAY_MS

// The token of a challenge that is good for the address now, NULL if there is none such.
static const char *valid_token(const cJSON *challenge, const char *email_address)
{
    const char *email = json_get_str(challenge, "email"), *time = json_get_str(challenge, "time");
    const char *token = json_get_str(challenge, "token");
    int64_t made_ms, now = clock_now_ms();
    if (!email || !time || !token || strlen(token) != EMAIL_TOKEN_LEN ||
        strcmp(email, email_address) || !clock_parse(time, &made_ms))
        return NULL;
    return made_ms <= now && now < made_ms + CHALLENGE_LIFE_MS ? token : NULL;
}

static int load_challenge(struct db_session *session, const struct uuid *account_id,
                          cJSON **ret_challenge, struct err *err)
{
    static const struct db_stmt find = {
        "SELECT email_address_challenge FROM accounts WHERE account_id = $1"};
    auto_rows struct db_rows *rows = NULL;
    int rc = db_query_row(session, &find, DB_ARGS(DB_TEXT(account_id->text)), &rows, err);
    if (rc == 1 && !db_rows_null(rows, 0))
        *ret_challenge = cJSON_Parse(db_rows_text(rows, 0));
    return rc < 0 ? rc : 0;
}

static int store_challenge(struct db_session *txn, const struct uuid *account_id,
                           const char *email_address, const char *token, struct err *err)
{
    static const struct db_stmt update = {
        "UPDATE accounts SET email_address_challenge = $2 WHERE account_id = $1"};
    auto_buf struct buf json = {0};
    json_begin_object(&json);
    json_member_str(&json, "email", email_address);
    json_member_str(&json, "token", token);
    json_member_time(&json, "time", clock_now_ms());
    json_end_object(&json);
    return db_exec(txn, &update, DB_ARGS(DB_TEXT(account_id->text), DB_TEXTN(json.data, json.size)),
                   NULL, err);
}

int email_challenge(struct db_session *txn, const struct uuid *account_id,
                    const char *email_address, char token[EMAIL_TOKEN_LEN + 1], struct err *err)
{
    auto_json cJSON *challenge = NULL;
    int rc = load_challenge(txn, account_id, &challenge, err);
    if (rc)
        return rc;
    const char *present = valid_token(challenge, email_address);
    if (present) {
        memcpy(token, present, EMAIL_TOKEN_LEN + 1);
        return 0;
    }
    token_random_lower(token, EMAIL_TOKEN_LEN);
    return store_challenge(txn, account_id, email_address, token, err);
}

// ---- Sending it ----

// Somebody who asks for mail to the own address may not have it: it is counted with invitations.
static int count_mail(struct db_session *txn, const struct uuid *account_id,
                      const char *email_address, struct err *err)
{
    static const struct db_stmt count = {"SELECT count(*) FROM invitation_mails"
                                         " WHERE account_id = $1 AND recipient = $2 AND time > $3"};
    static const struct db_stmt add = {
        "INSERT INTO invitation_mails (account_id, recipient, time) VALUES ($1, $2, $3)"};
    int64_t now = clock_now_ms(), sent = 0;
    int rc = db_query_int(
        txn, &count,
        DB_ARGS(DB_TEXT(account_id->text), DB_TEXT(email_address), DB_INT(now - CLOCK_HOUR_MS)),
        &sent, err);
    if (!rc && sent >= LIMIT_VERIFICATIONS_HOUR)
        return err_set(err, ERR_RATE_LIMITED,
                       "too many mails to verify an address; try again later");
    return rc ? rc
              : db_exec(txn, &add,
                        DB_ARGS(DB_TEXT(account_id->text), DB_TEXT(email_address), DB_INT(now)),
                        NULL, err);
}

static int send_challenge(struct db_session *txn, const struct svc *svc,
                          const struct uuid *account_id, const char *email_address, bool welcome,
                          struct err *err)
{
    char token[EMAIL_TOKEN_LEN + 1];
    int rc = count_mail(txn, account_id, email_address, err);
    if (!rc)
        rc = email_challenge(txn, account_id, email_address, token, err);
    if (rc)
        return rc;
    return welcome ? account_mail_welcome(txn, svc, email_address, token, err)
                   : account_mail_verify(txn, svc, email_address, token, err);
}

int email_challenge_send(struct db_session *txn, const struct svc *svc,
                         const struct uuid *account_id, bool welcome, struct err *err)
{
    static const struct db_stmt find = {"SELECT email_address, email_address_verified FROM accounts"
                                        " WHERE account_id = $1 AND deleted = 0"};
    auto_rows struct db_rows *rows = NULL;
    int rc = db_query_row(txn, &find, DB_ARGS(DB_TEXT(account_id->text)), &rows, err);
    if (rc < 0)
        return rc;
    if (!rc || db_rows_null(rows, 0))
        return err_set(err, ERR_INVALID, "the account has no email address");
    const char *email = db_rows_text(rows, 0);
    auto_json cJSON *verified = db_rows_null(rows, 1) ? NULL : cJSON_Parse(db_rows_text(rows, 1));
    return json_get(verified, email) ? 0
                                     : send_challenge(txn, svc, account_id, email, welcome, err);
}

// ---- Following the link ----

struct verifiable {
    struct uuid account_id;
    char email[LIMIT_EMAIL + 1];
    cJSON *verified; // what was verified so far: address -> time
};

static int not_valid(struct err *err)
{
    return err_set(err, ERR_NOT_FOUND,
                   "This link is no longer valid, or the address is verified already.");
}

static int read_verifiable(struct db_rows *rows, const char *token, struct verifiable *ret,
                           struct err *err)
{
    auto_json cJSON *challenge = db_rows_null(rows, 1) ? NULL : cJSON_Parse(db_rows_text(rows, 1));
    const char *good = valid_token(challenge, ret->email);
    if (!good || strlen(token) != EMAIL_TOKEN_LEN || sodium_memcmp(good, token, EMAIL_TOKEN_LEN))
        return not_valid(err);
    uuid_parse(db_rows_text(rows, 0), db_rows_size(rows, 0), &ret->account_id);
    ret->verified = db_rows_null(rows, 2) ? NULL : cJSON_Parse(db_rows_text(rows, 2));
    return 0;
}

// The account with this address, if the token is that of its link. The caller owns ret->verified.
static int find_verifiable(struct db_session *session, const char *email_address, const char *token,
                           struct verifiable *ret, struct err *err)
{
    static const struct db_stmt find = {
        "SELECT account_id, email_address_challenge, email_address_verified FROM accounts"
        " WHERE email_address = $1 AND deleted = 0"};
    auto_rows struct db_rows *rows = NULL;
    if (strlen(email_address) >= sizeof ret->email)
        return not_valid(err);
    strcpy(ret->email, email_address);
    text_lower(ret->email);
    int rc = db_query_row(session, &find, DB_ARGS(DB_TEXT(ret->email)), &rows, err);
    return rc == 1 ? read_verifiable(rows, token, ret, err) : rc ? rc : not_valid(err);
}

int email_challenge_check(struct db_session *session, const char *email_address, const char *token,
                          struct err *err)
{
    struct verifiable verifiable = {0};
    int rc = find_verifiable(session, email_address, token, &verifiable, err);
    cJSON_Delete(verifiable.verified);
    return rc;
}

int email_verify(struct db_session *txn, const char *email_address, const char *token,
                 struct err *err)
{
    static const struct db_stmt update = {
        "UPDATE accounts SET email_address_verified = $2, email_address_challenge = NULL"
        " WHERE account_id = $1"};
    struct verifiable verifiable = {0};
    char now[CLOCK_ISO_SIZE];
    int rc = find_verifiable(txn, email_address, token, &verifiable, err);
    if (rc)
        return rc;
    auto_json cJSON *verified =
        cJSON_IsObject(verifiable.verified) ? verifiable.verified : cJSON_CreateObject();
    clock_iso(clock_now_ms(), now);
    cJSON_DeleteItemFromObjectCaseSensitive(verified, verifiable.email);
    cJSON_AddStringToObject(verified, verifiable.email, now);
    auto_buf struct buf json = {0};
    json_value(&json, verified);
    return db_exec(txn, &update,
                   DB_ARGS(DB_TEXT(verifiable.account_id.text), DB_TEXTN(json.data, json.size)),
                   NULL, err);
}

int email_prove(struct db_session *txn, const struct uuid *account_id, const char *email_address,
                struct err *err)
{
    static const struct db_stmt update = {
        "UPDATE accounts SET email_address_verified = $3, email_address_challenge = NULL"
        " WHERE account_id = $1 AND email_address = $2"};
    auto_buf struct buf json = {0};
    auto_json cJSON *verified = cJSON_CreateObject();
    char now[CLOCK_ISO_SIZE];
    clock_iso(clock_now_ms(), now);
    cJSON_AddStringToObject(verified, email_address, now);
    json_value(&json, verified);
    return db_exec(
        txn, &update,
        DB_ARGS(DB_TEXT(account_id->text), DB_TEXT(email_address), DB_TEXTN(json.data, json.size)),
        NULL, err);
}
