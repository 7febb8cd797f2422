// SPDX-License-Identifier: AGPL-3.0-or-later
// Mail (api-v1 section 9): written in a transaction into a queue in the database, sent from there
// by the mailer, whenever the SMTP server takes it; nobody waits for that. Without a server it goes
// into the maildir `mail/` of the data folder.
#ifndef SVC_MAIL_H
#define SVC_MAIL_H

#include "svc/svc.h"

struct mail {
    const char *category;      // welcome, verify, password_reset, invite, ticket or mention
    const char *to;            // address
    const char *from_name;     // NULL: the site's name
    const char *from;          // address; NULL: mail.from
    const char *reply_to;      // address, or NULL
    const char *reply_to_name; // NULL: none
    const char *subject;
    const char *html; // the body: HTML that the caller made or cleaned; the plain text part
                      // and the footer of the site are made here
    const struct uuid *project_id; // of an invitation, else NULL
};

// In a transaction: puts it into the queue. ERR_INVALID with the contract's text for an address
// that is refused ("banned domain") or is none; text of strangers never makes a header of its own.
// The mailer is told once the transaction is durable: mail_wake.
int mail_queue(struct db_session *txn, const struct svc *svc, const struct mail *mail,
               struct err *err) MUST_USE;
// What mail_queue says of an address.
int mail_address_check(const char *address, struct err *err) MUST_USE;
// After the commit, any thread: there is mail to send.
void mail_wake(const struct svc *svc);

// ---- Looking at it ----

// Appends a JSON array of the mail that waits in the maildir and in the queue, newest first; and
// one message as it is. ERR_NOT_FOUND.
int mail_list(struct db_session *session, struct buf *out, struct err *err) MUST_USE;
int mail_show(struct db_session *session, const char *id, struct buf *out,
              struct err *err) MUST_USE;

// ---- The mailer: a thread of the hub ----

struct mailer_config {
    const char *url;                 // smtp://host:port or smtps://host:port; "": the maildir
    const char *username, *password; // "": none
    const char *starttls;            // "try", "require" or "off"
    const char *ca_file;             // "": the system's
    int64_t retry_s;                 // after a first failure; doubles with each further one
};
int mailer_open(struct svc *svc, const struct mailer_config *config, struct mailer **ret_mailer,
                struct err *err) MUST_USE;
// Ends the thread; what was not sent stays in the queue.
void mailer_close(struct mailer *mailer);
void mailer_wake(struct mailer *mailer);

// For commands, where no hub need run and no SMTP server is set: delivers what is due into the
// maildir.
int mail_deliver_due(const struct svc *svc, struct db_session *session, struct err *err) MUST_USE;
// For doctor: whether the SMTP server of `config` greets and takes its user.
int mail_probe(const struct mailer_config *config, struct err *err) MUST_USE;

#endif
