// SPDX-License-Identifier: AGPL-3.0-or-later
#include "jupyter/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "proto/kernel.h"

#define SELF "/proc/self/exe"
// What shells answer for a program that cannot be run.
#define NOT_FOUND 127
// Descriptors that going through a folder may take.
#define WALK_FDS 20

// ---- The bridge's side ----

static char **copy_argv(char *const *argv)
{
    static const char *const loader[] = {KERNEL_LOADER_ARGS};
    size_t count = 0, ahead = access(KERNEL_LOADER, X_OK) == 0 ? ARRAY_LEN(loader) : 0;
    while (argv[count])
        count++;
    char **copy = mem_alloc((ahead + count + 1) * sizeof *copy);
    memcpy(copy, loader, ahead * sizeof *copy);
    // The program's name is what the loader is given as its path.
    const size_t skipped = ahead > 0;
    memcpy(copy + ahead, argv + skipped, (count + 1 - skipped) * sizeof *copy);
    return copy;
}

static int spawn(char *const *own_argv, char *const *env, int stderr_fd, pid_t *ret_pid)
{
    auto_free char **argv = copy_argv(own_argv);
    const char *program = strcmp(argv[0], KERNEL_LOADER) == 0 ? KERNEL_LOADER : SELF;
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    if (stderr_fd >= 0)
        posix_spawn_file_actions_adddup2(&actions, stderr_fd, 2);
    else
        posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setflags(&attributes,
                             POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    const int rc = posix_spawn(ret_pid, program, &actions, &attributes, argv, env);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return rc;
}

int launch(const struct launch *launch, pid_t *ret_pid)
{
    size_t count = 0;
    char parent[16], mode[] = "--launch", name[] = "cohub-jupyter";
    auto_free char *folder = mem_strdup(launch->folder);
    snprintf(parent, sizeof parent, "%d", (int)getpid());
    while (launch->argv[count])
        count++;
    auto_free char **argv = mem_alloc((count + 5) * sizeof *argv);
    memcpy(argv, (char *[]){name, mode, parent, folder}, 4 * sizeof *argv);
    memcpy(argv + 4, launch->argv, (count + 1) * sizeof *argv);
    return spawn(argv, launch->env, launch->stderr_fd, ret_pid);
}

void launch_removal(const char *folder)
{
    pid_t pid;
    char mode[] = "--remove", name[] = "cohub-jupyter";
    auto_free char *copy = mem_strdup(folder);
    // What cannot be removed goes with the sandbox.
    (void)spawn((char *[]){name, mode, copy, NULL}, environ, -1, &pid);
}

// ---- The new process ----

static int fail(const char *what, const char *name)
{
    fprintf(stderr, "%s %s: %s\n", what, name, strerror(errno));
    return NOT_FOUND;
}

static int become(const char *parent, const char *folder, char **argv)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != atoi(parent)) // it has ended meanwhile
        return 1;
    close_range(3, ~0u, 0);
    if (chdir(folder) != 0)
        return fail("cannot enter", folder);
    execvp(argv[0], argv);
    // Debian calls it python3; what was installed elsewhere often says python.
    if (errno == ENOENT && strcmp(argv[0], "python") == 0)
        execvp("python3", argv);
    return fail("cannot run", argv[0]);
}

static int open_up(const char *path, const struct stat *st, int type, struct FTW *walk)
{
    (void)walk;
    if (type == FTW_D || type == FTW_DNR)
        chmod(path, st->st_mode | S_IRWXU);
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *walk)
{
    (void)st, (void)type, (void)walk;
    remove(path);
    return 0;
}

static int remove_all(const char *folder)
{
    nftw(folder, open_up, WALK_FDS, FTW_PHYS);
    nftw(folder, remove_one, WALK_FDS, FTW_PHYS | FTW_DEPTH);
    return 0;
}

int launch_main(int argc, char **argv)
{
    if (argc >= 5 && strcmp(argv[1], "--launch") == 0)
        return become(argv[2], argv[3], argv + 4);
    if (argc == 3 && strcmp(argv[1], "--remove") == 0)
        return remove_all(argv[2]);
    return -1;
}
