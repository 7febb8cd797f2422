// SPDX-License-Identifier: AGPL-3.0-or-later
#include "base/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/text.h"

void json_free_ptr(cJSON **value)
{
    cJSON_Delete(*value);
    *value = NULL;
}

// ---- The strict walk before cJSON ----

struct walk {
    const char *text;
    size_t size;
    size_t at;
    int depth_left;
    int objects_depth; // depth_left at which there are only objects; negative: any value
    size_t values_left;
    struct err *err;
};

static int walk_fail(const struct walk *w, const char *what)
{
    return err_set(w->err, ERR_INVALID, "invalid JSON: %s at byte %zu", what, w->at);
}

static char walk_peek(const struct walk *w)
{
    return w->at < w->size ? w->text[w->at] : '\0';
}

static void walk_space(struct walk *w)
{
    while (w->at < w->size && strchr(" \t\r\n", w->text[w->at]) && w->text[w->at])
        w->at++;
}

// Four hexadecimal digits at the position, or -1.
static int walk_hex4(const struct walk *w, size_t at)
{
    int value = 0;
    if (at + 4 > w->size)
        return -1;
    for (size_t i = at; i < at + 4; i++) {
        int digit = text_hex_digit(w->text[i]);
        if (digit < 0)
            return -1;
        value = value * 16 + digit;
    }
    return value;
}

static int walk_escape(struct walk *w)
{
    char c = w->at + 1 < w->size ? w->text[w->at + 1] : '\0';
    if (c && strchr("\"\\/bfnrt", c)) {
        w->at += 2;
        return 0;
    }
    if (c != 'u')
        return walk_fail(w, "an unknown escape");
    int unit = walk_hex4(w, w->at + 2);
    if (unit < 0)
        return walk_fail(w, "a broken \\u escape");
    if (unit == 0)
        return walk_fail(w, "a NUL character");
    if (unit >= 0xd800 && unit <= 0xdfff) {
        int low = w->at + 8 <= w->size && !memcmp(w->text + w->at + 6, "\\u", 2)
                      ? walk_hex4(w, w->at + 8)
                      : -1;
        if (unit >= 0xdc00 || low < 0xdc00 || low > 0xdfff)
            return walk_fail(w, "half a surrogate pair");
        w->at += 6;
    }
    w->at += 6;
    return 0;
}

static int walk_string(struct walk *w)
{
    for (w->at++; w->at < w->size;) {
        unsigned char c = (unsigned char)w->text[w->at];
        if (c == '"') {
            w->at++;
            return 0;
        }
        if (c < 0x20)
            return walk_fail(w, "a control character in a string");
        if (c != '\\') {
            w->at++;
        } else {
            int rc = walk_escape(w);
            if (rc)
                return rc;
        }
    }
    return walk_fail(w, "a string without end");
}

static void walk_digits(struct walk *w)
{
    while (walk_peek(w) >= '0' && walk_peek(w) <= '9')
        w->at++;
}

static int walk_number(struct walk *w)
{
    size_t start = w->at;
    if (walk_peek(w) == '-')
        w->at++;
    size_t digits = w->at;
    walk_digits(w);
    if (w->at == digits || (w->text[digits] == '0' && w->at - digits > 1))
        return walk_fail(w, "a malformed number");
    if (walk_peek(w) == '.') {
        digits = ++w->at;
        walk_digits(w);
        if (w->at == digits)
            return walk_fail(w, "a malformed number");
    }
    if (walk_peek(w) == 'e' || walk_peek(w) == 'E') {
        w->at++;
        if (walk_peek(w) == '+' || walk_peek(w) == '-')
            w->at++;
        digits = w->at;
        walk_digits(w);
        if (w->at == digits)
            return walk_fail(w, "a malformed number");
    }
    // cJSON copies a number into 64 bytes: longer ones would be cut.
    char text[64];
    if (w->at - start >= sizeof text)
        return walk_fail(w, "a number of more than 63 characters");
    memcpy(text, w->text + start, w->at - start);
    text[w->at - start] = '\0';
    return isfinite(strtod(text, NULL)) ? 0 : walk_fail(w, "a number out of range");
}

static int walk_literal(struct walk *w)
{
    static const char *const literals[] = {"true", "false", "null"};
    for (size_t i = 0; i < ARRAY_LEN(literals); i++) {
        size_t len = strlen(literals[i]);
        if (w->size - w->at >= len && !memcmp(w->text + w->at, literals[i], len)) {
            w->at += len;
            return 0;
        }
    }
    return walk_fail(w, w->at < w->size ? "an unexpected character" : "an unexpected end");
}

static int walk_value(struct walk *w);

static int walk_item(struct walk *w)
{
    walk_space(w);
    if (w->objects_depth == w->depth_left && walk_peek(w) != '{')
        return walk_fail(w, "an element that is no object");
    return walk_value(w);
}

// The members of an object or the elements of an array, behind the opening bracket.
static int walk_items(struct walk *w, char close)
{
    w->at++;
    walk_space(w);
    if (walk_peek(w) == close) {
        w->at++;
        return 0;
    }
    for (;;) {
        int rc;
        walk_space(w);
        if (close == '}') {
            if (walk_peek(w) != '"')
                return walk_fail(w, "a member without a quoted name");
            if ((rc = walk_string(w)))
                return rc;
            walk_space(w);
            if (walk_peek(w) != ':')
                return walk_fail(w, "a member without a colon");
            w->at++;
        }
        if ((rc = walk_item(w)))
            return rc;
        walk_space(w);
        char c = walk_peek(w);
        if (c != ',' && c != close)
            return walk_fail(w, w->at < w->size ? "a missing comma" : "an unexpected end");
        w->at++;
        if (c == close)
            return 0;
    }
}

static int walk_value(struct walk *w)
{
    walk_space(w);
    char c = walk_peek(w);
    if (w->values_left-- == 0)
        return walk_fail(w, "too many values");
    if (c == '"')
        return walk_string(w);
    if (c == '-' || (c >= '0' && c <= '9'))
        return walk_number(w);
    if (c != '{' && c != '[')
        return walk_literal(w);
    if (w->depth_left-- == 0)
        return walk_fail(w, "too deep a nesting");
    int rc = walk_items(w, c == '{' ? '}' : ']');
    w->depth_left++;
    return rc;
}

// ---- Repeated keys ----

static int check_keys(const cJSON *value, struct err *err)
{
    struct map CLEANUP(map_dispose) seen = {0};
    for (const cJSON *item = value->child; item; item = item->next) {
        if (cJSON_IsObject(value) && (value->child != item || item->next) &&
            map_set(&seen, item->string, strlen(item->string), item->string))
            return err_set(err, ERR_INVALID, "invalid JSON: repeated key \"%.100s\"", item->string);
        if (item->child) {
            int rc = check_keys(item, err);
            if (rc)
                return rc;
        }
    }
    return 0;
}

static int walk_text(struct walk *w)
{
    if (!utf8_valid(w->text, w->size))
        return err_set(w->err, ERR_INVALID, "invalid JSON: not valid UTF-8");
    int rc = walk_value(w);
    if (rc)
        return rc;
    walk_space(w);
    return w->at == w->size ? 0 : walk_fail(w, "text behind the value");
}

int json_check_objects(const char *text, size_t size, int depth_max, struct err *err)
{
    struct walk w = {.text = text,
                     .size = size,
                     .depth_left = depth_max,
                     .objects_depth = depth_max - 1,
                     .values_left = SIZE_MAX,
                     .err = err};
    walk_space(&w);
    return walk_peek(&w) == '[' ? walk_text(&w) : walk_fail(&w, "no array");
}

int json_parse(const char *text, size_t size, int depth_max, cJSON **ret_value, struct err *err)
{
    assert(depth_max <= CJSON_NESTING_LIMIT);
    struct walk w = {.text = text,
                     .size = size,
                     .depth_left = depth_max,
                     .objects_depth = -1,
                     .values_left = LIMIT_JSON_VALUES,
                     .err = err};
    int rc = walk_text(&w);
    if (rc)
        return rc;
    auto_json cJSON *value = cJSON_ParseWithLength(text, size);
    if (!value)
        return err_internal(err, "cJSON refused what the strict reader let through");
    if ((rc = check_keys(value, err)))
        return rc;
    *ret_value = TAKE_PTR(value);
    return 0;
}

const cJSON *json_get(const cJSON *object, const char *key)
{
    return cJSON_GetObjectItemCaseSensitive(object, key);
}

size_t json_size(const cJSON *value)
{
    if (!value)
        return 0;
    size_t size = sizeof *value;
    size += value->string ? strlen(value->string) : 0;
    size += value->valuestring ? strlen(value->valuestring) : 0;
    for (const cJSON *item = value->child; item; item = item->next)
        size += json_size(item);
    return size;
}

const char *json_get_str(const cJSON *object, const char *key)
{
    return cJSON_GetStringValue(json_get(object, key));
}

bool json_list_has(const char *list, const char *string)
{
    auto_json cJSON *items = list ? cJSON_Parse(list) : NULL;
    const cJSON *item;
    cJSON_ArrayForEach(item, items)
    {
        if (cJSON_IsString(item) && !strcmp(item->valuestring, string))
            return true;
    }
    return false;
}

// ---- Writing ----

static void separate(struct buf *b)
{
    if (!b->size)
        return;
    char last = b->data[b->size - 1];
    if (last != '{' && last != '[' && last != ':' && last != '\n')
        buf_append_char(b, ',');
}

void json_begin_object(struct buf *b)
{
    separate(b);
    buf_append_char(b, '{');
}

void json_end_object(struct buf *b)
{
    buf_append_char(b, '}');
}

void json_begin_array(struct buf *b)
{
    separate(b);
    buf_append_char(b, '[');
}

void json_end_array(struct buf *b)
{
    buf_append_char(b, ']');
}

void json_key(struct buf *b, const char *key)
{
    separate(b);
    size_t size = strlen(key);
    char *p = buf_reserve(b, size + 3);
    *p++ = '"';
    memcpy(p, key, size);
    p[size] = '"';
    p[size + 1] = ':';
    b->size += size + 3;
}

static void append_escape(struct buf *b, unsigned char c)
{
    static const char short_escapes[] = {
        ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'};
    static const char hex[] = "0123456789abcdef";
    char escape[] = "\\u0000";
    size_t size = 2;
    if (c == '"' || c == '\\') {
        escape[1] = (char)c;
    } else if (c < sizeof short_escapes && short_escapes[c]) {
        escape[1] = short_escapes[c];
    } else {
        escape[4] = hex[c >> 4];
        escape[5] = hex[c & 15];
        size = 6;
    }
    buf_append(b, escape, size);
}

static void write_escaped(struct buf *b, const char *s, size_t size)
{
    size_t start = 0;
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c >= 0x20 && c != '"' && c != '\\' && c != 0x7f)
            continue;
        buf_append(b, s + start, i - start);
        append_escape(b, c);
        start = i + 1;
    }
    buf_append(b, s + start, size - start);
}

static void write_quoted_valid(struct buf *b, const char *s, size_t size)
{
    buf_reserve(b, size + 2);
    buf_append_char(b, '"');
    write_escaped(b, s, size);
    buf_append_char(b, '"');
}

void json_write_quoted(struct buf *b, const char *s, size_t size)
{
    if (utf8_valid(s, size)) {
        write_quoted_valid(b, s, size);
        return;
    }
    auto_buf struct buf clean = {0};
    utf8_append_lossy(&clean, s, size);
    write_quoted_valid(b, clean.data, clean.size);
}

void json_write_digits(struct buf *b, int64_t value)
{
    char digits[24], *p = digits + sizeof digits;
    uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    do
        *--p = (char)('0' + rest % 10);
    while (rest /= 10);
    if (value < 0)
        *--p = '-';
    buf_append(b, p, (size_t)(digits + sizeof digits - p));
}

void json_str(struct buf *b, const char *s)
{
    json_strn(b, s, strlen(s));
}

void json_strn(struct buf *b, const char *s, size_t size)
{
    separate(b);
    json_write_quoted(b, size ? s : "", size);
}

void json_stream_begin(struct json_stream *stream, struct buf *out)
{
    *stream = (struct json_stream){.out = out};
    separate(out);
    buf_append_char(out, '"');
}

// How many bytes at the end of the text may be the beginning of a character that is not whole. A
// byte that begins one never belongs to what stands before it, so the text may be cut there.
static size_t unfinished(const char *s, size_t size)
{
    for (size_t back = 1; back <= 3 && back <= size; back++) {
        unsigned char c = (unsigned char)s[size - back];
        size_t len = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc0 ? 2 : 1;
        if (c >= 0xc0 || c < 0x80)
            return len > back ? back : 0;
    }
    return 0;
}

static void write_piece(struct buf *out, const char *s, size_t size)
{
    if (utf8_valid(s, size)) {
        write_escaped(out, s, size);
        return;
    }
    auto_buf struct buf clean = {0};
    utf8_append_lossy(&clean, s, size);
    write_escaped(out, clean.data, clean.size);
}

void json_stream_append(struct json_stream *stream, const void *bytes, size_t size)
{
    auto_buf struct buf joined = {0};
    const char *s = bytes;
    if (stream->held_size) {
        buf_append(&joined, stream->held, stream->held_size);
        buf_append(&joined, bytes, size);
        s = joined.data;
        size = joined.size;
    }
    stream->held_size = unfinished(s, size);
    write_piece(stream->out, s, size - stream->held_size);
    memcpy(stream->held, s + size - stream->held_size, stream->held_size);
}

void json_stream_end(struct json_stream *stream)
{
    write_piece(stream->out, stream->held, stream->held_size);
    buf_append_char(stream->out, '"');
}

void json_int(struct buf *b, int64_t value)
{
    separate(b);
    json_write_digits(b, value);
}

void json_double(struct buf *b, double value)
{
    char text[40];
    if (!isfinite(value)) {
        json_null(b);
        return;
    }
    if (value == trunc(value) && fabs(value) < 1e15) {
        json_int(b, (int64_t)value);
        return;
    }
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    separate(b);
    buf_append_str(b, text);
}

void json_bool(struct buf *b, bool value)
{
    separate(b);
    buf_append_str(b, value ? "true" : "false");
}

void json_null(struct buf *b)
{
    separate(b);
    buf_append_str(b, "null");
}

void json_raw(struct buf *b, const char *text, size_t size)
{
    separate(b);
    buf_append(b, text, size);
}

static void write_key_quoted(struct buf *b, const char *key)
{
    json_str(b, key);
    buf_append_char(b, ':');
}

void json_value(struct buf *b, const cJSON *value)
{
    if (cJSON_IsString(value)) {
        json_str(b, value->valuestring);
    } else if (cJSON_IsNumber(value)) {
        json_double(b, value->valuedouble);
    } else if (cJSON_IsBool(value)) {
        json_bool(b, cJSON_IsTrue(value));
    } else if (cJSON_IsArray(value)) {
        json_begin_array(b);
        for (const cJSON *item = value->child; item; item = item->next)
            json_value(b, item);
        json_end_array(b);
    } else if (cJSON_IsObject(value)) {
        json_begin_object(b);
        for (const cJSON *item = value->child; item; item = item->next) {
            write_key_quoted(b, item->string);
            json_value(b, item);
        }
        json_end_object(b);
    } else {
        json_null(b);
    }
}

static int compare_names(const void *a, const void *b)
{
    const cJSON *const *x = a, *const *y = b;
    return strcmp((*x)->string, (*y)->string);
}

static void write_sorted_object(struct buf *b, const cJSON *object)
{
    size_t count = (size_t)cJSON_GetArraySize(object), i = 0;
    auto_free const cJSON **members = mem_alloc((count + 1) * sizeof *members);
    for (const cJSON *item = object->child; item; item = item->next)
        members[i++] = item;
    qsort(members, count, sizeof *members, compare_names);
    json_begin_object(b);
    for (i = 0; i < count; i++) {
        write_key_quoted(b, members[i]->string);
        json_value_sorted(b, members[i]);
    }
    json_end_object(b);
}

void json_value_sorted(struct buf *b, const cJSON *value)
{
    if (cJSON_IsObject(value)) {
        write_sorted_object(b, value);
    } else if (cJSON_IsArray(value)) {
        json_begin_array(b);
        for (const cJSON *item = value->child; item; item = item->next)
            json_value_sorted(b, item);
        json_end_array(b);
    } else {
        json_value(b, value);
    }
}

void json_member_str(struct buf *b, const char *key, const char *s)
{
    json_key(b, key);
    json_str(b, s);
}

void json_member_int(struct buf *b, const char *key, int64_t value)
{
    json_key(b, key);
    json_int(b, value);
}

void json_member_bool(struct buf *b, const char *key, bool value)
{
    json_key(b, key);
    json_bool(b, value);
}

void json_member_time(struct buf *b, const char *key, int64_t time_ms)
{
    char iso[CLOCK_ISO_SIZE];
    clock_iso(time_ms, iso);
    json_member_str(b, key, iso);
}
