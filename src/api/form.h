// SPDX-License-Identifier: AGPL-3.0-or-later
// application/x-www-form-urlencoded bodies as JSON values (api-v1 1.3).
#ifndef API_FORM_H
#define API_FORM_H

#include "base/json.h"

// k=v is a string, a repeated k or k[] an array, k[a][b] an object in an object. The caller owns
// *ret_value, an object. Brackets that make no sense are part of the name. ERR_INVALID for broken
// UTF-8, a NUL character, too many levels of brackets or a name that is used in two ways;
// ERR_TOO_LARGE for more than 1000 fields.
int form_parse(const char *text, size_t size, cJSON **ret_value, struct err *err) MUST_USE;

#endif
