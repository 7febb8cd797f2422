// SPDX-License-Identifier: AGPL-3.0-or-later
// cohub mail …
#include "svc/mail.h"
#include "cli/cli.h"

static int show(struct cli *cli, int (*write)(struct cli *cli, struct cli_store *store,
                                              struct buf *out, struct err *err))
{
    auto_buf struct buf out = {0};
    struct cli_store store;
    struct err err;
    if (cli_store_open(cli, false, &store, &err))
        return cli_fail(&err);
    int rc = write(cli, &store, &out, &err);
    cli_store_close(&store);
    return rc ? cli_fail(&err) : cli_print(&out);
}

static int write_list(struct cli *cli UNUSED, struct cli_store *store, struct buf *out,
                      struct err *err)
{
    return mail_list(store->session, out, err);
}

static int write_one(struct cli *cli, struct cli_store *store, struct buf *out, struct err *err)
{
    return mail_show(store->session, cli->words[0], out, err);
}

int cli_mail_list(struct cli *cli)
{
    return show(cli, write_list);
}

int cli_mail_show(struct cli *cli)
{
    return show(cli, write_one);
}
