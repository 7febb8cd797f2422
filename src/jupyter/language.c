// SPDX-License-Identifier: AGPL-3.0-or-later
#include "jupyter/language.h"

#include "base/mem.h"
#include "base/text.h"

// How a language writes a text: what stands around it, what is written with a backslash, and
// whether a quote inside is doubled.
enum quoting { QUOTE_C, QUOTE_DOLLAR, QUOTE_DOUBLED, QUOTE_SHELL };

struct statement {
    const char *language; // in lower case; a prefix if it ends with '*'
    const char *before;
    enum quoting quoting;
    const char *after;
};

static const struct statement statements[] = {
    {"python*", "__import__('os').chdir(", QUOTE_C, ")"},
    {"sage*", "__import__('os').chdir(", QUOTE_C, ")"},
    {"r", "setwd(", QUOTE_C, ")"},
    {"julia", "cd(", QUOTE_DOLLAR, ")"},
    {"octave", "cd(", QUOTE_DOUBLED, ");"},
    {"matlab", "cd(", QUOTE_DOUBLED, ");"},
    {"javascript", "process.chdir(", QUOTE_C, ");"},
    {"bash", "cd -- ", QUOTE_SHELL, ""},
    {"sh", "cd -- ", QUOTE_SHELL, ""},
    {"prolog", "working_directory(_, ", QUOTE_C, ")."},
    {"c", "#include <unistd.h>\nchdir(", QUOTE_C, ");"},
    {"c++*", "#include <unistd.h>\nchdir(", QUOTE_C, ");"},
};

static void write_escaped(struct buf *out, const char *text, const char *escaped)
{
    for (; *text; text++) {
        const unsigned char c = (unsigned char)*text;
        if (c < 0x20 || c == 0x7f) {
            buf_printf(out, "\\%03o", c);
            continue;
        }
        if (strchr(escaped, *text))
            buf_append_char(out, '\\');
        buf_append_char(out, *text);
    }
}

// A quote inside is written as `inner`.
static void write_single_quoted(struct buf *out, const char *text, const char *inner)
{
    buf_append_char(out, '\'');
    for (; *text; text++)
        if (*text == '\'')
            buf_append_str(out, inner);
        else
            buf_append_char(out, *text);
    buf_append_char(out, '\'');
}

static void write_text(struct buf *out, enum quoting quoting, const char *text)
{
    switch (quoting) {
    case QUOTE_C:
    case QUOTE_DOLLAR:
        buf_append_char(out, '"');
        write_escaped(out, text, quoting == QUOTE_C ? "\"\\" : "\"\\$");
        buf_append_char(out, '"');
        return;
    case QUOTE_DOUBLED:
        write_single_quoted(out, text, "''");
        return;
    case QUOTE_SHELL:
        write_single_quoted(out, text, "'\\''");
        return;
    }
}

static bool is_language(const struct statement *statement, const char *language)
{
    const size_t size = strlen(statement->language);
    if (statement->language[size - 1] == '*')
        return strncmp(statement->language, language, size - 1) == 0;
    return strcmp(statement->language, language) == 0;
}

bool language_write_chdir(struct buf *out, const char *language, const char *path)
{
    auto_free char *lower = mem_strdup(language);
    text_lower(lower);
    if (strcmp(lower, "sparql") == 0)
        return true;
    for (size_t i = 0; i < ARRAY_LEN(statements); i++) {
        const struct statement *s = &statements[i];
        if (!is_language(s, lower))
            continue;
        buf_append_str(out, s->before);
        write_text(out, s->quoting, path);
        buf_append_str(out, s->after);
        return true;
    }
    return false;
}

const char *language_warm_up(const char *language)
{
    // Seen to make a kernel's first `1+1` as quick as the following ones, which it took twice as
    // long as.
    static const char python[] = "try:\n    get_ipython().display_formatter.format(0)\n"
                                 "except Exception:\n    pass\n";
    return strcmp(language, "python") == 0 ? python : NULL;
}
