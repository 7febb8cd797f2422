// SPDX-License-Identifier: AGPL-3.0-or-later
// public_paths, public_paths_by_id (user-query 12.4, api-v1 6.2). What may be published is for
// svc/public_paths.c to say.
#include <string.h>

#include "base/limits.h"
#include "db/query.h"
#include "query/value.h"
#include "svc/public_paths.h"
#include "svc/tables/bounds.h"
#include "svc/tables/tables.h"
#include "svc/url_name.h"

// Without those that let somebody in: auth, token, vhost.
static const struct query_column columns[] = {
    {.name = "id", .type = QUERY_TEXT},
    {.name = "project_id", .type = QUERY_UUID},
    {.name = "path", .type = QUERY_TEXT},
    {.name = "description", .type = QUERY_TEXT},
    {.name = "disabled", .type = QUERY_BOOLEAN},
    {.name = "unlisted", .type = QUERY_BOOLEAN},
    {.name = "license", .type = QUERY_TEXT},
    {.name = "created", .type = QUERY_TIMESTAMP},
    {.name = "last_edited", .type = QUERY_TIMESTAMP},
    {.name = "last_saved", .type = QUERY_TIMESTAMP},
    {.name = "counter", .type = QUERY_NUMBER, .whole = true},
    {.name = "compute_image", .type = QUERY_TEXT},
    {.name = "name", .type = QUERY_TEXT},
    {.name = "authenticated", .type = QUERY_BOOLEAN},
    {.name = "cross_origin_isolation", .type = QUERY_BOOLEAN},
    {.name = "site_license_id", .type = QUERY_TEXT},
    {.name = "url", .type = QUERY_TEXT},
    {.name = "image", .type = QUERY_TEXT},
    {.name = "redirect", .type = QUERY_TEXT},
    {.name = "jupyter_api", .type = QUERY_BOOLEAN},
};

// ---- Reading ----

static const struct query_get_field get_fields[] = {
    {.name = "id"},
    {.name = "project_id"},
    {.name = "path"},
    {.name = "description"},
    {.name = "disabled"},
    {.name = "unlisted"},
    {.name = "license"},
    {.name = "last_edited"},
    {.name = "created"},
    {.name = "last_saved"},
    {.name = "counter"},
    {.name = "compute_image", .fallback = "\"default\""},
    {.name = "name"},
    {.name = "url"},
    {.name = "image"},
    {.name = "authenticated"},
    {.name = "site_license_id"},
    {.name = "cross_origin_isolation"},
    {.name = "redirect"},
    {.name = "jupyter_api"},
};

static const struct query_filter of_any_project[] = {
    {.kind = QUERY_PROJECT_EXACT_OPEN, .column = "project_id"},
};

static const struct query_filter of_itself[] = {
    {.kind = QUERY_THIS_PROJECT, .column = "project_id"},
};

static int check_project_id(struct query_get *get, struct err *err)
{
    const cJSON *id = query_given(get->pattern, "project_id");
    if (!id || query_uuid_read(id, NULL))
        return 0;
    return err_set(err, ERR_INVALID, "postgresql Error: invalid input syntax for type uuid: \"%s\"",
                   query_value_text(id, get->arena));
}

static const struct query_get_block paths_get = {
    .access = QUERY_ANONYMOUS,
    QUERY_FILTERS(of_any_project),
    QUERY_FIELDS(get_fields),
    .check = check_project_id,
};

static const struct query_get_block project_get = {
    .access = QUERY_PROJECT_KEY,
    QUERY_FILTERS(of_itself),
    QUERY_FIELDS(get_fields),
};

// ---- Writing ----

static int check_description(const struct query_set *set UNUSED, const cJSON *value,
                             struct err *err)
{
    return bounds_check_text(value, LIMIT_QUERY_TEXT, err);
}

static const struct query_set_field set_fields[] = {
    {.name = "id", .rule = QUERY_SHA1_PROJECT_PATH},
    {.name = "project_id", .rule = QUERY_PROJECT_WRITE},
    {.name = "path", .max_bytes = LIMIT_PATH},
    {.name = "description", .check = check_description},
    {.name = "disabled"},
    {.name = "unlisted"},
    {.name = "license", .check = bounds_check_line},
    {.name = "last_edited"},
    {.name = "created"},
    {.name = "compute_image", .check = bounds_check_line},
    {.name = "name"},
    {.name = "image", .check = bounds_check_line},
    {.name = "authenticated"},
    {.name = "site_license_id", .check = bounds_check_line},
    {.name = "cross_origin_isolation"},
    {.name = "redirect", .check = bounds_check_line},
    {.name = "jupyter_api"},
};

// The text of a field; NULL if it is not given.
static int read_text(const struct query_set *set, const char *name, const char **ret_text,
                     struct err *err)
{
    static const struct query_column text_column = {.type = QUERY_TEXT};
    const cJSON *field = query_given(set->pattern, name);
    struct db_value value;
    *ret_text = NULL;
    if (!field)
        return 0;
    int rc = query_value_read(&text_column, field, set->arena, &value, err);
    if (!rc)
        *ret_text = arena_strndup(set->arena, value.text, value.size);
    return rc;
}

// Slashes at the end are no part of a path, nor of what its id is made of.
static int clean_path(struct query_set *set, const struct uuid *project_id, struct err *err)
{
    char id[SHA1_TEXT_SIZE];
    const char *path;
    int rc = read_text(set, "path", &path, err);
    if (!rc)
        rc = public_path_valid(path, err);
    if (rc)
        return rc;
    public_path_id(project_id, path, id);
    query_put(set->pattern, "id", cJSON_CreateString(id));
    path = arena_strndup(set->arena, path, public_path_size(path));
    query_put(set->pattern, "path", cJSON_CreateString(path));
    return 0;
}

static int check_name(struct db_session *txn, const struct query_set *set,
                      const struct uuid *project_id, struct err *err)
{
    static const struct db_stmt find = {"SELECT path FROM public_paths WHERE project_id = $1"
                                        " AND name IS NOT NULL AND lower(name) = lower($2)"
                                        " AND id <> $3"};
    auto_rows struct db_rows *rows = NULL;
    const char *name, *id = json_get_str(set->pattern, "id");
    int rc = read_text(set, "name", &name, err);
    if (rc || !name)
        return rc;
    rc = url_name_check(name, err);
    if (!rc)
        rc = db_query_row(
            txn, &find, DB_ARGS(DB_TEXT(project_id->text), DB_TEXT(name), DB_TEXT(id)), &rows, err);
    if (rc <= 0)
        return rc;
    return err_set(err, ERR_CONFLICT,
                   "There is already a public path \"%.200s\" in this project with the name "
                   "\"%s\".  Names are not case sensitive.",
                   db_rows_text(rows, 0), name);
}

static int prepare(struct db_session *txn, struct query_set *set, struct err *err)
{
    struct uuid project_id = {0};
    (void)query_uuid_read(json_get(set->pattern, "project_id"), &project_id);
    int rc = clean_path(set, &project_id, err);
    return rc ? rc : check_name(txn, set, &project_id, err);
}

static int check_room(struct db_session *txn, struct query_set *set, struct err *err)
{
    struct uuid project_id = {0};
    (void)query_uuid_read(json_get(set->pattern, "project_id"), &project_id);
    return public_path_room(txn, &project_id, err);
}

static const struct query_set_block paths_set = {
    .access = QUERY_PROJECT,
    QUERY_FIELDS(set_fields),
    .required = {"project_id", "path"},
    .check = prepare,
    .after = check_room,
};

static const struct query_set_block project_set = {
    .access = QUERY_PROJECT_KEY,
    QUERY_FIELDS(set_fields),
    .required = {"project_id", "path"},
    .check = prepare,
    .after = check_room,
};

const struct query_table table_public_paths = {
    .name = "public_paths",
    .text = "Files and folders of one project that are public, and those that were; anybody may "
            "read it. A path is published by writing it, and no longer public once `disabled` is "
            "true.",
    .base = "public_paths",
    .key = {"id"},
    QUERY_COLUMNS(columns),
    .get = &paths_get,
    .set = &paths_set,
    .project_get = &project_get,
    .project_set = &project_set,
};

// ---- public_paths_by_id ----

static const struct query_get_field by_id_fields[] = {
    {.name = "id"},          {.name = "project_id"},    {.name = "path"},
    {.name = "description"}, {.name = "disabled"},      {.name = "unlisted"},
    {.name = "license"},     {.name = "last_edited"},   {.name = "created"},
    {.name = "last_saved"},  {.name = "counter"},       {.name = "compute_image"},
    {.name = "name"},        {.name = "authenticated"}, {.name = "redirect"},
    {.name = "jupyter_api"},
};

static int check_id(struct query_get *get, struct err *err)
{
    const char *id = json_get_str(get->pattern, "id");
    if (id && strlen(id) == SHA1_TEXT_SIZE - 1)
        return 0;
    return err_set(err, ERR_INVALID, "id must be a sha1 hash");
}

static const struct query_get_block get_by_id = {
    .access = QUERY_ANONYMOUS,
    QUERY_FIELDS(by_id_fields),
    .check = check_id,
};

const struct query_table table_public_paths_by_id = {
    .name = "public_paths_by_id",
    .text = "One public path, by its id: the SHA-1, in hexadecimal, of the project's id with the "
            "path behind it.",
    .base = "public_paths",
    .key = {"id"},
    QUERY_COLUMNS(columns),
    .get = &get_by_id,
};
