// SPDX-License-Identifier: AGPL-3.0-or-later
// system.getCustomize (hub-rpc section 3): what the site tells of itself.
#include <string.h>

#include "api/rpc/methods.h"
#include "svc/settings.h"

struct customize_params {
    struct api_strings fields;
};

static const struct api_param customize_params[] = {
    {.name = "fields",
     .type = PARAM_STRINGS,
     .offset = offsetof(struct customize_params, fields),
     .text = "what to tell; all if left out"},
};

static const struct api_example customize_examples[] = {
    {"Everything: `args` is empty.", CALL_HUB("{\"name\":\"system.getCustomize\",\"args\":[]}"),
     "{\"siteName\":\"CoHub\",\"siteDescription\":\"\",\"organizationName\":\"\",\"helpEmail\":"
     "\"help@example.com\",\"dns\":\"example.com\",\"siteURL\":\"https://example.com\","
     "\"termsOfServiceURL\":\"\",\"emailSignup\":true,\"anonymousSignup\":false,"
     "\"jupyterApiEnabled\":false,\"shareServer\":true,\"isCommercial\":false,\"kucalc\":\"no\","
     "\"version\":\"0.1.0\"}"},
    {"Two things:",
     CALL_HUB("{\"name\":\"system.getCustomize\",\"args\":[[\"siteName\",\"isCommercial\"]]}"),
     "{\"siteName\":\"CoHub\",\"isCommercial\":false}"},
};

// ---- Values ----

// `setting` is the value of the field's setting, "" if it has none.
typedef void write_fn(const struct site *site, const char *setting, struct buf *out);

static void write_setting(const struct site *site UNUSED, const char *setting, struct buf *out)
{
    json_str(out, setting);
}

static void write_site_name(const struct site *site, const char *setting UNUSED, struct buf *out)
{
    json_str(out, site->name);
}

static void write_organization(const struct site *site, const char *setting UNUSED, struct buf *out)
{
    json_str(out, site->organization);
}

static void write_help_email(const struct site *site, const char *setting UNUSED, struct buf *out)
{
    json_str(out, site->help_email);
}

static void write_url(const struct site *site, const char *setting UNUSED, struct buf *out)
{
    json_str(out, site->url);
}

// The host of the site's address, unless the setting says otherwise.
static void write_dns(const struct site *site, const char *setting, struct buf *out)
{
    const char *host = strstr(site->url, "://");
    if (setting[0] || !host)
        json_str(out, setting);
    else
        json_strn(out, host + 3, strcspn(host + 3, "/"));
}

static void write_sign_up(const struct site *site, const char *setting UNUSED, struct buf *out)
{
    json_bool(out, strcmp(site->sign_up, "closed") != 0);
}

static void write_yes(const struct site *site UNUSED, const char *setting UNUSED, struct buf *out)
{
    json_bool(out, true);
}

static void write_no(const struct site *site UNUSED, const char *setting UNUSED, struct buf *out)
{
    json_bool(out, false);
}

static void write_kucalc(const struct site *site UNUSED, const char *setting UNUSED,
                         struct buf *out)
{
    json_str(out, "no");
}

static void write_version(const struct site *site UNUSED, const char *setting UNUSED,
                          struct buf *out)
{
    json_str(out, COHUB_VERSION);
}

static const struct field {
    const char *name;
    const char *setting; // NULL: none
    write_fn *write;
} fields[] = {
    {"siteName", NULL, write_site_name},
    {"siteDescription", "site_description", write_setting},
    {"organizationName", NULL, write_organization},
    {"helpEmail", NULL, write_help_email},
    {"dns", "dns", write_dns},
    {"siteURL", NULL, write_url},
    {"termsOfServiceURL", "terms_of_service_url", write_setting},
    {"emailSignup", NULL, write_sign_up},
    {"anonymousSignup", NULL, write_no},
    {"jupyterApiEnabled", NULL, write_no}, // there is no pool for the site
    {"shareServer", NULL, write_yes},
    {"isCommercial", NULL, write_no},
    {"kucalc", NULL, write_kucalc},
    {"version", NULL, write_version},
};

// ---- The call ----

static bool is_wanted(const struct api_strings *wanted, const char *name)
{
    for (size_t i = 0; i < wanted->count; i++) {
        if (!strcmp(wanted->items[i], name))
            return true;
    }
    return !wanted->given;
}

static int write_field(struct api_call *call, const struct field *field, struct err *err)
{
    auto_buf struct buf value = {0};
    int rc = field->setting ? setting_get(call->session, field->setting, &value, err) : 0;
    if (rc)
        return rc;
    json_key(rpc_result(call), field->name);
    field->write(&call->svc->site, buf_cstr(&value), rpc_result(call));
    return 0;
}

static void handle_customize(struct api_call *call, const void *params)
{
    const struct customize_params *p = params;
    struct err err;
    int rc = 0;
    json_begin_object(rpc_result(call));
    for (size_t i = 0; i < ARRAY_LEN(fields) && !rc; i++) {
        if (is_wanted(&p->fields, fields[i].name))
            rc = write_field(call, &fields[i], &err);
    }
    json_end_object(rpc_result(call));
    if (rc)
        rpc_fail(call, &err);
    else
        rpc_send(call);
}

const struct api_endpoint hub_system_get_customize = {
    HUB_METHOD("system.getCustomize"),
    .args = ARGS_LIST,
    .run = API_INLINE,
    .text = "What the site tells of itself: its name, address and owner, and what it offers. The "
            "list of fields, if any, is the first of `args` itself; names that there are not are "
            "skipped.",
    API_PARAMS(customize_params, struct customize_params),
    .result = "{\"type\":\"object\",\"properties\":{\"siteName\":{\"type\":\"string\"},"
              "\"siteDescription\":{\"type\":\"string\"},\"organizationName\":{\"type\":"
              "\"string\"},\"helpEmail\":{\"type\":\"string\"},\"dns\":{\"type\":\"string\"},"
              "\"siteURL\":{\"type\":\"string\"},\"termsOfServiceURL\":{\"type\":\"string\"},"
              "\"emailSignup\":{\"type\":\"boolean\"},\"anonymousSignup\":{\"type\":\"boolean\"},"
              "\"jupyterApiEnabled\":{\"type\":\"boolean\"},\"shareServer\":{\"type\":"
              "\"boolean\"},\"isCommercial\":{\"type\":\"boolean\"},\"kucalc\":{\"type\":"
              "\"string\"},\"version\":{\"type\":\"string\"}}}",
    API_EXAMPLES(customize_examples),
    .handler = handle_customize,
};
