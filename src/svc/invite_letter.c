// SPDX-License-Identifier: AGPL-3.0-or-later
#include "svc/invite_letter.h"

#include <string.h>
#include <strings.h>

#include "base/json.h"
#include "base/limits.h"
#include "base/text.h"
#include "db/query.h"
#include "svc/mail.h"
#include "svc/mail_html.h"
#include "svc/project.h"
#include "svc/project_quota.h"

#define LINKS_REFUSED "Error: Sorry, links to specific websites are not allowed!"

// ---- Whether the text may hold links (9.3) ----

static bool is_some(const char *json)
{
    auto_json cJSON *map = json ? cJSON_Parse(json) : NULL;
    return map && map->child;
}

int invite_links_allowed(struct db_session *session, const struct svc *svc,
                         const struct uuid *project_id, const struct uuid *account_id,
                         bool *ret_allowed, struct err *err)
{
    static const struct db_stmt bought = {"SELECT upgrades FROM accounts WHERE account_id = $1"};
    auto_rows struct db_rows *rows = NULL;
    struct quota quota;
    int rc = project_quota_get(session, &svc->site.quotas, project_id, &quota, err);
    if (!rc)
        *ret_allowed = quota.network;
    if (rc || quota.network)
        return rc;
    rc = db_query_row(session, &bought, DB_ARGS(DB_TEXT(account_id->text)), &rows, err);
    *ret_allowed = rc == 1 && is_some(db_rows_text(rows, 0));
    return rc < 0 ? rc : 0;
}

// ---- The letter ----

// True for http and https; then *ret_host is the part that names the server.
static bool read_url(const char *url, const char **ret_host, size_t *ret_size)
{
    size_t scheme = !strncasecmp(url, "http://", 7) ? 7 : !strncasecmp(url, "https://", 8) ? 8 : 0;
    for (const char *p = url; *p; p++) {
        if ((unsigned char)*p <= ' ' || *p == 0x7f)
            return false;
    }
    *ret_host = url + scheme;
    *ret_size = strcspn(*ret_host, "/?#\\");
    return scheme && *ret_size;
}

static bool is_same_server(const char *url, const char *site_url)
{
    const char *host, *site;
    size_t size, site_size;
    return read_url(url, &host, &size) && read_url(site_url, &site, &site_size) &&
           size == site_size && !strncasecmp(host, site, size);
}

static bool is_url(const char *url)
{
    const char *host;
    size_t size;
    return read_url(url, &host, &size);
}

// "the project 'TITLE'", linked if it leads to this site; who may write links may lead elsewhere.
// Any other link is left out wholly: mail programs make links of plain text.
static char *project_html(const struct invite *invite, const char *title, bool links)
{
    const char *url = invite->text.link2proj ? invite->text.link2proj : "";
    struct arena *arena = invite->arena;
    auto_buf struct buf out = {0};
    const char *name = *title ? arena_printf(arena, "the project '%s'", title) : "the project";
    if (is_same_server(url, invite->svc->site.url) || (links && is_url(url)))
        mail_html_link(&out, url, name);
    else
        text_append_html(&out, name);
    return arena_strndup(arena, out.data, out.size);
}

// Names and titles that look like links are left out where links are not allowed: there is no harm
// in a project that is called so.
static const char *harmless(const char *text, bool links)
{
    return !text || !*text || (!links && mail_text_has_link(text)) ? "" : text;
}

static const char *default_subject(const struct invite *invite, const char *title, const char *name)
{
    const char *site = invite->svc->site.name;
    struct arena *arena = invite->arena;
    if (invite->to)
        return arena_printf(arena, "%s Invitation", site);
    if (*name && *title)
        return arena_printf(arena, "%s invited you to collaborate on %s in project '%s'", name,
                            site, title);
    if (*title)
        return arena_printf(arena, "Invitation to %s for collaborating in project '%s'", site,
                            title);
    return *name ? arena_printf(arena, "%s invited you to collaborate on %s", name, site)
                 : arena_printf(arena, "Invitation to %s", site);
}

// The cleaned text, or the subject if there is none.
static int write_body(struct invite *invite, const char *subject, bool links)
{
    struct invite_letter *letter = &invite->letter;
    const char *text = invite->text.email;
    auto_buf struct buf body = {0};
    struct err err;
    int rc = *text ? mail_html_clean(text, links, &body, &err) : 0;
    if (rc == -ERR_FORBIDDEN)
        return err_set(&letter->err, ERR_INVALID, LINKS_REFUSED);
    if (rc)
        return err_set(&letter->err, ERR_INVALID, "error sending email -- %s", err.message);
    if (!*text)
        text_append_html(&body, subject);
    letter->body = arena_strndup(invite->arena, body.data ? body.data : "", body.size);
    return 0;
}

static void write_letter(struct invite *invite, const char *stored_title, bool links)
{
    const struct invite_text *text = &invite->text;
    struct invite_letter *letter = &invite->letter;
    const char *title = harmless(text->title ? text->title : stored_title, links);
    const char *name = harmless(text->replyto_name, links);
    bool own_subject = text->subject && *text->subject;
    letter->subject = own_subject ? text->subject : default_subject(invite, title, name);
    letter->project = project_html(invite, title, links);
    letter->reply_to = text->replyto && *text->replyto ? text->replyto : NULL;
    letter->reply_to_name = letter->reply_to ? name : NULL;
    if (!links && own_subject && mail_text_has_link(text->subject))
        letter->rc = err_set(&letter->err, ERR_INVALID, LINKS_REFUSED);
    else
        letter->rc = write_body(invite, letter->subject, links);
}

static int check_sizes(const struct invite_text *text, struct err *err)
{
    const struct {
        const char *name, *text;
        size_t max;
    } texts[] = {
        {"email", text->email, LIMIT_INVITATION_TEXT},
        {"subject", text->subject, LIMIT_INVITATION_LINE},
        {"title", text->title, LIMIT_INVITATION_LINE},
        {"link2proj", text->link2proj, LIMIT_INVITATION_LINE},
        {"replyto", text->replyto, LIMIT_INVITATION_LINE},
        {"replyto_name", text->replyto_name, LIMIT_INVITATION_LINE},
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        if (texts[i].text && strlen(texts[i].text) > texts[i].max)
            return err_set(err, ERR_INVALID, "%s must have at most %zu bytes", texts[i].name,
                           texts[i].max);
    }
    return 0;
}

int invite_letter_prepare(struct db_session *session, struct invite *invite, struct err *err)
{
    const char *title = "";
    bool links = false;
    int rc = check_sizes(&invite->text, err);
    if (rc || !invite->text.email)
        return rc;
    rc = project_title_get(session, &invite->project_id, invite->arena, &title, err);
    if (!rc)
        rc = invite_links_allowed(session, invite->svc, &invite->project_id, &invite->inviter,
                                  &links, err);
    if (!rc)
        write_letter(invite, title, links);
    return rc;
}

// ---- The mail ----

static void write_member_steps(const struct invite *invite, const char *address, struct buf *out)
{
    const char *site = invite->svc->site.url;
    buf_append_str(out, "<p>To go to ");
    buf_append_str(out, invite->letter.project);
    buf_append_str(out, ", open ");
    mail_html_link(out, site, site);
    buf_append_str(out, " and sign in using exactly the email address <b>");
    text_append_html(out, address);
    buf_append_str(out, "</b>. If you are signed in there under another address, sign out "
                        "first.</p>\n");
}

static void write_sign_up_steps(const struct invite *invite, const char *address,
                                const struct uuid *action, struct buf *out)
{
    auto_free char *page =
        mem_printf("%s/auth/invitation?token=%s", invite->svc->site.url, action->text);
    buf_append_str(out, "<p>To accept the invitation, please sign up at ");
    mail_html_link(out, page, page);
    buf_append_str(out, " using exactly the email address <b>");
    text_append_html(out, address);
    buf_append_str(out, "</b>. Then go to ");
    buf_append_str(out, invite->letter.project);
    buf_append_str(out, ".</p>\n");
}

int invite_letter_send(struct db_session *txn, const struct invite *invite, const char *address,
                       const struct uuid *action, struct err *err)
{
    const struct invite_letter *letter = &invite->letter;
    auto_buf struct buf html = {0};
    buf_append_str(&html, letter->body);
    buf_append_str(&html, "<br>\n<br>\n");
    if (action)
        write_sign_up_steps(invite, address, action, &html);
    else
        write_member_steps(invite, address, &html);
    struct mail mail = {
        .category = "invite",
        .to = address,
        .reply_to = letter->reply_to ? letter->reply_to : invite->svc->site.help_email,
        .reply_to_name = letter->reply_to_name,
        .subject = letter->subject,
        .html = buf_cstr(&html),
        .project_id = &invite->project_id,
    };
    return mail_queue(txn, invite->svc, &mail, err);
}
