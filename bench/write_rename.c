// SPDX-License-Identifier: AGPL-3.0-or-later
// The bare rate of durable small files: THREADS threads each write 1 KB to a temporary file, fsync
// it and rename it over its target, for SECONDS; prints files a second as JSON.
//
//   write_rename FOLDER THREADS SECONDS
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define FILE_BYTES  1024
#define THREADS_MAX 256

static atomic_bool stop;
static atomic_bool failed;
static atomic_ulong written;

static bool write_durable(const char *part, const char *target, const char *content)
{
    int fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0) {
        return false;
    }
    bool ok = write(fd, content, FILE_BYTES) == FILE_BYTES && fsync(fd) == 0;
    return close(fd) == 0 && ok && rename(part, target) == 0;
}

static void *write_files(void *arg)
{
    char part[64], target[64], content[FILE_BYTES];
    snprintf(part, sizeof part, "part.%d", *(const int *)arg);
    snprintf(target, sizeof target, "file.%d", *(const int *)arg);
    memset(content, 'x', sizeof content);
    while (!stop) {
        if (!write_durable(part, target, content)) {
            perror("write_rename");
            failed = true;
            break;
        }
        written++;
    }
    return NULL;
}

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char *argv[])
{
    int threads = argc == 4 ? atoi(argv[2]) : 0;
    double seconds = argc == 4 ? atof(argv[3]) : 0;
    if (threads < 1 || threads > THREADS_MAX || seconds <= 0 || chdir(argv[1]) != 0) {
        fprintf(stderr, "usage: write_rename FOLDER THREADS SECONDS\n");
        return 2;
    }
    pthread_t ids[THREADS_MAX];
    int numbers[THREADS_MAX];
    double begin = now_s();
    for (int i = 0; i < threads; i++) {
        numbers[i] = i;
        if (pthread_create(&ids[i], NULL, write_files, &numbers[i]) != 0) {
            return 1;
        }
    }
    struct timespec pause = {.tv_sec = (time_t)seconds,
                             .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9)};
    nanosleep(&pause, NULL);
    stop = true;
    for (int i = 0; i < threads; i++) {
        pthread_join(ids[i], NULL);
    }
    printf("{\"per_s\": %.1f}\n", (double)written / (now_s() - begin));
    return failed;
}
