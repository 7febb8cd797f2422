// SPDX-License-Identifier: AGPL-3.0-or-later
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "cli/cli.h"

static const struct cli_option account_create_options[] = {
    {"email", "ADDRESS", "address to sign in with"},
    {"first-name", "NAME", "given name"},
    {"last-name", "NAME", "family name"},
    {"password-file", "FILE",
     "file whose first line is the password; - is standard input; default: one is made up"},
    {"no-password", NULL, "an account that cannot sign in with a password"},
    {"admin", NULL, "an administrator"},
    {0},
};
static const struct cli_option account_list_options[] = {
    {"search", "TEXT", "part of an address or name"}, {0}};
static const struct cli_option account_password_options[] = {
    {"password-file", "FILE",
     "file whose first line is the password; - is standard input; default: one is made up"},
    {0}};
static const struct cli_option key_create_options[] = {
    {"project", "ID", "a key for this project only, for programs in it: API v1 refuses it"},
    {"name", "TEXT", "what it is for"},
    {"expires", "WHEN", "time (2027-01-31, 2027-01-31T12:00:00Z) or from now (30d, 12h)"},
    {0},
};
static const struct cli_option project_list_options[] = {
    {"account", "WHO", "projects of this account only"},
    {"state", "STATE", "opened, starting, running or stopping"},
    {"deleted", NULL, "those that are deleted too"},
    {0}};
static const struct cli_option project_delete_options[] = {
    {"purge", NULL, "remove its record and its files for good"}, {0}};
static const struct cli_option project_invite_token_options[] = {
    {"token", "TEXT", "the token to make or change; default: one is made up"},
    {"expires", "WHEN", "time (2027-01-31, 2027-01-31T12:00:00Z) or from now (30d, 12h)"},
    {"usage-limit", "NUMBER", "of people who can join with it"},
    {0}};
static const struct cli_option license_create_options[] = {
    {"title", "TEXT", "what it is called"},
    {"description", "TEXT", "more about it"},
    {"cpu", "N", "processors; what licenses of one project give adds up"},
    {"memory", "MB", "memory"},
    {"disk", "MB", "disk"},
    {"dedicated-cpu", "N", "processors that are guaranteed, besides"},
    {"dedicated-memory", "MB", "memory that is guaranteed, besides"},
    {"idle-timeout", "S", "seconds before an idle project is stopped"},
    {"network", NULL, "outside network; any of the above brings it too"},
    {"member", NULL, "member hosting"},
    {"always-running", NULL, "never stopped for being idle"},
    {"run-limit", "N", "projects that may run with it at once; default: any number"},
    {"activates", "WHEN", "time (2027-01-31, 2027-01-31T12:00:00Z) or from now (30d, 12h)"},
    {"expires", "WHEN", "likewise; default: never"},
    {"manager", "WHO...", "may look after it; may be repeated"},
    {0},
};
static const struct cli_option registration_token_create_options[] = {
    {"token", "TEXT", "the token to make or change; default: one is made up"},
    {"descr", "TEXT", "what it is for"},
    {"limit", "N", "accounts that can be made with it; default: any number"},
    {"expires", "WHEN", "time (2027-01-31, 2027-01-31T12:00:00Z) or from now (30d, 12h)"},
    {0},
};
static const struct cli_option project_publish_options[] = {
    {"description", "TEXT", "what it is"},
    {"license", "NAME", "under which others may use it"},
    {"unlisted", NULL, "keep it out of the site's list of public paths"},
    {0},
};
static const struct cli_option serve_options[] = {
    {"print-config", NULL, "print every setting and where it came from"}, {0}};
static const struct cli_option ticket_reply_options[] = {
    {"text-file", "FILE", "file with the answer; - is standard input, which is the default"}, {0}};
static const struct cli_option migrate_options[] = {
    {"from", "URL", "the database to copy; default: the configured one"},
    {"to", "URL", "where to: a new database, or what an interrupted run has left"},
    {0}};
static const struct cli_option api_options[] = {
    {"format", "FORMAT", CLI_API_FORMATS "; default: the first"}, {0}};

static int cli_version(struct cli *cli UNUSED)
{
    auto_buf struct buf out = {0};
    buf_append_str(&out, "{\"version\":\"" COHUB_VERSION "\"}");
    return cli_print(&out);
}

static const struct cli_command commands[] = {
    {"serve", "", 0, 0, "run the hub", serve_options, cli_serve},
    {"account create", "", 0, 0, "make an account and an API key for it", account_create_options,
     cli_account_create},
    {"account import", "", 0, 0,
     "make accounts: each line of standard input is a JSON object with email_address, first_name, "
     "last_name, password, admin",
     NULL, cli_account_import},
    {"account list", "", 0, 0, "list accounts", account_list_options, cli_account_list},
    {"account show", "WHO", 1, 1, "show an account", NULL, cli_account_show},
    {"account ban", "WHO", 1, 1, "refuse an account everything", NULL, cli_account_ban},
    {"account unban", "WHO", 1, 1, "lift the ban", NULL, cli_account_unban},
    {"account admin", "WHO on|off", 2, 2, "make an account an administrator, or not", NULL,
     cli_account_admin},
    {"account delete", "WHO", 1, 1, "delete an account", NULL, cli_account_delete},
    {"account password", "WHO", 1, 1, "set an account's password", account_password_options,
     cli_account_password},
    {"key create", "WHO", 1, 1, "make an API key, shown once", key_create_options, cli_key_create},
    {"key list", "WHO", 1, 1, "list an account's API keys", NULL, cli_key_list},
    {"key delete", "KEY_ID", 1, 1, "delete an API key", NULL, cli_key_delete},
    {"registration-token create", "", 0, 0, "make a token that people sign up with",
     registration_token_create_options, cli_registration_token_create},
    {"registration-token list", "", 0, 0, "list registration tokens", NULL,
     cli_registration_token_list},
    {"registration-token delete", "TOKEN", 1, 1, "delete a registration token", NULL,
     cli_registration_token_delete},
    {"setting get", "[NAME]", 0, 1, "print the site's settings, or one", NULL, cli_setting_get},
    {"setting set", "NAME VALUE", 2, 2, "change a setting of the site, also while it runs", NULL,
     cli_setting_set},
    {"project list", "", 0, 0, "list projects", project_list_options, cli_project_list},
    {"project show", "ID", 1, 1, "show a project", NULL, cli_project_show},
    {"project start", "ID", 1, 1, "start a project", NULL, cli_project_start},
    {"project stop", "ID", 1, 1, "stop a project", NULL, cli_project_stop},
    {"project delete", "ID", 1, 1, "stop and delete a project", project_delete_options,
     cli_project_delete},
    {"project undelete", "ID", 1, 1, "bring a project back that was deleted, but not purged", NULL,
     cli_project_undelete},
    {"project publish", "ID PATH", 2, 2, "let anybody read a file or folder of a project",
     project_publish_options, cli_project_publish},
    {"project unpublish", "ID PATH", 2, 2, "end that", NULL, cli_project_unpublish},
    {"project public", "ID", 1, 1, "list what has been made public", NULL, cli_project_public},
    {"project settings", "ID NAME=VALUE...", 2, CLI_VALUES_MAX,
     "base quota of a project; 0: as every project has", NULL, cli_project_settings},
    {"project invite-token", "ID", 1, 1, "make a token that people join a project with",
     project_invite_token_options, cli_project_invite_token},
    {"license create", "", 0, 0, "make a license", license_create_options, cli_license_create},
    {"license list", "", 0, 0, "list licenses", NULL, cli_license_list},
    {"license show", "ID", 1, 1, "show a license", NULL, cli_license_show},
    {"upgrades set", "WHO NAME=VALUE...", 2, CLI_VALUES_MAX,
     "what an account may give to its projects", NULL, cli_upgrades_set},
    {"upgrades apply", "WHO PROJECT NAME=VALUE...", 3, CLI_VALUES_MAX,
     "give upgrades of an account to a project", NULL, cli_upgrades_apply},
    {"ticket list", "", 0, 0, "list support tickets", NULL, cli_ticket_list},
    {"ticket reply", "ID", 1, 1, "answer a support ticket, by mail too", ticket_reply_options,
     cli_ticket_reply},
    {"ticket close", "ID", 1, 1, "close a support ticket", NULL, cli_ticket_close},
    {"mail list", "", 0, 0, "list mail: what waits, what was sent, what is in the maildir", NULL,
     cli_mail_list},
    {"mail show", "ID", 1, 1, "show a message", NULL, cli_mail_show},
    {"api", "", 0, 0, "describe the interface", api_options, cli_api},
    {"migrate", "", 0, 0, "copy all of a database into another", migrate_options, cli_migrate},
    {"doctor", "", 0, 0, "tell what this host can and cannot do", NULL, cli_doctor},
    {"version", "", 0, 0, "tell the version", NULL, cli_version},
};

static const struct cli_option common_options[] = {
    {"data", "DIR", "data folder; default $COHUB_DATA, else ./data"},
    {"config", "FILE", "configuration file; default cohub.conf in the data folder"},
    {"database", "URL",
     "sqlite:PATH or postgresql://USER@HOST/NAME; default hub.sqlite3 in the data folder"},
    {"help", NULL, "this text"},
    {0},
};

// ---- Help ----

// Whether the command's name is two words of which `group` is the first.
static bool in_group(const struct cli_command *command, const char *group)
{
    size_t len = strlen(group);
    return !strncmp(command->name, group, len) && command->name[len] == ' ';
}

static bool is_group(const char *word)
{
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        if (in_group(&commands[i], word))
            return true;
    }
    return false;
}

static void print_options(const struct cli_option *options)
{
    for (; options && options->name; options++) {
        char option[32];
        snprintf(option, sizeof option, "%s %s", options->name,
                 options->value ? options->value : "");
        printf("  --%-22s %s\n", option, options->text);
    }
}

// The commands that begin with the word `group`, or all if there are none.
static int help_all(FILE *out, const char *group)
{
    fputs("usage: cohub COMMAND [options]\n\n", out);
    bool all = !is_group(group);
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        char line[64];
        if (!all && !in_group(&commands[i], group))
            continue;
        snprintf(line, sizeof line, "%s %s", commands[i].name, commands[i].words);
        fprintf(out, "  %-41s %s\n", line, commands[i].text);
    }
    fputs("\ncohub COMMAND --help tells the options of a command. WHO is an account id or an email "
          "address.\n",
          out);
    return out == stdout ? CLI_OK : CLI_USAGE;
}

// What was given instead of a command: nothing, an option, a word, or a group and perhaps a word.
static int no_command(int argc, char **argv)
{
    bool group = argc > 0 && is_group(argv[0]);
    if (argc < 1 || (group && argc == 1))
        return help_all(stderr, argc < 1 ? "" : argv[0]);
    if (group)
        fprintf(stderr,
                "cohub: there is no command \"%s %s\"; cohub %s --help lists the commands\n",
                argv[0], argv[1], argv[0]);
    else if (text_has_prefix(argv[0], "--"))
        fprintf(stderr,
                "cohub: options come behind the command, as in cohub account list --data DIR; "
                "cohub --help lists the commands\n");
    else
        fprintf(stderr, "cohub: there is no command \"%s\"; cohub --help lists the commands\n",
                argv[0]);
    return CLI_USAGE;
}

static int help_command(const struct cli_command *command)
{
    printf("usage: cohub %s%s%s [options]\n\n%s\n\n", command->name, *command->words ? " " : "",
           command->words, command->text);
    if (strstr(command->words, "NAME=VALUE"))
        fputs("NAME is disk_quota, memory or memory_request (MB), cores (processors), cpu_shares "
              "(1/1024 of a\nprocessor), mintime (seconds), or network, member_host, "
              "always_running, ephemeral_state or\nephemeral_disk (0 or 1).\n\n",
              stdout);
    print_options(command->options);
    if (command->run == cli_serve) {
        auto_buf struct buf options = {0};
        config_print_options(&options);
        fputs(buf_cstr(&options), stdout);
    }
    print_options(common_options);
    return CLI_OK;
}

static int usage(const struct cli_command *command, const char *what, const char *which)
{
    fprintf(stderr, "cohub %s: %s%s; see cohub %s --help\n", command->name, what, which,
            command->name);
    return CLI_USAGE;
}

// ---- Options ----

const char *cli_get(const struct cli *cli, const char *option)
{
    for (int i = 0; i < cli->options_count; i++) {
        if (!strcmp(cli->options[i].name, option))
            return cli->options[i].value;
    }
    return NULL;
}

int cli_get_time(const struct cli *cli, const char *option, int64_t *ret_time_ms, struct err *err)
{
    const char *text = cli_get(cli, option);
    return !text || clock_parse(text, ret_time_ms)
               ? 0
               : err_set(err, ERR_INVALID,
                         "--%s is a time like 2027-01-31, 2027-01-31T12:00:00Z or 30d, not %s",
                         option, text);
}

static const struct cli_option *find_option(const struct cli_option *options, const char *name,
                                            size_t len)
{
    for (; options && options->name; options++) {
        if (strlen(options->name) == len && !strncmp(options->name, name, len))
            return options;
    }
    return NULL;
}

// One option at argv[*at]; moves on to the last word used.
static int read_option(struct cli *cli, int argc, char **argv, int *at)
{
    const char *name = argv[*at] + 2;
    size_t len = strcspn(name, "=");
    const struct cli_option *option = find_option(cli->command->options, name, len);
    if (!option)
        option = find_option(common_options, name, len);
    bool is_setting = !option && cli->command->run == cli_serve && config_has_option(name, len);
    if (!option && !is_setting)
        return usage(cli->command, "unknown option ", argv[*at]);
    const char *value = name[len] == '=' ? name + len + 1 : NULL;
    bool wants_value = is_setting || option->value;
    if (wants_value && !value) {
        if (*at + 1 >= argc)
            return usage(cli->command, "a value is missing for ", argv[*at]);
        value = argv[++*at];
    } else if (!wants_value && value) {
        return usage(cli->command, "no value belongs to ", argv[*at]);
    }
    if (is_setting || !strcmp(option->name, "database")) {
        struct err err;
        auto_free char *key = mem_strndup(name, len);
        return config_set_option(&cli->config, key, value, &err)
                   ? usage(cli->command, err.message, "")
                   : CLI_OK;
    }
    bool repeats = option->value && strstr(option->value, "...");
    if (!repeats && cli_get(cli, option->name))
        return usage(cli->command, "given twice: --", option->name);
    if (cli->options_count == CLI_OPTIONS_MAX)
        return usage(cli->command, "too many options", "");
    cli->options[cli->options_count].name = option->name;
    cli->options[cli->options_count++].value = value ? value : "";
    return CLI_OK;
}

static int read_words(struct cli *cli, int argc, char **argv)
{
    bool options = true;
    for (int i = 0; i < argc; i++) {
        if (!utf8_valid(argv[i], strlen(argv[i])))
            return usage(cli->command, "an argument is not valid UTF-8", "");
    }
    for (int i = 0; i < argc; i++) {
        int rc = CLI_OK;
        if (options && !strcmp(argv[i], "--"))
            options = false;
        else if (options && !strncmp(argv[i], "--", 2))
            rc = read_option(cli, argc, argv, &i);
        else if (cli->words_count < cli->command->words_max)
            cli->words[cli->words_count++] = argv[i];
        else
            return usage(cli->command, "unexpected ", argv[i]);
        if (rc)
            return rc;
    }
    if (!cli_get(cli, "help") && cli->words_count < cli->command->words_min)
        return usage(cli->command, "missing ", cli->command->words);
    return CLI_OK;
}

// ---- Configuration ----

// File, then environment; the options were read first and are laid over both.
static int read_config(struct cli *cli, struct err *err)
{
    const char *file = cli_get(cli, "config");
    auto_free char *in_data = mem_printf("%s/cohub.conf", cli->data);
    struct config options = cli->config;
    config_init(&cli->config);
    int rc = config_read_file(&cli->config, file ? file : in_data, err);
    if (rc == -ERR_NOT_FOUND && !file)
        rc = 0;
    if (!rc)
        rc = config_read_environment(&cli->config, err);
    for (int key = 0; key < CONFIG_KEYS; key++) {
        if (options.values[key].source == CONFIG_OPTION) {
            free(cli->config.values[key].text);
            cli->config.values[key] = options.values[key];
        } else {
            free(options.values[key].text);
        }
    }
    return rc;
}

static const struct cli_command *find_command(int argc, char **argv, int *ret_words)
{
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        const char *name = commands[i].name, *space = strchr(name, ' ');
        size_t first = space ? (size_t)(space - name) : strlen(name);
        if (argc < 1 || strlen(argv[0]) != first || strncmp(argv[0], name, first))
            continue;
        if (space && (argc < 2 || strcmp(argv[1], space + 1)))
            continue;
        *ret_words = space ? 2 : 1;
        return &commands[i];
    }
    return NULL;
}

static int run(struct cli *cli)
{
    struct err err;
    const char *data = cli_get(cli, "data");
    if (cli_get(cli, "help"))
        return help_command(cli->command);
    cli->data = data ? data : getenv("COHUB_DATA") ? getenv("COHUB_DATA") : "data";
    if (read_config(cli, &err))
        return cli_fail(&err);
    enum log_level level;
    const bool told = cli->config.values[CONFIG_LOG_LEVEL].source != CONFIG_DEFAULT;
    if (!log_level_parse(config_text(&cli->config, CONFIG_LOG_LEVEL), &level))
        level = LOG_INFO;
    if (!told && cli->command->run != cli_serve)
        level = LOG_WARNING;
    log_init(level, !strcmp(config_text(&cli->config, CONFIG_LOG_FORMAT), "json"));
    return cli->command->run(cli);
}

int main(int argc, char **argv)
{
    static struct cli cli;
    int words = 0;
    const char *first = argc > 1 ? argv[1] : "";
    if (argc == 2 && (!strcmp(first, "--help") || !strcmp(first, "help")))
        return help_all(stdout, "");
    if (argc == 2 && !strcmp(first, "--version"))
        return cli_version(NULL);
    if (argc > 2 && is_group(first) && !strcmp(argv[2], "--help"))
        return help_all(stdout, first);
    cli.command = find_command(argc - 1, argv + 1, &words);
    if (!cli.command)
        return no_command(argc - 1, argv + 1);
    config_init(&cli.config);
    int rc = read_words(&cli, argc - 1 - words, argv + 1 + words);
    if (!rc)
        rc = run(&cli);
    config_dispose(&cli.config);
    return rc;
}
