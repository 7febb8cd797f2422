// SPDX-License-Identifier: AGPL-3.0-or-later
// Reading the body of a request: a large one on a worker, as JSON of many values takes long and the
// loop has other clients.
#ifndef API_BODY_H
#define API_BODY_H

#include "base/err.h"
#include "base/json.h"
#include "loop/loop.h"

struct http_request;
struct svc;

// Embedded, zeroed, in what lives as long as the request.
struct body_read {
    // On the request's loop; `ready` runs before body_read returns unless the body is large.
    void (*ready)(struct body_read *read);
    int rc;                // as params_read_body, or ERR_NO_MEMORY: there is no memory for it
    const struct err *err; // if rc is not 0; the request's
    bool waited;           // others have used the loop meanwhile
    const cJSON *body;     // kept as long as the request; NULL: it has none
    // the reader's
    struct http_request *request;
    const char *content_type;
    cJSON *parsed;
};
void body_read(struct svc *svc, struct http_request *request, struct loop *loop,
               struct body_read *read);

#endif
