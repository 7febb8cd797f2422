// SPDX-License-Identifier: AGPL-3.0-or-later
// What an account may write of itself (user-query 12.1).
#include "svc/tables/accounts.h"

#include <ctype.h>
#include <string.h>

#include "base/limits.h"
#include "base/text.h"
#include "query/value.h"
#include "svc/account_index.h"
#include "svc/organizations.h"
#include "svc/tables/bounds.h"

// ---- Checks of single values ----

int account_check_string(const struct query_set *set UNUSED, const cJSON *value, struct err *err)
{
    if (cJSON_IsString(value) || cJSON_IsNull(value))
        return 0;
    return err_set(err, ERR_INVALID, "must be a string");
}

int account_check_intent(const struct query_set *set UNUSED, const cJSON *value, struct err *err)
{
    return bounds_check_text(value, LIMIT_USAGE_INTENT, err);
}

// ---- User names ----

// What stands in addresses of pages, or would pass for the site.
static const char *const reserved_names[] = {
    "about",     "account",    "accounts", "admin",    "administrator", "anonymous", "api",
    "app",       "apps",       "auth",     "billing",  "blob",          "blobs",     "cocalc",
    "collab",    "config",     "contact",  "cookies",  "customize",     "dashboard", "doc",
    "docs",      "email",      "example",  "favicon",  "features",      "file",      "files",
    "guest",     "healthz",    "help",     "home",     "hub",           "imprint",   "info",
    "invite",    "licenses",   "login",    "logout",   "mail",          "metrics",   "moderator",
    "news",      "null",       "oauth",    "official", "organization",  "owner",     "password",
    "policies",  "postmaster", "pricing",  "privacy",  "profile",       "project",   "projects",
    "public",    "raw",        "register", "reset",    "root",          "search",    "security",
    "server",    "settings",   "share",    "sign-in",  "sign-out",      "sign-up",   "signin",
    "signup",    "site",       "ssh",      "sso",      "staff",         "static",    "stats",
    "status",    "store",      "support",  "system",   "team",          "terms",     "test",
    "undefined", "upload",     "user",     "users",    "webapp",        "webmaster", "www",
    NULL,
};

static bool is_name_text(const char *name)
{
    for (const char *p = name; *p; p++) {
        if (!isalnum((unsigned char)*p) && *p != '-')
            return false;
    }
    return name[0] != '-' && name[strlen(name) - 1] != '-';
}

static int check_name_text(const char *name, struct err *err)
{
    char lower[LIMIT_USER_NAME + 1];
    size_t size = utf8_utf16_len(name, strlen(name));
    if (!size)
        return err_set(err, ERR_INVALID, "Error: name must have at least 1 character");
    if (size > LIMIT_USER_NAME)
        return err_set(err, ERR_INVALID, "Error: name must have at most %d characters",
                       LIMIT_USER_NAME);
    if (uuid_parse(name, strlen(name), NULL))
        return err_set(err, ERR_INVALID, "Error: name must not be a v4 UUID");
    if (strstr(name, "--"))
        return err_set(err, ERR_INVALID, "Error: name must not contain consecutive hyphens");
    if (!is_name_text(name))
        return err_set(err, ERR_INVALID,
                       "Error: name must contain only a-z,A-Z,0-9, or -, and not start with "
                       "hyphen.");
    memcpy(lower, name, strlen(name) + 1);
    text_lower(lower);
    if (text_is_one_of(lower, reserved_names))
        return err_set(err, ERR_INVALID, "Error: username \"%s\" is reserved -- not available",
                       name);
    return 0;
}

int account_check_name(struct db_session *txn, const char *name, const struct uuid *own_id,
                       struct err *err)
{
    bool taken = false;
    int rc = check_name_text(name, err);
    if (!rc)
        rc = organization_name_taken(txn, name, own_id, &taken, err);
    if (rc || !taken)
        return rc;
    return err_set(err, ERR_CONFLICT,
                   "name \"%s\" is already taken by another organization or account", name);
}

// ---- In the transaction ----

static int check_nonempty(const struct query_set *set, const char *field, struct err *err)
{
    const char *name = json_get_str(set->pattern, field);
    if (set->dialect != QUERY_CURRENT || !name || name[0])
        return 0;
    return err_set(err, ERR_INVALID, "%s must be nonempty", field);
}

int account_check(struct db_session *txn, struct query_set *set, struct err *err)
{
    const char *name = json_get_str(set->pattern, "name");
    int rc = check_nonempty(set, "first_name", err);
    if (!rc)
        rc = check_nonempty(set, "last_name", err);
    if (!rc && name)
        rc = account_check_name(txn, name, &set->caller.account_id, err);
    return rc;
}

#define MAP(field)                                                                                 \
    {                                                                                              \
        field, {"SELECT length(" field ") FROM accounts WHERE account_id = $1"}, LIMIT_ACCOUNT_MAP \
    }
static const struct bounds_map maps[] = {
    MAP("editor_settings"), MAP("other_settings"), MAP("terminal"),
    MAP("profile"),         MAP("ssh_keys"),       MAP("auto_balance"),
};
#undef MAP

int account_after(struct db_session *txn, struct query_set *set, struct err *err)
{
    const cJSON *pattern = set->pattern;
    int rc =
        bounds_check_maps(txn, pattern, maps, ARRAY_LEN(maps), set->caller.account_id.text, err);
    if (!rc && (query_given(pattern, "first_name") || query_given(pattern, "last_name") ||
                query_given(pattern, "unlisted")))
        rc = account_index_put(txn, &set->caller.account_id, err);
    return rc;
}
