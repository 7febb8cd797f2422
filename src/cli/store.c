// SPDX-License-Identifier: AGPL-3.0-or-later
// What the commands share.
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/text.h"
#include "cli/cli.h"
#include "server/site.h"
#include "svc/settings.h"

int cli_fail(const struct err *err)
{
    size_t size = strlen(err->message);
    const char *between = size > 0 && err->message[size - 1] == '.' ? " " : ": ";
    fprintf(stderr, "cohub: %s%s%s\n", err->message, err->detail[0] ? between : "", err->detail);
    return CLI_FAILED;
}

int cli_print(struct buf *json)
{
    buf_append_char(json, '\n');
    bool written = fwrite(json->data, 1, json->size, stdout) == json->size && !fflush(stdout);
    return written ? CLI_OK : CLI_FAILED;
}

void cli_settle_database(struct cli *cli)
{
    char cwd[PATH_MAX];
    struct err err;
    const char *url = config_text(&cli->config, CONFIG_DATABASE_URL);
    if (url[0] && (!text_has_prefix(url, "sqlite:") || url[7] == '/' || !getcwd(cwd, sizeof cwd)))
        return;
    auto_free char *settled =
        url[0] ? mem_printf("sqlite:%s/%s", cwd, url + 7) : mem_strdup(DATA_DATABASE);
    int rc = config_set_option(&cli->config, "database", settled, &err);
    assert(rc == 0);
}

// Side by side; as in a build folder; as installed.
static char *find_program(const char *const places[], size_t count)
{
    char self[PATH_MAX];
    ssize_t size = readlink("/proc/self/exe", self, sizeof self - 1);
    if (size <= 0)
        return NULL;
    self[size] = '\0';
    *strrchr(self, '/') = '\0';
    for (size_t i = 0; i < count; i++) {
        char *path = mem_printf("%s/%s", self, places[i]);
        if (!access(path, X_OK))
            return path;
        free(path);
    }
    return NULL;
}

char *cli_agent_path(void)
{
    static const char *const places[] = {"cohub-agent", "../agent/cohub-agent",
                                         "../libexec/cohub/cohub-agent"};
    return find_program(places, ARRAY_LEN(places));
}

char *cli_kernel_path(void)
{
    static const char *const places[] = {"cohub-jupyter", "../jupyter/cohub-jupyter",
                                         "../libexec/cohub/cohub-jupyter"};
    return find_program(places, ARRAY_LEN(places));
}

int cli_store_enter(struct cli *cli, bool create, struct cli_store *store, struct err *err)
{
    *store = (struct cli_store){0};
    cli_settle_database(cli);
    return data_enter(cli->data, create, config_text(&cli->config, CONFIG_SERVER_USER),
                      &store->owner, err);
}

int cli_store_begin(struct cli *cli, struct cli_store *store, struct err *err)
{
    const struct config *c = &cli->config;
    struct site site;
    int rc = data_drop_privileges(&store->owner, err);
    if (!rc)
        rc = data_make_folders(err);
    if (!rc)
        rc = data_check_database(config_text(c, CONFIG_DATABASE_URL), err);
    if (!rc)
        rc = site_configure(c, &site, err);
    if (!rc)
        rc = db_open(config_text(c, CONFIG_DATABASE_URL), &store->db, err);
    if (!rc)
        rc = db_session_open(store->db, &store->session, err);
    if (!rc)
        rc = svc_init(&store->svc, store->db, &site, err);
    return rc ? rc : settings_load(&store->svc, store->session, err);
}

int cli_store_open(struct cli *cli, bool create, struct cli_store *ret_store, struct err *err)
{
    int rc = cli_store_enter(cli, create, ret_store, err);
    return rc ? rc : cli_store_begin(cli, ret_store, err);
}

void cli_store_close(struct cli_store *store)
{
    svc_dispose(&store->svc);
    db_session_close(store->session);
    db_close(store->db);
}

int cli_show(struct cli *cli, int (*write)(struct cli *cli, struct cli_store *store,
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
