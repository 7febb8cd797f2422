// SPDX-License-Identifier: AGPL-3.0-or-later
#include "base/js_date.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/macros.h"
#include "base/text.h"

#define WORD_MAX 12
#define NONE     (-1)

struct date {
    int year, month, day; // month from 1; NONE: not said
    int hour, minute, second, ms;
    int zone; // minutes east of UTC
    bool has_time, has_zone;
};

static const struct date nothing = {.year = NONE, .month = NONE, .day = NONE};

static bool to_ms(const struct date *d, int64_t *ret_time_ms)
{
    if (d->year == NONE || d->month < 1 || d->month > 12 || d->day < 1 || d->hour > 24 ||
        d->minute > 59 || d->second > 59 || (d->hour == 24 && (d->minute || d->second || d->ms)))
        return false;
    struct tm tm = {.tm_year = d->year - 1900, .tm_mon = d->month - 1, .tm_mday = d->day};
    const time_t day = timegm(&tm);
    if (tm.tm_mon != d->month - 1 || tm.tm_mday != d->day) // the 30th of February
        return false;
    const int64_t minutes = d->hour * 60 + d->minute - d->zone;
    *ret_time_ms = (int64_t)day * 1000 + minutes * 60000 + d->second * 1000 + d->ms;
    return true;
}

// Reads a number at *at and leaves *at behind it; NONE if there is none of that many digits.
static int read_number(const char **at, size_t digits_min, size_t digits_max)
{
    const size_t digits = strspn(*at, "0123456789");
    if (digits < digits_min || digits > digits_max)
        return NONE;
    const int number = (int)strtol(*at, NULL, 10);
    *at += digits;
    return number;
}

static bool take(const char **at, char c)
{
    if (**at != c)
        return false;
    (*at)++;
    return true;
}

// "+02:00", "-0700", "+1": minutes.
static bool read_offset(const char **at, int *ret_zone)
{
    const int sign = **at == '-' ? -1 : 1;
    (*at)++;
    const size_t digits = strspn(*at, "0123456789");
    int number = read_number(at, 1, 4), minutes = 0;
    if (number == NONE || digits == 3)
        return false;
    if (digits == 4) {
        minutes = number % 100;
        number /= 100;
    } else if (take(at, ':')) {
        minutes = read_number(at, 2, 2);
    }
    if (number > 23 || minutes < 0 || minutes > 59)
        return false;
    *ret_zone = sign * (number * 60 + minutes);
    return true;
}

// "22:00", "22:00:15", "22:00:15.5"; the hour is read already.
static bool read_time(const char **at, int hour, struct date *d)
{
    d->has_time = true;
    d->hour = hour;
    d->minute = read_number(at, 1, 2);
    if (d->minute == NONE)
        return false;
    if (!take(at, ':'))
        return true;
    d->second = read_number(at, 1, 2);
    if (d->second == NONE)
        return false;
    if (**at != '.' && **at != ',')
        return true;
    (*at)++;
    if (!isdigit((unsigned char)**at))
        return false;
    for (int scale = 100; isdigit((unsigned char)**at); (*at)++, scale /= 10)
        d->ms += (**at - '0') * scale;
    return true;
}

// ---- ISO 8601 ----

static bool read_iso(const char *at, struct date *d)
{
    *d = nothing;
    d->month = d->day = 1;
    d->year = read_number(&at, 4, 4);
    if (d->year == NONE)
        return false;
    if (take(&at, '-') && (d->month = read_number(&at, 2, 2)) != NONE && take(&at, '-'))
        d->day = read_number(&at, 2, 2);
    if (d->month == NONE || d->day == NONE)
        return false;
    if (*at == 'T' || *at == 't' || *at == ' ') {
        at++;
        const int hour = read_number(&at, 1, 2);
        if (hour == NONE || !take(&at, ':') || !read_time(&at, hour, d))
            return false;
    }
    at += strspn(at, " ");
    if (*at == 'Z' || *at == 'z')
        at++;
    else if ((*at == '+' || *at == '-') && (!d->has_time || !read_offset(&at, &d->zone)))
        return false;
    return !*at;
}

// ---- Everything else: words and numbers in any order ----

static const char *const months[] = {"jan", "feb", "mar", "apr", "may", "jun",
                                     "jul", "aug", "sep", "oct", "nov", "dec"};
static const char *const days[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat"};
static const struct {
    const char *name;
    int zone;
} zones[] = {
    {"z", 0},      {"gmt", 0},    {"utc", 0},    {"ut", 0},     {"est", -300}, {"edt", -240},
    {"cst", -360}, {"cdt", -300}, {"mst", -420}, {"mdt", -360}, {"pst", -480}, {"pdt", -420},
};

static int index_of(const char *const *names, size_t count, const char *word)
{
    for (size_t i = 0; i < count; i++)
        if (!strncmp(names[i], word, 3))
            return (int)i;
    return NONE;
}

static bool half_of_day(struct date *d, bool afternoon)
{
    if (!d->has_time || d->hour < 1 || d->hour > 12)
        return false;
    d->hour = d->hour % 12 + (afternoon ? 12 : 0);
    return true;
}

static bool read_word(const char **at, struct date *d)
{
    char word[WORD_MAX] = "";
    size_t size = 0;
    for (; isalpha((unsigned char)**at); (*at)++)
        if (size + 1 < sizeof word)
            word[size++] = (char)tolower((unsigned char)**at);
    take(at, '.');
    if (!strcmp(word, "am") || !strcmp(word, "pm"))
        return half_of_day(d, word[0] == 'p');
    if (!strcmp(word, "t"))
        return true;
    for (size_t i = 0; i < ARRAY_LEN(zones); i++) {
        if (!strcmp(zones[i].name, word)) {
            d->zone = zones[i].zone;
            d->has_zone = true;
            return true;
        }
    }
    const int month = size < 3 ? NONE : index_of(months, ARRAY_LEN(months), word);
    if (month != NONE && d->month == NONE) {
        d->month = month + 1;
        return true;
    }
    return size >= 3 && index_of(days, ARRAY_LEN(days), word) != NONE;
}

// "8/29/2019" or "2019/8/29", whose first number is read.
static bool read_slashes(const char **at, int first, size_t digits, struct date *d)
{
    const int second = read_number(at, 1, 2);
    if (second == NONE || !take(at, '/') || d->month != NONE)
        return false;
    const int third = read_number(at, 1, 4);
    d->year = digits == 4 ? first : third;
    d->month = digits == 4 ? second : first;
    d->day = digits == 4 ? third : second;
    return third != NONE;
}

static int full_year(int number, size_t digits)
{
    return digits > 2 ? number : number < 50 ? 2000 + number : 1900 + number;
}

static bool read_date_number(const char **at, struct date *d)
{
    const size_t digits = strspn(*at, "0123456789");
    const int number = read_number(at, 1, 4);
    if (number == NONE)
        return false;
    if (take(at, ':'))
        return !d->has_time && read_time(at, number, d);
    if (take(at, '/'))
        return read_slashes(at, number, digits, d);
    if (digits <= 2 && d->day == NONE) {
        d->day = number;
    } else if (d->year == NONE) {
        d->year = full_year(number, digits);
    } else {
        return false;
    }
    return true;
}

static bool read_words(const char *at, struct date *d)
{
    *d = nothing;
    while (*at) {
        const char c = *at;
        bool ok = true;
        if (c == '(')
            at += strcspn(at, ")") + (strchr(at, ')') != NULL);
        else if (isalpha((unsigned char)c))
            ok = read_word(&at, d);
        else if (isdigit((unsigned char)c))
            ok = read_date_number(&at, d);
        else if ((c == '+' || c == '-') && (d->has_time || d->has_zone))
            ok = read_offset(&at, &d->zone);
        else if (c == ' ' || c == ',' || c == '-')
            at++;
        else
            ok = false;
        if (!ok)
            return false;
    }
    if (d->month != NONE && d->year != NONE && d->day == NONE)
        d->day = 1;
    return d->month != NONE;
}

bool js_date_parse(const char *text, int64_t *ret_time_ms)
{
    struct date d;
    text += strspn(text, " \t");
    const size_t size = strlen(text);
    if (size > 4 && strspn(text, "0123456789") == size)
        return text_parse_int64(text, 0, JS_DATE_MS_MAX, ret_time_ms);
    return (read_iso(text, &d) || read_words(text, &d)) && to_ms(&d, ret_time_ms);
}
