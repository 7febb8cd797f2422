// SPDX-License-Identifier: AGPL-3.0-or-later
// The thread of the copies: who is to run, who waits for an end, what is due when.
#include "svc/copies.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/js_date.h"
#include "base/log.h"
#include "base/mem.h"
#include "svc/copies_internal.h"

// How often is looked for what other hubs have left and for what is old, and the leases renewed.
#define TEND_MS        20000
#define CLAIM_AGAIN_MS 1000
#define LEASES_MS      5000 // how often is looked for leases that are about to end

static void pump(struct copies *copies);

// ---- The end of the thread ----

static void stop_if_done(struct copies *copies)
{
    if (copies->ended && !copies->busy && !copies->running)
        loop_stop(&copies->loop);
}

void copies_not_busy(struct copies *copies)
{
    copies->busy--;
    stop_if_done(copies);
}

// ---- Answers ----

static void on_answer(struct loop_message *message)
{
    struct copy_request *request = CONTAINER(message, struct copy_request, message);
    request->done(request);
}

static void answer(struct copy_request *request, const struct err *err)
{
    request->rc = err ? -(int)err->code : 0;
    if (err)
        request->err = *err;
    loop_post(request->loop, &request->message, on_answer);
}

static void answer_shut(struct copy_request *request)
{
    struct err err;
    err_set(&err, ERR_UNAVAILABLE, ERR_CLOSING_TEXT);
    answer(request, &err);
}

static struct copy_request *take_waiting(struct copies *copies, const struct uuid *id)
{
    return map_remove(&copies->waiting, id->text, UUID_LEN);
}

// ---- Slots: one is always left to others than who has all the rest ----

static bool is_full(const struct copies *copies, const struct uuid *account_id)
{
    const unsigned max = copies->at_once > 1 ? copies->at_once - 1 : 1;
    unsigned count = 0;
    for (unsigned i = 0; i < copies->accounts_count; i++)
        count += uuid_equal(&copies->accounts[i], account_id);
    return count >= max;
}

// Whose copies are not to be begun now. While there is a free slot, that is one account at most.
static struct uuid find_full(const struct copies *copies)
{
    for (unsigned i = 0; i < copies->accounts_count; i++)
        if (is_full(copies, &copies->accounts[i]))
            return copies->accounts[i];
    return (struct uuid){0};
}

static void note_account(struct copies *copies, const struct uuid *account_id)
{
    copies->accounts[copies->accounts_count++] = *account_id;
}

// True when the account may begin copies again that it could not begin before.
static bool forget_account(struct copies *copies, const struct uuid *account_id)
{
    const bool was_full = is_full(copies, account_id);
    unsigned i = 0;
    while (!uuid_equal(&copies->accounts[i], account_id))
        i++;
    copies->accounts[i] = copies->accounts[--copies->accounts_count];
    return was_full;
}

void copy_ended(struct copies *copies, const struct uuid *id, const struct err *err)
{
    struct copy_request *request = take_waiting(copies, id);
    if (request)
        answer(request, err);
}

// Which hub runs what somebody waits for here.
static void note_place(struct copies *copies, const struct uuid *id, bool here)
{
    struct copy_request *request = map_get(&copies->waiting, id->text, UUID_LEN);
    if (request)
        request->here = here;
}

void copy_run_ended(struct copies *copies, const struct copy_row *row, bool released,
                    const struct err *err)
{
    if (released)
        note_place(copies, &row->id, false);
    else
        copy_ended(copies, &row->id, err);
    const bool was_full = forget_account(copies, &row->account_id);
    if (released || was_full) {
        copies->backlog = true;
        copies->inserted++;
    }
    copies->running--;
    pump(copies);
    stop_if_done(copies);
}

// ---- Who is next ----

static int write_claim(struct db_session *txn, void *arg, struct err *err)
{
    return copy_row_claim(txn, arg, err);
}

static void claim_refused(struct copies *copies)
{
    copy_ended(copies, &copies->claim.row.id, &copies->claim.refusal);
    copy_row_dispose(&copies->claim.row);
    copies->running--;
}

static void on_timer(uv_timer_t *timer);

static void on_claimed(struct db_write *write)
{
    struct copies *copies = CONTAINER(write, struct copies, claim_write);
    struct copy_claim *claim = &copies->claim;
    copies->claiming = false;
    if (write->rc) {
        log_err(LOG_WARNING, "copy_not_begun", &write->err);
        copy_row_dispose(&claim->row);
        copies->running--;
        copies->tend_at_ms = clock_now_ms() + CLAIM_AGAIN_MS;
        uv_timer_start(&copies->timer, on_timer, CLAIM_AGAIN_MS, 0);
        copies_not_busy(copies);
        return;
    }
    claim->after = claim->row.account_id;
    if (claim->result == CLAIM_TAKEN) {
        note_account(copies, &claim->row.account_id);
        note_place(copies, &claim->row.id, true);
        copy_run_start(copies, &claim->row);
    } else if (claim->result == CLAIM_REFUSED) {
        claim_refused(copies);
    } else {
        copy_row_dispose(&claim->row);
        copies->running--;
        copies->backlog = copies->inserted != copies->claimed_at;
    }
    pump(copies);
    copies_not_busy(copies);
}

// Claims one row after the other as long as there are slots.
static void pump(struct copies *copies)
{
    if (copies->closing || copies->claiming || !copies->backlog ||
        copies->running >= copies->at_once)
        return;
    copies->claiming = true;
    copies->claimed_at = copies->inserted;
    copies->running++;
    copies->busy++;
    copies->claim.hub = copies->hub;
    copies->claim.full = find_full(copies);
    copies->claim_write = (struct db_write){
        .loop = &copies->loop, .fn = write_claim, .arg = &copies->claim, .done = on_claimed};
    db_write_async(copies->svc->db, &copies->claim_write);
}

// ---- What is due ----

static int write_tending(struct db_session *txn, void *arg, struct err *err)
{
    return copy_rows_tend(txn, arg, err);
}

static void set_timer(struct copies *copies, int64_t at_ms)
{
    const int64_t now = clock_now_ms(), wait = at_ms > now ? at_ms - now : 0;
    copies->tend_at_ms = at_ms;
    if (!copies->closing)
        uv_timer_start(&copies->timer, on_timer, (uint64_t)(wait < TEND_MS ? wait : TEND_MS), 0);
}

static void on_tended(struct db_write *write)
{
    struct copies *copies = CONTAINER(write, struct copies, tend_write);
    const struct copy_tending *tend = &copies->tend;
    int64_t next = clock_now_ms() + TEND_MS;
    copies->tending = false;
    if (write->rc) {
        log_err(LOG_WARNING, "copies_not_tended", &write->err);
    } else {
        next = tend->more ? 0 : tend->next_ms < next ? tend->next_ms : next;
        copy_runs_check(copies, tend);
    }
    copies->backlog = true;
    copies->inserted++;
    set_timer(copies, next < copies->tend_at_ms ? next : copies->tend_at_ms);
    copies_look_at_all(copies);
    pump(copies);
    copies_not_busy(copies);
}

// A database that does not answer here may answer other hubs.
static void on_leases(uv_timer_t *timer)
{
    copy_runs_end_late(CONTAINER(timer, struct copies, leases));
}

static void on_timer(uv_timer_t *timer)
{
    struct copies *copies = CONTAINER(timer, struct copies, timer);
    if (copies->closing || copies->tending)
        return;
    copies->tending = true;
    copies->tend_at_ms = INT64_MAX;
    copies->busy++;
    copies->tend.seat = copies->seat;
    copies->tend.hub = copies->hub;
    copy_runs_mark(copies);
    copies->tend_write = (struct db_write){
        .loop = &copies->loop, .fn = write_tending, .arg = &copies->tend, .done = on_tended};
    db_write_async(copies->svc->db, &copies->tend_write);
}

// ---- New ones ----

static void start_direct(struct copies *copies, const struct copy_request *request)
{
    const char *target = request->target_path && request->target_path[0] ? request->target_path
                                                                         : request->source_path;
    struct copy_row row = {
        .id = request->copy_id,
        .account_id = request->account_id,
        .source_project_id = request->source_project_id,
        .target_project_id = request->target_project_id,
        .source_path = mem_strdup(request->source_path),
        .target_path = mem_strdup(target),
        .flags = request->flags,
        .exclude = request->exclude ? mem_strdup(request->exclude) : NULL,
        .timeout_s = request->timeout_s,
        .bandwidth = request->bandwidth,
        .public = request->public,
        .attempts = 1,
        .until_ms = request->time_ms + COPY_LEASE_MS,
    };
    if (!copies->claiming) // it has had its turn
        copies->claim.after = request->account_id;
    copy_run_start(copies, &row);
}

static void take_in(struct copies *copies, struct copy_request *request)
{
    request->here = request->direct;
    request->changed = false;
    if (request->direct) {
        start_direct(copies, request);
    } else if (!request->scheduled) {
        copies->backlog = true;
        copies->inserted++;
    } else if (request->scheduled_ms < copies->tend_at_ms) {
        set_timer(copies, request->scheduled_ms);
    }
    if (!request->wait)
        answer(request, NULL);
    else if (copies->closing && !request->direct)
        answer_shut(request);
    else
        map_set(&copies->waiting, request->copy_id.text, UUID_LEN, request);
    pump(copies);
}

static void on_inserted(struct db_write *write)
{
    struct copy_request *request = write->arg;
    struct copies *copies = request->copies;
    if (!write->rc) {
        take_in(copies, request);
    } else {
        if (request->direct) {
            copies->running--;
            forget_account(copies, &request->account_id);
            copies->backlog = true;
            copies->inserted++;
        }
        answer(request, &write->err);
        pump(copies);
    }
    copies_not_busy(copies);
}

static int write_request(struct db_session *txn, void *arg, struct err *err)
{
    const struct copy_request *request = arg;
    return copy_row_insert(txn, request, request->copies->hub, err);
}

static void on_request(struct loop_message *message)
{
    struct copy_request *request = CONTAINER(message, struct copy_request, message);
    struct copies *copies = request->copies;
    if (copies->closing) {
        answer_shut(request);
        return;
    }
    // No two have the same time, which is their order.
    const int64_t now = clock_now_ms();
    request->time_ms = copies->last_time_ms =
        now > copies->last_time_ms ? now : copies->last_time_ms + 1;
    request->direct = !request->scheduled && !copies->backlog && !copies->claiming &&
                      copies->running < copies->at_once && !is_full(copies, &request->account_id);
    if (request->direct) {
        copies->running++;
        note_account(copies, &request->account_id);
    }
    copies->busy++;
    request->write = (struct db_write){
        .loop = &copies->loop, .fn = write_request, .arg = request, .done = on_inserted};
    db_write_async(copies->svc->db, &request->write);
}

static int check_paths(const struct copy_request *r, struct err *err)
{
    const bool own = r->target_path && r->target_path[0];
    auto_buf struct buf source = {0}, target = {0};
    int rc = copy_path_resolve(COPY_SOURCE, &r->source_project_id, r->source_path, &source, err);
    return rc ? rc
              : copy_path_resolve(COPY_TARGET, &r->target_project_id,
                                  own ? r->target_path : r->source_path, &target, err);
}

static bool read_time(const cJSON *when, int64_t *ret_time_ms)
{
    if (cJSON_IsString(when))
        return js_date_parse(when->valuestring, ret_time_ms);
    if (!cJSON_IsNumber(when) || !(when->valuedouble >= 0 && when->valuedouble <= JS_DATE_MS_MAX))
        return false;
    *ret_time_ms = (int64_t)when->valuedouble;
    return true;
}

int copy_schedule(struct copy_request *request, const cJSON *when, struct err *err)
{
    auto_buf struct buf text = {0};
    request->scheduled = true;
    request->wait = false;
    if (read_time(when, &request->scheduled_ms))
        return 0;
    if (cJSON_IsString(when))
        buf_append_str(&text, when->valuestring);
    else
        json_value(&text, when);
    return err_set(err, ERR_INVALID, "scheduled='%.200s' is not a date", buf_cstr(&text));
}

void copy_submit(struct svc *svc, struct copy_request *request)
{
    request->copies = svc->copies;
    request->copy_id = uuid_new();
    request->rc = check_paths(request, &request->err);
    if (request->rc)
        request->done(request);
    else
        loop_post(&svc->copies->loop, &request->message, on_request);
}

// ---- The thread ----

static void *run_thread(void *data)
{
    struct copies *copies = data;
    pthread_setname_np(pthread_self(), "copies");
    copies_watch(copies);
    on_timer(&copies->timer);
    if (db_is_remote(copies->svc->db)) // else there is no other hub
        uv_timer_start(&copies->leases, on_leases, LEASES_MS, LEASES_MS);
    loop_run(&copies->loop);
    loop_dispose(&copies->loop);
    return NULL;
}

// Of the hub that had this seat before, and is gone, the same.
static void name_seat(unsigned seat, char out[COPY_SEAT_SIZE])
{
    char host[65] = "";
    struct stat folder = {0};
    (void)gethostname(host, sizeof host - 1);
    (void)stat(".", &folder);
    snprintf(out, COPY_SEAT_SIZE, "%s:%llx:%llx:%u:", host, (unsigned long long)folder.st_dev,
             (unsigned long long)folder.st_ino, seat);
}

int copies_open(struct svc *svc, unsigned at_once, struct err *err)
{
    auto_free struct copies *copies = mem_zalloc(sizeof *copies);
    copies->svc = svc;
    copies->at_once = at_once;
    auto_free struct uuid *accounts = copies->accounts = mem_zalloc(at_once * sizeof *accounts);
    TAILQ_INIT(&copies->runs);
    name_seat(svc->seat, copies->seat);
    snprintf(copies->hub, sizeof copies->hub, "%s%s", copies->seat, uuid_new().text);
    int rc = loop_init(&copies->loop, err);
    if (rc)
        return rc;
    uv_timer_init(&copies->loop.uv, &copies->timer);
    uv_timer_init(&copies->loop.uv, &copies->leases);
    rc = pthread_create(&copies->thread, NULL, run_thread, copies);
    if (rc) {
        loop_dispose(&copies->loop);
        return err_internal(err, "pthread_create: %s", strerror(rc));
    }
    accounts = NULL;
    svc->copies = TAKE_PTR(copies);
    return 0;
}

static void on_shut(struct loop_message *message)
{
    struct copies *copies = CONTAINER(message, struct copies, shut_message);
    size_t position = 0;
    copies->closing = true;
    uv_timer_stop(&copies->timer);
    uv_timer_stop(&copies->leases);
    for (void *value; map_next(&copies->waiting, &position, &value);) {
        struct copy_request *request = value;
        take_waiting(copies, &request->copy_id);
        answer_shut(request);
    }
}

void copies_shut(struct svc *svc)
{
    loop_post(&svc->copies->loop, &svc->copies->shut_message, on_shut);
}

static void on_close(struct loop_message *message)
{
    struct copies *copies = CONTAINER(message, struct copies, close_message);
    copies->ended = true;
    copies_unwatch(copies);
    stop_if_done(copies);
}

void copies_close(struct svc *svc)
{
    struct copies *copies = TAKE_PTR(svc->copies);
    loop_post(&copies->loop, &copies->close_message, on_close);
    pthread_join(copies->thread, NULL);
    map_dispose(&copies->waiting);
    free(copies->accounts);
    free(copies->tend.own);
    free(copies);
}
