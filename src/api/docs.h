// SPDX-License-Identifier: AGPL-3.0-or-later
// The interface's description of itself, made from the endpoints.
#ifndef API_DOCS_H
#define API_DOCS_H

#include "base/buf.h"

struct http_request;

// The document in the format that the original published:
// {"intro","events":{NAME:{"description","fields"}},"root","timestamp","gitrev"}.
void docs_api_json(struct buf *out);
// OpenAPI 3.1. `server_url` is what comes before /api/v1/, such as "https://host".
void docs_openapi(struct buf *out, const char *server_url);
void docs_markdown(struct buf *out);
// The methods of the RPC: {"intro", "hub": {"path", "methods": {NAME: {"description", "args",
// "parameters", "result", "examples"}}}, "project": …}; as Markdown; and as a page.
void docs_rpc_json(struct buf *out);
void docs_rpc_markdown(struct buf *out);
void docs_rpc_html(struct buf *out, const char *server_url);
// Appends `text`, one of these or a part, with `server_url` in place of the address that every
// example begins with.
void docs_append_hosted(struct buf *out, const char *text, size_t size, const char *server_url);
// The reference page, with a form for each endpoint.
void docs_html(struct buf *out, const char *server_url);

// GET /api/v1/, GET /api/conat/ and GET /api/v1/openapi.json.
void docs_handle_page(struct http_request *request, void *ctx);
void docs_handle_rpc_page(struct http_request *request, void *ctx);
void docs_handle_openapi(struct http_request *request, void *ctx);

#endif
