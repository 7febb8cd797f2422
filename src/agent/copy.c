// SPDX-License-Identifier: AGPL-3.0-or-later
// rsync as api-v1 5.2 and 5.3 want it: makes the folders above the target, tells folders from
// files, sees that the target has room and that a folder is not copied into itself without end,
// runs rsync, and has the result on disk before it says so.
//
// All paths are resolved here, inside the sandbox, where links can lead nowhere but into the two
// homes; those of the target only within it. The process is short, so what it allocates is never
// freed.
#include "agent/copy.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define ARGS_MAX     (48 + COPY_PATTERNS_MAX)
#define BACKUPS_MAX  1000 // NAME.backup, NAME.backup2, …
#define HOME_SIZE    (sizeof "/projects/01234567-89ab-cdef-0123-456789abcdef" - 1)
#define LINKS_MAX    40                // as the kernel has it
#define RSYNC_MEMORY ((rlim_t)1 << 30) // for the list of a folder with millions of files
#define WILDCARDS    "*?["
#define ARGUMENTS    10 // with --copy, the program's name included

static void out_of_memory(void)
{
    static const char text[] = "out of memory\n";
    ssize_t written = write(STDERR_FILENO, text, sizeof text - 1);
    (void)written;
    _exit(COPY_EXIT_FAILED);
}

__attribute__((format(printf, 1, 2))) static char *format(const char *fmt, ...)
{
    char *text;
    va_list args;
    va_start(args, fmt);
    if (vasprintf(&text, fmt, args) < 0)
        out_of_memory();
    va_end(args);
    return text;
}

// Says what went wrong, and that it did.
__attribute__((format(printf, 1, 2))) static int fail(const char *fmt, ...)
{
    char text[COPY_TEXT_MAX];
    va_list args;
    va_start(args, fmt);
    const int size = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    ssize_t written =
        write(STDERR_FILENO, text, (size_t)size < sizeof text ? (size_t)size : sizeof text - 1);
    (void)written;
    return COPY_EXIT_FAILED;
}

// ---- The folders above the target ----

// Something that is no folder stands where one has to be: it makes way.
static int move_away(const struct copy *copy, const char *path)
{
    struct stat info;
    if (stat(path, &info) == 0 && info.st_dev == copy->source_stat.st_dev &&
        info.st_ino == copy->source_stat.st_ino)
        return fail("%s cannot be copied into itself", path);
    for (unsigned i = 1; i < BACKUPS_MAX; i++) {
        const char *backup = i == 1 ? format("%s.backup", path) : format("%s.backup%u", path, i);
        if (renameat2(AT_FDCWD, path, AT_FDCWD, backup, RENAME_NOREPLACE) == 0)
            return 0;
        if (errno != EEXIST)
            break;
    }
    return fail("rename \"%s\" failed: %s", path, strerror(errno));
}

static int make_folder(struct copy *copy, const char *path)
{
    struct stat info;
    if (stat(path, &info) == 0 && S_ISDIR(info.st_mode))
        return 0;
    if (lstat(path, &info) == 0) {
        const int rc = move_away(copy, path);
        if (rc)
            return rc;
    }
    if (mkdir(path, 0700) < 0)
        return fail("mkdir \"%s\" failed: %s", path, strerror(errno));
    copy->made_folders = true;
    return 0;
}

// ---- Source and target without links on the way ----

// The folder that it is in resolved, the last name as it is.
static const char *resolve_parent(const char *path)
{
    if (strlen(path) <= HOME_SIZE)
        return path;
    char *parent = realpath(dirname(format("%s", path)), NULL);
    return parent ? format("%s/%s", parent, strrchr(path, '/') + 1) : path;
}

static int resolve_source(struct copy *copy)
{
    const char *whole = NULL;
    copy->folder =
        stat(copy->source, &copy->source_stat) == 0 && S_ISDIR(copy->source_stat.st_mode);
    if (copy->folder)
        whole = realpath(copy->source, NULL);
    else if (lstat(copy->source, &copy->source_stat) < 0) // in rsync's words
        return fail("rsync: link_stat \"%s\" failed: %s (%d)", copy->source, strerror(errno),
                    errno);
    copy->source = whole ? whole : resolve_parent(copy->source);
    return 0;
}

static int leads_out(void)
{
    return fail(COPY_LEADS_OUT);
}

// NULL if it is none.
static char *read_link(const char *path)
{
    char to[PATH_MAX];
    const ssize_t size = readlink(path, to, sizeof to - 1);
    if (size < 0)
        return NULL;
    to[size] = '\0';
    return format("%s", to);
}

// A way through the target's home: what is behind, and what is yet to come.
struct way {
    const char *home;
    char *done, *rest;
    unsigned links;
    const char *last_link; // a link that is the last name of the path
};

static bool is_home_or_below(const char *home, const char *path)
{
    const size_t size = strlen(home);
    return !strncmp(home, path, size) && (!path[size] || path[size] == '/');
}

static int follow(struct way *way, const char *link, const char *after)
{
    if (++way->links > LINKS_MAX)
        return fail("open \"%s\" failed: %s", way->done, strerror(ELOOP));
    if (*link == '/') {
        if (!is_home_or_below(way->home, link))
            return leads_out();
        way->done = format("%s", way->home);
        link += strlen(way->home);
    }
    way->rest = format("%s%s", link, after);
    return 0;
}

static int go_up(struct way *way)
{
    if (!strcmp(way->done, way->home))
        return leads_out();
    *strrchr(way->done, '/') = '\0';
    return 0;
}

// One name further.
static int step(struct copy *copy, struct way *way, size_t size)
{
    const char *name = format("%.*s", (int)size, way->rest), *after = way->rest + size;
    way->rest += size;
    if (!strcmp(name, "."))
        return 0;
    if (!strcmp(name, ".."))
        return go_up(way);
    char *next = format("%s/%s", way->done, name);
    const char *link = read_link(next);
    if (link && !*after && !way->last_link)
        way->last_link = next;
    if (link)
        return follow(way, link, after);
    way->done = next;
    return *after ? make_folder(copy, next) : 0;
}

// Makes all folders before the path's last slash. Links are followed by what they say, so that one
// that leads out of the home tells nobody what there is. The last name is left to rsync unless it
// is a folder or a link to one.
static int find_target(struct copy *copy, const char *target)
{
    struct way way = {.home = format("%.*s", (int)HOME_SIZE, target),
                      .done = format("%.*s", (int)HOME_SIZE, target),
                      .rest = format("%s", target + HOME_SIZE)};
    struct stat info;
    for (;;) {
        way.rest += strspn(way.rest, "/");
        const size_t size = strcspn(way.rest, "/");
        if (!size)
            break;
        const int rc = step(copy, &way, size);
        if (rc)
            return rc;
    }
    const bool is_folder = stat(way.done, &info) == 0 && S_ISDIR(info.st_mode);
    copy->target = way.last_link && !is_folder ? way.last_link : way.done;
    return 0;
}

// ---- A folder and one in it ----

static const char *below(const char *folder, const char *path)
{
    const size_t size = strlen(folder);
    return !strncmp(folder, path, size) && path[size] == '/' ? path + size : NULL;
}

// A pattern that means this path and no other: without wildcards a backslash is only itself.
static const char *literal(const char *path)
{
    if (!strpbrk(path, WILDCARDS))
        return path;
    char *pattern = malloc(2 * strlen(path) + 1), *end = pattern;
    if (!pattern)
        out_of_memory();
    for (; *path; path++) {
        if (*path == '\\' || strchr(WILDCARDS, *path))
            *end++ = '\\';
        *end++ = *path;
    }
    *end = '\0';
    return pattern;
}

// A target in the source is not a part of what is copied; a source in the target is not deleted.
static void rule_overlaps(struct copy *copy)
{
    const char *inner = below(copy->source, copy->target);
    if (!copy->folder)
        return;
    if (inner)
        copy->rules[copy->rules_count++] = format("--filter=- %s", literal(inner));
    inner = below(copy->target, copy->source);
    if (inner)
        copy->rules[copy->rules_count++] = format("--filter=P %s", literal(inner));
}

// ---- rsync ----

static void write_arguments(const struct copy *copy, const char **args)
{
    unsigned n = 0;
    args[n++] = "rsync";
    args[n++] = "-rlptDxs8"; // -a without owners, which are always the sandbox's
    args[n++] = "--omit-link-times";
    args[n++] = "--ignore-errors";
    args[n++] = "--chmod=ug-s"; // a program is not to run with the rights of another project's
    if (!(copy->flags & COPY_OVERWRITE_NEWER))
        args[n++] = "--update";
    if (copy->flags & COPY_DELETE_MISSING)
        args[n++] = "--delete";
    if (copy->flags & COPY_BACKUP)
        args[n++] = "--backup";
    if (!copy->folder)
        args[n++] = "--fsync";
    if (strcmp(copy->timeout, "0") != 0)
        args[n++] = format("--timeout=%s", copy->timeout);
    if (strcmp(copy->bandwidth, "0") != 0)
        args[n++] = format("--bwlimit=%s", copy->bandwidth);
    if (copy->has_temporary)
        args[n++] = format("--temp-dir=%s", copy->temporary);
    for (unsigned i = 0; i < copy->rules_count; i++)
        args[n++] = copy->rules[i];
    // What --exclude takes may be more than a pattern.
    for (unsigned i = 0; i < copy->patterns_count; i++)
        args[n++] = format("--filter=- %s", copy->patterns[i]);
    for (const char *const *pattern = copy_excluded; *pattern; pattern++)
        args[n++] = format("--exclude=%s", *pattern);
    if (copy->flags & COPY_EXCLUDE_HISTORY)
        args[n++] = "--exclude=" COPY_HISTORY;
    args[n++] = "--";
    args[n++] = copy->folder ? format("%s/", copy->source) : copy->source;
    args[n++] = copy->folder ? format("%s/", copy->target) : copy->target;
    args[n] = NULL;
}

static void limit(int resource, rlim_t value)
{
    struct rlimit old, new = {value, value};
    if (getrlimit(resource, &old) == 0 && old.rlim_max < value)
        new.rlim_cur = new.rlim_max = old.rlim_max;
    setrlimit(resource, &new);
}

static _Noreturn void run_rsync(const struct copy *copy, int output)
{
    static const char *environment[] = {"PATH=/usr/bin:/bin", "LC_ALL=C", NULL};
    const char *args[ARGS_MAX];
    write_arguments(copy, args);
    setpgid(0, 0);
    dup2(output, STDOUT_FILENO);
    dup2(output, STDERR_FILENO);
    // The sum fitted before; a file that grows meanwhile is cut off here.
    const uint64_t size = copy->room > copy->largest ? copy->room : copy->largest;
    if (size < RLIM_INFINITY)
        limit(RLIMIT_FSIZE, size);
    limit(RLIMIT_AS, RSYNC_MEMORY);
    limit(RLIMIT_CORE, 0);
    signal(SIGXFSZ, SIG_IGN); // an error of the write instead
    execvpe("rsync", (char *const *)(uintptr_t)args, (char *const *)(uintptr_t)environment);
    fail("cannot run rsync: %s", strerror(errno));
    _exit(COPY_EXIT_FAILED);
}

static int transfer(const struct copy *copy)
{
    int ends[2], status;
    if (pipe2(ends, O_CLOEXEC) < 0)
        return fail("cannot make a pipe: %s", strerror(errno));
    const pid_t pid = fork();
    if (pid == 0)
        run_rsync(copy, ends[1]);
    close(ends[1]);
    if (pid < 0)
        return fail("cannot start a process: %s", strerror(errno));
    setpgid(pid, pid); // it does so too, but may not have come to it
    const enum copy_watched watched = copy_watch(copy, pid, ends[0]);
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return COPY_EXIT_FAILED;
    if (watched != COPY_WATCHED_WELL)
        copy_watch_rest(pid);
    if (watched == COPY_WATCHED_GREW)
        return COPY_EXIT_NO_ROOM;
    if (watched == COPY_WATCHED_STILL)
        return fail("the copy was ended: timeout without any transfer");
    if (WIFEXITED(status))
        return WEXITSTATUS(status);
    return fail("rsync was ended by signal %d", WTERMSIG(status));
}

// ---- Durability ----

// rsync has written a file's content to disk itself; its name is in the folder. Of more than one
// file all is written at once.
static int make_durable(const struct copy *copy)
{
    struct stat info;
    const char *folder = copy->target;
    if (stat(folder, &info) < 0 || !S_ISDIR(info.st_mode))
        folder = dirname(format("%s", copy->target));
    const int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return fail("open \"%s\" failed: %s", folder, strerror(errno));
    const int rc = copy->folder || copy->made_folders ? syncfs(fd) : fsync(fd);
    close(fd);
    return rc < 0 ? fail("cannot write \"%s\" to disk: %s", folder, strerror(errno)) : 0;
}

static int copy_run(struct copy *copy, const char *target)
{
    close_range(STDERR_FILENO + 1, ~0u, CLOSE_RANGE_CLOEXEC);
    int rc = resolve_source(copy);
    if (!rc)
        rc = find_target(copy, target);
    if (rc)
        return rc;
    rule_overlaps(copy);
    switch (copy_fits(copy)) {
    case COPY_TOO_LARGE:
        return COPY_EXIT_NO_ROOM;
    case COPY_PATH_TOO_LONG:
        return fail("a path in the target would have more than %d bytes", PATH_MAX - 1);
    case COPY_FITS:
        break;
    }
    const char *home = format("%.*s", (int)HOME_SIZE, target);
    // Of a folder's files, one at a time can be left by half; a third of the time is a high price.
    copy->has_temporary = !copy->folder && copy_temporary_make(home, copy->temporary);
    rc = transfer(copy);
    if (copy->has_temporary)
        copy_temporary_remove(copy->temporary);
    // A home stays its owner's, whatever the folder that was copied onto it allows.
    if (copy->folder && strlen(copy->target) == HOME_SIZE)
        chmod(copy->target, 0700);
    return rc ? rc : make_durable(copy);
}

static bool split_patterns(char *lines, struct copy *copy)
{
    for (char *rest = lines, *pattern; (pattern = strsep(&rest, "\n"));) {
        if (!*pattern)
            continue;
        if (copy->patterns_count == COPY_PATTERNS_MAX)
            return false;
        copy->patterns[copy->patterns_count++] = pattern;
    }
    return true;
}

int copy_main(int argc, char **argv)
{
    if (argc != ARGUMENTS || strlen(argv[8]) < HOME_SIZE || strlen(argv[9]) < HOME_SIZE)
        return fail("usage: cohub-agent --copy FLAGS TIMEOUT ROOM FILES BANDWIDTH EXCLUDE SOURCE "
                    "TARGET");
    struct copy copy = {
        .flags = (unsigned)strtoul(argv[2], NULL, 10),
        .timeout = argv[3],
        .room = strtoull(argv[4], NULL, 10),
        .files = strtoull(argv[5], NULL, 10),
        .bandwidth = argv[6],
        .source = argv[8],
    };
    if (!split_patterns(argv[7], &copy))
        return fail("too many patterns");
    return copy_run(&copy, argv[9]);
}
