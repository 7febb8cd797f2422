// SPDX-License-Identifier: AGPL-3.0-or-later
// The log: lines on standard error, as text or as JSON objects, one line an event.
//
//   2026-01-31T12:00:00.000Z info  started listeners=1
//
// A line is an event name and fields. Threads that log much collect their lines in a log_batch and
// write them in one call.
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERROR };

struct log_field {
    const char *name;
    const char *text; // NULL: the number counts
    int64_t number;
    bool thousandths; // of the number
};

static inline struct log_field log_text(const char *name, const char *text)
{
    return (struct log_field){.name = name, .text = text ? text : ""};
}

static inline struct log_field log_int(const char *name, int64_t number)
{
    return (struct log_field){.name = name, .number = number};
}

// Microseconds, shown as milliseconds with three decimals.
static inline struct log_field log_ms(const char *name, uint64_t us)
{
    return (struct log_field){.name = name, .number = (int64_t)us, .thousandths = true};
}

#define LOG_TEXT(name, text)  log_text((name), (text))
#define LOG_INT(name, number) log_int((name), (int64_t)(number))

// Once, before any thread exists.
void log_init(enum log_level level, bool json);
bool log_enabled(enum log_level level);
bool log_level_parse(const char *text, enum log_level *ret_level);

// Writes one line at once.
#define log_event(level, event, ...)                                                               \
    log_write((level), (event), (const struct log_field[]){__VA_ARGS__, {0}})
void log_write(enum log_level level, const char *event, const struct log_field *fields);
// A line for an error: its code, public text and private detail.
void log_err(enum log_level level, const char *event, const struct err *err);

// The same line into a buffer of the caller, for threads that write many lines together. `fields`
// ends with one without a name.
void log_format(struct buf *out, enum log_level level, int64_t time_ms, const char *event,
                const struct log_field *fields);
// Writes the collected lines and empties the buffer.
void log_flush(struct buf *lines);

#endif
