// SPDX-License-Identifier: AGPL-3.0-or-later
// Between the files of the organizations.
#ifndef SVC_ORGANIZATIONS_INTERNAL_H
#define SVC_ORGANIZATIONS_INTERNAL_H

#include "base/err.h"

// Whether an organization could have the name. ERR_INVALID.
int organization_name_check(const char *name, struct err *err) MUST_USE;

#endif
