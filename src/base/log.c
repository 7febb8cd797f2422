// SPDX-License-Identifier: AGPL-3.0-or-later
#include "base/log.h"

#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/json.h"

static enum log_level log_level_min = LOG_INFO;
static bool log_json;

static const char *const level_names[] = {"debug", "info", "warning", "error"};

void log_init(enum log_level level, bool json)
{
    log_level_min = level;
    log_json = json;
}

bool log_enabled(enum log_level level)
{
    return level >= log_level_min;
}

bool log_level_parse(const char *text, enum log_level *ret_level)
{
    for (size_t i = 0; i < ARRAY_LEN(level_names); i++) {
        if (!strcmp(text, level_names[i])) {
            *ret_level = (enum log_level)i;
            return true;
        }
    }
    return false;
}

static bool is_plain(const char *text)
{
    const char *p = text;
    while (*p > ' ' && *p < 0x7f && *p != '"' && *p != '=' && *p != '\\')
        p++;
    return p > text && !*p;
}

// A word without spaces stands as it is; anything else as a JSON string, so that no text can forge
// a line or a field.
static void append_value(struct buf *out, const char *text)
{
    if (is_plain(text))
        buf_append_str(out, text);
    else
        json_write_quoted(out, text, strlen(text));
}

static void append_number(struct buf *out, const struct log_field *field)
{
    if (!field->thousandths) {
        json_write_digits(out, field->number);
        return;
    }
    int rest = (int)(field->number % 1000);
    char decimals[] = {'.', (char)('0' + rest / 100), (char)('0' + rest / 10 % 10),
                       (char)('0' + rest % 10)};
    json_write_digits(out, field->number / 1000);
    buf_append(out, decimals, sizeof decimals);
}

static void format_text(struct buf *out, enum log_level level, const char *iso, const char *event,
                        const struct log_field *fields)
{
    buf_append(out, iso, CLOCK_ISO_SIZE - 1);
    buf_append_char(out, ' ');
    buf_append_str(out, level_names[level]);
    buf_append_char(out, ' ');
    buf_append_str(out, event);
    for (; fields->name; fields++) {
        buf_append_char(out, ' ');
        buf_append_str(out, fields->name);
        buf_append_char(out, '=');
        if (fields->text)
            append_value(out, fields->text);
        else
            append_number(out, fields);
    }
    buf_append_char(out, '\n');
}

static void format_json(struct buf *out, enum log_level level, const char *iso, const char *event,
                        const struct log_field *fields)
{
    json_begin_object(out);
    json_member_str(out, "time", iso);
    json_member_str(out, "level", level_names[level]);
    json_member_str(out, "event", event);
    for (; fields->name; fields++) {
        json_key(out, fields->name);
        if (fields->text)
            json_str(out, fields->text);
        else
            append_number(out, fields);
    }
    json_end_object(out);
    buf_append_char(out, '\n');
}

void log_format(struct buf *out, enum log_level level, int64_t time_ms, const char *event,
                const struct log_field *fields)
{
    char iso[CLOCK_ISO_SIZE];
    clock_iso(time_ms, iso);
    (log_json ? format_json : format_text)(out, level, iso, event, fields);
}

void log_write(enum log_level level, const char *event, const struct log_field *fields)
{
    if (!log_enabled(level))
        return;
    auto_buf struct buf line = {0};
    log_format(&line, level, clock_now_ms(), event, fields);
    log_flush(&line);
}

void log_err(enum log_level level, const char *event, const struct err *err)
{
    log_event(level, event, LOG_TEXT("code", err_code_name(err->code)),
              LOG_TEXT("error", err->message), LOG_TEXT("detail", err->detail));
}

void log_flush(struct buf *lines)
{
    // Nobody is left to tell when standard error itself cannot be written.
    if (lines->size && fd_write_all(STDERR_FILENO, lines->data, lines->size))
        lines->size = 0;
    lines->size = 0;
}
