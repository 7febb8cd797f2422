// SPDX-License-Identifier: AGPL-3.0-or-later
// The command line: a table of commands, what each is given, and what they share.
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include "base/buf.h"
#include "base/err.h"
#include "base/uuid.h"
#include "server/config.h"
#include "server/data.h"
#include "svc/svc.h"

#define CLI_OPTIONS_MAX 24
#define CLI_VALUES_MAX  16

enum { CLI_OK = 0, CLI_FAILED = 1, CLI_USAGE = 2 };

// What a command was given.
struct cli {
    const struct cli_command *command;
    struct config config;
    const char *data;                  // the folder
    const char *words[CLI_VALUES_MAX]; // what is no option
    int words_count;
    struct {
        const char *name, *value;
    } options[CLI_OPTIONS_MAX];
    int options_count;
};

struct cli_option {
    const char *name;
    const char *value; // what help calls its value; NULL: it has none; "X...": it may be repeated
    const char *text;
};

struct cli_command {
    const char *name;  // "account create"
    const char *words; // for the usage line: "WHO [NAME]"
    int words_min, words_max;
    const char *text;
    const struct cli_option *options; // ends with one without a name; NULL: none of its own
    int (*run)(struct cli *cli);      // returns the exit status
};

// The value of an option, "" for one without, NULL if it was not given. Of one that repeats, the
// first.
const char *cli_get(const struct cli *cli, const char *option);
// The time that an option gives; nothing is set if it was not given. ERR_INVALID.
int cli_get_time(const struct cli *cli, const char *option, int64_t *ret_time_ms,
                 struct err *err) MUST_USE;

// Says what is wrong on standard error and returns CLI_FAILED.
int cli_fail(const struct err *err);
// Writes one line of JSON to standard output and returns CLI_OK.
int cli_print(struct buf *json);

// The data folder entered, root given up, the store open.
struct cli_store {
    struct data_owner owner;
    bool absent; // there is no data folder; cohub doctor goes on then
    struct db *db;
    struct db_session *session;
    struct svc svc;
};
// `create`: a data folder that is not there is made. ERR_NOT_FOUND otherwise.
int cli_store_open(struct cli *cli, bool create, struct cli_store *ret_store,
                   struct err *err) MUST_USE;
// The two halves of it, for commands that fork a runner in between, while the process is root and
// has no threads.
int cli_store_enter(struct cli *cli, bool create, struct cli_store *store,
                    struct err *err) MUST_USE;
int cli_store_begin(struct cli *cli, struct cli_store *store, struct err *err) MUST_USE;
void cli_store_close(struct cli_store *store);
// A command that only tells something: opens the store, has `write` append the JSON, prints it.
int cli_show(struct cli *cli, int (*write)(struct cli *cli, struct cli_store *store,
                                           struct buf *out, struct err *err));
// Sets database.url to the default or makes its path absolute; before the working directory
// changes.
void cli_settle_database(struct cli *cli);
// The path of the agent's binary, found beside this program. Heap; NULL if it is not there.
char *cli_agent_path(void);
// The same of the kernel bridge's.
char *cli_kernel_path(void);

// What `cohub api --format` takes; the first is the default.
#define CLI_API_FORMATS "api.json, rpc.json, openapi or markdown"

int cli_serve(struct cli *cli);
int cli_account_create(struct cli *cli);
int cli_account_import(struct cli *cli);
int cli_account_list(struct cli *cli);
int cli_account_show(struct cli *cli);
int cli_account_ban(struct cli *cli);
int cli_account_unban(struct cli *cli);
int cli_account_admin(struct cli *cli);
int cli_account_delete(struct cli *cli);
int cli_account_password(struct cli *cli);
int cli_key_create(struct cli *cli);
int cli_key_list(struct cli *cli);
int cli_key_delete(struct cli *cli);
int cli_project_list(struct cli *cli);
int cli_project_show(struct cli *cli);
int cli_project_start(struct cli *cli);
int cli_project_stop(struct cli *cli);
int cli_project_delete(struct cli *cli);
int cli_project_undelete(struct cli *cli);
int cli_project_publish(struct cli *cli);
int cli_project_unpublish(struct cli *cli);
int cli_project_public(struct cli *cli);
int cli_project_settings(struct cli *cli);
int cli_license_create(struct cli *cli);
int cli_license_list(struct cli *cli);
int cli_license_show(struct cli *cli);
int cli_upgrades_set(struct cli *cli);
int cli_upgrades_apply(struct cli *cli);
int cli_project_invite_token(struct cli *cli);
int cli_registration_token_create(struct cli *cli);
int cli_registration_token_list(struct cli *cli);
int cli_registration_token_delete(struct cli *cli);
int cli_setting_get(struct cli *cli);
int cli_setting_set(struct cli *cli);
int cli_ticket_list(struct cli *cli);
int cli_ticket_reply(struct cli *cli);
int cli_ticket_close(struct cli *cli);
int cli_mail_list(struct cli *cli);
int cli_mail_show(struct cli *cli);
int cli_api(struct cli *cli);
int cli_doctor(struct cli *cli);
int cli_migrate(struct cli *cli);

#endif
