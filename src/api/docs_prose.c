// SPDX-License-Identifier: AGPL-3.0-or-later
// The Markdown of the endpoints' texts as HTML, a line at a time. Everything else in it is text.
#include <string.h>

#include "api/docs_internal.h"
#include "base/text.h"

enum block { BLOCK_NONE, BLOCK_PARAGRAPH, BLOCK_LIST };

static void append_escaped(struct buf *out, const char *text, size_t size)
{
    auto_free char *copy = mem_strndup(text, size);
    text_append_html(out, copy);
}

void docs_append_span(struct buf *out, const char *text, size_t size)
{
    const char *end = text + size, *open, *close;
    while ((open = memchr(text, '`', (size_t)(end - text))) &&
           (close = memchr(open + 1, '`', (size_t)(end - open - 1)))) {
        append_escaped(out, text, (size_t)(open - text));
        buf_append_str(out, "<code>");
        append_escaped(out, open + 1, (size_t)(close - open - 1));
        buf_append_str(out, "</code>");
        text = close + 1;
    }
    append_escaped(out, text, (size_t)(end - text));
}

static enum block enter(struct buf *out, enum block from, enum block to)
{
    static const char *const begins[] = {"", "<p>", "<ul>\n<li>"};
    static const char *const ends[] = {"", "</p>\n", "</li>\n</ul>\n"};
    buf_append_str(out, ends[from]);
    buf_append_str(out, begins[to]);
    return to;
}

static enum block append_heading(struct buf *out, enum block block, const char *line, size_t size)
{
    int level = (int)strspn(line, "#");
    size_t skip = (size_t)level + 1;
    block = enter(out, block, BLOCK_NONE);
    buf_printf(out, "<h%d>", level);
    docs_append_span(out, line + skip, size - skip);
    buf_printf(out, "</h%d>\n", level);
    return block;
}

static enum block append_line(struct buf *out, enum block block, const char *line, size_t size)
{
    size_t indent = strspn(line, " ");
    if (indent >= size)
        return enter(out, block, BLOCK_NONE);
    if (text_has_prefix(line, "## ") || text_has_prefix(line, "### "))
        return append_heading(out, block, line, size);
    if (text_has_prefix(line, "- ")) {
        if (block == BLOCK_LIST)
            buf_append_str(out, "</li>\n<li>");
        else
            block = enter(out, block, BLOCK_LIST);
        indent = 2;
    } else if (block == BLOCK_NONE) {
        block = enter(out, block, BLOCK_PARAGRAPH);
    } else {
        buf_append_char(out, '\n');
    }
    docs_append_span(out, line + indent, size - indent);
    return block;
}

void docs_append_prose(struct buf *out, const char *markdown)
{
    enum block block = BLOCK_NONE;
    while (*markdown) {
        size_t size = strcspn(markdown, "\n");
        block = append_line(out, block, markdown, size);
        markdown += size + (markdown[size] == '\n');
    }
    enter(out, block, BLOCK_NONE);
}
