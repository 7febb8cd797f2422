// SPDX-License-Identifier: AGPL-3.0-or-later
#include "svc/invite_notes.h"

#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "db/query.h"

int invite_notes_load(struct db_session *txn, const struct uuid *project_id, cJSON **ret_notes,
                      struct err *err)
{
    static const struct db_stmt find = {"SELECT invite FROM projects WHERE project_id = $1"};
    auto_rows struct db_rows *rows = NULL;
    auto_json cJSON *notes = NULL;
    int rc = db_query_row(txn, &find, DB_ARGS(DB_TEXT(project_id->text)), &rows, err);
    if (rc < 0)
        return rc;
    bool read =
        rc && !db_rows_null(rows, 0) &&
        !json_parse(db_rows_text(rows, 0), db_rows_size(rows, 0), LIMIT_JSON_DEPTH, &notes, NULL);
    *ret_notes = read && cJSON_IsObject(notes) ? TAKE_PTR(notes) : cJSON_CreateObject();
    return 0;
}

int invite_notes_save(struct db_session *txn, const struct uuid *project_id, const cJSON *notes,
                      struct err *err)
{
    static const struct db_stmt update = {"UPDATE projects SET invite = $2 WHERE project_id = $1"};
    auto_buf struct buf json = {0};
    json_value(&json, notes);
    db_notify_row(txn, DB_TOPIC_PROJECTS, project_id->text);
    return db_exec(txn, &update, DB_ARGS(DB_TEXT(project_id->text), DB_TEXTN(json.data, json.size)),
                   NULL, err);
}

static void drop_oldest(cJSON *notes)
{
    const cJSON *oldest = notes->child;
    for (const cJSON *entry = notes->child; entry; entry = entry->next) {
        const char *time = json_get_str(entry, "time"), *least = json_get_str(oldest, "time");
        if (!time || (least && strcmp(time, least) < 0))
            oldest = entry;
    }
    cJSON_DeleteItemFromObjectCaseSensitive(notes, oldest->string);
}

void invite_notes_put(cJSON *notes, const char *address, const char *error)
{
    char now[CLOCK_ISO_SIZE];
    cJSON *entry = cJSON_CreateObject();
    clock_iso(clock_now_ms(), now);
    cJSON_AddStringToObject(entry, "time", now);
    if (error)
        cJSON_AddStringToObject(entry, "error", error);
    cJSON_DeleteItemFromObjectCaseSensitive(notes, address);
    while (cJSON_GetArraySize(notes) >= LIMIT_INVITES_NOTED)
        drop_oldest(notes);
    cJSON_AddItemToObject(notes, address, entry);
}
