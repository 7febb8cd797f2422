// SPDX-License-Identifier: AGPL-3.0-or-later
// Whom a limit counts. One IPv6 client has a whole network of addresses to choose from, so what is
// bounded for "one address" is bounded for its /64.
#ifndef SVC_CLIENT_NETWORK_H
#define SVC_CLIENT_NETWORK_H

#define CLIENT_NETWORK_SIZE 72

// "2001:db8:1:2::/64" of an IPv6 address; any other text as it is.
void client_network(const char *address, char out[CLIENT_NETWORK_SIZE]);

#endif
