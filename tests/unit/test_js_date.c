// SPDX-License-Identifier: AGPL-3.0-or-later
// Dates as JavaScript reads them.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/js_date.h"
#include "base/macros.h"

static void reads(const char *text, const char *expected)
{
    char iso[CLOCK_ISO_SIZE];
    int64_t ms;
    if (!js_date_parse(text, &ms))
        fail_msg("'%s' is a date", text);
    clock_iso(ms, iso);
    assert_string_equal(iso, expected);
}

static void test_iso(void **state)
{
    (void)state;
    reads("2019-08-29T22:00:15.742Z", "2019-08-29T22:00:15.742Z");
    reads("2019-08-29T22:00:15", "2019-08-29T22:00:15.000Z");
    reads("2019-08-29T22:00", "2019-08-29T22:00:00.000Z");
    reads("2019-08-29 22:00", "2019-08-29T22:00:00.000Z");
    reads("2019-08-29T22:00:15.7", "2019-08-29T22:00:15.700Z");
    reads("2019-08-29T22:00:15.7429999", "2019-08-29T22:00:15.742Z");
    reads("2019-08-29T22:00:00+02:00", "2019-08-29T20:00:00.000Z");
    reads("2019-08-29T22:00:00-0730", "2019-08-30T05:30:00.000Z");
    reads("2019-08-29T22:00:00+01", "2019-08-29T21:00:00.000Z");
    reads("2019-08-29T24:00", "2019-08-30T00:00:00.000Z");
    reads("2019-08-29", "2019-08-29T00:00:00.000Z");
    reads("2019-08", "2019-08-01T00:00:00.000Z");
    reads("2019", "2019-01-01T00:00:00.000Z");
    reads("2020-02-29", "2020-02-29T00:00:00.000Z");
}

static void test_words(void **state)
{
    (void)state;
    reads("Thu, 29 Aug 2019 22:00:00 GMT", "2019-08-29T22:00:00.000Z");
    reads("Thu, 29 Aug 2019 22:00:00 +0200", "2019-08-29T20:00:00.000Z");
    reads("29 Aug 2019 22:00 EST", "2019-08-30T03:00:00.000Z");
    reads("29 Aug 19 22:00:00 UT", "2019-08-29T22:00:00.000Z");
    reads("Thu Aug 29 2019 22:00:00 GMT+0200 (Central European Summer Time)",
          "2019-08-29T20:00:00.000Z");
    reads("Aug 29, 2019", "2019-08-29T00:00:00.000Z");
    reads("August 29, 2019 10:05 pm", "2019-08-29T22:05:00.000Z");
    reads("August 29, 2019 12:05 AM", "2019-08-29T00:05:00.000Z");
    reads("8/29/2019 22:00", "2019-08-29T22:00:00.000Z");
    reads("2019/8/29", "2019-08-29T00:00:00.000Z");
    reads("29-Aug-2019", "2019-08-29T00:00:00.000Z");
    reads("Aug 2019", "2019-08-01T00:00:00.000Z");
}

static void test_milliseconds(void **state)
{
    (void)state;
    reads("1567116000000", "2019-08-29T22:00:00.000Z");
    reads("00000", "1970-01-01T00:00:00.000Z");
}

static void test_no_date(void **state)
{
    static const char *const texts[] = {
        "",
        "soon",
        "tomorrow",
        "2019-13-01",
        "2019-02-30",
        "2019-08-29T25:00",
        "2019-08-29T22:60",
        "2019-08-29T24:01",
        "2019-08-29T22",
        "2019-08-29T22:00:",
        "2019-08-29T22:00 X",
        "2019-08-29T22:00+99:00",
        "29 Aug 2019 13:00 pm",
        "29 29 Aug 2019 5",
        "30 Feb 2019",
        "29 Aug 2019 22:00 +1:",
        "Aug",
        "12345678901234567890",
        "86400000000000001",
        "1/2",
        "(",
        "- -",
    };
    (void)state;
    int64_t ms;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        if (js_date_parse(texts[i], &ms))
            fail_msg("'%s' is no date", texts[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_iso),
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_milliseconds),
        cmocka_unit_test(test_no_date),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
