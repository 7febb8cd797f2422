// SPDX-License-Identifier: AGPL-3.0-or-later
// Joining equal requests (api-v1 4.7). Requests that differ in nothing but their stamp form a
// group: one leads and runs, those with a stamp that is not greater share its result, the others
// wait for the next run. A result is kept for a minute.
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/text.h"
#include "svc/exec.h"

#define KEEP_US  (60 * UINT64_C(1000000))
#define SWEEP_US (5 * UINT64_C(1000000)) // old results are looked for this often

struct aggregate {
    struct buf key;
    struct exec_stamp stamp; // of the run under way or the last one
    bool has_run;
    struct exec_request *leader;  // NULL when none runs
    struct exec_request *sharing; // with the run under way
    struct exec_request *waiting; // for the next
    struct exec_result *result;   // of the last run, NULL if there is none or it is too old
    int rc;
    struct err err;
    uint64_t finished_us;
    size_t kept_bytes; // counted in the aggregator's, since the last run
};

struct aggregator {
    pthread_mutex_t lock;
    struct map groups;
    size_t kept_bytes;
    uint64_t swept_us;
};

struct aggregator *aggregator_new(void)
{
    struct aggregator *a = mem_zalloc(sizeof *a);
    pthread_mutex_init(&a->lock, NULL);
    return a;
}

// What a group takes that is kept, whether it has a result or not.
static size_t group_size(const struct aggregate *group)
{
    const struct exec_result *result = group->result;
    size_t size = sizeof *group + group->key.capacity;
    return result ? size + result->error.size + result->output.size + result->error_output.size
                  : size;
}

static void keep(struct aggregator *a, struct aggregate *group)
{
    group->kept_bytes = group_size(group);
    a->kept_bytes += group->kept_bytes;
}

static void forget_result(struct aggregator *a, struct aggregate *group)
{
    a->kept_bytes -= group->kept_bytes;
    group->kept_bytes = 0;
    exec_result_unref(group->result);
    group->result = NULL;
}

static void group_free(struct aggregator *a, struct aggregate *group)
{
    forget_result(a, group);
    buf_dispose(&group->key);
    free(group);
}

void aggregator_free(struct aggregator *a)
{
    void *group;
    for (size_t position = 0; map_next(&a->groups, &position, &group);)
        group_free(a, group);
    map_dispose(&a->groups);
    pthread_mutex_destroy(&a->lock);
    free(a);
}

// ---- Stamps ----

static void take_text(const char *text, struct exec_stamp *stamp)
{
    stamp->kind = EXEC_STAMP_TEXT;
    memcpy(stamp->text, text, strlen(text) + 1);
    if (!text_parse_double(text, &stamp->number))
        stamp->number = NAN;
}

static void take_value(const cJSON *value, struct exec_stamp *stamp)
{
    auto_buf struct buf text = {0};
    stamp->kind = EXEC_STAMP_VALUE;
    if (value)
        json_value_sorted(&text, value);
    memcpy(stamp->text, buf_cstr(&text), text.size + 1);
}

// What is compared is made once: many may wait, and all loops for whoever compares.
static int stamp_read(const cJSON *value, struct exec_stamp *ret_stamp, struct err *err)
{
    auto_buf struct buf json = {0};
    json_value(&json, value);
    if (json.size > LIMIT_AGGREGATE)
        return err_set(err, ERR_INVALID, "aggregate must have at most %d bytes of JSON",
                       LIMIT_AGGREGATE);
    *ret_stamp = (struct exec_stamp){.number = NAN};
    if (cJSON_IsNumber(value))
        ret_stamp->number = value->valuedouble;
    else if (cJSON_IsString(value))
        take_text(value->valuestring, ret_stamp);
    else if (cJSON_IsObject(value))
        take_value(json_get(value, "value"), ret_stamp);
    return 0;
}

// Numbers by size, texts by their characters; objects are not greater only when their `value` is
// equal.
static bool stamp_at_most(const struct exec_stamp *a, const struct exec_stamp *b)
{
    if (a->kind == EXEC_STAMP_VALUE || b->kind == EXEC_STAMP_VALUE)
        return a->kind == b->kind && a->text[0] && !strcmp(a->text, b->text);
    if (a->kind == EXEC_STAMP_TEXT && b->kind == EXEC_STAMP_TEXT)
        return strcmp(a->text, b->text) <= 0;
    return a->number <= b->number;
}

// ---- Groups ----

static void write_key(const struct exec_request *r, struct buf *key)
{
    json_begin_array(key);
    json_str(key, r->project_id.text);
    json_str(key, r->path);
    json_str(key, r->command);
    json_double(key, r->timeout_s);
    json_double(key, r->max_output);
    json_bool(key, r->bash);
    json_bool(key, r->err_on_exit);
    json_bool(key, r->no_cpu_limit);
    json_int(key, r->words);
    json_int(key, (int64_t)r->args_count);
    for (size_t i = 0; i < r->args_count; i++)
        json_str(key, r->args[i]);
    for (size_t i = 0; i < r->env_count; i++)
        json_str(key, r->env[i]);
    json_end_array(key);
}

// Takes the key of a new group.
static struct aggregate *group_get(struct aggregator *a, struct buf *key)
{
    struct aggregate *group = map_get(&a->groups, key->data, key->size);
    if (group)
        return group;
    group = mem_zalloc(sizeof *group);
    group->key = *key;
    *key = (struct buf){0};
    map_set(&a->groups, group->key.data, group->key.size, group);
    return group;
}

static void drop_old(struct aggregator *a)
{
    uint64_t now = clock_monotonic_us();
    void *entry;
    if (now - a->swept_us < SWEEP_US && a->kept_bytes <= LIMIT_AGGREGATE_KEPT)
        return;
    a->swept_us = now;
    for (size_t position = 0; map_next(&a->groups, &position, &entry);) {
        struct aggregate *group = entry;
        bool old = now - group->finished_us > KEEP_US || a->kept_bytes > LIMIT_AGGREGATE_KEPT;
        if (!group->leader && old) {
            map_remove(&a->groups, group->key.data, group->key.size);
            group_free(a, group);
        }
    }
}

static void lead(struct aggregate *group, struct exec_request *r)
{
    group->leader = r;
    r->group = group;
    group->stamp = r->stamp;
    group->has_run = true;
}

static void push(struct exec_request **list, struct exec_request *r)
{
    r->next = *list;
    *list = r;
}

// ---- Handing out ----

static void take_outcome(const struct aggregate *group, struct exec_request *r)
{
    r->rc = group->rc;
    r->err = group->err;
    r->result = group->result;
    if (r->result)
        atomic_fetch_add(&r->result->refs, 1);
}

static void on_handed(struct loop_message *message)
{
    struct exec_request *r = CONTAINER(message, struct exec_request, message);
    r->done(r);
}

static void hand_out(struct exec_request *list)
{
    for (struct exec_request *r = list, *next; r; r = next) {
        next = r->next;
        loop_post(r->loop, &r->message, on_handed);
    }
}

enum decision { RUN, SHARE_DONE, LATER };

static enum decision decide(struct aggregator *a, struct exec_request *r, struct buf *key)
{
    struct aggregate *group = group_get(a, key);
    if (group->leader) {
        push(stamp_at_most(&r->stamp, &group->stamp) ? &group->sharing : &group->waiting, r);
        return LATER;
    }
    bool fresh = group->has_run && clock_monotonic_us() - group->finished_us < KEEP_US;
    if (fresh && stamp_at_most(&r->stamp, &group->stamp)) {
        take_outcome(group, r);
        return SHARE_DONE;
    }
    lead(group, r);
    return RUN;
}

void aggregator_submit(struct aggregator *a, struct exec_request *r)
{
    auto_buf struct buf key = {0};
    r->rc = stamp_read(r->aggregate, &r->stamp, &r->err);
    if (r->rc) {
        r->done(r);
        return;
    }
    write_key(r, &key);
    pthread_mutex_lock(&a->lock);
    enum decision decision = decide(a, r, &key);
    pthread_mutex_unlock(&a->lock);
    if (decision == RUN)
        exec_run_alone(r->svc, r);
    else if (decision == SHARE_DONE)
        r->done(r);
}

// The waiting request that no other's stamp is greater than becomes the leader; whose stamp is not
// greater shares with it.
static struct exec_request *next_leader(struct aggregate *group)
{
    struct exec_request *best = group->waiting, *rest = group->waiting;
    for (struct exec_request *r = group->waiting; r; r = r->next) {
        if (!stamp_at_most(&r->stamp, &best->stamp))
            best = r;
    }
    group->waiting = NULL;
    if (best)
        lead(group, best);
    for (struct exec_request *r = rest, *next; r; r = next) {
        next = r->next;
        if (r != best)
            push(stamp_at_most(&r->stamp, &group->stamp) ? &group->sharing : &group->waiting, r);
    }
    return best;
}

void aggregator_finished(struct aggregator *a, struct exec_request *leader)
{
    struct aggregate *group = leader->group;
    pthread_mutex_lock(&a->lock);
    forget_result(a, group);
    group->rc = leader->rc;
    group->err = leader->err;
    group->result = leader->result;
    if (group->result)
        atomic_fetch_add(&group->result->refs, 1);
    keep(a, group);
    group->finished_us = clock_monotonic_us();
    group->leader = NULL;
    struct exec_request *sharing = group->sharing;
    group->sharing = NULL;
    for (struct exec_request *r = sharing; r; r = r->next)
        take_outcome(group, r);
    struct exec_request *next = next_leader(group);
    drop_old(a);
    pthread_mutex_unlock(&a->lock);
    leader->group = NULL;
    hand_out(sharing);
    leader->done(leader);
    if (next)
        exec_run_alone(next->svc, next);
}
