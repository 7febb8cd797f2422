// SPDX-License-Identifier: AGPL-3.0-or-later
// Dates as JavaScript's Date reads them from text: ISO 8601 in whole or in part, RFC 2822 and what
// people and date's own toString write ("Aug 29, 2019 22:00 GMT+0200", "8/29/2019 10:00 pm"). A
// time without a zone is UTC.
#ifndef BASE_JS_DATE_H
#define BASE_JS_DATE_H

#include <stdbool.h>
#include <stdint.h>

// The last time that such a date can have, milliseconds since 1970.
#define JS_DATE_MS_MAX INT64_C(8640000000000000)

// False when the text is no date, or one that does not exist. A number of more than four digits is
// milliseconds since 1970.
bool js_date_parse(const char *text, int64_t *ret_time_ms);

#endif
