// SPDX-License-Identifier: AGPL-3.0-or-later
#include "jupyter/cell.h"

#include "base/clock.h"

// How long "idle" may lag behind the reply until it is asked for.
#define LAG_US 200000
// How long after a question for input was refused its kernel is woken.
#define WAKE_US 1000000

// Waits behind each interrupt; after the last one the kernel is killed.
static const uint64_t interrupt_waits_us[] = {1000000, 1300000, 1700000};

static void interrupt(struct cell *cell, uint64_t now_us)
{
    if (cell->interrupts == ARRAY_LEN(interrupt_waits_us)) {
        kernel_kill(cell->kernel);
        cell->due_us = WATCH_NEVER;
        return;
    }
    kernel_interrupt(cell->kernel);
    cell->due_us = now_us + interrupt_waits_us[cell->interrupts++];
}

static void reply_came(struct cell *cell, const struct message *message)
{
    if (strcmp(message->type, "execute_reply") != 0)
        return;
    cell->replied = true;
    cell->wake_us = WATCH_NEVER;
    cell->probe_us = clock_monotonic_us() + LAG_US;
}

static bool is_idle(const struct message *message)
{
    auto_json cJSON *content =
        strcmp(message->type, "status") == 0 ? message_content(message) : NULL;
    const char *state = json_get_str(content, "execution_state");
    return state && strcmp(state, "idle") == 0;
}

// Some kernels ask though they were told that nobody answers. They would wait until their time is
// over.
static void refuse_input(struct cell *cell)
{
    if (cell->items && !cell->refused)
        items_add_text(cell->items, "stderr",
                       "Error: input was asked for, but there is nobody to give it.");
    cell->refused = true;
    cell->wake_us = clock_monotonic_us() + WAKE_US;
    kernel_interrupt(cell->kernel);
}

// Anything of a long output may be too much: such messages are not verified.
static bool matters(const struct cell *cell, const struct message *message)
{
    return strcmp(message->type, "status") == 0 || strcmp(message->type, "execute_reply") == 0 ||
           strcmp(message->type, "input_request") == 0 ||
           (cell->items && items_want(cell->items, message->type, message->content->size));
}

static void heard(void *owner, enum channel channel, const struct message *message)
{
    struct cell *cell = owner;
    if (strcmp(message->parent_id, cell->id) != 0 || !matters(cell, message) ||
        !kernel_verify(cell->kernel, message))
        return;
    switch (channel) {
    case CHANNEL_SHELL:
        reply_came(cell, message);
        break;
    case CHANNEL_IOPUB:
        cell->idle |= is_idle(message);
        break;
    case CHANNEL_STDIN:
        if (strcmp(message->type, "input_request") == 0)
            refuse_input(cell);
        return;
    case CHANNEL_CONTROL:
    case CHANNEL_COUNT:
        return;
    }
    if (cell->items)
        items_add(cell->items, message);
}

bool cell_start(struct cell *cell, struct kernel *kernel, struct items *items,
                const struct kernel_code *code, uint64_t due_us)
{
    *cell = (struct cell){.kernel = kernel,
                          .items = items,
                          .due_us = due_us,
                          .probe_us = WATCH_NEVER,
                          .wake_us = WATCH_NEVER};
    kernel->heard = heard;
    kernel->heard_owner = cell;
    return kernel_execute(kernel, code, cell->id);
}

// The answer to the probe came by a new connection: something had been too long for the old one.
static void probe_answered(struct cell *cell)
{
    if (cell->kernel->probe.reconnected && cell->items && !cell->idle)
        items_overflow(cell->items);
    cell->idle = true;
}

void cell_tick(struct cell *cell, uint64_t now_us)
{
    if (cell->replied && !cell->idle && !cell->probing && now_us >= cell->probe_us) {
        cell->probing = true;
        kernel_probe(cell->kernel);
    }
    if (cell->probing && kernel_probe_done(cell->kernel))
        probe_answered(cell);
    if (now_us >= cell->wake_us) {
        cell->wake_us = WATCH_NEVER;
        kernel_end_input(cell->kernel);
    }
    if (cell_done(cell) && cell->items)
        items_finish(cell->items);
    else if (!cell_done(cell) && now_us >= cell->due_us)
        interrupt(cell, now_us);
}

void cell_watch(const struct cell *cell, struct watch_set *set)
{
    watch_due(set, cell->due_us);
    watch_due(set, cell->wake_us);
    if (cell->replied && !cell->probing)
        watch_due(set, cell->probe_us);
}

bool cell_done(const struct cell *cell)
{
    return cell->replied && cell->idle;
}
