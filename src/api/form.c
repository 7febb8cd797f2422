// SPDX-License-Identifier: AGPL-3.0-or-later
#include "api/form.h"

#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"

// Decodes text[0..size) in place of a fresh string. A '%' without two digits stands for itself, as
// browsers read it.
static int decode(const char *text, size_t size, char **ret_text, struct err *err)
{
    auto_free char *out = mem_alloc(size + 1);
    size_t n = 0;
    for (size_t i = 0; i < size; i++) {
        bool escape = text[i] == '%' && i + 2 < size && text_hex_digit(text[i + 1]) >= 0 &&
                      text_hex_digit(text[i + 2]) >= 0;
        if (escape) {
            out[n] = (char)(text_hex_digit(text[i + 1]) * 16 + text_hex_digit(text[i + 2]));
            i += 2;
        } else {
            out[n] = text[i] == '+' ? ' ' : text[i];
        }
        if (!out[n++])
            return err_set(err, ERR_INVALID, "invalid form: a NUL character");
    }
    out[n] = '\0';
    if (!utf8_valid(out, n))
        return err_set(err, ERR_INVALID, "invalid form: not valid UTF-8");
    *ret_text = TAKE_PTR(out);
    return 0;
}

// ---- Placing a field ----

// "a[b][]" into its parts: the name, then what stands in the brackets. 0: too many levels. Brackets
// that make no sense are part of the name.
static size_t split_key(char *key, char *parts[LIMIT_FORM_DEPTH])
{
    size_t count = 1;
    char *p = strchr(key, '[');
    parts[0] = key;
    if (!p || p == key)
        return 1;
    for (char *q = p; *q; q++) { // checked whole before it is cut
        char *close = strchr(q, ']');
        if (*q != '[' || !close || memchr(q + 1, '[', (size_t)(close - q - 1)) ||
            ++count > LIMIT_FORM_DEPTH)
            return count > LIMIT_FORM_DEPTH ? 0 : 1;
        q = close;
    }
    count = 1;
    while (*p) {
        *p = '\0';
        parts[count++] = p + 1;
        p = strchr(p + 1, ']');
        *p++ = '\0';
    }
    return count;
}

static bool is_index(const char *part)
{
    return !part[strspn(part, "0123456789")]; // "" too
}

// What `parent` has for this part. An array has its elements by number; "" is always a new one.
static cJSON *child_of(const cJSON *parent, const char *part)
{
    int64_t index;
    if (!cJSON_IsArray(parent))
        return cJSON_GetObjectItemCaseSensitive(parent, part);
    return text_parse_int64(part, 0, LIMIT_FORM_FIELDS, &index)
               ? cJSON_GetArrayItem(parent, (int)index)
               : NULL;
}

// The container for the next part below `parent`, made if there is none. NULL when something else
// is there already.
static cJSON *descend(cJSON *parent, const char *part, bool want_array)
{
    cJSON *child = child_of(parent, part);
    if (child)
        return (want_array ? cJSON_IsArray(child) : cJSON_IsObject(child)) ? child : NULL;
    child = want_array ? cJSON_CreateArray() : cJSON_CreateObject();
    if (cJSON_IsArray(parent))
        cJSON_AddItemToArray(parent, child);
    else
        cJSON_AddItemToObject(parent, part, child);
    return child;
}

// A field that is there already becomes an array of both.
static void put(cJSON *parent, const char *name, cJSON *value)
{
    cJSON *old = cJSON_IsArray(parent) ? NULL : cJSON_GetObjectItemCaseSensitive(parent, name);
    if (cJSON_IsArray(parent)) {
        cJSON_AddItemToArray(parent, value);
    } else if (!old) {
        cJSON_AddItemToObject(parent, name, value);
    } else if (cJSON_IsArray(old)) {
        cJSON_AddItemToArray(old, value);
    } else {
        cJSON *array = cJSON_CreateArray();
        cJSON_AddItemToArray(array, cJSON_DetachItemViaPointer(parent, old));
        cJSON_AddItemToArray(array, value);
        cJSON_AddItemToObject(parent, name, array);
    }
}

static int place(cJSON *root, char *key, const char *value, struct err *err)
{
    char *parts[LIMIT_FORM_DEPTH + 1];
    size_t count = split_key(key, parts);
    if (!count)
        return err_set(err, ERR_INVALID, "invalid form: more than %d levels of brackets",
                       LIMIT_FORM_DEPTH);
    cJSON *parent = root;
    for (size_t i = 0; i + 1 < count; i++) {
        parent = descend(parent, parts[i], is_index(parts[i + 1]));
        if (!parent)
            return err_set(err, ERR_INVALID, "invalid form: field \"%.100s\" is used in two ways",
                           parts[0]);
    }
    put(parent, parts[count - 1], cJSON_CreateString(value));
    return 0;
}

static int add_field(cJSON *root, const char *text, size_t size, struct err *err)
{
    const char *equals = memchr(text, '=', size);
    size_t key_size = equals ? (size_t)(equals - text) : size;
    auto_free char *key = NULL, *value = NULL;
    int rc = decode(text, key_size, &key, err);
    if (!rc)
        rc = equals ? decode(equals + 1, size - key_size - 1, &value, err)
                    : decode("", 0, &value, err);
    return rc ? rc : place(root, key, value, err);
}

int form_parse(const char *text, size_t size, cJSON **ret_value, struct err *err)
{
    auto_json cJSON *root = cJSON_CreateObject();
    size_t fields = 0;
    for (size_t start = 0; start <= size;) {
        const char *end = memchr(text + start, '&', size - start);
        size_t field_size = end ? (size_t)(end - text) - start : size - start;
        if (field_size) {
            if (++fields > LIMIT_FORM_FIELDS)
                return err_set(err, ERR_TOO_LARGE, "invalid form: more than %d fields",
                               LIMIT_FORM_FIELDS);
            int rc = add_field(root, text + start, field_size, err);
            if (rc)
                return rc;
        }
        start += field_size + 1;
    }
    *ret_value = TAKE_PTR(root);
    return 0;
}
