// SPDX-License-Identifier: AGPL-3.0-or-later
// A request and the socket for its answer, which is written as its reader takes it.
#ifndef JUPYTER_CALL_H
#define JUPYTER_CALL_H

#include "base/json.h"
#include "jupyter/watch.h"

struct call {
    int fd;
    struct buf answer; // empty until there is one
    size_t sent;
    bool over; // it has been answered, or nobody waits for it any more
    struct execution *execution;
};

// Takes the next request that waits in the socket. False if there is none; *ret_request is NULL if
// it cannot be read. *ret_closed: the other end is closed.
bool call_receive(int socket_fd, struct call **ret_call, cJSON **ret_request, bool *ret_closed);
void call_free(struct call *call);
void call_watch(struct call *call, struct watch_set *set);
// The answer is complete: begins to send it.
void call_send(struct call *call);

#endif
