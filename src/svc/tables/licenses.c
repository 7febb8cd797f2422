// SPDX-License-Identifier: AGPL-3.0-or-later
// site_licenses, matching_site_licenses, manager_site_licenses, site_license_public_info,
// site_license_usage_stats, projects_using_site_license, number_of_projects_using_site_license
// (user-query 12.13).
//
// What is written takes effect when a project starts the next time (svc/licenses.h).
#include <math.h>
#include <string.h>

#include "base/limits.h"
#include "base/text.h"
#include "db/query.h"
#include "query/value.h"
#include "svc/quota.h"
#include "svc/tables/bounds.h"
#include "svc/tables/projects.h"
#include "svc/tables/tables.h"

// Characters of a project's title and description in lists of projects.
#define SHORT_TEXT 80

static const struct query_column columns[] = {
    {.name = "id", .type = QUERY_UUID},
    {.name = "title", .type = QUERY_TEXT},
    {.name = "description", .type = QUERY_TEXT},
    {.name = "info", .type = QUERY_JSON},
    {.name = "expires", .type = QUERY_TIMESTAMP},
    {.name = "activates", .type = QUERY_TIMESTAMP},
    {.name = "created", .type = QUERY_TIMESTAMP},
    {.name = "last_used", .type = QUERY_TIMESTAMP},
    {.name = "managers", .type = QUERY_UUID, .array = true},
    {.name = "restricted", .type = QUERY_BOOLEAN},
    {.name = "upgrades", .type = QUERY_JSON},
    {.name = "quota", .type = QUERY_JSON},
    {.name = "run_limit", .type = QUERY_INTEGER},
    {.name = "apply_limit", .type = QUERY_INTEGER},
    {.name = "voucher_code", .type = QUERY_TEXT, .sql = "NULL"},
    {.name = "subscription_id", .type = QUERY_INTEGER, .sql = "NULL"},
};

static int refuse_single(const struct query_get *get, struct err *err)
{
    if (get->list)
        return 0;
    return err_set(err, ERR_INVALID,
                   "Error: only query requesting multiple results is implemented");
}

// ---- Checks of values ----

static int check_text(const struct query_set *set UNUSED, const cJSON *value, struct err *err)
{
    return bounds_check_text(value, LIMIT_QUERY_TEXT, err);
}

static int check_managers(const struct query_set *set UNUSED, const cJSON *value, struct err *err)
{
    if (cJSON_GetArraySize(value) <= LIMIT_LICENSE_MANAGERS)
        return 0;
    return err_set(err, ERR_TOO_LARGE, "must have at most %d entries", LIMIT_LICENSE_MANAGERS);
}

// A number, or a text that is one, that a quota can be made of; null takes the member away.
static bool is_amount(const cJSON *value)
{
    double number = NAN;
    if (cJSON_IsNumber(value))
        number = value->valuedouble;
    else if (cJSON_IsString(value) && !text_parse_double(value->valuestring, &number))
        return false;
    return number >= 0 && number <= LIMIT_UPGRADE;
}

static int check_upgrades(const struct query_set *set UNUSED, const cJSON *value, struct err *err)
{
    const cJSON *item;
    if (!cJSON_IsObject(value))
        return 0;
    cJSON_ArrayForEach(item, value)
    {
        enum upgrade upgrade;
        if (!upgrade_find(item->string, &upgrade))
            return err_set(err, ERR_INVALID, "invalid upgrades field '%.100s'", item->string);
        if (!cJSON_IsNull(item) && !cJSON_IsBool(item) && !is_amount(item))
            return err_set(err, ERR_INVALID, "invalid value for upgrades field '%s'", item->string);
    }
    return 0;
}

static int check_quota(const struct query_set *set UNUSED, const cJSON *value, struct err *err)
{
    static const char *const amounts[] = {"cpu",           "ram",           "disk",
                                          "dedicated_cpu", "dedicated_ram", NULL};
    static const char *const flags[] = {"member", "always_running", NULL};
    const cJSON *item;
    if (!cJSON_IsObject(value))
        return 0;
    cJSON_ArrayForEach(item, value)
    {
        if (cJSON_IsNull(item))
            continue;
        if ((text_is_one_of(item->string, amounts) && !is_amount(item)) ||
            (text_is_one_of(item->string, flags) && !cJSON_IsBool(item)))
            return err_set(err, ERR_INVALID, "invalid value for quota field '%s'", item->string);
    }
    return 0;
}

static int check_run_limit(const struct query_set *set UNUSED, const cJSON *value, struct err *err)
{
    double limit = cJSON_IsNumber(value) ? value->valuedouble : 0;
    return limit >= 0 ? 0 : err_set(err, ERR_INVALID, "must not be negative");
}

// ---- site_licenses ----

static const struct query_get_field get_fields[] = {
    {.name = "id"},           {.name = "title"},
    {.name = "description"},  {.name = "info"},
    {.name = "expires"},      {.name = "activates"},
    {.name = "created"},      {.name = "last_used"},
    {.name = "managers"},     {.name = "restricted"},
    {.name = "upgrades"},     {.name = "quota"},
    {.name = "run_limit"},    {.name = "apply_limit"},
    {.name = "voucher_code"}, {.name = "subscription_id"},
};

static const struct query_get_block get = {
    .access = QUERY_ADMIN,
    QUERY_FIELDS(get_fields),
    .order_by = "-last_used",
    .limit = {500, 500},
};

static const struct query_set_field set_fields[] = {
    {.name = "id"},
    {.name = "title", .check = check_text},
    {.name = "description", .check = check_text},
    {.name = "info"},
    {.name = "expires"},
    {.name = "activates"},
    {.name = "created"},
    {.name = "last_used"},
    {.name = "managers", .check = check_managers},
    {.name = "restricted"},
    {.name = "upgrades", .check = check_upgrades},
    {.name = "quota", .check = check_quota},
    {.name = "run_limit", .check = check_run_limit},
    {.name = "apply_limit"},
};

static int check_times(struct db_session *txn, struct query_set *set, struct err *err)
{
    static const struct db_stmt find = {
        "SELECT 1 FROM site_licenses WHERE id = $1 AND expires <= activates"};
    struct uuid id = {0};
    int64_t wrong = 0;
    (void)query_uuid_read(json_get(set->pattern, "id"), &id);
    int rc = db_query_int(txn, &find, DB_ARGS(DB_TEXT(id.text)), &wrong, err);
    if (rc || !wrong)
        return rc;
    return err_set(err, ERR_INVALID,
                   "FATAL: error setting 'expires' -- Error: must be later than activates");
}

static const struct query_set_block set = {
    .access = QUERY_ADMIN,
    QUERY_FIELDS(set_fields),
    .required = {"id"},
    .after = check_times,
};

const struct query_table table_site_licenses = {
    .name = "site_licenses",
    .text = "Licenses, for administrators: what raises the quota of the projects that they are "
            "attached to, from a project's next start on. `activates` must have come for one to "
            "hold; a `run_limit` of 0 is none.",
    .base = "site_licenses",
    .key = {"id"},
    QUERY_COLUMNS(columns),
    .get = &get,
    .set = &set,
};

// ---- matching_site_licenses ----

static const struct query_column matching_columns[] = {
    {.name = "search", .type = QUERY_TEXT},
    {.name = "id", .type = QUERY_UUID},
};

static const struct query_get_field matching_fields[] = {
    {.name = "search"},          {.name = "id"},         {.name = "title"},
    {.name = "description"},     {.name = "info"},       {.name = "expires"},
    {.name = "activates"},       {.name = "created"},    {.name = "last_used"},
    {.name = "managers"},        {.name = "restricted"}, {.name = "upgrades"},
    {.name = "quota"},           {.name = "run_limit"},  {.name = "apply_limit"},
    {.name = "subscription_id"},
};

// Whether the current row's columns from 0 to 3 have every word of `words`, which end in NUL each,
// an empty one behind the last.
static bool has_words(struct db_rows *rows, const char *words)
{
    auto_buf struct buf text = {0};
    for (int i = 0; i < 4; i++) {
        if (!db_rows_null(rows, i))
            text_append_lower(&text, db_rows_text(rows, i));
        buf_append_char(&text, '\n');
    }
    const char *all = buf_cstr(&text);
    while (*words && strstr(all, words))
        words += strlen(words) + 1;
    return !*words;
}

// The words of a search in lower case, in that form.
static void split_words(const char *search, struct buf *out)
{
    text_append_lower(out, search);
    for (size_t i = 0; i < out->size; i++) {
        if (text_is_space(out->data[i]))
            out->data[i] = '\0';
    }
    size_t kept = 0;
    for (size_t i = 0; i < out->size; i++) {
        if (out->data[i] || (kept && out->data[kept - 1]))
            out->data[kept++] = out->data[i];
    }
    out->size = kept;
    buf_append(out, "\0", 2);
}

static int compute_matching(struct db_session *session, struct query_get *asked, struct buf *out,
                            struct err *err)
{
    static const struct db_stmt list = {"SELECT id, title, description, info FROM site_licenses"
                                        " ORDER BY last_used DESC NULLS FIRST, id LIMIT $1"};
    const char *search = json_get_str(asked->pattern, "search");
    auto_buf struct buf words = {0};
    auto_rows struct db_rows *rows = NULL;
    int64_t left = asked->limit;
    int rc = refuse_single(asked, err);
    if (rc)
        return rc;
    if (!search)
        return err_set(err, ERR_INVALID, "FATAL: must specify matching_site_licenses.search");
    split_words(search, &words);
    rc = db_query(session, &list, DB_ARGS(DB_INT(LIMIT_QUERY_ROWS_LOOKED_AT)), &rows, err);
    json_begin_array(out);
    while (!rc && left > 0 && (rc = db_rows_next(rows, err)) == 1) {
        rc = 0;
        if (!has_words(rows, words.data))
            continue;
        json_begin_object(out);
        json_member_str(out, "id", db_rows_text(rows, 0));
        json_end_object(out);
        left--;
    }
    json_end_array(out);
    return rc;
}

static const struct query_get_block matching_get = {
    .access = QUERY_ADMIN,
    QUERY_FIELDS(matching_fields),
    .limit = {50, 20},
    .compute = compute_matching,
};

const struct query_table table_matching_site_licenses = {
    .name = "matching_site_licenses",
    .text = "Ids of the licenses whose title, description, id or info have every word of `search`, "
            "the last used first. For administrators.",
    .key = {"id"},
    QUERY_COLUMNS(matching_columns),
    .get = &matching_get,
};

// ---- manager_site_licenses ----

static const struct query_get_field manager_fields[] = {
    {.name = "id"},          {.name = "title"},        {.name = "description"},
    {.name = "info"},        {.name = "expires"},      {.name = "activates"},
    {.name = "created"},     {.name = "last_used"},    {.name = "managers"},
    {.name = "upgrades"},    {.name = "quota"},        {.name = "run_limit"},
    {.name = "apply_limit"}, {.name = "voucher_code"}, {.name = "subscription_id"},
};

// Each row is given whole, whatever is asked for; what the pattern gives are conditions.
static int ask_for_all(struct query_get *asked, struct err *err)
{
    cJSON *pattern = arena_zalloc(asked->arena, sizeof *pattern);
    int rc = refuse_single(asked, err);
    if (rc)
        return rc;
    pattern->type = cJSON_Object;
    for (size_t i = ARRAY_LEN(manager_fields); i-- > 0;) {
        const cJSON *sent = json_get(asked->pattern, manager_fields[i].name);
        cJSON *field = arena_zalloc(asked->arena, sizeof *field);
        if (sent)
            *field = *sent;
        else
            field->type = cJSON_NULL;
        field->string = arena_strdup(asked->arena, manager_fields[i].name);
        field->next = pattern->child;
        pattern->child = field;
    }
    asked->pattern = pattern;
    return 0;
}

// An id is in a list as it is in the list's text: between quotes.
static const struct query_filter managed[] = {
    {.kind = QUERY_WHERE, .sql = "t.managers LIKE '%\"' || $1 || '\"%'"},
};

static const struct query_get_block manager_get = {
    .access = QUERY_ACCOUNT,
    QUERY_FILTERS(managed),
    QUERY_FIELDS(manager_fields),
    .keeps_nulls = true,
    .check = ask_for_all,
};

static const struct query_set_field manager_set_fields[] = {
    {.name = "id"},
    {.name = "title", .check = check_text},
    {.name = "description", .check = check_text},
    {.name = "managers", .check = check_managers},
};

static int must_provide_key(struct db_session *txn UNUSED, struct query_set *change,
                            struct err *err)
{
    if (query_uuid_read(json_get(change->pattern, "id"), NULL))
        return 0;
    return err_set(err, ERR_INVALID, "must provide primary key");
}

static bool list_has(const cJSON *list, const char *id)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, list)
    {
        struct uuid one;
        if (query_uuid_read(item, &one) && !strcmp(one.text, id))
            return true;
    }
    return false;
}

// Who bought it, as `info` tells, stays a manager.
static int check_purchaser(const cJSON *info, const cJSON *managers, struct err *err)
{
    const cJSON *purchased = json_get(info, "purchased");
    const char *buyer = json_get_str(purchased, "account_id");
    if (!cJSON_IsArray(managers) || !buyer || list_has(managers, buyer))
        return 0;
    return err_set(err, ERR_FORBIDDEN,
                   "you cannot remove as manager the person who originally purchased the license");
}

static int check_manager(struct db_session *txn, struct query_set *change, struct err *err)
{
    static const struct db_stmt find = {"SELECT managers, info FROM site_licenses WHERE id = $1"};
    auto_rows struct db_rows *rows = NULL;
    struct uuid id = {0};
    (void)query_uuid_read(json_get(change->pattern, "id"), &id);
    int rc = db_query_row(txn, &find, DB_ARGS(DB_TEXT(id.text)), &rows, err);
    if (rc < 0)
        return rc;
    const char *text = rc ? db_rows_text(rows, 0) : NULL;
    auto_json cJSON *managers = text ? cJSON_Parse(text) : NULL;
    if (!list_has(managers, change->caller.account_id.text))
        return err_set(err, ERR_FORBIDDEN,
                       "Error: user must be a manager of the license to change it");
    text = db_rows_text(rows, 1);
    auto_json cJSON *info = text ? cJSON_Parse(text) : NULL;
    return check_purchaser(info, json_get(change->pattern, "managers"), err);
}

static const struct query_set_block manager_set = {
    .access = QUERY_ACCOUNT,
    QUERY_FIELDS(manager_set_fields),
    .check = must_provide_key,
    .before = check_manager,
};

const struct query_table table_manager_site_licenses = {
    .name = "manager_site_licenses",
    .text = "The licenses that the caller manages, each of them whole. Managers may change title, "
            "description and who manages them.",
    .base = "site_licenses",
    .key = {"id"},
    QUERY_COLUMNS(columns),
    .get = &manager_get,
    .set = &manager_set,
};

// ---- site_license_public_info ----

static const struct query_column public_columns[] = {
    {.name = "id", .type = QUERY_UUID},
    {.name = "title", .type = QUERY_TEXT},
    {.name = "description", .type = QUERY_TEXT},
    {.name = "expires", .type = QUERY_TIMESTAMP},
    {.name = "activates", .type = QUERY_TIMESTAMP},
    {.name = "upgrades", .type = QUERY_JSON},
    {.name = "quota", .type = QUERY_JSON},
    {.name = "run_limit", .type = QUERY_INTEGER},
    {.name = "managers", .type = QUERY_UUID, .array = true},
};
enum { PUBLIC_MANAGERS = ARRAY_LEN(public_columns) - 1 };

static const struct query_get_field public_fields[] = {
    {.name = "id"},         {.name = "title"},     {.name = "description"},
    {.name = "expires"},    {.name = "activates"}, {.name = "upgrades"},
    {.name = "quota"},      {.name = "run_limit"}, {.name = "running"},
    {.name = "is_manager"}, {.name = "managers"},  {.name = "subscription_id"},
};

static int count_running(struct db_session *session, const struct uuid *id, int64_t *ret_count,
                         struct err *err)
{
    static const struct db_stmt count = {
        "SELECT count(DISTINCT project_id) FROM site_license_usage_log"
        " WHERE license_id = $1 AND stop IS NULL"};
    return db_query_int(session, &count, DB_ARGS(DB_TEXT(id->text)), ret_count, err);
}

// Of the current row, the license's columns; nulls are left out.
static void write_public(struct db_rows *rows, bool is_manager, int64_t running, struct buf *out)
{
    json_begin_object(out);
    for (int i = 0; i < (int)ARRAY_LEN(public_columns); i++) {
        if (db_rows_null(rows, i) || (i == PUBLIC_MANAGERS && !is_manager))
            continue;
        json_key(out, public_columns[i].name);
        query_value_write(&public_columns[i], rows, i, out);
    }
    json_member_int(out, "running", running);
    json_member_bool(out, "is_manager", is_manager);
    json_end_object(out);
}

static int compute_public(struct db_session *session, struct query_get *asked, struct buf *out,
                          struct err *err)
{
    static const struct db_stmt find = {
        "SELECT id, title, description, expires, activates, upgrades, quota, run_limit, managers"
        " FROM site_licenses WHERE id = $1"};
    auto_rows struct db_rows *rows = NULL;
    struct uuid id;
    int64_t running = 0;
    if (!query_uuid_read(json_get(asked->pattern, "id"), &id))
        return err_set(err, ERR_INVALID, "must be a single object query with id specified");
    int rc = db_query_row(session, &find, DB_ARGS(DB_TEXT(id.text)), &rows, err);
    if (!rc)
        return err_set(err, ERR_NOT_FOUND, "Error: no license with id %s", id.text);
    if (rc > 0)
        rc = count_running(session, &id, &running, err);
    if (rc)
        return rc;
    const char *text = db_rows_text(rows, PUBLIC_MANAGERS);
    auto_json cJSON *managers = text ? cJSON_Parse(text) : NULL;
    write_public(rows, list_has(managers, asked->caller.account_id.text), running, out);
    return 0;
}

static const struct query_get_block public_get = {
    .access = QUERY_ACCOUNT,
    QUERY_FIELDS(public_fields),
    .compute = compute_public,
};

const struct query_table table_site_license_public_info = {
    .name = "site_license_public_info",
    .text = "What anybody who knows the id of a license learns of it: what it gives, how many "
            "projects may run with it and how many do. Its managers see who manages it.",
    .key = {"id"},
    QUERY_COLUMNS(public_columns),
    .get = &public_get,
};

// ---- site_license_usage_stats ----

static const struct query_column stats_columns[] = {
    {.name = "running", .type = QUERY_JSON},
    {.name = "time", .type = QUERY_TIMESTAMP},
};

static const struct query_get_field stats_fields[] = {{.name = "running"}, {.name = "time"}};

static int compute_stats(struct db_session *session, struct query_get *asked, struct buf *out,
                         struct err *err)
{
    static const struct db_stmt list = {
        "SELECT license_id, count(DISTINCT project_id) FROM site_license_usage_log"
        " WHERE stop IS NULL GROUP BY license_id ORDER BY license_id"};
    auto_rows struct db_rows *rows = NULL;
    int rc = db_query(session, &list, DB_NO_ARGS, &rows, err);
    json_begin_object(out);
    json_key(out, "running");
    json_begin_object(out);
    while (!rc && (rc = db_rows_next(rows, err)) == 1) {
        json_member_int(out, db_rows_text(rows, 0), db_rows_int(rows, 1));
        rc = 0;
    }
    json_end_object(out);
    json_member_time(out, "time", asked->now_ms);
    json_end_object(out);
    return rc;
}

static const struct query_get_block stats_get = {
    .access = QUERY_ADMIN,
    QUERY_FIELDS(stats_fields),
    .compute = compute_stats,
};

const struct query_table table_site_license_usage_stats = {
    .name = "site_license_usage_stats",
    .text = "How many projects run now with each license that any runs with. For administrators.",
    .key = {"time"},
    QUERY_COLUMNS(stats_columns),
    .get = &stats_get,
};

// ---- Projects that use a license ----

// Projects that run with a license, or that did at `cutoff` or later.
#define USED_BY                                                                                    \
    "SELECT l.project_id FROM site_license_usage_log l WHERE l.license_id = $1"                    \
    " AND (l.stop IS NULL OR l.stop >= $2)"
#define RUNNING_NOW INT64_MAX

struct usage {
    struct uuid license_id;
    int64_t cutoff_ms, limit;
};

static int read_usage(const struct query_get *asked, const char *form, struct usage *ret_usage,
                      struct err *err)
{
    static const struct query_column time = {.type = QUERY_TIMESTAMP};
    static const struct query_column whole = {.type = QUERY_INTEGER};
    const cJSON *cutoff = json_get(asked->pattern, "cutoff");
    const cJSON *limit = json_get(asked->pattern, "limit");
    struct db_value value;
    int rc = 0;
    ret_usage->cutoff_ms = RUNNING_NOW;
    ret_usage->limit = asked->limit;
    if (!query_uuid_read(json_get(asked->pattern, "license_id"), &ret_usage->license_id))
        return err_set(err, ERR_INVALID, "%s", form);
    if (cutoff && !cJSON_IsNull(cutoff)) {
        rc = query_operand_read(&time, cutoff, asked->now_ms, asked->arena, &value, err);
        ret_usage->cutoff_ms = rc ? 0 : value.integer;
    }
    if (!rc && limit && !cJSON_IsNull(limit)) {
        rc = query_value_read(&whole, limit, asked->arena, &value, err);
        ret_usage->limit = rc ? 0 : value.integer;
    }
    if (!rc && (ret_usage->limit < 0 || ret_usage->limit > LIMIT_QUERY_ROWS))
        ret_usage->limit = LIMIT_QUERY_ROWS;
    return rc;
}

static const struct query_column using_columns[] = {
    {.name = "license_id", .type = QUERY_TEXT},
    {.name = "project_id", .type = QUERY_UUID},
    {.name = "title", .type = QUERY_TEXT, .max_length = SHORT_TEXT},
    {.name = "description", .type = QUERY_TEXT, .max_length = SHORT_TEXT},
    {.name = "users", .type = QUERY_JSON, .sql = project_users_sql, .format = project_users_format},
    {.name = "last_active",
     .type = QUERY_JSON,
     .sql = project_last_active_sql,
     .format = project_last_active_format},
    {.name = "last_edited", .type = QUERY_TIMESTAMP},
};

static const struct query_get_field using_fields[] = {
    {.name = "license_id"}, {.name = "cutoff"},      {.name = "limit"},
    {.name = "project_id"}, {.name = "title"},       {.name = "description"},
    {.name = "users"},      {.name = "last_active"}, {.name = "last_edited"},
};

static void write_value(const struct query_column *column, struct db_rows *rows, int index,
                        struct buf *out)
{
    const char *text = db_rows_text(rows, index);
    if (column->max_length)
        json_strn(out, text,
                  utf8_prefix_utf16(text, db_rows_size(rows, index), column->max_length, NULL));
    else
        query_value_write(column, rows, index, out);
}

// The current row: column i of the statement is the one behind the license of using_columns.
static void write_project(const struct query_get *asked, const struct usage *usage,
                          struct db_rows *rows, struct buf *out)
{
    json_begin_object(out);
    json_member_str(out, "license_id", usage->license_id.text);
    for (int i = 0; i + 1 < (int)ARRAY_LEN(using_columns); i++) {
        const struct query_column *column = &using_columns[i + 1];
        if (!json_get(asked->pattern, column->name) || db_rows_null(rows, i))
            continue;
        json_key(out, column->name);
        write_value(column, rows, i, out);
    }
    json_end_object(out);
}

static int write_projects(struct db_session *session, const struct query_get *asked,
                          const struct usage *usage, struct buf *out, struct err *err)
{
    auto_free char *list = mem_printf(
        "SELECT t.project_id, t.title, t.description, %s, %s, t.last_edited FROM projects t"
        " WHERE t.project_id IN (" USED_BY ")"
        " ORDER BY t.last_edited DESC NULLS LAST, t.project_id LIMIT $3",
        project_users_sql, project_last_active_sql);
    auto_rows struct db_rows *rows = NULL;
    int rc = db_query_text(
        session, list,
        DB_ARGS(DB_TEXT(usage->license_id.text), DB_INT(usage->cutoff_ms), DB_INT(usage->limit)),
        &rows, err);
    json_begin_array(out);
    while (!rc && (rc = db_rows_next(rows, err)) == 1) {
        write_project(asked, usage, rows, out);
        rc = out->size > LIMIT_QUERY_RESULT
                 ? err_set(err, ERR_TOO_LARGE, "the result is too large: ask for less at once")
                 : 0;
    }
    json_end_array(out);
    return rc;
}

static int compute_using(struct db_session *session, struct query_get *asked, struct buf *out,
                         struct err *err)
{
    struct usage usage;
    if (!asked->list)
        return err_set(err, ERR_INVALID,
                       "query must be an array (you must request to get multiple values back)");
    int rc = read_usage(asked, "query must be of the form [{license_id:uuid, ...}]", &usage, err);
    return rc ? rc : write_projects(session, asked, &usage, out, err);
}

static const struct query_get_block using_get = {
    .access = QUERY_ADMIN,
    QUERY_FIELDS(using_fields),
    .limit = {1000, 1000},
    .compute = compute_using,
};

const struct query_table table_projects_using_site_license = {
    .name = "projects_using_site_license",
    .text = "The projects that run with a license; with `cutoff`, those too that did at that time "
            "or later. `limit` is how many at most. For administrators.",
    .key = {"license_id", "project_id"},
    QUERY_COLUMNS(using_columns),
    .get = &using_get,
};

static const struct query_column number_columns[] = {
    {.name = "license_id", .type = QUERY_TEXT},
    {.name = "cutoff", .type = QUERY_TIMESTAMP},
    {.name = "number", .type = QUERY_INTEGER},
};

static const struct query_get_field number_fields[] = {
    {.name = "license_id"},
    {.name = "cutoff"},
    {.name = "number"},
};

static int compute_number(struct db_session *session, struct query_get *asked, struct buf *out,
                          struct err *err)
{
    static const struct db_stmt count = {
        "SELECT count(*) FROM projects t WHERE t.project_id IN (" USED_BY ")"};
    struct usage usage;
    int64_t number = 0;
    if (asked->list)
        return err_set(err, ERR_INVALID,
                       "query must NOT be an array (do not request multiple values back)");
    int rc = read_usage(
        asked, "query must be of the form {license_id:uuid, cutoff?:<date>, count:null...}]",
        &usage, err);
    if (!rc)
        rc = db_query_int(session, &count,
                          DB_ARGS(DB_TEXT(usage.license_id.text), DB_INT(usage.cutoff_ms)), &number,
                          err);
    if (rc)
        return rc;
    json_begin_object(out);
    for (const cJSON *item = asked->pattern->child; item; item = item->next) {
        if (!strcmp(item->string, "number"))
            continue;
        json_key(out, item->string);
        json_value(out, item);
    }
    json_member_int(out, "number", number);
    json_end_object(out);
    return 0;
}

static const struct query_get_block number_get = {
    .access = QUERY_ADMIN,
    QUERY_FIELDS(number_fields),
    .compute = compute_number,
};

const struct query_table table_number_of_projects_using_site_license = {
    .name = "number_of_projects_using_site_license",
    .text = "How many projects run with a license, or did since `cutoff`. For administrators.",
    .key = {"license_id", "cutoff"},
    QUERY_COLUMNS(number_columns),
    .get = &number_get,
};
