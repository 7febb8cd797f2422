// SPDX-License-Identifier: AGPL-3.0-or-later
#include "svc/expiry.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "db/query.h"
#include "svc/project.h"
#include "svc/project_life.h"
#include "svc/tables/projects.h"

#define INTERVAL_MS UINT64_C(60000)

// $1 is the time before which rows go, $2 how many may. What is read by an age is kept for that
// age, everything else has its own `expire`.
static const struct table {
    int64_t age_ms;
    struct db_stmt drop;
    int64_t at_once; // 0: LIMIT_CLEANED_AT_ONCE
} tables[] = {
    {.drop = {"DELETE FROM auth_tokens WHERE auth_token IN"
              " (SELECT auth_token FROM auth_tokens WHERE expire < $1 ORDER BY expire LIMIT $2)"}},
    {.drop = {"DELETE FROM remember_me WHERE hash IN"
              " (SELECT hash FROM remember_me WHERE expire < $1 ORDER BY expire LIMIT $2)"}},
    {.drop =
         {"DELETE FROM account_creation_actions WHERE id IN"
          " (SELECT id FROM account_creation_actions WHERE expire < $1 ORDER BY expire LIMIT $2)"}},
    {.drop = {"DELETE FROM password_reset WHERE id IN"
              " (SELECT id FROM password_reset WHERE expire < $1 ORDER BY expire LIMIT $2)"}},
    {.drop = {"DELETE FROM client_error_log WHERE id IN"
              " (SELECT id FROM client_error_log WHERE expire < $1 ORDER BY expire LIMIT $2)"}},
    {.drop = {"DELETE FROM central_log WHERE id IN"
              " (SELECT id FROM central_log WHERE expire < $1 ORDER BY expire LIMIT $2)"}},
    {.drop = {"DELETE FROM user_tracking WHERE (account_id, time) IN"
              " (SELECT account_id, time FROM user_tracking WHERE expire < $1 ORDER BY expire"
              " LIMIT $2)"}},
    {.drop = {"DELETE FROM file_access_log WHERE id IN"
              " (SELECT id FROM file_access_log WHERE expire < $1 ORDER BY expire LIMIT $2)"}},
    {.drop = {"DELETE FROM mentions WHERE (project_id, time, path, target) IN"
              " (SELECT project_id, time, path, target FROM mentions WHERE expire < $1"
              " ORDER BY expire LIMIT $2)"}},
    {.drop = {"DELETE FROM blobs WHERE id IN"
              " (SELECT id FROM blobs WHERE expire < $1 ORDER BY expire LIMIT $2)"},
     .at_once = LIMIT_BLOBS_CLEANED_AT_ONCE},
    {.age_ms = CLOCK_HOUR_MS,
     .drop = {"DELETE FROM password_reset_attempts WHERE id IN"
              " (SELECT id FROM password_reset_attempts WHERE time < $1 ORDER BY time LIMIT $2)"}},
    {.age_ms = CLOCK_HOUR_MS,
     .drop = {"DELETE FROM password_failures WHERE id IN"
              " (SELECT id FROM password_failures WHERE time < $1 ORDER BY time LIMIT $2)"}},
    {.age_ms = CLOCK_HOUR_MS,
     .drop = {"DELETE FROM user_auth_failures WHERE (account_id, target_account_id) IN"
              " (SELECT account_id, target_account_id FROM user_auth_failures WHERE time < $1"
              " ORDER BY time LIMIT $2)"}},
    {.age_ms = CLOCK_HOUR_MS,
     .drop = {"DELETE FROM sign_up_attempts WHERE id IN"
              " (SELECT id FROM sign_up_attempts WHERE time < $1 ORDER BY time LIMIT $2)"}},
    {.age_ms = CLOCK_DAY_MS,
     .drop = {"DELETE FROM invitation_mails WHERE id IN"
              " (SELECT id FROM invitation_mails WHERE time < $1 ORDER BY time LIMIT $2)"}},
};

// Projects that one transaction marks as deleted.
#define PROJECTS_AT_ONCE 50
#define REASON_EPHEMERAL "the project was made for a time that is over"

struct expiry {
    struct svc *svc;
    uv_timer_t timer;
    struct db_write write;
    bool under_way;
    bool more;                              // some table had as many as one transaction deletes
    struct uuid projects[PROJECTS_AT_ONCE]; // that were marked as deleted
    size_t projects_count;
};

static int64_t at_once(const struct table *table)
{
    return table->at_once ? table->at_once : LIMIT_CLEANED_AT_ONCE;
}

static int find_expired_projects(struct db_session *txn, struct expiry *expiry, struct err *err)
{
    static const struct db_stmt find = {
        "SELECT project_id FROM projects WHERE created + ephemeral < $1 AND ephemeral IS NOT NULL"
        " AND coalesce(deleted, 0) = 0 ORDER BY created + ephemeral LIMIT $2"};
    auto_rows struct db_rows *rows = NULL;
    expiry->projects_count = 0;
    int rc =
        db_query(txn, &find, DB_ARGS(DB_INT(clock_now_ms()), DB_INT(PROJECTS_AT_ONCE)), &rows, err);
    while (!rc && (rc = db_rows_next(rows, err)) == 1) {
        rc = 0;
        expiry->projects_count += uuid_parse(db_rows_text(rows, 0), db_rows_size(rows, 0),
                                             &expiry->projects[expiry->projects_count]);
    }
    return rc;
}

// Their files stay, as those of every project that is deleted.
static int delete_expired_projects(struct db_session *txn, struct expiry *expiry, struct err *err)
{
    int rc = find_expired_projects(txn, expiry, err);
    for (size_t i = 0; i < expiry->projects_count && !rc; i++)
        rc = project_delete(txn, &expiry->projects[i], false, err);
    expiry->more |= expiry->projects_count == PROJECTS_AT_ONCE;
    return rc;
}

static int drop_in_txn(struct db_session *txn, void *arg, struct err *err)
{
    struct expiry *expiry = arg;
    int64_t now = clock_now_ms();
    int rc = 0;
    expiry->more = false;
    for (size_t i = 0; i < ARRAY_LEN(tables) && !rc; i++) {
        const struct table *table = &tables[i];
        int64_t dropped = 0;
        rc = db_exec(txn, &table->drop,
                     DB_ARGS(DB_INT(now - table->age_ms), DB_INT(at_once(table))), &dropped, err);
        expiry->more |= dropped == at_once(table);
    }
    if (!rc)
        rc = delete_expired_projects(txn, expiry, err);
    return rc ? rc : project_actions_end_lost(txn, err);
}

static void on_dropped(struct db_write *write);

static void drop(struct expiry *expiry)
{
    expiry->under_way = true;
    expiry->write = (struct db_write){
        .loop = expiry->svc->loop, .fn = drop_in_txn, .arg = expiry, .done = on_dropped};
    db_write_async(expiry->svc->db, &expiry->write);
}

static void on_dropped(struct db_write *write)
{
    struct expiry *expiry = write->arg;
    expiry->under_way = false;
    for (size_t i = 0; i < expiry->projects_count && !write->rc && !expiry->svc->closing; i++)
        project_stop_later(expiry->svc, &expiry->projects[i], REASON_EPHEMERAL);
    if (write->rc)
        log_err(LOG_WARNING, "expiry_failed", &write->err);
    else if (expiry->more && !expiry->svc->closing)
        drop(expiry);
}

static void on_timer(uv_timer_t *timer)
{
    struct expiry *expiry = CONTAINER(timer, struct expiry, timer);
    if (!expiry->svc->closing && !expiry->under_way)
        drop(expiry);
}

struct expiry *expiry_open(struct svc *svc)
{
    struct expiry *expiry = mem_zalloc(sizeof *expiry);
    expiry->svc = svc;
    uv_timer_init(&svc->loop->uv, &expiry->timer);
    uv_timer_start(&expiry->timer, on_timer, 0, INTERVAL_MS);
    return expiry;
}

void expiry_close(struct expiry *expiry)
{
    uv_timer_stop(&expiry->timer);
}

void expiry_free(struct expiry *expiry)
{
    free(expiry);
}
