// SPDX-License-Identifier: AGPL-3.0-or-later
// Which of the hubs on one data folder a process is: seats are numbered from 1, and each is a lock
// on the file run/hub-N that ends with its holder. So a hub that takes a seat knows that whoever
// had it is gone, and can go on with what that one has left.
#ifndef SERVER_SEAT_H
#define SERVER_SEAT_H

#include <stdbool.h>

#include "base/err.h"

struct seat {
    unsigned number;
    bool alone; // no other is taken
};

// Takes the lowest free seat until the process ends; where hubs cannot share the database, the
// first or none: ERR_CONFLICT once another has had it for some seconds. In the data folder.
int seat_take(bool shared, struct seat *ret_seat, struct err *err) MUST_USE;
// Keeps hubs from starting until the process ends. ERR_CONFLICT if one runs.
int seat_take_all(struct err *err) MUST_USE;

#endif
