// SPDX-License-Identifier: AGPL-3.0-or-later
// A query as it was sent, made ready: its shape, get or set, placeholders, and what can be refused
// without the database (user-query 2 to 5, 11.1).
//
// Recursions go no deeper than the reader of JSON let the request be.
#include <string.h>

#include "base/clock.h"
#include "query/query_internal.h"

// ---- Placeholders ----

struct copying {
    const struct query_request *request;
    const struct query_caller *caller; // whose ids are inserted
};

// The most keys of one object that can be placeholders.
#define PLACEHOLDERS 3

// What stands for a text; the text itself if it is no placeholder, or there is nothing to insert.
static char *replaced(const struct copying *copying, char *text)
{
    struct arena *arena = copying->request->arena;
    if (text[0] != '{')
        return text;
    if (!strcmp(text, "{account_id}") && copying->caller->account_id.text[0])
        return arena_strdup(arena, copying->caller->account_id.text);
    if (!strcmp(text, "{project_id}") && copying->caller->project_id.text[0])
        return arena_strdup(arena, copying->caller->project_id.text);
    if (strcmp(text, "{now}") != 0)
        return text;
    char *now = arena_alloc(arena, CLOCK_ISO_SIZE);
    clock_iso(copying->request->now_ms, now);
    return now;
}

static void append_item(cJSON *parent, cJSON *item)
{
    cJSON *first = parent->child;
    if (first) {
        item->prev = first->prev;
        first->prev->next = item;
        first->prev = item;
    } else {
        parent->child = item;
        item->prev = item;
    }
}

// Leaves of all members of one name the last: a placeholder may have become the name of another.
static void drop_doubles(cJSON *object, const char *name)
{
    cJSON *before = NULL;
    for (cJSON *item = object->child; item; item = item->next) {
        if (strcmp(item->string, name) != 0)
            continue;
        if (before)
            (void)cJSON_DetachItemViaPointer(object, before);
        before = item;
    }
}

// A copy in the arena. It borrows texts of the original.
static cJSON *copy(const struct copying *copying, const cJSON *value)
{
    const char *placeholders[PLACEHOLDERS];
    size_t count = 0;
    cJSON *result = arena_alloc(copying->request->arena, sizeof *result);
    *result = *value;
    result->child = result->next = result->prev = NULL;
    if (value->valuestring)
        result->valuestring = replaced(copying, value->valuestring);
    for (const cJSON *item = value->child; item; item = item->next) {
        cJSON *member = copy(copying, item);
        if (item->string)
            member->string = replaced(copying, item->string);
        if (member->string != item->string && count < PLACEHOLDERS)
            placeholders[count++] = member->string;
        append_item(result, member);
    }
    for (size_t i = 0; i < count; i++)
        drop_doubles(result, placeholders[i]);
    return result;
}

// ---- Options ----

bool query_truth(const cJSON *value)
{
    if (cJSON_IsNumber(value))
        return value->valuedouble != 0;
    if (cJSON_IsString(value))
        return value->valuestring[0];
    return !cJSON_IsFalse(value) && !cJSON_IsNull(value);
}

struct early_options {
    bool has_kind, is_set; // the option `set`
    const cJSON *account_id;
};

static int read_options(const cJSON *options, struct early_options *ret_options, struct err *err)
{
    *ret_options = (struct early_options){0};
    if (!options || cJSON_IsNull(options))
        return 0;
    if (!cJSON_IsArray(options)) {
        auto_buf struct buf text = {0};
        json_value(&text, options);
        return err_set(err, ERR_INVALID, "FATAL: options (=%s) must be an array", buf_cstr(&text));
    }
    const cJSON *option, *item;
    cJSON_ArrayForEach(option, options)
    {
        if (!cJSON_IsObject(option))
            continue;
        cJSON_ArrayForEach(item, option)
        {
            if (!strcmp(item->string, "set")) {
                ret_options->has_kind = true;
                ret_options->is_set = query_truth(item);
            } else if (!strcmp(item->string, "account_id") && !cJSON_IsNull(item)) {
                ret_options->account_id = item;
            }
        }
    }
    return 0;
}

// The option account_id, before all else.
static int read_sudo(struct query_one *one, const cJSON *account_id, struct err *err)
{
    if (!account_id)
        return 0;
    if (!one->request->caller.admin)
        return err_set(err, ERR_FORBIDDEN, "user must be admin to sudo");
    if (query_uuid_read(account_id, &one->sudo_id))
        return 0;
    return err_set(err, ERR_INVALID, "postgresql error: invalid input syntax for type uuid: \"%s\"",
                   query_value_text(account_id, one->request->arena));
}

// ---- Gets ----

static bool has_null(const cJSON *value)
{
    for (const cJSON *item = value->child; item; item = item->next) {
        if (cJSON_IsNull(item) || has_null(item))
            return true;
    }
    return false;
}

static int check_fields(const struct query_one *one, struct err *err)
{
    for (const cJSON *item = one->pattern->child; item; item = item->next) {
        if (query_field_index(&one->plan->fields, item->string) < 0)
            return err_set(err, ERR_FORBIDDEN, "FATAL: user get query not allowed for %s.%s",
                           one->entry->table->name, item->string);
    }
    return 0;
}

static int parse_get(struct query_one *one, const char *table, struct err *err)
{
    const struct query_caller *caller = &one->request->caller;
    if (one->entry)
        one->plan = caller->project_id.text[0] ? one->entry->project_get : one->entry->get;
    if (!one->plan)
        return err_set(err, ERR_FORBIDDEN, "FATAL: get queries not allowed for table '%s'", table);
    if (!caller->account_id.text[0] && !caller->project_id.text[0] &&
        one->plan->block->access != QUERY_ANONYMOUS)
        return err_set(err, ERR_UNAUTHORIZED,
                       "FATAL: anonymous get queries not allowed for table '%s'", table);
    return check_fields(one, err);
}

// ---- All ----

// The pattern of a member, and whether it is the form [{…}].
static int read_pattern(const cJSON *member, const cJSON **ret_pattern, bool *ret_list,
                        struct err *err)
{
    const cJSON *pattern = member;
    *ret_list = cJSON_IsArray(member);
    if (*ret_list && member->child && member->child->next)
        return err_set(err, ERR_INVALID, "FATAL: array of length > 1 not yet implemented");
    if (*ret_list)
        pattern = member->child;
    if (!cJSON_IsObject(pattern))
        return err_set(err, ERR_INVALID,
                       "FATAL: invalid user_query of '%s' -- query must be an object",
                       member->string);
    *ret_pattern = pattern;
    return 0;
}

int query_one_parse(const struct query_request *request, const cJSON *one,
                    struct query_one **ret_one, struct err *err)
{
    const cJSON *member = cJSON_IsObject(one) ? one->child : NULL, *pattern = NULL;
    struct query_one *result = arena_zalloc(request->arena, sizeof *result);
    struct early_options options;
    result->request = request;
    if (!member)
        return err_set(err, ERR_INVALID,
                       "FATAL: invalid user_query of 'undefined' -- query must be an object");
    if (member->next)
        return err_set(err, ERR_INVALID, "FATAL: must specify exactly one key in the query");
    int rc = read_pattern(member, &pattern, &result->list, err);
    if (!rc)
        rc = read_options(request->options, &options, err);
    if (!rc)
        rc = read_sudo(result, options.account_id, err);
    if (rc)
        return rc;
    const struct query_caller sudo = {.account_id = result->sudo_id};
    result->pattern = copy(
        &(struct copying){request, result->sudo_id.text[0] ? &sudo : &request->caller}, pattern);
    result->entry = query_schema_find(request->schema, member->string);
    result->is_set = options.has_kind ? options.is_set : !has_null(result->pattern);
    *ret_one = result;
    return result->is_set ? query_set_parse(result, member->string, err)
                          : parse_get(result, member->string, err);
}

// ---- Cost ----

// Whether the pattern gives the whole primary key.
static bool names_row(const struct query_table *table, const cJSON *pattern)
{
    for (size_t i = 0; i < ARRAY_LEN(table->key) && table->key[i]; i++) {
        const cJSON *value = json_get(pattern, table->key[i]);
        if (!cJSON_IsString(value) && !cJSON_IsNumber(value))
            return false;
    }
    return table->key[0];
}

// Whether a filter leaves the one row whose primary key is the caller.
static bool is_own_row(const struct query_one *one)
{
    const struct query_table *table = one->entry->table;
    const struct query_get_block *block = one->plan->block;
    if (!table->key[0] || table->key[1])
        return false;
    for (size_t i = 0; i < block->filters_count; i++) {
        const struct query_filter *filter = &block->filters[i];
        if ((filter->kind == QUERY_OWN_ACCOUNT || filter->kind == QUERY_THIS_PROJECT) &&
            !strcmp(filter->column, table->key[0]))
            return true;
    }
    return false;
}

bool query_one_is_row(const struct query_one *one, const cJSON *pattern)
{
    return !one->plan->block->compute && (names_row(one->entry->table, pattern) || is_own_row(one));
}

// Whether more is asked of the row than to be there: a condition may be as much work as it likes.
static bool has_conditions(const struct query_one *one)
{
    const struct query_table *table = one->entry->table;
    for (const cJSON *item = one->pattern->child; item; item = item->next) {
        bool is_key = false;
        for (size_t i = 0; i < ARRAY_LEN(table->key) && table->key[i]; i++)
            is_key |= !strcmp(table->key[i], item->string);
        if (!is_key && !cJSON_IsNull(item))
            return true;
    }
    return false;
}

// Whether it is known how long it takes to tell whose the row is; what a check makes of the pattern
// is not.
static bool is_quick(const struct query_get_block *block)
{
    bool quick = !block->check;
    for (size_t i = 0; i < block->filters_count; i++)
        quick &= block->filters[i].kind != QUERY_WHERE || block->filters[i].quick;
    return quick;
}

enum query_cost query_one_cost(const struct query_one *one)
{
    if (one->is_set)
        return one->idle ? QUERY_IDLE : QUERY_WRITE;
    return query_one_is_row(one, one->pattern) && !has_conditions(one) && is_quick(one->plan->block)
               ? QUERY_POINT
               : QUERY_SCAN;
}
