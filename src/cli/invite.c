// SPDX-License-Identifier: AGPL-3.0-or-later
// cohub project invite-token

#include "base/clock.h"
#include "base/text.h"
#include "cli/cli.h"
#include "svc/collaborators.h"
#include "svc/project.h"

#define TOKEN_LEN 24 // of one that is made up

static int apply_token(struct db_session *txn, void *arg, struct err *err)
{
    return project_invite_token_set(txn, arg, err);
}

static int read_options(const struct cli *cli, struct project_invite_token *token, struct err *err)
{
    const char *limit = cli_get(cli, "usage-limit");
    token->expires_given = cli_get(cli, "expires");
    token->usage_limit_given = limit;
    if (limit && !text_parse_int64(limit, 0, INT32_MAX, &token->usage_limit))
        return err_set(err, ERR_INVALID, "--usage-limit is a number of people, not %s", limit);
    return cli_get_time(cli, "expires", &token->expires, err);
}

static int set_token(struct cli_store *store, const char *project_id,
                     struct project_invite_token *token, struct buf *out, struct err *err)
{
    auto_buf struct buf known = {0};
    token->created_given = project_invite_token_show(store->session, token->token, &known, err);
    int rc = project_lookup(store->session, project_id, &token->project_id, err);
    if (!rc)
        rc = db_write(store->db, apply_token, token, err);
    return rc ? rc : project_invite_token_show(store->session, token->token, out, err);
}

int cli_project_invite_token(struct cli *cli)
{
    char made_up[TOKEN_LEN + 1];
    const char *given = cli_get(cli, "token");
    struct project_invite_token token = {.token = given ? given : made_up,
                                         .created = clock_now_ms()};
    auto_buf struct buf out = {0};
    struct cli_store store;
    struct err err;
    token_random(made_up, TOKEN_LEN);
    if (read_options(cli, &token, &err) || cli_store_open(cli, false, &store, &err))
        return cli_fail(&err);
    int rc = set_token(&store, cli->words[0], &token, &out, &err);
    cli_store_close(&store);
    return rc ? cli_fail(&err) : cli_print(&out);
}
