// SPDX-License-Identifier: AGPL-3.0-or-later
// Messages between accounts (user-query 12.14, hub-rpc 2.7).
//
// A message has marks (read, saved, …), each a text of 0 and 1: the first is its sender's, the
// others are the recipients' in the order of to_ids; what is behind the end is 0. Recipients have
// rows in message_recipients once it is sent, so that theirs are found; until then it is a draft
// that only its author sees. Those rows also have what lists are made by: the time, and what the
// recipient's marks come to. One that all of them have marked `expire` is gone.
//
// accounts.unread_message_count is counted anew whenever it may have changed.
#ifndef SVC_MESSAGES_H
#define SVC_MESSAGES_H

#include "base/buf.h"
#include "base/mem.h"
#include "svc/svc.h"

enum message_mark {
    MESSAGE_READ,
    MESSAGE_SAVED,
    MESSAGE_STARRED,
    MESSAGE_LIKED,
    MESSAGE_DELETED,
    MESSAGE_EXPIRE,
    MESSAGE_MARKS
};
// The column of a mark.
const char *message_mark_name(enum message_mark mark);

struct message {
    struct uuid from_id;
    const char *to_ids; // JSON array of ids in lower case, none twice
    const char *subject, *body;
    int64_t sent_ms;   // 0: a draft
    int64_t thread_id; // 0: none
    bool continues; // one of several that count as one: how many its author wrote does not matter
};

// All of these in a transaction; texts are the contract's.

// Writes a new message, if its author has not written too many, and its recipients exist.
// ERR_RATE_LIMITED, ERR_NOT_FOUND.
int message_create(struct db_session *txn, const struct message *message, int64_t now_ms,
                   int64_t *ret_id, struct err *err) MUST_USE;
// Replaces what a draft says; a sent_ms sends it. ERR_NOT_FOUND as above.
int message_rewrite(struct db_session *txn, int64_t id, const struct message *message,
                    struct err *err) MUST_USE;

// A message as somebody who wants to change it finds it.
struct message_access {
    bool exists, sent;
    int place;              // of the account's marks: 0 the author's, -1: none
    struct message message; // texts in the arena
};
// As its author (`as_author`), or as a recipient.
int message_find(struct db_session *txn, int64_t id, const struct uuid *account_id, bool as_author,
                 struct arena *arena, struct message_access *ret_access, struct err *err) MUST_USE;
// Sets the mark at a place, and nobody else's.
int message_mark(struct db_session *txn, int64_t id, int place, enum message_mark mark, bool on,
                 struct err *err) MUST_USE;
// After marks were set: a message that nobody wants any more is deleted, and the account's unread
// messages are counted.
int message_marked(struct db_session *txn, int64_t id, const struct uuid *account_id,
                   struct err *err) MUST_USE;

// ---- Sending (hub-rpc 2.7) ----

// Whether they are small enough. ERR_TOO_LARGE.
int message_text_check(const char *subject, const char *body, struct err *err) MUST_USE;

// Strings are the caller's.
struct message_send {
    struct uuid from_id;
    const char *const *to; // account ids or addresses, as sent
    size_t to_count;
    const char *subject, *body;
    int64_t reply_id; // 0: none
    int64_t id;       // out: 0 if nobody was left to send it to
};
// Whether it is small enough. ERR_TOO_LARGE.
int message_send_check(const struct message_send *send, struct err *err) MUST_USE;
// The transaction, once that is so; `send` is a struct message_send. ERR_NOT_FOUND, ERR_INVALID and
// those of message_create.
int message_send_write(struct db_session *txn, void *send, struct err *err) MUST_USE;

// ---- Listing (hub-rpc 2.7) ----

enum message_box { BOX_RECEIVED, BOX_SENT, BOX_NEW, BOX_STARRED, BOX_LIKED, MESSAGE_BOXES };
// False if there is none of this name.
bool message_box_find(const char *name, enum message_box *ret_box);

struct message_list {
    struct uuid account_id;
    enum message_box box;
    int64_t limit, offset;
    int64_t later_than_ms; // MESSAGE_ANY_TIME: drafts too
};
#define MESSAGE_ANY_TIME (-1)
// Appends a JSON array: the newest sent first, drafts last. ERR_TOO_LARGE if they take more than
// LIMIT_QUERY_RESULT together.
int message_list(struct db_session *session, const struct message_list *list, struct buf *out,
                 struct err *err) MUST_USE;

#endif
