// SPDX-License-Identifier: AGPL-3.0-or-later
#include "api/credentials.h"

#include <sodium.h>
#include <string.h>

#include "api/loop_state.h"

// "Basic base64(KEY:ANYTHING)" or "Bearer KEY" into the key, which is "" when blank. False when the
// scheme is another; then *ret_key is its name.
static bool read_authorization(const char *header, struct arena *arena, const char **ret_key)
{
    header += strspn(header, " \t");
    size_t scheme = strcspn(header, " \t");
    const char *word = header + scheme + strspn(header + scheme, " \t");
    size_t size = strcspn(word, " \t");
    if (scheme == 6 && !strncmp(header, "Bearer", 6)) {
        *ret_key = arena_strndup(arena, word, size);
        return true;
    }
    if (scheme != 5 || strncmp(header, "Basic", 5)) {
        *ret_key = arena_strndup(arena, header, scheme);
        return false;
    }
    char *key = arena_alloc(arena, size + 1);
    size_t key_size = 0;
    if (sodium_base642bin((unsigned char *)key, size, word, size, NULL, &key_size, NULL,
                          sodium_base64_VARIANT_ORIGINAL))
        sodium_base642bin((unsigned char *)key, size, word, size, NULL, &key_size, NULL,
                          sodium_base64_VARIANT_ORIGINAL_NO_PADDING);
    key[key_size] = '\0';
    key[strcspn(key, ":")] = '\0';
    *ret_key = key;
    return true;
}

bool credentials_read(struct api_loop *l, struct arena *arena, const char *header,
                      struct credentials *ret_credentials)
{
    *ret_credentials =
        (struct credentials){.header = header, .owner = key_cache_find(&l->keys, l->svc, header)};
    return ret_credentials->owner || read_authorization(header, arena, &ret_credentials->key);
}

int credentials_resolve(struct api_loop *l, struct db_session *session,
                        const struct credentials *credentials, struct key_owner *ret_owner,
                        struct err *err)
{
    if (credentials->owner) {
        *ret_owner = *credentials->owner;
        return 0;
    }
    return key_cache_resolve(&l->keys, l->svc, session, credentials->header, credentials->key,
                             ret_owner, err);
}
