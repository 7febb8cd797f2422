// SPDX-License-Identifier: AGPL-3.0-or-later
// cohub registration-token …
#include "base/json.h"
#include "base/text.h"
#include "cli/cli.h"
#include "svc/registration_tokens.h"

#define TOKEN_LEN 24 // of one that is made up

static int apply_set(struct db_session *txn, void *arg, struct err *err)
{
    return registration_token_set(txn, arg, err);
}

static int read_options(const struct cli *cli, struct registration_token *token, struct err *err)
{
    const char *limit = cli_get(cli, "limit");
    if (limit && !text_parse_int64(limit, 1, INT32_MAX, &token->limit))
        return err_set(err, ERR_INVALID, "--limit is a number of accounts, not %s", limit);
    return cli_get_time(cli, "expires", &token->expires_ms, err);
}

int cli_registration_token_create(struct cli *cli)
{
    char made_up[TOKEN_LEN + 1];
    const char *given = cli_get(cli, "token");
    struct registration_token token = {
        .token = given ? given : made_up, .descr = cli_get(cli, "descr"), .limit = -1};
    auto_buf struct buf out = {0};
    struct cli_store store;
    struct err err;
    token_random(made_up, TOKEN_LEN);
    if (read_options(cli, &token, &err) || cli_store_open(cli, false, &store, &err))
        return cli_fail(&err);
    int rc = db_write(store.db, apply_set, &token, &err);
    if (!rc)
        rc = registration_token_show(store.session, token.token, &out, &err);
    cli_store_close(&store);
    return rc ? cli_fail(&err) : cli_print(&out);
}

static int write_list(struct cli *cli UNUSED, struct cli_store *store, struct buf *out,
                      struct err *err)
{
    return registration_token_list(store->session, out, err);
}

int cli_registration_token_list(struct cli *cli)
{
    return cli_show(cli, write_list);
}

static int apply_delete(struct db_session *txn, void *arg, struct err *err)
{
    return registration_token_delete(txn, *(const char *const *)arg, err);
}

int cli_registration_token_delete(struct cli *cli)
{
    auto_buf struct buf out = {0};
    struct cli_store store;
    struct err err;
    if (cli_store_open(cli, false, &store, &err))
        return cli_fail(&err);
    int rc = db_write(store.db, apply_delete, &cli->words[0], &err);
    cli_store_close(&store);
    if (rc)
        return cli_fail(&err);
    json_begin_object(&out);
    json_member_str(&out, "deleted", cli->words[0]);
    json_end_object(&out);
    return cli_print(&out);
}
