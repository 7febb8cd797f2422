// SPDX-License-Identifier: AGPL-3.0-or-later
// Order and equality of JSON values.
#include <stdlib.h>
#include <string.h>

#include "query/get_internal.h"

static int rank(const cJSON *value)
{
    if (cJSON_IsNull(value))
        return 0;
    if (cJSON_IsString(value))
        return 1;
    if (cJSON_IsNumber(value))
        return 2;
    if (cJSON_IsBool(value))
        return 3;
    return cJSON_IsArray(value) ? 4 : 5;
}

static size_t length(const cJSON *value)
{
    size_t count = 0;
    for (const cJSON *item = value->child; item; item = item->next)
        count++;
    return count;
}

static int compare_sizes(size_t a, size_t b)
{
    return (a > b) - (a < b);
}

// Takes as long as the shorter one: a long operand is compared with the values of many rows.
static int compare_lengths(const cJSON *a, const cJSON *b)
{
    const cJSON *x = a->child, *y = b->child;
    for (; x && y; x = x->next)
        y = y->next;
    return (x != NULL) - (y != NULL);
}

// Shorter names come first.
static int compare_names(const char *a, const char *b)
{
    int rc = compare_sizes(strlen(a), strlen(b));
    return rc ? rc : strcmp(a, b);
}

static int compare_members(const void *a, const void *b)
{
    const cJSON *const *x = a, *const *y = b;
    return compare_names((*x)->string, (*y)->string);
}

static const cJSON **sorted_members(const cJSON *object, size_t count)
{
    const cJSON **members = mem_alloc(count * sizeof *members);
    size_t i = 0;
    for (const cJSON *item = object->child; item; item = item->next)
        members[i++] = item;
    qsort(members, count, sizeof *members, compare_members);
    return members;
}

static int compare_objects(const cJSON *a, const cJSON *b)
{
    int rc = compare_lengths(a, b);
    if (rc)
        return rc;
    const size_t count = length(a);
    const cJSON **x = sorted_members(a, count), **y = sorted_members(b, count);
    for (size_t i = 0; !rc && i < count; i++) {
        rc = compare_names(x[i]->string, y[i]->string);
        if (!rc)
            rc = query_json_compare(x[i], y[i]);
    }
    free(x);
    free(y);
    return rc;
}

int query_array_compare(const cJSON *a, const cJSON *b)
{
    const cJSON *x = a->child, *y = b->child;
    int rc = 0;
    for (; !rc && x && y; x = x->next, y = y->next)
        rc = query_json_compare(x, y);
    return rc ? rc : (x != NULL) - (y != NULL);
}

int query_json_compare(const cJSON *a, const cJSON *b)
{
    int rc = rank(a) - rank(b);
    if (rc)
        return rc;
    if (cJSON_IsString(a))
        return strcmp(a->valuestring, b->valuestring);
    if (cJSON_IsNumber(a))
        return (a->valuedouble > b->valuedouble) - (a->valuedouble < b->valuedouble);
    if (cJSON_IsBool(a))
        return (int)cJSON_IsTrue(a) - (int)cJSON_IsTrue(b);
    if (cJSON_IsObject(a))
        return compare_objects(a, b);
    if (!cJSON_IsArray(a))
        return 0;
    rc = compare_lengths(a, b);
    return rc ? rc : query_array_compare(a, b);
}
