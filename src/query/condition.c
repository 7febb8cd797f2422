// SPDX-License-Identifier: AGPL-3.0-or-later
// Conditions of a pattern (user-query 7.3).
//
// Comparisons of plain columns go into the statement, so that indexes serve them. All others
// (patterns, JSON, arrays, columns that only a routine can show) are evaluated here on the rows as
// they come, with SQL's logic of nulls: what is unknown does not hold. So both databases give the
// same.
#include <string.h>

#include "base/text.h"
#include "query/get_internal.h"

// ---- Operators ----

static bool find_operator(const char *name, enum query_operator *ret_operator)
{
    static const struct {
        const char *name;
        enum query_operator op;
    } operators[] = {
        {"=", QUERY_EQUAL},       {"==", QUERY_EQUAL},
        {"!=", QUERY_NOT_EQUAL},  {"<>", QUERY_NOT_EQUAL},
        {"<", QUERY_LESS},        {"<=", QUERY_LESS_EQUAL},
        {">", QUERY_GREATER},     {">=", QUERY_GREATER_EQUAL},
        {"LIKE", QUERY_LIKE},     {"NOT LIKE", QUERY_NOT_LIKE},
        {"ILIKE", QUERY_ILIKE},   {"NOT ILIKE", QUERY_NOT_ILIKE},
        {"IS", QUERY_IS},         {"IS NOT", QUERY_IS_NOT},
        {"ANY", QUERY_ANY},       {"MINLEN", QUERY_MINLEN},
        {"MAXLEN", QUERY_MAXLEN},
    };
    for (size_t i = 0; i < ARRAY_LEN(operators); i++) {
        if (!strcmp(name, operators[i].name)) {
            *ret_operator = operators[i].op;
            return true;
        }
    }
    return false;
}

// Whether a value is {OPERATOR: operand, …}: every member must be one.
static bool is_comparison(const cJSON *value)
{
    enum query_operator op;
    if (!cJSON_IsObject(value) || !value->child)
        return false;
    for (const cJSON *item = value->child; item; item = item->next) {
        if (!find_operator(item->string, &op))
            return false;
    }
    return true;
}

static bool is_null_test(enum query_operator op)
{
    return op == QUERY_IS || op == QUERY_IS_NOT;
}

static bool is_pattern(enum query_operator op)
{
    return op >= QUERY_LIKE && op <= QUERY_NOT_ILIKE;
}

static bool is_length(enum query_operator op)
{
    return op == QUERY_MINLEN || op == QUERY_MAXLEN;
}

// ---- Reading operands ----

static bool is_json(const struct query_column *column)
{
    return column->array || column->type == QUERY_JSON;
}

static const char *type_name(const struct query_column *column, struct arena *arena)
{
    const char *name = query_type_name(column->type);
    return column->array ? arena_printf(arena, "%s[]", name) : name;
}

static int read_is(struct query_condition *condition, const cJSON *value, struct arena *arena,
                   struct err *err)
{
    static const char *const nulls[] = {"null", "unknown", NULL};
    const struct query_column *column = condition->asked->column;
    if (cJSON_IsNull(value) ||
        (cJSON_IsString(value) && text_is_one_of(value->valuestring, nulls))) {
        condition->operand = DB_NULL;
        return 0;
    }
    if (!cJSON_IsBool(value))
        return err_set(err, ERR_INVALID, "postgresql error: syntax error at or near \"%s\"",
                       query_value_text(value, arena));
    if (column->type != QUERY_BOOLEAN || column->array)
        return err_set(err, ERR_INVALID,
                       "postgresql error: argument of IS %s must be type boolean, not type %s",
                       cJSON_IsTrue(value) ? "TRUE" : "FALSE", type_name(column, arena));
    condition->operand = DB_INT(cJSON_IsTrue(value));
    return 0;
}

static int read_pattern(struct query_condition *condition, const cJSON *value, struct arena *arena,
                        struct err *err)
{
    const struct query_column *column = condition->asked->column;
    const bool folds = condition->op == QUERY_ILIKE || condition->op == QUERY_NOT_ILIKE;
    if (column->type != QUERY_TEXT || column->array)
        return err_set(err, ERR_INVALID, "postgresql error: operator does not exist: %s ~~ unknown",
                       type_name(column, arena));
    const char *text = cJSON_IsString(value) ? value->valuestring : query_value_text(value, arena);
    auto_buf struct buf pattern = {0};
    if (folds)
        text_append_lower(&pattern, text);
    else
        buf_append_str(&pattern, text);
    condition->operand =
        DB_TEXTN(arena_strndup(arena, buf_cstr(&pattern), pattern.size), pattern.size);
    size_t escapes = 0;
    while (escapes < pattern.size && pattern.data[pattern.size - 1 - escapes] == '\\')
        escapes++;
    if (escapes % 2)
        return err_set(err, ERR_INVALID,
                       "postgresql error: LIKE pattern must not end with escape character");
    return 0;
}

static int read_array_operand(struct query_condition *condition, const cJSON *value, int64_t now_ms,
                              struct arena *arena, struct err *err)
{
    struct query_column column = *condition->asked->column;
    if (!column.array)
        return err_set(err, ERR_INVALID,
                       "postgresql error: op ANY/ALL (array) requires array on "
                       "right side");
    const struct query_column whole = {.type = QUERY_INTEGER};
    if (is_length(condition->op))
        return query_operand_read(&whole, value, now_ms, arena, &condition->operand, err);
    // The element is read as an array of one, which brings it into the form in which it is stored.
    cJSON one = {.type = cJSON_Array}, element = *value;
    element.next = NULL;
    element.prev = &element;
    one.child = &element;
    return query_operand_read(&column, &one, now_ms, arena, &condition->operand, err);
}

static int read_operand(struct query_condition *condition, const cJSON *value, int64_t now_ms,
                        struct arena *arena, struct err *err)
{
    const struct query_column *column = condition->asked->column;
    int rc;
    if (is_null_test(condition->op))
        return read_is(condition, value, arena, err);
    if (is_pattern(condition->op))
        return read_pattern(condition, value, arena, err);
    if (condition->op >= QUERY_ANY)
        rc = read_array_operand(condition, value, now_ms, arena, err);
    else
        rc = query_operand_read(column, value, now_ms, arena, &condition->operand, err);
    if (!rc && is_json(column) && !is_length(condition->op))
        condition->json = cJSON_ParseWithLength(condition->operand.text, condition->operand.size);
    return rc;
}

// Whether the statement can have it.
static bool fits_sql(const struct query_condition *condition)
{
    const struct query_column *column = condition->asked->column;
    if (is_null_test(condition->op))
        return condition->operand.type == DB_TYPE_NULL || !column->format;
    return condition->op <= QUERY_GREATER_EQUAL && !column->format && !is_json(column) &&
           !(column->whole && condition->operand.type == DB_TYPE_REAL);
}

static bool holds_of_null(const struct query_condition *condition)
{
    const bool asks_null = condition->operand.type == DB_TYPE_NULL;
    return condition->op == QUERY_IS ? asks_null : condition->op == QUERY_IS_NOT && !asks_null;
}

static int add(struct query_conditions *conditions, const struct query_asked *asked,
               enum query_operator op, const cJSON *value, int64_t now_ms, struct arena *arena,
               struct err *err)
{
    if (cJSON_IsNull(value) && !is_null_test(op))
        return 0;
    if (conditions->count == conditions->capacity)
        return err_set(err, ERR_TOO_LARGE, "too many conditions in a query: at most %d are allowed",
                       LIMIT_QUERY_CONDITIONS);
    struct query_condition *condition = &conditions->items[conditions->count++];
    *condition = (struct query_condition){.asked = asked, .op = op};
    int rc = read_operand(condition, value, now_ms, arena, err);
    if (rc)
        return rc;
    if (asked->index < 0) {
        conditions->never |= !holds_of_null(condition);
        cJSON_Delete(condition->json);
        conditions->count--;
        return 0;
    }
    condition->in_sql = fits_sql(condition);
    conditions->residual += !condition->in_sql;
    return 0;
}

static size_t count_members(const struct query_asked *asked, size_t count)
{
    size_t members = 0;
    for (size_t i = 0; i < count; i++) {
        if (!is_comparison(asked[i].value)) {
            members += !cJSON_IsNull(asked[i].value);
            continue;
        }
        for (const cJSON *item = asked[i].value->child; item; item = item->next)
            members++;
    }
    return members;
}

int query_conditions_read(const struct query_asked *asked, size_t count, int64_t now_ms,
                          struct arena *arena, struct query_conditions *conditions, struct err *err)
{
    const size_t members = count_members(asked, count);
    const size_t capacity = members < LIMIT_QUERY_CONDITIONS ? members : LIMIT_QUERY_CONDITIONS;
    enum query_operator op;
    int rc = 0;
    *conditions = (struct query_conditions){.capacity = capacity, .work = LIMIT_QUERY_WORK};
    if (!members)
        return 0;
    conditions->items = arena_alloc(arena, capacity * sizeof *conditions->items);
    for (size_t i = 0; !rc && i < count; i++) {
        const struct query_asked *field = &asked[i];
        if (!field->column)
            continue;
        if (!is_comparison(field->value)) {
            rc = add(conditions, field, QUERY_EQUAL, field->value, now_ms, arena, err);
            continue;
        }
        for (const cJSON *item = field->value->child; !rc && item; item = item->next) {
            if (find_operator(item->string, &op))
                rc = add(conditions, field, op, item, now_ms, arena, err);
        }
    }
    return rc;
}

void query_conditions_dispose(struct query_conditions *conditions)
{
    for (size_t i = 0; i < conditions->count; i++)
        cJSON_Delete(conditions->items[i].json);
}

// ---- In the statement ----

void query_condition_sql(const struct query_condition *condition, struct query_sql *sql)
{
    static const char *const signs[] = {" = ", " <> ", " < ", " <= ", " > ", " >= "};
    const bool not_is = condition->op == QUERY_IS_NOT;
    if (!is_null_test(condition->op)) {
        query_sql_column(sql, condition->asked->column);
        buf_append_str(&sql->text, signs[condition->op]);
        query_sql_arg(sql, condition->operand);
        return;
    }
    if (not_is && condition->operand.type != DB_TYPE_NULL)
        buf_append_char(&sql->text, '(');
    query_sql_column(sql, condition->asked->column);
    if (condition->operand.type == DB_TYPE_NULL) {
        buf_append_str(&sql->text, not_is ? " IS NOT NULL" : " IS NULL");
    } else if (not_is) {
        buf_append_str(&sql->text, " IS NULL OR ");
        query_sql_column(sql, condition->asked->column);
        buf_append_str(&sql->text, condition->operand.integer ? " <> 1)" : " <> 0)");
    } else {
        buf_append_str(&sql->text, condition->operand.integer ? " = 1" : " = 0");
    }
}

// ---- On rows ----

// What the column of the current row is as a query's value; not for NULL. To be freed.
static cJSON *row_json(const struct query_condition *condition, struct db_rows *rows, int64_t *work)
{
    auto_buf struct buf text = {0};
    query_value_write(condition->asked->column, rows, condition->asked->index, &text);
    *work -= (int64_t)text.size;
    return cJSON_ParseWithLength(text.data, text.size);
}

static int row_value(const struct query_condition *condition, struct db_rows *rows,
                     struct arena *arena, int64_t *work, struct db_value *ret_value,
                     struct err *err)
{
    const struct query_column *column = condition->asked->column;
    const int index = condition->asked->index;
    if (column->format) {
        auto_json cJSON *json = row_json(condition, rows, work);
        if (!json || cJSON_IsNull(json)) {
            *ret_value = DB_NULL;
            return 0;
        }
        int rc = query_operand_read(column, json, 0, arena, ret_value, err);
        if (!rc && ret_value->text) // it may be the JSON's
            ret_value->text = arena_strndup(arena, ret_value->text, ret_value->size);
        return rc;
    }
    if (condition->operand.type == DB_TYPE_TEXT || condition->operand.type == DB_TYPE_BYTES) {
        *ret_value = DB_TEXTN(db_rows_text(rows, index), db_rows_size(rows, index));
        *work -= (int64_t)ret_value->size;
    } else {
        *ret_value =
            column->whole ? DB_INT(db_rows_int(rows, index)) : DB_REAL(db_rows_real(rows, index));
    }
    return 0;
}

static double as_real(const struct db_value *value)
{
    return value->type == DB_TYPE_INT ? (double)value->integer : value->real;
}

static int compare_values(const struct db_value *a, const struct db_value *b)
{
    if (a->type == DB_TYPE_TEXT || a->type == DB_TYPE_BYTES) {
        size_t size = a->size < b->size ? a->size : b->size;
        int rc = size ? memcmp(a->text, b->text, size) : 0;
        return rc ? rc : (a->size > b->size) - (a->size < b->size);
    }
    double x = as_real(a), y = as_real(b);
    return (x > y) - (x < y);
}

static bool order_fits(enum query_operator op, int order)
{
    switch (op) {
    case QUERY_EQUAL:
        return order == 0;
    case QUERY_NOT_EQUAL:
        return order != 0;
    case QUERY_LESS:
        return order < 0;
    case QUERY_LESS_EQUAL:
        return order <= 0;
    case QUERY_GREATER:
        return order > 0;
    default:
        return order >= 0;
    }
}

static bool array_has(const cJSON *array, const cJSON *element)
{
    for (const cJSON *item = array->child; item; item = item->next) {
        if (!query_json_compare(item, element))
            return true;
    }
    return false;
}

static bool json_holds(const struct query_condition *condition, struct db_rows *rows, int64_t *work)
{
    auto_json cJSON *json = row_json(condition, rows, work);
    if (!json || cJSON_IsNull(json))
        return false;
    if (condition->op == QUERY_ANY)
        return array_has(json, condition->json->child);
    if (is_length(condition->op)) {
        int size = cJSON_GetArraySize(json);
        return condition->op == QUERY_MINLEN ? size >= condition->operand.integer
                                             : size <= condition->operand.integer;
    }
    int order = condition->asked->column->array ? query_array_compare(json, condition->json)
                                                : query_json_compare(json, condition->json);
    return order_fits(condition->op, order);
}

static bool like_holds(const struct query_condition *condition, const struct db_value *value,
                       int64_t *work)
{
    const struct db_value *pattern = &condition->operand;
    const bool folds = condition->op == QUERY_ILIKE || condition->op == QUERY_NOT_ILIKE;
    const bool wanted = condition->op == QUERY_LIKE || condition->op == QUERY_ILIKE;
    auto_buf struct buf lower = {0};
    if (folds) {
        text_append_lower(&lower, value->text);
        return query_like(buf_cstr(&lower), lower.size, pattern->text, pattern->size, work) ==
               wanted;
    }
    return query_like(value->text, value->size, pattern->text, pattern->size, work) == wanted;
}

// 1: it holds; 0: it does not, or is unknown.
static int holds(const struct query_condition *condition, struct db_rows *rows, struct arena *arena,
                 int64_t *work, struct err *err)
{
    struct db_value value;
    if (is_json(condition->asked->column) && !is_null_test(condition->op))
        return !db_rows_null(rows, condition->asked->index) && json_holds(condition, rows, work);
    if (db_rows_null(rows, condition->asked->index))
        return condition->op == QUERY_IS_NOT;
    int rc = row_value(condition, rows, arena, work, &value, err);
    if (rc)
        return rc;
    if (value.type == DB_TYPE_NULL)
        return condition->op == QUERY_IS_NOT;
    if (is_null_test(condition->op))
        return (value.integer == condition->operand.integer) == (condition->op == QUERY_IS);
    if (is_pattern(condition->op))
        return like_holds(condition, &value, work);
    return order_fits(condition->op, compare_values(&value, &condition->operand));
}

int query_conditions_hold(struct query_conditions *conditions, struct db_rows *rows,
                          struct arena *arena, struct err *err)
{
    for (size_t i = 0; i < conditions->count; i++) {
        const struct query_condition *condition = &conditions->items[i];
        if (condition->in_sql)
            continue;
        int rc = holds(condition, rows, arena, &conditions->work, err);
        if (conditions->work < 0)
            return err_set(err, ERR_TOO_LARGE, "the query has to look at too much");
        if (rc <= 0)
            return rc;
    }
    return 1;
}
