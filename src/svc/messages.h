// SPDX-License-Identifier: AGPL-3.0-or-later
// Messages between accounts (user-query 12.14, hub-rpc 2.7).
//
// A message has marks (read, saved, …), each a text of 0 and 1: the first is its sender's, the
// others are the recipients' in the order of to_ids; what is behind the end is 0. Recipients have
// rows in message_recipients once it is sent, so that theirs are found; until then it is a draft
// that only its author sees. One that all of them have marked `expire` is gone.
//
// accounts.unread_message_count is counted anew whenever it may have changed.
#ifndef SVC_MESSAGES_H
#define SVC_MESSAGES_H

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

#endif
