// SPDX-License-Identifier: AGPL-3.0-or-later
// What a monitoring system asks: GET /healthz and GET /metrics (Prometheus text).
#ifndef SERVER_METRICS_H
#define SERVER_METRICS_H

#include "http/http.h"
#include "svc/svc.h"

struct metrics {
    struct svc *svc;
    struct http_server *http;
    int64_t started_ms;
};

void metrics_handle(struct http_request *request, void *metrics);
void healthz_handle(struct http_request *request, void *metrics);

#endif
