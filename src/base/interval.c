// SPDX-License-Identifier: AGPL-3.0-or-later
#include "base/interval.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/macros.h"
#include "base/text.h"

#define SECOND_MS  1000.0
#define MINUTE_MS  (60 * SECOND_MS)
#define HOUR_MS    (60 * MINUTE_MS)
#define DAY_MS     (24 * HOUR_MS)
#define MONTHS_MAX 120000.0
#define MS_MAX     (3660000 * DAY_MS)

// A sum while it is read.
struct sum {
    double months, ms;
};

struct unit {
    const char *names[6];
    double months, ms;
};

static const struct unit units[] = {
    {{"microsecond", "microseconds", "us", "usec", "usecs"}, 0, 0.001},
    {{"millisecond", "milliseconds", "ms", "msec", "msecs"}, 0, 1},
    {{"second", "seconds", "sec", "secs", "s"}, 0, SECOND_MS},
    {{"minute", "minutes", "min", "mins", "m"}, 0, MINUTE_MS},
    {{"hour", "hours", "hr", "hrs", "h"}, 0, HOUR_MS},
    {{"day", "days", "d"}, 0, DAY_MS},
    {{"week", "weeks", "w"}, 0, 7 * DAY_MS},
    {{"month", "months", "mon", "mons"}, 1, 0},
    {{"year", "years", "yr", "yrs", "y"}, 12, 0},
    {{"decade", "decades", "dec", "decs"}, 120, 0},
    {{"century", "centuries", "cent", "c"}, 1200, 0},
    {{"millennium", "millennia", "mil", "mils"}, 12000, 0},
};

static const struct unit *find_unit(const char *name, size_t size)
{
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        for (size_t j = 0; j < ARRAY_LEN(units[i].names) && units[i].names[j]; j++) {
            if (strlen(units[i].names[j]) == size && !strncasecmp(units[i].names[j], name, size))
                return &units[i];
        }
    }
    return NULL;
}

static const char *skip_space(const char *p)
{
    while (text_is_space(*p))
        p++;
    return p;
}

// A part of a month is so many thirtieths of it in days.
static void add(struct sum *sum, double number, const struct unit *unit)
{
    double months = number * unit->months, whole = trunc(months);
    sum->months += whole;
    sum->ms += number * unit->ms + (months - whole) * 30 * DAY_MS;
}

// [+-]digits[.digits]
static bool read_number(const char **p, double *ret_number)
{
    const char *digits = *p + (**p == '-' || **p == '+');
    size_t size = strspn(digits, "0123456789");
    if (digits[size] == '.')
        size += 1 + strspn(digits + size + 1, "0123456789");
    char copy[40];
    if (!size || (size == 1 && *digits == '.') || size > sizeof copy - 2)
        return false;
    snprintf(copy, sizeof copy, "%s%.*s", **p == '-' ? "-" : "", (int)size, digits);
    *p = digits + size;
    return text_parse_double(copy, ret_number);
}

// [+-]HH:MM[:SS[.SSS]]. Returns what it takes of the text, 0 if it is none.
static int read_clock(const char *p, double *ret_ms)
{
    int sign = *p == '-' || *p == '+', used = 0;
    unsigned hours, minutes;
    double seconds = 0;
    const char *digits = p + sign;
    if (!isdigit((unsigned char)*digits) ||
        sscanf(digits, "%6u:%2u%n", &hours, &minutes, &used) != 2 || !used || minutes > 59)
        return 0;
    const char *rest = digits + used;
    if (*rest == ':') {
        rest++;
        if (!isdigit((unsigned char)*rest) || !read_number(&rest, &seconds) || seconds >= 60)
            return 0;
    }
    *ret_ms = (hours * HOUR_MS + minutes * MINUTE_MS + seconds * SECOND_MS) * (*p == '-' ? -1 : 1);
    return (int)(rest - p);
}

// One number with its unit, or one clock time.
static bool read_part(const char **p, struct sum *sum)
{
    double number;
    int used = read_clock(*p, &number);
    if (used) {
        sum->ms += number;
        *p += used;
        return true;
    }
    if (!read_number(p, &number))
        return false;
    const char *name = skip_space(*p);
    size_t size = 0;
    while (isalpha((unsigned char)name[size]))
        size++;
    const struct unit *unit = find_unit(size ? name : "s", size ? size : 1);
    if (!unit || (!size && *name))
        return false;
    add(sum, number, unit);
    *p = name + size;
    return true;
}

bool interval_parse(const char *text, struct interval *ret_interval)
{
    struct sum sum = {0};
    const char *p = skip_space(text);
    if (!*p)
        return false;
    while (*p) {
        if (!read_part(&p, &sum))
            return false;
        p = skip_space(p);
        if (!strcasecmp(p, "ago")) {
            sum = (struct sum){.months = -sum.months, .ms = -sum.ms};
            break;
        }
    }
    if (fabs(sum.months) > MONTHS_MAX || fabs(sum.ms) > MS_MAX)
        return false;
    *ret_interval = (struct interval){.months = (int64_t)sum.months, .ms = (int64_t)sum.ms};
    return true;
}

static int days_in_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return days[month] + (month == 1 && leap);
}

// The same day and time of another month; its last day if it has no such day.
int64_t interval_before(const struct interval *interval, int64_t time_ms)
{
    int64_t ms = time_ms % 1000;
    time_t seconds = (time_t)((time_ms - ms) / 1000);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    int64_t month = (int64_t)tm.tm_year * 12 + tm.tm_mon - interval->months;
    int64_t year = month >= 0 ? month / 12 : -((11 - month) / 12);
    tm.tm_year = (int)year;
    tm.tm_mon = (int)(month - year * 12);
    int last = days_in_month(tm.tm_year + 1900, tm.tm_mon);
    if (tm.tm_mday > last)
        tm.tm_mday = last;
    return (int64_t)timegm(&tm) * 1000 + ms - interval->ms;
}
