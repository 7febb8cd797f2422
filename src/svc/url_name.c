// SPDX-License-Identifier: AGPL-3.0-or-later
#include "svc/url_name.h"

#include <string.h>

#include "base/limits.h"

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-"

int url_name_check(const char *name, struct err *err)
{
    if (!*name)
        return err_set(err, ERR_INVALID, "Error: name must have at least 1 character");
    if (name[strspn(name, LETTERS)] || *name == '-')
        return err_set(err, ERR_INVALID,
                       "Error: name must contain only a-z,A-Z,0-9, . or -, and not start with "
                       "hyphen or have spaces.");
    if (strlen(name) > LIMIT_URL_NAME)
        return err_set(err, ERR_INVALID, "Error: name must have at most %d characters",
                       LIMIT_URL_NAME);
    return 0;
}
