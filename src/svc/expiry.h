// SPDX-License-Identifier: AGPL-3.0-or-later
// Rows that are past their time count as absent wherever they are read; here they are deleted, so
// that the database does not grow for ever: once at the start and then every minute, in
// transactions small enough that nobody waits for them.
#ifndef SVC_EXPIRY_H
#define SVC_EXPIRY_H

#include "svc/svc.h"

struct expiry;

// On the thread of svc->loop, before and after it runs.
struct expiry *expiry_open(struct svc *svc);
// Before the store is closed, with svc->closing set.
void expiry_close(struct expiry *expiry);
// After the loop is disposed of.
void expiry_free(struct expiry *expiry);

#endif
