// SPDX-License-Identifier: AGPL-3.0-or-later
#include "svc/mail_html.h"

#include <ctype.h>
#include <glib.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "svc/html.h"

#define HREF_MAX 2000

// ---- Links in plain text ----

static bool is_unseen(gunichar c)
{
    switch (g_unichar_type(c)) {
    case G_UNICODE_FORMAT:
    case G_UNICODE_UNASSIGNED:
        return true;
    case G_UNICODE_CONTROL:
        return !g_unichar_isspace(c);
    default:
        return g_unichar_iszerowidth(c) || g_unichar_combining_class(c) || c == 0x115f; // fills
    }
}

// Normalising would sort runs of marks, slowly. False: it is no UTF-8.
static bool leave_out_unseen(const char *text, struct buf *out)
{
    if (!g_utf8_validate(text, -1, NULL))
        return false;
    for (size_t size; *text; text += size) {
        size = (size_t)g_utf8_skip[(unsigned char)*text];
        if (!is_unseen(g_utf8_get_char(text)))
            buf_append(out, text, size);
    }
    return true;
}

// ASCII as it is; of others only what they are to a domain counts. Pictures can begin one, but they
// are not what it ends in.
static char kind_of(gunichar c)
{
    if (c < 0x80)
        return (char)c;
    if (g_unichar_isalpha(c))
        return 'x';
    return g_unichar_isdigit(c) || g_unichar_type(c) == G_UNICODE_OTHER_SYMBOL ? '0' : ' ';
}

// What a reader sees, and a program that looks for addresses: without what is not seen, wide and
// narrow forms alike. Browsers take an ideographic full stop for a dot; a sentence in Chinese ends
// in one too, but the next hardly begins in Latin without a space. False: it is no UTF-8.
static bool as_seen(const char *text, struct buf *out)
{
    auto_buf struct buf seen = {0};
    if (!leave_out_unseen(text, &seen))
        return false;
    char *alike = g_utf8_normalize(buf_cstr(&seen), -1, G_NORMALIZE_ALL_COMPOSE);
    bool full_stop = false;
    for (char *p = alike; p && *p; p = g_utf8_next_char(p)) {
        const gunichar c = g_utf8_get_char(p);
        if (is_unseen(c))
            continue;
        if (full_stop)
            buf_append_char(out, c < 0x80 && isalpha((int)c) ? '.' : ' ');
        full_stop = c == 0x3002;
        if (!full_stop)
            buf_append_char(out, kind_of(c));
    }
    g_free(alike);
    return alike != NULL;
}

// A letter or digit, a dot, and two letters or more: what a domain looks like.
static bool has_domain(const char *text)
{
    const char *dot = text;
    while ((dot = strchr(dot, '.'))) {
        const bool behind_word = dot > text && isalnum((unsigned char)dot[-1]);
        dot++;
        if (behind_word && isalpha((unsigned char)dot[0]) && isalpha((unsigned char)dot[1]))
            return true;
    }
    return false;
}

bool mail_text_has_link(const char *text)
{
    auto_buf struct buf seen = {0};
    const bool valid = as_seen(text, &seen);
    const char *words = buf_cstr(&seen);
    return !valid || strstr(words, "://") || strcasestr(words, "mailto:") || has_domain(words);
}

// ---- Cleaning ----

struct cleaner {
    struct buf *out;
    bool links_allowed;
    bool links[LIMIT_HTML_DEPTH + 1]; // which of the open <a> were written
    int links_open;
    bool href;                                // a link was there, written or not
    struct buf seen;                          // the text of what is written, as HTML shows it
    const char *inside[LIMIT_HTML_DEPTH + 1]; // the tags that are open in what is written
    int depth;
    bool astray; // a table that browsers take apart
};

static bool may_stay(const char *name)
{
    static const char *const names[] = {
        "h1", "h2",     "h3", "h4", "h5",  "h6",    "blockquote", "p",     "ul",      "ol",
        "nl", "li",     "b",  "i",  "em",  "hr",    "strong",     "code",  "caption", "br",
        "td", "strike", "th", "tr", "div", "table", "thead",      "tbody", "pre",     NULL};
    return text_is_one_of(name, names);
}

static bool is_void(const char *name)
{
    return !strcmp(name, "br") || !strcmp(name, "hr");
}

// Without white space around; false for what is no harmless address.
static bool is_good_href(const char *href)
{
    size_t size = strlen(href);
    if (strncasecmp(href, "http://", 7) && strncasecmp(href, "https://", 8) &&
        strncasecmp(href, "mailto:", 7))
        return false;
    for (size_t i = 0; i < size; i++) {
        if ((unsigned char)href[i] <= ' ' || href[i] == 0x7f)
            return false;
    }
    return size <= HREF_MAX;
}

static bool clean_link(struct cleaner *cleaner, const char *href)
{
    if (!cleaner->links_allowed || !href || !is_good_href(href))
        return false;
    buf_append_str(cleaner->out, "<a href=\"");
    text_append_html(cleaner->out, href);
    buf_append_str(cleaner->out, "\">");
    return true;
}

static bool is_within_words(const char *name)
{
    static const char *const names[] = {"b", "i", "em", "strong", "strike", "code", "nl", NULL};
    return text_is_one_of(name, names);
}

// Tables hold nothing but their parts. Browsers leave out a part that stands elsewhere, and show
// what stands between parts before the table.
static bool may_stand_in(const char *name, const char *parent)
{
    static const char *const sections[] = {"thead", "tbody", "caption", NULL};
    static const char *const row_parents[] = {"table", "thead", "tbody", NULL};
    if (!strcmp(name, "td") || !strcmp(name, "th"))
        return !strcmp(parent, "tr");
    if (!strcmp(name, "tr"))
        return text_is_one_of(parent, row_parents);
    if (text_is_one_of(name, sections))
        return !strcmp(parent, "table");
    return strcmp(parent, "tr") && !text_is_one_of(parent, row_parents);
}

static const char *parent_of(const struct cleaner *cleaner)
{
    return cleaner->depth ? cleaner->inside[cleaner->depth - 1] : "";
}

static void write_start(struct cleaner *cleaner, const char *name)
{
    buf_printf(cleaner->out, "<%s>", name);
    cleaner->astray |= !may_stand_in(name, parent_of(cleaner));
    if (!is_within_words(name))
        buf_append_char(&cleaner->seen, ' ');
    if (!is_void(name))
        cleaner->inside[cleaner->depth++] = name;
}

static void clean_start(void *ctx, const char *name, const char *href)
{
    struct cleaner *cleaner = ctx;
    cleaner->href |= href && *href;
    if (!strcmp(name, "a"))
        cleaner->links[cleaner->links_open++] = clean_link(cleaner, href);
    else if (may_stay(name))
        write_start(cleaner, name);
}

static void clean_end(void *ctx, const char *name)
{
    struct cleaner *cleaner = ctx;
    const bool link = !strcmp(name, "a");
    if (link ? !cleaner->links[--cleaner->links_open] : !may_stay(name) || is_void(name))
        return;
    buf_printf(cleaner->out, "</%s>", name);
    if (!link)
        cleaner->depth--;
    if (!link && !is_within_words(name))
        buf_append_char(&cleaner->seen, ' ');
}

static bool is_blank(const char *text, size_t size)
{
    while (size && text_is_space(*text)) {
        text++;
        size--;
    }
    return !size;
}

static void clean_text(void *ctx, const char *text, size_t size)
{
    struct cleaner *cleaner = ctx;
    text_append_htmln(cleaner->out, text, size);
    buf_append(&cleaner->seen, text, size);
    cleaner->astray |= !is_blank(text, size) && !may_stand_in("", parent_of(cleaner));
}

void mail_html_link(struct buf *out, const char *url, const char *text)
{
    buf_append_str(out, "<a href=\"");
    text_append_html(out, url);
    buf_append_str(out, "\">");
    text_append_html(out, text);
    buf_append_str(out, "</a>");
}

void mail_html_from_plain(const char *text, struct buf *out)
{
    for (;;) {
        size_t line = strcspn(text, "\n");
        size_t shown = line && text[line - 1] == '\r' ? line - 1 : line;
        text_append_htmln(out, text, shown);
        if (!text[line])
            return;
        buf_append_str(out, "<br>\n");
        text += line + 1;
    }
}

static int clean(const char *text, struct cleaner *cleaner, struct err *err)
{
    static const struct html_events events = {clean_start, clean_end, clean_text};
    if (html_is(text))
        return html_walk(text, &events, cleaner, err);
    if (strlen(text) > LIMIT_HTML_SIZE)
        return err_set(err, ERR_TOO_LARGE, "the text must have at most %d bytes", LIMIT_HTML_SIZE);
    mail_html_from_plain(text, cleaner->out);
    buf_append_str(&cleaner->seen, text);
    return 0;
}

// Of what is written, not of what was given: there is no second reading that could differ. Both
// parts of the message are looked at.
static int check_links(struct cleaner *cleaner, size_t begin, struct err *err)
{
    auto_buf struct buf plain = {0};
    int rc = mail_html_to_text(buf_cstr(cleaner->out) + begin, &plain, err);
    if (!rc && (cleaner->href || cleaner->astray || mail_text_has_link(buf_cstr(&cleaner->seen)) ||
                mail_text_has_link(buf_cstr(&plain))))
        rc = err_set(err, ERR_FORBIDDEN, "the text has a link");
    return rc;
}

int mail_html_clean(const char *text, bool links_allowed, struct buf *out, struct err *err)
{
    struct cleaner cleaner = {.out = out, .links_allowed = links_allowed};
    const size_t begin = out->size;
    int rc = clean(text, &cleaner, err);
    if (!rc && !links_allowed)
        rc = check_links(&cleaner, begin, err);
    buf_dispose(&cleaner.seen);
    return rc;
}

// ---- Plain text ----

struct writer {
    struct buf *out;
    size_t begin;                      // of what this writer wrote
    int newlines;                      // due before the next character
    bool space;                        // due
    int pre, lists;                    // how many are open
    int numbers[LIMIT_HTML_DEPTH + 1]; // of the next item; 0: no numbers
    struct {
        char *href;
        size_t begin;
    } links[LIMIT_HTML_DEPTH + 1];
    int links_open;
    bool cell; // one stands before in the row
};

static void due(struct writer *w, int newlines)
{
    w->space = false;
    if (w->newlines < newlines)
        w->newlines = newlines;
}

static void settle(struct writer *w)
{
    bool begun = w->out->size > w->begin;
    for (int i = 0; begun && i < w->newlines; i++)
        buf_append_char(w->out, '\n');
    if ((w->newlines || !begun) && !w->pre) {
        for (int i = 1; i < w->lists; i++)
            buf_append_str(w->out, "  ");
    } else if (w->space && begun) {
        buf_append_char(w->out, ' ');
    }
    w->newlines = 0;
    w->space = false;
}

static void write_word(struct writer *w, const char *text, size_t size)
{
    settle(w);
    buf_append(w->out, text, size);
}

static void text_text(void *ctx, const char *text, size_t size)
{
    struct writer *w = ctx;
    if (w->pre) {
        write_word(w, text, size);
        return;
    }
    for (size_t i = 0; i < size;) {
        size_t word = i;
        while (word < size && !text_is_space(text[word]))
            word++;
        if (word > i)
            write_word(w, text + i, word - i);
        if (word < size)
            w->space = !w->newlines && w->out->size > w->begin;
        i = word + (word < size);
    }
}

static bool is_paragraph(const char *name)
{
    static const char *const names[] = {"p",          "h1", "h2",  "h3",    "h4", "h5", "h6",
                                        "blockquote", "dl", "pre", "table", "hr", NULL};
    return text_is_one_of(name, names);
}

static bool is_line(const char *name)
{
    static const char *const names[] = {"div", "li", "tr", "caption", "dt", "dd", NULL};
    return text_is_one_of(name, names);
}

static bool is_list(const char *name)
{
    return !strcmp(name, "ul") || !strcmp(name, "ol") || !strcmp(name, "nl");
}

static bool is_cell(const char *name)
{
    return !strcmp(name, "td") || !strcmp(name, "th");
}

static void begin_item(struct writer *w)
{
    int *number = &w->numbers[w->lists];
    settle(w);
    if (*number)
        buf_printf(w->out, "%d. ", (*number)++);
    else
        buf_append_str(w->out, "- ");
}

static void begin_cell(struct writer *w)
{
    if (w->cell)
        write_word(w, " | ", 3);
    w->cell = true;
}

static void text_start(void *ctx, const char *name, const char *href)
{
    struct writer *w = ctx;
    if (is_list(name)) {
        due(w, w->lists ? 1 : 2);
        w->numbers[++w->lists] = !strcmp(name, "ol");
    } else if (is_paragraph(name)) {
        due(w, w->lists ? 1 : 2);
    } else if (is_line(name)) {
        due(w, 1);
    }
    if (!strcmp(name, "br")) {
        w->space = false;
        w->newlines = w->newlines < 2 ? w->newlines + 1 : 2;
    } else if (!strcmp(name, "hr")) {
        write_word(w, "----", 4);
    } else if (!strcmp(name, "pre")) {
        w->pre++;
    } else if (!strcmp(name, "li")) {
        begin_item(w);
    } else if (!strcmp(name, "tr")) {
        w->cell = false;
    } else if (is_cell(name)) {
        begin_cell(w);
    } else if (!strcmp(name, "a")) {
        w->links[w->links_open].href = mem_strdup(href ? href : "");
        w->links[w->links_open++].begin = w->out->size;
    }
}

// "text <url>", or the text alone where it is the address.
static void end_link(struct writer *w)
{
    auto_free char *whole = w->links[--w->links_open].href;
    size_t begin = w->links[w->links_open].begin;
    const char *href = text_has_prefix(whole, "mailto:") ? whole + 7 : whole;
    size_t size = strlen(href);
    if (!size || memmem(w->out->data + begin, w->out->size - begin, href, size))
        return;
    w->space = w->out->size > begin;
    write_word(w, "<", 1);
    buf_append(w->out, href, size);
    buf_append_char(w->out, '>');
}

static void text_end(void *ctx, const char *name)
{
    struct writer *w = ctx;
    if (!strcmp(name, "a"))
        end_link(w);
    else if (!strcmp(name, "pre"))
        w->pre--;
    if (is_list(name))
        w->lists--;
    if (is_list(name) || is_paragraph(name))
        due(w, w->lists ? 1 : 2);
    else if (is_line(name))
        due(w, 1);
}

int mail_html_to_text(const char *html, struct buf *out, struct err *err)
{
    static const struct html_events events = {text_start, text_end, text_text};
    struct writer w = {.out = out, .begin = out->size};
    int rc = html_walk(html, &events, &w, err);
    while (w.links_open)
        free(w.links[--w.links_open].href);
    if (!rc)
        buf_append_char(out, '\n');
    return rc;
}
