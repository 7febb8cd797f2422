// SPDX-License-Identifier: AGPL-3.0-or-later
// Jupyter's messages on the wire (protocol 5), as bytes: no sockets here.
//
//   [identities …]  "<IDS|MSG>"  signature  header  parent_header  metadata  content  [buffers …]
//
// Each part is a frame of a ZeroMQ message. The signature is HMAC-SHA256 over the four JSON parts
// with the key of the kernel's connection file, in hexadecimal.
//
// What comes in is written by whoever runs code in the sandbox. Reading one is therefore done in
// steps, the cheap ones first: where it belongs (message_read), whether it is signed
// (message_verify), and what it says (message_content), which only few are asked for.
#ifndef JUPYTER_MESSAGE_H
#define JUPYTER_MESSAGE_H

#include <stdbool.h>

#include "base/json.h"

#define MESSAGE_ID_SIZE 80
// Frames that are looked at: identities, the six of the protocol, and buffers, which nobody reads.
#define MESSAGE_FRAMES_MAX    32
#define MESSAGE_DELIMITER     "<IDS|MSG>"
#define MESSAGE_SIGNATURE_LEN ((size_t)64)
// The JSON parts that are written, behind the delimiter and the signature.
#define MESSAGE_PARTS 4

struct frame {
    const char *data;
    size_t size;
};

// The key as text in a connection file: its bytes are those of the text.
struct message_key_text {
    char text[65];
};

struct message {
    char type[48];
    char parent_id[MESSAGE_ID_SIZE]; // "" without a parent
    const struct frame *signature;   // the four JSON parts lie behind it
    const struct frame *content;
};

// A fresh key: 64 hexadecimal digits.
struct message_key_text message_key_new(void);

// Finds the parts of a message; `ret_message` refers to `frames`. False if it is none.
bool message_read(const struct frame *frames, size_t count, struct message *ret_message);
bool message_verify(const struct message *message, const struct message_key_text *key);
// What it says, an object. What kernels write and JSON does not allow is mended: bytes that are no
// UTF-8, NUL characters and halves of surrogate pairs become U+FFFD. NULL if it still is none,
// or has more values than are read.
cJSON *message_content(const struct message *message);

// The signature of the four parts as hexadecimal text.
void message_sign(const struct frame parts[static MESSAGE_PARTS],
                  const struct message_key_text *key,
                  char ret_hex[static MESSAGE_SIGNATURE_LEN + 1]);
// Appends the header of a message that is sent.
void message_write_header(struct buf *out, const char *id, const char *session, const char *type);

#endif
