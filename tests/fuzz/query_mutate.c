// SPDX-License-Identifier: AGPL-3.0-or-later
// Changes queries as who knows the tables would: names for names, values for values. Half of the
// time libFuzzer changes bytes, which finds what is no good JSON.
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/limits.h"
#include "fuzz/fuzz.h"
#include "svc/tables/tables.h"

static const char *const values[] = {
    "null",
    "null",
    "null",
    "true",
    "false",
    "0",
    "-1",
    "1",
    "1.5",
    "1e300",
    "9007199254740993",
    "\"\"",
    "\"x\"",
    "\"T1\"",
    "\"2020-09-13T12:26:40Z\"",
    "\"{now}\"",
    "\"{account_id}\"",
    "\"{project_id}\"",
    "\"" FUZZ_MARK "' OR 1 --\"",
    "\"" FUZZ_MARK "\\\" --\"",
    "\"%_\\\\\"",
    "[]",
    "{}",
    "[null]",
    "{\"=\":null}",
    "{\">=\":\"T\",\"<\":\"U\"}",
    "{\"!=\":1}",
    "{\"LIKE\":\"%" FUZZ_MARK "%\"}",
    "{\"ILIKE\":\"t_\"}",
    "{\"IS\":null}",
    "{\"IS NOT\":true}",
    "{\"ANY\":\"x\"}",
    "{\"MINLEN\":1}",
    "{\">\":{\"relative_time\":-3,\"unit\":\"months\"}}",
    "{\"" FUZZ_MARK " = 1\":1}",
    "\"" FUZZ_ADA "\"",
    "\"" FUZZ_BOB "\"",
    "\"" FUZZ_P1 "\"",
    "\"" FUZZ_P1 "\"",
    "\"" FUZZ_P2 "\"",
    "\"" FUZZ_P3 "\"",
    "\"" FUZZ_P4 "\"",
    "\"bbbbbbbb-0000-4000-8000-000000000001\"",
    "\"bbbbbbbb-0000-4000-8000-000000000002\"",
    "\"b4469ba3962c5b0e8185b8d63e144bf9b673b7c2\"",
    "\"aaf4c61d-dcc5-4e8a-adab-ede0f3b482cd\"",
    "\"a.txt\"",
    "\"p\"",
    "1600000000000",
    "\"token1\"",
    "\"*\"",
    "{\"" FUZZ_ADA "\":{\"hide\":true}}",
    "{\"" FUZZ_BOB "\":{\"group\":\"owner\"}}",
    "{\"" FUZZ_ADA "\":{\"group\":\"owner\"}}",
    "{\"" FUZZ_ADA "\":{\"upgrades\":{\"cores\":1}}}",
    "{\"" FUZZ_ADA "\":{\"message\":\"m\"}}",
    "{\"action\":\"start\",\"time\":1}",
    "{\"" FUZZ_MARK "'}\":{\"a\":[1,null]}}",
    "{\"type\":\"Buffer\",\"data\":[104,105]}",
};
static const char *const options[] = {
    "{\"set\":true}",
    "{\"set\":false}",
    "{\"delete\":true}",
    "{\"limit\":1}",
    "{\"limit\":0}",
    "{\"order_by\":\"-title\"}",
    "{\"order_by\":\"time\"}",
    "{\"order_by\":\"" FUZZ_MARK "'\"}",
    "{\"only_changes\":true}",
    "{\"" FUZZ_MARK "\":1}",
    "{\"account_id\":\"" FUZZ_BOB "\"}",
    "{\"account_id\":\"" FUZZ_ADA "\"}",
};
static const char letters[] = "nnaaaaaarrpp";

static size_t below(size_t count)
{
    return (size_t)rand() % count;
}

static const struct query_table *any_table(void)
{
    size_t count = 0;
    while (query_tables[count])
        count++;
    return query_tables[below(count)];
}

static const struct query_table *table_of(const cJSON *query)
{
    for (size_t i = 0; query->child && query_tables[i]; i++) {
        if (!strcmp(query_tables[i]->name, query->child->string))
            return query_tables[i];
    }
    return any_table();
}

static const char *any_field(const struct query_table *table)
{
    const struct query_get_block *get = table->get ? table->get : table->project_get;
    const struct query_set_block *set = table->set ? table->set : table->project_set;
    switch (below(8)) {
    case 0:
        return table->columns_count ? table->columns[below(table->columns_count)].name : "id";
    case 1:
        return FUZZ_MARK "\"";
    case 2:
        return "project_id";
    case 3:
    case 4:
        return set && set->fields_count ? set->fields[below(set->fields_count)].name : "account_id";
    default:
        return get && get->fields_count ? get->fields[below(get->fields_count)].name : "project_id";
    }
}

static cJSON *any_value(void)
{
    return cJSON_Parse(values[below(ARRAY_LEN(values))]);
}

// Replaces the member with a name, or adds it.
static void put(cJSON *object, const char *name, cJSON *value)
{
    cJSON_DeleteItemFromObjectCaseSensitive(object, name);
    cJSON_AddItemToObject(object, name, value);
}

static cJSON *any_query(const struct query_table *table)
{
    cJSON *query = cJSON_CreateObject(), *pattern = cJSON_CreateObject();
    for (size_t count = below(6); count > 0; count--)
        put(pattern, any_field(table), any_value());
    if (below(2)) {
        cJSON *list = cJSON_CreateArray();
        cJSON_AddItemToArray(list, pattern);
        pattern = list;
    }
    cJSON_AddItemToObject(query, table->name, pattern);
    return query;
}

// Of a member that is there: the name as a copy, as the member goes with it.
static void replace_any(cJSON *object, int count)
{
    auto_free char *name =
        mem_strdup(cJSON_GetArrayItem(object, (int)below((size_t)count))->string);
    put(object, name, any_value());
}

static void change_pattern(const struct query_table *table, cJSON *pattern)
{
    if (cJSON_IsArray(pattern) && pattern->child)
        pattern = pattern->child;
    if (!cJSON_IsObject(pattern))
        return;
    int count = cJSON_GetArraySize(pattern);
    if (count > 0 && !below(3))
        cJSON_DeleteItemFromArray(pattern, (int)below((size_t)count));
    else if (count > 0 && !below(2))
        replace_any(pattern, count);
    else
        put(pattern, any_field(table), any_value());
}

static void change(cJSON *body)
{
    cJSON *query = cJSON_GetObjectItemCaseSensitive(body, "query");
    if (cJSON_IsArray(query) && query->child)
        query = cJSON_GetArrayItem(query, (int)below((size_t)cJSON_GetArraySize(query)));
    switch (below(8)) {
    case 0:
        put(body, "query", any_query(any_table()));
        break;
    case 1: {
        cJSON *list = cJSON_CreateArray();
        for (size_t count = 1 + below(2); count > 0; count--)
            cJSON_AddItemToArray(list, cJSON_Parse(options[below(ARRAY_LEN(options))]));
        put(body, "options", list);
        break;
    }
    case 2:
        cJSON_DeleteItemFromObjectCaseSensitive(body, "options");
        break;
    default:
        if (cJSON_IsObject(query) && query->child)
            change_pattern(table_of(query), query->child);
        else
            put(body, "query", any_query(any_table()));
    }
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t size_max, unsigned seed)
{
    auto_json cJSON *body = NULL;
    auto_buf struct buf text = {0};
    srand(seed);
    if (size < 2 || !below(2) ||
        json_parse((const char *)data + 2, size - 2, LIMIT_JSON_DEPTH, &body, NULL) ||
        !cJSON_IsObject(body))
        return LLVMFuzzerMutate(data, size, size_max);
    for (size_t count = 1 + below(3); count > 0; count--)
        change(body);
    json_value(&text, body);
    if (text.size + 2 > size_max)
        return LLVMFuzzerMutate(data, size, size_max);
    if (!below(4))
        data[0] = (uint8_t)letters[below(sizeof letters - 1)];
    if (!below(4))
        data[1] = (uint8_t)('0' + below(2));
    memcpy(data + 2, text.data, text.size);
    return text.size + 2;
}
