// SPDX-License-Identifier: AGPL-3.0-or-later
#include "jupyter/execute.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"
#include "jupyter/language.h"

// More of anything than any request has.
#define NUMBER_MAX INT64_C(1000000000000000)
// A kernel's name that is repeated in a text.
#define NAME_SHOWN 200

enum step { STEP_WAITS, STEP_STARTS, STEP_FOLDER, STEP_HISTORY, STEP_INPUT, STEP_DONE };

struct execution {
    cJSON *request;
    char *name; // of the kernel's specification
    enum step step;
    uint64_t arrived_us;
    uint64_t cell_us, total_us; // total_us: WATCH_NEVER for none
    struct kernel *kernel;
    struct cell cell;
    struct items items;
    struct buf failure; // the text of what went wrong; empty if nothing did
    bool died;
};

// ---- The request ----

static uint64_t number_or(const cJSON *object, const char *key, uint64_t otherwise)
{
    const cJSON *value = json_get(object, key);
    if (!cJSON_IsNumber(value))
        return otherwise;
    if (!(value->valuedouble > 0))
        return 0;
    return value->valuedouble < (double)NUMBER_MAX ? (uint64_t)value->valuedouble
                                                   : (uint64_t)NUMBER_MAX;
}

// One of those without which a request is not sound.
static uint64_t number_of(const cJSON *object, const char *key)
{
    return number_or(object, key, 0);
}

static bool has_number(const cJSON *object, const char *key)
{
    return cJSON_IsNumber(json_get(object, key));
}

static bool is_text_list(const cJSON *list)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, list) if (!cJSON_IsString(item)) return false;
    return !list || cJSON_IsNull(list) || cJSON_IsArray(list);
}

static bool is_sound(const cJSON *request)
{
    const cJSON *path = json_get(request, "path");
    const cJSON *limits = json_get(request, "limits"), *pool = json_get(request, "pool");
    return json_get_str(request, "kernel") && json_get_str(request, "input") &&
           is_text_list(json_get(request, "history")) &&
           (!path || cJSON_IsNull(path) || cJSON_IsString(path)) && has_number(pool, "size") &&
           has_number(pool, "idle_ms") && has_number(limits, "cell_ms") &&
           has_number(limits, "cell_output") && has_number(limits, "output");
}

struct execution *execution_new(cJSON **request, struct err *err)
{
    if (!is_sound(*request)) {
        (void)err_set(err, ERR_INVALID, "malformed request for an execution");
        return NULL;
    }
    struct execution *e = mem_zalloc(sizeof *e);
    e->request = TAKE_PTR(*request);
    e->name = mem_strdup(json_get_str(e->request, "kernel"));
    text_lower(e->name);
    e->arrived_us = clock_monotonic_us();
    const cJSON *limits = json_get(e->request, "limits");
    e->cell_us = number_of(limits, "cell_ms") * 1000;
    const uint64_t total_ms = number_or(limits, "total_ms", WATCH_NEVER);
    e->total_us = total_ms == WATCH_NEVER ? WATCH_NEVER : total_ms * 1000;
    items_init(&e->items, number_of(limits, "cell_output"), number_of(limits, "output"));
    return e;
}

void execution_free(struct execution *e)
{
    if (e->kernel)
        pool_release(e->kernel);
    items_dispose(&e->items);
    buf_dispose(&e->failure);
    cJSON_Delete(e->request);
    free(e->name);
    free(e);
}

// ---- Failures ----

static void fail(struct execution *e, const char *text)
{
    e->failure.size = 0;
    buf_append_str(&e->failure, text);
    e->step = STEP_DONE;
}

static void fail_unknown(struct execution *e)
{
    auto_specs struct specs specs = {0};
    auto_buf struct buf text = {0};
    specs_read(NULL, &specs);
    const char *name = json_get_str(e->request, "kernel");
    const size_t size = utf8_prefix_utf16(name, strlen(name), NAME_SHOWN, NULL);
    buf_printf(&text,
               "**Unable to Spawn Jupyter Kernel:**\n\nError: No spec available for kernel "
               "\"%.*s\".  Available specs: ",
               (int)size, name);
    auto_buf struct buf names = {0};
    json_begin_array(&names);
    for (size_t i = 0; i < specs.count; i++)
        json_str(&names, specs.list[i].name);
    json_end_array(&names);
    buf_append(&text, names.data, names.size);
    buf_printf(&text, "\n\nIn a terminal, this may tell more: jupyter console --kernel=%.*s",
               (int)size, name);
    fail(e, buf_cstr(&text));
}

static void fail_ended(struct execution *e, bool started)
{
    auto_buf struct buf text = {0};
    if (!started)
        buf_append_str(&text, "Failed to start kernel process. ");
    kernel_write_end(e->kernel, &text);
    e->died = started && !e->kernel->killed;
    fail(e, buf_cstr(&text));
}

// ---- The steps ----

static struct kernel_limits limits_of(const cJSON *request)
{
    const cJSON *ulimits = json_get(request, "ulimits");
    return (struct kernel_limits){
        .files = number_or(ulimits, "files", KERNEL_NO_LIMIT),
        .file_bytes = number_or(ulimits, "file_bytes", KERNEL_NO_LIMIT),
        .cpu_s = number_or(ulimits, "cpu_s", KERNEL_NO_LIMIT),
        .memory_bytes = number_or(ulimits, "memory_bytes", KERNEL_NO_LIMIT),
    };
}

void execution_begin(struct execution *e, struct pools *pools)
{
    auto_specs struct specs specs = {0};
    struct err err = {0};
    specs_read(e->name, &specs);
    if (!specs.count) {
        fail_unknown(e);
        return;
    }
    const cJSON *pool = json_get(e->request, "pool");
    e->step = STEP_STARTS;
    e->kernel = pool_take(pools,
                          &(struct pool_order){.spec = &specs.list[0],
                                               .size = (unsigned)number_of(pool, "size"),
                                               .idle_us = number_of(pool, "idle_ms") * 1000},
                          &err);
    if (!e->kernel)
        fail(e, err.message);
}

static uint64_t total_end(const struct execution *e)
{
    return e->total_us == WATCH_NEVER ? WATCH_NEVER : e->arrived_us + e->total_us;
}

static void run(struct execution *e, enum step step, const struct kernel_code *code,
                uint64_t now_us)
{
    const uint64_t end_us = now_us + e->cell_us, last_us = total_end(e);
    if (now_us >= last_us) {
        auto_free char *text =
            mem_printf("Total time limit (=%g seconds) exceeded", (double)e->total_us / 1e6);
        fail(e, text);
        return;
    }
    e->step = step;
    if (!cell_start(&e->cell, e->kernel, step == STEP_INPUT ? &e->items : NULL, code,
                    end_us < last_us ? end_us : last_us))
        fail(e, "the kernel does not take requests");
}

static char *absolute(const char *path)
{
    const char *home = getenv("HOME");
    return path[0] == '/' ? mem_strdup(path) : mem_printf("%s/%s", home ? home : "", path);
}

// False if there is nothing to run for it.
static bool run_folder(struct execution *e, uint64_t now_us)
{
    const char *path = json_get_str(e->request, "path");
    const char *language = spec_language(&e->kernel->spec);
    auto_buf struct buf code = {0};
    if (!path)
        return false;
    auto_free char *folder = absolute(path);
    if (!language_write_chdir(&code, language, folder)) {
        auto_free char *text = mem_printf("Error: unable to change directory: chdir for language "
                                          "%s is not implemented.",
                                          language);
        items_add_text(&e->items, "stderr", text);
    }
    if (!code.size)
        return false;
    run(e, STEP_FOLDER, &(struct kernel_code){buf_cstr(&code), .silent = true}, now_us);
    return true;
}

static bool run_history(struct execution *e, uint64_t now_us)
{
    auto_buf struct buf code = {0};
    const cJSON *history = json_get(e->request, "history"), *entry;
    if (!history || !history->child)
        return false;
    cJSON_ArrayForEach(entry, history)
    {
        buf_append_str(&code, entry->valuestring);
        if (entry->next)
            buf_append_char(&code, '\n');
    }
    run(e, STEP_HISTORY, &(struct kernel_code){buf_cstr(&code), .silent = false}, now_us);
    return true;
}

static void run_input(struct execution *e, uint64_t now_us)
{
    run(e, STEP_INPUT, &(struct kernel_code){json_get_str(e->request, "input"), .silent = false},
        now_us);
}

static void next_step(struct execution *e, uint64_t now_us)
{
    if (e->step == STEP_INPUT)
        e->step = STEP_DONE;
    else if (!(e->step < STEP_FOLDER && run_folder(e, now_us)) &&
             !(e->step < STEP_HISTORY && run_history(e, now_us)))
        run_input(e, now_us);
}

static void tick_start(struct execution *e, const struct pools *pools, uint64_t now_us)
{
    struct kernel *k = e->kernel;
    if (k->state == KERNEL_ENDED) {
        fail_ended(e, false);
    } else if (k->state == KERNEL_IDLE) {
        const struct kernel_limits limits = limits_of(e->request);
        kernel_limit(k, &limits);
        k->state = KERNEL_BUSY;
        next_step(e, now_us);
    } else if (now_us >= k->started_us + pools->start_max_us) {
        fail(e, "Failed to start kernel process -- timeout");
    }
}

static void tick_cell(struct execution *e, uint64_t now_us)
{
    cell_tick(&e->cell, now_us);
    if (cell_done(&e->cell))
        next_step(e, now_us);
    else if (e->kernel->state == KERNEL_ENDED)
        fail_ended(e, true);
}

void execution_tick(struct execution *e, const struct pools *pools, uint64_t now_us)
{
    if (e->step == STEP_STARTS)
        tick_start(e, pools, now_us);
    else if (e->step > STEP_STARTS && e->step < STEP_DONE)
        tick_cell(e, now_us);
}

void execution_watch(const struct execution *e, struct watch_set *set)
{
    if (e->step > STEP_STARTS && e->step < STEP_DONE)
        cell_watch(&e->cell, set);
}

bool execution_has_begun(const struct execution *e)
{
    return e->step != STEP_WAITS;
}

bool execution_done(const struct execution *e)
{
    return e->step == STEP_DONE;
}

void execution_write(const struct execution *e, struct buf *out)
{
    json_begin_object(out);
    if (e->failure.size) {
        json_key(out, "error");
        json_strn(out, e->failure.data, e->failure.size);
        if (e->died)
            json_member_bool(out, "died", true);
    } else {
        json_key(out, "result");
        items_write(&e->items, out);
    }
    json_end_object(out);
}
