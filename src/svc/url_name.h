// SPDX-License-Identifier: AGPL-3.0-or-later
// Names that stand for projects and public paths in addresses (user-query 12.2, 12.4).
#ifndef SVC_URL_NAME_H
#define SVC_URL_NAME_H

#include "base/err.h"

// ERR_INVALID with the contract's texts.
int url_name_check(const char *name, struct err *err) MUST_USE;

#endif
