// SPDX-License-Identifier: AGPL-3.0-or-later
// What a request proves itself with (api-v1 1.2, hub-rpc 1.2).
#ifndef API_CREDENTIALS_H
#define API_CREDENTIALS_H

#include "svc/keys.h"

struct api_loop;
struct arena;

// `key` is "" when blank; `owner` is known already or NULL. Texts are the arena's.
struct credentials {
    const char *header, *key;
    const struct key_owner *owner;
};

// Reads what an Authorization header (NULL: there is none) holds. NULL, or what is answered if that
// is nothing; then `err` is for the log.
const char *credentials_read(struct api_loop *api_loop, struct arena *arena, const char *header,
                             struct credentials *ret_credentials, struct err *err);
// Once more: an owner that is known already is so until the call waits for something.
void credentials_read_again(struct api_loop *api_loop, struct arena *arena,
                            struct credentials *credentials);
// Whose they are; a key that nobody has is KEY_UNKNOWN.
int credentials_resolve(struct api_loop *api_loop, struct db_session *session,
                        const struct credentials *credentials, struct key_owner *ret_owner,
                        struct err *err) MUST_USE;

#endif
