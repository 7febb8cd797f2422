// SPDX-License-Identifier: AGPL-3.0-or-later
#include "api/credentials.h"

#include <sodium.h>
#include <string.h>

#include "api/loop_state.h"

// What cannot be read is not a blank key but one that nobody has.
static const char nobodys_key[] = "?";

// The key in base64(KEY:ANYTHING).
static const char *read_basic(const char *word, size_t size, struct arena *arena)
{
    char *text = arena_alloc(arena, size + 1);
    size_t text_size = 0;
    if (sodium_base642bin((unsigned char *)text, size, word, size, NULL, &text_size, NULL,
                          sodium_base64_VARIANT_ORIGINAL) &&
        sodium_base642bin((unsigned char *)text, size, word, size, NULL, &text_size, NULL,
                          sodium_base64_VARIANT_ORIGINAL_NO_PADDING))
        return nobodys_key;
    const char *colon = memchr(text, ':', text_size);
    size_t key_size = colon ? (size_t)(colon - text) : text_size;
    text[key_size] = '\0';
    return strlen(text) == key_size ? text : nobodys_key;
}

// "Basic …" or "Bearer KEY" into the key, which is "" when blank. False when the scheme is another;
// then *ret_key is its name.
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
    *ret_key = read_basic(word, size, arena);
    return true;
}

static bool read_header(struct api_loop *l, struct arena *arena, struct credentials *credentials)
{
    credentials->owner = key_cache_find(&l->keys, l->svc, credentials->header);
    return credentials->owner || read_authorization(credentials->header, arena, &credentials->key);
}

const char *credentials_read(struct api_loop *l, struct arena *arena, const char *header,
                             struct credentials *ret_credentials, struct err *err)
{
    static const char missing[] = "You must provide authentication via an API key.";
    if (!header) {
        err_set(err, ERR_INVALID, "%s", missing);
        return missing;
    }
    *ret_credentials = (struct credentials){.header = arena_strdup(arena, header)};
    if (read_header(l, arena, ret_credentials))
        return NULL;
    // The word may be a key whose sender forgot the scheme.
    err_set(err, ERR_INVALID, "unknown authorization type");
    return arena_printf(arena, "Unknown authorization type '%.100s'", ret_credentials->key);
}

void credentials_read_again(struct api_loop *l, struct arena *arena,
                            struct credentials *credentials)
{
    bool known = read_header(l, arena, credentials);
    assert(known);
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
