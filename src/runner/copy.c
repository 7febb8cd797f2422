// SPDX-License-Identifier: AGPL-3.0-or-later
#include "runner/copy.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "base/text.h"

#define COPIES_MAX 1000 // as the setting allows
#define NUMBER_MAX 24

// rsync keeps what it has listed: some 100 bytes for each of a million files, in three processes.
// Its work is nobody's who waits for an answer at once, so running projects go before it.
static const struct runner_limits limits = {.memory_mb = 1024, .cpu_shares = 512, .processes = 32};

// Relative, and not above itself.
static bool path_valid(const char *path)
{
    if (*path == '/')
        return false;
    for (; *path; path += *path == '/') {
        const size_t size = strcspn(path, "/");
        if (size == 2 && path[0] == '.' && path[1] == '.')
            return false;
        path += size;
    }
    return true;
}

// What stands behind a text, NULL at the end of the data.
static const char *next_text(const struct runner_request *request, const char *text)
{
    const char *end = request->data + request->data_size;
    const char *nul = memchr(text, '\0', (size_t)(end - text));
    return nul && nul + 1 < end ? nul + 1 : NULL;
}

bool copy_request_valid(const struct runner_request *request)
{
    struct uuid source;
    if (request->source[UUID_LEN] || !uuid_parse(request->source, UUID_LEN, &source) ||
        memcmp(request->source, source.text, UUID_LEN) != 0 || request->data_size < 2)
        return false;
    const char *second = next_text(request, request->data);
    const char *patterns = second ? next_text(request, second) : NULL;
    return patterns && !next_text(request, patterns) &&
           request->data[request->data_size - 1] == '\0' && path_valid(request->data) &&
           path_valid(second) && strlen(patterns) <= COPY_EXCLUDE_MAX;
}

static bool has_home(const char *project_id)
{
    char path[64];
    struct stat info;
    snprintf(path, sizeof path, "projects/%s", project_id);
    return lstat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

static int start(struct sandbox_host *host, struct spares *spares,
                 const struct runner_request *request, int log_fd, pid_t *ret_pid, struct err *err)
{
    CLEANUP(sandbox_start_dispose) struct sandbox_start start = SANDBOX_START_NONE;
    char flags[NUMBER_MAX], timeout[NUMBER_MAX], room[NUMBER_MAX], files[NUMBER_MAX],
        bandwidth[NUMBER_MAX];
    const char *source = request->data, *target = next_text(request, source),
               *patterns = next_text(request, target);
    auto_free char *from = mem_printf("/projects/%s/%s", request->source, source);
    auto_free char *to = mem_printf("/projects/%s/%s", request->uuid, target);
    snprintf(flags, sizeof flags, "%" PRIu32, request->flags);
    snprintf(timeout, sizeof timeout, "%" PRIu32, request->timeout_s);
    snprintf(room, sizeof room, "%" PRIu64, request->room);
    snprintf(files, sizeof files, "%" PRIu64, request->files);
    snprintf(bandwidth, sizeof bandwidth, "%" PRIu32, request->bandwidth);
    const char *const args[] = {"--copy",  flags,    timeout, room, files,
                                bandwidth, patterns, from,    to,   NULL};
    struct sandbox_spec spec = {.agent_args = args,
                                .die_with_parent = true,
                                .listen_fd = -1,
                                .info_fd = -1,
                                .log_fd = log_fd};
    memcpy(spec.project_id.text, request->uuid, sizeof spec.project_id.text);
    if (memcmp(request->source, request->uuid, UUID_LEN) != 0)
        memcpy(spec.source_id.text, request->source, sizeof spec.source_id.text);
    const int rc = sandbox_prepare(host, &spec, &start, err);
    return rc < 0 ? rc : spares_start(spares, &start, &limits, NULL, ret_pid, err);
}

int copy_job_start(struct copy_jobs *jobs, struct sandbox_host *host, struct spares *spares,
                   const struct runner_request *request, struct err *err)
{
    pid_t pid;
    if (jobs->count == COPIES_MAX)
        return err_set_errno(err, ERR_UNAVAILABLE, EAGAIN, "too many copies run");
    if (!has_home(request->source) || !has_home(request->uuid))
        return err_set_errno(err, ERR_NOT_FOUND, ENOENT, "the project has no home folder");
    auto_fd int log_fd = memfd_create("copy", MFD_CLOEXEC);
    if (log_fd < 0)
        return err_set_errno(err, ERR_UNAVAILABLE, errno, "cannot start a copy");
    const int rc = start(host, spares, request, log_fd, &pid, err);
    if (rc < 0)
        return rc;
    if (jobs->count == jobs->capacity) {
        jobs->capacity = jobs->capacity ? jobs->capacity * 2 : 8;
        jobs->items = mem_realloc(jobs->items, jobs->capacity * sizeof *jobs->items);
    }
    jobs->items[jobs->count++] = (struct copy_job){pid, request->seq, TAKE_FD(log_fd)};
    return 0;
}

// What is in the sandbox ends with the process that made it, which is a child that nobody has
// waited for yet.
int copy_job_kill(const struct copy_jobs *jobs, uint64_t seq)
{
    for (size_t i = 0; i < jobs->count; i++) {
        if (jobs->items[i].seq == seq)
            return kill(jobs->items[i].pid, SIGKILL) < 0 ? -errno : 0;
    }
    return -ESRCH;
}

static void read_text(int fd, char *out, size_t size)
{
    const ssize_t got = pread(fd, out, size - 1, 0);
    size_t length = got > 0 ? (size_t)got : 0;
    while (length && text_is_space(out[length - 1]))
        length--;
    out[length] = '\0';
}

bool copy_job_ended(struct copy_jobs *jobs, pid_t pid, int status,
                    struct runner_message *ret_message)
{
    for (size_t i = 0; i < jobs->count; i++) {
        struct copy_job job = jobs->items[i];
        if (job.pid != pid)
            continue;
        *ret_message =
            (struct runner_message){.type = RUNNER_COPIED, .value = status, .seq = job.seq};
        read_text(job.log_fd, ret_message->text, sizeof ret_message->text);
        fd_close(&job.log_fd);
        jobs->items[i] = jobs->items[--jobs->count];
        return true;
    }
    return false;
}

void copy_jobs_dispose(struct copy_jobs *jobs)
{
    for (size_t i = 0; i < jobs->count; i++)
        fd_close(&jobs->items[i].log_fd);
    free(jobs->items);
}
