// SPDX-License-Identifier: AGPL-3.0-or-later
// The keys that a loop has resolved lately. An entry counts only as long as no account or key has
// changed anywhere since (db_epoch), so a key that is revoked or an account that is banned stops at
// its next call.
#ifndef API_KEY_CACHE_H
#define API_KEY_CACHE_H

#include "svc/keys.h"

struct key_cache {
    // By the whole Authorization header, so that it need not be taken apart again.
    struct map entries;
    uint64_t epoch;
};

void key_cache_dispose(struct key_cache *cache);
// Whose key a header holds, if that is remembered; NULL if not. A valid key is noted as used.
// Borrowed until the next call of these or the next read of a remote database, behind which others
// may have made it.
const struct key_owner *key_cache_find(struct key_cache *cache, struct svc *svc,
                                       const char *header);
// As key_resolve for the key that the header holds, and remembers a known one; a valid one is noted
// as used. The header lives as long as the call.
int key_cache_resolve(struct key_cache *cache, struct svc *svc, struct db_session *session,
                      const char *header, const char *key, struct key_owner *ret_owner,
                      struct err *err) MUST_USE;

#endif
