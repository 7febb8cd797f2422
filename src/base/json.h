// SPDX-License-Identifier: AGPL-3.0-or-later
// JSON: a strict reader on cJSON, and a writer that appends to a buffer.
//
// The reader first walks the text and refuses what cJSON would let through or bend: broken UTF-8,
// NUL characters (raw or escaped), lone surrogates, repeated keys, numbers that are not finite,
// nesting beyond a depth, text behind the value.
//
// The writer keeps no state: whether a comma is due shows in the last byte that was written.
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

void json_free_ptr(cJSON **value);
#define auto_json CLEANUP(json_free_ptr)

// Reads one value of at most `depth_max` levels. The caller owns *ret_value (cJSON_Delete, or
// auto_json). ERR_INVALID with a text that says what is wrong and at which byte.
int json_parse(const char *text, size_t size, int depth_max, cJSON **ret_value,
               struct err *err) MUST_USE;

// Whether the text is an array of objects, without making values of it, however many they are: as
// json_parse, but that keys may be repeated.
int json_check_objects(const char *text, size_t size, int depth_max, struct err *err) MUST_USE;

const cJSON *json_get(const cJSON *object, const char *key); // NULL if absent or no object
// Bytes that a parsed value takes, about.
size_t json_size(const cJSON *value);
const char *json_get_str(const cJSON *object, const char *key); // NULL if absent or no string
// Whether a text, NULL or an array in JSON, has this string as an item.
bool json_list_has(const char *list, const char *string);

// Writing. json_key, or a json_member_… call, comes before each value of an object.
void json_begin_object(struct buf *b);
void json_end_object(struct buf *b);
void json_begin_array(struct buf *b);
void json_end_array(struct buf *b);
void json_key(struct buf *b, const char *key); // `key` needs no escapes
void json_str(struct buf *b, const char *s);
void json_strn(struct buf *b, const char *s, size_t size); // `s` may be NULL if `size` is 0
void json_int(struct buf *b, int64_t value);
void json_double(struct buf *b,
                 double value); // the shortest text that reads back the same; null if not finite
void json_bool(struct buf *b, bool value);
void json_null(struct buf *b);
void json_raw(struct buf *b, const char *text, size_t size); // text that is JSON already
void json_value(struct buf *b, const cJSON *value);
// The same, with the members of objects in the order of their names: equal values have equal texts.
void json_value_sorted(struct buf *b, const cJSON *value);

void json_member_str(struct buf *b, const char *key, const char *s);
void json_member_int(struct buf *b, const char *key, int64_t value);
void json_member_bool(struct buf *b, const char *key, bool value);
void json_member_time(struct buf *b, const char *key, int64_t time_ms); // as ISO 8601

// A string that comes in pieces, cut anywhere; invalid UTF-8 becomes U+FFFD.
struct json_stream {
    struct buf *out;
    char held[3]; // the beginning of a character whose rest is to come
    size_t held_size;
};
void json_stream_begin(struct json_stream *stream, struct buf *out);
void json_stream_append(struct json_stream *stream, const void *bytes, size_t size);
void json_stream_end(struct json_stream *stream);

// The bare pieces, without a comma: a quoted string (invalid UTF-8 becomes U+FFFD), an integer's
// digits.
void json_write_quoted(struct buf *b, const char *s, size_t size);
void json_write_digits(struct buf *b, int64_t value);

#endif
