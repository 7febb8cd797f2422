// SPDX-License-Identifier: AGPL-3.0-or-later
// Tokens that sign a person in for twelve hours (api-v1 3.31, 8.3).
#ifndef SVC_AUTH_H
#define SVC_AUTH_H

#include "svc/svc.h"

#define AUTH_TOKEN_LEN 24

struct auth_token_call {
    // in
    struct caller caller;
    const char *account_id; // as sent
    const char *password;
    struct loop *loop;
    void (*done)(struct auth_token_call *call);
    // out; a refusal is ERR_FORBIDDEN, ERR_NOT_FOUND or ERR_RATE_LIMITED with the contract's text
    int rc;
    struct err err;
    char token[AUTH_TOKEN_LEN + 1];
    // the service's
    struct svc *svc;
    struct uuid target;
    char hash[128];
    bool verified, by_admin;
    struct work work;
    struct db_write write;
};
// Checks the password on a worker, stores a token. A caller that was wrong about an account within
// the last 60 s is refused before its password is looked at.
void auth_token_create(struct svc *svc, struct db_session *session, struct auth_token_call *call);

#endif
