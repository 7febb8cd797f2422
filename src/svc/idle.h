// SPDX-License-Identifier: AGPL-3.0-or-later
// The look that is taken at all running projects from time to time: those that nobody uses are
// stopped (hub-rpc 4.1), the status of the others is measured, and what turns out not to run any
// more gives back what it held.
#ifndef SVC_IDLE_H
#define SVC_IDLE_H

#include "svc/svc.h"

struct idle;

struct idle_config {
    unsigned check_s; // between two looks
    unsigned grace_s; // for which a project runs at least
};

// On the thread of svc->loop, before and after it runs.
struct idle *idle_open(struct svc *svc, const struct idle_config *config);
// Before the store is closed, with svc->closing set.
void idle_close(struct idle *idle);
// After the loop is disposed of.
void idle_free(struct idle *idle);

#endif
