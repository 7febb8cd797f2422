// SPDX-License-Identifier: AGPL-3.0-or-later
// cohub serve
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/fsuid.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "server/serve.h"
#include "server/site.h"

#define PEM_SIZE_MAX ((size_t)1024 * 1024)

// What the configuration file names is opened with the rights of whom that file belongs to: in a
// data folder that is the hub's user, who must not choose what root reads.
static int open_pem(const struct config *config, enum config_key key)
{
    const bool as_owner = config->values[key].source == CONFIG_FILE && geteuid() == 0;
    if (as_owner) {
        setfsgid(config->file_gid);
        setfsuid(config->file_uid);
    }
    const int fd = open(config_text(config, key), O_RDONLY | O_CLOEXEC);
    const int error = errno;
    if (as_owner) {
        setfsuid(0);
        setfsgid(getegid());
    }
    errno = error;
    return fd;
}

static int read_pem(const struct config *config, enum config_key key, char **ret_text,
                    struct err *err)
{
    const char *path = config_text(config, key);
    auto_buf struct buf text = {0};
    auto_fd int fd = open_pem(config, key);
    int rc = fd < 0 ? -errno : fd_read_all(fd, PEM_SIZE_MAX, &text);
    if (rc)
        return err_set_errno(err, ERR_INVALID, -rc, "%s: %s", path, strerror(-rc));
    buf_cstr(&text);
    *ret_text = buf_take(&text, &(size_t){0});
    return 0;
}

static int read_tls(struct serve *serve, struct err *err)
{
    const char *cert = config_text(serve->config, CONFIG_HTTP_TLS_CERT);
    const char *key = config_text(serve->config, CONFIG_HTTP_TLS_KEY);
    if (!*cert && !*key)
        return 0;
    if (!*cert || !*key)
        return err_set(err, ERR_INVALID, "TLS needs both a certificate and a key");
    int rc = read_pem(serve->config, CONFIG_HTTP_TLS_CERT, &serve->tls_cert_pem, err);
    return rc ? rc : read_pem(serve->config, CONFIG_HTTP_TLS_KEY, &serve->tls_key_pem, err);
}

// Carries on until `each` fails.
static int for_each_listener(struct serve *serve,
                             int (*each)(struct serve *serve, const char *address, struct err *err),
                             struct err *err)
{
    auto_free char *addresses = mem_strdup(config_text(serve->config, CONFIG_HTTP_LISTEN));
    char *save = NULL;
    unsigned count = 0;
    for (char *word = strtok_r(addresses, " ,", &save); word; word = strtok_r(NULL, " ,", &save)) {
        if (count++ == SERVE_LISTENERS_MAX)
            return err_set(err, ERR_INVALID, "more than %d listeners", SERVE_LISTENERS_MAX);
        int rc = each(serve, word, err);
        if (rc)
            return rc;
    }
    return count ? 0 : err_set(err, ERR_INVALID, "nothing to listen on");
}

static int check_address(struct serve *serve UNUSED, const char *address, struct err *err)
{
    return listener_check(address, err);
}

static int open_address(struct serve *serve, const char *address, struct err *err)
{
    int rc = listener_open(address, serve->loops, &serve->listeners[serve->listeners_count], err);
    serve->listeners_count += !rc;
    return rc;
}

static int check_base_path(const struct config *config, struct err *err)
{
    const char *base = config_text(config, CONFIG_HTTP_BASE_PATH);
    size_t len = strlen(base);
    if (len && (base[0] != '/' || base[len - 1] == '/'))
        return err_set(err, ERR_INVALID, "base path \"%s\" must begin with / and not end with it",
                       base);
    return 0;
}

static int check_proxies(const struct config *config, struct err *err)
{
    struct net_list proxies;
    int rc = net_list_parse(config_text(config, CONFIG_HTTP_TRUSTED_PROXIES), &proxies, err);
    if (!rc)
        net_list_dispose(&proxies);
    return rc;
}

// What can be wrong before anything is made or opened.
static int check_config(struct serve *serve, struct err *err)
{
    struct site site;
    int rc = check_base_path(serve->config, err);
    if (!rc)
        rc = for_each_listener(serve, check_address, err);
    if (!rc)
        rc = check_proxies(serve->config, err);
    if (!rc)
        rc = site_configure(serve->config, &site, err);
    return rc ? rc : read_tls(serve, err);
}

static unsigned count_loops(const struct config *config)
{
    int64_t loops = config_int(config, CONFIG_HTTP_LOOPS);
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    if (!loops)
        loops = cores > 0 ? cores : 1;
    return loops > LISTENER_LOOPS_MAX ? LISTENER_LOOPS_MAX : (unsigned)loops;
}

int cli_serve(struct cli *cli)
{
    static struct serve serve;
    struct err err;
    serve.config = &cli->config;
    serve.loops = count_loops(&cli->config);
    if (check_config(&serve, &err))
        return cli_fail(&err);
    if (cli_get(cli, "print-config")) {
        auto_buf struct buf out = {0};
        config_print(&cli->config, &out);
        return cli_print(&out);
    }
    auto_free char *agent = cli_agent_path(), *kernel = cli_kernel_path();
    serve.agent_path = agent;
    serve.kernel_path = kernel;
    if (!agent) {
        err_set(&err, ERR_INTERNAL, "cohub-agent is not beside this program");
        return cli_fail(&err);
    }
    cli_settle_database(cli);
    if (data_enter(cli->data, true, config_text(&cli->config, CONFIG_SERVER_USER), &serve.owner,
                   &err) ||
        for_each_listener(&serve, open_address, &err))
        return cli_fail(&err);
    return serve_run(&serve);
}
