// SPDX-License-Identifier: AGPL-3.0-or-later
// cohub project publish, unpublish, public.

#include "cli/cli.h"
#include "svc/project.h"
#include "svc/public_paths.h"

static int apply_set(struct db_session *txn, void *arg, struct err *err)
{
    return public_path_set(txn, arg, err);
}

static int apply_disable(struct db_session *txn, void *arg, struct err *err)
{
    const struct public_path *path = arg;
    return public_path_disable(txn, &path->project_id, path->path, err);
}

// Does something to one path of a project, then shows it.
static int change_and_show(struct cli *cli, db_txn_fn *change)
{
    auto_buf struct buf out = {0};
    struct cli_store store;
    struct err err;
    struct public_path path = {
        .path = cli->words[1],
        .description = cli_get(cli, "description"),
        .license = cli_get(cli, "license"),
        .unlisted = cli_get(cli, "unlisted"),
    };
    if (cli_store_open(cli, false, &store, &err))
        return cli_fail(&err);
    int rc = project_lookup(store.session, cli->words[0], &path.project_id, &err);
    if (!rc)
        rc = db_write(store.db, change, &path, &err);
    if (!rc)
        rc = public_path_show(store.session, &path.project_id, path.path, &out, &err);
    cli_store_close(&store);
    return rc ? cli_fail(&err) : cli_print(&out);
}

int cli_project_publish(struct cli *cli)
{
    return change_and_show(cli, apply_set);
}

int cli_project_unpublish(struct cli *cli)
{
    return change_and_show(cli, apply_disable);
}

static int write_list(struct cli *cli, struct cli_store *store, struct buf *out, struct err *err)
{
    struct uuid project_id;
    int rc = project_lookup(store->session, cli->words[0], &project_id, err);
    return rc ? rc : public_path_list(store->session, &project_id, out, err);
}

int cli_project_public(struct cli *cli)
{
    return cli_show(cli, write_list);
}
