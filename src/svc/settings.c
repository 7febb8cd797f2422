// SPDX-License-Identifier: AGPL-3.0-or-later
// The members of svc->site are read by all threads at any time; each is replaced by itself. Texts
// that were in use stay until the end, as somebody may still read them.
#include "svc/settings.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/text.h"
#include "db/query.h"
#include "svc/accounts.h"
#include "svc/setting_names.h"

// Until settings that could not be read are read again.
#define RETRY_MS 1000

bool setting_known(const char *name)
{
#define NAME(name) name,
    static const char *const names[] = {SETTING_NAMES(NAME) NULL};
#undef NAME
    return text_is_one_of(name, names);
}

// ---- Values ----

static int check_line(const char *value, struct err *err)
{
    if (strlen(value) > LIMIT_SETTING_USED)
        return err_set(err, ERR_TOO_LARGE, "must have at most %zu bytes", LIMIT_SETTING_USED);
    for (const char *p = value; *p; p++) {
        if (iscntrl((unsigned char)*p))
            return err_set(err, ERR_INVALID, "must be one line");
    }
    return 0;
}

static int check_address(const char *value, struct err *err)
{
    int rc = check_line(value, err);
    return rc || email_address_valid(value) ? rc
                                            : err_set(err, ERR_INVALID, "must be an email address");
}

static int check_choice(const char *value, struct err *err)
{
    static const char *const choices[] = {"yes", "no", "true", "false", NULL};
    return text_is_one_of(value, choices) ? 0
                                          : err_set(err, ERR_INVALID, "must be \"yes\" or \"no\"");
}

static bool is_yes(const char *value)
{
    return !strcmp(value, "yes") || !strcmp(value, "true");
}

// The upgrade that a member of default_quotas or max_upgrades is about.
static bool find_amount(const char *name, enum upgrade *ret_upgrade)
{
    static const struct {
        const char *name;
        enum upgrade upgrade;
    } others[] = {{"internet", UPGRADE_NETWORK},
                  {"idle_timeout", UPGRADE_MINTIME},
                  {"mem", UPGRADE_MEMORY},
                  {"cpu", UPGRADE_CORES}};
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        if (!strcmp(others[i].name, name)) {
            *ret_upgrade = others[i].upgrade;
            return true;
        }
    }
    return upgrade_find(name, ret_upgrade);
}

static int check_amounts(const char *value, struct err *err)
{
    auto_json cJSON *amounts = NULL;
    const cJSON *item;
    enum upgrade upgrade;
    if (strlen(value) > LIMIT_SETTING_USED)
        return err_set(err, ERR_TOO_LARGE, "must have at most %zu bytes", LIMIT_SETTING_USED);
    if (json_parse(value, strlen(value), LIMIT_JSON_DEPTH, &amounts, NULL) ||
        !cJSON_IsObject(amounts))
        return err_set(err, ERR_INVALID, "must be a JSON object of quotas");
    cJSON_ArrayForEach(item, amounts)
    {
        if (!find_amount(item->string, &upgrade))
            return err_set(err, ERR_INVALID, "there is no quota '%.100s'", item->string);
        if (!cJSON_IsBool(item) &&
            !(cJSON_IsNumber(item) && item->valuedouble >= 0 && item->valuedouble <= LIMIT_UPGRADE))
            return err_set(err, ERR_INVALID, "quota '%s' must be a number", item->string);
    }
    return 0;
}

// ---- What takes effect ----

static const char *keep(struct svc *svc, const char *text)
{
    struct site_text *kept = svc->site_texts;
    while (kept && strcmp(kept->text, text) != 0)
        kept = kept->next;
    if (!kept) {
        kept = mem_alloc(sizeof *kept + strlen(text) + 1);
        memcpy(kept->text, text, strlen(text) + 1);
        kept->next = svc->site_texts;
        svc->site_texts = kept;
    }
    return kept->text;
}

static void use_name(struct svc *svc, struct site *site, const char *value)
{
    site->name = keep(svc, value);
}

static void use_organization(struct svc *svc, struct site *site, const char *value)
{
    site->organization = keep(svc, value);
}

static void use_help_email(struct svc *svc, struct site *site, const char *value)
{
    if (site->mail_from == site->help_email)
        site->mail_from = keep(svc, value);
    site->help_email = keep(svc, value);
}

static void use_sign_up(struct svc *svc UNUSED, struct site *site, const char *value)
{
    site->sign_up = is_yes(value) ? "open" : "closed";
}

static void use_verify(struct svc *svc UNUSED, struct site *site, const char *value)
{
    site->verify_email = is_yes(value);
}

static void use_amounts(const char *value, uint32_t fixed, _Atomic double amounts[UPGRADE_COUNT])
{
    auto_json cJSON *members = cJSON_Parse(value);
    const cJSON *item;
    enum upgrade upgrade;
    cJSON_ArrayForEach(item, members)
    {
        if (find_amount(item->string, &upgrade) && !(fixed >> upgrade & 1))
            amounts[upgrade] = upgrade_amount(upgrade, item);
    }
}

static void use_default_quotas(struct svc *svc UNUSED, struct site *site, const char *value)
{
    use_amounts(value, site->quotas_written, site->quotas.base);
}

static void use_max_upgrades(struct svc *svc UNUSED, struct site *site, const char *value)
{
    use_amounts(value, site->maxima_written, site->quotas.max);
}

static const struct used {
    const char *name;
    unsigned written; // in the configuration: enum site_written; 0: of its parts some may be
    int (*check)(const char *value, struct err *err);
    void (*use)(struct svc *svc, struct site *site, const char *value);
} used[] = {
    {"site_name", SITE_WRITTEN_NAME, check_line, use_name},
    {"organization_name", SITE_WRITTEN_ORGANIZATION, check_line, use_organization},
    {"help_email", SITE_WRITTEN_HELP_EMAIL, check_address, use_help_email},
    {"email_signup", SITE_WRITTEN_SIGN_UP, check_choice, use_sign_up},
    {"verify_emails", SITE_WRITTEN_VERIFY_EMAIL, check_choice, use_verify},
    {"default_quotas", 0, check_amounts, use_default_quotas},
    {"max_upgrades", 0, check_amounts, use_max_upgrades},
};

static const struct used *find_used(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(used); i++) {
        if (!strcmp(used[i].name, name))
            return &used[i];
    }
    return NULL;
}

int setting_check(const struct svc *svc, const char *name, const char *value, struct err *err)
{
    const struct used *setting = find_used(name);
    if (utf8_utf16_len(value, strlen(value)) > LIMIT_SETTING)
        return err_set(err, ERR_TOO_LARGE, "must have at most %zu characters", LIMIT_SETTING);
    if (!setting)
        return 0;
    if (svc->site.written & setting->written)
        return err_set(err, ERR_CONFLICT, "the configuration says what %s is", name);
    return value[0] ? setting->check(value, err) : 0;
}

// ---- Rows ----

int setting_set(struct db_session *txn, const char *name, const char *value, struct err *err)
{
    static const struct db_stmt set = {"INSERT INTO server_settings (name, value) VALUES ($1, $2)"
                                       " ON CONFLICT (name) DO UPDATE SET value = excluded.value"};
    db_notify(txn, DB_TOPIC_SETTINGS);
    return db_exec(txn, &set, DB_ARGS(DB_TEXT(name), DB_TEXT(value)), NULL, err);
}

int setting_get(struct db_session *session, const char *name, struct buf *out, struct err *err)
{
    static const struct db_stmt find = {
        "SELECT value FROM server_settings WHERE name = $1 AND value IS NOT NULL"};
    auto_rows struct db_rows *rows = NULL;
    int rc = db_query_row(session, &find, DB_ARGS(DB_TEXT(name)), &rows, err);
    if (rc == 1)
        buf_append(out, db_rows_text(rows, 0), db_rows_size(rows, 0));
    return rc < 0 ? rc : 0;
}

int settings_show(struct db_session *session, const char *name, struct buf *out, struct err *err)
{
    static const struct db_stmt list = {
        "SELECT name, value FROM server_settings WHERE name = coalesce($1, name) ORDER BY name"};
    auto_rows struct db_rows *rows = NULL;
    int rc = db_query(session, &list, DB_ARGS(DB_TEXT(name)), &rows, err);
    json_begin_object(out);
    while (!rc && (rc = db_rows_next(rows, err)) == 1) {
        if (!db_rows_null(rows, 1)) {
            const char *stored = db_rows_text(rows, 0);
            json_strn(out, stored, strlen(stored));
            buf_append_char(out, ':');
            const char *value = db_rows_text(rows, 1);
            json_strn(out, value, db_rows_size(rows, 1));
        }
        rc = 0;
    }
    json_end_object(out);
    return rc;
}

// ---- Loading ----

// Each member by itself, as others read it meanwhile.
static void publish(const struct site *from, struct site *to)
{
    to->name = from->name;
    to->help_email = from->help_email;
    to->organization = from->organization;
    to->mail_from = from->mail_from;
    to->sign_up = from->sign_up;
    to->verify_email = from->verify_email;
    for (int i = 0; i < UPGRADE_COUNT; i++) {
        to->quotas.base[i] = from->quotas.base[i];
        to->quotas.max[i] = from->quotas.max[i];
    }
}

// A value that a program put past the checks counts as none.
static void use_row(struct svc *svc, struct site *site, const char *name, const char *value)
{
    const struct used *setting = find_used(name);
    struct err err;
    if (!setting || !value || !value[0] || (site->written & setting->written))
        return;
    if (setting->check(value, &err))
        log_event(LOG_WARNING, "setting_ignored", LOG_TEXT("name", name),
                  LOG_TEXT("what", err.message));
    else
        setting->use(svc, site, value);
}

int settings_load(struct svc *svc, struct db_session *session, struct err *err)
{
    static const struct db_stmt list = {"SELECT name, value FROM server_settings"};
    auto_rows struct db_rows *rows = NULL;
    struct site site = svc->configured;
    int rc = db_query(session, &list, DB_NO_ARGS, &rows, err);
    while (!rc && (rc = db_rows_next(rows, err)) == 1) {
        use_row(svc, &site, db_rows_text(rows, 0), db_rows_text(rows, 1));
        rc = 0;
    }
    if (!rc)
        publish(&site, &svc->site);
    return rc;
}

// ---- Following changes ----

struct settings {
    struct svc *svc;
    struct db_subscription subscription;
    struct work work;
    uv_timer_t retry;
    bool loading, again; // changed while it was loading
    bool failing;
    int rc;
    struct err err;
};

static void load(struct settings *settings);

static void on_load(struct work *work)
{
    struct settings *settings = CONTAINER(work, struct settings, work);
    struct db_session *session;
    settings->rc = sessions_take(&settings->svc->sessions, &session, &settings->err);
    if (settings->rc)
        return;
    settings->rc = settings_load(settings->svc, session, &settings->err);
    sessions_give(&settings->svc->sessions, session);
}

static void on_retry(uv_timer_t *timer)
{
    load(CONTAINER(timer, struct settings, retry));
}

static void on_loaded(struct work *work)
{
    struct settings *settings = CONTAINER(work, struct settings, work);
    settings->loading = false;
    if (settings->rc && !settings->failing)
        log_err(LOG_WARNING, "settings_not_read", &settings->err);
    settings->failing = settings->rc;
    if (settings->svc->closing)
        return;
    if (settings->again)
        load(settings);
    else if (settings->rc)
        uv_timer_start(&settings->retry, on_retry, RETRY_MS, 0);
}

static void load(struct settings *settings)
{
    settings->again = settings->loading;
    if (settings->loading)
        return;
    settings->loading = true;
    work_submit(settings->svc->loop, &settings->work, on_load, on_loaded);
}

static void on_changed(struct db_subscription *subscription, const char *key UNUSED)
{
    load(CONTAINER(subscription, struct settings, subscription));
}

struct settings *settings_open(struct svc *svc)
{
    struct settings *settings = mem_zalloc(sizeof *settings);
    settings->svc = svc;
    settings->subscription = (struct db_subscription){
        .loop = svc->loop, .topic = DB_TOPIC_SETTINGS, .changed = on_changed};
    uv_timer_init(&svc->loop->uv, &settings->retry);
    db_subscribe(svc->db, &settings->subscription);
    load(settings); // what changed before
    return settings;
}

void settings_close(struct settings *settings)
{
    uv_timer_stop(&settings->retry);
    db_unsubscribe(settings->svc->db, &settings->subscription);
    while (settings->loading)
        uv_run(&settings->svc->loop->uv, UV_RUN_ONCE);
}

void settings_free(struct settings *settings)
{
    free(settings);
}
