// SPDX-License-Identifier: AGPL-3.0-or-later
// The bare cost of a process: spawns a command COUNT times, one after the other, waits for each,
// and prints the median in microseconds as JSON.
//
//   spawn COUNT PROGRAM [ARGUMENT]...
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>

extern char **environ;

static double now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

// The time from the spawn to the reaping; negative if the program could not run or failed.
static double run_once(char *const argv[])
{
    double begin = now_us();
    pid_t pid;
    int status;
    if (posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ) != 0) {
        return -1;
    }
    if (waitpid(pid, &status, 0) != pid || status != 0) {
        return -1;
    }
    return now_us() - begin;
}

int main(int argc, char *argv[])
{
    int count = argc > 2 ? atoi(argv[1]) : 0;
    if (count < 1) {
        fprintf(stderr, "usage: spawn COUNT PROGRAM [ARGUMENT]...\n");
        return 2;
    }
    double *times = calloc((size_t)count, sizeof *times);
    if (!times) {
        return 1;
    }
    for (int i = 0; i < count; i++) {
        times[i] = run_once(argv + 2);
        if (times[i] < 0) {
            fprintf(stderr, "spawn: %s failed\n", argv[2]);
            free(times);
            return 1;
        }
    }
    qsort(times, (size_t)count, sizeof *times, by_value);
    printf("{\"median_us\": %.1f}\n", times[count / 2]);
    free(times);
    return 0;
}
