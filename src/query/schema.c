// SPDX-License-Identifier: AGPL-3.0-or-later
// Descriptions of tables made ready: names looked up, defaults parsed, contradictions found.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "query/query_internal.h"

struct query_schema {
    struct query_entry *entries;
    size_t count;
    struct map names; // -> struct query_entry *
};

// ---- Looking up ----

const struct query_entry *query_schema_find(const struct query_schema *schema, const char *name)
{
    return map_get(&schema->names, name, strlen(name));
}

const struct query_column *query_entry_column(const struct query_entry *entry, const char *name)
{
    return map_get(&entry->columns, name, strlen(name));
}

int query_field_index(const struct map *fields, const char *name)
{
    return (int)(uintptr_t)map_get(fields, name, strlen(name)) - 1;
}

// ---- Making ready ----

static void refuse(const struct query_table *table, const char *what, const char *name)
{
    fprintf(stderr, "cohub: table %s: %s: %s\n", table->name, what, name ? name : "");
    abort();
}

static void add_field(const struct query_table *table, struct map *fields, const char *name,
                      size_t index)
{
    if (map_set(fields, name, strlen(name), (void *)(uintptr_t)(index + 1)))
        refuse(table, "field twice", name);
}

// The column of a field, which may be missing where a field is a parameter.
static const struct query_column *field_column(const struct query_entry *entry, const char *name,
                                               bool parameter)
{
    const struct query_column *column = query_entry_column(entry, name);
    if (!column && !parameter)
        refuse(entry->table, "field without a column", name);
    return column;
}

static cJSON *parse_default(const struct query_table *table, const char *text)
{
    cJSON *value = text ? cJSON_Parse(text) : NULL;
    if (text && !value)
        refuse(table, "default that is no JSON", text);
    return value;
}

// Members of `change` (taken over) replace those of `value`, one level deep; what is no object
// replaces all.
static cJSON *overlay(cJSON *value, cJSON *change)
{
    if (!change)
        return value;
    if (!cJSON_IsObject(change) || !cJSON_IsObject(value)) {
        cJSON_Delete(value);
        return change;
    }
    while (change->child) {
        cJSON *member = cJSON_DetachItemViaPointer(change, change->child);
        cJSON_DeleteItemFromObjectCaseSensitive(value, member->string);
        cJSON_AddItemToObject(value, member->string, member);
    }
    cJSON_Delete(change);
    return value;
}

static void make_fallback(const struct query_table *table, const struct query_get_field *field,
                          enum query_dialect dialect, struct query_fallback *fallback)
{
    fallback->value = parse_default(table, field->fallback);
    if (dialect == QUERY_CURRENT)
        fallback->value = overlay(fallback->value, parse_default(table, field->current));
    if (!fallback->value)
        return;
    auto_buf struct buf text = {0};
    json_value(&text, fallback->value);
    buf_cstr(&text);
    fallback->text = buf_take(&text, &fallback->size);
}

static void check_filter(const struct query_entry *entry, const struct query_get_block *block,
                         const struct query_filter *filter)
{
    const bool asked =
        block->not_selected && filter->column && !strcmp(block->not_selected, filter->column);
    if (filter->kind == QUERY_WHERE ? !filter->sql : !filter->column)
        refuse(entry->table, "filter that lacks something", filter->column);
    if (filter->column && !asked && !query_entry_column(entry, filter->column))
        refuse(entry->table, "filter without a column", filter->column);
}

static void check_get(const struct query_entry *entry, const struct query_get_block *block)
{
    const char *order = block->order_by;
    if (order && !query_entry_column(entry, order + (order[0] == '-')))
        refuse(entry->table, "order by what is no column", order);
    if (!entry->table->base && !block->compute)
        refuse(entry->table, "nothing to read from", NULL);
    for (size_t i = 0; i < block->filters_count; i++)
        check_filter(entry, block, &block->filters[i]);
}

static struct query_get_plan *get_plan(const struct query_entry *entry,
                                       const struct query_get_block *block)
{
    if (!block)
        return NULL;
    struct query_get_plan *plan = mem_zalloc(sizeof *plan);
    const size_t count = block->fields_count;
    plan->block = block;
    plan->columns = mem_zalloc(count * sizeof *plan->columns);
    for (int d = 0; d < QUERY_DIALECTS; d++)
        plan->fallbacks[d] = mem_zalloc(count * sizeof *plan->fallbacks[d]);
    for (size_t i = 0; i < count; i++) {
        const struct query_get_field *field = &block->fields[i];
        bool parameter =
            block->compute || (block->not_selected && !strcmp(block->not_selected, field->name));
        add_field(entry->table, &plan->fields, field->name, i);
        plan->columns[i] = field_column(entry, field->name, parameter);
        for (int d = 0; d < QUERY_DIALECTS; d++)
            make_fallback(entry->table, field, (enum query_dialect)d, &plan->fallbacks[d][i]);
    }
    check_get(entry, block);
    return plan;
}

static struct query_set_plan *set_plan(const struct query_entry *entry,
                                       const struct query_set_block *block)
{
    if (!block)
        return NULL;
    struct query_set_plan *plan = mem_zalloc(sizeof *plan);
    plan->block = block;
    for (size_t i = 0; i < block->fields_count; i++)
        add_field(entry->table, &plan->fields, block->fields[i].name, i);
    return plan;
}

// A map owns no values; the constness of its own is put back by who takes one out.
static void *map_value(const void *value)
{
    union {
        const void *in;
        void *out;
    } pointer = {.in = value};
    return pointer.out;
}

static void make_entry(struct query_entry *entry, const struct query_table *table)
{
    entry->table = table;
    for (size_t i = 0; i < table->columns_count; i++) {
        const char *name = table->columns[i].name;
        if (map_set(&entry->columns, name, strlen(name), map_value(&table->columns[i])))
            refuse(table, "column twice", name);
    }
    for (size_t i = 0; i < ARRAY_LEN(table->key) && table->key[i]; i++)
        (void)field_column(entry, table->key[i], false);
    entry->get = get_plan(entry, table->get);
    entry->project_get = get_plan(entry, table->project_get);
    entry->set = set_plan(entry, table->set);
    entry->project_set = set_plan(entry, table->project_set);
}

struct query_schema *query_schema_new(const struct query_table *const *tables)
{
    struct query_schema *schema = mem_zalloc(sizeof *schema);
    while (tables[schema->count])
        schema->count++;
    schema->entries = mem_zalloc(schema->count * sizeof *schema->entries);
    for (size_t i = 0; i < schema->count; i++) {
        make_entry(&schema->entries[i], tables[i]);
        if (map_set(&schema->names, tables[i]->name, strlen(tables[i]->name), &schema->entries[i]))
            refuse(tables[i], "table twice", NULL);
    }
    return schema;
}

static void free_get(struct query_get_plan *plan)
{
    if (!plan)
        return;
    for (int d = 0; d < QUERY_DIALECTS; d++) {
        for (size_t i = 0; i < plan->block->fields_count; i++) {
            cJSON_Delete(plan->fallbacks[d][i].value);
            free(plan->fallbacks[d][i].text);
        }
        free(plan->fallbacks[d]);
    }
    free(plan->columns);
    map_dispose(&plan->fields);
    free(plan);
}

static void free_set(struct query_set_plan *plan)
{
    if (!plan)
        return;
    map_dispose(&plan->fields);
    free(plan);
}

void query_schema_free(struct query_schema *schema)
{
    if (!schema)
        return;
    for (size_t i = 0; i < schema->count; i++) {
        struct query_entry *entry = &schema->entries[i];
        free_get(entry->get);
        free_get(entry->project_get);
        free_set(entry->set);
        free_set(entry->project_set);
        map_dispose(&entry->columns);
    }
    map_dispose(&schema->names);
    free(schema->entries);
    free(schema);
}
