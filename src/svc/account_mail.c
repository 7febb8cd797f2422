// SPDX-License-Identifier: AGPL-3.0-or-later
#include "svc/account_mail.h"

#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "svc/mail.h"
#include "svc/mail_html.h"

// Host and port of the site's address.
static char *site_host(const struct site *site)
{
    const char *host = strstr(site->url, "://");
    host = host ? host + 3 : site->url;
    return mem_strndup(host, strcspn(host, "/"));
}

static void append_verification(struct buf *html, const struct site *site,
                                const char *email_address, const char *token)
{
    auto_buf struct buf url = {0};
    buf_printf(&url, "%s/auth/verify?email=", site->url);
    text_append_percent(&url, email_address);
    buf_printf(&url, "&token=%s", token);
    buf_append_str(html, "<p>Please verify that this address is yours, within 24 hours: ");
    mail_html_link(html, buf_cstr(&url), buf_cstr(&url));
    buf_append_str(html, "</p>\n");
}

int account_mail_welcome(struct db_session *txn, const struct svc *svc, const char *email_address,
                         const char *token, struct err *err)
{
    const struct site *site = &svc->site;
    auto_free char *host = site_host(site);
    auto_free char *subject = mem_printf("Welcome to %s - %s", site->name, host);
    auto_buf struct buf html = {0};
    buf_append_str(&html, "<p>An account with the address ");
    text_append_html(&html, email_address);
    buf_append_str(&html, " was made for you at ");
    text_append_html(&html, site->name);
    buf_append_str(&html, ": ");
    mail_html_link(&html, site->url, site->url);
    buf_append_str(&html, "</p>\n");
    if (token)
        append_verification(&html, site, email_address, token);
    auto_free char *reference = mem_printf("%s/api/v1/", site->url);
    buf_append_str(&html, "<p>What programs can do there: ");
    mail_html_link(&html, reference, reference);
    buf_append_str(&html, "</p>\n");
    const struct mail mail = {.category = "welcome",
                              .to = email_address,
                              .from_name = site->organization[0] ? site->organization : NULL,
                              .subject = subject,
                              .html = buf_cstr(&html)};
    return mail_queue(txn, svc, &mail, err);
}

int account_mail_verify(struct db_session *txn, const struct svc *svc, const char *email_address,
                        const char *token, struct err *err)
{
    const struct site *site = &svc->site;
    auto_free char *subject = mem_printf("%s: verify your address", site->name);
    auto_buf struct buf html = {0};
    buf_append_str(&html, "<p>Your account at ");
    text_append_html(&html, site->name);
    buf_append_str(&html, " has the address ");
    text_append_html(&html, email_address);
    buf_append_str(&html, ".</p>\n");
    append_verification(&html, site, email_address, token);
    const struct mail mail = {.category = "verify",
                              .to = email_address,
                              .from_name = site->organization[0] ? site->organization : NULL,
                              .subject = subject,
                              .html = buf_cstr(&html)};
    return mail_queue(txn, svc, &mail, err);
}

int account_mail_reset(struct db_session *txn, const struct svc *svc, const char *email_address,
                       const struct uuid *code, struct err *err)
{
    const struct site *site = &svc->site;
    auto_free char *subject = mem_printf("%s Password Reset", site->name);
    auto_free char *from_name = mem_printf("%s Help", site->name);
    auto_free char *url = mem_printf("%s/auth/password_reset?token=%s", site->url, code->text);
    auto_buf struct buf html = {0};
    buf_append_str(&html, "<p>Somebody asked for a new password of the account at ");
    text_append_html(&html, site->name);
    buf_append_str(&html, " that has this address. To set one, open this page within an hour: ");
    mail_html_link(&html, url, url);
    buf_append_str(&html, "</p>\n<p>If it was not you, ignore this message: the password stays as "
                          "it is.</p>\n");
    const struct mail mail = {.category = "password_reset",
                              .to = email_address,
                              .from_name = from_name,
                              .from = site->help_email,
                              .subject = subject,
                              .html = buf_cstr(&html)};
    return mail_queue(txn, svc, &mail, err);
}
