// SPDX-License-Identifier: AGPL-3.0-or-later
// Everything is allowed but what follows: what makes new namespaces or mounts (and so opens most of
// the kernel's privileged code to anybody), what only an administrator needs, and corners of the
// kernel that have been the way out of sandboxes before. Capabilities and namespaces forbid most of
// it already; this is the second wall.
//
// A call that programs probe for, with a fallback, gets ENOSYS.
#include "runner/seccomp.h"

#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "base/fd.h"

static const char *const refused_eperm[] = {
    "unshare",       "setns",           "mount",
    "umount",        "umount2",         "mount_setattr",
    "open_tree",     "move_mount",      "fsopen",
    "fsconfig",      "fsmount",         "fspick",
    "pivot_root",    "chroot",          "open_by_handle_at",
    "swapon",        "swapoff",         "reboot",
    "acct",          "quotactl",        "quotactl_fd",
    "settimeofday",  "clock_settime",   "stime",
    "kexec_load",    "kexec_file_load", "init_module",
    "finit_module",  "delete_module",   "create_module",
    "bpf",           "perf_event_open", "userfaultfd",
    "fanotify_init", "keyctl",          "add_key",
    "request_key",   "syslog",          "iopl",
    "ioperm",        "vhangup",         "lookup_dcookie",
    "nfsservctl",    "uselib",
};

static const char *const refused_enosys[] = {
    "clone3", // its flags lie in memory, where a filter cannot look
    "io_uring_setup",
    "io_uring_enter",
    "io_uring_register",
};

static const uint64_t namespace_flags[] = {
    CLONE_NEWNS,   CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC,
    CLONE_NEWUSER, CLONE_NEWPID,    CLONE_NEWNET,
};

static const unsigned long terminal_ioctls[] = {TIOCSTI, TIOCLINUX};

#define FAMILY_LAST 45 // AF_MCTP; newer ones are refused as a whole

static int refuse_list(scmp_filter_ctx filter, const char *const *names, size_t count, int error)
{
    for (size_t i = 0; i < count; i++) {
        const int number = seccomp_syscall_resolve_name(names[i]);
        if (number == __NR_SCMP_ERROR)
            continue; // not on this architecture, or newer than the library
        const int rc = seccomp_rule_add(filter, SCMP_ACT_ERRNO((uint32_t)error), number, 0);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int refuse_namespaces(scmp_filter_ctx filter)
{
    for (size_t i = 0; i < ARRAY_LEN(namespace_flags); i++) {
        const uint64_t flag = namespace_flags[i];
        const int rc = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
                                        SCMP_A0_64(SCMP_CMP_MASKED_EQ, flag, flag));
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int refuse_terminal_input(scmp_filter_ctx filter)
{
    for (size_t i = 0; i < ARRAY_LEN(terminal_ioctls); i++) {
        // The kernel looks at 32 bits of the request only.
        const int rc =
            seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(ioctl), 1,
                             SCMP_A1_64(SCMP_CMP_MASKED_EQ, UINT32_MAX, terminal_ioctls[i]));
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int refuse_families(scmp_filter_ctx filter)
{
    const uint32_t action = SCMP_ACT_ERRNO(EAFNOSUPPORT);
    for (uint64_t family = 0; family <= FAMILY_LAST; family++) {
        if (family == AF_UNIX || family == AF_INET || family == AF_INET6 || family == AF_NETLINK)
            continue;
        const int rc = seccomp_rule_add(filter, action, SCMP_SYS(socket), 1,
                                        SCMP_A0_64(SCMP_CMP_EQ, family, 0));
        if (rc < 0)
            return rc;
    }
    return seccomp_rule_add(filter, action, SCMP_SYS(socket), 1,
                            SCMP_A0_64(SCMP_CMP_GT, (uint64_t)FAMILY_LAST, 0));
}

static int add_rules(scmp_filter_ctx filter)
{
    int rc = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(ENOSYS));
    if (rc == 0)
        rc = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    if (rc == 0)
        rc = refuse_list(filter, refused_eperm, ARRAY_LEN(refused_eperm), EPERM);
    if (rc == 0)
        rc = refuse_list(filter, refused_enosys, ARRAY_LEN(refused_enosys), ENOSYS);
    if (rc == 0)
        rc = refuse_namespaces(filter);
    if (rc == 0)
        rc = refuse_terminal_input(filter);
    return rc ? rc : refuse_families(filter);
}

int seccomp_compile(int *ret_fd, struct err *err)
{
    auto_fd int fd = memfd_create("seccomp", MFD_CLOEXEC);
    if (fd < 0)
        return err_set_errno(err, ERR_INTERNAL, errno, "cannot make the system call filter");
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    if (!filter)
        return err_set(err, ERR_INTERNAL, "cannot make the system call filter");
    int rc = add_rules(filter);
    if (rc == 0)
        rc = seccomp_export_bpf(filter, fd);
    seccomp_release(filter);
    if (rc < 0)
        return err_set_errno(err, ERR_INTERNAL, -rc, "cannot make the system call filter");
    *ret_fd = TAKE_FD(fd);
    return 0;
}
