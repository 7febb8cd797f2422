// SPDX-License-Identifier: AGPL-3.0-or-later
// Reading and writing the pieces of a frame. Uses nothing but the C library's memcpy, so that the
// agent can link it statically without growing.
#include "proto/frame.h"

#include <string.h>

bool frame_read_header(const uint8_t *bytes, struct frame_header *ret_header)
{
    struct frame_header header;
    memcpy(&header, bytes, sizeof header);
    if (header.size > FRAME_PAYLOAD_MAX)
        return false;
    if (header.reserved[0] || header.reserved[1] || header.reserved[2])
        return false;
    *ret_header = header;
    return true;
}

bool frame_outcome_fits(uint32_t outcome, int32_t value)
{
    switch (outcome) {
    case EXEC_EXITED:
        return value >= 0 && value <= 255;
    case EXEC_SIGNALED:
    case EXEC_STOPPED:
        return value >= 1 && value <= 64;
    case EXEC_TIMED_OUT:
        return value == 0;
    case EXEC_NOT_STARTED:
    case EXEC_FILE_FAILED:
        return value > 0;
    default:
        return false;
    }
}

bool frame_read_struct(const uint8_t *payload, size_t size, size_t *at, void *out, size_t out_size)
{
    if (*at > size || size - *at < out_size)
        return false;
    memcpy(out, payload + *at, out_size);
    *at += out_size;
    return true;
}

bool frame_read_text(const uint8_t *payload, size_t size, size_t *at, const char **ret_text,
                     size_t *ret_size)
{
    size_t next = *at;
    uint32_t text_size;
    if (!frame_read_struct(payload, size, &next, &text_size, sizeof text_size) ||
        size - next < text_size)
        return false;
    *ret_text = (const char *)payload + next;
    *ret_size = text_size;
    *at = next + text_size;
    return true;
}

size_t frame_write_header(uint8_t *out, enum frame_type type, uint32_t stream, size_t payload_size)
{
    const struct frame_header header = {
        .size = (uint32_t)payload_size, .stream = stream, .type = (uint8_t)type};
    memcpy(out, &header, sizeof header);
    return sizeof header;
}

size_t frame_write_text(uint8_t *out, const char *text, size_t size)
{
    const uint32_t text_size = (uint32_t)size;
    memcpy(out, &text_size, sizeof text_size);
    if (size)
        memcpy(out + sizeof text_size, text, size);
    return sizeof text_size + size;
}
