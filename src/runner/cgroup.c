// SPDX-License-Identifier: AGPL-3.0-or-later
#include "runner/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/fd.h"
#include "base/mem.h"

#define FILE_MAX      (256 * 1024)
#define MB            (UINT64_C(1) << 20)
#define SWAP_MB       1000u   // beyond the memory (api-v1 11.6)
#define CPU_PERIOD    100000u // us
#define CPU_QUOTA_MIN 1000u
#define SHARES_MIN    2u
#define SHARES_MAX    262144u
#define SHARES_BASE   1024u // version 1's default
#define WEIGHT_BASE   100u  // version 2's default
#define WEIGHT_MAX    10000u
// Beyond the processes that commands may have, for bubblewrap, the agent and the processes by which
// it starts and ends commands: these must work while a fork bomb fills the rest.
#define PROCESSES_RESERVE 128u
#define HUB_GROUP         "cohub-hub"
// How often the base folder is made and opened while another runner removes it, each after 1 ms.
#define BASE_TRIES 1000u

// A controller that limits need, and what is missing without it.
static const struct {
    enum cgroup_controller controller;
    const char *name;
    uint32_t missing;
} controllers[] = {
    {CGROUP_MEMORY, "memory", RUNNER_NO_MEMORY_LIMIT},
    {CGROUP_CPU, "cpu", RUNNER_NO_CPU_LIMIT},
    {CGROUP_CPUACCT, "cpuacct", 0},
    {CGROUP_PIDS, "pids", RUNNER_NO_PROCESS_LIMIT},
};

// ---- File rights: the groups are root's, and the runner goes about as the sandboxes' user. ----

static void rights_take(const struct cgroups *cgroups)
{
    if (cgroups->uid)
        setfsuid(0);
}

static void rights_give_back(const struct cgroups *cgroups)
{
    if (cgroups->uid)
        setfsuid(cgroups->uid);
}

// ---- Small files. ----

static int write_file(int dir_fd, const char *group, const char *file, const char *fmt, ...)
    PRINTF_LIKE(4, 5);
static int write_file(int dir_fd, const char *group, const char *file, const char *fmt, ...)
{
    char path[CGROUP_NAME_MAX + 64], text[64];
    va_list args;
    va_start(args, fmt);
    const int size = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    snprintf(path, sizeof path, "%s/%s", group, file);
    auto_fd int fd = openat(dir_fd, path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    return write(fd, text, (size_t)size) == size ? 0 : -errno;
}

static bool read_file(int dir_fd, const char *group, const char *file, struct buf *out)
{
    char path[CGROUP_NAME_MAX + 64];
    snprintf(path, sizeof path, "%s/%s", group, file);
    auto_fd int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC);
    out->size = 0;
    return fd >= 0 && fd_read_all(fd, FILE_MAX, out) == 0;
}

static uint64_t read_number(int dir_fd, const char *group, const char *file)
{
    auto_buf struct buf text = {0};
    return read_file(dir_fd, group, file, &text) ? strtoull(buf_cstr(&text), NULL, 10) : 0;
}

// Of a file of lines "KEY NUMBER".
static uint64_t find_number(const char *text, const char *key)
{
    const size_t size = strlen(key);
    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, key, size) == 0 && line[size] == ' ')
            return strtoull(line + size, NULL, 10);
    }
    return 0;
}

static bool has_word(const char *text, const char *word, const char *separators)
{
    const size_t size = strlen(word);
    for (const char *at = text; *at; at += strspn(at, separators)) {
        const size_t length = strcspn(at, separators);
        if (length == size && memcmp(at, word, size) == 0)
            return true;
        at += length;
    }
    return false;
}

// ---- Finding the hierarchies. ----

struct mount {
    char *root, *point;
    bool unified;
};

// A line of mountinfo: "36 35 98:0 ROOT POINT OPTIONS [FIELD]... - TYPE SOURCE SUPER-OPTIONS",
// whose spaces within fields are written otherwise. `controller` NULL: of the unified hierarchy.
static bool parse_mount(char *line, const char *controller, struct mount *ret_mount)
{
    char *rest = strstr(line, " - "), *save;
    if (!rest)
        return false;
    *rest = '\0';
    for (unsigned i = 0; i < 3; i++)
        strtok_r(i ? NULL : line, " ", &save);
    char *root = strtok_r(NULL, " ", &save), *point = root ? strtok_r(NULL, " ", &save) : NULL;
    char *type = strtok_r(rest + 3, " ", &save), *source = type ? strtok_r(NULL, " ", &save) : NULL;
    char *options = source ? strtok_r(NULL, " ", &save) : NULL;
    if (!point || !options)
        return false;
    if (controller ? strcmp(type, "cgroup") != 0 || !has_word(options, controller, ",")
                   : strcmp(type, "cgroup2") != 0)
        return false;
    *ret_mount = (struct mount){root, point, !controller};
    return true;
}

// `text` is changed; what is found lies in it. The last of several wins: it covers the others.
static bool find_mount(char *text, const char *controller, struct mount *ret_mount)
{
    bool found = false;
    char *save;
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
        found |= parse_mount(line, controller, ret_mount);
    return found;
}

// The process's group in a hierarchy, from lines "NUMBER:CONTROLLERS:PATH". "": it has none.
static void find_own(const char *text, const char *controller, char *out, size_t size)
{
    *out = '\0';
    for (const char *line = text; line && *line; line = strchr(line, '\n')) {
        line += *line == '\n';
        const char *names = strchr(line, ':'), *path = names ? strchr(names + 1, ':') : NULL;
        if (!path)
            return;
        char list[256];
        snprintf(list, sizeof list, "%.*s", (int)(path - names - 1), names + 1);
        if (controller ? has_word(list, controller, ",") : *list == '\0')
            snprintf(out, size, "%.*s", (int)strcspn(path + 1, "\n"), path + 1);
    }
}

// Opens the process's own group; of the unified hierarchy its parent, if it is where the hub's
// processes were moved.
static int open_own(const struct mount *mount, const char *own)
{
    const size_t root_size = strcmp(mount->root, "/") == 0 ? 0 : strlen(mount->root);
    if (strncmp(own, mount->root, root_size) != 0 || own[0] != '/' || strncmp(own, "/..", 3) == 0 ||
        (own[root_size] && own[root_size] != '/'))
        return -1;
    size_t size = strlen(own + root_size);
    const size_t leaf = sizeof "/" HUB_GROUP - 1;
    if (mount->unified && size >= leaf && strcmp(own + strlen(own) - leaf, "/" HUB_GROUP) == 0)
        size -= leaf;
    auto_free char *path = mem_printf("%s%.*s", mount->point, (int)size, own + root_size);
    return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

// ---- The unified hierarchy: handing controllers down. ----

static int parent_of(int pid)
{
    char path[32], text[512];
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
    const ssize_t size = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    text[size > 0 ? size : 0] = '\0';
    const char *at = strrchr(text, ')');
    int parent = 0;
    return at && sscanf(at + 1, " %*c %d", &parent) == 1 ? parent : 0;
}

static bool is_delegated(int own_fd)
{
    char value[2];
    return (fgetxattr(own_fd, "trusted.delegate", value, 1) == 1 && value[0] == '1') ||
           (fgetxattr(own_fd, "user.delegate", value, 1) == 1 && value[0] == '1');
}

// Whether all processes in the group are the hub's: this one, the one that started it, and the
// others that that one has started.
static bool all_ours(const char *pids)
{
    for (const char *line = pids; *line; line += strcspn(line, "\n"), line += *line == '\n') {
        const int pid = atoi(line), first = getppid();
        if (pid != getpid() && pid != first && (first <= 1 || parent_of(pid) != first))
            return false;
    }
    return true;
}

// Moves the processes of the runner's own group into a child of it. The group of a service of
// systemd's is systemd's, unless delegated.
static bool clear_own(int own_fd, const char *own)
{
    auto_buf struct buf pids = {0};
    if (!read_file(own_fd, ".", "cgroup.procs", &pids) ||
        (!is_delegated(own_fd) && (strstr(own, ".service") || !all_ours(buf_cstr(&pids)))))
        return false;
    if (mkdirat(own_fd, HUB_GROUP, 0700) < 0 && errno != EEXIST)
        return false;
    for (const char *line = buf_cstr(&pids); *line;
         line += strcspn(line, "\n"), line += *line == '\n')
        if (write_file(own_fd, HUB_GROUP, "cgroup.procs", "%d", atoi(line)) < 0 && errno != ESRCH)
            return false;
    return true;
}

// Has the children of a group get those of these controllers that it has itself; returns them.
// `own` is the path of the runner's own group, NULL for another.
static unsigned hand_down(int fd, unsigned wanted, const char *own)
{
    char text[64] = "";
    unsigned found = 0;
    auto_buf struct buf names = {0};
    if (!read_file(fd, ".", "cgroup.controllers", &names))
        return 0;
    for (size_t i = 0; i < ARRAY_LEN(controllers); i++) {
        if (!(wanted & controllers[i].controller) ||
            !has_word(buf_cstr(&names), controllers[i].name, " \n"))
            continue;
        found |= controllers[i].controller;
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s+%s", *text ? " " : "",
                 controllers[i].name);
    }
    if (!found)
        return 0;
    int rc = write_file(fd, ".", "cgroup.subtree_control", "%s", text);
    if (rc == -EBUSY && own && clear_own(fd, own))
        rc = write_file(fd, ".", "cgroup.subtree_control", "%s", text);
    return rc < 0 ? 0 : found;
}

// ---- Opening. ----

static bool same_folder(int one_fd, int other_fd)
{
    struct stat one, other;
    return fstat(one_fd, &one) == 0 && fstat(other_fd, &other) == 0 && one.st_dev == other.st_dev &&
           one.st_ino == other.st_ino;
}

static int open_folder(int dir_fd, const char *name)
{
    return openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

// A runner that ends removes the folder unless another holds the lock; so one that came too late
// for the lock has opened what nobody finds any more.
static int hold_base(int own_fd, const char *name)
{
    auto_fd int fd = open_folder(own_fd, name);
    if (fd < 0 || (flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK))
        return -1;
    auto_fd int found_fd = open_folder(own_fd, name);
    return found_fd >= 0 && same_folder(fd, found_fd) ? TAKE_FD(fd) : -1;
}

static int make_base(int own_fd, const char *folder)
{
    int fd = -1;
    char name[CGROUP_NAME_MAX + 16];
    snprintf(name, sizeof name, "cohub-%s", folder);
    for (unsigned i = 0; fd < 0 && i < BASE_TRIES; i++) {
        if (i)
            poll(NULL, 0, 1);
        if (mkdirat(own_fd, name, 0700) < 0 && errno != EEXIST)
            return -1;
        fd = hold_base(own_fd, name);
    }
    return fd;
}

// A folder without these files belongs to a kernel without that part of the controller.
static bool works(int base_fd, unsigned controller)
{
    const char *file = controller == CGROUP_MEMORY    ? "memory.limit_in_bytes"
                       : controller == CGROUP_CPU     ? "cpu.cfs_quota_us"
                       : controller == CGROUP_CPUACCT ? "cpuacct.usage"
                                                      : "cgroup.procs";
    return faccessat(base_fd, file, F_OK, 0) == 0;
}

static unsigned add_tree(struct cgroups *cgroups, int base_fd, bool unified, unsigned found)
{
    if (!found) {
        fd_close(&base_fd);
        return 0;
    }
    for (unsigned i = 0; i < cgroups->trees_count; i++) {
        if (!same_folder(cgroups->trees[i].base_fd, base_fd))
            continue;
        cgroups->trees[i].controllers |= found;
        fd_close(&base_fd);
        return found;
    }
    cgroups->trees[cgroups->trees_count++] = (struct cgroup_tree){base_fd, unified, found};
    return found;
}

struct finder {
    struct cgroups *cgroups;
    const struct cgroups_config *config;
    const char *mountinfo, *self;
};

// The base folder where `controller` is (NULL: in the unified hierarchy), or -1.
static int open_tree_of(const struct finder *finder, const char *controller, unsigned wanted,
                        unsigned *ret_found)
{
    char own[PATH_MAX];
    struct mount mount;
    auto_free char *mounts = mem_strdup(finder->mountinfo);
    find_own(finder->self, controller, own, sizeof own);
    if (!find_mount(mounts, controller, &mount))
        return -1;
    auto_fd int own_fd = open_own(&mount, own);
    if (own_fd < 0)
        return -1;
    if (!controller)
        wanted = hand_down(own_fd, wanted, own);
    auto_fd int base_fd = wanted ? make_base(own_fd, finder->config->folder) : -1;
    if (base_fd < 0)
        return -1;
    if (!controller)
        *ret_found = hand_down(base_fd, wanted, NULL);
    else
        *ret_found = works(base_fd, wanted) ? wanted : 0;
    return TAKE_FD(base_fd);
}

static void find_trees(const struct finder *finder)
{
    unsigned left = 0, found;
    int base_fd;
    for (size_t i = 0; i < ARRAY_LEN(controllers); i++) {
        found = 0;
        base_fd = open_tree_of(finder, controllers[i].name, controllers[i].controller, &found);
        if (base_fd < 0 || !add_tree(finder->cgroups, base_fd, false, found))
            left |= controllers[i].controller;
    }
    found = 0;
    base_fd = left ? open_tree_of(finder, NULL, left & ~(unsigned)CGROUP_CPUACCT, &found) : -1;
    left &= ~(base_fd < 0 ? 0 : add_tree(finder->cgroups, base_fd, true, found));
    for (size_t i = 0; i < ARRAY_LEN(controllers); i++)
        if (left & controllers[i].controller)
            finder->cgroups->missing |= controllers[i].missing;
}

void cgroups_open(const struct cgroups_config *config, struct cgroups *ret_cgroups)
{
    auto_buf struct buf mountinfo = {0}, self = {0};
    *ret_cgroups = (struct cgroups){.uid = config->uid};
    snprintf(ret_cgroups->folder, sizeof ret_cgroups->folder, "%s", config->folder);
    rights_take(ret_cgroups);
    read_file(AT_FDCWD, "", config->mountinfo, &mountinfo);
    read_file(AT_FDCWD, "", config->self, &self);
    const struct finder finder = {ret_cgroups, config, buf_cstr(&mountinfo), buf_cstr(&self)};
    find_trees(&finder);
    rights_give_back(ret_cgroups);
}

void cgroups_close(struct cgroups *cgroups)
{
    char base[CGROUP_NAME_MAX + 16];
    snprintf(base, sizeof base, "../cohub-%s", cgroups->folder);
    rights_take(cgroups);
    while (cgroups->trees_count) {
        struct cgroup_tree *tree = &cgroups->trees[--cgroups->trees_count];
        if (flock(tree->base_fd, LOCK_EX | LOCK_NB) == 0) // else it is another runner's too
            unlinkat(tree->base_fd, base, AT_REMOVEDIR);  // unless there are groups in it
        fd_close(&tree->base_fd);
    }
    rights_give_back(cgroups);
}

// ---- A group. ----

static int enter_tree(const struct cgroup_tree *tree, const char *name)
{
    // One that is left from a process of the same number.
    unlinkat(tree->base_fd, name, AT_REMOVEDIR);
    if (mkdirat(tree->base_fd, name, 0700) < 0 && errno != EEXIST)
        return -errno;
    return write_file(tree->base_fd, name, "cgroup.procs", "0");
}

int cgroup_enter(const struct cgroups *cgroups, const char *name, struct err *err)
{
    int rc = 0;
    rights_take(cgroups);
    for (unsigned i = 0; rc == 0 && i < cgroups->trees_count; i++)
        rc = enter_tree(&cgroups->trees[i], name);
    rights_give_back(cgroups);
    return rc == 0 ? 0
                   : err_set_errno(err, ERR_UNAVAILABLE, -rc, "cannot make the project's cgroup");
}

static int limit_memory(const struct cgroup_tree *tree, const char *name, uint32_t mb)
{
    const int fd = tree->base_fd;
    if (tree->unified && mb == 0) {
        const int rc = write_file(fd, name, "memory.max", "max");
        write_file(fd, name, "memory.swap.max", "max");
        return rc;
    }
    if (tree->unified) {
        write_file(fd, name, "memory.swap.max", "%" PRIu64, SWAP_MB * MB);
        return write_file(fd, name, "memory.max", "%" PRIu64, mb * MB);
    }
    // The limit with swap is never to be below the one without. There may be none of it.
    write_file(fd, name, "memory.memsw.limit_in_bytes", "-1");
    if (mb == 0)
        return write_file(fd, name, "memory.limit_in_bytes", "-1");
    const int rc = write_file(fd, name, "memory.limit_in_bytes", "%" PRIu64, mb * MB);
    const int swap_rc =
        write_file(fd, name, "memory.memsw.limit_in_bytes", "%" PRIu64, (mb + SWAP_MB) * MB);
    return rc == 0 && swap_rc == -EBUSY ? swap_rc : rc;
}

static int limit_cpu(const struct cgroup_tree *tree, const char *name,
                     const struct runner_limits *limits)
{
    uint64_t quota = (uint64_t)limits->cpu_millis * CPU_PERIOD / 1000;
    uint64_t shares = limits->cpu_shares ? limits->cpu_shares : SHARES_BASE;
    quota = quota && quota < CPU_QUOTA_MIN ? CPU_QUOTA_MIN : quota;
    if (tree->unified) {
        uint64_t weight = shares * WEIGHT_BASE / SHARES_BASE;
        weight = weight < 1 ? 1 : weight > WEIGHT_MAX ? WEIGHT_MAX : weight;
        const int rc = write_file(tree->base_fd, name, "cpu.weight", "%" PRIu64, weight);
        if (rc < 0)
            return rc;
        return quota
                   ? write_file(tree->base_fd, name, "cpu.max", "%" PRIu64 " %u", quota, CPU_PERIOD)
                   : write_file(tree->base_fd, name, "cpu.max", "max %u", CPU_PERIOD);
    }
    shares = shares < SHARES_MIN ? SHARES_MIN : shares > SHARES_MAX ? SHARES_MAX : shares;
    const int rc = write_file(tree->base_fd, name, "cpu.shares", "%" PRIu64, shares);
    if (rc < 0)
        return rc;
    return quota ? write_file(tree->base_fd, name, "cpu.cfs_quota_us", "%" PRIu64, quota)
                 : write_file(tree->base_fd, name, "cpu.cfs_quota_us", "-1");
}

static int limit_processes(const struct cgroup_tree *tree, const char *name, uint32_t processes)
{
    return processes ? write_file(tree->base_fd, name, "pids.max", "%" PRIu64,
                                  (uint64_t)processes + PROCESSES_RESERVE)
                     : write_file(tree->base_fd, name, "pids.max", "max");
}

static int limit_tree(const struct cgroup_tree *tree, const char *name,
                      const struct runner_limits *limits)
{
    int rc = 0, first_rc = 0;
    if (tree->controllers & CGROUP_PIDS)
        first_rc = limit_processes(tree, name, limits->processes);
    if (tree->controllers & CGROUP_CPU)
        rc = limit_cpu(tree, name, limits);
    first_rc = first_rc ? first_rc : rc;
    rc = tree->controllers & CGROUP_MEMORY ? limit_memory(tree, name, limits->memory_mb) : 0;
    return first_rc ? first_rc : rc;
}

int cgroup_limit(const struct cgroups *cgroups, const char *name,
                 const struct runner_limits *limits, struct err *err)
{
    int first_rc = 0;
    rights_take(cgroups);
    for (unsigned i = 0; i < cgroups->trees_count; i++) {
        const int rc = limit_tree(&cgroups->trees[i], name, limits);
        first_rc = first_rc ? first_rc : rc;
    }
    rights_give_back(cgroups);
    if (first_rc == -EBUSY)
        return err_set_errno(err, ERR_CONFLICT, EBUSY,
                             "the project uses more memory than it shall have");
    return first_rc == 0
               ? 0
               : err_set_errno(err, ERR_UNAVAILABLE, -first_rc, "cannot set the project's limits");
}

// What the files in memory hold is left out: they can be dropped at any time.
static void use_memory(const struct cgroup_tree *tree, const char *name, struct runner_usage *usage)
{
    const bool v2 = tree->unified;
    auto_buf struct buf text = {0};
    uint64_t bytes =
        read_number(tree->base_fd, name, v2 ? "memory.current" : "memory.usage_in_bytes");
    read_file(tree->base_fd, name, "memory.stat", &text);
    const uint64_t files =
        find_number(buf_cstr(&text), v2 ? "active_file" : "total_active_file") +
        find_number(buf_cstr(&text), v2 ? "inactive_file" : "total_inactive_file");
    usage->memory_bytes = bytes > files ? bytes - files : 0;
    usage->cache_bytes = files;
    read_file(tree->base_fd, name, v2 ? "memory.events" : "memory.oom_control", &text);
    usage->oom_kills = (uint32_t)find_number(buf_cstr(&text), "oom_kill");
}

static void use_tree(const struct cgroup_tree *tree, const char *name, struct runner_usage *usage)
{
    auto_buf struct buf text = {0};
    if (tree->controllers & CGROUP_MEMORY)
        use_memory(tree, name, usage);
    if (tree->controllers & CGROUP_PIDS)
        usage->processes = (uint32_t)read_number(tree->base_fd, name, "pids.current");
    if (tree->controllers & CGROUP_CPUACCT)
        usage->cpu_us = read_number(tree->base_fd, name, "cpuacct.usage") / 1000;
    else if (tree->unified && read_file(tree->base_fd, name, "cpu.stat", &text))
        usage->cpu_us = find_number(buf_cstr(&text), "usage_usec");
}

void cgroup_usage(const struct cgroups *cgroups, const char *name, struct runner_usage *ret_usage)
{
    *ret_usage = (struct runner_usage){.missing = cgroups->missing};
    rights_take(cgroups);
    for (unsigned i = 0; i < cgroups->trees_count; i++)
        use_tree(&cgroups->trees[i], name, ret_usage);
    rights_give_back(cgroups);
}

// ---- The end. ----

bool cgroup_remove(const struct cgroups *cgroups, const char *name)
{
    bool removed = true;
    rights_take(cgroups);
    for (unsigned i = 0; i < cgroups->trees_count; i++)
        removed &= unlinkat(cgroups->trees[i].base_fd, name, AT_REMOVEDIR) == 0 || errno == ENOENT;
    rights_give_back(cgroups);
    return removed;
}

static bool is_number(const char *name)
{
    return *name && strspn(name, "0123456789") == strlen(name) && strlen(name) < 11;
}

// A child of this process, also one that has ended and was not waited for.
static bool is_child(pid_t pid)
{
    siginfo_t info;
    return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

static bool sweep_tree(const struct cgroup_tree *tree)
{
    bool clean = true;
    const int fd = openat(tree->base_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *entries = fd < 0 ? NULL : fdopendir(fd);
    if (!entries)
        return true;
    for (const struct dirent *entry; (entry = readdir(entries));) {
        const pid_t pid = is_number(entry->d_name) ? (pid_t)atol(entry->d_name) : 0;
        if (pid == 0 || is_child(pid))
            continue;
        const bool gone = kill(pid, 0) < 0 && errno == ESRCH;
        clean &= gone && unlinkat(tree->base_fd, entry->d_name, AT_REMOVEDIR) == 0;
    }
    closedir(entries);
    return clean;
}

bool cgroups_sweep(const struct cgroups *cgroups)
{
    bool clean = true;
    rights_take(cgroups);
    for (unsigned i = 0; i < cgroups->trees_count; i++)
        clean &= sweep_tree(&cgroups->trees[i]);
    rights_give_back(cgroups);
    return clean;
}

bool cgroup_of(const struct cgroups *cgroups, const char *text, char ret_name[CGROUP_NAME_MAX])
{
    char base[CGROUP_NAME_MAX + 16];
    snprintf(base, sizeof base, "/cohub-%s/", cgroups->folder);
    const char *at = strstr(text, base);
    if (!at)
        return false;
    at += strlen(base);
    snprintf(ret_name, CGROUP_NAME_MAX, "%.*s", (int)strcspn(at, "/\n"), at);
    return is_number(ret_name);
}
