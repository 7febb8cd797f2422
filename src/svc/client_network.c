// SPDX-License-Identifier: AGPL-3.0-or-later
#include "svc/client_network.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#define HOST_BYTES 8

void client_network(const char *address, char out[CLIENT_NETWORK_SIZE])
{
    struct in6_addr v6;
    char text[INET6_ADDRSTRLEN];
    if (inet_pton(AF_INET6, address, &v6) != 1 || IN6_IS_ADDR_V4MAPPED(&v6)) {
        snprintf(out, CLIENT_NETWORK_SIZE, "%s", address);
        return;
    }
    memset(v6.s6_addr + sizeof v6.s6_addr - HOST_BYTES, 0, HOST_BYTES);
    inet_ntop(AF_INET6, &v6, text, sizeof text);
    snprintf(out, CLIENT_NETWORK_SIZE, "%s/64", text);
}
