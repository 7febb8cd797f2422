// SPDX-License-Identifier: AGPL-3.0-or-later
// A get, from its rights to its rows (user-query 7).
//
// The rights come before options and values, so that a stranger learns nothing of either. The usual
// get, one project by its id, is a single statement nevertheless: it gives the caller's group
// beside the row, and the rights are asked for by themselves only when there is no row or something
// is wrong.
#include <string.h>

#include "db/query.h"
#include "query/get_internal.h"

// How the rows of a project are found.
enum membership {
    MEMBERSHIP_NONE,
    MEMBERSHIP_MINE,  // of all projects that the caller works on
    MEMBERSHIP_NAMED, // of one, on which the caller must have rights
};

struct get_run {
    struct query_one *one;
    struct query_get get;
    struct query_asked *asked;
    size_t asked_count;
    struct query_options options;
    struct query_conditions conditions;
    enum membership membership;
    const struct query_filter *member; // the filter that says so
    struct uuid project_id;            // that the pattern names for a filter, "" if none
    const char *project_field;         // in which it does
    bool with_group;                   // the statement gives the caller's group in that project
    int columns;                       // of the statement, without the group
    struct query_sql *sql;
};

// ---- Pieces of SQL ----

void query_sql_arg(struct query_sql *sql, struct db_value value)
{
    assert(sql->args_count < QUERY_SQL_ARGS);
    sql->args[sql->args_count++] = value;
    buf_append_char(&sql->text, '$');
    json_write_digits(&sql->text, (int64_t)sql->args_count);
}

void query_sql_column(struct query_sql *sql, const struct query_column *column)
{
    buf_append_str(&sql->text, column->sql ? "(" : "t.\"");
    buf_append_str(&sql->text, column->sql ? column->sql : column->name);
    buf_append_char(&sql->text, column->sql ? ')' : '"');
}

static void append(struct get_run *run, const char *text)
{
    buf_append_str(&run->sql->text, text);
}

static struct db_value id_value(const struct uuid *id)
{
    return id->text[0] ? DB_TEXTN(id->text, UUID_LEN) : DB_NULL;
}

// ---- What is asked for ----

// What the pattern has for a field as a condition: not the project that a filter looks after.
static const cJSON *condition_of(const struct get_run *run, const cJSON *item)
{
    static const cJSON none = {.type = cJSON_NULL};
    return run->project_id.text[0] && !strcmp(item->string, run->project_field) ? &none : item;
}

// By the pattern, which the table's check may have replaced.
static int read_asked(struct get_run *run, struct err *err)
{
    const struct query_get_plan *plan = run->one->plan;
    const char *not_selected = plan->block->not_selected;
    size_t count = 0;
    for (const cJSON *item = run->get.pattern->child; item; item = item->next)
        count++;
    run->asked = arena_alloc(run->get.arena, count * sizeof *run->asked);
    for (const cJSON *item = run->get.pattern->child; item; item = item->next) {
        const int index = query_field_index(&plan->fields, item->string);
        if (index < 0)
            return err_internal(err, "a check made the field %s", item->string);
        const struct query_column *column = plan->columns[index];
        if (not_selected && !strcmp(not_selected, item->string))
            column = NULL;
        const bool read = column && (!column->sql || strcmp(column->sql, "NULL") != 0);
        run->asked[run->asked_count++] =
            (struct query_asked){.column = column,
                                 .fallback = &plan->fallbacks[run->get.dialect][index],
                                 .name = plan->block->fields[index].name,
                                 .value = condition_of(run, item),
                                 .index = read ? run->columns : -1};
        run->columns += read;
    }
    return 0;
}

// ---- Rights ----

static int refuse_read(const struct get_run *run, struct err *err)
{
    const struct query_caller *caller = &run->get.caller;
    if (run->get.dialect == QUERY_DOCUMENTED)
        return err_set(err, ERR_FORBIDDEN, "FATAL: you do not have read access to this project");
    return err_set(err, ERR_FORBIDDEN,
                   "FATAL: you do not have read access to this project -- account_id=%s, "
                   "project_id_=%s",
                   caller->account_id.text[0] ? caller->account_id.text : "undefined",
                   caller->project_id.text[0] ? caller->project_id.text : "undefined");
}

static int check_right(struct db_session *session, const struct get_run *run, struct err *err)
{
    bool granted;
    int rc = query_project_right(session, &run->get.caller, &run->project_id, QUERY_RIGHT_READ,
                                 &granted, NULL, err);
    return rc ? rc : granted ? 0 : refuse_read(run, err);
}

static int check_public(struct db_session *session, const struct get_run *run, struct err *err)
{
    static const struct db_stmt find = {"SELECT 1 FROM public_paths WHERE project_id = $1 AND "
                                        "(disabled IS NULL OR disabled = 0) LIMIT 1"};
    int64_t found;
    int rc = db_query_int(session, &find, DB_ARGS(id_value(&run->project_id)), &found, err);
    if (!rc && !found)
        return err_set(err, ERR_NOT_FOUND, "project does not have any public paths");
    return rc;
}

// ---- Filters ----

// The project that the pattern names; *ret_named is false if it names none.
static int read_project(struct get_run *run, const struct query_filter *filter, bool *ret_named,
                        struct err *err)
{
    const cJSON *value = json_get(run->get.pattern, filter->column);
    *ret_named = value && !cJSON_IsNull(value);
    run->project_field = filter->column;
    if (*ret_named && !query_uuid_read(value, &run->project_id))
        return err_set(err, ERR_INVALID, "invalid project_id -- %s",
                       query_value_text(value, run->get.arena));
    return 0;
}

static int read_project_filter(struct db_session *session, struct get_run *run,
                               const struct query_filter *filter, struct err *err)
{
    bool named;
    int rc = read_project(run, filter, &named, err);
    if (rc)
        return rc;
    if (!named && filter->kind != QUERY_PROJECT_MEMBER)
        return err_set(err, ERR_INVALID, "FATAL: must specify project_id");
    if (filter->kind == QUERY_PROJECT_PUBLIC)
        return check_public(session, run, err);
    if (filter->kind == QUERY_PROJECT_EXACT_OPEN)
        return 0;
    run->membership = named ? MEMBERSHIP_NAMED : MEMBERSHIP_MINE;
    run->member = filter;
    return 0;
}

// What can be refused of the filters before the rights on a project are known.
static int read_filters(struct db_session *session, struct get_run *run, struct err *err)
{
    const struct query_get_block *block = run->get.block;
    for (size_t i = 0; i < block->filters_count; i++) {
        const enum query_filter_kind kind = block->filters[i].kind;
        if (kind < QUERY_PROJECT_MEMBER || kind > QUERY_PROJECT_PUBLIC)
            continue;
        int rc = read_project_filter(session, run, &block->filters[i], err);
        if (rc)
            return rc;
    }
    return 0;
}

// Appends a condition of a description, its $1 and $2 replaced by what they stand for.
static int append_where(struct get_run *run, const struct query_filter *filter, struct err *err)
{
    const struct query_column *column =
        filter->column ? query_entry_column(run->one->entry, filter->column) : NULL;
    const cJSON *value = filter->column ? json_get(run->get.pattern, filter->column) : NULL;
    static const struct query_column text = {.type = QUERY_TEXT};
    struct db_value args[] = {id_value(&run->get.caller.account_id), DB_NULL};
    if (value && !cJSON_IsNull(value)) {
        int rc = query_operand_read(column ? column : &text, value, run->get.now_ms, run->get.arena,
                                    &args[1], err);
        if (rc)
            return rc;
    }
    append(run, "(");
    const bool is_row = filter->row_sql && query_one_is_row(run->one, run->get.pattern);
    const char *p = is_row ? filter->row_sql : filter->sql;
    for (const char *arg; (arg = strchr(p, '$')); p = arg + 2) {
        buf_append(&run->sql->text, p, (size_t)(arg - p));
        query_sql_arg(run->sql, args[arg[1] - '1']);
    }
    append(run, p);
    append(run, ")");
    return 0;
}

static int append_filter(struct get_run *run, const struct query_filter *filter, struct err *err)
{
    const bool asked_by = run->get.block->not_selected && filter->column &&
                          !strcmp(filter->column, run->get.block->not_selected);
    if (filter->kind == QUERY_WHERE)
        return append_where(run, filter, err);
    if (asked_by) { // it only tells what is asked for, the rows do not have it
        append(run, "1 = 1");
        return 0;
    }
    query_sql_column(run->sql, query_entry_column(run->one->entry, filter->column));
    if (filter->kind == QUERY_NEWER_THAN) {
        append(run, " >= ");
        query_sql_arg(run->sql, DB_INT(run->get.now_ms - filter->seconds[run->get.dialect] * 1000));
    } else if (run->membership == MEMBERSHIP_MINE && filter == run->member) {
        append(run, " = m.member_of");
    } else {
        append(run, " = ");
        query_sql_arg(run->sql,
                      id_value(filter->kind == QUERY_OWN_ACCOUNT    ? &run->get.caller.account_id
                               : filter->kind == QUERY_THIS_PROJECT ? &run->get.caller.project_id
                                                                    : &run->project_id));
    }
    return 0;
}

// ---- The statement ----

static void append_select(struct get_run *run)
{
    append(run, "SELECT ");
    for (size_t i = 0; i < run->asked_count; i++) {
        if (run->asked[i].index < 0)
            continue;
        if (run->asked[i].index)
            append(run, ", ");
        query_sql_column(run->sql, run->asked[i].column);
    }
    if (run->with_group) {
        append(run, run->columns ? ", " : "");
        append(run,
               "(SELECT u.\"group\" FROM project_users u WHERE u.project_id = t.project_id AND "
               "u.account_id = ");
        query_sql_arg(run->sql, id_value(&run->get.caller.account_id));
        append(run, ")");
    } else if (!run->columns) {
        append(run, "1");
    }
}

// The caller's projects come first in a join, which is theirs in this order: few of them, each
// found by its key, beside tables of millions.
static void append_from(struct get_run *run)
{
    append(run, " FROM ");
    if (run->membership == MEMBERSHIP_MINE) {
        append(run, "(SELECT project_id AS member_of FROM project_users WHERE account_id = ");
        query_sql_arg(run->sql, id_value(&run->get.caller.account_id));
        if (!run->member->any_group[run->get.dialect])
            append(run, " AND \"group\" IN ('owner', 'collaborator')");
        append(run, ") m CROSS JOIN ");
    }
    append(run, run->get.table->base);
    append(run, " t");
}

static int append_conditions(struct get_run *run, struct err *err)
{
    const struct query_get_block *block = run->get.block;
    const char *word = " WHERE ";
    for (size_t i = 0; i < block->filters_count; i++, word = " AND ") {
        append(run, word);
        int rc = append_filter(run, &block->filters[i], err);
        if (rc)
            return rc;
    }
    for (size_t i = 0; i < run->conditions.count; i++) {
        if (!run->conditions.items[i].in_sql)
            continue;
        append(run, word);
        query_condition_sql(&run->conditions.items[i], run->sql);
        word = " AND ";
    }
    return 0;
}

// Whether a filter lets no null through.
static bool has_no_null(const struct get_run *run, const struct query_column *column)
{
    const struct query_get_block *block = run->get.block;
    for (size_t i = 0; i < block->filters_count; i++) {
        if (block->filters[i].kind == QUERY_NEWER_THAN &&
            !strcmp(block->filters[i].column, column->name))
            return true;
    }
    return false;
}

// Where nulls go is said only where there may be some, because SQLite uses an index only for its
// own order of them.
static void append_order(struct get_run *run)
{
    const char *word = " ORDER BY ";
    for (size_t i = 0; i < run->options.orders_count; i++) {
        const struct query_order *order = &run->options.orders[i];
        if (order->column->sql && !strcmp(order->column->sql, "NULL"))
            continue;
        append(run, word);
        query_sql_column(run->sql, order->column);
        append(run, order->descending ? " DESC" : " ASC");
        if (!has_no_null(run, order->column))
            append(run, order->descending ? " NULLS FIRST" : " NULLS LAST");
        word = ", ";
    }
}

// How many rows the reply can have.
static int64_t rows_max(const struct get_run *run)
{
    const int64_t limit = run->options.limit < 0 ? LIMIT_QUERY_ROWS : run->options.limit;
    return run->get.list || limit < 1 ? limit : 1;
}

static int build(struct get_run *run, struct err *err)
{
    append_select(run);
    append_from(run);
    int rc = append_conditions(run, err);
    if (rc || query_one_is_row(run->one, run->get.pattern))
        return rc;
    append_order(run);
    append(run, " LIMIT ");
    query_sql_arg(run->sql, DB_INT(run->conditions.residual ? LIMIT_QUERY_ROWS_LOOKED_AT + 1
                                                            : rows_max(run)));
    return 0;
}

// ---- The rows ----

static int check_group(const struct get_run *run, struct db_rows *rows, struct err *err)
{
    const char *group = db_rows_text(rows, run->columns);
    if (group && (!strcmp(group, "owner") || !strcmp(group, "collaborator")))
        return 0;
    return refuse_read(run, err);
}

static bool is_large(const struct get_run *run, struct db_rows *rows)
{
    size_t size = 0;
    for (int i = 0; i < run->columns; i++)
        size += db_rows_size(rows, i);
    return size > LIMIT_QUERY_ROW_SMALL;
}

// Appends one row, if it fulfils the conditions. 1: it did.
static int take_row(struct get_run *run, struct db_rows *rows, struct buf *out, struct err *err)
{
    int rc = run->with_group ? check_group(run, rows, err) : 0;
    if (rc)
        return rc;
    run->one->large = run->one->small && is_large(run, rows);
    if (run->one->large)
        return err_set(err, ERR_TOO_LARGE, "the row is large");
    if (run->conditions.residual) {
        rc = query_conditions_hold(&run->conditions, rows, run->get.arena, err);
        if (rc <= 0)
            return rc;
    }
    query_row_write(run->asked, run->asked_count, !run->get.list || run->get.block->keeps_nulls,
                    rows, out);
    if (out->size > LIMIT_QUERY_RESULT)
        return err_set(err, ERR_TOO_LARGE, "the result is too large: ask for less at once");
    return 1;
}

// *ret_seen is whether the database gave any row.
static int take_rows(struct get_run *run, struct db_session *session, struct buf *out,
                     bool *ret_seen, struct err *err)
{
    auto_rows struct db_rows *rows = NULL;
    int64_t left = rows_max(run), looked_at = 0;
    int rc = db_query_text(session, buf_cstr(&run->sql->text), run->sql->args, run->sql->args_count,
                           &rows, err);
    while (!rc && left > 0) {
        rc = db_rows_next(rows, err);
        if (rc <= 0)
            break;
        if (++looked_at > LIMIT_QUERY_ROWS_LOOKED_AT)
            return err_set(err, ERR_TOO_LARGE, "the query has to look at too many rows");
        rc = take_row(run, rows, out, err);
        if (rc > 0) {
            left--;
            rc = 0;
        }
    }
    *ret_seen = looked_at > 0;
    return rc;
}

// ---- Steps ----

static struct get_run begin(struct query_one *one, struct query_sql *sql)
{
    sql->text = (struct buf){0};
    sql->args_count = 0;
    return (struct get_run){.one = one,
                            .sql = sql,
                            .get = {.table = one->entry->table,
                                    .block = one->plan->block,
                                    .dialect = one->request->dialect,
                                    .now_ms = one->request->now_ms,
                                    .ctx = one->request->ctx,
                                    .arena = one->request->arena,
                                    .pattern = one->pattern,
                                    .options = one->request->options,
                                    .list = one->list,
                                    .limit = -1}};
}

static int check(struct get_run *run, struct err *err)
{
    const struct query_get_block *block = run->get.block;
    int rc = block->check ? block->check(&run->get, err) : 0;
    if (!rc && block->access == QUERY_ADMIN && !run->get.caller.admin)
        return err_set(err, ERR_FORBIDDEN, "FATAL: user must be an admin");
    return rc;
}

// Options and conditions: what only those may see fail who have the rights.
static int read_request(struct get_run *run, struct err *err)
{
    int rc = query_options_read(run->one, &run->options, err);
    if (!rc)
        rc = query_conditions_read(run->asked, run->asked_count, run->get.now_ms, run->get.arena,
                                   &run->conditions, err);
    if (!rc)
        rc = build(run, err);
    return rc;
}

static bool reads_nothing(const struct get_run *run)
{
    return run->options.only_changes || run->conditions.never || run->options.limit == 0;
}

// Whether each row is a project.
static bool has_projects(const struct query_table *table)
{
    return table->key[0] && !strcmp(table->key[0], "project_id") && !table->key[1];
}

// Rows, after the rights; or both at once.
static int select_rows(struct get_run *run, struct db_session *session, struct buf *out,
                       struct err *err)
{
    struct err held;
    bool seen = false;
    const bool named = run->membership == MEMBERSHIP_NAMED;
    run->with_group = named && !run->get.caller.admin && run->get.caller.account_id.text[0] &&
                      has_projects(run->get.table);
    int wrong = read_request(run, &held);
    if (named && (wrong || reads_nothing(run) || !run->with_group)) {
        int rc = check_right(session, run, err);
        if (rc)
            return rc;
    }
    if (wrong) {
        *err = held;
        return wrong;
    }
    if (reads_nothing(run))
        return 0;
    int rc = take_rows(run, session, out, &seen, err);
    if (!rc && run->with_group && !seen)
        rc = check_right(session, run, err);
    return rc;
}

static int compute(struct get_run *run, struct db_session *session, struct buf *out,
                   struct err *err)
{
    int rc = query_limit_read(run->one, &run->get.limit, err);
    return rc ? rc : run->get.block->compute(session, &run->get, out, err);
}

static int run_select(struct get_run *run, struct db_session *session, struct buf *out,
                      struct err *err)
{
    int rc = read_filters(session, run, err);
    if (!rc)
        rc = read_asked(run, err);
    if (rc)
        return rc;
    if (run->get.list)
        json_begin_array(out);
    rc = select_rows(run, session, out, err);
    if (run->get.list)
        json_end_array(out);
    query_conditions_dispose(&run->conditions);
    buf_dispose(&run->sql->text);
    return rc;
}

int query_one_get(struct db_session *session, struct query_one *one, struct buf *out,
                  struct err *err)
{
    struct query_sql sql;
    struct get_run run = begin(one, &sql);
    int rc = query_caller_resolve(session, one, &run.get.caller, err);
    if (!rc)
        rc = check(&run, err);
    if (rc)
        return rc;
    json_begin_object(out);
    const size_t before = out->size;
    json_key(out, one->entry->table->name);
    const size_t start = out->size;
    rc = run.get.block->compute ? compute(&run, session, out, err)
                                : run_select(&run, session, out, err);
    if (out->size == start || run.options.only_changes)
        out->size = before;
    json_end_object(out);
    return rc;
}

int query_one_get_small(struct db_session *session, struct query_one *one, struct buf *out,
                        bool *ret_large, struct err *err)
{
    const size_t before = out->size;
    one->small = true;
    one->large = false;
    int rc = query_one_get(session, one, out, err);
    one->small = false;
    *ret_large = one->large;
    if (!one->large)
        return rc;
    out->size = before;
    return 0;
}
