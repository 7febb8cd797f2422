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

// Makes the account and appends what there is to know of it; the password if it was made up.
static int create(struct cli_store *store, struct account_create *c, bool generated,
                  struct buf *out, struct err *err)
{
    c->get_api_key = true;
    int rc = account_create_now(&store->svc, c);
    if (rc || account_refused(&c->refusal)) {
        *err = c->err;
        return rc ? rc : refused(&c->refusal, err);
    }
    json_begin_object(out);
    json_member_str(out, "account_id", c->account_id.text);
    json_member_str(out, "email_address", c->email);
    if (generated)
        json_member_str(out, "password", c->password);
    json_member_str(out, "api_key", c->api_key);
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
    struct account_create c = {
        .first_name = cli_get(cli, "first-name"),
        .last_name = cli_get(cli, "last-name"),
        .email_address = email,
        .password = wanted ? password : NULL,
        .admin = cli_get(cli, "admin"),
    };
    int rc = create(&store, &c, generated, &out, &err);
    cli_store_close(&store);
    return rc ? cli_fail(&err) : cli_print(&out);
}

// ---- Many: a JSON object a line of standard input, a line of standard output for each ----

#define IMPORT_DEPTH_MAX 2

struct person {
    struct account_create create;              // its strings are the line's
    char password[GENERATED_PASSWORD_LEN + 1]; // if it is made up
    bool generated;
};

static int read_text(const cJSON *member, const char **ret_text, struct err *err)
{
    if (!cJSON_IsString(member))
        return err_set(err, ERR_INVALID, "%s must be a string", member->string);
    *ret_text = member->valuestring;
    return 0;
}

static int read_member(const cJSON *member, struct account_create *c, struct err *err)
{
    const struct {
        const char *name, **text;
    } texts[] = {{"email_address", &c->email_address},
                 {"first_name", &c->first_name},
                 {"last_name", &c->last_name},
                 {"password", &c->password}};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        if (!strcmp(member->string, texts[i].name))
            return cJSON_IsNull(member) ? 0 : read_text(member, texts[i].text, err);
    }
    if (strcmp(member->string, "admin"))
        return err_set(err, ERR_INVALID, "there is no member %.100s", member->string);
    if (!cJSON_IsBool(member))
        return err_set(err, ERR_INVALID, "admin must be true or false");
    c->admin = cJSON_IsTrue(member);
    return 0;
}

// Without a password one is made up; null is none.
static int read_person(const cJSON *line, struct person *person, struct err *err)
{
    struct account_create *c = &person->create;
    if (!cJSON_IsObject(line))
        return err_set(err, ERR_INVALID, "a line must be a JSON object");
    for (const cJSON *member = line->child; member; member = member->next) {
        int rc = read_member(member, c, err);
        if (rc)
            return rc;
    }
    if (!c->email_address || !c->email_address[0])
        return err_set(err, ERR_INVALID, "email_address is missing");
    person->generated = !json_get(line, "password");
    if (person->generated) {
        token_random(person->password, GENERATED_PASSWORD_LEN);
        c->password = person->password;
    }
    const char *problem = c->password ? password_problem(c->password) : NULL;
    return problem ? err_set(err, ERR_INVALID, "%s", problem) : 0;
}

static void append_failure(const struct person *person, const struct err *err, struct buf *out)
{
    auto_free char *text =
        mem_printf("%s%s%s", err->message, err->detail[0] ? ": " : "", err->detail);
    json_begin_object(out);
    if (person->create.email_address)
        json_member_str(out, "email_address", person->create.email_address);
    json_member_str(out, "error", text);
    json_end_object(out);
}

static int import_line(struct cli_store *store, const char *text, size_t size)
{
    auto_json cJSON *line = NULL;
    struct person person = {0};
    auto_buf struct buf out = {0};
    struct err err;
    int rc = json_parse(text, size, IMPORT_DEPTH_MAX, &line, &err);
    if (!rc)
        rc = read_person(line, &person, &err);
    if (!rc)
        rc = create(store, &person.create, person.generated, &out, &err);
    if (rc)
        append_failure(&person, &err, &out);
    int printed = cli_print(&out);
    return rc ? CLI_FAILED : printed;
}

int cli_account_import(struct cli *cli)
{
    auto_free char *line = NULL;
    size_t capacity = 0;
    struct cli_store store;
    struct err err;
    if (cli_store_open(cli, true, &store, &err))
        return cli_fail(&err);
    int result = CLI_OK;
    ssize_t size;
    while ((size = getline(&line, &capacity, stdin)) >= 0) {
        if ((size_t)size != strspn(line, " \t\r\n") && import_line(&store, line, (size_t)size))
            result = CLI_FAILED;
    }
    cli_store_close(&store);
    return result;
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
