// SPDX-License-Identifier: AGPL-3.0-or-later
// Inviting people to a project, by account or by address, and the mail that tells them (api-v1
// 3.16, 3.19, 9.3, 9.4). Whoever has an account joins at once; for an address without one, an
// action waits for somebody to sign up with it, which the page that the mail leads to lets them do.
#ifndef SVC_INVITATIONS_H
#define SVC_INVITATIONS_H

#include "base/mem.h"
#include "svc/svc.h"

// ---- Inviting ----

// What the inviter wrote, as sent; NULL where nothing was.
struct invite_text {
    const char *email; // text or HTML
    const char *subject, *title, *link2proj, *replyto, *replyto_name;
};

// What a recipient reads, but for what differs from one to the next. In the arena.
struct invite_letter {
    const char *subject, *body, *project;
    const char *reply_to, *reply_to_name;
    int rc; // why nobody can be sent it
    struct err err;
};

struct invite {
    // in
    struct uuid inviter, project_id;
    struct uuid account_id; // invite_account
    const char *to;         // invite_addresses: as sent
    struct invite_text text;
    int64_t pause_ms;    // between two mails to one address for the project; 0: a week
    struct arena *arena; // lasts until `done`, as the texts do
    struct loop *loop;
    void (*done)(struct invite *invite);
    // out: of the first recipient for whom it failed; a membership stays where its mail is refused
    int rc;
    struct err err;
    // the service's
    struct svc *svc;
    struct invite_letter letter;
    const char **addresses;
    size_t addresses_count, addresses_done;
    int batch_rc;
    struct err batch_err;
    struct db_write write;
};
// Makes the account a collaborator, and sends it a mail if there is a text. The project gate was
// passed. `session` is for what is read now.
void invite_account(struct svc *svc, struct db_session *session, struct invite *invite);
// Makes collaborators of the accounts that have the addresses; the others get mail.
void invite_addresses(struct svc *svc, struct db_session *session, struct invite *invite);

// ---- Accepting ----

enum invitation_state {
    INVITATION_OPEN,   // nobody has the address
    INVITATION_TAKEN,  // an account has it, and is on the project
    INVITATION_CLOSED, // it was accepted, but no such account is on the project now
};
struct invitation {
    enum invitation_state state;
    struct uuid project_id;
    const char *email_address, *title; // in the arena
};
// ERR_NOT_FOUND if there is none by that token, or it has expired.
int invitation_get(struct db_session *session, const char *token, struct arena *arena,
                   struct invitation *ret_invitation, struct err *err) MUST_USE;

#endif
