// SPDX-License-Identifier: AGPL-3.0-or-later
// What an example's command sends, read from the command itself, so that it is written only once.
//
// The commands are for a shell: words with quotes and escapes, lines that a backslash continues.
#include <string.h>

#include "api/docs_internal.h"
#include "api/params.h"
#include "base/limits.h"
#include "base/text.h"

// Appends what stands between double quotes from p on. Returns where they close, NULL if nowhere.
static const char *append_double_quoted(struct buf *word, const char *p)
{
    for (; *p && *p != '"'; p++) {
        if (*p == '\\' && p[1] && strchr("\"\\$`", p[1]))
            p++;
        buf_append_char(word, *p);
    }
    return *p ? p : NULL;
}

static const char *append_single_quoted(struct buf *word, const char *p)
{
    const char *end = strchr(p, '\'');
    if (end)
        buf_append(word, p, (size_t)(end - p));
    return end;
}

// Reads the next word of *text into `word`. False at the end, or at a quote that nothing closes.
static bool next_word(const char **text, struct buf *word)
{
    const char *p = *text;
    word->size = 0;
    while (text_is_space(*p) || (*p == '\\' && p[1] == '\n'))
        p += *p == '\\' ? 2 : 1;
    if (!*p)
        return false;
    for (; *p && !text_is_space(*p); p++) {
        if (*p == '\\' && p[1] == '\n')
            p++;
        else if (*p == '\'' || *p == '"')
            p = *p == '"' ? append_double_quoted(word, p + 1) : append_single_quoted(word, p + 1);
        else
            buf_append_char(word, *p == '\\' && p[1] ? *++p : *p);
        if (!p)
            return false;
    }
    *text = p;
    return true;
}

static cJSON *typed_value(const struct api_param *param, const char *text)
{
    double number;
    cJSON *value = cJSON_CreateString(text);
    if (param && param->type == PARAM_BOOL) {
        bool truth = params_truth(value);
        cJSON_Delete(value);
        return cJSON_CreateBool(truth);
    }
    if (param && param->type == PARAM_NUMBER && text_parse_double(text, &number)) {
        cJSON_Delete(value);
        return cJSON_CreateNumber(number);
    }
    return value;
}

// Adds "name=value", or "name[]=value" for an item of a list. Cuts `field`.
static void add_field(cJSON *object, const struct api_endpoint *endpoint, char *field)
{
    char *value = strchrnul(field, '=');
    if (*value)
        *value++ = '\0';
    char *brackets = strstr(field, "[]");
    if (!brackets) {
        cJSON_AddItemToObject(object, field, typed_value(params_find(endpoint, field), value));
        return;
    }
    *brackets = '\0';
    cJSON *list = cJSON_GetObjectItemCaseSensitive(object, field);
    if (!list)
        list = cJSON_AddArrayToObject(object, field);
    cJSON_AddItemToArray(list, cJSON_CreateString(value));
}

cJSON *docs_example_params(const struct api_endpoint *endpoint, const struct api_example *example,
                           bool *ret_json)
{
    auto_json cJSON *params = cJSON_CreateObject();
    auto_buf struct buf word = {0};
    const char *text = example->command;
    bool json = false;
    while (next_word(&text, &word)) {
        const char *option = buf_cstr(&word);
        bool header = !strcmp(option, "-H"), data = !strcmp(option, "-d");
        if ((header || data) && !next_word(&text, &word))
            return NULL;
        json = json || (header && strcasestr(buf_cstr(&word), "application/json"));
        if (data && json) {
            const char *body = buf_cstr(&word);
            json_free_ptr(&params);
            if (json_parse(body, word.size, LIMIT_JSON_DEPTH, &params, NULL) ||
                !cJSON_IsObject(params))
                return NULL;
        } else if (data) {
            add_field(params, endpoint, buf_cstr(&word));
        }
    }
    if (text[strspn(text, " \n")])
        return NULL;
    *ret_json = json;
    return TAKE_PTR(params);
}
