// SPDX-License-Identifier: AGPL-3.0-or-later
// The thread of the projects, the calls that come to it from others, and the search for projects
// that run already at start-up.
#include "runner/projects.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "runner/project.h"
#include "runner/use.h"

// Probes of projects_adopt at once, and looked at in one turn of the loop.
#define ADOPT_PROBES_MAX 64u
#define ADOPT_TURN_MAX   64u

const char *project_state_name(enum project_state state)
{
    static const char *const names[] = {[PROJECT_OPENED] = "opened",
                                        [PROJECT_STARTING] = "starting",
                                        [PROJECT_RUNNING] = "running",
                                        [PROJECT_STOPPING] = "stopping"};
    assert(state < ARRAY_LEN(names));
    return names[state];
}

void project_spec_dispose(struct project_spec *spec)
{
    free(spec->image);
    for (char **env = spec->env; env && *env; env++)
        free(*env);
    free(spec->env);
    *spec = (struct project_spec){0};
}

// ---- Calls ----

static void take_call(struct loop_message *message, enum job_kind kind)
{
    struct project_call *call = CONTAINER(message, struct project_call, message);
    struct projects *projects = call->projects;
    struct job *job = job_new(&projects->jobs, call, kind);
    if (projects->closing) {
        struct err err;
        err_set(&err, ERR_UNAVAILABLE, ERR_CLOSING_TEXT);
        job_fail(job, &err);
        return;
    }
    struct project *project = map_get(&projects->by_id, call->project_id.text, UUID_LEN);
    if (!project)
        project = project_new(projects, &call->project_id);
    project_add_job(project, job);
}

static void on_start(struct loop_message *message)
{
    take_call(message, JOB_START);
}

static void on_stop(struct loop_message *message)
{
    take_call(message, JOB_STOP);
}

static struct project *project_of(const struct project_call *call)
{
    return map_get(&call->projects->by_id, call->project_id.text, UUID_LEN);
}

static void on_stop_unused(struct loop_message *message)
{
    struct project_call *call = CONTAINER(message, struct project_call, message);
    struct idle_call *idle = CONTAINER(call, struct idle_call, call);
    const struct project *project = project_of(call);
    idle->in_use = (project && project_in_use(project)) ||
                   (call->projects->config.shared && project_used_elsewhere(&call->project_id));
    if (idle->in_use)
        project_call_answer(call);
    else
        take_call(message, JOB_STOP_UNUSED);
}

static void on_disconnect(struct loop_message *message)
{
    struct project_call *call = CONTAINER(message, struct project_call, message);
    struct project *project = project_of(call);
    if (project)
        project_disconnect(project);
    project_call_answer(call);
}

static void on_exec(struct loop_message *message)
{
    take_call(message, JOB_EXEC);
}

static void on_file(struct loop_message *message)
{
    take_call(message, JOB_FILE);
}

static void on_ask(struct loop_message *message)
{
    take_call(message, JOB_ASK);
}

static void submit(struct projects *projects, struct project_call *call, uint32_t wait_ms,
                   loop_message_fn *fn)
{
    call->rc = 0;
    call->projects = projects;
    call->wait_ms = wait_ms;
    loop_post(&projects->loop, &call->message, fn);
}

void projects_start(struct projects *projects, struct project_call *call, uint32_t wait_ms)
{
    submit(projects, call, wait_ms, on_start);
}

void projects_stop(struct projects *projects, struct project_call *call)
{
    submit(projects, call, 0, on_stop);
}

void projects_stop_unused(struct projects *projects, struct idle_call *idle)
{
    idle->in_use = false;
    submit(projects, &idle->call, 0, on_stop_unused);
}

void projects_disconnect(struct projects *projects, struct project_call *call)
{
    submit(projects, call, 0, on_disconnect);
}

void projects_exec(struct projects *projects, struct exec_call *call)
{
    call->ran = call->output = call->error_output = (struct buf){0};
    call->output_total = call->error_output_total = 0;
    call->output_taken = 0;
    call->stop_reason[0] = '\0';
    call->output_full = call->error_output_full = false;
    submit(projects, &call->call, call->start_wait_ms, on_exec);
}

void projects_ask(struct projects *projects, struct ask_call *ask)
{
    ask->reply = (struct buf){0};
    ask->reply_taken = 0;
    ask->stop_reason[0] = '\0';
    submit(projects, &ask->call, ask->start_wait_ms, on_ask);
}

// The content as a file in memory, which the agent can copy from at its own pace.
static int content_open(const struct file_call *call, int *ret_fd, struct err *err)
{
    auto_fd int fd = memfd_create("content", MFD_CLOEXEC);
    if (fd < 0)
        return err_set_errno(err, ERR_UNAVAILABLE, errno, "too many files are open");
    int rc = fd_write_all(fd, call->content, call->content_size);
    if (rc)
        return err_set_errno(err, ERR_UNAVAILABLE, -rc, "out of memory");
    if (lseek(fd, 0, SEEK_SET))
        return err_internal(err, "lseek: %s", strerror(errno));
    *ret_fd = TAKE_FD(fd);
    return 0;
}

void projects_file(struct projects *projects, struct file_call *call)
{
    call->data = (struct buf){0};
    call->size = 0;
    call->syscall[0] = '\0';
    call->content_fd = -1;
    if (call->write && content_open(call, &call->content_fd, &call->call.err)) {
        call->call.rc = -(int)call->call.err.code;
        project_call_answer(&call->call);
        return;
    }
    submit(projects, &call->call, call->timeout_ms, on_file);
}

// ---- Finding what runs already ----

static void adopt_one(struct projects *projects, const struct uuid *id)
{
    struct project *project = map_get(&projects->by_id, id->text, UUID_LEN);
    if (project && project->phase != PHASE_NEW) {
        // A call came first and is finding out; the stored state is what others know so far.
        if (project->phase == PHASE_PROBING && project->told == PROJECT_OPENED)
            project->told = PROJECT_RUNNING;
        return;
    }
    if (!project)
        project = project_new(projects, id);
    project->told = PROJECT_RUNNING;
    project->adopting = true;
    projects->adopting++;
    project_find(project);
}

static void adoption_next(struct projects *projects)
{
    struct adoption *done = projects->adoptions;
    projects->adoptions = done->next;
    if (!done->next)
        projects->adoptions_last = &projects->adoptions;
    free(done);
}

// A few in each turn of the loop, so that calls come in between.
static void on_adopt_turn(uv_idle_t *idle)
{
    struct projects *projects = CONTAINER(idle, struct projects, adopt_idle);
    for (unsigned i = 0; i < ADOPT_TURN_MAX && projects->adoptions; i++) {
        struct adoption *adoption = projects->adoptions;
        if (adoption->at == adoption->count)
            adoption_next(projects);
        else if (projects->adopting < ADOPT_PROBES_MAX)
            adopt_one(projects, &adoption->ids[adoption->at++]);
        else
            break;
    }
    if (!projects->adoptions || projects->adopting == ADOPT_PROBES_MAX)
        uv_idle_stop(idle);
}

void projects_adopted(struct projects *projects)
{
    projects->adopting--;
    if (projects->adoptions)
        uv_idle_start(&projects->adopt_idle, on_adopt_turn);
}

static void on_adopt(struct loop_message *message)
{
    struct adoption *adoption = CONTAINER(message, struct adoption, message);
    struct projects *projects = adoption->projects;
    if (projects->closing) {
        free(adoption);
        return;
    }
    *projects->adoptions_last = adoption;
    projects->adoptions_last = &adoption->next;
    uv_idle_start(&projects->adopt_idle, on_adopt_turn);
}

void projects_adopt(struct projects *projects, const struct uuid *project_ids, size_t count)
{
    struct adoption *adoption = mem_zalloc(sizeof *adoption + count * sizeof *project_ids);
    adoption->projects = projects;
    adoption->count = count;
    if (count)
        memcpy(adoption->ids, project_ids, count * sizeof *project_ids);
    loop_post(&projects->loop, &adoption->message, on_adopt);
}

size_t projects_running(const struct projects *projects)
{
    return atomic_load(&projects->running);
}

bool project_is_listening(const struct uuid *project_id)
{
    auto_fd int fd = -1;
    int rc = agent_socket_connect(project_id, &fd);
    return !rc || rc == -EAGAIN;
}

// ---- The runner's replacement ----

struct replacement {
    struct loop_message message;
    struct projects *projects;
    int fd;
};

static void on_replaced(struct loop_message *message)
{
    struct replacement *replacement = CONTAINER(message, struct replacement, message);
    struct projects *projects = replacement->projects;
    if (projects->closing)
        fd_close(&replacement->fd);
    else
        runner_link_attach(&projects->runner, replacement->fd);
    free(replacement);
    if (!runner_link_is_up(&projects->runner))
        return;
    size_t position = 0;
    for (void *value; map_next(&projects->by_id, &position, &value);)
        project_runner_up(value);
    copies_up(projects);
}

void projects_runner_replaced(struct projects *projects, int runner_fd)
{
    struct replacement *replacement = mem_zalloc(sizeof *replacement);
    replacement->projects = projects;
    replacement->fd = runner_fd;
    loop_post(&projects->loop, &replacement->message, on_replaced);
}

// ---- The thread ----

static void *run_thread(void *data)
{
    struct projects *projects = data;
    pthread_setname_np(pthread_self(), "projects");
    runner_link_attach(&projects->runner, projects->config.runner_fd);
    loop_run(&projects->loop);
    loop_dispose(&projects->loop);
    return NULL;
}

int projects_open(const struct projects_config *config, struct projects **ret_projects,
                  struct err *err)
{
    auto_free struct projects *projects = mem_zalloc(sizeof *projects);
    projects->config = *config;
    projects->adoptions_last = &projects->adoptions;
    TAILQ_INIT(&projects->copies);
    TAILQ_INIT(&projects->asked);
    int rc = loop_init(&projects->loop, err);
    if (rc)
        return rc;
    agent_io_init(&projects->io, &projects->loop, &project_conn_ops);
    projects->io.shared = config->shared;
    runner_link_init(&projects->runner, &projects->loop, &project_runner_ops, projects);
    job_pool_init(&projects->jobs, &projects->loop);
    uv_idle_init(&projects->loop.uv, &projects->adopt_idle);
    rc = pthread_create(&projects->thread, NULL, run_thread, projects);
    if (rc) {
        loop_dispose(&projects->loop);
        agent_io_dispose(&projects->io);
        return err_internal(err, "pthread_create: %s", strerror(rc));
    }
    *ret_projects = TAKE_PTR(projects);
    return 0;
}

void projects_drained(struct projects *projects)
{
    if (projects->ended && !projects->loading)
        loop_stop(&projects->loop);
}

// What waits fails now, what comes later fails at once.
static void shut(struct projects *projects)
{
    if (projects->closing)
        return;
    projects->closing = true;
    while (projects->adoptions)
        adoption_next(projects);
    size_t position = 0;
    for (void *value; map_next(&projects->by_id, &position, &value);)
        project_drop(value);
    copies_drop(projects);
    asked_drop(projects);
    runner_link_dispose(&projects->runner);
}

static void on_shut(struct loop_message *message)
{
    shut(CONTAINER(message, struct projects, shut_message));
}

void projects_shut(struct projects *projects)
{
    loop_post(&projects->loop, &projects->shut_message, on_shut);
}

static void on_close(struct loop_message *message)
{
    struct projects *projects = CONTAINER(message, struct projects, close_message);
    shut(projects);
    projects->ended = true;
    projects_drained(projects);
}

void projects_close(struct projects *projects)
{
    loop_post(&projects->loop, &projects->close_message, on_close);
    pthread_join(projects->thread, NULL);
    job_pool_dispose(&projects->jobs);
    agent_io_dispose(&projects->io);
    map_dispose(&projects->by_id);
    free(projects);
}
