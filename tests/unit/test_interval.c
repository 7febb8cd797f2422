// SPDX-License-Identifier: AGPL-3.0-or-later
#include "unit.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/interval.h"
#include "base/macros.h"

#define SECOND INT64_C(1000)
#define MINUTE (60 * SECOND)
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)

static void test_what_is_read(void **state UNUSED)
{
    static const struct {
        const char *text;
        int64_t months, ms;
    } cases[] = {
        {"6 months", 6, 0},
        {"10 days", 0, 10 * DAY},
        {"1 month", 1, 0},
        {"2 weeks", 0, 14 * DAY},
        {"1 year 3 days", 12, 3 * DAY},
        {"1 Year, 3 days", -1, 0}, // refused
        {"1 YEAR 2 MONS 3 Days 04:05:06", 14, 3 * DAY + 4 * HOUR + 5 * MINUTE + 6 * SECOND},
        {"3d", 0, 3 * DAY},
        {"1y2mon", 14, 0},
        {"90 min", 0, 90 * MINUTE},
        {"12", 0, 12 * SECOND},
        {"1.5 hours", 0, 90 * MINUTE},
        {".5 days", 0, 12 * HOUR},
        {"1.5 months", 1, 15 * DAY},
        {"0.5 years", 6, 0},
        {"-1 day", 0, -DAY},
        {"+1 day -2 hours", 0, 22 * HOUR},
        {"04:30", 0, 4 * HOUR + 30 * MINUTE},
        {"-04:30:00.25", 0, -(4 * HOUR + 30 * MINUTE + 250)},
        {"  1   day  ", 0, DAY},
        {"1 day ago", 0, -DAY},
        {"2 months 1 day ago", -2, -DAY},
        {"2 centuries", 2400, 0},
        {"1 decade", 120, 0},
        {"1500 ms", 0, 1500},
        {"2000000 us", 0, 2000},
        {"0 days", 0, 0},
        {"1 day 2", 0, DAY + 2 * SECOND},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct interval interval = {.months = -1, .ms = 0};
        bool read = interval_parse(cases[i].text, &interval);
        if (read != (cases[i].months != -1) || interval.months != cases[i].months ||
            interval.ms != cases[i].ms)
            fail_msg("\"%s\": %d, %" PRId64 " months %" PRId64 " ms", cases[i].text, read,
                     interval.months, interval.ms);
    }
}

static void test_what_is_none(void **state UNUSED)
{
    static const char *const texts[] = {
        "",
        " ",
        "months",
        "6 moons",
        "6 months x",
        "six months",
        ".",
        "- 1 day",
        "1..5 days",
        "1e3 days",
        "0x10 days",
        "ago",
        "1 day ago ago",
        "2 1 day",
        "12:",
        "12:60",
        "12:30:60",
        ":30",
        "1 day;",
        "--1 day",
        "nan days",
        "1e400 days",
        "99999999999999999999 years",
        "1000000000 centuries",
        "999999999999999999999999999999999999999999999999999999 ms",
    };
    struct interval interval;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        if (interval_parse(texts[i], &interval))
            fail_msg("\"%s\" is read", texts[i]);
    }
}

static void test_before(void **state UNUSED)
{
    static const struct {
        const char *interval, *time, *before;
    } cases[] = {
        {"1 month", "2026-03-31T12:30:15.250Z", "2026-02-28T12:30:15.250Z"},
        {"1 month", "2024-03-30T00:00:00.000Z", "2024-02-29T00:00:00.000Z"},
        {"1 month", "2026-01-15T00:00:00.000Z", "2025-12-15T00:00:00.000Z"},
        {"1 year", "2024-02-29T00:00:00.000Z", "2023-02-28T00:00:00.000Z"},
        {"13 months", "2026-01-15T00:00:00.000Z", "2024-12-15T00:00:00.000Z"},
        {"2 weeks", "2026-01-15T00:00:00.001Z", "2026-01-01T00:00:00.001Z"},
        {"1 year 3 days", "2026-01-15T06:00:00.000Z", "2025-01-12T06:00:00.000Z"},
        {"-1 month", "2026-12-31T00:00:00.000Z", "2027-01-31T00:00:00.000Z"},
        {"1 century", "2026-06-01T00:00:00.000Z", "1926-06-01T00:00:00.000Z"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct interval interval;
        int64_t time_ms;
        char before[CLOCK_ISO_SIZE];
        assert_true(interval_parse(cases[i].interval, &interval));
        assert_true(clock_parse(cases[i].time, &time_ms));
        clock_iso(interval_before(&interval, time_ms), before);
        assert_string_equal(before, cases[i].before);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_read),
        cmocka_unit_test(test_what_is_none),
        cmocka_unit_test(test_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
