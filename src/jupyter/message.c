// SPDX-License-Identifier: AGPL-3.0-or-later
#include "jupyter/message.h"

#include <sodium.h>

#include "base/clock.h"
#include "base/text.h"

// Headers are small: ids, a name, a date. A kernel may add to them.
#define HEADER_SIZE_MAX  ((size_t)64 * 1024)
#define HEADER_DEPTH_MAX 8
// What is shown is nested as deep as its kernel likes, for example the figures of plotting
// libraries; the reader recurses.
#define CONTENT_DEPTH_MAX 100

struct message_key_text message_key_new(void)
{
    struct message_key_text key;
    unsigned char bytes[32];
    randombytes_buf(bytes, sizeof bytes);
    sodium_bin2hex(key.text, sizeof key.text, bytes, sizeof bytes);
    return key;
}

void message_sign(const struct frame parts[static MESSAGE_PARTS],
                  const struct message_key_text *key,
                  char ret_hex[static MESSAGE_SIGNATURE_LEN + 1])
{
    crypto_auth_hmacsha256_state state;
    unsigned char digest[crypto_auth_hmacsha256_BYTES];
    crypto_auth_hmacsha256_init(&state, (const unsigned char *)key->text, strlen(key->text));
    for (size_t i = 0; i < MESSAGE_PARTS; i++)
        crypto_auth_hmacsha256_update(&state, (const unsigned char *)parts[i].data, parts[i].size);
    crypto_auth_hmacsha256_final(&state, digest);
    sodium_bin2hex(ret_hex, MESSAGE_SIGNATURE_LEN + 1, digest, sizeof digest);
}

void message_write_header(struct buf *out, const char *id, const char *session, const char *type)
{
    char date[CLOCK_ISO_SIZE];
    clock_iso(clock_now_ms(), date);
    json_begin_object(out);
    json_member_str(out, "msg_id", id);
    json_member_str(out, "session", session);
    json_member_str(out, "username", "cohub");
    json_member_str(out, "date", date);
    json_member_str(out, "msg_type", type);
    json_member_str(out, "version", "5.3");
    json_end_object(out);
}

// Copies a member of a small object that is text and fits; "" otherwise.
static void read_member(const struct frame *part, const char *member, char *out, size_t size)
{
    auto_json cJSON *value = NULL;
    out[0] = '\0';
    if (part->size > HEADER_SIZE_MAX ||
        json_parse(part->data, part->size, HEADER_DEPTH_MAX, &value, NULL))
        return;
    const char *text = json_get_str(value, member);
    if (text && strlen(text) < size)
        memcpy(out, text, strlen(text) + 1);
}

bool message_read(const struct frame *frames, size_t count, struct message *ret_message)
{
    size_t at = 0;
    while (at < count &&
           (frames[at].size != sizeof MESSAGE_DELIMITER - 1 ||
            memcmp(frames[at].data, MESSAGE_DELIMITER, sizeof MESSAGE_DELIMITER - 1) != 0))
        at++;
    if (count - at < 2 + MESSAGE_PARTS)
        return false;
    ret_message->signature = &frames[at + 1];
    ret_message->content = &frames[at + 1 + MESSAGE_PARTS];
    read_member(&frames[at + 2], "msg_type", ret_message->type, sizeof ret_message->type);
    read_member(&frames[at + 3], "msg_id", ret_message->parent_id, sizeof ret_message->parent_id);
    return ret_message->type[0] != '\0';
}

bool message_verify(const struct message *message, const struct message_key_text *key)
{
    char hex[MESSAGE_SIGNATURE_LEN + 1];
    if (message->signature->size != MESSAGE_SIGNATURE_LEN)
        return false;
    message_sign(message->signature + 1, key, hex);
    return sodium_memcmp(hex, message->signature->data, MESSAGE_SIGNATURE_LEN) == 0;
}

// ---- Mending ----

static unsigned hex4(const char *s)
{
    unsigned value = 0;
    for (size_t i = 0; i < 4; i++) {
        const int digit = text_hex_digit(s[i]);
        value = value * 16 + (digit < 0 ? 0x10000 : (unsigned)digit);
    }
    return value; // above 0xffff if a character is no digit
}

static bool is_low_surrogate(const char *s, size_t size)
{
    return size >= 6 && s[0] == '\\' && s[1] == 'u' && hex4(s + 2) >= 0xdc00 &&
           hex4(s + 2) <= 0xdfff;
}

// Appends the escape at `s` as JSON may have it; returns its length.
static size_t mend_escape(struct buf *out, const char *s, size_t size)
{
    if (size < 6 || s[1] != 'u') {
        const size_t len = size < 2 ? size : 2;
        buf_append(out, s, len);
        return len;
    }
    const unsigned unit = hex4(s + 2);
    if (unit >= 0xd800 && unit <= 0xdbff && is_low_surrogate(s + 6, size - 6)) {
        buf_append(out, s, 12);
        return 12;
    }
    if (unit == 0 || (unit >= 0xd800 && unit <= 0xdfff))
        buf_append_str(out, "\\ufffd");
    else
        buf_append(out, s, 6);
    return 6;
}

static void mend(struct buf *out, const char *text, size_t size)
{
    auto_buf struct buf utf8 = {0};
    utf8_append_lossy(&utf8, text, size);
    buf_reserve(out, utf8.size);
    for (size_t at = 0; at < utf8.size;) {
        const char *escape = memchr(utf8.data + at, '\\', utf8.size - at);
        const size_t plain = escape ? (size_t)(escape - utf8.data) - at : utf8.size - at;
        buf_append(out, utf8.data + at, plain);
        at += plain;
        if (escape)
            at += mend_escape(out, utf8.data + at, utf8.size - at);
    }
}

cJSON *message_content(const struct message *message)
{
    cJSON *value = NULL;
    const struct frame *part = message->content;
    if (json_parse(part->data, part->size, CONTENT_DEPTH_MAX, &value, NULL) != 0) {
        auto_buf struct buf mended = {0};
        mend(&mended, part->data, part->size);
        if (json_parse(mended.data, mended.size, CONTENT_DEPTH_MAX, &value, NULL) != 0)
            return NULL;
    }
    if (!cJSON_IsObject(value)) {
        cJSON_Delete(value);
        return NULL;
    }
    return value;
}
