// SPDX-License-Identifier: AGPL-3.0-or-later
#include "svc/project_log.h"

#include "base/clock.h"
#include "base/limits.h"
#include "svc/tables/project_rows.h"

int project_log_trim(struct db_session *txn, const char *project_id, struct err *err)
{
    static const struct db_stmt drop = {
        "DELETE FROM project_log WHERE id IN (SELECT id FROM project_log WHERE project_id = $1"
        " ORDER BY time DESC LIMIT $3 OFFSET $2)"};
    return project_rows_trim(txn, &drop, project_id, LIMIT_PROJECT_LOG, err);
}

int project_log_add(struct db_session *txn, const struct uuid *project_id,
                    const struct uuid *account_id, const struct buf *event, struct err *err)
{
    static const struct db_stmt insert = {
        "INSERT INTO project_log (id, project_id, time, account_id, event)"
        " SELECT $1, project_id, $3, $4, $5 FROM projects WHERE project_id = $2"};
    const struct uuid id = uuid_new();
    int rc = db_exec(txn, &insert,
                     DB_ARGS(DB_TEXT(id.text), DB_TEXT(project_id->text), DB_INT(clock_now_ms()),
                             DB_TEXT(account_id->text), DB_TEXTN(event->data, event->size)),
                     NULL, err);
    return rc ? rc : project_log_trim(txn, project_id->text, err);
}
