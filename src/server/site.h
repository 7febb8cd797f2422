// SPDX-License-Identifier: AGPL-3.0-or-later
// What the services know of the site, taken from the configuration.
#ifndef SERVER_SITE_H
#define SERVER_SITE_H

#include "server/serve.h"
#include "svc/mail.h"
#include "svc/svc.h"

// Appends where a listener is reached, such as "http://127.0.0.1:5000/base".
void site_listener_url(const struct serve *serve, size_t listener, struct buf *out);
// Notes in the data folder, which is the working directory, where the first listener is reached:
// commands that send mail find it there. A hub on several machines sets site.url instead.
int site_url_note(const struct serve *serve, struct err *err) MUST_USE;
// Fills the site from the configuration, whose texts it borrows, and that note.
int site_configure(const struct config *config, struct site *ret_site, struct err *err) MUST_USE;

// How mail is sent; the strings are the config's.
struct mailer_config site_mailer_config(const struct config *config);

#endif
