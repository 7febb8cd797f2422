// SPDX-License-Identifier: AGPL-3.0-or-later
#include "svc/project.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "db/query.h"
#include "svc/accounts.h"
#include "svc/disk.h"
#include "svc/images.h"
#include "svc/licenses.h"
#include "svc/project_life.h"
#include "svc/project_quota.h"

#define EDITED_INTERVAL_MS 30000
#define TOUCH_INTERVAL_MS  60000

// ---- Access ----

int project_exists(struct db_session *session, const struct uuid *project_id, bool *ret_exists,
                   struct err *err)
{
    static const struct db_stmt find = {"SELECT 1 FROM projects WHERE project_id = $1"};
    int64_t exists = 0;
    int rc = db_query_int(session, &find, DB_ARGS(DB_TEXT(project_id->text)), &exists, err);
    *ret_exists = exists;
    return rc;
}

static int admin_access(struct db_session *session, const struct uuid *project_id,
                        enum project_access *ret_access, struct err *err)
{
    bool exists;
    int rc = project_exists(session, project_id, &exists, err);
    *ret_access = exists ? ACCESS_WRITE : ACCESS_NONE;
    return rc;
}

int project_access_get(struct db_session *session, const struct caller *caller,
                       const struct uuid *project_id, enum project_access *ret_access,
                       struct err *err)
{
    static const struct db_stmt find = {
        "SELECT \"group\" FROM project_users WHERE project_id = $1 AND account_id = $2"};
    if (caller->admin)
        return admin_access(session, project_id, ret_access, err);
    auto_rows struct db_rows *rows = NULL;
    int rc = db_query_row(session, &find,
                          DB_ARGS(DB_TEXT(project_id->text), DB_TEXT(caller->account_id.text)),
                          &rows, err);
    if (rc < 0)
        return rc;
    const char *group = rc ? db_rows_text(rows, 0) : "";
    *ret_access = !strcmp(group, "owner") || !strcmp(group, "collaborator") ? ACCESS_WRITE
                  : !strcmp(group, "viewer")                                ? ACCESS_READ
                                                                            : ACCESS_NONE;
    return 0;
}

int project_gate(struct db_session *session, const struct caller *caller, const char *project_id,
                 enum project_access need, struct uuid *ret_project_id, struct err *err)
{
    struct uuid id;
    enum project_access access = ACCESS_NONE;
    if (caller->anonymous)
        return err_set(err, ERR_UNAUTHORIZED, "user must be signed in before accessing projects");
    if (!uuid_parse(project_id, strlen(project_id), &id))
        return err_set(err, ERR_INVALID,
                       "Internal error determining user permission -- invalid project_id -- %.200s",
                       project_id);
    int rc = project_access_get(session, caller, &id, &access, err);
    if (rc)
        return rc;
    if (access < need)
        return err_set(err, ERR_FORBIDDEN, "User %s does not have %s access to project %s",
                       caller->account_id.text, need == ACCESS_WRITE ? "write" : "read", id.text);
    *ret_project_id = id;
    return 0;
}

int project_write_gate(struct db_session *session, const struct caller *caller,
                       const char *project_id, struct uuid *ret_project_id, struct err *err)
{
    struct uuid id;
    enum project_access access = ACCESS_NONE;
    if (caller->anonymous)
        return err_set(err, ERR_UNAUTHORIZED, "you must be signed in to access project");
    if (!uuid_parse(project_id, strlen(project_id), &id))
        return err_set(err, ERR_INVALID, "project_id must be specified and valid");
    int rc = project_access_get(session, caller, &id, &access, err);
    if (rc)
        return rc;
    if (access != ACCESS_WRITE)
        return err_set(err, ERR_FORBIDDEN, "must have write access");
    *ret_project_id = id;
    return 0;
}

int project_title_get(struct db_session *session, const struct uuid *project_id,
                      struct arena *arena, const char **ret_title, struct err *err)
{
    static const struct db_stmt find = {"SELECT title FROM projects WHERE project_id = $1"};
    auto_rows struct db_rows *rows = NULL;
    int rc = db_query_row(session, &find, DB_ARGS(DB_TEXT(project_id->text)), &rows, err);
    if (rc < 0)
        return rc;
    const char *title = rc ? db_rows_text(rows, 0) : NULL;
    *ret_title = title ? arena_strdup(arena, title) : "";
    return 0;
}

// ---- Times of last use ----

struct touch {
    struct uuid project_id;
    struct uuid account_id; // "": only the project is marked
};

int project_active_set(struct db_session *txn, const struct uuid *project_id,
                       const struct uuid *account_id, struct err *err)
{
    static const struct db_stmt project = {
        "UPDATE projects SET last_edited = $2 WHERE project_id = $1"};
    static const struct db_stmt user = {
        "UPDATE project_users SET last_active = $3 WHERE project_id = $1 AND account_id = $2"};
    struct db_value now = DB_INT(clock_now_ms());
    db_notify_row(txn, DB_TOPIC_PROJECTS, project_id->text);
    int rc = db_exec(txn, &project, DB_ARGS(DB_TEXT(project_id->text), now), NULL, err);
    if (rc || !account_id->text[0])
        return rc;
    return db_exec(txn, &user, DB_ARGS(DB_TEXT(project_id->text), DB_TEXT(account_id->text), now),
                   NULL, err);
}

static int write_touch(struct db_session *txn, void *arg, struct err *err)
{
    const struct touch *touch = arg;
    return project_active_set(txn, &touch->project_id, &touch->account_id, err);
}

void project_mark_edited(struct svc *svc, const struct uuid *project_id)
{
    struct touch touch = {.project_id = *project_id};
    if (throttle_pass(&svc->edited, project_id->text, EDITED_INTERVAL_MS))
        svc_write_later(svc, write_touch, &touch, sizeof touch);
}

void project_mark_used(struct svc *svc, const struct uuid *account_id,
                       const struct uuid *project_id)
{
    struct touch touch = {.project_id = *project_id, .account_id = *account_id};
    char pair[2 * UUID_LEN + 1];
    memcpy(pair, account_id->text, UUID_LEN);
    memcpy(pair + UUID_LEN, project_id->text, UUID_LEN + 1);
    if (throttle_pass(&svc->touched, pair, TOUCH_INTERVAL_MS))
        svc_write_later(svc, write_touch, &touch, sizeof touch);
    account_mark_active(svc, account_id);
}

void project_touch(struct svc *svc, const struct uuid *account_id, const struct uuid *project_id)
{
    project_mark_used(svc, account_id, project_id);
    project_start_later(svc, project_id);
}

// ---- Creating ----

// "a,b" into {"a":{},"b":{}}.
static int read_licenses(const char *license, struct buf *out, struct err *err)
{
    int count = 0;
    json_begin_object(out);
    for (const char *p = license ? license : ""; *p;) {
        size_t size = strcspn(p, ",");
        struct uuid id;
        if (!uuid_parse(p, size, &id))
            return err_set(err, ERR_INVALID, "license id \"%.*s\" is not a UUID",
                           (int)(size < 100 ? size : 100), p);
        if (!memmem(out->data, out->size, id.text, UUID_LEN)) {
            if (count++ == LIMIT_PROJECT_LICENSES)
                return err_set(err, ERR_INVALID, "a project can have %d licenses at most",
                               LIMIT_PROJECT_LICENSES);
            json_key(out, id.text);
            json_raw(out, "{}", 2);
        }
        p += size + (p[size] == ',');
    }
    json_end_object(out);
    return 0;
}

static int insert_project(struct db_session *txn, void *arg, struct err *err)
{
    static const struct db_stmt project = {
        "INSERT INTO projects (project_id, title, description, compute_image, site_license, "
        "created, last_edited, state, state_time, ephemeral, disable_internet)"
        " VALUES ($1, $2, $3, $4, $5, $6, $6, 'opened', $6, $7, $8)"};
    static const struct db_stmt owner = {
        "INSERT INTO project_users (project_id, account_id, \"group\") VALUES ($1, $2, 'owner')"};
    const struct project_create *create = arg;
    db_notify_row(txn, DB_TOPIC_PROJECTS, create->project_id.text);
    int rc = db_exec(txn, &project,
                     DB_ARGS(DB_TEXT(create->project_id.text),
                             DB_TEXT(create->title ? create->title : ""),
                             DB_TEXT(create->description ? create->description : ""),
                             DB_TEXT(create->image ? create->image : "default"),
                             DB_TEXTN(create->site_license.data, create->site_license.size),
                             DB_INT(clock_now_ms()),
                             create->ephemeral_ms ? DB_INT(create->ephemeral_ms) : DB_NULL,
                             create->disable_internet ? DB_INT(1) : DB_NULL),
                     NULL, err);
    if (rc == -ERR_CONFLICT && create->id_given)
        return err_set(err, ERR_CONFLICT, "there is a project %s already", create->project_id.text);
    return rc ? rc
              : db_exec(txn, &owner,
                        DB_ARGS(DB_TEXT(create->project_id.text), DB_TEXT(create->account_id.text)),
                        NULL, err);
}

static void drop_home(struct work *work)
{
    char home[PROJECT_HOME_SIZE];
    project_home(&CONTAINER(work, struct project_create, work)->project_id, home);
    rmdir(home);
}

static void on_home_dropped(struct work *work)
{
    struct project_create *create = CONTAINER(work, struct project_create, work);
    create->done(create);
}

static void on_inserted(struct db_write *write)
{
    struct project_create *create = write->arg;
    create->rc = write->rc;
    create->err = write->err;
    if (create->rc) {
        work_submit(create->loop, &create->work, drop_home, on_home_dropped);
        return;
    }
    if (create->start)
        project_start_later(create->svc, &create->project_id);
    create->done(create);
}

// Nobody gets what another project has left: the folder with a given name has to be a new one.
static int claim_home(struct project_create *create)
{
    char home[PROJECT_HOME_SIZE];
    project_home(&create->project_id, home);
    if (!create->id_given || !mkdir(home, 0700) || errno != EEXIST)
        return 0;
    return err_set(&create->err, ERR_CONFLICT, "there is a project %s already",
                   create->project_id.text);
}

static void make_home(struct work *work)
{
    struct project_create *create = CONTAINER(work, struct project_create, work);
    create->rc = claim_home(create);
    if (create->rc)
        return;
    int rc = project_home_ensure(&create->project_id);
    if (rc)
        create->rc = err_set_errno(&create->err, rc == -ENOSPC ? ERR_NO_SPACE : ERR_INTERNAL, -rc,
                                   "the project's folder cannot be made: %s", strerror(-rc));
}

static void on_home_made(struct work *work)
{
    struct project_create *create = CONTAINER(work, struct project_create, work);
    if (create->rc) {
        create->done(create);
        return;
    }
    create->write = (struct db_write){
        .loop = create->loop, .fn = insert_project, .arg = create, .done = on_inserted};
    db_write_async(create->svc->db, &create->write);
}

static int check_text(const char *name, const char *text, size_t max, struct err *err)
{
    if (text && utf8_utf16_len(text, strlen(text)) > max)
        return err_set(err, ERR_INVALID, "%s must have at most %zu characters", name, max);
    return 0;
}

static int check_create(struct project_create *create)
{
    struct err *err = &create->err;
    int rc = check_text("title", create->title, LIMIT_PROJECT_TITLE, err);
    if (!rc)
        rc = check_text("description", create->description, LIMIT_PROJECT_DESCRIPTION, err);
    if (!rc)
        rc = read_licenses(create->license, &create->site_license, err);
    if (!rc && create->image && !image_exists(create->image))
        rc = err_set(err, ERR_INVALID, "there is no image \"%.100s\"", create->image);
    return rc;
}

void project_create(struct svc *svc, struct project_create *create)
{
    create->svc = svc;
    if (!create->id_given)
        create->project_id = uuid_new();
    create->site_license = (struct buf){0};
    create->rc = check_create(create);
    if (create->rc)
        create->done(create);
    else
        work_submit(create->loop, &create->work, make_home, on_home_made);
}

void project_create_dispose(struct project_create *create)
{
    buf_dispose(&create->site_license);
}

// ---- For the running of projects ----

#define QUOTA_VARIABLES 2

// The variables of the record, with room for those of the quota.
static char **read_env(const char *json)
{
    auto_json cJSON *map = json ? cJSON_Parse(json) : NULL;
    size_t count = 0;
    char **env = mem_zalloc(((size_t)cJSON_GetArraySize(map) + QUOTA_VARIABLES + 1) * sizeof *env);
    for (const cJSON *item = map ? map->child : NULL; item; item = item->next) {
        if (cJSON_IsString(item) && item->valuestring[0])
            env[count++] = mem_printf("%s=%s", item->string, item->valuestring);
    }
    return env;
}

static int spec_read(struct db_session *session, const struct uuid *project_id,
                     struct project_spec *ret_spec, struct err *err)
{
    static const struct db_stmt find = {
        "SELECT compute_image, env, deleted FROM projects WHERE project_id = $1"};
    auto_rows struct db_rows *rows = NULL;
    int rc = db_query_row(session, &find, DB_ARGS(DB_TEXT(project_id->text)), &rows, err);
    if (rc < 0)
        return rc;
    if (!rc || db_rows_int(rows, 2))
        return err_set(err, ERR_NOT_FOUND, "project %s does not exist", project_id->text);
    const char *image = db_rows_text(rows, 0);
    bool named = image && strcmp(image, "default");
    if (named && !image_exists(image))
        return err_set(err, ERR_NOT_FOUND, "the project's image \"%.100s\" does not exist", image);
    *ret_spec = (struct project_spec){.image = named ? mem_strdup(image) : NULL,
                                      .env = read_env(db_rows_text(rows, 1))};
    return 0;
}

// What programs in the project are told of its quota (api-v1 4.3).
static void add_quota_variables(char **env, const struct quota *quota)
{
    while (*env)
        env++;
    if (quota->ephemeral_state)
        *env++ = mem_strdup("COCALC_EPHEMERAL_STATE=yes");
    if (quota->ephemeral_disk)
        *env++ = mem_strdup("COCALC_EPHEMERAL_DISK=yes");
}

static int home_ensure(const struct uuid *project_id, struct err *err)
{
    int rc = project_home_ensure(project_id);
    return rc ? err_set_errno(err, ERR_INTERNAL, -rc, "the project's folder cannot be made: %s",
                              strerror(-rc))
              : 0;
}

// The licences are granted last: nothing fails any more that would leave them in use.
int project_spec_load(void *ctx, const struct uuid *project_id, struct project_spec *ret_spec,
                      struct err *err)
{
    struct svc *svc = ctx;
    struct project_spec spec = {0};
    struct quota quota;
    auto_session struct db_session *session = NULL;
    int rc = db_session_open(svc->db, &session, err);
    if (!rc)
        rc = spec_read(session, project_id, &spec, err);
    if (!rc)
        rc = home_ensure(project_id, err);
    if (!rc)
        rc = project_quota_begin(svc, session, project_id, &quota, err);
    if (!rc)
        rc = disk_starting(svc, session, project_id, err);
    if (rc) {
        project_spec_dispose(&spec);
        return rc;
    }
    add_quota_variables(spec.env, &quota);
    spec.network = quota.network;
    spec.limits = project_limits(&svc->site.quotas, &quota);
    *ret_spec = spec;
    return 0;
}

struct state_change {
    struct uuid project_id;
    enum project_state state;
    int64_t seen_ms, time_ms;
    char error[200];
};

// Who has only seen a project's end does not undo that it was started again by another hub, and who
// finds it running or stopped as the record has it has nothing to add. An agent whose end was seen
// may go on listening for a moment.
static bool is_superseded(const struct state_change *change, const char *recorded,
                          int64_t recorded_ms)
{
    const bool running = !strcmp(recorded, "running");
    if (change->state == PROJECT_RUNNING)
        return running;
    if (change->state != PROJECT_OPENED)
        return false;
    if (running)
        return (!change->seen_ms || recorded_ms > change->seen_ms) &&
               project_is_listening(&change->project_id);
    return change->seen_ms &&
           (!strcmp(recorded, "starting") || (!strcmp(recorded, "opened") && !change->error[0]));
}

static int find_superseded(struct db_session *txn, const struct state_change *change,
                           bool *ret_superseded, struct err *err)
{
    static const struct db_stmt find = {
        "SELECT state, state_time FROM projects WHERE project_id = $1"};
    auto_rows struct db_rows *rows = NULL;
    int rc = db_query_row(txn, &find, DB_ARGS(DB_TEXT(change->project_id.text)), &rows, err);
    if (rc < 0)
        return rc;
    *ret_superseded = !rc || is_superseded(change, db_rows_text(rows, 0), db_rows_int(rows, 1));
    return 0;
}

// What a project that has stopped used is no longer told, nor are its licences in use.
static int write_state(struct db_session *txn, void *arg, struct err *err)
{
    static const struct db_stmt update = {
        "UPDATE projects SET state = $2, state_time = $3, state_error = $4,"
        " last_started = CASE WHEN $2 = 'running' THEN $3 ELSE last_started END,"
        " status = CASE WHEN $2 = 'opened' THEN NULL ELSE status END WHERE project_id = $1"};
    const struct state_change *change = arg;
    bool superseded;
    int rc = find_superseded(txn, change, &superseded, err);
    if (rc || superseded)
        return rc;
    db_notify_row(txn, DB_TOPIC_PROJECTS, change->project_id.text);
    rc = db_exec(txn, &update,
                 DB_ARGS(DB_TEXT(change->project_id.text),
                         DB_TEXT(project_state_name(change->state)), DB_INT(change->time_ms),
                         DB_TEXT(change->error[0] ? change->error : NULL)),
                 NULL, err);
    return rc || change->state != PROJECT_OPENED
               ? rc
               : licenses_release(txn, &change->project_id, change->time_ms, err);
}

void project_state_set(struct svc *svc, const struct uuid *project_id, enum project_state state,
                       int64_t seen_ms, const char *error)
{
    struct state_change change = {.project_id = *project_id,
                                  .state = state,
                                  .seen_ms = seen_ms,
                                  .time_ms = state == PROJECT_RUNNING ? seen_ms : clock_now_ms()};
    if (error)
        strncpy(change.error, error, sizeof change.error - 1);
    svc_write_later(svc, write_state, &change, sizeof change);
}

int project_active_ids(struct db_session *session, int64_t starting_ms, struct uuid **ret_ids,
                       size_t *ret_count, struct err *err)
{
    static const struct db_stmt list = {
        "SELECT project_id FROM projects WHERE state <> 'opened' AND (state <> 'starting' OR "
        "state_time < $1)"};
    auto_rows struct db_rows *rows = NULL;
    auto_free struct uuid *ids = NULL;
    size_t count = 0, room = 0;
    int rc = db_query(session, &list, DB_ARGS(DB_INT(starting_ms)), &rows, err);
    if (rc)
        return rc;
    while ((rc = db_rows_next(rows, err)) == 1) {
        if (count == room) {
            room = room ? 2 * room : 64;
            ids = mem_realloc(ids, room * sizeof *ids);
        }
        if (uuid_parse(db_rows_text(rows, 0), db_rows_size(rows, 0), &ids[count]))
            count++;
    }
    *ret_ids = TAKE_PTR(ids);
    *ret_count = count;
    return rc;
}
