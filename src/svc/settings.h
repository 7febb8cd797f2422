// SPDX-License-Identifier: AGPL-3.0-or-later
// The site's settings, which administrators change while it runs (user-query 12.8). They are rows
// of server_settings.
//
// Those that this server has a meaning for take effect at once, in every process: settings.c lists
// them. They fill in what the configuration leaves at its default; what the operator has written
// there counts, and such a setting is refused. An empty value is none.
#ifndef SVC_SETTINGS_H
#define SVC_SETTINGS_H

#include "svc/svc.h"

// Whether a site can have a setting of that name.
bool setting_known(const char *name);
// What is wrong with a value; of one that the configuration decides: ERR_CONFLICT. ERR_INVALID,
// ERR_TOO_LARGE.
int setting_check(const struct svc *svc, const char *name, const char *value,
                  struct err *err) MUST_USE;
// In a transaction; the value is not checked.
int setting_set(struct db_session *txn, const char *name, const char *value,
                struct err *err) MUST_USE;
// Appends the value, nothing if it has none.
int setting_get(struct db_session *session, const char *name, struct buf *out,
                struct err *err) MUST_USE;
// Appends a JSON object: name -> value, of all that have one; of one name only if it is not NULL.
int settings_show(struct db_session *session, const char *name, struct buf *out,
                  struct err *err) MUST_USE;

// Fills svc->site from the configuration and what is stored.
int settings_load(struct svc *svc, struct db_session *session, struct err *err) MUST_USE;
// Keeps it so while others change settings. svc->loop is set.
struct settings *settings_open(struct svc *svc);
// On the loop's thread, before the store is closed; and after the loop.
void settings_close(struct settings *settings);
void settings_free(struct settings *settings);

#endif
