// SPDX-License-Identifier: AGPL-3.0-or-later
// cohub doctor: what this host can and cannot do. One line a check; a check that is needed and
// fails makes the command fail.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <linux/openat2.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/limits.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "db/query.h"
#include "runner/cgroup.h"
#include "runner/network.h"
#include "runner/sandbox.h"
#include "server/site.h"
#include "svc/mail.h"

#define OPEN_FILES_WANTED 4096
#define REMOVE_OPEN_FILES 16
#define BRIDGE_TEXT_MAX   ((size_t)4096)
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

static int remove_one(const char *path, const struct stat *st UNUSED, int type UNUSED,
                      struct FTW *ftw UNUSED)
{
    return remove(path);
}

// In a process of its own that has the rights of whom the folder belongs to: root must not follow
// what others may put there.
static bool remove_folder(const char *folder, const struct data_owner *owner)
{
    struct err err;
    int status = 1;
    const pid_t pid = fork();
    if (pid == 0)
        _exit(data_drop_privileges(owner, &err) ||
              nftw(folder, remove_one, REMOVE_OPEN_FILES, FTW_PHYS | FTW_DEPTH | FTW_MOUNT));
    return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

// In a folder that is removed again, as if it were the data folder.
static int probe_elsewhere(const struct sandbox_host_config *config, struct err *err)
{
    char folder[] = "/tmp/cohub-doctor-XXXXXX";
    auto_fd int place = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (place < 0 || !mkdtemp(folder) || chdir(folder))
        return err_set_errno(err, ERR_UNAVAILABLE, errno, "no folder can be made in /tmp:");
    int rc = chown(".", config->uid, config->gid)
                 ? err_set_errno(err, ERR_UNAVAILABLE, errno, "%s cannot be given away:", folder)
                 : sandbox_probe(config, err);
    const struct data_owner owner = {.uid = config->uid, .gid = config->gid};
    if (fchdir(place) || !remove_folder(folder, &owner))
        return err_set(err, ERR_UNAVAILABLE, "%s cannot be removed", folder);
    return rc;
}

static void check_sandbox(struct cli *cli UNUSED, const struct cli_store *store, struct finding *f)
{
    struct err err;
    struct sandbox_host_config config = {.uid = store->owner.uid, .gid = store->owner.gid};
    if (!in_path("bwrap"))
        find(f, BAD, "bubblewrap (bwrap) is not installed");
    else if (store->absent ? probe_elsewhere(&config, &err) : sandbox_probe(&config, &err))
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
    if (fd >= 0 || errno == EACCES)
        find(f, GOOD, "the kernel confines paths (openat2)");
    else
        find(f, BAD, "the kernel has no openat2 (Linux 5.6)");
}

// Looks as the runner does, in groups that are made for the look and removed again.
static void check_limits(struct cli *cli UNUSED, const struct cli_store *store UNUSED,
                         struct finding *f)
{
    static const struct {
        uint32_t bit;
        const char *name;
    } limits[] = {{RUNNER_NO_MEMORY_LIMIT, "memory"},
                  {RUNNER_NO_CPU_LIMIT, "CPU"},
                  {RUNNER_NO_PROCESS_LIMIT, "processes"}};
    const struct cgroups_config config = {
        .folder = "doctor", .mountinfo = "/proc/self/mountinfo", .self = "/proc/self/cgroup"};
    struct cgroups cgroups;
    char kept[64] = "", missing[64] = "";
    cgroups_open(&config, &cgroups);
    for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
        char *list = cgroups.missing & limits[i].bit ? missing : kept;
        snprintf(list + strlen(list), sizeof kept - strlen(list), "%s%s", *list ? ", " : "",
                 limits[i].name);
    }
    if (cgroups.missing)
        find(f, LACKS, "not enforced on this host: %s%s%s; see the notes on limits in operating.md",
             missing, *kept ? "; enforced: " : "", kept);
    else
        find(f, GOOD, "enforced: %s", kept);
    cgroups_close(&cgroups);
}

static void check_network(struct cli *cli UNUSED, const struct cli_store *store UNUSED,
                          struct finding *f)
{
    struct network_host host;
    const struct sandbox_host sandbox = {.root = geteuid() == 0};
    struct err err;
    if (network_host_open(&sandbox, &host, &err) == 0)
        find(f, GOOD, "projects can be given the internet, without the host's own services");
    else
        find(f, LACKS, "projects can have no network: %s", err.message);
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

// Of the I/O loops, the workers, the writers, those that are kept, and who listens for notices.
static int64_t connections_of_a_hub(const struct config *config)
{
    return config_int(config, CONFIG_DATABASE_CONNECTIONS) +
           config_int(config, CONFIG_SERVER_WORKERS) + LIMIT_DB_WRITERS + LIMIT_DB_IDLE + 1;
}

static int ask_server(struct cli *cli, struct db *db, struct finding *f, struct err *err)
{
    static const struct db_stmt ask = {
        "SELECT current_setting('server_version'), current_setting('max_connections')::bigint -"
        " current_setting('superuser_reserved_connections')::bigint,"
        " pg_is_in_recovery()::int::bigint"};
    const int64_t wanted = connections_of_a_hub(&cli->config);
    auto_session struct db_session *session = NULL;
    auto_rows struct db_rows *rows = NULL;
    int rc = db_session_open(db, &session, err);
    if (!rc)
        rc = db_query_row(session, &ask, DB_NO_ARGS, &rows, err);
    if (rc <= 0)
        return rc;
    const int64_t room = db_rows_int(rows, 1);
    if (db_rows_int(rows, 2))
        find(f, BAD, "PostgreSQL %.40s is a standby, which takes no writes", db_rows_text(rows, 0));
    else
        find(f, room < wanted ? LACKS : GOOD,
             "PostgreSQL %.40s, version %d; a hub opens at most %lld of its %lld connections%s",
             db_rows_text(rows, 0), db_version(db), (long long)wanted, (long long)room,
             room < wanted ? "; raise max_connections, or lower database.connections and "
                             "server.workers"
                           : "");
    return 0;
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
    else if (!db_is_remote(db))
        find(f, GOOD, "version %d", db_version(db));
    else if (ask_server(cli, db, f, &err) < 0)
        find(f, BAD, "%s %s", err.message, err.detail);
}

static void check_disk(struct cli *cli UNUSED, const struct cli_store *store UNUSED,
                       struct finding *f)
{
    struct statvfs fs = {0};
    statvfs(".", &fs);
    uint64_t free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
    find(f, free_bytes >= FREE_BYTES_WANTED ? GOOD : LACKS, "%llu MB free for the data folder",
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

static void check_rsync(struct cli *cli UNUSED, const struct cli_store *store UNUSED,
                        struct finding *f)
{
    if (in_path("rsync"))
        find(f, GOOD, "copies between projects can be made");
    else
        find(f, BAD, "rsync is not installed; nothing can be copied between projects");
}

// Without a socket it says how it is used; if its libraries are missing, the loader says so.
static int run_kernel_bridge(const char *path, struct buf *text)
{
    int ends[2], status = -1;
    if (pipe2(ends, O_CLOEXEC))
        return -1;
    auto_fd int read_end = ends[0], write_end = ends[1];
    const pid_t pid = fork();
    if (pid == 0) {
        dup2(write_end, STDERR_FILENO);
        execl(path, path, (char *)NULL);
        _exit(127);
    }
    fd_close(&write_end);
    if (fd_read_all(read_end, BRIDGE_TEXT_MAX, text))
        buf_dispose(text);
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void list_kernels(const char *folder, struct buf *names)
{
    DIR *kernels = opendir(folder);
    if (!kernels)
        return;
    for (const struct dirent *entry; (entry = readdir(kernels));) {
        auto_free char *spec = mem_printf("%s/%s/kernel.json", folder, entry->d_name);
        if (entry->d_name[0] != '.' && !access(spec, R_OK))
            buf_printf(names, "%s%s", names->size ? ", " : "", entry->d_name);
    }
    closedir(kernels);
}

// What projects find that have no image; their users may register more.
static void check_kernels(struct cli *cli UNUSED, const struct cli_store *store UNUSED,
                          struct finding *f)
{
    auto_free char *bridge = cli_kernel_path();
    auto_buf struct buf names = {0}, text = {0};
    list_kernels("/usr/local/share/jupyter/kernels", &names);
    list_kernels("/usr/share/jupyter/kernels", &names);
    if (!bridge)
        find(f, LACKS, "cohub-jupyter is not beside this program; projects have no kernels");
    else if (run_kernel_bridge(bridge, &text) != CLI_USAGE)
        find(f, LACKS, "%s does not run: %.*s", bridge, (int)strcspn(buf_cstr(&text), "\n"),
             buf_cstr(&text));
    else if (!names.size)
        find(f, LACKS, "none is installed on this host (for Python: python3-ipykernel)");
    else
        find(f, GOOD, "%s", buf_cstr(&names));
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
    {"limits", true, check_limits},      {"network", true, check_network},
    {"disk", true, check_disk},          {"kernels", true, check_kernels},
    {"paths", false, check_paths},       {"shell", false, check_shell},
    {"rsync", false, check_rsync},       {"open files", false, check_open_files},
    {"database", false, check_database}, {"mail", false, check_mail},
};

// Where a data folder that is not there would be made, as whom it would belong to.
static int enter_place(struct cli *cli, struct cli_store *store, struct err *err)
{
    auto_free char *place = mem_strdup(cli->data), *database = NULL;
    store->absent = true;
    store->owner = (struct data_owner){.uid = geteuid(), .gid = getegid()};
    int rc = geteuid() ? 0
                       : data_owner_find(config_text(&cli->config, CONFIG_SERVER_USER),
                                         &store->owner, err);
    if (!rc && !strcmp(config_text(&cli->config, CONFIG_DATABASE_URL), DATA_DATABASE)) {
        database = mem_printf("sqlite:%s/hub.sqlite3", cli->data);
        rc = config_set_option(&cli->config, "database", database, err);
    }
    while (!rc && chdir(place)) {
        char *slash = strrchr(place, '/');
        if (!slash)
            break; // the working directory
        slash[slash == place] = '\0';
    }
    return rc;
}

int cli_doctor(struct cli *cli)
{
    static const char *const words[] = {[GOOD] = "ok", [LACKS] = "note", [BAD] = "FAILED"};
    struct cli_store store;
    struct err err;
    int rc = CLI_OK;
    int entered = cli_store_enter(cli, false, &store, &err);
    if (entered == -ERR_NOT_FOUND)
        entered = enter_place(cli, &store, &err);
    if (entered)
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
