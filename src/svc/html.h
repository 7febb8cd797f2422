// SPDX-License-Identifier: AGPL-3.0-or-later
// A walk over HTML of strangers: libxml2's forgiving parser, without a tree, so that memory and
// time stay in proportion to a bounded input. Elements come balanced whatever was written; what no
// reader is to see (scripts, styles, frames) does not come at all.
#ifndef SVC_HTML_H
#define SVC_HTML_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

// Names are lower-case and static; elements that HTML does not know are left out, their text is
// not.
struct html_events {
    void (*start)(void *ctx, const char *name, const char *href); // href of an <a>, else NULL
    void (*end)(void *ctx, const char *name);
    void (*text)(void *ctx, const char *text, size_t size); // UTF-8, entities resolved
};

// ERR_TOO_LARGE beyond LIMIT_HTML_SIZE, ERR_INVALID beyond LIMIT_HTML_DEPTH.
int html_walk(const char *html, const struct html_events *events, void *ctx,
              struct err *err) MUST_USE;
// Whether the text holds at least one tag of HTML; plain text may have a '<' as well.
bool html_is(const char *text);

#endif
