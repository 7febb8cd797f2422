// SPDX-License-Identifier: AGPL-3.0-or-later
#include "jupyter/bridge.h"

#include <stdlib.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "jupyter/execute.h"
#include "proto/kernel.h"

// ---- Requests ----

static void answer_error(struct call *call, const char *text)
{
    json_begin_object(&call->answer);
    json_member_str(&call->answer, "error", text);
    json_end_object(&call->answer);
}

static void op_kernels(struct bridge *bridge, struct call *call, cJSON **request)
{
    (void)bridge, (void)request;
    auto_specs struct specs specs = {0};
    specs_read(NULL, &specs);
    specs_write(&specs, &call->answer);
}

// Answers that nobody reads take memory: they count, too.
static bool is_running(const struct call *call)
{
    return call->answer.size || (call->execution && execution_has_begun(call->execution));
}

static size_t count_running(const struct bridge *bridge)
{
    size_t count = 0;
    for (size_t i = 0; i < bridge->calls_count; i++)
        count += is_running(bridge->calls[i]);
    return count;
}

static void op_list(struct bridge *bridge, struct call *call, cJSON **request)
{
    (void)request;
    const bool quiet = count_running(bridge) == 1; // this call, whose answer has begun
    pool_write(&bridge->pools, quiet, &call->answer);
}

static void op_stop(struct bridge *bridge, struct call *call, cJSON **request)
{
    const cJSON *pid = json_get(*request, "pid");
    const bool is_pid =
        cJSON_IsNumber(pid) && pid->valuedouble == (double)pid->valueint && pid->valueint > 0;
    json_begin_object(&call->answer);
    json_member_bool(&call->answer, "success", is_pid && pool_stop(&bridge->pools, pid->valueint));
    json_end_object(&call->answer);
}

static void op_logo(struct bridge *bridge, struct call *call, cJSON **request)
{
    (void)bridge;
    auto_specs struct specs specs = {0};
    const char *name = json_get_str(*request, "kernel");
    if (name)
        specs_read(name, &specs);
    if (specs.count)
        spec_write_logo(&specs.list[0], &call->answer);
    else
        json_null(&call->answer);
}

static void execute(struct call *call, cJSON **request)
{
    struct err err = {0};
    call->execution = execution_new(request, &err);
    if (!call->execution)
        answer_error(call, err.message);
}

static void take_request(struct bridge *bridge, struct call *call, cJSON **request)
{
    static const struct {
        const char *name;
        void (*run)(struct bridge *bridge, struct call *call, cJSON **request);
    } ops[] = {{"kernels", op_kernels}, {"list", op_list}, {"stop", op_stop}, {"logo", op_logo}};
    const char *op = json_get_str(*request, "op");
    if (op && strcmp(op, "execute") == 0) {
        execute(call, request);
        return;
    }
    for (size_t i = 0; op && i < ARRAY_LEN(ops); i++)
        if (strcmp(op, ops[i].name) == 0) {
            json_begin_object(&call->answer);
            json_key(&call->answer, "result");
            ops[i].run(bridge, call, request);
            json_end_object(&call->answer);
            return;
        }
    answer_error(call, "malformed request for kernels");
}

static void socket_ready(void *owner, unsigned tag, short events)
{
    struct bridge *bridge = owner;
    struct call *call;
    (void)tag, (void)events;
    while (bridge->calls_count < BRIDGE_CALLS_MAX) {
        auto_json cJSON *request = NULL;
        if (!call_receive(bridge->socket_fd, &call, &request, &bridge->closed))
            return;
        bridge->calls[bridge->calls_count++] = call;
        take_request(bridge, call, &request);
        if (call->answer.size)
            call_send(call);
    }
}

// ---- Calls ----

static void tick_call(struct bridge *bridge, struct call *call, uint64_t now_us)
{
    struct execution *e = call->execution;
    if (!e || call->over || call->answer.size)
        return;
    if (!execution_has_begun(e) && count_running(bridge) < KERNEL_CALLS_MAX)
        execution_begin(e, &bridge->pools);
    execution_tick(e, &bridge->pools, now_us);
    if (!execution_done(e))
        return;
    // Answered first: the end of the kernel's process takes a moment.
    execution_write(e, &call->answer);
    call_send(call);
    execution_free(TAKE_PTR(call->execution));
}

static void tick_calls(struct bridge *bridge, uint64_t now_us)
{
    size_t kept = 0;
    for (size_t i = 0; i < bridge->calls_count; i++)
        tick_call(bridge, bridge->calls[i], now_us);
    for (size_t i = 0; i < bridge->calls_count; i++) {
        if (bridge->calls[i]->over)
            call_free(bridge->calls[i]);
        else
            bridge->calls[kept++] = bridge->calls[i];
    }
    bridge->calls_count = kept;
}

// ---- The loop ----

static void child_ended(void *owner, unsigned tag, short events)
{
    struct bridge *bridge = owner;
    struct signalfd_siginfo signals[8];
    siginfo_t info = {0};
    (void)tag, (void)events;
    while (read(bridge->signal_fd, signals, sizeof signals) > 0)
        continue;
    while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid) {
        if (!pool_reap(&bridge->pools, info.si_pid))
            waitpid(info.si_pid, NULL, WNOHANG);
        info.si_pid = 0;
    }
}

static void wait_for_events(struct bridge *bridge)
{
    struct watch_set *set = &bridge->set;
    const bool quiet = count_running(bridge) == 0;
    watch_begin(set);
    if (bridge->calls_count < BRIDGE_CALLS_MAX)
        watch_fd(set, bridge->socket_fd, ZMQ_POLLIN, socket_ready, bridge, 0);
    pool_watch(&bridge->pools, quiet, set);
    for (size_t i = 0; i < bridge->calls_count; i++) {
        struct call *call = bridge->calls[i];
        call_watch(call, set);
        if (call->execution)
            execution_watch(call->execution, set);
    }
    // Last, so that what a kernel said is heard before its end is seen.
    watch_fd(set, bridge->signal_fd, ZMQ_POLLIN, child_ended, bridge, 0);
    watch_wait(set);
}

void bridge_run(struct bridge *bridge)
{
    while (!bridge->closed) {
        const uint64_t now_us = clock_monotonic_us();
        tick_calls(bridge, now_us);
        pool_tick(&bridge->pools, count_running(bridge) == 0, now_us);
        wait_for_events(bridge);
    }
}

void bridge_dispose(struct bridge *bridge)
{
    for (size_t i = 0; i < bridge->calls_count; i++)
        call_free(bridge->calls[i]);
    bridge->calls_count = 0;
    pool_dispose(&bridge->pools);
}
