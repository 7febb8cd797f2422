// SPDX-License-Identifier: AGPL-3.0-or-later
// Options of a get (user-query 5).
#include <math.h>
#include <string.h>

#include "base/text.h"
#include "query/get_internal.h"

// ---- limit ----

static int read_limit(const cJSON *value, struct arena *arena, int64_t *ret_limit, struct err *err)
{
    double limit = cJSON_IsNumber(value) ? value->valuedouble : -1;
    if (cJSON_IsString(value) && text_parse_double(value->valuestring, &limit) &&
        strspn(value->valuestring, "0123456789") != strlen(value->valuestring))
        limit = -1;
    if (limit < 0 || limit != trunc(limit))
        return err_set(err, ERR_INVALID, "ERROR -- opts.limit = '%s' is not an integer",
                       query_value_text(value, arena));
    *ret_limit = limit < LIMIT_QUERY_ROWS ? (int64_t)limit : LIMIT_QUERY_ROWS;
    return 0;
}

static int64_t default_limit(const struct query_one *one)
{
    int64_t limit = one->plan->block->limit[one->request->dialect];
    return limit ? limit : -1;
}

int query_limit_read(const struct query_one *one, int64_t *ret_limit, struct err *err)
{
    const cJSON *option;
    int64_t first = -1;
    cJSON_ArrayForEach(option, one->request->options)
    {
        const cJSON *value = json_get(option, "limit");
        int64_t limit = -1;
        int rc = value ? read_limit(value, one->request->arena, &limit, err) : 0;
        if (rc)
            return rc;
        first = first < 0 ? limit : first;
    }
    *ret_limit = first < 0 ? default_limit(one) : first;
    return 0;
}

// ---- order_by ----

// A column that may be read, or that orders by itself: the order of others would tell of them.
static const struct query_column *order_column(const struct query_one *one, const char *name)
{
    const struct query_get_block *block = one->plan->block;
    const char *by_itself = block->order_by ? block->order_by + (block->order_by[0] == '-') : "";
    if (query_field_index(&one->plan->fields, name) < 0 && strcmp(name, by_itself) != 0)
        return NULL;
    return query_entry_column(one->entry, name);
}

static void add_order(struct query_options *options, const struct query_column *column,
                      bool descending)
{
    for (size_t i = 0; i < options->orders_count; i++) {
        if (options->orders[i].column == column) // what comes later decides nothing
            return;
    }
    options->orders[options->orders_count++] =
        (struct query_order){.column = column, .descending = descending};
}

static int read_order(const struct query_one *one, const cJSON *value,
                      struct query_options *options, struct err *err)
{
    const char *text = query_value_text(value, one->request->arena);
    const bool descending = text[0] == '-';
    const struct query_column *column = order_column(one, text + descending);
    if (!column)
        return err_set(err, ERR_INVALID, "postgresql error: column \"%s\" does not exist",
                       text + descending);
    if (one->request->dialect == QUERY_DOCUMENTED)
        options->orders_count = 0; // only the last one counts
    add_order(options, column, descending);
    return 0;
}

// ---- All ----

static int read_option(const struct query_one *one, const cJSON *option,
                       struct query_options *options, struct err *err)
{
    static const char *const ignored[] = {"set", "delete", "heartbeat", "account_id", NULL};
    if (!strcmp(option->string, "limit"))
        return read_limit(option, one->request->arena, &options->limit, err);
    if (!strcmp(option->string, "order_by"))
        return read_order(one, option, options, err);
    if (!strcmp(option->string, "slice"))
        return err_set(err, ERR_INVALID, "slice not implemented");
    if (!strcmp(option->string, "only_changes"))
        options->only_changes = cJSON_IsTrue(option);
    else if (!text_is_one_of(option->string, ignored))
        return err_set(err, ERR_INVALID, "unknown option '%s'", option->string);
    return 0;
}

static void set_defaults(const struct query_one *one, struct query_options *options)
{
    const char *order = one->plan->block->order_by;
    if (!options->orders_count && order)
        add_order(options, query_entry_column(one->entry, order + (order[0] == '-')),
                  order[0] == '-');
    if (options->limit < 0)
        options->limit = default_limit(one);
}

int query_options_read(const struct query_one *one, struct query_options *ret_options,
                       struct err *err)
{
    const cJSON *option, *item;
    *ret_options = (struct query_options){
        .limit = -1,
        .orders = arena_alloc(one->request->arena, (one->entry->table->columns_count + 1) *
                                                       sizeof *ret_options->orders)};
    cJSON_ArrayForEach(option, one->request->options)
    {
        if (!cJSON_IsObject(option))
            continue;
        cJSON_ArrayForEach(item, option)
        {
            int rc = read_option(one, item, ret_options, err);
            if (rc)
                return rc;
        }
    }
    set_defaults(one, ret_options);
    return 0;
}
