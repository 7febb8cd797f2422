// SPDX-License-Identifier: AGPL-3.0-or-later
#include "api/loop_state.h"

#include <stdlib.h>
#include <string.h>

#include "http/http.h"

static const struct api_endpoint *const *const families[API_FAMILIES] = {
    api_v1_endpoints, api_hub_methods, api_project_methods};

// The endpoint of an index in the HTTP figures, NULL if there is none; 0 is everything else.
static const struct api_endpoint *endpoint_at(unsigned index)
{
    if (!index)
        return NULL;
    for (size_t f = 0; f < API_FAMILIES; f++) {
        for (size_t i = 0; families[f][i]; i++) {
            if (!--index)
                return families[f][i];
        }
    }
    return NULL;
}

const char *api_event_name(unsigned index)
{
    const struct api_endpoint *endpoint = endpoint_at(index);
    return !index ? "other" : !endpoint ? NULL : endpoint->event ? endpoint->event : endpoint->name;
}

static void fill_entries(struct api_loop *l)
{
    const struct api_endpoint *endpoint;
    unsigned count = 0;
    while (endpoint_at(count + 1))
        count++;
    assert(count < HTTP_EVENTS_MAX);
    l->entries = mem_alloc(count * sizeof *l->entries);
    for (unsigned i = 0; (endpoint = endpoint_at(i + 1)); i++) {
        l->entries[i] = (struct api_entry){.endpoint = endpoint, .index = i + 1};
        map_set(&l->by_name[endpoint->family], endpoint->name, strlen(endpoint->name),
                &l->entries[i]);
    }
}

int api_loop_open(struct loop *loop, void *api_config, void **ret_data, struct err *err)
{
    const struct api_config *config = api_config;
    struct api_loop *l = mem_zalloc(sizeof *l);
    l->loop = loop;
    l->svc = config->svc;
    struct db *db = l->svc->db;
    int rc = db_is_remote(db) ? lanes_open(loop, db, config->lanes, &l->lanes, err)
                              : db_session_open(db, &l->session, err);
    if (rc) {
        free(l);
        return rc;
    }
    fill_entries(l);
    *ret_data = l;
    return 0;
}

void api_loop_shut(void *api_loop)
{
    struct api_loop *l = api_loop;
    if (l->lanes)
        lanes_shut(l->lanes);
}

static void free_timer(uv_handle_t *timer)
{
    free(CONTAINER((uv_timer_t *)timer, struct call_timer, timer));
}

void api_loop_close(void *api_loop)
{
    struct api_loop *l = api_loop;
    api_loop_shut(l);
    for (struct call_timer *timer = l->timers; timer; timer = timer->next)
        uv_close((uv_handle_t *)&timer->timer, free_timer);
    key_cache_dispose(&l->keys);
    for (size_t f = 0; f < API_FAMILIES; f++)
        map_dispose(&l->by_name[f]);
    db_session_close(l->session);
    lanes_close(l->lanes);
    free(l->entries);
    free(l);
}

struct svc *api_loop_svc(const struct api_loop *l)
{
    return l->svc;
}

struct loop *api_loop_loop(const struct api_loop *l)
{
    return l->loop;
}

void api_loop_run(struct api_loop *l, struct lane_call *call)
{
    if (l->lanes)
        lanes_run(l->lanes, call);
    else
        call->run(call, l->session);
}

const struct api_entry *api_loop_find(const struct api_loop *l, enum api_family family,
                                      const char *name)
{
    return map_get(&l->by_name[family], name, strlen(name));
}

struct call_timer *call_timer_start(struct api_loop *l, uint64_t ms, void *call,
                                    void (*fire)(uv_timer_t *timer))
{
    struct call_timer *timer = l->timers;
    if (timer) {
        l->timers = timer->next;
    } else {
        timer = mem_alloc(sizeof *timer);
        uv_timer_init(&l->loop->uv, &timer->timer);
    }
    timer->call = call;
    uv_timer_start(&timer->timer, fire, ms, 0);
    return timer;
}

void call_timer_stop(struct api_loop *l, struct call_timer *timer)
{
    uv_timer_stop(&timer->timer);
    timer->next = l->timers;
    l->timers = timer;
}
