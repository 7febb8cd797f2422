// SPDX-License-Identifier: AGPL-3.0-or-later
#include "svc/licenses.h"

#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "db/query.h"
#include "svc/row_json.h"

#define LAST_USED_INTERVAL_MS 60000

// The JSON object in a column; an empty one if there is none.
static cJSON *read_object(struct db_rows *rows, int column)
{
    cJSON *value = NULL;
    if (!db_rows_null(rows, column) &&
        json_parse(db_rows_text(rows, column), db_rows_size(rows, column), LIMIT_JSON_DEPTH, &value,
                   NULL))
        value = NULL;
    if (cJSON_IsObject(value))
        return value;
    cJSON_Delete(value);
    return cJSON_CreateObject();
}

// ---- Looking after licences ----

int license_create(struct db_session *txn, const struct license_create *create, struct uuid *ret_id,
                   struct err *err)
{
    static const struct db_stmt insert = {
        "INSERT INTO site_licenses (id, title, description, activates, expires, created, managers,"
        " upgrades, quota, run_limit) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"};
    struct uuid id = uuid_new();
    int rc = db_exec(txn, &insert,
                     DB_ARGS(DB_TEXT(id.text), DB_TEXT(create->title), DB_TEXT(create->description),
                             DB_INT(create->activates_ms),
                             create->expires_ms ? DB_INT(create->expires_ms) : DB_NULL,
                             DB_INT(clock_now_ms()), DB_TEXT(create->managers),
                             DB_TEXT(create->upgrades), DB_TEXT(create->quota),
                             create->run_limit ? DB_INT(create->run_limit) : DB_NULL),
                     NULL, err);
    if (!rc)
        *ret_id = id;
    return rc;
}

// How many projects run with it now.
static int count_running(struct db_session *session, const char *license_id, int64_t *ret_count,
                         struct err *err)
{
    static const struct db_stmt count = {
        "SELECT count(DISTINCT project_id) FROM site_license_usage_log"
        " WHERE license_id = $1 AND stop IS NULL"};
    return db_query_int(session, &count, DB_ARGS(DB_TEXT(license_id)), ret_count, err);
}

#define LICENSE_COLUMNS                                                                            \
    "id, title, description, activates, expires, created, last_used, run_limit, managers, "        \
    "upgrades, quota"

static void write_license(struct db_rows *rows, int64_t running, struct buf *out)
{
    static const struct {
        const char *name;
        enum row_kind kind;
    } columns[] = {{"id", ROW_TEXT},        {"title", ROW_TEXT},        {"description", ROW_TEXT},
                   {"activates", ROW_TIME}, {"expires", ROW_TIME},      {"created", ROW_TIME},
                   {"last_used", ROW_TIME}, {"run_limit", ROW_INTEGER}, {"managers", ROW_JSON},
                   {"upgrades", ROW_JSON},  {"quota", ROW_JSON}};
    json_begin_object(out);
    for (int i = 0; i < (int)ARRAY_LEN(columns); i++)
        row_member(out, columns[i].name, columns[i].kind, rows, i);
    json_member_int(out, "running", running);
    json_end_object(out);
}

static int show_row(struct db_session *session, struct db_rows *rows, struct buf *out,
                    struct err *err)
{
    int64_t running = 0;
    int rc = count_running(session, db_rows_text(rows, 0), &running, err);
    if (!rc)
        write_license(rows, running, out);
    return rc;
}

int license_show(struct db_session *session, const char *license_id, struct buf *out,
                 struct err *err)
{
    static const struct db_stmt find = {"SELECT " LICENSE_COLUMNS
                                        " FROM site_licenses WHERE id = $1"};
    auto_rows struct db_rows *rows = NULL;
    struct uuid id;
    if (!uuid_parse(license_id, strlen(license_id), &id))
        return err_set(err, ERR_INVALID, "%.100s is no license id", license_id);
    int rc = db_query_row(session, &find, DB_ARGS(DB_TEXT(id.text)), &rows, err);
    if (rc == 1)
        return show_row(session, rows, out, err);
    return rc ? rc : err_set(err, ERR_NOT_FOUND, "no license %s", id.text);
}

int license_list(struct db_session *session, struct buf *out, struct err *err)
{
    static const struct db_stmt list = {"SELECT " LICENSE_COLUMNS
                                        " FROM site_licenses ORDER BY created DESC, id LIMIT 1000"};
    auto_rows struct db_rows *rows = NULL;
    int rc = db_query(session, &list, DB_NO_ARGS, &rows, err);
    json_begin_array(out);
    while (!rc && (rc = db_rows_next(rows, err)) == 1)
        rc = show_row(session, rows, out, err);
    json_end_array(out);
    return rc;
}

// ---- Attaching ----

static int read_attached(struct db_session *txn, const struct uuid *project_id,
                         cJSON **ret_licenses, struct err *err)
{
    static const struct db_stmt find = {"SELECT site_license FROM projects WHERE project_id = $1"};
    auto_rows struct db_rows *rows = NULL;
    int rc = db_query_row(txn, &find, DB_ARGS(DB_TEXT(project_id->text)), &rows, err);
    if (rc < 0)
        return rc;
    if (!rc)
        return err_set(err, ERR_NOT_FOUND, "no project %s", project_id->text);
    *ret_licenses = read_object(rows, 0);
    return 0;
}

int project_licenses_store(struct db_session *txn, const struct uuid *project_id,
                           const cJSON *licenses, struct err *err)
{
    static const struct db_stmt update = {
        "UPDATE projects SET site_license = $2 WHERE project_id = $1"};
    auto_buf struct buf text = {0};
    json_value(&text, licenses);
    db_notify_row(txn, DB_TOPIC_PROJECTS, project_id->text);
    return db_exec(txn, &update, DB_ARGS(DB_TEXT(project_id->text), DB_TEXTN(text.data, text.size)),
                   NULL, err);
}

int project_license_add(struct db_session *txn, const struct uuid *project_id,
                        const struct uuid *license_id, struct err *err)
{
    auto_json cJSON *licenses = NULL;
    int rc = read_attached(txn, project_id, &licenses, err);
    if (rc || json_get(licenses, license_id->text))
        return rc;
    if (cJSON_GetArraySize(licenses) >= LIMIT_PROJECT_LICENSES)
        return err_set(err, ERR_INVALID, "a project can have %d licenses at most",
                       LIMIT_PROJECT_LICENSES);
    cJSON_AddObjectToObject(licenses, license_id->text);
    return project_licenses_store(txn, project_id, licenses, err);
}

int project_license_remove(struct db_session *txn, const struct uuid *project_id,
                           const struct uuid *license_id, struct err *err)
{
    auto_json cJSON *licenses = NULL;
    int rc = read_attached(txn, project_id, &licenses, err);
    if (rc || !json_get(licenses, license_id->text))
        return rc;
    cJSON_DeleteItemFromObjectCaseSensitive(licenses, license_id->text);
    return project_licenses_store(txn, project_id, licenses, err);
}

// ---- Granting ----

// The entry of a licence whose upgrades and quota are the columns `column` and the next.
static cJSON *make_entry(struct db_rows *rows, int column)
{
    cJSON *entry = read_object(rows, column);
    auto_json cJSON *quota = read_object(rows, column + 1);
    if (quota->child)
        cJSON_AddItemToObject(entry, "quota", TAKE_PTR(quota));
    return entry;
}

// Who starts a project with this licence at the same moment waits here, where transactions run
// beside each other.
static int lock_license(struct db_session *txn, const char *license_id, struct err *err)
{
    static const struct db_stmt lock = {
        "UPDATE site_licenses SET run_limit = run_limit WHERE id = $1"};
    return db_exec(txn, &lock, DB_ARGS(DB_TEXT(license_id)), NULL, err);
}

static int take_place(struct db_session *txn, const char *license_id, const struct uuid *project_id,
                      int64_t now_ms, struct err *err)
{
    static const struct db_stmt take = {
        "INSERT INTO site_license_usage_log (license_id, project_id, start) VALUES ($1, $2, $3)"
        " ON CONFLICT (license_id, project_id, start) DO UPDATE SET stop = NULL"};
    static const struct db_stmt note = {
        "UPDATE site_licenses SET last_used = $2"
        " WHERE id = $1 AND (last_used IS NULL OR last_used <= $3)"};
    int rc =
        db_exec(txn, &take, DB_ARGS(DB_TEXT(license_id), DB_TEXT(project_id->text), DB_INT(now_ms)),
                NULL, err);
    return rc ? rc
              : db_exec(txn, &note,
                        DB_ARGS(DB_TEXT(license_id), DB_INT(now_ms),
                                DB_INT(now_ms - LAST_USED_INTERVAL_MS)),
                        NULL, err);
}

// *ret_entry stays NULL when it is not granted.
static int grant_one(struct db_session *txn, const char *license_id, const struct uuid *project_id,
                     int64_t now_ms, cJSON **ret_entry, struct err *err)
{
    static const struct db_stmt find = {
        "SELECT nullif(run_limit, 0), upgrades, quota FROM site_licenses"
        " WHERE id = $1 AND activates <= $2 AND (expires IS NULL OR expires > $2)"};
    auto_rows struct db_rows *rows = NULL;
    int64_t running = 0;
    int rc = lock_license(txn, license_id, err);
    if (!rc)
        rc = db_query_row(txn, &find, DB_ARGS(DB_TEXT(license_id), DB_INT(now_ms)), &rows, err);
    if (rc <= 0)
        return rc;
    rc = count_running(txn, license_id, &running, err);
    if (rc || (!db_rows_null(rows, 0) && running >= db_rows_int(rows, 0)))
        return rc;
    rc = take_place(txn, license_id, project_id, now_ms, err);
    if (!rc)
        *ret_entry = make_entry(rows, 1);
    return rc;
}

// The places that the project has taken until then.
static int give_back(struct db_session *txn, const struct uuid *project_id, int64_t stop_ms,
                     int64_t taken_until_ms, struct err *err)
{
    static const struct db_stmt update = {
        "UPDATE site_license_usage_log SET stop = $2"
        " WHERE project_id = $1 AND stop IS NULL AND start <= $3"};
    return db_exec(txn, &update,
                   DB_ARGS(DB_TEXT(project_id->text), DB_INT(stop_ms), DB_INT(taken_until_ms)),
                   NULL, err);
}

int licenses_grant(struct db_session *txn, const struct uuid *project_id, const cJSON *site_license,
                   cJSON **ret_granted, struct err *err)
{
    auto_json cJSON *granted = cJSON_CreateObject();
    const cJSON *attached;
    int64_t now_ms = clock_now_ms();
    int rc = give_back(txn, project_id, now_ms, INT64_MAX, err);
    cJSON_ArrayForEach(attached, site_license)
    {
        cJSON *entry = NULL;
        if (!rc)
            rc = grant_one(txn, attached->string, project_id, now_ms, &entry, err);
        cJSON_AddItemToObject(granted, attached->string, entry ? entry : cJSON_CreateObject());
    }
    if (!rc)
        *ret_granted = TAKE_PTR(granted);
    return rc;
}

int licenses_granted(struct db_session *session, const struct uuid *project_id, cJSON **ret_granted,
                     struct err *err)
{
    static const struct db_stmt list = {
        "SELECT u.license_id, l.upgrades, l.quota FROM site_license_usage_log u"
        " JOIN site_licenses l ON l.id = u.license_id WHERE u.project_id = $1 AND u.stop IS NULL"};
    auto_rows struct db_rows *rows = NULL;
    auto_json cJSON *granted = cJSON_CreateObject();
    int rc = db_query(session, &list, DB_ARGS(DB_TEXT(project_id->text)), &rows, err);
    if (rc)
        return rc;
    while ((rc = db_rows_next(rows, err)) == 1)
        cJSON_AddItemToObject(granted, db_rows_text(rows, 0), make_entry(rows, 1));
    if (!rc)
        *ret_granted = TAKE_PTR(granted);
    return rc;
}

int licenses_release(struct db_session *txn, const struct uuid *project_id, int64_t time_ms,
                     struct err *err)
{
    return give_back(txn, project_id, time_ms, time_ms, err);
}

int licenses_release_lost(struct db_session *txn, struct err *err)
{
    static const struct db_stmt release = {
        "UPDATE site_license_usage_log SET stop = $1 WHERE stop IS NULL AND NOT EXISTS"
        " (SELECT 1 FROM projects p WHERE p.project_id = site_license_usage_log.project_id"
        " AND p.state <> 'opened')"};
    return db_exec(txn, &release, DB_ARGS(DB_INT(clock_now_ms())), NULL, err);
}
