// SPDX-License-Identifier: AGPL-3.0-or-later
// Spans of time as people write them to a database: "6 months", "10 days", "1 year 3 days",
// "2 weeks 04:30:00".
#ifndef BASE_INTERVAL_H
#define BASE_INTERVAL_H

#include <stdbool.h>
#include <stdint.h>

// Months differ in length, so that they are kept by themselves.
struct interval {
    int64_t months;
    int64_t ms;
};

// Reads numbers with units (from microseconds to millennia, also in their usual short forms), hours
// as HH:MM or HH:MM:SS, a bare number of seconds, and "ago" at the end, which turns the sign. False
// if it is anything else, or more than ten thousand years.
bool interval_parse(const char *text, struct interval *ret_interval);
// The time that is so long before another.
int64_t interval_before(const struct interval *interval, int64_t time_ms);

#endif
