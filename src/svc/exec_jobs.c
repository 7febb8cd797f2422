// SPDX-License-Identifier: AGPL-3.0-or-later
#include "svc/exec_jobs.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/map.h"
#include "base/mem.h"

#define KEEP_US  (3600 * UINT64_C(1000000)) // after the last look
#define SWEEP_US (60 * UINT64_C(1000000))   // old jobs are looked for this often

// All of it under the lock, but `request`, which is svc->loop's while it runs.
struct exec_job {
    TAILQ_ENTRY(exec_job) link; // the one looked at last comes last
    struct job_project *project;
    struct uuid id;
    struct exec_request request;
    struct arena arena; // its texts
    int64_t start_ms;
    uint64_t start_us, end_us, look_us;
    struct exec_result *result; // NULL: it runs
    size_t size;                // counted, once it has ended
    bool submitted;
    unsigned looks; // at its buffers, under way
    struct exec_job_call *waiting;
    unsigned waiting_count;
    struct loop_message message;
};
TAILQ_HEAD(exec_job_list, exec_job);

struct job_project {
    struct uuid id;
    struct exec_job_list jobs;
    size_t count, size;
};

struct exec_jobs {
    pthread_mutex_t lock;
    struct map projects;
    size_t size; // of all that have ended
    uint64_t swept_us;
    bool shut;
};

struct exec_jobs *exec_jobs_new(void)
{
    struct exec_jobs *jobs = mem_zalloc(sizeof *jobs);
    pthread_mutex_init(&jobs->lock, NULL);
    return jobs;
}

// ---- Forgetting ----

// Frees what only a running job needs, unless somebody looks at it.
static void job_settle(struct exec_job *job)
{
    if (!job->result || job->looks)
        return;
    exec_request_dispose(&job->request);
    arena_dispose(&job->arena);
}

static void job_forget(struct exec_jobs *jobs, struct exec_job *job)
{
    struct job_project *project = job->project;
    TAILQ_REMOVE(&project->jobs, job, link);
    jobs->size -= job->size;
    project->size -= job->size;
    project->count--;
    exec_result_unref(job->result);
    free(job);
    if (project->count)
        return;
    map_remove(&jobs->projects, project->id.text, UUID_LEN);
    free(project);
}

static bool can_forget(const struct exec_job *job)
{
    return job->result && !job->looks;
}

// False if all of them run.
static bool forget_one_of(struct exec_jobs *jobs, struct job_project *project)
{
    struct exec_job *job;
    TAILQ_FOREACH(job, &project->jobs, link)
    {
        if (!can_forget(job))
            continue;
        job_forget(jobs, job);
        return true;
    }
    return false;
}

static bool forget_one_of_largest(struct exec_jobs *jobs)
{
    struct job_project *largest = NULL;
    void *project;
    for (size_t position = 0; map_next(&jobs->projects, &position, &project);) {
        const struct job_project *other = project;
        if (!largest || other->size > largest->size)
            largest = project;
    }
    return largest && forget_one_of(jobs, largest);
}

static bool is_old(const struct exec_job *job, uint64_t now_us)
{
    const uint64_t since_us = job->end_us > job->look_us ? job->end_us : job->look_us;
    return can_forget(job) && now_us > since_us + KEEP_US;
}

static void forget_old_of(struct exec_jobs *jobs, struct job_project *project, uint64_t now_us)
{
    struct exec_job *job = TAILQ_FIRST(&project->jobs);
    while (job) {
        struct exec_job *next = TAILQ_NEXT(job, link);
        if (is_old(job, now_us))
            job_forget(jobs, job); // the last one takes the project with it
        job = next;
    }
}

static void forget_old(struct exec_jobs *jobs)
{
    const uint64_t now_us = clock_monotonic_us();
    void *project;
    if (now_us < jobs->swept_us + SWEEP_US)
        return;
    jobs->swept_us = now_us;
    for (size_t position = 0; map_next(&jobs->projects, &position, &project);)
        forget_old_of(jobs, project, now_us);
}

// After svc->loop: what was submitted has ended.
void exec_jobs_free(struct exec_jobs *jobs)
{
    while (forget_one_of_largest(jobs))
        ;
    assert(!jobs->projects.count);
    map_dispose(&jobs->projects);
    pthread_mutex_destroy(&jobs->lock);
    free(jobs);
}

// ---- Answering ----

static void on_answer(struct loop_message *message)
{
    struct exec_job_call *call = CONTAINER(message, struct exec_job_call, message);
    call->done(call);
}

static void answer(struct exec_job_call *call)
{
    loop_post(call->loop, &call->message, on_answer);
}

static void answer_error(struct exec_job_call *call, const struct err *err)
{
    call->err = *err;
    call->rc = -(int)err->code;
    answer(call);
}

static void fill(struct exec_job_call *call, const struct exec_job *job)
{
    call->id = job->id;
    call->start_ms = job->start_ms;
    call->status = EXEC_JOB_RUNNING;
    if (!job->result)
        return;
    call->status = job->result->failed ? EXEC_JOB_ERROR : EXEC_JOB_COMPLETED;
    call->elapsed_us = job->end_us - job->start_us;
    call->result = job->result;
    atomic_fetch_add(&job->result->refs, 1);
}

static void init_call(struct svc *svc, struct exec_job_call *call)
{
    call->svc = svc;
    call->rc = 0;
    call->result = NULL;
    call->output = call->error_output = (struct buf){0};
    call->look = (struct exec_look){0};
}

void exec_job_call_dispose(struct exec_job_call *call)
{
    exec_result_unref(call->result);
    buf_dispose(&call->output);
    buf_dispose(&call->error_output);
    buf_dispose(&call->look.output);
    buf_dispose(&call->look.error_output);
}

// ---- The end ----

static size_t result_size(const struct exec_result *result)
{
    return sizeof *result + result->error.capacity + result->output.capacity +
           result->error_output.capacity;
}

static void answer_waiting(struct exec_job *job)
{
    struct exec_job_call *next;
    for (struct exec_job_call *call = job->waiting; call; call = next) {
        next = call->next;
        fill(call, job);
        answer(call);
    }
    job->waiting = NULL;
    job->waiting_count = 0;
}

static void job_end(struct exec_jobs *jobs, struct exec_job *job, struct exec_result *result)
{
    pthread_mutex_lock(&jobs->lock);
    job->result = result;
    job->end_us = clock_monotonic_us();
    job->size = sizeof *job + result_size(result);
    job->project->size += job->size;
    jobs->size += job->size;
    answer_waiting(job);
    job_settle(job);
    while (jobs->size > LIMIT_EXEC_JOBS_SIZE && forget_one_of_largest(jobs))
        ;
    pthread_mutex_unlock(&jobs->lock);
}

static void on_ended(struct exec_request *request)
{
    struct exec_job *job = CONTAINER(request, struct exec_job, request);
    struct exec_result *result =
        request->rc ? exec_result_refused(&request->err) : TAKE_PTR(request->result);
    job_end(request->svc->exec_jobs, job, result);
}

// ---- The start ----

static void copy_texts(struct arena *arena, const char *const *texts, size_t count,
                       const char *const **ret_texts)
{
    const char **copies = arena_alloc(arena, (count + 1) * sizeof *copies);
    for (size_t i = 0; i < count; i++)
        copies[i] = arena_strdup(arena, texts[i]);
    *ret_texts = copies;
}

static size_t texts_size(const char *const *texts, size_t count)
{
    size_t size = count * sizeof *texts;
    for (size_t i = 0; i < count; i++)
        size += strlen(texts[i]) + 1;
    return size;
}

static int check(const struct exec_request *r, struct err *err)
{
    const size_t size = strlen(r->command) + strlen(r->path) + texts_size(r->args, r->args_count) +
                        texts_size(r->env, r->env_count);
    int rc = exec_request_check(r, err);
    if (!rc && size > LIMIT_EXEC_JOB_TEXT)
        rc = err_set(err, ERR_TOO_LARGE,
                     "an asynchronous command may have at most %zu bytes, with its args and env",
                     LIMIT_EXEC_JOB_TEXT);
    return rc;
}

static void on_submitted(struct exec_request *request)
{
    struct exec_job *job = CONTAINER(request, struct exec_job, request);
    struct exec_jobs *jobs = request->svc->exec_jobs;
    pthread_mutex_lock(&jobs->lock);
    job->submitted = true;
    pthread_mutex_unlock(&jobs->lock);
}

static struct exec_job *job_new(const struct exec_request *request, struct svc *svc)
{
    struct exec_job *job = mem_zalloc(sizeof *job);
    struct exec_request *r = &job->request;
    job->id = uuid_new();
    job->start_ms = clock_now_ms();
    job->start_us = job->look_us = clock_monotonic_us();
    *r = *request;
    r->command = arena_strdup(&job->arena, request->command);
    r->path = arena_strdup(&job->arena, request->path);
    copy_texts(&job->arena, request->args, request->args_count, &r->args);
    copy_texts(&job->arena, request->env, request->env_count, &r->env);
    r->aggregate = NULL;
    r->svc = svc;
    r->loop = svc->loop;
    r->done = on_ended;
    r->submitted = on_submitted;
    return job;
}

// Before svc->loop runs a job, the server may have begun to close.
static void on_begin(struct loop_message *message)
{
    struct exec_job *job = CONTAINER(message, struct exec_job, message);
    struct svc *svc = job->request.svc;
    struct err err;
    if (!svc->closing) {
        exec_run(svc, &job->request);
        return;
    }
    err_set(&err, ERR_UNAVAILABLE, "the server is shutting down");
    job_end(svc->exec_jobs, job, exec_result_refused(&err));
}

static struct job_project *project_get(struct exec_jobs *jobs, const struct uuid *id)
{
    struct job_project *project = map_get(&jobs->projects, id->text, UUID_LEN);
    if (project)
        return project;
    project = mem_zalloc(sizeof *project);
    project->id = *id;
    TAILQ_INIT(&project->jobs);
    map_set(&jobs->projects, project->id.text, UUID_LEN, project);
    return project;
}

static int job_add(struct exec_jobs *jobs, struct exec_job *job, struct err *err)
{
    const struct uuid *project_id = &job->request.project_id;
    forget_old(jobs);
    struct job_project *project = map_get(&jobs->projects, project_id->text, UUID_LEN);
    if (jobs->shut)
        return err_set(err, ERR_UNAVAILABLE, "the server is shutting down");
    if (project && project->count >= LIMIT_EXEC_JOBS && !forget_one_of(jobs, project))
        return err_set(err, ERR_RATE_LIMITED,
                       "%d asynchronous commands of this project run already", LIMIT_EXEC_JOBS);
    project = project_get(jobs, project_id);
    job->project = project;
    project->count++;
    TAILQ_INSERT_TAIL(&project->jobs, job, link);
    return 0;
}

void exec_job_start(struct svc *svc, const struct exec_request *request, struct exec_job_call *call)
{
    struct exec_jobs *jobs = svc->exec_jobs;
    struct err err;
    init_call(svc, call);
    if (check(request, &err)) {
        answer_error(call, &err);
        return;
    }
    struct exec_job *job = job_new(request, svc);
    pthread_mutex_lock(&jobs->lock);
    int rc = job_add(jobs, job, &err);
    if (!rc) {
        fill(call, job);
        loop_post(svc->loop, &job->message, on_begin);
    }
    pthread_mutex_unlock(&jobs->lock);
    if (rc) {
        arena_dispose(&job->arena);
        free(job);
        answer_error(call, &err);
    } else {
        answer(call);
    }
}

// ---- Looking ----

static void decode(struct exec_job_call *call)
{
    const struct exec_look *look = &call->look;
    exec_stream_text(call->max_output, &look->output, look->output_total, &call->output);
    exec_stream_text(call->max_output, &look->error_output, look->error_output_total,
                     &call->error_output);
}

static void decode_now(struct work *work)
{
    decode(CONTAINER(work, struct exec_job_call, work));
}

static void on_decoded(struct work *work)
{
    struct exec_job_call *call = CONTAINER(work, struct exec_job_call, work);
    call->done(call);
}

// True if the job has ended meanwhile: then the call has its result.
static bool end_look(struct exec_job_call *call)
{
    struct exec_jobs *jobs = call->svc->exec_jobs;
    struct exec_job *job = call->job;
    pthread_mutex_lock(&jobs->lock);
    job->looks--;
    fill(call, job);
    job_settle(job);
    const bool ended = call->result;
    pthread_mutex_unlock(&jobs->lock);
    return ended;
}

static void on_look(struct exec_look *look)
{
    struct exec_job_call *call = CONTAINER(look, struct exec_job_call, look);
    if (end_look(call)) {
        call->done(call);
        return;
    }
    if (look->output.size + look->error_output.size > LIMIT_OUTPUT_INLINE) {
        bool submitted = work_submit_gated(call->loop, &call->svc->rendering, &call->work, NULL,
                                           decode_now, on_decoded);
        assert(submitted);
        return;
    }
    decode(call);
    call->done(call);
}

static void look_at(struct exec_job_call *call, struct exec_job *job)
{
    fill(call, job);
    if (!job->submitted) {
        answer(call); // nothing was written yet
        return;
    }
    job->looks++;
    call->job = job;
    call->max_output = job->request.max_output;
    call->look = (struct exec_look){
        .exec = &job->request.exec,
        .loop = call->loop,
        .done = on_look,
    };
    projects_exec_look(call->svc->projects, &call->look);
}

static struct exec_job *find(struct exec_jobs *jobs, const struct exec_job_call *call)
{
    struct job_project *project = map_get(&jobs->projects, call->project_id.text, UUID_LEN);
    struct exec_job *job = NULL;
    if (project) {
        TAILQ_FOREACH(job, &project->jobs, link)
        {
            if (!strcmp(job->id.text, call->job_id))
                break;
        }
    }
    return job;
}

static int wait_for(struct exec_jobs *jobs, struct exec_job *job, struct exec_job_call *call,
                    struct err *err)
{
    if (jobs->shut)
        return err_set(err, ERR_UNAVAILABLE, "the server is shutting down");
    if (job->waiting_count >= LIMIT_EXEC_JOB_WAITING)
        return err_set(err, ERR_RATE_LIMITED, "%d calls wait for this operation already",
                       LIMIT_EXEC_JOB_WAITING);
    call->next = job->waiting;
    job->waiting = call;
    job->waiting_count++;
    return 0;
}

static int get(struct exec_jobs *jobs, struct exec_job_call *call, struct err *err)
{
    forget_old(jobs);
    struct exec_job *job = find(jobs, call);
    const uint64_t now_us = clock_monotonic_us();
    if (!job || is_old(job, now_us))
        return err_set(err, ERR_NOT_FOUND, "Async operation '%.100s' does not exist.",
                       call->job_id);
    job->look_us = now_us;
    TAILQ_REMOVE(&job->project->jobs, job, link);
    TAILQ_INSERT_TAIL(&job->project->jobs, job, link);
    if (!job->result && call->await)
        return wait_for(jobs, job, call, err);
    if (!job->result) {
        look_at(call, job);
    } else {
        fill(call, job);
        answer(call);
    }
    return 0;
}

void exec_job_get(struct svc *svc, struct exec_job_call *call)
{
    struct exec_jobs *jobs = svc->exec_jobs;
    struct err err;
    init_call(svc, call);
    pthread_mutex_lock(&jobs->lock);
    int rc = get(jobs, call, &err);
    pthread_mutex_unlock(&jobs->lock);
    if (rc)
        answer_error(call, &err);
}

// ---- Closing ----

static void refuse_waiting(struct exec_job *job)
{
    struct err err;
    struct exec_job_call *next;
    err_set(&err, ERR_UNAVAILABLE, "the server is shutting down");
    for (struct exec_job_call *call = job->waiting; call; call = next) {
        next = call->next;
        answer_error(call, &err);
    }
    job->waiting = NULL;
    job->waiting_count = 0;
}

void exec_jobs_shut(struct svc *svc)
{
    struct exec_jobs *jobs = svc->exec_jobs;
    struct exec_job *job;
    void *project;
    pthread_mutex_lock(&jobs->lock);
    jobs->shut = true;
    for (size_t position = 0; map_next(&jobs->projects, &position, &project);) {
        TAILQ_FOREACH(job, &((struct job_project *)project)->jobs, link)
        refuse_waiting(job);
    }
    pthread_mutex_unlock(&jobs->lock);
}
