// SPDX-License-Identifier: AGPL-3.0-or-later
#include "svc/html.h"

#include <ctype.h>
#include <libxml/HTMLparser.h>
#include <pthread.h>
#include <string.h>
#include <strings.h>

#include "base/limits.h"
#include "base/text.h"

struct walk {
    const struct html_events *events;
    void *ctx;
    htmlParserCtxtPtr parser;
    const char *open[LIMIT_HTML_DEPTH];
    int depth;
    int dropped; // how many of the open elements drop what is in them
    bool too_deep;
};

// ---- Names ----

// The static name of an element that HTML knows, NULL for others. <nl> is none, but the contract
// lets it through.
static const char *known_name(const char *name)
{
    const htmlElemDesc *description = htmlTagLookup((const xmlChar *)name);
    if (description)
        return description->name;
    return strcasecmp(name, "nl") ? NULL : "nl";
}

static bool is_dropped(const char *name)
{
    static const char *const names[] = {"script",   "style",  "title",  "textarea", "select",
                                        "option",   "object", "applet", "iframe",   "noscript",
                                        "noframes", "embed",  NULL};
    return text_is_one_of(name, names);
}

static bool is_frame_of_document(const char *name)
{
    static const char *const names[] = {"html", "head", "body", NULL};
    return text_is_one_of(name, names);
}

// ---- The parser's events ----

static void pop(struct walk *walk)
{
    const char *name = walk->open[--walk->depth];
    if (is_dropped(name))
        walk->dropped--;
    else if (!walk->dropped)
        walk->events->end(walk->ctx, name);
}

static void push(struct walk *walk, const char *name, const char *href)
{
    if (walk->depth == LIMIT_HTML_DEPTH) {
        walk->too_deep = true;
        xmlStopParser(walk->parser);
        return;
    }
    walk->open[walk->depth++] = name;
    if (is_dropped(name))
        walk->dropped++;
    else if (!walk->dropped)
        walk->events->start(walk->ctx, name, href);
}

static const char *find_href(const xmlChar **attributes)
{
    for (; attributes && attributes[0]; attributes += 2) {
        if (!strcasecmp((const char *)attributes[0], "href"))
            return (const char *)attributes[1];
    }
    return NULL;
}

static void on_start(void *ctx, const xmlChar *tag, const xmlChar **attributes)
{
    struct walk *walk = ctx;
    const char *name = known_name((const char *)tag);
    if (name && !is_frame_of_document(name) && !walk->too_deep)
        push(walk, name, strcmp(name, "a") ? NULL : find_href(attributes));
}

static void on_end(void *ctx, const xmlChar *tag)
{
    struct walk *walk = ctx;
    const char *name = known_name((const char *)tag);
    int at = walk->depth;
    while (name && at > 0 && strcmp(walk->open[at - 1], name))
        at--;
    if (!name || !at)
        return; // nothing that is open
    while (walk->depth >= at)
        pop(walk);
}

static void on_text(void *ctx, const xmlChar *text, int size)
{
    struct walk *walk = ctx;
    if (!walk->dropped && size > 0)
        walk->events->text(walk->ctx, (const char *)text, (size_t)size);
}

static void prepare_parser(void)
{
    xmlInitParser();
}

static int parse(struct walk *walk, const char *html, size_t size, struct err *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, prepare_parser);
    walk->parser = htmlNewParserCtxt();
    if (!walk->parser)
        return err_internal(err, "no HTML parser");
    // Scripts and styles come by cdataBlock, which is left empty.
    *walk->parser->sax = (htmlSAXHandler){.startElement = on_start,
                                          .endElement = on_end,
                                          .characters = on_text,
                                          .ignorableWhitespace = on_text,
                                          .initialized = 1};
    walk->parser->userData = walk;
    xmlDocPtr document =
        htmlCtxtReadMemory(walk->parser, html, (int)size, NULL, "UTF-8",
                           HTML_PARSE_NONET | HTML_PARSE_NOERROR | HTML_PARSE_NOWARNING |
                               HTML_PARSE_RECOVER | HTML_PARSE_NOIMPLIED | HTML_PARSE_NODEFDTD);
    xmlFreeDoc(document);
    htmlFreeParserCtxt(walk->parser);
    return 0;
}

int html_walk(const char *html, const struct html_events *events, void *ctx, struct err *err)
{
    struct walk walk = {.events = events, .ctx = ctx};
    size_t size = strlen(html);
    if (size > LIMIT_HTML_SIZE)
        return err_set(err, ERR_TOO_LARGE, "the text must have at most %d bytes", LIMIT_HTML_SIZE);
    int rc = size ? parse(&walk, html, size, err) : 0;
    if (rc)
        return rc;
    if (walk.too_deep)
        return err_set(err, ERR_INVALID, "the text must have at most %d levels of HTML elements",
                       LIMIT_HTML_DEPTH);
    while (walk.depth)
        pop(&walk);
    return 0;
}

bool html_is(const char *text)
{
    char name[16];
    while ((text = strchr(text, '<'))) {
        text++;
        text += *text == '/';
        size_t size = 0;
        while (size + 1 < sizeof name && isalnum((unsigned char)text[size]))
            size++;
        memcpy(name, text, size);
        name[size] = '\0';
        if (size && known_name(name) && strchr(" \t\r\n/>", text[size]))
            return true;
    }
    return false;
}
