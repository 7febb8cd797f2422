// SPDX-License-Identifier: AGPL-3.0-or-later
// The configuration: one table of keys, each of which the file, the environment and perhaps an
// option can set. An option beats the environment, which beats the file, which beats the default.
#ifndef SERVER_CONFIG_H
#define SERVER_CONFIG_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"

enum config_key {
    CONFIG_HTTP_LISTEN,
    CONFIG_HTTP_BASE_PATH,
    CONFIG_HTTP_TLS_CERT,
    CONFIG_HTTP_TLS_KEY,
    CONFIG_HTTP_TRUSTED_PROXIES,
    CONFIG_HTTP_LOOPS,
    CONFIG_HTTP_CONNECTIONS_MAX,
    CONFIG_HTTP_BODY_SIZE_MAX,
    CONFIG_HTTP_MEMORY_MAX,
    CONFIG_HTTP_HEADER_TIMEOUT,
    CONFIG_HTTP_BODY_TIMEOUT,
    CONFIG_HTTP_REPLY_TIMEOUT,
    CONFIG_HTTP_IDLE_TIMEOUT,
    CONFIG_DATABASE_URL,
    CONFIG_DATABASE_CONNECTIONS,
    CONFIG_LOG_LEVEL,
    CONFIG_LOG_FORMAT,
    CONFIG_MAIL_URL,
    CONFIG_MAIL_USERNAME,
    CONFIG_MAIL_PASSWORD,
    CONFIG_MAIL_STARTTLS,
    CONFIG_MAIL_CA_FILE,
    CONFIG_MAIL_FROM,
    CONFIG_MAIL_RETRY_SECONDS,
    CONFIG_PROJECTS_START_TIMEOUT,
    CONFIG_PROJECTS_DISK_QUOTA,
    CONFIG_PROJECTS_MEMORY,
    CONFIG_PROJECTS_MEMORY_REQUEST,
    CONFIG_PROJECTS_CORES,
    CONFIG_PROJECTS_CPU_SHARES,
    CONFIG_PROJECTS_MINTIME,
    CONFIG_PROJECTS_NETWORK,
    CONFIG_PROJECTS_DISK_QUOTA_MAX,
    CONFIG_PROJECTS_MEMORY_MAX,
    CONFIG_PROJECTS_MEMORY_REQUEST_MAX,
    CONFIG_PROJECTS_CORES_MAX,
    CONFIG_PROJECTS_CPU_SHARES_MAX,
    CONFIG_PROJECTS_MINTIME_MAX,
    CONFIG_PROJECTS_NETWORK_MAX,
    CONFIG_PROJECTS_ALWAYS_RUNNING_MAX,
    CONFIG_PROJECTS_PROCESSES,
    CONFIG_PROJECTS_COPIES,
    CONFIG_PROJECTS_IDLE_CHECK,
    CONFIG_PROJECTS_IDLE_GRACE,
    CONFIG_JUPYTER_POOL,
    CONFIG_JUPYTER_POOL_IDLE,
    CONFIG_JUPYTER_CELL_SECONDS,
    CONFIG_JUPYTER_CELL_SECONDS_MAX,
    CONFIG_JUPYTER_CPU_SECONDS,
    CONFIG_JUPYTER_MEMORY,
    CONFIG_JUPYTER_ANSWER_SECONDS,
    CONFIG_SERVER_USER,
    CONFIG_SERVER_WORKERS,
    CONFIG_LIMITS_SIGN_UPS_PER_HALF_HOUR,
    CONFIG_SITE_NAME,
    CONFIG_SITE_URL,
    CONFIG_SITE_HELP_EMAIL,
    CONFIG_SITE_ORGANIZATION,
    CONFIG_SITE_SIGN_UP,
    CONFIG_SITE_VERIFY_EMAIL,
    CONFIG_SITE_REVEAL_ACCOUNTS,
    CONFIG_KEYS,
};

enum config_source { CONFIG_DEFAULT, CONFIG_FILE, CONFIG_ENVIRONMENT, CONFIG_OPTION };

struct config {
    struct {
        char *text; // heap
        enum config_source source;
    } values[CONFIG_KEYS];
    uid_t file_uid; // whom the file belongs to, if there is one
    gid_t file_gid;
};

// The defaults.
void config_init(struct config *config);
void config_dispose(struct config *config);
// Reads an INI file. ERR_INVALID with file, line and what is allowed; ERR_NOT_FOUND if there is no
// such file.
int config_read_file(struct config *config, const char *path, struct err *err) MUST_USE;
// Reads COHUB_SECTION_KEY variables.
int config_read_environment(struct config *config, struct err *err) MUST_USE;
// Sets a key by its option's name without dashes ("listen"). An option that may be repeated adds to
// the value. ERR_NOT_FOUND if no key has such an option.
int config_set_option(struct config *config, const char *option, const char *value,
                      struct err *err) MUST_USE;

// Whether some key has an option of this name, which need not end there.
bool config_has_option(const char *option, size_t len);

const char *config_text(const struct config *config, enum config_key key); // never NULL
int64_t config_int(const struct config *config, enum config_key key);
double config_number(const struct config *config, enum config_key key);

// Appends one JSON object with a line for each key: "section.key" -> {"value", "source"}.
void config_print(const struct config *config, struct buf *out);
// Appends a line for each option, for --help; but --database, which every command has.
void config_print_options(struct buf *out);

#endif
