// SPDX-License-Identifier: AGPL-3.0-or-later
// cohub upgrades …, cohub project settings: amounts by the names of api-v1 11.1.
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/limits.h"
#include "base/text.h"
#include "cli/run.h"
#include "svc/accounts.h"
#include "svc/project.h"
#include "svc/project_quota.h"
#include "svc/upgrades.h"

// ---- NAME=VALUE ----

static int unknown_name(const char *word, struct err *err)
{
    auto_buf struct buf names = {0};
    for (int i = 0; i < UPGRADE_COUNT; i++)
        buf_printf(&names, "%s%s", i ? ", " : "", upgrade_name((enum upgrade)i));
    return err_set(err, ERR_INVALID, "%.100s is not NAME=VALUE, NAME being one of %s", word,
                   buf_cstr(&names));
}

static int read_amount(const char *word, struct upgrade_amounts *amounts, struct err *err)
{
    char name[64];
    enum upgrade upgrade;
    double value;
    const char *equals = strchr(word, '=');
    if (!equals || (size_t)(equals - word) >= sizeof name)
        return unknown_name(word, err);
    snprintf(name, sizeof name, "%.*s", (int)(equals - word), word);
    if (!upgrade_find(name, &upgrade))
        return unknown_name(word, err);
    if (!text_parse_double(equals + 1, &value) || value < 0 || value > LIMIT_UPGRADE)
        return err_set(err, ERR_INVALID, "%s is a number from 0 to %.0f, not %.100s", name,
                       LIMIT_UPGRADE, equals + 1);
    amounts->given[upgrade] = true;
    amounts->of[upgrade] =
        upgrade_amount(upgrade, &(cJSON){.type = cJSON_Number, .valuedouble = value});
    return 0;
}

// The words from `first` on.
static int read_amounts(const struct cli *cli, int first, struct upgrade_amounts *amounts,
                        struct err *err)
{
    int rc = 0;
    *amounts = (struct upgrade_amounts){0};
    for (int i = first; i < cli->words_count && !rc; i++)
        rc = read_amount(cli->words[i], amounts, err);
    return rc;
}

static int bad_usage(const struct cli *cli, const struct err *err)
{
    fprintf(stderr, "cohub %s: %s\n", cli->command->name, err->message);
    return CLI_USAGE;
}

// ---- upgrades set ----

struct total {
    struct uuid account_id;
    struct upgrade_amounts amounts;
};

static int apply_total(struct db_session *txn, void *arg, struct err *err)
{
    const struct total *total = arg;
    return upgrades_total_set(txn, &total->account_id, &total->amounts, err);
}

static int show_upgrades(struct db_session *session, const struct uuid *account_id, struct buf *out,
                         struct err *err)
{
    struct upgrade_state state;
    int rc = upgrades_get(session, account_id, &state, err);
    if (rc)
        return rc;
    json_begin_object(out);
    json_member_str(out, "account_id", account_id->text);
    upgrade_state_write(&state, out);
    json_end_object(out);
    upgrade_state_dispose(&state);
    return 0;
}

int cli_upgrades_set(struct cli *cli)
{
    struct total total;
    auto_buf struct buf out = {0};
    struct cli_store store;
    struct err err;
    if (read_amounts(cli, 1, &total.amounts, &err))
        return bad_usage(cli, &err);
    if (cli_store_open(cli, false, &store, &err))
        return cli_fail(&err);
    int rc = account_find(store.session, cli->words[0], &total.account_id, &err);
    if (!rc)
        rc = db_write(store.db, apply_total, &total, &err);
    if (!rc)
        rc = show_upgrades(store.session, &total.account_id, &out, &err);
    cli_store_close(&store);
    return rc ? cli_fail(&err) : cli_print(&out);
}

// ---- upgrades apply ----

static int apply_upgrades(struct db_session *txn, void *arg, struct err *err)
{
    return upgrades_apply(txn, arg, err);
}

static int give(struct cli_run *run, struct upgrades_apply *apply, struct err *err)
{
    int rc = db_write(run->store.db, apply_upgrades, apply, err);
    for (size_t i = 0; i < apply->changed_count && !rc; i++)
        rc = cli_run_quota_changed(run, &apply->changed[i], err);
    return rc;
}

static void write_given(const struct upgrades_apply *apply, struct buf *out)
{
    json_begin_object(out);
    json_member_str(out, "account_id", apply->account_id.text);
    json_member_str(out, "project_id", apply->project_id.text);
    json_key(out, "upgrades");
    upgrade_amounts_write(&apply->stored, out);
    json_end_object(out);
}

int cli_upgrades_apply(struct cli *cli)
{
    CLEANUP(upgrades_apply_dispose) struct upgrades_apply apply = {0};
    auto_buf struct buf out = {0};
    struct cli_run run = {0};
    struct err err;
    if (read_amounts(cli, 2, &apply.amounts, &err))
        return bad_usage(cli, &err);
    if (cli_run_open(cli, &run, &err))
        return cli_fail(&err);
    int rc = account_find(run.store.session, cli->words[0], &apply.account_id, &err);
    if (!rc)
        rc = project_lookup(run.store.session, cli->words[1], &apply.project_id, &err);
    if (!rc)
        rc = give(&run, &apply, &err);
    cli_run_close(&run);
    if (rc)
        return cli_fail(&err);
    write_given(&apply, &out);
    return cli_print(&out);
}

// ---- project settings ----

struct settings {
    struct uuid project_id;
    struct upgrade_amounts amounts;
};

static int apply_settings(struct db_session *txn, void *arg, struct err *err)
{
    const struct settings *settings = arg;
    return project_settings_set(txn, &settings->project_id, &settings->amounts, err);
}

int cli_project_settings(struct cli *cli)
{
    struct settings settings;
    auto_buf struct buf out = {0};
    struct cli_run run = {0};
    struct err err;
    if (read_amounts(cli, 1, &settings.amounts, &err))
        return bad_usage(cli, &err);
    if (cli_run_open(cli, &run, &err))
        return cli_fail(&err);
    struct db_session *session = run.store.session;
    int rc = project_lookup(session, cli->words[0], &settings.project_id, &err);
    if (!rc)
        rc = db_write(run.store.db, apply_settings, &settings, &err);
    if (!rc)
        rc = cli_run_quota_changed(&run, &settings.project_id, &err);
    if (!rc)
        rc = project_show(session, &settings.project_id, &out, &err);
    cli_run_close(&run);
    return rc ? cli_fail(&err) : cli_print(&out);
}
