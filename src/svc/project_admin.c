// SPDX-License-Identifier: AGPL-3.0-or-later
// Projects as their administrator sees them, and their homes.
#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/json.h"
#include "base/mem.h"
#include "db/query.h"
#include "svc/project.h"
#include "svc/row_json.h"

int project_lookup(struct db_session *session, const char *project_id, struct uuid *ret_project_id,
                   struct err *err)
{
    struct uuid id;
    bool exists;
    if (!uuid_parse(project_id, strlen(project_id), &id))
        return err_set(err, ERR_INVALID, "%s is no project id", project_id);
    int rc = project_exists(session, &id, &exists, err);
    if (!rc && !exists)
        return err_set(err, ERR_NOT_FOUND, "no project %s", id.text);
    *ret_project_id = id;
    return rc;
}

static int write_users(struct db_session *session, const char *project_id, struct buf *out,
                       struct err *err)
{
    static const struct db_stmt list = {"SELECT account_id, \"group\" FROM project_users WHERE "
                                        "project_id = $1 ORDER BY account_id"};
    auto_rows struct db_rows *rows = NULL;
    int rc = db_query(session, &list, DB_ARGS(DB_TEXT(project_id)), &rows, err);
    if (rc)
        return rc;
    json_key(out, "users");
    json_begin_object(out);
    while ((rc = db_rows_next(rows, err)) == 1) {
        json_key(out, db_rows_text(rows, 0));
        json_begin_object(out);
        json_member_str(out, "group", db_rows_text(rows, 1));
        json_end_object(out);
    }
    json_end_object(out);
    return rc;
}

static void write_state(struct db_rows *rows, struct buf *out)
{
    json_key(out, "state");
    json_begin_object(out);
    json_member_str(out, "state", db_rows_text(rows, 3));
    row_member(out, "time", ROW_TIME, rows, 4);
    row_member(out, "error", ROW_TEXT, rows, 5);
    json_end_object(out);
}

#define PROJECT_COLUMNS                                                                            \
    "p.project_id, p.title, p.description, p.state, p.state_time, p.state_error, p.created, "      \
    "p.last_edited, p.deleted,"                                                                    \
    " p.compute_image, p.settings, p.site_license, p.run_quota, p.status"

// JSON columns, where there is anything in them.
static void write_quota(struct db_rows *rows, struct buf *out)
{
    static const char *const names[] = {"settings", "site_license", "run_quota", "status"};
    for (int i = 0; i < (int)ARRAY_LEN(names); i++) {
        size_t size = db_rows_size(rows, 10 + i);
        if (size <= strlen("{}"))
            continue;
        json_key(out, names[i]);
        json_raw(out, db_rows_text(rows, 10 + i), size);
    }
}

static int project_write(struct db_session *session, struct db_rows *rows, struct buf *out,
                         struct err *err)
{
    json_begin_object(out);
    json_member_str(out, "project_id", db_rows_text(rows, 0));
    json_member_str(out, "title", db_rows_null(rows, 1) ? "" : db_rows_text(rows, 1));
    json_member_str(out, "description", db_rows_null(rows, 2) ? "" : db_rows_text(rows, 2));
    write_state(rows, out);
    json_member_time(out, "created", db_rows_int(rows, 6));
    row_member(out, "last_edited", ROW_TIME, rows, 7);
    json_member_bool(out, "deleted", db_rows_int(rows, 8));
    json_member_str(out, "compute_image",
                    db_rows_null(rows, 9) ? "default" : db_rows_text(rows, 9));
    write_quota(rows, out);
    int rc = write_users(session, db_rows_text(rows, 0), out, err);
    json_end_object(out);
    return rc;
}

int project_show(struct db_session *session, const struct uuid *project_id, struct buf *out,
                 struct err *err)
{
    static const struct db_stmt find = {"SELECT " PROJECT_COLUMNS
                                        " FROM projects p WHERE p.project_id = $1"};
    auto_rows struct db_rows *rows = NULL;
    int rc = db_query_row(session, &find, DB_ARGS(DB_TEXT(project_id->text)), &rows, err);
    if (rc == 1)
        return project_write(session, rows, out, err);
    return rc ? rc : err_set(err, ERR_NOT_FOUND, "no project %s", project_id->text);
}

int project_list(struct db_session *session, const struct project_filter *filter, struct buf *out,
                 struct err *err)
{
    static const struct db_stmt all = {"SELECT " PROJECT_COLUMNS
                                       " FROM projects p WHERE (p.state = $1 OR $1 IS NULL)"
                                       " AND coalesce(p.deleted, 0) <= $2"
                                       " ORDER BY p.created DESC, p.project_id LIMIT 1000"};
    static const struct db_stmt of_account = {
        "SELECT " PROJECT_COLUMNS
        " FROM project_users u JOIN projects p ON p.project_id = u.project_id"
        " WHERE u.account_id = $3 AND (p.state = $1 OR $1 IS NULL) AND coalesce(p.deleted, 0) <= "
        "$2 ORDER BY "
        "p.created DESC, "
        "p.project_id LIMIT 1000"};
    auto_rows struct db_rows *rows = NULL;
    int rc = filter->account_id
                 ? db_query(session, &of_account,
                            DB_ARGS(DB_TEXT(filter->state), DB_INT(filter->deleted),
                                    DB_TEXT(filter->account_id->text)),
                            &rows, err)
                 : db_query(session, &all, DB_ARGS(DB_TEXT(filter->state), DB_INT(filter->deleted)),
                            &rows, err);
    if (rc)
        return rc;
    json_begin_array(out);
    while ((rc = db_rows_next(rows, err)) == 1) {
        rc = project_write(session, rows, out, err);
        if (rc)
            return rc;
    }
    json_end_array(out);
    return rc;
}

int project_delete(struct db_session *txn, const struct uuid *project_id, bool purge,
                   struct err *err)
{
    static const struct db_stmt mark = {"UPDATE projects SET deleted = 1 WHERE project_id = $1"};
    static const struct db_stmt remove = {"DELETE FROM projects WHERE project_id = $1"};
    int64_t changed = 0;
    db_notify_row(txn, DB_TOPIC_PROJECTS, project_id->text);
    int rc =
        db_exec(txn, purge ? &remove : &mark, DB_ARGS(DB_TEXT(project_id->text)), &changed, err);
    return rc || changed ? rc : err_set(err, ERR_NOT_FOUND, "no project %s", project_id->text);
}

int project_undelete(struct db_session *txn, const struct uuid *project_id, struct err *err)
{
    static const struct db_stmt unmark = {"UPDATE projects SET deleted = 0 WHERE project_id = $1"};
    int64_t changed = 0;
    db_notify_row(txn, DB_TOPIC_PROJECTS, project_id->text);
    int rc = db_exec(txn, &unmark, DB_ARGS(DB_TEXT(project_id->text)), &changed, err);
    return rc || changed ? rc : err_set(err, ERR_NOT_FOUND, "no project %s", project_id->text);
}

// ---- Homes ----

void project_home(const struct uuid *project_id, char out[PROJECT_HOME_SIZE])
{
    snprintf(out, PROJECT_HOME_SIZE, "projects/%s", project_id->text);
}

int project_home_ensure(const struct uuid *project_id)
{
    char home[PROJECT_HOME_SIZE];
    project_home(project_id, home);
    return mkdir(home, 0700) && errno != EEXIST ? -errno : 0;
}

// Runs a program and waits. True when it exits with 0.
static bool run(const char *program, const char *option, const char *operand, const char *path)
{
    char *const argv[] = {mem_strdup(program), mem_strdup(option), mem_strdup(operand),
                          mem_strdup(path), NULL};
    pid_t pid;
    int status = -1;
    if (!posix_spawnp(&pid, program, NULL, NULL, argv, environ)) {
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
            continue;
    }
    for (size_t i = 0; argv[i]; i++)
        free(argv[i]);
    return status == 0;
}

// rm and chmod cope with trees of any depth; folders that their owner has shut are opened first.
static int remove_tree(const char *path, struct err *err)
{
    if (access(path, F_OK))
        return 0;
    if (run("chmod", "-R", "u+rwX", path) && run("rm", "-rf", "--", path))
        return 0;
    return err_set(err, ERR_INTERNAL, "%s cannot be removed", path);
}

int project_folders_remove(const struct uuid *project_id, struct err *err)
{
    char home[PROJECT_HOME_SIZE], run_folder[PROJECT_HOME_SIZE];
    project_home(project_id, home);
    snprintf(run_folder, sizeof run_folder, "run/%s", project_id->text);
    int rc = remove_tree(home, err);
    return rc ? rc : remove_tree(run_folder, err);
}
