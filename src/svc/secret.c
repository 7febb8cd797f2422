// SPDX-License-Identifier: AGPL-3.0-or-later
#include "svc/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"

#define SECRET_FILE     "secret.key"
#define SECRET_FILE_NEW SECRET_FILE ".new"
#define SEAL_OVERHEAD   (crypto_secretbox_NONCEBYTES + crypto_secretbox_MACBYTES)
#define SEALED_MAX      4096

// Written whole under another name and linked into place, so that of two processes that start at
// once both use the one that won.
static int secret_create(struct err *err)
{
    unsigned char key[SECRET_SIZE];
    char name[64];
    snprintf(name, sizeof name, SECRET_FILE_NEW ".%ld", (long)getpid());
    auto_fd int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_set_errno(err, ERR_INTERNAL, errno, "cannot create %s", SECRET_FILE);
    randombytes_buf(key, sizeof key);
    int rc = fd_write_all(fd, key, sizeof key);
    sodium_memzero(key, sizeof key);
    if (rc || fsync(fd) || (link(name, SECRET_FILE) && errno != EEXIST))
        rc = err_set_errno(err, ERR_INTERNAL, errno, "cannot write %s", SECRET_FILE);
    unlink(name);
    return rc;
}

static int secret_read(int fd, struct secret *secret, struct err *err)
{
    auto_buf struct buf text = {0};
    int rc = fd_read_all(fd, SECRET_SIZE, &text);
    if (rc)
        return err_set_errno(err, ERR_INTERNAL, -rc, "cannot read %s", SECRET_FILE);
    if (text.size != SECRET_SIZE)
        return err_set(err, ERR_INVALID, "%s is not a key of %d bytes", SECRET_FILE, SECRET_SIZE);
    secret->key = sodium_malloc(SECRET_SIZE);
    if (!secret->key)
        return err_internal(err, "sodium_malloc failed");
    memcpy(secret->key, text.data, SECRET_SIZE);
    sodium_memzero(text.data, text.size);
    return 0;
}

int secret_load(struct secret *secret, bool *ret_made, struct err *err)
{
    *ret_made = false;
    for (int attempt = 0;; attempt++) {
        auto_fd int fd = open(SECRET_FILE, O_RDONLY | O_CLOEXEC);
        if (fd >= 0)
            return secret_read(fd, secret, err);
        if (errno != ENOENT || attempt)
            return err_set_errno(err, ERR_INTERNAL, errno, "cannot open %s", SECRET_FILE);
        int rc = secret_create(err);
        if (rc)
            return rc;
        *ret_made = true;
    }
}

void secret_dispose(struct secret *secret)
{
    sodium_free(secret->key);
    secret->key = NULL;
}

void secret_hash(const struct secret *secret, const char *token, size_t size,
                 char out[SECRET_HASH_TEXT_LEN + 1])
{
    unsigned char hash[SECRET_HASH_TEXT_LEN / 2];
    crypto_generichash(hash, sizeof hash, (const unsigned char *)token, size, secret->key,
                       SECRET_SIZE);
    sodium_bin2hex(out, SECRET_HASH_TEXT_LEN + 1, hash, sizeof hash);
}

void secret_seal(const struct secret *secret, const char *text, struct buf *out)
{
    size_t size = strlen(text), sealed_size = size + SEAL_OVERHEAD;
    assert(sealed_size <= SEALED_MAX);
    unsigned char sealed[SEALED_MAX];
    randombytes_buf(sealed, crypto_secretbox_NONCEBYTES);
    crypto_secretbox_easy(sealed + crypto_secretbox_NONCEBYTES, (const unsigned char *)text, size,
                          sealed, secret->key);
    size_t room = sodium_base64_encoded_len(sealed_size, sodium_base64_VARIANT_ORIGINAL);
    sodium_bin2base64(buf_reserve(out, room), room, sealed, sealed_size,
                      sodium_base64_VARIANT_ORIGINAL);
    out->size += room - 1;
}

int secret_open(const struct secret *secret, const char *sealed, struct buf *out, struct err *err)
{
    unsigned char bytes[SEALED_MAX];
    size_t size;
    if (sodium_base642bin(bytes, sizeof bytes, sealed, strlen(sealed), NULL, &size, NULL,
                          sodium_base64_VARIANT_ORIGINAL) ||
        size < SEAL_OVERHEAD)
        return err_internal(err, "a sealed text is broken");
    unsigned char *plain = (unsigned char *)buf_reserve(out, size - SEAL_OVERHEAD);
    if (crypto_secretbox_open_easy(plain, bytes + crypto_secretbox_NONCEBYTES,
                                   size - crypto_secretbox_NONCEBYTES, bytes, secret->key))
        return err_internal(err, "a sealed text does not belong to secret.key");
    out->size += size - SEAL_OVERHEAD;
    return 0;
}
