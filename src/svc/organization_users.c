// SPDX-License-Identifier: AGPL-3.0-or-later
// What organizations do in several steps: making accounts, and sending messages to all members.
#include <sodium.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/log.h"
#include "db/query.h"
#include "svc/messages.h"
#include "svc/organizations.h"
#include "svc/organizations_internal.h"

// ---- Making an account ----

// The account belongs to the organization, if the caller may still say so.
static int join(struct db_session *txn, struct account_create *account, struct err *err)
{
    static const struct db_stmt update = {
        "UPDATE accounts SET org = $2, owner_id = $3 WHERE account_id = $1"};
    static const struct db_stmt invited = {
        "SELECT 1 FROM project_users WHERE account_id = $1 LIMIT 1"};
    struct organization_user_create *create =
        CONTAINER(account, struct organization_user_create, account);
    int64_t has_project = 0;
    int rc = organization_check_admin(txn, &create->caller, create->name, err);
    if (!rc)
        rc = db_exec(txn, &update,
                     DB_ARGS(DB_TEXT(account->account_id.text), DB_TEXT(create->name),
                             DB_TEXT(create->caller.account_id.text)),
                     NULL, err);
    if (!rc)
        rc = db_query_int(txn, &invited, DB_ARGS(DB_TEXT(account->account_id.text)), &has_project,
                          err);
    create->has_project = has_project;
    return rc;
}

// That there is none does not affect the account.
static void on_project(struct project_create *project)
{
    struct organization_user_create *create =
        CONTAINER(project, struct organization_user_create, project);
    project_create_dispose(project);
    if (project->rc)
        log_err(LOG_WARNING, "first_project_failed", &project->err);
    create->done(create);
}

static void make_project(struct organization_user_create *create)
{
    create->project = (struct project_create){
        .title = "My First Project",
        .account_id = create->account_id,
        .loop = create->loop,
        .done = on_project,
    };
    project_create(create->svc, &create->project);
}

static int refused(const struct account_refusal *refusal, struct err *err)
{
    const char *reason = refusal->email_address ? refusal->email_address
                         : refusal->password    ? refusal->password
                                                : refusal->other;
    return err_set(err, ERR_INVALID, "%s", reason);
}

static void on_account(struct account_create *account)
{
    struct organization_user_create *create =
        CONTAINER(account, struct organization_user_create, account);
    create->rc = account->rc;
    create->err = account->err;
    if (!create->rc && account_refused(&account->refusal))
        create->rc = refused(&account->refusal, &create->err);
    create->account_id = account->account_id;
    sodium_memzero(create->made_password, sizeof create->made_password);
    if (create->rc || create->has_project)
        create->done(create);
    else
        make_project(create);
}

// One that nobody gets to know: the account is entered by a token, or a new password by mail.
static void make_password(struct organization_user_create *create)
{
    unsigned char bytes[(sizeof create->made_password - 1) / 4 * 3];
    randombytes_buf(bytes, sizeof bytes);
    sodium_bin2base64(create->made_password, sizeof create->made_password, bytes, sizeof bytes,
                      sodium_base64_VARIANT_ORIGINAL);
    create->password = create->made_password;
}

static int check_create(struct db_session *session, const struct organization_user_create *create,
                        struct err *err)
{
    int rc = organization_check_admin(session, &create->caller, create->name, err);
    if (!rc)
        rc = organization_name_check(create->name, err);
    if (!rc && !create->email_address[0])
        rc = err_set(err, ERR_INVALID, "email must not be empty");
    return rc;
}

void organization_user_create(struct svc *svc, struct db_session *session,
                              struct organization_user_create *create)
{
    create->svc = svc;
    create->rc = check_create(session, create, &create->err);
    if (create->rc) {
        create->done(create);
        return;
    }
    if (!create->password || !create->password[0])
        make_password(create);
    create->account = (struct account_create){
        .first_name = create->first_name,
        .last_name = create->last_name,
        .email_address = create->email_address,
        .password = create->password,
        .caller = create->client,
        .then = join,
        .loop = create->loop,
        .done = on_account,
    };
    account_create(svc, session, &create->account);
}

// ---- A message to all ----

// The ids of the next members, as a JSON array.
static int next_members(struct db_session *txn, struct organization_message *message,
                        struct buf *ids, struct err *err)
{
    static const struct db_stmt list = {"SELECT account_id FROM accounts WHERE org = $1"
                                        " AND account_id > $2 AND deleted = 0"
                                        " ORDER BY account_id LIMIT $3"};
    auto_rows struct db_rows *rows = NULL;
    message->part_count = 0;
    int rc = db_query(txn, &list,
                      DB_ARGS(DB_TEXT(message->name), DB_TEXT(message->last_id.text),
                              DB_INT(LIMIT_MESSAGE_RECIPIENTS)),
                      &rows, err);
    json_begin_array(ids);
    while (!rc && (rc = db_rows_next(rows, err)) == 1) {
        (void)uuid_parse(db_rows_text(rows, 0), db_rows_size(rows, 0), &message->part_last_id);
        json_str(ids, message->part_last_id.text);
        message->part_count++;
        rc = 0;
    }
    json_end_array(ids);
    return rc;
}

static int write_part(struct db_session *txn, void *arg, struct err *err)
{
    struct organization_message *message = arg;
    const int64_t now_ms = clock_now_ms();
    auto_buf struct buf ids = {0};
    int64_t id;
    int rc = next_members(txn, message, &ids, err);
    if (rc || !message->part_count)
        return rc;
    const struct message part = {
        .from_id = message->from_id,
        .to_ids = buf_cstr(&ids),
        .subject = message->subject,
        .body = message->body,
        .sent_ms = now_ms,
        .continues = message->continues,
    };
    return message_create(txn, &part, now_ms, &id, err);
}

static void send_part(struct organization_message *message);

static void on_part(struct db_write *write)
{
    struct organization_message *message = CONTAINER(write, struct organization_message, write);
    message->rc = write->rc;
    message->err = write->err;
    message->last_id = message->part_last_id;
    message->continues = true;
    if (message->rc || message->part_count < LIMIT_MESSAGE_RECIPIENTS)
        message->done(message);
    else
        send_part(message);
}

static void send_part(struct organization_message *message)
{
    message->write =
        (struct db_write){.loop = message->loop, .fn = write_part, .arg = message, .done = on_part};
    db_write_async(message->svc->db, &message->write);
}

void organization_message(struct svc *svc, struct organization_message *message)
{
    message->svc = svc;
    message->last_id = message->part_last_id = (struct uuid){0};
    message->continues = false;
    message->rc = message_text_check(message->subject, message->body, &message->err);
    if (message->rc)
        message->done(message);
    else
        send_part(message);
}
