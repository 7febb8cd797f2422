// SPDX-License-Identifier: AGPL-3.0-or-later
// From a request's body to an endpoint's typed parameters (api-v1 1.3 to 1.5).
#ifndef API_PARAMS_H
#define API_PARAMS_H

#include "api/api.h"

// The endpoint's parameter of that name, NULL: it has none.
const struct api_param *params_find(const struct api_endpoint *endpoint, const char *name);

// Reads the body as its content type (NULL: none) says. *ret_body is an object, or NULL for no
// parameters; the caller owns it. ERR_INVALID with what is wrong, ERR_TOO_LARGE for too many
// fields.
int params_read_body(const char *content_type, const char *text, size_t size, cJSON **ret_body,
                     struct err *err) MUST_USE;

// Checks names and types against the endpoint and fills a zeroed struct of endpoint->params_size
// bytes in the arena. Texts borrow from `body`. ERR_INVALID with the contract's text (1.4); of a
// method with a short one, and names that it does not know are no fault (hub-rpc 1.1).
int params_fill(const struct api_endpoint *endpoint, const cJSON *body, struct arena *arena,
                void **ret_params, struct err *err) MUST_USE;

// The same with the values of an array (NULL: none) in the order of the endpoint's table.
int params_fill_list(const struct api_endpoint *endpoint, const cJSON *list, struct arena *arena,
                     void **ret_params, struct err *err) MUST_USE;

// Whether a number is whole and from `min` to `max`.
bool params_whole(const struct api_number *number, int64_t min, int64_t max, int64_t *ret_value);

// What the contract counts as true (1.3): not false, 0, null, and not the texts "", "false", "0",
// "no", "off".
bool params_truth(const cJSON *value);

#endif
