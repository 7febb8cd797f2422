// SPDX-License-Identifier: AGPL-3.0-or-later
#include "http/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"

#define LISTEN_BACKLOG 4096

// ---- Listening ----

// "HOST:PORT" or "[HOST]:PORT" into host and port.
static int split_address(const char *address, char host[64], unsigned *ret_port, struct err *err)
{
    const char *colon = strrchr(address, ':');
    int64_t port = 0;
    if (!colon || !text_parse_int64(colon + 1, 0, 65535, &port))
        return err_set(err, ERR_INVALID, "listen address \"%s\" is not HOST:PORT", address);
    const char *start = address, *end = colon;
    if (*start == '[' && end > start + 1 && end[-1] == ']') {
        start++;
        end--;
    }
    if (end == start || end - start >= 64)
        return err_set(err, ERR_INVALID, "listen address \"%s\" has no usable host", address);
    snprintf(host, 64, "%.*s", (int)(end - start), start);
    *ret_port = (unsigned)port;
    return 0;
}

int listener_check(const char *address, struct err *err)
{
    char host[64];
    unsigned port;
    return split_address(address, host, &port, err);
}

static int open_socket(const char *address, const struct addrinfo *where, bool shared,
                       struct err *err)
{
    static const int on = 1, send_buffer = LIMIT_SEND_BUFFER;
    auto_fd int fd = socket(where->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return err_set_errno(err, ERR_INTERNAL, errno, "no socket could be made");
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &send_buffer, sizeof send_buffer);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (shared)
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    if (bind(fd, where->ai_addr, where->ai_addrlen) || listen(fd, LISTEN_BACKLOG))
        return err_set_errno(err, errno == EADDRINUSE ? ERR_CONFLICT : ERR_INVALID, errno,
                             "cannot listen on %s: %s", address, strerror(errno));
    return TAKE_FD(fd);
}

static void set_port(struct sockaddr *address, unsigned port)
{
    if (address->sa_family == AF_INET6)
        ((struct sockaddr_in6 *)(void *)address)->sin6_port = htons((uint16_t)port);
    else
        ((struct sockaddr_in *)(void *)address)->sin_port = htons((uint16_t)port);
}

static unsigned bound_port(int fd)
{
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    if (getsockname(fd, (struct sockaddr *)&address, &size))
        return 0;
    return ntohs(address.ss_family == AF_INET6
                     ? ((struct sockaddr_in6 *)(void *)&address)->sin6_port
                     : ((struct sockaddr_in *)(void *)&address)->sin_port);
}

static int open_all(const char *address, const struct addrinfo *where, unsigned loops,
                    struct listener *l, struct err *err)
{
    // A socket that shares its port would silently join another server on it; one that does not
    // share finds that out.
    int probe = open_socket(address, where, false, err);
    if (probe < 0)
        return probe;
    l->port = bound_port(probe);
    fd_close(&probe);
    set_port(where->ai_addr, l->port);
    while (l->fds_count < loops) {
        int fd = open_socket(address, where, true, err);
        if (fd < 0)
            return fd;
        l->fds[l->fds_count++] = fd;
    }
    return 0;
}

int listener_open(const char *address, unsigned loops, struct listener *ret_listener,
                  struct err *err)
{
    assert(loops && loops <= LISTENER_LOOPS_MAX);
    struct listener l = {0};
    unsigned port = 0;
    int rc = split_address(address, l.host, &port, err);
    if (rc)
        return rc;
    char service[8];
    snprintf(service, sizeof service, "%u", port);
    struct addrinfo *found,
        hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    int gai = getaddrinfo(l.host, service, &hints, &found);
    if (gai)
        return err_set(err, ERR_INVALID, "listen address \"%s\": %s", address, gai_strerror(gai));
    rc = open_all(address, found, loops, &l, err);
    freeaddrinfo(found);
    if (rc) {
        listener_close(&l);
        return rc;
    }
    *ret_listener = l;
    return 0;
}

void listener_close(struct listener *listener)
{
    for (unsigned i = 0; i < listener->fds_count; i++)
        fd_close(&listener->fds[i]);
    listener->fds_count = 0;
}

// ---- Networks ----

// Every address in IPv6 form: IPv4 as ::ffff:a.b.c.d.
struct net {
    struct in6_addr address;
    unsigned prefix;
};

static struct in6_addr v4_mapped(const struct in_addr *v4)
{
    struct in6_addr v6 = {.s6_addr = {[10] = 0xff, [11] = 0xff}};
    memcpy(v6.s6_addr + 12, v4, sizeof *v4);
    return v6;
}

static bool to_v6(const struct sockaddr *address, struct in6_addr *ret_v6)
{
    if (address->sa_family == AF_INET6) {
        *ret_v6 = ((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
        return true;
    }
    if (address->sa_family != AF_INET)
        return false;
    *ret_v6 = v4_mapped(&((const struct sockaddr_in *)(const void *)address)->sin_addr);
    return true;
}

static bool parse_address(const char *text, struct in6_addr *ret_v6, bool *ret_v4)
{
    struct in_addr v4;
    *ret_v4 = inet_pton(AF_INET, text, &v4) == 1;
    if (*ret_v4) {
        *ret_v6 = v4_mapped(&v4);
        return true;
    }
    return inet_pton(AF_INET6, text, ret_v6) == 1;
}

static bool parse_net(char *text, struct net *ret_net)
{
    int64_t prefix;
    bool v4;
    char *slash = strchr(text, '/');
    if (slash)
        *slash = '\0';
    if (!parse_address(text, &ret_net->address, &v4))
        return false;
    ret_net->prefix = 128;
    if (slash) {
        if (!text_parse_int64(slash + 1, 0, v4 ? 32 : 128, &prefix))
            return false;
        ret_net->prefix = (unsigned)prefix + (v4 ? 96 : 0);
    }
    return true;
}

int net_list_parse(const char *text, struct net_list *ret_list, struct err *err)
{
    struct net_list list = {0};
    auto_free char *copy = mem_strdup(text);
    char *save = NULL;
    for (char *word = strtok_r(copy, ", \t", &save); word; word = strtok_r(NULL, ", \t", &save)) {
        list.nets = mem_realloc(list.nets, (list.count + 1) * sizeof *list.nets);
        if (!parse_net(word, &list.nets[list.count])) {
            net_list_dispose(&list);
            return err_set(err, ERR_INVALID, "\"%s\" is no address or network", word);
        }
        list.count++;
    }
    *ret_list = list;
    return 0;
}

void net_list_dispose(struct net_list *list)
{
    free(list->nets);
    *list = (struct net_list){0};
}

static bool net_contains(const struct net *net, const struct in6_addr *address)
{
    unsigned whole = net->prefix / 8, rest = net->prefix % 8;
    if (memcmp(net->address.s6_addr, address->s6_addr, whole))
        return false;
    unsigned mask = 0xffu << (8 - rest) & 0xffu;
    return !rest || ((net->address.s6_addr[whole] ^ address->s6_addr[whole]) & mask) == 0;
}

static bool list_contains(const struct net_list *list, const struct in6_addr *address)
{
    for (size_t i = 0; i < list->count; i++) {
        if (net_contains(&list->nets[i], address))
            return true;
    }
    return false;
}

bool net_list_contains(const struct net_list *list, const struct sockaddr *address)
{
    struct in6_addr v6;
    return to_v6(address, &v6) && list_contains(list, &v6);
}

// ---- The client's address ----

static void v6_text(const struct in6_addr *v6, char out[ADDRESS_TEXT_SIZE])
{
    if (IN6_IS_ADDR_V4MAPPED(v6))
        inet_ntop(AF_INET, v6->s6_addr + 12, out, ADDRESS_TEXT_SIZE);
    else
        inet_ntop(AF_INET6, v6, out, ADDRESS_TEXT_SIZE);
}

// The numeric address without port; an IPv4 address in IPv6 form as IPv4. "unix" for a Unix socket.
static void address_text(const struct sockaddr *address, char out[ADDRESS_TEXT_SIZE])
{
    struct in6_addr v6;
    if (to_v6(address, &v6))
        v6_text(&v6, out);
    else
        strcpy(out, "unix");
}

// The last entry of the list text[0..*end) without spaces, into `word`; *end moves before it. False
// when nothing usable is left.
static bool last_entry(const char *text, size_t *end, char word[ADDRESS_TEXT_SIZE])
{
    size_t stop = *end;
    while (stop && (text[stop - 1] == ' ' || text[stop - 1] == ','))
        stop--;
    size_t start = stop;
    while (start && text[start - 1] != ',' && text[start - 1] != ' ')
        start--;
    *end = start;
    if (stop == start || stop - start >= ADDRESS_TEXT_SIZE)
        return false;
    memcpy(word, text + start, stop - start);
    word[stop - start] = '\0';
    return true;
}

void address_client(const struct net_list *trusted, const struct sockaddr *peer,
                    const char *forwarded, char out[ADDRESS_TEXT_SIZE])
{
    address_text(peer, out);
    struct in6_addr v6;
    if (!forwarded || !net_list_contains(trusted, peer))
        return;
    char word[ADDRESS_TEXT_SIZE];
    bool v4;
    for (size_t end = strlen(forwarded); last_entry(forwarded, &end, word);) {
        if (!parse_address(word, &v6, &v4))
            return;
        v6_text(&v6, out);
        if (!list_contains(trusted, &v6))
            return;
    }
}
