// SPDX-License-Identifier: AGPL-3.0-or-later
#include "query/value.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/interval.h"
#include "base/js_date.h"
#include "base/text.h"

// Bytes of a value that an error text shows.
#define SHOWN_SIZE ((size_t)300)
// The first millisecond of the year 0, and the one behind the year 9999: what can be shown.
#define TIME_MIN_MS INT64_C(-62167219200000)
#define TIME_END_MS INT64_C(253402300800000)
// What a double holds exactly, which is also all that JSON numbers can say.
#define WHOLE_MAX 9007199254740992.0
// Units of a relative time: a thousand years of seconds.
#define RELATIVE_MAX 31556952000.0

// ---- Texts of values ----

static void append_text(const cJSON *value, bool nested, struct buf *out)
{
    if (out->size > SHOWN_SIZE || (nested && cJSON_IsNull(value)))
        return;
    if (cJSON_IsString(value)) {
        buf_append(out, value->valuestring, strnlen(value->valuestring, SHOWN_SIZE + 1));
    } else if (cJSON_IsArray(value)) {
        for (const cJSON *item = value->child; item && out->size <= SHOWN_SIZE; item = item->next) {
            append_text(item, true, out);
            if (item->next)
                buf_append_char(out, ',');
        }
    } else if (cJSON_IsObject(value)) {
        buf_append_str(out, "[object Object]");
    } else {
        auto_buf struct buf json = {0};
        json_value(&json, value);
        buf_append(out, json.data, json.size);
    }
}

const char *query_value_text(const cJSON *value, struct arena *arena)
{
    auto_buf struct buf text = {0}, clean = {0};
    if (!value)
        return "undefined";
    append_text(value, false, &text);
    if (text.size <= SHOWN_SIZE)
        return arena_strndup(arena, text.size ? text.data : "", text.size);
    utf8_append_lossy(&clean, text.data, SHOWN_SIZE);
    return arena_strndup(arena, clean.data, clean.size);
}

const cJSON *query_given(const cJSON *pattern, const char *field)
{
    const cJSON *value = json_get(pattern, field);
    return cJSON_IsNull(value) ? NULL : value;
}

void query_put(cJSON *pattern, const char *field, cJSON *value)
{
    cJSON_DeleteItemFromObjectCaseSensitive(pattern, field);
    if (!value || !cJSON_AddItemToObject(pattern, field, value))
        abort(); // memory is out
}

const char *query_type_name(enum query_type type)
{
    static const char *const names[] = {
        [QUERY_UUID] = "uuid",
        [QUERY_TEXT] = "text",
        [QUERY_TIMESTAMP] = "timestamp",
        [QUERY_JSON] = "jsonb",
        [QUERY_BOOLEAN] = "boolean",
        [QUERY_INTEGER] = "integer",
        [QUERY_NUMBER] = "double precision",
        [QUERY_BYTES] = "bytea",
        [QUERY_BITS] = "bit varying",
    };
    return names[type];
}

static int refuse_syntax(enum query_type type, const cJSON *value, struct arena *arena,
                         struct err *err)
{
    return err_set(err, ERR_INVALID, "postgresql error: invalid input syntax for type %s: \"%s\"",
                   query_type_name(type), query_value_text(value, arena));
}

// ---- Reading ----

bool query_uuid_read(const cJSON *value, struct uuid *ret_id)
{
    return cJSON_IsString(value) &&
           uuid_parse(value->valuestring, strlen(value->valuestring), ret_id);
}

static struct db_value text_of_json(const cJSON *value, struct arena *arena)
{
    auto_buf struct buf text = {0};
    json_value(&text, value);
    return DB_TEXTN(arena_strndup(arena, text.data, text.size), text.size);
}

static struct db_value read_text(const struct query_column *column, const cJSON *value,
                                 struct arena *arena)
{
    struct db_value text = cJSON_IsString(value)
                               ? DB_TEXTN(value->valuestring, strlen(value->valuestring))
                               : text_of_json(value, arena);
    if (column->max_length && text.size > column->max_length)
        text.size = utf8_prefix_utf16(text.text, text.size, column->max_length, NULL);
    return text;
}

static int read_uuid(const cJSON *value, struct arena *arena, struct db_value *ret_value,
                     struct err *err)
{
    struct uuid id;
    if (!query_uuid_read(value, &id))
        return refuse_syntax(QUERY_UUID, value, arena, err);
    *ret_value = DB_TEXTN(arena_strndup(arena, id.text, UUID_LEN), UUID_LEN);
    return 0;
}

static bool is_one_of(const char *text, const char *const *list)
{
    while (*list && strcasecmp(text, *list) != 0)
        list++;
    return *list;
}

static int read_boolean(const cJSON *value, struct arena *arena, struct db_value *ret_value,
                        struct err *err)
{
    static const char *const yes[] = {"t", "true", "y", "yes", "on", "1", NULL};
    static const char *const no[] = {"f", "false", "n", "no", "off", "0", NULL};
    const char *text = query_value_text(value, arena);
    bool is_true = is_one_of(text, yes);
    if (cJSON_IsArray(value) || (!is_true && !is_one_of(text, no)))
        return refuse_syntax(QUERY_BOOLEAN, value, arena, err);
    *ret_value = DB_INT(is_true);
    return 0;
}

// The number that a value is or that its text says.
static bool number_of(const cJSON *value, double *ret_number)
{
    if (cJSON_IsNumber(value)) {
        *ret_number = value->valuedouble;
        return true;
    }
    return cJSON_IsString(value) && text_parse_double(value->valuestring, ret_number);
}

static int read_integer(const cJSON *value, struct arena *arena, struct db_value *ret_value,
                        struct err *err)
{
    double number;
    if (!number_of(value, &number) || number != trunc(number) ||
        (cJSON_IsString(value) && strpbrk(value->valuestring, ".eE")))
        return refuse_syntax(QUERY_INTEGER, value, arena, err);
    if (number < INT32_MIN || number > INT32_MAX)
        return err_set(err, ERR_INVALID,
                       "postgresql error: value \"%s\" is out of range for type integer",
                       query_value_text(value, arena));
    *ret_value = DB_INT(number);
    return 0;
}

static int read_number(const struct query_column *column, const cJSON *value, struct arena *arena,
                       struct db_value *ret_value, struct err *err)
{
    double number;
    if (!number_of(value, &number))
        return refuse_syntax(QUERY_NUMBER, value, arena, err);
    *ret_value = column->whole && number == trunc(number) && fabs(number) <= WHOLE_MAX
                     ? DB_INT(number)
                     : DB_REAL(number);
    return 0;
}

static int out_of_range(const cJSON *value, struct arena *arena, struct err *err)
{
    return err_set(err, ERR_INVALID, "postgresql error: date/time field value out of range: \"%s\"",
                   query_value_text(value, arena));
}

static int take_time(const cJSON *value, int64_t time_ms, struct arena *arena,
                     struct db_value *ret_value, struct err *err)
{
    if (time_ms < TIME_MIN_MS || time_ms >= TIME_END_MS)
        return out_of_range(value, arena, err);
    *ret_value = DB_INT(time_ms);
    return 0;
}

// ISO 8601 begins with a year of four digits.
static bool parse_time(const char *text, int64_t *ret_time_ms)
{
    return strspn(text, "0123456789") == 4 && text[4] == '-' && js_date_parse(text, ret_time_ms);
}

static int read_time(const cJSON *value, int64_t now_ms, struct arena *arena,
                     struct db_value *ret_value, struct err *err)
{
    int64_t time_ms;
    if (cJSON_IsNumber(value)) {
        if (fabs(value->valuedouble) > WHOLE_MAX)
            return out_of_range(value, arena, err);
        return take_time(value, (int64_t)floor(value->valuedouble), arena, ret_value, err);
    }
    if (!cJSON_IsString(value))
        return refuse_syntax(QUERY_TIMESTAMP, value, arena, err);
    if (!strcasecmp(value->valuestring, "now()"))
        return take_time(value, now_ms, arena, ret_value, err);
    if (!parse_time(value->valuestring, &time_ms))
        return refuse_syntax(QUERY_TIMESTAMP, value, arena, err);
    return take_time(value, time_ms, arena, ret_value, err);
}

// The bytes of {"type":"Buffer","data":[…]}; false if it is something else.
static bool read_buffer(const cJSON *value, struct arena *arena, struct db_value *ret_value)
{
    const cJSON *data = json_get(value, "data");
    const char *type = json_get_str(value, "type");
    if (!cJSON_IsArray(data) || !type || strcmp(type, "Buffer") != 0)
        return false;
    char *bytes = arena_alloc(arena, (size_t)cJSON_GetArraySize(data) + 1);
    size_t size = 0;
    for (const cJSON *item = data->child; item; item = item->next) {
        double byte = cJSON_IsNumber(item) ? item->valuedouble : -1;
        if (byte < 0 || byte > 255 || byte != trunc(byte))
            return false;
        bytes[size++] = (char)(unsigned char)byte;
    }
    *ret_value = DB_BYTES(bytes, size);
    return true;
}

static int read_bytes(const cJSON *value, struct arena *arena, struct db_value *ret_value,
                      struct err *err)
{
    if (cJSON_IsString(value))
        *ret_value = DB_BYTES(value->valuestring, strlen(value->valuestring));
    else if (!read_buffer(value, arena, ret_value))
        return refuse_syntax(QUERY_BYTES, value, arena, err);
    return 0;
}

static int read_bits(const cJSON *value, struct arena *arena, struct db_value *ret_value,
                     struct err *err)
{
    const char *text = cJSON_GetStringValue(value);
    const char *wrong = text ? text + strspn(text, "01") : query_value_text(value, arena);
    int size = *wrong != '\0'; // of its first character
    while (size && ((unsigned char)wrong[size] & 0xc0) == 0x80)
        size++;
    if (!text || size)
        return err_set(err, ERR_INVALID, "postgresql error: \"%.*s\" is not a valid binary digit",
                       size, wrong);
    *ret_value = DB_TEXTN(text, strlen(text));
    return 0;
}

static int read_plain(const struct query_column *column, const cJSON *value, int64_t now_ms,
                      struct arena *arena, struct db_value *ret_value, struct err *err)
{
    switch (column->type) {
    case QUERY_UUID:
        return read_uuid(value, arena, ret_value, err);
    case QUERY_TIMESTAMP:
        return read_time(value, now_ms, arena, ret_value, err);
    case QUERY_BOOLEAN:
        return read_boolean(value, arena, ret_value, err);
    case QUERY_INTEGER:
        return read_integer(value, arena, ret_value, err);
    case QUERY_NUMBER:
        return read_number(column, value, arena, ret_value, err);
    case QUERY_BYTES:
        return read_bytes(value, arena, ret_value, err);
    case QUERY_BITS:
        return read_bits(value, arena, ret_value, err);
    case QUERY_JSON:
        *ret_value = text_of_json(value, arena);
        return 0;
    case QUERY_TEXT:
        break;
    }
    *ret_value = read_text(column, value, arena);
    return 0;
}

// An element of an array as JSON.
static void write_element(const struct query_column *column, const struct db_value *element,
                          struct buf *out)
{
    char iso[CLOCK_ISO_SIZE];
    if (column->type == QUERY_JSON) {
        json_raw(out, element->text, element->size);
    } else if (column->type == QUERY_BOOLEAN) {
        json_bool(out, element->integer);
    } else if (column->type == QUERY_TIMESTAMP) {
        clock_iso(element->integer, iso);
        json_str(out, iso);
    } else if (element->type == DB_TYPE_INT) {
        json_int(out, element->integer);
    } else if (element->type == DB_TYPE_REAL) {
        json_double(out, element->real);
    } else {
        json_strn(out, element->text, element->size);
    }
}

static int read_array(const struct query_column *column, const cJSON *value, int64_t now_ms,
                      struct arena *arena, struct db_value *ret_value, struct err *err)
{
    auto_buf struct buf text = {0};
    struct query_column plain = *column;
    plain.array = false;
    if (!cJSON_IsArray(value))
        return err_set(err, ERR_INVALID, "postgresql error: malformed array literal: \"%s\"",
                       query_value_text(value, arena));
    json_begin_array(&text);
    for (const cJSON *item = value->child; item; item = item->next) {
        struct db_value element;
        if (cJSON_IsNull(item)) {
            json_null(&text);
            continue;
        }
        int rc = read_plain(&plain, item, now_ms, arena, &element, err);
        if (rc)
            return rc;
        write_element(&plain, &element, &text);
    }
    json_end_array(&text);
    *ret_value = DB_TEXTN(arena_strndup(arena, text.data, text.size), text.size);
    return 0;
}

static int read_value(const struct query_column *column, const cJSON *value, int64_t now_ms,
                      struct arena *arena, struct db_value *ret_value, struct err *err)
{
    return column->array ? read_array(column, value, now_ms, arena, ret_value, err)
                         : read_plain(column, value, now_ms, arena, ret_value, err);
}

int query_value_read(const struct query_column *column, const cJSON *value, struct arena *arena,
                     struct db_value *ret_value, struct err *err)
{
    int rc = read_value(column, value, clock_now_ms(), arena, ret_value, err);
    if (!rc && column->whole && ret_value->type == DB_TYPE_REAL) {
        if (fabs(ret_value->real) > WHOLE_MAX)
            return err_set(err, ERR_INVALID,
                           "postgresql error: value \"%s\" is out of range for type bigint",
                           query_value_text(value, arena));
        *ret_value = DB_INT(llround(ret_value->real));
    }
    return rc;
}

// ---- Operands ----

// {"relative_time":n,"unit":U}: false if it is no such.
static bool relative_time(const cJSON *value, int64_t now_ms, int64_t *ret_time_ms)
{
    static const struct {
        const char *name;
        double months, ms;
    } units[] = {{"seconds", 0, 1000},    {"minutes", 0, 60000}, {"hours", 0, 3600000},
                 {"days", 0, 86400000.0}, {"months", 1, 0},      {"years", 12, 0}};
    const cJSON *n = json_get(value, "relative_time");
    const char *unit = json_get_str(value, "unit");
    if (!cJSON_IsNumber(n) || !unit || fabs(n->valuedouble) > RELATIVE_MAX)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        if (strcmp(unit, units[i].name) != 0)
            continue;
        double months = trunc(n->valuedouble * units[i].months);
        double ms = n->valuedouble * units[i].ms;
        if (fabs(months) > 120000 || fabs(ms) > (double)TIME_END_MS)
            return false;
        *ret_time_ms = interval_before(
            &(struct interval){.months = -(int64_t)months, .ms = -(int64_t)ms}, now_ms);
        return true;
    }
    return false;
}

int query_operand_read(const struct query_column *column, const cJSON *value, int64_t now_ms,
                       struct arena *arena, struct db_value *ret_value, struct err *err)
{
    int64_t time_ms;
    if (column->type == QUERY_TIMESTAMP && !column->array && relative_time(value, now_ms, &time_ms))
        return take_time(value, time_ms, arena, ret_value, err);
    struct query_column whole = *column;
    whole.max_length = 0; // a condition is not cut
    return read_value(&whole, value, now_ms, arena, ret_value, err);
}

// ---- Times in maps ----

#define NORMAL_TIME "dddd-dd-ddTdd:dd:dd.dddZ"

static bool looks_like(const char *text, size_t size, const char *shape, size_t shape_size)
{
    if (size < shape_size)
        return false;
    for (size_t i = 0; i < shape_size; i++) {
        if (shape[i] == 'd' ? !isdigit((unsigned char)text[i]) : text[i] != shape[i])
            return false;
    }
    return true;
}

#define TIME_BEGINNING (sizeof "dddd-dd-ddTdd:dd" - 1)

// Whether JSON text has a string that looks like a time and is not in the form in which times are
// shown. It may be a key, or not be one of those that count.
static bool has_other_time(const char *text, size_t size)
{
    const size_t normal = sizeof NORMAL_TIME - 1;
    const char *end = text + size;
    for (const char *p = memchr(text, '"', size); p; p = memchr(p, '"', (size_t)(end - p))) {
        p++;
        size_t left = (size_t)(end - p);
        if (looks_like(p, left, NORMAL_TIME, TIME_BEGINNING) &&
            !(looks_like(p, left, NORMAL_TIME, normal) && left > normal && p[normal] == '"'))
            return true;
    }
    return false;
}

static bool is_date_key(const char *date_keys, const char *key)
{
    size_t size = key ? strlen(key) : 0;
    if (!strcmp(date_keys, "*"))
        return true;
    for (const char *p = date_keys; size && (p = strstr(p, key)); p += size) {
        if ((p == date_keys || p[-1] == ' ') && (p[size] == ' ' || !p[size]))
            return true;
    }
    return false;
}

static void normalise_times(cJSON *value, const char *date_keys)
{
    char iso[CLOCK_ISO_SIZE];
    int64_t time_ms;
    for (cJSON *item = value->child; item; item = item->next) {
        const char *text = cJSON_GetStringValue(item);
        if (!text) {
            normalise_times(item, date_keys);
        } else if (is_date_key(date_keys, item->string) &&
                   looks_like(text, strlen(text), NORMAL_TIME, TIME_BEGINNING) &&
                   parse_time(text, &time_ms) && time_ms >= TIME_MIN_MS && time_ms < TIME_END_MS) {
            clock_iso(time_ms, iso);
            cJSON_SetValuestring(item, iso);
        }
    }
}

// Brings the times of the JSON text behind `start` into the form in which times are shown.
static void rewrite_times(const char *date_keys, struct buf *out, size_t start)
{
    if (!has_other_time(out->data + start, out->size - start))
        return;
    auto_json cJSON *value = cJSON_ParseWithLength(out->data + start, out->size - start);
    if (!value)
        return;
    normalise_times(value, date_keys);
    out->size = start;
    json_value(out, value);
}

// ---- Writing ----

static void write_bytes(const unsigned char *bytes, size_t size, struct buf *out)
{
    json_begin_object(out);
    json_member_str(out, "type", "Buffer");
    json_key(out, "data");
    json_begin_array(out);
    for (size_t i = 0; i < size; i++)
        json_int(out, bytes[i]);
    json_end_array(out);
    json_end_object(out);
}

static void write_time(int64_t time_ms, struct buf *out)
{
    char iso[CLOCK_ISO_SIZE];
    if (time_ms < TIME_MIN_MS || time_ms >= TIME_END_MS) {
        json_null(out);
        return;
    }
    clock_iso(time_ms, iso);
    json_strn(out, iso, sizeof iso - 1);
}

static void write_plain(const struct query_column *column, struct db_rows *rows, int index,
                        struct buf *out)
{
    switch (column->type) {
    case QUERY_TIMESTAMP:
        write_time(db_rows_int(rows, index), out);
        break;
    case QUERY_BOOLEAN:
        json_bool(out, db_rows_int(rows, index));
        break;
    case QUERY_NUMBER:
        if (column->whole)
            json_int(out, db_rows_int(rows, index));
        else
            json_double(out, db_rows_real(rows, index));
        break;
    case QUERY_INTEGER:
        json_int(out, db_rows_int(rows, index));
        break;
    case QUERY_BYTES: {
        const char *bytes = db_rows_text(rows, index);
        write_bytes((const unsigned char *)bytes, db_rows_size(rows, index), out);
        break;
    }
    default: {
        const char *text = db_rows_text(rows, index);
        json_strn(out, text, db_rows_size(rows, index));
    }
    }
}

void query_value_write(const struct query_column *column, struct db_rows *rows, int index,
                       struct buf *out)
{
    const size_t start = out->size;
    const bool is_json = column->array || column->type == QUERY_JSON;
    if (db_rows_null(rows, index)) {
        json_null(out);
    } else if (column->format || is_json) {
        const char *text = db_rows_text(rows, index);
        size_t size = db_rows_size(rows, index);
        if (column->format)
            column->format(text, size, out);
        else if (size)
            json_raw(out, text, size);
        else
            json_null(out);
    } else {
        write_plain(column, rows, index, out);
    }
    if (is_json && column->date_keys)
        rewrite_times(column->date_keys, out, start);
}
