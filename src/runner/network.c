// SPDX-License-Identifier: AGPL-3.0-or-later
#include "runner/network.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <linux/rtnetlink.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/macros.h"

#define TUN           "/dev/net/tun"
#define INTERFACE     "tap0"
#define NAMESERVER    "10.0.2.3" // slirp4netns's own: it asks those of the host
#define LOG_SIZE_MAX  (64 * 1024)
#define FD_FIRST      10 // of those that slirp4netns is given
#define PASSED_MAX    3
#define READ_TRIES    16
#define ADDRESSES_MAX 4096
#define STATUS_MAX    1024
#define ROOT_PAUSE_US 200
#define ROOT_TRIES    25000
#define ROUTES_SIZE   (32 * 1024)

// Destinations that are closed whatever the host's addresses are: what no machine outside has, and
// where clouds tell machines their secrets.
static const struct {
    int family;
    const char *address;
    uint8_t bits;
} closed[] = {
    {AF_INET, "0.0.0.0", 8},          {AF_INET, "127.0.0.0", 8},    {AF_INET, "169.254.0.0", 16},
    {AF_INET, "224.0.0.0", 4},        {AF_INET, "240.0.0.0", 4},    {AF_INET6, "::", 96},
    {AF_INET6, "::ffff:0.0.0.0", 96}, {AF_INET6, "fd00:ec2::", 32},
};

struct destination {
    int family;
    uint8_t bits;
    uint8_t address[16];
};

struct destinations {
    struct destination list[ADDRESSES_MAX];
    size_t count;
    bool complete;
    bool changing; // while they were read
    bool ipv6;     // the host has a way to the rest of the world
};

static size_t address_size(int family)
{
    return family == AF_INET ? 4 : 16;
}

// ---- What a host can do. ----

static bool can_open_tun(void)
{
    auto_fd int fd = open(TUN, O_RDWR | O_CLOEXEC);
    return fd >= 0;
}

// A device of our own over the host's, in the mount namespace of the runner, where it is open to
// root only.
static bool provide_tun(const struct sandbox_host *sandbox)
{
    if (!sandbox->root || !sandbox->own_mounts)
        return false;
    setfsuid(0);
    const bool provided =
        can_open_tun() &&
        mount("none", "/dev/net", "tmpfs", MS_NOSUID | MS_NOEXEC, "mode=0755,size=4k") == 0 &&
        mknod(TUN, S_IFCHR | 0666, makedev(10, 200)) == 0 && chmod(TUN, 0666) == 0;
    setfsuid(sandbox->uid);
    return provided && can_open_tun();
}

int network_host_open(const struct sandbox_host *sandbox, struct network_host *ret_host,
                      struct err *err)
{
    struct network_host host = {.sandbox = sandbox};
    *ret_host = host;
    if (!sandbox_find_program("slirp4netns", host.slirp_path, sizeof host.slirp_path))
        return err_set(err, ERR_UNAVAILABLE, "slirp4netns is not installed");
    if (!can_open_tun() && !provide_tun(sandbox))
        return err_set_errno(err, ERR_UNAVAILABLE, errno, "cannot open " TUN);
    *ret_host = host;
    return 0;
}

// ---- The pipes. ----

void network_dispose(struct network *network)
{
    fd_close(&network->sandbox.status_fd);
    fd_close(&network->sandbox.block_fd);
    fd_close(&network->sandbox.hold_fd);
    for (size_t i = 0; i < NETWORK_FDS; i++)
        fd_close(&network->fds[i]);
}

static int open_pipe(int *ret_read, int *ret_write)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    *ret_read = ends[0];
    *ret_write = ends[1];
    return 0;
}

// bubblewrap also writes its child's exit status to this pipe, when nobody reads it any more; that
// must not kill it. A pipe that is open for reading too never breaks.
static int open_both_ways(int *fd)
{
    char path[32];
    snprintf(path, sizeof path, "/proc/self/fd/%d", *fd);
    const int both = open(path, O_RDWR | O_CLOEXEC);
    if (both < 0)
        return -errno;
    fd_close(fd);
    *fd = both;
    return 0;
}

int network_open(int log_fd, struct network *ret_network, struct err *err)
{
    CLEANUP(network_dispose) struct network n = NETWORK_NONE;
    n.fds[NETWORK_LOG] = log_fd;
    n.sandbox.nameservers = "nameserver " NAMESERVER "\n";
    int rc = open_pipe(&n.fds[NETWORK_STATUS], &n.sandbox.status_fd);
    if (rc == 0)
        rc = open_pipe(&n.sandbox.block_fd, &n.fds[NETWORK_READY]);
    if (rc == 0)
        rc = open_pipe(&n.fds[NETWORK_EXIT], &n.sandbox.hold_fd);
    if (rc == 0)
        rc = open_both_ways(&n.sandbox.status_fd);
    if (rc < 0)
        return err_set_errno(err, ERR_UNAVAILABLE, -rc, "cannot make a pipe");
    *ret_network = n;
    n = (struct network)NETWORK_NONE;
    return 0;
}

// ---- Netlink: reading the host's addresses, closing destinations. ----

static int netlink_open(void)
{
    return socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
}

static void take_route(struct nlmsghdr *header, struct destinations *d)
{
    struct rtmsg *route = NLMSG_DATA(header);
    if (route->rtm_type == RTN_UNICAST && route->rtm_family == AF_INET6 && route->rtm_dst_len == 0)
        d->ipv6 = true;
    if (route->rtm_type != RTN_LOCAL)
        return;
    int size = (int)RTM_PAYLOAD(header);
    for (struct rtattr *a = RTM_RTA(route); RTA_OK(a, size); a = RTA_NEXT(a, size)) {
        if (a->rta_type != RTA_DST || RTA_PAYLOAD(a) != address_size(route->rtm_family))
            continue;
        d->complete &= d->count < ADDRESSES_MAX;
        if (!d->complete)
            return;
        struct destination *to = &d->list[d->count++];
        *to = (struct destination){.family = route->rtm_family, .bits = route->rtm_dst_len};
        memcpy(to->address, RTA_DATA(a), RTA_PAYLOAD(a));
    }
}

// False at the end.
static bool take_routes(char *bytes, unsigned size, struct destinations *d)
{
    struct nlmsghdr *header = (void *)bytes;
    for (; NLMSG_OK(header, size); header = NLMSG_NEXT(header, size)) {
        d->changing |= (header->nlmsg_flags & NLM_F_DUMP_INTR) != 0;
        if (header->nlmsg_type == RTM_NEWROUTE)
            take_route(header, d);
        else if (header->nlmsg_type == NLMSG_ERROR)
            d->complete = false;
        if (header->nlmsg_type != RTM_NEWROUTE)
            return false;
    }
    return true;
}

static void read_routes(int family, struct destinations *d)
{
    static char bytes[ROUTES_SIZE] __attribute__((aligned(8)));
    struct {
        struct nlmsghdr header;
        struct rtmsg route;
    } request = {.header = {.nlmsg_len = sizeof request,
                            .nlmsg_type = RTM_GETROUTE,
                            .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
                 .route = {.rtm_family = (unsigned char)family}};
    auto_fd int fd = netlink_open();
    ssize_t size = fd < 0 ? -1 : send(fd, &request, sizeof request, 0);
    while (size > 0) {
        size = recv(fd, bytes, sizeof bytes, 0);
        if (size > 0 && !take_routes(bytes, (unsigned)size, d))
            return;
    }
    d->complete = false;
}

// Everything that the host takes for its own, from its tables of routes. The kernel may have been
// built without one of the families. What changes while it is read is read again.
static void find_host(int family, struct destinations *d)
{
    const size_t before = d->count;
    for (int tries = 0; tries < READ_TRIES; tries++) {
        d->count = before;
        d->changing = false;
        read_routes(family, d);
        if (!d->changing)
            return;
    }
    d->complete = false;
}

static void add_attribute(struct nlmsghdr *header, unsigned short type, const void *bytes,
                          size_t size)
{
    struct rtattr *a = (void *)((char *)header + NLMSG_ALIGN(header->nlmsg_len));
    a->rta_type = type;
    a->rta_len = (unsigned short)RTA_LENGTH(size);
    memcpy(RTA_DATA(a), bytes, size);
    header->nlmsg_len = (uint32_t)(NLMSG_ALIGN(header->nlmsg_len) + RTA_ALIGN(a->rta_len));
}

// 0, or a negative errno.
static int close_destination(int fd, const struct destination *to)
{
    struct {
        struct nlmsghdr header;
        struct rtmsg route;
        char attributes[64];
    } request = {
        .header = {.nlmsg_len = NLMSG_LENGTH(sizeof(struct rtmsg)),
                   .nlmsg_type = RTM_NEWROUTE,
                   .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE},
        .route = {.rtm_family = (unsigned char)to->family,
                  .rtm_dst_len = to->bits,
                  .rtm_table = RT_TABLE_MAIN,
                  .rtm_protocol = RTPROT_STATIC,
                  .rtm_type = RTN_PROHIBIT}};
    struct {
        struct nlmsghdr header;
        struct nlmsgerr error;
        char rest[256];
    } reply;
    add_attribute(&request.header, RTA_DST, to->address, address_size(to->family));
    if (send(fd, &request, request.header.nlmsg_len, 0) < 0)
        return -errno;
    const ssize_t size = recv(fd, &reply, sizeof reply, 0);
    if (size < (ssize_t)NLMSG_LENGTH(sizeof reply.error))
        return size < 0 ? -errno : -EPROTO;
    return reply.header.nlmsg_type == NLMSG_ERROR ? reply.error.error : -EPROTO;
}

static bool is_nameserver(const struct destination *to)
{
    struct in_addr address;
    return to->family == AF_INET && inet_pton(AF_INET, NAMESERVER, &address) == 1 &&
           memcmp(to->address, &address, sizeof address) == 0 && to->bits == 32;
}

// Without IPv6 in the kernel there is nothing of it to close.
static int close_all(const struct destinations *d)
{
    auto_fd int fd = netlink_open();
    if (fd < 0)
        return -errno;
    for (size_t i = 0; i < d->count; i++) {
        const int rc = is_nameserver(&d->list[i]) ? 0 : close_destination(fd, &d->list[i]);
        if (rc < 0 && (d->list[i].family == AF_INET || d->ipv6))
            return rc;
    }
    return 0;
}

// ---- The process that sets up a network. ----

static _Noreturn void fail(const char *what, int error)
{
    dprintf(STDERR_FILENO, "no network: %s: %s\n", what, strerror(error));
    _exit(1);
}

static void set_up(const int fds[NETWORK_FDS])
{
    // What it says ends up on the disk, at the wish of whoever is inside.
    const struct rlimit size = {LOG_SIZE_MAX, LOG_SIZE_MAX};
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGXFSZ, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_PDEATHSIG, 0);
    setrlimit(RLIMIT_FSIZE, &size);
    setsid();
    auto_fd int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (null_fd < 0 || dup2(null_fd, STDIN_FILENO) < 0 || dup2(fds[NETWORK_LOG], 1) < 0 ||
        dup2(fds[NETWORK_LOG], 2) < 0)
        _exit(1);
}

static pid_t read_status(int fd)
{
    static const char key[] = "\"child-pid\":";
    char text[STATUS_MAX + 1];
    size_t size = 0;
    while (size < STATUS_MAX) {
        const ssize_t got = read(fd, text + size, STATUS_MAX - size);
        if (got == 0 || (got < 0 && errno != EINTR))
            fail("bubblewrap ended", got < 0 ? errno : EPIPE);
        size += got > 0 ? (size_t)got : 0;
        text[size] = '\0';
        const char *at = strstr(text, key);
        if (at && strchr(at, '\n'))
            return (pid_t)strtol(at + sizeof key - 1, NULL, 10);
    }
    fail("bubblewrap", EPROTO);
}

static void open_namespaces(pid_t pid, int *ret_net_fd, int *ret_user_fd)
{
    char path[48];
    snprintf(path, sizeof path, "/proc/%d/ns/net", (int)pid);
    *ret_net_fd = open(path, O_RDONLY | O_CLOEXEC);
    if (*ret_net_fd < 0)
        fail(path, errno);
    *ret_user_fd = ioctl(*ret_net_fd, NS_GET_USERNS);
    if (*ret_user_fd < 0)
        fail("NS_GET_USERNS", errno);
    fcntl(*ret_user_fd, F_SETFD, FD_CLOEXEC);
}

// The user namespace is of use once bubblewrap has said who is root in it: only root keeps rights
// over an exec. That takes it a moment from when it has told of its child.
static void enter_user_namespace(const struct sandbox_host *sandbox, int user_fd)
{
    if (sandbox_become_user(sandbox) < 0 || setns(user_fd, CLONE_NEWUSER) < 0)
        fail("cannot enter the user namespace", errno);
    for (unsigned i = 0; geteuid() != 0 || getegid() != 0; i++) {
        if (i == ROOT_TRIES)
            fail("the user namespace", ETIMEDOUT);
        usleep(ROOT_PAUSE_US);
    }
}

// All that is closed, from the host's side.
static void find_closed(struct destinations *d)
{
    d->complete = true;
    for (size_t i = 0; i < ARRAY_LEN(closed); i++) {
        struct destination *to = &d->list[d->count++];
        *to = (struct destination){.family = closed[i].family, .bits = closed[i].bits};
        inet_pton(closed[i].family, closed[i].address, to->address);
    }
    find_host(AF_INET, d);
    find_host(AF_INET6, d);
    if (!d->complete)
        fail("the host's addresses", EOVERFLOW);
}

// In a child: slirp4netns belongs into the host's network.
static void close_inside(int net_fd, const struct destinations *d)
{
    int status;
    const pid_t pid = fork();
    if (pid == 0) {
        if (setns(net_fd, CLONE_NEWNET) < 0)
            fail("setns", errno);
        const int rc = close_all(d);
        if (rc < 0)
            fail("closing the host's addresses", -rc);
        _exit(0);
    }
    if (pid < 0)
        fail("fork", errno);
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            fail("wait", errno);
    if (WIFSIGNALED(status))
        fail("closing the host's addresses", EINTR);
    if (status != 0)
        _exit(1); // it has said why
}

// Leaves nothing open but what slirp4netns is given, under these numbers.
static void place(const int *fds, int count)
{
    int kept[PASSED_MAX];
    for (int i = 0; i < count; i++)
        kept[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, FD_FIRST + count);
    close_range(STDERR_FILENO + 1, ~0u, CLOSE_RANGE_CLOEXEC);
    for (int i = 0; i < count; i++)
        if (dup2(kept[i], FD_FIRST + i) < 0)
            fail("descriptors", errno);
}

static _Noreturn void run_slirp(const struct network_host *host, bool ipv6)
{
    char *environment[] = {NULL};
    const char *argv[16] = {
        "slirp4netns",       "--configure",      "--mtu=65520",   "--disable-host-loopback",
        "--enable-sandbox",  "--enable-seccomp", "--ready-fd=10", "--exit-fd=11",
        "--netns-type=path", "/proc/self/fd/12", INTERFACE,       ipv6 ? "--enable-ipv6" : NULL};
    execve(host->slirp_path, (char *const *)(uintptr_t)argv, environment);
    fail(host->slirp_path, errno);
}

static _Noreturn void run_helper(const struct network_host *host, const int fds[NETWORK_FDS])
{
    static struct destinations d;
    int net_fd, user_fd;
    set_up(fds);
    find_closed(&d);
    open_namespaces(read_status(fds[NETWORK_STATUS]), &net_fd, &user_fd);
    // slirp4netns's own sandbox needs to be in the user namespace that owns the network already.
    // Its rights there are those over this one network; on the host it is the sandboxes' user.
    enter_user_namespace(host->sandbox, user_fd);
    close_inside(net_fd, &d);
    const int passed[PASSED_MAX] = {fds[NETWORK_READY], fds[NETWORK_EXIT], net_fd};
    place(passed, PASSED_MAX);
    run_slirp(host, d.ipv6);
}

void network_fork(const struct network_host *host, const int fds[NETWORK_FDS])
{
    const pid_t pid = fork();
    if (pid == 0) {
        const pid_t helper = fork();
        if (helper == 0)
            run_helper(host, fds);
        _exit(helper < 0 ? errno : 0);
    }
    int status = pid < 0 ? W_EXITCODE(errno, 0) : 0;
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (status != 0)
        dprintf(fds[NETWORK_LOG], "no network: fork: %s\n", strerror(WEXITSTATUS(status)));
}
