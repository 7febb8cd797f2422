// SPDX-License-Identifier: AGPL-3.0-or-later
// The HTML of mail: what users write is cleaned, searched for links, made plain (api-v1 9.3).
#ifndef SVC_MAIL_HTML_H
#define SVC_MAIL_HTML_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"

// Appends the text, HTML or plain, as HTML of the tags that the contract lists and no attributes,
// but for the address of a link (http, https, mailto) where links are allowed. Plain text keeps its
// line breaks. Fails as html_walk does, and with ERR_FORBIDDEN where links are not allowed and
// there is one, or what could be seen as one (mail_text_has_link) in either part of a message.
int mail_html_clean(const char *text, bool links_allowed, struct buf *out,
                    struct err *err) MUST_USE;
// Appends plain text as HTML, each line on a line of its own.
void mail_html_from_plain(const char *text, struct buf *out);
// Appends a link; both texts are escaped.
void mail_html_link(struct buf *out, const char *url, const char *text);
// Whether plain text holds anything like a URL or a domain, such as "example.com".
bool mail_text_has_link(const char *text);
// Appends HTML as plain text: paragraphs, lists, "text <url>" for links.
int mail_html_to_text(const char *html, struct buf *out, struct err *err) MUST_USE;

#endif
