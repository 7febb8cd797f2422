// SPDX-License-Identifier: AGPL-3.0-or-later
// site_settings, server_settings, system_notifications (user-query 12.8, 12.9). What follows from a
// setting: svc/settings.h.
#include "svc/settings.h"

#include "base/limits.h"
#include "db/query.h"
#include "query/value.h"
#include "svc/setting_names.h"
#include "svc/tables/bounds.h"
#include "svc/tables/tables.h"

enum { NAME, VALUE, READONLY };

static const struct query_column columns[] = {
    [NAME] = {.name = "name", .type = QUERY_TEXT},
    [VALUE] = {.name = "value", .type = QUERY_TEXT},
    [READONLY] = {.name = "readonly", .type = QUERY_BOOLEAN},
};

static const struct query_get_field get_fields[] = {
    {.name = "name"},
    {.name = "value"},
    {.name = "readonly"},
};

#define QUOTED(name) ", '" name "'"
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Woverlength-strings" // than compilers of 1999 had to take
static const char known[] = "t.name IN (''" SETTING_NAMES(QUOTED) ")";
#pragma GCC diagnostic pop

static const struct query_filter filters[] = {{.kind = QUERY_WHERE, .sql = known, .quick = true}};

static const struct query_get_block get = {
    .access = QUERY_ADMIN,
    QUERY_FILTERS(filters),
    QUERY_FIELDS(get_fields),
};

// ---- Writing ----

// [QUERY_CURRENT] refuses without the words around a reason, in check_setting.
static int check_name(const struct query_set *set, const cJSON *value, struct err *err)
{
    const char *name = cJSON_GetStringValue(value);
    if (set->dialect == QUERY_CURRENT || (name && setting_known(name)))
        return 0;
    return err_set(err, ERR_INVALID, "setting name='%.200s' not allowed",
                   query_value_text(value, set->arena));
}

static int check_readonly(struct db_session *txn, const char *name, struct err *err)
{
    static const struct db_stmt find = {"SELECT readonly FROM server_settings WHERE name = $1"};
    int64_t readonly = 0;
    int rc = db_query_int(txn, &find, DB_ARGS(DB_TEXT(name)), &readonly, err);
    return rc || !readonly ? rc
                           : err_set(err, ERR_FORBIDDEN, "setting name='%.200s' is readonly", name);
}

static int check_setting(struct db_session *txn, struct query_set *set, struct err *err)
{
    const cJSON *sent = json_get(set->pattern, "name");
    const char *name = cJSON_GetStringValue(sent);
    if (!name || !setting_known(name))
        return err_set(err, ERR_INVALID, "setting name='%.200s' not allowed",
                       query_value_text(sent, set->arena));
    return check_readonly(txn, name, err);
}

static int check_value(const struct query_set *set, const char *name, const char *value,
                       struct err *err)
{
    struct err reason;
    int rc = setting_check(set->ctx, name, value, &reason);
    if (!rc)
        return 0;
    if (reason.code == ERR_CONFLICT)
        return err_set(err, ERR_FORBIDDEN, "setting name='%.200s' is readonly", name);
    return err_set(err, reason.code, "FATAL: error setting 'value' -- Error: %s", reason.message);
}

static int write_setting(struct db_session *txn, struct query_set *set, struct err *err)
{
    const cJSON *sent = json_get(set->pattern, "value");
    struct db_value name, value;
    int rc =
        query_value_read(&columns[NAME], json_get(set->pattern, "name"), set->arena, &name, err);
    if (rc || !sent || cJSON_IsNull(sent))
        return rc;
    rc = query_value_read(&columns[VALUE], sent, set->arena, &value, err);
    if (rc)
        return rc;
    const char *name_text = arena_strndup(set->arena, name.text, name.size);
    const char *value_text = arena_strndup(set->arena, value.text, value.size);
    rc = check_value(set, name_text, value_text, err);
    return rc ? rc : setting_set(txn, name_text, value_text, err);
}

static const struct query_set_field site_set_fields[] = {
    {.name = "name", .check = check_name},
    {.name = "value"},
};

static const struct query_set_block site_set = {
    .access = QUERY_ADMIN,
    QUERY_FIELDS(site_set_fields),
    .required = {"name"},
    .check = check_setting,
    .instead = write_setting,
};

const struct query_table table_site_settings = {
    .name = "site_settings",
    .text = "The site's settings, texts, for administrators. Some take effect at once, unless the "
            "server's configuration decides; an empty text is none.",
    .base = "server_settings",
    .key = {"name"},
    QUERY_COLUMNS(columns),
    .get = &get,
    .set = &site_set,
};

static const struct query_set_field server_set_fields[] = {
    {.name = "name", .max_bytes = LIMIT_DB_KEY_TEXT},
    {.name = "value"},
};

static const struct query_set_block server_set = {
    .access = QUERY_ADMIN,
    QUERY_FIELDS(server_set_fields),
    .required = {"name"},
    .instead = write_setting,
};

const struct query_table table_server_settings = {
    .name = "server_settings",
    .text = "Settings of any name, which administrators write and nobody reads by a query.",
    .base = "server_settings",
    .key = {"name"},
    QUERY_COLUMNS(columns),
    .set = &server_set,
};

// ---- system_notifications ----

static const struct query_column notice_columns[] = {
    {.name = "id", .type = QUERY_UUID},
    {.name = "time", .type = QUERY_TIMESTAMP},
    {.name = "text", .type = QUERY_TEXT},
    {.name = "priority", .type = QUERY_TEXT, .max_length = 6},
    {.name = "done", .type = QUERY_BOOLEAN},
};

static const struct query_get_field notice_get_fields[] = {
    {.name = "id"},
    {.name = "time"},
    {.name = "text", .fallback = "\"\""},
    {.name = "priority", .fallback = "\"low\""},
    {.name = "done", .fallback = "false"},
};

static const struct query_filter last_hour[] = {
    {.kind = QUERY_NEWER_THAN, .column = "time", .seconds = {3600, 3600}},
};

static const struct query_get_block notice_get = {
    .access = QUERY_ANONYMOUS,
    QUERY_FILTERS(last_hour),
    QUERY_FIELDS(notice_get_fields),
};

static int check_text(const struct query_set *set UNUSED, const cJSON *value, struct err *err)
{
    return bounds_check_text(value, LIMIT_QUERY_TEXT, err);
}

static const struct query_set_field notice_set_fields[] = {
    {.name = "id"},       {.name = "time"}, {.name = "text", .check = check_text},
    {.name = "priority"}, {.name = "done"},
};

static const struct query_set_block notice_set = {
    .access = QUERY_ADMIN,
    QUERY_FIELDS(notice_set_fields),
    .required = {"id"},
};

const struct query_table table_system_notifications = {
    .name = "system_notifications",
    .text = "What the site told everybody in the last hour. Administrators write it.",
    .base = "system_notifications",
    .key = {"id"},
    QUERY_COLUMNS(notice_columns),
    .get = &notice_get,
    .set = &notice_set,
};
