// SPDX-License-Identifier: AGPL-3.0-or-later
// The mails about an account: welcome (api-v1 9.1), the link alone that verifies an address, and a
// forgotten password (9.2). They go into the queue, in a transaction; errors are those of
// mail_queue.
#ifndef SVC_ACCOUNT_MAIL_H
#define SVC_ACCOUNT_MAIL_H

#include "svc/svc.h"

// `token` is of the link that verifies the address; NULL: no link.
int account_mail_welcome(struct db_session *txn, const struct svc *svc, const char *email_address,
                         const char *token, struct err *err) MUST_USE;
int account_mail_verify(struct db_session *txn, const struct svc *svc, const char *email_address,
                        const char *token, struct err *err) MUST_USE;
int account_mail_reset(struct db_session *txn, const struct svc *svc, const char *email_address,
                       const struct uuid *code, struct err *err) MUST_USE;

#endif
