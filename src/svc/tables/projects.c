// SPDX-License-Identifier: AGPL-3.0-or-later
// projects, projects_all, projects_admin, projects_owner, project_invite_requests,
// project_avatar_images, public_projects (user-query 12.2, 12.4).
#include "svc/tables/projects.h"

#include "svc/tables/bounds.h"
#include "svc/tables/tables.h"

#define DAYS(n) ((int64_t)(n)*24 * 3600)

static const struct query_column projects_columns[] = {
    {.name = "project_id", .type = QUERY_UUID},
    {.name = "title", .type = QUERY_TEXT},
    {.name = "description", .type = QUERY_TEXT},
    {.name = "users",
     .type = QUERY_JSON,
     .sql = project_users_sql,
     .format = project_users_format,
     .write = project_users_write},
    {.name = "invite", .type = QUERY_JSON, .date_keys = "time"},
    {.name = "invite_requests", .type = QUERY_JSON, .date_keys = "timestamp"},
    {.name = "deleted", .type = QUERY_BOOLEAN},
    {.name = "host", .type = QUERY_JSON, .date_keys = "assigned"},
    {.name = "settings", .type = QUERY_JSON},
    {.name = "site_license", .type = QUERY_JSON, .write = project_licenses_write},
    {.name = "status", .type = QUERY_JSON},
    {.name = "state", .type = QUERY_JSON, .sql = project_state_sql, .format = project_state_format},
    {.name = "last_edited", .type = QUERY_TIMESTAMP},
    {.name = "last_active",
     .type = QUERY_JSON,
     .sql = project_last_active_sql,
     .format = project_last_active_format},
    {.name = "action_request",
     .type = QUERY_JSON,
     .date_keys = "started finished",
     .write = project_action_write},
    {.name = "course", .type = QUERY_JSON, .date_keys = "pay"},
    {.name = "compute_image", .type = QUERY_TEXT},
    {.name = "addons", .type = QUERY_JSON},
    {.name = "created", .type = QUERY_TIMESTAMP},
    {.name = "env", .type = QUERY_JSON},
    {.name = "name", .type = QUERY_TEXT},
    {.name = "run_quota", .type = QUERY_JSON},
    {.name = "manage_users_owner_only", .type = QUERY_BOOLEAN},
    {.name = "ephemeral", .type = QUERY_NUMBER, .whole = true},
    {.name = "sandbox", .type = QUERY_BOOLEAN},
    {.name = "avatar_image_tiny", .type = QUERY_TEXT},
    {.name = "avatar_image_full", .type = QUERY_TEXT},
    {.name = "color", .type = QUERY_TEXT},
    {.name = "pay_as_you_go_quotas", .type = QUERY_JSON, .sql = "NULL"},
};

// ---- What accounts read ----

static const struct query_get_field get_fields[] = {
    {.name = "project_id"},
    {.name = "title", .fallback = "\"\""},
    {.name = "description", .fallback = "\"\""},
    {.name = "users", .fallback = "{}"},
    {.name = "invite"},
    {.name = "invite_requests"},
    {.name = "deleted"},
    {.name = "host"},
    {.name = "settings",
     .fallback = "{\"disk_quota\":3000,\"cores\":1,\"cpu_shares\":0,\"memory\":1000,"
                 "\"memory_request\":0,\"mintime\":1800,\"network\":0,\"member_host\":0,"
                 "\"ephemeral_state\":0,\"ephemeral_disk\":0,\"always_running\":0}"},
    {.name = "site_license"},
    {.name = "status"},
    {.name = "state", .current = "{\"state\":\"opened\"}"},
    {.name = "last_edited"},
    {.name = "last_active"},
    {.name = "action_request"},
    {.name = "course"},
    {.name = "compute_image", .fallback = "\"default\""},
    {.name = "addons"},
    {.name = "created"},
    {.name = "env"},
    {.name = "name"},
    {.name = "run_quota"},
    {.name = "manage_users_owner_only"},
    {.name = "ephemeral"},
    {.name = "sandbox"},
    {.name = "avatar_image_tiny"},
    {.name = "color"},
    {.name = "pay_as_you_go_quotas"},
};

// The remote procedures list a project to all its users, also to who is only invited (hub-rpc 4.4);
// of what is in it, they too show others nothing.
#define ANY_GROUP .any_group = {[QUERY_CURRENT] = true}

static const struct query_filter recent[] = {
    {.kind = QUERY_NEWER_THAN, .column = "last_edited", .seconds = {DAYS(21), DAYS(42)}},
    {.kind = QUERY_PROJECT_MEMBER, .column = "project_id", ANY_GROUP},
};
static const struct query_get_block projects_get = {
    .access = QUERY_PROJECT,
    QUERY_FILTERS(recent),
    QUERY_FIELDS(get_fields),
    .order_by = "-last_edited",
    .limit = {300, 300},
};

static const struct query_filter member[] = {
    {.kind = QUERY_PROJECT_MEMBER, .column = "project_id", ANY_GROUP},
};
static const struct query_get_block projects_all_get = {
    .access = QUERY_PROJECT,
    QUERY_FILTERS(member),
    QUERY_FIELDS(get_fields),
};

static const struct query_filter exact[] = {
    {.kind = QUERY_PROJECT_EXACT, .column = "project_id"},
};
static const struct query_get_block projects_admin_get = {
    .access = QUERY_ADMIN,
    QUERY_FILTERS(exact),
    QUERY_FIELDS(get_fields),
};

// ---- What accounts write ----

static const struct query_set_field set_fields[] = {
    {.name = "project_id", .rule = QUERY_PROJECT_WRITE},
    {.name = "title", .check = project_check_title},
    {.name = "description", .check = project_check_description},
    {.name = "deleted"},
    {.name = "invite_requests", .check = project_check_requests},
    {.name = "users", .check = project_users_check},
    {.name = "action_request", .check = project_action_check},
    {.name = "compute_image", .check = project_check_image},
    {.name = "course"},
    {.name = "site_license", .check = project_check_licenses},
    {.name = "env", .check = project_check_env},
    {.name = "name"},
    {.name = "manage_users_owner_only", .check = project_check_owner_flag},
    {.name = "sandbox"},
    {.name = "avatar_image_tiny", .check = project_check_avatar_tiny},
    {.name = "avatar_image_full", .check = project_check_avatar_full},
    {.name = "color", .check = bounds_check_line},
};

static const struct query_set_block projects_set = {
    .access = QUERY_PROJECT,
    QUERY_FIELDS(set_fields),
    .required = {"project_id"},
    .check = project_check,
    .before = project_before,
    .after = project_after,
    .committed = project_committed,
};

// ---- What projects read and write of themselves ----

static const struct query_get_field self_get_fields[] = {
    {.name = "project_id"},
    {.name = "title"},
    {.name = "description"},
    {.name = "status"},
};
static const struct query_filter self[] = {
    {.kind = QUERY_THIS_PROJECT, .column = "project_id"},
};
static const struct query_get_block self_get = {
    .access = QUERY_PROJECT_KEY,
    QUERY_FILTERS(self),
    QUERY_FIELDS(self_get_fields),
};

static const struct query_set_field self_set_fields[] = {
    {.name = "project_id", .rule = QUERY_PROJECT_ID},
    {.name = "title", .check = project_check_title},
    {.name = "description", .check = project_check_description},
    {.name = "status"},
};
static const struct query_set_block self_set = {
    .access = QUERY_PROJECT_KEY,
    QUERY_FIELDS(self_set_fields),
    .after = project_after,
};

// ---- The tables ----

const struct query_table table_projects = {
    .name = "projects",
    .text = "Projects that the caller works on and that were edited lately, the last edited first.",
    .base = "projects",
    .key = {"project_id"},
    .made_elsewhere = true,
    QUERY_COLUMNS(projects_columns),
    .get = &projects_get,
    .set = &projects_set,
    .project_get = &self_get,
    .project_set = &self_set,
};

const struct query_table table_projects_all = {
    .name = "projects_all",
    .text = "All projects that the caller works on, however long ago they were edited.",
    .base = "projects",
    .key = {"project_id"},
    .made_elsewhere = true,
    QUERY_COLUMNS(projects_columns),
    .get = &projects_all_get,
    .set = &projects_set,
    .project_get = &self_get,
    .project_set = &self_set,
};

const struct query_table table_projects_admin = {
    .name = "projects_admin",
    .text = "Any one project, for administrators.",
    .base = "projects",
    .key = {"project_id"},
    QUERY_COLUMNS(projects_columns),
    .get = &projects_admin_get,
};

// ---- projects_owner ----

static const struct query_set_field owner_set_fields[] = {
    {.name = "project_id", .rule = QUERY_PROJECT_OWNER},
    {.name = "course"},
};
static const struct query_set_block projects_owner_set = {
    .access = QUERY_OWNER,
    QUERY_FIELDS(owner_set_fields),
    .required = {"project_id"},
    .after = project_after,
};

const struct query_table table_projects_owner = {
    .name = "projects_owner",
    .text = "The course of a project, written by its owners.",
    .base = "projects",
    .key = {"project_id"},
    .made_elsewhere = true,
    QUERY_COLUMNS(projects_columns),
    .set = &projects_owner_set,
};

// ---- project_invite_requests ----

static const struct query_set_field invite_requests_fields[] = {
    {.name = "project_id"},
    {.name = "invite_requests", .check = project_check_requests},
};
static const struct query_set_block project_invite_requests_set = {
    .access = QUERY_ACCOUNT,
    QUERY_FIELDS(invite_requests_fields),
    .required = {"project_id"},
    .check = project_own_request,
    .after = project_after,
};

const struct query_table table_project_invite_requests = {
    .name = "project_invite_requests",
    .text = "By this, somebody who does not work on a project asks to: with an entry for the own "
            "account in `invite_requests`.",
    .base = "projects",
    .key = {"project_id"},
    .made_elsewhere = true,
    QUERY_COLUMNS(projects_columns),
    .set = &project_invite_requests_set,
};

// ---- project_avatar_images ----

static const struct query_get_field avatar_fields[] = {
    {.name = "project_id"},
    {.name = "avatar_image_full"},
};
static const struct query_get_block project_avatar_images_get = {
    .access = QUERY_PROJECT,
    QUERY_FILTERS(member),
    QUERY_FIELDS(avatar_fields),
};

const struct query_table table_project_avatar_images = {
    .name = "project_avatar_images",
    .text = "The large pictures of projects that the caller works on.",
    .base = "projects",
    .key = {"project_id"},
    QUERY_COLUMNS(projects_columns),
    .get = &project_avatar_images_get,
};

// ---- public_projects ----

static const struct query_get_field public_fields[] = {
    {.name = "project_id"},
    {.name = "title"},
    {.name = "description"},
    {.name = "name"},
};
static const struct query_filter public_project[] = {
    {.kind = QUERY_PROJECT_PUBLIC, .column = "project_id"},
};
static const struct query_get_block public_projects_get = {
    .access = QUERY_ANONYMOUS,
    QUERY_FILTERS(public_project),
    QUERY_FIELDS(public_fields),
};

const struct query_table table_public_projects = {
    .name = "public_projects",
    .text = "Title and description of a project that has a public path, for everybody.",
    .base = "projects",
    .key = {"project_id"},
    QUERY_COLUMNS(projects_columns),
    .get = &public_projects_get,
};
