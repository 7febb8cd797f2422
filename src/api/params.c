// SPDX-License-Identifier: AGPL-3.0-or-later
#include "api/params.h"

#include <math.h>
#include <string.h>
#include <strings.h>

#include "api/form.h"
#include "base/limits.h"
#include "base/text.h"

// ---- The body ----

// True when a header's value is this media type, whatever parameters follow.
static bool is_type(const char *content_type, const char *type)
{
    size_t len = strlen(type);
    return !strncasecmp(content_type, type, len) &&
           (!content_type[len] || strchr("; \t", content_type[len]));
}

static bool charset_is_utf8(const char *content_type)
{
    const char *charset = strcasestr(content_type, "charset=");
    if (!charset)
        return true;
    charset += strlen("charset=");
    charset += *charset == '"';
    return !strncasecmp(charset, "utf-8", 5) || !strncasecmp(charset, "utf8", 4) ||
           !strncasecmp(charset, "us-ascii", 8);
}

static int read_json(const char *text, size_t size, cJSON **ret_body, struct err *err)
{
    auto_json cJSON *value = NULL;
    int rc = json_parse(text, size, LIMIT_JSON_DEPTH, &value, err);
    if (rc)
        return rc;
    if (cJSON_IsArray(value)) { // an object with numbers for names; the first is refused already
        cJSON *first = cJSON_DetachItemFromArray(value, 0);
        *ret_body = cJSON_CreateObject();
        if (first)
            cJSON_AddItemToObject(*ret_body, "0", first);
        return 0;
    }
    if (!cJSON_IsObject(value))
        return err_set(err, ERR_INVALID, "invalid JSON: the body must be an object");
    *ret_body = TAKE_PTR(value);
    return 0;
}

int params_read_body(const char *content_type, const char *text, size_t size, cJSON **ret_body,
                     struct err *err)
{
    *ret_body = NULL;
    if (!content_type || !size)
        return 0;
    bool json = is_type(content_type, "application/json");
    bool form = is_type(content_type, "application/x-www-form-urlencoded");
    if ((json || form) && !charset_is_utf8(content_type))
        return err_set(err, ERR_UNSUPPORTED, "unsupported charset: only UTF-8 is understood");
    return json   ? read_json(text, size, ret_body, err)
           : form ? form_parse(text, size, ret_body, err)
                  : 0;
}

// ---- Values ----

bool params_whole(const struct api_number *number, int64_t min, int64_t max, int64_t *ret_value)
{
    const double value = number->value;
    if (!(value >= (double)min && value <= (double)max && value == floor(value)))
        return false;
    *ret_value = (int64_t)value;
    return true;
}

bool params_truth(const cJSON *value)
{
    static const char *const falsehoods[] = {"", "false", "0", "no", "off"};
    if (cJSON_IsString(value)) {
        for (size_t i = 0; i < ARRAY_LEN(falsehoods); i++) {
            if (!strcasecmp(value->valuestring, falsehoods[i]))
                return false;
        }
        return true;
    }
    if (cJSON_IsNumber(value))
        return value->valuedouble != 0;
    return value && !cJSON_IsFalse(value) && !cJSON_IsNull(value);
}

static int wrong_type(const struct api_param *param, const char *wanted, struct err *err)
{
    return err_set(err, ERR_INVALID, "%s must be %s", param->name, wanted);
}

// Puts API v1's words around what is wrong.
static int quote_wrong_type(const struct api_endpoint *endpoint, int rc, struct err *err)
{
    if (!rc || endpoint->family != API_V1)
        return rc;
    const struct err reason = *err;
    return err_set(err, ERR_INVALID, "invalid parameters 'TypeError: %.400s'", reason.message);
}

static int fill_number(const struct api_param *param, const cJSON *value, struct api_number *out,
                       struct err *err)
{
    out->given = true;
    if (cJSON_IsNumber(value)) {
        out->value = value->valuedouble;
        return 0;
    }
    if (cJSON_IsString(value) && text_parse_double(value->valuestring, &out->value))
        return 0;
    return wrong_type(param, "a number", err);
}

static int fill_strings(const struct api_param *param, const cJSON *value, struct arena *arena,
                        struct api_strings *out, struct err *err)
{
    size_t count = 0;
    const char **items =
        arena_alloc(arena, ((size_t)cJSON_GetArraySize(value) + 1) * sizeof *items);
    out->given = true;
    out->is_list = cJSON_IsArray(value);
    if (cJSON_IsString(value) && param->type == PARAM_STRING_OR_LIST) {
        items[count++] = value->valuestring;
    } else if (out->is_list) {
        for (const cJSON *item = value->child; item; item = item->next) {
            if (!cJSON_IsString(item))
                return wrong_type(param, "a list of strings", err);
            items[count++] = item->valuestring;
        }
    } else {
        return wrong_type(param,
                          param->type == PARAM_STRINGS ? "a list of strings"
                                                       : "a string or a list of strings",
                          err);
    }
    out->items = items;
    out->count = count;
    return 0;
}

static int fill_value(const struct api_param *param, const cJSON *value, struct arena *arena,
                      void *field, struct err *err)
{
    switch (param->type) {
    case PARAM_STRING:
        if (!cJSON_IsString(value))
            return wrong_type(param, "a string", err);
        *(const char **)field = value->valuestring;
        return 0;
    case PARAM_BOOL:
        *(bool *)field = params_truth(value);
        return 0;
    case PARAM_NUMBER:
        return fill_number(param, value, field, err);
    case PARAM_ANY:
        *(const cJSON **)field = value;
        return 0;
    default:
        return fill_strings(param, value, arena, field, err);
    }
}

// ---- All of them ----

const struct api_param *params_find(const struct api_endpoint *endpoint, const char *name)
{
    for (size_t i = 0; i < endpoint->params_count; i++) {
        if (!strcmp(endpoint->params[i].name, name))
            return &endpoint->params[i];
    }
    return NULL;
}

static int missing_param(const struct api_endpoint *endpoint, const struct api_param *param,
                         struct err *err)
{
    if (endpoint->family != API_V1)
        return err_set(err, ERR_INVALID, "%s must be specified", param->name);
    return err_set(err, ERR_INVALID,
                   "invalid parameters 'Error: misc.defaults -- TypeError: property '%s' "
                   "must be specified: '",
                   param->name);
}

static int check_missing(const struct api_endpoint *endpoint, const cJSON *body, struct err *err)
{
    for (size_t i = 0; i < endpoint->params_count; i++) {
        const struct api_param *param = &endpoint->params[i];
        const cJSON *value = param->required ? json_get(body, param->name) : NULL;
        if (param->required && (!value || cJSON_IsNull(value)))
            return missing_param(endpoint, param, err);
    }
    return 0;
}

// `event` may stand in the body when it says what the URL says; `id` belongs to every endpoint.
static int check_undeclared(const struct api_endpoint *endpoint, const cJSON *item, struct err *err)
{
    if (endpoint->family != API_V1 || !strcmp(item->string, "id"))
        return 0;
    if (strcmp(item->string, "event"))
        return err_set(err, ERR_INVALID,
                       "invalid parameters 'Error: misc.defaults -- TypeError: got an unexpected "
                       "argument '%.200s' '",
                       item->string);
    if (cJSON_IsString(item) && !strcmp(item->valuestring, endpoint->name))
        return 0;
    return err_set(err, ERR_INVALID,
                   "invalid parameters 'Error: ValueError: must not define 'event' when calling "
                   "message creation"
                   " function (opts=%s)'",
                   endpoint->name);
}

// What is left out is zero, but for the booleans that are true then.
static void fill_defaults(const struct api_endpoint *endpoint, char *params)
{
    for (size_t i = 0; i < endpoint->params_count; i++) {
        const struct api_param *param = &endpoint->params[i];
        if (param->type == PARAM_BOOL && param->default_text &&
            !strcmp(param->default_text, "true"))
            *(bool *)(params + param->offset) = true;
    }
}

int params_fill(const struct api_endpoint *endpoint, const cJSON *body, struct arena *arena,
                void **ret_params, struct err *err)
{
    char *params = arena_zalloc(arena, endpoint->params_size);
    fill_defaults(endpoint, params);
    int rc = check_missing(endpoint, body, err);
    for (const cJSON *item = body ? body->child : NULL; item && !rc; item = item->next) {
        const struct api_param *param = params_find(endpoint, item->string);
        if (!param)
            rc = check_undeclared(endpoint, item, err);
        else if (!cJSON_IsNull(item) || param->takes_null)
            rc = quote_wrong_type(endpoint,
                                  fill_value(param, item, arena, params + param->offset, err), err);
    }
    *ret_params = params;
    return rc;
}

int params_fill_list(const struct api_endpoint *endpoint, const cJSON *list, struct arena *arena,
                     void **ret_params, struct err *err)
{
    char *params = arena_zalloc(arena, endpoint->params_size);
    const cJSON *item = list ? list->child : NULL;
    int rc = 0;
    fill_defaults(endpoint, params);
    for (size_t i = 0; i < endpoint->params_count && !rc; i++) {
        const struct api_param *param = &endpoint->params[i];
        if (item && !cJSON_IsNull(item))
            rc = fill_value(param, item, arena, params + param->offset, err);
        else if (param->required)
            rc = missing_param(endpoint, param, err);
        item = item ? item->next : NULL;
    }
    *ret_params = params;
    return rc;
}
