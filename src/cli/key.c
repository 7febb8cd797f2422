// SPDX-License-Identifier: AGPL-3.0-or-later
// cohub key …
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "cli/cli.h"
#include "svc/accounts.h"
#include "svc/keys.h"

struct key_change {
    const struct secret *secret;
    struct uuid account_id, project_id;
    struct key_options options;
    int64_t id;
    char key[KEY_TEXT_SIZE];
};

static int apply_create(struct db_session *txn, void *arg, struct err *err)
{
    struct key_change *change = arg;
    return key_v2_create(txn, change->secret, &change->account_id, &change->options, &change->id,
                         change->key, err);
}

static int read_key_options(const struct cli *cli, struct key_change *change, struct err *err)
{
    const char *project = cli_get(cli, "project"), *name = cli_get(cli, "name");
    if (project && !uuid_parse(project, strlen(project), &change->project_id))
        return err_set(err, ERR_INVALID, "%s is no project id", project);
    change->options.name = name;
    change->options.project_id = project ? &change->project_id : NULL;
    return cli_get_time(cli, "expires", &change->options.expires_ms, err);
}

static void write_key(const struct key_change *change, struct buf *out)
{
    json_begin_object(out);
    json_member_int(out, "id", change->id);
    json_member_str(out, "account_id", change->account_id.text);
    if (change->options.project_id)
        json_member_str(out, "project_id", change->project_id.text);
    json_key(out, "name");
    if (change->options.name)
        json_str(out, change->options.name);
    else
        json_null(out);
    if (change->options.expires_ms)
        json_member_time(out, "expire", change->options.expires_ms);
    json_member_str(out, "api_key", change->key);
    json_end_object(out);
}

int cli_key_create(struct cli *cli)
{
    struct key_change change = {0};
    auto_buf struct buf out = {0};
    struct cli_store store;
    struct err err;
    if (read_key_options(cli, &change, &err) || cli_store_open(cli, false, &store, &err))
        return cli_fail(&err);
    change.secret = &store.svc.secret;
    int rc = account_find(store.session, cli->words[0], &change.account_id, &err);
    if (!rc)
        rc = db_write(store.db, apply_create, &change, &err);
    cli_store_close(&store);
    if (rc)
        return cli_fail(&err);
    write_key(&change, &out);
    return cli_print(&out);
}

static int write_list(struct cli *cli, struct cli_store *store, struct buf *out, struct err *err)
{
    struct uuid account_id;
    int rc = account_find(store->session, cli->words[0], &account_id, err);
    return rc ? rc : key_list(store->session, &account_id, out, err);
}

int cli_key_list(struct cli *cli)
{
    return cli_show(cli, write_list);
}

static int apply_delete(struct db_session *txn, void *arg, struct err *err)
{
    return key_delete(txn, *(const int64_t *)arg, err);
}

int cli_key_delete(struct cli *cli)
{
    auto_buf struct buf out = {0};
    struct cli_store store;
    struct err err;
    int64_t id;
    if (!text_parse_int64(cli->words[0], 1, INT64_MAX, &id)) {
        err_set(&err, ERR_INVALID, "%s is no key id", cli->words[0]);
        return cli_fail(&err);
    }
    if (cli_store_open(cli, false, &store, &err))
        return cli_fail(&err);
    int rc = db_write(store.db, apply_delete, &id, &err);
    cli_store_close(&store);
    if (rc)
        return cli_fail(&err);
    json_begin_object(&out);
    json_member_int(&out, "deleted", id);
    json_end_object(&out);
    return cli_print(&out);
}
