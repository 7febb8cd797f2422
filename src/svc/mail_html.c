// SPDX-License-Identifier: AGPL-3.0-or-later
#include "svc/mail_html.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "svc/html.h"

#define HREF_MAX 2000

// ---- Cleaning ----

struct cleaner {
    struct buf *out;
    bool links_allowed;
    bool links[LIMIT_HTML_DEPTH + 1]; // which of the open <a> were written
    int links_open;
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

static void clean_start(void *ctx, const char *name, const char *href)
{
    struct cleaner *cleaner = ctx;
    if (!strcmp(name, "a"))
        cleaner->links[cleaner->links_open++] = clean_link(cleaner, href);
    else if (may_stay(name))
        buf_printf(cleaner->out, "<%s>", name);
}

static void clean_end(void *ctx, const char *name)
{
    struct cleaner *cleaner = ctx;
    bool written = strcmp(name, "a") ? may_stay(name) && !is_void(name)
                                     : cleaner->links[--cleaner->links_open];
    if (written)
        buf_printf(cleaner->out, "</%s>", name);
}

static void clean_text(void *ctx, const char *text, size_t size)
{
    const struct cleaner *cleaner = ctx;
    text_append_htmln(cleaner->out, text, size);
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

int mail_html_clean(const char *text, bool links_allowed, struct buf *out, struct err *err)
{
    static const struct html_events events = {clean_start, clean_end, clean_text};
    struct cleaner cleaner = {.out = out, .links_allowed = links_allowed};
    if (html_is(text))
        return html_walk(text, &events, &cleaner, err);
    if (strlen(text) > LIMIT_HTML_SIZE)
        return err_set(err, ERR_TOO_LARGE, "the text must have at most %d bytes", LIMIT_HTML_SIZE);
    mail_html_from_plain(text, out);
    return 0;
}

// ---- Links ----

struct finder {
    struct buf text; // all of it, tags taken away
    bool href;
};

static void find_start(void *ctx, const char *name, const char *href)
{
    static const char *const within_words[] = {"b",    "i",     "em",  "strong", "strike",
                                               "code", "a",     "u",   "s",      "span",
                                               "font", "small", "big", "tt",     NULL};
    struct finder *finder = ctx;
    finder->href |= href && *href;
    if (!text_is_one_of(name, within_words))
        buf_append_char(&finder->text, ' ');
}

static void find_end(void *ctx, const char *name)
{
    find_start(ctx, name, NULL);
}

static void find_text(void *ctx, const char *text, size_t size)
{
    struct finder *finder = ctx;
    buf_append(&finder->text, text, size);
}

// Characters that are seen as a dot, or not at all.
static const char *const dots[] = {"\u3002", "\uff0e", "\uff61", "\u2024"};
static const char *const unseen[] = {"\u200b", "\u200c", "\u200d", "\u2060", "\ufeff", "\u00ad"};

static size_t prefix_size(const char *text, const char *const *prefixes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (text_has_prefix(text, prefixes[i]))
            return strlen(prefixes[i]);
    }
    return 0;
}

static void as_seen(const char *text, struct buf *out)
{
    while (*text) {
        size_t size = prefix_size(text, dots, ARRAY_LEN(dots));
        if (size)
            buf_append_char(out, '.');
        else if (!(size = prefix_size(text, unseen, ARRAY_LEN(unseen))))
            buf_append_char(out, text[size++]);
        text += size;
    }
}

static bool is_word_char(char c)
{
    return isalnum((unsigned char)c) || (unsigned char)c >= 0x80;
}

// A letter or digit, a dot, and two letters or more: what a domain looks like.
static bool has_domain(const char *text)
{
    const char *dot = text;
    while ((dot = strchr(dot, '.'))) {
        size_t letters = 0;
        bool behind_word = dot > text && is_word_char(dot[-1]);
        dot++;
        while (is_word_char(dot[letters]) && !isdigit((unsigned char)dot[letters]))
            letters++;
        if (behind_word && letters >= 2)
            return true;
    }
    return false;
}

bool mail_html_has_link(const char *text)
{
    static const struct html_events events = {find_start, find_end, find_text};
    struct finder finder = {0};
    auto_buf struct buf seen = {0};
    struct err err;
    bool unread = false;
    if (html_is(text))
        unread = html_walk(text, &events, &finder, &err);
    else
        buf_append_str(&finder.text, text);
    as_seen(buf_cstr(&finder.text), &seen);
    buf_dispose(&finder.text);
    const char *words = buf_cstr(&seen);
    return unread || finder.href || strstr(words, "://") || strcasestr(words, "mailto:") ||
           has_domain(words);
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
