// SPDX-License-Identifier: AGPL-3.0-or-later
// What a request proves itself with (api-v1 1.2, hub-rpc 1.2).
#ifndef API_CREDENTIALS_H
#define API_CREDENTIALS_H

#include "svc/keys.h"

struct api_loop;
struct arena;

// `key` is "" when blank; `owner` is known already or NULL.
struct credentials {
    const char *header, *key;
    const struct key_owner *owner;
};

// Reads what an Authorization header holds. False: its scheme is unknown, and `key` is its name.
bool credentials_read(struct api_loop *api_loop, struct arena *arena, const char *header,
                      struct credentials *ret_credentials);
// Whose they are; a key that nobody has is KEY_UNKNOWN.
int credentials_resolve(struct api_loop *api_loop, struct db_session *session,
                        const struct credentials *credentials, struct key_owner *ret_owner,
                        struct err *err) MUST_USE;

#endif
