// SPDX-License-Identifier: AGPL-3.0-or-later
#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/text.h"

#define SECOND_TEXT_LEN (sizeof "2017-05-24T13:29:11." - 1)

int64_t clock_now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

uint64_t clock_monotonic_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static char *put_digits(char *p, int value, int digits, char separator)
{
    for (int i = digits - 1; i >= 0; i--, value /= 10)
        p[i] = (char)('0' + value % 10);
    p[digits] = separator;
    return p + digits + 1;
}

static void format_second(time_t second, char *out)
{
    struct tm tm;
    gmtime_r(&second, &tm);
    out = put_digits(out, tm.tm_year + 1900, 4, '-');
    out = put_digits(out, tm.tm_mon + 1, 2, '-');
    out = put_digits(out, tm.tm_mday, 2, 'T');
    out = put_digits(out, tm.tm_hour, 2, ':');
    out = put_digits(out, tm.tm_min, 2, ':');
    put_digits(out, tm.tm_sec, 2, '.');
}

void clock_iso(int64_t time_ms, char *out)
{
    // Most times are "now": the text of a second serves all its milliseconds.
    static _Thread_local char second_text[SECOND_TEXT_LEN + 1];
    static _Thread_local time_t second_known = INT64_MIN;
    time_t second = (time_t)(time_ms / 1000);
    int ms = (int)(time_ms % 1000);
    if (ms < 0) {
        ms += 1000;
        second--;
    }
    if (second != second_known) {
        format_second(second, second_text);
        second_known = second;
    }
    memcpy(out, second_text, SECOND_TEXT_LEN);
    *put_digits(out + SECOND_TEXT_LEN, ms, 3, 'Z') = '\0';
}

static bool parse_relative(const char *text, int64_t *ret_time_ms)
{
    static const struct {
        char unit;
        int64_t ms;
    } units[] = {{'s', 1000}, {'m', 60000}, {'h', 3600000}, {'d', 86400000}};
    size_t len = strlen(text);
    if (len < 2 || len > 10 || strspn(text, "0123456789") != len - 1)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        if (text[len - 1] == units[i].unit) {
            *ret_time_ms = clock_now_ms() + strtoll(text, NULL, 10) * units[i].ms;
            return true;
        }
    }
    return false;
}

// Reads ".5", ".742", … at *p; leaves *p behind it.
static int parse_fraction_ms(const char **p)
{
    int ms = 0, scale = 100;
    if (**p != '.')
        return 0;
    for ((*p)++; **p >= '0' && **p <= '9'; (*p)++, scale /= 10)
        ms += (**p - '0') * scale;
    return ms;
}

static bool parse_zone(const char *p, int64_t *ret_offset_ms)
{
    int hours, minutes, used = 0;
    *ret_offset_ms = 0;
    if (!*p || !strcmp(p, "Z"))
        return true;
    if ((*p != '+' && *p != '-') || sscanf(p + 1, "%2d:%2d%n", &hours, &minutes, &used) != 2 ||
        p[1 + used] || hours > 14 || minutes > 59)
        return false;
    *ret_offset_ms = (*p == '-' ? -1 : 1) * (hours * 60 + minutes) * INT64_C(60000);
    return true;
}

bool clock_parse(const char *text, int64_t *ret_time_ms)
{
    if (parse_relative(text, ret_time_ms))
        return true;
    struct tm tm = {0};
    int used = 0, ms = 0;
    int64_t offset_ms = 0;
    if (sscanf(text, "%4d-%2d-%2d%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &used) != 3 ||
        used != 10)
        return false;
    const char *p = text + used;
    if (*p) {
        used = 0;
        if (sscanf(p, "%*1[T ]%2d:%2d:%2d%n", &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &used) != 3 ||
            !used)
            return false;
        p += used;
        ms = parse_fraction_ms(&p);
        if (!parse_zone(p, &offset_ms))
            return false;
    }
    struct tm read = tm;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    time_t seconds = timegm(&tm); // normalises: a date that changed by it was none
    if (tm.tm_year + 1900 != read.tm_year || tm.tm_mon + 1 != read.tm_mon ||
        tm.tm_mday != read.tm_mday || tm.tm_hour != read.tm_hour || tm.tm_min != read.tm_min ||
        tm.tm_sec != read.tm_sec)
        return false;
    *ret_time_ms = (int64_t)seconds * 1000 + ms - offset_ms;
    return true;
}
