// SPDX-License-Identifier: AGPL-3.0-or-later
#include "svc/public_paths.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/limits.h"
#include "base/mem.h"
#include "db/query.h"
#include "svc/row_json.h"

size_t public_path_size(const char *path)
{
    size_t size = strlen(path);
    while (size && path[size - 1] == '/')
        size--;
    return size;
}

void public_path_id(const struct uuid *project_id, const char *path, char out[SHA1_TEXT_SIZE])
{
    auto_buf struct buf text = {0};
    buf_append(&text, project_id->text, UUID_LEN);
    buf_append(&text, path, public_path_size(path));
    sha1_text(text.data, text.size, out);
}

// ---- Matching (6.1) ----

// "../" anywhere, as the contract has it, or ".." as the last name.
static bool leads_up(const char *path, size_t size)
{
    return memmem(path, size, "../", 3) || (size == 2 && !memcmp(path, "..", 2)) ||
           (size > 2 && !memcmp(path + size - 3, "/..", 3));
}

static bool may_be_public(const char *path)
{
    size_t size = strlen(path);
    return size <= LIMIT_PATH && !leads_up(path, size);
}

static bool begins_with(const char *path, size_t size, const struct public_list_item *item)
{
    return size >= item->size && !memcmp(path, item->path, item->size);
}

static bool is_below(const char *path, size_t size, const struct public_list_item *item)
{
    return !item->size ||
           (begins_with(path, size, item) && (size == item->size || path[item->size] == '/'));
}

bool public_list_has_below(const struct public_list *list, const char *path)
{
    if (!may_be_public(path))
        return false;
    size_t size = public_path_size(path);
    for (size_t i = 0; i < list->count; i++) {
        if (is_below(path, size, &list->items[i]))
            return true;
    }
    return false;
}

// Where the ".zip"s begin that a path ends in.
static size_t zips_begin(const char *path, size_t size)
{
    while (size >= 4 && !memcmp(path + size - 4, ".zip", 4))
        size -= 4;
    return size;
}

bool public_list_has(const struct public_list *list, const char *path)
{
    if (!may_be_public(path))
        return false;
    size_t size = public_path_size(path), zips = zips_begin(path, size);
    for (size_t i = 0; i < list->count; i++) {
        const struct public_list_item *item = &list->items[i];
        bool is_archive = item->size >= zips && (size - item->size) % 4 == 0;
        if (is_below(path, size, item) || (is_archive && begins_with(path, size, item)))
            return true;
    }
    return false;
}

static int compare_items(const void *a, const void *b)
{
    const struct public_list_item *x = a, *y = b;
    return strcmp(x->path, y->path);
}

void public_list_sort(struct public_list *list)
{
    if (list->count)
        qsort(list->items, list->count, sizeof *list->items, compare_items);
}

static int compare_path(const void *path, const void *item)
{
    return strcmp(path, ((const struct public_list_item *)item)->path);
}

bool public_list_finds(const struct public_list *list, const char *path)
{
    return may_be_public(path) && list->count &&
           bsearch(path, list->items, list->count, sizeof *list->items, compare_path);
}

// ---- Asking ----

void public_list_dispose(struct public_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->items[i].path);
    free(list->items);
    *list = (struct public_list){0};
}

void public_list_add(struct public_list *list, const char *path)
{
    size_t size = public_path_size(path);
    if (list->count == list->room) {
        list->room = list->room ? 2 * list->room : 8;
        list->items = mem_realloc(list->items, list->room * sizeof *list->items);
    }
    list->items[list->count++] =
        (struct public_list_item){.path = mem_strndup(path, size), .size = size};
}

int public_list_load(struct db_session *session, const struct uuid *project_id,
                     struct public_list *ret_list, struct err *err)
{
    static const struct db_stmt find = {
        "SELECT path FROM public_paths WHERE project_id = $1 AND coalesce(disabled, 0) = 0"};
    auto_rows struct db_rows *rows = NULL;
    struct public_list list = {0};
    int rc = db_query(session, &find, DB_ARGS(DB_TEXT(project_id->text)), &rows, err);
    while (!rc && (rc = db_rows_next(rows, err)) == 1) {
        public_list_add(&list, db_rows_text(rows, 0));
        rc = 0;
    }
    if (rc)
        public_list_dispose(&list);
    else
        *ret_list = list;
    return rc;
}

int public_path_find(struct db_session *session, const char *id, struct arena *arena,
                     struct uuid *ret_project_id, const char **ret_path, struct err *err)
{
    static const struct db_stmt find = {
        "SELECT project_id, path FROM public_paths WHERE id = $1 AND coalesce(disabled, 0) = 0"};
    auto_rows struct db_rows *rows = NULL;
    int rc = db_query_row(session, &find, DB_ARGS(DB_TEXT(id)), &rows, err);
    if (rc < 0)
        return rc;
    if (!rc || !uuid_parse(db_rows_text(rows, 0), db_rows_size(rows, 0), ret_project_id))
        return err_set(err, ERR_NOT_FOUND, "there is no public path with the id \"%.100s\"", id);
    *ret_path = arena_strdup(arena, db_rows_text(rows, 1));
    return 0;
}

int public_path_check(struct db_session *session, const struct uuid *project_id, const char *path,
                      bool *ret_public, struct err *err)
{
    struct public_list list;
    int rc = public_list_load(session, project_id, &list, err);
    if (rc)
        return rc;
    *ret_public = public_list_has(&list, path);
    public_list_dispose(&list);
    return 0;
}

// ---- Publishing (6.2) ----

int public_path_valid(const char *path, struct err *err)
{
    size_t size = strlen(path);
    if (path[0] == '/' || leads_up(path, size))
        return err_set(err, ERR_INVALID, "path '%.200s' must be contained in the project", path);
    if (size > LIMIT_PATH)
        return err_set(err, ERR_INVALID, "path must have at most %d bytes", LIMIT_PATH);
    return 0;
}

// Each question from outside reads all of a project's that are enabled, so there is an end to them.
int public_path_room(struct db_session *txn, const struct uuid *project_id, struct err *err)
{
    static const struct db_stmt count_all = {
        "SELECT count(*) FROM public_paths WHERE project_id = $1"};
    static const struct db_stmt count_enabled = {
        "SELECT count(*) FROM public_paths WHERE project_id = $1 AND coalesce(disabled, 0) = 0"};
    int64_t all = 0, enabled = 0;
    int rc = db_query_int(txn, &count_all, DB_ARGS(DB_TEXT(project_id->text)), &all, err);
    if (!rc)
        rc = db_query_int(txn, &count_enabled, DB_ARGS(DB_TEXT(project_id->text)), &enabled, err);
    if (!rc && enabled > LIMIT_PUBLIC_PATHS)
        return err_set(err, ERR_TOO_LARGE, "a project has at most %d public paths",
                       LIMIT_PUBLIC_PATHS);
    if (!rc && all > LIMIT_PUBLIC_PATHS_KEPT)
        return err_set(err, ERR_TOO_LARGE, "a project has at most %d public paths, disabled or not",
                       LIMIT_PUBLIC_PATHS_KEPT);
    return rc;
}

static int write_record(struct db_session *txn, const struct public_path *path, const char *id,
                        struct err *err)
{
    static const struct db_stmt insert = {
        "INSERT INTO public_paths (id, project_id, path, description, license, disabled, unlisted)"
        " SELECT $1, project_id, $3, $4, $5, $6, $7 FROM projects WHERE project_id = $2"
        " ON CONFLICT (id) DO UPDATE SET"
        " description = COALESCE(excluded.description, public_paths.description),"
        " license = COALESCE(excluded.license, public_paths.license),"
        " disabled = excluded.disabled, unlisted = excluded.unlisted"};
    int64_t changed = 0;
    int rc = db_exec(txn, &insert,
                     DB_ARGS(DB_TEXT(id), DB_TEXT(path->project_id.text),
                             DB_TEXTN(path->path, public_path_size(path->path)),
                             DB_TEXT(path->description), DB_TEXT(path->license),
                             DB_INT(path->disabled), DB_INT(path->unlisted)),
                     &changed, err);
    return rc || changed ? rc : err_set(err, ERR_NOT_FOUND, "no project %s", path->project_id.text);
}

int public_path_set(struct db_session *txn, const struct public_path *path, struct err *err)
{
    char id[SHA1_TEXT_SIZE];
    int rc = public_path_valid(path->path, err);
    if (rc)
        return rc;
    public_path_id(&path->project_id, path->path, id);
    rc = write_record(txn, path, id, err);
    return rc ? rc : public_path_room(txn, &path->project_id, err);
}

static int not_public(const char *path, struct err *err)
{
    return err_set(err, ERR_NOT_FOUND, "'%.200s' has not been made public", path);
}

int public_path_disable(struct db_session *txn, const struct uuid *project_id, const char *path,
                        struct err *err)
{
    static const struct db_stmt update = {
        "UPDATE public_paths SET disabled = 1 WHERE id = $1 AND coalesce(disabled, 0) = 0"};
    char id[SHA1_TEXT_SIZE];
    int64_t changed = 0;
    public_path_id(project_id, path, id);
    int rc = db_exec(txn, &update, DB_ARGS(DB_TEXT(id)), &changed, err);
    return rc || changed ? rc : not_public(path, err);
}

// ---- Showing ----

#define COLUMNS "id, path, description, license, disabled, unlisted"

static void write_shown(struct db_rows *rows, struct buf *out)
{
    json_begin_object(out);
    row_member(out, "id", ROW_TEXT, rows, 0);
    row_member(out, "path", ROW_TEXT, rows, 1);
    row_member(out, "description", ROW_TEXT, rows, 2);
    row_member(out, "license", ROW_TEXT, rows, 3);
    json_member_bool(out, "disabled", db_rows_int(rows, 4));
    json_member_bool(out, "unlisted", db_rows_int(rows, 5));
    json_end_object(out);
}

int public_path_show(struct db_session *session, const struct uuid *project_id, const char *path,
                     struct buf *out, struct err *err)
{
    static const struct db_stmt find = {"SELECT " COLUMNS " FROM public_paths WHERE id = $1"};
    auto_rows struct db_rows *rows = NULL;
    char id[SHA1_TEXT_SIZE];
    public_path_id(project_id, path, id);
    int rc = db_query_row(session, &find, DB_ARGS(DB_TEXT(id)), &rows, err);
    if (rc != 1)
        return rc ? rc : not_public(path, err);
    write_shown(rows, out);
    return 0;
}

int public_path_list(struct db_session *session, const struct uuid *project_id, struct buf *out,
                     struct err *err)
{
    static const struct db_stmt list = {"SELECT " COLUMNS
                                        " FROM public_paths WHERE project_id = $1 ORDER BY path"};
    auto_rows struct db_rows *rows = NULL;
    int rc = db_query(session, &list, DB_ARGS(DB_TEXT(project_id->text)), &rows, err);
    if (rc)
        return rc;
    json_begin_array(out);
    while ((rc = db_rows_next(rows, err)) == 1)
        write_shown(rows, out);
    json_end_array(out);
    return rc;
}
