// SPDX-License-Identifier: AGPL-3.0-or-later
// cohub doctor: what this host can and cannot do. One line a check; a check that is needed and
// fails makes the command fail.
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "runner/sandbox.h"
#include "server/site.h"
#include "svc/mail.h"

#define OPEN_FILES_WANTED 4096
#define FREE_BYTES_WANTED (UINT64_C(256) << 20)

enum verdict { GOOD, LACKS, BAD }; // LACKS: works without it, but not everything does

struct finding {
    enum verdict verdict;
    char text[512];
};

static void find(struct finding *f, enum verdict verdict, const char *fmt, ...) PRINTF_LIKE(3, 4);
static void find(struct finding *f, enum verdict verdict, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(f->text, sizeof f->text, fmt, args);
    va_end(args);
    f->verdict = verdict;
}

static bool in_path(const char *program)
{
    const char *path = getenv("PATH");
    auto_free char *dirs = mem_strdup(path ? path : "/usr/bin:/bin");
    char *save = NULL;
    for (char *dir = strtok_r(dirs, ":", &save); dir; dir = strtok_r(NULL, ":", &save)) {
        auto_free char *file = mem_printf("%s/%s", dir, program);
        if (!access(file, X_OK))
            return true;
    }
    return false;
}

static void check_sandbox(struct cli *cli UNUSED, const struct cli_store *store, struct finding *f)
{
    struct err err;
    struct sandbox_host_config config = {.uid = store->owner.uid, .gid = store->owner.gid};
    if (!in_path("bwrap"))
        find(f, BAD, "bubblewrap (bwrap) is not installed");
    else if (sandbox_probe(&config, &err))
        find(f, BAD, "%s %s", err.message, err.detail);
    else
        find(f, GOOD, "commands run in a sandbox of their own");
}

static void check_agent(struct cli *cli UNUSED, const struct cli_store *store UNUSED,
                        struct finding *f)
{
    auto_free char *agent = cli_agent_path();
    if (agent)
        find(f, GOOD, "%s", agent);
    else
        find(f, BAD, "cohub-agent is not beside this program");
}

static void check_paths(struct cli *cli UNUSED, const struct cli_store *store UNUSED,
                        struct finding *f)
{
    struct open_how how = {.flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC, .resolve = RESOLVE_BENEATH};
    auto_fd int fd = (int)syscall(SYS_openat2, AT_FDCWD, ".", &how, sizeof how);
    if (fd >= 0)
        find(f, GOOD, "the kernel confines paths (openat2)");
    else
        find(f, BAD, "the kernel has no openat2 (Linux 5.6)");
}

static void check_cgroups(struct cli *cli UNUSED, const struct cli_store *store UNUSED,
                          struct finding *f)
{
    bool v2 = !access("/sys/fs/cgroup/cgroup.controllers", F_OK);
    bool v1 = !access("/sys/fs/cgroup/memory/cgroup.procs", F_OK) &&
              !access("/sys/fs/cgroup/pids/cgroup.procs", F_OK);
    find(f, LACKS, "%s; this version sets no memory, CPU or process limits of projects",
         v2   ? "cgroups v2"
         : v1 ? "cgroups v1"
              : "no cgroups");
}

static void check_open_files(struct cli *cli UNUSED, const struct cli_store *store UNUSED,
                             struct finding *f)
{
    struct rlimit limit = {0};
    getrlimit(RLIMIT_NOFILE, &limit);
    bool enough = limit.rlim_max >= OPEN_FILES_WANTED;
    find(f, enough ? GOOD : LACKS, "at most %llu%s", (unsigned long long)limit.rlim_max,
         enough ? "" : "; raise the limit for many connections (ulimit -Hn)");
}

static void check_database(struct cli *cli, const struct cli_store *store UNUSED, struct finding *f)
{
    const char *url = config_text(&cli->config, CONFIG_DATABASE_URL);
    struct stat st;
    struct err err;
    auto_db struct db *db = NULL;
    if (!strncmp(url, "sqlite:", 7) && stat(url + 7, &st))
        find(f, GOOD, "none yet; made at the first start");
    else if (db_open(url, &db, &err))
        find(f, BAD, "%s %s", err.message, err.detail);
    else
        find(f, GOOD, "version %d", db_version(db));
}

static void check_disk(struct cli *cli UNUSED, const struct cli_store *store UNUSED,
                       struct finding *f)
{
    struct statvfs fs = {0};
    statvfs(".", &fs);
    uint64_t free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
    find(f, free_bytes >= FREE_BYTES_WANTED ? GOOD : LACKS, "%llu MB free in the data folder",
         (unsigned long long)(free_bytes >> 20));
}

static void check_shell(struct cli *cli UNUSED, const struct cli_store *store UNUSED,
                        struct finding *f)
{
    if (in_path("bash"))
        find(f, GOOD, "bash is there for scripts");
    else
        find(f, BAD, "bash is not installed; projects use the host's programs");
}

static void check_mail(struct cli *cli, const struct cli_store *store UNUSED, struct finding *f)
{
    struct mailer_config config = site_mailer_config(&cli->config);
    struct err err;
    if (!*config.url)
        find(f, GOOD, "goes into the folder mail/ of the data folder; set mail.url to send it");
    else if (mail_probe(&config, &err))
        find(f, LACKS, "%.100s: %s", config.url, err.message);
    else
        find(f, GOOD, "goes to %.200s", config.url);
}

static const struct {
    const char *name;
    bool as_started; // looks with the rights that the command was started with, as the runner does
    void (*check)(struct cli *cli, const struct cli_store *store, struct finding *f);
} checks[] = {
    {"sandbox", true, check_sandbox},    {"agent", true, check_agent},
    {"paths", false, check_paths},       {"shell", false, check_shell},
    {"limits", false, check_cgroups},    {"open files", false, check_open_files},
    {"database", false, check_database}, {"disk", false, check_disk},
    {"mail", false, check_mail},
};

int cli_doctor(struct cli *cli)
{
    static const char *const words[] = {[GOOD] = "ok", [LACKS] = "note", [BAD] = "FAILED"};
    struct cli_store store;
    struct err err;
    int rc = CLI_OK;
    if (cli_store_enter(cli, true, &store, &err))
        return cli_fail(&err);
    for (size_t i = 0; i < ARRAY_LEN(checks); i++) {
        struct finding f;
        if (!checks[i].as_started && data_drop_privileges(&store.owner, &err))
            return cli_fail(&err);
        checks[i].check(cli, &store, &f);
        printf("%-6s  %-10s  %s\n", words[f.verdict], checks[i].name, f.text);
        if (f.verdict == BAD)
            rc = CLI_FAILED;
    }
    return rc;
}
