// SPDX-License-Identifier: AGPL-3.0-or-later
#include "svc/collaborator_notes.h"

#include "base/json.h"
#include "base/mem.h"
#include "svc/accounts.h"
#include "svc/project_log.h"

int collaborator_note_added(struct db_session *txn, const struct uuid *by,
                            const struct uuid *project_id, const struct uuid *account_id,
                            struct err *err)
{
    auto_buf struct buf event = {0};
    json_begin_object(&event);
    json_member_str(&event, "event", "invite_user");
    json_member_str(&event, "invitee_account_id", account_id->text);
    json_end_object(&event);
    return project_log_add(txn, project_id, by, &event, err);
}

int collaborator_note_removed(struct db_session *txn, const struct uuid *by,
                              const struct uuid *project_id, const struct uuid *account_id,
                              struct err *err)
{
    CLEANUP(arena_dispose) struct arena arena = {0};
    auto_buf struct buf event = {0};
    struct account_name name = {0};
    int rc = account_name_get(txn, account_id, &arena, &name, err);
    if (rc < 0)
        return rc;
    const char *first = name.first_name ? name.first_name : "";
    const char *last = name.last_name ? name.last_name : "";
    json_begin_object(&event);
    json_member_str(&event, "event", "remove_collaborator");
    json_member_str(&event, "removed_name",
                    arena_printf(&arena, "%s%s%s", first, *first && *last ? " " : "", last));
    json_member_str(&event, "removed_account_id", account_id->text);
    json_end_object(&event);
    return project_log_add(txn, project_id, by, &event, err);
}

int collaborator_note_group(struct db_session *txn, const struct uuid *by,
                            const struct uuid *project_id, const struct uuid *account_id,
                            const char *old_group, const char *new_group, struct err *err)
{
    auto_buf struct buf event = {0};
    json_begin_object(&event);
    json_member_str(&event, "event", "change_collaborator_type");
    json_member_str(&event, "target_account_id", account_id->text);
    json_member_str(&event, "old_group", old_group);
    json_member_str(&event, "new_group", new_group);
    json_end_object(&event);
    return project_log_add(txn, project_id, by, &event, err);
}
