// SPDX-License-Identifier: AGPL-3.0-or-later
// Listening sockets and the addresses of clients.
#ifndef HTTP_LISTEN_H
#define HTTP_LISTEN_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include "base/err.h"

#define LISTENER_LOOPS_MAX 64

struct listener {
    char host[64]; // as given: a name or a numeric address
    unsigned port; // the real one
    unsigned fds_count;
    int fds[LISTENER_LOOPS_MAX]; // one a loop, sharing the port
};

// Binds and listens on "HOST:PORT" or "[V6]:PORT" with one socket a loop; port 0 picks a free one.
// ERR_CONFLICT when the address is in use, also by another server that would share it.
int listener_open(const char *address, unsigned loops, struct listener *ret_listener,
                  struct err *err) MUST_USE;
void listener_close(struct listener *listener);
// Whether an address is written as it must be. ERR_INVALID.
int listener_check(const char *address, struct err *err) MUST_USE;

// A list of networks: addresses with an optional prefix length, separated by commas or spaces
// ("127.0.0.1, 10.0.0.0/8, ::1").
struct net;
struct net_list {
    struct net *nets;
    size_t count;
};
int net_list_parse(const char *text, struct net_list *ret_list, struct err *err) MUST_USE;
void net_list_dispose(struct net_list *list);
bool net_list_contains(const struct net_list *list, const struct sockaddr *address);

#define ADDRESS_TEXT_SIZE 64
// The client behind trusted proxies: the last address of X-Forwarded-For (`forwarded`, may be NULL)
// that is not a trusted proxy itself; or the peer, if that is no trusted proxy. The leftmost
// entries are the client's own claim and prove nothing.
void address_client(const struct net_list *trusted, const struct sockaddr *peer,
                    const char *forwarded, char out[ADDRESS_TEXT_SIZE]);

#endif
