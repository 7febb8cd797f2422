// SPDX-License-Identifier: AGPL-3.0-or-later
// cohub account …
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "svc/accounts.h"
#include "svc/passwords.h"

#define GENERATED_PASSWORD_LEN 20
#define PASSWORD_LINE_MAX      1024

// The first line of the file, or a password made up; *ret_generated tells which. Before the working
// directory changes.
static int read_password(const struct cli *cli, char out[PASSWORD_LINE_MAX], bool *ret_generated,
                         struct err *err)
{
    const char *path = cli_get(cli, "password-file");
    *ret_generated = !path;
    if (!path) {
        token_random(out, GENERATED_PASSWORD_LEN);
        return 0;
    }
    FILE *file = strcmp(path, "-") ? fopen(path, "re") : stdin;
    if (!file || !fgets(out, PASSWORD_LINE_MAX, file)) {
        if (file && file != stdin)
            fclose(file);
        return err_set(err, ERR_INVALID, "no password can be read from %s", path);
    }
    if (file != stdin)
        fclose(file);
    out[strcspn(out, "\r\n")] = '\0';
    const char *problem = password_problem(out);
    return problem ? err_set(err, ERR_INVALID, "%s", problem) : 0;
}

static int refused(const struct account_refusal *refusal, struct err *err)
{
    const char *why = refusal->email_address ? refusal->email_address
                      : refusal->password    ? refusal->password
                      : refusal->token       ? refusal->token
                                             : refusal->other;
    return err_set(err, ERR_INVALID, "%s", why);
}

static int create(struct cli *cli, struct cli_store *store, const char *password, bool generated,
                  struct buf *out, struct err *err)
{
    struct account_create c = {
        .first_name = cli_get(cli, "first-name"),
        .last_name = cli_get(cli, "last-name"),
        .email_address = cli_get(cli, "email"),
        .password = password,
        .get_api_key = true,
        .admin = cli_get(cli, "admin"),
    };
    int rc = account_create_now(&store->svc, &c);
    if (rc || account_refused(&c.refusal)) {
        *err = c.err;
        return rc ? rc : refused(&c.refusal, err);
    }
    json_begin_object(out);
    json_member_str(out, "account_id", c.account_id.text);
    json_member_str(out, "email_address", c.email);
    if (password && generated)
        json_member_str(out, "password", password);
    json_member_str(out, "api_key", c.api_key);
    json_end_object(out);
    return 0;
}

int cli_account_create(struct cli *cli)
{
    char password[PASSWORD_LINE_MAX];
    bool generated = false, wanted = !cli_get(cli, "no-password");
    auto_buf struct buf out = {0};
    struct cli_store store;
    struct err err;
    const char *email = cli_get(cli, "email");
    if (!email || !*email) {
        fputs("cohub account create: --email is missing\n", stderr);
        return CLI_USAGE;
    }
    if (!wanted && cli_get(cli, "password-file")) {
        fputs("cohub account create: --password-file or --no-password, not both\n", stderr);
        return CLI_USAGE;
    }
    if (wanted && read_password(cli, password, &generated, &err))
        return cli_fail(&err);
    if (cli_store_open(cli, true, &store, &err))
        return cli_fail(&err);
    int rc = create(cli, &store, wanted ? password : NULL, generated, &out, &err);
    cli_store_close(&store);
    return rc ? cli_fail(&err) : cli_print(&out);
}

static int write_list(struct cli *cli, struct cli_store *store, struct buf *out, struct err *err)
{
    return account_list(store->session, cli_get(cli, "search"), out, err);
}

int cli_account_list(struct cli *cli)
{
    return cli_show(cli, write_list);
}

// ---- Changes of one account: done in a transaction, then the account is shown ----

struct account_change {
    struct uuid account_id;
    int (*apply)(struct db_session *txn, const struct uuid *account_id, bool on, struct err *err);
    bool on;
};

static int apply_change(struct db_session *txn, void *arg, struct err *err)
{
    const struct account_change *change = arg;
    return change->apply(txn, &change->account_id, change->on, err);
}

static int change_and_show(struct cli *cli, struct account_change *change)
{
    auto_buf struct buf out = {0};
    struct cli_store store;
    struct err err;
    if (cli_store_open(cli, false, &store, &err))
        return cli_fail(&err);
    int rc = account_find(store.session, cli->words[0], &change->account_id, &err);
    if (!rc && change->apply)
        rc = db_write(store.db, apply_change, change, &err);
    if (!rc)
        rc = account_show(store.session, &change->account_id, &out, &err);
    cli_store_close(&store);
    return rc ? cli_fail(&err) : cli_print(&out);
}

int cli_account_show(struct cli *cli)
{
    return change_and_show(cli, &(struct account_change){0});
}

int cli_account_ban(struct cli *cli)
{
    return change_and_show(cli, &(struct account_change){.apply = account_ban, .on = true});
}

int cli_account_unban(struct cli *cli)
{
    return change_and_show(cli, &(struct account_change){.apply = account_ban, .on = false});
}

int cli_account_admin(struct cli *cli)
{
    bool on = !strcmp(cli->words[1], "on");
    if (!on && strcmp(cli->words[1], "off")) {
        fprintf(stderr, "cohub account admin: WHO on|off, not %s\n", cli->words[1]);
        return CLI_USAGE;
    }
    return change_and_show(cli, &(struct account_change){.apply = account_admin, .on = on});
}

static int apply_delete(struct db_session *txn, const struct uuid *account_id, bool on UNUSED,
                        struct err *err)
{
    return account_delete(txn, account_id, err);
}

int cli_account_delete(struct cli *cli)
{
    return change_and_show(cli, &(struct account_change){.apply = apply_delete});
}

struct password_change {
    struct uuid account_id;
    char hash[PASSWORD_HASH_SIZE];
};

static int apply_password(struct db_session *txn, void *arg, struct err *err)
{
    const struct password_change *change = arg;
    return account_password_set(txn, &change->account_id, change->hash, err);
}

int cli_account_password(struct cli *cli)
{
    char password[PASSWORD_LINE_MAX];
    bool generated;
    struct password_change change;
    auto_buf struct buf out = {0};
    struct cli_store store;
    struct err err;
    if (read_password(cli, password, &generated, &err) || cli_store_open(cli, false, &store, &err))
        return cli_fail(&err);
    int rc = account_find(store.session, cli->words[0], &change.account_id, &err);
    if (!rc)
        rc = password_hash(password, change.hash, &err);
    if (!rc)
        rc = db_write(store.db, apply_password, &change, &err);
    cli_store_close(&store);
    if (rc)
        return cli_fail(&err);
    json_begin_object(&out);
    json_member_str(&out, "account_id", change.account_id.text);
    if (generated)
        json_member_str(&out, "password", password);
    json_end_object(&out);
    return cli_print(&out);
}
