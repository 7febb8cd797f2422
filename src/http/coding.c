// SPDX-License-Identifier: AGPL-3.0-or-later
#include "http/coding.h"

#include <limits.h>
#include <string.h>
#include <strings.h>
#include <zlib.h>

#include "base/text.h"

#define INFLATE_WINDOW_ANY (MAX_WBITS + 32) // gzip or zlib, by its header
#define GZIP_WINDOW        (MAX_WBITS + 16)
#define GZIP_MEMORY_LEVEL  5

static int inflate_into(z_stream *z, struct buf *out, size_t size_max)
{
    int rc = Z_OK;
    while (rc == Z_OK && out->size <= size_max) {
        const size_t piece = 65536;
        z->next_out = (Bytef *)buf_reserve(out, piece);
        z->avail_out = (uInt)piece;
        rc = inflate(z, Z_NO_FLUSH);
        out->size += piece - z->avail_out;
    }
    return rc;
}

int coding_inflate(const char *encoding, struct buf *body, size_t size_max, struct err *err)
{
    if (!strcasecmp(encoding, "identity"))
        return 0;
    if (strcasecmp(encoding, "gzip") && strcasecmp(encoding, "deflate"))
        return err_set(err, ERR_INVALID, "unsupported content encoding");
    auto_buf struct buf out = {0};
    z_stream z = {.next_in = (Bytef *)body->data, .avail_in = (uInt)body->size};
    assert(body->size <= UINT_MAX);
    if (inflateInit2(&z, INFLATE_WINDOW_ANY) != Z_OK)
        return err_internal(err, "inflateInit2");
    int rc = inflate_into(&z, &out, size_max);
    inflateEnd(&z);
    if (out.size > size_max)
        return err_set(err, ERR_TOO_LARGE, "The body of the request is too large.");
    if (rc != Z_STREAM_END)
        return err_set(err, ERR_INVALID, "the compressed body is broken");
    buf_dispose(body);
    *body = out;
    out = (struct buf){0};
    return 0;
}

// "gzip" as an item of the list, and not with a quality of zero.
bool coding_accepts_gzip(const char *accept)
{
    const char *item = accept ? strcasestr(accept, "gzip") : NULL;
    if (!item)
        return false;
    item += strlen("gzip");
    item += strspn(item, " ;");
    double quality = 1;
    char number[8] = "";
    if (!strncasecmp(item, "q=", 2)) {
        size_t len = strcspn(item + 2, ", ;");
        if (len >= sizeof number)
            return false;
        memcpy(number, item + 2, len);
        if (!text_parse_double(number, &quality))
            return false;
    }
    return quality > 0;
}

bool coding_gzip(struct buf *body)
{
    z_stream z = {.next_in = (Bytef *)body->data, .avail_in = (uInt)body->size};
    if (body->size < CODING_SIZE_MIN || body->size > UINT_MAX / 2 ||
        deflateInit2(&z, Z_BEST_SPEED, Z_DEFLATED, GZIP_WINDOW, GZIP_MEMORY_LEVEL,
                     Z_DEFAULT_STRATEGY) != Z_OK)
        return false;
    struct buf out = {0};
    uLong bound = deflateBound(&z, (uLong)body->size);
    z.next_out = (Bytef *)buf_reserve(&out, bound);
    z.avail_out = (uInt)bound;
    int rc = deflate(&z, Z_FINISH);
    out.size = z.total_out;
    deflateEnd(&z);
    if (rc != Z_STREAM_END || out.size >= body->size) {
        buf_dispose(&out);
        return false;
    }
    buf_dispose(body);
    *body = out;
    return true;
}
