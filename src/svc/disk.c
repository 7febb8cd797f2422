// SPDX-License-Identifier: AGPL-3.0-or-later
#include "svc/disk.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "db/query.h"
#include "svc/disk_held.h"
#include "svc/disk_tolerance.h"
#include "svc/disk_walk.h"
#include "svc/project.h"
#include "svc/project_quota.h"

#define MB             1000000 // bytes, of a quota's unit (api-v1 11.6)
#define HARD_PER_SOFT  1.2
#define WALKERS        2       // at once, in the background
#define INLINE_US      50000   // the longest that a caller waits for measuring
#define REST_FACTOR    20      // measuring takes at most a twentieth of the time
#define REST_US_MIN    200000  // and at most five times a second
#define LIMITS_KEPT_US 5000000 // a quota that was read counts for so long
#define LOOKS_NEW      3       // a project is new for so many times the pause between looks
#define PLENTY         8       // of the quota: with such a part left, old figures will do
#define RECORD_BYTES   MB      // the record is written again when it is so far off
#define NEVER          (-1)
#define PROJECTS_KNOWN 16384 // beyond, those that rest are forgotten: they are measured again

// What a project may have.
struct limits {
    int64_t soft, hard; // bytes
    double quota_mb;
};

// One project. Under the lock.
struct entry {
    struct uuid project_id;
    struct limits limits;
    uint64_t limits_us; // when they were read, 0: never
    struct disk_usage usage;
    int64_t held;    // of usage.bytes: by files without a name
    uint64_t starts; // of the project: what was held before each is gone
    uint64_t started_us;
    bool known;
    int64_t added;             // all that was ever counted beside measuring
    int64_t pending;           // reserved, perhaps on the disk, perhaps not yet
    uint64_t changes;          // grows with each
    uint64_t changes_measured; // of them, what the last measuring has seen
    uint64_t unseen;           // the last change of unknown size, as a number of these
    uint64_t measured_us, took_us;
    bool measuring; // in the background
    bool queued;    // for it
    struct disk_tolerance tolerance;
    int64_t recorded;   // what the store has, NEVER: not written yet
    struct entry *next; // in the queue
};

struct disk {
    pthread_mutex_t lock;
    struct map entries;
    struct entry *first, **last; // changed, to be measured: the queue
    bool posted;                 // the loop has been told of it
    bool open;
    atomic_bool closing;
    // On the thread of svc->loop.
    struct svc *svc;
    unsigned walkers; // that measure now
    struct work looker;
    bool looking;
    uv_timer_t look, wait;
    uint64_t look_us; // from one look to the next
    struct db_subscription notices;
    struct loop_message message;
};

struct disk *disk_new(void)
{
    struct disk *disk = mem_zalloc(sizeof *disk);
    disk->last = &disk->first;
    pthread_mutex_init(&disk->lock, NULL);
    return disk;
}

void disk_free(struct disk *disk)
{
    void *entry;
    for (size_t position = 0; map_next(&disk->entries, &position, &entry);)
        free(entry);
    map_dispose(&disk->entries);
    pthread_mutex_destroy(&disk->lock);
    free(disk);
}

// ---- What is known (under the lock) ----

static void forget_resting(struct disk *disk)
{
    uint64_t now = clock_monotonic_us();
    void *value;
    for (size_t position = 0; map_next(&disk->entries, &position, &value);) {
        struct entry *entry = value;
        if (entry->queued || entry->measuring || entry->pending ||
            now - entry->limits_us < LIMITS_KEPT_US)
            continue;
        map_remove(&disk->entries, entry->project_id.text, UUID_LEN);
        free(entry);
    }
}

static struct entry *entry_find(struct disk *disk, const struct uuid *project_id)
{
    return map_get(&disk->entries, project_id->text, UUID_LEN);
}

static struct entry *entry_get(struct disk *disk, const struct uuid *project_id)
{
    struct entry *entry = entry_find(disk, project_id);
    if (entry)
        return entry;
    if (disk->entries.count >= PROJECTS_KNOWN)
        forget_resting(disk);
    entry = mem_zalloc(sizeof *entry);
    entry->project_id = *project_id;
    entry->recorded = NEVER;
    map_set(&disk->entries, entry->project_id.text, UUID_LEN, entry);
    return entry;
}

static uint64_t rest_us(const struct entry *entry)
{
    uint64_t rest = REST_FACTOR * entry->took_us;
    return rest > REST_US_MIN ? rest : REST_US_MIN;
}

// Files without a name end with who holds them, which nobody tells.
static bool is_exact(const struct entry *entry)
{
    return entry->known && !entry->held && entry->changes == entry->changes_measured;
}

static struct limits limits_of(double quota_mb)
{
    return (struct limits){.soft = (int64_t)(quota_mb * MB),
                           .hard = (int64_t)(quota_mb * HARD_PER_SOFT * MB),
                           .quota_mb = quota_mb};
}

static int64_t room_of(const struct entry *entry)
{
    return entry->usage.files > LIMIT_HOME_FILES ? -1 : entry->limits.soft - entry->usage.bytes;
}

static bool is_over(const struct entry *entry)
{
    return entry->known && disk_is_over(&entry->usage, entry->limits.hard);
}

static void on_queue(struct loop_message *message);

// To be measured in the background.
static void enqueue(struct disk *disk, struct entry *entry)
{
    if (!disk->open || entry->queued || entry->measuring)
        return;
    entry->queued = true;
    entry->next = NULL;
    *disk->last = entry;
    disk->last = &entry->next;
    if (disk->posted)
        return;
    disk->posted = true;
    loop_post(disk->svc->loop, &disk->message, on_queue);
}

static void add(struct disk *disk, struct entry *entry, int64_t bytes)
{
    entry->usage.bytes += bytes;
    entry->added += bytes;
    entry->changes++;
    enqueue(disk, entry);
}

// ---- Measuring ----

struct measuring {
    struct uuid project_id;
    uint64_t changes; // when it began
    uint64_t starts;
    int64_t added, pending;
    struct disk_usage usage;
    int64_t held;
    enum disk_walk_end end;
    uint64_t took_us;
    int rc; // a negative errno
};

static struct measuring measuring_begin(const struct entry *entry)
{
    return (struct measuring){.project_id = entry->project_id,
                              .changes = entry->changes,
                              .starts = entry->starts,
                              .added = entry->added,
                              .pending = entry->pending};
}

static void measuring_run(struct measuring *m, uint64_t time_us, atomic_bool *stop)
{
    char home[PROJECT_HOME_SIZE];
    uint64_t start = clock_monotonic_us();
    project_home(&m->project_id, home);
    struct disk_walk walk = {.folder = home,
                             .deadline_us = time_us ? start + time_us : 0,
                             .stop = stop,
                             .names_max = LIMIT_HOME_NAMES};
    m->rc = disk_walk(&walk, &m->usage, &m->end);
    if (!m->rc && m->end == DISK_WALK_WHOLE)
        disk_held(&m->project_id, &walk, &m->held, &m->end);
    if (m->rc == -ENOENT)
        m->rc = 0; // nobody has needed one yet: nothing in use
    m->took_us = clock_monotonic_us() - start;
}

// Under the lock. What was being written meanwhile is counted even if it was seen: settling it has
// the home measured again. What was not seen to its end is at least as much as was known before.
static void learn(struct entry *entry, const struct measuring *m)
{
    struct disk_usage usage = m->usage;
    if (m->end != DISK_WALK_STOPPED || m->took_us > entry->took_us)
        entry->took_us = m->took_us;
    entry->measured_us = clock_monotonic_us();
    if (m->rc)
        return;
    int64_t held = m->starts == entry->starts ? m->held : 0;
    usage.bytes += held + entry->added - m->added + m->pending;
    if (m->end == DISK_WALK_TOO_MANY)
        usage.files = LIMIT_HOME_NAMES;
    if (m->end != DISK_WALK_STOPPED)
        entry->changes_measured = m->changes;
    else if (entry->known && entry->usage.bytes > usage.bytes)
        return;
    entry->usage = usage;
    entry->held = held;
    entry->known = true;
}

// ---- The quota ----

static int read_limits(struct svc *svc, struct db_session *session, const struct uuid *project_id,
                       struct limits *ret_limits, struct err *err)
{
    struct quota quota;
    int rc = project_quota_get(session, &svc->site.quotas, project_id, &quota, err);
    if (!rc)
        *ret_limits = limits_of(quota.disk_mb);
    return rc;
}

// `session` may be NULL; then one is opened if it is needed.
static int refresh_limits(struct svc *svc, struct db_session *session,
                          const struct uuid *project_id, struct err *err)
{
    struct disk *disk = svc->disk;
    uint64_t now = clock_monotonic_us();
    pthread_mutex_lock(&disk->lock);
    struct entry *entry = entry_find(disk, project_id);
    bool kept = entry && entry->limits_us && now - entry->limits_us < LIMITS_KEPT_US;
    pthread_mutex_unlock(&disk->lock);
    if (kept)
        return 0;
    auto_session struct db_session *own = NULL;
    struct limits limits;
    int rc = session ? 0 : db_session_open(svc->db, &own, err);
    if (!rc)
        rc = read_limits(svc, session ? session : own, project_id, &limits, err);
    if (rc)
        return rc;
    pthread_mutex_lock(&disk->lock);
    entry = entry_get(disk, project_id);
    entry->limits = limits;
    entry->limits_us = now;
    pthread_mutex_unlock(&disk->lock);
    return 0;
}

// ---- Asking ----

// Measures if what is known is not exact and has had its rest, `factor` times what measuring takes.
// What takes long is done in the background.
static void measure_if_old(struct disk *disk, const struct uuid *project_id, unsigned factor)
{
    pthread_mutex_lock(&disk->lock);
    struct entry *entry = entry_get(disk, project_id);
    bool rested = clock_monotonic_us() - entry->measured_us >= factor * entry->took_us;
    bool now = !entry->known || (!is_exact(entry) && rested && entry->took_us < INLINE_US);
    struct measuring m = measuring_begin(entry);
    pthread_mutex_unlock(&disk->lock);
    if (!now)
        return;
    measuring_run(&m, INLINE_US, &disk->closing);
    pthread_mutex_lock(&disk->lock);
    entry = entry_get(disk, project_id);
    learn(entry, &m);
    if (!is_exact(entry))
        enqueue(disk, entry);
    pthread_mutex_unlock(&disk->lock);
}

int disk_refuse(const struct uuid *project_id, struct err *err)
{
    return err_set_errno(err, ERR_NO_SPACE, EDQUOT, "The disk quota of project %s is exceeded.",
                         project_id->text);
}

// Takes what is free if that is enough.
static bool take(struct disk *disk, const struct uuid *project_id, int64_t bytes, int64_t *ret_room)
{
    pthread_mutex_lock(&disk->lock);
    struct entry *entry = entry_get(disk, project_id);
    *ret_room = room_of(entry);
    bool fits = bytes <= *ret_room;
    if (fits && bytes) {
        add(disk, entry, bytes);
        entry->pending += bytes;
    }
    pthread_mutex_unlock(&disk->lock);
    return fits;
}

// Whether there is so much room, and all that was written is counted, that nobody needs to look.
static bool has_plenty(struct disk *disk, const struct uuid *project_id, int64_t bytes)
{
    pthread_mutex_lock(&disk->lock);
    const struct entry *entry = entry_get(disk, project_id);
    int64_t left = room_of(entry) - bytes;
    bool counted = entry->known && entry->unseen <= entry->changes_measured;
    bool plenty = counted && left > entry->limits.soft / PLENTY;
    pthread_mutex_unlock(&disk->lock);
    return plenty;
}

int disk_room(struct svc *svc, struct db_session *session, const struct uuid *project_id,
              int64_t *ret_room, struct err *err)
{
    int rc = refresh_limits(svc, session, project_id, err);
    if (rc)
        return rc;
    measure_if_old(svc->disk, project_id, REST_FACTOR);
    if (!take(svc->disk, project_id, 0, ret_room)) {
        measure_if_old(svc->disk, project_id, 1);
        take(svc->disk, project_id, 0, ret_room);
    }
    return 0;
}

uint64_t disk_files_room(struct svc *svc, const struct uuid *project_id)
{
    pthread_mutex_lock(&svc->disk->lock);
    const struct entry *entry = entry_find(svc->disk, project_id);
    const uint64_t files = entry ? entry->usage.files : 0;
    pthread_mutex_unlock(&svc->disk->lock);
    return files < LIMIT_HOME_FILES ? LIMIT_HOME_FILES - files : 0;
}

// Nothing is refused by a measurement that could be newer.
int disk_reserve(struct svc *svc, const struct uuid *project_id, int64_t bytes, struct err *err)
{
    struct disk *disk = svc->disk;
    int64_t room;
    int rc = refresh_limits(svc, NULL, project_id, err);
    if (rc)
        return rc;
    if (!has_plenty(disk, project_id, bytes))
        measure_if_old(disk, project_id, REST_FACTOR);
    if (take(disk, project_id, bytes, &room))
        return 0;
    measure_if_old(disk, project_id, 1);
    return take(disk, project_id, bytes, &room) ? 0 : disk_refuse(project_id, err);
}

void disk_settle(struct svc *svc, const struct uuid *project_id, int64_t bytes, bool written)
{
    struct disk *disk = svc->disk;
    pthread_mutex_lock(&disk->lock);
    struct entry *entry = entry_get(disk, project_id);
    entry->pending -= bytes;
    add(disk, entry, written ? 0 : -bytes);
    pthread_mutex_unlock(&disk->lock);
}

void disk_wrote(struct svc *svc, const struct uuid *project_id, int64_t bytes)
{
    struct disk *disk = svc->disk;
    pthread_mutex_lock(&disk->lock);
    add(disk, entry_get(disk, project_id), bytes);
    pthread_mutex_unlock(&disk->lock);
}

void disk_changed(struct svc *svc, const struct uuid *project_id)
{
    struct disk *disk = svc->disk;
    pthread_mutex_lock(&disk->lock);
    struct entry *entry = entry_get(disk, project_id);
    add(disk, entry, 0);
    entry->unseen = entry->changes;
    pthread_mutex_unlock(&disk->lock);
}

bool disk_file_size_max(struct svc *svc, const struct uuid *project_id, uint64_t *ret_size)
{
    struct disk *disk = svc->disk;
    pthread_mutex_lock(&disk->lock);
    const struct entry *entry = entry_find(disk, project_id);
    bool known = entry && entry->limits_us;
    if (known) {
        // A file that is there can be written again: its size is part of what is in use.
        int64_t size = entry->limits.hard - entry->usage.bytes + entry->usage.largest;
        size = is_over(entry) ? 0 : size < entry->limits.hard ? size : entry->limits.hard;
        *ret_size = size > 0 ? (uint64_t)size : 0;
    }
    pthread_mutex_unlock(&disk->lock);
    return known;
}

int disk_learn(struct svc *svc, const struct uuid *project_id, struct err *err)
{
    int64_t room;
    return disk_room(svc, NULL, project_id, &room, err);
}

int64_t disk_used(struct svc *svc, const struct uuid *project_id)
{
    pthread_mutex_lock(&svc->disk->lock);
    const struct entry *entry = entry_find(svc->disk, project_id);
    int64_t bytes = entry && entry->known ? entry->usage.bytes : -1;
    pthread_mutex_unlock(&svc->disk->lock);
    return bytes;
}

int disk_starting(struct svc *svc, struct db_session *session, const struct uuid *project_id,
                  struct err *err)
{
    struct disk *disk = svc->disk;
    int64_t room;
    pthread_mutex_lock(&disk->lock);
    struct entry *entry = entry_get(disk, project_id);
    entry->limits_us = 0; // a start may change the quota
    entry->usage.bytes -= entry->held;
    entry->held = 0;
    entry->starts++;
    entry->started_us = clock_monotonic_us();
    pthread_mutex_unlock(&disk->lock);
    int rc = disk_room(svc, session, project_id, &room, err);
    if (rc)
        return rc;
    pthread_mutex_lock(&disk->lock);
    entry = entry_get(disk, project_id);
    disk_tolerance_start(&entry->tolerance, &entry->usage, entry->limits.hard);
    pthread_mutex_unlock(&disk->lock);
    return 0;
}

// ---- Enforcing, on the thread of svc->loop ----

struct reason {
    struct uuid project_id;
    char text[120];
};

struct stop {
    struct project_call call;
    struct disk *disk;
    struct reason reason;
};

// Unless somebody has started it again.
static int write_reason(struct db_session *txn, void *arg, struct err *err)
{
    static const struct db_stmt update = {
        "UPDATE projects SET state_error = $2 WHERE project_id = $1 AND state = 'opened'"};
    const struct reason *reason = arg;
    db_notify_row(txn, DB_TOPIC_PROJECTS, reason->project_id.text);
    return db_exec(txn, &update, DB_ARGS(DB_TEXT(reason->project_id.text), DB_TEXT(reason->text)),
                   NULL, err);
}

// It was to be stopped and was not: the next look finds that it has to be, again.
static void forget_tolerance(struct disk *disk, const struct uuid *project_id)
{
    pthread_mutex_lock(&disk->lock);
    struct entry *entry = entry_find(disk, project_id);
    if (entry)
        entry->tolerance = (struct disk_tolerance){0};
    pthread_mutex_unlock(&disk->lock);
}

static void on_stopped(struct project_call *call)
{
    struct stop *stop = CONTAINER(call, struct stop, call);
    const struct uuid *project_id = &stop->reason.project_id;
    const bool closing = atomic_load(&stop->disk->closing);
    if (call->rc) {
        log_err(LOG_WARNING, "disk_stop_failed", &call->err);
        forget_tolerance(stop->disk, project_id);
    } else if (!closing) {
        svc_write_later(stop->disk->svc, write_reason, &stop->reason, sizeof stop->reason);
    }
    if (!closing)
        disk_changed(stop->disk->svc, project_id); // it holds no files any more
    free(stop);
}

static void stop_project(struct disk *disk, const struct entry *entry)
{
    struct stop *stop = mem_zalloc(sizeof *stop);
    struct reason *reason = &stop->reason;
    reason->project_id = entry->project_id;
    if (entry->usage.bytes > entry->limits.hard)
        snprintf(reason->text, sizeof reason->text, "disk quota exceeded: %.1f MB of %g MB",
                 (double)entry->usage.bytes / MB, entry->limits.quota_mb);
    else
        snprintf(
            reason->text, sizeof reason->text,
            "disk quota exceeded: more than %d files, too many folders in folders, or far too many"
            " open files",
            LIMIT_HOME_FILES);
    log_event(LOG_INFO, "disk_quota_exceeded", LOG_TEXT("project", entry->project_id.text),
              LOG_TEXT("error", reason->text));
    stop->disk = disk;
    stop->call.project_id = entry->project_id;
    stop->call.loop = disk->svc->loop;
    stop->call.done = on_stopped;
    stop->call.reason = reason->text;
    projects_stop(disk->svc->projects, &stop->call);
}

static int read_active(struct db_session *session, const struct uuid *project_id, bool *ret_active,
                       struct err *err)
{
    static const struct db_stmt find = {
        "SELECT 1 FROM projects WHERE project_id = $1 AND state <> 'opened'"};
    int64_t active = 0;
    int rc = db_query_int(session, &find, DB_ARGS(DB_TEXT(project_id->text)), &active, err);
    *ret_active = active;
    return rc;
}

// Under the lock.
static bool has_outgrown(const struct disk *disk, struct entry *entry)
{
    bool is_new = clock_monotonic_us() - entry->started_us < LOOKS_NEW * disk->look_us;
    return entry->known &&
           disk_tolerance_grown(&entry->tolerance, &entry->usage, entry->limits.hard, is_new);
}

struct record {
    struct uuid project_id;
    int64_t bytes;
};

static int write_size(struct db_session *txn, void *arg, struct err *err)
{
    static const struct db_stmt update = {
        "UPDATE projects SET disk_size = $2 WHERE project_id = $1"};
    const struct record *record = arg;
    db_notify_row(txn, DB_TOPIC_PROJECTS, record->project_id.text);
    return db_exec(txn, &update, DB_ARGS(DB_TEXT(record->project_id.text), DB_INT(record->bytes)),
                   NULL, err);
}

// Under the lock.
static bool is_record_off(struct entry *entry)
{
    int64_t off = entry->usage.bytes - entry->recorded;
    bool is_off = entry->known && (entry->recorded == NEVER || llabs(off) > RECORD_BYTES);
    if (is_off)
        entry->recorded = entry->usage.bytes;
    return is_off;
}

// What a measurement leads to.
struct verdict {
    struct entry entry; // as it is then
    bool outgrown, record_off;
};

// On a worker.
static int judge(struct disk *disk, struct db_session *session, const struct uuid *project_id,
                 struct verdict *ret_verdict, struct err *err)
{
    bool active = true;
    int rc = refresh_limits(disk->svc, session, project_id, err);
    if (rc)
        return rc;
    pthread_mutex_lock(&disk->lock);
    struct entry *entry = entry_get(disk, project_id);
    struct verdict verdict = {.outgrown = has_outgrown(disk, entry),
                              .record_off = is_record_off(entry)};
    verdict.entry = *entry;
    pthread_mutex_unlock(&disk->lock);
    if (verdict.outgrown)
        rc = read_active(session, project_id, &active, err);
    if (rc)
        forget_tolerance(disk, project_id);
    verdict.outgrown &= active;
    *ret_verdict = verdict;
    return rc;
}

static void act_on(struct disk *disk, const struct verdict *verdict)
{
    struct record record = {.project_id = verdict->entry.project_id,
                            .bytes = verdict->entry.usage.bytes};
    if (verdict->record_off)
        svc_write_later(disk->svc, write_size, &record, sizeof record);
    if (verdict->outgrown)
        stop_project(disk, &verdict->entry);
}

// ---- Measuring in the background, on the thread of svc->loop ----

struct job {
    struct work work;
    struct disk *disk;
    struct measuring measuring;
    struct verdict verdict;
    int rc; // there is no verdict
    struct err err;
    struct job *next;
};

static void job_run(struct work *work)
{
    struct job *job = CONTAINER(work, struct job, work);
    struct disk *disk = job->disk;
    struct measuring *m = &job->measuring;
    measuring_run(m, 0, &disk->closing);
    if (atomic_load(&disk->closing))
        return;
    pthread_mutex_lock(&disk->lock);
    learn(entry_get(disk, &m->project_id), m);
    pthread_mutex_unlock(&disk->lock);
    struct db_session *session;
    job->rc = sessions_take(&disk->svc->sessions, &session, &job->err);
    if (job->rc)
        return;
    job->rc = judge(disk, session, &m->project_id, &job->verdict, &job->err);
    sessions_give(&disk->svc->sessions, session);
}

static void work_off_queue(struct disk *disk);

static void job_done(struct work *work)
{
    struct job *job = CONTAINER(work, struct job, work);
    struct disk *disk = job->disk;
    const struct measuring *m = &job->measuring;
    disk->walkers--;
    pthread_mutex_lock(&disk->lock);
    struct entry *entry = entry_get(disk, &m->project_id);
    entry->measuring = false;
    if (entry->changes != m->changes)
        enqueue(disk, entry);
    pthread_mutex_unlock(&disk->lock);
    if (m->rc)
        log_event(LOG_WARNING, "disk_measuring_failed", LOG_TEXT("project", m->project_id.text),
                  LOG_TEXT("error", strerror(-m->rc)));
    if (job->rc && job->err.code != ERR_NOT_FOUND) // a deleted one is nobody's
        log_err(LOG_WARNING, "disk_look_failed", &job->err);
    if (!atomic_load(&disk->closing)) {
        act_on(disk, &job->verdict);
        work_off_queue(disk);
    }
    free(job);
}

static struct job *job_new(struct disk *disk, struct entry *entry)
{
    struct job *job = mem_zalloc(sizeof *job);
    job->disk = disk;
    job->measuring = measuring_begin(entry);
    entry->measuring = true;
    disk->walkers++;
    return job;
}

// Under the lock. Takes those whose time has come out of the queue, as many as there are walkers;
// *ret_wait_us is when the next one's comes.
static struct job *take_due(struct disk *disk, uint64_t *ret_wait_us)
{
    struct job *jobs = NULL;
    uint64_t now = clock_monotonic_us();
    *ret_wait_us = UINT64_MAX;
    for (struct entry **link = &disk->first; *link && disk->walkers < WALKERS;) {
        struct entry *entry = *link;
        uint64_t passed = now - entry->measured_us, rest = rest_us(entry);
        if (passed < rest) {
            *ret_wait_us = rest - passed < *ret_wait_us ? rest - passed : *ret_wait_us;
            link = &entry->next;
            continue;
        }
        *link = entry->next;
        if (!*link)
            disk->last = link;
        entry->queued = false;
        struct job *job = job_new(disk, entry);
        job->next = jobs;
        jobs = job;
    }
    return jobs;
}

static void on_wait(uv_timer_t *timer)
{
    work_off_queue(timer->data);
}

static void work_off_queue(struct disk *disk)
{
    uint64_t wait_us;
    pthread_mutex_lock(&disk->lock);
    struct job *jobs = take_due(disk, &wait_us);
    pthread_mutex_unlock(&disk->lock);
    while (jobs) {
        struct job *job = jobs;
        jobs = job->next;
        work_submit(disk->svc->loop, &job->work, job_run, job_done);
    }
    if (wait_us != UINT64_MAX)
        uv_timer_start(&disk->wait, on_wait, wait_us / 1000 + 1, 0);
}

static void on_queue(struct loop_message *message)
{
    struct disk *disk = CONTAINER(message, struct disk, message);
    pthread_mutex_lock(&disk->lock);
    disk->posted = false;
    pthread_mutex_unlock(&disk->lock);
    if (!atomic_load(&disk->closing))
        work_off_queue(disk);
}

// ---- Opening and closing, on the thread of svc->loop ----

// What runs may be writing, whether the hub was asked to or not.
static void look_run(struct work *work)
{
    struct disk *disk = CONTAINER(work, struct disk, looker);
    struct db_session *session;
    auto_free struct uuid *ids = NULL;
    size_t count = 0;
    struct err err;
    int rc = sessions_take(&disk->svc->sessions, &session, &err);
    if (!rc) {
        rc = project_active_ids(session, INT64_MAX, &ids, &count, &err);
        sessions_give(&disk->svc->sessions, session);
    }
    if (rc)
        log_err(LOG_WARNING, "disk_look_failed", &err);
    for (size_t i = 0; i < count && !rc; i++)
        disk_changed(disk->svc, &ids[i]);
}

static void look_done(struct work *work)
{
    CONTAINER(work, struct disk, looker)->looking = false;
}

static void on_look(uv_timer_t *timer)
{
    struct disk *disk = timer->data;
    if (disk->looking)
        return;
    disk->looking = true;
    work_submit(disk->svc->loop, &disk->looker, look_run, look_done);
}

// Another hub may have written to it: what is known is too old once somebody asks.
static void on_notice(struct db_subscription *notices, const char *key)
{
    struct disk *disk = notices->ctx;
    struct uuid project_id;
    if (!key || !uuid_parse(key, strlen(key), &project_id))
        return;
    pthread_mutex_lock(&disk->lock);
    struct entry *entry = entry_find(disk, &project_id);
    if (entry)
        entry->unseen = ++entry->changes;
    pthread_mutex_unlock(&disk->lock);
}

static void watch_others(struct disk *disk)
{
    disk->notices = (struct db_subscription){
        .loop = disk->svc->loop, .topic = DB_TOPIC_PROJECTS, .changed = on_notice, .ctx = disk};
    if (db_is_remote(disk->svc->db)) // else there is no other hub
        db_subscribe(disk->svc->db, &disk->notices);
}

void disk_open(struct svc *svc, unsigned look_s)
{
    struct disk *disk = svc->disk;
    disk->svc = svc;
    disk->look_us = (uint64_t)look_s * 1000000;
    uv_timer_init(&svc->loop->uv, &disk->wait);
    uv_timer_init(&svc->loop->uv, &disk->look);
    disk->wait.data = disk->look.data = disk;
    uv_timer_start(&disk->look, on_look, 0, (uint64_t)look_s * 1000);
    pthread_mutex_lock(&disk->lock);
    disk->open = true;
    pthread_mutex_unlock(&disk->lock);
    watch_others(disk);
}

void disk_close(struct svc *svc)
{
    struct disk *disk = svc->disk;
    atomic_store(&disk->closing, true);
    if (db_is_remote(svc->db))
        db_unsubscribe(svc->db, &disk->notices);
    pthread_mutex_lock(&disk->lock);
    disk->open = false;
    pthread_mutex_unlock(&disk->lock);
    uv_timer_stop(&disk->wait);
    uv_timer_stop(&disk->look);
    while (disk->walkers || disk->looking)
        uv_run(&svc->loop->uv, UV_RUN_ONCE);
}
