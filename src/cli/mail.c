// SPDX-License-Identifier: AGPL-3.0-or-later
// cohub mail …
#include "svc/mail.h"
#include "cli/cli.h"

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
    return cli_show(cli, write_list);
}

int cli_mail_show(struct cli *cli)
{
    return cli_show(cli, write_one);
}
