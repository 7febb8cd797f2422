// SPDX-License-Identifier: AGPL-3.0-or-later
#include "server/config.h"

#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/json.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"

enum value_type { VALUE_TEXT, VALUE_SECRET, VALUE_INT, VALUE_NUMBER, VALUE_CHOICE, VALUE_LIST };

struct key_description {
    const char *section, *name;
    enum value_type type;
    int64_t min, max;     // VALUE_INT, VALUE_NUMBER
    const char *choices;  // VALUE_CHOICE: words with spaces between
    const char *fallback; // the default
    const char *option;   // NULL: none
    const char *value;    // what help calls the option's value
    const char *text;
};

#define BODY_SIZE_DEFAULT "3145728"
_Static_assert(LIMIT_BODY_SIZE == 3145728, "the contract's limit is the default");

static const struct key_description keys[CONFIG_KEYS] = {
    [CONFIG_HTTP_LISTEN] = {"http", "listen", VALUE_LIST, .fallback = "127.0.0.1:5000",
                            .option = "listen", .value = "HOST:PORT",
                            .text = "where to serve; may be repeated; port 0 picks a free one"},
    [CONFIG_HTTP_BASE_PATH] = {"http", "base_path", VALUE_TEXT, .fallback = "",
                               .option = "base-path", .value = "PATH",
                               .text = "path below which everything is served, such as /cohub"},
    [CONFIG_HTTP_TLS_CERT] = {"http", "tls_cert", VALUE_TEXT, .fallback = "", .option = "tls-cert",
                              .value = "FILE", .text = "certificate chain (PEM file): serve HTTPS"},
    [CONFIG_HTTP_TLS_KEY] = {"http", "tls_key", VALUE_TEXT, .fallback = "", .option = "tls-key",
                             .value = "FILE", .text = "private key of the certificate (PEM file)"},
    [CONFIG_HTTP_TRUSTED_PROXIES] =
        {"http", "trusted_proxies", VALUE_TEXT, .fallback = "127.0.0.1, ::1",
         .text = "addresses and networks whose X-Forwarded-For is believed"},
    [CONFIG_HTTP_LOOPS] = {"http", "loops", VALUE_INT, 0, 64, .fallback = "0",
                           .text = "I/O loops; 0: as many as processors"},
    [CONFIG_HTTP_CONNECTIONS_MAX] = {"http", "connections_max", VALUE_INT, 16, 1000000,
                                     .fallback = "20000", .text = "connections at once"},
    [CONFIG_HTTP_BODY_SIZE_MAX] = {"http", "body_size_max", VALUE_INT, 1024, 1 << 30,
                                   .fallback = BODY_SIZE_DEFAULT,
                                   .text = "bytes of a request's body"},
    [CONFIG_HTTP_MEMORY_MAX] =
        {"http", "memory_max", VALUE_INT, 1 << 20, INT64_C(1) << 40, .fallback = "536870912",
         .text = "bytes of all bodies, of what is held to answer and of unsent replies together"},
    [CONFIG_HTTP_HEADER_TIMEOUT] = {"http", "header_timeout", VALUE_INT, 1, 3600, .fallback = "30",
                                    .text = "seconds for a request's header"},
    [CONFIG_HTTP_BODY_TIMEOUT] = {"http", "body_timeout", VALUE_INT, 1, 3600, .fallback = "60",
                                  .text = "seconds for a request's body"},
    [CONFIG_HTTP_REPLY_TIMEOUT] = {"http", "reply_timeout", VALUE_INT, 1, 86400, .fallback = "120",
                                   .text = "seconds for a client to read a reply"},
    [CONFIG_HTTP_IDLE_TIMEOUT] = {"http", "idle_timeout", VALUE_INT, 1, 86400, .fallback = "75",
                                  .text = "seconds for which a connection without traffic is kept"},
    [CONFIG_DATABASE_URL] =
        {"database", "url", VALUE_TEXT, .fallback = "", .option = "database", .value = "URL",
         .text = "sqlite:PATH or postgresql://USER@HOST/NAME; default: hub.sqlite3 in the "
                 "data folder"},
    [CONFIG_DATABASE_CONNECTIONS] = {"database", "connections", VALUE_INT, 1, 10000,
                                     .fallback = "16",
                                     .text = "PostgreSQL: reads of the I/O loops at once"},
    [CONFIG_LOG_LEVEL] = {"log", "level", VALUE_CHOICE, .choices = "debug info warning error",
                          .fallback = "info", .option = "log-level", .value = "LEVEL",
                          .text = "debug, info, warning or error"},
    [CONFIG_LOG_FORMAT] = {"log", "format", VALUE_CHOICE, .choices = "text json",
                           .fallback = "text", .option = "log-format", .value = "FORMAT",
                           .text = "text or json"},
    [CONFIG_MAIL_URL] = {"mail", "url", VALUE_TEXT, .fallback = "",
                         .text = "SMTP server: smtp://HOST:PORT or smtps://HOST:PORT; without one, "
                                 "mail goes into the folder mail/ of the data folder"},
    [CONFIG_MAIL_USERNAME] = {"mail", "username", VALUE_TEXT, .fallback = "",
                              .text = "name to sign in to the SMTP server with"},
    [CONFIG_MAIL_PASSWORD] = {"mail", "password", VALUE_SECRET, .fallback = "",
                              .text = "password to sign in to the SMTP server with"},
    [CONFIG_MAIL_STARTTLS] = {"mail", "starttls", VALUE_CHOICE, .choices = "try require off",
                              .fallback = "try",
                              .text = "encryption of an smtp:// connection: try, require or off"},
    [CONFIG_MAIL_CA_FILE] = {"mail", "ca_file", VALUE_TEXT, .fallback = "",
                             .text = "certificates (PEM file) to believe instead of the system's"},
    [CONFIG_MAIL_FROM] = {"mail", "from", VALUE_TEXT, .fallback = "",
                          .text = "address that mail comes from; default: site.help_email"},
    [CONFIG_MAIL_RETRY_SECONDS] = {"mail", "retry_seconds", VALUE_INT, 1, 86400, .fallback = "60",
                                   .text = "until a message that failed is tried again; doubles "
                                           "with each further failure"},
    [CONFIG_PROJECTS_START_TIMEOUT] =
        {"projects", "start_timeout", VALUE_INT, 1, 3600, .fallback = "60",
         .text = "seconds after which a project that does not start has failed to"},
    [CONFIG_PROJECTS_IDLE_CHECK] =
        {"projects", "idle_check", VALUE_INT, 1, 86400, .fallback = "60",
         .text = "seconds between two looks for projects that are idle or too large"},
    [CONFIG_PROJECTS_IDLE_GRACE] =
        {"projects", "idle_grace", VALUE_INT, 0, 1000000000, .fallback = "600",
         .text = "seconds that a project runs at least before it is stopped for being idle"},
    [CONFIG_PROJECTS_COPIES] = {"projects", "copies", VALUE_INT, 1, 1000, .fallback = "4",
                                .text = "copies between projects that run at once"},
    [CONFIG_PROJECTS_PROCESSES] = {"projects", "processes", VALUE_INT, 16, 1000000,
                                   .fallback = "4096", .text = "processes of one project"},
    [CONFIG_PROJECTS_DISK_QUOTA] = {"projects", "disk_quota", VALUE_INT, 1, 1000000000,
                                    .fallback = "3000", .text = "disk of every project, MB"},
    [CONFIG_PROJECTS_MEMORY] = {"projects", "memory", VALUE_INT, 1, 100000000, .fallback = "1000",
                                .text = "memory of every project, MB"},
    [CONFIG_PROJECTS_MEMORY_REQUEST] = {"projects", "memory_request", VALUE_INT, 0, 100000000,
                                        .fallback = "0",
                                        .text = "memory guaranteed to every project, MB"},
    [CONFIG_PROJECTS_CORES] = {"projects", "cores", VALUE_NUMBER, 0, 10000, .fallback = "1",
                               .text = "processors of every project"},
    [CONFIG_PROJECTS_CPU_SHARES] = {"projects", "cpu_shares", VALUE_INT, 0, 1000000,
                                    .fallback = "0",
                                    .text = "guaranteed to every project, 1/1024 of a processor"},
    [CONFIG_PROJECTS_MINTIME] = {"projects", "mintime", VALUE_INT, 1, 1000000000,
                                 .fallback = "1800",
                                 .text = "seconds after which an idle project is stopped"},
    [CONFIG_PROJECTS_NETWORK] = {"projects", "network", VALUE_INT, 0, 1, .fallback = "0",
                                 .text = "1: every project reaches the network"},
    [CONFIG_PROJECTS_DISK_QUOTA_MAX] = {"projects", "disk_quota_max", VALUE_INT, 1, 1000000000,
                                        .fallback = "20000", .text = "with upgrades, MB"},
    [CONFIG_PROJECTS_MEMORY_MAX] = {"projects", "memory_max", VALUE_INT, 1, 100000000,
                                    .fallback = "16000", .text = "with upgrades, MB"},
    [CONFIG_PROJECTS_MEMORY_REQUEST_MAX] = {"projects", "memory_request_max", VALUE_INT, 0,
                                            100000000, .fallback = "8000",
                                            .text = "with upgrades, MB"},
    [CONFIG_PROJECTS_CORES_MAX] = {"projects", "cores_max", VALUE_NUMBER, 0, 10000, .fallback = "3",
                                   .text = "with upgrades"},
    [CONFIG_PROJECTS_CPU_SHARES_MAX] = {"projects", "cpu_shares_max", VALUE_INT, 0, 1000000,
                                        .fallback = "2048", .text = "with upgrades"},
    [CONFIG_PROJECTS_MINTIME_MAX] = {"projects", "mintime_max", VALUE_INT, 1, 1000000000,
                                     .fallback = "7776000", .text = "with upgrades, seconds"},
    [CONFIG_PROJECTS_NETWORK_MAX] = {"projects", "network_max", VALUE_INT, 0, 1, .fallback = "1",
                                     .text = "0: no project reaches the network"},
    [CONFIG_PROJECTS_ALWAYS_RUNNING_MAX] = {"projects", "always_running_max", VALUE_INT, 0, 1,
                                            .fallback = "1",
                                            .text = "0: idle projects are always stopped"},
    [CONFIG_JUPYTER_POOL] = {"jupyter", "pool", VALUE_INT, 0, LIMIT_KERNEL_POOL, .fallback = "1",
                             .text = "started kernels of each kind that a project keeps for the "
                                     "next call; Python's takes 68 MB of its memory"},
    [CONFIG_JUPYTER_POOL_IDLE] = {"jupyter", "pool_idle", VALUE_INT, 1, LIMIT_KERNEL_IDLE_S,
                                  .fallback = "1800",
                                  .text = "seconds without a call until fewer of them are kept"},
    [CONFIG_JUPYTER_CELL_SECONDS] = {"jupyter", "cell_seconds", VALUE_INT, 1, LIMIT_EXEC_SECONDS,
                                     .fallback = "30",
                                     .text = "seconds after which code is interrupted"},
    [CONFIG_JUPYTER_CELL_SECONDS_MAX] = {"jupyter", "cell_seconds_max", VALUE_INT, 1,
                                         LIMIT_EXEC_SECONDS, .fallback = "90",
                                         .text =
                                             "the same at most, if the caller's timeout is longer"},
    [CONFIG_JUPYTER_CPU_SECONDS] = {"jupyter", "cpu_seconds", VALUE_INT, 0, LIMIT_EXEC_SECONDS,
                                    .fallback = "30",
                                    .text = "processor time of a kernel; 0: no limit"},
    [CONFIG_JUPYTER_MEMORY] = {"jupyter", "memory", VALUE_INT, 0, 100000000, .fallback = "0",
                               .text = "address space of a kernel, MB; 0: only the project's "
                                       "memory is limited"},
    [CONFIG_JUPYTER_ANSWER_SECONDS] =
        {"jupyter", "answer_seconds", VALUE_INT, 1, LIMIT_EXEC_SECONDS, .fallback = "60",
         .text = "how long the hub's own jupyter methods wait for a project"},
    [CONFIG_SERVER_USER] =
        {"server", "user", VALUE_TEXT, .fallback = "cohub", .option = "user", .value = "NAME",
         .text = "when started as root: whom a new data folder belongs to, and the server runs as"},
    [CONFIG_SERVER_WORKERS] = {"server", "workers", VALUE_INT, 1, 512, .fallback = "32",
                               .text = "threads for files and passwords"},
    [CONFIG_LIMITS_SIGN_UPS_PER_HALF_HOUR] =
        {"limits", "sign_ups_per_half_hour", VALUE_INT, 0, 1000000, .fallback = "150",
         .text = "accounts made from one address within 30 minutes"},
    [CONFIG_SITE_NAME] = {"site", "name", VALUE_TEXT, .fallback = "cohub",
                          .text = "what the site is called"},
    [CONFIG_SITE_URL] =
        {"site", "url", VALUE_TEXT, .fallback = "",
         .text = "where people find the site, for links in mail; default: the first listener"},
    [CONFIG_SITE_HELP_EMAIL] = {"site", "help_email", VALUE_TEXT, .fallback = "help@localhost",
                                .text = "address that people are told to write to"},
    [CONFIG_SITE_ORGANIZATION] = {"site", "organization", VALUE_TEXT, .fallback = "",
                                  .text = "who runs the site, named in mail"},
    [CONFIG_SITE_SIGN_UP] =
        {"site", "sign_up", VALUE_CHOICE, .choices = "open token closed", .fallback = "open",
         .text = "who may make accounts: open, token (with a registration token) or closed"},
    [CONFIG_SITE_VERIFY_EMAIL] = {"site", "verify_email", VALUE_INT, 0, 1, .fallback = "1",
                                  .text = "1: the welcome mail asks to verify the address"},
    [CONFIG_SITE_REVEAL_ACCOUNTS] = {"site", "reveal_accounts", VALUE_INT, 0, 1, .fallback = "0",
                                     .text =
                                         "1: forgot_password tells when an address has no account"},
};

static const char *const source_names[] = {"default", "file", "environment", "option"};

void config_init(struct config *config)
{
    for (size_t i = 0; i < CONFIG_KEYS; i++) {
        config->values[i].text = mem_strdup(keys[i].fallback);
        config->values[i].source = CONFIG_DEFAULT;
    }
}

void config_dispose(struct config *config)
{
    for (size_t i = 0; i < CONFIG_KEYS; i++)
        free(config->values[i].text);
}

// ---- Setting ----

static bool is_choice(const char *choices, const char *value)
{
    size_t len = strlen(value);
    for (const char *p = choices; len && *p;) {
        size_t word = strcspn(p, " ");
        if (word == len && !strncmp(p, value, len))
            return true;
        p += word + (p[word] == ' ');
    }
    return false;
}

static int check(const struct key_description *key, const char *value, struct err *err)
{
    int64_t number;
    if (key->type == VALUE_INT && !text_parse_int64(value, key->min, key->max, &number))
        return err_set(err, ERR_INVALID,
                       "%s.%s is \"%s\"; allowed are whole numbers from %lld to %lld", key->section,
                       key->name, value, (long long)key->min, (long long)key->max);
    double real;
    if (key->type == VALUE_NUMBER &&
        !(text_parse_double(value, &real) && real >= (double)key->min && real <= (double)key->max))
        return err_set(err, ERR_INVALID, "%s.%s is \"%s\"; allowed are numbers from %lld to %lld",
                       key->section, key->name, value, (long long)key->min, (long long)key->max);
    if (key->type == VALUE_CHOICE && !is_choice(key->choices, value))
        return err_set(err, ERR_INVALID, "%s.%s is \"%s\"; allowed are: %s", key->section,
                       key->name, value, key->choices);
    return 0;
}

static int set(struct config *config, size_t i, const char *value, enum config_source source,
               struct err *err)
{
    int rc = check(&keys[i], value, err);
    if (rc)
        return rc;
    bool add = keys[i].type == VALUE_LIST && config->values[i].source == source;
    char *text = add ? mem_printf("%s %s", config->values[i].text, value) : mem_strdup(value);
    free(config->values[i].text);
    config->values[i].text = text;
    config->values[i].source = source;
    return 0;
}

struct file_reader {
    struct config *config;
    FILE *file;
    int line;
    struct err err; // the first
    int err_line;
};

// A line for the parser, which would take the rest of one that does not fit for the next line.
static char *read_line(char *line, int size, void *stream)
{
    struct file_reader *reader = stream;
    if (!fgets(line, size, reader->file))
        return NULL;
    reader->line++;
    if (strchr(line, '\n') || feof(reader->file))
        return line;
    if (!reader->err.code)
        err_set(&reader->err, ERR_INVALID, "longer than %d characters", size - 2);
    reader->err_line = reader->line;
    return NULL;
}

// The keys of a section stand together in the table.
static void list_sections(struct buf *out)
{
    for (size_t i = 0; i < CONFIG_KEYS; i++) {
        if (!i || strcmp(keys[i].section, keys[i - 1].section) != 0)
            buf_printf(out, "%s%s", i ? ", " : "", keys[i].section);
    }
}

static void list_keys(const char *section, struct buf *out)
{
    for (size_t i = 0; i < CONFIG_KEYS; i++) {
        if (!strcmp(keys[i].section, section))
            buf_printf(out, "%s%s", out->size ? ", " : "", keys[i].name);
    }
}

static int on_ini(void *user, const char *section, const char *name, const char *value)
{
    struct file_reader *reader = user;
    if (reader->err.code)
        return 0;
    reader->err_line = reader->line;
    for (size_t i = 0; i < CONFIG_KEYS; i++) {
        if (!strcmp(keys[i].section, section) && !strcmp(keys[i].name, name))
            return !set(reader->config, i, value, CONFIG_FILE, &reader->err);
    }
    auto_buf struct buf known = {0}, sections = {0};
    list_keys(section, &known);
    list_sections(&sections);
    if (!*section)
        err_set(&reader->err, ERR_INVALID, "\"%s\" stands before the first [section]", name);
    else if (known.size)
        err_set(&reader->err, ERR_INVALID, "unknown key \"%s\" in [%s]; allowed are: %s", name,
                section, buf_cstr(&known));
    else
        err_set(&reader->err, ERR_INVALID, "unknown section [%s]; allowed are: %s", section,
                buf_cstr(&sections));
    return 0;
}

int config_read_file(struct config *config, const char *path, struct err *err)
{
    struct file_reader reader = {.config = config, .file = fopen(path, "re")};
    if (!reader.file)
        return err_set_errno(err, errno == ENOENT ? ERR_NOT_FOUND : ERR_INVALID, errno, "%s: %s",
                             path, strerror(errno));
    struct stat st;
    if (!fstat(fileno(reader.file), &st)) {
        config->file_uid = st.st_uid;
        config->file_gid = st.st_gid;
    }
    int line = ini_parse_stream(read_line, &reader, on_ini, &reader);
    fclose(reader.file);
    if (reader.err.code && (!line || reader.err_line <= line))
        return err_set(err, ERR_INVALID, "%s, line %d: %s", path, reader.err_line,
                       reader.err.message);
    return line ? err_set(err, ERR_INVALID, "%s, line %d: not KEY = VALUE", path, line) : 0;
}

int config_read_environment(struct config *config, struct err *err)
{
    for (size_t i = 0; i < CONFIG_KEYS; i++) {
        char name[64];
        snprintf(name, sizeof name, "COHUB_%s_%s", keys[i].section, keys[i].name);
        for (char *p = name; *p; p++)
            *p = (char)toupper((unsigned char)*p);
        const char *value = getenv(name);
        struct err wrong;
        if (value && set(config, i, value, CONFIG_ENVIRONMENT, &wrong))
            return err_set(err, ERR_INVALID, "environment variable %s: %s", name, wrong.message);
    }
    return 0;
}

int config_set_option(struct config *config, const char *option, const char *value, struct err *err)
{
    for (size_t i = 0; i < CONFIG_KEYS; i++) {
        if (keys[i].option && !strcmp(keys[i].option, option))
            return set(config, i, value, CONFIG_OPTION, err);
    }
    return err_set(err, ERR_NOT_FOUND, "unknown option --%s", option);
}

bool config_has_option(const char *option, size_t len)
{
    for (size_t i = 0; i < CONFIG_KEYS; i++) {
        const char *name = keys[i].option;
        if (name && strlen(name) == len && !strncmp(name, option, len))
            return true;
    }
    return false;
}

// ---- Asking ----

const char *config_text(const struct config *config, enum config_key key)
{
    return config->values[key].text;
}

int64_t config_int(const struct config *config, enum config_key key)
{
    assert(keys[key].type == VALUE_INT);
    return strtoll(config->values[key].text, NULL, 10);
}

double config_number(const struct config *config, enum config_key key)
{
    assert(keys[key].type == VALUE_INT || keys[key].type == VALUE_NUMBER);
    return strtod(config->values[key].text, NULL);
}

// What begins at `at` and says a password of a database's URL: how much of it to show, and how much
// not; 0: it is no password.
static size_t find_password(const char *url, const char *at, size_t *ret_shown)
{
    static const char *const names[] = {
        "?password=", "&password=", "?sslpassword=", "&sslpassword="};
    const char *authority = strstr(url, "://");
    const char *after = authority ? authority + 3 + strcspn(authority + 3, "/?") : url;
    if (authority && *at == ':' && at > authority && at < after) {
        const char *end = memrchr(at, '@', (size_t)(after - at));
        *ret_shown = 1;
        return end ? (size_t)(end - at - 1) : 0;
    }
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (text_has_prefix(at, names[i])) {
            *ret_shown = strlen(names[i]);
            return strcspn(at + *ret_shown, "&");
        }
    }
    return 0;
}

static void append_without_passwords(struct buf *out, const char *url)
{
    for (const char *at = url; *at;) {
        size_t shown = 1, hidden = find_password(url, at, &shown);
        buf_append(out, at, hidden ? shown : 1);
        if (hidden)
            buf_append_str(out, "(set)");
        at += hidden ? shown + hidden : 1;
    }
}

static void print_setting(const struct config *config, size_t i, struct buf *out)
{
    auto_buf struct buf setting = {0}, value = {0};
    const char *text = config->values[i].text;
    if (i == CONFIG_DATABASE_URL)
        append_without_passwords(&value, text);
    else
        buf_append_str(&value, keys[i].type == VALUE_SECRET && *text ? "(set)" : text);
    json_begin_object(&setting);
    json_member_str(&setting, "value", buf_cstr(&value));
    json_member_str(&setting, "source", source_names[config->values[i].source]);
    json_end_object(&setting);
    buf_printf(out, "\"%s.%s\": %s", keys[i].section, keys[i].name, buf_cstr(&setting));
}

void config_print(const struct config *config, struct buf *out)
{
    for (size_t i = 0; i < CONFIG_KEYS; i++) {
        buf_append_str(out, i ? ",\n " : "{");
        print_setting(config, i, out);
    }
    buf_append_char(out, '}');
}

void config_print_options(struct buf *out)
{
    for (size_t i = 0; i < CONFIG_KEYS; i++) {
        char option[32];
        if (!keys[i].option || i == CONFIG_DATABASE_URL)
            continue;
        snprintf(option, sizeof option, "%s %s", keys[i].option, keys[i].value);
        buf_printf(out, "  --%-22s %s\n", option, keys[i].text);
    }
}
