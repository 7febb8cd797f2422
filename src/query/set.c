// SPDX-License-Identifier: AGPL-3.0-or-later
// Sets (user-query 8): what of them can be checked without the database when they are parsed, and
// the change itself, in one transaction that may run again.
//
// The text of a statement is made of names that the table's description has; every value is bound.
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/sha1.h"
#include "query/query_internal.h"

// ---- What a set has ----

static struct query_caller sender(const struct query_one *one)
{
    return one->sudo_id.text[0] ? (struct query_caller){.account_id = one->sudo_id}
                                : one->request->caller;
}

static const struct query_set_plan *find_plan(const struct query_one *one,
                                              const struct query_caller *caller)
{
    return caller->project_id.text[0] ? one->entry->project_set : one->entry->set;
}

// The field of a set that a member of the pattern names, or NULL.
static const struct query_set_field *find_field(const struct query_set_plan *plan, const char *name)
{
    int index = query_field_index(&plan->fields, name);
    return index < 0 ? NULL : &plan->block->fields[index];
}

static bool is_key(const struct query_table *table, const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(table->key) && table->key[i]; i++) {
        if (!strcmp(table->key[i], name))
            return true;
    }
    return false;
}

static bool has_routines(const struct query_set_block *block)
{
    return block->before || block->instead || block->after;
}

static bool names_project(enum query_rule rule)
{
    return rule == QUERY_PROJECT_WRITE || rule == QUERY_PROJECT_OWNER;
}

static bool is_map(const struct query_column *column)
{
    return column->type == QUERY_JSON && !column->array;
}

// ---- Parsing (8.1, steps 1 to 6) ----

static bool is_idle(const struct query_set_plan *plan, const cJSON *pattern)
{
    for (const cJSON *item = pattern->child; item; item = item->next) {
        const struct query_set_field *field = find_field(plan, item->string);
        if (!field || (field->rule != QUERY_ACCOUNT_ID && field->rule != QUERY_PROJECT_WRITE))
            return false;
    }
    return true;
}

static bool wants_delete(const cJSON *options)
{
    bool deletes = false;
    const cJSON *option;
    cJSON_ArrayForEach(option, options)
    {
        const cJSON *value = json_get(option, "delete");
        deletes = value ? query_truth(value) : deletes;
    }
    return deletes;
}

static int needs_account(const struct query_set *set, struct err *err)
{
    if (set->caller.account_id.text[0])
        return 0;
    return err_set(err, ERR_UNAUTHORIZED, "FATAL: account_id must be specified%s",
                   set->dialect == QUERY_CURRENT ? " -- make sure you are signed in" : "");
}

static int must_specify(const struct query_set *set, const char *field, struct err *err)
{
    return err_set(err, ERR_INVALID, "FATAL: must specify %s.%s", set->table->name, field);
}

// As the text that it becomes.
static int check_size(const struct query_set_field *field, const cJSON *value, struct err *err)
{
    auto_buf struct buf text = {0};
    if (cJSON_IsString(value))
        buf_append_str(&text, value->valuestring);
    else
        json_value(&text, value);
    return text.size <= field->max_bytes
               ? 0
               : err_set(err, ERR_TOO_LARGE, "must have at most %u bytes", field->max_bytes);
}

static int check_value(const struct query_set *set, const struct query_set_field *field,
                       const cJSON *value, struct err *err)
{
    struct err reason = {0};
    int rc = field->max_bytes ? check_size(field, value, &reason) : 0;
    if (!rc && field->check)
        rc = field->check(set, value, &reason);
    if (!rc)
        return 0;
    if (reason.code == ERR_INTERNAL) {
        *err = reason;
        return rc;
    }
    return err_set(err, reason.code, "FATAL: error setting '%s' -- Error: %.400s", field->name,
                   reason.message);
}

static int check_rule(const struct query_set *set, const struct query_set_field *field,
                      const cJSON *value, struct err *err)
{
    if (field->rule == QUERY_ACCOUNT_ID)
        return needs_account(set, err);
    if (field->rule == QUERY_PROJECT_ID)
        return set->caller.project_id.text[0]
                   ? 0
                   : err_set(err, ERR_INVALID, "FATAL: project_id must be specified");
    if (names_project(field->rule) && !value)
        return must_specify(set, field->name, err);
    return value ? check_value(set, field, value, err) : 0;
}

static int check_rules(const struct query_set *set, struct err *err)
{
    int rc = 0;
    for (size_t i = 0; i < set->block->fields_count && !rc; i++) {
        const struct query_set_field *field = &set->block->fields[i];
        rc = check_rule(set, field, query_given(set->pattern, field->name), err);
    }
    for (size_t i = 0; i < ARRAY_LEN(set->block->required) && !rc && !set->deletes; i++) {
        const char *name = set->block->required[i];
        if (name && !query_given(set->pattern, name))
            rc = must_specify(set, name, err);
    }
    return rc;
}

static int check_fields(const struct query_set_plan *plan, const struct query_set *set,
                        struct err *err)
{
    for (const cJSON *item = set->pattern->child; item; item = item->next) {
        if (!find_field(plan, item->string) && !is_key(set->table, item->string))
            return err_set(err, ERR_INVALID, "FATAL: changing %s.%.100s not allowed",
                           set->table->name, item->string);
    }
    return 0;
}

static size_t count_values(const cJSON *value)
{
    size_t count = 1;
    for (const cJSON *item = value->child; item; item = item->next)
        count += count_values(item);
    return count;
}

// What is merged while others wait to write.
static int check_maps(const struct query_one *one, struct err *err)
{
    for (const cJSON *item = one->pattern->child; item; item = item->next) {
        const struct query_column *column = query_entry_column(one->entry, item->string);
        if (column && is_map(column) && count_values(item) > LIMIT_QUERY_MAP_VALUES)
            return err_set(err, ERR_TOO_LARGE,
                           "FATAL: error setting '%s' -- Error: must have at most %d values",
                           column->name, LIMIT_QUERY_MAP_VALUES);
    }
    return 0;
}

bool query_one_merges(const struct query_one *one)
{
    bool merges = false;
    for (const cJSON *item = one->pattern->child; item && one->entry; item = item->next) {
        const struct query_column *column = query_entry_column(one->entry, item->string);
        merges |= column && is_map(column);
    }
    return merges;
}

// What is not sent of the key, the rules put there: of the caller.
static void append_key(const struct query_one *one, const char *name, struct buf *text)
{
    const struct query_caller caller = sender(one);
    const struct query_set_field *field = find_field(find_plan(one, &caller), name);
    const cJSON *value = query_given(one->pattern, name);
    if (value && !(field && field->rule == QUERY_ACCOUNT_ID))
        json_value(text, value);
    else
        buf_printf(text, "%s%s", caller.account_id.text, caller.project_id.text);
}

// A hash that nobody can find a key for, so as to have others wait.
uint64_t query_one_turn(const struct query_one *one)
{
    unsigned char hash[crypto_generichash_BYTES_MIN];
    uint64_t turn;
    auto_buf struct buf text = {0};
    if (!query_one_merges(one))
        return 0;
    const struct query_table *table = one->entry->table;
    buf_append_str(&text, table->base ? table->base : table->name);
    for (size_t i = 0; i < ARRAY_LEN(table->key) && table->key[i]; i++)
        append_key(one, table->key[i], &text);
    crypto_generichash(hash, sizeof hash, (const unsigned char *)text.data, text.size, NULL, 0);
    memcpy(&turn, hash, sizeof turn);
    return turn ? turn : 1;
}

static void set_begin(struct query_one *one, const struct query_caller *caller,
                      const struct query_set_block *block, cJSON *pattern)
{
    const struct query_request *request = one->request;
    one->set = (struct query_set){
        .table = one->entry->table,
        .block = block,
        .caller = *caller,
        .dialect = request->dialect,
        .now_ms = request->now_ms,
        .ctx = request->ctx,
        .begun = request->begun,
        .arena = request->arena,
        .pattern = pattern,
        .deletes = one->deletes,
    };
}

static int check_pattern(struct query_one *one, const struct query_set_plan *plan,
                         const struct query_caller *caller, struct err *err)
{
    set_begin(one, caller, plan->block, one->pattern);
    int rc = check_rules(&one->set, err);
    if (!rc)
        rc = check_fields(plan, &one->set, err);
    if (!rc)
        rc = check_maps(one, err);
    if (!rc && one->deletes && !plan->block->deletes)
        rc = err_set(err, ERR_FORBIDDEN, "FATAL: delete from %s not allowed",
                     one->entry->table->name);
    one->set.pattern = NULL;
    return rc;
}

int query_set_parse(struct query_one *one, const char *table, struct err *err)
{
    struct query_caller caller = sender(one);
    if (!caller.account_id.text[0] && !caller.project_id.text[0])
        return err_set(err, ERR_UNAUTHORIZED, "FATAL: no anonymous set queries");
    if (!one->entry)
        return err_set(err, ERR_NOT_FOUND, "FATAL: table '%.100s' does not exist", table);
    const struct query_set_plan *plan = find_plan(one, &caller);
    if (!plan)
        return err_set(err, ERR_FORBIDDEN, "FATAL: user set queries not allowed for table '%s'",
                       table);
    one->idle = is_idle(plan, one->pattern);
    one->deletes = wants_delete(one->request->options);
    return one->idle ? 0 : check_pattern(one, plan, &caller, err);
}

// ---- Rules (8.2) ----

static void put_text(cJSON *pattern, const char *name, const char *text)
{
    query_put(pattern, name, cJSON_CreateString(text));
}

static void apply_rule(struct query_set *set, const struct query_set_field *field)
{
    bool missing = !query_given(set->pattern, field->name);
    if (field->rule == QUERY_ACCOUNT_ID)
        put_text(set->pattern, field->name, set->caller.account_id.text);
    else if (field->rule == QUERY_PROJECT_ID)
        put_text(set->pattern, field->name, set->caller.project_id.text);
    else if (field->rule == QUERY_UUID_IF_MISSING && missing)
        put_text(set->pattern, field->name, uuid_new().text);
    else if (field->rule == QUERY_NOW_IF_MISSING && missing)
        query_put(set->pattern, field->name, cJSON_CreateNumber((double)set->now_ms));
}

// SHA-1 of the project's id and the path behind it. Both are what the row will have.
static int put_sha1(struct query_one *one, const char *name, struct err *err)
{
    struct query_set *set = &one->set;
    const cJSON *path = query_given(set->pattern, "path");
    const char *project_id = json_get_str(set->pattern, "project_id");
    char text[SHA1_TEXT_SIZE];
    struct db_value stored;
    auto_buf struct buf both = {0};
    if (!path || !project_id)
        return must_specify(set, path ? "project_id" : "path", err);
    int rc =
        query_value_read(query_entry_column(one->entry, "path"), path, set->arena, &stored, err);
    if (rc)
        return rc;
    buf_append_str(&both, project_id);
    buf_append(&both, stored.text, stored.size);
    sha1_text(both.data, both.size, text);
    put_text(set->pattern, name, text);
    return 0;
}

static int apply_sha1(struct query_one *one, struct err *err)
{
    const struct query_set_block *block = one->set.block;
    int rc = 0;
    for (size_t i = 0; i < block->fields_count && !rc; i++) {
        if (block->fields[i].rule == QUERY_SHA1_PROJECT_PATH)
            rc = put_sha1(one, block->fields[i].name, err);
    }
    return rc;
}

// ---- Rights (8.3) ----

static int check_project(struct db_session *txn, struct query_set *set,
                         const struct query_set_field *field, struct err *err)
{
    struct uuid id;
    enum query_right right =
        field->rule == QUERY_PROJECT_OWNER ? QUERY_RIGHT_OWN : QUERY_RIGHT_WRITE;
    int rc = query_project_write_check(txn, &set->caller, json_get(set->pattern, field->name),
                                       right, &id, err);
    if (!rc)
        put_text(set->pattern, field->name, id.text);
    return rc;
}

static int check_rights(struct db_session *txn, struct query_set *set, struct err *err)
{
    if (set->block->access == QUERY_ADMIN && !set->caller.admin)
        return err_set(err, ERR_FORBIDDEN, "FATAL: user must be an admin");
    int rc = 0;
    for (size_t i = 0; i < set->block->fields_count && !rc; i++) {
        if (names_project(set->block->fields[i].rule))
            rc = check_project(txn, set, &set->block->fields[i], err);
    }
    return rc;
}

// ---- The row ----

// Where a row stands: the values of its primary key.
struct row {
    struct query_one *one;
    struct query_set *set;
    struct db_session *txn;
    struct db_value key[4];
    size_t key_size;
    bool complete; // whether all of the key is given
};

// Columns that get values.
struct changes {
    const struct query_column **columns;
    struct db_value *values; // room for the key behind them
    size_t count;
};

static int row_locate(struct row *row, struct err *err)
{
    const struct query_table *table = row->set->table;
    row->complete = true;
    for (size_t i = 0; i < ARRAY_LEN(table->key) && table->key[i]; i++) {
        const cJSON *value = query_given(row->set->pattern, table->key[i]);
        row->complete = row->complete && value;
        if (!row->complete)
            continue;
        int rc = query_value_read(query_entry_column(row->one->entry, table->key[i]), value,
                                  row->set->arena, &row->key[row->key_size++], err);
        if (rc)
            return rc;
    }
    return 0;
}

// The first part of the key that is not given.
static const char *missing_key(const struct row *row)
{
    const struct query_table *table = row->set->table;
    size_t i = 0;
    while (i + 1 < ARRAY_LEN(table->key) && table->key[i + 1] &&
           query_given(row->set->pattern, table->key[i]))
        i++;
    return table->key[i];
}

// ` WHERE "k" = $n AND …`, the first number being `n`.
static void append_where(const struct row *row, size_t n, struct buf *sql)
{
    const struct query_table *table = row->set->table;
    for (size_t i = 0; i < row->key_size; i++)
        buf_printf(sql, "%s \"%s\" = $%zu", i ? " AND" : " WHERE", table->key[i], n + i);
}

// The field that names the row's project, if that is no part of its key: NULL if there is none.
static const char *project_field(const struct query_set *set)
{
    for (size_t i = 0; i < set->block->fields_count; i++) {
        const struct query_set_field *field = &set->block->fields[i];
        if ((names_project(field->rule) || field->rule == QUERY_PROJECT_ID) &&
            !is_key(set->table, field->name))
            return field->name;
    }
    return NULL;
}

// A row that belongs to another project than the one that is named is changed by those only who may
// write there, too (17.3).
static int check_old_project(struct row *row, const char *field, const char *old, struct err *err)
{
    struct uuid id;
    const char *named = json_get_str(row->set->pattern, field);
    if (!old || !named || !strcmp(old, named))
        return 0;
    bool granted = false;
    if (!uuid_parse(old, strlen(old), &id))
        return err_internal(err, "a row of %s has the project %s", row->set->table->base, old);
    int rc = query_project_right(row->txn, &row->set->caller, &id, QUERY_RIGHT_WRITE, &granted,
                                 NULL, err);
    if (rc || granted)
        return rc;
    return err_set(err, ERR_FORBIDDEN,
                   row->set->caller.project_id.text[0] ? "FATAL: can only query same project"
                                                       : "FATAL: user must be an admin");
}

// Whether the row exists, and whether it is the caller's to change.
static int row_find(struct row *row, struct err *err)
{
    const char *field = project_field(row->set);
    auto_buf struct buf sql = {0};
    auto_rows struct db_rows *rows = NULL;
    if (field)
        buf_printf(&sql, "SELECT \"%s\" FROM %s", field, row->set->table->base);
    else
        buf_printf(&sql, "SELECT 1 FROM %s", row->set->table->base);
    append_where(row, 1, &sql);
    int rc = db_query_text(row->txn, buf_cstr(&sql), row->key, row->key_size, &rows, err);
    if (!rc)
        rc = db_rows_next(rows, err);
    if (rc < 0)
        return rc;
    row->set->exists = rc;
    if (!rc || !field || row->set->block->instead)
        return 0;
    auto_free char *old = db_rows_null(rows, 0) ? NULL : mem_strdup(db_rows_text(rows, 0));
    db_rows_close(TAKE_PTR(rows));
    return check_old_project(row, field, old, err);
}

// ---- Maps (9) ----

static int store_map(const struct row *row, const struct query_column *column, const cJSON *map,
                     struct db_value *ret_value, struct err *err)
{
    auto_buf struct buf text = {0};
    json_value(&text, map);
    if (text.size > LIMIT_QUERY_MAP)
        return err_set(err, ERR_TOO_LARGE,
                       "FATAL: error setting '%s' -- Error: must have at most %zu bytes",
                       column->name, LIMIT_QUERY_MAP);
    *ret_value = DB_TEXTN(arena_strndup(row->set->arena, text.data, text.size), text.size);
    return 0;
}

// Merges the pattern's map into the row's, `old` being its text or NULL.
static int merge_map(const struct row *row, const struct query_column *column, const char *old,
                     struct db_value *ret_value, struct err *err)
{
    auto_json cJSON *map = old ? cJSON_Parse(old) : NULL;
    if (!cJSON_IsObject(map)) {
        cJSON_Delete(map);
        map = cJSON_CreateObject();
    }
    query_merge(map, json_get(row->set->pattern, column->name));
    return store_map(row, column, map, ret_value, err);
}

// Reads the maps that the row has and puts the merged ones into `changes`.
static int merge_maps(const struct row *row, struct changes *changes, struct err *err)
{
    auto_buf struct buf sql = {0};
    auto_rows struct db_rows *rows = NULL;
    int index = 0;
    for (size_t i = 0; i < changes->count; i++) {
        if (is_map(changes->columns[i]))
            buf_printf(&sql, "%s \"%s\"", sql.size ? "," : "SELECT", changes->columns[i]->name);
    }
    if (!sql.size)
        return 0;
    int rc = 0;
    if (row->set->exists) {
        buf_printf(&sql, " FROM %s", row->set->table->base);
        append_where(row, 1, &sql);
        rc = db_query_text(row->txn, buf_cstr(&sql), row->key, row->key_size, &rows, err);
        if (!rc)
            rc = db_rows_next(rows, err);
    }
    bool found = rc > 0;
    for (size_t i = 0; i < changes->count && rc >= 0; i++) {
        if (is_map(changes->columns[i]))
            rc = merge_map(row, changes->columns[i], found ? db_rows_text(rows, index++) : NULL,
                           &changes->values[i], err);
    }
    return rc < 0 ? rc : 0;
}

// ---- Writing (8.4) ----

// The database's value of what was sent for a field.
static int read_value(const struct row *row, const struct query_column *column, const cJSON *sent,
                      struct db_value *ret_value, struct err *err)
{
    if (is_map(column) && !cJSON_IsObject(sent))
        return err_set(err, ERR_INVALID, "FATAL: error setting '%s' -- Error: must be an object",
                       column->name);
    return query_value_read(column, sent, row->set->arena, ret_value, err);
}

// Reads the values that go into the row; those of maps come later.
static int read_changes(const struct row *row, struct changes *changes, struct err *err)
{
    const struct query_set *set = row->set;
    size_t size = (size_t)cJSON_GetArraySize(set->pattern);
    changes->columns = arena_alloc(set->arena, (size + 1) * sizeof *changes->columns);
    changes->values = arena_alloc(set->arena, (size + 4) * sizeof *changes->values);
    for (const cJSON *item = set->pattern->child; item; item = item->next) {
        const struct query_column *column = query_entry_column(row->one->entry, item->string);
        if (!column || cJSON_IsNull(item) || is_key(set->table, column->name))
            continue;
        int rc = read_value(row, column, item, &changes->values[changes->count], err);
        if (rc)
            return rc;
        if (!column->write)
            changes->columns[changes->count++] = column;
    }
    return 0;
}

static int update_row(const struct row *row, const struct changes *changes, struct err *err)
{
    auto_buf struct buf sql = {0};
    if (!changes->count)
        return 0;
    for (size_t i = 0; i < changes->count; i++)
        buf_printf(&sql, "%s \"%s\" = $%zu", i ? "," : "SET", changes->columns[i]->name, i + 1);
    memcpy(changes->values + changes->count, row->key, row->key_size * sizeof *row->key);
    append_where(row, changes->count + 1, &sql);
    auto_free char *text = mem_printf("UPDATE %s %s", row->set->table->base, buf_cstr(&sql));
    return db_exec_text(row->txn, text, changes->values, changes->count + row->key_size, NULL, err);
}

static void append_list(struct buf *sql, size_t count, size_t first)
{
    for (size_t i = 0; i < count; i++)
        buf_printf(sql, "%s$%zu", i ? ", " : "", first + i);
}

// If somebody else has inserted the row meanwhile, it is updated.
static int insert_row(const struct row *row, const struct changes *changes, struct err *err)
{
    const struct query_table *table = row->set->table;
    auto_buf struct buf sql = {0};
    buf_printf(&sql, "INSERT INTO %s (", table->base);
    for (size_t i = 0; i < changes->count; i++)
        buf_printf(&sql, "\"%s\", ", changes->columns[i]->name);
    for (size_t i = 0; i < row->key_size; i++)
        buf_printf(&sql, "%s\"%s\"", i ? ", " : "", table->key[i]);
    buf_append_str(&sql, ") VALUES (");
    append_list(&sql, changes->count + row->key_size, 1);
    buf_append_str(&sql, ") ON CONFLICT (");
    for (size_t i = 0; i < row->key_size; i++)
        buf_printf(&sql, "%s\"%s\"", i ? ", " : "", table->key[i]);
    buf_append_str(&sql, changes->count ? ") DO UPDATE SET " : ") DO NOTHING");
    for (size_t i = 0; i < changes->count; i++)
        buf_printf(&sql, "%s\"%s\" = excluded.\"%s\"", i ? ", " : "", changes->columns[i]->name,
                   changes->columns[i]->name);
    memcpy(changes->values + changes->count, row->key, row->key_size * sizeof *row->key);
    return db_exec_text(row->txn, buf_cstr(&sql), changes->values, changes->count + row->key_size,
                        NULL, err);
}

// The value in the form of its type, whichever of the accepted ones was sent. NULL: it is so
// already.
static cJSON *in_form(const struct query_column *column, const struct db_value *value)
{
    if (column->array || column->type == QUERY_JSON || column->type == QUERY_BYTES)
        return NULL;
    if (column->type == QUERY_BOOLEAN)
        return cJSON_CreateBool(value->integer != 0);
    if (value->type == DB_TYPE_INT || value->type == DB_TYPE_REAL)
        return cJSON_CreateNumber(value->type == DB_TYPE_INT ? (double)value->integer
                                                             : value->real);
    auto_free char *text = mem_strndup(value->text, value->size);
    return cJSON_CreateString(text);
}

static int write_field(const struct row *row, const struct query_column *column, const cJSON *sent,
                       struct err *err)
{
    struct db_value value;
    int rc = read_value(row, column, sent, &value, err);
    if (rc)
        return rc;
    auto_json cJSON *formed = in_form(column, &value);
    return column->write(row->txn, row->set, formed ? formed : sent, err);
}

// Fields that are kept elsewhere than in the row.
static int write_fields(const struct row *row, struct err *err)
{
    int rc = 0;
    for (const cJSON *item = row->set->pattern->child; item && !rc; item = item->next) {
        const struct query_column *column = query_entry_column(row->one->entry, item->string);
        if (column && column->write && !cJSON_IsNull(item))
            rc = write_field(row, column, item, err);
    }
    return rc;
}

static int write_row(const struct row *row, struct err *err)
{
    struct changes changes = {0};
    if (!row->complete)
        return must_specify(row->set, missing_key(row), err);
    int rc = read_changes(row, &changes, err);
    if (!rc)
        rc = merge_maps(row, &changes, err);
    if (!rc && row->set->exists)
        rc = update_row(row, &changes, err);
    else if (!rc && !row->set->table->made_elsewhere)
        rc = insert_row(row, &changes, err);
    return rc ? rc : write_fields(row, err);
}

static int delete_row(const struct row *row, struct err *err)
{
    auto_buf struct buf sql = {0};
    if (!row->complete)
        return err_set(err, ERR_INVALID, "FATAL: delete query must set primary key");
    buf_printf(&sql, "DELETE FROM %s", row->set->table->base);
    append_where(row, 1, &sql);
    return db_exec_text(row->txn, buf_cstr(&sql), row->key, row->key_size, NULL, err);
}

static int change_row(const struct row *row, struct err *err)
{
    struct query_set *set = row->set;
    int rc = set->block->before ? set->block->before(row->txn, set, err) : 0;
    if (rc)
        return rc;
    if (set->block->instead)
        rc = set->block->instead(row->txn, set, err);
    else
        rc = set->deletes ? delete_row(row, err) : write_row(row, err);
    if (!rc && set->block->after)
        rc = set->block->after(row->txn, set, err);
    return rc;
}

static int run_row(struct db_session *txn, struct query_one *one, struct err *err)
{
    struct row row = {.one = one, .set = &one->set, .txn = txn};
    const struct query_set_block *block = one->set.block;
    int rc = row_locate(&row, err);
    if (!rc && !row.complete && has_routines(block) && one->set.dialect == QUERY_DOCUMENTED)
        rc = err_set(err, ERR_INVALID, "FATAL: query must specify (primary) key '%s'",
                     missing_key(&row));
    if (!rc && row.complete && one->set.table->base)
        rc = row_find(&row, err);
    return rc ? rc : change_row(&row, err);
}

// ---- Running ----

int query_one_set(struct db_session *txn, void *arg, struct err *err)
{
    struct query_one *one = arg;
    struct query_caller caller;
    query_one_dispose(one);
    int rc = one->idle ? 0 : query_caller_resolve(txn, one, &caller, err);
    if (rc || one->idle)
        return rc;
    cJSON *pattern = cJSON_Duplicate(one->pattern, true);
    if (!pattern)
        abort(); // memory is out
    set_begin(one, &caller, find_plan(one, &caller)->block, pattern);
    for (size_t i = 0; i < one->set.block->fields_count; i++)
        apply_rule(&one->set, &one->set.block->fields[i]);
    rc = check_rights(txn, &one->set, err);
    if (!rc)
        rc = apply_sha1(one, err);
    if (!rc && one->set.block->check)
        rc = one->set.block->check(txn, &one->set, err);
    return rc ? rc : run_row(txn, one, err);
}

void query_one_committed(const struct query_one *one)
{
    if (!one->idle && one->set.block->committed)
        one->set.block->committed(&one->set);
}

void query_one_dispose(struct query_one *one)
{
    cJSON_Delete(TAKE_PTR(one->set.pattern));
}
