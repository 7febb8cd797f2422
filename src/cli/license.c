// SPDX-License-Identifier: AGPL-3.0-or-later
// cohub license …
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/text.h"
#include "cli/cli.h"
#include "svc/accounts.h"
#include "svc/licenses.h"

#define MB_PER_GB     1000
#define RUN_LIMIT_MAX 1000000000

struct creation {
    struct license_create license;
    struct buf upgrades, quota, managers;
    struct uuid id;
};

static void creation_dispose(struct creation *creation)
{
    buf_dispose(&creation->upgrades);
    buf_dispose(&creation->quota);
    buf_dispose(&creation->managers);
}

static int write_number(const struct cli *cli, const char *option, const char *member,
                        double divisor, struct buf *out, struct err *err)
{
    const char *text = cli_get(cli, option);
    double value = 0;
    if (!text)
        return 0;
    if (!text_parse_double(text, &value) || value <= 0 || value > LIMIT_UPGRADE)
        return err_set(err, ERR_INVALID, "--%s is a number above 0, not %s", option, text);
    json_key(out, member);
    json_double(out, value / divisor);
    return 0;
}

static void write_flag(const struct cli *cli, const char *option, const char *member,
                       struct buf *out)
{
    if (cli_get(cli, option))
        json_member_bool(out, member, true);
}

// The quota as licences keep it: memory and disk in GB.
static int read_quota(const struct cli *cli, struct creation *creation, struct err *err)
{
    static const struct {
        const char *option, *member;
        double divisor;
    } numbers[] = {
        {"cpu", "cpu", 1},
        {"memory", "ram", MB_PER_GB},
        {"disk", "disk", MB_PER_GB},
        {"dedicated-cpu", "dedicated_cpu", 1},
        {"dedicated-memory", "dedicated_ram", MB_PER_GB},
        {"idle-timeout", "idle_timeout", 1},
    };
    struct buf *out = &creation->quota;
    int rc = 0;
    json_begin_object(out);
    for (size_t i = 0; i < ARRAY_LEN(numbers) && !rc; i++)
        rc = write_number(cli, numbers[i].option, numbers[i].member, numbers[i].divisor, out, err);
    write_flag(cli, "member", "member", out);
    write_flag(cli, "always-running", "always_running", out);
    json_end_object(out);
    if (out->size > 2)
        creation->license.quota = buf_cstr(out);
    return rc;
}

static int read_options(const struct cli *cli, struct creation *creation, struct err *err)
{
    struct license_create *license = &creation->license;
    const char *run_limit = cli_get(cli, "run-limit");
    int rc = read_quota(cli, creation, err);
    if (rc)
        return rc;
    if (cli_get(cli, "network")) {
        buf_append_str(&creation->upgrades, "{\"network\":1}");
        license->upgrades = buf_cstr(&creation->upgrades);
    }
    if (!license->quota && !license->upgrades)
        return err_set(err, ERR_INVALID, "a license gives something: --cpu, --memory, …");
    if (run_limit && !text_parse_int64(run_limit, 1, RUN_LIMIT_MAX, &license->run_limit))
        return err_set(err, ERR_INVALID, "--run-limit is a number from 1 to %d, not %s",
                       RUN_LIMIT_MAX, run_limit);
    license->activates_ms = clock_now_ms();
    rc = cli_get_time(cli, "activates", &license->activates_ms, err);
    if (!rc)
        rc = cli_get_time(cli, "expires", &license->expires_ms, err);
    if (!rc && license->expires_ms && license->expires_ms <= license->activates_ms)
        return err_set(err, ERR_INVALID, "--expires must be later than --activates");
    return rc;
}

static int find_managers(const struct cli *cli, struct db_session *session,
                         struct creation *creation, struct err *err)
{
    struct buf *out = &creation->managers;
    json_begin_array(out);
    for (int i = 0; i < cli->options_count; i++) {
        struct uuid account_id;
        if (strcmp(cli->options[i].name, "manager"))
            continue;
        int rc = account_find(session, cli->options[i].value, &account_id, err);
        if (rc)
            return rc;
        json_str(out, account_id.text);
    }
    json_end_array(out);
    creation->license.managers = buf_cstr(out);
    return 0;
}

static int apply_create(struct db_session *txn, void *arg, struct err *err)
{
    struct creation *creation = arg;
    return license_create(txn, &creation->license, &creation->id, err);
}

static int create(const struct cli *cli, struct cli_store *store, struct creation *creation,
                  struct buf *out, struct err *err)
{
    int rc = find_managers(cli, store->session, creation, err);
    if (!rc)
        rc = db_write(store->db, apply_create, creation, err);
    return rc ? rc : license_show(store->session, creation->id.text, out, err);
}

int cli_license_create(struct cli *cli)
{
    CLEANUP(creation_dispose)
    struct creation creation = {
        .license = {.title = cli_get(cli, "title"), .description = cli_get(cli, "description")}};
    auto_buf struct buf out = {0};
    struct cli_store store;
    struct err err;
    if (!creation.license.title || !*creation.license.title) {
        fputs("cohub license create: --title is missing\n", stderr);
        return CLI_USAGE;
    }
    if (read_options(cli, &creation, &err)) {
        fprintf(stderr, "cohub license create: %s\n", err.message);
        return CLI_USAGE;
    }
    if (cli_store_open(cli, false, &store, &err))
        return cli_fail(&err);
    int rc = create(cli, &store, &creation, &out, &err);
    cli_store_close(&store);
    return rc ? cli_fail(&err) : cli_print(&out);
}

static int write_list(struct cli *cli UNUSED, struct cli_store *store, struct buf *out,
                      struct err *err)
{
    return license_list(store->session, out, err);
}

int cli_license_list(struct cli *cli)
{
    return cli_show(cli, write_list);
}

static int write_one(struct cli *cli, struct cli_store *store, struct buf *out, struct err *err)
{
    return license_show(store->session, cli->words[0], out, err);
}

int cli_license_show(struct cli *cli)
{
    return cli_show(cli, write_one);
}
