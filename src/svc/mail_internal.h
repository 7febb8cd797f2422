// SPDX-License-Identifier: AGPL-3.0-or-later
// What the files of the mail service share: messages and the maildir.
#ifndef SVC_MAIL_INTERNAL_H
#define SVC_MAIL_INTERNAL_H

#include "svc/mail.h"

// ---- mail_message.c: RFC 5322, by GMime ----

// Appends the whole message: 7-bit, lines end in LF. The mail was checked and its texts are tame.
int mail_message_write(const struct svc *svc, const struct mail *mail, const struct uuid *id,
                       struct buf *out, struct err *err) MUST_USE;
// Appends members of a JSON object: "to" and "subject", or all that the message holds.
void mail_message_brief(const char *message, size_t size, struct buf *out);
void mail_message_whole(const char *message, size_t size, struct buf *out);

// ---- outbox.c: the queue as rows of the database. The calls wait for their transaction. ----

// A message that was claimed: no other process sends it before the claim runs out, a minute after
// it was made or renewed.
struct outgoing {
    struct uuid id;
    struct uuid project_id; // of an invitation, else ""
    char *to;
    struct buf message; // lines end in LF
    int64_t created;
    int64_t attempts; // before this one
};
void outgoing_dispose(struct outgoing *mail);

// Claims up to `count` messages that are due. Reads by `session`, writes only if there are any.
int outbox_claim(struct db *db, struct db_session *session, size_t count, struct outgoing *ret_mail,
                 size_t *ret_count, struct err *err) MUST_USE;
// It was accepted by the server: the text, which may hold secrets, is forgotten.
int outbox_sent(struct db *db, const struct outgoing *mail, struct err *err) MUST_USE;
// It is in the maildir, which has it from now on.
int outbox_delivered(struct db *db, const struct outgoing *mail, struct err *err) MUST_USE;
// It failed; `retry_at` is 0 when it is given up. An invitation's project then learns of it.
int outbox_failed(struct db *db, const struct outgoing *mail, const char *why, int64_t retry_at,
                  struct err *err) MUST_USE;
// It is still under way.
int outbox_renew(struct db *db, const struct outgoing *mail, struct err *err) MUST_USE;
// It was not tried to the end: anybody may claim it.
int outbox_release(struct db *db, const struct outgoing *mail, struct err *err) MUST_USE;
// Removes what was sent or given up long ago.
int outbox_purge(struct db *db, struct err *err) MUST_USE;

// ---- smtp.c: messages on their way to a server, by libcurl, on one thread ----

struct smtp;

struct smtp_delivery {
    const char *to;            // in
    const struct buf *message; // in; lines end in LF
    // out
    bool accepted;
    bool permanent; // the server refuses this recipient or this message for good
    char why[400];
};

int smtp_open(const struct mailer_config *config, const char *sender, struct smtp **ret_smtp,
              struct err *err) MUST_USE;
// Gives up what is under way, within a second; nothing but smtp_close follows.
void smtp_abort(struct smtp *smtp);
// Nothing is under way.
void smtp_close(struct smtp *smtp);
void smtp_send(struct smtp *smtp, struct smtp_delivery *delivery);
// Moves what is under way on, for `timeout_ms` at most or until `wake_fd` can be read. A delivery
// that is done, or NULL.
struct smtp_delivery *smtp_step(struct smtp *smtp, int wake_fd, int timeout_ms);

// ---- maildir.c ----

// Delivers a message; the same one twice is one file.
int maildir_deliver(const char *id, int64_t time_ms, const char *message, size_t size,
                    struct err *err) MUST_USE;

struct maildir_entry {
    int64_t time_ms;
    struct uuid id;
    char path[160];
};
// The newest messages, newest first. *ret_entries is heap.
int maildir_list(size_t count_max, struct maildir_entry **ret_entries, size_t *ret_count,
                 struct err *err) MUST_USE;
// ERR_NOT_FOUND.
int maildir_find(const char *id, struct maildir_entry *ret_entry, struct err *err) MUST_USE;
// Appends the message, or its first `size_max` bytes.
int maildir_read(const struct maildir_entry *entry, size_t size_max, struct buf *out,
                 struct err *err) MUST_USE;

#endif
