// SPDX-License-Identifier: AGPL-3.0-or-later
// Time: milliseconds since 1970 UTC for what is stored or shown, a monotonic clock for what is
// measured.
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#define CLOCK_ISO_SIZE sizeof "2017-05-24T13:29:11.742Z"

#define CLOCK_MINUTE_MS INT64_C(60000)
#define CLOCK_HOUR_MS   (60 * CLOCK_MINUTE_MS)
#define CLOCK_DAY_MS    (24 * CLOCK_HOUR_MS)

int64_t clock_now_ms(void); // wall clock, UTC
uint64_t clock_monotonic_us(void);
// ISO 8601 with milliseconds and Z into out[CLOCK_ISO_SIZE], years 0 to 9999.
void clock_iso(int64_t time_ms, char *out);
// Reads ISO 8601 (date, or date and time with optional fraction and Z or offset), or a relative
// time such as "30d", "12h", "90m", "45s" from now. False if it is neither.
bool clock_parse(const char *text, int64_t *ret_time_ms);

#endif
