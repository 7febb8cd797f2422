// SPDX-License-Identifier: AGPL-3.0-or-later
// Creating an account. The checks that need the database run twice by the same code: once at once,
// so that a refusal costs no password hash, and again in the transaction that creates the account,
// where they hold.
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/text.h"
#include "db/query.h"
#include "svc/account_email.h"
#include "svc/account_index.h"
#include "svc/account_mail.h"
#include "svc/accounts.h"
#include "svc/central_log.h"
#include "svc/collaborators.h"
#include "svc/mail.h"
#include "svc/passwords.h"

#define SIGN_UP_WINDOW_MS (30 * CLOCK_MINUTE_MS)
#define GOLD_FACTOR       10

bool account_refused(const struct account_refusal *refusal)
{
    return refusal->agreed_to_terms || refusal->email_address || refusal->password ||
           refusal->token || refusal->other[0];
}

static void refuse(struct account_create *create, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void refuse(struct account_create *create, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(create->refusal.other, sizeof create->refusal.other, fmt, args);
    va_end(args);
}

// ---- Names (api-v1 2.6) ----

// Whether a word holds a letter or digit, a dot, and two to five letters that end there: what a
// domain looks like.
static bool looks_like_url(const char *word, size_t size)
{
    for (size_t i = 1; i + 2 < size; i++) {
        if (word[i] != '.' || !isalnum((unsigned char)word[i - 1]))
            continue;
        size_t letters = 0;
        while (i + 1 + letters < size && isalpha((unsigned char)word[i + 1 + letters]))
            letters++;
        bool ends = i + 1 + letters == size || !isalnum((unsigned char)word[i + 1 + letters]);
        if (letters >= 2 && letters <= 5 && ends)
            return true;
    }
    return false;
}

// "a", "a and b", "a, b and c": the words of the name that look like URLs.
static size_t find_urls(const char *name, struct buf *out)
{
    const char *words[16];
    size_t sizes[16], count = 0;
    for (const char *p = name; *p && count < ARRAY_LEN(words);) {
        p += strspn(p, " \t\r\n");
        size_t size = strcspn(p, " \t\r\n");
        if (looks_like_url(p, size)) {
            words[count] = p;
            sizes[count++] = size;
        }
        p += size;
    }
    for (size_t i = 0; i < count; i++) {
        buf_append_str(out, i == 0 ? "" : i + 1 == count ? " and " : ", ");
        buf_append(out, words[i], sizes[i]);
    }
    return count;
}

static bool check_name(struct account_create *create, const char *field, const char *name)
{
    auto_buf struct buf urls = {0};
    if (!name)
        return true;
    if (utf8_utf16_len(name, strlen(name)) > LIMIT_NAME)
        refuse(
            create,
            "Unable to create account. Error: \"%s not valid: at most 254 characters are allowed\"",
            field);
    else if (strstr(name, "mailto:") && strchr(name, '@'))
        refuse(create,
               "Unable to create account. Error: \"%s not valid: email addresses are not allowed\"",
               field);
    else if (find_urls(name, &urls))
        refuse(
            create,
            "Unable to create account. Error: \"%s not valid: URLs are not allowed. Found %.300s\"",
            field, buf_cstr(&urls));
    return !account_refused(&create->refusal);
}

// ---- Checks in the database ----

static int check_sign_ups(struct db_session *session, struct account_create *create,
                          struct err *err)
{
    static const struct db_stmt count = {
        "SELECT count(*) FROM sign_up_attempts WHERE ip_address = $1 AND time > $2"};
    int64_t made,
        limit = create->svc->site.sign_ups_per_half_hour * (create->gold_caller ? GOLD_FACTOR : 1);
    int rc = db_query_int(
        session, &count,
        DB_ARGS(DB_TEXT(create->network), DB_INT(clock_now_ms() - SIGN_UP_WINDOW_MS)), &made, err);
    if (!rc && made >= limit)
        refuse(create,
               "Unable to create account. Error: \"Error: Too many accounts are being created from "
               "the ip address %s;"
               " try again later.  By default at most %lld accounts can be created every 30 "
               "minutes from one IP; if"
               " you're using the API and need a higher limit, contact us.\"",
               create->created_by, (long long)limit);
    return rc;
}

static int check_email_free(struct db_session *session, struct account_create *create,
                            struct err *err)
{
    static const struct db_stmt find = {"SELECT 1 FROM accounts WHERE email_address = $1"};
    int64_t taken = 0;
    int rc = create->email[0]
                 ? db_query_int(session, &find, DB_ARGS(DB_TEXT(create->email)), &taken, err)
                 : 0;
    if (!rc && taken)
        create->refusal.email_address = "This e-mail address is already taken.";
    return rc;
}

static const char *token_problem(struct db_rows *rows)
{
    if (db_rows_int(rows, 0))
        return "Registration token disabled.";
    if (!db_rows_null(rows, 1) && db_rows_int(rows, 1) <= clock_now_ms())
        return "Registration token no longer valid.";
    if (!db_rows_null(rows, 2) && db_rows_int(rows, 3) >= db_rows_int(rows, 2))
        return "Registration token used up.";
    return NULL;
}

static int check_token(struct db_session *session, struct account_create *create, bool *ret_used,
                       struct err *err)
{
    static const struct db_stmt active = {
        "SELECT count(*) FROM registration_tokens WHERE disabled = 0"};
    static const struct db_stmt find = {
        "SELECT disabled, expires, \"limit\", counter FROM registration_tokens WHERE token = $1"};
    int64_t count = 0;
    *ret_used = false;
    int rc = db_query_int(session, &active, DB_NO_ARGS, &count, err);
    if (rc || (!count && strcmp(create->svc->site.sign_up, "token")))
        return rc;
    if (!create->token || !create->token[0]) {
        create->refusal.token = "No registration token provided";
        return 0;
    }
    auto_rows struct db_rows *rows = NULL;
    rc = db_query_row(session, &find, DB_ARGS(DB_TEXT(create->token)), &rows, err);
    if (rc < 0)
        return rc;
    create->refusal.token = rc ? token_problem(rows) : "Registration token is wrong.";
    *ret_used = !create->refusal.token;
    return 0;
}

// All checks in the contract's order, the first failure counts.
static int check(struct db_session *session, struct account_create *create, bool *ret_token_used,
                 struct err *err)
{
    bool ruled = create->created_by != NULL;
    *ret_token_used = false;
    int rc = ruled ? check_sign_ups(session, create, err) : 0;
    if (!rc && !account_refused(&create->refusal))
        rc = check_email_free(session, create, err);
    if (!rc && !account_refused(&create->refusal) && ruled)
        rc = check_token(session, create, ret_token_used, err);
    if (!rc && !account_refused(&create->refusal) &&
        check_name(create, "first_name", create->first_name))
        check_name(create, "last_name", create->last_name);
    return rc;
}

static void check_syntax(struct account_create *create)
{
    struct account_refusal *refusal = &create->refusal;
    const char *email = create->email_address ? create->email_address : "";
    if (create->created_by && !strcmp(create->svc->site.sign_up, "closed")) {
        refuse(create, "Signing up via email/password is disabled.");
        return;
    }
    if (create->terms_declined) {
        refusal->agreed_to_terms = "Agree to the Terms of Service.";
        return;
    }
    if (email[0] && !email_address_valid(email))
        refusal->email_address = "Email address does not appear to be valid.";
    if (create->password_is_no_text)
        refusal->password = password_problem(NULL);
    else if (create->password && create->password[0])
        refusal->password = password_problem(create->password);
    if (!account_refused(refusal) && create->usage_intent &&
        utf8_utf16_len(create->usage_intent, strlen(create->usage_intent)) > LIMIT_USAGE_INTENT)
        refuse(
            create,
            "Unable to create account. Error: \"usage_intent not valid: at most %d characters are"
            " allowed\"",
            LIMIT_USAGE_INTENT);
    if (!account_refused(refusal) && create->get_api_key && create->created_by &&
        !(create->password && create->password[0]))
        refuse(
            create,
            "Unable to create account. Error: \"password must be given if passport is not true\"");
    if (!refusal->email_address) {
        snprintf(create->email, sizeof create->email, "%s", email);
        text_lower(create->email);
    }
}

// ---- The transaction ----

static int note_sign_up(struct db_session *txn, const struct account_create *create,
                        struct err *err)
{
    static const struct db_stmt insert = {
        "INSERT INTO sign_up_attempts (ip_address, time) VALUES ($1, $2)"};
    return db_exec(txn, &insert, DB_ARGS(DB_TEXT(create->network), DB_INT(clock_now_ms())), NULL,
                   err);
}

static int use_token(struct db_session *txn, const struct account_create *create, struct err *err)
{
    static const struct db_stmt update = {
        "UPDATE registration_tokens SET counter = counter + 1 WHERE token = $1"};
    static const struct db_stmt inherit = {
        "UPDATE accounts SET ephemeral = (SELECT ephemeral FROM registration_tokens"
        " WHERE token = $1), customize = (SELECT customize FROM registration_tokens"
        " WHERE token = $1) WHERE account_id = $2"};
    int rc = db_exec(txn, &update, DB_ARGS(DB_TEXT(create->token)), NULL, err);
    if (!rc)
        rc = db_exec(txn, &inherit,
                     DB_ARGS(DB_TEXT(create->token), DB_TEXT(create->account_id.text)), NULL, err);
    return rc ? rc
              : central_log(txn, "create_account_registration_token",
                            CENTRAL_TEXTS({"token", create->token},
                                          {"account_id", create->account_id.text}),
                            err);
}

static int insert(struct db_session *txn, const struct account_create *create, struct err *err)
{
    static const struct db_stmt stmt = {"INSERT INTO accounts (account_id, email_address, "
                                        "password_hash, first_name, last_name, created, created_by,"
                                        " sign_up_usage_intent, \"groups\", creation_actions_done) "
                                        "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0)"};
    int rc = db_exec(
        txn, &stmt,
        DB_ARGS(DB_TEXT(create->account_id.text), DB_TEXT(create->email[0] ? create->email : NULL),
                DB_TEXT(create->hash[0] ? create->hash : NULL), DB_TEXT(create->first_name),
                DB_TEXT(create->last_name), DB_INT(clock_now_ms()), DB_TEXT(create->created_by),
                DB_TEXT(create->usage_intent), DB_TEXT(create->admin ? "[\"admin\"]" : NULL)),
        NULL, err);
    return rc ? rc
              : central_log(txn, "create_account",
                            CENTRAL_TEXTS({"account_id", create->account_id.text},
                                          {"ip_address", create->created_by}),
                            err);
}

// Whether the mail goes out does not affect the account.
static int send_welcome(struct db_session *txn, struct account_create *create, struct err *err)
{
    const struct svc *svc = create->svc;
    const bool asks = svc->site.verify_email && !create->address_proved;
    char token[EMAIL_TOKEN_LEN + 1];
    int rc = asks ? email_challenge(txn, &create->account_id, create->email, token, err) : 0;
    if (!rc)
        rc = account_mail_welcome(txn, svc, create->email, asks ? token : NULL, err);
    create->mailed = !rc;
    return rc == -ERR_INVALID ? 0 : rc;
}

// What waits for the address; a mail only to who signed up, not for an administrator's work.
static int greet(struct db_session *txn, struct account_create *create, struct err *err)
{
    int rc = account_index_put(txn, &create->account_id, err);
    if (rc || !create->email[0])
        return rc;
    rc = creation_actions_run(txn, &create->account_id, create->email, err);
    if (!rc && create->address_proved)
        rc = email_prove(txn, &create->account_id, create->email, err);
    return rc || !create->created_by ? rc : send_welcome(txn, create, err);
}

static int create_in_txn(struct db_session *txn, void *arg, struct err *err)
{
    struct account_create *create = arg;
    bool token_used;
    create->refusal = (struct account_refusal){0};
    create->account_id = uuid_new();
    create->mailed = false;
    int rc = check(txn, create, &token_used, err);
    if (rc || account_refused(&create->refusal))
        return rc;
    rc = insert(txn, create, err);
    if (!rc && create->created_by)
        rc = note_sign_up(txn, create, err);
    if (!rc && token_used)
        rc = use_token(txn, create, err);
    if (!rc && create->get_api_key)
        rc =
            key_v1_get(txn, &create->svc->secret, &create->account_id, false, create->api_key, err);
    if (!rc)
        rc = greet(txn, create, err);
    return rc || !create->then ? rc : create->then(txn, create, err);
}

// ---- The steps ----

static void on_written(struct db_write *write)
{
    struct account_create *create = write->arg;
    create->rc = write->rc;
    create->err = write->err;
    if (!create->rc && create->mailed)
        mail_wake(create->svc);
    create->done(create);
}

static void write_account(struct account_create *create)
{
    create->write = (struct db_write){
        .loop = create->loop, .fn = create_in_txn, .arg = create, .done = on_written};
    db_write_async(create->svc->db, &create->write);
}

static void hash_now(struct work *work)
{
    struct account_create *create = CONTAINER(work, struct account_create, work);
    create->rc = password_closing(create->svc->closing, &create->err);
    if (!create->rc)
        create->rc = password_hash(create->password, create->hash, &create->err);
}

static void on_hashed(struct work *work)
{
    struct account_create *create = CONTAINER(work, struct account_create, work);
    if (create->rc)
        create->done(create);
    else
        write_account(create);
}

static bool has_password(const struct account_create *create)
{
    return create->password && create->password[0];
}

static void begin(struct svc *svc, struct account_create *create)
{
    create->svc = svc;
    create->rc = 0;
    create->refusal = (struct account_refusal){0};
    create->email[0] = create->hash[0] = create->api_key[0] = '\0';
    if (create->created_by)
        client_network(create->created_by, create->network);
    check_syntax(create);
}

static void hash_later(struct account_create *create)
{
    client_network(create->caller, create->owner);
    if (work_submit_gated(create->loop, &create->svc->hashing, &create->work, create->owner,
                          hash_now, on_hashed))
        return;
    create->rc = password_queue_full(&create->err);
    create->done(create);
}

void account_create(struct svc *svc, struct db_session *session, struct account_create *create)
{
    bool token_used;
    begin(svc, create);
    if (!account_refused(&create->refusal))
        create->rc = check(session, create, &token_used, &create->err);
    if (create->rc || account_refused(&create->refusal))
        create->done(create);
    else if (has_password(create))
        hash_later(create);
    else
        write_account(create);
}

int account_create_now(struct svc *svc, struct account_create *create)
{
    begin(svc, create);
    if (account_refused(&create->refusal))
        return 0;
    if (has_password(create))
        create->rc = password_hash(create->password, create->hash, &create->err);
    if (!create->rc)
        create->rc = db_write(svc->db, create_in_txn, create, &create->err);
    return create->rc;
}
