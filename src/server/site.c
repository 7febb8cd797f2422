// SPDX-License-Identifier: AGPL-3.0-or-later
#include "server/site.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/fd.h"

#define URL_FILE     "run/url"
#define URL_FILE_NEW URL_FILE ".new"
#define URL_MAX      512
#define TRANSITION_S 60 // longer than a stop, of an agent that does not answer too

void site_listener_url(const struct serve *serve, size_t listener, struct buf *out)
{
    const struct listener *l = &serve->listeners[listener];
    bool v6 = strchr(l->host, ':');
    buf_printf(out, "%s://%s%s%s:%u%s", serve->tls_cert_pem ? "https" : "http", v6 ? "[" : "",
               l->host, v6 ? "]" : "", l->port, config_text(serve->config, CONFIG_HTTP_BASE_PATH));
}

int site_url_note(const struct serve *serve, struct err *err)
{
    auto_buf struct buf url = {0};
    site_listener_url(serve, 0, &url);
    char name[sizeof URL_FILE_NEW + 24]; // of this process's own
    snprintf(name, sizeof name, URL_FILE_NEW ".%ld", (long)getpid());
    auto_fd int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    int rc = fd < 0 ? -errno : fd_write_all(fd, url.data, url.size);
    if (!rc && rename(name, URL_FILE))
        rc = -errno;
    return rc ? err_set_errno(err, ERR_INTERNAL, -rc, "cannot write to the data folder: %s",
                              strerror(-rc))
              : 0;
}

// What the hub that ran last has noted, or where one would serve by default.
static const char *noted_url(void)
{
    static char url[URL_MAX];
    auto_fd int fd = open(URL_FILE, O_RDONLY | O_CLOEXEC);
    auto_buf struct buf text = {0};
    if (fd < 0 || fd_read_all(fd, URL_MAX - 1, &text) || !text.size || text.size >= URL_MAX)
        return "http://127.0.0.1:5000";
    snprintf(url, sizeof url, "%s", buf_cstr(&text));
    return url;
}

static const char *site_url(const char *configured)
{
    static char url[URL_MAX];
    size_t size = strlen(configured);
    while (size && configured[size - 1] == '/')
        size--;
    snprintf(url, sizeof url, "%.*s", (int)size, configured);
    return size ? url : noted_url();
}

static bool is_written(const struct config *c, enum config_key key)
{
    return c->values[key].source != CONFIG_DEFAULT;
}

static void read_quotas(const struct config *c, struct site *site)
{
    struct quota_site *quotas = &site->quotas;
    static const struct {
        enum config_key base, max;
    } keys[UPGRADE_COUNT] = {
        [UPGRADE_DISK_QUOTA] = {CONFIG_PROJECTS_DISK_QUOTA, CONFIG_PROJECTS_DISK_QUOTA_MAX},
        [UPGRADE_MEMORY] = {CONFIG_PROJECTS_MEMORY, CONFIG_PROJECTS_MEMORY_MAX},
        [UPGRADE_MEMORY_REQUEST] = {CONFIG_PROJECTS_MEMORY_REQUEST,
                                    CONFIG_PROJECTS_MEMORY_REQUEST_MAX},
        [UPGRADE_CORES] = {CONFIG_PROJECTS_CORES, CONFIG_PROJECTS_CORES_MAX},
        [UPGRADE_CPU_SHARES] = {CONFIG_PROJECTS_CPU_SHARES, CONFIG_PROJECTS_CPU_SHARES_MAX},
        [UPGRADE_MINTIME] = {CONFIG_PROJECTS_MINTIME, CONFIG_PROJECTS_MINTIME_MAX},
        [UPGRADE_NETWORK] = {CONFIG_PROJECTS_NETWORK, CONFIG_PROJECTS_NETWORK_MAX},
    };
    for (int i = 0; i <= UPGRADE_NETWORK; i++) {
        quotas->base[i] = config_number(c, keys[i].base);
        quotas->max[i] = config_number(c, keys[i].max);
        site->quotas_written |= (uint32_t)is_written(c, keys[i].base) << i;
        site->maxima_written |= (uint32_t)is_written(c, keys[i].max) << i;
    }
    site->maxima_written |= (uint32_t)is_written(c, CONFIG_PROJECTS_ALWAYS_RUNNING_MAX)
                            << UPGRADE_ALWAYS_RUNNING;
    quotas->max[UPGRADE_MEMBER_HOST] = 1;
    quotas->max[UPGRADE_ALWAYS_RUNNING] = config_number(c, CONFIG_PROJECTS_ALWAYS_RUNNING_MAX);
    quotas->max[UPGRADE_EPHEMERAL_STATE] = 1;
    quotas->max[UPGRADE_EPHEMERAL_DISK] = 1;
    quotas->processes = (unsigned)config_int(c, CONFIG_PROJECTS_PROCESSES);
}

static struct jupyter_site read_jupyter(const struct config *c)
{
    const unsigned cell_s = (unsigned)config_int(c, CONFIG_JUPYTER_CELL_SECONDS);
    const unsigned cell_max_s = (unsigned)config_int(c, CONFIG_JUPYTER_CELL_SECONDS_MAX);
    return (struct jupyter_site){
        .pool = (unsigned)config_int(c, CONFIG_JUPYTER_POOL),
        .pool_idle_s = (unsigned)config_int(c, CONFIG_JUPYTER_POOL_IDLE),
        .cell_s = cell_s,
        .cell_max_s = cell_max_s > cell_s ? cell_max_s : cell_s,
        .cpu_s = (unsigned)config_int(c, CONFIG_JUPYTER_CPU_SECONDS),
        .memory_mb = (unsigned)config_int(c, CONFIG_JUPYTER_MEMORY),
        .answer_s = (unsigned)config_int(c, CONFIG_JUPYTER_ANSWER_SECONDS),
    };
}

static unsigned read_written(const struct config *c)
{
    static const struct {
        enum config_key key;
        enum site_written bit;
    } keys[] = {{CONFIG_SITE_NAME, SITE_WRITTEN_NAME},
                {CONFIG_SITE_HELP_EMAIL, SITE_WRITTEN_HELP_EMAIL},
                {CONFIG_SITE_ORGANIZATION, SITE_WRITTEN_ORGANIZATION},
                {CONFIG_SITE_SIGN_UP, SITE_WRITTEN_SIGN_UP},
                {CONFIG_SITE_VERIFY_EMAIL, SITE_WRITTEN_VERIFY_EMAIL}};
    unsigned written = 0;
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        written |= is_written(c, keys[i].key) ? keys[i].bit : 0;
    return written;
}

struct mailer_config site_mailer_config(const struct config *c)
{
    return (struct mailer_config){
        .url = config_text(c, CONFIG_MAIL_URL),
        .username = config_text(c, CONFIG_MAIL_USERNAME),
        .password = config_text(c, CONFIG_MAIL_PASSWORD),
        .starttls = config_text(c, CONFIG_MAIL_STARTTLS),
        .ca_file = config_text(c, CONFIG_MAIL_CA_FILE),
        .retry_s = config_int(c, CONFIG_MAIL_RETRY_SECONDS),
    };
}

static int check_mail_url(const char *url, struct err *err)
{
    if (!*url)
        return 0;
    if (strncmp(url, "smtp://", 7) && strncmp(url, "smtps://", 8))
        return err_set(err, ERR_INVALID,
                       "mail.url is \"%.200s\"; it must begin with smtp:// or smtps://", url);
    if (strchr(url, '@'))
        return err_set(err, ERR_INVALID,
                       "mail.url names a user; mail.username and mail.password are for that");
    return 0;
}

// Nothing is sent from or to it when it is not written as an address is.
static int check_address(const char *key, const char *address, struct err *err)
{
    const char *at = strchr(address, '@');
    if (at && at > address && at[1] && !strchr(at + 1, '@') && !strpbrk(address, " \t<>,;\"\r\n"))
        return 0;
    return err_set(err, ERR_INVALID, "%s is \"%.200s\"; it must be an address, NAME@HOST", key,
                   address);
}

// Twice what a start may take; a stop does not get shorter with that.
static int64_t transition_ms(const struct config *c)
{
    const int64_t start_s = 2 * config_int(c, CONFIG_PROJECTS_START_TIMEOUT);
    return 1000 * (start_s > TRANSITION_S ? start_s : TRANSITION_S);
}

static int check_site_url(const char *url, struct err *err)
{
    const char *host = !strncmp(url, "http://", 7)    ? url + 7
                       : !strncmp(url, "https://", 8) ? url + 8
                                                      : NULL;
    if (!host)
        return err_set(err, ERR_INVALID,
                       "site.url is \"%.200s\"; it must begin with http:// or https://", url);
    if (!*host || *host == '/' || strpbrk(host, " \t<>\"\\\r\n?#") || strlen(url) >= URL_MAX)
        return err_set(err, ERR_INVALID,
                       "site.url is \"%.200s\"; behind http:// it must have a host and perhaps a "
                       "path",
                       url);
    return 0;
}

int site_configure(const struct config *c, struct site *ret_site, struct err *err)
{
    const char *url = config_text(c, CONFIG_SITE_URL), *from = config_text(c, CONFIG_MAIL_FROM);
    const char *help = config_text(c, CONFIG_SITE_HELP_EMAIL);
    int rc = *url ? check_site_url(url, err) : 0;
    if (!rc)
        rc = check_mail_url(config_text(c, CONFIG_MAIL_URL), err);
    if (!rc)
        rc = check_address("site.help_email", help, err);
    if (!rc && *from)
        rc = check_address("mail.from", from, err);
    if (rc)
        return rc;
    *ret_site = (struct site){
        .name = config_text(c, CONFIG_SITE_NAME),
        .url = site_url(url),
        .help_email = help,
        .organization = config_text(c, CONFIG_SITE_ORGANIZATION),
        .mail_from = *from ? from : help,
        .sign_up = config_text(c, CONFIG_SITE_SIGN_UP),
        .sign_ups_per_half_hour = config_int(c, CONFIG_LIMITS_SIGN_UPS_PER_HALF_HOUR),
        .verify_email = config_int(c, CONFIG_SITE_VERIFY_EMAIL),
        .reveal_accounts = config_int(c, CONFIG_SITE_REVEAL_ACCOUNTS),
        .transition_ms = transition_ms(c),
        .jupyter = read_jupyter(c),
        .written = read_written(c),
    };
    read_quotas(c, ret_site);
    return 0;
}
