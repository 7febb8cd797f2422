// SPDX-License-Identifier: AGPL-3.0-or-later
// cohub setting …
#include "cli/cli.h"
#include "svc/settings.h"

static int check_known(const char *name, struct err *err)
{
    return setting_known(name) ? 0
                               : err_set(err, ERR_NOT_FOUND, "there is no setting %.200s", name);
}

static int write_settings(struct cli *cli, struct cli_store *store, struct buf *out,
                          struct err *err)
{
    const char *name = cli->words_count ? cli->words[0] : NULL;
    int rc = name ? check_known(name, err) : 0;
    return rc ? rc : settings_show(store->session, name, out, err);
}

int cli_setting_get(struct cli *cli)
{
    return cli_show(cli, write_settings);
}

static int apply_set(struct db_session *txn, void *arg, struct err *err)
{
    const struct cli *cli = arg;
    return setting_set(txn, cli->words[0], cli->words[1], err);
}

static int set(struct cli *cli, struct cli_store *store, struct buf *out, struct err *err)
{
    int rc = check_known(cli->words[0], err);
    if (!rc)
        rc = setting_check(&store->svc, cli->words[0], cli->words[1], err);
    if (!rc)
        rc = db_write(store->db, apply_set, cli, err);
    return rc ? rc : settings_show(store->session, cli->words[0], out, err);
}

int cli_setting_set(struct cli *cli)
{
    return cli_show(cli, set);
}
