// SPDX-License-Identifier: AGPL-3.0-or-later
// Quotas (api-v1 section 11): what a project may use, from the site's defaults, the administrators'
// settings, the upgrades of its users and its licences.
#ifndef SVC_QUOTA_H
#define SVC_QUOTA_H

#include <stdbool.h>
#include <stdint.h>

#include "base/json.h"

// The names of api-v1 11.1.
enum upgrade {
    UPGRADE_DISK_QUOTA,     // MB
    UPGRADE_MEMORY,         // MB
    UPGRADE_MEMORY_REQUEST, // MB
    UPGRADE_CORES,
    UPGRADE_CPU_SHARES, // 1/1024 of a core
    UPGRADE_MINTIME,    // seconds
    UPGRADE_NETWORK,    // this and the rest: 0 or 1
    UPGRADE_MEMBER_HOST,
    UPGRADE_ALWAYS_RUNNING,
    UPGRADE_EPHEMERAL_STATE,
    UPGRADE_EPHEMERAL_DISK,
    UPGRADE_COUNT,
};
const char *upgrade_name(enum upgrade upgrade);
// False if no upgrade has that name.
bool upgrade_find(const char *name, enum upgrade *ret_upgrade);
// What a value counts (11.5): numbers and texts that are numbers, without their decimals but for
// processors and their shares; 0 for what is no number or negative. `value` may be NULL.
double upgrade_amount(enum upgrade upgrade, const cJSON *value);

// What every project has, and what upgrades can make of it at most. Settings change each amount by
// itself (svc/settings.h).
struct quota_site {
    _Atomic double base[UPGRADE_COUNT];
    _Atomic double max[UPGRADE_COUNT];
    unsigned processes; // of a project
};

// A project's effective quota (11.5).
struct quota {
    double disk_mb;
    double memory_mb, memory_request_mb;
    double cpu_limit, cpu_request; // cores
    double idle_timeout_s;
    bool network, member_host, always_running, ephemeral_state, ephemeral_disk;
};

struct quota_input {
    const cJSON *settings;        // projects.settings, or NULL
    const cJSON *const *upgrades; // of each user: name -> amount
    size_t upgrades_count;
    const cJSON *licenses; // projects.site_license as evaluated: id -> {upgrades…, "quota": {…}}
};
void quota_compute(const struct quota_site *site, const struct quota_input *input,
                   struct quota *ret_quota);

// As projects.run_quota has it: disk_quota, memory_limit, memory_request, cpu_limit, cpu_request,
// idle_timeout, network, member_host, always_running, ephemeral_state, ephemeral_disk.
void quota_write(const struct quota *quota, struct buf *out);
// False if the text is none.
bool quota_read(const char *json, struct quota *ret_quota);

#endif
