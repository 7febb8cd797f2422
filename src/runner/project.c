// SPDX-License-Identifier: AGPL-3.0-or-later
#include "runner/project.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#define STOP_GRACE_MS   5000u  // between SIGTERM and SIGKILL, which the agent sends
#define STOP_TIMEOUT_MS 8000u  // then the runner ends the sandbox
#define KILL_TIMEOUT_MS 10000u // then it could not be stopped
#define REAP_TIMEOUT_MS 2000u  // from the agent's end to the sandbox's
#define RETRY_MS        20u // while the agent's queue of connections is full, or another starts it
// How often the runner may die under one start.
#define LAUNCHES_MAX 3u

// What a start needs until the sandbox is there. `err` is filled by the worker, and later holds why
// the start failed.
struct project_launch {
    struct work work;
    struct project *project;
    struct project_spec spec;
    int rc;
    struct err err;
};

static void project_absent(struct project *project);
static void project_kill(struct project *project);
static void project_settle(struct project *project);
static void project_launch(struct project *project);
static void project_greet(struct project *project);
static void on_timer(uv_timer_t *timer);

struct project *project_new(struct projects *projects, const struct uuid *id)
{
    struct project *project = mem_zalloc(sizeof *project);
    project->id = *id;
    project->projects = projects;
    project->told = PROJECT_OPENED;
    TAILQ_INIT(&project->waiting);
    TAILQ_INIT(&project->stops);
    uv_timer_init(&projects->loop.uv, &project->timer);
    map_set(&projects->by_id, project->id.text, UUID_LEN, project);
    return project;
}

static void on_timer_closed(uv_handle_t *handle)
{
    free(CONTAINER(handle, struct project, timer));
}

static void launch_free(struct project *project)
{
    if (!project->launch)
        return;
    project_spec_dispose(&project->launch->spec);
    free(TAKE_PTR(project->launch));
}

static void project_free(struct project *project)
{
    launch_free(project);
    map_remove(&project->projects->by_id, project->id.text, UUID_LEN);
    uv_close((uv_handle_t *)&project->timer, on_timer_closed);
}

// ---- What several phases share ----

static void tell(struct project *project, enum project_state state, const char *error)
{
    const struct projects_config *config = &project->projects->config;
    if (project->told == state)
        return;
    project->told = state;
    config->changed(config->ctx, &project->id, state, project->seen_ms, error);
}

static void enter(struct project *project, enum project_phase phase, uint32_t timeout_ms)
{
    project->phase = phase;
    if (timeout_ms)
        uv_timer_start(&project->timer, on_timer, timeout_ms, 0);
    else
        uv_timer_stop(&project->timer);
}

static void count(struct project *project, bool running)
{
    if (project->counted == running)
        return;
    project->counted = running;
    if (running)
        atomic_fetch_add(&project->projects->running, 1);
    else
        atomic_fetch_sub(&project->projects->running, 1);
}

static void adoption_done(struct project *project)
{
    if (!project->adopting)
        return;
    project->adopting = false;
    projects_adopted(project->projects);
}

static void disconnect(struct project *project)
{
    if (project->conn)
        agent_conn_close(TAKE_PTR(project->conn));
    count(project, false);
}

static void fail_jobs(struct job_list *list, bool after_stop_too, const struct err *err)
{
    for (struct job *job = TAILQ_FIRST(list), *next; job; job = next) {
        next = TAILQ_NEXT(job, link);
        if (after_stop_too || !job->after_stop)
            job_fail(job, err);
    }
}

static bool deadline_passed(const struct project *project)
{
    return uv_now(&project->projects->loop.uv) >= project->deadline;
}

static void set_deadline(struct project *project)
{
    struct projects *projects = project->projects;
    project->deadline = uv_now(&projects->loop.uv) + projects->config.start_timeout_ms;
}

static uint32_t time_left_ms(const struct project *project)
{
    return deadline_passed(project)
               ? 1
               : (uint32_t)(project->deadline - uv_now(&project->projects->loop.uv));
}

static void remember_failure(struct project *project, const char *text, int sys_errno)
{
    struct err *err = &project->launch->err;
    if (sys_errno == ENOSPC || sys_errno == EDQUOT)
        err_set(err, ERR_NO_SPACE, "the project failed to start: no space left on the disk");
    else
        err_set(err, ERR_UNAVAILABLE, "the project failed to start");
    if (sys_errno)
        err_detail(err, "%s: %s", err_errno_name(sys_errno), text);
    else
        err_detail(err, "%s", text);
}

// The calls that waited for this start fail; those that came after a stop go on waiting.
static void report_failure(struct project *project, const struct err *err)
{
    if (TAILQ_EMPTY(&project->waiting))
        log_err(LOG_WARNING, "project_start_failed", err);
    project->wanted = false;
    fail_jobs(&project->waiting, false, err);
    tell(project, PROJECT_OPENED, err->message);
}

static void start_failed(struct project *project)
{
    report_failure(project, &project->launch->err);
    project_settle(project);
}

// ---- Finding it ----

static bool nobody_listens(int rc)
{
    return rc == -ENOENT || rc == -ECONNREFUSED;
}

static struct project_launch *launch_begin(struct project *project)
{
    launch_free(project);
    project->launch = mem_zalloc(sizeof *project->launch);
    project->launch->project = project;
    return project->launch;
}

// An agent that does not greet is waited for as long as a start may take, as it may only just be
// coming up; who wants it to end waits no longer than for one that has greeted.
static uint32_t greeting_wait_ms(const struct project *project)
{
    uint32_t left = time_left_ms(project);
    return TAILQ_EMPTY(&project->stops) || left < STOP_TIMEOUT_MS ? left : STOP_TIMEOUT_MS;
}

// Somebody listens, but never says a word. To others it runs: its end is told.
static void kill_silent(struct project *project)
{
    project->told = PROJECT_RUNNING;
    project_kill(project);
}

static void probe(struct project *project)
{
    int rc = agent_conn_open(&project->projects->io, &project->id, project, &project->conn);
    if (!rc) {
        enter(project, PHASE_PROBING, greeting_wait_ms(project));
    } else if (nobody_listens(rc)) {
        project_absent(project);
    } else if (!deadline_passed(project)) {
        enter(project, PHASE_PROBING, RETRY_MS);
    } else if (rc == -EAGAIN) {
        kill_silent(project);
    } else {
        launch_begin(project);
        remember_failure(project, "connect", -rc);
        fail_jobs(&project->stops, true, &project->launch->err);
        start_failed(project);
    }
}

void project_find(struct project *project)
{
    set_deadline(project);
    probe(project);
}

static void project_up(struct project *project);

static void on_hello(void *owner)
{
    struct project *project = owner;
    if (project->phase == PHASE_PROBING || project->phase == PHASE_GREETING)
        project_up(project);
}

static void on_jobs_ended(void *owner)
{
    const struct project *project = owner;
    const struct projects_config *config = &project->projects->config;
    if (config->jobs_ended)
        config->jobs_ended(config->ctx, &project->id);
}

// ---- Starting it ----

static void on_load(struct work *work)
{
    struct project_launch *launch = CONTAINER(work, struct project_launch, work);
    const struct projects_config *config = &launch->project->projects->config;
    launch->rc = config->load(config->ctx, &launch->project->id, &launch->spec, &launch->err);
}

static void on_loaded(struct work *work)
{
    struct project_launch *launch = CONTAINER(work, struct project_launch, work);
    struct project *project = launch->project;
    project->projects->loading--;
    if (project->projects->closing) {
        projects_drained(project->projects);
        project_free(project);
    } else if (launch->rc) {
        start_failed(project);
    } else {
        project_launch(project);
    }
}

static void project_absent(struct project *project)
{
    adoption_done(project);
    if (!project->wanted) {
        project_settle(project);
        return;
    }
    enter(project, PHASE_LOADING, 0);
    tell(project, PROJECT_STARTING, NULL);
    struct project_launch *launch = launch_begin(project);
    project->projects->loading++;
    work_submit(&project->projects->loop, &launch->work, on_load, on_loaded);
}

// With the channel down the phase waits for another, as long as a start may take.
static void project_launch(struct project *project)
{
    struct runner_link *runner = &project->projects->runner;
    struct project_launch *launch = project->launch;
    if (project->phase == PHASE_LOADING)
        set_deadline(project);
    enter(project, PHASE_LAUNCHING, time_left_ms(project));
    if (!runner_link_is_up(runner))
        return;
    if (project->launches++ == LAUNCHES_MAX) {
        remember_failure(project, "the runner died while it started the project", 0);
        start_failed(project);
        return;
    }
    if (runner_link_start(runner, &project->id, &launch->spec, &project->seq, &launch->err))
        start_failed(project);
}

static void launch_timeout(struct project *project)
{
    if (!deadline_passed(project)) {
        project_launch(project);
        return;
    }
    remember_failure(project, "the runner did not start the sandbox in time", 0);
    report_failure(project, &project->launch->err);
    project_kill(project);
}

// The sandbox is not the one that was asked for, but another process's, and may just be coming up
// or going down.
static bool other_on_its_way(const struct project *project)
{
    return !project->owned && !project->ended;
}

// The sandbox is there: its socket listens, or did until just now.
static void project_greet(struct project *project)
{
    int rc = agent_conn_open(&project->projects->io, &project->id, project, &project->conn);
    if (!rc) {
        enter(project, PHASE_GREETING, time_left_ms(project));
    } else if ((rc == -EAGAIN || other_on_its_way(project)) && !deadline_passed(project)) {
        enter(project, rc == -EAGAIN ? PHASE_GREETING : PHASE_LAUNCHING, RETRY_MS);
    } else if (project->owned) {
        remember_failure(project, "connect", -rc);
        enter(project, PHASE_FAILING, REAP_TIMEOUT_MS);
    } else {
        if (!project->ended)
            remember_failure(project, "connect", -rc);
        start_failed(project);
    }
}

static void greet_timeout(struct project *project)
{
    if (!project->conn) {
        project_greet(project);
        return;
    }
    remember_failure(project, "the agent did not answer in time", 0);
    report_failure(project, &project->launch->err);
    project_kill(project);
}

static void launch_answered(struct project *project, int sys_errno, const char *text)
{
    if (sys_errno == EAGAIN || sys_errno == EBUSY) {
        // Another process is starting it.
        enter(project, PHASE_LAUNCHING, RETRY_MS);
        return;
    }
    if (sys_errno) {
        remember_failure(project, text, sys_errno);
        start_failed(project);
        return;
    }
    project->launches = 0;
    project->ended = false;
    project->owned = strcmp(text, "running") != 0;
    project_greet(project);
}

// ---- Running ----

static void project_shutdown(struct project *project)
{
    enter(project, PHASE_STOPPING, STOP_TIMEOUT_MS);
    tell(project, PROJECT_STOPPING, NULL);
    agent_conn_shutdown(project->conn, STOP_GRACE_MS);
}

static void expect_no_stop(struct project *project)
{
    struct job *job;
    TAILQ_FOREACH(job, &project->waiting, link)
    job->after_stop = false;
    project->wanted_again = false;
}

// Answers who wants it stopped only if nothing goes on in it.
static void spare_used(struct project *project)
{
    for (struct job *job = TAILQ_FIRST(&project->stops), *next; job; job = next) {
        next = TAILQ_NEXT(job, link);
        if (job->kind != JOB_STOP_UNUSED)
            continue;
        CONTAINER(job->call, struct idle_call, call)->in_use = true;
        job_finish(job);
    }
    if (TAILQ_EMPTY(&project->stops))
        expect_no_stop(project);
}

// What can go to the agent goes; a stop comes behind it. If the connection turns out to be broken,
// the calls wait for what follows.
static void project_serve(struct project *project)
{
    if (agent_conn_jobs(project->conn))
        spare_used(project);
    for (struct job *job = TAILQ_FIRST(&project->waiting), *next; job; job = next) {
        next = TAILQ_NEXT(job, link);
        if (job->after_stop)
            continue;
        if (!job_send(job, project->conn))
            return;
    }
    if (!TAILQ_EMPTY(&project->stops))
        project_shutdown(project);
}

static void project_up(struct project *project)
{
    enter(project, PHASE_RUNNING, 0);
    launch_free(project);
    project->wanted = false;
    project->launches = 0;
    count(project, true);
    project->seen_ms = clock_now_ms();
    adoption_done(project);
    tell(project, PROJECT_RUNNING, NULL);
    project_serve(project);
}

void project_add_job(struct project *project, struct job *job)
{
    bool is_stop = job_is_stop(job);
    if (!is_stop) {
        job->after_stop = !TAILQ_EMPTY(&project->stops) || project->phase > PHASE_RUNNING;
        project->wanted |= project->phase < PHASE_RUNNING && !job->after_stop;
        project->wanted_again |= job->after_stop;
    }
    job_wait(job, project, is_stop ? &project->stops : &project->waiting);
    if (project->phase == PHASE_NEW)
        project_find(project);
    else if (project->phase == PHASE_RUNNING)
        project_serve(project);
    else if (project->phase == PHASE_PROBING && project->conn && is_stop)
        enter(project, PHASE_PROBING, greeting_wait_ms(project));
}

bool project_in_use(const struct project *project)
{
    return !TAILQ_EMPTY(&project->waiting) ||
           (project->conn && (agent_conn_streams(project->conn) || agent_conn_jobs(project->conn)));
}

// What it does from now on is not seen but through the runner, until somebody asks for it.
void project_disconnect(struct project *project)
{
    if (project->phase != PHASE_RUNNING)
        return;
    project->dropping = true;
    agent_conn_close(TAKE_PTR(project->conn));
    project->dropping = false;
    enter(project, PHASE_NEW, 0);
    project->wanted = !TAILQ_EMPTY(&project->waiting);
    if (project->wanted || !TAILQ_EMPTY(&project->stops))
        project_find(project);
}

// ---- Its end ----

// All is over: what waits for that is answered, what waits for the next start brings it about.
static void project_settle(struct project *project)
{
    disconnect(project);
    adoption_done(project);
    enter(project, PHASE_NEW, 0);
    tell(project, PROJECT_OPENED, NULL);
    project->seen_ms = 0;
    for (struct job *job; (job = TAILQ_FIRST(&project->stops));)
        job_finish(job);
    struct job *job;
    TAILQ_FOREACH(job, &project->waiting, link)
    job->after_stop = false;
    project->wanted = project->wanted_again || !TAILQ_EMPTY(&project->waiting);
    project->wanted_again = false;
    project->seq = 0;
    project->launches = 0;
    if (project->wanted)
        project_find(project);
    else
        project_free(project);
}

// The agent is gone. The sandbox goes with it, which the runner tells, with the reason, if it
// started it.
static void project_gone(struct project *project)
{
    if (project->owned)
        enter(project, PHASE_REAPING, REAP_TIMEOUT_MS);
    else
        project_settle(project);
}

static void send_kill(struct project *project)
{
    struct runner_link *runner = &project->projects->runner;
    if (runner_link_is_up(runner))
        runner_link_kill(runner, &project->id, &project->seq);
}

static void project_kill(struct project *project)
{
    adoption_done(project);
    project->wanted_again |= project->wanted;
    project->wanted = false;
    enter(project, PHASE_KILLING, KILL_TIMEOUT_MS);
    if (project->told == PROJECT_RUNNING)
        tell(project, PROJECT_STOPPING, NULL);
    send_kill(project);
}

static void check_killed(struct project *project)
{
    if (!project->conn && !project->owned && !project->seq)
        project_settle(project);
}

static void kill_answered(struct project *project, int sys_errno, const char *text)
{
    if (sys_errno == ESRCH)
        project->owned = false;
    else if (sys_errno)
        log_event(LOG_ERROR, "project_kill_failed", LOG_TEXT("project", project->id.text),
                  LOG_TEXT("error", err_errno_name(sys_errno)), LOG_TEXT("detail", text));
    if (!sys_errno || sys_errno == ESRCH)
        check_killed(project);
}

// Nothing more can be done about it here. What is known of it is dropped, and the next call finds
// out what it is like then.
static void kill_timeout(struct project *project)
{
    struct err err;
    err_set(&err, ERR_UNAVAILABLE, "the project could not be stopped");
    log_event(LOG_ERROR, "project_kill_failed", LOG_TEXT("project", project->id.text));
    project->owned = false;
    project->wanted_again = false;
    fail_jobs(&project->stops, true, &err);
    fail_jobs(&project->waiting, true, &err);
    project_settle(project);
}

// ---- Events ----

static void on_timer(uv_timer_t *timer)
{
    struct project *project = CONTAINER(timer, struct project, timer);
    switch (project->phase) {
    case PHASE_PROBING:
        if (project->conn)
            kill_silent(project);
        else
            probe(project);
        break;
    case PHASE_LAUNCHING:
        launch_timeout(project);
        break;
    case PHASE_GREETING:
        greet_timeout(project);
        break;
    case PHASE_STOPPING:
        project_kill(project);
        break;
    case PHASE_KILLING:
        kill_timeout(project);
        break;
    case PHASE_REAPING:
        project->owned = false;
        project_settle(project);
        break;
    case PHASE_FAILING:
        project->owned = false;
        start_failed(project);
        break;
    default:
        assert(!"a timer in a phase that has none");
    }
}

// The connection ended before the agent had said anything.
static void greeting_lost(struct project *project)
{
    if (!project->ended)
        remember_failure(project, "the sandbox ended before its agent was ready", 0);
    if (project->owned)
        enter(project, PHASE_FAILING, REAP_TIMEOUT_MS);
    else if (other_on_its_way(project) && !deadline_passed(project))
        enter(project, PHASE_LAUNCHING, RETRY_MS);
    else
        start_failed(project);
}

static void on_closed(void *owner, const char *violation)
{
    struct project *project = owner;
    if (violation)
        log_event(LOG_WARNING, "agent_violation", LOG_TEXT("project", project->id.text),
                  LOG_TEXT("what", violation));
    disconnect(project);
    if (project->phase == PHASE_KILLING) {
        check_killed(project);
    } else if (violation && project->phase == PHASE_GREETING) {
        remember_failure(project, violation, 0);
        report_failure(project, &project->launch->err);
        project_kill(project);
    } else if (violation) {
        project_kill(project);
    } else if (project->phase == PHASE_PROBING) {
        project_absent(project);
    } else if (project->phase == PHASE_GREETING) {
        greeting_lost(project);
    } else {
        project_gone(project);
    }
}

static void on_lost(struct agent_stream *stream)
{
    struct job *job = job_of_stream(stream);
    struct err err;
    if (job->project->projects->closing)
        err_set(&err, ERR_UNAVAILABLE, ERR_CLOSING_TEXT);
    else if (job->project->dropping)
        err_set(&err, ERR_UNAVAILABLE,
                "the connection to the project was dropped while %s was running", job_name(job));
    else
        err_set(&err, ERR_UNAVAILABLE, "the project stopped while %s was running", job_name(job));
    job_fail(job, &err);
}

const struct agent_conn_ops project_conn_ops = {.hello = on_hello,
                                                .jobs_ended = on_jobs_ended,
                                                .output = job_output,
                                                .exit = job_exit,
                                                .lost = on_lost,
                                                .closed = on_closed};

static struct project *project_get(const struct projects *projects, const struct uuid *id)
{
    return map_get(&projects->by_id, id->text, UUID_LEN);
}

static struct project *find_asker(const struct projects *projects, uint64_t seq)
{
    size_t position = 0;
    for (void *value; map_next(&projects->by_id, &position, &value);) {
        struct project *project = value;
        if (project->seq == seq)
            return project;
    }
    return NULL;
}

static void on_reply(void *owner, const struct uuid *id, uint64_t seq, int sys_errno,
                     const char *text, const struct runner_usage *usage)
{
    if (copies_answered(owner, seq, sys_errno, text) ||
        asked_answered(owner, seq, sys_errno, text, usage))
        return;
    struct project *project = id ? project_get(owner, id) : find_asker(owner, seq);
    if (!project || !seq || project->seq != seq)
        return;
    project->seq = 0;
    if (project->phase == PHASE_LAUNCHING)
        launch_answered(project, sys_errno, text);
    else if (project->phase == PHASE_KILLING)
        kill_answered(project, sys_errno, text);
}

static void remember_end(struct project *project, int wait_status, const char *text)
{
    project->ended = true;
    remember_failure(project, text, 0);
    if (!*text)
        err_detail(&project->launch->err, "the sandbox ended with wait status %d", wait_status);
}

static void tell_end(struct project *project, const char *text)
{
    if (strcmp(text, RUNNER_OUT_OF_MEMORY) == 0)
        tell(project, PROJECT_OPENED, "the project ran out of memory and was stopped");
}

// It may be the one before that has ended, if that took long. So a connection that is there counts
// more: the end of this sandbox will be seen by it.
static void on_exited(void *owner, const struct uuid *id, int wait_status, const char *text)
{
    struct project *project = project_get(owner, id);
    if (!project || !project->owned)
        return;
    project->owned = false;
    if (project->phase == PHASE_GREETING) {
        remember_end(project, wait_status, text);
    } else if (project->phase == PHASE_FAILING) {
        remember_end(project, wait_status, text);
        start_failed(project);
    } else if (project->phase == PHASE_REAPING || project->phase == PHASE_NEW) {
        tell_end(project, text);
        project_settle(project);
    } else if (project->phase == PHASE_KILLING) {
        check_killed(project);
    }
}

// Sandboxes outlive the runner, but nobody tells of their end now.
static void runner_down(struct project *project)
{
    project->owned = false;
    project->seq = 0;
    if (project->phase == PHASE_REAPING)
        project_settle(project);
    else if (project->phase == PHASE_FAILING)
        start_failed(project);
}

static void on_down(void *owner)
{
    struct projects *projects = owner;
    size_t position = 0;
    for (void *value; map_next(&projects->by_id, &position, &value);)
        runner_down(value);
    copies_down(projects);
    asked_drop(projects);
}

static void on_copied(void *owner, uint64_t seq, int wait_status, const char *text)
{
    copies_ended(owner, seq, wait_status, text);
}

const struct runner_link_ops project_runner_ops = {
    .reply = on_reply, .exited = on_exited, .copied = on_copied, .down = on_down};

void project_runner_up(struct project *project)
{
    // The one before may have got as far as starting it.
    if (project->phase == PHASE_LAUNCHING)
        project_find(project);
    else if (project->phase == PHASE_KILLING)
        send_kill(project);
}

void project_drop(struct project *project)
{
    struct err err;
    err_set(&err, ERR_UNAVAILABLE, ERR_CLOSING_TEXT);
    fail_jobs(&project->stops, true, &err);
    fail_jobs(&project->waiting, true, &err);
    disconnect(project);
    uv_timer_stop(&project->timer);
    if (project->phase != PHASE_LOADING)
        project_free(project);
}
