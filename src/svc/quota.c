// SPDX-License-Identifier: AGPL-3.0-or-later
#include "svc/quota.h"

#include <math.h>
#include <string.h>

#include "base/limits.h"
#include "base/text.h"

// What a project gets even if nobody gave it that much (api-v1 11.5, step 4).
#define CPU_REQUEST_MIN        0.02
#define CPU_REQUEST_MIN_MEMBER 0.05
#define MEMORY_REQUEST_MIN     200
#define MEMORY_MIN             1000
// A member's memory, requested and at most, against another's.
#define MEMBER_FACTOR 1.5

#define MB_PER_GB        1000
#define SHARES_PER_CORE  1024
#define FIRST_FLAG       UPGRADE_NETWORK
#define IS_FLAG(upgrade) ((upgrade) >= FIRST_FLAG)

// ---- Names and amounts ----

static const char *const names[UPGRADE_COUNT] = {
    [UPGRADE_DISK_QUOTA] = "disk_quota",
    [UPGRADE_MEMORY] = "memory",
    [UPGRADE_MEMORY_REQUEST] = "memory_request",
    [UPGRADE_CORES] = "cores",
    [UPGRADE_CPU_SHARES] = "cpu_shares",
    [UPGRADE_MINTIME] = "mintime",
    [UPGRADE_NETWORK] = "network",
    [UPGRADE_MEMBER_HOST] = "member_host",
    [UPGRADE_ALWAYS_RUNNING] = "always_running",
    [UPGRADE_EPHEMERAL_STATE] = "ephemeral_state",
    [UPGRADE_EPHEMERAL_DISK] = "ephemeral_disk",
};

const char *upgrade_name(enum upgrade upgrade)
{
    return names[upgrade];
}

bool upgrade_find(const char *name, enum upgrade *ret_upgrade)
{
    for (int i = 0; i < UPGRADE_COUNT; i++) {
        if (!strcmp(names[i], name)) {
            *ret_upgrade = (enum upgrade)i;
            return true;
        }
    }
    return false;
}

// A number, or a text that is one; what is neither counts 0, as does what is below.
static double number_of(const cJSON *value)
{
    double number = 0;
    if (cJSON_IsNumber(value))
        number = value->valuedouble;
    else if (cJSON_IsString(value) && !text_parse_double(value->valuestring, &number))
        number = 0;
    return number > 0 ? fmin(number, LIMIT_UPGRADE) : 0;
}

static bool is_on(const cJSON *value)
{
    return cJSON_IsTrue(value) || number_of(value) > 0 ||
           (cJSON_IsString(value) && !strcmp(value->valuestring, "true"));
}

double upgrade_amount(enum upgrade upgrade, const cJSON *value)
{
    if (IS_FLAG(upgrade) && cJSON_IsBool(value))
        return cJSON_IsTrue(value);
    double number = number_of(value);
    return upgrade == UPGRADE_CORES || upgrade == UPGRADE_CPU_SHARES ? number : trunc(number);
}

// ---- Step 1: flags ----

static bool licensed(const cJSON *licenses, enum upgrade flag)
{
    const cJSON *entry;
    cJSON_ArrayForEach(entry, licenses)
    {
        if (is_on(json_get(entry, names[flag])))
            return true;
    }
    return false;
}

static bool flag_of(const struct quota_site *site, const struct quota_input *in, enum upgrade flag)
{
    if (site->max[flag] <= 0)
        return false;
    bool on = site->base[flag] > 0 || is_on(json_get(in->settings, names[flag])) ||
              licensed(in->licenses, flag);
    for (size_t i = 0; i < in->upgrades_count && !on; i++)
        on = is_on(json_get(in->upgrades[i], names[flag]));
    return on;
}

// ---- Step 2: numbers ----

static double site_base(const struct quota_site *site, enum upgrade upgrade)
{
    return fmin(site->base[upgrade], site->max[upgrade]);
}

static double number_sum(const struct quota_site *site, const struct quota_input *in,
                         enum upgrade upgrade)
{
    const char *name = names[upgrade];
    double given = upgrade_amount(upgrade, json_get(in->settings, name)), added = 0;
    const cJSON *entry;
    for (size_t i = 0; i < in->upgrades_count; i++)
        added += upgrade_amount(upgrade, json_get(in->upgrades[i], name));
    cJSON_ArrayForEach(entry, in->licenses)
    {
        added += upgrade_amount(upgrade, json_get(entry, name));
    }
    return (given > 0 ? given : site_base(site, upgrade)) +
           fmin(added, fmax(0, site->max[upgrade] - site->base[upgrade]));
}

// ---- Step 3: licences of the new style ----

struct license_sum {
    bool any, member, always_running;
    double cpu, ram_gb, disk_gb, dedicated_cpu, dedicated_ram_gb;
    double idle_timeout_s; // the longest
};

static bool has_member(const cJSON *licenses)
{
    const cJSON *entry;
    cJSON_ArrayForEach(entry, licenses)
    {
        if (is_on(json_get(json_get(entry, "quota"), "member")))
            return true;
    }
    return false;
}

static void add_license(const cJSON *quota, bool members_only, struct license_sum *sum)
{
    sum->any = true;
    sum->disk_gb += number_of(json_get(quota, "disk"));
    sum->idle_timeout_s = fmax(sum->idle_timeout_s, number_of(json_get(quota, "idle_timeout")));
    if (members_only && !is_on(json_get(quota, "member")))
        return;
    sum->always_running |= is_on(json_get(quota, "always_running"));
    sum->cpu += number_of(json_get(quota, "cpu"));
    sum->ram_gb += number_of(json_get(quota, "ram"));
    sum->dedicated_cpu += number_of(json_get(quota, "dedicated_cpu"));
    sum->dedicated_ram_gb += number_of(json_get(quota, "dedicated_ram"));
}

static struct license_sum sum_licenses(const cJSON *licenses)
{
    struct license_sum sum = {.member = has_member(licenses)};
    const cJSON *entry;
    cJSON_ArrayForEach(entry, licenses)
    {
        const cJSON *quota = json_get(entry, "quota");
        if (cJSON_IsObject(quota))
            add_license(quota, sum.member, &sum);
    }
    return sum;
}

static void raise(double *value, double to)
{
    *value = fmax(*value, to);
}

static void apply_licenses(const struct quota_site *site, const struct license_sum *sum,
                           struct quota *quota)
{
    double dedicated_mb = sum->dedicated_ram_gb * MB_PER_GB;
    if (!sum->any)
        return;
    raise(&quota->disk_mb, sum->disk_gb * MB_PER_GB);
    raise(&quota->memory_mb, sum->ram_gb * MB_PER_GB + dedicated_mb);
    raise(&quota->memory_request_mb, dedicated_mb);
    raise(&quota->cpu_limit, sum->cpu + sum->dedicated_cpu);
    raise(&quota->cpu_request, sum->dedicated_cpu);
    raise(&quota->idle_timeout_s, sum->idle_timeout_s);
    quota->network |= site->max[UPGRADE_NETWORK] > 0;
    quota->member_host |= sum->member && site->max[UPGRADE_MEMBER_HOST] > 0;
    quota->always_running |= sum->always_running && site->max[UPGRADE_ALWAYS_RUNNING] > 0;
}

// ---- Step 4: minimums ----

// A site that gives every project less memory than the contract's minimum means it.
static void apply_minimums(const struct quota_site *site, struct quota *quota)
{
    double factor = quota->member_host ? MEMBER_FACTOR : 1;
    raise(&quota->cpu_request, quota->member_host ? CPU_REQUEST_MIN_MEMBER : CPU_REQUEST_MIN);
    raise(&quota->cpu_limit, CPU_REQUEST_MIN);
    raise(&quota->memory_mb, factor * fmin(MEMORY_MIN, site_base(site, UPGRADE_MEMORY)));
    raise(&quota->memory_request_mb, fmin(factor * MEMORY_REQUEST_MIN, quota->memory_mb));
}

// Sums of decimals, without what binary numbers make of them.
static void round_all(struct quota *quota)
{
    double *const numbers[] = {&quota->disk_mb,   &quota->memory_mb,   &quota->memory_request_mb,
                               &quota->cpu_limit, &quota->cpu_request, &quota->idle_timeout_s};
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        *numbers[i] = round(*numbers[i] * 1000) / 1000;
}

void quota_compute(const struct quota_site *site, const struct quota_input *in,
                   struct quota *ret_quota)
{
    struct quota quota = {
        .disk_mb = number_sum(site, in, UPGRADE_DISK_QUOTA),
        .memory_mb = number_sum(site, in, UPGRADE_MEMORY),
        .memory_request_mb = number_sum(site, in, UPGRADE_MEMORY_REQUEST),
        .cpu_limit = number_sum(site, in, UPGRADE_CORES),
        .cpu_request = number_sum(site, in, UPGRADE_CPU_SHARES) / SHARES_PER_CORE,
        .idle_timeout_s = number_sum(site, in, UPGRADE_MINTIME),
        .network = flag_of(site, in, UPGRADE_NETWORK),
        .member_host = flag_of(site, in, UPGRADE_MEMBER_HOST),
        .always_running = flag_of(site, in, UPGRADE_ALWAYS_RUNNING),
        .ephemeral_state = flag_of(site, in, UPGRADE_EPHEMERAL_STATE),
        .ephemeral_disk = flag_of(site, in, UPGRADE_EPHEMERAL_DISK),
    };
    struct license_sum licenses = sum_licenses(in->licenses);
    apply_licenses(site, &licenses, &quota);
    apply_minimums(site, &quota);
    round_all(&quota);
    *ret_quota = quota;
}

// ---- As JSON ----

static const struct {
    const char *name;
    size_t offset;
} quota_numbers[] = {
    {"disk_quota", offsetof(struct quota, disk_mb)},
    {"memory_limit", offsetof(struct quota, memory_mb)},
    {"memory_request", offsetof(struct quota, memory_request_mb)},
    {"cpu_limit", offsetof(struct quota, cpu_limit)},
    {"cpu_request", offsetof(struct quota, cpu_request)},
    {"idle_timeout", offsetof(struct quota, idle_timeout_s)},
};

static const struct {
    const char *name;
    size_t offset;
} quota_flags[] = {
    {"network", offsetof(struct quota, network)},
    {"member_host", offsetof(struct quota, member_host)},
    {"always_running", offsetof(struct quota, always_running)},
    {"ephemeral_state", offsetof(struct quota, ephemeral_state)},
    {"ephemeral_disk", offsetof(struct quota, ephemeral_disk)},
};

void quota_write(const struct quota *quota, struct buf *out)
{
    json_begin_object(out);
    for (size_t i = 0; i < ARRAY_LEN(quota_numbers); i++) {
        double number;
        memcpy(&number, (const char *)quota + quota_numbers[i].offset, sizeof number);
        json_key(out, quota_numbers[i].name);
        json_double(out, number);
    }
    for (size_t i = 0; i < ARRAY_LEN(quota_flags); i++)
        json_member_bool(out, quota_flags[i].name, *((const bool *)quota + quota_flags[i].offset));
    json_end_object(out);
}

bool quota_read(const char *json, struct quota *ret_quota)
{
    auto_json cJSON *value = NULL;
    struct quota quota = {0};
    if (!json || json_parse(json, strlen(json), LIMIT_JSON_DEPTH, &value, NULL) ||
        !cJSON_IsObject(value))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(quota_numbers); i++) {
        const cJSON *number = json_get(value, quota_numbers[i].name);
        if (!cJSON_IsNumber(number))
            return false;
        memcpy((char *)&quota + quota_numbers[i].offset, &number->valuedouble, sizeof(double));
    }
    for (size_t i = 0; i < ARRAY_LEN(quota_flags); i++)
        *((bool *)&quota + quota_flags[i].offset) =
            cJSON_IsTrue(json_get(value, quota_flags[i].name));
    *ret_quota = quota;
    return true;
}
