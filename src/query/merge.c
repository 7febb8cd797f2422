// SPDX-License-Identifier: AGPL-3.0-or-later
// Merging maps (user-query 9): members that are objects are merged in their turn, nulls remove,
// everything else, arrays too, replaces.
#include <stdlib.h>
#include <string.h>

#include "query/query_internal.h"

// Adds a member to the end of an object, without a walk through it.
static void append(cJSON *object, const char *key, cJSON *value)
{
    if (!cJSON_AddItemToObject(object, key, value))
        abort(); // memory is out
}

static cJSON *duplicate(const cJSON *value)
{
    cJSON *copy = cJSON_Duplicate(value, true);
    if (!copy)
        abort();
    return copy;
}

// Takes the nulls out of a map that is stored anew.
static void drop_nulls(cJSON *map)
{
    for (cJSON *item = map->child, *next; item; item = next) {
        next = item->next;
        if (cJSON_IsNull(item))
            cJSON_Delete(cJSON_DetachItemViaPointer(map, item));
        else if (cJSON_IsObject(item))
            drop_nulls(item);
    }
}

static void remove_member(cJSON *old, struct map *members, const char *key)
{
    cJSON *item = map_remove(members, key, strlen(key));
    if (item)
        cJSON_Delete(cJSON_DetachItemViaPointer(old, item));
}

static void replace_member(cJSON *old, struct map *members, const cJSON *value)
{
    cJSON *copy = duplicate(value);
    if (cJSON_IsObject(copy))
        drop_nulls(copy);
    append(old, value->string, copy);
    cJSON *replaced = map_set(members, copy->string, strlen(copy->string), copy);
    if (replaced)
        cJSON_Delete(cJSON_DetachItemViaPointer(old, replaced));
}

static void merge_member(cJSON *old, struct map *members, const cJSON *value)
{
    cJSON *item = map_get(members, value->string, strlen(value->string));
    if (cJSON_IsNull(value))
        remove_member(old, members, value->string);
    else if (cJSON_IsObject(value) && cJSON_IsObject(item))
        query_merge(item, value);
    else
        replace_member(old, members, value);
}

void query_merge(cJSON *old, const cJSON *change)
{
    struct map members = {0};
    for (cJSON *item = old->child; item; item = item->next)
        map_set(&members, item->string, strlen(item->string), item);
    for (const cJSON *value = change->child; value; value = value->next)
        merge_member(old, &members, value);
    map_dispose(&members);
}
