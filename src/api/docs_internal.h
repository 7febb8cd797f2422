// SPDX-License-Identifier: AGPL-3.0-or-later
// What the documents about the interface share.
#ifndef API_DOCS_INTERNAL_H
#define API_DOCS_INTERNAL_H

#include "api/api.h"
#include "api/docs.h"

// What the reference says of the parameter `id`, which every endpoint takes.
#define DOCS_ID_TEXT "UUID that names the call and comes back in the reply; made up if left out"

// Files of src/api/docs.
extern const char docs_text_intro_md[], docs_text_rpc_md[], docs_text_page_css[],
    docs_text_page_js[];

// The two kinds of methods of the RPC.
struct docs_family {
    const char *name, *title, *path;
    const struct api_endpoint *const *methods; // NULL behind the last
};
#define DOCS_FAMILIES 2
extern const struct docs_family docs_families[DOCS_FAMILIES];

// Appends text that is JSON.
#define RAW(out, text) json_raw(out, text, strlen(text))

// Appends JSON with a line for each member and item, indented by `step` spaces a level.
void docs_append_pretty(struct buf *out, const char *json, size_t size, unsigned step);

// The event of a reply that has the member.
const char *docs_member_event(const struct api_endpoint *endpoint, const struct api_member *member);

// The words for a parameter's type, such as "list of UUIDs".
const char *docs_param_type(const struct api_param *param);

// The parameters that an example's command sends, as an object that the caller owns; typed as the
// endpoint declares them, though a form sends texts. *ret_json tells whether it sends JSON. NULL if
// the command is none that can be read: an unclosed quote, or JSON that is not an object.
cJSON *docs_example_params(const struct api_endpoint *endpoint, const struct api_example *example,
                           bool *ret_json);

// Appends Markdown as HTML: headings, lists, paragraphs and code spans, which is what the texts
// use.
// "## " becomes a heading of level 2.
void docs_append_prose(struct buf *out, const char *markdown);

// Append, as Markdown, a table of the parameters and the examples.
void docs_append_params(struct buf *out, const struct api_endpoint *endpoint);
void docs_append_examples(struct buf *out, const struct api_endpoint *endpoint);

// Append parts of a page: its head with the style that the policy allows, a table of parameters, a
// JSON schema, and the examples.
void docs_html_head(struct buf *out, const char *title);
void docs_html_params(struct buf *out, const struct api_endpoint *endpoint);
void docs_html_schema(struct buf *out, const char *schema);
void docs_html_examples(struct buf *out, const struct api_endpoint *endpoint);

// Appends what there is to say of the tables of the endpoint query, as Markdown.
void docs_append_tables(struct buf *out);

// Appends one line of such a text.
void docs_append_span(struct buf *out, const char *text, size_t size);

// The value of the reference pages' Content-Security-Policy.
const char *docs_html_policy(void);

// Answers with a page, or sends the browser to the folder that the page's own references are
// relative to.
void docs_reply_page(struct http_request *request, const char *folder,
                     void (*write)(struct buf *out, const char *server_url));

#endif
